"""The stages of the road and everything else the journal holds. Past tense or a state reached; frozen; self-contained.

A stage's function takes only the type before it:
    Accepted → Sliced → Planned → Approved | Breach → Prepared → Simulated → Authorized | Refused → Submitted → Reported… → Settled → Attributed
Holding an Approved proves a review, holding a Simulated proves a rehearsal on this machine, holding an Authorized proves a
signature. VERSION of a type grows when its fields change; the codec keeps an upcaster for every older one.
"""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal

from agent.domain.ids import ClOrdId
from agent.domain.instruments import AssetId, Place
from agent.domain.orders import ChildOrder, Offer, ParentOrder, Part, VenueOrder
from agent.domain.reports import Balance, ExecutionReport, Fill
from agent.domain.risk import BreachReason, OraclePrice, Reservation
from agent.domain.routes import Certificate, Route
from agent.domain.submission_state import Observation
from chains.types import Address, Call, Hash32, Protection


@dataclass(frozen=True, slots=True)
class Accepted:
    parent: ParentOrder
    at_ns: int


@dataclass(frozen=True, slots=True)
class Sliced:
    """The algo decided on a slice."""

    child: ChildOrder
    at_ns: int


@dataclass(frozen=True, slots=True)
class Planned:
    """A route for a child, cut into the parts each place executes.

    `arrival_px` is the places' mid weighted by what each takes, `touches` each place's best price on our side of its
    book (the mid itself for a pool); prices are quote per base.
    """

    child: ChildOrder
    route: Route
    parts: tuple[Part, ...]
    arrival_px: Decimal
    touches: tuple[tuple[Place, Decimal], ...]
    native_px: tuple[tuple[Place, Decimal], ...]
    at_ns: int


@dataclass(frozen=True, slots=True)
class Proved:
    """How far a plan can be from the best one: the certificate of a child's route, made once what was planned is over.

    Nothing on the road waits for it, so that a block's plan leaves before its proof is sought.
    """

    child: ClOrdId
    certificate: Certificate
    at_ns: int


@dataclass(frozen=True, slots=True)
class Approved:
    planned: Planned
    reservation: Reservation
    prices: tuple[OraclePrice, ...]
    at_ns: int


@dataclass(frozen=True, slots=True)
class Breach:
    """Denied: ours. Nothing was reserved and nothing will leave."""

    child: ClOrdId
    reasons: tuple[BreachReason, ...]
    at_ns: int


@dataclass(frozen=True, slots=True)
class Instructed:
    """Something the wallet is to do that is no trade: lend, borrow, repay, withdraw. Walks the road from Prepared on.

    The part's `asset_in` is what leaves the wallet, `asset_out` what comes; `what` is the sentence its owner agreed to.
    """

    part: Part
    what: str
    at_ns: int


@dataclass(frozen=True, slots=True)
class Crossed:
    """Where money stands that an instruction of ours has a bridge bring to another chain: one for each stage of `chains.bridges.flight`,
    the first, SENT, durable before the deposit is signed.

    `in_raw` of `given` leave; at least `out_raw` of `received` (of as many `decimals`) are to arrive by `deadline_s` of the other chain's
    clock, `paid_raw` did. `since_block` was the head when it was made.
    """

    cl_ord_id: ClOrdId
    bridge: str
    given: AssetId
    received: AssetId
    decimals: int
    in_raw: int
    out_raw: int
    paid_raw: int
    deadline_s: int
    since_block: int
    stage: str
    at_ns: int


@dataclass(frozen=True, slots=True)
class ChainBatch:
    """The calls one wallet makes in one transaction, in order, with the deadline that stands in their calldata."""

    chain_id: int
    wallet: Address
    calls: tuple[Call, ...]
    deadline_s: int
    protection: Protection


@dataclass(frozen=True, slots=True)
class Prepared:
    """A part made concrete: `chain` for a wallet's batch, `order` for an exchange, `offer` for others to settle; one is present."""

    part: Part
    chain: ChainBatch | None
    order: VenueOrder | None
    at_ns: int
    offer: Offer | None = None


@dataclass(frozen=True, slots=True)
class Simulated:
    """A rehearsal on this machine: `out_raw` is what it gave; `floor_raw` is what the final calldata demands.

    For an exchange `order` is checked against its filters instead, and `gas` is 0; an `offer` against its plan, and so too.
    """

    part: Part
    chain: ChainBatch | None
    order: VenueOrder | None
    out_raw: int
    floor_raw: int
    gas: int
    block_number: int
    at_ns: int
    offer: Offer | None = None


@dataclass(frozen=True, slots=True)
class Authorized:
    """Signed, and durable before anything is sent. After a crash this alone says what may have happened.

    On a chain: `tx_hash`, the sending key's `nonce`, the Safe's own `wallet_nonce`, `raw` to send again unchanged.
    At an exchange: `request_digest` of the signed request; the client order id is the part's.
    An `offer`: `request_digest` is its UID, `raw` the signature's bytes, `deadline_s` the last second it can be settled in.
    `signed_block` is the head it was signed at, `max_block` the last block it is handed over for.
    """

    part: Part
    order: VenueOrder | None
    chain_id: int
    sender: Address
    nonce: int
    wallet_nonce: int
    tx_hash: Hash32
    raw: bytes
    request_digest: str
    protection: Protection
    max_block: int
    deadline_s: int
    floor_raw: int
    at_ns: int
    offer: Offer | None = None
    signed_block: int = 0

    @property
    def since_block(self) -> int:
        """No block up to this one can hold it. Records that do not name it are of a time when everything lasted fifteen blocks."""
        return self.signed_block or max(self.max_block - 15, 0)


@dataclass(frozen=True, slots=True)
class Replaced:
    """Signed again with nothing changed but fees and, where another program used the one before, the sender's nonce (`nonce`; -1
    where it is the same); durable before it is sent. What was signed before may still be the one that is mined.
    """

    part: Part
    tx_hash: Hash32
    raw: bytes
    at_ns: int
    nonce: int = -1


@dataclass(frozen=True, slots=True)
class Refused:
    """The signer's policy, or an owner, said no."""

    part: Part
    rule: str
    message: str
    remedy: str
    at_ns: int


@dataclass(frozen=True, slots=True)
class PartFailed:
    """A part ended before anything could take effect: it could not be prepared, simulated, or was refused outright."""

    part: Part
    code: str
    message: str
    at_ns: int


@dataclass(frozen=True, slots=True)
class Submitted:
    """It left this machine. `channel` is the relay or venue; receiving is all that is known."""

    cl_ord_id: ClOrdId
    place: Place
    channel: str
    reference: str
    at_ns: int


@dataclass(frozen=True, slots=True)
class Indeterminate:
    """A write timed out: it may have happened. Reconciled by hash, nonce or client order id; never sent again blindly."""

    cl_ord_id: ClOrdId
    place: Place
    message: str
    at_ns: int


@dataclass(frozen=True, slots=True)
class Observed:
    """Something was seen of a transaction; the submission table decides what it means."""

    cl_ord_id: ClOrdId
    place: Place
    seen: Observation
    tx_hash: Hash32
    block_number: int
    block_hash: str
    gas_used: int
    gas_price_wei: int
    l1_fee_wei: int
    at_ns: int


@dataclass(frozen=True, slots=True)
class Reported:
    report: ExecutionReport


@dataclass(frozen=True, slots=True)
class Settled:
    """A part is over for good: final on its chain, or done at its venue. `fills` are what really happened."""

    part: Part
    fills: tuple[Fill, ...]
    gas_wei: int
    at_ns: int


@dataclass(frozen=True, slots=True)
class Attributed:
    """Where the money went, per parent; every component in quote units for the whole order, positive = cost.

    `drift_cost` is how far the places' mids stood from the arrival price when each slice was planned; the five
    components and the gas add up to `total_cost` exactly. `against_plan` is what was planned less what came.
    """

    parent: ClOrdId
    base: str
    quote: str
    qty_base: Decimal
    qty_quote: Decimal
    avg_px: Decimal
    arrival_px: Decimal
    drift_cost: Decimal
    spread_cost: Decimal
    impact_cost: Decimal
    fee_cost: Decimal
    gas_cost: Decimal
    total_cost: Decimal
    total_bps: Decimal
    against_plan: Decimal
    at_ns: int


@dataclass(frozen=True, slots=True)
class CancelRequested:
    cl_ord_id: ClOrdId
    source: str
    at_ns: int


@dataclass(frozen=True, slots=True)
class CancelSigned:
    """A transaction that is to take an order's nonce instead of it was signed; durable before it is sent.

    `max_block` is the last block its roads keep it for. It is no form of the order: whoever wins, the nonce is used once.
    """

    cl_ord_id: ClOrdId
    place: Place
    tx_hash: Hash32
    max_block: int
    at_ns: int


@dataclass(frozen=True, slots=True)
class GasPaid:
    """What a transaction of ours cost that did not decide its order, as the chain has it now: all zero once it is in no block.

    So it is where somebody else executed what the owners signed, and our own transaction was mined at the sender's nonce all the same.
    """

    cl_ord_id: ClOrdId
    place: Place
    tx_hash: Hash32
    block_number: int
    block_hash: str
    gas_used: int
    gas_price_wei: int
    l1_fee_wei: int
    at_ns: int


@dataclass(frozen=True, slots=True)
class Certified:
    """An owner took over, by a command, an account of which this journal had not told: what it lost, or never knew, is as it is.

    `nonces` are the sender's next ones, per chain; `told` is every difference that was taken over, in words.
    """

    nonces: tuple[tuple[Place, int], ...]
    told: tuple[str, ...]
    source: str
    at_ns: int


@dataclass(frozen=True, slots=True)
class ParentClosed:
    """No further slice will come: done, cancelled, expired, breached or failed, in one word and one sentence."""

    parent: ClOrdId
    status: str
    why: str
    at_ns: int


@dataclass(frozen=True, slots=True)
class Adopted:
    """Balances found at a place and not explained by our own orders, taken into the book at a price."""

    place: Place
    balances: tuple[Balance, ...]
    symbols: tuple[tuple[AssetId, str], ...]
    prices: tuple[OraclePrice, ...]
    at_ns: int


@dataclass(frozen=True, slots=True)
class Halted:
    """The kill switch: new risk stops, cancelling and following go on."""

    source: str
    why: str
    at_ns: int


@dataclass(frozen=True, slots=True)
class Resumed:
    source: str
    at_ns: int


@dataclass(frozen=True, slots=True)
class Alarmed:
    """Something a person must know. Carries the journal's head where it leaves this machine."""

    code: str
    message: str
    at_ns: int


@dataclass(frozen=True, slots=True)
class Quoted:
    """A quote a person may trade by its id while it is fresh. `words`: the options it was asked with; `net_px`: what it told, None in
    journals from before it was kept."""

    quote_id: str
    side: str
    base: str
    quote: str
    qty: Decimal
    route: Route
    at_ns: int
    words: tuple[tuple[str, str], ...] = ()
    net_px: Decimal | None = None


@dataclass(frozen=True, slots=True)
class Reconciled:
    """Books compared with venue and chain: `differences` is empty when they agree."""

    place: Place
    differences: tuple[str, ...]
    at_ns: int


@dataclass(frozen=True, slots=True)
class Scheduled:
    """A job's next fire, as planned at `at_ns`: after a restart it tells what was missed. `rule` is the job's own timing."""

    job: str
    rule: str
    fire_ns: int
    at_ns: int


@dataclass(frozen=True, slots=True)
class Fired:
    """What became of one fire of a job, named by `key`: ORDER (`told` is its id), NOTHING to do, SHADOW, SKIPPED, MISSED or FAILED."""

    job: str
    key: str
    outcome: str
    told: str
    at_ns: int


@dataclass(frozen=True, slots=True)
class Shadowed:
    """What would have been signed and sent now, and was not. `out_raw` is what its rehearsal gave, at `block_number` on a chain;
    `px` the price of the plan, quote per base, fees inside and gas not."""

    part: Part
    order: VenueOrder | None
    px: Decimal
    out_raw: int
    floor_raw: int
    block_number: int
    at_ns: int


@dataclass(frozen=True, slots=True)
class ShadowSeen:
    """What the market gave for it `after_ns` later: `out_raw` for `in_raw`, less than the floor or the limit allows included, and `px`
    as the plan's; None where it gave nothing.

    The look that `decides` is the first at which it could have taken effect; without a `fill` it would have had none, and `told` says why.
    """

    cl_ord_id: ClOrdId
    after_ns: int
    decides: bool
    in_raw: int
    out_raw: int
    px: Decimal | None
    fill: Fill | None
    told: str
    at_ns: int


EVENTS: tuple[type, ...] = (
    Accepted, Sliced, Planned, Approved, Instructed, Breach, Prepared, Simulated, Authorized, Replaced, Refused, PartFailed, Submitted,
    Indeterminate,
    Observed, Reported, Settled, Attributed, CancelRequested, ParentClosed, Adopted, Halted, Resumed, Alarmed, Quoted,
    Reconciled, Scheduled, CancelSigned, GasPaid, Certified, Fired, Proved, Shadowed, ShadowSeen, Crossed,
)  # fmt: skip
VERSIONS: dict[str, int] = {event.__name__: 1 for event in EVENTS}
