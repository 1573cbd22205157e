"""`market snapshot` writes what `quote` saw: `route` over the file gives the same answer, with no network."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from home_fixture import Home

from agent.domain.instruments import Place
from agent.market.file import parse_text
from chains.devnet.jsonrpc import Rpc
from chains.profiles import load

pytestmark = pytest.mark.devnet


@pytest.mark.parametrize("qty", ["0.7", "5", "25"])
def test_route_over_the_file_is_the_quote(home: Home, tmp_path: Path, qty: str) -> None:
    file = tmp_path / "market.json"
    with home.standing_still():  # a base fee that moves is another market, and may move the split
        assert home.run(f"market snapshot --out {file}").status == 0
        quote = home.run(f"quote sell {qty} ETH --for USDC --json").json
    assert home.run(f"market snapshot --out {file} --json").json["error"]["code"] == "FILE_EXISTS"
    view = parse_text(file.read_text())
    assert view.pools and view.books and view.equivalents and view.inventory
    words = f"route {file} --sell {quote['sell']} --buy {quote['buy']} --qty {qty} --cross-domain --json"
    route = home.run(words).json
    assert route["out_raw"] == quote["out_raw"] and route["in_raw"] == quote["in_raw"]
    assert [leg["in_raw"] for leg in route["legs"]] == [leg["in_raw"] for leg in quote["legs"]]


def test_a_rollup_whose_data_costs_more_than_its_pools_are_better_by_is_left_out(
    home: Home, tmp_path: Path
) -> None:
    """The oracle of the OP stack answers 2.4 billion to everything, by which a transaction's data is a tenth of an ether: the plan goes elsewhere,
    the file says what data costs a transaction and a leg, and `route` over it answers the same."""
    words = "quote sell 5 ETH --for USDC --json"

    def on_base(told: dict[str, Any]) -> bool:
        return any(leg["id"].startswith("eip155:8453/") for leg in told["legs"])

    assert on_base(home.run(words).json)
    oracle = load("base").contracts["gas_price_oracle"]
    with Rpc(home.cheat_urls[8453]) as rpc:
        rpc("anvil_setCode", oracle, "0x638f0d18005f5260205ff3")
        try:
            dear = home.run(words).json
            assert not on_base(dear)
            file = tmp_path / "dear.json"
            assert home.run(f"market snapshot --out {file}").status == 0
        finally:
            rpc("anvil_setCode", oracle, "0x")
    gas = {
        place: (held.tx_gas, held.tx_gas_per_leg) for place, held in parse_text(file.read_text()).gas.items()
    }
    assert (
        gas[Place("eip155:8453")][0] > 100 * gas[Place("eip155:1")][0]
        and gas[Place("eip155:8453")][1] > 10**6
    )
    route = home.run(
        f"route {file} --sell {dear['sell']} --buy {dear['buy']} --qty 5 --cross-domain --json"
    ).json
    assert not on_base(route)


def test_show_and_watch_tell_prices_of_every_place(home: Home) -> None:
    shown = home.run("market show --json").json["markets"]
    assert {m["place"] for m in shown} == {"eip155:1", "eip155:8453", "eip155:42161", "cex:paper"}
    assert all(isinstance(m["mid_px"], str) for m in shown)
    watched = home.run("market watch --count 2 --every 0.2")
    assert watched.status == 0 and watched.out.count("paper ETH/USDC") == 2
