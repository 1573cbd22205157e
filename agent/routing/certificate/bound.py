"""The bound that prices prove: no plan over the loaded pools and books nets more. Integers, every step rounded up.

    bound = value of what is sold + sum over pools of max(0, gain - gas)

where a pool's gain is the most that trading with it can earn at the prices. It is the Lagrangian dual of the problem with its
fixed costs, so it holds for any prices. It speaks of plans that go forward: assets stand in an order, none is bought once it was
sold, so that nothing is bought back for what it is; each pair of a pool is sold by one leg, and no asset is both sold to and
bought from one pool. (What turning in circles would earn on top is arbitrage, and no part of a route.) Legs into a weighted pool
then only worsen each other's prices, so the gains of its pairs are counted one by one.

Two things make it tight where gas weighs. At the moment an asset is sold, all that is held is worth at most the value sold plus
the gains made so far; so no more of it can flow than that is worth (`cap`). And a plan that is better than the one at hand cannot
use pools whose gas costs more than they gain by more than the gap: that limits in turn what can be gained on the way.
Each round takes the caps of the one before, and none is ever loosened.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import NamedTuple

from agent.amm import (
    BalancerStablePool,
    ConcentratedPool,
    ConcentratedV4Pool,
    ConstantProductPool,
    CurvePool,
    Pool,
    SolidlyPool,
    WeightedPool,
)
from agent.amm.math import WAD
from agent.domain.errors import Reject
from agent.domain.instruments import AssetId
from agent.routing.certificate.invariants import Trade, gain_up, weighted_gain_up
from agent.routing.certificate.ranges import PIPS, product_gain_up, ranges_gain_up
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
MAX_PAIRS = 3
_HUBS = 12
_WORTH_A_ROUND = 10**3


@dataclass(frozen=True, slots=True)
class Edge:
    """One pool with the nodes its assets are, and what its use and a crossed tick cost, as values rounded down."""

    pool: Pool
    nodes: tuple[AssetId, ...]
    gas: int
    per_tick: int


class Sale(NamedTuple):
    """Selling the edge's asset `i` for its asset `j`; where both are 0, all trading with a pool taken together."""

    edge: Edge
    i: int
    j: int

    @property
    def pair(self) -> tuple[AssetId, AssetId]:
        return self.edge.nodes[self.i], self.edge.nodes[self.j]


class Branch(NamedTuple):
    """Prices for the plans that trade none of the pairs `off`, each (sold, bought)."""

    off: tuple[tuple[AssetId, AssetId], ...]
    prices: Mapping[AssetId, str]


def covered(branches: Sequence[Branch]) -> None:
    """A plan that goes forward never trades two assets both ways: each branch forbids one way of every chosen pair, and all
    combinations must be there. Raises Reject BAD_CERTIFICATE."""
    seen = {frozenset(branch.off) for branch in branches}
    pairs = {frozenset(way) for branch in branches for way in branch.off}
    whole = all(
        len(branch.off) == len(pairs) and {frozenset(way) for way in branch.off} == pairs
        for branch in branches
    )
    if not whole or len(seen) != len(branches) or len(branches) != 1 << len(pairs) or len(pairs) > MAX_PAIRS:
        raise Reject("BAD_CERTIFICATE", "branches: they do not cover every plan once", "each chosen pair is forbidden one way or the other")  # fmt: skip


@dataclass(frozen=True, slots=True)
class Gain:
    """What a sale can earn: `gross` without gas, `net` with it (negative where it does not pay)."""

    sale: Sale
    gross: int
    net: int
    out_of: AssetId | None
    """The one asset it takes in, where it can take in but one."""


class Setting:
    """The part of a bound that does not depend on the prices: edges with their gas, and the ends of the order."""

    def __init__(self, order: Order) -> None:
        self.order = order
        rates = gas_values(order)
        names = wrapped_names(order.view)
        self.edges: list[Edge] = []
        for pool in order.view.pools.values():
            rate = rates.get(gas_place(pool.id), Fraction(0))
            nodes = tuple(names.get(asset) or AssetId(asset) for asset in pool.assets)
            gas = pool.gas * rate.numerator // rate.denominator
            per_tick = pool.gas_per_tick * rate.numerator // rate.denominator
            self.edges.append(Edge(pool, nodes, gas, per_tick))
        self.sources, self.targets = frozenset(order.sources), frozenset(order.targets)
        self.caps = source_caps(order)
        self._near: dict[AssetId, set[AssetId]] = {}
        self.nodes = self._between()
        self._only = self._detours()
        self.widest: Gain | None = None
        """Of the last bound, the sale that gains most: where it is worth branching."""
        self.sales = [sale for edge in self.edges for sale in self._sales(edge)]

    def _sales(self, edge: Edge) -> list[Sale]:
        inside = [k for k, node in enumerate(edge.nodes) if node in self.nodes]
        if len(inside) < 2:
            return []
        if isinstance(edge.pool, BalancerStablePool | CurvePool) and len(edge.nodes) > 2:
            return [Sale(edge, 0, 0)]
        return [
            Sale(edge, i, j)
            for i in inside
            for j in inside
            if i != j and self._leads(edge.nodes[i], edge.nodes[j])
        ]

    @property
    def ways(self) -> frozenset[tuple[AssetId, AssetId]]:
        """The pairs (sold, bought) that a plan can trade."""
        found = {sale.pair for sale in self.sales if sale.i != sale.j}
        for sale in self.sales:
            if sale.i == sale.j:
                found |= {(a, b) for a in sale.edge.nodes for b in sale.edge.nodes if self._leads(a, b)}
        return frozenset(found)

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
                _reached(self._near, self.targets, self.sources | without),
                _reached(self._near, self.sources, self.targets | without),
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
        kept = _reached(near, self.sources, self.targets) & _reached(near, self.targets, self.sources)
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
        whole = self.bound_raw(prices, net_out)
        if not branches:
            return whole
        covered(branches)
        return min(whole, max(self.bound_raw(branch.prices, net_out, branch.off) for branch in branches))

    def bound_raw(
        self, prices: Mapping[AssetId, str], net_out: int = 0, off: Collection[tuple[AssetId, AssetId]] = ()
    ) -> int:
        """The bound in raw units of the bought asset, rounded up; `net_out` is what a plan at hand is known to net.

        Of the pairs in `off` (sold, bought) nothing is traded.

        Raises Reject BAD_CERTIFICATE where an asset on the way has no price.
        """
        value = self._values("prices", prices)
        caps: dict[AssetId, int] = dict(self.caps)
        held = held_value(self.order, value)
        base = held + self._books(value, caps)
        have = net_out << SHIFT
        sales = [sale for sale in self.sales if not off or sale.i == sale.j or sale.pair not in off]
        gains = [g for sale in sales if (g := self._gain(sale, value, caps)).gross > 0]
        total = base + self._net(gains)
        for _ in range(ROUNDS):
            gap = total - have
            if gap <= 0:
                break
            gains = [gain for gain in gains if gain.net > -gap]
            tighter = self._caps(base, gap, gains, value)
            caps = {node: min(most, caps.get(node, most)) for node, most in tighter.items()}
            base = held + self._books(value, caps)
            gains = [g for gain in gains if (g := self._gain(gain.sale, value, caps)).gross > 0]
            before, total = total, min(total, base + self._net(gains))
            if (before - total) * _WORTH_A_ROUND < before - have:
                break
        self.widest = max(gains, key=lambda gain: gain.net, default=None)
        return -(-total >> SHIFT)

    def _net(self, gains: list[Gain]) -> int:
        """The most that can be earned together after gas."""
        return sum(gain.net for gain in gains if gain.net > 0)

    def _turns(self, given: AssetId, got: AssetId) -> list[tuple[AssetId, AssetId]]:
        """The names under which one asset can be sold for another."""
        return [(given, got)]

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
        self, base: int, gap: int, gains: list[Gain], value: Mapping[AssetId, int]
    ) -> dict[AssetId, int]:
        """How much of every asset a better plan can ever have to sell."""
        everything = base + sum(gain.gross for gain in gains if gain.net >= 0)
        # Of the pools that cost more than they gain, those that gain most for what they lose, as far as the gap goes.
        everything += most_within([(-g.net, g.gross) for g in gains if g.net < 0], gap)
        later: dict[AssetId, int] = {}
        for gain in gains:
            if gain.net >= 0 and gain.out_of is not None:
                later[gain.out_of] = later.get(gain.out_of, 0) + gain.gross
        caps = {node: -(-(everything - later.get(node, 0)) // value[node]) for node in self.nodes}
        for source, most in self.caps.items():
            caps[source] = most
        return caps

    def _books(self, value: Mapping[AssetId, int], caps: Mapping[AssetId, int]) -> int:
        """What taking the levels of the books that pay at the prices earns, within the caps; lots and minima are left out."""
        total = 0
        assets = self.order.view.assets
        for book in self.order.view.books:
            if not {book.base, book.quote} <= self.nodes:
                continue
            keep = 1 - Fraction(book.taker_fee_bps) / 10_000
            base, quote = 10 ** assets[book.base].decimals, 10 ** assets[book.quote].decimals
            bids = [(Fraction(qty) * base, keep * Fraction(px * qty) * quote) for px, qty in book.bids]
            asks = [(Fraction(px * qty) * quote, keep * Fraction(qty) * base) for px, qty in book.asks]
            for given, got, levels in ((book.base, book.quote, bids), (book.quote, book.base, asks)):
                if given not in self.targets and got not in self.sources:
                    for a, b in self._turns(given, got):
                        total += levels_gain_up(levels, value[a], value[b], caps.get(a))
        return total

    def _gain(self, sale: Sale, value: Mapping[AssetId, int], caps: Mapping[AssetId, int]) -> Gain:
        edge, i, j = sale
        pool = edge.pool
        if isinstance(pool, BalancerStablePool | CurvePool) or (
            isinstance(pool, SolidlyPool) and pool.stable
        ):
            gross = self._invariant(sale, value, caps)
            return Gain(sale, gross, gross - edge.gas, None if i == j else edge.nodes[i])
        given, got = edge.nodes[i], edge.nodes[j]
        v_in, v_out, cap = value[given], value[got], caps.get(given)
        if isinstance(pool, ConcentratedPool | ConcentratedV4Pool):
            fee = pool.fee_pips if isinstance(pool, ConcentratedPool) else pool.swap_fee_pips(i)
            gross, net = ranges_gain_up(pool, i, PIPS - fee, v_in, v_out, cap, edge.per_tick)
            return Gain(sale, gross, net - edge.gas, given)
        if isinstance(pool, WeightedPool):
            gross = weighted_gain_up(pool, i, j, v_in, v_out, cap)
        elif isinstance(pool, ConstantProductPool | SolidlyPool):
            keep, whole = _kept(pool)
            gross = product_gain_up(pool.reserves[i], pool.reserves[j], keep, whole, v_in, v_out, cap)
            if gross and isinstance(pool, SolidlyPool):
                # Its fee is rounded down: one unit of the input may go in free of it.
                gross += v_in
        else:
            raise TypeError(pool)
        return Gain(sale, gross, gross - edge.gas, given)

    def _invariant(self, sale: Sale, value: Mapping[AssetId, int], caps: Mapping[AssetId, int]) -> int:
        edge = sale.edge
        pool = edge.pool
        scale: tuple[int, ...]
        balances: tuple[int, ...]
        if isinstance(pool, SolidlyPool):
            scale = (WAD * WAD // pool.units[0], WAD * WAD // pool.units[1])
            balances = (pool.reserves[0] * WAD // pool.units[0], pool.reserves[1] * WAD // pool.units[1])
            fee_in, fee_out = Fraction(pool.fee_1e4, 10_000), Fraction(0)
        elif isinstance(pool, CurvePool):
            scale = pool.scaling
            balances = tuple(x * s // WAD for x, s in zip(pool.balances, scale, strict=True))
            fee_in, fee_out = Fraction(0), Fraction(pool.fee_1e10, 10**10)
        elif isinstance(pool, BalancerStablePool):
            scale = pool.scaling
            balances = tuple(x * s // WAD for x, s in zip(pool.balances, scale, strict=True))
            fee_in, fee_out = Fraction(pool.fee_1e18, WAD), Fraction(0)
        else:
            raise TypeError(pool)
        low: list[int] = []
        high: list[int | None] = []
        cap: list[int | None] = []
        for k, (node, s) in enumerate(zip(edge.nodes, scale, strict=True)):
            if node not in self.nodes:
                # Never traded here: it may have any price at all.
                low.append(0)
                high.append(None)
                cap.append(0)
                continue
            # Per unit of the pool's own scale.
            price = Fraction(value[node] * WAD, s)
            paid, taken = price * (1 - fee_out), price / (1 - fee_in)
            most = caps.get(node)
            one_way = sale.i != sale.j
            only_in = node in self.sources or (one_way and k == sale.i)
            only_out = node in self.targets or (one_way and k == sale.j)
            low.append(0 if only_in else -(-paid.numerator // paid.denominator))
            high.append(None if only_out else taken.numerator // taken.denominator)
            if only_out:
                cap.append(0)
            elif most is None:
                cap.append(None)
            else:
                net = Fraction(most * s, WAD) * (1 - fee_in)
                cap.append(-(-net.numerator // net.denominator) + 1)
        gross = gain_up(pool, Trade(balances, tuple(low), tuple(high), tuple(cap)))
        if gross and isinstance(pool, SolidlyPool):
            gross += max(value[node] for node in edge.nodes)
        return gross


def most_within(things: Sequence[tuple[int, int]], room: int) -> int:
    """At least what can be gained by things of (loss > 0, gain), parts of them too, while the losses stay within `room`; rounded up.

    By duality: for any rate, room * rate + the sum of max(0, gain - loss * rate). The rate is that of the thing that fills the room.
    """
    left = room
    for loss, gain in sorted(things, key=lambda thing: thing[0] / thing[1]):
        left -= loss
        if left < 0:
            over = sum(max(0, g * loss - lost * gain) for lost, g in things)
            return -(-(room * gain + over) // loss)
    return sum(gain for _, gain in things)


def levels_gain_up(levels: list[tuple[Fraction, Fraction]], v_in: int, v_out: int, cap: int | None) -> int:
    """What the levels (in raw, out raw; best first) gain that pay at the prices, up to `cap` raw in; rounded up."""
    total, left = Fraction(0), None if cap is None else Fraction(cap)
    for taken, paid in levels:
        gain = paid * v_out - taken * v_in
        if gain <= 0 or left == 0:
            break
        part = Fraction(1) if left is None or left >= taken else left / taken
        total += gain * part
        left = None if left is None else left - taken * part
    return -(-total.numerator // total.denominator)


def _reached(
    near: Mapping[AssetId, set[AssetId]], starts: frozenset[AssetId], ends: frozenset[AssetId]
) -> set[AssetId]:
    """What is reached from `starts` without passing through `ends`."""
    found, ring = set(starts), list(starts)
    while ring:
        node = ring.pop()
        if node in ends:
            continue
        for other in near.get(node, ()):
            if other not in found:
                found.add(other)
                ring.append(other)
    return found


def _kept(pool: ConstantProductPool | SolidlyPool) -> tuple[int, int]:
    if isinstance(pool, ConstantProductPool):
        return PIPS - pool.fee_pips, PIPS
    return 10_000 - pool.fee_1e4, 10_000


def in_whole(order: Order, asset: AssetId, per_raw: float) -> str:
    """A price per raw unit, in raw units of the bought asset, as a certificate writes it."""
    assets = order.view.assets
    return repr(float(per_raw) * 10.0 ** (assets[asset].decimals - assets[order.buy].decimals))


__all__ = ["MAX_PAIRS", "Branch", "Gain", "Setting", "covered", "in_whole", "most_within"]
