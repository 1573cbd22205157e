"""`fairlead wallet scope | audit | renew | rotate-agent | freeze` from the command line, on genuine Roles and our Gate."""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from home_fixture import Home

from chains.devnet.addresses import CHAINS
from chains.devnet.jsonrpc import Rpc
from contracts.codec import encode

pytestmark = pytest.mark.devnet
SCOPE = """
[[scopes]]
chain = "ethereum"
per_day_usd = "60000"
burst_usd = "30000"
gas_float = "0.2"
gas_per_day = "0.1"
pairs = [{ a = "WETH", b = "USDC", source = "0x88e6A0c2dDD26FEEb64F039a2c41296FcB3f5640" }]
reserves = [{ symbol = "WETH", actions = ["supply", "repay"] }]
tokens = [
  { symbol = "WETH", allowance = "1000" },
  { symbol = "USDC", allowance = "1000000", max_age_s = 86400, feed_error_bps = 25 },
]
"""
USDC = CHAINS[1].usdc
NEW = "0x00000000000000000000000000000000000A6E27"


def scoped(home: Home, folder: Path, text: str = SCOPE) -> Path:
    """The home's settings with a scope; beside them, so that relative paths hold."""
    path = home.settings_path.with_name(f"scoped-{folder.name}.toml")
    path.write_text(home.settings_path.read_text() + text)
    return path


def executed(home: Home, told: dict[str, Any], settings: Path) -> None:
    """What was proposed, signed by two owners and executed: an allowance counts as what it could cost."""
    for owner in home.settings.wallet.owners[: home.settings.wallet.threshold]:
        signed = home.run(f"wallet sign {told['file']} --as {owner.label or owner.address} --json", settings)
        assert signed.status == 0, signed.err + signed.out
        assert (
            "NOT UNDERSTOOD" not in signed.out + signed.err and "UNKNOWN HERE" not in signed.out + signed.err
        )
    done = home.run(
        f"wallet execute {told['file']} --live --yes --max-loss 5000000 --json", settings, patience_s=180
    )
    assert done.status == 0, done.err + done.out


def test_the_whole_life_of_a_scope(home: Home, tmp_path: Path) -> None:
    settings = scoped(home, tmp_path)
    before = home.run("wallet audit --json", settings)
    assert before.status == 3 and not before.json["granted"]

    assert home.run("wallet scope --json", settings).json["file"] is None, "reading proposes nothing"
    told = home.run("wallet scope --propose --json", settings).json
    bound = told["bound"]
    share = Decimal(bound["share_of_traded"])
    assert Decimal("0.01") < share < Decimal("0.02")
    # 60,000 a day at the share, and all the gas money there is at 3,000: what really lies on the account, and 0.1 ETH a day.
    sender = home.settings.wallet.sender
    assert sender is not None
    with Rpc(home.urls[1]) as rpc:
        held = Decimal(int(rpc("eth_getBalance", sender.address, "latest"), 16)).scaleb(-18)
    assert held > Decimal("0.2"), "more than the settings say"
    gas = (held + Decimal("0.1")) * 3_000
    assert Decimal(bound["per_day_usd"]) == pytest.approx(60_000 * share + gas, abs=Decimal(2))
    assert any(f"${Decimal(bound['per_day_usd']):,.2f} in any 24 hours" in line for line in told["sentences"])
    # The key is the same on the chains without a scope: what lies on it there is told beside the bound.
    elsewhere = {p["chain"]: int(p["held_raw"]) for p in bound["elsewhere"]}
    with Rpc(home.urls[8453]) as rpc:
        assert elsewhere["base"] == int(rpc("eth_getBalance", sender.address, "latest"), 16) > 0
    assert set(elsewhere) == {"base", "arbitrum"}
    shown = home.run("wallet scope", settings)
    assert "beside it all that lies on the agent's key on arbitrum, now " in shown.out
    assert "bound     whoever steals the agent's key takes at most" in shown.out
    # … and as a state diff: each setting, what the chain has of it now, and what it would have.
    (limits,) = (line for line in shown.out.splitlines() if "gate limits" in line)
    assert limits.startswith("  gate limits: nothing → ") and limits.count(", ") == 6
    assert "allowance WETH: 0 → at most 1000000000000000000000" in shown.out
    # Another number, of another place: what the signer would send there in a day, each order once.
    (there,) = bound["exchanges"]
    assert (there["name"], there["signed_per_day_usd"], there["repeats"]) == ("paper", "6000000.00", 1)
    assert Decimal(there["per_day_usd"]) == 6_000_000
    assert "at exchange paper: up to 6,000,000.00 USD a day, and no more than lies there" in shown.out
    executed(home, told, settings)

    held = home.run("wallet audit --json", settings)
    assert held.status == 0 and held.json["ok"] and held.json["differs"] == [] and held.json["expires"], (
        held.out
    )
    # Beside the scope there is nothing, no approval is left, and the other chains' Safe is the same owners'.
    assert [held.json[name] for name in ("wallet", "waits", "notes", "unread")] == [[], [], [], []]
    safe = home.settings.wallet.address
    with Rpc(home.cheat_urls[1]) as one, Rpc(home.cheat_urls[8453]) as base:
        snapshots = one("evm_snapshot"), base("evm_snapshot")
        for rpc in (one, base):
            rpc("anvil_setBalance", safe, hex(10**18))
            rpc("anvil_impersonateAccount", safe)
        left = encode("erc20", "approve", (NEW, 7 * 10**6)).hex()
        one.transact({"from": safe, "to": USDC, "data": "0x" + left})
        gone = encode("safe", "changeThreshold", (1,)).hex()
        base.transact({"from": safe, "to": safe, "data": "0x" + gone})
        found = home.run("wallet audit --json", settings)
        assert found.status == 3 and found.json["differs"] == []
        approved, elsewhere = found.json["wallet"]
        assert f"({NEW}) may take 7 USDC".lower() in approved.lower(), found.out
        assert elsewhere.startswith(f"base: {safe} is owned by 1 of"), found.out
        one("evm_revert", snapshots[0]), base("evm_revert", snapshots[1])
    again = home.run("wallet scope --json", settings).json
    assert again["granted"] and again["file"] is None
    twice = home.run("wallet scope --propose --json", settings)
    assert twice.status == 2 and twice.json["error"]["code"] == "GRANTED_ALREADY"

    wider = scoped(home, tmp_path / "wider", SCOPE.replace('"30000"', '"40000"'))
    drift = home.run("wallet audit --json", wider)
    assert drift.status == 3 and [d["what"] for d in drift.json["differs"]] == ["gate limits"]

    first = held.json["expires"]
    executed(home, home.run("wallet renew --json", settings).json, settings)
    assert home.run("wallet audit --json", settings).json["expires"] > first

    stranger = home.run(f"wallet freeze --owner {NEW} --live --json", settings)
    assert stranger.status == 3 and stranger.json["error"]["code"] == "NOT_AN_OWNER"
    executed(home, home.run(f"wallet rotate-agent {NEW} --json", settings).json, settings)
    rotated = home.run("wallet audit --json", settings)
    assert {d["what"] for d in rotated.json["differs"]} == {"roles member", "roles members"}
    moved = scoped(home, tmp_path / "moved", SCOPE.replace("per_day_usd", f'agent = "{NEW}"\nper_day_usd'))
    agreed = home.run("wallet audit --json", moved)
    # The gas money still goes to the account it was granted for: that is the Safe's to change.
    assert {d["what"] for d in agreed.json["differs"]} == {"gate gas money"}

    owner = home.settings.wallet.owners[2].address
    home.fund(1, owner)
    dry = home.run(f"wallet freeze --owner {owner} --json", settings)
    assert dry.status == 0 and dry.json["frozen"] is False
    frozen = home.run(f"wallet freeze --owner {owner} --live --json", settings)
    assert frozen.status == 0 and home.receipt(frozen.json["tx_hash"])["status"] == "0x1"
    assert "gate frozen" in {d["what"] for d in home.run("wallet audit --json", settings).json["differs"]}


@pytest.mark.parametrize(
    ("old", "new", "code", "says"),
    [
        ('burst_usd = "30000"', 'burst_usd = "70000"', "SCOPE_INVALID", "burst_usd"),
        ('symbol = "USDC", allowance', 'symbol = "USDX", allowance', "UNKNOWN_ASSET", "USDX"),
        ('b = "USDC"', 'b = "DAI"', "SCOPE_INVALID", "DAI"),
        ("gas_float", "gas_flaot", "SETTINGS_INVALID", "gas_float"),
        ('chain = "ethereum"', 'chain = "base"', "NO_SCOPE", "ethereum"),
        ('allowance = "1000"', 'allowance = "0"', "SETTINGS_INVALID", "allowance"),
    ],
)
def test_a_scope_that_cannot_be_is_named(
    home: Home, tmp_path: Path, old: str, new: str, code: str, says: str
) -> None:
    assert old in SCOPE
    settings = scoped(home, tmp_path, SCOPE.replace(old, new))
    refused = home.run("wallet scope --json", settings)
    assert refused.status == 2 and refused.json["error"]["code"] == code, refused.out
    assert says in refused.json["error"]["message"] + refused.json["error"]["hint"]
