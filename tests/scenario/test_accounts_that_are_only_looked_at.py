"""A loan of crvUSD, a trove of Liquity v2, a position at GMX v2: told by `health`, `stress` and alerts, read over a node's own answers."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from fake_crvusd import CONTROLLER, selling
from fake_gmx import FakeGmx, FakePosition
from fake_liquity import FEED, REGISTRY, FakeTrove
from home_fixture import Home
from looked_at_home import TROVE, LookedAt, looked_at

pytestmark = pytest.mark.devnet
LOAN, TROVE_ID = f"crvusd:eip155:1:{CONTROLLER}", f"liquity_v2:eip155:1:{REGISTRY}:{TROVE}"


@pytest.fixture
def seen(home: Home) -> Iterator[LookedAt]:
    """A loan whose collateral is being sold, a thin trove, a thin long."""
    thin = FakePosition(collateral_raw=2_790 * 10**6)
    trove = FakeTrove(rate=0, price=2_400 * 10**18)
    with looked_at(home, selling(debt=11_000 * 10**18), trove, FakeGmx((thin,))) as found:
        yield found


def accounts(seen: LookedAt) -> dict[str, Any]:
    shown = seen.home.run("health --json", seen.settings_path)
    assert shown.json is not None, shown.err
    return {account["id"]: account for account in shown.json["accounts"]}


def test_health_stress_and_alerts_tell_them(seen: LookedAt) -> None:
    told = accounts(seen)
    gmx = next(name for name in told if name.startswith("gmx_v2:"))
    assert {told[name]["state"] for name in (LOAN, TROVE_ID, gmx)} == {"AT_RISK"}
    assert told[LOAN]["cheapest_rescue"]["do"] == "repay"
    assert told[gmx]["cheapest_rescue"] | {"asset": ""} == {
        "do": "add_collateral", "asset": "", "raw": str(20 * 10**6), "health_after_1e18": str(11 * 10**17),
    }  # fmt: skip
    assert told[TROVE_ID]["cheapest_rescue"]["do"] == "repay" and told[TROVE_ID]["block"] > 0

    shown = seen.home.run("health", seen.settings_path).out
    assert "add collateral 20 USDC" in shown and "while its collateral is being sold" in shown
    assert "BTC" in shown and "falls first" in shown
    watched = seen.home.run("health --watch --count 1", seen.settings_path)
    assert watched.status == 0 and LOAN in watched.out and gmx in watched.out

    fallen = seen.home.run("stress --shock BTC=-5%,ETH=-20% --json", seen.settings_path)
    assert fallen.status in (0, 4) and fallen.json is not None, fallen.err + fallen.out
    assert set(fallen.json["would_be_liquidated"]) == {LOAN, TROVE_ID, gmx}, fallen.json

    alerted = seen.home.run("health --alert", seen.settings_path)
    for name, words in ((LOAN, "goes on being sold"), (TROVE_ID, "makes it safe"), (gmx, "makes it safe")):
        (line,) = (line for line in alerted.err.splitlines() if f"{name}: " in line)
        assert "HEALTH_AT_RISK" in line and words in line


def test_a_contract_that_is_gone_is_unknown_and_never_left_out(seen: LookedAt) -> None:
    for address, name in ((CONTROLLER, LOAN), (FEED, TROVE_ID)):
        seen.silence(address, True)
        account = accounts(seen)[name]
        assert account["state"] == "UNKNOWN" and "did not answer" in account["why"], account
        seen.silence(address, False)
        assert accounts(seen)[name]["state"] == "AT_RISK"
