"""The book beside the world: balances no order of ours explains are adopted at a price, and every difference is told."""

from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING

from agent.app.contracts import holdings_of
from agent.domain.events import Adopted, Alarmed, Reconciled
from agent.domain.instruments import AssetId, Place, chain_of, place_of, venue_of
from agent.domain.reports import Balance
from agent.domain.units import WIDE, qty_exact
from agent.journal.crossing_fold import awaited

if TYPE_CHECKING:
    from agent.app.wiring import App
    from agent.execution.desk import Desk
    from agent.journal.book import Book

LEAST_USD = Decimal(1)


async def balances_at(app: App, place: Place, book: Book) -> list[Balance]:
    """Every configured asset's balance there; what an exchange tells nothing of is nothing, where the book has some. Raises as the place's
    reads."""
    chain_id = chain_of(place)
    if chain_id is not None:
        desk = app.chains[chain_id]
        tokens = [a for a in app.directory.at(place) if "/erc20:" in a]
        raw = await app.market.balances(desk, tokens)
        return [
            Balance(asset, qty_exact(amount, app.directory.assets[asset].decimals))
            for asset, amount in raw.items()
        ]
    known = set(app.directory.at(place))
    told = [b for b in await holdings_of(app.venues[venue_of(place) or ""], known) if b.asset in known]
    silent = known - {b.asset for b in told}
    return told + [Balance(asset, Decimal(0)) for asset in sorted(silent) if book.holdings.get(asset)]


async def balances_now(app: App, book: Book) -> dict[Place, list[Balance]]:
    """Of every place but those that are locked: what is gone there is nothing that the next order takes over."""
    places = [desk.place for desk in app.chains.values()] + [Place(f"cex:{name}") for name in app.venues]
    return {place: await balances_at(app, place, book) for place in places if place not in app.locks}


async def adopt(app: App, desk: Desk) -> None:
    """Only where nothing of ours is in flight: an open order may explain a difference."""
    if desk.book.open_parts():
        return
    events = await adoptions(app, desk.book)
    gone = [line for event in events if isinstance(event, Adopted) for line in missed(event, desk.book)]
    for event in events:
        await desk.journal.record(event)
    for line in gone:
        await desk.journal.record(Alarmed("TAKEN_OUTSIDE", line, app.clock.now_ns()))


def missed(event: Adopted, book: Book) -> list[str]:
    """What an exchange holds less of than the book says, by no order of ours: from a dollar on, which funding and rounding seldom are, and
    whatever has no price. On a chain the wallet's owners move what is theirs."""
    if chain_of(event.place) is not None:
        return []
    px: dict[str, Decimal] = {}
    for price in event.prices:
        px[price.symbol] = max(price.px, px.get(price.symbol, Decimal(0)))
    symbols, found = dict(event.symbols), list[str]()
    for now in event.balances:
        symbol = symbols.get(now.asset, now.asset)
        less = book.holdings.get(now.asset, Decimal(0)) - now.free - now.locked
        if less > 0 and (symbol not in px or WIDE.multiply(less, px[symbol]) >= LEAST_USD):
            found.append(
                f"{event.place} holds {less.normalize():f} {symbol} less than the books say, by no order of ours: "
                "a withdrawal of yours, or somebody else's; it is taken into the books"
            )
    return found


async def adoptions(app: App, book: Book) -> list[Reconciled | Adopted]:
    """What takes every place's balances into a book, at today's prices; nothing where they are there already."""
    symbols, found, coming = app.directory.symbols, list[Reconciled | Adopted](), awaited(book)
    prices = await app.oracles.prices()
    for place, balances in (await balances_now(app, book)).items():
        changed = [
            b
            for b in balances
            if b.free + b.locked != book.holdings.get(b.asset, Decimal(0)) and b.asset not in coming
        ]
        if not changed:
            continue
        now = app.clock.now_ns()
        known = [b for b in changed if b.asset in book.holdings]
        if known:
            found.append(Reconciled(place, tuple(difference(book, b) for b in known), now))
        named = tuple((AssetId(b.asset), symbols[b.asset]) for b in changed if b.asset in symbols)
        found.append(Adopted(place, tuple(changed), named, prices, now))
    return found


def difference(known: Book, balance: Balance) -> str:
    book = known.holdings.get(balance.asset, Decimal(0))
    found = balance.free + balance.locked
    return f"{balance.asset}: the book says {book}, {place_of(balance.asset)} says {found}: adopted"
