"""A split made real: every leg simulated exactly, in order, on the state the earlier legs left; books on lot and minimum.

Paths that share a pool and a direction are one leg; an asset reached by several legs is passed on in the proportions the
search planned, the last onward leg taking what rounding left. What comes out of the last leg is the plan's output.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal, localcontext
from typing import TypeAlias

from agent.amm import Pool, Reverted
from agent.domain.instruments import AssetId, Place, place_of
from agent.domain.routes import Leg
from agent.domain.units import WIDE
from agent.market.book import Book, BookFill, buy_base, sell_base
from agent.market.view import MarketView
from agent.routing.graph import Hop, swap
from agent.routing.problem import Problem
from agent.routing.search import Split, order_of


@dataclass(frozen=True, slots=True)
class Plan:
    """Exact: `amount` units of the sold asset in, `out` and `net` units of the bought asset; `gas` by place, in gas units.

    `overhead_raw` is what the wallet's transactions cost besides, in units of the bought asset: plans are ranked by `worth`.
    """

    legs: tuple[Leg, ...]
    amount: int
    out: int
    gas_raw: int
    gas: tuple[tuple[Place, int], ...]
    overhead_raw: int = 0

    @property
    def net(self) -> int:
        return self.out - self.gas_raw

    @property
    def worth(self) -> int:
        return self.net - self.overhead_raw


def fill_book(view: MarketView, book: Book, asset_in: AssetId, amount: int) -> BookFill | None:
    base, quote = view.assets[book.base].decimals, view.assets[book.quote].decimals
    return (sell_base if book.base == asset_in else buy_base)(book, amount, base, quote)


def pool_leg(hop: Hop, pool: Pool, amount: int) -> tuple[Leg, Pool] | None:
    """One pool leg, simulated; None where the pool reverts or cannot take it all."""
    swapped = swap(pool, hop.asset_in, hop.asset_out, amount)
    if isinstance(swapped, Reverted) or not swapped.complete or swapped.amount_out <= 0:
        return None
    leg = Leg(
        hop.id, place_of(hop.asset_in), hop.asset_in, hop.asset_out, amount, swapped.amount_out, swapped.gas,
        swapped.fee, AssetId(swapped.fee_asset), pool.kind, swapped.ticks_crossed,
    )  # fmt: skip
    return leg, swapped.after


def gas_raw_up(view: MarketView, gas: Mapping[Place, int], buy: AssetId, native_px: str) -> int:
    """ceil(sum over places of gas * price in wei * 10**decimals / (10**18 * native_px)) in raw units of `buy`."""
    px = Decimal(native_px)
    if not px:
        return 0
    wei = sum(units * view.gas[place].price_wei for place, units in gas.items() if place in view.gas)
    with localcontext(WIDE):
        top, bottom = px.as_integer_ratio()
    unit: int = 10 ** view.assets[buy].decimals
    return -(-wei * unit * bottom // (10**18 * top))


def overhead_raw_up(problem: Problem, legs: Sequence[Leg]) -> int:
    """What the wallet's transactions for these legs cost besides the swaps, in raw units of the bought asset."""
    gas: dict[Place, int] = {}
    for leg in legs:
        known = problem.overheads.get(leg.place)
        if known is not None:
            gas[leg.place] = gas.get(leg.place, known.tx_gas) + known.tx_gas_per_leg
    return gas_raw_up(problem.view, gas, problem.buy, problem.native_px) if gas else 0


def _share(total: int, weights: list[int]) -> list[int]:
    whole = sum(weights)
    parts = [total * weight // whole for weight in weights]
    parts[-1] += total - sum(parts)
    return parts


Legs: TypeAlias = dict[tuple[Hop, int], tuple[Leg, Pool] | None]


def make_plan(
    problem: Problem, split: Split, broken: set[Hop] | None = None, known: Legs | None = None
) -> Plan | None:
    """The exact plan of a split, None where a leg cannot execute. What books leave under a lot goes to the pools.

    A pool that refused its leg is added to `broken`. `known` keeps what `pool_leg` says of the market's own pools.
    """
    known = {} if known is None else known
    view = problem.view
    books = {book.id: book for book in view.books}
    flows = dict(split.flows)
    given: dict[AssetId, int] = defaultdict(int)
    for hop_path, part in ((problem.paths[k], part) for k, part in split.amounts.items()):
        given[hop_path.source] += part
    legs: list[Leg] = []
    gas: dict[Place, int] = defaultdict(int)
    out = sold = 0
    spare = 0
    # Books first: a lot, a minimum or thin depth sends what they cannot take on to the pools.
    for hop in [hop for hop in flows if hop.book]:
        weight = sum(part for k, part in split.amounts.items() if problem.paths[k].hops == (hop,))
        fill = fill_book(view, books[hop.id], hop.asset_in, problem.to_source(weight, hop.asset_in))
        del flows[hop]
        given[hop.asset_in] -= weight
        if fill is None:
            spare += weight
            continue
        used = problem.from_source(fill.in_raw, hop.asset_in)
        spare += weight - used
        sold += used
        out += problem.to_buy(fill.out_raw, hop.asset_out)
        legs.append(
            Leg(
                hop.id,
                place_of(hop.asset_in),
                hop.asset_in,
                hop.asset_out,
                fill.in_raw,
                fill.out_raw,
                0,
                fill.fee_raw,
                fill.fee_asset,
                "book",
                0,
                fill.qty,
                fill.px,
            )  # fmt: skip
        )
    if spare > 0:
        spare = _respread(problem, given, flows, legs, spare)
    held: dict[AssetId, int] = {}
    for asset, part in given.items():
        if part > 0:
            held[asset] = problem.to_source(part, asset)
            sold += part
    order = order_of(list(flows))
    if order is None:
        return None
    states: dict[str, Pool] = {}
    targets = set(view.same(problem.buy))
    for asset in order:
        onward = [hop for hop in flows if hop.asset_in == asset]
        total = held.pop(asset, 0)
        if asset in targets and not onward:
            held[asset] = total
            continue
        if not total or not onward:
            continue
        for hop, part in zip(onward, _share(total, [flows[hop] for hop in onward]), strict=True):
            if part <= 0:
                continue
            if hop.id in states:
                made = pool_leg(hop, states[hop.id], part)
            elif (hop, part) in known:
                made = known[hop, part]
            else:
                made = known[hop, part] = pool_leg(hop, view.pools[hop.id], part)
            if made is None:
                if broken is not None:
                    broken.add(hop)
                return None
            leg, states[hop.id] = made
            legs.append(leg)
            gas[leg.place] += leg.gas
            held[hop.asset_out] = held.get(hop.asset_out, 0) + leg.out_raw
    out += sum(problem.to_buy(amount, AssetId(asset)) for asset, amount in held.items() if asset in targets)
    if not legs or out <= 0 or len(legs) > problem.max_legs:
        return None
    gas_raw = gas_raw_up(view, gas, problem.buy, problem.native_px)
    return Plan(tuple(legs), sold, out, gas_raw, tuple(gas.items()), overhead_raw_up(problem, legs))


def _respread(
    problem: Problem, given: dict[AssetId, int], flows: dict[Hop, int], legs: list[Leg], spare: int
) -> int:
    """Hands what the books could not take to the sources that still sell through pools, within their inventory."""
    spent: dict[AssetId, int] = defaultdict(int)
    for leg in legs:
        spent[leg.asset_in] += problem.from_source(leg.in_raw, leg.asset_in)
    for source in problem.sources:
        if not any(hop.asset_in == source.asset for hop in flows):
            continue
        room = spare if source.cap is None else max(source.cap - given[source.asset] - spent[source.asset], 0)
        part = min(room, spare)
        given[source.asset] += part
        spare -= part
    return spare
