"""Pairs of exits as single orders: asked for, cancelled, listed and reported under the pair's own id; and entries with exits behind them.

The exchange knows two orders, whose ids are the pair's and an ending. What is told of them here is told of the pair: a fill of either
is a fill of it, and the end of one that the other's fill caused is no news. An entry's list (OTOCO, or OTO with one exit) has the
exits' id, and the entry is an order under its own: what ends the entry before it is filled ends the list.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from agent.domain.errors import Denied, Reconcile, Reject, Retry, Usage
from agent.domain.ids import ClOrdId
from agent.domain.order_lists import LONE, as_one, exit_ids, leg_ids, list_of, pair_of
from agent.domain.order_state import TERMINAL, ExecType
from agent.domain.orders import VenueOrder
from agent.domain.reports import ExecutionReport, FillsNotTold, OrderSnapshot
from agent.venues import as_far_as_told
from agent.venues.binance_spot.lists import list_request, list_snapshot

if TYPE_CHECKING:
    from agent.venues.binance_spot.session import BinanceSpot


class Pairs:
    """Of one session. `known` are the pairs it has met, with their orders' ids; after a restart it meets them by asking. `entries`: of the
    lists it has made."""

    def __init__(self, venue: BinanceSpot) -> None:
        self._venue = venue
        self.known: dict[ClOrdId, tuple[ClOrdId, ...]] = {}
        self.entries: set[ClOrdId] = set()

    def request(self, order: VenueOrder) -> tuple[str, dict[str, str | int]]:
        """(endpoint, parameters) of a new list, which is watched from now on. Raises Usage as `list_request`."""
        found = list_of(order)
        path, params = list_request(found, self._venue.instrument(order.symbol))
        for name in found.cl_ord_ids:
            self._venue.reports.watch(order.symbol, name)
        exits = order.exits if order.then is None else order.then.exits
        assert exits is not None
        self.known[found.cl_list_id] = exit_ids(found.cl_list_id, exits)
        if order.then is not None:
            self.entries.add(order.cl_ord_id)
        return path, params

    async def placed(self, cl_ord_id: ClOrdId, symbol: str, answer: object) -> OrderSnapshot:
        """The pair, or the entry, whose list the exchange says it took. Raises Reconcile where that cannot be read."""
        list_snapshot(answer)
        ask = self._venue.order if cl_ord_id in self.entries else self.query
        try:
            found = await ask(cl_ord_id, symbol)
        except (Retry, Reject, Denied, Usage) as unread:  # whoever refuses the question, the pair stands
            raise Reconcile(
                "PAIR_UNREAD", f"{cl_ord_id} was taken: {unread.message}", "asked by its id"
            ) from None
        if found is None:
            raise Reconcile("PAIR_UNREAD", f"{cl_ord_id} was taken and is not shown yet", "asked by its id")
        return found

    async def query(self, cl_ord_id: ClOrdId, symbol: str) -> OrderSnapshot | None:
        """None where the exchange says that it has neither order. Raises FillsNotTold, of the pair as one."""
        if pair_of(leg_ids(cl_ord_id)[0]) is None:
            return None  # no id of ours, or that of one of the two
        told = self.known.get(cl_ord_id)
        for names in (told,) if told is not None else (leg_ids(cl_ord_id), (ClOrdId(f"{cl_ord_id}{LONE}"),)):
            legs = await asyncio.gather(*(as_far_as_told(self._venue.order(name, symbol)) for name in names))
            found = [leg for leg, _ in legs if leg is not None]
            if not found:
                continue
            if len(found) < len(legs):
                raise Retry(
                    "PAIR_HALF_SHOWN", f"{self._venue.name} shows one order of {cl_ord_id}", "asked again"
                )
            self.known[cl_ord_id] = tuple(names)
            pair = as_one(cl_ord_id, found)
            if not all(whole for _, whole in legs):
                raise FillsNotTold(self._venue.name, pair)
            return pair
        return None

    async def cancel(self, cl_ord_id: ClOrdId, symbol: str) -> OrderSnapshot:
        """Both, by one request; one that had ended is given as it ended. Raises Reject NO_SUCH_ORDER, or as it was refused where the pair
        still stands; Reconcile."""
        refused: Reject | None = None
        try:
            await self._venue.lists.cancel(cl_ord_id, symbol)
        except Reject as why:
            refused = why  # what there is of it is asked for below
        try:
            found = await self.query(cl_ord_id, symbol)
        except Retry as unread:
            raise Reconcile("PAIR_UNREAD", f"{cl_ord_id}: {unread.message}", "asked by its id") from None
        if found is None:
            raise Reject("NO_SUCH_ORDER", f"{self._venue.name} has no pair {cl_ord_id}")
        if refused is not None and found.status not in TERMINAL:
            raise refused
        return found

    def merged(self, orders: Sequence[OrderSnapshot]) -> tuple[OrderSnapshot, ...]:
        """Open orders with every pair of ours as one."""
        legs: dict[ClOrdId, list[OrderSnapshot]] = {}
        for order in orders:
            legs.setdefault(pair_of(order.cl_ord_id) or order.cl_ord_id, []).append(order)
        for name, mine in legs.items():
            if (first := mine[0].cl_ord_id) != name:
                self.known[name] = (first,) if first.endswith(LONE) else leg_ids(name)
        return tuple(
            as_one(name, mine) if mine[0].cl_ord_id != name else mine[0] for name, mine in legs.items()
        )

    def told(self, report: ExecutionReport) -> ExecutionReport | None:
        """A report of an order as one of its pair; None where it is no news of the pair: whether that ended is asked for by its id."""
        mine = pair_of(report.cl_ord_id)
        if mine is None:
            return report
        if report.exec_type not in (ExecType.NEW, ExecType.TRADE):
            return None
        return replace(report, cl_ord_id=mine)
