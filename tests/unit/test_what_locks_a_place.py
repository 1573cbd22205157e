"""What the start-up certificate judges by: nonces nobody here signed, what explains a balance, which order passes a lock."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace
from decimal import Decimal
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from agent.app.comparing import FOREIGN_NONCE, NOT_CERTIFIED, REMEDIES, Difference
from agent.app.comparing_balances import Gone, changes_of, funding_most, lost_usd
from agent.app.comparing_chains import nonces
from agent.app.start_check import locks_of
from agent.domain.errors import Denied, Retry
from agent.domain.events import Simulated
from agent.domain.ids import ClOrdId
from agent.domain.instruments import Place, cex_id
from agent.domain.orders import OrdType, Part, Side, TimeInForce, VenueOrder
from agent.domain.reports import Fill, Position
from agent.domain.submission_state import SubmissionState as S
from agent.execution.locks import NOT_COMPARED, Lock, Locks
from chains.types import Address

D = Decimal
HERE, PAPER = Place("eip155:1"), Place("cex:paper")
WHO = Address("0x" + "ab" * 20)
ETH, USDC, PERP = cex_id("paper", "ETH"), cex_id("paper", "USDC"), cex_id("paper", "ETHUSDC")
CLI = Path(__file__).parents[2] / "agent" / "app" / "cli"


def signed(nonce: int, state: S) -> Any:
    form = SimpleNamespace(nonce=nonce)
    return SimpleNamespace(signed=(form,), authorized=form, submission=state)


def codes(mine: Sequence[Any], used: int, pending: int | None = None, over: int | None = None) -> list[str]:
    found = nonces(HERE, WHO, list(mine), used, used if pending is None else pending, over)
    return [d.locks for d in found if d.locks]


def test_a_nonce_that_no_order_of_ours_used_locks_its_chain() -> None:
    ours = [signed(3, S.FINAL), signed(4, S.BROADCAST)]
    assert codes(ours, 5) == [] and codes(ours, 4) == [], "4 is ours, mined or not"
    assert codes(ours, 6) == [FOREIGN_NONCE], "5 is nobody's here"
    assert codes(ours, 6, over=6) == [], "it was taken over"
    assert codes(ours, 7, over=6) == [FOREIGN_NONCE]
    assert codes(ours, 4, 5) == [] and codes(ours, 4, 6) == [FOREIGN_NONCE], "somebody's waits at 5"
    assert codes([], 2) == [NOT_CERTIFIED] and codes([], 2, over=2) == [] and codes([], 0) == []
    lapsed = [signed(3, S.FINAL), signed(4, S.EXPIRED)]
    assert codes(lapsed, 4, 5) == [], "what lapsed may wait where it was sent for a while yet"
    assert nonces(HERE, WHO, lapsed, 4, 4, None) == [], "what lapsed unused decided nothing"
    (replaced,) = nonces(HERE, WHO, [signed(3, S.FINAL)], 3, 3, None)
    assert replaced.kind == "nonce" and not replaced.locks, "a reorganisation: `run --once` looks again"
    many = nonces(HERE, WHO, [signed(0, S.FINAL)], 100, 100, None)
    assert "99 nonces from 1 to 99" in many[0].what


def fill(exec_id: str, sold: str, bought: str, fee: str = "0") -> Fill:
    return Fill(exec_id, PAPER, ETH, USDC, D(sold), D(bought), USDC, D(fee), 1)


def test_what_others_filled_is_counted_once_with_its_fees() -> None:
    told = [fill("a", "1", "3000", "3"), fill("b", "2", "6000", "6"), fill("a", "1", "3000", "3")]
    assert changes_of(told) == {ETH: D(-3), USDC: D(8991)}


def test_a_loss_is_gross_at_spot_and_of_the_whole_equity_where_contracts_are_held() -> None:
    symbols, px = {ETH: "ETH", USDC: "USDC", PERP: "ETH"}, {"ETH": D(3000), "USDC": D(1)}
    swapped = Gone({ETH: D(1)}, {USDC: D(2990)})
    assert lost_usd(swapped, symbols, px, equity=False) == 3000
    closed = Gone({PERP: D(1)}, {USDC: D(2990)})
    assert lost_usd(closed, symbols, px, equity=True) == 10, "the position gave its money back"
    closed.explain(PERP, D("0.5"), "half of it")
    assert closed.left == {PERP: D("0.5")} and lost_usd(closed, symbols, px, equity=True) == 0
    assert lost_usd(Gone({ETH: D(1)}, {}), symbols, {}, equity=False) is None


async def test_funding_explains_no_more_than_the_published_rates_can_have_cost() -> None:
    held = Position("ETHUSDC", PERP, D(-2), D(-6000), D(3000), D(3100), USDC, None, False)

    class Venue:
        silent = False

        async def funding(self, symbol: str, since_ns: int) -> Any:
            if self.silent:
                raise Retry("VENUE_UNREACHABLE", "nobody is there")
            return ((5, D("0.1")), (20, D("0.0001")), (30, D("-0.0003")))

    venue: Any = Venue()
    assert await funding_most(venue, [held], 10) == {USDC: D("2.48")}, "2 × 3100 × 0.0004, at the worse price"
    flipped = replace(held, inverse=True, qty=D(6000), cost=D(-2), settle=ETH)
    assert await funding_most(venue, [flipped], 10) == {ETH: D("0.0008")}
    venue.silent = True
    assert await funding_most(venue, [held], 10) == {}
    assert await funding_most(SimpleNamespace(), [held], 10) == {}  # type: ignore[arg-type]


def test_a_lock_is_told_by_what_stays_before_what_may_heal() -> None:
    heals = Difference(PAPER, "unreachable", "it does not answer", "unknown", False, NOT_COMPARED)
    stays = Difference(PAPER, "foreign order", "fl-x is open", "not known", False, "ORDERS_OPEN")
    told = Difference(HERE, "balance", "more", "deposited", False)
    (lock,) = locks_of([heals, told, stays])
    assert (lock.place, lock.code, lock.opens_itself) == (PAPER, "ORDERS_OPEN", False)
    assert lock.why == "fl-x is open; it does not answer" and lock.remedy == REMEDIES["ORDERS_OPEN"]
    assert told.explained_by == "deposited" and stays.explained_by is None


def simulated(place: Place, *, reduce_only: bool = False, order: bool = True) -> Simulated:
    name = ClOrdId("fl-1")
    part = Part(name, ClOrdId("c"), place, 1, ETH, USDC, 1, 1, 0, ())
    sent = VenueOrder(name, "ETHUSDC", Side.SELL, OrdType.LIMIT, TimeInForce.IOC, D(1), D(3000), reduce_only=reduce_only)  # fmt: skip
    return Simulated(part, None, sent if order else None, 1, 1, 0, 0, 0)


@pytest.mark.parametrize("code", ["BOOKS_CONTRADICTED", NOT_COMPARED])
def test_what_only_makes_a_risk_smaller_passes_a_lock(code: str) -> None:
    locks = Locks()
    for place in (HERE, PAPER):
        locks.shut(Lock(place, code, "why", "remedy"))
    locks.refuse(simulated(Place("eip155:8453")))
    locks.refuse(simulated(PAPER, reduce_only=True))
    locks.refuse(simulated(HERE, order=False), follows=True)
    payment = simulated(HERE, order=False)
    locks.refuse(payment, "rescue 0xab: repay 5 USDC")
    for refused, what in ((simulated(PAPER), ""), (payment, ""), (payment, "lend 5 USDC")):
        with pytest.raises(Denied) as no:
            locks.refuse(refused, what)
        assert no.value.code == "PLACE_LOCKED" and no.value.hint == "remedy"
    locks.open(PAPER)
    locks.refuse(simulated(PAPER))


def test_every_command_that_trades_begins_with_the_one_check() -> None:
    """Those that do not: creating a wallet and executing what its owners signed are the owners' own acts, and a cancel begins nothing."""
    opens = {p.stem for p in CLI.glob("*.py") if re.search(r"\bopen_trading\(", p.read_text())}
    checks = {p.stem for p in CLI.glob("*.py") if re.search(r"\bcertify\(", p.read_text())}
    assert opens - checks == {"wallet_create", "wallet_execute", "orders"}
    assert (CLI / "run.py").read_text().count("await certify(") == 2
