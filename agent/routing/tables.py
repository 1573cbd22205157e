"""All curves of a market side by side in numpy arrays: what the dual solve walks. Floats; they never become an amount.

An edge is one direction of a pool between two of its assets, or a side of a book. It is a row of knots: at square-root
marginal price s (out per net in, raw) so much went in and came out, and between two knots the curve is that of constant liquidity,
in + lin * (1/t - 1/s) and out + lout * (s - t): exact for products and for ranges of liquidity, an interpolation for others.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from math import sqrt
from typing import Any

import numpy as np
import numpy.typing as npt

from agent.amm import (
    BalancerStablePool,
    ConcentratedPool,
    ConcentratedV4Pool,
    ConstantProductPool,
    Pool,
    SolidlyPool,
    WeightedPool,
)
from agent.amm.math import UINT112_MAX
from agent.domain.instruments import AssetId, Place, place_of
from agent.market.book import Book
from agent.market.view import MarketView
from agent.routing.certificate.crossings import MARK, crossings
from agent.routing.curves import Curve, curve_of
from agent.routing.graph import Hop

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]
Bools = npt.NDArray[np.bool_]

PRICE_STRIDE, SIZE_STRIDE = 400.0, 3000.0
_LOWEST = 1e-80
_SHARES = (0.0, 1e-3, 3e-3, 1e-2, 2e-2, 4e-2, 7e-2, 0.11, 0.16, 0.22, 0.299)
_STABLE_SHARES = (0.0, *(10.0 ** (-4 + k * 0.2) for k in range(28)))
_NUDGE = 1e-6
_AMPLE = 16.0
_FINER, _FAR = 8, 1.1
"""Knots are put between two whose prices' square roots are further apart than that, so many times."""
_ENDLESS, _NEAR_FULL, _BELOW = 1e290, 1e6, 1 - 1e-12
"""A reserve so many times of which is more than its pair can hold is near full: what it still takes is bounded, and told a breath less."""


@dataclass
class Row:
    """One edge being made: knots in order, `gas` when used at all, `per_tick` when a knot is passed."""

    hop: Hop
    keep_in: float
    s: list[float]
    ins: list[float]
    outs: list[float]
    lin: list[float]
    lout: list[float]
    gas: int
    per_tick: int


class Tables:
    """Every edge of a view, `rows` by number; arrays by knot, `first` and `last` the edge's range of knots."""

    def __init__(self, view: MarketView, typical: Mapping[str, int] | None = None) -> None:
        """`typical` is what is sent over transfers, by their ids, where that is known: their fixed fee is spread over so much."""
        wrapped = {f"{place}/slip44:60": gas.native_as for place, gas in view.gas.items()}
        rows: list[Row] = []
        for pool in view.pools.values():
            rows += pool_rows(pool, [wrapped.get(asset, AssetId(asset)) for asset in pool.assets])
        for book in view.books:
            rows += book_rows(view, book)
        rows += crossing_rows(view, typical or {})
        self.hops = [row.hop for row in rows]
        self.nodes = sorted({asset for hop in self.hops for asset in (hop.asset_in, hop.asset_out)})
        self.number = {asset: k for k, asset in enumerate(self.nodes)}
        self.places: list[Place] = list(dict.fromkeys(place_of(node) for node in self.nodes))
        self.place: Ints = np.array(
            [self.places.index(place_of(node)) for node in self.nodes], dtype=np.int64
        )
        """By node, the number of its chain."""
        self.i: Ints = np.array([self.number[hop.asset_in] for hop in self.hops], dtype=np.int64)
        self.j: Ints = np.array([self.number[hop.asset_out] for hop in self.hops], dtype=np.int64)
        self.keep: Floats = np.array([row.keep_in for row in rows])
        self.gas: Floats = np.array([float(row.gas) for row in rows])
        self.per_tick: Floats = np.array([float(row.per_tick) for row in rows])
        counts = np.array([len(row.s) for row in rows], dtype=np.int64)
        self.last: Ints = np.cumsum(counts) - 1
        self.first: Ints = self.last - counts + 1
        self.s, self.ins, self.outs = (_flat([getattr(r, n) for r in rows]) for n in ("s", "ins", "outs"))
        self.lin, self.lout = (_flat([getattr(r, n) for r in rows]) for n in ("lin", "lout"))
        self.row: Ints = np.arange(len(rows), dtype=np.int64)
        """Whose knots an edge walks: two edges may share them."""
        owner = np.repeat(np.arange(len(rows), dtype=np.float64), counts)
        self.price_key: Floats = owner * PRICE_STRIDE - np.log(np.maximum(self.s, _LOWEST))
        self.size_key: Floats = owner * SIZE_STRIDE + np.log(np.maximum(self.ins, 1e-300))
        self.spot: Floats = self.s[self.first] ** 2 * self.keep
        self.where = {hop: k for k, hop in enumerate(self.hops)}
        pairs: dict[tuple[str, frozenset[AssetId]], int] = {}
        ends = [(hop.id, frozenset((hop.asset_in, hop.asset_out))) for hop in self.hops]
        self.pair: Ints = np.array([pairs.setdefault(pair, len(pairs)) for pair in ends], dtype=np.int64)
        """Which pair of a pool an edge trades, one way or the other."""

    @cached_property
    def knots(self) -> Floats:
        """What the compiled dual walks: `s`, `ins`, `outs`, `lin` and `lout` by knot."""
        return np.column_stack((self.s, self.ins, self.outs, self.lin, self.lout))


def _flat(lists: Sequence[Sequence[float]]) -> Floats:
    return np.array([value for values in lists for value in values], dtype=np.float64)


def pool_rows(pool: Pool, nodes: Sequence[AssetId]) -> list[Row]:
    """The edges of a pool; none where it is empty or has no price."""
    if isinstance(pool, ConcentratedPool | ConcentratedV4Pool):
        return [row for i in (0, 1) if (row := _ranges(pool, nodes, i)) is not None]
    rows: list[Row] = []
    if isinstance(pool, ConstantProductPool) or (isinstance(pool, SolidlyPool) and not pool.stable):
        fee = pool.fee_pips / 1e6 if isinstance(pool, ConstantProductPool) else pool.fee_1e4 / 1e4
        if not all(pool.reserves):
            return []
        x, y = map(float, pool.reserves)
        depth = sqrt(x) * sqrt(y)
        for a, p, q in ((0, x, y), (1, y, x)):
            stop, most, out = 0.0, _ENDLESS, q
            if isinstance(pool, ConstantProductPool) and p * _NEAR_FULL > UINT112_MAX:
                # Reserves are of 112 bits: what goes beyond is refused.
                most = (UINT112_MAX - p) * (1 - fee) * _BELOW
                stop, out = depth / (p + most), most * q / (p + most)
            rows.append(
                Row(Hop(pool.id, nodes[a], nodes[1 - a]), 1 - fee, [sqrt(q / p), stop], [0.0, most], [0.0, out], [depth, 0.0], [depth, 0.0], pool.gas, 0)
            )  # fmt: skip
        return rows
    held = pool.reserves if isinstance(pool, SolidlyPool) else pool.balances
    if not all(held):
        return []
    curve = curve_of(pool)
    for i in range(len(nodes)):
        for j in range(len(nodes)):
            if i != j:
                row = _sampled(pool, curve, nodes, i, j)
                if row is not None:
                    rows.append(row)
    return rows


def _ranges(pool: ConcentratedPool | ConcentratedV4Pool, nodes: Sequence[AssetId], i: int) -> Row | None:
    fee = pool.fee_pips if isinstance(pool, ConcentratedPool) else pool.swap_fee_pips(i)
    start = pool.sqrt_price_x96 / 2**96
    if not start or fee >= 1_000_000:
        return None
    ticks, nets = pool.table.ticks, pool.table.nets
    at = pool.table.at_or_below(pool.tick) if i == 0 else pool.table.above(pool.tick)
    order = range(at, -1, -1) if i == 0 else range(at, len(ticks))
    # Selling token 1 is the same walk on the inverse price.
    s = [start if i == 0 else 1 / start]
    liquidity = [float(pool.liquidity)]
    held = pool.liquidity
    for k in order:
        edge = 1.0001 ** ((ticks[k] if i == 0 else -ticks[k]) / 2)
        held += -nets[k] if i == 0 else nets[k]
        s.append(min(edge, s[-1]))
        if held < 0:
            break
        liquidity.append(float(held))
    liquidity = [*liquidity[: len(s) - 1], 0.0]
    steps = np.array(s)
    depth = np.array(liquidity[:-1])
    ins = np.concatenate(([0.0], np.cumsum(depth * (1 / steps[1:] - 1 / steps[:-1]))))
    outs = np.concatenate(([0.0], np.cumsum(depth * (steps[:-1] - steps[1:]))))
    hop = Hop(pool.id, nodes[i], nodes[1 - i])
    return Row(hop, 1 - fee / 1e6, s, ins.tolist(), outs.tolist(), liquidity, liquidity, pool.gas, pool.gas_per_tick)  # fmt: skip


def _sampled(pool: Any, curve: Curve, nodes: Sequence[AssetId], i: int, j: int) -> Row | None:
    """Knots at shares of the balance that comes in, between which liquidity is taken as constant."""
    weighted = isinstance(pool, WeightedPool)
    keep = 1 - pool.fee_1e18 / 1e18 if weighted or isinstance(pool, BalancerStablePool) else 1.0
    if isinstance(pool, SolidlyPool):
        keep = 1 - pool.fee_1e4 / 1e4
    held = float((pool.reserves if isinstance(pool, SolidlyPool) else pool.balances)[i])
    s: list[float] = []
    ins: list[float] = []
    outs: list[float] = []
    if weighted:
        x, y, r = held, float(pool.balances[j]), pool.weights[i] / pool.weights[j]
        for share in _SHARES:
            after = (1 + share) ** -r
            s.append(sqrt(y * r * after / (1 + share) / x))
            ins.append(share * x)
            outs.append(y * (1 - after))
    else:
        knots = [
            knot for share in _STABLE_SHARES if (knot := _knot(pool, curve, i, j, share * held, held, keep))
        ]
        for _ in range(_FINER):
            # Where the price falls fast, constant liquidity between two knots would pay more than the pool does.
            far = [k for k in range(len(knots) - 1) if knots[k][0] > _FAR * knots[k + 1][0] > 0]
            between = [_knot(pool, curve, i, j, (knots[k][1] + knots[k + 1][1]) / 2, held, keep) for k in far]
            if not any(between):
                break
            knots = sorted([*knots, *(knot for knot in between if knot)], key=lambda knot: knot[1])
        for price, net, got in knots:
            s.append(price)
            ins.append(net)
            outs.append(got)
    ok = [k for k in range(len(s)) if k == 0 or s[k] < s[k - 1]]
    if len(ok) < 2:
        return None
    s, ins, outs = ([values[k] for k in ok] for values in (s, ins, outs))
    lin = [(ins[k + 1] - ins[k]) / (1 / s[k + 1] - 1 / s[k]) for k in range(len(s) - 1)]
    lout = [(outs[k + 1] - outs[k]) / (s[k] - s[k + 1]) for k in range(len(s) - 1)]
    return Row(Hop(pool.id, nodes[i], nodes[j]), keep, s, ins, outs, [*lin, 0.0], [*lout, 0.0], pool.gas, 0)


def _knot(
    pool: Any, curve: Curve, i: int, j: int, net: float, held: float, keep: float
) -> tuple[float, float, float] | None:
    """(square root of the price, in, out) where `net` of what comes in is in; None where the curve ends before."""
    near = curve.sell(curve.start, i, j, (net + held * _NUDGE) / keep)
    less = curve.sell(curve.start, i, j, net / keep) if net else (0.0, (), 0)
    if near is None or less is None or near[0] <= less[0]:
        return None
    return sqrt((near[0] - less[0]) / (held * _NUDGE)), net, less[0]


def book_rows(view: MarketView, book: Book) -> list[Row]:
    """Both sides: every level a nearly flat stretch, fee included."""
    base, quote = (10.0 ** view.assets[asset].decimals for asset in (book.base, book.quote))
    keep = 1 - float(book.taker_fee_bps) / 1e4
    rows = []
    for asset_in, asset_out, levels in ((book.base, book.quote, book.bids), (book.quote, book.base, book.asks)):  # fmt: skip
        s: list[float] = []
        ins, outs, lin, lout = [0.0], [0.0], [], []
        for px, qty in levels:
            size, money = float(qty) * base, float(px * qty) * quote
            taken, paid = (size, money * keep) if asset_in == book.base else (money, size * keep)
            price = sqrt(paid / taken)
            high, low = price * (1 + _NUDGE), price * (1 - _NUDGE)
            if s and high >= s[-1]:
                high = s[-1]
                low = min(low, high * (1 - _NUDGE))
            s += [high, low]
            ins += [ins[-1] + taken, ins[-1] + taken]
            outs += [outs[-1] + paid, outs[-1] + paid]
            lin += [taken / (1 / low - 1 / high), 0.0]
            lout += [paid / (high - low), 0.0]
        if s:
            rows.append(
                Row(
                    Hop(book.id, asset_in, asset_out, True),
                    1.0,
                    s,
                    ins[:-1],
                    outs[:-1],
                    lin,
                    lout,
                    0,
                    0,
                )
            )
    return rows


def crossing_rows(view: MarketView, typical: Mapping[str, int]) -> list[Row]:
    """A transfer is one nearly flat stretch."""
    rows = []
    for one in crossings(view):
        sent = float(min(max(typical.get(one.id, one.transfer.max_raw), 1), one.transfer.max_raw))
        # A stretch far longer than what is sent would lose its slope in the last places of a float.
        most = min(float(one.transfer.max_raw), _AMPLE * sent)
        paid = (float(one.keep) * sent - float(one.transfer.fee_raw)) * float(one.scale)
        if sent <= 0 or paid <= 0:
            continue
        high = sqrt(paid / sent)
        low = high * (1 - _NUDGE)
        taken, gave = most, most * paid / sent
        knots = [0.0, taken], [0.0, gave], [taken / (1 / low - 1 / high), 0.0], [gave / (high - low), 0.0]
        rows.append(Row(Hop(one.id, one.given, one.got, True), 1.0, [high, low], *knots, 0, 0))
    return rows


def depth_prices(view: MarketView, tables: Tables, root: AssetId) -> dict[AssetId, float]:
    """Value of a raw unit of every asset in raw units of `root`, along the deepest edges: where a solve begins."""
    from heapq import heappop, heappush

    onward: dict[int, list[int]] = {}
    for e in range(len(tables.hops)):
        onward.setdefault(int(tables.i[e]), []).append(e)
        if tables.hops[e].id.startswith(MARK):
            # One way only: what leads here is found from here too.
            onward.setdefault(int(tables.j[e]), []).append(e)
    value: dict[int, float] = {}
    waiting: list[tuple[float, int, float]] = (
        [(0.0, tables.number[root], 1.0)] if root in tables.number else []
    )
    while waiting:
        _, node, worth = heappop(waiting)
        if node in value:
            continue
        value[node] = worth
        for e in onward.get(node, ()):
            back = int(tables.i[e]) != node
            other = int(tables.i[e] if back else tables.j[e])
            if other in value:
                continue
            rate = float(tables.spot[e] / tables.keep[e])
            rate = 1 / rate if back and rate > 0 else rate
            depth = worth * float(tables.lin[tables.first[e]] / tables.s[tables.first[e]])
            if rate > 0 and depth > 0:
                heappush(waiting, (-depth, other, worth / rate))
    return {tables.nodes[node]: worth for node, worth in value.items()}


__all__ = ["Tables", "depth_prices"]
