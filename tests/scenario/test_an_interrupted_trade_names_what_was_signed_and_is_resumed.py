"""Ctrl-C while a signed transaction waits: one line names it and how to go on; the next run finishes the order, once."""

from __future__ import annotations

import signal

import pytest
from home_fixture import PENDING, Home

pytestmark = pytest.mark.devnet


def test_ctrl_c_names_what_is_open_and_run_once_finishes_it(home: Home) -> None:
    trade, order = home.pending_trade()
    name = order["cl_ord_id"]
    (tx,) = [p["tx_hash"] for c in order["children"] for p in c["parts"] if p["place"] == "eip155:1"]
    ended = trade.end(signal.SIGINT)
    assert ended.status == 5
    lines = [line for line in ended.err.splitlines() if "INTERRUPTED" in line]
    assert len(lines) == 1 and tx in lines[0] and "may still fill" in lines[0]
    assert "fairlead run --once" in ended.err.splitlines()[-1]
    home.go_on()
    resumed = home.run("run --once --json")
    assert resumed.status == 0, resumed.err
    (told,) = [o for o in resumed.json["orders"] if o["cl_ord_id"] == name]
    assert told["status"] == "FILLED" and told["filled_base"] == str(PENDING)
    assert home.receipt(tx)["status"] == "0x1"
    assert home.run("run --once --json").json["orders"] == []
    assert home.run("journal verify").status == 0


def test_ctrl_c_before_anything_is_signed_says_so(home: Home) -> None:
    watching = home.start("run")
    watching.says("shadow")
    ended = watching.end(signal.SIGINT)
    assert ended.status == 2 and "nothing was signed" in ended.err


def test_a_daemon_ends_cleanly_when_asked(home: Home) -> None:
    daemon = home.start("run --live --yes --max-loss 50")
    daemon.says("inbox open")
    assert daemon.end(signal.SIGTERM).status == 0
    assert "nothing that was signed is open" in daemon.err
