"""Every file and pipe that a stranger may write: nested beyond any stack, it is one clear error of the command and no dead process.

Each in a process of its own, after the library that raises Python's own bound was loaded: there json's parser would overflow the stack.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from chains.bounded_json import loads
from contracts.hashing import load_crypto_alone

ROOT = Path(__file__).resolve().parents[2]
HOSTILE = [b"[" * 1_000_000, b'{"a":' * 300_000, b"[" * 1_010 + b"]" * 1_010, b"[" * 1_024 + b"]" * 1_024]
# A Python program that gets the folder of hostile files as its argument and ends with 0 when each was refused by the codes named.
READERS = {
    "calls": "from agent.app.multisig.building import calls_of_file as read; codes = ('CALLS_FILE',)",
    "proposal": "from agent.app.multisig.files import read; codes = ('SAFE_FILE_INVALID',)",
    "keystore": "from keys.keystore_v3 import read; codes = ('KEYSTORE_INVALID',)",
    "signer's settings": "from keys.settings import load as read; codes = ('SIGNER_CONFIG_INVALID',)",
    "accounts": "from agent.margin.accounts import judge_text; codes = ('BAD_ACCOUNTS_FILE',); read = lambda p: judge_text(p.read_bytes())",
    "market": "from agent.market.file import parse_text; codes = ('BAD_MARKET_FILE',); read = lambda p: parse_text(p.read_bytes())",
}
PROGRAM = """
import sys
from pathlib import Path
from contracts.hashing import load_crypto_alone
load_crypto_alone()
import eth_keyfile.keyfile
sys.setrecursionlimit(100_000)
from chains.errors import FairleadError
{reader}
for path in sorted(Path(sys.argv[1]).iterdir()):
    try:
        read(path)
    except FairleadError as error:
        assert error.code in codes, error
        continue
    raise SystemExit(f"{{path}} was read")
"""


@pytest.fixture(scope="module")
def hostile(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("hostile")
    for number, content in enumerate(HOSTILE):
        (folder / f"{number}.json").write_bytes(content)
    return folder


@pytest.mark.parametrize("name", READERS)
def test_a_file_is_refused_by_name(hostile: Path, name: str) -> None:
    program = PROGRAM.format(reader=READERS[name])
    done = subprocess.run(
        [sys.executable, "-c", program, str(hostile)], cwd=ROOT, capture_output=True, text=True, timeout=60
    )
    assert done.returncode == 0, (done.returncode, done.stderr[-500:])


@pytest.mark.parametrize(
    ("module", "code"),
    [
        ("keys.owner_sign", "SAFE_TX_INVALID"),
        ("keys.owner_freeze", "FREEZE_INVALID"),
        ("keys.owner_delegate", "DELEGATION_INVALID"),
        ("keys.owner_operate", "OPERATION_INVALID"),
    ],
)
@pytest.mark.parametrize("content", HOSTILE, ids=range(len(HOSTILE)))
def test_what_an_owners_process_is_handed_on_its_pipe(module: str, code: str, content: bytes) -> None:
    command = [
        sys.executable,
        "-m",
        module,
        "--environment",
        "devnet",
        "--address",
        "0x" + "1" * 40,
        "--keystore",
        os.devnull,
    ]
    done = subprocess.run(command, cwd=ROOT, input=content, capture_output=True, timeout=60)
    assert done.returncode == 2 and done.stderr.decode().startswith(f"error {code}"), done.stderr[-500:]


def test_a_signers_table_is_bounded_too() -> None:
    command = [sys.executable, "-m", "keys.owner_sign", "--environment", "devnet", "--signer", "[" * 100_000]
    done = subprocess.run(command, cwd=ROOT, input=b"{}", capture_output=True, timeout=60)
    assert done.returncode == 2 and b"SIGNER_CONFIG_INVALID" in done.stderr, done.stderr[-500:]


def test_what_is_not_too_deep_is_read_with_numbers_whole() -> None:
    load_crypto_alone()
    assert loads(b"[" * 500 + b"1" + b"]" * 500)
    assert loads(json.dumps({"a": 2**300}).encode()) == {"a": 2**300}
    # Between 1,000 and 1,024 it is Python's own bound that decides, and a library may have raised it.
    for bad in (*HOSTILE[:2], b"", b"{", b"NaN", b"\xff"):
        with pytest.raises(ValueError):
            loads(bad)
