"""The greedy split compiled: `Search.run`, `margins` and `alone` of `agent.routing.search`, step by step in the same order."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from agent.routing.kernels.jit import compiled, inlined
from agent.routing.kernels.sales import Market, sold
from agent.routing.kernels.whole import as_float, halved, less, minus, plus
from agent.routing.tables import Bools, Floats, Ints

_THINNEST = 6
"""A path is offered no less than a 2**6-th of a chunk, by steps of 2**3."""


class Paths(NamedTuple):
    """A problem's paths side by side, in few arrays: each costs a call a microsecond.

    `first` is where each path's steps begin, `slots` how many numbers all their states have. `steps` by step: the curve, the places of the assets
    in it, the hop, where its state is kept and how many numbers that has, and the curve's number among these paths; `costs` its gas when first
    used and per tick. By path, `scales`: into the path's asset, into the bought one, the price of gas; `homes`: source and place. By hop,
    `hops`: its assets. `shared` are, from `sharers` of a curve's number on, the paths that use it. `overhead` by place: what its
    transaction costs, in gas.
    """

    first: Ints
    slots: int
    steps: Ints
    costs: Floats
    scales: Floats
    homes: Ints
    hops: Ints
    sharers: Ints
    shared: Ints
    overhead: Floats
    overheads: bool


CURVE, GIVEN, GOT, HOP, SLOT, WIDTH, LOCAL = range(7)


class Split(NamedTuple):
    """What a run put where: amounts of paths (both parts), paths and hops in the order they were first used, flow by hop, places used."""

    high: Ints
    low: Ints
    order: Ints
    flow: Floats
    hops: Ints
    lit: Bools
    left: tuple[int, int]
    gain: float
    refused: Ints


@inlined
def _quote(kinds: Ints, par_at: Ints, state_at: Ints, par: Floats, first: Ints, steps: Ints, costs: Floats, scales: Floats, homes: Ints, overhead: Floats, overheads: bool, k: int, held: float, share: float, states: Floats, used: Bools, lit: Bools, inputs: Floats, after: Floats) -> tuple[bool, float, float]:  # fmt: skip
    """Whether the path can take it, its net and its gain; `inputs` by step and `after` by slot are filled in."""
    held *= scales[k, 0]
    gas = ticks = 0.0
    for at in range(first[k], first[k + 1]):
        out, crossed = sold(kinds, par_at, state_at, par, steps[at, CURVE], steps[at, GIVEN], steps[at, GOT], held, states, after, steps[at, SLOT])  # fmt: skip
        # None of it where there is none, and none where a number has left its range.
        if not out >= 1:
            return False, 0.0, 0.0
        inputs[at] = held
        held = out
        if crossed:
            ticks += crossed * costs[at, 1]
        if not used[steps[at, HOP]]:
            gas += costs[at, 0]
    place = homes[k, 1]
    if share != 0 and overheads and not lit[place]:
        gas += overhead[place]
    rate = scales[k, 2]
    gain = held * scales[k, 1] - ticks * rate
    return True, gain - share * gas * rate, gain


@compiled
def _fits(
    first: Ints, steps: Ints, ends: Ints, k: int, used: Bools, hops: Ints, count: int, most: int
) -> bool:
    """No more legs than allowed, and an order in which they can execute."""
    all_of = np.empty(count + first[k + 1] - first[k], dtype=np.int64)
    all_of[:count] = hops[:count]
    n = count
    for at in range(first[k], first[k + 1]):
        if not used[steps[at, HOP]]:
            all_of[n] = steps[at, HOP]
            n += 1
    if n == count:
        return True
    if n > most:
        return False
    while n:
        # What nothing leads to goes first; a cycle is what is left.
        kept = 0
        for a in range(n):
            waits = False
            for b in range(n):
                if ends[all_of[b], 1] == ends[all_of[a], 0]:
                    waits = True
                    break
            if waits:
                all_of[kept] = all_of[a]
                kept += 1
            # Those before `a` that went first are still looked at for `a`: it then goes a round later.
        if kept == n:
            return False
        n = kept
    return True


@compiled
def margins(market: Market, paths: Paths, start: Floats, base: Ints, part_high: int, part_low: int) -> Floats:  # fmt: skip
    """What every path gives per unit on top of `base`; NaN where it takes none of the sizes."""
    kinds, par_at, state_at, par = market.kind, market.par_at, market.state_at, market.par
    first, steps, costs, scales = paths.first, paths.steps, paths.costs, paths.scales
    homes, overhead, overheads = paths.homes, paths.overhead, paths.overheads
    count = len(first) - 1
    states, after = start.copy(), np.empty(paths.slots)
    inputs = np.empty(first[-1])
    used, lit = np.zeros(len(paths.hops), dtype=np.bool_), np.zeros(len(overhead), dtype=np.bool_)
    for n in range(len(base)):
        k = base[n, 0]
        ok, _, _ = _quote(kinds, par_at, state_at, par, first, steps, costs, scales, homes, overhead, overheads, k, as_float(base[n, 1], base[n, 2]), 0.0, states, used, lit, inputs, after)  # fmt: skip
        if ok:
            _settle(state_at, first, steps, k, states, after)
    found = np.full(count, np.nan)
    if part_high == 0 and part_low == 0:
        return found
    for k in range(count):
        for times in range(0, _THINNEST + 1, 3):
            high, low = halved(part_high, part_low, times)
            if high == 0 and low == 0:
                low = 1
            ok, _, gain = _quote(
                kinds,
                par_at,
                state_at,
                par,
                first,
                steps,
                costs,
                scales,
                homes,
                overhead,
                overheads,
                k,
                as_float(high, low),
                0.0,
                states,
                used,
                lit,
                inputs,
                after,
            )
            if ok:
                found[k] = gain / as_float(high, low)
                break
    return found


@compiled
def alone(market: Market, paths: Paths, start: Floats, amounts: Floats) -> Floats:
    """The net of each of `amounts` (rows) over each path alone, gas in full; NaN where it cannot take it."""
    kinds, par_at, state_at, par = market.kind, market.par_at, market.state_at, market.par
    first, steps, costs, scales = paths.first, paths.steps, paths.costs, paths.scales
    homes, overhead, overheads = paths.homes, paths.overhead, paths.overheads
    count = len(first) - 1
    after, inputs = np.empty(paths.slots), np.empty(first[-1])
    used, lit = np.zeros(len(paths.hops), dtype=np.bool_), np.zeros(len(overhead), dtype=np.bool_)
    found = np.full((len(amounts), count), np.nan)
    for n in range(len(amounts)):
        for k in range(count):
            ok, net, _ = _quote(
                kinds,
                par_at,
                state_at,
                par,
                first,
                steps,
                costs,
                scales,
                homes,
                overhead,
                overheads,
                k,
                amounts[n],
                1.0,
                start,
                used,
                lit,
                inputs,
                after,
            )
            if ok:
                found[n, k] = net
    return found


@inlined
def _settle(state_at: Ints, first: Ints, steps: Ints, k: int, states: Floats, after: Floats) -> None:
    """The path's curves stand where its quote said."""
    for at in range(first[k], first[k + 1]):
        to, slot = state_at[steps[at, CURVE]], steps[at, SLOT]
        for n in range(steps[at, WIDTH]):
            states[to + n] = after[slot + n]


@compiled
def run(
    market: Market, paths: Paths, start: Floats, base: Ints, usable: Ints, amount: tuple[int, int],
    chunk: tuple[int, int], share: float, caps: Ints, dust: tuple[int, int], most: int,
) -> Split:  # fmt: skip
    """`base` are (path, high, low), `caps` by source (whether there is one, high, low). `Search.run` with `amount` and `chunk` worked out; where paths of `base` refuse their part these are named and nothing else is done."""
    kinds, par_at, state_at, par = market.kind, market.par_at, market.state_at, market.par
    first, steps, costs, scales = paths.first, paths.steps, paths.costs, paths.scales
    homes, overhead, overheads = paths.homes, paths.overhead, paths.overheads
    ends, sharers, shared = paths.hops, paths.sharers, paths.shared
    count, sources = len(first) - 1, len(caps)
    states, after = start.copy(), np.empty(paths.slots)
    inputs, flow = np.empty(first[-1]), np.zeros(len(ends))
    used, lit = np.zeros(len(ends), dtype=np.bool_), np.zeros(len(overhead), dtype=np.bool_)
    high, low = np.zeros(count, dtype=np.int64), np.zeros(count, dtype=np.int64)
    taken, order, orders = np.zeros(count, dtype=np.bool_), np.empty(count, dtype=np.int64), 0
    hops, legs = np.empty(len(ends), dtype=np.int64), int(np.int64(0))
    capped, room_high, room_low = caps[:, 0] != 0, caps[:, 1].copy(), caps[:, 2].copy()
    size_high, size_low = np.zeros(sources, dtype=np.int64), np.zeros(sources, dtype=np.int64)
    # By path: 0 no quote at hand, 1 none to be had, 2 one; its part, net and gain; how often its part is halved; 0 not known, 1 fits, 2 not.
    state, thin, fits = np.zeros(count, dtype=np.int64), np.zeros(count, dtype=np.int64), np.zeros(count, dtype=np.int64)  # fmt: skip
    part_high, part_low = np.zeros(count, dtype=np.int64), np.zeros(count, dtype=np.int64)
    rates, gains = np.zeros(count), np.zeros(count)
    refused, refusals = np.empty(len(base), dtype=np.int64), 0
    gain = 0.0
    left_high, left_low = amount
    chunk_high, chunk_low = chunk
    halvings, put, best = 0, 0, -1
    while True:
        if put < len(base):
            best = base[put, 0]
            part_high[best], part_low[best] = base[put, 1], base[put, 2]
            ok, _, gains[best] = _quote(kinds, par_at, state_at, par, first, steps, costs, scales, homes, overhead, overheads, best, as_float(base[put, 1], base[put, 2]), 0.0, states, used, lit, inputs, after)  # fmt: skip
            put += 1
            if not ok:
                refused[refusals] = best
                refusals += 1
                continue
        else:
            if refusals or (left_high == 0 and left_low == 0):
                break
            for n in range(sources):
                size_high[n], size_low[n] = chunk_high, chunk_low
                if less(left_high, left_low, chunk_high, chunk_low):
                    size_high[n], size_low[n] = left_high, left_low
                if capped[n] and less(room_high[n], room_low[n], size_high[n], size_low[n]):
                    size_high[n], size_low[n] = room_high[n], room_low[n]
            best, best_rate = -1, 0.0
            for k in usable:
                whole_h, whole_l = size_high[homes[k, 0]], size_low[homes[k, 0]]
                nothing = whole_h < 0 or (whole_h == 0 and whole_l == 0)
                th, tl = halved(whole_h, whole_l, thin[k])
                if thin[k] and th == 0 and tl == 0:
                    tl = 1
                if state[k] == 0 or part_high[k] != th or part_low[k] != tl:
                    state[k], rates[k] = 1, 0.0
                    while True:
                        th, tl = halved(whole_h, whole_l, thin[k])
                        if not nothing and th == 0 and tl == 0:
                            tl = 1
                        part_high[k], part_low[k] = th, tl
                        if nothing:
                            break
                        amount_in = as_float(th, tl)
                        ok, net, gains[k] = _quote(kinds, par_at, state_at, par, first, steps, costs, scales, homes, overhead, overheads, k, amount_in, share, states, used, lit, inputs, after)  # fmt: skip
                        if ok:
                            state[k], rates[k] = 2, net / amount_in
                            break
                        if thin[k] >= _THINNEST:
                            break
                        thin[k] += 3
                if state[k] != 2 or (best >= 0 and rates[k] <= best_rate):
                    continue
                if fits[k] == 0:
                    fits[k] = 1 if _fits(first, steps, ends, k, used, hops, legs, most) else 2
                if fits[k] == 1:
                    best, best_rate = k, rates[k]
            if best < 0 and not less(dust[0], dust[1], left_high, left_low):
                # A rest too small to swap alone goes to the path that has the most already.
                top = -1
                for n in range(orders):
                    k = order[n]
                    source = homes[k, 0]
                    if capped[source] and less(room_high[source], room_low[source], left_high, left_low):
                        continue
                    if top < 0 or less(high[top], low[top], high[k], low[k]):
                        top = k
                if top >= 0:
                    high[top], low[top] = plus(high[top], low[top], left_high, left_low)
                    left_high, left_low = 0, 0
                    break
            if best < 0:
                halvings += 1
                if halvings > 6 or (chunk_high == 0 and chunk_low == 1):
                    break
                chunk_high, chunk_low = halved(chunk_high, chunk_low, int(np.int64(2)))
                if chunk_high == 0 and chunk_low == 0:
                    chunk_low = 1
                state[:] = 0
                continue
            left_high, left_low = minus(left_high, left_low, part_high[best], part_low[best])
        _settle(state_at, first, steps, best, states, after)
        gain += gains[best]
        place, source = homes[best, 1], homes[best, 0]
        fresh, first_there = False, not lit[place]
        lit[place] = True
        for at in range(first[best], first[best + 1]):
            hop = steps[at, HOP]
            if not used[hop]:
                used[hop], fresh = True, True
                hops[legs] = hop
                legs += 1
            flow[hop] += inputs[at]
            local = steps[at, LOCAL]
            for n in range(sharers[local], sharers[local + 1]):
                state[shared[n]] = 0
        if not taken[best]:
            taken[best] = True
            order[orders] = best
            orders += 1
        high[best], low[best] = plus(high[best], low[best], part_high[best], part_low[best])
        if capped[source]:
            room_high[source], room_low[source] = minus(room_high[source], room_low[source], part_high[best], part_low[best])  # fmt: skip
        if fresh:
            fits[:] = 0
        if first_there and share != 0 and overheads:
            for k in range(count):
                if homes[k, 1] == place:
                    state[k] = 0
    return Split(high, low, order[:orders], flow, hops[:legs], lit, (left_high, left_low), gain, refused[:refusals])  # fmt: skip


@compiled
def worths(
    market: Market, paths: Paths, start: Floats, bases: Ints, base_ends: Ints, usable: Ints, usable_ends: Ints, asked: Ints, shares: Floats, firsts: Floats,
    caps: Ints, dust: tuple[int, int], most: int,
) -> Floats:  # fmt: skip
    """What each of many runs comes to, with no overheads: infinite where paths of its base refuse their part, minus infinity where something is left. `asked` are amount and chunk
    by their parts, `firsts` by hop what its first use costs; the bases and usable paths of all runs stand one after the other, up to their `ends`."""
    found = np.empty(len(asked))
    for n in range(len(asked)):
        base = bases[0 if n == 0 else base_ends[n - 1] : base_ends[n]]
        only = usable[0 if n == 0 else usable_ends[n - 1] : usable_ends[n]]
        made = run(market, paths, start, base, only, (asked[n, 0], asked[n, 1]), (asked[n, 2], asked[n, 3]), shares[n], caps, dust, most)  # fmt: skip
        fixed = 0.0
        for hop in made.hops:
            fixed += firsts[hop]
        found[n] = made.gain - fixed
        if made.left[0] or made.left[1]:
            found[n] = -np.inf
        if len(made.refused):
            found[n] = np.inf
    return found


__all__ = ["Paths", "Split", "alone", "margins", "run", "worths"]
