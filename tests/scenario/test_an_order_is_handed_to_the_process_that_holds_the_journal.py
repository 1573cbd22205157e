"""Two processes, one journal: the second hands its order over and tells what the first does with it."""

from __future__ import annotations

import signal

import pytest
from home_fixture import Home

pytestmark = pytest.mark.devnet


def test_a_trade_beside_the_daemon_ends_as_it_would_alone(home: Home) -> None:
    daemon = home.start("run --live --yes --max-loss 50")
    daemon.says("inbox open")
    done = home.run("trade sell 0.7 ETH --for USDC --live --yes --max-loss 100 --json")
    assert done.status == 0, done.err
    assert "handed over" in done.err and "settled" in done.err
    told = done.json
    assert told["parent"]["status"] == "FILLED" and told["parent"]["filled_base"] == "0.7"
    assert told["settlement"]["final"] and told["attribution"] is not None
    assert home.book().parents[told["parent"]["cl_ord_id"]].closed is not None
    halted = home.run("halt --json squall")
    assert halted.json["recorded"] == "running process"
    denied = home.run("trade sell 0.7 ETH --for USDC --live --yes --max-loss 100 --json")
    assert denied.status == 6 and denied.json["children"][0]["breaches"][0]["rule"] == "HALTED"
    assert home.run("resume --json").json["recorded"] == "running process"
    assert home.run("trade sell 0.7 ETH --for USDC --live --yes --max-loss 100").status == 0
    assert daemon.end(signal.SIGTERM).status == 0
    assert home.run("journal verify").status == 0 and home.run("journal replay").status == 0


def test_the_process_that_carries_a_foreign_order_does_not_leave_before_it(home: Home) -> None:
    first, order = home.pending_trade()
    second = home.start("trade sell 0.8 ETH --for USDC --live --yes --max-loss 100")
    second.says("handed over")
    home.go_on()
    assert first.end().status == 0 and second.end().status == 0
    assert [r.closed.status for r in home.book().parents.values() if r.closed][-2:] == ["FILLED", "FILLED"]


def test_what_dies_with_its_carrier_is_told_as_unclear(home: Home) -> None:
    first, order = home.pending_trade()
    second = home.start("trade sell 0.8 ETH --for USDC --live --yes --max-loss 100")
    second.says("handed over")
    first.end(signal.SIGKILL)
    told = second.end()
    assert told.status == 5 and "CARRIER_ENDED" in told.err and "run --once" in told.err
    home.go_on()
    assert home.run("run --once").status == 0
    assert home.orders()["orders"] == []
