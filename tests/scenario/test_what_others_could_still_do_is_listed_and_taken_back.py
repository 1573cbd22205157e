"""Signed transactions that wait, approvals that are left, and a Safe's address before it exists: known, told, and revocable."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from home_fixture import Home, Ran
from many_owners import OtherWallet, another_wallet

from chains.devnet.jsonrpc import Rpc
from chains.profiles.ethereum import CHAIN
from contracts.codec import decode_result, encode

pytestmark = [pytest.mark.devnet, pytest.mark.timeout(240)]
PAYEE = "0x00000000000000000000000000000000DeaDBeef"
LIVE = "--live --yes --max-loss 500 --json"


@pytest.fixture(scope="module")
def wallet(home_of_file: Home, tmp_path_factory: pytest.TempPathFactory) -> Iterator[OtherWallet]:
    """A wallet of its own, so that what is left in its folder is this test's."""
    with another_wallet(home_of_file, tmp_path_factory.mktemp("two"), 3, 2) as made:
        yield made


def proposed(home: Home, words: str) -> dict[str, Any]:
    ran = home.run(f"wallet propose {words} --json")
    assert ran.status == 0, ran.out + ran.err
    facts: dict[str, Any] = ran.json
    return facts


def opened(home: Home) -> list[dict[str, Any]]:
    ran = home.run("wallet outstanding --json")
    assert ran.status == 0, ran.out + ran.err
    found: list[dict[str, Any]] = ran.json["open"]
    return found


def executed(home: Home, path: str) -> Ran:
    done = home.run(f"wallet execute {path} {LIVE}")
    assert done.status == 0, done.out + done.err
    return done


def test_a_signed_transaction_is_open_until_its_nonce_is_used(home: Home, wallet: OtherWallet) -> None:
    mine = wallet.home
    assert opened(mine) == []
    transfer = encode("erc20", "transfer", (PAYEE, 1_000_000)).hex()
    first = proposed(mine, f"--to {CHAIN.usdc} --data 0x{transfer}")
    (only,) = opened(mine)
    assert only["bearer"] is False and only["state"] == "unsigned, 2 more signatures needed"
    wallet.sign_elsewhere(Path(first["file"]), 1)
    assert opened(mine)[0]["state"] == "1 more signature needed"
    wallet.sign_elsewhere(Path(first["file"]), 3)
    second = proposed(mine, f"--to {CHAIN.usdc} --data 0x{transfer}")
    assert second["nonce"] == first["nonce"] + 1, "the nonce of a proposal that is kept here was given twice"
    wallet.sign_elsewhere(Path(second["file"]), 2)
    now, later = opened(mine)
    assert (now["state"], now["bearer"], now["deadline"]) == ("EXECUTABLE NOW", True, first["deadline"])
    assert (later["state"], later["bearer"]) == ("EXECUTABLE after 1 other", True)
    assert any("Sends 1 USDC" in line for line in now["sentences"])
    text = mine.run("wallet outstanding").out
    assert (
        text.startswith(f"devnet · {wallet.safe} · ethereum ")
        and now["safe_tx_hash"] in text
        and now["revoke"] in text
    )

    revoking = proposed(mine, now["revoke"].removeprefix("fairlead wallet propose "))
    wallet.sign_elsewhere(Path(revoking["file"]), 2)
    assert len(opened(mine)) == 3
    executed(mine, revoking["file"])
    (left,) = opened(mine)
    assert left["safe_tx_hash"] == later["safe_tx_hash"] and left["state"] == "EXECUTABLE NOW"
    executed(mine, second["file"])
    assert opened(mine) == []


def test_an_expired_one_is_open_no_more(home: Home, wallet: OtherWallet) -> None:
    mine = wallet.home
    short = proposed(mine, f"--chain arbitrum --to {PAYEE} --value 0 --valid 60s")
    wallet.sign_elsewhere(Path(short["file"]), 2)
    assert [o["chain"] for o in opened(mine)] == ["arbitrum"]
    with Rpc(mine.cheat_urls[42161]) as rpc:
        head = rpc("eth_getBlockByNumber", "latest", False)
        rpc("evm_setNextBlockTimestamp", int(head["timestamp"], 16) + 61)
        rpc("evm_mine")
    assert opened(mine) == []
    late = mine.run(f"wallet sign {short['file']} --as owner-3 --json")
    assert (late.status, late.json["error"]["code"]) == (3, "SAFE_EXPIRED")
    sent = mine.run(f"wallet execute {short['file']} {LIVE}")
    assert (sent.status, sent.json["error"]["code"]) == (3, "SAFE_EXPIRED")


def test_a_waiting_order_is_a_bearer_instrument_too(home: Home) -> None:
    home.pause()
    running, order = home.pending_trade()
    found = [o for o in opened(home) if o["bearer"] and o["chain"] == "ethereum"]
    assert len(found) == 1 and found[0]["known_from"][0].startswith("journal fl-"), found
    assert found[0]["deadline"] and any("Sells" in line for line in found[0]["sentences"])
    home.go_on()
    running.end()
    assert [o for o in opened(home) if o["bearer"]] == []


def test_approvals_that_are_left_raise_an_alarm_and_are_taken_back(
    home: Home, wallet: OtherWallet, tmp_path: Path
) -> None:
    mine = wallet.home
    clean = mine.run("wallet approvals --json")
    assert clean.status == 0 and clean.json["left"] == 0 and "ALARM" not in clean.err
    permit2, router = CHAIN.contracts["permit2"], CHAIN.contracts["universal_router"]
    acts = [
        (CHAIN.usdc, encode("erc20", "approve", (permit2, 2**256 - 1))),
        (permit2, encode("permit2", "approve", (CHAIN.usdc, router, 9_000_000, 2**48 - 1))),
        (CHAIN.wrapped_native, encode("erc20", "approve", (router, 10**18))),
    ]
    calls = tmp_path / "calls.json"
    calls.write_text(json.dumps([{"to": to, "data": "0x" + data.hex()} for to, data in acts]))
    granting = proposed(mine, f"--calls {calls}")
    wallet.sign_elsewhere(Path(granting["file"]), 2)
    unbounded = mine.run(f"wallet execute {granting['file']} {LIVE}")
    assert (unbounded.status, unbounded.json["error"]["code"]) == (3, "PRICE_UNKNOWN"), (
        "an unlimited approval has no bound"
    )
    small = [(to, data) for to, data in acts[1:]]
    calls.write_text(json.dumps([{"to": to, "data": "0x" + data.hex()} for to, data in small]))
    bounded = proposed(mine, f"--calls {calls} --nonce {granting['nonce']}")
    wallet.sign_elsewhere(Path(bounded["file"]), 2)
    done = mine.run(f"wallet execute {bounded['file']} --live --yes --max-loss 5000 --json")
    assert done.status == 0 and float(done.json["loss_usd_at_most"]) > 9, done.out + done.err

    left = mine.run("wallet approvals --json")
    assert left.status == 3 and left.json["left"] == 2 and "ALARM APPROVALS_LEFT" in left.err
    (ethereum,) = [c for c in left.json["chains"] if c["chain"] == "ethereum"]
    told = {(a["via"], a["symbol"], a["amount_raw"]) for a in ethereum["approvals"]}
    assert told == {("permit2", "USDC", "9000000"), (None, "WETH", str(10**18))}
    assert [a.code for a in mine.book().alarms] == ["APPROVALS_LEFT"]
    text = mine.run("wallet approvals")
    assert text.status == 3 and "universal_router" in text.out and "wallet approvals --revoke" in text.out

    revoking = mine.run("wallet approvals --revoke --json")
    assert revoking.status == 0 and len(revoking.json["proposals"]) == 1
    wallet.sign_elsewhere(Path(revoking.json["proposals"][0]), 2)
    executed(mine, revoking.json["proposals"][0])
    assert mine.run("wallet approvals --json").json["left"] == 0


def test_a_module_has_no_price_so_only_a_person_says_yes(
    home: Home, wallet: OtherWallet, tmp_path: Path
) -> None:
    path = tmp_path / "module.json"
    data = encode("safe", "enableModule", (PAYEE,)).hex()
    facts = proposed(wallet.home, f"--to {wallet.safe} --data 0x{data} --out {path}")
    assert any(
        line.startswith(f"MODULE ADDED: {PAYEE}, which can spend without") for line in facts["sentences"]
    )
    wallet.sign_elsewhere(path, 2)
    unasked = wallet.home.run(f"wallet execute {path} {LIVE}")
    assert (unasked.status, unasked.json["error"]["code"]) == (3, "PRICE_UNKNOWN")
    assert wallet.home.run(f"wallet execute {path} --json").json["loss_usd_at_most"] is None


def test_a_safe_stands_at_one_address_on_every_chain(home: Home) -> None:
    owners = " ".join(f"--owner {o.address}" for o in home.settings.wallet.owners)
    command = f"wallet create {owners} --threshold 3 --salt 20261121"
    dry = home.run(f"{command} --json")
    assert dry.status == 0 and dry.json["done"] is False
    assert {c["address"] for c in dry.json["chains"]} == {dry.json["address"]} and len(
        dry.json["chains"]
    ) == 3
    assert not any(c["exists"] for c in dry.json["chains"])
    other = home.run(f"{command}1 --json").json["address"]
    assert other != dry.json["address"] != home.run(f"{command} --l2 --json").json["address"]
    poor = home.run(f"{command} --live --yes --max-loss 0.001 --json")
    assert (poor.status, poor.json["error"]["code"]) == (3, "MAX_LOSS")
    made = home.run(f"{command} --live --yes --max-loss 50 --json")
    assert made.status == 0 and all(c["tx_hash"] for c in made.json["chains"]), made.out + made.err
    for url in home.urls.values():
        with Rpc(url) as rpc:
            data = "0x" + encode("safe", "getOwners").hex()
            answer = rpc("eth_call", {"to": dry.json["address"], "data": data}, "latest")
        found = decode_result("safe", "getOwners", bytes.fromhex(answer[2:]))[0]
        assert sorted(found) == sorted(o.address for o in home.settings.wallet.owners)
    again = home.run(f"{command} --live --yes --max-loss 50 --json").json["chains"]
    assert all(c["exists"] and c["tx_hash"] is None for c in again)
    for words, code in (("--threshold 2 --owner 0x12", "BAD_ADDRESS"), (f"--threshold 2 --owner {PAYEE}", "SAFE_THRESHOLD_INVALID"),
                        (f"--threshold 1 --owner {PAYEE} --owner {PAYEE}", "SAFE_OWNERS_INVALID")):  # fmt: skip
        wrong = home.run(f"wallet create {words} --json")
        assert (wrong.status, wrong.json["error"]["code"]) == (2, code)
