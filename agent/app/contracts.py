"""Contracts as the desk holds them: a position is so many contracts, bought or sold short with borrowed money of what settles them.

An exchange tells wallets and positions apart. The desk's book knows fills alone: one that buys a contract takes its notional and gives
contracts. Both agree where a wallet is told less what its positions cost: cash − cost, and the contracts beside it. What that comes to
at the mark is the account's equity. Only contracts that the settings name among their assets are told so.
"""

from __future__ import annotations

from collections.abc import Container, Mapping, Sequence
from decimal import Decimal, localcontext

from agent.domain.instruments import AssetId
from agent.domain.orders import Side
from agent.domain.reports import Balance, Position
from agent.domain.units import WIDE
from agent.ports import HoldsPositions, MarketVenue, VenueBook, VenueInstrument

ZERO = Decimal(0)
Levels = tuple[tuple[Decimal, Decimal], ...]


async def holdings_of(venue: MarketVenue, known: Container[AssetId]) -> list[Balance]:
    """What is held at a venue, contracts among `known` as holdings. Raises as `balances` and `positions`."""
    balances = await venue.balances()
    if not isinstance(venue, HoldsPositions):
        return list(balances)
    return as_holdings(balances, await venue.positions(), known)


def as_holdings(
    balances: Sequence[Balance], positions: Sequence[Position], known: Container[AssetId]
) -> list[Balance]:
    """`free` of a wallet stays what the venue lets be used as margin; free and locked together are the wallet less what positions cost.

    An inverse contract is dollars and goes the other way: its short has spent coins on them, whatever the price becomes, and so do books,
    orders and fills of it tell. What is left of the wallet is the whole of what the account gains where the coin does.
    """
    found = {balance.asset: balance for balance in balances}
    with localcontext(WIDE):
        for held in positions:
            if held.asset not in known or held.settle not in known:
                continue
            wallet = found.get(held.settle, Balance(held.settle, ZERO))
            sign = -1 if held.inverse else 1
            found[held.settle] = Balance(wallet.asset, wallet.free, wallet.locked - sign * held.cost)
            found[held.asset] = Balance(held.asset, sign * held.qty)
    return list(found.values())


def spendable_down(
    held: Mapping[AssetId, Balance], contract: AssetId, settle: AssetId, ask: Decimal
) -> tuple[Decimal, Decimal]:
    """(contracts that may be sold, money that may be spent on them): never more contracts on either side than the account is worth, nor
    than the venue has margin for. `ask`: the best price asked; `held` by asset, as `as_holdings` tells it."""
    wallet = held.get(settle, Balance(settle, ZERO))
    with localcontext(WIDE):
        position = held.get(contract, Balance(contract, ZERO)).free
        worth = wallet.free + wallet.locked + position * ask

        def room(against: Decimal) -> Decimal:
            return max(ZERO, min(worth - against * ask, wallet.free))

        long, short = max(position, ZERO), max(-position, ZERO)
        return long + room(short) / ask, short * ask + room(long)


def all_in(instrument: VenueInstrument, book: VenueBook) -> tuple[Levels, Levels, Decimal]:
    """(bids, asks, fee in bps taken of what is received) as routes are planned over a book.

    The fee of a contract, and of a coin at an exchange that charges in the quote, comes on top, in money, whichever side is bought: it is
    in the prices then, so that as much is bought as is wanted. `bare_px` takes it out of a limit again.
    """
    fee = instrument.taker_fee_bps
    if not _on_top(instrument):
        return book.bids, book.asks, fee
    with localcontext(WIDE):
        bids = tuple((px * (10_000 - fee) / 10_000, qty) for px, qty in book.bids)
        asks = tuple((px * (10_000 + fee) / 10_000, qty) for px, qty in book.asks)
    return bids, asks, ZERO


def _on_top(instrument: VenueInstrument) -> bool:
    return bool(instrument.contract) or instrument.fee_in_quote


def bare_px(instrument: VenueInstrument, px: Decimal, side: Side) -> Decimal:
    """The book's own price of one that `all_in` told."""
    if not _on_top(instrument):
        return px
    sign = 1 if side is Side.BUY else -1
    return WIDE.divide(px * 10_000, 10_000 + sign * instrument.taker_fee_bps)
