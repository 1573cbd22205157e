"""Linked orders at Deribit: a pair of exits (OCO), or an entry with its exits behind it (OTOCO, OTO), told of under our own ids.

Source: the venue's published API documentation of private/buy and its article on linked orders. Each leg has a label of its own, derived
from the pair's id, so that after a crash it is asked for by name. Until the entry is filled whole (`complete_fill`) what waits behind it has
a number of its own (`OTO-…`), and the order that comes of it another under the same label. A list goes over HTTP alone: over a logged-on
line it would end with the line, and exits are to stand whatever becomes of this process.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from agent.domain.errors import Denied, Reconcile, Reject, Retry, Usage
from agent.domain.ids import ClOrdId
from agent.domain.order_lists import LONE, Exit, OrderList, as_one, exit_ids, leg_ids, list_of, pair_of
from agent.domain.order_state import TERMINAL, OrdStatus
from agent.domain.orders import OrdType, Side, TimeInForce, VenueOrder
from agent.domain.reports import FillsNotTold, OrderSnapshot
from agent.venues import Terms, as_far_as_told, check_grid, need_all_fills, number, to_cancel, understood
from agent.venues.deribit import codec, stops

if TYPE_CHECKING:
    from agent.venues.deribit.session import Deribit

WAITS = "OTO-"
"""In the number of what stands behind an entry that is not filled."""
ROUNDS = 3
Row = Mapping[str, Any]


# requests


def wired(market: codec.Market) -> bool:
    """Whether lists go in its book: linear futures, no spot pair, option, inverse contract or combo."""
    return market.instrument.contract == "linear" and not market.legs and not market.option


def list_params(found: OrderList, market: codec.Market, valid_until_ms: int) -> tuple[str, dict[str, str]]:
    """(method, parameters). Exits make a position smaller and never open one. Raises as `codec.new_order_params`, Usage LIST_INCOMPLETE,
    UNSUPPORTED_TERMS for what is no linear future."""
    if not wired(market):
        raise Usage(
            "UNSUPPORTED_TERMS",
            f"order lists are wired for linear futures, which {found.symbol} is none of",
            "--at here, and its exits are watched from here",
        )
    exits = [one for one in (found.above, found.below) if one is not None]
    if found.entry is not None and exits:
        entry = found.entry
        method, params = codec.new_order_params(
            entry, market, Terms(reduce_only=entry.reduce_only), valid_until_ms
        )
        both = len(exits) == 2
        kind = "one_triggers_one_cancels_other" if both else "one_triggers_other"
        condition, rest = "complete_fill", exits
    elif found.entry is None and len(exits) == 2 and any(one.stop_px is None for one in exits):
        profit = next(one for one in exits if one.stop_px is None)
        order = VenueOrder(profit.cl_ord_id, found.symbol, found.side, OrdType.LIMIT, TimeInForce.GTC, found.qty, profit.px)  # fmt: skip
        method, params = codec.new_order_params(order, market, Terms(reduce_only=True), valid_until_ms)
        kind, condition = "one_cancels_other", "first_hit"
        rest = [one for one in exits if one is not profit]
    else:
        raise Usage("LIST_INCOMPLETE", "a list is a stop and a take-profit, or an entry with what follows it", "give both exits")  # fmt: skip
    config = ",".join(_exit(one, found, market) for one in rest)
    linked = {"linked_order_type": kind, "trigger_fill_condition": condition, "otoco_config": f"[{config}]"}
    return method, params | linked


def _exit(one: Exit, found: OrderList, market: codec.Market) -> str:
    """As JSON whose numbers are plain digits."""
    if one.px is None:
        raise Usage("MISSING_PRICE", f"{one.cl_ord_id} has no limit", "give --limit or --max-slippage-bps")
    order = VenueOrder(one.cl_ord_id, found.symbol, found.side, OrdType.LIMIT, TimeInForce.GTC, found.qty, one.px)  # fmt: skip
    codec.check(order, market)
    told: dict[str, str | bool | Decimal] = {
        "direction": "buy" if found.side is Side.BUY else "sell",
        "type": "limit" if one.stop_px is None else "stop_limit",
        "amount": found.qty,
        "price": one.px,
        "label": str(one.cl_ord_id),
        "reduce_only": True,
        "time_in_force": codec.TIF[TimeInForce.GTC],
    }
    if one.stop_px is not None:
        check_grid("trigger price", one.stop_px, market.instrument.tick, market.instrument)
        told |= {"trigger": stops.Trigger.LAST.value, "trigger_price": one.stop_px}
    return "{" + ",".join(f"{json.dumps(name)}:{_text(value)}" for name, value in told.items()) + "}"


def _text(value: str | bool | Decimal) -> str:
    return number(value) if isinstance(value, Decimal) else json.dumps(value)


# answers


def waiting(row: Row) -> bool:
    """Whether a row tells what stands behind an entry, and not the order that came of it."""
    return WAITS in str(row.get("order_id", ""))


def leg_row(rows: Sequence[Row], venue: str, label: str) -> Row | None:
    """The row that tells how it stands with one leg. Raises as `stops.one_of`; Retry TRIGGERED_NOT_TOLD also where what waited is over and
    the exchange gives no reason: an order may have come of it that is not told of yet."""
    shells = [row for row in rows if waiting(row)]
    placed = [
        {k: v for k, v in row.items() if k != "trigger_order_id" or WAITS not in str(v)}
        for row in rows
        if not waiting(row)
    ]
    if placed:
        return stops.one_of(placed, venue, label)
    if len(shells) > 1:
        raise Reconcile("MORE_THAN_ONE_LIKE_IT", f"{venue} has {len(shells)} orders labelled {label}", "look at its open orders")  # fmt: skip
    for row in shells:
        if row["order_state"] == "untriggered" or row.get("cancel_reason"):
            return row
        raise Retry("TRIGGERED_NOT_TOLD", f"{label} was triggered; its order is not told yet", "ask again")
    return None


class Pairs:
    """Of one session. `known` are the pairs it has met, with their legs' ids; after a restart it meets them by asking. `entries`: the ids of
    orders that lead a list."""

    def __init__(self, venue: Deribit, markets: Mapping[str, codec.Market]) -> None:
        self._venue, self._markets = venue, markets
        self.known: dict[ClOrdId, tuple[ClOrdId, ...]] = {}
        self.entries: set[ClOrdId] = set()

    def hold_in(self, symbol: str) -> bool:
        """See `agent.ports.HoldsPairs`."""
        return symbol in self._markets and wired(self._markets[symbol])

    def request(
        self, order: VenueOrder, market: codec.Market, valid_until_ms: int
    ) -> tuple[str, dict[str, str]]:
        """(method, parameters) of a new list, whose exits are watched from now on. Raises Usage as `list_params`."""
        found = list_of(order)
        asked = list_params(found, market, valid_until_ms)
        exits = order.exits if order.then is None else order.then.exits
        assert exits is not None
        self.known[found.cl_list_id] = exit_ids(found.cl_list_id, exits)
        if order.then is not None:
            self.entries.add(order.cl_ord_id)
            self._venue.reports.watch(order.symbol, found.cl_list_id)
        return asked

    def leads(self, cl_ord_id: ClOrdId) -> bool:
        """Whether what is sent under this id is a list."""
        return cl_ord_id in self.known or cl_ord_id in self.entries

    async def placed(self, cl_ord_id: ClOrdId, symbol: str) -> OrderSnapshot:
        """The pair that the exchange says it took. Raises Reconcile where that cannot be read."""
        try:
            found = await self.query(cl_ord_id, symbol)
            why = "it is not shown yet"
        except (Retry, Reject, Denied, Usage) as unread:  # whoever refuses the question, the pair stands
            found, why = None, unread.message
        if found is None:
            raise Reconcile("PAIR_UNREAD", f"{cl_ord_id} was taken: {why}", "asked by its id")
        return found

    async def query(self, cl_ord_id: ClOrdId, symbol: str) -> OrderSnapshot | None:
        """None where the exchange has neither leg. Raises Retry PAIR_HALF_SHOWN, FillsNotTold of the pair as one; of one that is over the exchange soon
        forgets a leg that did nothing, so that then the other tells of both."""
        return await self._told(cl_ord_id, await self._rows(cl_ord_id, symbol))

    async def _told(self, cl_ord_id: ClOrdId, rows: Sequence[Row | None]) -> OrderSnapshot | None:
        orders = [self._venue.reader.order(row) for row in rows if row is not None]
        asked = [await as_far_as_told(self._venue.with_fills(order)) for order in orders]
        legs = [leg for leg, _ in asked if leg is not None]
        if not legs:
            return None
        if len(legs) < len(rows) and any(one.status not in TERMINAL for one in legs):
            raise Retry(
                "PAIR_HALF_SHOWN", f"{self._venue.name} shows one order of {cl_ord_id}", "asked again"
            )
        pair = as_one(cl_ord_id, legs)
        if not all(whole for _, whole in asked):
            raise FillsNotTold(self._venue.name, pair)
        return pair

    async def cancel(self, cl_ord_id: ClOrdId, symbol: str) -> OrderSnapshot:
        """Both, and the entry they wait for; what had ended is given as it ended. Raises Reject NO_SUCH_ORDER, Reconcile."""
        refused: Reject | None = None
        before: OrderSnapshot | None = None
        for _ in range(ROUNDS):
            try:
                rows = await self._rows(cl_ord_id, symbol)
                found = await to_cancel(self._told(cl_ord_id, rows))
            except Retry as unread:
                raise Reconcile("PAIR_UNREAD", f"{cl_ord_id}: {unread.message}", "asked by its id") from None
            if found is None and before is None:
                raise Reject("NO_SUCH_ORDER", f"{self._venue.name} has no pair {cl_ord_id}")
            if found is None and before is not None and refused is None:
                need_all_fills(self._venue.name, replace(before, status=OrdStatus.CANCELED), before.fills)
                return replace(before, status=OrdStatus.CANCELED)  # what waited is told of no more
            if found is None:
                continue
            if found.status in TERMINAL:
                return found
            before = found
            with understood("an order of a pair"):
                there = [
                    row for row in rows if row is not None and row["order_state"] in ("open", "untriggered")
                ]
                numbers = [
                    str(waiting(row) and row.get("primary_order_id") or row["order_id"]) for row in there
                ]
            for one in dict.fromkeys(numbers):
                try:
                    await self._venue.end(one)
                except Reject as why:  # it ended meanwhile, as the next round tells, or it stands
                    refused = why
        if refused is not None:
            raise refused
        raise Reconcile("PAIR_STANDS", f"{cl_ord_id} was cancelled and is still shown", "asked by its id")

    def merged(self, rows: Sequence[Row]) -> tuple[OrderSnapshot, ...]:
        """Open orders with every pair of ours as one."""
        told: dict[ClOrdId, list[OrderSnapshot]] = {}
        labels: dict[ClOrdId, list[ClOrdId]] = {}
        for row in rows:
            order = self._venue.reader.order(row)
            told.setdefault(order.cl_ord_id, []).append(order)
            labels.setdefault(order.cl_ord_id, []).append(ClOrdId(str(row.get("label", ""))))
        found = list[OrderSnapshot]()
        for name, mine in told.items():
            if pair_of(labels[name][0]) is None:
                found += mine
                continue
            self.known[name] = (labels[name][0],) if labels[name][0].endswith(LONE) else leg_ids(name)
            found.append(as_one(name, mine))
        return tuple(found)

    async def _rows(self, cl_ord_id: ClOrdId, symbol: str) -> list[Row | None]:
        """One for each leg; empty where the exchange knows none of this pair."""
        if pair_of(leg_ids(cl_ord_id)[0]) is None:
            return []  # no id of ours, or that of a leg
        told = self.known.get(cl_ord_id)
        ways = (told,) if told is not None else (leg_ids(cl_ord_id), (ClOrdId(f"{cl_ord_id}{LONE}"),))
        for ask in (self._leg, self._open_leg):
            for names in ways:
                rows = list(await asyncio.gather(*(ask(name, symbol) for name in names)))
                if any(row is not None for row in rows):
                    self.known[cl_ord_id] = tuple(names)
                    return rows
        return []

    async def _open_leg(self, name: ClOrdId, symbol: str) -> Row | None:
        """Among what is open: that a question by label is told of what waits behind an entry is not documented."""
        rows = await self._venue.private("get_open_orders", {})
        with understood("get_open_orders"):
            mine = [row for row in rows if (row.get("label"), row["instrument_name"]) == (name, symbol)]
            return leg_row(mine, self._venue.name, name)

    async def _leg(self, name: ClOrdId, symbol: str) -> Row | None:
        found = await self._venue.labelled(name, symbol)
        with understood("get_order_state_by_label"):
            return leg_row(found, self._venue.name, name)
