"""Amounts are read one way or not at all, prices stay readable at every size, and wrong words get one clear answer."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from decimal import Decimal
from pathlib import Path

import pytest

from agent.app.cli import READER_GONE, run
from agent.app.cli.output import quote_places, read_px
from agent.domain.errors import Usage
from agent.domain.units import parse_qty
from chains.devnet import service


@pytest.mark.parametrize(
    "text",
    [
        "1,5",
        "1,000",
        "1_0",
        "１",
        "NaN",
        "Infinity",
        "-1",
        "0",
        "",
        "ten",
        "1 2",
        "1e400",
        "1e-400",
        "9" * 60,
    ],
)
def test_an_amount_that_could_be_read_in_two_ways_is_none(text: str) -> None:
    with pytest.raises(Usage) as caught:
        parse_qty(text)
    assert caught.value.code == "BAD_AMOUNT" and caught.value.hint


@pytest.mark.parametrize(("text", "qty"), [("25", "25"), ("0.5", "0.5"), (".5", "0.5"), ("1e3", "1000")])
def test_plain_numbers_are_amounts(text: str, qty: str) -> None:
    assert parse_qty(text) == Decimal(qty)


@pytest.mark.parametrize(
    ("px", "shown", "places"),
    [
        ("2998.50891", "2,998.5089", 2),
        ("1", "1.0000", 2),
        ("0.00033345678", "0.00033346", 8),
        ("0", "0.0000", 8),
    ],
)
def test_a_price_far_below_one_keeps_its_digits(px: str, shown: str, places: int) -> None:
    assert (read_px(Decimal(px)), quote_places(Decimal(px))) == (shown, places)


def test_a_group_without_its_command_shows_its_help(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["devnet"]) == 2
    out, err = capsys.readouterr()
    assert not out and err.startswith("Usage: fairlead devnet") and "BAD_USAGE" not in err


def test_a_negative_amount_is_not_called_an_option(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["trade", "sell", "-1", "ETH", "--for", "USDC", "--json"]) == 2
    error = json.loads(capsys.readouterr().out)["error"]
    assert error["code"] == "BAD_AMOUNT" and "-1" in error["message"]


def test_looking_at_a_runtime_folder_makes_none(tmp_path: Path) -> None:
    folder = tmp_path / "none"
    assert not service.status(runtime=folder).services and service.down(runtime=folder) == []
    assert not folder.exists()
    (tmp_path / "file").write_text("x")
    assert not service.status(runtime=tmp_path / "file").services


def test_a_reader_that_goes_and_a_full_disk_are_no_tracebacks() -> None:
    command = [sys.executable, "-m", "agent", "completion", "bash"]
    reading, writing = os.pipe()
    os.close(reading)
    gone = subprocess.run(command, stdout=writing, stderr=subprocess.PIPE, text=True, check=False)
    os.close(writing)
    assert (gone.returncode, gone.stderr) == (READER_GONE, "")
    if Path("/dev/full").exists():
        refused = [
            sys.executable,
            "-m",
            "agent",
            "--settings",
            "/nowhere.toml",
            "config",
            "explain",
            "--json",
        ]
        for asked, code in ((command, "DISK_FULL"), (refused, "SETTINGS_MISSING")):
            for environment in ({}, {"PYTHONUNBUFFERED": "1"}):
                plain = {k: v for k, v in os.environ.items() if k != "PYTHONUNBUFFERED"}
                with open("/dev/full", "w") as full:
                    ended = subprocess.run(
                        asked,
                        stdout=full,
                        stderr=subprocess.PIPE,
                        text=True,
                        check=False,
                        env=plain | environment,
                    )
                assert ended.returncode == 2 and code in ended.stderr and "Traceback" not in ended.stderr
