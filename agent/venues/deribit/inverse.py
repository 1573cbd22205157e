"""Contracts in dollars' worth of a coin, as they are traded here: so many dollars, each priced in the coin. Pure.

Who sells the contract at p owes so many coins as `amount / p` and has the dollars for them: that is the purchase of `amount` dollars at
1 / p coins each, and a loss or gain of a short is exactly its loss or gain. So a book turns round (its bids are where dollars are bought), and
so do sides and prices of orders, each rounded against us. Source: Deribit's contract specification of inverse perpetuals and
futures (profit in coins of a long of `size` dollars is size · (1/entry − 1/exit)).
"""

from __future__ import annotations

from dataclasses import replace
from decimal import ROUND_CEILING, ROUND_FLOOR, Decimal

from agent.domain.orders import Side, VenueOrder
from agent.domain.units import WIDE, quantize_down, quantize_up
from agent.ports import VenueBook

COIN_PLACES = Decimal("1e-18")
"""The step of a dollar's price in coins, and of what is paid for dollars."""
NEAR = Decimal("1e-3")
"""Of a tick: a price that is no further from one was that tick before it was turned and rounded."""


def coins_up(amount: Decimal, px: Decimal) -> Decimal:
    """What so many dollars are of the coin, rounded up to 18 places."""
    return WIDE.divide(amount, px).quantize(COIN_PLACES, ROUND_CEILING, WIDE)


def coins_down(amount: Decimal, px: Decimal) -> Decimal:
    return WIDE.divide(amount, px).quantize(COIN_PLACES, ROUND_FLOOR, WIDE)


def other(side: Side) -> Side:
    return Side.SELL if side is Side.BUY else Side.BUY


def turned(book: VenueBook) -> VenueBook:
    """The exchange's book of dollars per coin as one of coins per dollar; amounts are dollars in both."""
    one = Decimal(1)
    return replace(
        book,
        bids=tuple((coins_down(one, px), qty) for px, qty in book.asks),
        asks=tuple((coins_up(one, px), qty) for px, qty in book.bids),
    )


def at_venue(order: VenueOrder, tick: Decimal) -> VenueOrder:
    """The order in the exchange's words: dollars bought are the contract sold, for no less than was meant."""
    side = other(order.side)
    return replace(order, side=side, px=None if order.px is None else venue_px(order.px, tick, side))


def venue_px(px: Decimal, tick: Decimal, side: Side) -> Decimal:
    """Dollars a coin on the tick: never below 1 / px for a sale of the contract, never above it for a purchase. What is no further than
    `NEAR` of a tick from one is that tick: 1 / px was rounded."""
    exact = WIDE.divide(Decimal(1), px)
    below, above = quantize_down(exact, tick), quantize_up(exact, tick)
    for near in (below, above):
        if near and abs(WIDE.subtract(exact, near)) <= WIDE.multiply(tick, NEAR):
            return near
    return above if side is Side.SELL else below


def coin_px(px: Decimal) -> Decimal:
    """Coins a dollar, to 18 places, of a price that an order has at the exchange."""
    return WIDE.divide(Decimal(1), px).quantize(COIN_PLACES, None, WIDE)
