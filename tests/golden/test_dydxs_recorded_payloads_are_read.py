"""dYdX as it was recorded: markets, books, trades, and one account's orders, fills and balance, each read exactly; ids follow from orders."""

from __future__ import annotations

import json
from dataclasses import replace
from decimal import Decimal

import pytest
from recordings import payloads

from agent.domain.errors import Retry
from agent.domain.ids import ClOrdId
from agent.domain.order_state import OrdStatus
from agent.domain.orders import OrdType, Side, TimeInForce, VenueOrder
from agent.margin.accounts import judge
from agent.market.feed import BookDelta, BookSnapshot, Count, Event, Funding, Instrument, Note, Ticker, Trade
from agent.market.ladder import Ladder, Step
from agent.venues import PLAIN
from agent.venues.dydx import FEED, codec, margin
from chains.dydx import account_of, price, quantity

D = Decimal
ADDRESS = "dydx1n56z5fhmemtffzkt2eqyf9kuc7ycjfs86mvqy7"
ACCOUNT = account_of(ADDRESS)


def answer(payload: str) -> bytes:
    """What the indexer said: the recorder put it into a wrapping of its own."""
    told: bytes = json.dumps(json.loads(payloads("dydx")[payload])["result"]).encode()
    return told


def told(payload: str) -> tuple[Event, ...]:
    return tuple(e for e in FEED.decode(payloads("dydx")[payload]) if not isinstance(e, Count))


@pytest.fixture(scope="module")
def markets() -> dict[str, codec.Market]:
    return codec.markets(codec.load(answer("http_get_perpetual_markets"), "x"), D(1), D(5))


@pytest.fixture
def reader(markets: dict[str, codec.Market]) -> codec.Reader:
    return codec.Reader("dydx", ACCOUNT, markets)


def test_every_payload_is_read_and_says_what_its_name_says() -> None:
    kinds = {name: {type(e).__name__ for e in told(name)} for name in payloads("dydx") if name.startswith("ws_")}  # fmt: skip
    assert kinds == {
        "ws_block_height_subscribed": {"Note"},
        "ws_block_height_update": {"Note"},
        "ws_candles_subscribed": {"Note"},
        "ws_candles_update": {"Note"},
        "ws_error": {"Note"},
        "ws_markets_status_update": {"Funding", "Note"},
        "ws_markets_subscribed": {"Instrument", "Ticker", "Funding"},
        "ws_markets_update": {"Ticker"},
        "ws_orderbook_subscribed": {"BookSnapshot"},
        "ws_orderbook_update": {"BookDelta"},
        "ws_subaccounts_subscribed": {"Note"},
        "ws_subaccounts_update": {"Note"},
        "ws_trades_subscribed": {"Trade"},
        "ws_trades_update": {"Trade"},
    }
    (error,) = told("ws_error")
    assert isinstance(error, Note) and error.refused
    answered = {
        "http_get_perpetual_markets": ("perpetualMarkets", 9),
        "http_get_orderbook": ("orderbooks", 1),
        "http_get_trades": ("trades", 3),
        "http_get_historical_funding": ("historicalFunding", 3),
    }
    for name, (kind, count) in answered.items():
        assert len(FEED.answers[kind]("BTC-USD", answer(name))) == count, name
    elsewhere = "candles fills orders subaccount time transfers block_height".split()
    assert {n for n in payloads("dydx") if n.startswith("http_")} == {*answered, *(f"http_get_{e}" for e in elsewhere)}  # fmt: skip


def test_a_book_and_its_update_are_kept_level_by_level() -> None:
    (book,), (delta,) = told("ws_orderbook_subscribed"), told("ws_orderbook_update")
    assert isinstance(book, BookSnapshot) and isinstance(delta, BookDelta)
    ladder = Ladder("BTC-USD", FEED.rules)
    assert ladder.load(book, 1) is Step.APPLIED and ladder.apply(delta, 2) is Step.APPLIED
    bids, asks = ladder.sound(3)
    assert bids == ((D("43240.0"), D("2.0")), (D("43238.0"), D("1.5")), (D("43235.0"), D("2.3")), (D("43230.0"), D("0.8")))  # fmt: skip
    assert asks == ((D("43252.0"), D("3.0")), (D("43255.0"), D("2.0")), (D("43260.0"), D("0.9")))
    over = replace(delta, bids=((D("43255.0"), D(1)),), asks=())
    assert ladder.apply(over, 4) is Step.APPLIED
    bids, asks = ladder.sound(5)
    assert (bids[0], asks) == ((D("43255.0"), D(1)), ((D("43260.0"), D("0.9")),))


def test_messages_of_a_connection_are_counted() -> None:
    numbers = {
        name: [e.number for e in FEED.decode(body) if isinstance(e, Count)]
        for name, body in payloads("dydx").items()
        if name.startswith("ws_")
    }
    assert numbers["ws_orderbook_subscribed"] == [1] and numbers["ws_orderbook_update"] == [2]
    assert all(len(found) == 1 for found in numbers.values())


def test_trades_funding_prices_and_instruments_are_exact() -> None:
    (first, second) = told("ws_trades_update")
    assert isinstance(first, Trade) and isinstance(second, Trade)
    assert (first.side, first.px, first.qty) == (Side.SELL, D("43248.0"), D("1.2"))
    assert second.at_ns - first.at_ns == 10**9
    events = FEED.answers["perpetualMarkets"]("", answer("http_get_perpetual_markets"))
    btc = next(e for e in events if isinstance(e, Instrument))
    assert (btc.symbol, btc.tick, btc.lot, btc.settle) == ("BTC-USD", D(1), D("0.0001"), "USDC")
    assert next(e.index for e in events if isinstance(e, Ticker)) == D("89919.2")
    assert next(e.rate for e in events if isinstance(e, Funding)) == D("0.00000254545454545455")


def test_quantities_and_prices_go_into_the_chains_units_and_back(markets: dict[str, codec.Market]) -> None:
    assert {s: (m.pair, m.resolution, m.margin) for s, m in markets.items()} == {
        "BTC-USD": (0, -10, D("0.02")),
        "ETH-USD": (1, -9, D("0.02")),
        "SOL-USD": (5, -7, D("0.05")),
    }
    for symbol, market in markets.items():
        step, tick = market.instrument.lot, market.instrument.tick
        order = VenueOrder(ClOrdId("fl-a"), symbol, Side.BUY, OrdType.LIMIT, TimeInForce.GTC, 7_777 * step, 12_345 * tick)  # fmt: skip
        action = codec.place_action(order, market, PLAIN, 1)
        assert quantity(action["quantums"], market.resolution) == order.order_qty
        assert price(action["subticks"], market.resolution) == order.px
    row = json.loads(answer("http_get_perpetual_markets"))
    row["markets"]["BTC-USD"]["subticksPerTick"] = 10_000
    row["markets"]["ETH-USD"]["status"] = "PAUSED"
    assert list(codec.markets(row, D(1), D(5))) == ["SOL-USD"], (
        "a grid that is not the chain's is not traded on"
    )


def test_an_orders_id_follows_from_the_account_the_market_and_its_number() -> None:
    for row in json.loads(answer("http_get_orders")):
        found = codec.order_id(ACCOUNT, int(row["clientId"]), int(row["orderFlags"]), int(row["clobPairId"]))
        assert (found, codec.subaccount_id(ACCOUNT)) == (row["id"], row["subaccountId"])


def test_the_accounts_orders_and_fills_belong_together(reader: codec.Reader) -> None:
    orders = {one.id: one for one in map(reader.order, codec.load(answer("http_get_orders"), "x"))}
    assert {one.order.status for one in orders.values()} == {OrdStatus.FILLED} and len(orders) == 3
    fills = [reader.fill(row) for row in codec.load(answer("http_get_fills"), "x")["fills"]]
    for name, number, fill in fills:
        stands = orders[number]
        bought = stands.order.side is Side.BUY
        assert name == f"dydx-{number}" == stands.order.cl_ord_id
        assert (fill.qty_out if bought else fill.qty_in) == stands.order.cum_qty == D("0.0001")
        assert (fill.qty_in if bought else fill.qty_out) in (D("10.5117"), D("10.4746"))
    assert {(one.flags, one.until) for one in orders.values()} == {(0, 63_049_881), (0, 63_045_127)}


def test_what_we_placed_is_called_by_our_name(reader: codec.Reader, markets: dict[str, codec.Market]) -> None:
    row = codec.load(answer("http_get_orders"), "x")[0]
    ours = ClOrdId("fl-abcdefghijklmnopqrst")
    reader.knows(ours, markets["BTC-USD"])
    number = codec.order_id(ACCOUNT, codec.client_id(ours), 0, 0)
    assert reader.order({**row, "id": number}).order.cl_ord_id == ours
    assert reader.order(row).order.cl_ord_id == f"dydx-{row['id']}"


def test_the_accounts_channel_and_its_balance_are_read(reader: codec.Reader) -> None:
    contents = codec.load(payloads("dydx")["ws_subaccounts_update"], "x")["contents"]
    (order,), (fill,) = map(reader.order, contents["orders"]), map(reader.fill, contents["fills"])
    assert (order.order.status, order.order.px, fill[1]) == (OrdStatus.FILLED, D("43000.0"), order.id)
    named = {("ticker" if name == "market" else name): value for name, value in contents["fills"][0].items()}
    assert reader.fill(named) == fill and reader.trades(named)
    assert fill[2].qty_in == D("21500.00") and fill[2].fee_qty == D("10.75")
    (held,) = reader.balances(codec.load(answer("http_get_subaccount"), "x"))
    assert (held.free, held.locked) == (D("45.201296"), 0)
    whole = codec.load(payloads("dydx")["ws_subaccounts_subscribed"], "x")["contents"]
    (position,) = reader.positions(whole)
    assert (position.qty, position.cost, position.entry_px) == (D("0.5"), D("21500.00"), D("43000.0"))
    (held,) = reader.balances(whole)
    assert (held.free, held.locked) == (D("100000.25"), D("21499.75"))
    assert codec.height(codec.load(answer("http_get_block_height"), "x"))[0] == 66_624_132
    assert codec.server_ms(codec.load(answer("http_get_time"), "x")) == 1_765_210_316_125


def test_a_recorded_subaccount_is_judged_at_the_chains_own_prices(reader: codec.Reader) -> None:
    """USDC and the position's cost of 21,500 are the balance; the recorded market needs its own share of what half a bitcoin is worth there."""
    whole = codec.load(payloads("dydx")["ws_subaccounts_subscribed"], "x")["contents"]
    markets = codec.load(answer("http_get_perpetual_markets"), "x")
    row = markets["markets"]["BTC-USD"]
    cash = D(whole["subaccount"]["assetPositions"]["USDC"]["size"])
    (found,) = judge(margin.document("dydx", whole, reader.positions(whole), markets, 5))
    assert found.health is not None and found.health.maintenance_raw is not None and found.id == "dydx USDC"
    needed = D("0.5") * D(row["oraclePrice"]) * D(row["maintenanceMarginFraction"])
    assert abs(D(found.health.maintenance_raw).scaleb(-8) - needed) < D("0.00000002")
    worth = cash + D("0.5") * D(row["oraclePrice"])
    assert abs(D(found.health.collateral_value_raw).scaleb(-8) - worth) < D("0.00000002")
    row["oraclePrice"] = None
    with pytest.raises(Retry) as quiet:
        margin.document("dydx", whole, reader.positions(whole), markets, 5)
    assert quiet.value.code == "NO_ORACLE_PRICE"
    bare = codec.load(answer("http_get_subaccount"), "x")
    assert judge(margin.document("dydx", bare, reader.positions(bare), markets, 5)) == []
