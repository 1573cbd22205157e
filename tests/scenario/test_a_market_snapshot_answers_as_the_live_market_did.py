"""`market snapshot` writes what `quote` saw: `route` over the file gives the same answer, with no network."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from home_fixture import Home

from agent.market.file import parse_text
from chains.devnet.jsonrpc import Rpc

pytestmark = pytest.mark.devnet

LEAST_BASE_FEE_WEI = 7
"""Where a base fee ends after enough empty blocks and stays: an eighth of it is less than one. Above it falls with every block."""


def gas_prices(file: Path) -> dict[str, int]:
    return {place: gas.price_wei for place, gas in parse_text(file.read_text()).gas.items()}


def quoted_between_equal_snapshots(home: Home, folder: Path, words: str) -> tuple[Path, Any]:
    """A snapshot and a quote of one market: a base fee that moves between them is another market, and may move the split."""
    home.pause()
    for chain_id, url in home.urls.items():
        if chain_id != 1:
            with Rpc(url) as rpc:
                rpc("anvil_setNextBlockBaseFeePerGas", hex(LEAST_BASE_FEE_WEI))
                rpc("evm_mine")
    for n in range(10):
        before, after = folder / f"before{n}.json", folder / f"after{n}.json"
        assert home.run(f"market snapshot --out {before}").status == 0
        quote = home.run(f"quote {words} --json").json
        assert home.run(f"market snapshot --out {after}").status == 0
        if gas_prices(before) == gas_prices(after):
            return before, quote
    raise AssertionError("the market moved under every one of ten quotes")


@pytest.mark.parametrize("qty", ["0.7", "5", "25"])
def test_route_over_the_file_is_the_quote(home: Home, tmp_path: Path, qty: str) -> None:
    file, quote = quoted_between_equal_snapshots(home, tmp_path, f"sell {qty} ETH --for USDC")
    assert home.run(f"market snapshot --out {file} --json").json["error"]["code"] == "FILE_EXISTS"
    view = parse_text(file.read_text())
    assert view.pools and view.books and view.equivalents and view.inventory
    words = f"route {file} --sell {quote['sell']} --buy {quote['buy']} --qty {qty} --cross-domain --json"
    route = home.run(words).json
    assert route["out_raw"] == quote["out_raw"] and route["in_raw"] == quote["in_raw"]
    assert [leg["in_raw"] for leg in route["legs"]] == [leg["in_raw"] for leg in quote["legs"]]


def test_show_and_watch_tell_prices_of_every_place(home: Home) -> None:
    shown = home.run("market show --json").json["markets"]
    assert {m["place"] for m in shown} == {"eip155:1", "eip155:8453", "eip155:42161", "cex:paper"}
    assert all(isinstance(m["mid_px"], str) for m in shown)
    watched = home.run("market watch --count 2 --every 0.2")
    assert watched.status == 0 and watched.out.count("paper ETH/USDC") == 2
