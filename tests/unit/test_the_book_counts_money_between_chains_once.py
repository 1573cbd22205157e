"""Crossings in the book: whatever stages are told, both chains, what flies and the fee add up, and a replay says the same."""

from __future__ import annotations

import random
from dataclasses import replace
from decimal import Decimal
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.app.bridging.sending import raw_before_fee, way_of
from agent.app.places import Directory
from agent.domain import events as ev
from agent.domain.errors import Halt, Usage
from agent.domain.ids import ClOrdId
from agent.domain.instruments import Asset, AssetId, Place
from agent.domain.orders import Part
from agent.domain.units import qty_exact
from agent.journal.book import Book
from agent.journal.crossing_fold import awaited, flight_of, is_over, open_crossings
from agent.journal.registry import event_codec
from chains.bridges.across import Terms, quote
from chains.bridges.flight import NEXT, Stage, held

HERE, THERE = AssetId("eip155:8453/erc20:0xaa"), AssetId("eip155:1/erc20:0xbb")


def begun(name: str, in_raw: int, out_raw: int) -> tuple[ev.Instructed, ev.Crossed]:
    ours = ClOrdId(name)
    part = Part(ours, ClOrdId(f"c-{name}"), Place("eip155:8453"), 1, HERE, THERE, in_raw, 0, 0, ())
    sent = ev.Crossed(ours, "across", HERE, THERE, 6, in_raw, out_raw, 0, 1_700_000_000, 5, "SENT", 1)
    return ev.Instructed(part, f"bridge {name}", 1), sent


@given(st.integers(0, 2**32))
def test_whatever_stages_are_told_the_sum_stays(seed: int) -> None:
    rng = random.Random(seed)
    book, told = Book(), list[object]()

    def tell(event: object) -> None:
        book.admit(event)
        book.apply(event)
        told.append(event)

    names = []
    for n in range(rng.randrange(1, 4)):
        in_raw = rng.randrange(1, 10**12)
        instructed, sent = begun(f"x{n}", in_raw, rng.randrange(0, in_raw + 1))
        tell(instructed)
        tell(sent)
        names.append(sent.cl_ord_id)
    for _ in range(20):
        one = book.crossings[rng.choice(names)]
        after = sorted(NEXT[Stage(one.stage)], key=lambda s: s.value)
        if not after:
            continue
        to = rng.choice(after)
        paid = one.paid_raw if to is Stage.ARRIVED else rng.randrange(one.out_raw, one.in_raw + 1)
        tell(replace(one, stage=to.value, paid_raw=paid if to in (Stage.FILLED, Stage.ARRIVED) else 0))
        arrived = sum(held(flight_of(c)).destination for c in book.crossings.values())
        back = sum(c.in_raw for c in book.crossings.values() if c.stage == "REFUNDED")
        assert book.holdings.get(THERE, Decimal(0)) == qty_exact(arrived, 6)
        assert book.holdings.get(HERE, Decimal(0)) == qty_exact(back, 6)
    codec, again = event_codec(), Book()
    for event in told:
        again.apply(codec.decode(*codec.encode(event)))
    assert again.state_hash() == book.state_hash() and again.crossings == book.crossings
    assert all(not is_over(c) for c in open_crossings(book)) and set(awaited(book)) <= {HERE, THERE}


def test_what_the_table_or_the_terms_forbid_is_never_written() -> None:
    book = Book()
    instructed, sent = begun("x", 100, 90)
    with pytest.raises(Halt, match="the record knows no x"):
        book.admit(sent)
    book.apply(instructed)
    with pytest.raises(Halt, match="never sent across"):
        book.admit(replace(sent, stage="DEPOSITED"))
    book.admit(sent)
    book.apply(sent)
    for wrong in (
        replace(sent, stage="ARRIVED", paid_raw=95),
        replace(sent, stage="DEPOSITED", in_raw=101),
        replace(sent, stage="DEPOSITED", deadline_s=5),
        replace(sent, stage="REFUNDED"),
    ):
        with pytest.raises(Halt) as caught:
            book.admit(wrong)
        assert caught.value.code == "FORBIDDEN_TRANSITION"
    short = replace(sent, stage="DEPOSITED")
    book.admit(short)
    book.apply(short)
    with pytest.raises(Halt, match="89 base units were paid out"):
        book.admit(replace(sent, stage="FILLED", paid_raw=89))


@given(st.integers(1, 10**30), st.integers(0, 9_000))
def test_the_least_is_sent_for_what_has_to_arrive(out_raw: int, fee_bps: int) -> None:
    terms = Terms(fee_bps, 0, 0, 10**40, 4)
    raw = raw_before_fee(fee_bps, out_raw)
    assert quote(terms, raw, 1, 600).out_raw >= out_raw
    less = raw - 1
    assert less - -(-less * fee_bps // 10_000) < out_raw


def test_a_way_is_between_two_chains_that_have_the_bridge_and_one_asset() -> None:
    assets = {
        "USDC": ("eip155:1/erc20:0xa", "eip155:8453/erc20:0xb"),
        "ODD": ("eip155:1/erc20:0xc", "eip155:8453/erc20:0xd"),
        "HERE": ("eip155:1/erc20:0xe",),
    }
    known = {
        AssetId(i): Asset(AssetId(i), s, 18 if i.endswith("d") else 6)
        for s, ids in assets.items()
        for i in ids
    }
    groups = {s: tuple(AssetId(i) for i in ids) for s, ids in assets.items()}
    chains = {
        n: SimpleNamespace(name=n, chain_id=c) for n, c in (("ethereum", 1), ("base", 8453), ("gnosis", 100))
    }
    desks = {c.chain_id: SimpleNamespace(place=Place(f"eip155:{c.chain_id}")) for c in chains.values()}
    app: Any = SimpleNamespace(
        settings=SimpleNamespace(chain=chains.get), chains=desks, directory=Directory(groups, known)
    )
    way = way_of(app, "USDC", "ethereum", "base")
    assert (way.given, way.received, way.decimals) == (*groups["USDC"], 6)
    for words, code in (
        (("USDC", "base", "base"), "SAME_CHAIN"),
        (("USDC", "base", "moon"), "UNKNOWN_CHAIN"),
        (("USDC", "base", "gnosis"), "NO_BRIDGE"),
        (("HERE", "ethereum", "base"), "UNKNOWN_ASSET"),
        (("ODD", "ethereum", "base"), "UNEQUAL_DECIMALS"),
    ):
        with pytest.raises(Usage) as wrong:
            way_of(app, *words)
        assert wrong.value.code == code and wrong.value.hint
