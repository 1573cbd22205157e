"""INTENT orders on the genuine settlement contract: a Safe's order signed by its owners or said yes to on chain, settled by a solver as a
whole or in parts, ended, expired, lost and lied about. After each nothing is approved and books and chain agree."""

from __future__ import annotations

import json
import re
import signal
from collections.abc import Iterator
from decimal import Decimal
from typing import Any

import pytest
from cow_book import SOUND, ask, faults
from home_fixture import Home, Ran, brought_up, wait_for
from offering import SELL as SELL_BY_AGENT
from offering import offering

from agent.domain.order_state import OrdStatus
from agent.journal.records import PartRecord
from chains.devnet.addresses import CHAINS
from chains.devnet.cow_book import TRADE
from chains.devnet.cow_orders import MAX_UINT, SETTLEMENT
from chains.devnet.jsonrpc import Rpc
from chains.profiles import load
from contracts.codec import encode

pytestmark = pytest.mark.devnet
THIEF = "0x00000000000000000000000000000000DeaDBeef"
SELL = "trade sell 1 ETH --for USDC --protection intent --live --yes --max-loss 100"


@pytest.fixture(scope="module")
def session(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Home]:
    with brought_up(tmp_path_factory, cow=True) as found:
        yield found
        assert found.run("journal verify").status == 0, (
            "the chain of records holds over all that happened here"
        )


class CowHome:
    """The home, its order book, and what the chain says."""

    def __init__(self, home: Home) -> None:
        self.home = home
        self.plain = home.settings_path.read_text()
        self.book = re.search(r'\[chains.order_book\][^\[]*?\nurl = "([^"]+)"', self.plain)[1]  # type: ignore[index]
        self.wallet = str(home.settings.wallet.address)

    def terms(self, **fields: str) -> None:
        added = "".join(f"{name} = {value}\n" for name, value in fields.items())
        text = self.plain.replace("[chains.order_book]\n", f"[chains.order_book]\n{added}")
        self.home.settings_path.write_text(text)

    def trade(self, words: str = SELL) -> tuple[Ran, dict[str, Any]]:
        done = self.home.run(f"{words} --json", patience_s=240)
        return done, done.json

    def offers(self) -> list[PartRecord]:
        return [r for r in self.home.book().parts.values() if r.is_offer]

    def last(self) -> PartRecord:
        return self.offers()[-1]

    def call(self, to: str, data: bytes) -> int:
        with Rpc(self.home.urls[1]) as rpc:
            return int(rpc("eth_call", {"to": to, "data": "0x" + data.hex()}, "latest"), 16)

    def allowance(self, token: str) -> int:
        relayer = load(1).contracts["cow_vault_relayer"]
        return self.call(token, encode("erc20", "allowance", (self.wallet, relayer)))

    def balance(self, token: str) -> int:
        return self.call(token, encode("erc20", "balanceOf", (self.wallet,)))

    def filled(self, record: PartRecord) -> int:
        assert record.authorized is not None
        uid = bytes.fromhex(record.authorized.request_digest[2:])
        return self.call(SETTLEMENT, encode("gpv2_settlement", "filledAmount", (uid,)))

    def trades(self) -> int:
        owner = "0x" + "0" * 24 + self.wallet[2:].lower()
        asked = {"address": SETTLEMENT, "topics": [TRADE, owner], "fromBlock": "0x0", "toBlock": "latest"}
        with Rpc(self.home.urls[1]) as rpc:
            return len(rpc("eth_getLogs", asked))

    def posted(self, record: PartRecord) -> dict[str, Any] | None:
        assert record.authorized is not None
        status, told = ask(f"{self.book}/api/v1/orders/{record.authorized.request_digest}")
        return told if status == 200 else None

    def sound(self) -> None:
        """Nothing is approved, nothing is open, and the books are the chain's."""
        for token in (CHAINS[1].weth, CHAINS[1].usdc):
            assert self.allowance(token) == 0
        assert not self.home.book().open_parts()
        assert self.home.run("reconcile").status == 0


@pytest.fixture
def cow(session: Home) -> Iterator[CowHome]:
    found = CowHome(session)
    faults(found.book, **SOUND)
    yield found
    session.settings_path.write_text(found.plain)
    faults(found.book, **SOUND)
    for running in session.started:
        if running.process.poll() is None:
            running.end(signal.SIGKILL)
    session.started.clear()
    book = session.book()
    if book.open_parts() or any(parent.closed is None for parent in book.parents.values()):
        session.run("run --once", patience_s=300)


def test_an_order_signed_by_owners_is_settled_by_a_solver_and_counted_to_the_wei(cow: CowHome) -> None:
    weth, usdc = cow.balance(CHAINS[1].weth), cow.balance(CHAINS[1].usdc)
    done, told = cow.trade()
    assert done.status == 0 and told["parent"]["status"] == "FILLED", done.err
    record = cow.last()
    (fill,) = record.fills.values()
    assert record.status is OrdStatus.FILLED and fill.qty_in == 1
    assert weth - cow.balance(CHAINS[1].weth) == 10**18
    assert cow.balance(CHAINS[1].usdc) - usdc == int(fill.qty_out.scaleb(6))
    assert cow.filled(record) == 10**18
    offer = record.authorized and record.authorized.offer
    assert offer is not None and offer.scheme == "eip1271"
    assert fill.qty_out.scaleb(6) >= offer.order.buy_raw >= record.part.floor_raw
    (part,) = told["children"][0]["parts"]
    assert part["order_uid"] == record.authorized.request_digest and part["tx_hash"] is None  # type: ignore[union-attr]
    batches = [r for r in cow.home.book().parts.values() if r.part.child == record.part.cl_ord_id]
    assert len(batches) == 1 and batches[0].gas_wei > 0, "one transaction of ours: the allowance"
    assert Decimal(told["attribution"]["gas_cost"]) > 0
    cow.sound()


def test_a_presigned_order_needs_one_transaction_and_no_signature_bytes(cow: CowHome) -> None:
    cow.terms(scheme='"presign"')
    done, told = cow.trade()
    assert done.status == 0 and told["parent"]["status"] == "FILLED", done.err
    record = cow.last()
    assert record.authorized is not None and record.authorized.raw == b""
    kept = cow.posted(record)
    assert kept is not None and kept["signingScheme"] == "presign" and kept["signature"] == "0x"
    cow.sound()


def test_owners_who_sign_attended_read_the_order_and_its_allowance(cow: CowHome) -> None:
    """Each in a process of his own, after the signer's policy has let it pass; the signer holds no owner's word on it."""
    assert "unattended = true" in cow.plain
    cow.home.settings_path.write_text(cow.plain.replace("unattended = true", "unattended = false"))
    done = cow.home.run(SELL, patience_s=240)
    assert done.status == 0, done.err
    assert done.err.count("Sells 1 WETH for at least") == 2, "two of three owners"
    assert done.err.count("Pays to this wallet, not after") == 2
    assert f"order UID: {cow.last().authorized.request_digest}" in done.err.lower().replace("uid", "UID")  # type: ignore[union-attr]
    cow.sound()


BUY = "trade buy 0.5 ETH --for USDC --protection intent --live --yes --max-loss 100"


def bought_exactly(cow: CowHome, before: tuple[int, int], told: dict[str, Any]) -> PartRecord:
    """Half an ETH, to the wei, for what the fills say, which no block took past the order's limit."""
    record = cow.last()
    offer = record.authorized and record.authorized.offer
    assert offer is not None and offer.order.buys and offer.order.buy_raw == 5 * 10**17
    assert told["parent"]["status"] == "FILLED" and Decimal(told["parent"]["filled_base"]) == Decimal("0.5")
    assert record.status is OrdStatus.FILLED and cow.filled(record) == 5 * 10**17
    weth, usdc = before
    spent = usdc - cow.balance(CHAINS[1].usdc)
    assert cow.balance(CHAINS[1].weth) - weth == 5 * 10**17
    assert spent == int(record.sold_qty().scaleb(6)) < offer.order.sell_raw <= record.part.in_raw
    return record


def test_a_purchase_brings_exactly_what_was_asked_for(cow: CowHome) -> None:
    before = cow.balance(CHAINS[1].weth), cow.balance(CHAINS[1].usdc)
    done, told = cow.trade(BUY)
    assert done.status == 0, done.err
    record = bought_exactly(cow, before, told)
    batches = [r for r in cow.home.book().parts.values() if r.part.child == record.part.cl_ord_id]
    assert len(batches) == 2, "the allowance of the most it may cost, and what it did not cost taken back"
    cow.sound()


@pytest.mark.full
def test_a_presigned_purchase_is_settled_in_parts_that_add_up(cow: CowHome) -> None:
    cow.terms(scheme='"presign"', partially_fillable="true")
    faults(cow.book, share_bps=4_000)
    before = cow.balance(CHAINS[1].weth), cow.balance(CHAINS[1].usdc)
    done, told = cow.trade(BUY)
    assert done.status == 0, done.err
    fills = list(bought_exactly(cow, before, told).fills.values())
    assert [f.qty_out for f in fills] == [Decimal("0.2"), Decimal("0.2"), Decimal("0.1")]
    cow.sound()


@pytest.mark.full
def test_a_purchase_is_cancelled_with_what_came_before_kept(cow: CowHome) -> None:
    cow.terms(partially_fillable="true")
    faults(cow.book, share_bps=4_000, hold=True)
    running = cow.home.start(BUY)
    running.says("handed to  cow")
    faults(cow.book, hold=False)
    assert ask(f"{cow.book}/admin/solve", {})[0] == 200
    faults(cow.book, hold=True)
    ask(f"{cow.book}/admin/solve", {})  # behind whatever the solver was at: now it rests
    running.says("→ 0.2")
    (order,) = cow.home.orders()["orders"]
    cow.home.run(f"cancel {order['cl_ord_id']}", patience_s=120)
    assert "settle it: exactly 0.5 ETH for at most 15" in running.end(patience_s=120).out
    record = cow.last()
    assert record.status is OrdStatus.CANCELED and cow.filled(record) == MAX_UINT
    assert record.fills and record.bought_qty() == Decimal("0.2") * len(record.fills)
    cow.sound()


@pytest.mark.full
@pytest.mark.parametrize(
    "fields,code",
    [
        ({"buyAmount": str(6 * 10**17)}, "QUOTE_ALTERED"),
        ({"kind": "sell"}, "QUOTE_ALTERED"),
        ({"sellAmount": str(2_000 * 10**6)}, "QUOTE_ABOVE_CEILING"),
    ],
)
def test_a_purchases_hostile_quote_is_refused_before_anybody_signs(
    cow: CowHome, fields: dict[str, Any], code: str
) -> None:
    faults(cow.book, quote=fields)
    done, told = cow.trade(BUY)
    assert done.status == 4 and told["executions"] == []
    parts = [part for child in told["children"] for part in child["parts"]]
    assert parts and all(part["failed"] == code for part in parts)
    cow.sound()


@pytest.mark.full
def test_parts_add_up(cow: CowHome) -> None:
    cow.terms(partially_fillable="true")
    faults(cow.book, share_bps=3_000)
    before = cow.trades()
    done, told = cow.trade()
    assert done.status == 0 and told["parent"]["status"] == "FILLED", done.err
    fills = list(cow.last().fills.values())
    assert [f.qty_in for f in fills] == [Decimal("0.3")] * 3 + [Decimal("0.1")]
    assert cow.trades() - before == 4 and len(told["executions"]) == 4
    cow.sound()


def test_a_cancel_ends_the_order_on_chain_and_takes_the_allowance_back(cow: CowHome) -> None:
    faults(cow.book, hold=True)
    running = cow.home.start(SELL)
    running.says("handed to  cow")
    assert cow.allowance(CHAINS[1].weth) == 10**18, "exactly what the order sells"
    approvals = cow.home.run("wallet approvals --json").out
    assert load(1).contracts["cow_vault_relayer"] in approvals, "a person sees it"
    (order,) = cow.home.orders()["orders"]
    assert cow.home.run(f"cancel {order['cl_ord_id']}", patience_s=120).status == 0
    assert running.end(patience_s=120).status != 0
    record = cow.last()
    assert record.status is OrdStatus.CANCELED and not record.fills
    assert cow.filled(record) == MAX_UINT, "invalidated: no solver can settle it any more"
    cow.sound()


def test_panic_names_the_order_and_a_cancel_goes_on_while_trading_is_halted(cow: CowHome) -> None:
    faults(cow.book, hold=True)
    running = cow.home.start(SELL)
    running.says("handed to  cow")
    try:
        told = cow.home.run("panic --yes --json").out
        assert "a solver may settle it at its limit until" in told and "cow says open, 0 % of it sold" in told
        (order,) = cow.home.orders()["orders"]
        cow.home.run(f"cancel {order['cl_ord_id']}", patience_s=120)
        running.end(patience_s=120)
        record = cow.last()
        assert record.status is OrdStatus.CANCELED and cow.filled(record) == MAX_UINT
    finally:
        cow.home.run("resume")
    cow.sound()


def test_what_was_filled_before_the_cancel_is_kept(cow: CowHome) -> None:
    cow.terms(partially_fillable="true")
    faults(cow.book, share_bps=3_000, hold=True)
    running = cow.home.start(SELL)
    running.says("handed to  cow")
    faults(cow.book, hold=False)
    assert ask(f"{cow.book}/admin/solve", {})[0] == 200
    faults(cow.book, hold=True)
    ask(f"{cow.book}/admin/solve", {})  # behind whatever the solver was at: now it rests
    done = cow.trades()
    running.says("0.3 →")
    (order,) = cow.home.orders()["orders"]
    cow.home.run(f"cancel {order['cl_ord_id']}", patience_s=120)
    running.end(patience_s=120)
    record = cow.last()
    assert record.status is OrdStatus.CANCELED and cow.trades() == done
    assert record.sold_qty() == Decimal("0.3") * len(record.fills) and record.fills
    cow.sound()


@pytest.mark.full
def test_an_order_nobody_settles_expires_by_the_chains_clock(cow: CowHome) -> None:
    cow.terms(valid_s="90")
    faults(cow.book, hold=True)
    running = cow.home.start(f"{SELL} --limit 2900")
    running.says("handed to  cow")
    record = cow.last()
    assert record.authorized is not None
    with Rpc(cow.home.cheat_urls[1]) as admin:
        admin("evm_increaseTime", 85)  # the order counts by the chain's clock, which goes on from there
    wait_for(lambda: cow.last().status is OrdStatus.EXPIRED, 150)
    (order,) = cow.home.orders()["orders"]
    cow.home.run(f"cancel {order['cl_ord_id']}", patience_s=200)
    running.end(patience_s=200)
    found = cow.home.book().parts[record.part.cl_ord_id]
    assert found.settled and not found.fills and cow.filled(found) == 0
    cow.sound()


def test_a_post_whose_answer_was_lost_is_looked_up_and_makes_one_order(cow: CowHome) -> None:
    faults(cow.book, lose=1)
    before, offers = cow.trades(), len(cow.offers())
    done, told = cow.trade()
    assert done.status == 0 and told["parent"]["status"] == "FILLED", done.err
    assert "unclear" in done.err and len(cow.offers()) == offers + 1 and cow.trades() == before + 1
    cow.sound()


def test_a_process_killed_after_the_post_is_followed_to_its_end_by_the_next(cow: CowHome) -> None:
    faults(cow.book, hold=True)
    running = cow.home.start(SELL)
    running.says("handed to  cow")
    running.end(signal.SIGKILL)
    before, offers = cow.trades(), len(cow.offers())
    faults(cow.book, hold=False)
    assert cow.home.run("run --once", patience_s=300).status == 0
    assert cow.last().status is OrdStatus.FILLED
    assert cow.trades() == before + 1 and len(cow.offers()) == offers
    cow.sound()


@pytest.mark.full
def test_a_book_that_says_fulfilled_is_not_believed(cow: CowHome) -> None:
    faults(cow.book, hold=True, status="fulfilled")
    running = cow.home.start(SELL)
    running.says("ORDER_BOOK_DIFFERS", 60)
    assert not cow.last().fills
    (order,) = cow.home.orders()["orders"]
    cow.home.run(f"cancel {order['cl_ord_id']}", patience_s=120)
    running.end(patience_s=120)
    assert cow.last().status is OrdStatus.CANCELED
    cow.sound()


def test_a_book_that_says_open_hides_no_fill(cow: CowHome) -> None:
    faults(cow.book, status="open")
    done, told = cow.trade()
    assert done.status == 0 and told["parent"]["status"] == "FILLED", done.err
    cow.sound()


@pytest.mark.full
def test_a_book_that_refuses_and_keeps_it_can_settle_nothing_afterwards(cow: CowHome) -> None:
    faults(cow.book, refuse="InsufficientBalance", keep=True, hold=True)
    before = cow.trades()
    done, _ = cow.trade()
    assert done.status == 4, done.err
    mine = [r for r in cow.offers() if r.status is OrdStatus.REJECTED]
    assert mine and all(cow.filled(r) == MAX_UINT for r in mine), "ended on chain, since it was shown"
    faults(cow.book, **SOUND)
    assert ask(f"{cow.book}/admin/solve", {})[0] == 200
    assert cow.trades() == before
    cow.sound()


HOSTILE = {
    "another receiver": ({"receiver": THIEF}, "QUOTE_ALTERED"),
    "another token": ({"buyToken": CHAINS[1].mocks["DAI"][0]}, "QUOTE_ALTERED"),
    "more sold": ({"sellAmount": str(2 * 10**18)}, "QUOTE_ALTERED"),
    "below the plan's minimum": ({"buyAmount": str(2_900 * 10**6)}, "QUOTE_BELOW_FLOOR"),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_a_hostile_quote_is_refused_before_anybody_signs(cow: CowHome, name: str) -> None:
    fields, code = HOSTILE[name]
    ledger = cow.home.runtime / "home" / "spend-ledger.jsonl"
    signed = ledger.read_bytes()
    faults(cow.book, quote=fields)
    done, told = cow.trade()
    assert done.status == 4 and told["executions"] == []
    parts = [part for child in told["children"] for part in child["parts"]]
    assert parts and all(part["failed"] == code for part in parts)
    assert ledger.read_bytes() == signed, "the signer was asked for nothing"
    cow.sound()


def test_a_lying_quote_above_the_market_does_not_raise_the_limit_above_the_plan(cow: CowHome) -> None:
    faults(cow.book, quote={"buyAmount": str(9_000 * 10**6)}, hold=True)
    running = cow.home.start(SELL)
    running.says("handed to  cow")
    record = cow.last()
    assert record.authorized is not None
    assert record.part.floor_raw < record.authorized.floor_raw <= record.part.out_raw
    (order,) = cow.home.orders()["orders"]
    cow.home.run(f"cancel {order['cl_ord_id']}", patience_s=120)
    running.end(patience_s=120)
    cow.sound()


def test_without_an_order_book_there_is_no_other_road(cow: CowHome) -> None:
    text = re.sub(r"\[chains\.order_book\][^\[]*", "", cow.plain)
    cow.home.settings_path.write_text(text)
    done = cow.home.run(f"{SELL} --json")
    assert done.status == 3
    assert done.json["error"]["code"] == "PROTECTION_NOT_HONOURED"


def test_the_devnet_lists_the_book_and_the_contracts_it_settles_on(cow: CowHome) -> None:
    told = json.loads(cow.home.run(f"devnet status --json --runtime {cow.home.runtime}").out)
    assert {"cow"} <= {s["name"] for s in told["services"]}
    labels = {c["address"]: c["label"] for c in told["contracts"] if c["name"].startswith("CoW")}
    assert labels[SETTLEMENT] == "exact" and len(labels) == 4


def test_under_the_agents_key_a_sale_filled_in_part_is_cancelled_and_the_rest_comes_home(
    session: Home, cow: CowHome
) -> None:
    """Opened at the Gate from its fields; what it sells lies apart, and nothing of the Safe is approved."""
    with offering(session) as found:
        found.terms(partially_fillable="true")
        faults(found.book, share_bps=3_000, hold=True)
        before, world = found.balances(), found.home.world()
        running = session.start(SELL_BY_AGENT, found.home.settings_path)
        running.says("handed to  cow")
        record = found.last()
        assert record.authorized is not None and record.authorized.offer is not None
        order = record.authorized.offer.order
        assert (order.owner, order.receiver) == (found.holder, found.home.safe)
        assert before[0] - found.balances()[0] == 10**18 == found.allowed(found.holder)
        assert found.allowed(found.home.safe) == 0
        found.solved_once()
        running.says("0.3 →")
        found.cancel()
        running.end(patience_s=120)
        record, after = found.last(), found.balances()
        assert record.status is OrdStatus.CANCELED and found.filled(record) == MAX_UINT and record.fills
        assert before[0] - after[0] == int(record.sold_qty().scaleb(18)) < 10**18
        assert after[1] - before[1] == int(record.bought_qty().scaleb(6))
        assert [what.split(" ")[0] for what in found.around(record)] == ["open", "end"]
        assert found.home.world()["safe nonce"] == world["safe nonce"], "no Safe transaction"
        assert found.home.world()["agent nonce"] == world["agent nonce"] + 2
        found.sound()
