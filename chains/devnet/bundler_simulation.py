"""What a bundler finds out before it takes an operation: does it validate, how much gas does it take. By eth_call alone.

EntryPointSimulations (of the EntryPoint's own package) stands at the EntryPoint's address for the length of a call: its
simulateValidation runs the genuine validation. Gas limits are found by halving: the least with which the validation passes and
the call succeeds, run from the EntryPoint's address by a few bytes of our own that first create the sender where need be.

With `rules`, the validation is traced too, and what it did is judged by `bundler_rules` (ERC-7562, -32502). Reputation is not kept:
-32504 and -32505 are never answered.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace
from typing import Any

from chains.devnet.artifacts import artifact
from chains.devnet.bundler_rules import MIN_STAKE_WEI, MIN_UNSTAKE_S, TRACER, broken
from chains.evm import from_hex, number, word
from chains.rpc import Rpc, RpcReject
from chains.types import Address, Fees
from chains.userops import ENTRY_POINT, Paymaster, UserOperation, handle_ops, packed
from chains.userops_08 import ENTRY_POINT as ENTRY_POINT_08
from contracts.codec import decode_revert, encode, interface

MAX_VERIFICATION_GAS, MAX_CALL_GAS = 10_000_000, 20_000_000
_CALL_GAS = 55_000_000
_RICH = hex(1 << 100)
_PROBER = bytes.fromhex(
    "6040351560 1b 57 606035 6080 5f37 5f5f 606035 5f5f 604035 5af150"  # a factory at 0x40: call it with its data
    "5b 606035 608001 803603 908190 5f37 5f5f91 5f5f 602035 5f35 f1"  # call the sender at 0x20 with gas at 0x00 and the rest
    "5f52 3d5f60203e 3d602001 5ff3"  # success ‖ return data
)
# The EntryPoint's own work per operation that no limit of the operation meters: measured with one operation in a bundle.
_BASE_GAS, _OVERHEAD_GAS, _OVERHEAD_WORD_GAS = 21_000, 20_000, 8
# EIP-7623: a transaction takes at least so much for its calldata. No validation takes less than _LEAST_GAS, and that counts.
_FLOOR_GAS, _LEAST_GAS = 10, 60_000
_MARGIN_PERCENT = 10
_TOO_LITTLE_GAS = ("AA13", "AA23", "AA26", "AA21", "AA33", "AA36", "AA40", "AA51", "AA95")


@dataclass(frozen=True, slots=True)
class Times:
    """validAfter and validUntil in seconds of the chain's clock; `until` is a large number where there is no end."""

    after: int
    until: int


def refused(code: int, message: str, data: Any = None) -> RpcReject:
    return RpcReject(code, message, data)


def pre_verification_gas(op: UserOperation) -> int:
    """What the bundler is owed beside the metered gas: the transaction, its calldata, the EntryPoint's own work."""
    data = handle_ops([op], op.sender).data
    tokens = sum(4 if byte else 1 for byte in data)
    metered = _BASE_GAS + 4 * tokens + _OVERHEAD_GAS + _OVERHEAD_WORD_GAS * (len(data) // 32)
    return max(metered, _BASE_GAS + _FLOOR_GAS * tokens - _LEAST_GAS)


class Simulation:
    """Asks one node, through its plain JSON-RPC. `start` first."""

    def __init__(self, rpc: Rpc, entry_point: Address = ENTRY_POINT, rules: bool = True) -> None:
        self._rpc, self._entry_point, self._simulations, self._rules = rpc, entry_point, "", rules
        self._named = "EntryPointSimulations08" if entry_point == ENTRY_POINT_08 else "EntryPointSimulations"

    async def start(self) -> None:
        """Makes the simulations' runtime code; their constructor insists on not being deployed. Raises Retry, RpcReject."""
        creation = "0x" + artifact(self._named).creation().hex()
        early = {"number": "0x1"}
        self._simulations = await self._rpc.call(
            "eth_call", [{"data": creation, "gas": hex(_CALL_GAS)}, "latest", {}, early]
        )

    async def validate(self, op: UserOperation, now: int) -> Times:
        """Passes an operation that the EntryPoint would take at `now`; otherwise RpcReject with ERC-7769's code."""
        _, account, paymaster = await self._validation(op, {})
        for who, data in (("account", account), ("paymaster", paymaster)):
            aggregator = data & (1 << 160) - 1
            if aggregator == 1:
                pays = op.paymaster.address if op.paymaster else None
                code, extra = (-32507, None) if who == "account" else (-32501, {"paymaster": pays})
                raise refused(code, f"AA{'24' if who == 'account' else '34'} signature error", extra)
            if aggregator:
                raise refused(-32506, "signature aggregators are not supported")
        times = _times(account, paymaster)
        if not times.after <= now <= times.until:
            shown = {"validAfter": hex(times.after), "validUntil": hex(times.until)}
            raise refused(-32503, f"out of its time range: {times.after} to {times.until}, now {now}", shown)
        return times

    async def keep_the_rules(self, op: UserOperation) -> None:
        """Passes an operation whose validation ERC-7562 allows; otherwise RpcReject -32502 with the rule."""
        if not self._rules:
            return
        state = {self._entry_point: {"code": self._simulations}}
        options = {"tracer": TRACER, "stateOverrides": state}
        trace = await self._rpc.call("debug_traceCall", [self._validating(op), "latest", options])
        if trace["failed"]:
            raise refused(-32603, f"the validation could not be traced: {trace['failed']}")
        entities = [e for e in (op.factory, op.paymaster.address if op.paymaster else None) if e is not None]
        found = broken(op, self._entry_point, trace, [e for e in entities if await self._staked(e)])
        if found is not None:
            raise refused(-32502, f"{found.rule}: the {found.entity} {found.why}", {"rule": found.rule})

    async def _staked(self, entity: Address) -> bool:
        ask = artifact("EntryPoint").call("getDepositInfo", entity)
        answer = await self._rpc.call(
            "eth_call", [{"to": self._entry_point, "data": "0x" + ask.hex()}, "latest"]
        )
        _, staked, stake, delay, _ = artifact("EntryPoint").read("getDepositInfo", from_hex(answer), 1)[0]
        return bool(staked) and stake >= MIN_STAKE_WEI and delay >= MIN_UNSTAKE_S

    def _validating(self, op: UserOperation) -> dict[str, Any]:
        data = artifact(self._named).call("simulateValidation", tuple(packed(op).values()))
        return {"to": self._entry_point, "data": "0x" + data.hex(), "gas": hex(_CALL_GAS)}

    async def estimate(self, op: UserOperation) -> dict[str, str]:
        """ERC-7769's answer. The signature need not hold. Raises RpcReject."""
        most = replace(
            op,
            fees=await self._fees(op),
            verification_gas=MAX_VERIFICATION_GAS,
            call_gas=0,
            paymaster=_with(op.paymaster, MAX_VERIFICATION_GAS),
        )
        rich: dict[str, Any] = {} if op.paymaster else {op.sender: {"balance": _RICH}}
        await self._validation(most, rich)
        verification = await _least(
            MAX_VERIFICATION_GAS, lambda gas: self._passes(replace(most, verification_gas=gas), rich)
        )
        found = {"verificationGasLimit": _more(verification)}
        if most.paymaster:
            pays = await _least(
                MAX_VERIFICATION_GAS,
                lambda gas: self._passes(replace(most, paymaster=_with(op.paymaster, gas)), rich),
            )
            found["paymasterVerificationGasLimit"] = _more(pays)
        found["callGasLimit"] = _more(await self._call_gas(op))
        # Every byte of the numbers still to come counts as one that is not zero.
        ones = (1 << 120) - 1
        full = replace(
            op,
            call_gas=ones,
            verification_gas=ones,
            pre_verification_gas=(1 << 24) - 1,
            fees=Fees(ones, ones),
            paymaster=_with(op.paymaster, ones),
        )
        found["preVerificationGas"] = pre_verification_gas(full)
        return {name: hex(gas) for name, gas in found.items()}

    async def failing(
        self, ops: list[UserOperation], beneficiary: Address, gas: int
    ) -> tuple[int, str] | None:
        """(index, reason) of the operation that would break the whole bundle, tried on the genuine EntryPoint; None for none."""
        call = handle_ops(ops, beneficiary, self._entry_point)
        sent = {"from": beneficiary, "to": call.to, "data": "0x" + call.data.hex(), "gas": hex(gas)}
        try:
            await self._rpc.call("eth_call", [sent, "latest"])
        except RpcReject as error:
            data = _revert_data(error)
            failed = _failed_op(data)
            if failed is None:
                raise refused(-32603, f"the bundle would revert: {decode_revert(data)}") from None
            return failed[0], f"{failed[1]} {decode_revert(failed[2]) if failed[2] else ''}".strip()
        return None

    async def _fees(self, op: UserOperation) -> Fees:
        """One wei, or as much as it takes that a sender's deposit does not spare it the payment, which costs gas too."""
        if op.paymaster:
            return Fees(1, 1)
        data = encode("entry_point_07", "balanceOf", (op.sender,))
        answer = await self._rpc.call(
            "eth_call", [{"to": self._entry_point, "data": "0x" + data.hex()}, "latest"]
        )
        fee = number(answer) // (MAX_VERIFICATION_GAS // 100) + 1
        return Fees(fee, fee)

    async def _validation(self, op: UserOperation, overrides: dict[str, Any]) -> tuple[int, int, int]:
        """(preOpGas, validationData of the account, of the paymaster). Raises RpcReject with ERC-7769's code."""
        simulations = artifact(self._named)
        call = self._validating(op)
        state = {**overrides, self._entry_point: {"code": self._simulations}}
        try:
            answer = await self._rpc.call("eth_call", [call, "latest", state])
        except RpcReject as error:
            data = _revert_data(error)
            failed = _failed_op(data)
            if failed is None:
                raise refused(-32500, f"the validation reverted: {decode_revert(data)}") from None
            raise _refusal(op, failed[1], failed[2]) from None
        result = simulations.read("simulateValidation", from_hex(answer), 1)[0]
        return result[0][0], result[0][2], result[0][3]

    async def _passes(self, op: UserOperation, overrides: dict[str, Any]) -> bool:
        try:
            await self._validation(op, overrides)
        except RpcReject as error:
            if any(code in error.rpc_message for code in _TOO_LITTLE_GAS):
                return False
            raise
        return True

    async def _call_gas(self, op: UserOperation) -> int:
        head = await self._rpc.call("eth_getBlockByNumber", ["latest", False])
        # As in the next block: some contracts do more in the first call of a block (an oracle's observation, interest).
        block = {"number": hex(number(head["number"]) + 1), "time": hex(number(head["timestamp"]) + 1)}
        succeeded, data = await self._probe(op, MAX_CALL_GAS, block)
        if not succeeded:
            raise refused(-32521, f"the call reverts: {decode_revert(data)}", "0x" + data.hex())

        async def enough(gas: int) -> bool:
            return (await self._probe(op, gas, block))[0]

        return await _least(MAX_CALL_GAS, enough)

    async def _probe(self, op: UserOperation, gas: int, block: dict[str, str]) -> tuple[bool, bytes]:
        factory = op.factory or b""
        head = word(gas) + word(op.sender) + word(factory) + word(len(op.factory_data))
        data = head + op.factory_data + op.call_data
        call = {"to": self._entry_point, "data": "0x" + data.hex(), "gas": hex(_CALL_GAS)}
        state = {self._entry_point: {"code": "0x" + _PROBER.hex()}}
        answer = from_hex(await self._rpc.call("eth_call", [call, "latest", state, block]))
        return answer[31] == 1, answer[32:]


def _with(pays: Paymaster | None, gas: int) -> Paymaster | None:
    return None if pays is None else replace(pays, verification_gas=gas)


def _more(gas: int) -> int:
    return gas + gas * _MARGIN_PERCENT // 100


async def _least(most: int, enough: Callable[[int], Awaitable[bool]]) -> int:
    """The least gas that is enough, to one percent; `most` is known to be."""
    low, high = 0, most
    while high - low > max(200, high // 100):
        middle = (low + high) // 2
        if await enough(middle):
            high = middle
        else:
            low = middle
    return high


def _times(*validation: int) -> Times:
    """The time range in which every party's validationData holds (Helpers._parseValidationData: 0 is without end)."""
    after = max(data >> 208 for data in validation)
    until = min((data >> 160 & (1 << 48) - 1) or (1 << 48) - 1 for data in validation)
    return Times(after, until)


def _revert_data(error: RpcReject) -> bytes:
    """The revert's bytes; another kind of error is raised again."""
    if isinstance(error.data, str) and error.data.startswith("0x"):
        return from_hex(error.data)
    if "revert" in error.rpc_message.lower():
        return b""
    raise error


def _failed_op(data: bytes) -> tuple[int, str, bytes] | None:
    entry = interface("entry_point_07").errors.get(data[:4])
    if entry is None or not entry.name.startswith("FailedOp"):
        return None
    args = entry.inputs.decode(data[4:], strict=False)
    return args["opIndex"], args["reason"], args.get("inner", b"")


def _refusal(op: UserOperation, reason: str, inner: bytes) -> RpcReject:
    """ERC-7769's code for a FailedOp: AA1x and AA2x are the account's, AA3x the paymaster's."""
    message = f"{reason}: {decode_revert(inner)}" if inner else reason
    if reason.startswith("AA31"):
        code = -32508
    elif reason.startswith("AA3"):
        code = -32501
    elif reason.startswith(("AA24", "AA22")):
        code = -32507 if reason.startswith("AA24") else -32503
    else:
        code = -32500
    data = {"paymaster": op.paymaster.address} if op.paymaster and reason.startswith("AA3") else None
    return refused(code, message, data)
