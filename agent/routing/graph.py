"""Which paths are worth looking at: a beam search over the places' pools, at more than one size, and the direct books."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

from agent.amm import Pool, Reverted, Swapped, swap_exact_in
from agent.domain.instruments import AssetId, Place, place_of
from agent.market.book import Book
from agent.market.view import MarketView
from agent.routing.curves import Curve, curve_of
from agent.routing.engine import compiled
from agent.routing.native import edges_of, wrapped_of
from agent.routing.ranked import Listed, Ranked
from agent.routing.spot import ends, net_rate, within

if TYPE_CHECKING:
    from agent.routing.balance import Leg
    from agent.routing.beams import Beams
    from agent.routing.certificate.ground import Ground
    from agent.routing.knots import Knots
    from agent.routing.pricing import MarketPrices

_HUBS = 6
_KEEP_PER_ASSET = 3
_KEEP_PATHS = 20
_KEEP_SHORT = 4
_KEEP_NET = 10
_KEEP_DIRECT = 8
_THIN, _KEEP_THIN = (1000, 10_000), 15


class Hop(NamedTuple):
    """One edge: a pool or a book (its id), sold into and bought from."""

    id: str
    asset_in: AssetId
    asset_out: AssetId
    book: bool = False


@dataclass(frozen=True, slots=True)
class Path:
    """Hops from an asset we hold to one we want, all in one place."""

    hops: tuple[Hop, ...]

    @property
    def source(self) -> AssetId:
        return self.hops[0].asset_in

    @property
    def target(self) -> AssetId:
        return self.hops[-1].asset_out

    @property
    def place(self) -> Place:
        return place_of(self.source)


def swap(pool: Pool, asset_in: str, asset_out: str, amount: int) -> Swapped | Reverted:
    """Sells `amount` to a pool; a pool of the chain's own coin trades its wrapped form, which is worth the same."""
    return swap_exact_in(pool, within(pool, asset_in), within(pool, asset_out), amount)


class _Step(NamedTuple):
    """A hop made ready: the pool, the asset it leads to, the curve with both assets' places in it, and whether no path may join it."""

    pool: str
    other: AssetId
    curve: Curve
    i: int
    j: int
    hop: Hop
    alone: bool


def _shape(pool: Pool) -> tuple[object, ...]:
    """What a block does not change about a pool."""
    return pool.kind, pool.assets, pool.gas, pool.gas_per_tick


class Graph:
    """Neighbours of every asset of a view's pools; a chain's coin and its wrapped form are one asset here.

    Pools whose kind or id is in `never` are left out; those whose kind or id is in `alone` only serve as a path of their own.
    """

    def __init__(
        self,
        view: MarketView,
        never: frozenset[str] = frozenset(),
        alone: frozenset[str] = frozenset(),
        before: Graph | None = None,
    ) -> None:
        """`before` is a graph of the same market earlier, from which the curves of pools that are still the same objects are taken over."""
        self.alone = alone
        self._typical: dict[str, int] = {}
        self._view = view
        self._prices: MarketPrices | None = None
        self._curves: dict[str, Curve] = {}
        self._legs: dict[str, dict[Hop, Leg]] = {}
        self._rates: dict[Hop, float] = {}
        self._best_rates: dict[tuple[AssetId, AssetId], float] = {}
        self._ready: dict[Hop, _Step] = {}
        self._hubs: dict[Place, tuple[AssetId, ...]] = {}
        self._between: dict[tuple[AssetId, AssetId], list[Pool]] = {}
        self._beams: Beams | None = None
        self._older: tuple[Beams, list[Pool]] | None = None
        self._knots: Knots | None = None
        self._knots_before: tuple[Knots, frozenset[str]] | None = None
        if before is not None:
            old = before._view.pools
            moved = [pool for name, pool in view.pools.items() if old.get(name) is not pool]
            gone = {pool.id for pool in moved}
            self._curves = {name: curve for name, curve in before._curves.items() if name in view.pools and name not in gone}  # fmt: skip
            self._legs = {name: legs for name, legs in before._legs.items() if name in view.pools and name not in gone}  # fmt: skip
            self._rates = {hop: rate for hop, rate in before._rates.items() if hop.id in view.pools and hop.id not in gone}  # fmt: skip
            if before._beams is not None and list(old) == list(view.pools) and before._view.gas.keys() == view.gas.keys():  # fmt: skip
                if all(_shape(pool) == _shape(old[pool.id]) for pool in moved):
                    self._older = before._beams, moved
                    knots, since = (before._knots, frozenset[str]()) if before._knots else before._knots_before or (None, frozenset())  # fmt: skip
                    self._knots_before = None if knots is None else (knots, since | gone)
        self._ground: Ground | None = None
        self._ground_before: Ground | None = None if before is None else before._ground or before._ground_before  # fmt: skip
        self._wrapped = wrapped_of(view)
        self.edges = edges_of(view, never)

    def curve(self, pool: Pool) -> Curve:
        """The float curve of one of the view's pools, made once."""
        found = self._curves.get(pool.id)
        if found is None:
            found = self._curves[pool.id] = curve_of(pool)
        return found

    def ready(self, hop: Hop) -> _Step:
        """A hop over one of the view's pools made ready, once."""
        found = self._ready.get(hop)
        if found is None:
            pool = self._view.pools[hop.id]
            alone = pool.kind in self.alone or pool.id in self.alone
            found = _Step(pool.id, hop.asset_out, self.curve(pool), *ends(pool, hop.asset_in, hop.asset_out), hop, alone)  # fmt: skip
            self._ready[hop] = found
        return found

    def leg(self, hop: Hop) -> Leg | None:
        """The knots of a hop over a pool, made once with those of its pool's other pairs; None where the pool has none."""
        if hop.id not in self._legs:
            from agent.routing.balance import Leg
            from agent.routing.tables import pool_rows

            pool = self._view.pools[hop.id]
            self._legs[hop.id] = {row.hop: Leg(row) for row in pool_rows(pool, self.nodes(pool))}
        return self._legs[hop.id].get(hop)

    def pools(self, names: Iterable[str]) -> list[Pool]:
        """The view's pools of these ids."""
        return [self._view.pools[name] for name in names]

    def nodes(self, pool: Pool) -> list[AssetId]:
        """What a pool's assets are called here."""
        return [self._wrapped.get(asset, AssetId(asset)) for asset in pool.assets]

    def rate(self, hop: Hop) -> float:
        """Raw units bought for the first one sold to a pool, its fee off; made once."""
        found = self._rates.get(hop)
        if found is None:
            pool = self._view.pools[hop.id]
            found = self._rates[hop] = net_rate(pool, within(pool, hop.asset_in), within(pool, hop.asset_out))
        return found

    def best_rate(self, given: AssetId, got: AssetId) -> float:
        """The best `rate` of any pool between the two, nought where there is none; made once."""
        found = self._best_rates.get((given, got))
        if found is None:
            rates = (self.rate(Hop(pool.id, given, got)) for pool in self.between(given, got))
            found = self._best_rates[given, got] = max(rates, default=0.0)
        return found

    def hubs(self, place: Place) -> tuple[AssetId, ...]:
        """The assets of a place that pools trade for most others, those of most first."""
        found = self._hubs.get(place)
        if found is None:
            near = {asset: len({other for _, other in pools}) for asset, pools in self.edges.items() if place_of(asset) == place}  # fmt: skip
            found = self._hubs[place] = tuple(sorted(near, key=lambda asset: (-near[asset], asset))[:_HUBS])
        return found

    def steps(self, asset: AssetId) -> list[_Step]:
        """The hops out of an asset, made ready."""
        return [self.ready(Hop(pool.id, asset, other)) for pool, other in self.edges[asset]]

    def beams(self) -> Beams:
        """Its pools laid out for compiled searches, made when first asked for."""
        if self._beams is None:
            from agent.routing.beams import Beams

            self._beams = Beams(self) if self._older is None else self._older[0].moved(self, self._older[1])
            self._older = None
        return self._beams

    def knots(self) -> Knots:
        """The legs over its pools laid out for compiled searches, made when first asked for."""
        if self._knots is None:
            from agent.routing.knots import Knots

            before = self._knots_before
            self._knots = Knots(self) if before is None else before[0].moved(self, self.pools(sorted(before[1])))  # fmt: skip
            self._knots_before = None
        return self._knots

    def ranked(self, source: AssetId, target: AssetId, amount: int, max_hops: int) -> Ranked:
        """`paths`, by the engine this process uses."""
        if compiled():
            return self.beams().paths(source, target, amount, max_hops, _KEEP_PER_ASSET)
        return Listed(self.paths(source, target, amount, max_hops))

    def between(self, given: AssetId, got: AssetId) -> list[Pool]:
        """The pools that sell one asset for the other."""
        found = self._between.get((given, got))
        if found is None:
            found = self._between[given, got] = [pool for pool, other in self.edges[given] if other == got]
        return found

    def sends(self, typical: dict[str, int]) -> None:
        """Says what is sent over transfers, by their ids: the prices found from now on spread their fixed fees over so much."""
        if typical != self._typical:
            self._typical, self._prices = typical, None

    def prices(self) -> MarketPrices:
        """The market's tables and prices, made when first asked for."""
        if self._prices is None:
            from agent.routing.pricing import MarketPrices

            self._prices = MarketPrices(self._view, self._typical)
        return self._prices

    def ground(self) -> Ground:
        """What certificates of the market share, made when first asked for."""
        if self._ground is None:
            from agent.routing.certificate.ground import Ground

            self._ground = Ground(self._view, self._ground_before)
            self._ground_before = None
        return self._ground

    def distances(self, target: AssetId, limit: int, without: AssetId) -> dict[AssetId, int]:
        """Hops to `target` of every asset within `limit`, on ways that do not come through `without`."""
        found, ring = {target: 0}, [target]
        for steps in range(1, limit + 1):
            ring = list({b for a in ring if a != without for _, b in self.edges[a] if b not in found})
            for asset in ring:
                found[asset] = steps
        return found

    def paths(
        self, source: AssetId, target: AssetId, amount: int, max_hops: int
    ) -> list[tuple[float, int, tuple[Hop, ...]]]:
        """(out, gas, hops) of the paths that survive the beam when `amount` raw of `source` is sold; best out first.

        The outputs are float estimates.
        """
        distance = self.distances(target, max_hops, source)
        if source not in distance:
            return []
        far = max_hops + 1
        done: list[tuple[float, int, tuple[Hop, ...]]] = []
        beam: list[tuple[AssetId, float, int, tuple[Hop, ...]]] = [(source, float(amount), 0, ())]
        for left in range(max_hops - 1, -1, -1):
            reached: dict[AssetId, list[tuple[float, int, tuple[Hop, ...]]]] = defaultdict(list)
            onward: dict[AssetId, list[_Step]] = {}
            for asset, held, gas, hops in beam:
                seen = {source, *(hop.asset_out for hop in hops)}
                used = {hop.id for hop in hops}
                steps = onward.get(asset)
                if steps is None:
                    near = ((p, b) for p, b in self.edges[asset] if distance.get(b, far) <= left)
                    steps = onward[asset] = [self.ready(Hop(p.id, asset, b)) for p, b in near]
                for pool, other, curve, i, j, hop, alone in steps:
                    if other in seen or pool in used or (alone and (hops or other != target)):
                        continue
                    sold = curve.sell(curve.start, i, j, held)
                    if sold is None or sold[0] < 1:
                        continue
                    spent = gas + curve.gas + sold[2] * curve.gas_per_tick
                    found = (sold[0], spent, (*hops, hop))
                    (done if other == target else reached[other]).append(found)
            beam = []
            for asset, entries in reached.items():
                # A small order pays for its gas: the way that needs least of it is kept even where others give more.
                entries.sort(key=lambda entry: -entry[0])
                kept = entries[:_KEEP_PER_ASSET]
                lean = min(entries, key=lambda entry: entry[1])
                kept += [lean] if lean[1] < min(entry[1] for entry in kept) else []
                beam.extend((asset, out, gas, hops) for out, gas, hops in kept)
        done.sort(key=lambda entry: -entry[0])
        return done


def pool_paths(
    graph: Graph, source: AssetId, target: AssetId, amount: int, max_hops: int, gas_rate: float = 0.0
) -> tuple[list[Path], list[Path]]:
    """Candidates for selling `amount` raw: first those good at a sixth of it (deep pools) or at a hundredth (good prices), then more:
    the best after gas, and what is good at the whole amount, which is all a small order goes by.

    `gas_rate` is the price of a unit of gas in raw units of `target`.
    """
    chosen: dict[tuple[Hop, ...], None] = {}
    more: dict[tuple[Hop, ...], None] = {}
    for share in (6, 100, 1):
        ranked = graph.ranked(source, target, max(amount // share, 1), max_hops)
        if share > 1 or not chosen:
            chosen.update(dict.fromkeys([*ranked.best(_KEEP_PATHS), *ranked.long(1, _KEEP_DIRECT)]))
        # Of a part of the order, only that part of the gas.
        more.update(dict.fromkeys([*ranked.netted(gas_rate, share, _KEEP_NET), *ranked.best(_KEEP_NET)]))
        if share > 1:
            # Where something on the way is mispriced the best all go through it, in one direction: the shortest go by others too.
            more.update(dict.fromkeys(ranked.long(2, _KEEP_SHORT)))
    known = {hop for hops in (*chosen, *more) for hop in hops}
    for share in _THIN:
        # A pool too thin for a hundredth of a large order still takes a little at a good price, where that pays for its gas.
        if amount >= share:
            ranked = graph.ranked(source, target, amount // share, max_hops)
            more.update(dict.fromkeys(ranked.new(gas_rate, known, _KEEP_THIN)))
    return [Path(hops) for hops in chosen], [Path(hops) for hops in more if hops not in chosen]


def book_paths(books: Iterable[Book], source: AssetId, target: AssetId) -> list[Path]:
    """The books that trade the two assets directly, either way round."""
    return [
        Path((Hop(book.id, source, target, True),))
        for book in books
        if (book.base, book.quote) in ((source, target), (target, source))
    ]
