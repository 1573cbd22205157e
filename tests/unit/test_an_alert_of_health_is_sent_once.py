"""Which news of accounts' health is due: once, again when worse or after six hours, once when over; UNKNOWN is news."""

from __future__ import annotations

from typing import Any

from agent.app.health_alerts import AGAIN_S, News, sift
from agent.margin.model import State


def run(*steps: tuple[int, State]) -> list[tuple[int, str]]:
    """What is sent of one account, states given by second."""
    told: dict[str, dict[str, Any]] = {}
    sent = []
    for now, state in steps:
        due, told = sift([News("a", state, "")], told, now)
        sent += [(now, one.code) for one in due]
    return sent


def test_the_same_news_is_told_once_and_again_after_six_hours() -> None:
    steps = [(1_000 + n * 60, State.AT_RISK) for n in range(2 * AGAIN_S // 60)]
    assert run(*steps) == [(1_000, "HEALTH_AT_RISK"), (1_000 + AGAIN_S, "HEALTH_AT_RISK")]


def test_worse_is_told_at_once_and_over_once() -> None:
    told = run(
        (1, State.SAFE),
        (2, State.AT_RISK),
        (3, State.LIQUIDATABLE),
        (4, State.SAFE),
        (5, State.SAFE),
        (6, State.AT_RISK),
    )
    assert told == [
        (2, "HEALTH_AT_RISK"),
        (3, "HEALTH_LIQUIDATABLE"),
        (4, "HEALTH_SAFE"),
        (6, "HEALTH_AT_RISK"),
    ]


def test_unknown_is_news_and_worse_than_at_risk() -> None:
    assert run((1, State.AT_RISK), (2, State.UNKNOWN), (3, State.UNKNOWN)) == [
        (1, "HEALTH_AT_RISK"),
        (2, "HEALTH_UNKNOWN"),
    ]
    assert run((1, State.UNKNOWN), (2, State.LIQUIDATABLE)) == [
        (1, "HEALTH_UNKNOWN"),
        (2, "HEALTH_LIQUIDATABLE"),
    ]


def test_to_and_fro_at_an_edge_is_one_piece_of_news() -> None:
    steps = [(n, State.LIQUIDATABLE if n % 2 else State.AT_RISK) for n in range(1, 100)]
    assert run(*steps) == [(1, "HEALTH_LIQUIDATABLE")]


def test_a_clock_that_went_back_silences_nothing() -> None:
    assert run((10_000, State.AT_RISK), (5, State.AT_RISK)) == [
        (10_000, "HEALTH_AT_RISK"),
        (5, "HEALTH_AT_RISK"),
    ]


def test_accounts_are_apart() -> None:
    due, told = sift([News("a", State.AT_RISK, ""), News("b", State.SAFE, "")], {}, 1)
    assert [n.account for n in due] == ["a"] and set(told) == {"a"}
    due, _ = sift([News("a", State.AT_RISK, ""), News("b", State.AT_RISK, "")], told, 2)
    assert [n.account for n in due] == ["b"]
