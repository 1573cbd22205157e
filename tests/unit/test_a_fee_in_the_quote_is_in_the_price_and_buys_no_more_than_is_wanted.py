"""Kraken, Coinbase and some exchanges of the ccxt family charge in the quote, beside what changes hands: a plan counts that in its prices, and orders what is wanted."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal

import ccxt
import pytest
from journal_moves import ASSETS, VENUE, child, order, part, planned

from agent.app.contracts import all_in, bare_px
from agent.app.testvenue.coinbase_wire import product_json
from agent.app.testvenue.kraken_wire import pair_json
from agent.app.testvenue.quote_fees import QuoteFees
from agent.app.testvenue.spec import SymbolSpec
from agent.domain.events import Accepted, Authorized, Reported, Sliced
from agent.domain.ids import ClOrdId, IntentId
from agent.domain.instruments import cex_id
from agent.domain.order_state import ExecType
from agent.domain.orders import Intent, ParentOrder, Side
from agent.domain.reports import ExecutionReport, Fill
from agent.journal.book import Book as Journalled
from agent.market.book import Book, buy_base_exact
from agent.ports import VenueBook, VenueInstrument
from agent.venues.ccxt.border import instrument as instrument_of
from agent.venues.ccxt.exchanges import KNOWN
from agent.venues.coinbase.codec import markets
from agent.venues.kraken.codec import Markets
from chains.types import Address, Hash32, Protection

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


@pytest.mark.parametrize(
    ("side", "fee_in", "eth", "usdc"),
    [
        (Side.BUY, "USDC", "2", "-6006"),
        (Side.BUY, "ETH", "1.998", "-6000"),
        (Side.SELL, "USDC", "-2", "5994"),
        (Side.SELL, "ETH", "-2.002", "6000"),
    ],
)
def test_a_position_has_what_came_and_what_went_whichever_the_fee_was_taken_of(
    side: Side, fee_in: str, eth: str, usdc: str
) -> None:
    eth_id, usdc_id = ASSETS[VENUE]
    give, get = (usdc_id, eth_id) if side is Side.BUY else (eth_id, usdc_id)
    slice_ = child(ClOrdId("c-1"), ClOrdId("p-1"), 0, side, D(2))
    one = replace(part(ClOrdId("fl-1"), slice_.cl_ord_id, VENUE), asset_in=give, asset_out=get)
    intent = Intent(IntentId("i-1"), "", side, "ETH", "USDC", D(2), None, "market", (), 50, Protection.PUBLIC, 0, 2**62)  # fmt: skip
    amounts = (D(6_000), D(2)) if side is Side.BUY else (D(2), D(6_000))
    fee = D(6) if fee_in == "USDC" else D("0.002")
    fill = Fill("x-1", VENUE, give, get, *amounts, usdc_id if fee_in == "USDC" else eth_id, fee, 5)
    book = Journalled()
    for event in (
        Accepted(ParentOrder(ClOrdId("p-1"), intent), 1),
        Sliced(slice_, 2),
        planned(slice_, (one,), D(3_000), 3),
        Authorized(
            one, order(one, D(2)), 0, Address(""), 0, 0, Hash32(""), b"", "", Protection.PUBLIC, 0, 0, 0, 4
        ),
        Reported(ExecutionReport(one.cl_ord_id, VENUE, ExecType.TRADE, 5, "1", fill)),
    ):
        book.apply(event)
    assert (book.positions["ETH"].qty, book.positions["USDC"].qty) == (D(eth), D(usdc))
    assert (book.holdings[eth_id], book.holdings[usdc_id]) == (D(eth), D(usdc)), "as holdings have it"
    back = ExecutionReport(one.cl_ord_id, VENUE, ExecType.TRADE_CANCEL, 6, "1", exec_ref_id="x-1")
    book.apply(Reported(back))
    assert (book.positions["ETH"].qty, book.positions["USDC"].qty) == (0, 0)
