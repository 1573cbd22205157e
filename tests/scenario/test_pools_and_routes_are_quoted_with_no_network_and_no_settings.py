"""`fairlead pool quote` and `fairlead route` as a program uses them: one JSON document, documented keys, documented exits."""

from __future__ import annotations

import gzip
import json
from pathlib import Path
from typing import Any

import pytest
from markets import CEX_ETH, DAI, USDC, WETH, three_places

from agent.app.cli import run


@pytest.fixture
def market_file(tmp_path: Path) -> str:
    path = tmp_path / "market.json"
    path.write_text(json.dumps(three_places(inventory={WETH: "25", CEX_ETH: "10"})))
    return str(path)


@pytest.fixture
def fairlead(capsys: pytest.CaptureFixture[str]) -> Any:
    def call(*argv: str) -> tuple[int, dict[str, Any]]:
        status = run([*argv, "--json"])
        return status, json.loads(capsys.readouterr().out)

    return call


def test_a_quote_has_the_documented_keys_and_its_after_state_quotes_on(
    fairlead: Any, market_file: str, tmp_path: Path
) -> None:
    status, first = fairlead(
        "pool", "quote", market_file, "--pool", "eip155:1/0xbb", "--in", "WETH", "--raw", str(10**18)
    )
    assert status == 0
    assert list(first) == ["in", "out", "in_raw", "out_raw", "fee_raw", "fee_asset", "gas", "ticks_crossed", "complete", "after"]  # fmt: skip
    assert (first["in"], first["out"], first["in_raw"], first["complete"]) == (WETH, USDC, str(10**18), True)
    doc = three_places()
    doc["pools"][1] = first["after"]
    again = tmp_path / "after.json.gz"
    again.write_bytes(gzip.compress(json.dumps(doc).encode()))
    _, second = fairlead(
        "pool", "quote", str(again), "--pool", "0xbb", "--in", WETH, "--out", "USDC", "--raw", str(10**18)
    )
    assert int(second["out_raw"]) < int(first["out_raw"])


def test_a_price_limit_gives_a_partial_swap_and_an_exact_output_its_input(
    fairlead: Any, market_file: str
) -> None:
    pool = three_places()["pools"][1]
    limit = str(int(pool["sqrt_price_x96"]) * 1001 // 1000)
    where = ("pool", "quote", market_file, "--pool", pool["id"], "--in", "WETH")
    status, partial = fairlead(*where, "--raw", str(10**22), "--limit-sqrt-price-x96", limit)
    assert status == 0 and partial["complete"] is False and int(partial["in_raw"]) < 10**22
    assert partial["after"]["sqrt_price_x96"] == limit
    status, wanted = fairlead(*where, "--out-raw", "1000000000")
    assert status == 0 and wanted["out_raw"] == "1000000000"


@pytest.mark.parametrize(
    ("argv", "code", "status"),
    [
        (["--pool", "0xbb", "--in", "WETH", "--raw", "0"], "REVERT", 4),
        (["--pool", "0xaa", "--in", "WETH", "--out-raw", "9" * 30], "REVERT", 4),
        (["--pool", "0xnone", "--in", "WETH", "--raw", "1"], "UNKNOWN_POOL", 2),
        (["--pool", "0xaa", "--in", "DAI", "--raw", "1"], "ASSET_NOT_IN_POOL", 2),
        (["--pool", "0xaa", "--in", "WETH", "--out", "WETH", "--raw", "1"], "SAME_ASSET", 2),
        (["--pool", "0xaa", "--in", "WETH"], "BAD_USAGE", 2),
        (["--pool", "0xaa", "--in", "WETH", "--raw", "1", "--out-raw", "1"], "BAD_USAGE", 2),
        (["--pool", "0xaa", "--in", "WETH", "--raw", "1.5"], "BAD_AMOUNT", 2),
        (["--pool", "0xaa", "--in", "WETH", "--raw", "-1"], "BAD_AMOUNT", 2),
        (["--pool", "0xaa", "--in", "WETH", "--raw", "9" * 90], "BAD_AMOUNT", 2),
        (
            ["--pool", "0xaa", "--in", "WETH", "--raw", "1", "--limit-sqrt-price-x96", "5"],
            "NO_PRICE_LIMIT",
            2,
        ),
    ],
)
def test_what_cannot_be_quoted_is_one_clear_error(
    fairlead: Any, market_file: str, argv: list[str], code: str, status: int
) -> None:
    got, document = fairlead("pool", "quote", market_file, *argv)
    assert (got, document["error"]["code"]) == (status, code)
    assert set(document["error"]) == {"code", "verb", "message", "hint"}


def test_a_file_that_is_none_is_one_clear_error(fairlead: Any, tmp_path: Path) -> None:
    for name, content, code in (
        ("missing", None, "NO_SUCH_FILE"),
        ("text", b"hello", "BAD_MARKET_FILE"),
        ("torn.gz", gzip.compress(b"{}" * 5000)[:30], "UNREADABLE_FILE"),
        ("bad.gz", b"\x1f\x8bnot gzip", "UNREADABLE_FILE"),
    ):
        path = tmp_path / name
        if content is not None:
            path.write_bytes(content)
        status, document = fairlead("route", str(path), "--sell", "WETH", "--qty", "1", "--buy", "USDC")
        assert (status, document["error"]["code"]) == (2, code), name
    assert (
        fairlead("route", str(tmp_path), "--sell", "A", "--qty", "1", "--buy", "B")[1]["error"]["code"]
        == "UNREADABLE_FILE"
    )


def test_a_route_has_the_documented_shape(fairlead: Any, market_file: str) -> None:
    status, route = fairlead("route", market_file, "--sell", WETH, "--qty", "20", "--buy", USDC)
    assert status == 0
    assert (route["sell"], route["buy"], route["in_raw"]) == (WETH, USDC, str(20 * 10**18))
    proof = route["certificate"]
    assert set(proof) == {"prices", "branches", "bound_raw", "gap_bps", "market_digest", "universe", "seal"}
    assert int(proof["bound_raw"]) >= int(route["net_out_raw"]) and 0 <= proof["gap_bps"] < 1
    assert proof["universe"] == {"pools": 5, "books": 1, "cross_domain": False}
    assert set(route["costs"]) == {"gas_raw", "transfer_raw", "fees_raw", "native_px"}
    assert set(route["took_ms"]) == {"search", "exact", "total"}
    assert int(route["net_out_raw"]) == int(route["out_raw"]) - int(route["costs"]["gas_raw"])
    assert all(set(leg) == {"id", "in", "out", "in_raw", "out_raw"} for leg in route["legs"])
    assert all(leg["id"].startswith("eip155:1/") for leg in route["legs"]), "equivalents need --cross-domain"


def test_a_certificate_is_checked_at_the_command_line(
    fairlead: Any, market_file: str, tmp_path: Path
) -> None:
    argv = ("route", market_file, "--sell", WETH, "--qty", "33", "--buy", USDC, "--cross-domain")
    status, route = fairlead(*argv)
    file = tmp_path / "route.json"
    file.write_text(json.dumps(route))
    status, told = fairlead("certificate", "check", str(file), market_file)
    assert (status, told["valid"], told["why"]) == (0, True, [])
    assert told["bound_raw"] == route["certificate"]["bound_raw"]
    assert told["net_out_raw"] == route["net_out_raw"]
    route["certificate"]["bound_raw"] = route["net_out_raw"]
    file.write_text(json.dumps(route))
    status, told = fairlead("certificate", "check", str(file), market_file)
    assert (status, told["valid"]) == (4, False) and told["why"]
    for text, code in (("[1, 2]", "BAD_ROUTE"), ("{", "BAD_ROUTE"), ('{"sell": 1}', "BAD_ROUTE")):
        file.write_text(text)
        status, told = fairlead("certificate", "check", str(file), market_file)
        assert (status, told["error"]["code"]) == (2, code)
    status, told = fairlead("certificate", "check", str(tmp_path / "none"), market_file)
    assert (status, told["error"]["code"]) == (2, "NO_SUCH_FILE")


def test_across_places_each_gives_no_more_than_it_holds(fairlead: Any, market_file: str) -> None:
    argv = ("route", market_file, "--sell", WETH, "--qty", "33", "--buy", USDC, "--cross-domain")
    status, route = fairlead(*argv)
    assert status == 0
    spent = {leg["in"]: int(leg["in_raw"]) for leg in route["legs"] if leg["in"] == CEX_ETH}
    assert 0 < spent[CEX_ETH] <= 10 * 10**18
    assert any(leg["id"] == "paper:ETH/USDC" for leg in route["legs"])
    status, alone = fairlead("route", market_file, "--sell", WETH, "--qty", "20", "--buy", USDC)
    status, wide = fairlead(
        "route", market_file, "--sell", WETH, "--qty", "20", "--buy", USDC, "--cross-domain"
    )
    assert int(wide["net_out_raw"]) > int(alone["net_out_raw"])


@pytest.mark.parametrize(
    ("argv", "code", "status"),
    [
        (["--sell", WETH, "--qty", "26", "--buy", USDC], "NO_INVENTORY", 4),
        (["--sell", WETH, "--qty", "0", "--buy", USDC], "BAD_AMOUNT", 2),
        (["--sell", WETH, "--qty", "-3", "--buy", USDC], "BAD_AMOUNT", 2),
        (["--sell", WETH, "--qty", "1e-30", "--buy", USDC], "TOO_MANY_DECIMALS", 2),
        (["--sell", WETH, "--qty", "ten", "--buy", USDC], "BAD_AMOUNT", 2),
        (["--sell", "WETH", "--qty", "1", "--buy", USDC], "AMBIGUOUS_ASSET", 2),
        (["--sell", "WBTC", "--qty", "1", "--buy", USDC], "UNKNOWN_ASSET", 2),
        (["--sell", WETH, "--qty", "1", "--buy", WETH], "SAME_ASSET", 2),
        (["--sell", CEX_ETH, "--qty", "1", "--buy", DAI], "NO_ROUTE", 4),
        (["--sell", USDC, "--qty", "1", "--buy", DAI, "--max-hops", "9"], "BAD_USAGE", 2),
    ],
)
def test_what_cannot_be_routed_is_one_clear_error(
    fairlead: Any, market_file: str, argv: list[str], code: str, status: int
) -> None:
    got, document = fairlead("route", market_file, *argv)
    assert (got, document["error"]["code"]) == (status, code), document
    assert document["error"]["message"]


def test_people_get_a_table(market_file: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["route", market_file, "--sell", WETH, "--qty", "20", "--buy", USDC, "--cross-domain"]) == 0
    shown = capsys.readouterr().out
    assert "paper:ETH/USDC" in shown and "impact bps" in shown and "net" in shown
    assert (
        run(["pool", "quote", market_file, "--pool", "0xaa", "--in", "WETH", "--raw", "1000000000000000000"])
        == 0
    )
    assert "1 WETH" in capsys.readouterr().out
