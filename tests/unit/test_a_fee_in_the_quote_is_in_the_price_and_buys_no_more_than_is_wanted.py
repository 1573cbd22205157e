"""Kraken, Coinbase and some exchanges of the ccxt family charge in the quote, beside what changes hands: a plan counts that in its prices, and orders what is wanted."""

from __future__ import annotations

from decimal import Decimal

import ccxt
import pytest

from agent.app.contracts import all_in, bare_px
from agent.app.testvenue.coinbase_wire import product_json
from agent.app.testvenue.kraken_wire import pair_json
from agent.app.testvenue.quote_fees import QuoteFees
from agent.app.testvenue.spec import SymbolSpec
from agent.domain.instruments import cex_id
from agent.domain.orders import Side
from agent.market.book import Book, buy_base_exact
from agent.ports import VenueBook, VenueInstrument
from agent.venues.ccxt.border import instrument as instrument_of
from agent.venues.ccxt.exchanges import KNOWN
from agent.venues.coinbase.codec import markets
from agent.venues.kraken.codec import Markets

D = Decimal
SPEC = SymbolSpec("ETH", "USDC")
TAKER_BPS = D(100)
THERE = VenueBook("", ((D("2999.97"), D(3)),), ((D("3000.03"), D(2)), (D("3001.07"), D(5))), 1)


def kraken() -> VenueInstrument:
    found = Markets()
    found.read({"ETHUSDC": pair_json(SPEC, QuoteFees([SPEC], D("0.01"), D("0.01")))}, D(0), D(0))
    return found.by_symbol["ETH/USDC"].instrument


def coinbase() -> VenueInstrument:
    engine = QuoteFees([SPEC], D("0.01"), D("0.01"))
    rows = {"products": [product_json(SPEC, engine.books[SPEC.symbol])]}
    return markets(rows, D(0), TAKER_BPS)["ETH-USDC"]


def of_the_family(exchange: str) -> VenueInstrument:
    """By the library's own class of it, with what that says of fees and nothing else of a network."""
    library = getattr(ccxt, exchange)()
    steps = {"precision": {"price": "0.01", "amount": "0.0001"}, "limits": {"amount": {"min": "0.0001"}}}
    named = {"id": "ETH-USDC", "symbol": "ETH/USDC", "base": "ETH", "quote": "USDC", "baseId": "ETH", "quoteId": "USDC"}  # fmt: skip
    library.set_markets([library.safe_market_structure({**steps, **named, "type": "spot", "spot": True})])
    market = {**library.market("ETH/USDC"), "taker": "0.01"}
    if exchange == "hashkey":  # which alone writes into each market what it says of spot markets
        market["feeSide"] = library.fees["trading"]["spot"]["feeSide"]
    found = instrument_of(market, library.precisionMode, D(0), D(0), KNOWN[exchange].fee_side)
    assert found is not None
    return found


QUOTED = {"kraken": kraken, "coinbase": coinbase, "ccxt mexc": lambda: of_the_family("mexc")}


@pytest.mark.parametrize("exchange", KNOWN)
def test_in_what_an_exchange_of_the_family_charges_is_the_librarys_word_or_its_own(exchange: str) -> None:
    assert of_the_family(exchange).fee_in_quote == (exchange in {"kraken", "kucoin", "mexc"})


@pytest.fixture(params=QUOTED)
def instrument(request: pytest.FixtureRequest) -> VenueInstrument:
    return QUOTED[request.param]()


def test_what_is_bought_is_what_was_wanted_and_costs_its_fee_on_top(instrument: VenueInstrument) -> None:
    assert instrument.taker_fee_bps == TAKER_BPS
    bids, asks, fee_bps = all_in(instrument, THERE)
    assert fee_bps == 0
    base, quote = cex_id("there", "ETH"), cex_id("there", "USDC")
    steps = (instrument.lot, instrument.tick, instrument.min_notional)
    book = Book("there", "ETH/USDC", base, quote, fee_bps, *steps, bids, asks)
    found = buy_base_exact(book, 3 * 10**8, 8, 8)
    assert found is not None
    cost = (2 * D("3000.03") + D("3001.07")) * D("1.01")
    assert found.out_raw == 3 * 10**8 and 0 <= found.in_raw - cost.scaleb(8) < 1


def test_the_limit_that_is_sent_is_the_books_own_price_to_the_last_digit(instrument: VenueInstrument) -> None:
    bids, asks, _ = all_in(instrument, THERE)
    assert [bare_px(instrument, px, Side.BUY) for px, _ in asks] == [px for px, _ in THERE.asks]
    assert [bare_px(instrument, px, Side.SELL) for px, _ in bids] == [px for px, _ in THERE.bids]
