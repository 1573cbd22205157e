"""Versions, upcasters, and everything the codec refuses to write."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal
from typing import Any, ClassVar

import pytest
from journal_events import Did, Inner

from agent.domain.events import EVENTS, VERSIONS, CancelRequested, Halted, Resumed
from agent.domain.ids import ClOrdId
from agent.journal.codec import Codec
from agent.journal.plain import state_hash
from agent.journal.registry import NEW_RISK, event_codec, is_derisking
from chains.errors import Halt


def test_every_event_of_the_road_can_be_written() -> None:
    assert set(event_codec().kinds) == {event.__name__ for event in EVENTS} == set(VERSIONS)


def test_an_unknown_type_halts_and_is_named() -> None:
    with pytest.raises(Halt, match="Stranger") as error:
        Codec([Did]).decode("Stranger", 1, b"{}")
    assert error.value.code == "JOURNAL_UNKNOWN_TYPE"
    with pytest.raises(Halt, match="Inner"):
        Codec([Did]).encode(Inner(1, Decimal(1)))


def test_an_old_version_is_brought_up_step_by_step() -> None:
    @dataclass(frozen=True, slots=True)
    class Moved:
        VERSION: ClassVar[int] = 3
        to: str
        amount_raw: int
        unit: str

    def first(plain: dict[str, Any]) -> dict[str, Any]:
        return {"to": plain["target"], "amount_raw": plain["amount"]}

    def second(plain: dict[str, Any]) -> dict[str, Any]:
        return {**plain, "unit": "wei"}

    codec = Codec(
        [Moved], upcasters={("Moved", 1): first, ("Moved", 2): second}, renamed={"Shifted": "Moved"}
    )
    assert codec.decode("Moved", 1, b'{"amount":"5","target":"x"}') == Moved("x", 5, "wei")
    assert codec.decode("Shifted", 2, b'{"amount_raw":"5","to":"x"}') == Moved("x", 5, "wei")
    with pytest.raises(Halt, match="version 4") as newer:
        codec.decode("Moved", 4, b"{}")
    assert newer.value.code == "JOURNAL_NEWER"
    with pytest.raises(Halt) as missing:
        Codec([Moved]).decode("Moved", 1, b"{}")
    assert missing.value.code == "JOURNAL_UPCASTER"


def test_a_field_added_with_a_default_needs_no_new_version() -> None:
    assert Codec([Did]).decode("Did", 1, b'{"amount_raw":"1","cl_ord_id":"a"}') == Did("a", 1, 0)


@pytest.mark.parametrize(
    "payload",
    [
        b"",
        b"[]",
        b'{"cl_ord_id":"a"}',
        b'{"cl_ord_id":"a","amount_raw":"x"}',
        b'{"cl_ord_id":"a","amount_raw":"1","more":1}',
        b'{"cl_ord_id":1,"amount_raw":"1"}',
    ],
)
def test_a_payload_that_is_not_the_type_halts(payload: bytes) -> None:
    with pytest.raises(Halt) as error:
        Codec([Did]).decode("Did", 1, payload)
    assert error.value.code == "JOURNAL_VALUE"


@pytest.mark.parametrize("amount", [1.0, "1", True, None, Decimal(1)])
def test_a_value_of_the_wrong_type_is_never_written(amount: Any) -> None:
    with pytest.raises(Halt, match="Did.amount_raw"):
        Codec([Did]).encode(Did("a", amount))


def test_types_without_an_exact_form_are_refused_when_registered() -> None:
    @dataclass
    class Loose:
        a: int

    @dataclass(frozen=True)
    class Vague:
        a: Any

    for cls, said in ((Loose, "not frozen"), (Vague, "Vague.a")):
        with pytest.raises(Halt, match=said) as error:
            Codec([cls])
        assert error.value.code == "JOURNAL_TYPE"


def test_states_that_differ_have_different_hashes() -> None:
    states: list[Any] = [
        {},
        {"a": 1},
        {"a": "1"},
        {"a": Decimal(1)},
        {"a": Decimal("1.0")},
        {"a": True},
        {"a": None},
        {"a": b"1"},
        {"a": (1,)},
        {"a": frozenset({1})},
        {1: "a"},
        {"1": "a"},
        Inner(1, Decimal(1)),
        (1, Decimal(1), ""),
    ]
    assert len({state_hash(state) for state in states}) == len(states)
    with pytest.raises(Halt, match="object"):
        state_hash({"a": object()})


def test_what_begins_risk_is_named_and_exists() -> None:
    assert NEW_RISK <= {event.__name__ for event in EVENTS}
    assert not is_derisking(Resumed("person", 1))
    assert is_derisking(Halted("person", "why", 1)) and is_derisking(
        CancelRequested(ClOrdId("fl-1"), "person", 1)
    )
