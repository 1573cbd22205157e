"""`panic`: the switch, every open order at every exchange, the relay's private transactions; on past every error."""

from __future__ import annotations

from pathlib import Path

import pytest
from home_fixture import Home
from resting_order import leave_open

pytestmark = pytest.mark.devnet


def test_reconcile_names_a_foreign_order_and_leaves_it_and_panic_cancels_it(home: Home) -> None:
    home.run(
        "reconcile --adopt --cancel --at-once --json"
    )  # whatever other tests' machines did with these keys
    equal = home.run("reconcile --json")
    assert equal.status == 0, equal.out
    leave_open(home.settings, "stranger-1")
    seen = home.run("reconcile --json")
    assert seen.status == 0 and not seen.json["equal"], (
        "told, and nothing is locked: it may be the owner's own"
    )
    (difference,) = [d for d in seen.json["differences"] if d["kind"] == "foreign order"]
    assert not difference["locks"] and "foreign_orders" in difference["explained_by"]
    assert "stranger-1" in difference["what"]
    assert any("stranger-1" in d for r in home.book().reconciled.values() for d in r.differences)
    done = home.run("panic --yes --json")
    assert done.status == 0 and done.json["confirmed"]
    assert any("stranger-1" in r["what"] and r["confirmed"] for r in done.json["results"])
    denied = home.run("trade sell 0.5 ETH --for USDC --live --yes --max-loss 50")
    assert denied.status == 6 and "HALTED" in denied.err
    assert home.run("resume").status == 0
    kinds = {d["kind"] for d in home.run("reconcile --json").json["differences"]}
    assert "foreign order" not in kinds


def test_a_private_transaction_is_dropped_beside_the_process_that_follows_it(home: Home) -> None:
    trade, order = home.pending_trade()
    (tx,) = [p["tx_hash"] for c in order["children"] for p in c["parts"] if p["place"] == "eip155:1"]
    # An L2's sequencer withdraws nothing: what else the order sent is over first.
    home.wait_for(lambda: {str(r.part.place) for r in home.book().open_parts()} == {"eip155:1"})
    done = home.run("panic --yes --json")
    assert done.status == 0, done.out
    assert any(tx in r["what"] and r["confirmed"] for r in done.json["results"])
    home.go_on()
    home.wait_blocks(
        5
    )  # the process that follows it sees head after head, and could hand it over again at any of them
    assert home.receipt(tx) is None
    cancel = home.run(f"cancel {order['cl_ord_id']} --json")
    assert cancel.status == 0 and trade.end().status == 4
    assert home.receipt(tx) is None


def test_neither_a_broken_journal_nor_a_dead_rpc_stops_it(home: Home, tmp_path: Path) -> None:
    leave_open(home.settings, "stranger-2")
    broken = home.settings_path.with_name("broken.toml")
    text = home.settings_path.read_text()
    for url in {chain.rpc[0] for chain in home.settings.chains}:
        text = text.replace(f'rpc = ["{url}"]', 'rpc = ["http://127.0.0.1:9"]')
    journal = tmp_path / "journal.db"
    journal.write_bytes(b"not a journal" * 1000)
    broken.write_text(text.replace(str(home.settings.journal.path), str(journal)))
    done = home.run("panic --yes --json", broken)
    assert done.status == 5 and not done.json["confirmed"]
    by_what = {r["what"]: r for r in done.json["results"]}
    assert by_what["set"]["confirmed"] and (tmp_path / "HALTED.json").exists()
    assert any("stranger-2" in what and r["confirmed"] for what, r in by_what.items())
    assert not by_what["not read"]["confirmed"]
