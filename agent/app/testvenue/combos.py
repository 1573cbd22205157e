"""Combos of the engine of contracts: instruments of several legs that trade at one price in a book of their own, which may be zero or less.

Nobody holds a combo: a trade of one is a trade of each of its legs, at prices that add up to the combo's. Every leg trades at its mark but
one, whose price is implied by the others; a combo's tick is the finest of its legs', so that what is implied stays on a tick. Margin of an
order is that of its legs, side by side. A trade of a leg so made moves no book of the leg's, and no last price.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from decimal import Decimal

from agent.app.testvenue.book import HOUSE, Order
from agent.app.testvenue.futures import FuturesEngine
from agent.app.testvenue.liquidity import Level
from agent.app.testvenue.matching import Fill, NewOrder, Outcome
from agent.app.testvenue.spec import ZERO, SymbolSpec, VenueError


@dataclass(frozen=True, slots=True)
class ComboSpec(SymbolSpec):
    """`legs`: (symbol, whole ratio), below zero where a purchase of the combo sells it."""

    legs: tuple[tuple[str, int], ...] = ()


@dataclass(frozen=True, slots=True)
class LegTrade:
    symbol: str
    ratio: int
    px: Decimal
    trade_id: int


def combo_spec(base: str, legs: dict[str, int], specs: list[SymbolSpec]) -> ComboSpec:
    """A combo of these symbols; tick and lot are the finest of its legs', `mid` what they stand at. Raises ValueError for legs that are none."""
    known = {spec.symbol: spec for spec in specs}
    strange = [leg for leg in legs if leg not in known]
    if strange or len(legs) < 2 or not all(legs.values()):
        raise ValueError(f"{base}: its legs are two symbols or more of {', '.join(known)}, each with a ratio that is not 0")  # fmt: skip
    there = [known[leg] for leg in legs]
    if len({spec.quote for spec in there}) != 1 or not any(abs(ratio) == 1 for ratio in legs.values()):
        raise ValueError(f"{base}: its legs have one quote, and one of them a ratio of 1 or -1")
    mid = sum((known[leg].mid * ratio for leg, ratio in legs.items()), ZERO)
    tick, lot = min(spec.tick for spec in there), min(spec.lot for spec in there)
    return ComboSpec(base, there[0].quote, tick, lot, mid=mid, signed=True, legs=tuple(legs.items()))


def combo_levels(spec: ComboSpec, qty: Decimal = Decimal(5), per_side: int = 10) -> list[Level]:
    """(side, price, quantity): every ten ticks around where its legs stand, so many of each."""
    step = spec.tick * 10
    return [
        (side, spec.mid + sign * step * number, qty)
        for side, sign in (("BUY", -1), ("SELL", 1))
        for number in range(1, per_side + 1)
    ]


class ComboEngine(FuturesEngine):
    """Contracts, and combos of them where `specs` list any."""

    _maker: Order | None = None
    _at_ms = 0
    _legs: tuple[LegTrade, ...] = ()

    def legs_of(self, fill: Fill) -> list[Fill]:
        """What a fill of a combo did in its legs; nothing for any other."""
        mine = (f for f in self.fills if f.combo_trade_id == fill.trade_id)
        return [f for f in mine if (f.order_id, f.account) == (fill.order_id, fill.account)]

    def mark(self, symbol: str) -> Decimal:
        spec = self.specs[symbol]
        if not isinstance(spec, ComboSpec):
            return super().mark(symbol)
        return sum((super(ComboEngine, self).mark(leg) * ratio for leg, ratio in spec.legs), ZERO)

    def notional(self, symbol: str, qty: Decimal, px: Decimal | None) -> Decimal:
        spec = self.specs[symbol]
        if not isinstance(spec, ComboSpec):
            return super().notional(symbol, qty, px)
        return sum((qty * abs(ratio) * self.mark(leg) for leg, ratio in spec.legs), ZERO)

    def check(self, request: NewOrder) -> None:
        spec = self.specs[request.symbol]
        if isinstance(spec, ComboSpec) and request.px is not None:
            if any(leg.px <= 0 for leg in self._priced(spec, request.px)):
                raise VenueError(-1013, "Filter failure: PRICE_FILTER")
        super().check(request)

    def _priced(self, spec: ComboSpec, px: Decimal) -> tuple[LegTrade, ...]:
        """Each leg at its mark, and the last of a single unit at what is left of the combo's price."""
        rest = next(leg for leg, ratio in reversed(spec.legs) if abs(ratio) == 1)
        others = sum((self.mark(leg) * ratio for leg, ratio in spec.legs if leg != rest), ZERO)
        return tuple(
            LegTrade(
                leg, ratio, (px - others) * ratio if leg == rest else self.mark(leg), self._next_trade + n
            )
            for n, (leg, ratio) in enumerate(spec.legs, 1)
        )

    def _trade(self, taker: Order, maker: Order, qty: Decimal, now_ms: int, outcome: Outcome) -> None:
        spec = self.specs[taker.symbol]
        self._legs = self._priced(spec, maker.px) if isinstance(spec, ComboSpec) else ()
        self._maker, self._at_ms = maker, now_ms
        super()._trade(taker, maker, qty, now_ms, outcome)
        self._next_trade += len(self._legs)

    def _pay(self, order: Order, qty: Decimal, px: Decimal, rate: Decimal) -> tuple[Decimal, str]:
        spec = self.specs[order.symbol]
        if not isinstance(spec, ComboSpec):
            return super()._pay(order, qty, px, rate)
        total = ZERO
        for leg in self._legs:
            buys = (leg.ratio > 0) == (order.side == "BUY")
            each, many = (
                replace(order, symbol=leg.symbol, side="BUY" if buys else "SELL"),
                qty * abs(leg.ratio),
            )
            commission, asset = super()._pay(each, many, leg.px, rate)
            total += commission
            if order.account != HOUSE:
                self.fills.append(
                    Fill(
                        leg.trade_id,
                        order.order_id,
                        order.account,
                        leg.symbol,
                        leg.px,
                        many,
                        commission,
                        asset,
                        buys,
                        order is self._maker,
                        self._at_ms,
                        order.symbol,
                        self._legs[0].trade_id - 1,
                    )
                )
        return total, spec.quote
