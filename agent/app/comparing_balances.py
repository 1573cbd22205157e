"""Balances beside the books. On a chain the wallet's owners move what is theirs: told, no lock. At an exchange nothing moves but by orders,
fees, funding, and whoever has the key: what is gone there and nothing explains locks it from `[reconcile] tolerance_usd` on.

What explains less than the books say: what an order in flight may have spent; what executions of orders that are not Fairlead's changed
since the balances were last taken over; at an exchange of contracts what they gained meanwhile, and its funding at the rates it published.
Deposits and withdrawals are not asked for: no dialect of the signer's lets a key read those pages, which also move money.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal, localcontext
from typing import TYPE_CHECKING

from agent.app.adoption import balances_at
from agent.app.comparing import BALANCE_GONE, Difference
from agent.app.places import place_named
from agent.domain.errors import FairleadError
from agent.domain.ids import ClOrdId
from agent.domain.instruments import AssetId, Place, chain_of, venue_of
from agent.domain.reports import Fill, Position
from agent.domain.risk import OraclePrice
from agent.domain.units import WIDE, qty_exact, sum_exact
from agent.execution.locks import NOT_COMPARED
from agent.journal.book import Book
from agent.journal.crossing_fold import awaited
from agent.journal.living import DAY_NS
from agent.journal.records import fill_changes
from agent.ports import ExecutionVenue, HoldsPositions, TellsFunding

if TYPE_CHECKING:
    from agent.app.wiring import App

ZERO = Decimal(0)


@dataclass
class Gone:
    """What an exchange holds less of than the books, by asset, in whole units: `less` in all, `left` what nothing explains so far; `why`
    what does. `usd`: what is left comes to; None where something has no price."""

    less: dict[AssetId, Decimal]
    more: dict[AssetId, Decimal]
    left: dict[AssetId, Decimal] = field(default_factory=dict)
    why: dict[AssetId, list[str]] = field(default_factory=lambda: defaultdict(list))
    usd: Decimal | None = ZERO

    def __post_init__(self) -> None:
        self.left = dict(self.less)

    def explain(self, asset: AssetId, most: Decimal, words: str) -> None:
        """At most so much of it."""
        if most > 0 and self.left.get(asset, ZERO) > 0:
            self.left[asset] = max(WIDE.subtract(self.left[asset], most), ZERO)
            self.why[asset].append(words)


async def compare_balances(app: App, book: Book, place: Place) -> list[Difference]:
    """Raises as the place's reads."""
    there = {b.asset: WIDE.add(b.free, b.locked) for b in await balances_at(app, place, book)}
    changed = {
        a: (book.holdings.get(a), qty)
        for a, qty in there.items()
        if qty != book.holdings.get(a) and (qty or a in book.holdings)
    }
    if not changed:
        return []
    gone = Gone(*_sides(changed))
    if chain_of(place) is None and gone.less:
        await explain(app, book, place, gone)
    flying = _flying(book) if chain_of(place) is not None else awaited(book)
    return [_told(app, place, asset, *sides, flying, gone) for asset, sides in changed.items()]


def _sides(
    changed: Mapping[AssetId, tuple[Decimal | None, Decimal]],
) -> tuple[dict[AssetId, Decimal], dict[AssetId, Decimal]]:
    known = {a: WIDE.subtract(there, booked) for a, (booked, there) in changed.items() if booked is not None}
    return {a: -c for a, c in known.items() if c < 0}, {a: c for a, c in known.items() if c > 0}


def _flying(book: Book) -> dict[AssetId, ClOrdId]:
    return {
        asset: record.part.cl_ord_id
        for record in book.open_parts()
        for asset in (record.part.asset_in, record.part.asset_out)
    } | awaited(book)


def _told(
    app: App,
    place: Place,
    asset: AssetId,
    booked: Decimal | None,
    there: Decimal,
    flying: Mapping[AssetId, ClOrdId],
    gone: Gone,
) -> Difference:
    symbol, where = app.directory.symbols.get(asset, asset), place_named(app.settings, place)
    known = f"{booked.normalize():f}" if booked is not None else "nothing"
    told = f"{symbol} at {where}: the book says {known}, {where} says {there.normalize():f}"
    if (part := flying.get(asset)) is not None:
        return Difference(place, "balance", told, f"{part} is in flight", True)
    if booked is None:
        return Difference(place, "balance", told, "never seen before: the next order adopts it", True)
    change = f"{abs(WIDE.subtract(there, booked)).normalize():f}"
    if there > booked:
        why = f"deposited {change} outside this journal; the next order adopts it"
        return Difference(place, "balance", told, why, False)
    if chain_of(place) is not None:
        why = f"taken {change} outside this journal, as the wallet's owners may; the next order adopts it"
        return Difference(place, "balance", told, why, False)
    because = "; ".join(gone.why.get(asset, ()))
    if not gone.left[asset]:
        return Difference(place, "balance", told, because, True)
    unknown = f"{gone.left[asset].normalize():f} of it is gone by nothing that explains it" + (
        f" (besides: {because})" if because else ""
    )
    if gone.usd is None:
        return Difference(
            place,
            "balance",
            told,
            f"{unknown}, and nothing prices it now: where [oracles] has no source of it, name one or take it over by `reconcile --adopt`",
            False,
            NOT_COMPARED,
        )
    most, table = app.settings.reconcile.tolerance_usd, app.settings.venue(venue_of(place) or "")
    if gone.usd > most and (table is None or not table.symbols):
        why = f"{unknown}; these settings trade nothing there, so that there is nothing to lock"
        return Difference(place, "balance", told, why, False)
    if gone.usd > most:
        why = f"{unknown}: {gone.usd:.2f} USD there in all, and [reconcile] tolerance_usd is {most}"
        return Difference(place, "balance", told, why, False, BALANCE_GONE)
    why = f"{unknown}, within [reconcile] tolerance_usd; the next order takes it over"
    return Difference(place, "balance", told, why, False)


# ---------------------------------------------------------------------- what explains it


async def explain(app: App, book: Book, place: Place, gone: Gone) -> None:
    """Fills in what is left, why the rest is gone, and what is left comes to. Raises as the venue's reads."""
    name = venue_of(place) or ""
    venue, configured = app.venues[name], app.settings.venue(name)
    in_flight(book, place, app.directory.decimals, gone)
    if not any(gone.left.values()):
        return
    since = max(book.living.adopted_ns.get(place, 0), app.clock.now_ns() - DAY_NS)
    fills = [] if configured is None else await foreign_fills(venue, book, configured.symbols, since)
    for asset, change in changes_of(fills).items():
        gone.explain(asset, -change, "orders that are not Fairlead's were filled (foreign_orders)")
    positions = await venue.positions() if isinstance(venue, HoldsPositions) else ()
    paid = await funding_most(venue, positions, since)
    for asset, most in paid.items():
        gone.explain(asset, most, "funding of contracts at the published rates")
    px = highest(await app.oracles.prices())
    gone.usd = lost_usd(gone, app.directory.symbols, px, equity=isinstance(venue, HoldsPositions))


def in_flight(book: Book, place: Place, decimals: Mapping[AssetId, int], gone: Gone) -> None:
    """An order may have spent what it was sent with and the book has not counted; one in a combo, anything its legs take."""
    for record in book.open_parts():
        part = record.part
        if part.place != place or record.authorized is None:
            continue
        words = f"{part.cl_ord_id} is in flight"
        if record.legs:
            for asset in gone.left:
                gone.explain(asset, gone.left[asset], words)
            continue
        with localcontext(WIDE):
            sent = qty_exact(part.in_raw, decimals[part.asset_in])
            gone.explain(part.asset_in, sent - sum_exact(f.qty_in for f in record.fills.values()), words)


async def foreign_fills(
    venue: ExecutionVenue, book: Book, symbols: Sequence[str], since_ns: int
) -> list[Fill]:
    """Executions of orders that the book has none of, later than that."""
    told = [one for symbol in symbols for one in await venue.fills(symbol, since_ns)]
    return [fill for name, fill in told if name not in book.parts and fill.at_ns > since_ns]


def changes_of(fills: Sequence[Fill]) -> dict[AssetId, Decimal]:
    found: dict[AssetId, Decimal] = defaultdict(Decimal)
    for fill in {fill.exec_id: fill for fill in fills}.values():
        for asset, change in fill_changes(fill):
            found[asset] = WIDE.add(found[asset], change)
    return found


async def funding_most(
    venue: ExecutionVenue, positions: Sequence[Position], since_ns: int
) -> dict[AssetId, Decimal]:
    """The most that the open contracts can have paid since then, in what settles them; none where the venue tells no rates."""
    found: dict[AssetId, Decimal] = defaultdict(Decimal)
    if not isinstance(venue, TellsFunding):
        return found
    for held in positions:
        try:
            rates = [
                abs(rate) for at_ns, rate in await venue.funding(held.symbol, since_ns) if at_ns > since_ns
            ]
        except FairleadError as error:
            if error.verb == "HALT":
                raise
            continue  # a contract without funding, or no answer: it explains nothing then
        with localcontext(WIDE):
            px = max(held.mark_px or ZERO, held.entry_px)
            notional = abs(held.cost) if held.inverse else abs(held.qty) * px
            found[held.settle] += notional * sum(rates, ZERO)
    return found


def lost_usd(
    gone: Gone, symbols: Mapping[AssetId, str], px: Mapping[str, Decimal], *, equity: bool
) -> Decimal | None:
    """What is left at the highest price of each asset. `equity`: where contracts are held, less what the others gained: a position that was
    closed gives its money back. None where something that is left has no price."""
    with localcontext(WIDE):
        total = ZERO
        for asset, qty in gone.left.items():
            price = px.get(symbols.get(asset, ""))
            if qty and price is None:
                return None
            total += qty * (price or ZERO)
        if equity:
            total -= sum((q * px.get(symbols.get(a, ""), ZERO) for a, q in gone.more.items()), ZERO)
        return max(total, ZERO)


def highest(prices: Sequence[OraclePrice]) -> dict[str, Decimal]:
    found: dict[str, Decimal] = {}
    for price in prices:
        found[price.symbol] = max(price.px, found.get(price.symbol, ZERO))
    return found


__all__ = [
    "Gone",
    "changes_of",
    "compare_balances",
    "explain",
    "foreign_fills",
    "funding_most",
    "in_flight",
    "lost_usd",
]
