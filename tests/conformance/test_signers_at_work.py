"""Signers of every kind where they are used: inside the signer's process by its settings, and by an owner who signs attended."""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import json
import os
import pty
import subprocess
import sys
import termios
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import custody as c
import pytest
from eth_account import Account
from fake_ledger import LedgerApp, emulator, wait_for
from fake_trezor import TrezorDevice, bridging
from fault_proxy import Proxy, forwarding
from kms_server import client as kms_client
from kms_server import kms, new_key
from web3signer_server import World, serving

from chains.errors import Denied, Usage
from chains.types import Address, Environment
from keys import safe
from keys.aws_kms import address_of_spki
from keys.client import SignerClient, start_signer
from keys.curve import address_of, recover
from keys.settings import environment_names, load, signer_settings
from keys.signer.vault import Vault

REMOTE = c.keccak(b"owner 1")
"""The second owner's key, which a Web3Signer holds here."""


@pytest.fixture(scope="module")
def server() -> Iterator[str]:
    with kms() as url:
        yield url


@pytest.fixture
def remote() -> Iterator[Proxy]:
    with serving(World([REMOTE])) as url, forwarding(url) as proxy:
        yield proxy


def secret(folder: Path) -> str:
    (folder / "aws").write_text("an-aws-secret")
    (folder / "aws").chmod(0o600)
    return f"file:{folder / 'aws'}"


def web3signer(url: str, **more: Any) -> dict[str, Any]:
    return {
        "kind": "web3signer",
        "environment": "devnet",
        "address": c.OWNERS[1].address,
        "url": url,
        "timeout_s": 2,
    } | more


def kms_sender(url: str, folder: Path) -> tuple[str, dict[str, Any]]:
    key_id, admin = new_key(url), kms_client(url)
    address = address_of_spki(admin.get_public_key(KeyId=key_id)["PublicKey"])
    admin.close()
    return address, {
        "kind": "aws_kms", "environment": "devnet", "address": address, "key_id": key_id, "region": "eu-central-1",
        "endpoint": url, "access_key_id": secret(folder), "secret_access_key": secret(folder), "timeout_s": 2,
    }  # fmt: skip


@contextmanager
def running(folder: Path, **changes: Any) -> Iterator[tuple[subprocess.Popen[bytes], Path]]:
    process = start_signer(folder / "s.sock", c.signer_files(folder, **changes), folder / "signer.log")
    try:
        yield process, folder / "s.sock"
    finally:
        process.terminate()
        process.wait(10)


def kept(folder: Path) -> dict[str, Any]:
    return {"key": "owner-0", "password": f"file:{folder}/password"}


def watched() -> dict[str, Any]:
    return {"kind": "watch", "environment": "devnet", "address": c.OWNERS[2].address}


async def test_owners_and_sender_of_three_kinds_sign_one_transaction(
    server: str, remote: Proxy, tmp_path: Path
) -> None:
    sender, spec = kms_sender(server, tmp_path)
    owners = [kept(tmp_path), web3signer(remote.url), watched()]
    with running(tmp_path, owners=owners, senders=[spec]) as (_, path):
        async with SignerClient(path, Environment.DEVNET) as client:
            status = await client.status()
            assert status["owners"] == {o.address: True for o in c.OWNERS} and status["senders"] == {
                sender: True
            }
            tx = c.sell()
            signed = await client.sign_safe_tx("a", 1, Address(c.SAFE), tx, chain_time=c.NOW)
            assert set(signed.by_owner) == {c.OWNERS[0].address, c.OWNERS[1].address}, (
                "who only watches is not asked"
            )
            packed = safe.pack_signatures(
                signed.safe_tx_hash, signed.by_owner.values(), [o.address for o in c.OWNERS], 2
            )
            outer = c.outer(safe.exec_transaction(tx, packed))
            sent = await client.sign_tx("b", Address(sender), outer, tx.nonce, chain_time=c.NOW)
            assert Account.recover_transaction(sent.raw) == sender
            with pytest.raises(Denied) as denied:
                await client.sign_safe_tx(
                    "c", 1, Address(c.SAFE), tx, [c.OWNERS[2].address], chain_time=c.NOW
                )
            assert denied.value.code == "WATCH_ONLY"
    said = (tmp_path / "signer.log").read_text() + (tmp_path / "ledger.jsonl").read_text()
    assert "an-aws-secret" not in said and "correct horse" not in said


async def test_a_policy_refuses_before_a_remote_key_is_asked(remote: Proxy, tmp_path: Path) -> None:
    with running(tmp_path, owners=[kept(tmp_path), web3signer(remote.url)]) as (_, path):
        async with SignerClient(path, Environment.DEVNET) as client:
            before = remote.seen
            theft = c.batch(c.call(c.USDC, "erc20", "transfer", c.THIEF, 10**6))
            with pytest.raises(Denied, match="POLICY_"):
                await client.sign_safe_tx("t", 1, Address(c.SAFE), theft, chain_time=c.NOW)
            assert remote.seen == before


async def test_a_service_that_does_not_answer_holds_up_nobody_else(remote: Proxy, tmp_path: Path) -> None:
    with running(tmp_path, owners=[kept(tmp_path), web3signer(remote.url)]) as (_, path):
        remote.fault = "hang"
        async with (
            SignerClient(path, Environment.DEVNET) as one,
            SignerClient(path, Environment.DEVNET) as two,
        ):
            seen = remote.seen
            asked = asyncio.create_task(one.sign_safe_tx("x", 1, Address(c.SAFE), c.sell(), chain_time=c.NOW))
            await asyncio.to_thread(wait_for, lambda: remote.seen > seen)
            started = time.monotonic()
            entries = (await two.status())["ledger"]["entries"]
            assert time.monotonic() - started < 0.5
            assert entries == 1, "what was asked for is on the record before anybody is asked to sign it"
            with pytest.raises(Exception, match="SIGNER_SILENT"):
                await asked
            remote.fault = ""
            remote.let_go.set()
            again = await one.sign_safe_tx("x", 1, Address(c.SAFE), c.sell(), chain_time=c.NOW)
            assert len(again.by_owner) == 2 and (await two.status())["ledger"]["entries"] == 1, "counted once"


async def test_a_service_that_is_down_at_the_start_is_opened_by_unlock(remote: Proxy, tmp_path: Path) -> None:
    remote.fault = "cut"
    with running(tmp_path, owners=[kept(tmp_path), web3signer(remote.url)]) as (_, path):
        assert f"locked: web3signer {c.OWNERS[1].address}" in (tmp_path / "signer.log").read_text()
        async with SignerClient(path, Environment.DEVNET) as client:
            with pytest.raises(Usage, match="KEY_LOCKED"):
                await client.sign_safe_tx(
                    "l", 1, Address(c.SAFE), c.sell(), [c.OWNERS[1].address], chain_time=c.NOW
                )
            remote.fault = ""
            assert (await client.unlock())["owners"][c.OWNERS[1].address] is True
            signed = await client.sign_safe_tx(
                "l", 1, Address(c.SAFE), c.sell(), [c.OWNERS[1].address], chain_time=c.NOW
            )
            assert recover(signed.safe_tx_hash, signed.by_owner[c.OWNERS[1].address]) == c.OWNERS[1].address


def test_keys_elsewhere_count_for_the_threshold_and_watched_ones_do_not(tmp_path: Path) -> None:
    """A live process must not reach a threshold of owners, wherever their keys are kept."""
    live = {"environment": "live"}
    services = [
        web3signer("https://signer.example", **live),
        web3signer("https://b.example", address=c.OWNERS[2].address, **live),
    ]
    config = c.signer_files(tmp_path, "live", owners=services)
    with pytest.raises(Denied, match="OWNERS_HELD"):
        Vault(load(config))
    second = tmp_path / "two"
    second.mkdir()
    vault = Vault(load(c.signer_files(second, "live", owners=[services[0], watched() | live])))
    assert not vault.owners and not vault.senders


def test_a_key_of_another_world_and_wrong_settings_are_named(tmp_path: Path) -> None:
    good = json.loads(c.signer_files(tmp_path).read_text())
    with pytest.raises(Denied, match="KEY_OTHER_ENVIRONMENT"):
        Vault(signer_settings(good | {"owners": [web3signer("https://h", environment="live")]}))
    for spec, said in (
        ({"kind": "ledgr"}, "did you mean ledger?"),
        (
            web3signer("https://h", tokn="env:X"),
            "owners[0].tokn is no setting of web3signer; did you mean token?",
        ),
        (web3signer("https://h", token="hunter2"), "owners[0].token must be a secret reference"),
    ):
        with pytest.raises(Usage) as wrong:
            signer_settings(good | {"owners": [spec]})
        assert said in wrong.value.message and "hunter2" not in str(wrong.value)
    with pytest.raises(Usage, match="named by `key`"):
        Vault(
            signer_settings(
                good | {"owners": [{"kind": "keystore", "environment": "devnet", "keystore": "/x"}]}
            )
        )
    named = signer_settings(good | {"owners": [web3signer("https://h", token="env:GATEWAY_TOKEN")]})
    assert "GATEWAY_TOKEN" in environment_names(named)


def owner(
    spec: dict[str, Any], environment: str = "devnet", typed: str | None = None, **more: Any
) -> subprocess.CompletedProcess[str]:
    """An owner at the command; `typed` is what the person types at a terminal of its own."""
    command = [
        sys.executable,
        "-m",
        "keys.owner_sign",
        "--environment",
        environment,
        "--signer",
        json.dumps(spec),
    ]
    for name, value in more.items():
        command += [f"--{name}", value]
    body = json.dumps(safe.to_json(1, Address(c.SAFE), c.sell()))
    if typed is None:
        return subprocess.run(
            command,
            input=body,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
            start_new_session=True,
        )
    ours, theirs = pty.openpty()

    def own_terminal() -> None:
        fcntl.ioctl(theirs, termios.TIOCSCTTY, 0)

    process = subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        start_new_session=True, preexec_fn=own_terminal, pass_fds=(theirs,),
    )  # fmt: skip
    assert process.stdin is not None
    process.stdin.write(body)
    process.stdin.close()
    process.stdin = None
    os.close(theirs)
    shown = b""
    with contextlib.suppress(OSError):  # the terminal's end, where nothing was asked
        while b"sign this" not in shown and b"its screen shows" not in shown:
            shown += os.read(ours, 1000)
        os.write(ours, typed.encode() + b"\n")
    out, err = process.communicate(timeout=60)
    os.close(ours)
    return subprocess.CompletedProcess(command, process.returncode, out, err)


def ledger_spec(app: LedgerApp, port: int, **more: Any) -> dict[str, Any]:
    address = address_of(app.key([44 | 1 << 31, 60 | 1 << 31, 1 << 31, 0, 0]).public_key)
    return {
        "kind": "ledger",
        "environment": "devnet",
        "address": address,
        "transport": f"tcp:127.0.0.1:{port}",
        "timeout_s": 3,
    } | more


def test_an_owner_with_a_ledger_compares_two_screens_and_presses() -> None:
    app = LedgerApp(b"the seed of an owner's device")
    digest = safe.safe_tx_hash(1, Address(c.SAFE), c.sell())
    with emulator(app) as port:
        spec = ledger_spec(app, port)
        done = owner(spec)
        assert done.returncode == 0, done.stderr
        assert recover(digest, bytes.fromhex(done.stdout.strip()[2:])) == spec["address"]
        assert "Sells 2.5 WETH for at least 4500 USDC on uniswap_v3, paid to this wallet" in done.stderr
        assert "Compare with the device's own screen" in done.stderr
        assert app.screens and all(f"  {screen}" in done.stderr.splitlines() for screen in app.screens)

        app.person = "refuse"
        refused = owner(spec)
        assert refused.returncode == 3 and "OWNER_REFUSED" in refused.stderr and not refused.stdout
        app.person = "unplug"
        gone = owner(spec)
        assert gone.returncode == 4 and "LEDGER_GONE" in gone.stderr and not gone.stdout
        app.person, app.locked = "approve", True
        locked = owner(spec)
        assert locked.returncode == 4 and "LEDGER_LOCKED" in locked.stderr and not locked.stdout
        app.locked = False
        screens = len(app.screens)
        for wrong in (
            owner(spec, "live"),
            owner(ledger_spec(app, port, path="44'/60'/1'/0/0")),
            owner(spec, address=c.SAFE),
        ):
            assert wrong.returncode == 3 and not wrong.stdout and "Traceback" not in wrong.stderr
        assert owner({"kind": "ledger"}).returncode == 2
        assert len(app.screens) == screens, "nobody was asked"


def test_an_owner_with_a_trezor_compares_two_screens_and_presses() -> None:
    device = TrezorDevice(b"the seed of an owner's device")
    address = address_of(device.key([44 | 1 << 31, 60 | 1 << 31, 1 << 31, 0, 0]).public_key)
    digest = safe.safe_tx_hash(1, Address(c.SAFE), c.sell())
    with bridging(device) as bridge:
        spec = {"kind": "trezor", "environment": "devnet", "address": address, "bridge": bridge.url}
        done = owner(spec)
        assert done.returncode == 0, done.stderr
        assert recover(digest, bytes.fromhex(done.stdout.strip()[2:])) == address
        assert "Sells 2.5 WETH for at least 4500 USDC on uniswap_v3, paid to this wallet" in done.stderr
        assert device.screens and all(f"  {screen}" in done.stderr.splitlines() for screen in device.screens)
        device.person = "refuse"
        refused = owner(spec)
        assert refused.returncode == 3 and "OWNER_REFUSED" in refused.stderr and not refused.stdout
        device.person = "unplug"
        gone = owner(spec)
        assert gone.returncode == 4 and "TREZOR_GONE" in gone.stderr and not gone.stdout
        device.person, screens = "approve", len(device.screens)
        wrong = owner(spec | {"path": "44'/60'/1'/0/0"})
        assert wrong.returncode == 3 and "SIGNER_OTHER_KEY" in wrong.stderr and len(device.screens) == screens
        device.model, device.locked = "1", True
        unlocked = owner(spec, typed="159")
        assert unlocked.returncode == 0 and not device.locked, unlocked.stderr


def test_for_a_key_in_a_service_the_person_types_yes_here(remote: Proxy) -> None:
    spec = web3signer(remote.url)
    before = remote.seen
    no = owner(spec, typed="no")
    assert no.returncode == 3 and "OWNER_REFUSED" in no.stderr and not no.stdout
    assert remote.seen == before + 1, "its keys were listed, and nothing was signed"
    yes = owner(spec, typed="yes")
    assert yes.returncode == 0, yes.stderr
    assert "another machine, behind Web3Signer" in yes.stderr
    digest = safe.safe_tx_hash(1, Address(c.SAFE), c.sell())
    assert recover(digest, bytes.fromhex(yes.stdout.strip()[2:])) == c.OWNERS[1].address
    nobody = owner(spec)
    assert nobody.returncode == 2 and "NO_TERMINAL" in nobody.stderr and not nobody.stdout


def test_a_watched_owner_signs_elsewhere() -> None:
    done = owner(watched(), typed="yes")
    assert done.returncode == 3 and "WATCH_ONLY" in done.stderr and not done.stdout
