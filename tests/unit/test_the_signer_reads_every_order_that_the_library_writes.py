"""Of each exchange of the ccxt family: what the library itself writes for an order, a cancel and an amendment is judged and counted for
what it is, carried out by its own `sign` in the signer, and nothing beside it gets a signature."""

from __future__ import annotations

import asyncio
import json
from decimal import Decimal
from typing import Any

import ccxt
import pytest
from ccxt_markets import IDS, Offline, asked
from ccxt_rig import BAND
from manual_clock import ManualClock

from agent.transport.turns import LONGEST_NS, Turns
from agent.venues.ccxt.exchanges import KNOWN, our_name, their_name
from agent.venues.ccxt.session import PAGE
from chains.errors import Denied, Retry, Usage
from keys.signer import ccxt_desk, ccxt_policy
from keys.signer.ccxt_words import WORDS

NOW = 1_700_000_000_000
NAME = "fl" + "a1" * 10
MOST_ASKED = {"bitget": 100, "bybit": 100, "mexc": 100}
"""Rows that these exchanges document as the most of one request for trades."""


def test_every_exchange_that_orders_go_to_has_words_and_the_other_way_round() -> None:
    assert set(WORDS) == set(KNOWN) == set(IDS)


@pytest.mark.parametrize("exchange", IDS)
async def test_an_order_is_counted_by_its_own_words(exchange: str) -> None:
    more = {"timeInForce": "IOC", **KNOWN[exchange].orders} | ({"clientOrderId": NAME} if KNOWN[exchange].asked else {})  # fmt: skip
    offline = Offline(exchange)
    for side, qty, px, cost in (("buy", "0.5", "3000.01", "1500.005"), ("sell", "0.5", "3000", "5000")):
        request = await offline.library.captured("create_order", "ETH/USDC", "limit", side, qty, px, more)
        call, counted = offline.calls[-1]
        assert counted is not None and (counted.symbol, counted.cost) == (offline.symbol, Decimal(cost))
        assert call.writes and call.shape is not None
        sent = f"{request['url']} {request['body']}"
        assert qty in sent and px in sent and "secret" not in sent
        offline.leave(request)
        assert not KNOWN[exchange].asked or NAME in sent
    await offline.close()


@pytest.mark.parametrize("exchange", IDS)
async def test_reading_and_cancelling_are_no_orders(exchange: str) -> None:
    offline = Offline(exchange)
    request = await offline.library.captured("cancel_order", "123", "ETH/USDC")
    offline.leave(request)
    call, counted = offline.calls[-1]
    assert counted is None and call.writes and "123" in f"{request['url']} {request['body']}"
    known, since, page = KNOWN[exchange], NOW - 60_000, offline.library.page("fetchMyTrades", PAGE)
    reads: list[tuple[Any, ...]] = [
        ("fetch_open_orders",),
        ("fetch_balance",),
        ("fetch_order", "123", "ETH/USDC", dict(known.more)),
        ("fetch_my_trades", "ETH/USDC", since, page, dict(known.trades)),
        ("fetch_my_trades", "ETH/USDC", since, page, {"until": NOW, **known.trades}),
    ]
    if known.asked:
        reads.append(("fetch_order", "", "ETH/USDC", {**known.more, known.asked: known.prefix + NAME}))
    else:
        reads.append(("fetch_closed_orders", "ETH/USDC", since))
    if offline.library.raw.has["fetchOrderTrades"] is True:
        reads.append(("fetch_order_trades", "123", "ETH/USDC"))
    for read in reads:
        with pytest.raises(
            Retry, match="cannot be reached"
        ):  # signed, and stopped only by the want of a network
            await offline.library.call(*read)
        call, counted = offline.calls[-1]
        assert not call.writes and counted is None
        assert int(call.params.get("limit", 0)) <= MOST_ASKED.get(exchange, PAGE), read
    await offline.close()


async def test_where_nonces_have_to_grow_nothing_overtakes_an_order_that_is_signed() -> None:
    offline = Offline("kraken")
    more = dict(KNOWN["kraken"].orders)
    request = await offline.library.captured("create_order", "ETH/USDC", "limit", "buy", "0.5", "3000", more)
    reading = asyncio.create_task(offline.library.call("fetch_open_orders"))
    await asyncio.sleep(0.05)
    assert len(offline.calls) == 1, "an audit's question waits for the order to leave"
    with pytest.raises(Retry, match="cannot be reached"):
        await offline.library.send(request)
    with pytest.raises(Retry, match="cannot be reached"):
        await reading
    assert len(offline.calls) == 2
    await offline.close()
    okx = Offline("okx")
    await okx.library.captured("create_order", "ETH/USDC", "limit", "buy", "0.5", "3000", {})
    with pytest.raises(Retry, match="cannot be reached"):
        await okx.library.call("fetch_open_orders")
    await okx.close()


async def test_a_turn_that_nobody_ends_ends_by_itself() -> None:
    clock = ManualClock(10**9)
    turns = Turns(clock)
    first = await turns.take()
    second = await turns.take()
    assert second > first and clock.now_ns() >= 10**9 + LONGEST_NS
    turns.over(first)
    before = clock.now_ns()
    turns.over(second)
    await turns.take()
    assert clock.now_ns() == before, "the one before has nothing to end any more, the last has"


@pytest.mark.parametrize("exchange", [name for name, known in KNOWN.items() if known.amends])
async def test_an_amendment_is_counted_whole_at_the_dearest_price(exchange: str) -> None:
    call, counted, _ = await asked(exchange, "edit_order", "123", "ETH/USDC", "limit", "buy", "0.4", "3001")
    assert call.shape is not None and counted is not None and counted.cost == Decimal("0.4") * BAND.px_to


def endpoints(found: Any, at: tuple[str, ...] = ()) -> list[tuple[str, str]]:
    """(method, sections and path) of every endpoint that the library knows of an exchange."""
    told: list[tuple[str, str]] = []
    for key, value in found.items():
        if key in ("get", "post", "put", "delete", "patch"):
            told += [(key.upper(), "/".join((*at, path))) for path in value]
        elif isinstance(value, dict):
            told += endpoints(value, (*at, key))
    return told


@pytest.mark.parametrize("exchange", IDS)
def test_of_all_the_endpoints_the_library_knows_only_those_of_trading_are_signed(exchange: str) -> None:
    words = WORDS[exchange]
    every = endpoints(getattr(ccxt, exchange)().describe()["api"])
    granted, funds = set(), 0
    payload = json.dumps({"at_ms": NOW, "params": {}})
    for method, path in every:
        try:
            ccxt_policy.check(f"ccxt:{exchange}", (), method, path, payload, now_ms=NOW)
            granted.add(f"{method} {path}")
        except Denied as denied:
            funds += denied.code == "EXCHANGE_WITHDRAWAL"
            if denied.code == "EXCHANGE_PARAMETER":  # the path's own places are empty
                granted.add(f"{method} {path}")
    trading = words.orders.keys() | words.amends.keys() | words.reads | words.ends
    assert granted == trading | words.margin.keys(), "and each of them exists"
    assert not trading & words.margin.keys() and all(name.startswith("GET ") for name in words.margin)
    assert len(every) > 50 and funds > 3


def check(exchange: str, endpoint: str, params: Any, at_ms: int = NOW, **more: Any) -> ccxt_policy.Call:
    method, _, path = endpoint.partition(" ")
    payload = json.dumps({"at_ms": at_ms, "params": params, **more})
    return ccxt_policy.check(f"ccxt:{exchange}", (), method, path, payload, now_ms=NOW, symbols=frozenset({IDS[exchange]}))  # fmt: skip


OKX = {"instId": "ETH-USDC", "side": "buy", "ordType": "limit", "sz": "1", "px": "3000", "tdMode": "cash"}


@pytest.mark.parametrize("exchange", [name for name, words in WORDS.items() if words.margin])
def test_a_margin_account_is_read_by_its_own_parameters_and_by_no_others(exchange: str) -> None:
    words = WORDS[exchange]
    for endpoint, names in words.margin.items():
        call = check(exchange, endpoint, dict.fromkeys(names, "linear"))
        assert not call.writes and call.shape is None
        for strange in (words.names | {"recvWindow", "leverage"}) - names:
            with pytest.raises(Denied) as denied:
                check(exchange, endpoint, {strange: "1"})
            assert denied.value.code == "EXCHANGE_PARAMETER"
        for other in words.reads | words.ends:
            for strange in names - words.names:
                with pytest.raises(Denied):
                    check(exchange, other, {strange: "linear"})
    for method in ("POST", "PUT", "DELETE"):
        for endpoint in words.margin:
            with pytest.raises(Denied):
                check(exchange, endpoint.replace("GET", method), {})


def test_what_is_no_plain_spot_order_is_refused() -> None:
    order = "POST private/trade/order"

    def judge(**more: Any) -> Any:
        return ccxt_policy.judged(check("okx", order, OKX | more), {"ETH-USDC": BAND}, {}, NOW)

    assert judge().cost == 3000
    for more, code in (
        ({"tdMode": "cross"}, "EXCHANGE_ORDER"),
        ({"ordType": "market"}, "EXCHANGE_ORDER"),
        ({"side": "short"}, "EXCHANGE_ORDER"),
        ({"sz": "1e9"}, "EXCHANGE_ORDER"),
        ({"sz": 1}, None),
        ({"px": "20000"}, "EXCHANGE_COLLAR"),
        ({"sz": "1000"}, "EXCHANGE_PER_ORDER"),
        ({"attachAlgoOrds": "x"}, "EXCHANGE_PARAMETER"),
        ({"sz": 1.5}, "EXCHANGE_PARAMETER"),
        ({"clOrdId": "a&b"}, "EXCHANGE_PARAMETER"),
        ({"clOrdId": {"a": "b"}}, "EXCHANGE_PARAMETER"),
        ({"instId": "BTC-USDC"}, "EXCHANGE_SYMBOL"),
    ):
        if code is None:
            assert judge(**more).cost == 3000
            continue
        with pytest.raises(Denied) as refused:
            judge(**more)
        assert refused.value.code == code, more


def test_a_place_in_a_path_leads_nowhere_else() -> None:
    there = check(
        "gate", "DELETE private/spot/orders/{order_id}", {"order_id": "t-fl1", "currency_pair": "ETH_USDC"}
    )
    assert (there.sections, there.path) == (("private", "spot"), "orders/{order_id}")
    for value in ("../../withdrawals", "..", "1/cancel", "1?x=1", "%2e%2e", ""):
        with pytest.raises(Denied) as refused:
            check("gate", "DELETE private/spot/orders/{order_id}", {"order_id": value})
        assert refused.value.code == "EXCHANGE_PARAMETER"
    with pytest.raises(Denied):
        check("gate", "DELETE private/spot/orders/{order_id}", {"currency_pair": "ETH_USDC"})


def test_nothing_is_dated_ahead_doubled_or_hidden() -> None:
    read = "GET private/openOrders"
    with pytest.raises(Denied, match="ahead"):
        check("binance", read, {}, NOW + 61_000)
    for text in (
        '{"at_ms": 1, "params": {}, "params": {}}',
        '{"at_ms": 1, "params": {"symbol": "A", "symbol": "B"}}',
        '{"at_ms": "1", "params": {}}',
        '{"at_ms": 1}',
        "[1]",
        "{" * 5000,
        '{"at_ms": 1, "params": [{}]}',
    ):
        with pytest.raises(Usage):
            ccxt_policy.check("ccxt:binance", (), "GET", "private/openOrders", text, now_ms=NOW)
    with pytest.raises(Usage):
        check("binance", read, {}, more=1)
    with pytest.raises(Usage, match="ccxt:binance"):
        ccxt_policy.check("ccxt:deribit", (), "GET", "private/x", '{"at_ms": 1, "params": {}}', now_ms=NOW)


def test_no_log_on_is_signed_after_which_orders_need_no_signature() -> None:
    assert check("binance", "WS userDataStream.subscribe.signature", {}).method == "WS"
    for exchange, path in (("binance", "session.logon"), ("okx", "login"), ("bybit", "auth")):
        with pytest.raises(Denied, match="no signature"):
            check(exchange, f"WS {path}", {})
    with pytest.raises(Denied):
        check("binance", "WS userDataStream.subscribe.signature", {"symbol": "ETHUSDC"})


async def test_the_bytes_are_those_of_the_time_that_was_judged() -> None:
    """The same request has the same signature whenever it is made: asked for again it is good for no longer."""
    library = ccxt_desk.Library()
    made = library.of("x", "ccxt:okx", ("key", "secret", "word"))
    call = check("okx", "POST private/trade/order", OKX | {"clOrdId": NAME})
    first, again = (json.loads(ccxt_desk.made_and_signed(made, call)) for _ in range(2))
    assert first == again and first["headers"]["OK-ACCESS-TIMESTAMP"] == "2023-11-14T22:13:20.000Z"
    assert first["headers"]["OK-ACCESS-PASSPHRASE"] == "word" and "secret" not in json.dumps(first)
    assert json.loads(first["body"]) == OKX | {"clOrdId": NAME}


def test_our_names_come_back_as_ours() -> None:
    name = our_name("t-" + NAME, KNOWN["gate"])
    assert (
        name == "fl-" + NAME[2:]
        and their_name(name, KNOWN["gate"]) == NAME
        and their_name(name, KNOWN["binance"]) == name
    )
    assert our_name("web-1", KNOWN["okx"]) == "web-1"
