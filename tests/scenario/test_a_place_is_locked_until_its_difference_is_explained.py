"""Every start compares the books with each place. What nothing explains locks that place and no other, until its owner takes it over by a
command; a place that was only silent is compared and opened by itself."""

from __future__ import annotations

import json
import signal
from collections.abc import Callable, Iterator
from pathlib import Path
from urllib.request import Request, urlopen

import pytest
from home_fixture import Home, another_machine, brought_up, left_alone
from late_door import LateDoor
from resting_order import leave_open

from chains.devnet.jsonrpc import Rpc

pytestmark = pytest.mark.devnet

AT_PAPER = "trade sell 0.2 ETH@cex:paper --for USDC@cex:paper --live --yes --max-loss 900 --json"
ON_BASE = "trade sell 0.2 ETH@eip155:8453 --for USDC@eip155:8453 --live --yes --max-loss 900 --json"
ANYWHERE = "trade sell 0.2 ETH --for USDC --live --yes --max-loss 900 --json"


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Home]:
    with brought_up(tmp_path_factory) as found:
        assert found.run(AT_PAPER).status == 0 and found.run(ON_BASE).status == 0
        yield found
        left_alone(found)


def post(home: Home, path: str, **body: str) -> None:
    asked = Request(
        f"{home.paper_url}/admin/{path}", json.dumps(body).encode(), {"Content-Type": "application/json"}
    )
    with urlopen(asked, timeout=10) as answer:
        assert answer.status == 200


def gone(home: Home, folder: Path) -> None:
    with urlopen(f"{home.paper_url}/admin/truth", timeout=10) as answer:
        (account, *_) = json.load(answer)["balances"]
    post(home, "balance", account=account, asset="USDC", quantity="-500")


def left_order(home: Home, folder: Path) -> None:
    leave_open(home.settings, "fl-of-another")


def done_by_another(home: Home, folder: Path) -> None:
    with another_machine(home, folder) as other:
        assert home.run("reconcile --adopt --at-once", other).status == 0
        assert home.run(AT_PAPER, other).status == 0


def used_nonce(home: Home, folder: Path) -> None:
    sender = home.settings.wallet.sender
    assert sender is not None
    with Rpc(home.cheat_urls[8453]) as rpc:
        rpc("anvil_impersonateAccount", sender.address)
        rpc("eth_sendTransaction", {"from": sender.address, "to": sender.address, "value": "0x1"})
        rpc("anvil_stopImpersonatingAccount", sender.address)
        rpc("evm_mine")


PLANTED: list[tuple[Callable[[Home, Path], None], str, str, str]] = [
    (gone, "BALANCE_GONE", "cex:paper", AT_PAPER),
    (left_order, "ORDERS_OPEN", "cex:paper", AT_PAPER),
    (done_by_another, "BOOKS_CONTRADICTED", "cex:paper", AT_PAPER),
    (used_nonce, "FOREIGN_NONCE", "eip155:8453", ON_BASE),
]


@pytest.mark.parametrize(("plant", "code", "place", "there"), PLANTED, ids=[p[1] for p in PLANTED])
def test_the_place_is_locked_by_name_the_others_trade_on_and_adopting_opens_it(
    home: Home, tmp_path: Path, plant: Callable[[Home, Path], None], code: str, place: str, there: str
) -> None:
    before = home.run("reconcile --json")
    assert before.status == 0 and before.json["verdict"] == "open", before.out
    plant(home, tmp_path)
    seen = home.run("reconcile --json")
    assert seen.status == 5 and seen.json["verdict"] == "locked", seen.out
    locked = {p["place"]: p for p in seen.json["places"] if p["locks"]}
    assert set(locked) == {place} and locked[place]["code"] == code and locked[place]["compared"]
    assert "--adopt" in locked[place]["remedy"]
    (found,) = {d["explained_by"] for d in locked[place]["differences"] if d["locks"]}
    assert found is None
    table = home.run("reconcile")
    assert table.status == 5 and "LOCKED" in table.out and "--adopt" in table.out
    alarms = len([a for a in home.book().alarms if a.code == "PLACE_LOCKED"])
    refused = home.run(there)
    assert refused.status != 0 and "PLACE_LOCKED" in refused.out + refused.err, refused.out + refused.err
    assert code in refused.out + refused.err
    told = [a for a in home.book().alarms if a.code == "PLACE_LOCKED"]
    assert len(told) == alarms + 1, "once a start"
    elsewhere = home.run(ANYWHERE)
    assert elsewhere.status == 0, elsewhere.out + elsewhere.err
    assert place not in {part["place"] for child in elsewhere.json["children"] for part in child["parts"]}
    taken = home.run("reconcile --adopt --cancel --at-once --json")
    assert taken.status == 0 and (taken.json["adopted"] or taken.json["cancelled"]), taken.out
    certified = home.book().certified
    assert certified is not None and certified.source.startswith("reconcile --adopt by ") and certified.told
    again = home.run("reconcile --json")
    assert again.status == 0 and again.json["locked"] == [], again.out
    assert home.run(there).status == 0


def test_a_place_that_comes_back_is_compared_and_opened_by_itself(home: Home) -> None:
    with LateDoor(home.paper_url) as door:
        text = home.settings_path.read_text()
        assert home.paper_url in text
        path = home.settings_path.with_name("late.toml")
        path.write_text(text.replace(home.paper_url, door.url) + "\n[daemon]\nport = 0\n")
        running = home.start("run --live --yes --max-loss 900", path)
        running.says("paper gets no order of ours (NOT_COMPARED)", 60)
        running.says("running:", 60)
        watched = next(line for line in running.err.splitlines() if "watched at " in line)
        url = watched.partition("watched at ")[2].split()[0]

        def shut() -> list[str]:
            with urlopen(url, timeout=10) as answer:
                return [lock["place"] for lock in json.load(answer)["locked"]]

        assert shut() == ["cex:paper"]
        elsewhere = home.run(ON_BASE, path)
        assert elsewhere.status == 0, elsewhere.out + elsewhere.err
        door.open()
        running.says("paper answers, was compared with the books, and is open", 90)
        assert shut() == []
        there = home.run(AT_PAPER, path)
        assert there.status == 0, there.out + there.err
        assert running.end(signal.SIGTERM).status == 0
    assert home.run("reconcile --json").status == 0
