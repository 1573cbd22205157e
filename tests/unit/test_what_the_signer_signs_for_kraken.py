"""Kraken: what the signer's judge lets through, an order's one signature, nonces that only grow, and that no token leaves or funds move."""

from __future__ import annotations

import json
from decimal import Decimal
from pathlib import Path
from urllib.parse import urlencode

import pytest
from kraken_rig import ALLOWED, API_SECRET, Signer

from chains.errors import Denied, Reconcile, Usage
from keys.settings import signer_settings
from keys.signer import kraken
from keys.signer.exchange_orders import SymbolLimit, judge
from keys.signer.kraken_desk import KrakenDesk
from keys.signer.ledger import SpendLedger

NOW_MS = 1_800_000_000_000
PAIR, PATH = "ETH/USDC", "/0/private/AddOrder"
LIMITS = {PAIR: SymbolLimit(Decimal(6_000), Decimal(15_000), Decimal(1_000), Decimal(10_000))}
UUID, OTHER = "666c01bd-1442-e433-feef-fc7cef9d74b0", "666c01bd-1442-e433-feef-fc7cef9d74b1"
ORDER = {"pair": "ETHUSDC", "type": "buy", "ordertype": "limit", "volume": "1", "price": "3000", "timeinforce": "GTC", "oflags": "fciq", "cl_ord_id": UUID, "deadline": "2027-01-15T08:00:05.000Z"}  # fmt: skip
CHANGE = {"cl_ord_id": UUID, "order_qty": "0.5", "limit_price": "3000", "deadline": ORDER["deadline"]}


def form(fields: dict[str, str]) -> str:
    return urlencode({name: value for name, value in fields.items() if value}, safe=",:/")


def asked(name: str, fields: dict[str, str], method: str = "POST", known: str = PAIR) -> str:
    """What it costs, "" for what is no order. Raises Denied."""
    judged = kraken.check(
        method,
        f"/0/private/{name}",
        form(fields),
        now_ms=NOW_MS,
        symbols=frozenset(LIMITS),
        known={UUID: known} if known else {},
    )
    return "" if judged.words is None else f"{judge(judged.words, LIMITS, {}, NOW_MS).cost:f}"


def test_the_signature_is_that_of_the_venues_own_example() -> None:
    secret = "kQH5HW/8p1uGOVjbgWA7FunAmGO8lsSUXNsu3eow76sz84Q18fWxnyRzBHCd3pd5nE9qa99HAZtuZuj6F1huXg=="
    body, nonce = "ordertype=limit&pair=XBTUSD&price=37500&type=buy&volume=1.25", 1_616_492_376_594
    wanted = "4/dpxb3iT4tp/ZCVEwSnEsLxx0bqyhLpdfOpc6fn7OR8+UClSV5n9E6aSS8MPtnRfp32bAb0nmbRn6H8ndwLUQ=="
    assert kraken.sign(kraken.key_of(secret), PATH, body, nonce) == wanted
    with pytest.raises(Usage, match="base64"):
        kraken.key_of("not base64!")


@pytest.mark.parametrize(
    ("name", "changes", "cost"),
    [
        ("AddOrder", {}, "3000"),
        ("AddOrder", {"pair": "ETH/USDC", "oflags": "fciq,post"}, "3000"),
        ("AddOrder", {"type": "sell", "volume": "0.5"}, "5000.0"),
    ],
)
def test_an_order_counts_as_all_that_can_be_lost_by_it(name: str, changes: dict[str, str], cost: str) -> None:
    assert asked(name, ORDER | changes) == cost


def test_a_change_counts_whole_as_a_sale_of_the_pair_whose_order_was_signed() -> None:
    assert asked("AmendOrder", CHANGE) == "5000.0"
    with pytest.raises(Denied, match="was not signed here"):
        asked("AmendOrder", CHANGE, known="")
    with pytest.raises(
        Denied, match=r"was of BTC/USD"
    ):  # else a change would be judged by another pair's limits
        asked("AddOrder", ORDER, known="BTC/USD")


@pytest.mark.parametrize(
    ("name", "changes", "code"),
    [
        ("Withdraw", {}, "EXCHANGE_WITHDRAWAL"),
        ("WalletTransfer", {}, "EXCHANGE_WITHDRAWAL"),
        ("WithdrawAddresses", {}, "EXCHANGE_WITHDRAWAL"),
        ("AccountTransfer", {}, "EXCHANGE_WITHDRAWAL"),
        ("Earn/Allocate", {}, "EXCHANGE_UNLISTED"),
        ("GetWebSocketsToken", {}, "EXCHANGE_UNLISTED"),
        ("AddOrderBatch", {}, "EXCHANGE_UNLISTED"),
        ("EditOrder", {}, "EXCHANGE_UNLISTED"),
        ("../public/Time", {}, "EXCHANGE_UNLISTED"),
        ("AddOrder", {"leverage": "5"}, "EXCHANGE_PARAMETER"),
        ("AddOrder", {"price2": "3000"}, "EXCHANGE_PARAMETER"),
        ("AddOrder", {"close[price]": "1"}, "EXCHANGE_PARAMETER"),
        ("AddOrder", {"nonce": "1"}, "EXCHANGE_PARAMETER"),
        ("AddOrder", {"userref": "1"}, "EXCHANGE_PARAMETER"),
        ("AddOrder", {"expiretm": "0"}, "EXCHANGE_PARAMETER"),
        ("AddOrder", {"oflags": "fciq,viqc"}, "EXCHANGE_ORDER"),
        ("AddOrder", {"oflags": ""}, "EXCHANGE_ORDER"),
        ("AddOrder", {"timeinforce": "GTD"}, "EXCHANGE_ORDER"),
        ("AddOrder", {"cl_ord_id": ""}, "EXCHANGE_ORDER"),
        ("AddOrder", {"cl_ord_id": "fl-x"}, "EXCHANGE_ORDER"),
        ("AddOrder", {"price": "+3000"}, "EXCHANGE_PARAMETER"),
        ("AddOrder", {"price": "-3"}, "EXCHANGE_ORDER"),
        ("AddOrder", {"ordertype": "settle-position"}, "EXCHANGE_ORDER"),
        ("AddOrder", {"ordertype": "market", "price": "", "timeinforce": ""}, "EXCHANGE_MARKET"),
        ("AddOrder", {"pair": "XBTUSD"}, "EXCHANGE_SYMBOL"),
        ("AddOrder", {"deadline": ""}, "EXCHANGE_WINDOW"),
        ("AddOrder", {"deadline": "2027-01-15T08:00:06.001Z"}, "EXCHANGE_WINDOW"),
        ("AddOrder", {"deadline": "2027-01-15T08:00:00.000Z"}, "EXCHANGE_WINDOW"),
        ("AddOrder", {"deadline": "2027-13-15T08:00:00.000Z"}, "EXCHANGE_WINDOW"),
        ("AddOrder", {"price": "10001"}, "EXCHANGE_COLLAR"),
        ("AddOrder", {"volume": "3"}, "EXCHANGE_PER_ORDER"),
    ],
)
def test_what_is_no_plain_order_inside_the_limits_is_refused(name: str, changes: dict[str, str], code: str) -> None:  # fmt: skip
    with pytest.raises(Denied) as refused:
        asked(name, ORDER | changes)
    assert refused.value.code == code and refused.value.hint


def test_reads_and_ends_are_no_orders_and_nothing_goes_by_get() -> None:
    assert asked("CancelOrder", {"cl_ord_id": UUID}) == asked("CancelAllOrdersAfter", {"timeout": "60"}) == ""
    assert asked("TradesHistory", {"start": "1", "ofs": "50", "consolidate_taker": "false"}) == ""
    for name, fields, method in (("AddOrder", ORDER, "GET"), ("QueryOrders", {"otp": "1"}, "POST")):
        with pytest.raises(Denied):
            asked(name, fields, method)
    with pytest.raises(Usage):
        kraken.check("POST", "/0/private/Balance", "asset=a b", now_ms=NOW_MS)


async def test_an_order_is_granted_then_signed_once_and_its_nonce_is_above_every_other(
    tmp_path: Path,
) -> None:
    clock = [NOW_MS]
    signer = Signer(now_ms=lambda: clock[0], kept=SpendLedger(tmp_path / "ledger"), limit=LIMITS[PAIR])
    read = json.loads(await signer.sign("POST", "/0/private/Balance", ""))
    assert await signer.sign("POST", PATH, form(ORDER)) == ""
    given = json.loads(await signer.sign("POST", PATH, form(ORDER)))
    assert given["nonce"] > read["nonce"] >= NOW_MS * 1_000
    assert given["sig"] == kraken.sign(kraken.key_of(API_SECRET), PATH, form(ORDER), given["nonce"])
    with pytest.raises(Reconcile) as again:
        await signer.sign("POST", PATH, form(ORDER))
    assert again.value.code == "EXCHANGE_SENT_BEFORE"
    assert signer.ledger.ordered("paper", 0) == {PAIR: Decimal(3_000)}  # counted once
    clock[0] -= 30_000  # its clock is set back, and it begins anew: a grant that was not used is void
    await signer.sign(
        "POST", PATH, form(ORDER | {"cl_ord_id": OTHER, "deadline": "2027-01-15T07:59:35.000Z"})
    )
    signer.ledger.close()
    signer.ledger = SpendLedger(tmp_path / "ledger")
    signer.desk = KrakenDesk(signer.ledger)
    later = json.loads(await signer.sign("POST", "/0/private/Balance", ""))
    assert later["nonce"] > given["nonce"]
    with pytest.raises(Reconcile):
        await signer.sign("POST", PATH, form(ORDER | {"cl_ord_id": OTHER, "deadline": "2027-01-15T07:59:35.000Z"}))  # fmt: skip
    signer.ledger.close()


async def test_the_sockets_token_is_asked_for_only_where_the_owner_wrote_so() -> None:
    with pytest.raises(Denied):
        await Signer().sign("POST", "/0/private/GetWebSocketsToken", "")
    assert json.loads(await Signer(allow=ALLOWED).sign("POST", "/0/private/GetWebSocketsToken", ""))["sig"]


def test_the_settings_know_the_dialect_and_that_nothing_is_sent_from_there() -> None:
    limit = {"per_order": "1", "per_day": "2", "px_from": "1", "px_to": "2"}
    venue = {"dialect": "kraken", "api_key": "env:K", "secret": "env:S", "symbols": [PAIR], "limits": {PAIR: limit}}  # fmt: skip
    base = {"environment": "devnet", "ledger": "/x/l", "keystore": "/x/k", "chains": []}
    assert signer_settings(base | {"exchanges": {"x": venue}}).exchanges["x"].repeats == 1
    with pytest.raises(Usage, match="sends_to"):
        signer_settings(base | {"exchanges": {"x": venue | {"sends_to": "https://x.test"}}})
