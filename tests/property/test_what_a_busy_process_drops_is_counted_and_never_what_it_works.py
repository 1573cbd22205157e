"""The intake between a line and its books: order kept within an instrument, the important first, memory bounded, nothing lost untold."""

from __future__ import annotations

from decimal import Decimal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agent.domain.errors import Usage
from agent.market.conflation import Priority
from agent.market.feed import BookDelta, BookSnapshot
from agent.market.intake import Intake

ROWS = ((Decimal(1), Decimal(1)),)
moves = st.lists(
    st.one_of(
        st.tuples(st.integers(0, 5), st.sampled_from(Priority), st.booleans()),
        st.just("take"),
    ),
    max_size=150,
)


def update(symbol: str, number: int, whole: bool) -> BookDelta | BookSnapshot:
    if whole:
        return BookSnapshot(symbol, ROWS, ROWS, number, 0)
    return BookDelta(symbol, ROWS, (), number, number, None, 0)


def number_of(one: BookDelta | BookSnapshot) -> int:
    found = one.seq if isinstance(one, BookSnapshot) else one.last
    assert found is not None
    return found


@settings(max_examples=200, deadline=None)
@given(moves, st.integers(1, 4), st.integers(1, 5))
def test_in_order_bounded_and_counted(script: list[object], instruments: int, each: int) -> None:
    intake = Intake(instruments, each)
    waiting: dict[str, tuple[Priority, list[int]]] = {}
    superseded = given_up = 0
    for number, move in enumerate(script):
        if move == "take":
            taken = intake.take()
            if taken is None:
                assert not waiting
                continue
            symbol, updates = taken
            priority, expected = waiting.pop(symbol)
            assert [number_of(one) for one in updates] == expected
            assert all(priority <= other for other, _ in waiting.values()), "something more important waited"
            continue
        name, priority, whole = move  # type: ignore[misc]
        symbol = f"s{name}"
        before = waiting.get(symbol, (priority, []))[1]
        if whole:
            superseded += len(before)
            before = []
        full = len(before) >= each and not whole
        gone = intake.put(update(symbol, number, whole), priority)
        if full:
            assert gone == symbol
            given_up += len(before) + 1
            waiting.pop(symbol, None)
            continue
        waiting[symbol] = (priority, [*before, number])
        if gone is not None:
            lost_priority, lost = waiting.pop(gone)
            given_up += len(lost)
            assert all(lost_priority >= other for other, _ in waiting.values()), "what matters more gave way"
        assert len(intake) == len(waiting) <= instruments and intake.most <= each
    assert sum(intake.superseded.values()) == superseded
    assert sum(intake.given_up.values()) == given_up


def test_a_capacity_that_keeps_nothing_is_refused() -> None:
    with pytest.raises(Usage, match="keep nothing"):
        Intake(5, 0)
