"""`trade --stop-loss … --take-profit … --at paper`: the exchange holds both as one; other commands see it, wait for nothing, end it as one.
So they do with an entry that rests there, its exits behind it in one list."""

from __future__ import annotations

import json
import signal
import urllib.request
from decimal import Decimal
from typing import Any

import pytest
from home_fixture import Home

from agent.domain.events import Authorized
from agent.domain.order_state import OrdStatus

pytestmark = pytest.mark.devnet
PRICES = "--stop-loss 2700 --take-profit 3300"
LIVE = "--live --yes --max-loss 50"


def fault(home: Home, what: dict[str, Any]) -> None:
    admin(home, "faults", what)


def admin(home: Home, door: str, what: dict[str, Any]) -> None:
    asked = urllib.request.Request(
        f"{home.paper_url}/admin/{door}", json.dumps(what).encode(), {"Content-Type": "application/json"}
    )
    with urllib.request.urlopen(asked, timeout=10) as answer:
        assert answer.status == 200


def truth(home: Home) -> dict[str, str]:
    """The status of every order that is or was in a list, by its client id, as the exchange itself knows them."""
    with urllib.request.urlopen(f"{home.paper_url}/admin/truth", timeout=10) as answer:
        orders = json.load(answer)["orders"]
    return {o["clientOrderId"]: o["status"] for o in orders if o["orderListId"] != -1}


def resting(home: Home) -> list[str]:
    """Client ids of the pairs' orders that are open."""
    return [name for name, status in truth(home).items() if status == "NEW"]


def test_it_goes_on_without_a_process_and_ends_as_one(home: Home) -> None:
    words = f"--for USDC {PRICES}"
    assert "known: paper" in home.run(f"trade sell 0.5 ETH {words} --at nowhere").err

    fault(home, {"on": "list.oco", "kind": "hang_after"})  # it takes effect, and nobody hears so
    killed, before = home.start(f"trade sell 0.5 ETH {words} --at paper {LIVE}"), resting(home)
    home.wait_for(lambda: resting(home) != before or killed.process.poll() is not None)
    ended = killed.end(signal.SIGKILL)
    assert ended.status != 0 and resting(home) != before, ended.out + ended.err
    again = home.run("run --once --json").json
    if not again["held"]:  # the exchange was too busy to answer: asked once more
        again = home.run("run --once --json").json
    assert len(again["held"]) == 1, (again, ended.out, ended.err)
    (first,) = again["held"]
    assert first["held_by"] == "paper" and again["open"] == []
    (order,) = [o for o in home.orders()["orders"] if o["algo"] == "oco"]
    assert order["cl_ord_id"] == first["cl_ord_id"]
    assert order["held_by"] == "paper" and order["waits_for"] == "stop-loss 2700 or take-profit 3300"
    (part,) = order["children"][0]["parts"]
    assert (part["open"], part["status"]) == (True, "NEW")
    name = part["cl_ord_id"]
    assert sorted(resting(home)) == [f"{name}-a", f"{name}-b"], "the pair stands there once"

    then = "--then-stop-loss 2700 --then-take-profit 3300"
    entry = home.run(f"trade buy 0.2 ETH --for USDC --at paper {then} {LIVE}")
    assert entry.status == 0, entry.out + entry.err
    assert "its exits: at the exchange: paper holds both as one" in entry.out, (
        "and nobody waited for the first"
    )
    (pair,) = [
        o for o in home.orders()["orders"] if o["algo"] == "oco" and o["cl_ord_id"] != first["cl_ord_id"]
    ]
    assert (pair["held_by"], pair["side"]) == ("paper", "sell")
    bought = home.book().filled_base(pair["source"].removeprefix("exits of "))
    assert 0 <= bought - Decimal(pair["qty"]) < Decimal("0.0001"), "all of it, on the exchange's lot"
    assert home.run("orders").out.count("at the exchange: paper") == 2
    compared = home.run("reconcile --json")
    assert compared.status == 0, compared.out + compared.err

    for one in [o for o in home.orders()["orders"] if o["algo"] == "oco"]:
        ended = home.run(f"cancel {one['cl_ord_id']} --json")
        assert (ended.status, ended.json["outcome"]) == (0, "CANCELED"), ended.out + ended.err
    record = home.book().parts[name]
    assert record.ended and record.status is OrdStatus.CANCELED and isinstance(record.authorized, Authorized)
    assert resting(home) == []

    then = "--then-stop-loss 2700 --then-take-profit 3300"
    listed = f"trade buy 0.2 ETH --for USDC --at paper --limit 2900 {then}"
    told = home.run(f"{listed} --json").json["then"]
    assert (told["list"], told["held_by"], told["emulated"]) == ("OTOCO", "paper", False)
    before = truth(home)
    fault(home, {"on": "list.otoco", "kind": "hang_after"})
    killed = home.start(f"{listed} {LIVE}")
    home.wait_for(lambda: truth(home) != before or killed.process.poll() is not None)
    ended = killed.end(signal.SIGKILL)
    again = home.run("run --once --json")
    if not again.json["held"]:
        again = home.run("run --once --json")
    assert {one["held_by"] for one in again.json["held"]} == {"paper"}, (again.out, ended.out, ended.err)
    works, waits = ([o for o in home.orders()["orders"] if o["algo"] == algo] for algo in ("bracket", "oco"))
    assert (
        works[0]["list"]
        == waits[0]["list"]
        == {"entry": works[0]["cl_ord_id"], "exits": waits[0]["cl_ord_id"]}
    )
    stands = {name: status for name, status in truth(home).items() if name not in before}
    assert sorted(stands.values()) == ["NEW", "PENDING_NEW", "PENDING_NEW"], "one list, once"
    held = {e["cl_ord_id"]: e["waits_for"] for e in home.run("positions --json").json["exits"]}
    assert held == {waits[0]["cl_ord_id"]: works[0]["cl_ord_id"]}
    compared = home.run("reconcile --json")
    assert compared.status == 0, compared.out + compared.err
    ended = home.run(f"cancel {works[0]['cl_ord_id']} --json")
    assert (ended.status, ended.json["outcome"]) == (0, "CANCELED"), ended.out + ended.err
    closed = home.book().parents[waits[0]["cl_ord_id"]].closed
    assert closed is not None and closed.status == "LAPSED", "its exits ended with it"

    given = home.run(f"{listed.replace('2900', '2985')} {LIVE}")
    assert given.status == 0 and "paper holds the entry and both exits as one order list" in given.out, (
        given.out + given.err
    )
    sale = {"symbol": "ETHUSDC", "side": "SELL", "type": "LIMIT", "timeInForce": "IOC", "price": "2985", "quantity": "9000"}  # fmt: skip
    admin(home, "house/order", sale)  # its price comes while nothing of ours runs
    again = home.run("run --once --json")
    assert sorted(o["status"] for o in again.json["orders"]) == ["FILLED"], again.out + again.err
    (left,) = home.orders()["orders"]
    assert (left["held_by"], left["waits_for"]) == ("paper", "stop-loss 2700 or take-profit 3300")
    ended = home.run(f"cancel {left['cl_ord_id']} --json")
    assert (ended.status, ended.json["outcome"]) == (0, "CANCELED"), ended.out + ended.err
    assert set(truth(home).values()) <= {"CANCELED", "EXPIRED", "FILLED"}


@pytest.mark.full
def test_a_running_daemon_carries_a_list_to_the_end_of_its_exits(home: Home) -> None:
    """Handed over; its price comes, then the take-profit's: nobody asks, and both orders are closed."""
    listed = f"trade buy 0.4 ETH --for USDC --at paper --limit 2985 --then-stop-loss 2700 --then-take-profit 3015 {LIVE}"
    sale = {"symbol": "ETHUSDC", "side": "SELL", "type": "LIMIT", "timeInForce": "IOC", "price": "2985", "quantity": "9000"}  # fmt: skip
    daemon = home.start("run --live --yes --max-loss 50")
    daemon.says("inbox open")
    given = home.run(listed)
    assert given.status == 0 and "paper holds the entry and both exits" in given.out, given.out + given.err
    admin(home, "house/order", sale)
    home.wait_for(lambda: [o["algo"] for o in home.orders()["orders"]] == ["oco"])
    (exits,) = home.orders()["orders"]
    admin(home, "house/order", sale | {"side": "BUY", "price": "3015"})
    home.wait_for(lambda: home.orders()["orders"] == [])
    closed = home.book().parents[exits["cl_ord_id"]].closed
    assert closed is not None and closed.status == "FILLED", closed
    compared = home.run("reconcile --json")
    assert compared.status == 0, compared.out + compared.err
