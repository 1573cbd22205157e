"""Allowances to strangers, Permit2's with their end, operators of collections, one collectible, credit at Aave: listed, and revoked by one proposal."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
from home_fixture import Home
from many_owners import OtherWallet, another_wallet

from chains.devnet.addresses import CHAINS
from chains.devnet.funding import give_eth
from chains.devnet.jsonrpc import Rpc
from chains.evm import keccak, word
from chains.profiles.ethereum import CHAIN
from chains.types import Address, Call
from contracts.codec import decode_result, encode
from contracts.hashing import to_checksum
from keys import safe
from keys import safe_signatures as ss
from keys.local_keystore import LocalKeystore
from keys.safe import SafeTx
from keys.secrets import resolve

pytestmark = [pytest.mark.devnet, pytest.mark.timeout(240)]
STRANGER = Address("0x" + "5" * 40)
SCAM = Address("0x" + "6" * 40)
POSITIONS = Address(CHAINS[1].uniswap.v3_npm)
FOREVER = 2**48 - 1


@pytest.fixture(scope="module")
def wallet(home_of_file: Home, tmp_path_factory: pytest.TempPathFactory) -> Iterator[OtherWallet]:
    with another_wallet(home_of_file, tmp_path_factory.mktemp("gave"), 3, 2) as made:
        yield made


def send(rpc: Rpc, url: str, sender: str, call: Call) -> None:
    give_eth(url, sender, 10**18)
    rpc("anvil_impersonateAccount", sender)
    fields = {"from": sender, "to": call.to, "data": "0x" + call.data.hex(), "gas": hex(3_000_000)}
    sent = rpc("eth_sendTransaction", fields)
    rpc("evm_mine")
    assert int(rpc("eth_getTransactionReceipt", sent)["status"], 16) == 1, call
    rpc("anvil_stopImpersonatingAccount", sender)


def view(rpc: Rpc, call: Call, interface: str, function: str) -> Any:
    answer = rpc("eth_call", {"to": call.to, "data": "0x" + call.data.hex()}, "latest")
    return decode_result(interface, function, bytes.fromhex(answer[2:]))[0]


def by_the_owners(wallet: OtherWallet, rpc: Rpc, calls: Sequence[Call]) -> None:
    """Through execTransaction, call by call, with two owners' signatures."""
    url, password = wallet.home.cheat_urls[1], resolve(wallet.keys.password)
    keys = [LocalKeystore(s.path.parent).open(s, password) for s in wallet.keys.owners[:2]]
    owners = [s.address for s in wallet.keys.owners]
    for call in calls:
        nonce = view(rpc, Call(wallet.safe, encode("safe", "nonce")), "safe", "nonce")
        tx = SafeTx(call.to, 0, call.data, 0, nonce)
        digest = safe.safe_tx_hash(1, wallet.safe, tx)
        packed = ss.pack([ss.by_key(digest, k.sign(digest)) for k in keys], owners, 2)
        send(rpc, url, STRANGER, safe.exec_call(wallet.safe, tx, packed))


def debt_token(rpc: Rpc) -> Address:
    assert CHAIN.aave is not None
    asked = keccak(b"getReserveTokensAddresses(address)")[:4] + word(CHAIN.usdc)
    answer = rpc("eth_call", {"to": CHAIN.aave.data_provider, "data": "0x" + asked.hex()}, "latest")
    return Address(to_checksum("0x" + answer[2 + 64 * 2 + 24 : 2 + 64 * 3]))


def collectible(rpc: Rpc, url: str, to: Address) -> int:
    """A Uniswap V3 position of the demo market's, given to the wallet."""
    for number in range(1, 30):
        owner = view(rpc, Call(POSITIONS, encode("erc721", "ownerOf", (number,))), "erc721", "ownerOf")
        if owner != to:
            moved = (
                keccak(b"transferFrom(address,address,uint256)")[:4] + word(owner) + word(to) + word(number)
            )
            send(rpc, url, owner, Call(POSITIONS, moved))
            return number
    raise AssertionError("the demo market has no positions")


def scam(wallet: Address) -> bytes:
    """Code that logs the wallet's Approval of everything to somebody, whoever calls, and answers 1."""
    topics = (word(STRANGER), word(wallet), keccak(b"Approval(address,address,uint256)"))
    return b"".join(b"\x7f" + t for t in topics) + bytes.fromhex("60206000a3600160005260206000f3")


def test_all_kinds_are_listed_and_one_proposal_takes_them_back(home: Home, wallet: OtherWallet) -> None:
    mine, url, safe_at = wallet.home, wallet.home.cheat_urls[1], wallet.safe
    permit2 = CHAIN.contracts["permit2"]
    with Rpc(url) as rpc:
        credit, number = debt_token(rpc), collectible(rpc, url, safe_at)
        by_the_owners(
            wallet,
            rpc,
            [
                Call(CHAIN.usdc, encode("erc20", "approve", (STRANGER, 7_000_000))),
                Call(permit2, encode("permit2", "approve", (CHAIN.usdc, STRANGER, 8_000_000, FOREVER))),
                Call(POSITIONS, encode("erc721", "setApprovalForAll", (STRANGER, True))),
                Call(POSITIONS, encode("erc721", "approve", (STRANGER, number))),
                Call(credit, encode("aave_debt_token", "approveDelegation", (STRANGER, 9_000_000))),
                Call(CHAIN.wrapped_native, encode("erc20", "approve", (STRANGER, 5))),
                Call(CHAIN.wrapped_native, encode("erc20", "approve", (STRANGER, 0))),
            ],
        )
        rpc("anvil_setCode", SCAM, "0x" + scam(safe_at).hex())
        send(rpc, url, STRANGER, Call(SCAM, b""))

    for words in ("halt to-begin-a-journal", "resume"):
        assert mine.run(words).status == 0
    ran = mine.run("wallet approvals --chain ethereum --json")
    (told,) = ran.json["chains"]
    assert ran.status == 3 and told["searched"] is True and ran.json["left"] == 5, ran.out + ran.err
    assert {(a["via"], a["spender"]) for a in told["approvals"]} == {
        (via, STRANGER) for via in (None, "permit2", "operator", "collectible", "credit")
    }
    amounts = {a["via"]: a["amount_raw"] for a in told["approvals"]}
    assert (amounts[None], amounts["permit2"], amounts["credit"]) == ("7000000", "8000000", "9000000")
    assert next(a["number"] for a in told["approvals"] if a["via"] == "collectible") == str(number)
    assert told["strange_contracts"] == 1 and SCAM not in ran.out
    assert "ALARM APPROVALS_LEFT" in ran.err
    text = mine.run("wallet approvals --chain ethereum").out
    assert "for ever" in text and "collectible" in text and "ALL" in text

    # doctor raises it too, in the record and in the alerts' file.
    doctor = mine.run("doctor")
    for said in (
        "EVERYTHING held of UNI-V3-POS",
        f"number {number} of",
        "on the wallet's credit",
        "through Permit2",
    ):
        assert said in doctor.out, doctor.out
    assert "ALARM APPROVALS_LEFT" in doctor.err
    assert [a.code for a in mine.book().alarms].count("APPROVALS_LEFT") == 3
    alerts = [json.loads(line) for line in (wallet.keys.folder / "alerts.jsonl").read_text().splitlines()]
    assert [a["code"] for a in alerts].count("APPROVALS_LEFT") == 3 and int(alerts[-1]["head"]["seq"]) > 0

    revoking = mine.run("wallet approvals --chain ethereum --revoke --json")
    assert revoking.status == 0, revoking.out + revoking.err
    (path,) = revoking.json["proposals"]
    wallet.sign_elsewhere(Path(path), 2)
    read = mine.run(f"wallet execute {path}").out
    for said in (
        "may no longer take what is held of",
        "may no longer borrow",
        "may no longer take any through Permit2",
    ):
        assert said in read, read
    done = mine.run(f"wallet execute {path} --live --yes --max-loss 500 --json")
    assert done.status == 0, done.out + done.err
    after = mine.run("wallet approvals --chain ethereum --json")
    assert after.status == 0 and after.json["left"] == 0 and "ALARM" not in after.err


def test_what_is_left_after_a_trade_alarms_at_once(home: Home, wallet: OtherWallet) -> None:
    mine, weth = wallet.home, CHAIN.wrapped_native
    sell = "trade sell 20 ETH --for USDC --live --yes --max-loss 900 --json"
    clean = mine.run(sell)
    assert clean.status == 0 and "APPROVALS_LEFT" not in clean.err, clean.out + clean.err
    told = sum(a.code == "APPROVALS_LEFT" for a in mine.book().alarms)
    with Rpc(mine.cheat_urls[1]) as rpc:
        router = CHAIN.contracts["uniswap_v2_router"]
        by_the_owners(wallet, rpc, [Call(weth, encode("erc20", "approve", (router, 5 * 10**16)))])
        ran = mine.run(sell)
        assert ran.status == 0, ran.out + ran.err
        alarms = [a.message for a in mine.book().alarms if a.code == "APPROVALS_LEFT"][told:]
        assert alarms == ["after a trade on ethereum uniswap_v2_router may take 0.05 WETH"]
        by_the_owners(wallet, rpc, [Call(weth, encode("erc20", "approve", (router, 0)))])
