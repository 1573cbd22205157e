"""Conflation: whatever comes and goes, a consumer reads the newest state of the most important first, and memory has its bound."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agent.domain.errors import Usage
from agent.market.conflation import Conflation, Priority

moves = st.lists(
    st.one_of(st.tuples(st.integers(0, 9), st.sampled_from(Priority)), st.just("take")), max_size=120
)


@settings(max_examples=150, deadline=None)
@given(moves, st.integers(1, 6))
def test_the_newest_state_wins_and_nothing_is_lost_uncounted(script: list[object], capacity: int) -> None:
    news: Conflation[int] = Conflation(capacity)
    newest: dict[str, tuple[int, Priority]] = {}
    put = taken = 0
    for number, move in enumerate(script):
        if move == "take":
            found = news.take()
            if found is None:
                assert not len(news)
                continue
            symbol, priority, state = found
            assert newest[symbol] == (state, priority), "an older state was read"
            left = [p for p in Priority if p < priority and news._waiting[p]]
            assert not left, "something more important waited"
            taken += 1
        else:
            name, priority = move  # type: ignore[misc]
            news.put(f"s{name}", priority, number)
            put += 1
            newest[f"s{name}"] = (number, priority)
        assert len(news) <= capacity
    assert put == taken + len(news) + sum(news.conflated.values()) + sum(news.dropped.values())


def test_what_works_is_never_put_out_by_what_is_watched() -> None:
    news: Conflation[int] = Conflation(2)
    news.put("a", Priority.WORKING, 1)
    news.put("b", Priority.HELD, 2)
    news.put("c", Priority.WATCHED, 3)
    assert news.dropped == {Priority.WORKING: 0, Priority.HELD: 0, Priority.WATCHED: 1}
    news.put("d", Priority.WORKING, 4)
    assert news.dropped[Priority.HELD] == 1
    news.put("a", Priority.WORKING, 5)
    assert [news.take(), news.take(), news.take()] == [
        ("a", Priority.WORKING, 5), ("d", Priority.WORKING, 4), None
    ]  # fmt: skip


def test_a_capacity_of_nothing_is_refused() -> None:
    with pytest.raises(Usage, match="keeps nothing"):
        Conflation(0)
