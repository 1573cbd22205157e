"""`fairlead wallet delegate`: an owner's key told to run genuine code by EIP-7702, found by whoever looks, and taken back by one command."""

from __future__ import annotations

import pytest
from home_fixture import Home

from agent.app.delegating import check_delegate
from chains.devnet.addresses import SIMPLE_7702_ACCOUNT
from chains.devnet.jsonrpc import Rpc
from chains.errors import Denied
from chains.types import Address

pytestmark = pytest.mark.devnet


def code_of(home: Home, account: str) -> str:
    with Rpc(home.urls[1]) as rpc:
        return str(rpc("eth_getCode", account, "latest")).lower()


def test_a_key_delegates_is_found_and_takes_it_back(home: Home) -> None:
    owner = home.settings.wallet.owners[0]
    home.fund(1, owner.address)
    settings = home.settings_path.with_name("delegates.toml")
    text = home.settings_path.read_text()
    settings.write_text(text.replace("[wallet]", f'[wallet]\ndelegates = ["{SIMPLE_7702_ACCOUNT}"]', 1))
    to = f"wallet delegate --account {owner.address} --to {SIMPLE_7702_ACCOUNT}"

    with pytest.raises(Denied, match="DELEGATE_NOT_LISTED"):
        check_delegate(home.settings, Address(SIMPLE_7702_ACCOUNT), b"code")
    dry = home.run(f"{to} --json", settings)
    assert dry.status == 0 and dry.json["tx_hash"] is None and code_of(home, owner.address) == "0x"
    assert "RUNS THE CODE OF" in dry.json["sentence"] and int(dry.json["cost_at_most_raw"]) > 0

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

    revoke = f"wallet delegate --account {owner.address} --revoke --live --json"
    back = home.run(revoke, settings)
    assert back.status == 0 and "Takes back" in back.json["sentence"], back.err + back.out
    assert code_of(home, owner.address) == "0x"
