"""Keystore V3 files go both ways between Fairlead, eth-account (geth's format) and cast; environments never mix."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

import custody as c
import pytest

from chains.errors import Denied, Usage
from chains.types import Environment
from keys import keystore_v3, safe
from keys.curve import recover
from keys.local_keystore import LocalKeystore
from keys.secrets import Secret, resolve, scrubbed_environment

PASSWORD = Secret(b"correct horse")
DEVNET, LIVE = Environment.DEVNET, Environment.LIVE


def test_eth_account_opens_ours(tmp_path: Path) -> None:
    from eth_account import Account

    key = LocalKeystore(tmp_path).create("alice", DEVNET, PASSWORD, n=4)
    opened = Account.from_key(Account.decrypt(key.path.read_text(), "correct horse"))
    assert opened.address == key.address
    assert key.path.stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize("kdf", ["scrypt", "pbkdf2"])
def test_we_open_eth_accounts(tmp_path: Path, kdf: str) -> None:
    from eth_account import Account

    theirs = tmp_path / "UTC--theirs"
    theirs.write_text(json.dumps(Account.encrypt(c.keccak(b"agent"), "correct horse", kdf=kdf, iterations=8)))
    store = LocalKeystore(tmp_path / "ours")
    key = store.import_file("agent", LIVE, theirs, PASSWORD)
    assert key.address == c.AGENT.address == store.open(key, PASSWORD).address


def test_an_iv_written_without_its_leading_zeros_is_read_all_the_same() -> None:
    """eth-account's older releases write the iv as a number: one file in 256 comes out a byte short."""
    from eth_keyfile.keyfile import create_keyfile_json

    secret, short = c.keccak(b"agent"), None
    for _ in range(20_000):
        store = create_keyfile_json(secret, PASSWORD.reveal(), kdf="pbkdf2", iterations=1)
        if store["crypto"]["cipherparams"]["iv"].startswith("00"):
            short = store
            break
    assert short is not None
    short["crypto"]["cipherparams"]["iv"] = short["crypto"]["cipherparams"]["iv"][2:]
    assert keystore_v3.decrypt(short, PASSWORD) == secret
    short["crypto"]["cipherparams"]["iv"] = "00" * 17
    with pytest.raises(Usage, match="longer than 16 bytes"):
        keystore_v3.decrypt(short, PASSWORD)


def _cast() -> str:
    from chains.devnet import packages

    return str(packages.tool("cast"))


def test_cast_and_we_open_each_others(tmp_path: Path) -> None:
    cast = shutil.which("cast")
    if cast is None:
        try:
            cast = _cast()
        except (ImportError, AttributeError, Usage):
            pytest.skip("cast is not on PATH and the devnet's tools are not there")
    password = tmp_path / "password"
    password.write_text("correct horse")
    secret = "0x" + c.keccak(b"agent").hex()
    subprocess.run(
        [
            cast,
            "wallet",
            "import",
            "x",
            "--keystore-dir",
            str(tmp_path),
            "--private-key",
            secret,
            "--unsafe-password",
            "correct horse",
        ],
        check=True,
        capture_output=True,
    )
    store = LocalKeystore(tmp_path / "ours")
    key = store.import_file("agent", DEVNET, tmp_path / "x", PASSWORD)
    made = store.create("bob", DEVNET, PASSWORD, n=1024)
    assert key.address == c.AGENT.address
    for one in (key, made):
        said = subprocess.run(
            [cast, "wallet", "address", "--keystore", str(one.path), "--password-file", str(password)],
            check=True,
            capture_output=True,
            text=True,
        )
        assert said.stdout.strip() == one.address


def test_a_wrong_password_says_so(tmp_path: Path) -> None:
    store = LocalKeystore(tmp_path)
    key = store.create("alice", DEVNET, PASSWORD, n=4)
    with pytest.raises(Usage) as refused:
        store.open(key, Secret(b"wrong"))
    assert refused.value.code == "WRONG_PASSWORD"


def test_environments_never_mix(tmp_path: Path) -> None:
    store = LocalKeystore(tmp_path)
    key = store.create("alice", LIVE, PASSWORD, n=4)
    for which in ("alice", key.address, str(key.path)):
        assert store.find(which, LIVE) == key
        with pytest.raises(Denied, match="KEY_OTHER_ENVIRONMENT"):
            store.find(which, DEVNET)
    secret = Secret(keystore_v3.decrypt(keystore_v3.read(key.path), PASSWORD))
    with pytest.raises(Denied, match="KEY_OTHER_ENVIRONMENT"):
        store.import_secret("again", DEVNET, secret, PASSWORD, n=4)
    with pytest.raises(Usage, match="KEY_EXISTS"):
        store.import_secret("again", LIVE, secret, PASSWORD, n=4)


@pytest.mark.parametrize(
    "content",
    ["", "[]", "{}", '{"version": 3, "crypto": {}}', '{"version": 1}', "\0\1", '{"version": 3, "crypto": 5}'],
)
def test_broken_files_are_named_as_such(tmp_path: Path, content: str) -> None:
    path = tmp_path / "k.json"
    path.write_text(content)
    with pytest.raises(Usage, match="KEYSTORE_INVALID"):
        keystore_v3.decrypt(keystore_v3.read(path), PASSWORD)


@pytest.mark.parametrize(
    ("name", "value", "said"),
    [
        ("n", 1 << 30, "n is out of range"),
        ("n", True, "n is out of range"),
        ("n", 1000, "malformed"),
        ("r", 1 << 20, "r is out of range"),
        ("p", 0, "p is out of range"),
        ("dklen", 16, "dklen is out of range"),
        ("salt", "zz", "malformed"),
    ],
)
def test_a_hostile_file_gets_no_memory(name: str, value: object, said: str) -> None:
    store = keystore_v3.encrypt(c.keccak(b"agent"), PASSWORD, n=4)
    store["crypto"]["kdfparams"][name] = value
    with pytest.raises(Usage, match=said) as refused:
        keystore_v3.decrypt(store, PASSWORD)
    assert refused.value.code == "KEYSTORE_INVALID"


def test_a_hostile_file_gets_no_time_either() -> None:
    from eth_account import Account

    store = Account.encrypt(c.keccak(b"agent"), "correct horse", kdf="pbkdf2", iterations=8)
    store["crypto"]["kdfparams"]["c"] = 1 << 40
    with pytest.raises(Usage, match="c is out of range"):
        keystore_v3.decrypt(store, PASSWORD)
    store["crypto"]["kdfparams"] |= {"c": 8, "prf": "hmac-md5"}
    with pytest.raises(Usage, match="prf is not hmac-sha256"):
        keystore_v3.decrypt(store, PASSWORD)


def test_secrets_show_nothing(tmp_path: Path) -> None:
    path = tmp_path / "s"
    path.write_text("value\n")
    with pytest.raises(Usage, match="SECRET_FILE_EXPOSED"):
        path.chmod(0o644)
        resolve(f"file:{path}")
    path.chmod(0o600)
    secret = resolve(f"file:{path}")
    assert secret.text() == "value"
    assert "value" not in f"{secret} {secret!r} {secret:>9} {[secret]}"
    assert resolve("cmd:printf 'value\\nmore'") == secret
    for wrong in (
        "hunter2",
        "file:",
        "env:FAIRLEAD_SURELY_ABSENT",
        "cmd:false",
        "cmd:/nowhere",
        "plain:hunter2",
    ):
        with pytest.raises(Usage) as refused:
            resolve(wrong)
        assert "hunter2" not in str(refused.value)


def test_children_see_no_secret_variables() -> None:
    assert not [k for k in scrubbed_environment() if "PASS" in k or "SECRET" in k or k.endswith("_KEY")]


def _owner(folder: Path, text: str, *more: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "keys.owner_sign", "--keystore", str(folder), *more]
    return subprocess.run(command, input=text, capture_output=True, text=True, timeout=60, check=False)


def test_an_owner_reads_what_it_is_and_signs(tmp_path: Path) -> None:
    store = LocalKeystore(tmp_path / "k")
    store.import_secret("alice", DEVNET, Secret(c.keccak(b"owner 0")), PASSWORD, n=4)
    password = tmp_path / "password"
    password.write_text("correct horse")
    password.chmod(0o600)
    body = safe.to_json(1, c.SAFE, c.sell()) | {"tokens": {c.USDT: ["USDT", 6]}}
    args = ("--key", "alice", "--environment", "devnet", "--password", f"file:{password}")
    done = _owner(tmp_path / "k", json.dumps(body), *args)
    assert done.returncode == 0, done.stderr
    digest = safe.safe_tx_hash(1, c.SAFE, c.sell())
    signature = done.stdout.strip()[2:]
    assert recover(digest, bytes.fromhex(signature)) == c.OWNERS[0].address
    assert "Sells 2.5 WETH for at least 4500 USDC on uniswap_v3, paid to this wallet" in done.stderr
    assert digest.hex() in done.stderr and "correct horse" not in done.stderr

    password.write_text("wrong")
    assert _owner(tmp_path / "k", json.dumps(body), *args).returncode == 2
    wrong_world = ("--key", "alice", "--environment", "live", "--password", f"file:{password}")
    assert _owner(tmp_path / "k", json.dumps(body), *wrong_world).returncode == 3
    for bad in (
        "",
        "[]",
        "{}",
        json.dumps(body | {"to": "x"}),
        json.dumps(body | {"tokens": {c.WETH: []}}),
        json.dumps(body | {"tokens": {c.USDT: ["\x1b[2J", 6]}}),
    ):
        done = _owner(tmp_path / "k", bad, *args)
        assert done.returncode == 2 and not done.stdout and "Traceback" not in done.stderr
    password.write_text("correct horse")
    file = next((tmp_path / "k").iterdir())
    by_file = ("--environment", "devnet", "--password", f"file:{password}", "--address")
    assert _owner(file, json.dumps(body), *by_file, c.OWNERS[0].address).stdout == "0x" + signature + "\n"
    assert _owner(file, json.dumps(body), *by_file, c.OWNERS[1].address).returncode == 3


def test_the_asker_does_not_name_contracts(tmp_path: Path) -> None:
    store = LocalKeystore(tmp_path)
    store.import_secret("alice", DEVNET, Secret(c.keccak(b"owner 0")), PASSWORD, n=4)
    args = ("--key", "alice", "--environment", "devnet", "--password", "cmd:printf 'correct horse'")
    stolen = c.batch(
        c.call(c.THIEF, "erc20", "approve", c.THIEF, 5), c.call(c.USDC, "erc20", "transfer", c.THIEF, 5)
    )
    done = _owner(tmp_path, json.dumps(safe.to_json(1, c.SAFE, stolen)), *args)
    assert "NOT UNDERSTOOD" in done.stderr and "Sends 0.000005 USDC to SOMEBODY ELSE" in done.stderr
    named = safe.to_json(1, c.SAFE, stolen) | {"contracts": {c.THIEF: "weth9"}}
    assert _owner(tmp_path, json.dumps(named), *args).returncode == 2
