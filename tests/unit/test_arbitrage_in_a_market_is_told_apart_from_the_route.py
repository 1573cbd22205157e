"""`route` tells what the pools would give whoever traded them against each other first, exactly, and counts none of it in the route."""

from __future__ import annotations

import copy
import json
from pathlib import Path
from typing import Any

import pytest
from markets import DAI, USDC, WETH, document, v2

from agent.amm import Swapped
from agent.app.cli import run
from agent.market.file import parse_market
from agent.routing.certificate.check import check
from agent.routing.certificate.seal import seal_of
from agent.routing.graph import swap

CLEAN = [
    v2("aa", USDC, WETH, 3_000_000, 1_000),
    v2("bb", DAI, WETH, 3_000_000, 1_000),
    v2("cc", DAI, USDC, 2e6, 2e6, 500),
]
TORN = [*CLEAN[:2], v2("cc", DAI, USDC, 2e6, 2.1e6, 500)]


def routed(
    pools: list[dict[str, Any]], tmp_path: Path, capsys: pytest.CaptureFixture[str], *more: str
) -> Any:
    path = tmp_path / "market.json"
    path.write_text(json.dumps(document(pools)))
    assert run(["route", str(path), "--sell", WETH, "--qty", "1", "--buy", USDC, *more]) == 0
    out = capsys.readouterr().out
    return json.loads(out) if "--json" in more else out


def test_a_mispriced_pool_is_told_with_the_exact_swaps_that_show_it(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    told = routed(TORN, tmp_path, capsys, "--json")
    found = told["arbitrage"]
    assert found["complete"] is True and found["pools"] == 3 and len(found["cycles"]) >= 1
    states = dict(parse_market(document(TORN)).pools)
    gained = 0
    for cycle in found["cycles"]:
        assert cycle["asset"] == USDC == cycle["legs"][0]["in"] == cycle["legs"][-1]["out"]
        for leg in cycle["legs"]:
            swapped = swap(states[leg["id"]], leg["in"], leg["out"], int(leg["in_raw"]))
            assert isinstance(swapped, Swapped) and str(swapped.amount_out) == leg["out_raw"]
            states[leg["id"]] = swapped.after
        gain = int(cycle["legs"][-1]["out_raw"]) - int(cycle["legs"][0]["in_raw"])
        assert (cycle["gain_raw"], cycle["value_raw"]) == (str(gain), str(gain)) and gain > 0
        gained += gain
    assert found["value_raw"] == str(gained)
    # One amount around the circle, tried by the thousandth on pools of ours: no other way of counting comes to more.
    best = max(_around(part * 100 * 10**6) for part in range(1, 1000))
    assert best <= gained < best * 1.001
    # The route is that of the pools as they stand, and its value holds none of it.
    assert int(told["net_out_raw"]) == int(told["out_raw"]) - int(told["costs"]["gas_raw"])
    assert int(told["out_raw"]) < 1.05 * 3000 * 10**6


def _around(amount: int) -> int:
    """What `amount` of USDC earns by way of WETH and DAI, by the constant product's own formula."""

    def out(given: int, held_in: int, held_out: int, pips: int) -> int:
        paid = given * (1_000_000 - pips)
        return paid * held_out // (held_in * 1_000_000 + paid)

    weth = out(amount, 3_000_000 * 10**6, 1_000 * 10**18, 3000)
    dai = out(weth, 1_000 * 10**18, 3_000_000 * 10**18, 3000)
    return out(dai, 2_000_000 * 10**18, 2_100_000 * 10**6, 500) - amount


def test_a_clean_market_has_none(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    told = routed(CLEAN, tmp_path, capsys, "--json")
    assert told["arbitrage"] == {"value_raw": "0", "pools": 0, "complete": True, "cycles": []}
    assert "arbitrage none among the pools" in routed(CLEAN, tmp_path, capsys)


def test_people_are_told_that_the_route_does_not_contain_it(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    line = routed(TORN, tmp_path, capsys).splitlines()[-1]
    assert (
        line.startswith("arbitrage ")
        and line.endswith("; the route's value does not contain it")
        and " USDC before gas in " in line
    )


def test_it_is_left_out_where_the_deadline_is_spent(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert routed(TORN, tmp_path, capsys, "--json", "--deadline-ms", "1")["arbitrage"] is None


def test_the_check_carries_every_circle_out_again(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    told, view = routed(TORN, tmp_path, capsys, "--json"), parse_market(document(TORN))
    assert check(told, view).why == ()

    def refused(change: Any, reseal: bool = True) -> tuple[str, ...]:
        other = copy.deepcopy(told)
        change(other["arbitrage"])
        if reseal:
            other["certificate"]["seal"] = seal_of(other)
        return check(other, view).why

    assert any("arbitrage.value_raw" in why for why in refused(lambda a: a.update(value_raw="1")))
    assert any("arbitrage.pools" in why for why in refused(lambda a: a.update(pools=7)))
    assert any("gain_raw" in why for why in refused(lambda a: a["cycles"][0].update(gain_raw="1")))
    assert any(
        "out_raw" in why
        for why in refused(lambda a: a["cycles"][0]["legs"][-1].update(out_raw="99999999999"))
    )
    assert any("ends in" in why for why in refused(lambda a: a["cycles"][0]["legs"].pop()))
    assert any(
        "not in this market" in why
        for why in refused(lambda a: a["cycles"][0]["legs"][0].update(id="eip155:1/0xzz"))
    )
    assert any("seal" in why for why in refused(lambda a: a.update(complete=False), reseal=False))
    assert any(
        "16 legs" in why for why in refused(lambda a: a["cycles"][0].update(legs=a["cycles"][0]["legs"] * 6))
    )
    assert any("more than 256" in why for why in refused(lambda a: a.update(cycles=a["cycles"] * 300)))
