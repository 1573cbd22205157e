"""An order over places: what is sold here is sent there for a fixed fee and a share, in time, exactly; and its certificate counts transfers."""

from __future__ import annotations

import copy
import json
from itertools import pairwise
from pathlib import Path
from random import Random
from typing import Any

import pytest
from markets import BASE_USDC, BASE_WETH, CEX_ETH, CEX_USDC, USDC, WETH, book, document, v2

from agent.app.cli import run
from agent.app.clocked import timed_route
from agent.domain.errors import Reject, Usage
from agent.domain.instruments import AssetId
from agent.market.file import parse_market
from agent.market.write import market_json
from agent.routing.certificate.check import check
from agent.routing.certificate.seal import seal_of
from agent.routing.report import route_json

HERE = v2("aa", USDC, WETH, 3_000_000, 1_000)
THERE = {**v2("bb", BASE_USDC, BASE_WETH, 3_000_000, 1_000)}


def sent(source: str, target: str, **more: Any) -> dict[str, Any]:
    plain = {
        "fee_raw": "0",
        "fee_bps": "0",
        "min_raw": "1",
        "max_raw": str(10**30),
        "seconds_p50": 60,
        "seconds_p99": 900,
    }
    return {"from": source, "to": target, **plain, **more}  # fmt: skip


DOLLARS = sent(USDC, BASE_USDC, fee_raw="1000000", fee_bps="2.5")
ETHER = sent(WETH, BASE_WETH, fee_raw=str(10**15), seconds_p99=3600)


def routed(market: dict[str, Any], sell: str, raw: int, buy: str, **more: Any) -> dict[str, Any]:
    view = parse_market(json.loads(json.dumps(market)))
    route = timed_route(view, AssetId(sell), AssetId(buy), raw, max_hops=4, **more)
    told: dict[str, Any] = json.loads(json.dumps(route_json(route)))
    assert check(told, view).why == ()
    return told


def sold(given: int, pool: dict[str, Any], forth: bool = True) -> int:
    """What a pair of Uniswap V2's gives, by its published formula."""
    held_in, held_out = (int(raw) for raw in pool["reserves_raw"][:: 1 if forth else -1])
    paid = given * (1_000_000 - pool["fee_pips"])
    return paid * held_out // (held_in * 1_000_000 + paid)


def landed(given: int, transfer: dict[str, Any]) -> int:
    fee = int(transfer["fee_raw"]) + -(-given * int(float(transfer["fee_bps"]) * 10) // 100_000)
    return max(given - fee, 0)


def test_what_lands_is_what_was_sent_less_the_fixed_fee_and_the_share_rounded_up() -> None:
    told = routed(document([THERE], transfers=[DOLLARS]), USDC, 25_000_000_001, BASE_WETH)
    move, swap = told["legs"]
    assert move == {
        "id": f"transfer:{USDC}>{BASE_USDC}", "in": USDC, "out": BASE_USDC, "in_raw": "25000000001",
        # 25,000.000001 less 1 less 6.25000000025, the latter rounded up to 6.250001.
        "out_raw": "24992750000",
    }  # fmt: skip
    assert swap["in_raw"] == move["out_raw"] and int(swap["out_raw"]) == sold(24_992_750_000, THERE)
    assert told["seconds"] == {"p50": 60, "p99": 900} and told["costs"]["transfer_raw"] == "0"
    assert told["certificate"]["universe"]["transfers"] == 1 and told["certificate"]["gap_bps"] < 0.01
    # The fees are told in what is bought, the pool's and the transfer's.
    assert int(told["costs"]["fees_raw"]) > 7.25 / 3000 * 10**18


def test_decimals_that_differ_are_rounded_down_where_it_lands() -> None:
    coarse = {**document([HERE], transfers=[sent(WETH, CEX_ETH)])}
    coarse["assets"] = [a | ({"decimals": 8} if a["id"] == CEX_ETH else {}) for a in coarse["assets"]]
    (told, *_) = routed(coarse | {"books": [book()]}, WETH, 2 * 10**18 + 3 * 10**10 + 7, CEX_USDC)["legs"]
    assert (told["in_raw"], told["out_raw"]) == (str(2 * 10**18 + 3 * 10**10 + 7), "200000003")


@pytest.mark.parametrize("seed", range(6))
def test_no_share_of_either_way_nets_more_than_the_plan_or_its_bound(seed: int) -> None:
    draw = Random(seed)
    here = v2("aa", USDC, WETH, 3e6 * draw.uniform(0.02, 1), 1e3 * draw.uniform(0.02, 1))
    rate = int(here["reserves_raw"][0]) * 10**12 / int(here["reserves_raw"][1])
    deep = draw.uniform(20, 1000)
    there = v2("bb", BASE_USDC, BASE_WETH, deep * rate * draw.uniform(0.98, 1.02), deep)
    usd = sent(
        USDC, BASE_USDC, fee_raw=str(draw.randint(0, 20 * 10**6)), fee_bps=str(draw.choice((0, 1, 7.5)))
    )
    eth = sent(WETH, BASE_WETH, fee_raw=str(draw.randint(0, 5 * 10**15)), fee_bps=str(draw.choice((0, 3))))
    amount = int(10 ** draw.uniform(9, 11))
    told = routed(document([here, there], transfers=[usd, eth]), USDC, amount, BASE_WETH)
    gas_here, gas_there = 90_000 * 11 * 10**9, 90_000 * 101 * 10**7
    best = 0
    for part in range(201):
        first = amount * part // 200
        out = sold(landed(first, usd), there) - gas_there if first else 0
        other = landed(sold(amount - first, here), eth) - gas_here if first < amount else 0
        best = max(best, out + other)
    net, bound = int(told["net_out_raw"]), int(told["certificate"]["bound_raw"])
    assert best <= bound and best * (1 - 1e-6) <= net <= bound


def test_stock_is_sent_to_where_its_pool_is() -> None:
    """All dollars stand on one chain, the only deep pool on another; equivalents count at par where they land."""
    shallow = v2("aa", USDC, WETH, 30_000, 10)
    held = {USDC: "100000", BASE_USDC: "5000"}
    market = document([shallow, THERE], transfers=[DOLLARS], inventory=held)
    told = routed(market, USDC, 60_000 * 10**6, WETH, cross_domain=True)
    by_id = {
        leg["id"].partition(":")[0] if leg["id"].startswith("transfer") else leg["id"]: leg
        for leg in told["legs"]
    }
    moved = by_id["transfer"]
    assert int(moved["in_raw"]) > 40_000 * 10**6
    # What landed is sold together with what was held there, which comes first.
    assert int(by_id[THERE["id"]]["in_raw"]) == int(moved["out_raw"]) + 5_000 * 10**6
    assert int(told["in_raw"]) == 60_000 * 10**6
    without = timed_route(
        parse_market(document([shallow, THERE], inventory=held)), AssetId(USDC), AssetId(WETH), 60_000 * 10**6, cross_domain=True,
    )  # fmt: skip
    assert int(told["net_out_raw"]) > without.net_out_raw * 1.5
    assert int(told["certificate"]["bound_raw"]) >= int(told["net_out_raw"])


@pytest.mark.parametrize("seed", range(6))
def test_no_way_of_sending_stock_nets_more_than_the_plan_or_its_bound(seed: int) -> None:
    draw = Random(seed)
    here = v2("aa", USDC, WETH, 3e6 * draw.uniform(0.003, 0.1), 1e3 * draw.uniform(0.003, 0.1))
    deep = draw.uniform(10, 1000)
    there = v2("bb", BASE_USDC, BASE_WETH, deep * 3000, deep)
    usd = sent(
        USDC, BASE_USDC, fee_raw=str(draw.randint(0, 20 * 10**6)), fee_bps=str(draw.choice((0, 1, 7.5)))
    )
    owned, stock = 10**11, draw.randint(0, 30_000) * 10**6
    held = {USDC: str(owned // 10**6), BASE_USDC: str(stock // 10**6)}
    amount = draw.randint(stock // 10**6 + 1, 60_000) * 10**6
    market = document([here, there], transfers=[usd], inventory=held)
    told = routed(market, USDC, amount, WETH, cross_domain=True)
    gas_here, gas_there = 90_000 * 11 * 10**9, 90_000 * 101 * 10**7
    best = 0
    for first in range(101):
        own = stock * first // 100
        for part in range(101):
            moved = (amount - own) * part // 100
            arrived = landed(moved, usd) if moved else 0
            out = sold(amount - own - moved, here) - gas_here if amount > own + moved else 0
            best = max(best, out + (sold(own + arrived, there) - gas_there if own + arrived else 0))
    net, bound = int(told["net_out_raw"]), int(told["certificate"]["bound_raw"])
    assert best <= bound and best * (1 - 1e-5) <= net <= bound


def test_time_is_bounded_where_the_order_says_so() -> None:
    market = document([HERE, THERE], transfers=[DOLLARS | {"fee_raw": str(10**9)}, ETHER])
    slow = routed(market, USDC, 30_000 * 10**6, BASE_WETH)
    assert slow["seconds"]["p99"] == 3600 and slow["legs"][-1]["id"].endswith(BASE_WETH)
    quick = routed(market, USDC, 30_000 * 10**6, BASE_WETH, max_seconds=900)
    assert quick["seconds"]["p99"] == 900 and int(quick["net_out_raw"]) < int(slow["net_out_raw"])
    assert quick["certificate"]["universe"]["max_seconds"] == 900
    assert (
        quick["certificate"]["universe"]["transfers"] == 1 and quick["market_digest"] == slow["market_digest"]
    )
    with pytest.raises(Reject, match="transfers included"):
        routed(market, USDC, 30_000 * 10**6, BASE_WETH, max_seconds=899)


def test_a_deadline_that_is_spent_leaves_a_way_and_a_bound() -> None:
    told = routed(
        document([HERE, THERE], transfers=[DOLLARS, ETHER]), USDC, 30_000 * 10**6, BASE_WETH, deadline_ms=1
    )
    assert int(told["net_out_raw"]) > 9 * 10**18 and int(told["certificate"]["bound_raw"]) >= int(
        told["net_out_raw"]
    )


def test_limits_of_a_transfer_are_kept_and_two_between_the_same_places_are_two() -> None:
    small = [sent(USDC, BASE_USDC, max_raw=str(20_000 * 10**6)), DOLLARS | {"max_raw": str(20_000 * 10**6)}]
    told = routed(document([THERE], transfers=small), USDC, 30_000 * 10**6, BASE_WETH)
    moves = [leg for leg in told["legs"] if leg["id"].startswith("transfer:")]
    assert sorted(leg["id"].rpartition("#")[2] == "2" for leg in moves) == [False, True]
    assert all(int(leg["in_raw"]) <= 20_000 * 10**6 for leg in moves)
    with pytest.raises(Reject):
        routed(document([THERE], transfers=small), USDC, 50_000 * 10**6, BASE_WETH)
    with pytest.raises(Reject):
        least = document([THERE], transfers=[DOLLARS | {"min_raw": str(10**12)}])
        routed(least, USDC, 30_000 * 10**6, BASE_WETH)


def test_without_transfers_that_help_the_plan_is_the_one_without_any() -> None:
    pools = [HERE, THERE]
    plain = timed_route(parse_market(document(pools)), AssetId(USDC), AssetId(WETH), 10**10)
    told = routed(document(pools, transfers=[ETHER]), USDC, 10**10, WETH)
    assert [leg["out_raw"] for leg in told["legs"]] == [str(leg.out_raw) for leg in plain.legs]
    assert "seconds" not in told


def test_a_transfer_that_was_changed_is_refused() -> None:
    market = document([HERE, THERE], transfers=[DOLLARS, ETHER, sent(BASE_USDC, USDC, seconds_p99=9999)])
    view = parse_market(market)
    told = routed(market, USDC, 30_000 * 10**6, BASE_WETH, max_seconds=3600)
    at = next(k for k, leg in enumerate(told["legs"]) if leg["id"].startswith("transfer:"))

    def why(change: Any) -> str:
        other = copy.deepcopy(told)
        change(other)
        other["certificate"]["seal"] = seal_of(other)
        return " ".join(check(other, view).why)

    more = str(int(told["legs"][at]["out_raw"]) + 1)
    assert f"legs[{at}].out_raw" in why(lambda r: r["legs"][at].update(out_raw=more))
    assert "no pool, book or transfer" in why(lambda r: r["legs"][at].update(id="transfer:here>there"))
    first = next(leg for leg in told["legs"] if leg["in"] == USDC and leg["id"].startswith("transfer:"))
    assert "was sent over before" in why(lambda r: r["legs"].append(first))
    assert "does not lead there" in why(lambda r: r["legs"][r["legs"].index(first)].update(out=WETH))
    assert "seconds" in why(lambda r: r["seconds"].update(p99=1))
    assert "seconds" in why(lambda r: r.pop("seconds"))
    assert "universe" in why(lambda r: r["certificate"]["universe"].update(transfers=9))
    assert "no pool, book or transfer" in why(lambda r: r["certificate"]["universe"].update(max_seconds=59))
    assert "universe" in why(lambda r: r["certificate"]["universe"].pop("max_seconds"))
    cheaper = copy.deepcopy(market)
    cheaper["transfers"][0]["fee_raw"] = "0"
    assert not check(told, parse_market(cheaper)).valid


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"to": USDC}, "from an asset to itself"),
        ({"fee_bps": "10000"}, "transfers[0].fee_bps"),
        ({"min_raw": "5", "max_raw": "4"}, "transfers[0].min_raw"),
    ],
)
def test_a_transfer_that_cannot_be_is_refused_by_name(change: dict[str, str], told: str) -> None:
    with pytest.raises(Usage, match=r"transfers\[0\]") as refused:
        parse_market(document([THERE], transfers=[DOLLARS | change]))
    assert told in str(refused.value)


def test_the_command_tells_legs_time_and_what_was_loaded(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "market.json"
    path.write_text(json.dumps(document([HERE, THERE], transfers=[DOLLARS])))
    order = ["route", str(path), "--sell", USDC, "--qty", "30000", "--buy", BASE_WETH]
    assert run([*order, "--max-seconds", "900"]) == 0
    shown = capsys.readouterr().out
    assert "transfers take 60 s, and 900 s at the 99th of a hundred" in shown and "1 transfer)" in shown
    assert run([*order, "--max-seconds", "1", "--json"]) == 4
    assert json.loads(capsys.readouterr().out)["error"]["code"] == "NO_ROUTE"
    again = market_json(parse_market(json.loads(path.read_text())))
    assert all(one == other for one, other in pairwise([again["transfers"], [DOLLARS]]))
