"""What the signer counts towards a day's limit equals adding everything up, whatever order the seconds come in."""

from __future__ import annotations

import operator
from decimal import Context, Decimal

from hypothesis import given
from hypothesis import strategies as st

from keys.signer.rolling import Rolling

WIDE = Context(prec=120)
moments = st.integers(0, 40)
costs = st.decimals(0, 10**20, places=18, allow_nan=False)


@given(st.lists(st.tuples(moments, costs), max_size=40), moments)
def test_of_costs(given_: list[tuple[int, Decimal]], since: int) -> None:
    total: Rolling[Decimal] = Rolling(Decimal(0), WIDE.add, WIDE.subtract)
    wanted = Decimal(0)
    for at, cost in given_:
        total.add(at, cost)
        wanted = WIDE.add(wanted, cost if at >= since else Decimal(0))
    assert total.since(since) == wanted


@given(st.lists(st.tuples(moments, st.integers(0, 2**256)), max_size=40), moments)
def test_of_base_units(given_: list[tuple[int, int]], since: int) -> None:
    total: Rolling[int] = Rolling(0, operator.add, operator.sub)
    for at, raw in given_:
        total.add(at, raw)
        assert total.since(-1) >= raw
    assert total.since(since) == sum(raw for at, raw in given_ if at >= since)
