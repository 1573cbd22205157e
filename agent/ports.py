"""The seams to the world, each as narrow as it can be. Small real fakes of all of them stand in tests/support."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any, Protocol, TypeVar, runtime_checkable

from agent.domain.errors import FairleadError
from agent.domain.events import Authorized, Refused, Simulated
from agent.domain.ids import ClOrdId
from agent.domain.orders import VenueOrder
from agent.domain.reports import Balance, ExecutionReport, Fill, OrderSnapshot, Position

E = TypeVar("E")


class Clock(Protocol):
    """Time as an argument. `sleep` ends early for nobody; ManualClock jumps when everybody sleeps."""

    def now_ns(self) -> int: ...

    async def sleep(self, seconds: float) -> None: ...


class Journal(Protocol):
    """Events in order, appended before the next stage begins. Raises Halt when it cannot be written."""

    async def record(self, event: E) -> E:
        """Appended in order; durable soon."""
        ...

    async def record_durably(self, event: E) -> E:
        """Appended, and on the disk when this returns."""
        ...


class Authorizer(Protocol):
    async def look(self, chain_id: int) -> None:
        """Reads beforehand what `authorize` needs of a chain, while something else takes its time; never raises."""

    async def authorize(self, simulated: Simulated) -> Authorized | Refused: ...


class Alert(Protocol):
    async def send(self, code: str, message: str) -> None: ...


@dataclass(frozen=True, slots=True)
class SignedRequest:
    """An exchange request, signed and not yet sent. `digest` names its content without the signature; no secret in it."""

    cl_ord_id: ClOrdId
    method: str
    path: str
    payload: str
    digest: str


@dataclass(frozen=True, slots=True)
class VenueInstrument:
    """What a venue trades and in which steps; exact decimals. `contract`: "" where `base` is what is bought, "linear" where it is a
    contract of so many units priced in `quote`, "inverse" where `base` is dollars and `quote` the coin that it is worth so much of: bought,
    it is the exchange's short. `fee_in_quote`: the fee is taken in
    `quote` beside what changes hands, whichever side was bought; else out of what is received."""

    symbol: str
    base: str
    quote: str
    tick: Decimal
    lot: Decimal
    min_qty: Decimal
    min_notional: Decimal
    taker_fee_bps: Decimal
    maker_fee_bps: Decimal
    contract: str = ""
    fee_in_quote: bool = False


@dataclass(frozen=True, slots=True)
class VenueBook:
    """Aggregated levels, best first: (price, quantity). `at_ns` is when it was last proved in sequence."""

    symbol: str
    bids: tuple[tuple[Decimal, Decimal], ...]
    asks: tuple[tuple[Decimal, Decimal], ...]
    at_ns: int


class MarketVenue(Protocol):
    """What of an exchange can be read: its markets, its books, and what stands there. Reads raise Retry."""

    @property
    def name(self) -> str: ...

    async def start(self) -> None: ...

    async def close(self) -> None: ...

    async def instruments(self) -> Sequence[VenueInstrument]: ...

    async def book(self, symbol: str) -> VenueBook: ...

    async def balances(self) -> Sequence[Balance]: ...


class ExecutionVenue(MarketVenue, Protocol):
    """An exchange as this software sees it. Reads raise Retry; a write that timed out raises Reconcile, a refusal Reject.

    Nothing is ever sent twice under a new id: after Reconcile the caller asks `query`.
    """

    async def authorize(self, order: VenueOrder) -> SignedRequest:
        """Builds and has signed the new-order request; sends nothing."""
        ...

    async def submit(self, request: SignedRequest) -> OrderSnapshot: ...

    async def cancel(self, cl_ord_id: ClOrdId, symbol: str) -> OrderSnapshot: ...

    async def cancel_many(
        self, orders: Sequence[tuple[ClOrdId, str]]
    ) -> Mapping[ClOrdId, OrderSnapshot | FairleadError]:
        """Ends these orders (name, symbol) in as few requests as the venue has for it; what `cancel` would tell or raise, for each."""
        ...

    async def query(self, cl_ord_id: ClOrdId, symbol: str) -> OrderSnapshot | None:
        """None only where the venue definitely says that it has no such order."""
        ...

    async def open_orders(self) -> Sequence[OrderSnapshot]: ...

    async def fills(self, symbol: str, since_ns: int) -> Sequence[tuple[ClOrdId, Fill]]: ...

    def stream(self) -> AsyncIterator[ExecutionReport]:
        """User-data reports merged with a periodic REST audit; idempotent by exec id; heals gaps."""
        ...


@runtime_checkable
class HoldsPositions(Protocol):
    """A venue of contracts: what is held there stands beside the balances, for it is none."""

    async def positions(self) -> Sequence[Position]:
        """Those that are open. Raises Retry."""
        ...


@runtime_checkable
class KeepsLessOfNames(Protocol):
    """A venue that keeps less than a whole name of an order: shown the names, it tells of those orders by them."""

    def remember(self, orders: Iterable[tuple[ClOrdId, str]]) -> None:
        """Names with their symbols. Asks nobody."""
        ...


@runtime_checkable
class HoldsPairs(Protocol):
    """An exchange that takes a `VenueOrder` with `exits`, and tells of the two orders as of one."""

    def holds_pairs(self, symbol: str) -> bool:
        """Whether it does in this instrument. Asks nobody; one it does not know holds none."""
        ...


@dataclass(frozen=True, slots=True)
class HeldCondition:
    """An order to come, which an exchange keeps apart from its open orders until a price is reached. `venue_order_id` is the exchange's own
    number of it; `about` says in words what it will do."""

    cl_ord_id: ClOrdId
    venue_order_id: str
    symbol: str
    about: str


@runtime_checkable
class KeepsConditions(Protocol):
    """An exchange whose `open_orders` leave out what waits for a price."""

    async def conditions(self) -> Sequence[HeldCondition]:
        """Those that still wait, whoever placed them. Raises Retry."""
        ...

    async def end_condition(self, held: HeldCondition) -> str:
        """The exchange's word of how it stands then: one that was triggered before is an order, among `open_orders`. Raises as `cancel`."""
        ...


@runtime_checkable
class TellsMargin(Protocol):
    """A venue whose margin accounts can be judged by a model of agent/margin."""

    async def margin(self) -> Mapping[str, Any]:
        """They, as an accounts/1 document; none where nothing is open. Raises Retry."""
        ...


@runtime_checkable
class TellsFunding(Protocol):
    """A venue of perpetual contracts that says what was paid between longs and shorts."""

    async def funding(self, symbol: str, since_ns: int) -> Sequence[tuple[int, Decimal]]:
        """(time in ns, rate as a share of notional; positive: longs pay), oldest first. Raises Retry."""
        ...


class Algo(Protocol):
    """A pure step: what to send now, given the parent, its story so far and the time. See agent/algos."""

    def step(self, parent: Any, story: Any, now_ns: int) -> Sequence[Any]: ...
