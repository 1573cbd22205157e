"""INTENT under the agent's own key, on the genuine settlement contract: sales, purchases, lapses, a killed process and an unattended run.
No owner signs, nothing of the Safe is approved to the vault relayer, and books and chain agree to the wei. What is filled in part and
cancelled: test_orders_that_others_settle_are_counted_from_the_chain.py."""

from __future__ import annotations

import signal
from collections.abc import Iterator

import pytest
from agent_home import later
from cow_book import SOUND, ask, faults
from home_fixture import brought_up, left_alone, wait_for
from offering import BUY, SELL, WETH, Offering, offering

from agent.domain.order_state import OrdStatus
from contracts import offers

pytestmark = [pytest.mark.devnet, pytest.mark.full]


@pytest.fixture(scope="module")
def session(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Offering]:
    with brought_up(tmp_path_factory, cow=True) as home, offering(home) as made:
        yield made
        assert made.home.run("journal verify").status == 0


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


def test_a_purchase_brings_exactly_what_was_asked_for_and_the_rest_comes_home(cow: Offering) -> None:
    before = cow.balances()
    done, told = cow.trade(BUY)
    assert done.status == 0 and told["parent"]["status"] == "FILLED", done.err + done.out
    record, after = cow.last(), cow.balances()
    assert after[0] - before[0] == 5 * 10**17 and before[1] - after[1] == int(record.sold_qty().scaleb(6))
    assert len(cow.around(record)) == 2, "opened, and what it did not cost taken home"
    cow.sound()


def test_an_order_nobody_settles_lapses_and_comes_home(cow: Offering) -> None:
    cow.terms(valid_s="90")
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


def test_a_run_killed_with_an_order_open_goes_on_with_it_once(cow: Offering) -> None:
    faults(cow.book, hold=True)
    running = cow.home.home.start(SELL, cow.home.settings_path)
    running.says("handed to  cow")
    running.end(signal.SIGKILL)
    faults(cow.book, hold=False)
    assert cow.home.run("run --once --live --yes --max-loss 20000", patience_s=300).status == 0
    assert cow.last().status is OrdStatus.FILLED and cow.filled(cow.last()) == 10**18
    cow.sound()


def test_an_unattended_run_trades_by_orders_too(cow: Offering) -> None:
    daemon = cow.home.home.start("run --live --yes --max-loss 20000", cow.home.settings_path)
    daemon.says("running:")
    done = cow.home.run(SELL, patience_s=240)
    assert done.status == 0 and "handed over to the running process" in done.err
    assert daemon.end(signal.SIGTERM).status in (0, 5)
    assert cow.last().status is OrdStatus.FILLED
    cow.sound()


def test_a_scope_without_it_makes_none(cow: Offering) -> None:
    settings = cow.home.scoped("without")
    ran = cow.home.run(f"{SELL} --json", settings)
    assert ran.status == 3 and "SCOPE_DRIFT" in ran.out + ran.err, (
        "the Gate has an Offers, the settings name none"
    )
