"""Recorded reality: each frame and each payload of a supported venue says something exact in the common schema, or is named here."""

from __future__ import annotations

import importlib
from collections import Counter
from collections.abc import Iterable
from decimal import Decimal

import pytest
from recordings import asked, cassettes, heard, minutes, payloads

from agent.market.feed import BookDelta, BookSnapshot, Event, Funding, Instrument, Kind, Note, Ticker, Trade
from agent.market.feeds import FeedFacts

# what a payload is an answer to, where it is no frame of a stream
ANSWERED = {
    "binance_spot": {
        "depth_response": "depth",
        "exchange_info_response": "exchangeInfo",
        "trades_response": "trades",
        "book_ticker_response": "bookTicker",
        "ticker_24hr_response": "ticker/24hr",
        "ticker_price_response": "ticker/price",
    },
    "deribit": {
        "http_get_instrument": "get_instruments",
        "http_get_instrument_option": "get_instruments",
        "http_get_instruments": "get_instruments",
        "http_get_instruments_future_combo": "get_instruments",
        "http_get_instruments_option_combo": "get_instruments",
        "http_get_order_book": "get_order_book",
        "http_get_last_trades": "get_last_trades",
        "http_get_last_trades_future_combo": "get_last_trades",
        "http_get_last_trades_historical_combo": "get_last_trades",
        "http_get_last_trades_option_combo": "get_last_trades",
        "http_get_last_trades_perpetual_with_combo_tags": "get_last_trades",
    },
    "kraken": {
        "http_asset_pairs": "AssetPairs",
        "http_asset_pairs_tokenized": "AssetPairs",
        "http_order_book": "Depth",
        "http_ticker": "Ticker",
        "http_trades": "Trades",
        "http_futures_instruments": "futures/instruments",
        "http_futures_instrument_no_fee_schedule": "futures/instruments",
        "http_futures_orderbook": "futures/orderbook",
        "http_futures_tickers": "futures/tickers",
        "http_futures_historical_funding_rates": "futures/funding",
        "http_futures_public_executions": "futures/executions",
    },
    "coinbase": {
        "http_product": "products",
        "http_products": "products",
        "http_products_future": "products",
        "http_product_book": "product_book",
        "http_ticker": "ticker",
    },
    "hyperliquid": {
        "http_l2_book_btc": "l2Book",
        "http_l2_book_snapshot": "l2Book",
        "http_recent_trades_btc": "recentTrades",
        "http_funding_history": "fundingHistory",
        "http_meta_perp_sample": "meta",
        "http_all_perp_metas_non_usdc_collateral": "meta",
        "http_spot_meta_non_usdc_collateral": "spotMeta",
    },
}
# recognised on a stream and told as a Note: orders and accounts of venues that take none of ours, candles, single orders (level 3)
NOTED = {
    "binance_usdm": "kline_stream_closed kline_stream_open liquidation_stream",
    "deribit": (
        "ws_chart ws_error ws_order_buy_response ws_order_cancel_response ws_order_edit_response ws_order_sell_response ws_portfolio "
        "ws_order_stop_market_no_filled_amount ws_order_stop_market_response ws_subscribe_response ws_test_request ws_volatility_index"
    ),
    "kraken": (
        "ws_add_order_request ws_add_order_response_failure ws_add_order_response_success ws_amend_order_request ws_batch_add_request "
        "ws_batch_add_response_partial ws_cancel_order_request ws_futures_fills_delta ws_futures_fills_snapshot ws_futures_open_orders_cancel "
        "ws_futures_open_orders_cancel_post_only ws_futures_open_orders_delta ws_futures_open_orders_delta_full_fill "
        "ws_futures_open_orders_snapshot ws_l3_snapshot ws_l3_update_add ws_l3_update_delete ws_l3_update_modify_price "
        "ws_l3_update_modify_qty ws_ohlc_update ws_pong ws_subscribe_response"
    ),
    "coinbase": "ws_candles ws_heartbeats ws_subscriptions ws_user",
    "hyperliquid": "ws_all_dexs_asset_ctxs ws_user_fill_liquidation",
}
# no market data and no frame: answers about accounts, orders, candles, time
ELSEWHERE = {
    "deribit": (
        "http_get_account_summaries http_get_account_summaries_cross_margin http_get_combos http_get_expirations_any "
        "http_get_expirations_btc_option http_get_time http_get_tradingview_chart_data http_test"
    ),
    "kraken": (
        "http_add_order_spot http_cancel_order_futures http_cancel_order_spot http_closed_orders http_futures_candles_mark "
        "http_futures_candles_spot http_futures_candles_trade http_futures_fills http_futures_open_orders http_futures_open_positions "
        "http_futures_order_events http_futures_order_events_unknown http_ohlc http_open_orders http_send_order_futures "
        "http_send_order_futures_unknown_trigger http_server_time http_spot_balance http_spot_open_positions http_spot_trade_balance "
        "http_system_status http_trades_history"
    ),
    "coinbase": (
        "http_accounts http_candles http_cfm_balance_summary http_cfm_position http_cfm_positions http_fills http_order http_orders_list"
    ),
    "hyperliquid": (
        "http_clearinghouse_state_negative_total_raw_usd http_spot_clearinghouse_state http_user_fills_dust_conversion"
    ),
}
FOLDERS = {"binance_usdm": "binance/futures/market_data_json"}


def feed(name: str) -> FeedFacts:
    found: FeedFacts = importlib.import_module(f"agent.venues.{name}").FEED
    return found


def tally(events: Iterable[Event]) -> Counter[str]:
    return Counter(
        f"Note {event.kind}" if isinstance(event, Note) else type(event).__name__ for event in events
    )


@pytest.mark.parametrize("name", ["binance_usdm", "coinbase", "deribit", "hyperliquid", "kraken"])
def test_each_payload_says_what_its_name_says_or_is_named_as_no_market_data(name: str) -> None:
    facts, answered = feed(name), ANSWERED.get(name, {})
    noted, elsewhere = NOTED.get(name, "").split(), ELSEWHERE.get(name, "").split()
    found = payloads(FOLDERS.get(name, name))
    assert found and set(answered) | set(noted) | set(elsewhere) <= set(found)
    for payload, body in found.items():
        if payload in elsewhere:
            continue
        if payload in answered:
            events = facts.answers[answered[payload]]("X", body)
        else:
            events = facts.decode(body)
        told = [event for event in events if not isinstance(event, Note)]
        if payload in noted:
            assert all(isinstance(event, Note) or type(event).__name__ == "Count" for event in events), (
                payload
            )
        elif payload != "http_spot_meta_non_usdc_collateral":  # lists tokens and no pair
            assert told, payload


def test_each_market_payload_of_binance_spot_is_read() -> None:
    found = payloads("binance/spot/http_json")
    for payload, answer in ANSWERED["binance_spot"].items():
        assert feed("binance_spot").answers[answer]("X", found[payload]), payload


def test_each_recorded_exchange_with_hyperliquid_about_its_market_is_read() -> None:
    import orjson

    answers, read = feed("hyperliquid").answers, Counter[str]()
    for pairs in cassettes().values():
        for request, answer in pairs:
            kind = orjson.loads(request)["type"]
            if kind in answers:
                read[kind] += len(answers[kind]("X", answer))
    assert set(read) == {"allMids", "fundingHistory", "l2Book", "meta"}
    assert read["allMids"] == 28 and read["l2Book"] == 1
    assert read["fundingHistory"] > 1_000 and read["meta"] >= 100


def test_every_frame_of_the_captured_sockets_is_read() -> None:
    told = {
        name: tally(event for _, frame in heard(capture) for event in feed(name).decode(frame))
        for name, capture in (
            ("binance_spot", "BINANCE.ws.1"),
            ("coinbase", "COINBASE.ws.28"),
            ("deribit", "DERIBIT.ws.1"),
            ("kraken", "KRAKEN.ws.50"),
        )
    }
    assert told["binance_spot"] == {"BookDelta": 177, "Ticker": 84, "Trade": 2, "Note kline": 2}
    assert told["coinbase"] == {
        "BookSnapshot": 10,
        "BookDelta": 9_719,
        "Ticker": 107,
        "Trade": 107,
        "Note subscriptions": 3,
    }
    assert told["deribit"] == {"Ticker": 89, "BookSnapshot": 10, "BookDelta": 36, "Note answer": 1}
    assert told["kraken"] == {
        "BookSnapshot": 10,
        "BookDelta": 4_269,
        "Note systemStatus": 1,
        "Note subscriptionStatus": 10,
        "Note heartbeat": 31,
    }


@pytest.mark.parametrize(("market", "deltas", "touches", "trades"), [
    ("spot", 3_451, 28_040, 9_757), ("usdm", 6_551, 66_089, 21_313),
])  # fmt: skip
def test_six_minutes_of_binance_are_read(market: str, deltas: int, touches: int, trades: int) -> None:
    facts = feed(f"binance_{market}")
    told: Counter[str] = Counter()
    for _, frame in minutes(market):
        if b'"lastUpdateId"' in frame:
            events = facts.answers["depth"]("BTCUSDT", frame)
        else:
            events = facts.decode(frame)
        told.update(tally(events))
    outside = told.pop("Note trade outside the book", 0)
    assert told == {"BookSnapshot": 1, "BookDelta": deltas, "Ticker": touches, "Trade": trades - outside}
    assert outside < 100


def test_instruments_are_told_whole() -> None:
    found = {
        name: {i.symbol: i for url, body in asked(capture) for i in _instruments(name, url, body)}
        for name, capture in (("binance_spot", "BINANCE"), ("deribit", "DERIBIT"), ("coinbase", "COINBASE"), ("kraken", "KRAKEN"))
    }  # fmt: skip
    ((_, info),) = asked("BINANCE")
    assert len(found["binance_spot"]) == info.count('"baseAssetPrecision":')
    spot = found["binance_spot"]["ETHBTC"]
    assert (spot.kind, spot.tick, spot.lot, spot.min_notional) == (
        Kind.SPOT, Decimal("0.000001"), Decimal("0.0001"), Decimal("0.0001")
    )  # fmt: skip
    option = found["deribit"]["BTC-24SEP21-40000-P"]
    assert (option.kind, option.strike, option.call, option.tick, option.lot) == (
        Kind.OPTION, Decimal(40_000), False, Decimal("0.0005"), Decimal("0.1")
    )  # fmt: skip
    assert option.expiry_ns == 1_632_470_400 * 10**9
    perpetual = found["deribit"]["BTC-PERPETUAL"]
    assert perpetual.kind is Kind.PERPETUAL and perpetual.inverse and perpetual.settle == "BTC"
    assert perpetual.lot == 10 and perpetual.expiry_ns == 0
    linear = found["deribit"]["UNI_USDC-PERPETUAL"]
    assert not linear.inverse and linear.settle == "USDC"
    assert found["kraken"]["XBT/EUR"].tick == Decimal("0.1") and found["kraken"]["XBT/EUR"].lot == Decimal(
        "1E-8"
    )
    assert found["coinbase"]["BTC-GBP"].quote == "GBP"


def _instruments(name: str, url: str, body: str) -> list[Instrument]:
    answer = {
        "binance_spot": "exchangeInfo",
        "deribit": "get_instruments",
        "coinbase": "products",
        "kraken": "AssetPairs",
    }[name]
    return [event for event in feed(name).answers[answer]("", body) if isinstance(event, Instrument)]


def test_a_swap_told_as_json_numbers_stays_exact() -> None:
    (told, funding) = feed("deribit").decode(payloads("deribit")["ws_ticker"])
    assert isinstance(told, Ticker) and isinstance(funding, Funding)
    assert (told.bid, told.mark, funding.rate) == (
        Decimal("92283.5"), Decimal("92281.78"), Decimal("0.00001742")
    )  # fmt: skip
    (delta,) = feed("deribit").decode(payloads("deribit")["ws_book_delta"])
    assert isinstance(delta, BookDelta) and (Decimal("42501.0"), Decimal(0)) in delta.asks
    trade = feed("kraken").decode(payloads("kraken")["ws_trade_update"])[0]
    assert isinstance(trade, Trade) and trade.qty == Decimal("0.00027625")
    snapshot = feed("kraken").decode(payloads("kraken")["ws_futures_book_snapshot_with_zero_qty"])[0]
    assert isinstance(snapshot, BookSnapshot) and snapshot.seq == 326_072_249
