"""What a bound skips gains nothing, and what it says reaching a sale loses is never more than the cheapest way there."""

from __future__ import annotations

from itertools import permutations
from random import Random
from typing import Any

import pytest
from markets import DAI, USDC, WETH
from small_markets import NEAR, small_market

from agent.amm import Reverted, swap_exact_in
from agent.domain.instruments import AssetId
from agent.market.view import MarketView
from agent.routing.certificate.bound import Setting
from agent.routing.certificate.gains import gain_of
from agent.routing.certificate.losses import Losses, both_ways, most_and_room
from agent.routing.certificate.spots import MARGIN
from agent.routing.certificate.units import Order, held_value, unit_prices
from agent.routing.plan import gas_raw_up

NATIVE = "0.000333333333"


@pytest.mark.parametrize("seed", range(40))
def test_a_sale_whose_first_unit_does_not_pay_gains_nothing(seed: int) -> None:
    draw = Random(seed)
    view = small_market(draw)
    order = Order(view, AssetId(WETH), AssetId(USDC), 10**20, False, NATIVE)
    setting = Setting(order)
    skipped = 0
    for wild in (1e-10, 1e-6, 1e-4, 0.01, 0.3):
        prices = {AssetId(a): repr(NEAR[a] * 2.718 ** draw.uniform(-wild, wild)) for a in (WETH, USDC, DAI)}
        value = unit_prices(order, prices)
        paying = setting._paying(setting.sales, value)
        for sale in setting.sales:
            if sale not in paying:
                gross = gain_of(sale, setting.ends, value, setting.caps).gross
                # Outward rounding alone may leave a trace of a gain that is none.
                assert gross <= MARGIN * sum(value[node] * 10**27 for node in sale.edge.nodes)
                skipped += gross == 0
    assert skipped


def drawn_plan(view: MarketView, draw: Random, amount: int) -> tuple[int, dict[str, int], set[Any]] | None:
    """(what it nets, what was sold of every asset, the sales used) of a plan drawn at random, None where it does not execute."""
    states, sold, used, out, gas = dict(view.pools), dict[str, int](), set[Any](), 0, 0
    left, parts = amount, draw.randint(1, 2)
    for k in range(parts):
        held = left if k == parts - 1 else left * draw.randint(0, 100) // 100
        left -= held
        for given, got in draw.choice((((WETH, USDC),), ((WETH, DAI), (DAI, USDC)))):
            pool = states[draw.choice([n for n, p in states.items() if {given, got} <= set(p.assets)])]
            swapped = swap_exact_in(pool, given, got, held)
            # A plan sells each pair of a pool by one leg.
            if (pool.id, given, got) in used or isinstance(swapped, Reverted) or not swapped.complete:
                return None
            sold[given] = sold.get(given, 0) + held
            gas += swapped.gas
            used.add((pool.id, given, got))
            states[pool.id], held = swapped.after, swapped.amount_out
        out += held
    return out - gas_raw_up(view, {next(iter(view.gas)): gas}, AssetId(USDC), NATIVE), sold, used


def better_plans_are_known(seed: int, plans: int) -> int:
    """Plans that net more than another one, whose every sale and amount must be among what the bound still allows."""
    draw = Random(seed)
    view = small_market(draw)
    # Gas from a ten thousandth of the amount to all of it.
    amount = int(10 ** draw.uniform(15.5, 19.5))
    order = Order(view, AssetId(WETH), AssetId(USDC), amount, False, NATIVE)
    setting, seen = Setting(order), 0
    made = sorted((m for _ in range(plans) if (m := drawn_plan(view, draw, amount))), key=lambda m: m[0])
    for have in {made[len(made) * k // 10][0] for k in (5, 8, 9)} if made else ():
        if have <= 0:
            continue
        wild = draw.choice((1e-4, 1e-3, 0.01))
        prices = {
            AssetId(a): repr(NEAR[a] * 2.718 ** draw.uniform(-wild, wild)) for a in NEAR if a in setting.nodes
        }
        known = setting.proof(prices, have).known
        again = setting.proof(prices, have, (), known).known
        for told in (known, again):
            pairs = {(sale.edge.pool.id, *sale.pair) for sale in told.sales}
            for net, sold, used in made:
                if net > have:
                    seen += 1
                    assert used <= pairs
                    assert all(
                        raw <= told.caps[AssetId(a)] for a, raw in sold.items() if AssetId(a) in told.caps
                    )
    return seen


@pytest.mark.parametrize("seed", range(60))
def test_no_better_plan_uses_what_a_bound_has_ruled_out(seed: int) -> None:
    better_plans_are_known(seed, 40)


@pytest.mark.full
def test_no_better_plan_uses_what_a_bound_has_ruled_out_in_many_markets() -> None:
    assert sum(better_plans_are_known(seed, 80) for seed in range(1000, 3000)) > 20_000


def everything_held_is_counted(seed: int, plans: int) -> int:
    """Nothing that any plan sells is worth more at the prices than what a sale is said to grow to at most."""
    draw, seen = Random(seed), 0
    view = small_market(draw)
    amount = int(10 ** draw.uniform(15.5, 22))
    order = Order(view, AssetId(WETH), AssetId(USDC), amount, False, NATIVE)
    setting = Setting(order)
    made = [m for _ in range(plans) if (m := drawn_plan(view, draw, amount))]
    for wild in (1e-3, 0.03, 0.5):
        prices = {
            AssetId(a): repr(NEAR[a] * 2.718 ** draw.uniform(-wild, wild)) for a in NEAR if a in setting.nodes
        }
        value = unit_prices(order, prices)
        gains = [setting._gain(sale, value, setting.caps) for sale in setting._paying(setting.sales, value)]
        most = setting._grown(gains, held_value(order, value), value, setting.caps)
        for net, sold, used in made:
            held = {a: raw * value[AssetId(a)] for a, raw in sold.items()}
            # Net of gas, what comes out was held too.
            assert max(*held.values(), net * value[AssetId(USDC)]) <= most
            seen += len(used) > 1
    return seen


@pytest.mark.parametrize("seed", range(40))
def test_no_plan_holds_more_than_a_sale_can_grow_to(seed: int) -> None:
    everything_held_is_counted(seed, 25)


@pytest.mark.full
def test_no_plan_holds_more_than_a_sale_can_grow_to_in_many_markets() -> None:
    assert sum(everything_held_is_counted(seed, 60) for seed in range(1000, 3000)) > 20_000


NODES = [AssetId(name) for name in "sabct"]


@pytest.mark.parametrize("seed", range(30))
def test_losses_are_those_of_the_cheapest_way(seed: int) -> None:
    draw = Random(seed)
    ways = {(a, b): draw.randint(0, 9) for a, b in permutations(NODES, 2) if draw.random() < 0.5}
    idle = {way: loss for way, loss in ways.items() if draw.random() < 0.5}
    busy = [(*way, loss) for way, loss in ways.items() if way not in idle]
    told = Losses(both_ways(idle), busy, {NODES[0]}, {NODES[-1]}, 15)

    def least(start: AssetId, end: AssetId) -> int | None:
        inner = [node for node in NODES if node not in (start, end)]
        found = [0] if start == end else []
        for size in range(len(inner) + 1):
            for middle in permutations(inner, size):
                steps = list(zip((start, *middle), (*middle, end), strict=True))
                if start != end and all(step in ways for step in steps):
                    found.append(sum(ways[step] for step in steps))
        return min(found, default=None)

    for a, b in permutations(NODES, 2):
        before, behind = least(NODES[0], a), least(b, NODES[-1])
        if before is not None and behind is not None and before < 15 and behind < 15:
            assert told.around(a, b) == before + behind
        else:
            assert told.around(a, b) is None


@pytest.mark.parametrize("seed", range(40))
def test_the_room_holds_every_choice_that_earns_more(seed: int) -> None:
    draw = Random(seed)
    things = sorted((draw.randint(0, 20), draw.randint(1, 10)) for _ in range(draw.randint(1, 6)))
    steps, total = [], 0
    for loss, gain in things:
        total += gain
        steps.append((loss, total))
    least = draw.randint(-5, 15)
    most, room = most_and_room(steps, least)
    for lost in range(40):
        # Whoever loses this much in all can have the gains that need no more.
        earned = sum(gain for loss, gain in things if loss <= lost) - lost
        assert earned <= most or (lost and earned <= 0)
        assert earned <= least or lost < room
