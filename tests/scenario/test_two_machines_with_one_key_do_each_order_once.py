"""A second Fairlead on another machine, with the same keys and a journal of its own, trades while an order of ours waits.

Both sign for the same nonces: one is mined, the other notices, says so, and does its own order once. On a chain in memory, at every
combination of nonces: test_nonces_that_others_use_are_noticed_and_survived.
"""

from __future__ import annotations

import signal
from decimal import Decimal
from pathlib import Path

import pytest
from home_fixture import PENDING, Home, another_machine

from agent.app.readonly import read_book
from agent.app.settings import load
from agent.journal.book import Book
from chains.devnet.jsonrpc import Rpc
from contracts.codec import encode

pytestmark = pytest.mark.devnet


def weth(home: Home) -> Decimal:
    """The Safe's ether over all chains and the exchange's, by the places themselves."""
    total = Decimal(0)
    for chain_id, url in home.urls.items():
        token = next(a for a in home.settings.assets["WETH"] if a.startswith(f"eip155:{chain_id}/"))
        data = "0x" + encode("erc20", "balanceOf", (home.settings.wallet.address,)).hex()
        with Rpc(url) as rpc:
            call = {"to": token.rpartition(":")[2], "data": data}
            total += Decimal(int(rpc("eth_call", call, "latest"), 16)).scaleb(-18)
    return total


@pytest.mark.full
@pytest.mark.parametrize("killed", [False, True])
def test_both_are_done_once(home: Home, tmp_path: Path, killed: bool) -> None:
    before, known = weth(home), set(home.book().parts)
    with another_machine(home, tmp_path) as other:
        assert home.run("reconcile --adopt --at-once --json", other).status == 0
        # A builder that forgot ours takes theirs: to a builder that holds both they would be two prices of one transaction.
        home.relay("relay_fault", {"road": "private", "kind": "swallow", "count": 1})
        ours, order = home.pending_trade()
        theirs = home.start(f"trade sell {PENDING} ETH --for USDC --live --yes --max-loss 900", other)
        theirs.says("handed to  flashbots", patience_s=90)
        if killed:
            ours.end(signal.SIGKILL)
        home.go_on()
        if killed:
            assert theirs.end(patience_s=90).status == 0, theirs.err
            again = home.run("run --once --json")
            assert again.status == 0, again.err
        else:
            assert ours.end(patience_s=90).status == 0 and theirs.end(patience_s=90).status == 0
        their_book = read_book(load(other)) or Book()
        assert home.run("journal verify").status == home.run("journal verify", other).status == 0
    book = home.book()
    mine = book.parents[order["cl_ord_id"]]
    (their,) = their_book.parents.values()
    assert mine.closed is not None and mine.closed.status == "FILLED"
    assert their.closed is not None and their.closed.status == "FILLED"
    assert book.filled_base(order["cl_ord_id"]) == their_book.filled_base(their.parent.cl_ord_id) == PENDING
    alarms = [a.code for b in (book, their_book) for a in b.alarms]
    assert {"NONCE_TAKEN", "SAFE_NONCE_TAKEN"} & set(alarms), alarms
    new = [part for name, part in book.parts.items() if name not in known]
    parts = [part for part in [*new, *their_book.parts.values()] if part.on_chain]
    sold = sum((f.qty_in for part in parts for f in part.fills.values()), Decimal(0))
    assert before - weth(home) == sold, "what left the Safe is what both journals tell"
