"""The state folder is gone with its machine; settings and keys are not. Trading is locked until the owner takes over what places tell."""

from __future__ import annotations

import signal
import time
from decimal import Decimal
from pathlib import Path

import pytest
from home_fixture import Home, another_machine
from resting_order import leave_open

from agent.app.readonly import read_book
from agent.app.settings import load

pytestmark = pytest.mark.devnet

TRADE = "trade sell 0.5 ETH --for USDC --live --yes --max-loss 90 --json"


def code(ran: object) -> str:
    return str(ran.json["error"]["code"])  # type: ignore[attr-defined]


def adopted(home: Home, fresh: Path, *, waits: bool) -> None:
    """Waits until nothing of the lost machine can be mined any more, or says that there is nothing."""
    until = time.monotonic() + 240
    while True:
        done = home.run(f"reconcile --adopt {'' if waits else '--at-once'} --json", fresh)
        if done.status == 0:
            assert done.json["certified"] and done.json["adopted"]
            places = {line.partition(":")[0] for line in done.json["adopted"]}
            assert {"paper", "ethereum"} <= places, "each line says where"
            return
        assert waits and code(done) == "NOT_QUIET" and time.monotonic() < until, done.out
        time.sleep(10)


@pytest.mark.parametrize("waits", [False, pytest.param(True, marks=pytest.mark.full)])
def test_locked_certified_goes_on_and_nothing_is_doubled(home: Home, tmp_path: Path, waits: bool) -> None:
    lost, order = home.pending_trade()
    (tx,) = [p["tx_hash"] for c in order["children"] for p in c["parts"] if p["place"] == "eip155:1"]
    leave_open(home.settings, "fl-left-open")
    lost.end(signal.SIGKILL)
    with another_machine(home, tmp_path) as fresh:
        locked = home.run(TRADE, fresh)
        assert locked.status == 5 and code(locked) == "NOT_CERTIFIED"
        seen = home.run("reconcile --json", fresh)
        assert seen.status == 5 and seen.json["locked"]
        kinds = {d["kind"] for d in seen.json["differences"]}
        assert {"history", "foreign order", "foreign fill", "balance"} <= kinds
        assert code(home.run("reconcile --adopt --at-once --json", fresh)) == "ORDERS_OPEN"
        # The private transaction may still wait: nobody outside its builders could tell.
        early = home.run("reconcile --adopt --cancel --json", fresh)
        assert early.status == 5 and code(early) == "NOT_QUIET"
        home.go_on()
        home.wait_blocks(2)
        assert home.receipt(tx)["status"] == "0x1", "what had been signed was the owner's order, and is done"
        adopted(home, fresh, waits=waits)
        held = dict((read_book(load(fresh)) or pytest.fail("no journal")).holdings)
        traded = home.run(TRADE, fresh)
        assert traded.status == 0, traded.err
        assert traded.json["parent"]["filled_base"] == "0.5"
        book = read_book(load(fresh))
        assert book is not None and book.certified is not None
        assert {alarm.code for alarm in book.alarms} <= {"FOREIGN_ORDER"}, (
            "the lost machine's, as they were told"
        )
        sold = sum(held[a] - book.holdings[a] for a in held if "USDC" not in a and book.holdings[a] < held[a])
        assert sold == Decimal("0.5")
        agreed = home.run("reconcile --json", fresh)
        assert agreed.status == 0 and agreed.json["equal"] and agreed.json["locked"] == [], agreed.out
