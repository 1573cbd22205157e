"""Which accounts a rescue may name: markets that the chain lists, exchanges that there are; and what of it stands in the signer's own file."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from settings_values import values

from agent.app import signer_file, template
from agent.app.cli.rescue import rules_of
from agent.app.settings import parse
from agent.app.settings_tree import Settings
from chains.devnet.addresses import SPARK
from chains.errors import Usage
from keys.settings import signer_settings

MARKET, MORPHO = "0x" + "ab" * 32, "0xBBBBBbbBBb9cC5e90e3b3Af64bdAF62C37EEFFCb"
COMET = "0xc3d688B66703497DAA19211EEdff47f25384cdc3"
URN, JOIN = "0x7A7a7A7a7a7a7a7A7a7a7a7A7a7A7A7A7A7A7a7A", "0x2F0b23f53734252Bda2277357e97e1517d6B042A"
DAI_JOIN, DAI = "0x9759A6Ac90977b93B58547b4A71c78317f391A28", "0x6B175474E89094C44Da98b954EedeAC495271d0F"
WETH = "0xC02aaA39b223FE8D0A0e5C4F27eAD9083C756Cc2"
VAULT = {"ilk": "ETH-A", "urn": URN, "join": JOIN, "collateral": WETH}
HERE = Path("/nowhere/fairlead.toml")
SENDER = "0x00000000000000000000000000000000000A11cE"


def settings(**more: Any) -> Settings:
    given = values(**more)
    given["chains"][0] |= {
        "lending_pools": [SPARK["Pool"]],
        "comets": [COMET],
        "morpho_markets": [MARKET],
        "maker": {"vaults": [VAULT]},
    }
    given["wallet"]["sender"] = {"address": SENDER, "keystore": "/keys/sender.json"}
    return parse(template.render(given, HERE), HERE).settings


def rule(**more: Any) -> dict[str, Any]:
    return {"name": "r", "chain": values()["chains"][0]["name"], **more}


def test_every_market_that_a_chain_lists_is_looked_at_and_may_be_named() -> None:
    found = settings(rescues=[rule(market=SPARK["Pool"].lower(), target="1.5")])
    asked = [(r.market, str(r.target)) for r in rules_of(found, found.chains[0].name, None)]
    assert asked == [(None, "1.35"), (SPARK["Pool"], "1.5"), (COMET, "1.35"), (MARKET, "1.35"), (URN, "1.35")]


@pytest.mark.parametrize(
    ("tables", "said"),
    [
        ({"rescues": [rule(market="0x" + "ab" * 31 + "ac")]}, "did you mean"),
        ({"rescues": [rule(market="spark")]}, "rescues[0].market"),
        ({"margin_rescues": [{"name": "m", "venue": "papr"}]}, "did you mean 'paper'?"),
        ({"margin_rescues": [{"name": "m", "venue": "paper", "target": "1.4"}]}, "margin_rescues[0].trigger"),
        ({"margin_rescues": [{"name": "m", "venue": "paper", "warn": "1.2"}]}, "margin_rescues[0].warn"),
        ({"margin_rescues": [{"name": n, "venue": "paper"} for n in "mn"]}, "margin_rescues[1].venue"),
        ({"rescues": [rule(), rule(name="s")]}, "rescues[1]"),
        ({"rescues": [rule(market="0x" + "7b" * 20)]}, "maker.vaults"),
        ({"rescues": [rule(hedge_at="papr", hedge_with="ETH")]}, "did you mean 'paper'?"),
        ({"rescues": [rule(hedge_at="paper")]}, "rescues[0].hedge_with"),
        ({"rescues": [rule(hedge_at="paper", hedge_with="ETH-PERP")]}, "[assets] names no ETH-PERP at paper"),
        ({"rescues": [rule(hedge_with="ETH-PERP")]}, "hedge_at says no exchange"),
        (
            {"rescues": [rule(hedge_at="paper", hedge_with="ETH", hedge_until="1.1")]},
            "opened and closed in turn",
        ),
        (
            {"margin_rescues": [{"name": "m", "venue": "paper", "hedge_at": "paper", "hedge_with": "ETH"}]},
            "in trouble",
        ),
    ],
)
def test_what_cannot_be_is_named_with_its_place(tables: dict[str, Any], said: str) -> None:
    with pytest.raises(Usage) as wrong:
        settings(**tables)
    assert said in f"{wrong.value.message} {wrong.value.hint}"


def test_the_signers_own_file_lists_pools_and_markets() -> None:
    read = signer_settings(signer_file.content(settings(), {}))
    policy = read.chains[1]
    assert policy.contracts[SPARK["Pool"]] == "aave_v3_pool" and policy.contracts[MORPHO] == "morpho_blue"
    assert policy.contracts[COMET] == "comet" and policy.contracts[JOIN] == "maker_join"
    assert policy.maker.joins == {JOIN: WETH, DAI_JOIN: DAI} and {JOIN, DAI_JOIN} <= policy.spenders
    assert policy.maker.vaults == {(b"ETH-A".ljust(32, b"\0"), URN)}
    assert {SPARK["Pool"], COMET, MORPHO} <= policy.spenders and policy.morpho_markets == {MARKET}
