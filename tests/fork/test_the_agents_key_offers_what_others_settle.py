"""INTENT under the agent's own key, on the genuine settlement contract: the Gate opens the order from its fields, a solver settles it, and
what is left comes home. No owner signs, nothing of the Safe is approved to the vault relayer, and books and chain agree to the wei."""

from __future__ import annotations

import re
import signal
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest
from agent_home import AgentHome, granted, later
from cow_book import SOUND, ask, faults
from home_fixture import Ran, brought_up, left_alone, wait_for

from agent.app.scoping import creation_code, gate_creation
from agent.domain.order_state import OrdStatus
from agent.journal.records import PartRecord
from chains.devnet.addresses import CHAINS
from chains.devnet.cow_orders import MAX_UINT, SETTLEMENT
from contracts import gate, offers
from contracts.offers import RELAYER

pytestmark = pytest.mark.devnet
LIVE = "--for USDC --by agent --protection intent --live --yes --max-loss 100"
SELL, BUY = f"trade sell 1 ETH {LIVE}", f"trade buy 0.5 ETH {LIVE}"
WETH, USDC = CHAINS[1].weth, CHAINS[1].usdc


@dataclass
class Offering:
    """The agent's home with an order book; `holder` is the Gate's Offers contract."""

    home: AgentHome
    book: str
    holder: str

    def trade(self, words: str) -> tuple[Ran, dict[str, Any]]:
        done = self.home.run(f"{words} --json", patience_s=240)
        return done, done.json

    def last(self) -> PartRecord:
        return [r for r in self.home.book().parts.values() if r.is_offer][-1]

    def around(self, record: PartRecord) -> list[str]:
        """What was done around an order, in our own words."""
        return [r.what for r in self.home.book().parts.values() if r.part.child == record.part.cl_ord_id]

    def filled(self, record: PartRecord) -> int:
        assert record.authorized is not None
        uid = bytes.fromhex(record.authorized.request_digest[2:])
        return int(self.home.read(SETTLEMENT, "gpv2_settlement", "filledAmount", uid)[0])

    def balances(self) -> tuple[int, int]:
        return self.home.balance("WETH"), self.home.balance("USDC")

    def cancel(self) -> None:
        (order,) = self.home.run("orders --json").json["orders"]
        assert self.home.run(f"cancel {order['cl_ord_id']}", patience_s=120).status in (0, 4)

    def sound(self) -> None:
        """Nothing lies apart, nothing is approved, nothing is open, and the books are the chain's."""
        for token in (WETH, USDC):
            for who in (self.holder, self.home.safe, self.home.road["gate"]):
                assert self.home.read(token, "erc20", "allowance", who, RELAYER) == (0,)
            assert self.home.read(token, "erc20", "balanceOf", self.holder) == (0,)
        assert not self.home.book().open_parts()
        told = self.home.run("reconcile")
        assert told.status == 0, told.out


@pytest.fixture(scope="module")
def session(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Offering]:
    with brought_up(tmp_path_factory, cow=True) as home, granted(home, intents=True) as made:
        book = re.search(r'\[chains.order_book\][^\[]*?\nurl = "([^"]+)"', made.settings_path.read_text())
        assert book is not None
        at = gate.address(gate_creation(), made.safe)
        taken = made.run("reconcile --adopt --at-once")  # owners used the account, and another journal
        assert taken.status == 0, taken.out + taken.err
        yield Offering(made, book[1], offers.address(creation_code("Offers"), at))
        assert made.run("journal verify").status == 0


@pytest.fixture
def cow(session: Offering) -> Iterator[Offering]:
    faults(session.book, **SOUND)
    plain = session.home.settings_path.read_text()
    yield session
    session.home.settings_path.write_text(plain)
    faults(session.book, **SOUND)
    left_alone(session.home.home)


def test_a_sale_is_opened_settled_and_counted_to_the_wei(cow: Offering) -> None:
    before, nonces = cow.balances(), cow.home.world()
    done, told = cow.trade(SELL)
    assert done.status == 0 and told["parent"]["status"] == "FILLED", done.err + done.out
    record, after = cow.last(), cow.balances()
    (fill,) = record.fills.values()
    assert before[0] - after[0] == 10**18 == cow.filled(record)
    assert after[1] - before[1] == int(fill.qty_out.scaleb(6)) >= record.part.floor_raw
    order = record.authorized.offer.order  # type: ignore[union-attr]
    assert (order.owner, order.receiver) == (cow.holder, cow.home.safe)
    assert record.authorized.raw == offers.signature(WETH)  # type: ignore[union-attr]
    assert len(cow.around(record)) == 1 and cow.around(record)[0].startswith("open order")
    world = cow.home.world()
    assert world["safe nonce"] == nonces["safe nonce"], "no Safe transaction"
    assert world["agent nonce"] == nonces["agent nonce"] + 1, "one transaction of the agent's"
    status, kept = ask(f"{cow.book}/api/v1/orders/{record.authorized.request_digest}")  # type: ignore[union-attr]
    assert status == 200 and kept["signingScheme"] == "eip1271" and kept["fullAppData"] == "{}"
    cow.sound()


def test_a_sale_filled_in_part_is_cancelled_and_the_rest_comes_home(cow: Offering) -> None:
    text = cow.home.settings_path.read_text()
    cow.home.settings_path.write_text(
        text.replace("[chains.order_book]\n", "[chains.order_book]\npartially_fillable = true\n")
    )
    faults(cow.book, share_bps=3_000, hold=True)
    before = cow.home.balance("WETH")
    running = cow.home.home.start(SELL, cow.home.settings_path)
    running.says("handed to  cow")
    assert before - cow.home.balance("WETH") == 10**18, "it lies apart"
    assert cow.home.read(WETH, "erc20", "allowance", cow.holder, RELAYER) == (10**18,)
    faults(cow.book, hold=False)
    assert ask(f"{cow.book}/admin/solve", {})[0] == 200
    faults(cow.book, hold=True)
    ask(f"{cow.book}/admin/solve", {})  # behind whatever the solver was at: now it rests
    running.says("0.3 →")
    cow.cancel()
    running.end(patience_s=120)
    record = cow.last()
    assert record.status is OrdStatus.CANCELED and cow.filled(record) == MAX_UINT
    assert record.fills and before - cow.home.balance("WETH") == int(record.sold_qty().scaleb(18)) < 10**18
    assert cow.around(record)[-1].startswith("end order")
    cow.sound()


@pytest.mark.full
def test_a_purchase_brings_exactly_what_was_asked_for_and_the_rest_comes_home(cow: Offering) -> None:
    before = cow.balances()
    done, told = cow.trade(BUY)
    assert done.status == 0 and told["parent"]["status"] == "FILLED", done.err + done.out
    record, after = cow.last(), cow.balances()
    assert after[0] - before[0] == 5 * 10**17 and before[1] - after[1] == int(record.sold_qty().scaleb(6))
    assert len(cow.around(record)) == 2, "opened, and what it did not cost taken home"
    cow.sound()


@pytest.mark.full
def test_an_order_nobody_settles_lapses_and_comes_home(cow: Offering) -> None:
    text = cow.home.settings_path.read_text()
    cow.home.settings_path.write_text(
        text.replace("[chains.order_book]\n", "[chains.order_book]\nvalid_s = 90\n")
    )
    faults(cow.book, hold=True)
    before = cow.balances()
    running = cow.home.home.start(f"{SELL} --limit 2900", cow.home.settings_path)
    running.says("handed to  cow")
    name = cow.last().part.cl_ord_id
    later(cow.home.home, 100)  # the order counts by the chain's clock
    wait_for(lambda: cow.last().status is OrdStatus.EXPIRED, 60)
    cow.cancel()
    running.end(patience_s=200)
    found = cow.home.book().parts[name]
    assert found.settled and not found.fills and cow.balances() == before
    cow.sound()


@pytest.mark.full
def test_a_run_killed_with_an_order_open_goes_on_with_it_once(cow: Offering) -> None:
    faults(cow.book, hold=True)
    running = cow.home.home.start(SELL, cow.home.settings_path)
    running.says("handed to  cow")
    running.end(signal.SIGKILL)
    faults(cow.book, hold=False)
    assert cow.home.run("run --once --live --yes --max-loss 20000", patience_s=300).status == 0
    assert cow.last().status is OrdStatus.FILLED and cow.filled(cow.last()) == 10**18
    cow.sound()


@pytest.mark.full
def test_an_unattended_run_trades_by_orders_too(cow: Offering) -> None:
    daemon = cow.home.home.start("run --live --yes --max-loss 20000", cow.home.settings_path)
    daemon.says("running:")
    done = cow.home.run(SELL, patience_s=240)
    assert done.status == 0 and "handed over to the running process" in done.err
    assert daemon.end(signal.SIGTERM).status in (0, 5)
    assert cow.last().status is OrdStatus.FILLED
    cow.sound()


@pytest.mark.full
def test_a_scope_without_it_makes_none(cow: Offering) -> None:
    settings = cow.home.scoped("without")
    ran = cow.home.run(f"{SELL} --json", settings)
    assert ran.status == 3 and "SCOPE_DRIFT" in ran.out + ran.err, (
        "the Gate has an Offers, the settings name none"
    )
