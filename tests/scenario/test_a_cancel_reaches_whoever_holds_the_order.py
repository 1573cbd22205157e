"""`cancel` finds the process that carries an order, or takes its place where that process is gone; the chain has the last word."""

from __future__ import annotations

import signal
from decimal import Decimal

import pytest
from home_fixture import PENDING, Home

from chains.devnet.jsonrpc import Rpc
from contracts.codec import encode

pytestmark = pytest.mark.devnet


def chain_part(order: dict[str, object]) -> dict[str, object]:
    (part,) = [p for c in order["children"] for p in c["parts"] if p["place"] == "eip155:1"]  # type: ignore[attr-defined]
    return part


def test_a_running_trade_is_cancelled_from_another_terminal(home: Home) -> None:
    trade, order = home.pending_trade()
    name, part = order["cl_ord_id"], chain_part(order)
    assert part["waits_for"] == "a block" and part["submission"] == "BROADCAST"
    assert order["cancel"] == f"fairlead cancel {name}" and order["resume"] is None
    cancel = home.start(f"cancel {name[:9]} --json")
    home.wait_for(lambda: chain_part(home.orders()["orders"][0])["status"] == "PENDING_CANCEL")
    home.go_on()
    told, traded = cancel.end(), trade.end()
    assert told.status == 0 and traded.status == 4, (told.err, traded.err)
    assert told.json["parent"]["status"] == "CANCELED"
    assert told.json["outcome"] in ("CANCELED", "PARTLY_FILLED")
    assert home.receipt(str(part["tx_hash"])) is None
    record = home.book().parts[part["cl_ord_id"]]  # type: ignore[index]
    assert record.status is not None and record.status.value == "CANCELED" and not record.fills
    assert record.authorized is not None
    with Rpc(home.urls[1]) as rpc:
        data = "0x" + encode("safe", "nonce").hex()
        used = int(rpc("eth_call", {"to": home.settings.wallet.address, "data": data}, "latest"), 16)
    assert used == record.authorized.wallet_nonce + 1, (
        "what the owners signed could still be executed by others"
    )
    assert home.run(f"trade sell {PENDING} ETH --for USDC --live --yes --max-loss 900").status == 0
    again = home.run(f"cancel {name} --json")
    assert again.status == 4 and again.json["error"]["code"] == "ALREADY_ENDED"


def test_after_a_kill_the_cancel_itself_follows_the_order_to_its_end(home: Home) -> None:
    trade, order = home.pending_trade()
    name, part = order["cl_ord_id"], chain_part(order)
    trade.end(signal.SIGKILL)
    left = home.orders()
    assert left["carried_by"] is None and left["orders"][0]["resume"] == "fairlead run --once"
    cancel = home.start(f"cancel {name} --json")
    cancel.says("is recorded")
    home.wait_for(lambda: chain_part(home.orders()["orders"][0])["status"] == "PENDING_CANCEL")
    home.go_on()
    told = cancel.end()
    receipt = home.receipt(str(part["tx_hash"]))
    record = home.book().parts[part["cl_ord_id"]]  # type: ignore[index]
    assert bool(record.fills) == (receipt is not None), "the book and the chain tell different stories"
    assert told.status == (4 if told.json["outcome"] == "FILLED" else 0), told.err
    assert home.book().parents[name].closed is not None
    assert home.orders()["orders"] == []


def test_words_that_name_no_order_are_told(home: Home) -> None:
    assert home.run("trade sell 0.5 ETH --for USDC --live --yes --max-loss 100").status == 0
    assert home.run("trade sell 0.6 ETH --for USDC --live --yes --max-loss 100").status == 0
    unknown = home.run("cancel p-nothing --json")
    assert (unknown.status, unknown.json["error"]["code"]) == (2, "UNKNOWN_ORDER")
    many = home.run("orders fl- --json")
    assert (many.status, many.json["error"]["code"]) == (2, "AMBIGUOUS_ORDER")
    listed = home.run("orders --all --json").json["orders"]
    assert {"FILLED"} <= {order["status"] for order in listed}
    newest = listed[0]
    assert Decimal(newest["filled_base"]) == Decimal("0.6")
    (one,) = home.run(f"orders {newest['cl_ord_id']} --json").json["orders"]
    assert {**one, "age": ""} == {**newest, "age": ""}
