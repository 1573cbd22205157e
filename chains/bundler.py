"""A client for a bundler's standard RPC (ERC-7769), and what became of an operation, read from the chain itself.

    bundler = Bundler(rpc, chain)          `rpc` is the bundler's endpoint, `chain` our own reader of the same chain
    await bundler.check()
    gas = await bundler.estimate(op)       tells the bundler the calldata: never for a private plan
    sent = await bundler.send(op)
    await bundler.lookup(sent.op_hash, since=sent.at_block)      UserOpReceipt, or Seen.PENDING, or Seen.UNKNOWN

`send` raises Denied USER_OP_NONCE_STALE before anything leaves, Retry (nothing was sent), Reject (the bundler said no, by
ERC-7769's error codes in REFUSALS) or Reconcile: a time-out, or an answer that allows for the operation being in its pool or
on the chain; then `lookup` decides, and nothing is sent again before. A bundler's own word never makes a receipt: that is the
UserOperationEvent which the EntryPoint logged for the hash, as our own endpoints show it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from enum import Enum
from typing import Any

from chains.errors import Denied, FairleadError, Halt, Reconcile, Reject, Retry
from chains.evm import number
from chains.rpc import Rpc, RpcReject
from chains.types import ZERO_ADDRESS, Address, Call, ChainReader, Hash32, Log
from chains.userops import ENTRY_POINT, UserOperation, from_json, split_nonce, to_json
from chains.userops_08 import hash_at
from contracts.abi_types import AbiError
from contracts.codec import decode_event, decode_result, decode_revert, encode, topic

REFUSALS: Mapping[int, tuple[str, str]] = {
    -32602: ("USER_OP_FIELDS", "a field of the operation, or its fee against one already in the pool"),
    -32500: (
        "USER_OP_INVALID_ACCOUNT",
        "the account's creation or validation; AA codes are the EntryPoint's",
    ),
    -32501: ("USER_OP_PAYMASTER", "the paymaster's validation"),
    -32502: ("USER_OP_OPCODES", "an opcode or storage that validation must not touch (ERC-7562)"),
    -32503: ("USER_OP_TIME_RANGE", "validAfter and validUntil: sign again with a later end"),
    -32504: (
        "USER_OP_THROTTLED",
        "the paymaster, factory or account is throttled or banned: use another bundler",
    ),
    -32505: ("USER_OP_STAKE", "the stake of the paymaster, factory or account is too low"),
    -32506: ("USER_OP_AGGREGATOR", "the account names an aggregator that is not supported"),
    -32507: ("USER_OP_SIGNATURE", "the signature of the account or paymaster does not hold"),
    -32508: ("USER_OP_PAYMASTER_FUNDS", "the paymaster's deposit does not cover the operation"),
    -32521: ("USER_OP_REVERTS", "the call would revert: correct what it does"),
}
_KNOWN = ("already known", "already in the mempool with this hash")
_UNDERPRICED = ("underpriced", "bump the gas", "replacement")
_NONCE = "AA25"
_NOT_TAKEN = (-32700, -32600, -32601)
"""JSON-RPC's own: the request was not understood, so nothing happened."""
_BESIDE = ("entryPoint", "blockNumber", "blockHash", "transactionHash")


class Seen(Enum):
    """Short of a receipt: PENDING where the bundler shows the operation, UNKNOWN where it says nothing of it."""

    PENDING = "PENDING"
    UNKNOWN = "UNKNOWN"


@dataclass(frozen=True, slots=True)
class Sent:
    """The bundler took the operation. No promise of inclusion. `at_block` is our head before it was sent."""

    op_hash: Hash32
    at_block: int


@dataclass(frozen=True, slots=True)
class GasEstimate:
    """Units of gas. The paymaster's are None where the bundler names none: postOp gas is the paymaster's to say (ERC-7769)."""

    call_gas: int
    verification_gas: int
    pre_verification_gas: int
    paymaster_verification_gas: int | None = None
    paymaster_post_op_gas: int | None = None

    def applied(
        self, op: UserOperation, more_verification: int = 0, more_call_percent: int = 10
    ) -> UserOperation:
        """The operation with these limits, unsigned. `more_verification` is for what the estimate could not run: signatures.

        `more_call_percent`: a swap takes more in a later block than in the one it was estimated in (an oracle's slot is
        written once a block, a tick more is crossed). Of gas that is not used the EntryPoint charges a tenth.
        """
        pays = op.paymaster
        if pays is not None:
            verify, post = self.paymaster_verification_gas, self.paymaster_post_op_gas
            pays = replace(
                pays,
                verification_gas=pays.verification_gas if verify is None else verify,
                post_op_gas=pays.post_op_gas if post is None else post,
            )
        return replace(
            op,
            call_gas=-(-self.call_gas * (100 + more_call_percent) // 100),
            verification_gas=self.verification_gas + more_verification,
            pre_verification_gas=self.pre_verification_gas,
            paymaster=pays,
            signature=b"",
        )


@dataclass(frozen=True, slots=True)
class UserOpReceipt:
    """An operation in a block, as the EntryPoint logged it. `success` false: it reverted, its gas is paid all the same.

    `gas_cost_wei` left the sender's (or the paymaster's) deposit; `gas_used` is in units of gas, overheads included.
    `reason` says why it reverted, `revert_data` in the call's own bytes; `logs` are those of its execution alone.
    """

    op_hash: Hash32
    sender: Address
    nonce: int
    paymaster: Address | None
    success: bool
    gas_used: int
    gas_cost_wei: int
    tx_hash: Hash32
    block_number: int
    block_hash: Hash32
    reason: str
    revert_data: bytes
    logs: tuple[Log, ...]


class Bundler:
    """One bundler's endpoint beside our own view of its chain."""

    def __init__(self, rpc: Rpc, chain: ChainReader, entry_point: Address = ENTRY_POINT) -> None:
        self._rpc, self._chain, self.entry_point = rpc, chain, entry_point

    def __repr__(self) -> str:
        return f"Bundler({self._rpc.origin})"

    async def check(self) -> None:
        """Raises Halt where the bundler serves another chain, Reject where it does not serve the EntryPoint, Retry."""
        told = await self._number("eth_chainId")
        if told != self._chain.chain_id:
            raise Halt(
                "WRONG_CHAIN",
                f"the bundler {self._rpc.origin} serves chain {told}, not {self._chain.chain_id}",
                "correct the bundler's URL in the settings",
            )
        if self.entry_point.lower() not in [e.lower() for e in await self.entry_points()]:
            raise Reject(
                "ENTRY_POINT_UNSUPPORTED",
                f"the bundler {self._rpc.origin} does not serve the EntryPoint {self.entry_point}",
                "use a bundler for that EntryPoint",
            )

    async def entry_points(self) -> tuple[str, ...]:
        """The EntryPoints it bundles for. Raises Retry."""
        answer = await self._rpc.call("eth_supportedEntryPoints")
        if not isinstance(answer, list) or not all(isinstance(entry, str) for entry in answer):
            raise _malformed(self._rpc, "eth_supportedEntryPoints")
        return tuple(answer)

    async def next_nonce(self, sender: Address, key: int = 0) -> int:
        """The nonce of the next operation under `key`, from the EntryPoint itself. Raises Retry."""
        call = Call(self.entry_point, encode("entry_point_07", "getNonce", (sender, key)))
        result = await self._chain.call(call)
        try:
            if result.ok:
                return int(decode_result("entry_point_07", "getNonce", result.data)[0])
        except AbiError:
            pass
        raise Retry(
            "MALFORMED_ANSWER", "no EntryPoint 0.7 answered getNonce", "does this chain have EntryPoint 0.7?"
        )

    async def estimate(self, op: UserOperation) -> GasEstimate:
        """What the bundler thinks it takes. Its signature need not hold, but must have its final length.

        Raises Reject (the call reverts, the account refuses), Retry.
        """
        try:
            answer = await self._rpc.call("eth_estimateUserOperationGas", [to_json(op), self.entry_point])
        except RpcReject as error:
            raise refusal(error, self._rpc.origin) from None
        try:
            own = [number(answer[k]) for k in ("callGasLimit", "verificationGasLimit", "preVerificationGas")]
            pays = ("paymasterVerificationGasLimit", "paymasterPostOpGasLimit")
            theirs = [None if answer.get(k) is None else number(answer[k]) for k in pays]
        except (KeyError, TypeError, ValueError, AttributeError):
            raise _malformed(self._rpc, "eth_estimateUserOperationGas") from None
        return GasEstimate(own[0], own[1], own[2], theirs[0], theirs[1])

    async def send(self, op: UserOperation, delegate: Address | None = None) -> Sent:
        """Hands a signed operation over. See the module for what it raises. `delegate`: as `userops_08.hash_at` needs it."""
        expected = hash_at(self.entry_point, self._chain.chain_id, op, delegate)
        key, sequence = split_nonce(op.nonce)
        following = split_nonce(await self.next_nonce(op.sender, key))[1]
        if sequence < following:
            raise Denied(
                "USER_OP_NONCE_STALE",
                f"nonce {sequence} of key {key} is used: the account's next is {following}",
                "look the operation up by its hash before building another",
            )
        sent = Sent(expected, (await self._chain.block()).number)
        try:
            answer = await self._rpc.call(
                "eth_sendUserOperation", [to_json(op), self.entry_point], write=True
            )
        except RpcReject as error:
            if any(words in error.rpc_message.lower() for words in _KNOWN):
                return sent
            raise refusal(error, self._rpc.origin, sending=True) from None
        if not isinstance(answer, str) or answer.lower() != expected:
            raise Reconcile(
                "BUNDLER_OTHER_HASH",
                f"{self._rpc.origin} answered a send with {str(answer)[:70]}, the operation's hash is {expected}",
                "look the operation up by its own hash before sending again",
            )
        return sent

    async def pending(self, op_hash: Hash32, delegate: Address | None = None) -> UserOperation | None:
        """The operation where the bundler shows it, waiting or included; None proves nothing, for a bundler may keep silent
        about what waits (ERC-7769). Raises Retry, also where it shows another operation."""
        try:
            answer = await self._rpc.call("eth_getUserOperationByHash", [op_hash])
        except RpcReject as error:
            raise refusal(error, self._rpc.origin) from None
        if answer is None:
            return None
        try:
            # Bundlers put the fields in `userOperation`; the standard's words allow for them beside the block's.
            op = from_json(
                answer.get("userOperation") or {k: v for k, v in answer.items() if k not in _BESIDE}
            )
        except (FairleadError, AttributeError, TypeError):
            raise _malformed(self._rpc, "eth_getUserOperationByHash") from None
        if hash_at(self.entry_point, self._chain.chain_id, op, delegate) != op_hash:
            raise _malformed(self._rpc, "eth_getUserOperationByHash")
        return op

    async def hint(self, op_hash: Hash32) -> Hash32 | None:
        """The transaction the bundler says it put the operation in; only `receipt` says whether that is so. Raises Retry."""
        try:
            answer = await self._rpc.call("eth_getUserOperationReceipt", [op_hash])
            return None if answer is None else Hash32(str(answer["receipt"]["transactionHash"]).lower())
        except RpcReject as error:
            raise refusal(error, self._rpc.origin) from None
        except (KeyError, TypeError):
            raise _malformed(self._rpc, "eth_getUserOperationReceipt") from None

    async def receipt(self, op_hash: Hash32, since: int) -> UserOpReceipt | None:
        """The operation's receipt from the EntryPoint's logs of blocks `since` to the head, asked of our own endpoints.

        `since` is `Sent.at_block`, or any block before the operation was signed. Raises Retry.
        """
        head = await self._chain.block()
        wanted = [topic("entry_point_07", "UserOperationEvent"), bytes.fromhex(op_hash[2:])]
        found = await self._chain.logs(self.entry_point, wanted, min(since, head.number), head.number)
        if not found:
            return None
        where = found[-1]
        every = await self._chain.logs(None, [], where.block_number, where.block_number)
        mine = [log for log in every if log.tx_hash == where.tx_hash and log.block_hash == where.block_hash]
        return next((r for r in receipts(mine, self.entry_point) if r.op_hash == op_hash), None)

    async def lookup(self, op_hash: Hash32, since: int) -> UserOpReceipt | Seen:
        """What became of an operation: the chain first, then the bundler's pool. UNKNOWN means that it is in no block; it can
        still be included until its nonce is used or its validUntil has passed. Raises Retry."""
        found = await self.receipt(op_hash, since)
        if found is not None:
            return found
        if await self.pending(op_hash) is not None:
            # It may have been included between the two questions.
            return await self.receipt(op_hash, since) or Seen.PENDING
        return await self.receipt(op_hash, since) or Seen.UNKNOWN

    async def _number(self, method: str) -> int:
        try:
            return number(await self._rpc.call(method))
        except (TypeError, ValueError):
            raise _malformed(self._rpc, method) from None


def _malformed(rpc: Rpc, method: str) -> Retry:
    return Retry(
        "MALFORMED_ANSWER", f"{rpc.origin} answered {method} with something malformed", "is it a bundler?"
    )


def refusal(error: RpcReject, origin: str, *, sending: bool = False) -> FairleadError:
    """A bundler's error by what it means. AA25 on a send is Reconcile: this very operation may have used the nonce."""
    said = error.rpc_message
    if sending and _NONCE in said and not any(words in said.lower() for words in _UNDERPRICED):
        return Reconcile(
            "USER_OP_NONCE_USED",
            f"{origin} says the nonce is not the account's next one: {said}",
            "look the operation up by its hash: it may be the one that used the nonce",
        )
    if any(words in said.lower() for words in _UNDERPRICED):
        return Reject(
            "USER_OP_UNDERPRICED",
            f"{origin} has an operation of this sender and nonce: {said}",
            "raise both fees by at least 10 %, or wait for the one it has",
        )
    if sending and error.rpc_code not in REFUSALS and error.rpc_code not in _NOT_TAKEN:
        return Reconcile(
            "BUNDLER_FAILED",
            f"{origin} answered {error.rpc_code} {said}: it does not say that nothing happened",
            "look the operation up by its hash before sending again",
        )
    code, about = REFUSALS.get(error.rpc_code, ("USER_OP_REFUSED", "the bundler's own rules"))
    why = f": {decode_revert(bytes.fromhex(error.data[2:]))}" if _is_revert(error) else ""
    return Reject(code, f"{origin} answered {error.rpc_code} {said}{why}", f"it concerns {about}")


def _is_revert(error: RpcReject) -> bool:
    data = error.data
    if error.rpc_code != -32521 or not isinstance(data, str) or len(data) < 10 or not data.startswith("0x"):
        return False
    try:
        bytes.fromhex(data[2:])
    except ValueError:
        return False
    return True


def receipts(logs: Iterable[Log], entry_point: Address = ENTRY_POINT) -> tuple[UserOpReceipt, ...]:
    """Every operation of one transaction, from all its logs. What an operation executed lies between BeforeExecution, or the
    operation before, and its own UserOperationEvent (EntryPoint.handleOps). Pure."""
    found: list[UserOpReceipt] = []
    run: list[Log] = []
    for log in sorted(logs, key=lambda entry: entry.log_index):
        event = _event(log) if log.address == entry_point else None
        if event is None:
            run.append(log)
            continue
        name, args = event
        if name == "BeforeExecution":
            run = []
        elif name == "UserOperationEvent":
            found.append(_receipt(log, args, run, entry_point))
            run = []
        else:
            run.append(log)
    return tuple(found)


def _event(log: Log) -> tuple[str, dict[str, Any]] | None:
    try:
        event = decode_event("entry_point_07", log)
    except AbiError:
        return None
    return None if event is None else (event.event, event.args)


def _receipt(log: Log, args: Mapping[str, Any], run: Sequence[Log], entry_point: Address) -> UserOpReceipt:
    reason, data, own = "", b"", []
    for other in run:
        event = _event(other) if other.address == entry_point else None
        if event is None:
            own.append(other)
        elif event[0] == "UserOperationPrefundTooLow":
            reason = "the prefund did not cover the gas"
        elif event[0] in ("UserOperationRevertReason", "PostOpRevertReason"):
            data = bytes(event[1]["revertReason"])
            reason = ("postOp: " if event[0] == "PostOpRevertReason" else "") + decode_revert(data)
    success = bool(args["success"])
    return UserOpReceipt(
        Hash32("0x" + bytes(args["userOpHash"]).hex()),
        Address(args["sender"]),
        int(args["nonce"]),
        None if args["paymaster"] == ZERO_ADDRESS else Address(args["paymaster"]),
        success,
        int(args["actualGasUsed"]),
        int(args["actualGasCost"]),
        log.tx_hash,
        log.block_number,
        log.block_hash,
        reason if success or reason else decode_revert(b""),
        data,
        tuple(own),
    )
