"""A venue, chain or contract that is new starts with a small cap, which orders that settled there raise. Pure.

The cap is on what may be open there at once. A step up takes so many settled orders, and that together they were worth at least the
cap they stood under: many crumbs prove little. It depends on how much settled and on nothing else, so no order of events raises
it further than another, and a fill that a reorganisation took away lowers it again.
"""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal, localcontext

from agent.domain.events import Planned
from agent.domain.instruments import AssetId, chain_of
from agent.domain.orders import Part, Side
from agent.domain.risk import BreachReason, Ramp, Standing
from agent.domain.units import WIDE, qty_exact
from chains.types import Protection


def stage(ramp: Ramp, seen: Standing) -> tuple[int, Decimal | None]:
    """(steps taken, the cap in USD); no cap once it would be `most_usd` or more."""
    steps, cap = 0, ramp.start_usd
    with localcontext(WIDE):
        while cap < ramp.most_usd:
            if seen.settled < ramp.settled * (steps + 1) or seen.settled_usd < cap:
                return steps, cap
            steps, cap = steps + 1, cap * ramp.factor
    return steps, None


def raised_by(ramp: Ramp, seen: Standing) -> str:
    """In words: what takes the cap a step up."""
    steps, cap = stage(ramp, seen)
    if cap is None:
        return ""
    orders = max(ramp.settled * (steps + 1) - seen.settled, 0)
    worth = max(cap - seen.settled_usd, Decimal(0))
    wanted = [f"{orders} more settled order{'s' if orders != 1 else ''}"] if orders else []
    wanted += [f"{worth:.2f} USD more of them"] if worth > 0 else []
    after = cap * ramp.factor
    then = f"{after} USD" if after < ramp.most_usd else "what the limits allow"
    return f"{' and '.join(wanted)} raise it to {then}"


def touched(planned: Planned, part: Part) -> dict[str, Decimal]:
    """The share of a part's worth that goes through its place (all of it) and through each pool of a chain, by their ids.

    A pool between two others sees all of it: what it holds for a moment is in neither of the part's assets. Where others settle the
    order they choose the pools, so only the place counts.
    """
    found = {str(part.place): Decimal(1)}
    if chain_of(part.place) is None or planned.child.protection is Protection.INTENT:
        return found
    with localcontext(WIDE):
        for index in part.legs:
            leg = planned.route.legs[index]
            share = Decimal(1)
            if leg.asset_in == part.asset_in and part.in_raw:
                share = Decimal(leg.in_raw) / part.in_raw
            elif leg.asset_out == part.asset_out and part.out_raw:
                share = Decimal(leg.out_raw) / part.out_raw
            found[leg.id] = min(found.get(leg.id, Decimal(0)) + share, Decimal(1))
    return found


def worth_usd(
    planned: Planned, part: Part, notional_usd: Decimal, decimals: Mapping[AssetId, int]
) -> Decimal:
    """What a part is worth of its whole order, by the base quantity it is to give or to bring."""
    selling = planned.child.side is Side.SELL
    asset, raw = (part.asset_in, part.in_raw) if selling else (part.asset_out, part.out_raw)
    with localcontext(WIDE):
        return notional_usd * qty_exact(raw, decimals[asset]) / planned.child.qty


def asked_usd(planned: Planned, notional_usd: Decimal, decimals: Mapping[AssetId, int]) -> dict[str, Decimal]:
    """What a plan would have open at each place and in each pool."""
    found: dict[str, Decimal] = {}
    with localcontext(WIDE):
        for part in planned.parts:
            worth = worth_usd(planned, part, notional_usd, decimals)
            for name, share in touched(planned, part).items():
                found[name] = found.get(name, Decimal(0)) + worth * share
    return found


def breaches(
    ramp: Ramp, asked: Mapping[str, Decimal], standing: Mapping[str, Standing]
) -> list[BreachReason]:
    """One for each place and pool where more would be open than its cap allows."""
    found = []
    for name, usd in asked.items():
        if name in ramp.known:
            continue
        seen = standing.get(name, Standing())
        _, cap = stage(ramp, seen)
        with localcontext(WIDE):
            if cap is None or seen.open_usd + usd <= cap:
                continue
        opened = f", {seen.open_usd:.2f} are" if seen.open_usd else ""
        found.append(
            BreachReason(
                "RAMP_CAP",
                f"{name} is new here: {cap} USD may be open there at once{opened}, and this order is {usd:.2f} of it",
                f"trade less there; {raised_by(ramp, seen)}; [ramp] in the settings says otherwise",
            )
        )
    return found
