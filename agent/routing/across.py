"""Plans over places: what is sold in one place becomes what is bought in another, by the transfers of the market.

A way is one or two transfers in a row, with an order of its own before, between and after them where assets differ; beside the ways stands what is
sold without any. The whole is shared out among them by halving steps, each share carried out exactly from leg to leg: pools and books stand as earlier
legs left them, and what lands is sold together with what is held there. So a plan here is never worse than the one without transfers.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import TypeAlias

from agent.amm import Pool, Reverted
from agent.domain.errors import Reject
from agent.domain.instruments import AssetId, Place, place_of
from agent.domain.routes import Leg, Route
from agent.market.view import MarketView
from agent.routing.certificate.crossings import Crossing, crossings
from agent.routing.certify import certified
from agent.routing.graph import swap
from agent.routing.greedy import best_plan
from agent.routing.native import native_price
from agent.routing.plan import Plan, gas_raw_up, overhead_raw_up
from agent.routing.problem import Problem, pose, rescale_down

_MOST_WAYS, _KEPT, _TRIES = 24, 4, 160
_HOPS, _HALVINGS = 3, 14
_SMALLER, _SMALLEST = 4, 9
_WIDE_BPS = 0.5
_HOME = None


@dataclass(frozen=True, slots=True)
class Way:
    """From `source` over `crossings` to what is wanted where the last one lands."""

    source: AssetId
    crossings: tuple[Crossing, ...]
    target: AssetId

    @property
    def seconds_p99(self) -> int:
        return sum(crossing.transfer.seconds_p99 for crossing in self.crossings)


Shares: TypeAlias = Mapping[Way | None, int]
"""Units of what is sold by way; None is what takes no transfer."""


class _Cannot(Exception):
    """So much does not go this way."""


@dataclass
class _Run:
    """A plan while it is carried out."""

    view: MarketView
    legs: list[Leg] = field(default_factory=list)
    gas: dict[Place, int] = field(default_factory=dict)
    spent: dict[AssetId, int] = field(default_factory=dict)
    sent: set[str] = field(default_factory=set)

    def add(self, plan: Plan) -> None:
        states: dict[str, Pool] = {}
        for leg in plan.legs:
            pool = states.get(leg.id) or self.view.pools.get(leg.id)
            if pool is not None:
                swapped = swap(pool, leg.asset_in, leg.asset_out, leg.in_raw)
                if isinstance(swapped, Reverted):
                    raise _Cannot
                states[leg.id] = swapped.after
        # A book's best levels are there once.
        used = {leg.id for leg in plan.legs}
        books = tuple(book for book in self.view.books if book.id not in used)
        self.view = replace(self.view, pools={**self.view.pools, **states}, books=books)
        self.legs += plan.legs
        for place, units in plan.gas:
            self.gas[place] = self.gas.get(place, 0) + units

    def send(self, crossing: Crossing, amount: int) -> int:
        transfer, assets = crossing.transfer, self.view.assets
        here, there = (assets[asset].decimals for asset in (transfer.source, transfer.target))
        landed = None if crossing.id in self.sent else transfer.arrives_down(amount, here, there)
        if landed is None:
            raise _Cannot
        self.sent.add(crossing.id)
        given, got, fee = crossing.given, crossing.got, transfer.fee_up(amount)
        self.legs.append(
            Leg(crossing.id, place_of(given), given, got, amount, landed, 0, fee, given, "transfer")
        )
        return landed


class Across:
    """One order over a market with transfers."""

    def __init__(
        self,
        problem: Problem,
        in_time: Callable[[], bool],
        never: frozenset[str] = frozenset(),
        alone: frozenset[str] = frozenset(),
    ) -> None:
        """`problem` is stated without paths; `never` and `alone` as of `pose`."""
        self.problem, self._in_time, self._never, self._alone = problem, in_time, never, alone
        self.view = problem.view
        self.targets = self.view.same(problem.buy) if problem.cross_domain else (problem.buy,)
        self.sources = [source.asset for source in problem.sources]
        self._known: dict[tuple[tuple[Way | None, int], ...], Plan | None] = {}

    def best(self) -> Plan:
        """The best plan found. Raises Reject NO_ROUTE where there is none."""
        whole = self.problem.amount
        rated: list[tuple[float, int, int, Way | None]] = []
        for way in (_HOME, *self.ways()):
            # A deadline leaves ways out once there is one.
            if rated and not self._in_time():
                break
            found = self._by(way)
            if found is not None:
                amount, most, plan = found
                rated.append((plan.worth / amount, amount, most, way))
        home = [one for one in rated if one[-1] is _HOME]
        ranked = sorted((one for one in rated if one[-1] is not _HOME), key=lambda one: -one[0])[:_KEPT]
        rated = sorted([*home, *ranked], key=lambda one: -one[0])
        room: dict[Way | None, int] = {way: most for _, _, most, way in rated}
        room.setdefault(_HOME, 0)
        shares: dict[Way | None, int] = dict.fromkeys(room, 0)
        left = whole
        # What surely goes a way first, then what may.
        for full in (False, True):
            for _, amount, most, way in rated:
                part = min(left, max((most if full else amount) - shares[way], 0))
                shares[way] += part
                left -= part
        starts = [shares] if not left else []
        starts += [{**dict.fromkeys(room, 0), way: whole} for way in room if room[way] >= whole]
        plans = [(made, start) for start in starts if (made := self.carried(start)) is not None]
        if not plans:
            names = [self.view.assets[asset].symbol for asset in (self.problem.sell, self.problem.buy)]
            raise Reject(
                "NO_ROUTE",
                f"no path sells {names[0]} for {names[1]}, transfers included",
                "other sizes, places or more time may have one",
            )
        best, shares = max(plans, key=lambda one: one[0].worth)
        return self._settled(best, shares, room) if len(room) > 1 else best

    def _by(self, way: Way | None) -> tuple[int, int, Plan] | None:
        """(an amount that goes one way, the most that may, the plan of the former), found by trying less and less."""
        amount = self.problem.amount
        if way is not _HOME:
            cap = next((s.cap for s in self.problem.sources if s.asset == way.source), None)
            amount = amount if cap is None else min(amount, cap)
            if way.crossings[0].given == way.source:
                amount = min(amount, self.problem.from_source(way.crossings[0].transfer.max_raw, way.source))
        most = amount
        for _ in range(_SMALLEST):
            plan = self.carried({way: amount}, partly=True) if amount > 0 else None
            if plan is not None:
                return amount, min(most, amount * _SMALLER), plan
            if way is _HOME and self.problem.sources[0].cap is None:
                return None
            amount //= _SMALLER
        return None

    def _settled(self, plan: Plan, shares: dict[Way | None, int], room: Mapping[Way | None, int]) -> Plan:
        """The shares moved from way to way while that pays."""
        step, tries = self.problem.amount, 0
        for _ in range(_HALVINGS):
            step = max(step // 2, 1)
            for one in room:
                for other in room:
                    part = min(step, shares.get(one, 0), room[other] - shares.get(other, 0))
                    if one == other or part <= 0 or tries >= _TRIES or not self._in_time():
                        continue
                    tries += 1
                    moved = {**shares, one: shares[one] - part, other: shares.get(other, 0) + part}
                    found = self.carried(moved)
                    if found is not None and found.worth > plan.worth:
                        plan, shares = found, moved
        return plan

    # ------------------------------------------------------------------ ways

    def ways(self) -> list[Way]:
        """One or two transfers in a row, those first that need the fewest orders around them."""
        view, limit = self.view, self.problem.max_seconds
        every = crossings(view)
        found: list[tuple[int, Way]] = []
        for source in self.sources:
            near = self._near(source)
            for first in every:
                if first.given not in near or first.got == source:
                    continue
                found += self._landed(Way(source, (first,), first.got), int(first.given != source))
                after = self._near(first.got)
                for second in every:
                    if (
                        second.given in after
                        and second.got not in (first.given, source)
                        and second.id != first.id
                    ):
                        more = int(first.given != source) + int(second.given != first.got) + 1
                        found += self._landed(Way(source, (first, second), second.got), more)
        found = [(many, way) for many, way in found if limit is None or way.seconds_p99 <= limit]
        found.sort(key=lambda one: one[0])
        return [way for _, way in found[:_MOST_WAYS]]

    def _landed(self, way: Way, many: int) -> list[tuple[int, Way]]:
        """The way with what is wanted where it lands, none where that cannot be had there."""
        got = way.crossings[-1].got
        if got in self.targets:
            return [(many, replace(way, target=got))]
        near = self._near(got)
        return [(many + 1, replace(way, target=target)) for target in self.targets if target in near][:1]

    def _near(self, asset: AssetId) -> set[AssetId]:
        """What an asset can become without leaving its place."""
        found = (
            set(self.problem.graph.distances(asset, _HOPS, asset))
            if asset in self.problem.graph.edges
            else {asset}
        )
        ring, graph = {asset}, self.problem.graph
        for _ in range(_HOPS):
            ring = {b for a in ring if a in graph.edges for _, b in graph.edges[a]} - found
            found |= ring
        for book in self.view.books:
            if asset in (book.base, book.quote):
                found |= {book.base, book.quote}
        return {other for other in found if place_of(other) == place_of(asset)} | {asset}

    # ------------------------------------------------------------------ carrying a share out

    def carried(self, shares: Shares, partly: bool = False) -> Plan | None:
        """The exact plan of these shares, None where they do not go so. `partly`: of less than the whole order."""
        key = tuple((way, part) for way, part in shares.items() if part)
        if key not in self._known:
            try:
                self._known[key] = self._carried(dict(key))
            except _Cannot:
                self._known[key] = None
        plan = self._known[key]
        asked = sum(part for _, part in key) if partly else self.problem.amount
        return plan if plan is not None and plan.amount <= asked else None

    def _carried(self, shares: dict[Way | None, int]) -> Plan:
        problem, view = self.problem, self.view
        run = _Run(replace(view, transfers=()))
        landed: dict[tuple[AssetId, AssetId], int] = {}
        for way, part in shares.items():
            if way is not _HOME:
                asset, amount = way.source, problem.to_source(part, way.source)
                run.spent[asset] = run.spent.get(asset, 0) + amount
                for crossing in way.crossings:
                    if asset != crossing.given:
                        amount = self._order(run, asset, crossing.given, amount)
                    asset, amount = crossing.got, run.send(crossing, amount)
                key = asset, way.target
                landed[key] = landed.get(key, 0) + amount
        out = 0
        joins = {a: raw for (a, _), raw in landed.items() if a in self.sources}
        if shares.get(_HOME) or joins:
            out += self._at_home(run, shares.get(_HOME, 0), joins)
        for (asset, target), amount in landed.items():
            if asset not in joins:
                got = amount if asset == target else self._order(run, asset, target, amount)
                out += problem.to_buy(got, target)
        if len(run.legs) > problem.max_legs or out <= 0:
            raise _Cannot
        for source in problem.sources:
            held = view.inventory.get(source.asset)
            if held is not None and run.spent.get(source.asset, 0) > held:
                raise _Cannot
        gas_raw = gas_raw_up(view, run.gas, problem.buy, problem.native_px)
        amount = sum(problem.from_source(raw, asset) for asset, raw in run.spent.items())
        return Plan(
            tuple(run.legs), amount, out, gas_raw, tuple(run.gas.items()), overhead_raw_up(problem, run.legs)
        )

    def _at_home(self, run: _Run, part: int, joins: Mapping[AssetId, int]) -> int:
        """Sells what takes no transfer together with what landed among it; what that gives."""
        problem, assets = self.problem, self.view.assets
        dec = assets[problem.sell].decimals
        inventory = dict(run.view.inventory)
        for asset in self.sources:
            own = inventory.get(asset)
            if own is not None:
                own = max(own - run.spent.get(asset, 0), 0)
            if own is not None:
                inventory[asset] = own + joins.get(asset, 0)
        amount = part + sum(rescale_down(raw, assets[asset].decimals, dec) for asset, raw in joins.items())
        if problem.cross_domain and not part:
            # Only what landed is left to sell.
            inventory |= {asset: joins.get(asset, 0) for asset in self.sources}
        try:
            posed = pose(
                replace(run.view, inventory=inventory), problem.sell, problem.buy, amount,
                max_legs=problem.max_legs - len(run.legs), max_hops=problem.max_hops, cross_domain=problem.cross_domain,
                graph=None if run.legs else problem.graph, never=self._never, alone=self._alone,
            )  # fmt: skip
            plan = best_plan(posed, self._in_time)
        except Reject:
            raise _Cannot from None
        used: dict[AssetId, int] = {}
        for leg in plan.legs:
            if leg.asset_in in self.sources:
                used[leg.asset_in] = used.get(leg.asset_in, 0) + leg.in_raw
        for asset, raw in used.items():
            run.spent[asset] = run.spent.get(asset, 0) + max(raw - joins.get(asset, 0), 0)
        run.add(plan)
        return plan.out

    def _order(self, run: _Run, given: AssetId, got: AssetId, amount: int) -> int:
        """Sells all of an asset for another of the same place; what that gives."""
        room = self.problem.max_legs - len(run.legs)
        if room < 1 or amount <= 0:
            raise _Cannot
        try:
            view = replace(run.view, inventory={**run.view.inventory, given: amount})
            hops = min(self.problem.max_hops, _HOPS)
            posed = pose(
                view, given, got, amount, max_legs=room, max_hops=hops, never=self._never, alone=self._alone
            )
            plan = best_plan(posed, self._in_time)
        except Reject:
            raise _Cannot from None
        run.add(plan)
        return plan.out


def proved(problem: Problem, plan: Plan, route: Route, in_time: Callable[[], bool]) -> Route:
    """The route with its certificate: the better of those whose prices spread a transfer's fixed fee over what the plan sends, and over all that the
    order could send. Either holds; a part that pays for its fee only just is bounded better by the latter."""
    whole = _sent(problem, plan)
    problem.graph.sends(whole | {leg.id: leg.in_raw for leg in plan.legs if leg.kind == "transfer"})
    found = certified(problem, route, in_time)
    gap = found.certificate.gap_bps if found.certificate is not None else None
    if not in_time() or gap is None or gap < _WIDE_BPS:
        return found
    problem.graph.sends(whole)
    return min(found, certified(problem, route, in_time), key=_bound)


def _bound(route: Route) -> int:
    assert route.certificate is not None
    return route.certificate.bound_raw


def _sent(problem: Problem, plan: Plan) -> dict[str, int]:
    """What all of the order would be that is sent over transfers, by their ids."""
    view, assets, found = problem.view, problem.view.assets, dict[str, int]()
    for crossing in crossings(view):
        decimals = assets[crossing.given].decimals
        if crossing.given in view.same(problem.sell):
            found[crossing.id] = rescale_down(plan.amount, assets[problem.sell].decimals, decimals)
        elif crossing.given in view.same(problem.buy):
            found[crossing.id] = rescale_down(plan.out, assets[problem.buy].decimals, decimals)
        else:
            px = float(native_price(view, crossing.given))
            bought = plan.out * 10.0 ** (decimals - assets[problem.buy].decimals)
            found[crossing.id] = int(bought * float(problem.native_px) / px) if px else plan.out
    return found


__all__ = ["Across", "Way", "proved"]
