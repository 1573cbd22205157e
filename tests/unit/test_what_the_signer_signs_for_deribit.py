"""Deribit: what the signer's judge lets through, how it counts a linear and an inverse order, and that it never logs on or moves funds."""

from __future__ import annotations

import hashlib
import hmac
from decimal import Decimal
from urllib.parse import urlencode

import pytest

from chains.errors import Denied, Usage
from keys.settings import signer_settings
from keys.signer import deribit
from keys.signer.exchange_orders import SymbolLimit, judge

NOW_MS = 1_800_000_000_000
LINEAR, COIN = "ETH_USDC-PERPETUAL", "BTC-PERPETUAL"
LIMITS = {
    LINEAR: SymbolLimit(Decimal(6_000), Decimal(15_000), Decimal(1_000), Decimal(10_000)),
    COIN: SymbolLimit(Decimal(600), Decimal(15_000), Decimal(30_000), Decimal(90_000), inverse=True),
}
ORDER = {"instrument_name": LINEAR, "amount": "1", "type": "limit", "price": "3000", "label": "fl-a", "time_in_force": "good_til_cancelled", "valid_until": str(NOW_MS + 5_000)}  # fmt: skip


def asked(name: str, fields: dict[str, str], method: str = "GET") -> str:
    """What it costs, "" for what is no order. Raises Denied."""
    query = urlencode({k: v for k, v in fields.items() if v})
    judged = deribit.check(method, f"/api/v2/{name}", query, now_ms=NOW_MS, symbols=frozenset(LIMITS))
    return "" if judged.words is None else f"{judge(judged.words, LIMITS, {}, NOW_MS).cost:f}"


@pytest.mark.parametrize(
    ("name", "changes", "cost"),
    [
        ("private/buy", {}, "3000"),
        ("private/sell", {"amount": "0.5", "post_only": "true", "reject_post_only": "true"}, "5000.0"),
        ("private/edit_by_label", {"type": "", "time_in_force": "", "amount": "0.6"}, "6000.0"),
        ("private/buy", {"type": "stop_limit", "trigger": "last_price", "trigger_price": "2990"}, "3000"),
        ("private/sell", {"type": "take_limit", "amount": "0.5", "trigger": "index_price", "trigger_price": "3300"}, "5000.0"),
        ("private/buy", {"instrument_name": COIN, "amount": "200", "price": "50000"}, "600.00000000"),
        ("private/sell", {"instrument_name": COIN, "amount": "10", "price": "30000", "reduce_only": "true"}, "30.00000000"),
    ],
)  # fmt: skip
def test_an_order_counts_as_all_that_can_be_lost_by_it(name: str, changes: dict[str, str], cost: str) -> None:
    assert asked(name, ORDER | changes) == cost


def test_dollars_of_a_coin_lose_no_more_than_they_count_wherever_in_the_band_they_trade() -> None:
    limit, amount = LIMITS[COIN], Decimal(100)
    counted = Decimal(
        asked("private/sell", ORDER | {"instrument_name": COIN, "amount": "100", "price": "40000"})
    )
    for traded in (limit.px_from, Decimal(55_000), limit.px_to):
        for worth in (limit.px_from, Decimal(44_000), limit.px_to):
            coins = abs(amount / traded - amount / worth)
            assert coins * worth <= counted


@pytest.mark.parametrize(
    ("name", "changes", "code"),
    [
        ("private/buy", {"amount": "2.1"}, "EXCHANGE_PER_ORDER"),
        ("private/buy", {"price": "10001", "amount": "0.1"}, "EXCHANGE_COLLAR"),
        ("private/sell", {"type": "market", "price": ""}, "EXCHANGE_MARKET"),
        ("private/buy", {"type": "stop_market"}, "EXCHANGE_PARAMETER"),
        ("private/buy", {"type": "stop_market", "price": "", "trigger": "mark_price", "trigger_price": "3100"}, "EXCHANGE_MARKET"),
        ("private/buy", {"type": "stop_limit", "trigger": "my_price", "trigger_price": "3100"}, "EXCHANGE_PARAMETER"),
        ("private/buy", {"type": "stop_limit", "trigger": "last_price"}, "EXCHANGE_PARAMETER"),
        ("private/buy", {"type": "trailing_stop", "trigger": "last_price", "trigger_price": "3100"}, "EXCHANGE_PARAMETER"),
        ("private/buy", {"type": "stop_limit", "amount": "2.1", "trigger": "last_price", "trigger_price": "3100"}, "EXCHANGE_PER_ORDER"),
        ("private/edit_by_label", {"type": "", "time_in_force": "", "trigger": "last_price", "trigger_price": "3100"}, "EXCHANGE_PARAMETER"),
        ("private/buy", {"instrument_name": COIN, "price": "29999"}, "EXCHANGE_COLLAR"),
        ("private/buy", {"instrument_name": COIN, "amount": "201", "price": "50000"}, "EXCHANGE_PER_ORDER"),
        ("private/buy", {"valid_until": ""}, "EXCHANGE_WINDOW"),
        ("private/buy", {"valid_until": str(NOW_MS + 60_000)}, "EXCHANGE_WINDOW"),
        ("private/buy", {"advanced": "usd"}, "EXCHANGE_PARAMETER"),
        ("private/buy", {"trigger_price": "2900"}, "EXCHANGE_PARAMETER"),
        ("private/buy", {"instrument_name": "DOGE_USDC-PERPETUAL"}, "EXCHANGE_SYMBOL"),
        ("private/buy", {"instrument_name": ""}, "EXCHANGE_LIMITS"),
        ("private/get_positions", {}, "EXCHANGE_PARAMETER"),
    ],
)  # fmt: skip
def test_what_is_no_plain_order_within_its_limits_is_refused(
    name: str, changes: dict[str, str], code: str
) -> None:
    with pytest.raises(Denied) as refused:
        asked(name, ORDER | changes)
    assert refused.value.code == code and refused.value.hint


@pytest.mark.parametrize(
    "name",
    [
        "BTC-FS-29APR22_PERP",
        "BTC-CS-29APR22-38000_39000",
        "ETH-REV-29APR22-3000",
        "XRP_USDC-PS-7APR23-0d5_0d6",
    ],
)
def test_a_combo_is_never_signed_also_where_it_is_listed(name: str) -> None:
    listed = frozenset({name})
    for method in ("buy", "sell", "edit_by_label"):
        query = urlencode(ORDER | {"instrument_name": name})
        with pytest.raises(Denied) as refused:
            deribit.check("GET", f"/api/v2/private/{method}", query, now_ms=NOW_MS, symbols=listed)
        assert refused.value.code == "EXCHANGE_SYMBOL" and "combo" in refused.value.message


@pytest.mark.parametrize(
    "name",
    [
        "BTC-29APR22",
        "BTC-29APR22-37500-C",
        "XRP_USDC-7APR23-0d5-P",
        "ETH_USDC-PERPETUAL",
        "ETH_USDC",
        "BTC_USDC-29APR22",
    ],
)
def test_what_is_no_combo_is_none(name: str) -> None:
    query = urlencode(ORDER | {"instrument_name": name})
    assert deribit.check("GET", "/api/v2/private/buy", query, now_ms=NOW_MS, symbols=frozenset({name})).words


NEVER = "public/auth private/withdraw private/submit_transfer_to_subaccount private/submit_transfer_to_user private/submit_transfer_between_subaccounts private/create_deposit_address private/add_to_address_book private/create_api_key private/enable_api_key private/change_api_key_name private/set_password_for_subaccount private/change_margin_model private/execute_block_trade private/verify_block_trade private/move_positions private/close_position private/create_combo private/mass_quote private/logout public/exchange_token public/fork_token private/enable_cancel_on_disconnect private/toggle_portfolio_margining private/buy/../withdraw private//withdraw".split()  # fmt: skip


@pytest.mark.parametrize("name", NEVER)
def test_no_log_on_no_transfer_no_key_and_no_margin_model_is_ever_signed(name: str) -> None:
    for fields in ({}, {"currency": "USDC"}):
        with pytest.raises(Denied) as refused:
            asked(name, fields)
        assert refused.value.code in ("EXCHANGE_UNLISTED", "EXCHANGE_WITHDRAWAL")
    with pytest.raises(Denied):
        asked("private/buy", ORDER, "POST")


def test_a_parameter_stands_once_and_in_plain_letters() -> None:
    for query in ("currency=any&currency=BTC", "currency=an%79", "currency=", "currency"):
        with pytest.raises(Denied):
            deribit.check("GET", "/api/v2/private/get_positions", query, now_ms=NOW_MS)
    with pytest.raises(Usage):
        deribit.check("GET", "/api/v2/private/get_positions", "currency=a b", now_ms=NOW_MS)


def test_the_signature_is_over_time_nonce_method_address_and_an_empty_body() -> None:
    wanted = hmac.new(b"s", b"17\nn\nGET\n/api/v2/private/cancel?order_id=1\n\n", hashlib.sha256).hexdigest()
    assert deribit.sign(b"s", "GET", "/api/v2/private/cancel", "order_id=1", at_ms=17, nonce="n") == wanted


def test_the_settings_know_the_dialect_its_limits_and_that_nothing_is_sent_from_there() -> None:
    limit = {"per_order": "1", "per_day": "2", "px_from": "1", "px_to": "2", "inverse": True}
    venue = {"dialect": "deribit", "api_key": "env:K", "secret": "env:S", "limits": {COIN: limit}}
    base = {"environment": "devnet", "ledger": "/x/l", "keystore": "/x/k", "chains": []}
    read = signer_settings(base | {"exchanges": {"x": venue}}).exchanges["x"]
    assert read.repeats == deribit.REPEATS and read.limits[COIN].inverse
    for named in (LINEAR, "BTC-27DEC24-60000-C", "BTC_USDC"):
        with pytest.raises(Usage, match="would count as dollars"):  # a coin for a dollar
            signer_settings(base | {"exchanges": {"x": venue | {"limits": {named: limit}}}})
    with pytest.raises(Usage, match="would count as dollars"):
        signer_settings(base | {"exchanges": {"x": venue | {"dialect": "binance_usdm"}}})
    signer_settings(base | {"exchanges": {"x": venue | {"limits": {"ETH-26DEC25": limit}}}})
    with pytest.raises(Usage, match="sends_to"):
        signer_settings(base | {"exchanges": {"x": venue | {"sends_to": "https://x.test"}}})
