"""Proposed by one, signed by several at once, executed by whoever comes last; and everything that must be refused before sending."""

from __future__ import annotations

import json
import signal
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from home_fixture import Home, Ran
from many_owners import OtherWallet, another_wallet

from agent.app.cli import run
from agent.domain.order_state import OrdStatus
from chains.devnet.funding import token_balance
from chains.devnet.jsonrpc import Rpc
from chains.profiles.ethereum import CHAIN
from chains.types import Address
from contracts.codec import decode_result, encode
from keys import safe_document as sd

pytestmark = [pytest.mark.devnet, pytest.mark.timeout(240)]
PAYEE = "0x00000000000000000000000000000000DeaDBeef"
UNATTENDED = "--live --yes --max-loss 500 --json"


@pytest.fixture(scope="module")
def ten(home_of_file: Home, tmp_path_factory: pytest.TempPathFactory) -> Iterator[OtherWallet]:
    with another_wallet(home_of_file, tmp_path_factory.mktemp("ten"), 10, 7) as wallet:
        yield wallet


def view(home: Home, function: str) -> Any:
    data = "0x" + encode("safe", function).hex()
    with Rpc(home.urls[1]) as rpc:
        answer = rpc("eth_call", {"to": home.settings.wallet.address, "data": data}, "latest")
    return decode_result("safe", function, bytes.fromhex(answer[2:]))[0]


def usdc_of(home: Home, who: str) -> int:
    with Rpc(home.urls[1]) as rpc:
        return token_balance(rpc, CHAIN.usdc, who)


def payment(raw: int) -> str:
    return f"--to {CHAIN.usdc} --data 0x{encode('erc20', 'transfer', (PAYEE, raw)).hex()}"


def proposed(home: Home, path: Path, words: str) -> Ran:
    ran = home.run(f"wallet propose {words} --out {path} --json")
    assert ran.status == 0, ran.out + ran.err
    return ran


def signed(home: Home, path: Path, *names: str) -> list[Ran]:
    """By several owners at once."""
    running = [home.start(f"wallet sign {path} --as {name} --json") for name in names]
    done = [one.end() for one in running]
    for one in done:
        assert one.status == 0, one.out + one.err
    return done


def refused(ran: Ran) -> tuple[int, str]:
    return ran.status, ran.json["error"]["code"]


def test_proposed_signed_by_two_at_once_and_executed(home: Home, tmp_path: Path) -> None:
    path, before, nonce = tmp_path / "rent.json", usdc_of(home, PAYEE), view(home, "nonce")
    facts = proposed(home, path, f"{payment(125_000_000)} --note rent").json
    assert facts["nonce"] == nonce and facts["deadline"] and "Leaves: 125 USDC." in facts["sentences"]
    early = home.run(f"wallet execute {path} --json")
    assert refused(early) == (3, "SAFE_BELOW_THRESHOLD")

    signed(home, path, "owner-1", "owner-3")
    assert len(json.loads(path.read_text())["confirmations"]) == 2
    again = home.run(f"wallet sign {path} --as owner-1 --json")
    assert again.status == 0 and "signed it already" in again.err and len(again.json["signed_by"]) == 2

    dry = home.run(f"wallet execute {path} --json")
    assert dry.status == 0 and dry.json["done"] is False and float(dry.json["loss_usd_at_most"]) > 125
    assert refused(home.run(f"wallet execute {path} --live --yes --json")) == (2, "MAX_LOSS_MISSING")
    assert refused(home.run(f"wallet execute {path} --live --yes --max-loss 120 --json")) == (3, "MAX_LOSS")
    assert (usdc_of(home, PAYEE), view(home, "nonce")) == (before, nonce), "something was sent"

    done = home.run(f"wallet execute {path} {UNATTENDED}")
    assert done.status == 0 and done.json["done"] is True, done.out + done.err
    assert usdc_of(home, PAYEE) == before + 125_000_000
    assert home.receipt(done.json["tx_hash"])["status"] == "0x1"
    record = home.book().parts[done.json["cl_ord_id"]]
    assert record.ended and record.authorized is not None and record.authorized.wallet_nonce == nonce

    for words in (f"wallet execute {path} {UNATTENDED}", f"wallet sign {path} --as owner-2 --json"):
        assert refused(home.run(words)) == (3, "SAFE_NONCE_USED")


def test_a_changed_file_a_foreign_signature_and_the_wrong_nonce_never_reach_the_chain(
    home: Home, tmp_path: Path
) -> None:
    path, nonce = tmp_path / "t.json", view(home, "nonce")
    proposed(home, path, payment(1_000_000))
    signed(home, path, "owner-1", "owner-2")
    whole = json.loads(path.read_text())

    def with_change(**changes: Any) -> Path:
        other = tmp_path / "changed.json"
        other.write_text(json.dumps({**whole, **changes}))
        return other

    def both(changed: Path, *commands: str) -> set[tuple[int, str]]:
        doors = {
            "execute": f"wallet execute {changed} {UNATTENDED}",
            "sign": f"wallet sign {changed} --as owner-3 --json",
        }
        return {refused(home.run(doors[name])) for name in commands or doors}

    assert both(with_change(to=PAYEE)) == {(3, "SAFE_HASH_DIFFERS")}
    assert both(with_change(nonce=str(nonce + 1)), "execute") == {(3, "SAFE_HASH_DIFFERS")}
    twice = [*whole["confirmations"], whole["confirmations"][0]]
    assert both(with_change(confirmations=twice), "execute") == {(3, "SAFE_SIGNATURE_DUPLICATE")}
    lied = [{**whole["confirmations"][0], "owner": PAYEE}, whole["confirmations"][1]]
    assert both(with_change(confirmations=lied), "execute") == {(3, "SAFE_SIGNATURE_FOREIGN")}
    packed = "0x" + "".join(entry["signature"][2:] for entry in reversed(whole["confirmations"]))
    assert both(with_change(signatures=packed), "execute") == {(3, "SAFE_SIGNATURE_UNSORTED")}
    # What pays its submitter out of the wallet is whole in itself, and still not signed: the Safe pays even where the call fails.
    read = sd.parse(whole)
    paying = replace(read.tx, gas_price=10**9, base_gas=21_000, refund_receiver=Address(PAYEE))
    refund = tmp_path / "refund.json"
    refund.write_text(json.dumps(sd.to_json(replace(read, tx=paying, confirmations=()))))
    assert both(refund, "sign") == {(3, "SAFE_REFUND")}
    other_world = {**whole["fairlead"], "environment": "live"}
    assert both(with_change(fairlead=other_world)) == {(3, "SAFE_OTHER_ENVIRONMENT")}
    other_chain = {**whole["fairlead"], "chain_id": 8453}
    assert both(with_change(fairlead=other_chain), "sign") == {(3, "SAFE_HASH_DIFFERS")}

    later = tmp_path / "later.json"
    proposed(home, later, f"{payment(2_000_000)} --nonce {nonce + 1}")
    signed(home, later, "owner-1", "owner-2")
    assert refused(home.run(f"wallet execute {later} {UNATTENDED}")) == (3, "SAFE_NONCE_FUTURE")
    assert view(home, "nonce") == nonce, "something was sent"

    reject = tmp_path / "reject.json"
    proposed(home, reject, f"--reject {nonce}")
    signed(home, reject, "owner-2", "owner-3")
    done = home.run(f"wallet execute {reject} {UNATTENDED}")
    assert done.status == 0, done.out + done.err
    assert refused(home.run(f"wallet execute {path} {UNATTENDED}")) == (3, "SAFE_NONCE_USED")
    assert home.run(f"wallet execute {later} {UNATTENDED}").status == 0
    assert view(home, "nonce") == nonce + 2
    assert refused(home.run(f"wallet propose --reject {nonce} --json")) == (2, "SAFE_NONCE_USED")


def test_signatures_gathered_in_two_copies_become_one_file(home: Home, tmp_path: Path) -> None:
    first, second = tmp_path / "a.json", tmp_path / "b.json"
    proposed(home, first, payment(3_000_000))
    second.write_text(first.read_text())
    signed(home, first, "owner-1")
    signed(home, second, "owner-2")
    merged = home.run(f"wallet merge {first} {second} --json")
    assert merged.status == 0 and len(merged.json["signed_by"]) == 2
    third = tmp_path / "c.json"
    proposed(home, third, f"{payment(4_000_000)} --nonce {view(home, 'nonce') + 5}")
    assert refused(home.run(f"wallet merge {first} {third} --json")) == (3, "SAFE_FILES_DIFFER")
    assert home.run(f"wallet execute {first} {UNATTENDED}").status == 0


def test_what_would_fail_is_not_proposed_and_what_is_mistyped_is_told_by_name(
    home: Home, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path, nonce = tmp_path / "t.json", view(home, "nonce")
    too_much = home.run(f"wallet propose --to {PAYEE} --value 1000000 --out {path} --json")
    assert refused(too_much) == (4, "WOULD_REVERT") and not path.exists()
    proposed(home, path, f"{payment(10**15)} --anyway")
    signed(home, path, "owner-1", "owner-2")
    assert refused(home.run(f"wallet execute {path} {UNATTENDED}")) == (4, "WOULD_REVERT")
    assert view(home, "nonce") == nonce
    for words in ("--to 0x12", "", f"--to {PAYEE} --reject 3", f"--to {PAYEE} --data xyz", f"--to {PAYEE} --value 1,5",
                  f"--calls {tmp_path / 'none'}", "--threshold 9", f"--add-owner {home.settings.wallet.address}",
                  f"--remove-owner {PAYEE}", f"--to {PAYEE} --valid 5", "--value 3", "--chain mars --reject 99"):  # fmt: skip
        status = run(["--settings", str(home.settings_path), "wallet", "propose", *words.split(), "--json"])
        error = json.loads(capsys.readouterr().out)["error"]
        assert status == 2 and error["verb"] == "USAGE" and error["hint"], words
    stranger = home.run(f"wallet sign {path} --as nobody --json")
    assert refused(stranger) == (2, "OWNER_UNKNOWN")
    assert refused(home.run(f"wallet sign {tmp_path / 'no.json'} --as owner-1 --json")) == (
        2,
        "SAFE_FILE_UNREADABLE",
    )


def test_many_calls_are_one_transaction_and_every_effect_is_a_sentence(home: Home, tmp_path: Path) -> None:
    calls, path = tmp_path / "calls.json", tmp_path / "t.json"
    permit2 = CHAIN.contracts["permit2"]
    entries = [
        (CHAIN.wrapped_native, encode("weth9", "withdraw", (10**18,)), 0),
        (PAYEE, b"", 10**17),
        (CHAIN.usdc, encode("erc20", "approve", (permit2, 5_000_000)), 0),
        (permit2, encode("permit2", "approve", (CHAIN.usdc, PAYEE, 4_000_000, 2**48 - 1)), 0),
        (home.settings.wallet.address, encode("safe", "changeThreshold", (1,)), 0),
    ]
    listed = [{"to": to, "data": "0x" + data.hex(), "value": str(value)} for to, data, value in entries]
    calls.write_text(json.dumps({"version": "1.0", "transactions": listed}))
    facts = proposed(home, path, f"--calls {calls}").json
    assert "Leaves: 1 WETH." in facts["sentences"] and "Comes: 0.9 ETH." in facts["sentences"]
    assert "SIGNATURES NEEDED: 2 → 1." in facts["sentences"]
    assert any("AFTERWARDS permit2" in line and "5 USDC" in line for line in facts["sentences"])
    assert any(f"AFTERWARDS {PAYEE} may take 4 USDC through Permit2" in line for line in facts["sentences"])
    allowed = {(a["via"], a["after_raw"]) for a in facts["effects"]["allowances"]}
    assert allowed == {("", "5000000"), ("permit2", "4000000")}
    calls.write_text(json.dumps([{"to": PAYEE, "operation": 1}]))
    assert refused(home.run(f"wallet propose --calls {calls} --json")) == (2, "CALLS_FILE")


def test_the_health_factor_is_told_before_and_after(home: Home, tmp_path: Path) -> None:
    assert CHAIN.aave is not None
    pool, wallet = CHAIN.aave.pool, home.settings.wallet.address
    acts = [
        (CHAIN.wrapped_native, encode("erc20", "approve", (pool, 10**18))),
        (pool, encode("aave_v3_pool", "supply", (CHAIN.wrapped_native, 10**18, wallet, 0))),
        (pool, encode("aave_v3_pool", "borrow", (CHAIN.usdc, 500_000_000, 2, 0, wallet))),
    ]
    calls = tmp_path / "calls.json"
    calls.write_text(json.dumps([{"to": to, "data": "0x" + data.hex()} for to, data in acts]))
    facts = proposed(home, tmp_path / "t.json", f"--calls {calls}").json
    assert (
        facts["effects"]["health_before_1e18"] is None and int(facts["effects"]["health_after_1e18"]) > 10**18
    )
    assert any(line.startswith("Health factor: no debt → ") for line in facts["sentences"])
    assert any(line.startswith("More is owed: 500") for line in facts["sentences"])


def test_six_sign_at_once_beside_four_elsewhere_none_is_lost_and_seven_of_ten_execute(
    home: Home, ten: OtherWallet, tmp_path: Path
) -> None:
    path, wallet = tmp_path / "t.json", ten.home
    before = usdc_of(wallet, PAYEE)
    proposed(wallet, path, payment(7_000_000))
    ten.sign_elsewhere(path, 4)
    assert refused(wallet.run(f"wallet execute {path} {UNATTENDED}")) == (3, "SAFE_BELOW_THRESHOLD")
    signed(wallet, path, *(f"owner-{i}" for i in range(5, 11)))
    assert len(json.loads(path.read_text())["confirmations"]) == 10
    assert refused(home.run(f"wallet sign {path} --as owner-1 --json")) == (3, "SAFE_OTHER_WALLET")
    done = wallet.run(f"wallet execute {path} {UNATTENDED}")
    assert done.status == 0, done.out + done.err
    assert usdc_of(wallet, PAYEE) == before + 7_000_000


def test_a_proposal_dies_with_the_owners_it_was_made_for(
    home: Home, ten: OtherWallet, tmp_path: Path
) -> None:
    wallet, change, late = ten.home, tmp_path / "change.json", tmp_path / "late.json"
    owners = view(wallet, "getOwners")
    facts = proposed(wallet, change, f"--add-owner {PAYEE} --remove-owner {owners[0]} --threshold 6").json
    assert (
        f"OWNER ADDED: {PAYEE}." in facts["sentences"]
        and f"OWNER REMOVED: {owners[0]}." in facts["sentences"]
    )
    assert "SIGNATURES NEEDED: 7 → 6." in facts["sentences"]
    proposed(wallet, late, f"{payment(1)} --nonce {facts['nonce'] + 1}")
    for path in (late, change):
        ten.sign_elsewhere(path, 7)
    done = wallet.run(f"wallet execute {change} {UNATTENDED}")
    assert done.status == 0, done.out + done.err
    assert view(wallet, "getThreshold") == 6 and PAYEE in view(wallet, "getOwners")
    nonce = view(wallet, "nonce")
    for words in (f"wallet execute {late} {UNATTENDED}", f"wallet sign {late} --as owner-9 --json"):
        assert refused(wallet.run(words)) == (3, "SAFE_CHANGED")
    fresh = tmp_path / "fresh.json"
    proposed(wallet, fresh, payment(1))
    removed = next(o.label for o in wallet.settings.wallet.owners if o.address == owners[0])
    assert refused(wallet.run(f"wallet sign {fresh} --as {removed} --json")) == (3, "SAFE_NOT_AN_OWNER")
    assert view(wallet, "nonce") == nonce


def test_killed_after_it_was_sent_it_is_followed_to_its_end_and_never_sent_twice(
    home: Home, tmp_path: Path
) -> None:
    path, before = tmp_path / "t.json", usdc_of(home, PAYEE)
    proposed(home, path, payment(5_000_000))
    signed(home, path, "owner-1", "owner-2")
    home.pause()
    running = home.start(f"wallet execute {path} {UNATTENDED}")

    def open_parts() -> list[Any]:
        return [r for r in home.book().open_parts() if r.submitted]

    home.wait_for(lambda: bool(open_parts()) or running.process.poll() is not None)
    running.end(signal.SIGKILL)
    (left,) = open_parts()
    again = home.run(f"wallet execute {path} {UNATTENDED}")
    assert refused(again) == (3, "ALREADY_SENT")
    home.go_on()
    assert home.run("run --once").status == 0
    record = home.book().parts[left.part.cl_ord_id]
    assert record.ended and record.submission is not None and record.submission.value == "FINAL"
    assert usdc_of(home, PAYEE) == before + 5_000_000
    assert refused(home.run(f"wallet execute {path} {UNATTENDED}")) == (3, "SAFE_NONCE_USED")


def test_one_that_waits_is_cancelled_by_using_both_its_nonces(home: Home, tmp_path: Path) -> None:
    path, before, nonce = tmp_path / "t.json", usdc_of(home, PAYEE), view(home, "nonce")
    proposed(home, path, payment(6_000_000))
    signed(home, path, "owner-1", "owner-2")
    home.pause()
    running = home.start(f"wallet execute {path} {UNATTENDED}")
    home.wait_for(
        lambda: any(r.submitted for r in home.book().open_parts()) or running.process.poll() is not None
    )
    running.end(signal.SIGKILL)
    (left,) = home.book().open_parts()
    cancelling = home.start(f"cancel {left.part.cl_ord_id} --json")
    home.wait_for(lambda: any(r.status is OrdStatus.PENDING_CANCEL for r in home.book().open_parts()))
    home.go_on()
    assert cancelling.end().status == 0, cancelling.err
    assert usdc_of(home, PAYEE) == before and view(home, "nonce") == nonce + 1
    assert refused(home.run(f"wallet execute {path} {UNATTENDED}")) == (3, "SAFE_NONCE_USED")


def test_owners_of_an_order_are_told_what_it_changes_before_any_of_them_signs(home: Home) -> None:
    """Attended: the state diff first, then each owner's own process with the decoded calls."""
    text = home.settings_path.read_text().replace("unattended = true", "unattended = false")
    text = text.replace('symbols = ["ETHUSDC"]', "symbols = []")
    settings = home.settings_path.with_name("attended.toml")
    settings.write_text(text)
    ran = home.run("trade sell 1 ETH --for USDC --live --yes --max-loss 900", settings)
    assert ran.status == 0, ran.out + ran.err
    told = ran.err.index("would change:")
    diff, owners = ran.err[told : ran.err.index("Signing as")], ran.err[ran.err.index("Signing as") :]
    assert "Leaves: " in diff and "Comes: " in diff and "USDC" in diff and "WETH" in diff
    # The order may be split over chains: each chain's transaction has its own diff, and its own two owners.
    assert "Sells " not in ran.err[:told] and owners.count("Signing as") == 2 * ran.err.count("would change:")


def test_changes_of_the_safe_itself_are_told_before_it_is_signed(home: Home, tmp_path: Path) -> None:
    safe, stranger = home.settings.wallet.address, "0x000000000000000000000000000000000000bEEF"
    calls = [
        {"to": safe, "data": "0x" + encode("safe", function, (stranger, *more)).hex()}
        for function, more in (
            ("addOwnerWithThreshold", (3,)), ("enableModule", ()), ("setFallbackHandler", ()),
        )
    ]  # fmt: skip
    listed, path = tmp_path / "calls.json", tmp_path / "self.json"
    listed.write_text(json.dumps(calls))
    proposed(home, path, f"--calls {listed}")
    read = home.run(f"wallet sign {path} --as owner-1").out
    for said in ("ADDS THE OWNER", "ENABLES THE MODULE", "SETS THE FALLBACK HANDLER"):  # the calls
        assert f"{said} {stranger}" in read
    for said in (
        f"OWNER ADDED: {stranger}",
        "SIGNATURES NEEDED: 2 → 3",
        f"MODULE ADDED: {stranger}",
        "FALLBACK HANDLER CHANGES",
    ):
        assert said in read  # what is different afterwards
