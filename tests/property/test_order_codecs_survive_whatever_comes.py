"""What an exchange says of orders, cut, mixed and changed: one of our errors or an exact reading, and no fill that the frame does not tell.

The frames are those of the local servers (the paper exchange, the Hyperliquid dialect), through every codec that reads an account, and
through the ccxt library where it reads one. The same for what the signer is asked to sign.
"""

from __future__ import annotations

import asyncio
import json
import random
from collections.abc import Callable, Iterator
from dataclasses import replace
from decimal import Decimal
from pathlib import Path
from typing import Any

import orjson
import pytest
from ccxt_markets import Offline
from ccxt_rig import BAND
from coinbase_doors import COINBASE_DOORS
from kraken_doors import KRAKEN_DOORS
from mangled import changed, numbers

import agent.market.reading
from agent.domain.errors import FairleadError
from agent.domain.orders import Side
from agent.domain.reports import Balance, ExecutionReport, Fill, OrderSnapshot
from agent.ports import VenueInstrument
from agent.transport import binance as wire
from agent.transport.http import Reply
from agent.venues.binance_spot import codec as binance
from agent.venues.binance_spot import lists
from agent.venues.binance_usdm import codec as usdm
from agent.venues.binance_usdm import stops
from agent.venues.ccxt import border
from agent.venues.deribit import codec as deribit
from agent.venues.deribit import combos as deribit_combos
from agent.venues.dydx import codec as dydx
from agent.venues.dydx import node
from agent.venues.hyperliquid import codec as hyper
from chains.dydx import account_of
from keys.signer import binance_usdm as usdm_policy
from keys.signer import ccxt_policy, exchange, exchange_orders
from keys.signer import coinbase as coinbase_policy
from keys.signer import deribit as deribit_policy
from keys.signer import dydx as dydx_policy
from keys.signer import hyperliquid as hyper_policy
from keys.signer import kraken as kraken_policy
from keys.signer.deribit_combos import ComboLimit

D = Decimal
SEEDS: dict[str, list[str]] = json.loads(
    (Path(__file__).parents[1] / "golden" / "order_frames.json").read_text()
)
AT = VenueInstrument("ETHUSDC", "ETH", "USDC", D("0.01"), D("0.0001"), D("0.0001"), D(5), D(10), D(10))
BINANCE = binance.Reader("x", {"ETHUSDC": AT})
CONTRACT = VenueInstrument(
    "ETHUSDC", "ETHUSDC", "USDC", D("0.01"), D("0.0001"), D("0.0001"), D(5), D(5), D(2)
)
USDM = usdm.Reader("x", {"ETHUSDC": CONTRACT})
PERPETUAL = VenueInstrument(
    "ETH_USDC-PERPETUAL", "ETH_USDC-PERPETUAL", "USDC", D("0.01"), D("0.0001"), D("0.1"), D(0), D(5), D(2)
)
SPREAD = "ETH_USDC-FS-27DEC30_PERP"
LISTED = {SPREAD: ComboLimit({"ETH_USDC-27DEC30": 1, "ETH_USDC-PERPETUAL": -1}, BAND.per_order, BAND.per_day, D(-100), D(100), D(1))}  # fmt: skip
DERIBIT_KNOWN = {
    name: deribit.Market(replace(PERPETUAL, symbol=name, base=name), "USDC", inverse=False)
    for name in ("ETH_USDC-PERPETUAL", "ETH_USDC-27DEC30")
}
DERIBIT = deribit.Reader("x", DERIBIT_KNOWN)
DYDX_ACCOUNT = account_of("dydx1n56z5fhmemtffzkt2eqyf9kuc7ycjfs86mvqy7/0/12")
DYDX_MARKET = VenueInstrument(
    "ETH-USD", "ETH-USD", "USDC", D("0.01"), D("0.0001"), D("0.0001"), D(1), D(5), D(1)
)
DYDX = dydx.Reader("x", DYDX_ACCOUNT, {"ETH-USD": dydx.Market(DYDX_MARKET, 1, -9, D("0.2"))})
PURR = VenueInstrument("PURR/USDC", "PURR", "USDC", D("0.001"), D("0.01"), D("0.01"), D(10), D(7), D(4))
HYPER = hyper.Reader("x", {"PURR/USDC": hyper.Market(PURR, "PURR/USDC", 10_000)})
NOW = 1_800_000_000_000


def _orders(read: Callable[[Any], Any]) -> Callable[[bytes], Any]:
    return lambda body: [read(row) for row in _listed(wire.load(body, "rows"))]


def _listed(data: Any) -> list[Any]:
    with binance.understood("rows"):
        return list(data.values()) if isinstance(data, dict) else list(data)


def _one(read: Callable[[Any], Any], what: str = "x") -> Callable[[bytes], Any]:
    return lambda body: read(wire.load(body, what))


def _report(body: bytes) -> Any:
    data = wire.load(body, "an event")
    with binance.understood("an event"):
        return BINANCE.report(data.get("event", data))


def _amended(body: bytes) -> Any:
    data = wire.load(body, "an amendment")
    with binance.understood("an amendment", write=True):
        return BINANCE.order({**data["amendedOrder"], "origQty": data["amendedOrder"]["qty"], "updateTime": data["transactTime"]})  # fmt: skip


def _replaced(body: bytes) -> Any:
    with binance.understood("a replacement", write=True):
        return BINANCE.placed(wire.load(body, "a replacement", write=True)["newOrderResponse"])


def _socket(body: bytes) -> Any:
    data = hyper.load(body, "a message")
    with hyper.understood("a message"):
        rows = data["data"]["fills"] if data["channel"] == "userFills" else data["data"]
        if data["channel"] == "userFills":
            return [HYPER.fill(row) for row in rows]
        return [HYPER.order(row["order"], row["status"], row["statusTimestamp"]) for row in rows]


def _status(body: bytes) -> Any:
    data = hyper.load(body, "orderStatus")
    with hyper.understood("orderStatus"):
        if data["status"] == "unknownOid":
            return None
        return HYPER.order(data["order"]["order"], data["order"]["status"], data["order"]["statusTimestamp"])


def _rows(read: Callable[[Any], Any]) -> Callable[[bytes], Any]:
    def readings(body: bytes) -> Any:
        data = hyper.load(body, "rows")
        with hyper.understood("rows"):
            return [read(row) for row in data]

    return readings


def _event(body: bytes) -> Any:
    data = wire.load(body, "an event")
    with binance.understood("an event"):
        return USDM.report(data) if data["e"] == "ORDER_TRADE_UPDATE" else None


def _result(read: Callable[[Any], Any], *, write: bool = False) -> Callable[[bytes], Any]:
    return lambda body: read(deribit.result(body, "x", write=write))


def _refused(body: bytes) -> Any:
    """An answer that is an error is read as one: what cannot be read of a write is never a refusal."""
    try:
        deribit.result(body, "x", write=True)
    except FairleadError as error:
        assert error.verb in ("RETRY", "REJECT", "RECONCILE") and len(str(error)) < 600
    return None


def _combo(body: bytes) -> Any:
    """A combo's instrument and its details, one after the other."""
    data = deribit.result(body, "x")
    with deribit.understood("two answers"):
        row, details = data
    return deribit_combos.market(row, details, DERIBIT_KNOWN) and None


def _each(read: Callable[[Any], Any], of: str = "") -> Callable[[Any], Any]:
    def readings(data: Any) -> Any:
        with binance.understood("rows"):
            return [read(row) for row in (data[of] if of else data)]

    return readings


def _told(read: Callable[[Any], Any]) -> Callable[[bytes], Any]:
    return lambda body: read(dydx.load(body, "x"))


def _channel(body: bytes) -> Any:
    data = dydx.load(body, "a message")
    with dydx.understood("a message"):
        return [DYDX.fill(row)[2] for row in data["contents"]["fills"]]


def _chain(read: Callable[[bytes], Any]) -> Callable[[bytes], Any]:
    return lambda body: read(node.answered(dydx.load(body, "x")))


DOORS: dict[str, Callable[[bytes], Any]] = {
    "binance placed": _one(BINANCE.placed),
    "binance order": _one(BINANCE.order),
    "binance cancelled": _one(BINANCE.cancelled),
    "binance orders": _orders(BINANCE.order),
    "binance trades": _orders(BINANCE.trade),
    "binance account": _one(lambda data: (binance.balances(data, "x"), binance.permissions(data), binance.commission_bps(data))),
    "binance markets": _one(lambda data: (list(binance.instruments(data, D(10), D(10)).values()), wire.weight_a_minute(data))),
    "binance report": _report,
    "binance list": _one(lists.list_snapshot),
    "binance amended": _amended,
    "binance replaced": _replaced,
    "binance refusal": lambda body: wire.error_of(wire.refusal(body), write=True),
    "usdm order": _one(USDM.order),
    "usdm open orders": _orders(USDM.order),
    "usdm trades": _orders(USDM.trade),
    "usdm event": _event,
    "usdm refusal": lambda body: wire.error_of(wire.refusal(body), write=True, names=usdm.NAMES),
    "usdm positions": _one(lambda data: usdm.positions(data, {}, "x")),
    "usdm leverage": _one(usdm.leverages),
    "usdm balance": _one(lambda data: usdm.balances(data, "x")),
    "usdm account": _one(usdm.permissions),
    "usdm rates": _one(usdm.commission_bps),
    "usdm condition": _one(stops.condition),
    "usdm conditions": _orders(stops.condition),
    "usdm markets": _one(lambda data: list(usdm.instruments(data, D(5), D(2)).values())),
    "deribit placed": _result(DERIBIT.placed, write=True),
    "deribit order": _result(lambda row: DERIBIT.order(row, write=True), write=True),
    "deribit orders": _result(_each(DERIBIT.order)),
    "deribit trades": _result(_each(lambda row: DERIBIT.fill(row)[2], "trades")),
    "deribit combo trades": _result(_each(lambda row: [one[2] for one in deribit_combos.fills(DERIBIT, row)], "trades")),
    "deribit combo": _combo,
    "deribit positions": _result(_each(lambda row: DERIBIT.position(row) and None)),
    "deribit account": _result(lambda data: deribit.balances(data, "x")),
    "deribit markets": _result(lambda data: list(deribit.markets(data, D(3), D(5)))),
    "deribit refusal": _refused,
    "dydx order": _told(lambda row: DYDX.order(row).order),
    "dydx orders": _told(_each(lambda row: DYDX.order(row).order)),
    "dydx fills": _told(_each(lambda row: DYDX.fill(row)[2], "fills")),
    "dydx subaccount": _told(lambda data: (DYDX.balances(data), DYDX.positions(data) and None)),
    "dydx markets": _told(lambda data: list(dydx.markets(data, D(1), D(5)))),
    "dydx channel": _channel,
    "dydx height": _told(lambda data: dydx.height(data) and None),
    "dydx transaction": lambda body: dydx.taken(dydx.load(body, "x", write=True)),
    "dydx account": _chain(lambda value: node.account_number(DYDX_ACCOUNT, value) and None),
    "dydx authenticators": _chain(lambda value: node.power(DYDX_ACCOUNT, value) and None),
    "hyperliquid userFillsByTime": _rows(HYPER.fill),
    "hyperliquid frontendOpenOrders": _rows(lambda row: HYPER.order(row, "open", row["timestamp"])),
    "hyperliquid spotMeta": lambda body: list(hyper.markets(hyper.load(body, "x"), {"PURR/USDC": "20.75"}, D(4), D(7)).values()),
    "hyperliquid action": lambda body: hyper.statuses(hyper.load(body, "x", write=True)),
    "hyperliquid socket": _socket,
    "hyperliquid orderStatus": _status,
    "hyperliquid spotClearinghouseState": lambda body: hyper.balances(hyper.load(body, "x"), "x"),
    "hyperliquid clearinghouseState": lambda body: hyper.positions(hyper.load(body, "x"), "x"),
    **KRAKEN_DOORS,
    **COINBASE_DOORS,
}  # fmt: skip


def leaves(found: Any) -> Iterator[Any]:
    if isinstance(found, list | tuple):
        for one in found:
            yield from leaves(one)
    elif isinstance(found, OrderSnapshot):
        yield found
        yield from found.fills
    elif isinstance(found, ExecutionReport):
        yield from leaves(found.fill)
    elif found is not None:
        yield found


def judged(found: Any, text: bytes, booked: bool = False) -> None:
    """Every amount is one that the frame tells; a fill's two are its price times its quantity, or what the venue booked where it tells."""
    known: set[Decimal] | None = None
    for one in leaves(found):
        if isinstance(one, Fill | OrderSnapshot) and known is None:
            known = {
                value for value in numbers(json.loads(text, parse_float=Decimal), set()) if value.is_finite()
            }
        if isinstance(one, Fill):
            assert known is not None
            base, quote = (
                (one.qty_out, one.qty_in) if one.asset_in.endswith("/USDC") else (one.qty_in, one.qty_out)
            )
            assert base > 0 and quote > 0 and base in known and one.fee_qty >= 0, one
            told = booked and quote in known
            assert told or any(px * base == quote for px in known), "a price that the frame does not tell"
            assert one.fee_qty in known or one.fee_qty == 0
        elif isinstance(one, OrderSnapshot):
            assert known is not None and one.order_qty > 0 and 0 <= one.cum_qty <= one.order_qty
            assert isinstance(one.side, Side) and one.order_qty in known
            # Hyperliquid tells what is left: what is done is the difference of two numbers of the frame
            assert one.cum_qty in known or one.order_qty - one.cum_qty in known
            assert one.px is None or one.px in known
        elif isinstance(one, Balance):
            assert one.free.is_finite() and one.locked.is_finite()
        elif isinstance(one, Decimal):
            assert one.is_finite()


def attack(door: str, count: int, seed: int) -> tuple[int, int]:
    """(refused, read)."""
    chance, seeds, refused = random.Random(f"{door} {seed}"), SEEDS[door], 0
    for _ in range(count):
        text = changed(chance.choice(seeds), chance, seeds).encode("utf-8", "surrogatepass")
        try:
            found = DOORS[door](text)
        except FairleadError as error:
            assert error.verb in ("RETRY", "REJECT", "RECONCILE", "HALT") and len(str(error)) < 600
            refused += 1
            continue
        judged(found, text, booked=door.startswith("kraken"))
    kept = agent.market.reading._numbers
    assert len(kept) <= kept.KEPT and len(HYPER.names) < 1_000
    return refused, count - refused


def test_every_recorded_answer_has_its_door() -> None:
    assert set(SEEDS) - {"hyperliquid allMids"} == set(DOORS)


@pytest.mark.parametrize("door", DOORS)
def test_no_answer_ends_otherwise_than_read_or_refused(door: str) -> None:
    refused, read = attack(door, 300, 1)
    assert read > 10 and (
        refused > 30
        or door in ("binance markets", "kraken placed", "coinbase placed")
        or door.endswith(" refusal")
    )


@pytest.mark.full
@pytest.mark.timeout(3_600)
@pytest.mark.parametrize("door", DOORS)
def test_a_million_answers_end_no_otherwise(door: str) -> None:
    refused, read = attack(door, 1_000_000 // len(DOORS) + 1, 2)
    assert refused + read > 1_000_000 // len(DOORS)


CCXT = {
    "binance order": ("fetch_order", "1", "ETH/USDC"),
    "binance placed": ("create_order", "ETH/USDC", "limit", "buy", "2", "2990", {"timeInForce": "GTC"}),
    "binance orders": ("fetch_open_orders", "ETH/USDC"),
    "binance trades": ("fetch_my_trades", "ETH/USDC"),
    "binance account": ("fetch_balance",),
    "binance refusal": ("fetch_balance",),
}


async def by_library(offline: Offline, door: str, count: int, seed: int) -> tuple[int, int]:
    chance, seeds, refused = random.Random(f"ccxt {door} {seed}"), SEEDS[door], 0
    asked = {"url": "https://api.binance.com/api/v3/x", "method": "GET", "headers": {}, "body": None}
    for number in range(count):
        text = changed(chance.choice(seeds), chance, seeds).encode("utf-8", "surrogatepass")
        try:
            try:
                data = offline.library._read(
                    asked, Reply(400 if "refusal" in door else 200, {}, text), write=False
                )
            except FairleadError:
                raise
            except Exception as error:  # noqa: BLE001 - the library's own tree
                raise border.error_of(error, "x", write=False) from None
            told = await offline.library.answered(data, *CCXT[door])
            if door.endswith("trades"):
                found: Any = [border.fill(row, AT, "x") for row in told]
            elif door.endswith(("account", "refusal")):
                found = border.balances(told, "x")
            else:
                rows = told if isinstance(told, list) else [told]
                found = [border.order(row, AT, binance.ClOrdId("n")) for row in rows]
        except FairleadError as error:
            assert error.verb in ("RETRY", "REJECT", "RECONCILE", "HALT")
            refused += 1
            continue
        judged(found, text)
        if not number % 500:
            await asyncio.sleep(0)
    assert len(offline.library.raw.markets) == 1 and len(offline.library.raw.orders or {}) == 0
    return refused, count - refused


@pytest.mark.parametrize("door", CCXT)
async def test_what_the_library_makes_of_a_changed_answer_is_no_other_fill(door: str) -> None:
    offline = Offline("binance")
    refused, _ = await by_library(offline, door, 200, 1)
    await offline.close()
    assert refused > 20


@pytest.mark.full
@pytest.mark.timeout(3_600)
@pytest.mark.parametrize("door", CCXT)
async def test_nor_of_two_hundred_thousand(door: str) -> None:
    offline = Offline("binance")
    await by_library(offline, door, 33_334, 2)
    await offline.close()


REQUESTS = {
    "binance": ["symbol=ETHUSDC&side=BUY&type=LIMIT&quantity=2&price=2990&timeInForce=GTC&newClientOrderId=fl-a&recvWindow=5000&timestamp=1800000000000"],
    "ccxt": [
        orjson.dumps({"at_ms": NOW, "params": {"instId": "ETH-USDC", "side": "buy", "ordType": "limit", "sz": "1", "px": "3000", "tdMode": "cash", "clOrdId": "fla"}}).decode(),
        orjson.dumps({"at_ms": NOW, "params": {"instId": "ETH-USDC", "ordId": "1", "newSz": "1", "newPx": "3000"}}).decode(),
    ],
    "binance_usdm": [
        "symbol=ETHUSDC&side=BUY&type=LIMIT&quantity=1&newClientOrderId=fl-a&newOrderRespType=RESULT&timeInForce=GTX&price=3000&reduceOnly=true&recvWindow=5000&timestamp=1800000000000",
        "symbol=ETHUSDC&side=SELL&quantity=2&price=2990&origClientOrderId=fl-a&recvWindow=5000&timestamp=1800000000000",
        "algoType=CONDITIONAL&symbol=ETHUSDC&side=SELL&type=STOP&quantity=1&triggerPrice=2900&clientAlgoId=fl-b&timeInForce=GTC&price=2890&timestamp=1800000000000",
        "symbol=ETHUSDC&countdownTime=60000&timestamp=1800000000000",
    ],
    "deribit": [
        "instrument_name=ETH_USDC-PERPETUAL&amount=1&type=limit&label=fl-a&price=3000&time_in_force=good_til_cancelled&valid_until=1800000005000",
        "instrument_name=ETH_USDC-PERPETUAL&amount=2&type=limit&label=fl-a&price=2990&time_in_force=immediate_or_cancel&reduce_only=true&valid_until=1800000004000",
    ],
    "deribit combo": [
        f"instrument_name={SPREAD}&amount=1&type=limit&label=fl-a&price=-12.5&time_in_force=good_til_cancelled&valid_until=1800000005000",
        f"instrument_name={SPREAD}&amount=2&type=limit&label=fl-a&price=0&post_only=true&reject_post_only=true&valid_until=1800000004000",
    ],
    "coinbase": [
        '{"client_order_id":"666c01bd-1442-e433-feef-fc7cef9d74b0","product_id":"ETH-USDC","side":"SELL","order_configuration":{"limit_limit_gtc":{"base_size":"2","limit_price":"2990","post_only":false}}}',
        '{"client_order_id":"666c01bd-1442-e433-feef-fc7cef9d74b1","product_id":"ETH-USDC","side":"BUY","order_configuration":{"sor_limit_ioc":{"base_size":"0.5","limit_price":"3000"}}}',
    ],
    "kraken": [
        "pair=ETHUSDC&type=sell&ordertype=limit&volume=2&price=2990&timeinforce=GTC&oflags=fciq&cl_ord_id=666c01bd-1442-e433-feef-fc7cef9d74b0&deadline=2027-01-15T08:00:05.000Z",
        "pair=ETH/USDC&type=buy&ordertype=limit&volume=0.5&price=3000&timeinforce=IOC&oflags=fciq,post&cl_ord_id=666c01bd-1442-e433-feef-fc7cef9d74b1&deadline=2027-01-15T08:00:04.000Z",
    ],
    "dydx": ['{"account":100,"action":{"type":"place","id":7,"pair":1,"resolution":-9,"flags":64,"until":1800086400,"buy":true,"quantums":2000000000,"subticks":3000000000,"tif":0,"reduce_only":false}}'],
    "hyperliquid": ['{"action":{"type":"order","orders":[{"a":10000,"b":true,"p":"20","s":"1","r":false,"t":{"limit":{"tif":"Gtc"}},"c":"0x666c01bd1442e433feeffc7cef9d74b0"}],"grouping":"na"},"expiresAfter":1800000005000}'],
}  # fmt: skip


def ask(name: str, text: str) -> Decimal | None:
    """What may be signed costs this; None for what is no order. Only our errors come out."""
    if name == "binance":
        values = exchange.check("binance", (), "POST", "/api/v3/order", text, now_ms=NOW)
        return exchange_orders.judge(values, {"ETHUSDC": BAND}, {}, NOW).cost if exchange_orders.is_order(values) else None  # fmt: skip
    if name == "ccxt":
        path = "private/trade/amend-order" if "newSz" in text else "private/trade/order"
        call = ccxt_policy.check("ccxt:okx", (), "POST", path, text, now_ms=NOW)
        counted = ccxt_policy.judged(call, {"ETH-USDC": BAND}, {}, NOW)
        return counted.cost if counted is not None else None
    if name == "binance_usdm":
        values = exchange.check("binance_usdm", (), "POST", "/fapi/v1/order", text, now_ms=NOW)
        if not exchange_orders.is_order(values):
            return None
        return exchange_orders.judge(usdm_policy.plain(values), {"ETHUSDC": BAND}, {}, NOW).cost
    if name in ("deribit", "deribit combo"):
        words = deribit_policy.check("GET", "/api/v2/private/sell", text, now_ms=NOW, combos=LISTED).words
        assert words is not None
        return deribit_policy.judge(words, {"ETH_USDC-PERPETUAL": BAND}, LISTED, {}, NOW).cost
    if name == "coinbase":
        words = coinbase_policy.check("POST", "/api/v3/brokerage/orders", text, now_ms=NOW).words
        assert words is not None
        return exchange_orders.judge(words, {"ETH-USDC": BAND}, {}, NOW).cost
    if name == "kraken":
        pairs = frozenset({"ETH/USDC"})
        words = kraken_policy.check("POST", "/0/private/AddOrder", text, now_ms=NOW, symbols=pairs).words
        assert words is not None
        return exchange_orders.judge(words, {"ETH/USDC": BAND}, {}, NOW).cost
    if name == "dydx":
        counted = dydx_policy.judged(
            dydx_policy.check("POST", dydx_policy.PATH, text, now_ms=NOW), {"1@-9": BAND}, {}, NOW
        )
        return None if counted is None else counted.cost
    asked = hyper_policy.check("POST", "/exchange", text, now_ms=NOW)
    return sum((one.cost for one in hyper_policy.judged(asked, {"10000": BAND}, {}, NOW)), D(0))


def signers(name: str, count: int, seed: int) -> int:
    """How many would be signed."""
    chance, granted = random.Random(f"{name} {seed}"), 0
    for _ in range(count):
        text = changed(chance.choice(REQUESTS[name]), chance, REQUESTS[name])
        try:
            cost = ask(name, text)
        except FairleadError as error:
            assert error.verb in ("DENIED", "USAGE") and len(str(error)) < 700
            continue
        granted += 1
        assert cost is None or 0 < cost <= BAND.per_order
    return granted


@pytest.mark.parametrize("name", REQUESTS)
def test_what_the_signer_is_asked_is_refused_or_counted(name: str) -> None:
    assert ask(name, REQUESTS[name][0]) is not None
    assert signers(name, 1_000, 1) > 10


@pytest.mark.full
@pytest.mark.timeout(3_600)
@pytest.mark.parametrize("name", REQUESTS)
def test_so_it_is_a_million_times(name: str) -> None:
    assert signers(name, 1_000_000 // len(REQUESTS) + 1, 2) > 1_000
