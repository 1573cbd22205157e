"""What a shadow decided beside what the market then gave: one line an order it would have sent, and the sum of them. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from decimal import Decimal, localcontext
from statistics import median
from typing import Any

from agent.domain.events import Breach, PartFailed, Shadowed, ShadowSeen, Sliced
from agent.domain.orders import ChildOrder, Side
from agent.domain.units import WIDE, bps_between


@dataclass
class Compared:
    """Prices are quote per base; basis points above zero are worse for us than the plan."""

    child: ChildOrder
    shadowed: Shadowed
    seen: list[ShadowSeen] = field(default_factory=list)

    @property
    def first(self) -> ShadowSeen | None:
        return next((one for one in self.seen if one.decides), None)

    @property
    def later(self) -> list[ShadowSeen]:
        return [one for one in self.seen if not one.decides]

    def worse_bps(self, px: Decimal | None) -> Decimal | None:
        """How much worse a price is than the plan's."""
        if px is None or not self.shadowed.px:
            return None
        with localcontext(WIDE):
            return bps_between(px, self.shadowed.px) * (-1 if self.child.side is Side.SELL else 1)

    @property
    def outcome(self) -> str:
        """FILLED, PARTLY, NOT_FILLED, or OPEN where the shadow ended before it looked."""
        if self.first is None:
            return "OPEN"
        if self.first.fill is None:
            return "NOT_FILLED"
        return "PARTLY" if self.first.told else "FILLED"

    def json(self) -> dict[str, Any]:
        first = self.first
        return {
            "cl_ord_id": self.shadowed.part.cl_ord_id,
            "parent": self.child.parent,
            "at_ns": str(self.shadowed.at_ns),
            "place": self.shadowed.part.place,
            "side": self.child.side.value.lower(),
            "base": self.child.base,
            "quote": self.child.quote,
            "qty": f"{self.child.qty:f}",
            "planned_px": text(self.shadowed.px),
            "limit_px": text(self.shadowed.order.px) if self.shadowed.order is not None else None,
            "floor_raw": str(self.shadowed.floor_raw),
            "outcome": self.outcome,
            "why": first.told if first is not None else "",
            "px": text(first.px) if first is not None else None,
            "slippage_bps": text(self.worse_bps(first.px)) if first is not None else None,
            "looks": [
                {
                    "after_s": f"{one.after_ns / 1e9:.3f}",
                    "px": text(one.px),
                    "slippage_bps": text(self.worse_bps(one.px)),
                    "told": one.told,
                }
                for one in self.seen
            ],
        }


@dataclass
class Comparison:
    """`denied` are slices our own rules refused, with the rules; `failed` parts that could not be made or rehearsed, with the codes."""

    orders: list[Compared]
    denied: dict[str, int]
    failed: dict[str, int]

    def count(self, outcome: str) -> int:
        return sum(one.outcome == outcome for one in self.orders)

    def slippage(self) -> list[Decimal]:
        """Of what would have been filled, in basis points."""
        found = (one.worse_bps(one.first.px) for one in self.orders if one.first and one.first.fill)
        return sorted(bps for bps in found if bps is not None)

    def json(self) -> dict[str, Any]:
        bps = self.slippage()
        return {
            "orders": [one.json() for one in self.orders],
            "would_have_sent": len(self.orders),
            "filled": self.count("FILLED"),
            "partly": self.count("PARTLY"),
            "not_filled": self.count("NOT_FILLED"),
            "open": self.count("OPEN"),
            "denied": self.denied,
            "failed": self.failed,
            "slippage_bps": {"median": text(middle(bps)), "worst": text(bps[-1] if bps else None)},
        }


def compared(events: Iterable[object]) -> Comparison:
    """Of a shadow's own journal, in its order."""
    children: dict[str, ChildOrder] = {}
    orders: dict[str, Compared] = {}
    denied: dict[str, int] = {}
    failed: dict[str, int] = {}
    for event in events:
        match event:
            case Sliced():
                children[event.child.cl_ord_id] = event.child
            case Shadowed():
                orders[event.part.cl_ord_id] = Compared(children[event.part.child], event)
            case ShadowSeen() if event.cl_ord_id in orders:
                orders[event.cl_ord_id].seen.append(event)
            case Breach():
                for reason in event.reasons:
                    denied[reason.rule] = denied.get(reason.rule, 0) + 1
            case PartFailed() if event.part.cl_ord_id not in orders:
                failed[event.code] = failed.get(event.code, 0) + 1
    return Comparison(list(orders.values()), denied, failed)


def middle(values: Sequence[Decimal]) -> Decimal | None:
    return Decimal(median(values)) if values else None


def text(value: Decimal | None) -> str | None:
    return None if value is None else f"{value:f}"
