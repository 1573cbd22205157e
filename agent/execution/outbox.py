"""The one place where something leaves, and the one place that obeys the four verbs.

RETRY (nothing happened) is tried again with the same bytes while there is time; REJECT is recorded as their no, and our own
no (DENIED: no relay honours the plan's protection) likewise;
RECONCILE is recorded as indeterminate and never sent again here; HALT passes up to the lane.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol

from agent.domain.errors import Denied, Reconcile, Reject, Retry, Usage
from agent.domain.events import Authorized, Indeterminate, Observed, Reported, Settled, Submitted
from agent.domain.ids import ClOrdId
from agent.domain.instruments import Place, venue_of
from agent.domain.order_state import TERMINAL, ExecType
from agent.domain.orders import Side
from agent.domain.reports import ExecutionReport, OrderSnapshot
from agent.domain.submission_state import Observation
from agent.domain.units import sum_exact
from agent.ports import Clock, ExecutionVenue, SignedRequest
from chains.types import Hash32, Protection, SignedTx

Sent = Submitted | Indeterminate | Observed | Reported

ATTEMPTS = 4
PAUSE_S = 0.25


class Channel(Protocol):
    """How a chain's transactions leave: a relay, bound to what it honours."""

    @property
    def name(self) -> str: ...

    async def send(self, signed: SignedTx, protection: Protection, max_block: int) -> str:
        """Hands it over; returns the relay's reference. Receiving is all that is known then."""
        ...

    async def cancel(self, signed: SignedTx) -> bool: ...


class Offers(Protocol):
    """Where signed orders for others to settle go, and how they are followed: `agent.execution.offer_road`."""

    async def submit(self, authorized: Authorized) -> Sent: ...

    async def follow(self, authorized: Authorized) -> Settled: ...


class Outbox:
    def __init__(
        self, clock: Clock, channels: Mapping[int, Channel], venues: Mapping[str, ExecutionVenue]
    ) -> None:
        self._clock, self._channels, self._venues = clock, channels, venues
        self.signed_requests: dict[str, SignedRequest] = {}
        self.offers: Offers | None = None
        self.answers: dict[ClOrdId, OrderSnapshot] = {}
        """What exchanges answered to orders that ended at once: who follows such an order takes it from here and asks nothing."""

    async def submit(self, authorized: Authorized) -> Sent:
        if authorized.offer is not None:
            return await offers_of(self.offers).submit(authorized)
        for attempt in range(1, ATTEMPTS + 1):
            try:
                return await (
                    self._to_chain(authorized) if authorized.order is None else self._to_venue(authorized)
                )
            except Retry as nothing_happened:
                if attempt == ATTEMPTS:
                    return await self._gave_up(authorized, nothing_happened)
                await self._clock.sleep(PAUSE_S * attempt)
            except Reconcile as unclear:
                return Indeterminate(
                    authorized.part.cl_ord_id, authorized.part.place, str(unclear), self._clock.now_ns()
                )
            except (Reject, Denied, Usage) as refused:  # theirs or ours: it did not leave
                return self._refused(authorized, refused)
        raise AssertionError("unreachable")

    async def _to_chain(self, authorized: Authorized) -> Submitted:
        channel = self._channels[authorized.chain_id]
        reference = await channel.send(signed_tx(authorized), authorized.protection, authorized.max_block)
        return Submitted(
            authorized.part.cl_ord_id, authorized.part.place, channel.name, reference, self._clock.now_ns()
        )

    async def _to_venue(self, authorized: Authorized) -> Submitted:
        venue = self._venues[venue_of(authorized.part.place) or ""]
        request = self.signed_requests.pop(authorized.part.cl_ord_id, None)
        if request is None:  # made in another process life: it may have left
            raise Reconcile(
                "REQUEST_GONE", "the signed request of an earlier run is gone", "asked by client order id"
            )
        try:
            snapshot = await venue.submit(request)
        except Retry:
            self.signed_requests[authorized.part.cl_ord_id] = request
            raise
        if is_whole(snapshot):
            self.answers[authorized.part.cl_ord_id] = snapshot
        return Submitted(
            authorized.part.cl_ord_id,
            authorized.part.place,
            venue.name,
            snapshot.venue_order_id,
            self._clock.now_ns(),
        )

    async def _gave_up(self, authorized: Authorized, why: Retry) -> Sent:
        """Nothing happened in any attempt: on a chain the bytes stay a bearer instrument, so the tracker waits it out."""
        if authorized.order is None:
            return Indeterminate(
                authorized.part.cl_ord_id, authorized.part.place, str(why), self._clock.now_ns()
            )
        return self._report(authorized, ExecType.REJECTED, f"{why.code}: {why.message}")

    def _refused(self, authorized: Authorized, why: Reject | Denied | Usage) -> Sent:
        if authorized.order is not None:
            return self._report(authorized, ExecType.REJECTED, f"{why.code}: {why.message}")
        return observed(authorized, Observation.REFUSED, self._clock.now_ns())

    def _report(self, authorized: Authorized, kind: ExecType, text: str) -> Reported:
        part = authorized.part
        return Reported(ExecutionReport(part.cl_ord_id, part.place, kind, self._clock.now_ns(), text=text))


def is_whole(snapshot: OrderSnapshot) -> bool:
    """Whether nothing is left to be asked about an order: it has ended, and the fills told are all of what was done."""
    if snapshot.status not in TERMINAL:
        return False
    sells = snapshot.side is Side.SELL
    return sum_exact(f.qty_in if sells else f.qty_out for f in snapshot.fills) == snapshot.cum_qty


def signed_tx(authorized: Authorized) -> SignedTx:
    return SignedTx(
        authorized.chain_id, authorized.sender, authorized.nonce, authorized.raw, authorized.tx_hash
    )


def offers_of(found: Offers | None) -> Offers:
    """Raises Usage NO_ORDER_BOOK where none was wired."""
    if found is None:
        raise Usage("NO_ORDER_BOOK", "no order book is configured", "add [chains.order_book] to the chain")
    return found


def observed(
    authorized: Authorized,
    seen: Observation,
    at_ns: int,
    *,
    block_number: int = 0,
    block_hash: str = "",
    gas_used: int = 0,
    gas_price_wei: int = 0,
    l1_fee_wei: int = 0,
    tx_hash: Hash32 | None = None,
) -> Observed:
    """An observation of this authorization's transaction, or of the one that decided about it in its stead."""
    return Observed(
        authorized.part.cl_ord_id,
        Place(authorized.part.place),
        seen,
        tx_hash or authorized.tx_hash,
        block_number,
        block_hash,
        gas_used,
        gas_price_wei,
        l1_fee_wei,
        at_ns,
    )
