"""Across V3: money deposited in one chain's SpokePool is paid out by a relayer from another's, or given back after its deadline.

Layouts and rules: SpokePool.sol and V3SpokePoolInterface.sol of @across-protocol/contracts 3.0.17. The two chains are asked, no API: a
fill is what the destination's SpokePool says of the relay's hash, an expiry what its final clock says; what cannot be taken back is
believed where a quorum of the chain's endpoints says the same. A wrapped native token arrives as
the native coin. Nothing has to be claimed, so no gas of ours is spent on the destination.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Protocol

from chains.bridges.flight import Flight, Stage, moved
from chains.errors import Reject, Retry
from chains.evm import checksum, word
from chains.finality import first_block
from chains.types import ZERO_ADDRESS, Address, BlockRef, Call, CallResult, ChainReader, Hash32, Log
from contracts.abi_types import Value, parse_tuple
from contracts.codec import decode_event, encode, topic
from contracts.hashing import keccak

ABI = "across_spoke_pool"
SPOKE_POOLS: dict[int, Address] = {
    1: Address("0x5c7BCd6E7De5423a257D81B442095A1a6ced35C5"),
    8453: Address("0x09aea4b2242abC8bb4BB78D537A67a245A7bEC64"),
    42161: Address("0xe35e9842fceaCA96570B734083f4a58e8F7C5f2A"),
}
"""As the package's own deployments list them."""
RELAY = (
    "(address depositor, address recipient, address exclusiveRelayer, address inputToken, address outputToken, uint256 inputAmount, "
    "uint256 outputAmount, uint256 originChainId, uint32 depositId, uint32 fillDeadline, uint32 exclusivityDeadline, bytes message)"
)
HASHED = parse_tuple(f"{RELAY} relay, uint256 destinationChainId")
LONGEST_LIFE_S = 2 * 86_400
"""No SpokePool takes a deposit whose deadline is that far away (`fillDeadlineBuffer`; hours as deployed)."""
FILLED = 2
"""FillStatus.Filled; 0 is unfilled, and 1 that somebody asked for the slow way, which no relayer's money is needed for."""


class AgreedReader(ChainReader, Protocol):
    """A chain whose endpoints can be asked whether they say the same. Both raise Retry where they do not; `chains.gateway.Gateway`."""

    async def logs_agreed(
        self, address: Address, topics: Sequence[bytes | Sequence[bytes] | None], first: int, last: int
    ) -> list[Log]: ...

    async def call_agreed(self, call: Call, block: int) -> CallResult: ...


@dataclass(frozen=True, slots=True)
class Terms:
    """What a relayer takes: `fee_bps` of the amount and `fixed_raw` besides, for amounts within the bounds, in `seconds` as a rule."""

    fee_bps: int
    fixed_raw: int
    min_raw: int
    max_raw: int
    seconds: int


@dataclass(frozen=True, slots=True)
class Quote:
    """What would arrive for `in_raw`, and what stays with the bridge; good for `quote_s`, the origin's time it was made at."""

    in_raw: int
    out_raw: int
    quote_s: int
    deadline_s: int
    seconds: int

    @property
    def fee_raw(self) -> int:
        return self.in_raw - self.out_raw


@dataclass(frozen=True, slots=True)
class Deposit:
    """One deposit as its event tells it: what a relay's hash is made of, and where it stands on the origin."""

    origin: int
    destination: int
    deposit_id: int
    depositor: Address
    recipient: Address
    exclusive_relayer: Address
    input_token: Address
    output_token: Address
    in_raw: int
    out_raw: int
    fill_deadline: int
    exclusivity_deadline: int
    message: bytes
    log: Log

    def relay(self) -> tuple[Value, ...]:
        """V3RelayData, in its order."""
        return (
            self.depositor, self.recipient, self.exclusive_relayer, self.input_token, self.output_token, self.in_raw, self.out_raw,
            self.origin, self.deposit_id, self.fill_deadline, self.exclusivity_deadline, self.message,
        )  # fmt: skip

    def relay_hash(self) -> bytes:
        """keccak256(abi.encode(V3RelayData, destination chain id)): the key of `fillStatuses`."""
        return keccak(HASHED.enc((self.relay(), self.destination)))


@dataclass(frozen=True, slots=True)
class Crossing:
    """One deposit of ours followed on both chains: its transaction, the head it was made on, and what is known so far.

    `tokens` are (there, here): given, received; `recipient` is whom it pays over there.
    """

    origin: int
    destination: int
    tx_hash: Hash32
    sent_after: int
    depositor: Address
    recipient: Address
    tokens: tuple[Address, Address]
    flight: Flight
    deposit: Deposit | None = None


def quote(terms: Terms, in_raw: int, now_s: int, life_s: int) -> Quote:
    """What arrives, floored; the fee rounded up. Raises Reject BRIDGE_AMOUNT outside the relayer's bounds, or where nothing would be left."""
    fee = -(-in_raw * terms.fee_bps // 10_000) + terms.fixed_raw
    if not terms.min_raw <= in_raw <= terms.max_raw or fee >= in_raw:
        raise Reject(
            "BRIDGE_AMOUNT",
            f"{in_raw} base units cannot be sent: the relayer takes {terms.min_raw} to {terms.max_raw}, and {fee} of it for itself",
            "send another amount",
        )
    return Quote(in_raw, in_raw - fee, now_s, now_s + life_s, terms.seconds)


def deposit_calls(
    origin: int,
    destination: int,
    wallet: Address,
    recipient: Address,
    tokens: tuple[Address, Address],
    quoted: Quote,
) -> tuple[Call, ...]:
    """The wallet's own two calls: an exact approval, and the deposit that uses it up. `tokens` are (there, here): given, received.

    No relayer is preferred and no message sent. A refund goes to the wallet.
    """
    given, received = tokens
    spoke = SPOKE_POOLS[origin]
    words: tuple[Value, ...] = (
        wallet, recipient, given, received, quoted.in_raw, quoted.out_raw, destination, ZERO_ADDRESS, quoted.quote_s,
        quoted.deadline_s, 0, b"",
    )  # fmt: skip
    return (
        Call(given, encode("erc20", "approve", (spoke, quoted.in_raw))),
        Call(spoke, encode(ABI, "depositV3", words)),
    )


async def check(origin: ChainReader, destination: int, token: Address, quoted: Quote) -> None:
    """What the deposit would revert on, before anything is signed. Raises Reject BRIDGE_CLOSED, BRIDGE_STALE or BRIDGE_DEADLINE."""
    spoke = SPOKE_POOLS[origin.chain_id]
    asked = [
        Call(spoke, encode(ABI, "enabledDepositRoutes", (token, destination))),
        Call(spoke, encode(ABI, "pausedDeposits")),
        Call(spoke, encode(ABI, "depositQuoteTimeBuffer")),
        Call(spoke, encode(ABI, "fillDeadlineBuffer")),
    ]
    ref, answers = await origin.multicall(asked)
    if any(not a.ok or len(a.data) < 32 for a in answers):
        raise Retry(
            "BRIDGE_SILENT",
            f"no SpokePool answers on chain {origin.chain_id}",
            "is the chain's RPC the right one? on a devnet: `fairlead devnet up --with across`",
        )
    opened, paused, quote_age, life = (int.from_bytes(a.data[:32], "big") for a in answers)
    if paused or not opened:
        what = "deposits are paused" if paused else f"the route of {token} to chain {destination} is not open"
        raise Reject("BRIDGE_CLOSED", f"Across on chain {origin.chain_id}: {what}", "send another way")
    if not 0 <= ref.timestamp - quoted.quote_s <= quote_age:
        raise Reject(
            "BRIDGE_STALE",
            f"the quote is of {quoted.quote_s}, the chain's time is {ref.timestamp}",
            "quote again",
        )
    if not ref.timestamp <= quoted.deadline_s <= ref.timestamp + life:
        raise Reject(
            "BRIDGE_DEADLINE",
            f"a deadline of {quoted.deadline_s} is not within {life} s of now",
            "choose another life",
        )


async def sendable(
    origin: ChainReader, destination: int, tokens: Sequence[Address], wallet: Address
) -> dict[Address, int]:
    """What the wallet holds there of those tokens, in base units, that the SpokePool would take for the destination now.

    Nothing where no SpokePool is, or its deposits are paused.
    """
    spoke = SPOKE_POOLS.get(origin.chain_id)
    if spoke is None or destination not in SPOKE_POOLS or not tokens:
        return {}
    asked = [Call(spoke, encode(ABI, "pausedDeposits"))]
    asked += [Call(spoke, encode(ABI, "enabledDepositRoutes", (token, destination))) for token in tokens]
    asked += [Call(token, encode("erc20", "balanceOf", (wallet,))) for token in tokens]
    _, answers = await origin.multicall(asked)
    told = [int.from_bytes(a.data[:32], "big") if a.ok and len(a.data) >= 32 else None for a in answers]
    paused, opened, held = told[0], told[1 : 1 + len(tokens)], told[1 + len(tokens) :]
    if paused is None or paused:
        return {}
    return {t: raw for t, way, raw in zip(tokens, opened, held, strict=True) if way and raw}


async def deposits_of(origin: ChainReader, depositor: Address, first: int, last: int) -> list[Deposit]:
    """Every deposit of an address in those blocks, in their order."""
    topics = [topic(ABI, "V3FundsDeposited"), None, None, word(depositor)]
    logs = await origin.logs(SPOKE_POOLS[origin.chain_id], topics, first, last)
    return [deposit_in(origin.chain_id, log) for log in logs]


def deposit_in(chain_id: int, log: Log) -> Deposit:
    """A V3FundsDeposited of that chain's SpokePool."""
    args = _args(log)
    return _told(chain_id, args["destinationChainId"], args, log)


def _told(origin: int, destination: int, args: Mapping[str, Any], log: Log) -> Deposit:
    """A deposit's fields, which its own event and that of a fill name alike."""
    return Deposit(
        origin, destination, args["depositId"], checksum(args["depositor"]), checksum(args["recipient"]),
        checksum(args["exclusiveRelayer"]), checksum(args["inputToken"]), checksum(args["outputToken"]), args["inputAmount"],
        args["outputAmount"], args["fillDeadline"], args["exclusivityDeadline"], args["message"], log,
    )  # fmt: skip


async def fill_status(destination: ChainReader, deposit: Deposit) -> tuple[BlockRef, int]:
    """FillStatus of the deposit's relay in the newest block. Raises Retry BRIDGE_SILENT."""
    ref, (answer,) = await destination.multicall([_status_asked(deposit)])
    return ref, _status_in(deposit, answer)


async def final_status(destination: AgreedReader, deposit: Deposit) -> tuple[BlockRef, int]:
    """FillStatus in the newest final block, by a quorum. Raises Retry BRIDGE_SILENT, ENDPOINTS_DIFFER."""
    ref = await destination.block("finalized")
    return ref, _status_in(deposit, await destination.call_agreed(_status_asked(deposit), ref.number))


def _status_asked(deposit: Deposit) -> Call:
    return Call(SPOKE_POOLS[deposit.destination], encode(ABI, "fillStatuses", (deposit.relay_hash(),)))


def _status_in(deposit: Deposit, answer: CallResult) -> int:
    if not answer.ok or len(answer.data) < 32:
        raise Retry(
            "BRIDGE_SILENT",
            f"no SpokePool answers on chain {deposit.destination}",
            "is the chain's RPC the right one? on a devnet: `fairlead devnet up --with across`",
        )
    return int.from_bytes(answer.data[:32], "big")


async def _agreed(chain: AgreedReader, log: Log) -> bool:
    """Whether a quorum tells a log that one endpoint told, in the very block. Raises Retry ENDPOINTS_DIFFER."""
    return log in await chain.logs_agreed(log.address, log.topics, log.block_number, log.block_number)


async def paid_out(destination: AgreedReader, deposit: Deposit, last: int, span: int = 50_000) -> int | None:
    """What a fill paid out, by its own event: the depositor may have signed for another amount since. Looked for backwards, `span` blocks
    at a time, as long ago as a deposit of that deadline can be. None where none is found.

    Anybody may fill a relay of his own making under our deposit's number, in a token of his own, to himself: only the event whose every
    field gives this deposit's hash tells of it.
    """
    topics = [topic(ABI, "FilledV3Relay"), word(deposit.origin), word(deposit.deposit_id)]
    while True:
        first = max(last - span + 1, 0)
        for log in await destination.logs(SPOKE_POOLS[deposit.destination], topics, first, last):
            args = _args(log)
            same = _told(deposit.origin, deposit.destination, args, log).relay_hash() == deposit.relay_hash()
            if same and await _agreed(destination, log):
                return int(args["relayExecutionInfo"]["updatedOutputAmount"])
        if not first or (await destination.block(first)).timestamp < deposit.fill_deadline - LONGEST_LIFE_S:
            return None
        last = first - 1


async def refunded_raw(
    origin: AgreedReader, depositor: Address, token: Address, first: int, last: int
) -> int:
    """What the SpokePool paid back to an address in those blocks: one leaf pays all that is due to it in a token."""
    total = 0
    for log in await origin.logs(
        SPOKE_POOLS[origin.chain_id], [topic(ABI, "ExecutedRelayerRefundRoot")], first, last
    ):
        args = _args(log)
        if checksum(args["l2TokenAddress"]) != token:
            continue
        rows = zip(args["refundAddresses"], args["refundAmounts"], strict=True)
        due = sum(raw for to, raw in rows if checksum(to) == depositor)
        total += due if due and await _agreed(origin, log) else 0
    return total


async def look(
    origin: AgreedReader,
    destination: AgreedReader,
    crossing: Crossing,
    others_refunds_raw: int = 0,
    refunds_since: int | None = None,
) -> Crossing:
    """One step further where the chains have gone one; the same where nothing is new. Ask again until `flight.over`.

    Whether a deposit that is in no block can still come into one is its sender's nonce's to say: DROPPED is never told here.

    `others_refunds_raw` are refunds of the same token, since block `refunds_since` (the deposit's own where None), that other crossings of
    the same wallet account for. A crossing that was read back without its deposit has it looked for. Raises Retry where a chain is silent,
    Halt as `moved`.
    """
    flight, stage = crossing.flight, crossing.flight.stage
    if flight.over:
        return crossing
    head = await origin.block()
    if stage in (Stage.SENT, Stage.DEPOSITED):
        deposit = await _mine(origin, crossing, head.number)
        if deposit is None:
            gone = stage is Stage.DEPOSITED
            return replace(crossing, deposit=None, flight=moved(flight, Stage.SENT)) if gone else crossing
        crossing = replace(crossing, deposit=deposit)
        if stage is Stage.SENT:
            return replace(crossing, flight=moved(flight, Stage.DEPOSITED))
    if crossing.deposit is None:
        crossing = replace(crossing, deposit=await _mine(origin, crossing, head.number))
    deposit = crossing.deposit
    if deposit is None:
        # Paid out, or expired, of a deposit that is in no block of this endpoint: a lagging one, or a reorganisation that brings it again.
        return crossing
    if stage is Stage.EXPIRED:
        first = deposit.log.block_number if refunds_since is None else refunds_since
        back = await refunded_raw(origin, deposit.depositor, deposit.input_token, first, head.number)
        done = back - others_refunds_raw >= flight.in_raw
        return replace(crossing, flight=moved(flight, Stage.REFUNDED)) if done else crossing
    ref, status = await fill_status(destination, deposit)
    final, then = await final_status(destination, deposit)
    if stage is Stage.FILLED:
        if status != FILLED:
            return replace(crossing, flight=moved(flight, Stage.DEPOSITED))
        return (
            replace(crossing, flight=moved(flight, Stage.ARRIVED, flight.paid_raw))
            if then == FILLED
            else crossing
        )
    if status == FILLED:
        paid = await paid_out(destination, deposit, ref.number)
        return replace(crossing, flight=moved(flight, Stage.FILLED, paid)) if paid is not None else crossing
    if final.timestamp > deposit.fill_deadline and then != FILLED:
        return replace(crossing, flight=moved(flight, Stage.EXPIRED))
    return crossing


async def _mine(origin: AgreedReader, crossing: Crossing, last: int) -> Deposit | None:
    """One transaction can hold several deposits, of the wallet's own or in its name: whoever sends the owners' signed batch on may set
    another beside it, whose depositor he may choose. What he would have to pay himself to the same recipient in the same token is ours."""
    flight = crossing.flight
    terms = (
        crossing.tx_hash, crossing.destination, crossing.recipient, crossing.tokens, flight.in_raw, flight.out_raw, flight.deadline_s,
    )  # fmt: skip
    deposits = await deposits_of(origin, crossing.depositor, first_block(crossing.sent_after), last)
    found = next((d for d in deposits if _terms(d) == terms), None)
    return found if found is not None and await _agreed(origin, found.log) else None


def _terms(d: Deposit) -> tuple[object, ...]:
    tokens = (d.input_token, d.output_token)
    return (d.log.tx_hash, d.destination, d.recipient, tokens, d.in_raw, d.out_raw, d.fill_deadline)


def _args(log: Log) -> dict[str, Any]:
    found = decode_event(ABI, log)
    assert found is not None, "the topic was asked for"
    return found.args
