"""The disk under the journal fills up while an order works: nothing new is done, the order is cancelled, and all of it is known."""

from __future__ import annotations

import json
import signal
import subprocess
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import Any
from urllib.request import urlopen

import pytest
import small_disk
from home_fixture import PENDING, ROOT, Home, Ran, Running, brought_up, left_alone, wait_for
from small_disk import SmallDisk

from agent.app import template

pytestmark = [
    pytest.mark.devnet,
    pytest.mark.timeout(280),
    pytest.mark.skipif(not small_disk.works(), reason=small_disk.WHY_NOT),
]

SELL = "trade sell 1 ETH --for USDC --live --yes --max-loss 900"


@dataclass
class Desk:
    """Commands of a home whose journal stands on the small disk, and its emergency journal beside it on a large one."""

    home: Home
    disk: SmallDisk
    settings: Path

    def command(self, words: str) -> list[str]:
        return self.disk.inside(self.home.command(words, self.settings))

    def run(self, words: str) -> Ran:
        done = subprocess.run(
            self.command(words), env=self.home.env(), cwd=ROOT, capture_output=True, text=True, timeout=300,
            stdin=subprocess.DEVNULL,
        )  # fmt: skip
        assert "Traceback" not in done.stderr + done.stdout, done.stderr
        return Ran(done.returncode, done.stdout, done.stderr)

    def adopt(self) -> None:
        """The account has traded by a journal of the test before: this one takes it over."""
        assert self.run("reconcile --adopt --at-once").status == 0

    def start(self, words: str) -> Running:
        running = Running(self.command(words), self.home.env(), self.home.folder)
        self.home.started.append(running)
        return running

    def refused(self, words: str) -> str:
        """For a person and for a program: one message, halted, nothing done."""
        before = self.outside()
        told = self.run(f"{words} --json")
        error = json.loads(told.out)["error"]
        assert (told.status, error["code"], error["verb"]) == (6, "DISK_FULL", "HALT"), told.out + told.err
        assert "free" in error["hint"]
        plain = self.run(words)
        assert plain.status == 6 and plain.err.count("error ") == 1, plain.err
        assert "error DISK_FULL" in plain.err and str(self.disk.folder) in plain.err
        assert self.outside() == before, "something left all the same"
        return plain.err

    def outside(self) -> Any:
        """Every order at the exchange and every transaction that ever reached the relay."""
        with urlopen(f"{self.home.paper_url}/admin/truth", timeout=10) as answer:
            orders = json.load(answer)["orders"]
        return orders, self.home.relay("relay_truth")["arrivals"]


@pytest.fixture(scope="module")
def own_home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Home]:
    """Its keys sign for journals that come and go: to a home that others use, those would be a stranger's signatures."""
    with brought_up(tmp_path_factory) as home:
        yield home


@pytest.fixture
def desk(own_home: Home, tmp_path: Path) -> Iterator[Desk]:
    home = own_home
    with SmallDisk(tmp_path / "disk", "4m") as disk:
        values = tomllib.loads(home.settings_path.read_text())
        values["journal"] = {
            "path": str(disk.folder / "journal.db"),
            "emergency_path": str(tmp_path / "second" / "emergency.bin"),
        }
        settings = tmp_path / "fairlead.toml"
        template.write(values, settings, note="Its journal stands on a small disk.")
        desk = Desk(home, disk, settings)
        taken = desk.run("reconcile --adopt --at-once")
        assert taken.status == 0, taken.out + taken.err
        yield desk
        left_alone(home)


def test_nothing_new_leaves_the_order_is_cancelled_and_nothing_is_lost(desk: Desk) -> None:
    home = desk.home
    assert desk.run(SELL).status == 0, "the disk is large enough for orders"
    trade, order = pending(desk)
    trade.end(signal.SIGKILL)
    (part,) = [p for c in order["children"] for p in c["parts"] if p["place"] == "eip155:1"]
    assert part["tx_hash"] in home.relay("relay_truth")["private_pending"]
    recorded = desk.run("journal show --json").json
    desk.disk.fill()
    doctor = desk.start(
        "doctor --json"
    )  # waits for a head of the chain that stands still: beside all the rest

    for words in (
        SELL,
        f"{SELL} --algo twap --over 10s --slices 2",
        "lend supply 1 ETH --live --yes --max-loss 100",
    ):
        assert "new risk is halted, cancelling goes on" in desk.refused(words)
    assert desk.run("journal verify").status == 0 and desk.run("orders").status == 0, (
        "what is read needs no room"
    )

    halted = desk.run("halt --json the disk is full")
    assert (halted.status, halted.json["recorded"]) == (0, "emergency journal"), halted.err
    cancel = desk.start(f"cancel {order['cl_ord_id']} --json")
    cancel.says("is recorded", patience_s=90)
    assert cancel.err.count("DISK_FULL: ") == 1
    wait_for(lambda: part["tx_hash"] not in home.relay("relay_truth")["private_pending"], 90)
    home.go_on()
    told = cancel.end()
    assert told.status == 0, told.out + told.err
    assert told.json["outcome"] == "PARTLY_FILLED" and "Traceback" not in told.err
    assert home.receipt(part["tx_hash"]) is None, "the transaction itself never came to be"
    checks = doctor.end().json["checks"]
    assert {"disk", "journal"} & {c["check"] for c in checks if c["level"] == "fail"} == {"disk"}

    desk.disk.empty()
    assert desk.run("resume").status == 0
    after = desk.run("journal show --json").json
    assert after["entries"][: len(recorded["entries"])] == recorded["entries"], (
        "what was recorded stands as it was"
    )
    kinds = [entry["kind"] for entry in after["entries"][len(recorded["entries"]) :]]
    assert (
        kinds[0] == "Halted" and {"CancelRequested", "ParentClosed"} <= set(kinds) and kinds[-1] == "Resumed"
    )
    for words in ("journal verify", "journal replay"):
        assert desk.run(words).status == 0
    (closed,) = desk.run(f"orders {order['cl_ord_id']} --json").json["orders"]
    assert closed["status"] == "CANCELED" and Decimal(closed["filled_base"]) < PENDING
    assert desk.run("orders --json").json["orders"] == []
    assert desk.run(SELL).status == 0, "with room again, all goes on"


def test_the_disk_fills_up_under_a_running_order_and_what_it_did_is_known_afterwards(desk: Desk) -> None:
    trade, order = pending(desk)
    desk.disk.fill()
    desk.home.go_on()
    told = trade.end(patience_s=90)
    assert "Traceback" not in told.err + told.out
    assert told.status == 0, "what was signed and sent is followed to its end"
    assert told.err.count("ALARM DISK_FULL") == 1 and told.err.count("error ") == 0, told.err
    alerts = desk.home.settings.alerts.file
    assert alerts is not None and '"DISK_FULL"' in alerts.read_text()
    desk.disk.empty()
    assert desk.run("run --once").status == 0
    (after,) = desk.run(f"orders {order['cl_ord_id']} --json").json["orders"]
    assert after["status"] == "FILLED" and Decimal(after["filled_base"]) == PENDING
    (part,) = [p for c in order["children"] for p in c["parts"] if p["place"] == "eip155:1"]
    assert int(desk.home.receipt(part["tx_hash"])["status"], 16) == 1
    for words in ("journal verify", "journal replay"):
        assert desk.run(words).status == 0, words


def test_a_disk_that_was_full_from_the_start(desk: Desk) -> None:
    desk.disk.fill()
    desk.refused(SELL)
    assert desk.run("quote sell 1 ETH --for USDC --json").json["error"]["code"] == "DISK_FULL"
    desk.disk.empty()
    desk.adopt()
    assert desk.run(SELL).status == 0


def pending(desk: Desk) -> tuple[Running, Any]:
    desk.adopt()
    desk.home.pause()
    trade = desk.start(f"trade sell {PENDING} ETH --for USDC --live --yes --max-loss 900")
    trade.says("handed to  flashbots", patience_s=90)
    (order,) = desk.run("orders --json").json["orders"]
    return trade, order
