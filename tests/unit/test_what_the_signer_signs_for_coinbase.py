"""Coinbase: what the signer's judge lets through, that no order's token leaves it, and tokens that say method, path and a few seconds."""

from __future__ import annotations

import base64
import json
from decimal import Decimal
from typing import Any

import pytest
from coinbase_rig import ALLOWED, KEY, PEM, PRIVATE, Signer
from Crypto.PublicKey import ECC

from agent.app.testvenue.coinbase import _signed
from chains.errors import Denied, Usage
from keys.settings import signer_settings
from keys.signer import coinbase
from keys.signer.exchange_orders import SymbolLimit, judge

NOW_MS = 1_800_000_000_000
PRODUCT, ORDERS = "ETH-USDC", "/api/v3/brokerage/orders"
LIMITS = {PRODUCT: SymbolLimit(Decimal(6_000), Decimal(15_000), Decimal(1_000), Decimal(10_000))}
UUID = "666c01bd-1442-e433-feef-fc7cef9d74b0"
GTC = {"limit_limit_gtc": {"base_size": "1", "limit_price": "3000", "post_only": False}}
ORDER = {"client_order_id": UUID, "product_id": PRODUCT, "side": "BUY", "order_configuration": GTC}
CHANGE = {"order_id": "0001", "price": "3000", "size": "0.5"}


def dumped(body: Any) -> str:
    return json.dumps(body, separators=(",", ":"))


def asked(body: str, path: str = ORDERS, method: str = "POST", known: bool = True) -> str:
    """What it costs, "" for what is no order. Raises Denied."""
    there = {"0001": PRODUCT} if known else {}
    judged = coinbase.check(method, path, body, now_ms=NOW_MS, symbols=frozenset(LIMITS), known=there)
    return "" if judged.words is None else f"{judge(judged.words, LIMITS, {}, NOW_MS).cost:f}"


def config(kind: str, **sizes: Any) -> str:
    return dumped(ORDER | {"order_configuration": {kind: sizes}})


def test_an_order_counts_as_all_that_can_be_lost_by_it() -> None:
    assert asked(dumped(ORDER)) == "3000"
    assert asked(config("sor_limit_ioc", base_size="0.5", limit_price="3000")) == "1500.0"
    assert asked(dumped(ORDER | {"side": "SELL", "order_configuration": {"limit_limit_fok": {"base_size": "0.5", "limit_price": "3000"}}})) == "5000.0"  # fmt: skip
    assert asked(dumped(CHANGE), f"{ORDERS}/edit") == "5000.0"
    with pytest.raises(Denied, match="was not sent from here"):
        asked(dumped(CHANGE), f"{ORDERS}/edit", known=False)


@pytest.mark.parametrize(
    ("body", "code"),
    [
        (json.dumps(ORDER), "EXCHANGE_PARAMETER"),  # another form of the same
        (dumped(ORDER)[:-1] + ',"side":"SELL"}', "EXCHANGE_PARAMETER"),  # a part twice
        (dumped(ORDER | {"leverage": "5"}), "EXCHANGE_PARAMETER"),
        (dumped(ORDER | {"retail_portfolio_id": "x"}), "EXCHANGE_PARAMETER"),
        (dumped(ORDER | {"client_order_id": "fl-x"}), "EXCHANGE_ORDER"),
        (dumped(ORDER | {"product_id": "BTC-USD"}), "EXCHANGE_SYMBOL"),
        (dumped(ORDER | {"side": "buy"}), "EXCHANGE_ORDER"),
        (dumped(ORDER | {"side": None}), "EXCHANGE_PARAMETER"),
        (config("market_market_ioc", quote_size="100"), "EXCHANGE_PARAMETER"),
        (config("market_market_ioc", base_size="1"), "EXCHANGE_MARKET"),
        (config("limit_limit_gtd", base_size="1", limit_price="3000", end_time="x", post_only=False), "EXCHANGE_PARAMETER"),
        (config("trigger_bracket_gtc", base_size="1", limit_price="3000", stop_trigger_price="1"), "EXCHANGE_PARAMETER"),
        (config("limit_limit_gtc", base_size=1, limit_price="3000", post_only=False), "EXCHANGE_ORDER"),
        (config("limit_limit_gtc", base_size="1", limit_price="3000", post_only="no"), "EXCHANGE_PARAMETER"),
        (config("sor_limit_ioc", base_size="1e3", limit_price="3000"), "EXCHANGE_ORDER"),
        (config("sor_limit_ioc", base_size="1", limit_price="10001"), "EXCHANGE_COLLAR"),
        (config("sor_limit_ioc", base_size="3", limit_price="3000"), "EXCHANGE_PER_ORDER"),
        ("[]", "EXCHANGE_PARAMETER"),
        ("", "EXCHANGE_PARAMETER"),
        ("[" * 3_000, "EXCHANGE_PARAMETER"),
    ],
)  # fmt: skip
def test_what_is_no_plain_order_inside_the_limits_is_refused(body: str, code: str) -> None:
    with pytest.raises(Denied) as refused:
        asked(body)
    assert refused.value.code == code and refused.value.hint


@pytest.mark.parametrize(
    ("endpoint", "code"),
    [
        ("POST /api/v3/brokerage/portfolios/move_funds", "EXCHANGE_WITHDRAWAL"),
        ("POST /api/v3/brokerage/convert/quote", "EXCHANGE_WITHDRAWAL"),
        ("POST /api/v3/brokerage/intx/allocate", "EXCHANGE_UNLISTED"),
        ("POST /v2/accounts/x/transactions", "EXCHANGE_UNLISTED"),
        ("POST /api/v3/brokerage/orders/preview", "EXCHANGE_UNLISTED"),
        ("POST /api/v3/brokerage/orders/close_position", "EXCHANGE_UNLISTED"),
        ("GET /api/v3/brokerage/orders/historical/../../x", "EXCHANGE_UNLISTED"),
        ("WS user", "EXCHANGE_UNLISTED"),
    ],
)
def test_what_is_not_listed_gets_no_token(endpoint: str, code: str) -> None:
    with pytest.raises(Denied) as refused:
        asked("", endpoint.partition(" ")[2], endpoint.partition(" ")[0])
    assert refused.value.code == code


def test_reads_and_ends_get_theirs_and_nothing_else_beside_them() -> None:
    for name in ("accounts", "orders/historical/batch", "orders/historical/fills", "orders/historical/0-a"):
        assert asked("", f"/api/v3/brokerage/{name}", "GET") == ""
    assert asked('{"order_ids":["0-a","1"]}', f"{ORDERS}/batch_cancel") == ""
    for body in ("{}", '{"order_ids":"0"}', '{"order_ids":["../x"]}', '{"order_ids":["0"],"x":1}'):
        with pytest.raises(Denied):
            asked(body, f"{ORDERS}/batch_cancel")
    with pytest.raises(Denied):
        asked("x", "/api/v3/brokerage/accounts", "GET")


def read(token: str) -> tuple[dict[str, Any], dict[str, Any]]:
    head, says, _ = (base64.urlsafe_b64decode(part + "=" * (-len(part) % 4)) for part in token.split("."))
    return json.loads(head), json.loads(says)


def test_a_token_names_method_host_path_and_ten_seconds_by_either_kind_of_key() -> None:
    seed = bytes(range(32))
    ed25519 = ECC.construct(curve="Ed25519", seed=seed)  # type: ignore[arg-type]
    raw = base64.b64encode(seed + ed25519.public_key().export_key(format="raw")).decode()
    for secret, public, algorithm in (
        (PEM, PRIVATE.public_key(), "ES256"),
        (PEM.replace("\n", "\\n"), PRIVATE.public_key(), "ES256"),
        (raw, ed25519.public_key(), "EdDSA"),
    ):
        made = coinbase.token(coinbase.key_of(secret), KEY, "GET api.coinbase.com/x", at_s=1_700, nonce="n")
        head, says = read(made)
        assert head == {"alg": algorithm, "typ": "JWT", "kid": KEY, "nonce": "n"}
        assert says == {"sub": KEY, "iss": "cdp", "nbf": 1_695, "exp": 1_710, "uri": "GET api.coinbase.com/x"}
        text, _, signature = made.rpartition(".")
        given = base64.urlsafe_b64decode(signature + "=" * (-len(signature) % 4))
        assert len(given) == 64 and _signed(public.export_key(format="PEM"), algorithm, text.encode(), given)
    curve = ECC.generate(curve="P-384").export_key(format="PEM")
    for wrong in ("", "no key", base64.b64encode(b"short").decode(), curve, PRIVATE.public_key().export_key(format="PEM")):  # fmt: skip
        with pytest.raises(Usage) as bad:
            coinbase.key_of(wrong)
        assert bad.value.code == "BAD_PRIVATE_KEY" and (not wrong or wrong not in str(bad.value))


async def test_an_order_is_granted_for_sending_alone_and_only_where_the_signer_sends() -> None:
    signer = Signer()
    with pytest.raises(Denied) as refused:
        await signer.sign("POST", ORDERS, dumped(ORDER))
    assert refused.value.code == "EXCHANGE_SENT_HERE" and "sends_to" in refused.value.hint
    signer.sends_to = lambda: "http://127.0.0.1:9"
    with pytest.raises(Denied) as early:
        await signer.send("POST", ORDERS, dumped(ORDER))
    assert early.value.code == "EXCHANGE_NOT_GRANTED"
    assert await signer.sign("POST", ORDERS, dumped(ORDER)) == ""
    assert await signer.sign("POST", ORDERS, dumped(ORDER)) == ""  # asked again: granted once, counted once
    assert signer.ledger.ordered("paper", 0) == {PRODUCT: Decimal(3_000)}
    late = Signer(
        sends_to=lambda: "http://127.0.0.1:9", now_ms=lambda: NOW_MS
    )  # granted at another time than now
    await late.sign("POST", ORDERS, dumped(ORDER))
    with pytest.raises(Denied) as old:
        await late.send("POST", ORDERS, dumped(ORDER))
    assert old.value.code == "EXCHANGE_WINDOW"
    with pytest.raises(Denied):
        await signer.sign("WS", "user", "")
    assert "uri" not in read(await Signer(allow=ALLOWED).sign("WS", "user", ""))[1]


def test_the_settings_know_the_dialect_and_an_answers_number_is_read() -> None:
    limit = {"per_order": "1", "per_day": "2", "px_from": "1", "px_to": "2"}
    venue = {"dialect": "coinbase", "api_key": "env:K", "secret": "env:S", "sends_to": "https://api.coinbase.com", "limits": {PRODUCT: limit}}  # fmt: skip
    base = {"environment": "devnet", "ledger": "/x/l", "keystore": "/x/k", "chains": []}
    assert signer_settings(base | {"exchanges": {"x": venue}}).exchanges["x"].repeats == 1
    assert coinbase.number_of('{"success_response":{"order_id":"0-a","product_id":"ETH-USDC"}}') == ("0-a", "ETH-USDC")  # fmt: skip
    for other in ("", "{}", "[]", '{"success_response":{"order_id":"../","product_id":"X"}}', "[" * 3_000):
        assert coinbase.number_of(other) is None
