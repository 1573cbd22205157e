"""Whatever is written reads back equal, and equal values always give equal bytes."""

from __future__ import annotations

import dataclasses
import json
from datetime import UTC, datetime, timedelta, timezone
from decimal import Decimal

from hypothesis import given, settings
from hypothesis import strategies as st
from journal_events import EVENTS, Colour, Everything, Inner, Tag, Tree

from agent.journal.codec import Codec
from agent.journal.plain import canonical, state_hash

CODEC = Codec(EVENTS)
ints = st.integers() | st.integers(-(2**256), 2**256)
decimals = st.decimals(allow_nan=False, allow_infinity=False) | ints.map(lambda n: Decimal(n).scaleb(-18))
text = st.text() | st.text(st.characters(codec=None, categories=("Cs", "L", "P")))
inners = st.builds(Inner, amount_raw=ints, px=decimals, note=text)
trees = st.recursive(
    st.builds(Tree, value=ints),
    lambda kids: st.builds(Tree, value=ints, children=st.lists(kids, max_size=3).map(tuple)),
    max_leaves=6,
)
times = st.datetimes(
    min_value=datetime(1971, 1, 1),  # noqa: DTZ001 - hypothesis adds the zone
    timezones=st.sampled_from([UTC, timezone(timedelta(hours=5, minutes=30))]),
)
everything = st.builds(
    Everything,
    count=ints,
    amount_raw=ints,
    px=decimals,
    ratio=st.floats(allow_nan=False),
    on=st.booleans(),
    text=text,
    tag=text.map(Tag),
    data=st.binary(),
    colour=st.sampled_from(Colour),
    at=times,
    at_ns=ints,
    maybe=st.none() | inners,
    either=st.none() | inners | st.sampled_from(Colour) | ints,
    many=st.lists(inners, max_size=3).map(tuple),
    pair=st.tuples(text, ints),
    names=st.dictionaries(text, decimals, max_size=4),
    by_chain=st.dictionaries(ints, inners, max_size=3),
    by_colour=st.dictionaries(st.sampled_from(Colour), st.lists(ints, max_size=3).map(tuple)),
    seen=st.frozensets(text, max_size=4),
    mode=st.sampled_from(["fast", "slow"]),
    tree=trees,
    extra=decimals,
)


@settings(max_examples=150, deadline=None)
@given(everything)
def test_what_is_written_reads_back_equal(event: Everything) -> None:
    name, version, payload = CODEC.encode(event)
    back = CODEC.decode(name, version, payload)
    assert back == event
    assert str(back.px) == str(event.px), "the exponent of a decimal is kept"
    assert CODEC.encode(back) == (name, version, payload)
    assert state_hash(back) == state_hash(dataclasses.replace(event, at=back.at))


@settings(max_examples=60, deadline=None)
@given(everything)
def test_equal_values_give_equal_bytes_whatever_the_order_they_were_built_in(event: Everything) -> None:
    turned = dataclasses.replace(
        event,
        names=dict(reversed(event.names.items())),
        by_chain=dict(reversed(event.by_chain.items())),
        seen=frozenset(sorted(event.seen, reverse=True)),
    )
    assert CODEC.encode(turned) == CODEC.encode(event)
    assert canonical(turned) == canonical(event)


@settings(max_examples=60, deadline=None)
@given(everything, ints)
def test_money_is_never_a_json_number(event: Everything, amount: int) -> None:
    plain = json.loads(CODEC.encode(dataclasses.replace(event, amount_raw=amount))[2])
    assert plain["amount_raw"] == str(amount)
    assert all(type(inner["amount_raw"]) is str and type(inner["px"]) is str for inner in plain["many"])
