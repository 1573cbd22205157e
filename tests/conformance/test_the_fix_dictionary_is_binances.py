"""Our table of Binance's FIX messages against the dictionary Binance publishes, field by field; and its samples against the table."""

from __future__ import annotations

from functools import cache
from xml.etree.ElementTree import Element, parse

import pytest
from fix_peer import documented, message, summed
from recordings import recording

from agent.transport.fix.dictionary import BadMessage, Layout
from agent.transport.fix.message import Message, decode
from agent.venues.binance_spot.fix_dictionary import DICTIONARY


@cache
def published() -> Element:
    return parse(recording("fix", "spot-fix-oe.xml")).getroot()


@cache
def numbers() -> dict[str | None, int]:
    return {one.get("name"): int(one.get("number", "0")) for one in published().iterfind("fields/field")}


@cache
def components() -> dict[str | None, Element]:
    return {one.get("name"): one for one in published().iterfind("components/component")}


def told(node: Element, must: bool = True) -> dict[int, object]:
    """Tag to whether it must be there; a group is (whether, its own fields)."""
    found: dict[int, object] = {}
    for one in node:
        required = must and one.get("required") == "Y"
        if one.tag == "component":
            found |= told(components()[one.get("name")], required)
        elif one.tag == "group":
            found[numbers()[one.get("name")]] = (required, told(one))
        else:
            found[numbers()[one.get("name")]] = required
    return found


def ours(layout: Layout) -> dict[int, object]:
    return {
        tag: (must, ours(layout.groups[tag])) if tag in layout.groups else must
        for tag, must in layout.tags.items()
    }


def test_every_message_has_the_fields_and_the_order_it_is_documented_with() -> None:
    header = {tag: must for tag, must in told(published().find("header")).items() if tag not in (8, 9, 35)}  # type: ignore[arg-type]
    documented_ = {one.get("msgtype"): header | told(one) for one in published().iterfind("messages/message")}
    assert {kind: ours(layout) for kind, layout in DICTIONARY.messages.items()} == documented_
    for kind, layout in DICTIONARY.messages.items():
        assert list(layout.tags) == list(documented_[kind])


def test_every_field_has_its_type_and_its_values() -> None:
    for one in published().iterfind("fields/field"):
        mine = DICTIONARY.fields.get(int(one.get("number", "0")))
        if mine is not None:
            values = frozenset(v.get("enum", "") for v in one)
            assert (mine.name, mine.type, mine.values) == (one.get("name"), one.get("type"), values)


def test_every_sample_of_order_entry_is_read_with_its_groups() -> None:
    for frame in documented():
        read = decode(summed(frame))
        if isinstance(read, Message) and read.kind in DICTIONARY.messages:
            record = DICTIONARY.read(read, strict=read.kind not in ("N",))
            if read.kind == "XLR":
                assert [int(one[25006]) > 0 for one in record.groups[25003]] == [True] * int(record[25003])


@pytest.mark.parametrize(
    ("kind", "fields", "reason", "tag"),
    [
        ("D", [(11, "a"), (40, "2"), (54, "1")], 1, 55),
        ("D", [(11, "a"), (40, "2"), (54, "1"), (55, "E"), (55, "E")], 13, 55),
        ("D", [(11, "a"), (40, "2"), (54, "1"), (55, "E"), (38, "1e5")], 6, 38),
        ("D", [(11, "a"), (40, "9"), (54, "1"), (55, "E")], 5, 40),
        ("D", [(11, "a"), (40, "2"), (54, "1"), (55, "E"), (37, "7")], 2, 37),
        ("D", [(11, "a"), (40, "2"), (54, "1"), (55, "E"), (9999, "7")], 3, 9999),
        ("ZZ", [], 11, 35),
        ("N", [(429, "2"), (431, "3"), (73, "2"), (11, "a"), (55, "E")], 16, 73),
        ("N", [(429, "2"), (431, "3"), (73, "1"), (55, "E"), (11, "a")], 15, 55),
        ("N", [(429, "2"), (431, "3"), (73, "99999"), (11, "a"), (55, "E")], 16, 73),
    ],
)
def test_what_is_wrong_is_named_as_the_protocol_names_it(
    kind: str, fields: list[tuple[int, str]], reason: int, tag: int
) -> None:
    with pytest.raises(BadMessage) as wrong:
        DICTIONARY.read(message(kind, 2, *fields), strict=True)
    assert (wrong.value.reason, wrong.value.tag) == (reason, tag)


def test_a_venue_may_add_fields_and_values() -> None:
    record = DICTIONARY.read(message("0", 2, (9999, "x"), (112, "t")))
    assert record[112] == "t" and record.get(9999) == "x"
