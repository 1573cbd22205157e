"""What Aave books of a payment, in each version's own rounding, against what is paid: below an index of two no payment is off by more than
our contracts take, and above it none by more than is told."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from agent.margin import aave_v3_0, aave_v3_3, aave_v3_4, aave_v3_5, aave_v3_6, aave_v3_7
from agent.margin.aave_account import Account, Reserve
from agent.margin.aave_core import AaveModel
from agent.margin.aave_moves import ADD_COLLATERAL, REPAY, TOLERATED_RAW, moved, short_by
from agent.margin.ray import RAY

AT = 1_700_000_000
MODELS = [m.MODEL for m in (aave_v3_0, aave_v3_3, aave_v3_4, aave_v3_5, aave_v3_6, aave_v3_7)]


def account(index: int, scaled: int) -> Account:
    values: dict[str, Any] = {
        "asset": "X", "decimals": 18, "price_1e8": 10**8, "ltv_bps": 8000, "liquidation_threshold_bps": 8250,
        "collateral_enabled": True, "last_update": AT, "scaled_supply_raw": scaled, "liquidity_index_1e27": index,
        "liquidity_rate_1e27": 0, "scaled_debt_raw": scaled, "borrow_index_1e27": index, "borrow_rate_1e27": 0,
    }  # fmt: skip
    return Account((Reserve(**values),))


def shortfall(model: AaveModel, index: int, scaled: int, do: str, raw: int) -> tuple[int, int]:
    """(by how much less than `raw` is booked, by how much it may be)."""
    before = account(index, scaled)
    after = moved(model, before, do, "X", raw, AT)
    told = model.debt_raw if do == REPAY else model.supply_raw
    change = told(before.reserves[0], AT) - told(after.reserves[0], AT)
    return raw - (change if do == REPAY else -change), short_by(model, before, do, "X", AT)


@given(
    st.sampled_from(MODELS),
    st.sampled_from([REPAY, ADD_COLLATERAL]),
    st.integers(RAY, 12 * RAY),
    st.integers(1, 10**27),
    st.fractions(0, 1),
)
@example(MODELS[-1], REPAY, 2 * RAY, 10**6, 1)  # type: ignore[arg-type]
def test_no_payment_is_booked_for_less_than_is_told(
    model: AaveModel, do: str, index: int, scaled: int, part: Any
) -> None:
    owed = model.debt_raw(account(index, scaled).reserves[0], AT)
    raw = max(int(owed * part), 1)
    off, most = shortfall(model, index, scaled, do, raw)
    assert off <= most
    assert index > 2 * RAY or most <= TOLERATED_RAW
    if do == REPAY and raw >= owed:
        assert off == raw - owed


@pytest.mark.parametrize(
    ("model", "index"),
    [(MODELS[0], 69 * RAY // 10), (MODELS[3], 29 * RAY // 10), (MODELS[5], 29 * RAY // 10)],
)
@pytest.mark.parametrize("do", [REPAY, ADD_COLLATERAL])
def test_above_it_some_are_refused_and_no_amount_is_sure(model: AaveModel, index: int, do: str) -> None:
    offs = [shortfall(model, index, 10**9, do, raw)[0] for raw in range(10**6, 10**6 + 2_000)]
    refused = sum(off > TOLERATED_RAW for off in offs)
    assert 0 < refused < len(offs) and max(offs) <= short_by(model, account(index, 10**9), do, "X", AT)
    # A second of interest, five percent a year: of this million of units with 18 decimals another part is left over.
    raw = next(
        raw for raw, off in zip(range(10**6, 10**6 + 2_000), offs, strict=True) if off <= TOLERATED_RAW
    )
    later = [index + index * 16 * second // 10**10 for second in range(48)]
    states = {shortfall(model, at, 10**27, do, raw * 10**18)[0] > TOLERATED_RAW for at in later}
    assert states == {True, False}
