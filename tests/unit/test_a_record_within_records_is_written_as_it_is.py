"""The codec turns a record that several events hold into plain data once, and never writes what it was instead of what it is."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal

from agent.journal.codec import Codec


@dataclass(frozen=True, slots=True)
class Inner:
    qty: Decimal
    names: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Table:
    rows: Mapping[str, int]


@dataclass(frozen=True, slots=True)
class First:
    inner: Inner
    table: Table


@dataclass(frozen=True, slots=True)
class Second:
    inner: Inner
    table: Table
    again: Inner


@dataclass(frozen=True, slots=True)
class Tree:
    leaf: str
    below: tuple[Tree, ...] = ()


def test_the_same_record_gives_the_same_bytes_wherever_it_stands() -> None:
    codec, fresh = Codec([First, Second]), Codec([First, Second])
    inner, other, table = Inner(Decimal("1.50"), ("a",)), Inner(Decimal(2), ()), Table({"x": 1})
    events = [
        First(inner, table),
        Second(inner, table, other),
        Second(other, table, inner),
        First(inner, table),
    ]
    for event in events:
        written = codec.encode(event)
        assert written == Codec([First, Second]).encode(event)
        assert fresh.decode(*written) == event


def test_a_table_that_grew_between_two_events_is_written_as_it_is_now() -> None:
    rows = {"x": 1}
    codec, event = Codec([First]), First(Inner(Decimal(1), ()), Table(rows))
    before = codec.encode(event)[2]
    rows["y"] = 2
    after = codec.encode(event)[2]
    assert b'"y"' not in before and b'"y"' in after


def test_a_record_that_holds_its_own_kind_is_written_whole() -> None:
    codec, leaf = Codec([Tree]), Tree("leaf")
    whole = Tree("root", (leaf, Tree("branch", (leaf, leaf)), leaf))
    assert codec.decode(*codec.encode(whole)) == whole
    assert codec.encode(leaf)[2] in codec.encode(whole)[2]
