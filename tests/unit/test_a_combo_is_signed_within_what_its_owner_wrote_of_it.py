"""A combo at Deribit: signed where its legs are listed, at any sign of its price inside the band, and counted as the worst that a fill loses."""

from __future__ import annotations

from decimal import Decimal
from itertools import product
from urllib.parse import urlencode

import pytest

from chains.errors import Denied, Usage
from keys.settings import signer_settings
from keys.signer import deribit, exchange_orders
from keys.signer.deribit_combos import ComboLimit
from keys.signer.exchange_orders import SymbolLimit

D = Decimal
NOW_MS = 1_800_000_000_000
SPREAD, CALLS, LINEAR = "BTC-FS-27DEC30_PERP", "BTC-CS-27DEC30-70000_75000", "ETH_USDC-FS-27DEC30_PERP"
COMBOS = {
    LINEAR: ComboLimit({"ETH_USDC-27DEC30": 1, "ETH_USDC-PERPETUAL": -1}, D(500), D(900), D(-40), D(50), D(10)),
    CALLS: ComboLimit({"BTC-27DEC30-70000-C": 1, "BTC-27DEC30-75000-C": -1}, D("0.2"), D(1), D(0), D("0.1"), D("0.001"), quote_usd=D(150_000)),
    SPREAD: ComboLimit({"BTC-27DEC30": 1, "BTC-PERPETUAL": -1}, D(500), D(5_000), D(-500), D(3_000), D("0.001"), D(30_000), D(150_000)),
}  # fmt: skip
ORDER = {"instrument_name": LINEAR, "amount": "2", "type": "limit", "price": "-12.5", "label": "fl-a", "time_in_force": "good_til_cancelled", "valid_until": str(NOW_MS + 5_000)}  # fmt: skip


def cost(name: str, spent: str = "0", **changes: str) -> str:
    """What an order costs. Raises Denied."""
    fields = {k: v for k, v in (ORDER | changes).items() if v}
    symbols = frozenset({"ETH_USDC-PERPETUAL"})
    judged = deribit.check("GET", f"/api/v2/private/{name}", urlencode(fields), now_ms=NOW_MS, symbols=symbols, combos=COMBOS)  # fmt: skip
    assert judged.words is not None and judged.writes
    counted = deribit.judge(judged.words, {}, COMBOS, {fields["instrument_name"]: D(spent)}, NOW_MS)
    assert counted.symbol == fields["instrument_name"]
    return f"{counted.cost.normalize():f}"


@pytest.mark.parametrize("px", ["-40", "-12.5", "0", "-0", "50"])
@pytest.mark.parametrize("side", ["buy", "sell", "edit_by_label"])
def test_every_price_inside_the_band_and_every_side_counts_the_same(side: str, px: str) -> None:
    changes = {"price": px} | ({"type": "", "time_in_force": ""} if side == "edit_by_label" else {})
    assert cost(side, **changes) == "200"  # 2 · (50 − −40 + 10)
    assert cost(side, instrument_name=CALLS, amount="1.5", **(changes | {"price": "0.05"})) == "0.1515"


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"price": "-40.1"}, "EXCHANGE_COLLAR"),
        ({"price": "50.1"}, "EXCHANGE_COLLAR"),
        ({"price": "--5"}, "EXCHANGE_ORDER"),
        ({"price": "1e3"}, "EXCHANGE_ORDER"),
        ({"price": ""}, "EXCHANGE_MARKET"),
        ({"type": "market", "price": ""}, "EXCHANGE_MARKET"),
        ({"amount": "-2"}, "EXCHANGE_ORDER"),
        ({"amount": "0"}, "EXCHANGE_ORDER"),
        ({"amount": ""}, "EXCHANGE_ORDER"),
        ({"amount": "5.1"}, "EXCHANGE_PER_ORDER"),
        ({"amount": "4.1", "spent": "500"}, "EXCHANGE_PER_DAY"),
        ({"type": "stop_limit", "trigger": "last_price", "trigger_price": "10"}, "EXCHANGE_PARAMETER"),
        ({"valid_until": str(NOW_MS + 60_000)}, "EXCHANGE_WINDOW"),
        ({"instrument_name": "ETH_USDC-FS-27DEC30_28MAR31"}, "EXCHANGE_SYMBOL"),
        ({"instrument_name": "ETH_USDC-27DEC30"}, "EXCHANGE_LIMITS"),
    ],
)
def test_what_is_outside_is_refused(changes: dict[str, str], code: str) -> None:
    for side in ("buy", "sell", "edit_by_label"):
        with pytest.raises(Denied) as refused:
            cost(side, **changes)
        assert refused.value.code == code and refused.value.hint


def test_dollars_of_a_coin_lose_no_more_than_they_count_wherever_their_legs_trade() -> None:
    """Against the dollars themselves, at every corner of the band: whatever the legs are traded at, and whatever they are worth."""
    limit, amount = COMBOS[SPREAD], D(1_000)
    assert limit.leg_from is not None and limit.leg_to is not None
    counted, worst = amount * limit.unit_cost(), D(0)
    for combo_traded, combo_worth in product((limit.px_from, D(0), limit.px_to), repeat=2):
        lowest = limit.leg_from + max(-limit.px_from, D(0))
        for traded, worth in product((lowest, D(60_000), limit.leg_to - limit.px_to), repeat=2):
            for sign in (1, -1):  # bought, and sold
                coins = amount / traded - amount / (traded + combo_traded) - (amount / worth - amount / (worth + combo_worth))  # fmt: skip
                worst = max(worst, sign * coins * limit.leg_to)
    assert 0 < worst <= counted - amount * limit.fees
    assert worst > counted / 10  # a bound and no fancy
    with pytest.raises(Denied, match="per_order"):
        cost("sell", instrument_name=SPREAD, amount="1000", price="-500")
    assert D(cost("sell", instrument_name=SPREAD, amount="10", price="-500")) >= 10 * limit.unit_cost()


def test_legs_may_be_read_where_symbols_are_listed() -> None:
    only = frozenset({"ETH_USDC-PERPETUAL"})
    for name in ("get_user_trades_by_instrument_and_time", "cancel_all_by_instrument"):
        path, query = f"/api/v2/private/{name}", "instrument_name=ETH_USDC-27DEC30"
        assert deribit.check("GET", path, query, now_ms=NOW_MS, symbols=only, combos=COMBOS).words is None
        with pytest.raises(Denied, match="not among"):
            deribit.check("GET", path, query, now_ms=NOW_MS, symbols=only)


GIVEN = {"legs": {"BTC-27DEC30": 1, "BTC-PERPETUAL": -1}, "per_order": "500", "per_day": "900", "px_from": "-500", "px_to": "3000", "fees": "0.001", "leg_from": "30000", "leg_to": "150000"}  # fmt: skip


def read(changes: dict[str, object], name: str = SPREAD, **venue: object) -> object:
    given = {k: v for k, v in (GIVEN | changes).items() if v is not None}
    there = {"dialect": "deribit", "api_key": "env:K", "secret": "env:S", "combos": {name: given}} | venue
    base = {"environment": "devnet", "ledger": "/x/l", "keystore": "/x/k", "chains": []}
    return signer_settings(base | {"exchanges": {"x": there}}).exchanges["x"]


def test_the_settings_read_a_combo_and_a_days_cost_has_it_in() -> None:
    found = read({"quote_usd": "2"}, limits={"BTC-PERPETUAL": {"per_order": "1", "per_day": "7", "px_from": "1", "px_to": "2", "inverse": True}})  # fmt: skip
    combo = found.combos[SPREAD]  # type: ignore[attr-defined]
    assert combo.legs == {"BTC-27DEC30": 1, "BTC-PERPETUAL": -1} and combo.px_from == -500
    assert exchange_orders.day_usd_up({**found.limits, **found.combos}) == D(1_807)  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    ("changes", "name", "why"),
    [
        ({"legs": {"BTC-PERPETUAL": -1}}, SPREAD, "two instruments"),
        ({"legs": {"BTC-27DEC30": 0, "BTC-PERPETUAL": -1}}, SPREAD, "not 0"),
        ({"legs": {"BTC-27DEC30": "1", "BTC-PERPETUAL": -1}}, SPREAD, "whole number"),
        ({"legs": {"BTC-27DEC30": 2, "BTC-PERPETUAL": -1}}, SPREAD, "1 and -1"),
        ({"legs": {"ETH-27DEC30": 1, "BTC-PERPETUAL": -1}}, SPREAD, "of BTC"),
        ({"legs": {"BTC-27DEC30-60000-C": 1, "BTC-PERPETUAL": -1}}, SPREAD, "all be futures"),
        ({"leg_from": None, "leg_to": None}, SPREAD, "leg_from and leg_to"),
        ({"leg_from": None}, SPREAD, "above leg_from"),
        ({"leg_from": "200000"}, SPREAD, "above leg_from"),
        ({"px_to": "-500"}, SPREAD, "above px_from"),
        ({"px_to": "1e3"}, SPREAD, "as a text"),
        ({"quote_usd": "0"}, SPREAD, "above zero"),
        ({}, "BTC-PERPETUAL", "no combo's name"),
        ({"strike": "1"}, SPREAD, "strike"),
    ],
)
def test_what_cannot_be_that_combo_is_refused_when_the_settings_are_read(
    changes: dict[str, object], name: str, why: str
) -> None:
    with pytest.raises(Usage, match=why):
        read(changes, name)


def test_a_combo_stands_under_combos_and_with_deribit_alone() -> None:
    limit = {"per_order": "1", "per_day": "2", "px_from": "1", "px_to": "2"}
    with pytest.raises(Usage, match="under `combos`"):
        read({}, limits={SPREAD: limit})
    with pytest.raises(Usage, match='for dialect "deribit"'):
        read({}, dialect="binance")
    assert SymbolLimit(D(1), D(2), D(1), D(2)).per_day == 2
