"""What can be typed wrong at the paper exchange's command line is one clear line and exit 2."""

from __future__ import annotations

import socket
import subprocess
import sys
from decimal import Decimal
from pathlib import Path

import pytest
from Crypto.PublicKey import ECC
from fix_exchange import PEM, PUBLIC
from paper import new_venue

from agent.app.testvenue.__main__ import arguments, build, main, parse_account, parse_symbol
from agent.app.testvenue.fix import FixServer
from agent.app.testvenue.liquidity import file_levels
from agent.app.testvenue.server import Server

ROOT = Path(__file__).resolve().parents[2]


def run(*options: str) -> tuple[int, str]:
    done = subprocess.run(
        [sys.executable, "-m", "agent.app.testvenue", *options],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=30,
    )
    return done.returncode, done.stderr


@pytest.mark.parametrize(
    ("options", "says"),
    [
        (("--mid", "abc"), "'abc' is not a number"),
        (("--mid", "0"), "a price above zero"),
        (("--port", "99999"), "up to 65535"),
        (("--account", "key=abcd:secret=x:ETH=lots"), "balances are numbers"),
        (("--symbol", "ETH"), "BASE/QUOTE"),
        (("--book", "README-that-is-not-there.json"), "No such file"),
    ],
)
def test_bad_input(options: tuple[str, ...], says: str, capsys: pytest.CaptureFixture[str]) -> None:
    try:
        status: object = main(options)
    except SystemExit as ended:  # as argparse ends a command
        status = ended.code
    text = capsys.readouterr().err
    assert status == 2 and says in text and "Traceback" not in text


def test_a_port_in_use_is_named() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        status, text = run("--port", str(port))
    assert status == 2 and f"port {port} " in text and "in use" in text and "Traceback" not in text


def test_a_secret_may_live_outside_the_command_line(tmp_path: Path) -> None:
    (tmp_path / "s").write_text("from-a-file\n")
    account = parse_account(f"key=abcd:secret=file:{tmp_path}/s:ETH=50:USDC=100000")
    assert (account.key, account.secret) == ("abcd", "from-a-file")
    assert account.deposits == (("ETH", Decimal(50)), ("USDC", Decimal(100_000)))
    assert "from-a-file" not in repr(account)
    with pytest.raises(ValueError, match="is empty"):
        parse_account("key=abcd:secret=env:A_NAME_THAT_IS_NOT_SET")


@pytest.mark.parametrize(
    ("options", "says"),
    [
        (("--combo", "ETH-FS-X=ETH/USDC:1,BTC/USDC:-1"), "goes with --dialect deribit"),
        (("--dialect", "deribit", "--combo", "ETH-FS-X=ETH/USDC:1,BTC/USDC:-1"), "two symbols or more of ETHUSDC"),
        (("--dialect", "deribit", "--combo", "ETH-FS-X=ETH/USDC"), "is no such leg"),
        (("--dialect", "deribit", "--symbol", "A/USDC", "--symbol", "B/USDC", "--combo", "A-FS-X=A/USDC:2,B/USDC:-2"), "a ratio of 1 or -1"),
        (("--dialect", "deribit", "--symbol", "A/USDC", "--symbol", "B/EUR", "--combo", "A-FS-X=A/USDC:1,B/EUR:-1"), "one quote"),
    ],
)  # fmt: skip
def test_what_is_no_combo_is_named(options: tuple[str, ...], says: str) -> None:
    with pytest.raises(ValueError, match=says):
        build(arguments().parse_args([*options]))


def test_symbols_and_books(tmp_path: Path) -> None:
    spec = parse_symbol("BTC/USDC=60000", Decimal(3000))
    assert (spec.symbol, spec.mid) == ("BTCUSDC", Decimal(60_000))
    book = tmp_path / "market.json"
    book.write_text(
        '{"books": [{"symbol": "ETH/USDC", "bids": [["2999.90", "1.2"]], "asks": [["3000.10", "0.8"]]}]}'
    )
    assert file_levels(book, "ETHUSDC") == [
        ("BUY", Decimal("2999.90"), Decimal("1.2")),
        ("SELL", Decimal("3000.10"), Decimal("0.8")),
    ]
    with pytest.raises(ValueError, match="holds no book of BTCUSDC"):
        file_levels(book, "BTCUSDC")


@pytest.mark.parametrize(
    "text", ["no key", PEM, ECC.generate(curve="P-256").public_key().export_key(format="PEM")]
)
def test_a_fix_key_that_is_no_public_ed25519_key_is_named(text: str) -> None:
    with pytest.raises(ValueError, match="account k: fix is no"):
        FixServer(Server(new_venue()), {"k": text})


def test_a_fix_key_is_a_file(tmp_path: Path) -> None:
    (tmp_path / "pub.pem").write_text(PUBLIC)
    found = parse_account(f"key=k:secret=s:fix=file:{tmp_path}/pub.pem:ETH=50")
    assert found.fix_key == PUBLIC and found.deposits == (("ETH", Decimal(50)),)
    with pytest.raises(ValueError, match="fix is file:PATH"):
        parse_account("key=k:secret=s:fix=PEM:ETH=50")
