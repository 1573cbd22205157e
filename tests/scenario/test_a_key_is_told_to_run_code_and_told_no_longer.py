"""`fairlead wallet delegate` and `operate`: an owner's key told to run genuine code by EIP-7702, an operation of it through EntryPoint 0.8, found
by whoever looks, and taken back by one command."""

from __future__ import annotations

from pathlib import Path

import pytest
from home_fixture import Home
from userop_support import bundler_process

from agent.app.delegating import check_delegate
from chains.devnet.addresses import ENTRY_POINT_08, SIMPLE_7702_ACCOUNT
from chains.devnet.funding import give_eth
from chains.devnet.jsonrpc import Rpc
from chains.errors import Denied
from chains.types import Address

FRIEND = Address("0x" + "7" * 40)
pytestmark = pytest.mark.devnet


def code_of(home: Home, account: str) -> str:
    with Rpc(home.urls[1]) as rpc:
        return str(rpc("eth_getCode", account, "latest")).lower()


def operates(home: Home, settings: Path, account: str, folder: Path) -> None:
    """Through EntryPoint 0.8, by a bundler of ours that serves it."""
    with bundler_process(home.cheat_urls[1], folder, "--entry-point", "0.8") as (url, bundler):
        give_eth(home.cheat_urls[1], bundler, 10**18)
        with Rpc(url) as rpc:
            assert rpc("eth_supportedEntryPoints") == [ENTRY_POINT_08]
        mine = settings.with_name("operates.toml")
        text = settings.read_text()
        found = next(s for s in home.settings.chains if s.chain_id == 1).bundler
        assert found is not None and found.url in text
        mine.write_text(text.replace(f'url = "{found.url}"', f'url = "{url}"\nentry_point = "0.8"', 1))
        words = f"wallet operate --account {account} --to {FRIEND} --value 0.25 --live --json"
        done = home.run(words, mine)
    assert done.status == 0 and done.json["success"] is True, done.err + done.out
    assert f"Sends 0.25 ETH to SOMEBODY ELSE ({FRIEND})" in done.err, "told before the key is asked for"
    with Rpc(home.urls[1]) as rpc:
        assert int(rpc("eth_getBalance", FRIEND, "latest"), 16) == 25 * 10**16
    assert 0 < int(done.json["gas_cost_raw"]) <= int(done.json["cost_at_most_raw"])


def test_a_key_delegates_operates_is_found_and_takes_it_back(home: Home, tmp_path: Path) -> None:
    owner = home.settings.wallet.owners[0]
    home.fund(1, owner.address)
    settings = home.settings_path.with_name("delegates.toml")
    text = home.settings_path.read_text()
    settings.write_text(text.replace("[wallet]", f'[wallet]\ndelegates = ["{SIMPLE_7702_ACCOUNT}"]', 1))
    to = f"wallet delegate --account {owner.address} --to {SIMPLE_7702_ACCOUNT}"

    with pytest.raises(Denied, match="DELEGATE_NOT_LISTED"):
        check_delegate(home.settings, Address(SIMPLE_7702_ACCOUNT), b"code")
    done = home.run(f"{to} --live --json", settings)
    assert done.status == 0, done.err + done.out
    assert "FROM THEN ON" in done.err, "told before the key is asked for"
    assert code_of(home, owner.address) == "0xef0100" + SIMPLE_7702_ACCOUNT[2:].lower()
    listed = home.run("wallet delegate --json", settings).json["keys"]
    assert {k["account"]: k["delegate"] for k in listed}[owner.address] == SIMPLE_7702_ACCOUNT
    met = home.run(
        f"init --watch {owner.address} --rpc {home.urls[1]} --force --json", home.folder / "w.toml"
    )
    assert met.status == 0, met.err
    assert met.json["chains"][0]["delegate"] == SIMPLE_7702_ACCOUNT
    assert any("EIP-7702" in word for word in met.json["warnings"])

    operates(home, settings, owner.address, tmp_path)

    revoke = f"wallet delegate --account {owner.address} --revoke --live --json"
    back = home.run(revoke, settings)
    assert back.status == 0 and "Takes back" in back.json["sentence"], back.err + back.out
    assert code_of(home, owner.address) == "0x"
