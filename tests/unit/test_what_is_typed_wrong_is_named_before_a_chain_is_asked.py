"""What a person types wrong is named at once: amounts and chains before anything is asked, a password that is no text, a URL cut short."""

from __future__ import annotations

import os
import pty
import sys
from pathlib import Path

import pytest

from agent.app.cli import run

SETTINGS = """\
environment = "devnet"
[wallet]
address = "0x1111111111111111111111111111111111111111"
[[chains]]
name = "ethereum"
chain_id = 1
rpc = ["http://127.0.0.1:1"]
"""


@pytest.mark.parametrize(
    ("line", "code", "named"),
    [
        ("lend supply x USDC", "BAD_AMOUNT", "the quantity 'x'"),
        ("lend supply 0 USDC", "BAD_AMOUNT", "the quantity"),
        ("lend supply 1e400 USDC", "BAD_AMOUNT", "the quantity"),
        ("lend repay 5 USDC --chain nowhere", "UNKNOWN_CHAIN", "'nowhere'"),
        ("fork --rpc http://[::1", "BAD_RPC_URL", "URL"),
        ("fork --rpc http://127.0.0.1:1 --block -1", "BAD_USAGE", "--block"),
        ("chaos custody --rpc 1=http://[::1 --rpc 8453=http://[::1", "BAD_URL", "url"),
    ],
)
def test_is_named(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], line: str, code: str, named: str
) -> None:
    settings = tmp_path / "fairlead.toml"
    settings.write_text(SETTINGS)
    settings.chmod(0o600)
    assert run(["--settings", str(settings), *line.split()]) == 2
    said = capsys.readouterr().err
    assert code in said and named in said, said


def test_a_password_that_is_no_text_is_refused_in_words(tmp_path: Path) -> None:
    pid, terminal = pty.fork()
    if pid == 0:  # the terminal is this child's own
        words = f"keys new a --environment devnet --light --keystore {tmp_path / 'keys'}".split()
        os.execv(sys.executable, [sys.executable, "-c", "from agent.app.cli import main; main()", *words])
    said = b""
    try:
        while b"key:" not in said:
            said += os.read(terminal, 4096)
        os.write(terminal, b"\xff\xfe\n")
        while part := os.read(terminal, 4096):
            said += part
    except OSError:  # Linux's end of a terminal
        pass
    _, status = os.waitpid(pid, 0)
    os.close(terminal)
    assert os.waitstatus_to_exitcode(status) == 2, said
    assert b"PASSWORD_NOT_TEXT" in said and b"Traceback" not in said
    assert not list(tmp_path.rglob("*.json"))
