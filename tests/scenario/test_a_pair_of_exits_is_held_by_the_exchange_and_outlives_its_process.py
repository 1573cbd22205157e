"""`trade --stop-loss … --take-profit … --at paper`: the exchange holds both as one; other commands see it, wait for nothing, end it as one."""

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
    asked = urllib.request.Request(
        f"{home.paper_url}/admin/faults", json.dumps(what).encode(), {"Content-Type": "application/json"}
    )
    with urllib.request.urlopen(asked, timeout=10) as answer:
        assert answer.status == 200


def resting(home: Home) -> list[str]:
    """Client ids of the pairs' orders that are open, as the exchange itself knows them."""
    with urllib.request.urlopen(f"{home.paper_url}/admin/truth", timeout=10) as answer:
        orders = json.load(answer)["orders"]
    return [o["clientOrderId"] for o in orders if o["orderListId"] != -1 and o["status"] == "NEW"]


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
