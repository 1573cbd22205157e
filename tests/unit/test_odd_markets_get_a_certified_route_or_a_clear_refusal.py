"""Mispriced, empty and extreme markets: a route whose certificate checks, or one clear refusal; never a hang, never a traceback."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest
from markets import CEX_ETH, CEX_USDC, DAI, USDC, WETH, book, document, three_places, v2, v3

from agent.amm import BalancerStablePool, Reverted, swap_exact_in
from agent.app.clocked import proof_of, timed_route
from agent.domain.errors import FairleadError
from agent.domain.instruments import AssetId
from agent.market.file import parse_market
from agent.routing.certificate.check import check
from agent.routing.report import route_json

ODD = "eip155:1/erc20:0x2222222222222222222222222222222222222222"


def odd(decimals: int, whole_odd: int, whole_weth: int) -> dict[str, Any]:
    """A market with one asset of strange decimals, traded against WETH."""
    reserves = [str(whole_odd * 10**decimals), str(whole_weth * 10**18)]
    pool = {"id": "eip155:1/0xdd", "kind": "uniswap_v2", "assets": [ODD, WETH], "reserves_raw": reserves, "fee_pips": 3000, "gas": 90_000}  # fmt: skip
    made = document([pool, v2("aa", USDC, WETH, 3_000_000, 1_000)])
    made["assets"].append({"id": ODD, "symbol": "ODD", "decimals": decimals})
    return made


def solved(made: dict[str, Any], sell: str, buy: str, amount: int, **more: Any) -> Any:
    view = parse_market(json.loads(json.dumps(made)))
    route = timed_route(view, AssetId(sell), AssetId(buy), amount, **more)
    found = check(json.loads(json.dumps(route_json(route))), view)
    assert found.valid, found.why
    return found


@pytest.mark.parametrize(("decimals", "odds"), [(0, 1_000_000), (2, 5_000_000), (18, 3), (24, 1_000)])
def test_assets_of_any_decimals_are_certified(decimals: int, odds: int) -> None:
    market = odd(decimals, odds, 500)
    assert solved(market, WETH, ODD, 10**18).out_raw > 0
    assert solved(market, ODD, USDC, max(odds // 100, 1) * 10**decimals).out_raw > 0


def test_thirty_six_decimals_are_certified() -> None:
    assert solved(
        odd(36, 0, 1) | {"pools": [v2("aa", USDC, WETH, 3_000_000, 1_000)]}, WETH, USDC, 10**18
    ).valid
    tiny = odd(36, 0, 0)
    tiny["pools"][0]["reserves_raw"] = [str(10**33), str(10**18)]
    assert solved(tiny, ODD, USDC, 10**30).out_raw > 0


@pytest.mark.parametrize("amount", [1, 10**6, 10**24, 10**30, 10**48])
def test_amounts_from_one_unit_to_absurd_end_in_an_answer(amount: int) -> None:
    market = document([v2("aa", USDC, WETH, 3_000_000, 1_000), v3("bb", USDC, WETH, 1 / 3000, 2 * 10**16)])
    try:
        assert solved(market, WETH, USDC, amount).bound_raw >= 0
    except FairleadError as refused:
        assert refused.code == "NO_ROUTE"


def test_pools_without_liquidity_and_books_without_levels_take_no_part() -> None:
    empty = v3("bb", USDC, WETH, 1 / 3000, 10**16)
    empty |= {"liquidity": "0", "ticks": []}
    hollow = v2("cc", USDC, WETH, 0, 0)
    bare = book() | {"bids": [], "asks": []}
    market = document([v2("aa", USDC, WETH, 3_000_000, 1_000), empty, hollow], books=[bare])
    assert solved(market, WETH, USDC, 10**18, cross_domain=True).gap_bps < 0.01


@pytest.mark.parametrize("side", ["bids", "asks"])
def test_a_book_with_one_side_has_a_price_for_whoever_trades_there(side: str) -> None:
    """No middle, so what is paid is what it is measured by: a price of zero would be divided by."""
    view = parse_market(document([], books=[book() | {side: []}]))
    sell, buy, amount = (CEX_USDC, CEX_ETH, 3_000 * 10**6) if side == "bids" else (CEX_ETH, CEX_USDC, 10**18)
    (place,) = timed_route(view, AssetId(sell), AssetId(buy), amount).places
    assert place.mid_px == place.avg_px > 0 and place.impact_bps == 0


def test_an_asset_nothing_leads_to_is_refused() -> None:
    with pytest.raises(FairleadError) as caught:
        solved(document([v2("aa", USDC, WETH, 3_000_000, 1_000)]), WETH, DAI, 10**18)
    assert caught.value.code == "NO_ROUTE"


def test_so_little_that_nothing_comes_out_is_told_as_that() -> None:
    """It is no lack of paths: the remedy is to sell more."""
    with pytest.raises(FairleadError) as caught:
        solved(document([v2("aa", USDC, WETH, 3_000_000, 1_000)]), WETH, USDC, 1)
    assert (caught.value.code, caught.value.hint) == ("NO_ROUTE", "sell more")
    assert caught.value.message == "0.000000000000000001 WETH comes out as no USDC at all on any path"


def test_a_market_full_of_circles_is_certified() -> None:
    """Every pair twice, at prices that disagree: a bound is proved, and it is above what the route nets."""
    pools = [
        v2("a1", USDC, WETH, 3_000_000, 1_000), v2("a2", USDC, WETH, 3_600_000, 1_000),
        v2("b1", DAI, WETH, 2_500_000, 1_000), v2("b2", DAI, WETH, 3_100_000, 1_000),
        v2("c1", DAI, USDC, 1_000_000, 1_300_000), v2("c2", DAI, USDC, 1_500_000, 1_000_000),
    ]  # fmt: skip
    for sell, buy, amount in ((WETH, USDC, 10**19), (USDC, DAI, 10**10), (DAI, WETH, 10**21)):
        assert solved(document(pools), sell, buy, amount).net_out_raw > 0


def test_a_small_order_is_proved_in_a_market_full_of_circles_that_it_cannot_pay_for() -> None:
    """Thirty dollars at three dollars a leg: what circles could earn for millions is no part of its bound."""
    deep = [
        v2("a1", USDC, WETH, 3e9, 1e6), v2("a2", USDC, WETH, 3.1e9, 1e6),
        v2("b1", DAI, WETH, 2.9e9, 1e6), v2("b2", DAI, WETH, 3e9, 1e6), v2("c1", DAI, USDC, 1e9, 1.05e9),
    ]  # fmt: skip
    assert solved(document(deep), WETH, USDC, 10**16).gap_bps < 0.1


def test_a_pool_whose_ticks_end_takes_no_more_than_they_hold() -> None:
    short = v3("bb", USDC, WETH, 1 / 3000, 2 * 10**16)
    lower, upper = short["tick"] // 60 * 60 - 60, short["tick"] // 60 * 60 + 120
    short |= {"ticks": [[lower, short["liquidity"]], [upper, "-" + short["liquidity"]]], "tick_spacing": 60}
    market = document([v2("aa", USDC, WETH, 3_000_000, 1_000), short])
    assert solved(market, WETH, USDC, 10**19).net_out_raw > 0
    with pytest.raises(FairleadError) as caught:
        solved(document([short]), WETH, USDC, 10**24)
    assert caught.value.code == "NO_ROUTE"


def test_no_inventory_is_refused_and_a_little_is_kept_to() -> None:
    with pytest.raises(FairleadError) as caught:
        solved(three_places(inventory={WETH: "0"}), WETH, USDC, 10**18)
    assert caught.value.code == "NO_INVENTORY"
    assert solved(three_places(inventory={WETH: "1"}), WETH, USDC, 10**18).valid


def test_a_deadline_gives_the_best_certified_plan_so_far() -> None:
    assert solved(three_places(), WETH, USDC, 33 * 10**18, cross_domain=True, deadline_ms=1).net_out_raw > 0


def test_free_gas_and_an_unknown_price_of_gas_are_certified() -> None:
    market = document([v2("aa", DAI, USDC, 3_000_000, 3_000_000)])
    market["reference_px_native"] = {}
    assert solved(market, DAI, USDC, 10**21).gap_bps < 0.01


def test_a_proof_sought_later_is_the_one_sought_at_once() -> None:
    view = parse_market(three_places())
    more: dict[str, Any] = {"max_legs": 8, "cross_domain": False, "never": frozenset(), "alone": frozenset()}
    at_once = timed_route(view, AssetId(WETH), AssetId(USDC), 40 * 10**18, **more)
    later = timed_route(view, AssetId(WETH), AssetId(USDC), 40 * 10**18, proved=False, **more)
    assert later.certificate is None and at_once.certificate is not None
    assert proof_of(view, later, **more) == at_once.certificate


def test_a_proof_that_has_no_time_left_is_looser_and_holds() -> None:
    view = parse_market(three_places())
    more: dict[str, Any] = {"max_legs": 8, "cross_domain": False, "never": frozenset(), "alone": frozenset()}
    route = timed_route(view, AssetId(WETH), AssetId(USDC), 40 * 10**18, proved=False, **more)
    hurried = replace(route, certificate=proof_of(view, route, **more, deadline_ms=0))
    found = check(json.loads(json.dumps(route_json(hurried))), view)
    assert found.valid, found.why
    whole = proof_of(view, route, **more, deadline_ms=60_000)
    assert whole == proof_of(view, route, **more)
    assert hurried.certificate is not None and hurried.certificate.gap_bps >= whole.gap_bps


def test_an_empty_stable_pool_reverts_and_is_no_trouble() -> None:
    pool = BalancerStablePool(
        "eip155:1/0xaa", ("a", "b"), (0, 0), 100_000, 1000, 4 * 10**14, (10**18, 10**18), (10**18, 10**18)
    )
    assert isinstance(swap_exact_in(pool, "a", "b", 10**18), Reverted)
