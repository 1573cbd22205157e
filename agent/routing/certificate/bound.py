"""The bound that prices prove: no plan over the loaded pools and books nets more. Integers, every step rounded up.

    bound = value of what is sold + sum over pools of max(0, gain - gas)

where a pool's gain is the most that trading with it can earn at the prices. It is the Lagrangian dual of the problem with its
fixed costs, so it holds for any prices. It speaks of plans that go forward: assets stand in an order, none is bought once it was
sold, so that nothing is bought back for what it is; each pair of a pool is sold by one leg, no asset is both sold to and
bought from one pool, and of the equivalents sold or bought none is traded for another. (What turning in circles would earn on top is arbitrage, and no part of a route.) Legs into a weighted pool
then only worsen each other's prices, so the gains of its pairs are counted one by one.

Two things make it tight where gas weighs. At the moment an asset is sold, all that is held is worth at most the value sold plus
the gains made so far; so no more of it can flow than that is worth (`cap`). And a plan that is better than the one at hand cannot
use pools whose gas costs more than they gain by more than the gap: that limits in turn what can be gained on the way.
Each round takes the caps of the one before, and none is ever loosened. What it takes to reach a sale is in `losses`, what can come to
an asset and go on from it in `sizes`; whatever that rules out for better plans (`Known`) stays ruled out at other prices.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from functools import cached_property
from itertools import accumulate
from math import log

from agent.amm import BalancerStablePool, CurvePool, Pool, SolidlyPool
from agent.domain.errors import Reject
from agent.domain.instruments import AssetId
from agent.routing.certificate.branches import Branch, covered
from agent.routing.certificate.gains import LITTLE, Edge, Ends, Gain, Sale, free_pays, free_unit_up, gain_of
from agent.routing.certificate.growth import Growth, grown_up
from agent.routing.certificate.levels import Side, levels_gain_up, sides_of_book
from agent.routing.certificate.losses import Leg, Losses, Onward, both_ways, most_and_room, most_within
from agent.routing.certificate.reach import reached
from agent.routing.certificate.sizes import Through, bought_up, idle_size_up, least_of, whole_up
from agent.routing.certificate.spots import MARGIN, Rates, first_rates
from agent.routing.certificate.units import (
    SHIFT,
    Order,
    gas_place,
    gas_values,
    held_value,
    source_caps,
    unit_prices,
    wrapped_names,
)

ROUNDS = 16
_HUBS = 12
_WORTH_A_ROUND = 200
_FAR = 4
"""A plan that can lose more than this many times the usual gas reaches everything."""


@dataclass(frozen=True, slots=True)
class Known:
    """What plans can be that net more than the one at hand: the sales they can use, and the most of each asset they ever sell."""

    sales: tuple[Sale, ...]
    caps: Mapping[AssetId, int]


@dataclass(frozen=True, slots=True)
class Proof:
    """The bound in raw units of the bought asset, rounded up, and of the sales left the one that gains most: where to branch."""

    bound_raw: int
    known: Known
    widest: Gain | None


class Setting:
    """The part of a bound that does not depend on the prices: edges with their gas, and the ends of the order."""

    def __init__(self, order: Order, rates: Rates | None = None) -> None:
        """`rates` are those of the view's pools found before, and take what is found here."""
        self.order = order
        self.rates: Rates = {} if rates is None else rates
        prices = gas_values(order)
        names = wrapped_names(order.view)
        self.edges: list[Edge] = []
        for pool in order.view.pools.values():
            rate = prices.get(gas_place(pool.id), Fraction(0))
            nodes = tuple(names.get(asset) or AssetId(asset) for asset in pool.assets)
            gas = pool.gas * rate.numerator // rate.denominator
            per_tick = pool.gas_per_tick * rate.numerator // rate.denominator
            self.edges.append(Edge(pool, nodes, gas, per_tick))
        self.sources, self.targets = frozenset(order.sources), frozenset(order.targets)
        self.caps = source_caps(order)
        self._near: dict[AssetId, set[AssetId]] = {}
        self.nodes = self._between()
        self._only = self._detours()
        self.sales = [sale for edge in self.edges for sale in self._sales(edge)]

    def _sales(self, edge: Edge) -> list[Sale]:
        inside = [k for k, node in enumerate(edge.nodes) if node in self.nodes]
        if len(inside) < 2:
            return []
        if isinstance(edge.pool, BalancerStablePool | CurvePool) and len(edge.nodes) > 2:
            ways = [(i, j) for i in inside for j in inside if self._leads(edge.nodes[i], edge.nodes[j])]
            sold, bought = {i for i, _ in ways}, {j for _, j in ways}
            every = frozenset(range(len(edge.nodes)))
            return (
                [Sale(replace(edge, never_sold=every - sold, never_bought=every - bought), 0, 0)]
                if ways
                else []
            )
        return [
            Sale(edge, i, j)
            for i in inside
            for j in inside
            if i != j and self._leads(edge.nodes[i], edge.nodes[j])
        ]

    def ways(self, sales: Sequence[Sale] | None = None) -> frozenset[tuple[AssetId, AssetId]]:
        """The pairs (sold, bought) that a plan can trade, with `sales` alone where they are given."""
        found: set[tuple[AssetId, AssetId]] = set()
        for sale in self.sales if sales is None else sales:
            if sale.i != sale.j:
                found.add(sale.pair)
            else:
                found |= {(a, b) for a in sale.edge.nodes for b in sale.edge.nodes if self._trades(a, b)}
        return frozenset(found | self._traded())

    def _trades(self, given: AssetId, got: AssetId) -> bool:
        """Whether a pool whose pairs are counted together can have these two traded, by their names here."""
        return self._leads(given, got)

    def _traded(self) -> set[tuple[AssetId, AssetId]]:
        """The pairs that books trade."""
        return {
            turn
            for book in self.order.view.books
            for given, got in ((book.base, book.quote), (book.quote, book.base))
            if self._leads(given, got)
            for turn in self._turns(given, got)
        }

    def _leads(self, given: AssetId, got: AssetId) -> bool:
        """Whether some way forward from source to target trades one for the other."""
        if given in self.targets or got in self.sources or given == got:
            return False
        onward, hither = self._only.get(given), self._only.get(got)
        return (onward is None or got in onward[0]) and (hither is None or given in hither[1])

    def _detours(self) -> dict[AssetId, tuple[set[AssetId], set[AssetId]]]:
        """For the best connected assets: what still reaches a target, and what a source still reaches, without each.

        Where all ways on lead back through an asset, selling it for the sake of that detour goes in a circle.
        """
        hubs = sorted(
            self.nodes - self.sources - self.targets, key=lambda node: (-len(self._near[node]), node)
        )
        found = {}
        for hub in hubs[:_HUBS]:
            without = frozenset((hub,))
            found[hub] = (
                reached(self._near, self.targets, self.sources | without),
                reached(self._near, self.sources, self.targets | without),
            )
        return found

    def _between(self) -> frozenset[AssetId]:
        """The assets a plan can pass through: a dead end, or what no path reaches, is on no way from source to target."""
        near = self._near
        groups = [edge.nodes for edge in self.edges]
        groups += [(book.base, book.quote) for book in self.order.view.books]
        for group in groups:
            for node in group:
                near.setdefault(node, set()).update(group)
        ends = self.sources | self.targets
        kept = reached(near, self.sources, self.targets) & reached(near, self.targets, self.sources)
        for node, others in near.items():
            others.discard(node)
            others &= kept
        waiting = [node for node in kept if len(near[node]) < 2 and node not in ends]
        while waiting:
            node = waiting.pop()
            kept.discard(node)
            for other in near[node]:
                near[other].discard(node)
                if len(near[other]) == 1 and other not in ends and other in kept:
                    waiting.append(other)
        return frozenset(kept)

    def proved_raw(self, prices: Mapping[AssetId, str], branches: Sequence[Branch], net_out: int) -> int:
        """What the prices prove, or the branches where they prove more: every plan belongs to one of them.

        Raises Reject BAD_CERTIFICATE where the branches do not cover all plans.
        """
        whole = self.proof(prices, net_out)
        if not branches:
            return whole.bound_raw
        covered(branches)
        parts = [self.proof(branch.prices, net_out, branch.off, whole.known) for branch in branches]
        return min(whole.bound_raw, max(part.bound_raw for part in parts))

    def bound_raw(
        self, prices: Mapping[AssetId, str], net_out: int = 0, off: Collection[tuple[AssetId, AssetId]] = ()
    ) -> int:
        """The bound of `proof`."""
        return self.proof(prices, net_out, off).bound_raw

    def proof(
        self,
        prices: Mapping[AssetId, str],
        net_out: int = 0,
        off: Collection[tuple[AssetId, AssetId]] = (),
        known: Known | None = None,
    ) -> Proof:
        """What the prices prove; `net_out` is what a plan at hand is known to net, `known` what other prices proved beside it.

        Of the pairs in `off` (sold, bought) nothing is traded. Raises Reject BAD_CERTIFICATE where an asset on the way has no price.
        """
        value = self._values("prices", prices)
        caps: dict[AssetId, int] = dict(self.caps if known is None else known.caps)
        have = net_out << SHIFT
        sales = self.sales if known is None else known.sales
        paying = self._paying(sales, value)
        if off:
            paying = [sale for sale in paying if sale.i == sale.j or sale.pair not in off]
        held = held_value(self.order, value)
        base = held + self._books(value, caps)
        gains = [g for sale in paying if (g := self._gain(sale, value, caps)).gross > 0]
        total = base + self._net(gains)
        if total > have:
            # Nobody ever holds more than the sale can grow to: that caps every sale before anything else is known.
            most = self._grown(gains, held, value, caps)
            caps = {node: least_of(-(-most // value[node]), caps.get(node)) or 0 for node in self.nodes}
            base = held + self._books(value, caps)
            gains = [g for gain in gains if (g := self._again(gain, value, caps)).gross > 0]
            total = min(total, base + self._net(gains))
        around: Losses | None = None
        for _ in range(ROUNDS):
            if total <= have:
                break
            room = base + self._net(gains) - have
            around = self._around(gains, room)
            most, room, gains = self._affordable(gains, around, have - base)
            before, total = total, min(total, base + most)
            if total <= have or not room:
                total = min(total, have)
                break
            tighter = self._caps(base, room, gains, value)
            caps = {node: min(bound, caps.get(node, bound)) for node, bound in tighter.items()}
            if room <= _FAR * self.least_gas:
                for node, most in self._flows(sales, gains, around, room, value, caps).items():
                    caps[node] = min(most, caps.get(node, most))
            base = held + self._books(value, caps)
            gains = [g for gain in gains if (g := self._again(gain, value, caps)).gross > 0]
            total = min(total, base + self._net(gains))
            if (before - total) * _WORTH_A_ROUND < before - have:
                break
        usable = (
            sales if around is None else self._usable(sales, gains, around, base + self._net(gains) - have)
        )
        widest = max(gains, key=lambda gain: gain.net, default=None)
        return Proof(-(-max(total, have) >> SHIFT), Known(tuple(usable), caps), widest)

    @property
    def ends(self) -> Ends:
        return Ends(self.nodes, self.sources, self.targets)

    def rates_of(self, pool: Pool) -> list[list[float]]:
        """`first_rates` of a pool, found once."""
        if pool.id not in self.rates:
            self.rates[pool.id] = first_rates(pool)
        return self.rates[pool.id]

    def _paying(self, sales: Sequence[Sale], value: Mapping[AssetId, int]) -> list[Sale]:
        """The sales whose first unit pays: no other gains anything."""
        logs = {node: log(worth) for node, worth in value.items() if node in self.nodes}
        found = []
        for sale in sales:
            edge, i, j = sale
            rates, nodes = self.rates_of(edge.pool), edge.nodes
            if i != j:
                first = rates[i][j] + logs[nodes[j]] - logs[nodes[i]]
                if first > -MARGIN or free_pays(edge, first, value[nodes[i]]):
                    found.append(sale)
            elif any(
                rates[a][b] + logs[edge.outs[b]] - logs[nodes[a]] > -MARGIN
                for a in range(len(nodes))
                if nodes[a] in logs
                for b in range(len(nodes))
                if edge.outs[b] in logs
            ):
                found.append(sale)
        return found

    def _first(self, sale: Sale, value: Mapping[AssetId, int]) -> float:
        """The logarithm of what the first unit sold is worth, by what it was."""
        given, got = sale.pair
        return self.rates[sale.edge.pool.id][sale.i][sale.j] + log(value[got]) - log(value[given])

    def _gain(self, sale: Sale, value: Mapping[AssetId, int], caps: Mapping[AssetId, int]) -> Gain:
        if sale.i == sale.j:
            return gain_of(sale, self.ends, value, caps)
        given, got = sale.pair
        cap, free = caps.get(given), free_unit_up(sale.edge.pool, value[given])
        if cap is not None and sale.edge.gas:
            # All of it at the rate of the first unit: too little to matter is not computed more exactly.
            gross = whole_up(cap, value[given], self._first(sale, value)) + free
            if gross * LITTLE < sale.edge.gas:
                return Gain(sale, gross, gross - sale.edge.gas, given)
        gain = gain_of(sale, self.ends, value, caps)
        if gain.gross > 0:
            most = None if got in self.targets else self._sold_on(got, caps)
            if most is not None:
                first = self._first(sale, value)
                gross = min(gain.gross, bought_up(gain.gross, most, value[got], first) + free)
                return Gain(sale, gross, min(gain.net, gross - sale.edge.gas), gain.out_of)
        return gain

    def _again(self, gain: Gain, value: Mapping[AssetId, int], caps: Mapping[AssetId, int]) -> Gain:
        """A gain within tighter caps; one too small to matter stays as it is."""
        return gain if gain.gross * LITTLE < gain.sale.edge.gas else self._gain(gain.sale, value, caps)

    def _grown(
        self, gains: Sequence[Gain], held: int, value: Mapping[AssetId, int], caps: Mapping[AssetId, int]
    ) -> int:
        """The most value that a plan ever holds."""
        joint = sorted((g for g in gains if g.sale.i == g.sale.j), key=lambda g: -g.gross)
        first = {gain.sale.edge.pool.id: gain.gross for gain in reversed(joint)}

        def together(most: int) -> int:
            within = {node: least_of(-(-most // value[node]), caps.get(node)) or 0 for node in self.nodes}
            # Of the ways to take a pool's pairs together a plan uses one, and none gains more than with more in hand.
            best = dict.fromkeys(first, 0)
            for gain in joint:
                pool = gain.sale.edge.pool.id
                if gain.gross > best[pool]:
                    best[pool] = max(best[pool], self._gain(gain.sale, value, within).gross)
            return self._books(value, within) + sum(best.values())

        whole = self._books(value, caps) + sum(first.values())
        return grown_up(held, self._growths(gains, value), whole, together)

    def _growths(self, gains: Sequence[Gain], value: Mapping[AssetId, int]) -> list[Growth]:
        alone = [gain for gain in gains if gain.sale.i != gain.sale.j]
        return [Growth(g.gross, self._asset(g.sale.pair[0]), self._rate(g.sale, value)) for g in alone]

    def _rate(self, sale: Sale, value: Mapping[AssetId, int]) -> float | None:
        """`_first`, None where a sale can be worth more than that."""
        return None if isinstance(sale.edge.pool, SolidlyPool) else self._first(sale, value)

    def _asset(self, node: AssetId) -> AssetId:
        """The asset a node is."""
        return node

    def _sold_on(self, node: AssetId, caps: Mapping[AssetId, int]) -> int | None:
        """The most of an asset that is sold after it was bought."""
        return caps.get(node)

    def _flows(
        self, sales: Sequence[Sale], gains: Sequence[Gain], around: Losses, room: int, value: Mapping[AssetId, int], caps: Mapping[AssetId, int]
    ) -> dict[AssetId, int]:  # fmt: skip
        """How much of every asset can come in and go out again by the sales that are left, where all of them tell."""
        through = Through(self.ends, value, caps, {node for group in self._loose() for node in group})
        left: set[tuple[str, AssetId, AssetId]] = set()
        for gain in gains:
            given, got = gain.sale.pair
            left.add((gain.sale.edge.pool.id, given, got))
            lost = around.around(given, got) if given != got else None
            if lost is not None and lost + max(-gain.net, 0) < room:
                least = gain.sale.edge.gas + max(gain.net, 0) - (room - lost)
                through.add(gain.sale, through.size_up(gain, least), self._first(gain.sale, value))
        for sale in sales:
            given, got = sale.pair
            if given == got or (sale.edge.pool.id, given, got) in left:
                continue
            lost = around.around(given, got)
            if lost is not None and lost + sale.edge.idle < room:
                first = self._first(sale, value)
                through.add(sale, idle_size_up(room - lost - sale.edge.idle, value[given], first), first)
        return {node: most for node in self.nodes if (most := self._passing(node, through)) is not None}

    def _passing(self, node: AssetId, through: Through) -> int | None:
        """The most of an asset that comes in and goes out."""
        return least_of(through.gone(node), through.come(node))

    def _around(self, gains: Sequence[Gain], room: int) -> Losses:
        busy: list[Leg] = [(*g.sale.pair, max(-g.net, 0)) for g in gains if g.sale.i != g.sale.j]
        return Losses(self.idle, busy, self.sources, self.targets, room)

    @cached_property
    def idle(self) -> tuple[Onward, Onward]:
        """What every pair loses at least that is traded without a gain: its gas. Books, and pools whose pairs are counted
        together, count nothing."""
        legs: dict[tuple[AssetId, AssetId], int] = {}
        for sale in self.sales:
            if sale.i != sale.j:
                legs[sale.pair] = min(legs.get(sale.pair, sale.edge.idle), sale.edge.idle)
        for group in self._loose():
            for given in group:
                for got in group:
                    legs[given, got] = 0
        return both_ways(legs)

    @cached_property
    def least_gas(self) -> int:
        return min((sale.edge.gas for sale in self.sales if sale.edge.gas), default=0)

    def _loose(self) -> list[tuple[AssetId, ...]]:
        """Groups of assets that trade with each other at no loss that is told."""
        books = [(book.base, book.quote) for book in self.order.view.books]
        return [*books, *{sale.edge.nodes for sale in self.sales if sale.i == sale.j}]

    def _affordable(self, gains: Sequence[Gain], around: Losses, least: int) -> tuple[int, int, list[Gain]]:
        """(most, room, gains): what the gains earn together with what reaching them loses, what a plan that earns more than `least` can
        lose in all, and the gains it can have."""
        needed: list[tuple[int, Gain]] = []
        for gain in gains:
            lost = self._lost(gain.sale, around)
            if lost is not None:
                needed.append((lost + max(-gain.net, 0), gain))
        needed.sort(key=lambda step: step[0])
        steps, sums = [], self._sums([gain for _, gain in needed])
        for (lost, _), so_far in zip(needed, sums, strict=True):
            steps.append((lost, so_far))
        most, room = most_and_room(steps, least)
        return most, room, [gain for lost, gain in needed if lost < room]

    def _lost(self, sale: Sale, around: Losses) -> int | None:
        edge = sale.edge
        if sale.i != sale.j:
            return around.around(*sale.pair)
        sold = [node for k, node in enumerate(edge.nodes) if k not in edge.never_sold]
        bought = [node for k, node in enumerate(edge.outs) if k not in edge.never_bought]
        ways = (around.around(a, b) for a in sold for b in bought if a != b)
        return min((lost for lost in ways if lost is not None), default=None)

    def _usable(self, sales: Sequence[Sale], gains: Sequence[Gain], around: Losses, room: int) -> list[Sale]:
        """The sales that a plan can use which loses less than `room`."""
        left, found = {id(gain.sale) for gain in gains}, []
        for sale in sales:
            lost = None if id(sale) in left else self._lost(sale, around)
            if id(sale) in left or (lost is not None and lost + sale.edge.idle < room):
                found.append(sale)
        return found

    def _sums(self, gains: Sequence[Gain]) -> list[int]:
        """What the first one, two, three … of the gains can earn together after gas."""
        return list(accumulate(max(gain.net, 0) for gain in gains))

    def _net(self, gains: Sequence[Gain]) -> int:
        """The most that can be earned together after gas."""
        sums = self._sums(gains)
        return sums[-1] if sums else 0

    def _turns(self, given: AssetId, got: AssetId) -> list[tuple[AssetId, AssetId]]:
        """The names under which one asset can be sold for another."""
        return [(given, got)] if {given, got} <= self.nodes else []

    def _values(self, name: str, prices: Mapping[AssetId, str]) -> dict[AssetId, int]:
        value = unit_prices(self.order, prices)
        missing = self.nodes - value.keys()
        if missing:
            raise Reject(
                "BAD_CERTIFICATE",
                f"{name}: {min(missing)} has none",
                "every asset that a plan can pass through needs a price",
            )
        return value

    def _caps(
        self, base: int, room: int, gains: Sequence[Gain], value: Mapping[AssetId, int]
    ) -> dict[AssetId, int]:
        """How much of every asset a better plan can ever have to sell."""
        everything = base + sum(gain.gross for gain in gains if gain.net >= 0)
        # Of the pools that cost more than they gain, those that gain most for what they lose, as far as `room` goes.
        everything += most_within([(-g.net, g.gross) for g in gains if g.net < 0], room)
        later: dict[AssetId, int] = {}
        for gain in gains:
            if gain.net >= 0 and gain.out_of is not None:
                later[gain.out_of] = later.get(gain.out_of, 0) + gain.gross
        caps = {node: -(-(everything - later.get(node, 0)) // value[node]) for node in self.nodes}
        for source, most in self.caps.items():
            caps[source] = most
        return caps

    def _books(self, value: Mapping[AssetId, int], caps: Mapping[AssetId, int]) -> int:
        """What taking the levels of the books that pay at the prices earns, within the caps."""
        total = 0
        for side in self.sides:
            if side.given not in self.targets and side.got not in self.sources:
                turns = self._turns(side.given, side.got)
                # All of an asset is sold under one name, so only the best of them counts.
                total += max((levels_gain_up(side, value[a], value[b], caps.get(a)) for a, b in turns), default=0)  # fmt: skip
        return total

    @cached_property
    def sides(self) -> list[Side]:
        view = self.order.view
        return [side for book in view.books for side in sides_of_book(view, book)]


__all__ = ["Known", "Proof", "Setting"]
