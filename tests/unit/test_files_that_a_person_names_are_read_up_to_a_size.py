"""A name mistaken, or one without an end, is told: nothing reads on until the memory is gone."""

from __future__ import annotations

import errno
from pathlib import Path

import pytest

from agent.app.cli import run
from agent.app.settings_load import load
from chains.bounded_file import SETTINGS_BYTES, read_at_most
from chains.errors import Usage
from keys import keystore_v3, mpc_vault, settings
from keys.secrets import Secret

ENDLESS = Path("/dev/zero")


def test_a_file_of_just_the_size_is_whole_and_one_byte_more_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "it"
    path.write_bytes(b"x" * 100)
    assert read_at_most(path, 100) == b"x" * 100
    with pytest.raises(OSError) as refused:
        read_at_most(str(path), 99)
    assert refused.value.errno == errno.EFBIG


@pytest.mark.parametrize(
    ("read", "code"),
    [
        (load, "SETTINGS_MISSING"),
        (settings.load, "SIGNER_CONFIG_UNREADABLE"),
        (keystore_v3.read, "KEYSTORE_UNREADABLE"),
        (lambda path: mpc_vault.unlock(path, Secret(b"x")), "MPC_VAULT_UNREADABLE"),
    ],
)
def test_an_endless_file_is_refused_by_name(read: object, code: str) -> None:
    assert callable(read)
    with pytest.raises(Usage) as refused:
        read(ENDLESS)
    assert refused.value.code == code and str(SETTINGS_BYTES >> 20) in refused.value.message


def test_a_command_over_an_endless_file_ends(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["health", "/dev/zero"]) == 2
    assert "UNREADABLE_FILE: /dev/zero cannot be read: more than 512 MB" in capsys.readouterr().err
