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

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import accumulate
from math import log

from agent.amm import Pool, SolidlyPool
from agent.domain.errors import Reject
from agent.domain.instruments import AssetId
from agent.routing.certificate.branches import Branch, covered
from agent.routing.certificate.crossings import Crossing, crossings, pairs
from agent.routing.certificate.gains import LITTLE, Ends, Gain, Sale, free_pays, free_unit_up, gain_of
from agent.routing.certificate.ground import Ground, between, bits, mask_of
from agent.routing.certificate.growth import Growth, grown_up
from agent.routing.certificate.levels import Side, levels_gain_up, open_sides
from agent.routing.certificate.losses import Leg, Losses, Onward, both_ways, most_and_room, most_within
from agent.routing.certificate.sizes import Through, bought_up, idle_size_up, least_of, whole_up
from agent.routing.certificate.spots import MARGIN, Rates
from agent.routing.certificate.units import (
    SHIFT,
    Order,
    gas_values,
    held_value,
    source_caps,
    unit_prices,
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


class Proof:
    """The bound in raw units of the bought asset, rounded up, and of the sales left the one that gains most: where to branch."""

    def __init__(self, bound_raw: int, known: Callable[[], Known], widest: Gain | None) -> None:
        self.bound_raw, self.widest, self._known = bound_raw, widest, known

    @cached_property
    def known(self) -> Known:
        """Found when first asked for: most bounds are close enough as they are."""
        return self._known()


class Setting:
    """The part of a bound that does not depend on the prices: edges with their gas, and the ends of the order."""

    _logged: tuple[Mapping[AssetId, int], Mapping[AssetId, float]] | None = None
    _ended: Ends | None = None
    paid = 0
    """Gas that every plan spoken of pays, and no sale any more."""

    def __init__(self, order: Order, ground: Ground | None = None) -> None:
        """`ground` is that of the order's market, made before."""
        self.order = order
        self.ground = ground if ground is not None and ground.view is order.view else Ground(order.view)
        self.rates: Rates = self.ground.rates
        self.sources, self.targets = frozenset(order.sources), frozenset(order.targets)
        self.caps = source_caps(order)
        inside, self._onward = between(self.ground, self._mask(self.sources), self._mask(self.targets), _HUBS)
        self.nodes = frozenset(self.ground.nodes[k] for k in bits(inside))
        self._priced = self.ground.priced(gas_values(order))
        self.sales = self._every = list(self._offered())

    def _mask(self, nodes: Collection[AssetId]) -> int:
        number = self.ground.number
        return mask_of([number[node] for node in nodes if node in number])

    def _offered(self) -> Iterator[Sale]:
        """What every pool offers on some way from source to target."""
        priced, onward = self._priced, self._onward
        for number, (_, _, numbers, _, _) in enumerate(self.ground.stands):
            if len(numbers) == 2:
                a, b = numbers
                ways = [(0, 1)] if onward[a] >> b & 1 else []
                if onward[b] >> a & 1:
                    ways.append((1, 0))
            else:
                rows = [(i, onward[a]) for i, a in enumerate(numbers) if onward[a]]
                ways = [(i, j) for i, row in rows for j, b in enumerate(numbers) if row >> b & 1]
            if ways:
                yield from priced.sales(number, ways)

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
        """The pairs that books and transfers trade."""
        view = self.order.view
        books = [way for b in view.books for way in ((b.base, b.quote), (b.quote, b.base))]
        ways = [*books, *((one.given, one.got) for one in crossings(view))]
        return {turn for way in ways if self._leads(*way) for turn in self._turns(*way)}

    def _leads(self, given: AssetId, got: AssetId) -> bool:
        """Whether some way forward from source to target trades one for the other."""
        a, b = self.ground.number.get(given), self.ground.number.get(got)
        return a is not None and b is not None and bool(self._onward[a] >> b & 1)

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
        have = (net_out << SHIFT) + self.paid
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
            gains = self._again(gains, value, caps)
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
            gains = self._again(gains, value, caps)
            total = min(total, base + self._net(gains))
            if (before - total) * _WORTH_A_ROUND < before - have:
                break
        widest = max(gains, key=lambda gain: gain.net, default=None)
        room = base + self._net(gains) - have

        def known_now() -> Known:
            return Known(tuple(sales if around is None else self._usable(sales, gains, around, room)), caps)

        return Proof(-(-(max(total, have) - self.paid) >> SHIFT), known_now, widest)

    @property
    def ends(self) -> Ends:
        if self._ended is None or self._ended.nodes is not self.nodes:
            self._ended = Ends(self.nodes, self.sources, self.targets)
        return self._ended

    def rates_of(self, pool: Pool) -> list[list[float]]:
        """`first_rates` of a pool, found once."""
        return self.ground.rates_of(pool)

    def _paying(self, sales: Sequence[Sale], value: Mapping[AssetId, int]) -> list[Sale]:
        """The sales whose first unit pays: no other gains anything."""
        logs, found, last = self._logs(value), list[Sale](), None
        for sale in sales:
            edge, i, j = sale.edge, sale.i, sale.j
            if edge is not last:
                last, rates = edge, self.rates_of(edge.pool)
            if i == j:
                if self._any_pays(sale, logs):
                    found.append(sale)
                continue
            given, got = sale.pair
            first = rates[i][j] + logs[got] - logs[given]
            if first > -MARGIN or (
                isinstance(edge.pool, SolidlyPool) and free_pays(edge, first, value[given])
            ):
                found.append(sale)
        return found

    def _any_pays(self, sale: Sale, logs: Mapping[AssetId, float]) -> bool:
        """Whether any pair pays of a pool whose pairs are counted together."""
        edge, rates = sale.edge, self.rates_of(sale.edge.pool)
        return any(
            rates[a][b] + logs[got] - logs[given] > -MARGIN
            for a, given in enumerate(edge.nodes)
            if given in logs
            for b, got in enumerate(edge.outs)
            if got in logs
        )

    def _first(self, sale: Sale, value: Mapping[AssetId, int]) -> float:
        """The logarithm of what the first unit sold is worth, by what it was."""
        logs, (given, got) = self._logs(value), sale.pair
        return self.rates[sale.edge.pool.id][sale.i][sale.j] + logs[got] - logs[given]

    def _logs(self, value: Mapping[AssetId, int]) -> Mapping[AssetId, float]:
        """The logarithms of the nodes' values, worked out once for the same values."""
        if self._logged is None or self._logged[0] is not value:
            self._logged = value, {node: log(worth) for node, worth in value.items() if node in self.nodes}
        return self._logged[1]

    def _gain(self, sale: Sale, value: Mapping[AssetId, int], caps: Mapping[AssetId, int]) -> Gain:
        edge = sale.edge
        if sale.i == sale.j:
            return gain_of(sale, self.ends, value, caps)
        given, got = sale.pair
        cap, free = caps.get(given), 0
        if isinstance(edge.pool, SolidlyPool):
            free = free_unit_up(edge.pool, value[given])
        if cap is not None and edge.gas:
            # All of it at the rate of the first unit: too little to matter is not computed more exactly.
            gross = whole_up(cap, value[given], self._first(sale, value)) + free
            if gross * LITTLE < edge.gas:
                return Gain(sale, gross, gross - edge.gas, given)
        gain = gain_of(sale, self.ends, value, caps)
        if gain.gross > 0:
            most = None if got in self.targets else self._sold_on(got, caps)
            if most is not None:
                first = self._first(sale, value)
                gross = min(gain.gross, bought_up(gain.gross, most, value[got], first) + free)
                return Gain(sale, gross, min(gain.net, gross - sale.edge.gas), gain.out_of)
        return gain

    def _again(
        self, gains: Sequence[Gain], value: Mapping[AssetId, int], caps: Mapping[AssetId, int]
    ) -> list[Gain]:
        """The gains within tighter caps, without those that are none; one too small to matter stays as it is."""
        found = []
        for gain in gains:
            if gain.gross * LITTLE >= gain.sale.edge.gas and gain.bound_by(caps):
                gain = self._gain(gain.sale, value, caps)
            if gain.gross > 0:
                found.append(gain)
        return found

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
                    now = self._gain(gain.sale, value, within) if gain.bound_by(within) else gain
                    best[pool] = max(best[pool], now.gross)
            return self._books(value, within) + sum(best.values())

        whole = self._books(value, caps) + sum(first.values())
        return grown_up(held, self._growths(gains, value), whole, together)

    def _growths(self, gains: Sequence[Gain], value: Mapping[AssetId, int]) -> list[Growth]:
        logs, rates, found = self._logs(value), self.rates, list[Growth]()
        for gain in gains:
            edge, i, j = gain.sale.edge, gain.sale.i, gain.sale.j
            if i != j:
                given, got = gain.sale.pair
                first = None if isinstance(edge.pool, SolidlyPool) else rates[edge.pool.id][i][j] + logs[got] - logs[given]  # fmt: skip
                found.append(Growth(gain.gross, self._asset(given), first))
        return found

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
        left: set[tuple[str, tuple[AssetId, AssetId]]] = set()
        for gain in gains:
            given, got = gain.sale.pair
            left.add((gain.sale.edge.pool.id, gain.sale.pair))
            lost = around.around(given, got) if given != got else None
            if lost is not None and lost + max(-gain.net, 0) < room:
                least = gain.sale.edge.gas + max(gain.net, 0) - (room - lost)
                through.add(gain.sale, through.size_up(gain, least), self._first(gain.sale, value))
        for sale, lost in around.within(sales):
            given, got = sale.pair
            if given != got and (sale.edge.pool.id, sale.pair) not in left and lost + sale.edge.idle < room:
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
        every = self.sales is self._every
        legs = self._priced.idle(self._onward) if every else dict[tuple[AssetId, AssetId], int]()
        for sale in () if every else self.sales:
            if sale.i != sale.j:
                idle = sale.edge.idle
                if legs.get(sale.pair, idle) >= idle:
                    legs[sale.pair] = idle
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
        return [*pairs(self.order.view), *{sale.edge.nodes for sale in self.sales if sale.i == sale.j}]

    def _affordable(self, gains: Sequence[Gain], around: Losses, least: int) -> tuple[int, int, list[Gain]]:
        """(most, room, gains): what the gains earn together with what reaching them loses, what a plan that earns more than `least` can
        lose in all, and the gains it can have."""
        needed: list[tuple[int, Gain]] = []
        to, on = around.sides
        for gain in gains:
            if gain.sale.i != gain.sale.j:
                given, got = gain.sale.pair
                lost = to[given] + on[got] if given in to and got in on else None
            else:
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
        return list(accumulate([net if (net := gain.net) > 0 else 0 for gain in gains]))

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
        """What taking the levels of the books and the transfers that pay at the prices earns, within the caps."""
        total = 0
        for side in self.sides:
            moved = isinstance(side, Crossing) and {side.given, side.got} <= self.sources & self.nodes
            if moved or (side.given not in self.targets and side.got not in self.sources):
                # Sold where it lands: what is sold has one name wherever it stands.
                turns = [(side.given, side.got)] if moved else self._turns(side.given, side.got)
                # All of an asset is sold under one name, so only the best of them counts.
                total += max((levels_gain_up(side, value[a], value[b], caps.get(a)) for a, b in turns), default=0)  # fmt: skip
        return total

    @cached_property
    def sides(self) -> list[Side | Crossing]:
        return open_sides(self.order.view)


__all__ = ["Known", "Proof", "Setting"]
