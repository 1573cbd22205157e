"""Local search around a plan: legs added where another path pays at the margin, and each leg tried without.

The greedy split decides once which legs to pay for, and more candidates can lead it astray; here the split at hand is changed leg
by leg, and only what is worth more after exact execution is kept. So it can start from any plan and never answers less.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

from agent.routing.graph import Hop
from agent.routing.plan import Plan
from agent.routing.search import Asked, Floor, Search, Split

_ROUNDS = 8
_CHUNKS = 32
_TAKEN_BACK = (8, 2)
_JOINED = 16
_LITTLE, _PARTS = (64, 1024), 16
_SWAPPED = 8
_NEAR = 1e-3
"""A coarse trial this share below the plan may still beat it once its amounts are settled."""

Settle = Callable[[Search, Split], tuple[Plan, Split] | None]


def _added(search: Search, split: Split, floor: Floor) -> Iterator[Split]:
    """A part of every path's amount handed out again over all paths, first uses charged in full and nearly not."""
    amount, asked = search.problem.amount, list[Asked]()
    for part in _TAKEN_BACK:
        step = max(amount // part, 1)
        kept = {k: held - min(held, step) for k, held in split.amounts.items()}
        kept = {k: held for k, held in kept.items() if held}
        freed = amount - sum(kept.values())
        for share in (1.0, 0.1):
            asked.append(Asked(freed, max(_CHUNKS * freed // amount, 4), share, kept))
    return search.runs(asked, floor)


def _joined(search: Search, split: Split, floor: Floor) -> Iterator[Split]:
    """One path more, for as much of the amount as it takes with its legs paid for: those that would pay best at the margin first."""
    amount = search.problem.amount
    kept = {k: held - held // 2 for k, held in split.amounts.items()}
    part = max(amount // _CHUNKS, 1)
    margins = search.margins(kept, part)
    now = max((margins.get(k, 0.0) for k in kept), default=0.0)
    last = search.margins({k: held - held // _CHUNKS for k, held in split.amounts.items()}, part)
    least = max((last.get(k, 0.0) for k in kept), default=0.0)
    others = sorted(
        (k for k in margins if k not in kept and margins[k] > least), key=lambda k: (-margins[k], k)
    )
    freed = amount - sum(kept.values())
    joined = (frozenset((*kept, k)) for k in others[:_JOINED] if now > 0)
    return search.runs([Asked(freed, _CHUNKS // 2, 0.0, kept, only=only) for only in joined], floor)


def _sprinkled(search: Search, split: Split, floor: Floor) -> Iterator[Split]:
    """One path more for a little: pools too thin for a whole chunk, at two finer scales, where their gas is earned."""
    amount = search.problem.amount
    for scale in _LITTLE:
        kept = {k: held - held // scale for k, held in split.amounts.items()}
        freed = amount - sum(kept.values())
        if freed < _PARTS:
            continue
        margins = search.margins(kept, freed // _PARTS)
        least = max((margins.get(k, 0.0) for k in kept), default=0.0)
        others = sorted(
            (k for k in margins if k not in kept and margins[k] > least), key=lambda k: (-margins[k], k)
        )
        if not others:
            continue
        now = search.run(freed, _PARTS, 0.0, kept, only=frozenset(kept)).worth
        joined = (frozenset((*kept, k)) for k in others[:_JOINED])
        asked = [Asked(freed, _PARTS, 0.0, kept, only=only) for only in joined]
        yield from (trial for trial in search.runs(asked, floor) if trial.worth > now)


def _without(search: Search, split: Split, floor: Floor) -> Iterator[Split]:
    """Each leg in turn left out, what it carried handed to any other path."""
    amount = search.problem.amount
    carried, asked = dict[Hop, int](), list[Asked]()
    for k, held in split.amounts.items():
        for hop in search.paths[k].hops:
            carried[hop] = carried.get(hop, 0) + held
    for hop in sorted(carried, key=lambda hop: (carried[hop], hop.id)):
        banned = frozenset((hop,))
        kept = {k: held for k, held in split.amounts.items() if hop not in search.paths[k].hops}
        freed = amount - sum(kept.values())
        if freed:
            asked.append(Asked(freed, max(_CHUNKS * freed // amount, 2), 1.0, kept, banned))
    return search.runs(asked, floor)


def _swapped(search: Search, split: Split, floor: Floor) -> Iterator[Split]:
    """Another pool in the place of one, for everything it carries: two that are near each other by price may differ by more than a leg's gas."""
    amount = search.problem.amount
    numbers = {path.hops: k for k, path in enumerate(search.paths)}
    between: dict[tuple[str, str], set[Hop]] = {}
    for path in search.paths:
        for hop in path.hops:
            between.setdefault((hop.asset_in, hop.asset_out), set()).add(hop)
    used = {hop for k in split.amounts for hop in search.paths[k].hops}
    kept = {k: held - held // _SWAPPED for k, held in split.amounts.items()}
    freed = amount - sum(kept.values())
    now, asked = search.run(freed, _PARTS, 0.0, kept, only=frozenset(kept)).worth, list[Asked]()
    for hop in sorted(used):
        for other in sorted(between[hop.asset_in, hop.asset_out] - used):
            moved: dict[int, int] = {}
            for k, held in kept.items():
                k = numbers.get(tuple(other if one == hop else one for one in search.paths[k].hops), -1)
                moved[k] = moved.get(k, 0) + held
            if -1 in moved:
                continue
            asked.append(Asked(freed, _PARTS, 0.0, moved, only=frozenset(moved)))
    return (trial for trial in search.runs(asked, floor) if trial.worth > now)


def improved(
    search: Search, plan: Plan, split: Split, settle: Settle, in_time: Callable[[], bool]
) -> tuple[Plan, Split]:
    """The plan, or a better one near it. `settle` makes a split exact, None where it cannot be executed."""
    tried: set[tuple[bool, frozenset[Hop]]] = set()
    for _ in range(_ROUNDS):
        better = None
        for moves in (_added, _joined, _sprinkled, _without, _swapped):
            floor = Floor(plan.worth, _NEAR)
            for trial in moves(search, split, floor):
                if not in_time():
                    return plan, split
                # A leg that is too much for a pool by the chunk may still pay by a little.
                used = moves is _sprinkled, frozenset(trial.flows)
                if trial.left or used in tried or floor.above(trial.worth):
                    continue
                tried.add(used)
                made = settle(search, trial)
                if made is not None and made[0].worth > plan.worth:
                    better = made
                    break
            if better is not None:
                break
        if better is None:
            break
        plan, split = better
    return plan, split


__all__ = ["improved"]
