"""What is asked, in integers: the sources with their inventories, the places wanted, and what gas costs in the asset bought."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from decimal import Decimal

from agent.domain.errors import Reject, Usage
from agent.domain.instruments import AssetId, Place, place_of
from agent.domain.units import qty_exact
from agent.market.view import GasState, MarketView
from agent.routing.graph import Graph, Path, book_paths, pool_paths
from agent.routing.native import native_price


@dataclass(frozen=True, slots=True)
class Source:
    """An asset we may sell from: `cap` is how many units of the sold asset it can give (None: no limit known)."""

    asset: AssetId
    cap: int | None


@dataclass(frozen=True)
class Problem:
    """Amounts are raw units of `sell` and `buy`; equivalents are converted at par by their decimals.

    `overheads` are the chains whose transaction has a price of its own: it weighs in the choice of places, and is no part
    of a plan's own gas.
    """

    view: MarketView
    graph: Graph
    sell: AssetId
    buy: AssetId
    amount: int
    sources: tuple[Source, ...]
    paths: tuple[Path, ...]
    native_px: str
    gas_rate: dict[Place, float]
    max_legs: int
    overheads: Mapping[Place, GasState] = field(default_factory=dict)
    cross_domain: bool = False
    extra: int = 0
    """How many of the last paths only single paths and the local search look at."""
    max_hops: int = 3
    """No path has more hops."""
    max_seconds: int | None = None
    """No plan takes longer than this by its transfers, ninety-nine times of a hundred; None: any time."""

    def to_source(self, amount: int, asset: AssetId) -> int:
        """Units of `sell` as units of one of its equivalents, rounded down."""
        return rescale_down(amount, self.view.assets[self.sell].decimals, self.view.assets[asset].decimals)

    def from_source(self, amount: int, asset: AssetId) -> int:
        """Units of an equivalent as units of `sell`, rounded up."""
        return rescale_up(amount, self.view.assets[asset].decimals, self.view.assets[self.sell].decimals)

    def to_buy(self, amount: int, asset: AssetId) -> int:
        """Units of an equivalent of `buy` as units of `buy`, rounded down."""
        return rescale_down(amount, self.view.assets[asset].decimals, self.view.assets[self.buy].decimals)


def in_words(raw: int, decimals: int) -> str:
    """Base units as people write a quantity: no exponent, no trailing zeros."""
    text = f"{qty_exact(raw, decimals):f}"
    return text.rstrip("0").rstrip(".") if "." in text else text


def rescale_down(amount: int, have: int, want: int) -> int:
    up, down = 10 ** max(want - have, 0), 10 ** max(have - want, 0)
    return int(amount * up // down)


def rescale_up(amount: int, have: int, want: int) -> int:
    up, down = 10 ** max(want - have, 0), 10 ** max(have - want, 0)
    return int(-(-amount * up // down))


def stated(
    view: MarketView,
    sell: AssetId,
    buy: AssetId,
    amount: int,
    *,
    max_legs: int = 12,
    max_hops: int = 3,
    cross_domain: bool = False,
    never: frozenset[str] = frozenset(),
    alone: frozenset[str] = frozenset(),
    graph: Graph | None = None,
    max_seconds: int | None = None,
) -> Problem:
    """States the problem without paths; as `pose` otherwise. Raises Usage SAME_ASSET or BAD_AMOUNT, Reject NO_INVENTORY."""
    names = view.assets[sell].symbol, view.assets[buy].symbol
    if amount <= 0:
        raise Usage("BAD_AMOUNT", f"the quantity must be greater than zero, not {amount}")
    if buy in view.same(sell):
        raise Usage(
            "SAME_ASSET", f"{names[0]} and {names[1]} are the same asset", "name two different assets"
        )
    graph = graph or Graph(view, never, alone)
    starts = view.same(sell) if cross_domain else (sell,)
    dec = view.assets[sell].decimals
    sources = tuple(
        Source(
            a, rescale_down(view.inventory[a], view.assets[a].decimals, dec) if a in view.inventory else None
        )
        for a in starts
    )
    if all(source.cap is not None for source in sources):
        held = sum(source.cap or 0 for source in sources)
        if held < amount:
            raise Reject(
                "NO_INVENTORY",
                f"{in_words(amount, dec)} {names[0]} to sell, {in_words(held, dec)} held in {len(sources)} place{'s' if len(sources) > 1 else ''}",
                "sell less, or move inventory first",
            )
    px = native_price(view, buy)
    scale = 10.0 ** (view.assets[buy].decimals - 18)
    rates = {
        place: gas.price_wei * scale / float(px) if float(px) else 0.0 for place, gas in view.gas.items()
    }
    overheads = {place: gas for place, gas in view.gas.items() if gas.tx_gas or gas.tx_gas_per_leg}
    return Problem(
        view, graph, sell, buy, amount, sources, (), px, rates, max_legs, overheads, cross_domain, 0, max_hops, max_seconds,
    )  # fmt: skip


def pose(
    view: MarketView,
    sell: AssetId,
    buy: AssetId,
    amount: int,
    *,
    max_legs: int = 12,
    max_hops: int = 3,
    cross_domain: bool = False,
    never: frozenset[str] = frozenset(),
    alone: frozenset[str] = frozenset(),
    graph: Graph | None = None,
) -> Problem:
    """States the problem, with its candidate paths. `never` names kinds or ids of pools not to use, `alone` those no path may join.

    A `graph` of the same view and kinds made before may be given. Raises Usage SAME_ASSET or BAD_AMOUNT, Reject NO_INVENTORY or NO_ROUTE."""
    problem = stated(
        view, sell, buy, amount, max_legs=max_legs, max_hops=max_hops, cross_domain=cross_domain, never=never, alone=alone, graph=graph
    )  # fmt: skip
    graph, sources, rates = problem.graph, problem.sources, problem.gas_rate
    targets, dec = view.same(buy) if cross_domain else (buy,), view.assets[sell].decimals
    names = view.assets[sell].symbol, view.assets[buy].symbol
    paths: list[Path] = []
    more: list[Path] = []
    for source in sources:
        size = amount if source.cap is None else min(amount, source.cap)
        if size <= 0:
            continue
        raw = rescale_down(size, dec, view.assets[source.asset].decimals)
        for target in targets:
            if place_of(target) == place_of(source.asset) and raw:
                per_gas = rates.get(place_of(target), 0.0)
                per_gas *= 10.0 ** (view.assets[target].decimals - view.assets[buy].decimals)
                first, others = pool_paths(graph, source.asset, target, raw, max_hops, per_gas)
                paths += first
                more += others
                paths += book_paths(view.books, source.asset, target)
    if not paths and not more:
        whole = 10**dec
        if amount < whole and any(
            any(pool_paths(graph, source.asset, target, 10 ** view.assets[source.asset].decimals, max_hops))
            for source in sources
            for target in targets
            if place_of(target) == place_of(source.asset)
        ):
            so_little = f"{Decimal(amount).scaleb(-dec).normalize():f} {names[0]}"
            raise Reject(
                "NO_ROUTE", f"{so_little} comes out as no {names[1]} at all on any path", "sell more"
            )
        raise Reject(
            "NO_ROUTE", f"no path sells {names[0]} for {names[1]}", "other sizes or places may have one"
        )
    return replace(problem, paths=(*paths, *more), extra=len(more))
