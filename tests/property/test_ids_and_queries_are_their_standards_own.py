"""What is written out by hand because every order asks for it, beside the standard library's: base 32 of ids, the form encoding of queries."""

from __future__ import annotations

import base64
import hashlib
from urllib.parse import urlencode

from hypothesis import given
from hypothesis import strategies as st

from agent.domain.ids import digest_of
from agent.transport.binance import query_string

TEXT = st.text(max_size=12)
ODD = st.text("=&+ %~._-aZ9é\n", max_size=8)
"""What a query is made of and torn by."""


@given(st.lists(TEXT | st.integers(), max_size=4))
def test_an_id_is_the_base_32_of_fifteen_bytes(parts: list[str | int]) -> None:
    raw = hashlib.sha256("\x1f".join(map(str, parts)).encode("utf-8")).digest()[:15]
    assert digest_of(*parts) == base64.b32encode(raw).decode().lower()


@given(st.dictionaries(ODD | TEXT, ODD | TEXT | st.integers(), max_size=5))
def test_a_query_is_encoded_as_a_form(params: dict[str, str | int]) -> None:
    assert query_string(params) == urlencode(params)


def test_what_looks_like_another_parameter_is_a_value() -> None:
    assert query_string({"a": "1=2", "b": "3&c=4"}) == "a=1%3D2&b=3%26c%3D4"
    assert query_string({"a=": "", "b": "1"}) == "a%3D=&b=1"
