"""A vault at Maker as documented: seen, planned, signed by the Safe's owners, paid, and left with the health that was foretold or a hair above."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from agent_home import AgentHome
from maker_home import DAI, WETH, MakerHome, maker_beside

from chains.devnet.funding import give_token

pytestmark = pytest.mark.devnet
PAY = "--live --yes --max-loss 200 --json"
HAIR = 10**12
"""A payment counts at the rate of a quarter of an hour later: some millionths of it."""


@pytest.fixture(scope="module")
def vault(agent_home_of_file: AgentHome) -> Iterator[MakerHome]:
    """2 WETH against 2,840 art, some 2,982 DAI: 1.3877 at 3,000 dollars an ETH and 145 %."""
    with maker_beside(agent_home_of_file, 2 * 10**18, 2_840 * 10**18) as found:
        yield found


def left_with(home: AgentHome, dai: int, weth: int) -> None:
    """The wallet's own tokens made so many whole ones."""
    for token, whole in ((DAI, dai), (WETH, weth)):
        held = int(home.read(token, "erc20", "balanceOf", home.safe)[0])
        give_token(home.home.cheat_urls[1], token, home.safe, whole * 10**18 - held)


def told_of(vault: MakerHome, words: str, path: Path | None = None) -> dict[str, Any]:
    done = vault.home.run(f"rescue --chain ethereum {words}", path or vault.settings_path)
    assert done.json is not None and done.status in (0, 4), done.err + done.out
    return next(a for a in done.json["accounts"] if a["id"] == vault.name)


def test_its_owners_repay_the_least_that_restores_it(agent_home: AgentHome, vault: MakerHome) -> None:
    left_with(agent_home, 1_000, 0)
    vault.at(2_450)
    ink, art = vault.urn()
    shown = agent_home.run("health --json", vault.settings_path)
    account = next(a for a in shown.json["accounts"] if a["id"] == vault.name)
    assert account["state"] in ("SAFE", "AT_RISK") and account["liquidation_px"], account
    dry = told_of(vault, "--json")
    assert dry["due"] and dry["plans"], dry
    assert "repay" in dry["plans"][0]["moves"][0]["words"], dry
    (one,) = told_of(vault, PAY)["done"]
    found, foretold = int(one["health_1e18"]), int(one["predicted_1e18"])
    assert 0 <= found - foretold < HAIR and 135 * 10**16 <= found < 13_501 * 10**14, one
    assert vault.urn()[0] == ink and vault.urn()[1] < art
    assert agent_home.read(DAI, "erc20", "allowance", agent_home.safe, vault.parts["daiJoin"])[0] == 0


def test_without_dai_collateral_is_added(agent_home: AgentHome, vault: MakerHome) -> None:
    left_with(agent_home, 0, 2)
    vault.at(2_050)
    ink, art = vault.urn()
    (one,) = told_of(vault, PAY)["done"]
    assert "supply" in one["what"] and one["predicted_1e18"] == one["health_1e18"], one
    assert vault.urn()[0] > ink and vault.urn()[1] == art


def test_no_payment_leaves_less_than_the_least_debt(agent_home: AgentHome, vault: MakerHome) -> None:
    """2,000 DAI is the least a vault may owe: 2,300 do not pay it whole, so it is paid down to that, and then there is nothing to do but to
    bring the rest."""
    left_with(agent_home, 2_300, 0)
    vault.at(1_200)
    (one,) = told_of(vault, PAY)["done"]
    held = int(agent_home.read(DAI, "erc20", "balanceOf", agent_home.safe)[0])
    assert "repay" in one["what"] and 1_300 * 10**18 < held < 2_000 * 10**18, one
    ilk = agent_home.read(vault.parts["vat"], "maker_vat", "ilks", b"ETH-A".ljust(32, b"\0"))
    left = vault.urn()[1] * int(ilk[1])
    assert 2_000 * 10**45 <= left < 2_001 * 10**45
    told = told_of(vault, PAY)
    assert not told["done"] and vault.urn()[1] * int(ilk[1]) == left, told
    vault.at(2_050)


def test_an_adapter_of_another_kind_is_unknown_and_not_safe(agent_home: AgentHome, vault: MakerHome) -> None:
    told = told_of(vault, "--json", vault.wrong_path)
    assert told["state"] == "UNKNOWN" and not told["plans"], told


def test_a_debt_in_what_the_settings_do_not_list_is_told(agent_home: AgentHome, vault: MakerHome) -> None:
    left_with(agent_home, 8_000, 0)
    vault.at(1_500)
    told = told_of(vault, "--json", vault.unlisted_path)
    vault.at(2_050)
    assert not told["plans"] and "ASSET_UNLISTED" in [d["code"] for d in told["doubts"]], told


def test_a_debt_is_paid_whole(agent_home: AgentHome, vault: MakerHome) -> None:
    left_with(agent_home, 8_000, 0)
    (one,) = told_of(vault, f"--target {10**15} {PAY}")["done"]
    assert one["health_1e18"] is None and vault.urn()[1] == 0, one
