"""Where money on its way stands is a table; at every stage the two chains, the flight and the fee add up to what was sent."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chains.bridges.across import Terms, quote
from chains.bridges.flight import NEXT, OVER, Flight, Stage, counted_raw, held, moved
from chains.errors import Halt, Reject


@given(st.data())
def test_whatever_happens_nothing_is_lost_or_counted_twice(data: st.DataObject) -> None:
    in_raw = data.draw(st.integers(1, 10**24))
    out_raw = data.draw(st.integers(0, in_raw))
    flight = Flight(in_raw, out_raw, 1_700_000_000)
    for _ in range(12):
        now = held(flight)
        assert now.origin + now.flying + now.destination + now.fee == in_raw
        assert min(now.origin, now.flying, now.destination, now.fee) >= 0
        assert counted_raw(flight, 500) <= max(now.flying, now.destination)
        if flight.over:
            assert flight.stage in OVER
            break
        to = data.draw(st.sampled_from(sorted(NEXT[flight.stage], key=lambda s: s.value)))
        paid = flight.paid_raw if to is Stage.ARRIVED else data.draw(st.integers(out_raw, in_raw))
        flight = moved(flight, to, paid)


def test_every_other_way_is_forbidden() -> None:
    for stage, to in itertools.product(Stage, Stage):
        flight = Flight(100, 90, 1, stage, 95 if stage in (Stage.FILLED, Stage.ARRIVED) else 0)
        if to in NEXT[stage]:
            assert moved(flight, to, 95).stage is to
            continue
        with pytest.raises(Halt, match=f"was {stage.value} and cannot become {to.value}"):
            moved(flight, to, 95)


def test_a_payment_short_of_the_promise_is_no_fill() -> None:
    flight = Flight(100, 90, 1, Stage.DEPOSITED)
    for paid in (0, 89, 101):
        with pytest.raises(Halt) as caught:
            moved(flight, Stage.FILLED, paid)
        assert caught.value.code == "BRIDGE_SHORT"
    assert held(moved(flight, Stage.FILLED, 97)).fee == 3


def test_what_flies_counts_less_and_what_cannot_arrive_counts_nothing() -> None:
    flying = Flight(1_000_001, 1_000_000, 1, Stage.DEPOSITED)
    assert counted_raw(flying, 333) == 966_700
    assert counted_raw(moved(flying, Stage.FILLED, 1_000_001), 333) == 1_000_001
    assert [counted_raw(Flight(10, 9, 1, s), 0) for s in (Stage.SENT, Stage.EXPIRED, Stage.REFUNDED)] == [
        0,
        0,
        0,
    ]


@given(st.integers(1, 10**24), st.integers(0, 300), st.integers(0, 10**6))
def test_the_fee_is_rounded_up_and_never_more_than_what_is_sent(in_raw: int, bps: int, fixed: int) -> None:
    terms = Terms(bps, fixed, 1, 10**24, 4)
    try:
        told = quote(terms, in_raw, 1_000, 600)
    except Reject as refused:
        assert refused.code == "BRIDGE_AMOUNT" and in_raw * bps + (fixed + 1) * 10_000 > in_raw * 10_000
        return
    assert 0 < told.out_raw <= in_raw and told.deadline_s == 1_600
    assert 0 <= told.fee_raw * 10_000 - in_raw * bps - fixed * 10_000 < 10_000


def test_an_amount_out_of_a_relayers_bounds_is_refused() -> None:
    for raw in (9, 101):
        with pytest.raises(Reject, match="10 to 100"):
            quote(Terms(5, 0, 10, 100, 4), raw, 1, 1)
