"""The signer as a real process behind its socket: what it signs, what it refuses, and what breaks it (nothing)."""

from __future__ import annotations

import asyncio
import dataclasses
import json
import os
import secrets
import signal
import socket
import stat
import struct
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import custody as c
import pytest

from chains.errors import Denied, FairleadError, Reconcile, Retry, Usage
from chains.types import Address, Environment
from keys import safe
from keys.client import SignerClient, start_signer
from keys.signer.ledger import SpendLedger

SECRETS = [b"correct horse", b"exchange-secret-value", c.keccak(b"agent").hex().encode()]


@dataclass
class Running:
    folder: Path
    process: subprocess.Popen[bytes]
    socket: Path
    config: Path

    def client(self, environment: Environment = Environment.DEVNET) -> SignerClient:
        return SignerClient(self.socket, environment)

    def restart(self) -> None:
        self.process = start_signer(self.socket, self.config, self.folder / "signer.log")

    def stop(self) -> None:
        if self.process.poll() is None:
            self.process.terminate()
            self.process.wait(10)


@pytest.fixture
def signer(tmp_path: Path) -> Iterator[Running]:
    config = c.signer_files(tmp_path)
    path = tmp_path / "s.sock"
    running = Running(tmp_path, start_signer(path, config, tmp_path / "signer.log"), path, config)
    yield running
    running.stop()


async def _signed_outer(
    client: SignerClient, tx: safe.SafeTx, name: str, nonce: int = 0
) -> tuple[bytes, object]:
    signed = await client.sign_safe_tx(f"{name}/safe", 1, Address(c.SAFE), tx, chain_time=c.NOW)
    packed = safe.pack_signatures(
        signed.safe_tx_hash, signed.by_owner.values(), [o.address for o in c.OWNERS], 2
    )
    outer = c.outer(safe.exec_transaction(tx, packed), nonce)
    done = await client.sign_tx(f"{name}/outer", c.AGENT.address, outer, tx.nonce, chain_time=c.NOW)
    return signed.safe_tx_hash, done


async def test_a_safe_transaction_and_its_outer_transaction_are_signed(signer: Running) -> None:
    from eth_account import Account

    client = signer.client()
    safe_hash, done = await _signed_outer(client, c.sell(), "first")
    assert safe_hash == safe.safe_tx_hash(1, Address(c.SAFE), c.sell())
    assert Account.recover_transaction(done.raw) == c.AGENT.address == done.sender
    status = await client.status()
    assert status["ledger"]["entries"] == 2 and status["senders"] == {c.AGENT.address: True}
    await client.close()


async def test_the_socket_is_the_users_own(signer: Running) -> None:
    assert stat.S_IMODE(signer.socket.stat().st_mode) == 0o600
    assert stat.S_IMODE((signer.folder / "ledger.jsonl").stat().st_mode) == 0o600


async def test_a_refused_transaction_gets_no_signature_and_no_entry(signer: Running) -> None:
    client = signer.client()
    stolen = c.batch(c.call(c.USDC, "erc20", "transfer", c.THIEF, 5))
    with pytest.raises(Denied) as refused:
        await client.sign_safe_tx("x", 1, Address(c.SAFE), stolen, chain_time=c.NOW)
    assert (
        refused.value.code == "POLICY_RECIPIENT" and c.THIEF in refused.value.message and refused.value.hint
    )
    assert (await client.status())["ledger"]["entries"] == 0
    await client.close()


async def test_the_same_request_gives_the_same_signature_and_counts_once(signer: Running) -> None:
    client = signer.client()
    first = await _signed_outer(client, c.sell(20 * c.ETH), "once")
    assert await _signed_outer(client, c.sell(20 * c.ETH), "once") == first
    assert (await client.status())["ledger"]["entries"] == 2
    with pytest.raises(Denied, match="another content"):
        await client.sign_safe_tx("once/safe", 1, Address(c.SAFE), c.sell(nonce=1), chain_time=c.NOW)
    await client.close()
    signer.stop()
    ledger = SpendLedger(signer.folder / "ledger.jsonl")
    assert ledger.spent(1, c.SAFE, c.WETH, 0) == 20 * c.ETH
    ledger.close()


async def test_one_question_for_the_whole_batch_gives_what_two_would(signer: Running) -> None:
    client = signer.client()
    _, two = await _signed_outer(client, c.sell(20 * c.ETH), "apart")
    asked = ("whole", Address(c.SAFE), c.sell(20 * c.ETH), c.AGENT.address, c.outer(b"", 0))
    whole = await client.sign_batch(*asked, chain_time=c.NOW)
    assert whole == two
    assert await client.sign_batch(*asked, chain_time=c.NOW) == whole
    ledger = (await client.status())["ledger"]
    assert (ledger["entries"], ledger["syncs"]) == (4, 3) and ledger["sync_ns"] > 0, (
        "the batch waits for the disk once"
    )
    await client.close()
    signer.stop()
    ledger = SpendLedger(signer.folder / "ledger.jsonl")
    assert ledger.spent(1, c.SAFE, c.WETH, 0) == 20 * c.ETH  # the same transaction is counted once
    ledger.close()


@pytest.mark.parametrize(
    "tx, code",
    [
        (c.batch(c.call(c.USDC, "erc20", "transfer", c.THIEF, 5)), "POLICY_RECIPIENT"),
        (c.sell(1_000 * c.ETH), "POLICY_APPROVAL_SIZE"),
        (dataclasses.replace(c.sell(), refund_receiver=c.THIEF), "POLICY_REFUND_FIELDS"),
    ],
    ids=["to a thief", "over the cap", "a refund"],
)
async def test_the_whole_batch_is_judged_like_its_parts(signer: Running, tx: safe.SafeTx, code: str) -> None:
    client = signer.client()
    with pytest.raises(Denied) as refused:
        await client.sign_batch("x", Address(c.SAFE), tx, c.AGENT.address, c.outer(b"", 0), chain_time=c.NOW)
    assert refused.value.code == code and refused.value.hint
    assert (await client.status())["ledger"]["entries"] == 0
    await client.close()


async def test_the_whole_batch_keeps_the_nonces_and_the_gas_of_its_parts(signer: Running) -> None:
    client = signer.client()
    await client.sign_batch(
        "one", Address(c.SAFE), c.sell(), c.AGENT.address, c.outer(b"", 0), chain_time=c.NOW
    )
    for name, tx, nonce in (("safe nonce", c.sell(2 * c.ETH), 1), ("sender nonce", c.sell(nonce=1), 0)):
        with pytest.raises(Denied) as refused:
            await client.sign_batch(
                name.replace(" ", "-"), Address(c.SAFE), tx, c.AGENT.address, c.outer(b"", nonce),
                chain_time=c.NOW,
            )  # fmt: skip
        assert refused.value.code == "POLICY_NONCE_REUSED"
    dear = dataclasses.replace(c.outer(b"", 2), gas=10**9)
    with pytest.raises(Denied) as refused:
        await client.sign_batch(
            "dear", Address(c.SAFE), c.sell(nonce=2), c.AGENT.address, dear, chain_time=c.NOW
        )
    assert refused.value.code == "POLICY_GAS_CAP"
    await client.close()


async def test_the_daily_cap_survives_a_kill_and_a_restart(signer: Running) -> None:
    client = signer.client()
    for nonce in range(3):
        await client.sign_safe_tx(
            f"day/{nonce}", 1, Address(c.SAFE), c.sell(30 * c.ETH, nonce=nonce), chain_time=c.NOW
        )
    os.kill(signer.process.pid, signal.SIGKILL)
    signer.process.wait()
    with pytest.raises((Reconcile, Retry)):
        await client.status()
    signer.restart()
    again = await client.sign_safe_tx(
        "day/2", 1, Address(c.SAFE), c.sell(30 * c.ETH, nonce=2), chain_time=c.NOW
    )
    assert len(again.by_owner) == 2
    with pytest.raises(Denied) as refused:
        await client.sign_safe_tx("day/3", 1, Address(c.SAFE), c.sell(30 * c.ETH, nonce=3), chain_time=c.NOW)
    assert refused.value.code == "POLICY_CAP_PER_DAY"
    await client.close()


async def test_killed_at_any_moment_a_request_is_counted_at_most_once(signer: Running) -> None:
    """The process is killed while requests are under way, at many different moments; each is then asked again."""
    for attempt in range(6):
        client = signer.client()
        tx = c.sell(5 * c.ETH, nonce=attempt)
        asking = asyncio.create_task(
            client.sign_safe_tx(f"kill/{attempt}", 1, Address(c.SAFE), tx, chain_time=c.NOW)
        )
        await asyncio.sleep(0.0005 * attempt * attempt)
        os.kill(signer.process.pid, signal.SIGKILL)
        signer.process.wait()
        try:
            await asking
        except FairleadError as error:
            assert isinstance(error, (Reconcile, Retry))
        await client.close()
        signer.restart()
        client = signer.client()
        done = await client.sign_safe_tx(f"kill/{attempt}", 1, Address(c.SAFE), tx, chain_time=c.NOW)
        assert done.safe_tx_hash == safe.safe_tx_hash(1, Address(c.SAFE), tx)
        await client.close()
    signer.stop()
    ledger = SpendLedger(signer.folder / "ledger.jsonl")
    assert ledger.spent(1, c.SAFE, c.WETH, 0) == 30 * c.ETH and ledger.entries == 6
    ledger.close()


async def test_another_environment_is_refused(signer: Running) -> None:
    client = signer.client(Environment.FORK)
    for attempt in (
        client.sign_safe_tx("f", 1, Address(c.SAFE), c.sell(), chain_time=c.NOW),
        client.sign_exchange("g", "paper", "GET", "/api/v3/account", "timestamp=1"),
        client.relay_header(b"{}"),
    ):
        with pytest.raises(Denied) as refused:
            await attempt
        assert refused.value.code == "POLICY_ENVIRONMENT"
    await client.close()


def _raw(path: Path, data: bytes) -> bytes:
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as s:
        s.settimeout(5)
        s.connect(str(path))
        s.sendall(data)
        s.shutdown(socket.SHUT_WR)
        out = b""
        try:
            while piece := s.recv(65536):
                out += piece
        except ConnectionResetError:
            pass
        return out


def _frame(value: object) -> bytes:
    body = json.dumps(value).encode()
    return struct.pack(">I", len(body)) + body


async def test_hostile_frames_never_end_it(signer: Running) -> None:
    hostile = [
        b"",
        b"\0",
        b"\xff\xff\xff\xff" + b"x" * 100,
        b"\0\0\0\0",
        b"\0\0\0\x05abcde",
        struct.pack(">I", 100) + b"{}",
        struct.pack(">I", 40_000) + b"[" * 40_000,
        struct.pack(">I", 1 << 20) + b"[" * (1 << 20),
        struct.pack(">I", 600_000) + b'{"a":' * 120_000,
        _frame([1, 2]),
        _frame({}),
        _frame({"id": 7, "method": "status"}),
        _frame({"id": "a b", "method": "status"}),
        _frame({"id": "a", "method": None}),
        _frame({"id": "a", "method": "__class__", "params": {}}),
        _frame({"id": "a", "method": "sign_tx", "params": []}),
        _frame(
            {"id": "a", "method": "sign_batch", "params": {"environment": "devnet", "tx": {}, "outer": 1}}
        ),
        _frame({"id": "a", "method": "sign_tx", "params": {"environment": "devnet"}}),
        _frame(
            {"id": "a", "method": "sign_tx", "params": {"environment": "devnet", "sender": "0x1", "tx": {}}}
        ),
        _frame({"id": "a", "method": "sign_safe_tx", "params": {"environment": "devnet", "tx": {"to": 1}}}),
        _frame({"id": "a", "method": "sign_safe_tx", "params": {"environment": "devnet", "tx": "x"}}),
        _frame({"id": "a", "method": "sign_exchange", "params": {"environment": "devnet", "venue": "paper"}}),
        _frame(
            {
                "id": "a",
                "method": "sign_relay_auth",
                "params": {"environment": "devnet", "message": "0x" + "0" * 63 + "\n"},
            }
        ),
        _frame({"id": "a", "method": "unlock", "params": {"password": "cmd:touch /tmp/never"}}),
        *(secrets.token_bytes(n) for n in (3, 50, 5000)),
    ]
    for data in hostile:
        for piece in (_raw(signer.socket, data),):
            assert b"Traceback" not in piece and b"SIGNER_BUG" not in piece
    assert signer.process.poll() is None
    client = signer.client()
    assert (await client.status())["ledger"]["entries"] == 0
    await client.close()


async def test_exchange_secrets_sign_trading_and_nothing_else(signer: Running) -> None:
    import hashlib
    import hmac

    client = signer.client()
    query = "symbol=ETHUSDC&side=SELL&type=LIMIT&quantity=1&price=3000&timeInForce=GTC&timestamp=1"
    signature, api_key = await client.sign_exchange("e1", "paper", "POST", "/api/v3/order", query)
    assert signature == hmac.new(b"exchange-secret-value", query.encode(), hashlib.sha256).hexdigest()
    assert api_key == "public-ish-key"
    for method, path, text, code in (
        ("POST", "/sapi/v1/capital/withdraw/apply", "timestamp=1", "EXCHANGE_WITHDRAWAL"),
        ("POST", "/sapi/v1/asset/transfer", "timestamp=1", "EXCHANGE_WITHDRAWAL"),
        ("GET", "/api/v3/../../sapi/v1/x", "timestamp=1", "EXCHANGE_UNLISTED"),
        ("GET", "/api/v3/account", "coin=ETH&address=0xdead&amount=1&timestamp=1", "EXCHANGE_PARAMETER"),
        ("GET", "/api/v3/account", "timestamp=1&timestamp=2", "EXCHANGE_PARAMETER"),
        ("GET", "/api/v3/account", "timestamp=1\n", "EXCHANGE_QUERY_INVALID"),
        ("GET", "/api/v3/account", "timestamp=1;coin=ETH;address=0xdead", "EXCHANGE_PARAMETER"),
        ("GET", "/api/v3/account", "timestamp=1%26coin=ETH", "EXCHANGE_PARAMETER"),
        ("GET", "/api/v3/account", "%63oin=ETH&timestamp=1", "EXCHANGE_PARAMETER"),
        ("GET", "/api/v3/account", "timestamp=99999999999999", "EXCHANGE_AHEAD"),
        ("GET", "/api/v3/account", "timestamp=now", "EXCHANGE_AHEAD"),
        ("WS", "session.logon", "apiKey=k&timestamp=1", "EXCHANGE_UNLISTED"),
        ("POST", "/api/v3/order", query.replace("ETHUSDC", "SCAMUSDC"), "EXCHANGE_SYMBOL"),
        ("DELETE", "/api/v3/openOrders", "symbol=scamusdc&timestamp=1", "EXCHANGE_SYMBOL"),
        ("PATCH", "/api/v3/order", query, "EXCHANGE_UNLISTED"),
    ):
        with pytest.raises((Denied, Usage)) as refused:
            await client.sign_exchange("e2", "paper", method, path, text)
        assert refused.value.code == code
    await client.close()


async def test_the_relay_key_signs_hashes_only(signer: Running) -> None:
    from eth_account import Account
    from eth_account.messages import encode_defunct

    client = signer.client()
    address, _, signature = (await client.relay_header(b'{"x":1}')).partition(":")
    message = encode_defunct(text="0x" + c.keccak(b'{"x":1}').hex())
    assert address == c.RELAY.address == Account.recover_message(message, signature=signature)
    with pytest.raises(Denied, match="66 characters"):
        await client.request("r", "sign_relay_auth", {"environment": "devnet", "message": "hello"})
    await client.close()


def _process_facts(pid: int) -> bytes:
    """Arguments and environment as other programs see them (closed to us is better still)."""
    if sys.platform != "linux":
        return b""
    text = b""
    for name in ("cmdline", "environ"):
        try:
            text += Path(f"/proc/{pid}/{name}").read_bytes()
        except PermissionError:
            continue
    return text


async def test_nothing_secret_is_seen_outside(signer: Running) -> None:
    client = signer.client()
    await _signed_outer(client, c.sell(), "seen")
    with pytest.raises(FairleadError):
        await client.sign_safe_tx("seen/2", 1, Address(c.SAFE), c.sell(99 * c.ETH, nonce=1), chain_time=c.NOW)
    await client.close()
    places = [signer.folder / "signer.log", signer.folder / "ledger.jsonl"]
    text = b"".join(p.read_bytes() for p in places)
    text += _process_facts(signer.process.pid)
    for secret in SECRETS:
        assert secret not in text.lower() and secret.hex().encode() not in text.lower()


def test_a_live_process_may_not_hold_a_threshold_of_owners(tmp_path: Path) -> None:
    config = c.signer_files(tmp_path, "live")
    with pytest.raises(Usage, match="OWNERS_HELD"):
        start_signer(tmp_path / "s.sock", config, tmp_path / "log")


def test_a_key_of_another_environment_is_refused_at_start(tmp_path: Path) -> None:
    config = c.signer_files(tmp_path, "live")
    data = json.loads(config.read_text())
    config.write_text(json.dumps(data | {"environment": "fork"}))
    with pytest.raises(Usage, match="KEY_OTHER_ENVIRONMENT"):
        start_signer(tmp_path / "s.sock", config, tmp_path / "log")


async def test_a_second_signer_on_the_same_ledger_is_refused(signer: Running) -> None:
    with pytest.raises(Usage, match="LEDGER_IN_USE"):
        start_signer(signer.folder / "t.sock", signer.config, signer.folder / "second.log")


def test_a_changed_ledger_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "ledger.jsonl"
    ledger = SpendLedger(path)
    ledger.record("exchange", "a", "00", 1, {"venue": "v"})
    ledger.record("exchange", "b", "00", 2, {"venue": "v"})
    ledger.close()
    whole = path.read_bytes()
    path.write_bytes(whole + b'{"torn')
    again = SpendLedger(path)
    assert again.entries == 2 and path.read_bytes() == whole
    again.close()
    for changed in (whole.replace(b'"at":1', b'"at":9'), whole.splitlines(keepends=True)[1]):
        path.write_bytes(changed)
        with pytest.raises(FairleadError, match="LEDGER_CORRUPT"):
            SpendLedger(path)


async def test_it_ends_cleanly_and_at_once(signer: Running) -> None:
    client = signer.client()
    await client.status()
    began = time.monotonic()
    signer.process.terminate()
    assert signer.process.wait(10) == 0 and time.monotonic() - began < 3
    assert not signer.socket.exists()
    await client.close()


async def test_a_cancelled_request_never_answers_the_next_one(signer: Running) -> None:
    async with signer.client() as client:
        for delay in (0.0, 0.0005, 0.001, 0.002):
            asking = asyncio.create_task(
                client.sign_safe_tx(f"c{delay}", 1, Address(c.SAFE), c.sell(), chain_time=c.NOW)
            )
            await asyncio.sleep(delay)
            asking.cancel()
            await asyncio.gather(asking, return_exceptions=True)
            assert (await client.status())["environment"] == "devnet"


async def test_clients_that_say_nothing_do_not_stop_the_others(signer: Running) -> None:
    idle = [await asyncio.open_unix_connection(str(signer.socket)) for _ in range(20)]
    for _, writer in idle[:10]:
        writer.write(b"\0\0\1\0{")
    async with signer.client() as client:
        assert (await client.status())["pid"] == signer.process.pid
    for _, writer in idle:
        writer.close()
        await writer.wait_closed()
