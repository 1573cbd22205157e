"""Ctrl-C at a random moment of a trade: no traceback, an intact record, and the next run finishes the order exactly once."""

from __future__ import annotations

import json
import random
import signal
import subprocess
import sys
import time
from decimal import Decimal
from pathlib import Path

import pytest
from trading_home import ROOT, TradingHome

from agent.app.readonly import read_book

pytestmark = pytest.mark.devnet

QTY = Decimal(6)


def held(home: TradingHome) -> Decimal:
    chains = sum(Decimal(home.balance_raw(c, "WETH")).scaleb(-18) for c in home.urls)
    return chains + home.paper_balance("ETH")


def interrupted(home: TradingHome, seed: int) -> None:
    book = read_book(home.settings)
    known = set(book.parents) if book is not None else set()
    before = held(home)
    wait_s = random.Random(seed).uniform(0.1, 4.5)
    trade = [*"trade sell 6 ETH --for USDC --live --yes --max-loss 900 --json".split()]
    process = subprocess.Popen(
        [sys.executable, "-m", "agent", *trade], cwd=ROOT, env=home.env, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        text=True,
    )  # fmt: skip
    time.sleep(wait_s)
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=60)
    where = f"after {wait_s:.2f} s: {process.returncode}\n{out[-800:]}\n{err[-1500:]}"
    assert "Traceback" not in err + out, where
    if process.returncode != -signal.SIGINT and out:  # the interpreter itself had begun
        json.loads(out)
    verified = home.fairlead("journal", "verify", "--json")
    if home.settings.journal.path.exists():
        assert verified.status == 0, verified.out + verified.err
    else:  # stopped before the first order was written
        assert verified.json["error"]["code"] == "JOURNAL_MISSING", verified.out
    finished = home.fairlead("run", "--once")
    assert "Traceback" not in finished.err, finished.err
    book = read_book(home.settings)
    made = [p for p in (book.parents.values() if book else ()) if p.parent.cl_ord_id not in known]
    assert len(made) <= 1, where
    sold = before - held(home)
    if made:
        assert book is not None and made[0].closed is not None, where + finished.err
        assert made[0].closed.status == "FILLED", where + finished.err
        assert sold == QTY == book.filled_base(made[0].parent.cl_ord_id), where
        home.fairlead("trade", "buy", "6", "ETH", "--for", "USDC", "--live", "--yes", "--max-loss", "900")
    else:
        assert sold == 0, where


@pytest.fixture(scope="module", autouse=True)
def taken_over(trading_home: TradingHome) -> None:
    if trading_home.settings.journal.path.exists():
        trading_home.take_over()


@pytest.mark.parametrize("seed", range(5))
def test_ctrl_c(trading_home: TradingHome, tmp_path: Path, seed: int) -> None:
    interrupted(trading_home, seed)


@pytest.mark.full
@pytest.mark.parametrize("seed", range(100, 140))
def test_ctrl_c_often(trading_home: TradingHome, tmp_path: Path, seed: int) -> None:
    interrupted(trading_home, seed)
