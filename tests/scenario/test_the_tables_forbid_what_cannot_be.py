"""Every (state, event) pair of both tables: what is listed leads where the diagram says, everything else halts and changes nothing."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agent.domain import submission_state as sub
from agent.domain.errors import Halt
from agent.domain.events import Authorized, Observed, Planned, Reported, Sliced
from agent.domain.ids import ClOrdId
from agent.domain.instruments import AssetId, Place
from agent.domain.order_state import TERMINAL, TRANSITIONS, ExecType, OrdStatus, is_surprising, next_status
from agent.domain.orders import ChildOrder, OrdType, Part, Side, TimeInForce, VenueOrder
from agent.domain.reports import ExecutionReport, Fill
from agent.domain.routes import Costs, Route
from agent.domain.submission_state import Observation, SubmissionState
from agent.journal.book import Book
from chains.types import ZERO_ADDRESS, Hash32, Protection

S, X, U, O = OrdStatus, ExecType, SubmissionState, Observation  # noqa: E741

# Written down a second time, from FIX 4.4's state matrices and the design's coupling, not read from the code.
ORDERS = {
    (S.PENDING_NEW, X.NEW): "NEW",
    (S.PENDING_NEW, X.TRADE): "PARTIALLY_FILLED FILLED",
    (S.PENDING_NEW, X.PENDING_CANCEL): "PENDING_CANCEL",
    (S.PENDING_NEW, X.CANCELED): "CANCELED",
    (S.PENDING_NEW, X.REJECTED): "REJECTED",
    (S.PENDING_NEW, X.EXPIRED): "EXPIRED",
    (S.NEW, X.TRADE): "PARTIALLY_FILLED FILLED",
    (S.NEW, X.PENDING_CANCEL): "PENDING_CANCEL",
    (S.NEW, X.CANCELED): "CANCELED",
    (S.NEW, X.REJECTED): "REJECTED",
    (S.NEW, X.EXPIRED): "EXPIRED",
    (S.PARTIALLY_FILLED, X.TRADE): "PARTIALLY_FILLED FILLED",
    (S.PARTIALLY_FILLED, X.TRADE_CANCEL): "NEW PARTIALLY_FILLED",
    (S.PARTIALLY_FILLED, X.PENDING_CANCEL): "PENDING_CANCEL",
    (S.PARTIALLY_FILLED, X.CANCELED): "CANCELED",
    (S.PARTIALLY_FILLED, X.EXPIRED): "EXPIRED",
    (S.PENDING_CANCEL, X.TRADE): "PENDING_CANCEL FILLED",
    (S.PENDING_CANCEL, X.TRADE_CANCEL): "PENDING_CANCEL",
    (S.PENDING_CANCEL, X.CANCEL_REJECTED): "NEW PARTIALLY_FILLED",
    (S.PENDING_CANCEL, X.CANCELED): "CANCELED",
    (S.PENDING_CANCEL, X.REJECTED): "REJECTED",
    (S.PENDING_CANCEL, X.EXPIRED): "EXPIRED",
    (S.FILLED, X.TRADE): "FILLED",
    (S.FILLED, X.TRADE_CANCEL): "NEW PARTIALLY_FILLED",
    (S.CANCELED, X.TRADE): "CANCELED FILLED",
    (S.CANCELED, X.TRADE_CANCEL): "CANCELED",
    (S.CANCELED, X.NEW): "NEW",
    (S.REJECTED, X.TRADE): "PARTIALLY_FILLED FILLED",
    (S.REJECTED, X.NEW): "NEW",
    (S.EXPIRED, X.TRADE): "EXPIRED FILLED",
    (S.EXPIRED, X.TRADE_CANCEL): "EXPIRED",
    (S.EXPIRED, X.NEW): "NEW",
}
SUBMISSIONS = {
    (U.AUTHORIZED, O.RECEIVED): (U.BROADCAST, X.NEW),
    (U.AUTHORIZED, O.REFUSED): (U.EXPIRED, X.EXPIRED),
    (U.AUTHORIZED, O.REPLACED): (U.AUTHORIZED, None),
    (U.AUTHORIZED, O.INCLUDED): (U.INCLUDED, X.TRADE),
    (U.AUTHORIZED, O.REVERTED): (U.REVERTED, X.REJECTED),
    (U.AUTHORIZED, O.EXPIRED): (U.EXPIRED, X.EXPIRED),
    (U.AUTHORIZED, O.CANCEL_MINED): (U.CANCELLED, X.CANCELED),
    (U.BROADCAST, O.RECEIVED): (U.BROADCAST, None),
    (U.BROADCAST, O.REPLACED): (U.BROADCAST, None),
    (U.BROADCAST, O.INCLUDED): (U.INCLUDED, X.TRADE),
    (U.BROADCAST, O.REVERTED): (U.REVERTED, X.REJECTED),
    (U.BROADCAST, O.EXPIRED): (U.EXPIRED, X.EXPIRED),
    (U.BROADCAST, O.CANCEL_MINED): (U.CANCELLED, X.CANCELED),
    (U.INCLUDED, O.REORGED): (U.BROADCAST, X.TRADE_CANCEL),
    (U.INCLUDED, O.FINALIZED): (U.FINAL, None),
    (U.REVERTED, O.REORGED): (U.BROADCAST, X.NEW),
    (U.CANCELLED, O.REORGED): (U.BROADCAST, X.NEW),
    (U.CANCELLED, O.INCLUDED): (U.INCLUDED, X.TRADE),
    (U.EXPIRED, O.INCLUDED): (U.INCLUDED, X.TRADE),
    (U.EXPIRED, O.REVERTED): (U.REVERTED, None),
    (U.EXPIRED, O.REORGED): (U.BROADCAST, X.NEW),
}
CEX, ETH, USDC = Place("cex:paper"), AssetId("cex:paper/ETH"), AssetId("cex:paper/USDC")
CHILD = ChildOrder(
    ClOrdId("c"), ClOrdId("p"), 0, Side.SELL, "ETH", "USDC", Decimal(10), None, 50, Protection.PRIVATE, 1
)
PART = Part(ClOrdId("fl"), CHILD.cl_ord_id, CEX, 1, ETH, USDC, 10 * 10**8, 1, 1, (0,))
ROUTE = Route(ETH, USDC, 1, 1, 1, Costs(0, 0, 0, "1"), (), (), "")


@pytest.mark.parametrize("status", OrdStatus)
@pytest.mark.parametrize("exec_type", ExecType)
def test_every_pair_of_an_order(status: OrdStatus, exec_type: ExecType) -> None:
    wanted = {OrdStatus[name] for name in ORDERS.get((status, exec_type), "").split()}
    found = set()
    for filled in (False, True):
        for any_fill in (filled, True):
            try:
                found.add(next_status(status, exec_type, filled=filled, any_fill=any_fill))
            except Halt as halt:
                assert halt.code == "FORBIDDEN_TRANSITION"
                assert status.value in halt.message and exec_type.value in halt.message
    assert found == wanted
    assert TRANSITIONS[status].get(exec_type, frozenset()) == wanted
    assert is_surprising(status, exec_type) == (status in TERMINAL and exec_type is X.TRADE)


@pytest.mark.parametrize("state", SubmissionState)
@pytest.mark.parametrize("seen", Observation)
def test_every_pair_of_a_submission(state: SubmissionState, seen: Observation) -> None:
    wanted = SUBMISSIONS.get((state, seen))
    if wanted is None:
        with pytest.raises(Halt) as halt:
            sub.observe(state, seen)
        assert halt.value.code == "FORBIDDEN_TRANSITION"
    else:
        assert sub.observe(state, seen) == wanted
    assert ((state, seen) in sub.REPORT_OF) == (wanted is not None)


def test_final_is_final() -> None:
    assert sub.TRANSITIONS[U.FINAL] == {}


def book_with(order_qty: str = "10", place: Place = CEX) -> Book:
    book = Book()
    part = replace(PART, place=place)
    order = VenueOrder(
        part.cl_ord_id, "ETHUSDC", Side.SELL, OrdType.LIMIT, TimeInForce.IOC, Decimal(order_qty), Decimal(1)
    )
    book.apply(Sliced(CHILD, 0))
    book.apply(Planned(CHILD, ROUTE, (part,), Decimal(1), (), (), 0))
    book.apply(
        Authorized(
            part, order if place == CEX else None, 0 if place == CEX else 1, ZERO_ADDRESS, 0, 0, Hash32("0x01"), b"", "",
            Protection.PRIVATE, 0, 0, 0, 0,
        )
    )  # fmt: skip
    return book


def report(exec_type: ExecType, number: int = 0, qty: str = "1") -> ExecutionReport:
    fill = None
    if exec_type is X.TRADE:
        fill = Fill(f"t{number}", CEX, ETH, USDC, Decimal(qty), Decimal(qty) * 3000, USDC, Decimal("0.1"), 0)
    reference = f"t{number}" if exec_type is X.TRADE_CANCEL else ""
    return ExecutionReport(PART.cl_ord_id, CEX, exec_type, 0, "1", fill, reference)


steps = st.lists(
    st.tuples(st.sampled_from(list(ExecType)), st.integers(0, 5), st.sampled_from(["0.5", "1", "3", "7.25"])),
    max_size=25,
)


@settings(max_examples=300, deadline=None)
@given(steps)
def test_random_walks_keep_the_sums(walk: list[tuple[ExecType, int, str]]) -> None:
    """Whatever is told in whatever order: cum is the sum of the fills, leaves never negative, a refused report changes nothing,
    and an order that has ended stays ended until a fill is told or taken back."""
    book = book_with()
    record = book.parts[PART.cl_ord_id]
    qtys: dict[str, Decimal] = {}
    for exec_type, number, qty in walk:
        told = report(exec_type, number, qty)
        before, was = book.canonical(), record.status
        try:
            book.admit(Reported(told))
        except Halt:
            assert book.canonical() == before
            continue
        duplicate = book.is_duplicate(told)
        book.apply(Reported(told))
        after = book.canonical()
        if duplicate:
            assert {**after, "events": 0} == {**before, "events": 0}
            continue
        assert (was, exec_type) in ORDERS and record.status is not None
        assert record.status.value in ORDERS[was, exec_type].split()  # type: ignore[index]
        if told.fill is not None:
            qtys[told.fill.exec_id] = told.fill.qty_in
        if exec_type is X.TRADE_CANCEL:
            del qtys[told.exec_ref_id]
        if was in TERMINAL and exec_type not in (X.TRADE, X.TRADE_CANCEL):
            raise AssertionError("an ended order moved")
        cum = sum(qtys.values(), Decimal(0))
        assert record.base_qty() == cum
        assert book.holdings.get(ETH, Decimal(0)) == -cum
        assert book.positions["ETH"].qty == -cum if "ETH" in book.positions else cum == 0
        assert max(Decimal(10) - cum, Decimal(0)) >= 0
        assert (record.status is S.FILLED) <= (cum >= 10 or was is S.FILLED)


@settings(max_examples=200, deadline=None)
@given(st.lists(st.tuples(st.sampled_from(list(Observation)), st.integers(1, 4)), max_size=20))
def test_random_observations_of_a_transaction_keep_the_gas(walk: list[tuple[Observation, int]]) -> None:
    place = Place("eip155:1")
    book = book_with(place=place)
    record = book.parts[PART.cl_ord_id]
    for seen, block in walk:
        tx = Hash32("0x02" if seen is O.CANCEL_MINED else "0x01")
        event = Observed(PART.cl_ord_id, place, seen, tx, block, f"0x{block}", 100, 7 * block, 3, 0)
        before = book.canonical()
        state = record.submission
        assert state is not None
        if (state, seen) not in SUBMISSIONS:
            with pytest.raises(Halt):
                book.admit(event)
            assert book.canonical() == before
            continue
        book.admit(event)
        book.apply(event)
        assert record.submission is SUBMISSIONS[state, seen][0]
        mined = record.submission in (U.INCLUDED, U.REVERTED, U.CANCELLED, U.FINAL)
        assert bool(record.own_gas_wei) == mined and bool(record.included_in) == mined
        assert book.gas_wei.get(place, 0) == record.gas_wei
        # A cancel that was mined and lost to somebody else's execution was paid for, until a block takes it back.
        assert set(record.side_gas) <= {"0x02"} and record.winner not in record.side_gas
        if mined and seen is not O.FINALIZED:
            assert record.own_gas_wei == 700 * block + 3
