"""A route's `arbitrage` judged: its circles carried out again one after the other, on what each left of the pools. That there are no more is not judged."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from agent.amm import Pool, Reverted, swap_exact_in
from agent.domain.instruments import AssetId, place_of
from agent.market.view import MarketView
from agent.routing.certificate.units import Order, whole_number
from agent.routing.certificate.worth import worth_down

_MOST, _LEGS = 256, 16
_KEYS = {"value_raw", "pools", "complete", "cycles"}
_CYCLE = {"asset", "gain_raw", "value_raw", "legs"}
_LEG = {"id", "in", "out", "in_raw", "out_raw"}


class _Wrong(Exception):
    """What is told of a circle cannot be."""


def arbitrage_why(told: Any, order: Order) -> list[str]:
    """Every figure that is not as told, in words; none where all are."""
    if not isinstance(told, dict) or told.keys() != _KEYS or not isinstance(told["cycles"], list):
        return ["arbitrage: is not value_raw, pools, complete and cycles"]
    if len(told["cycles"]) > _MOST or type(told["complete"]) is not bool:
        return [f"arbitrage: more than {_MOST} cycles, or complete is neither true nor false"]
    judged = _Judged(order)
    try:
        for k, cycle in enumerate(told["cycles"]):
            judged.cycle(f"arbitrage.cycles[{k}]", cycle)
    except _Wrong as wrong:
        return [*judged.why, str(wrong)]
    judged.compare("arbitrage.value_raw", told["value_raw"], str(judged.total))
    judged.compare("arbitrage.pools", told["pools"], len(judged.states))
    return judged.why


class _Judged:
    def __init__(self, order: Order) -> None:
        self.order, self.view = order, order.view
        self.why: list[str] = []
        self.states: dict[str, Pool] = {}
        self.total = 0

    def compare(self, name: str, told: Any, found: Any) -> None:
        if told != found or type(told) is not type(found):
            self.why.append(f"{name}: the route says {str(told)[:80]}, it is {str(found)[:80]}")

    def cycle(self, at: str, told: Any) -> None:
        if (
            not isinstance(told, dict)
            or told.keys() != _CYCLE
            or not isinstance(told["legs"], list)
            or not told["legs"]
        ):
            raise _Wrong(f"{at}: is not asset, gain_raw, value_raw and legs")
        if len(told["legs"]) > _LEGS:
            raise _Wrong(f"{at}: more than {_LEGS} legs")
        first, asset, held = 0, told["asset"], 0
        standing = asset
        for k, leg in enumerate(told["legs"]):
            where = f"{at}.legs[{k}]"
            if (
                not isinstance(leg, dict)
                or leg.keys() != _LEG
                or not all(isinstance(v, str) for v in leg.values())
            ):
                raise _Wrong(f"{where}: not a leg")
            amount = whole_number(f"{where}.in_raw", leg["in_raw"])
            if leg["in"] != standing or (k and amount != held) or amount <= 0:
                raise _Wrong(f"{where}: does not go on with what the leg before gave")
            first = first or amount
            held = self._swapped(where, leg, amount)
            self.compare(f"{where}.out_raw", leg["out_raw"], str(held))
            standing = leg["out"]
        if standing != asset:
            raise _Wrong(f"{at}: ends in {str(standing)[:80]}, not where it began")
        gain = held - first
        if gain <= 0:
            self.why.append(f"{at}: gives {held} for {first}")
        self.compare(f"{at}.gain_raw", told["gain_raw"], str(gain))
        worth = worth_down(self.view, self.order.buy, self.order.native_px, asset, gain, self.states)
        self.compare(f"{at}.value_raw", told["value_raw"], None if worth is None else str(worth))
        self.total += worth or 0

    def _swapped(self, at: str, leg: Mapping[str, str], amount: int) -> int:
        view: MarketView = self.view
        pool = self.states.get(leg["id"]) or view.pools.get(leg["id"])
        given, got = leg["in"], leg["out"]
        if pool is None or given not in view.assets or got not in view.assets:
            raise _Wrong(f"{at}: names a pool or an asset that is not in this market")
        inside = [a if a in pool.assets else f"{place_of(AssetId(a))}/slip44:60" for a in (given, got)]
        if given == got or not set(inside) <= set(pool.assets):
            raise _Wrong(f"{at}: {leg['id']} does not hold these two")
        swapped = swap_exact_in(pool, inside[0], inside[1], amount)
        if isinstance(swapped, Reverted) or not swapped.complete:
            raise _Wrong(f"{at}: {leg['id']} does not take {amount}")
        self.states[leg["id"]] = swapped.after
        return swapped.amount_out


__all__ = ["arbitrage_why"]
