"""Stops and take-profits at Deribit: what the exchange keeps until its price is reached, and then an order of its own under the same label. Pure.

Source: the venue's published API documentation of trigger orders (`stop_limit`, `stop_market`, `take_limit`, `take_market`). The condition
and the order it becomes have numbers of their own; the order names the condition's (`trigger_order_id`). Here both are one order: waiting
it is new, and once it was triggered it is as the order that came of it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from decimal import Decimal
from enum import Enum
from typing import Any

from agent.domain.errors import Reconcile, Retry, Usage
from agent.domain.orders import OrdType, VenueOrder
from agent.market.reading import name as text_of
from agent.venues import Terms, check_grid, number
from agent.venues.deribit.codec import Market, new_order_params

KINDS = ("stop_limit", "stop_market", "take_limit", "take_market")


class Trigger(Enum):
    """Whose price it is that is reached."""

    LAST = "last_price"
    MARK = "mark_price"
    INDEX = "index_price"


def stop_params(
    order: VenueOrder,
    market: Market,
    trigger_px: Decimal,
    terms: Terms,
    valid_until_ms: int,
    *,
    gains: bool,
    by: Trigger,
) -> tuple[str, dict[str, str]]:
    """(method, parameters) of an order that waits until `by` is at `trigger_px`: a stop, or with `gains` a take-profit. It is a limit order
    where it has a price. Raises as `codec.new_order_params`, Usage OFF_GRID for the trigger, UNSUPPORTED_TERMS."""
    check_grid("trigger price", trigger_px, market.instrument.tick, market.instrument)
    if terms.post_only or not market.instrument.contract or market.legs or market.turned:
        raise Usage(
            "UNSUPPORTED_TERMS",
            "a conditional order takes, and is one of contracts that are no combo and no dollars' worth of a coin",
            "reduce_only alone goes with it",
        )
    method, params = new_order_params(order, market, terms, valid_until_ms)
    kind = ("take_" if gains else "stop_") + ("limit" if order.ord_type is OrdType.LIMIT else "market")
    return method, {**params, "type": kind, "trigger": by.value, "trigger_price": number(trigger_px)}


def waits(row: Mapping[str, Any]) -> bool:
    """Whether a row tells a condition, and not the order that came of one."""
    return row.get("order_type") in KINDS and not row.get("trigger_order_id")


def one_of(rows: Sequence[Mapping[str, Any]], venue: str, label: str) -> Mapping[str, Any] | None:
    """The row that tells how it stands with what was sent once under a label: the order, or what waits to become it.

    Raises Reconcile MORE_THAN_ONE_LIKE_IT, Retry TRIGGERED_NOT_TOLD where its order is not told yet.
    """
    conditions = {text_of(row["order_id"]): row for row in rows if waits(row)}
    orders = {text_of(row["order_id"]): row for row in rows if not waits(row)}
    strangers = [row for row in orders.values() if row.get("trigger_order_id", "") not in {"", *conditions}]
    alike = len(conditions) + len([row for row in orders.values() if not row.get("trigger_order_id")])
    if alike > 1 or len(orders) > 1 or (strangers and conditions):
        raise Reconcile(
            "MORE_THAN_ONE_LIKE_IT",
            f"{venue} has {max(alike, len(orders))} orders labelled {label}",
            "look at its open orders",
        )
    for order in orders.values():
        return order
    for condition in conditions.values():
        if condition["order_state"] == "triggered":
            raise Retry(
                "TRIGGERED_NOT_TOLD", f"{label} was triggered; its order is not told yet", "ask again"
            )
        return condition
    return None
