"""What a granted scope lets the agent do at this moment, and a market narrowed to it before anything is planned. Pure.

    narrowed(view, powers, groups)   the same market without what the agent's key could not trade, as a ScopedView
    refusals(part, power)            why the Gate would refuse a planned part, by name, before it is signed

The Gate decides again on chain; this is so that no plan is made, no gas spent and nothing signed for what it would refuse.
Units: `budget` 1e18 USD; `floor` and `usd` of one whole token, as `Gate.floorOf` answers for it, rounded up by the Gate; `_raw` base units.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields

from agent.app.overheads import through_the_gate
from agent.domain.instruments import Asset, AssetId, Place, place_of
from agent.domain.orders import Part
from agent.domain.risk import BreachReason
from agent.domain.units import qty_exact
from agent.execution.agent_batch import REACHED, AgentRoad
from agent.execution.settlement import token_of
from agent.market.view import MarketView, pool_place
from chains.types import Address
from keys.scope import USD, Scope

NO_SCOPE = "SCOPE_NONE"
CUTS = frozenset({"SCOPE_BUDGET", "SCOPE_ALLOWANCE"})
"""Limits that leave a chain in and only cut down what may be sold there."""


@dataclass(frozen=True, slots=True)
class Unit:
    """What one whole `token_in` must bring of `token_out` at least, and what it is worth."""

    floor: int
    usd: int


@dataclass(frozen=True, slots=True)
class Power:
    """A scope's state at one block. `units` lacks a pair whose prices the Gate does not believe now; `why_not` says why then.

    `left_s` is how long the power lasts without renewal.
    """

    chain: str
    road: AgentRoad
    scope: Scope
    budget: int
    allowances: Mapping[Address, int]
    units: Mapping[tuple[Address, Address], Unit]
    why_not: str
    left_s: int


@dataclass(frozen=True)
class ScopedView(MarketView):
    """`limits` is what was left out or cut down, and why; `powers` by chain."""

    limits: tuple[BreachReason, ...] = ()
    powers: Mapping[Place, Power] = field(default_factory=dict)


Found = Power | BreachReason


def narrowed(
    view: MarketView, found: Mapping[Place, Found], groups: tuple[Sequence[AssetId], Sequence[AssetId]]
) -> ScopedView:
    """`found` has every chain: its power, or why it has none. `groups`: the two assets to be traded, wherever they are held.

    Exchanges stay as they are: the agent's key trades there under the signer's own rules.
    """
    limits: list[BreachReason] = []
    powers: dict[Place, Power] = {}
    pools, inventory, gas = dict(view.pools), dict(view.inventory), dict(view.gas)
    for place, power in found.items():
        why = power if isinstance(power, BreachReason) else _no_pair(power, place, groups)
        if why is not None:
            limits.append(why)
            pools = {name: pool for name, pool in pools.items() if pool_place(name) != place}
            inventory |= {asset: 0 for asset in inventory if place_of(asset) == place}
            continue
        assert isinstance(power, Power)
        powers[place] = power
        pools = {
            name: pool
            for name, pool in pools.items()
            if pool_place(name) != place or _reached(pool, power.road)
        }
        if place in gas:
            gas[place] = through_the_gate(gas[place])
        for asset in (*groups[0], *groups[1]):
            if place_of(asset) == place and asset in inventory:
                most, why = _most(power, view.assets[asset])
                if most < inventory[asset]:
                    inventory[asset] = most
                    limits.append(why)
    plain = {f.name: getattr(view, f.name) for f in fields(MarketView)}
    plain |= {"pools": pools, "inventory": inventory, "gas": gas}
    return ScopedView(**plain, limits=tuple(limits), powers=powers)


def refusals(part: Part, power: Power, decimals: Mapping[AssetId, int]) -> tuple[BreachReason, ...]:
    """Every reason the Gate has to refuse a planned part, with its remedy; empty where it has none."""
    sold, bought = token_of(part.asset_in), token_of(part.asset_out)
    unit = power.units.get((sold, bought))
    if unit is None:
        return (no_price(power),)
    one = 10 ** decimals[part.asset_in]
    found = []
    usd, floor = -(-unit.usd * part.in_raw // one), -(-unit.floor * part.in_raw // one)
    if usd > power.budget:
        found.append(_budget(power, f"the trade is worth {_usd(usd)}"))
    if part.in_raw > power.allowances.get(sold, 0):
        found.append(_allowance(power, sold))
    if part.out_raw < floor:
        digits = decimals[part.asset_out]
        found.append(
            BreachReason(
                "SCOPE_FLOOR",
                f"{power.chain}: the plan gives {_qty(part.out_raw, digits)}, the Gate's two price sources demand "
                f"{_qty(floor, digits)} at least",
                "trade less at a time, wait for a better market, or let the owners sign it (`fairlead trade --by owners`)",
            )
        )
    return tuple(found)


def no_price(power: Power) -> BreachReason:
    return BreachReason(
        "SCOPE_PRICE",
        f"{power.chain}: the Gate believes no price of this pair now: {power.why_not or 'it answers none'}",
        "wait until its feeds are fresh and agree; `fairlead wallet scope` names them",
    )


def _no_pair(
    power: Power, place: Place, groups: tuple[Sequence[AssetId], Sequence[AssetId]]
) -> BreachReason | None:
    here = [[token_of(a) for a in group if place_of(a) == place] for group in groups]
    pairs = [(a, b) for a in here[0] for b in here[1] if frozenset((a, b)) in power.road.pairs]
    if not pairs:
        return BreachReason(
            "SCOPE_PAIR",
            f"{power.chain}: the agent's scope does not list this pair",
            "add it to [[scopes]] pairs and have the owners grant it, or let the owners sign",
        )
    if not any(pair in power.units for pair in pairs):
        return no_price(power)
    return None


def _reached(pool: object, road: AgentRoad) -> bool:
    return isinstance(pool, REACHED) and all(token_of(AssetId(a)) in road.tokens for a in pool.assets)


def _most(power: Power, asset: Asset) -> tuple[int, BreachReason]:
    """What of an asset may leave now: the budget at the Gate's own price, which may move by the feed's error before the next block."""
    token = token_of(asset.id)
    prices = [unit.usd for (sold, _), unit in power.units.items() if sold == token]
    allowed = power.allowances.get(token, 0)
    if not prices or not max(prices):
        return 0, no_price(power)
    rule = power.scope.token(token)
    budget = power.budget * (10_000 - rule.feed_error_bps) // 10_000
    by_budget = budget * 10**asset.decimals // max(prices)
    if allowed < by_budget:
        return allowed, _allowance(power, token)
    lets = f"{_qty(by_budget, asset.decimals)} {rule.symbol} may leave"
    return by_budget, _budget(power, lets)


def _budget(power: Power, what: str) -> BreachReason:
    return BreachReason(
        "SCOPE_BUDGET",
        f"{power.chain}: {what}, {_usd(power.budget)} of the agent's budget are left",
        "it refills steadily within a day: trade less, later, or let the owners sign it",
    )


def _allowance(power: Power, token: Address) -> BreachReason:
    rule = power.scope.token(token)
    left = _qty(power.allowances.get(token, 0), rule.decimals)
    return BreachReason(
        "SCOPE_ALLOWANCE",
        f"{power.chain}: the owners still allow the Gate {left} {rule.symbol}",
        "have them allow more (`fairlead wallet propose`), or trade less",
    )


def _qty(raw: int, decimals: int) -> str:
    return f"{qty_exact(raw, decimals).normalize():f}"


def _usd(raw: int) -> str:
    return f"{raw // USD:,}.{raw % USD * 100 // USD:02} USD"
