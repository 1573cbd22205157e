"""The owners' commands on a Safe 1.3.0 and a Safe 1.5.0, as on 1.4.1; and a Safe that is none of the releases."""

from __future__ import annotations

from pathlib import Path

import pytest
from home_fixture import Home
from many_owners import another_wallet

from chains.devnet.funding import token_balance
from chains.devnet.jsonrpc import Rpc
from chains.profiles.ethereum import CHAIN
from chains.safe_versions import release
from contracts.codec import encode

pytestmark = [pytest.mark.devnet, pytest.mark.timeout(240)]
PAYEE = "0x000000000000000000000000000000000000bEEF"


def paid(home: Home) -> int:
    with Rpc(home.urls[1]) as rpc:
        return token_balance(rpc, CHAIN.usdc, PAYEE)


@pytest.mark.parametrize("version", ["1.3.0", "1.5.0"])
def test_proposed_signed_and_executed(home: Home, tmp_path: Path, version: str) -> None:
    with another_wallet(home, tmp_path, 3, 2, version=version) as wallet:
        own, path, before = wallet.home, tmp_path / "pay.json", paid(home)
        shown = own.run("wallet show --json").json["chains"]
        assert {c["version"] for c in shown} == {version}
        data = encode("erc20", "transfer", (PAYEE, 12_000_000)).hex()
        ran = own.run(f"wallet propose --to {CHAIN.usdc} --data 0x{data} --out {path} --json")
        assert ran.status == 0 and "Leaves: 12 USDC." in ran.json["sentences"], ran.out + ran.err
        for name in ("owner-1", "owner-2"):
            assert own.run(f"wallet sign {path} --as {name} --json").status == 0
        done = own.run(f"wallet execute {path} --live --yes --max-loss 500 --json")
        assert done.status == 0 and paid(home) - before == 12_000_000, done.out + done.err
        if version == "1.3.0":
            # Its singleton set aside: the proxy now says of itself what nobody vouches for.
            with Rpc(home.cheat_urls[1]) as rpc:
                rpc(
                    "anvil_setStorageAt",
                    wallet.safe,
                    "0x0",
                    "0x" + "00" * 12 + release("1.3.0").proxy_factory[2:],
                )
                refused = own.run(f"wallet propose --to {PAYEE} --value 0 --json")
                assert (refused.status, refused.json["error"]["code"]) == (3, "NOT_A_SAFE")


def test_a_release_is_chosen_when_a_safe_is_created(home: Home) -> None:
    owners = "--owner 0x" + "a" * 40 + " --owner 0x" + "b" * 40
    told = {
        v: home.run(f"wallet create {owners} --threshold 2 --safe-version {v} --json").json["address"]
        for v in ("1.3.0", "1.4.1", "1.5.0")
    }
    assert len(set(told.values())) == 3
    wrong = home.run(f"wallet create {owners} --threshold 2 --safe-version 1.1.1 --json")
    assert (wrong.status, wrong.json["error"]["code"]) == (2, "SAFE_VERSION_UNKNOWN")
