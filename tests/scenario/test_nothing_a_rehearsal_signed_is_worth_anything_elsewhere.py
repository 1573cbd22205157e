"""A devnet stands in for a live chain, a rehearsal trades on a fork of it with the same Safe; then everything that was
signed there is brought to the original by somebody with money for gas. Nothing moves."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from agent.app.devnet_home import Home, bring_up, demo_or_loaded
from agent.app.fork_home import bring_up_fork, standing_pools
from agent.app.readonly import read_book
from agent.app.settings import load
from chains.devnet import funding, service
from chains.devnet.addresses import CHAINS
from chains.devnet.jsonrpc import Rpc, RpcError
from chains.devnet.rehearsal import replace_safe_owners, safe_owners
from chains.errors import Denied, FairleadError, Usage
from chains.rawtx import signed_tx
from chains.types import Address, Environment
from contracts.codec import decode_call
from contracts.hashing import to_checksum
from keys.client import SignerClient, start_signer
from keys.local_keystore import LocalKeystore
from keys.safe import SafeTx, check_packed, exec_transaction, pack_signatures, safe_tx_hash

pytestmark = pytest.mark.devnet
ROOT = Path(__file__).resolve().parents[2]
STRANGER = "0x00000000000000000000000000000000000A77ac"


@dataclass
class Worlds:
    original: Home
    rehearsal: Home
    safe: Address

    def folder(self, home: Home) -> Path:
        return home.status.runtime / "home"

    def client(self, home: Home, claimed: Environment) -> SignerClient:
        assert home.settings is not None
        return SignerClient(load(home.settings).signer.socket, claimed)


def said(text: str) -> None:
    print(text, file=sys.stderr)


@pytest.fixture(scope="module")
def worlds(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Worlds]:
    if os.environ.get("FAIRLEAD_TEST_NO_DEVNET"):
        pytest.skip("FAIRLEAD_TEST_NO_DEVNET is set")
    first, second = tmp_path_factory.mktemp("original"), tmp_path_factory.mktemp("rehearsal")
    try:
        original = bring_up(runtime=first, fast=True, progress=said)
        assert original.settings is not None
        safe = Address(load(original.settings).wallet.address)
        rehearsal = bring_up_fork(original.status.urls[1], wallet=safe, runtime=second, progress=said)
        yield Worlds(original, rehearsal, safe)
    finally:
        service.down(runtime=second)
        service.down(runtime=first)


def trade(home: Home) -> dict[str, Any]:
    command = [sys.executable, "-m", "agent", "--settings", str(home.settings), "trade", "sell", "9", "ETH"]
    command += ["--for", "USDC", "--live", "--yes", "--max-loss", "600", "--json"]
    try:
        done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=240)
    except subprocess.TimeoutExpired as late:
        raise AssertionError(f"it did not end; as far as it came: {late.stderr!r}") from late
    assert done.returncode == 0, done.stderr
    answer: dict[str, Any] = json.loads(done.stdout)
    return answer


def state(rpc: Rpc, safe: str) -> dict[str, Any]:
    """All that a replay could change of the wallet."""
    chain = CHAINS[1]
    return {
        "nonce": int(rpc("eth_getStorageAt", safe, hex(5), "latest"), 16),
        "owners": safe_owners(rpc, safe),
        "wei": int(rpc("eth_getBalance", safe, "latest"), 16),
        "tokens": [funding.token_balance(rpc, token, safe) for token in (chain.weth, chain.usdc)],
    }


def signed_on(rpc: Rpc, senders: set[str], since: int) -> list[bytes]:
    """Every raw transaction of these senders that stands in the chain's blocks after `since`."""
    found = []
    for number in range(since + 1, int(rpc("eth_blockNumber"), 16) + 1):
        for tx in rpc("eth_getBlockByNumber", hex(number), True)["transactions"]:
            if tx["from"].lower() in senders:
                found.append(bytes.fromhex(rpc("eth_getRawTransactionByHash", tx["hash"])[2:]))
    return found


def receipt_of(rpc: Rpc, tx_hash: str) -> dict[str, Any]:
    for _ in range(300):
        found: dict[str, Any] | None = rpc("eth_getTransactionReceipt", tx_hash)
        if found is not None:
            return found
        time.sleep(0.05)
    raise AssertionError(f"{tx_hash} was never mined")


async def test_all_of_a_rehearsals_signatures_move_nothing_on_the_original(worlds: Worlds) -> None:
    public, cheats = worlds.original.status.urls[1], worlds.original.status.cheat_urls[1]
    with Rpc(worlds.rehearsal.status.urls[1]) as fork, Rpc(public) as rpc:
        forked_at = int(rpc("eth_blockNumber"), 16)
        before, rehearsed = state(rpc, worlds.safe), state(fork, worlds.safe)
        assert rehearsed["tokens"] == before["tokens"] and rehearsed["nonce"] == before["nonce"]
        trade(worlds.rehearsal)
        after = state(fork, worlds.safe)
        assert after["nonce"] == before["nonce"] + 1 and after["tokens"][1] > before["tokens"][1]

        assert worlds.rehearsal.settings is not None
        settings = load(worlds.rehearsal.settings)
        book = read_book(settings)
        assert book is not None and settings.wallet.sender is not None
        journalled = [p.authorized.raw for p in book.parts.values() if p.authorized and p.authorized.raw]
        with Rpc(worlds.rehearsal.status.cheat_urls[1]) as node:
            raws = signed_on(node, {settings.wallet.sender.address.lower()}, forked_at - 1)
        assert raws and set(journalled) <= set(raws)

        # Whoever wants the replay to work pays its gas, as the rehearsal's own sender and as a stranger.
        funding.give_eth(cheats, settings.wallet.sender.address, 10**19)
        funding.give_eth(cheats, STRANGER, 10**19)
        for raw in {*raws, *journalled}:
            outer = signed_tx(raw)
            assert rpc("eth_sendRawTransaction", "0x" + raw.hex()) == outer.hash
            assert receipt_of(rpc, outer.hash)["status"] == "0x0"
        signed = [inner(fork, raw, before["nonce"] + i) for i, raw in enumerate(raws)]
        for packed, tx in signed:
            with pytest.raises(RpcError, match="GS026"):
                rpc("eth_call", call_of(worlds.safe, tx, packed), "latest")

        # The control: the very same transaction with the original owners' signatures would execute there.
        tx = signed[0][1]
        chain_time = int(rpc("eth_getBlockByNumber", "latest", False)["timestamp"], 16)
        async with worlds.client(worlds.original, Environment.DEVNET) as client:
            own = await client.sign_safe_tx("control", 1, worlds.safe, tx, chain_time=chain_time)
        owners = [str(o) for o in before["owners"].owners]
        good = pack_signatures(own.safe_tx_hash, own.by_owner.values(), owners, 2)
        assert int(rpc("eth_call", call_of(worlds.safe, tx, good), "latest"), 16) == 1
        assert state(rpc, worlds.safe) == before


def inner(rpc: Rpc, raw: bytes, nonce: int) -> tuple[bytes, SafeTx]:
    """(packed signatures, Safe transaction) inside a raw execTransaction, shown to belong together."""
    sent = rpc("eth_getTransactionByHash", signed_tx(raw).hash)
    a = decode_call("safe", bytes.fromhex(sent["input"][2:])).args
    tx = SafeTx(a["to"], a["value"], a["data"], a["operation"], nonce)
    safe = Address(to_checksum(sent["to"]))
    check_packed(safe_tx_hash(1, safe, tx), a["signatures"], safe_owners(rpc, safe).owners, 2)
    return a["signatures"], tx


def call_of(safe: str, tx: SafeTx, packed: bytes) -> dict[str, str]:
    return {"from": STRANGER, "to": safe, "data": "0x" + exec_transaction(tx, packed).hex()}


async def test_neither_signer_answers_the_other_worlds_requests(worlds: Worlds) -> None:
    """The keys differ, each signer refuses the other environment, and a rehearsal's signer cannot open the original's keys."""
    tx = SafeTx(worlds.safe, 0, b"", 0, 0)
    for home, claimed in (
        (worlds.original, Environment.FORK),
        (worlds.original, Environment.LIVE),
        (worlds.rehearsal, Environment.DEVNET),
        (worlds.rehearsal, Environment.LIVE),
    ):
        async with worlds.client(home, claimed) as client:
            with pytest.raises(Denied) as refused:
                await client.sign_safe_tx(f"as-{claimed.value}", 1, worlds.safe, tx)
            assert refused.value.code == "POLICY_ENVIRONMENT"
    stores = [LocalKeystore(worlds.folder(home) / "keystore") for home in (worlds.original, worlds.rehearsal)]
    addresses = [{key.address for key in store.list()} for store in stores]
    assert len(addresses[0]) == len(addresses[1]) == 5 and not addresses[0] & addresses[1]
    for store, wrong in ((stores[0], Environment.FORK), (stores[1], Environment.LIVE)):
        with pytest.raises(Denied) as denied:
            store.find("owner-1", wrong)
        assert denied.value.code == "KEY_OTHER_ENVIRONMENT"


def test_a_rehearsals_signer_does_not_start_over_the_originals_keys(worlds: Worlds, tmp_path: Path) -> None:
    config = json.loads((worlds.folder(worlds.rehearsal) / "signer.json").read_text())
    original = worlds.folder(worlds.original)
    config |= {"keystore": str(original / "keystore"), "ledger": str(tmp_path / "ledger.jsonl")}
    for entry in (*config["senders"], *config["owners"], config["relay_auth"]):
        entry["password"] = f"file:{original / 'password'}"
    path = tmp_path / "signer.json"
    path.write_text(json.dumps(config))
    with pytest.raises(FairleadError) as stopped:
        start_signer(tmp_path / "s.sock", path, tmp_path / "log").kill()
    assert "KEY_OTHER_ENVIRONMENT" in stopped.value.message


def test_owners_are_replaced_on_forks_only_and_only_of_safes(worlds: Worlds) -> None:
    with pytest.raises(Denied) as refused:
        replace_safe_owners(worlds.original.status.cheat_urls[1], worlds.safe, [STRANGER], 1)
    assert refused.value.code == "NOT_A_FORK"
    for wallet, code in (
        (CHAINS[1].weth, "NOT_A_SAFE"),
        (STRANGER.lower(), "NOT_A_SAFE"),
        ("0x12", "BAD_ADDRESS"),
    ):
        with pytest.raises(Usage) as wrong:
            bring_up_fork(
                worlds.original.status.urls[1],
                wallet=wallet,
                runtime=worlds.rehearsal.status.runtime,
                progress=said,
            )
        assert wrong.value.code == code
    with pytest.raises(Usage) as occupied:
        bring_up_fork(worlds.original.status.urls[1], runtime=worlds.original.status.runtime, progress=said)
    assert occupied.value.code == "DEVNET_RUNS"
    assert service.status(runtime=worlds.rehearsal.status.runtime).running
    assert service.status(runtime=worlds.original.status.runtime).running


def test_a_fork_without_a_wallet_gets_a_safe_of_its_own(worlds: Worlds, tmp_path: Path) -> None:
    """Also on an L2, where transactions go plainly: a fork of the original's Base trades at once."""
    try:
        command = [sys.executable, "-m", "agent", "fork", "--rpc", worlds.original.status.urls[8453]]
        command += ["--runtime", str(tmp_path), "--json"]
        done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=120)
        assert done.returncode == 0, done.stderr
        home = Home(service.status(runtime=tmp_path), Path(json.loads(done.stdout)["settings"]))
        assert home.settings is not None
        settings = load(home.settings)
        assert settings.environment is Environment.FORK and settings.wallet.address != worlds.safe
        trade(home)
        book = read_book(settings)
        assert book is not None
        assert any(p.authorized and p.authorized.chain_id == 8453 for p in book.parts.values())
        with Rpc(worlds.original.status.urls[8453]) as rpc:
            assert rpc("eth_getCode", settings.wallet.address, "latest") == "0x"
    finally:
        service.down(runtime=tmp_path)


def test_where_no_demo_market_is_known_the_factories_name_the_pools(worlds: Worlds) -> None:
    """A fork of a live chain has no list of ours: Uniswap's own factories answer, and know what the devnet's list knows."""
    chain = CHAINS[1]
    with Rpc(worlds.original.status.urls[1]) as rpc:
        found = {(pool["kind"], pool["address"]) for pool in standing_pools(rpc, chain)}
    listed = {
        (pool["kind"], pool["address"])
        for pool in demo_or_loaded(worlds.original.status, 1, None)
        if pool["kind"] in ("uniswap_v3", "uniswap_v2")
    }
    assert len({kind for kind, _ in found}) == 2 and found <= listed
