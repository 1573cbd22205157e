"""Which exchange is to hold a stop and a take-profit as a pair, and what is said of who holds what."""

from __future__ import annotations

from collections.abc import Collection, Mapping

from agent.algos.bracket import AT
from agent.app.places import Directory
from agent.domain.errors import Usage
from agent.domain.instruments import Place, cex_id, venue_of
from agent.domain.order_state import OrdStatus
from agent.domain.orders import TimeInForce
from agent.journal.book import Book
from agent.journal.records import PartRecord
from agent.ports import ExecutionVenue, HoldsPairs

HERE = "here"
EMULATED = "emulated by this process: held only while it runs"


async def holders(
    venues: Mapping[str, ExecutionVenue], directory: Directory, base: str | None, quote: str | None
) -> tuple[str, ...]:
    """Names of the exchanges that hold pairs in an instrument of these two assets, as they are typed. Raises Usage UNKNOWN_ASSET, and as the
    exchanges' `instruments`."""
    if base is None or quote is None:
        return ()
    bases, quotes = (directory.group(symbol.partition("@")[0]) for symbol in (base, quote))
    found = []
    for name, venue in venues.items():
        if isinstance(venue, HoldsPairs) and any(
            cex_id(name, one.base) in bases
            and cex_id(name, one.quote) in quotes
            and venue.holds_pairs(one.symbol)
            for one in await venue.instruments()
        ):
            found.append(name)
    return tuple(found)


def is_pair(typed: Mapping[str, str | None]) -> bool:
    """Whether both exits were typed, for what is held or for what the order brings. Raises Usage THEN_AND_NOW for some of each."""
    now = [typed.get(name) is not None for name in ("stop_loss", "take_profit")]
    then = [typed.get(name) is not None for name in ("then_stop_loss", "then_take_profit")]
    if any(now) and any(then):
        raise Usage(
            "THEN_AND_NOW",
            "--stop-loss and --take-profit are of what is held, --then-… of what the order brings",
            "leave one kind out",
        )
    return all(then) or (all(now) and typed.get("algo") is None)


def is_bracket(typed: Mapping[str, str | None]) -> bool:
    """Whether an entry with a price of its own was typed, and exits for what it brings."""
    then = any(typed.get(name) is not None for name in ("then_stop_loss", "then_take_profit"))
    return then and typed.get("limit") is not None and typed.get("algo") in (None, "bracket")


def chosen(
    at: str | None,
    base: str,
    pair: bool,
    venues: Collection[str],
    holding: Collection[str],
    rests: bool = False,
) -> str | None:
    """The exchange that is to hold a pair; None where exits are watched here. `base` may name a place; `holding` as `holders` gives them.
    `rests`: an entry is to rest there, which any exchange lets it, whoever holds its exits.

    Raises Usage UNKNOWN_VENUE, NO_PAIRS_THERE, NO_PAIR.
    """
    if at is None:
        pinned = venue_of(Place(base.partition("@")[2])) if "@" in base else None
        return pinned if (pair or rests) and pinned in holding else None
    if at == HERE:
        return None
    if at not in venues:
        raise Usage(
            "UNKNOWN_VENUE", f"--at {at} is no exchange that answers", f"known: {', '.join(venues) or 'none'}"
        )
    if rests:
        return at
    if at not in holding:
        raise Usage(
            "NO_PAIRS_THERE",
            f"{at} holds no pair of orders in what these two trade as there",
            "leave --at out: then this process watches, and holds them only while it runs",
        )
    if not pair:
        raise Usage(
            "NO_PAIR",
            "an exchange holds a pair: --stop-loss and --take-profit",
            "give both, or leave --at out",
        )
    return at


def pinned(base: str, venue: str) -> str:
    """The asset as it stands at that exchange. Raises Usage OTHER_PLACE."""
    label, _, place = base.partition("@")
    if place not in ("", f"cex:{venue}"):
        raise Usage(
            "OTHER_PLACE", f"{base} does not stand at {venue}", f"write {label}, or --at another exchange"
        )
    return f"{label}@cex:{venue}"


def held(record: PartRecord) -> bool:
    """Whether an exchange holds it now, whatever becomes of this process: an order that rests there, which it acknowledged and was not told
    to cancel."""
    signed = record.authorized
    works = record.status in (OrdStatus.NEW, OrdStatus.PARTIALLY_FILLED) and not record.ended
    order = signed.order if signed is not None else None
    return works and order is not None and order.time_in_force is TimeInForce.GTC


def holder_of(book: Book, parent: str) -> str | None:
    """The exchange that holds an open order's pair, or its list with the exits; None where none does."""
    record = next((r for name, r in book.parents.items() if name == parent), None)
    if record is None or record.closed is not None or record.cancel_requested:
        return None
    if record.parent.intent.algo == "bracket" and AT not in dict(record.parent.intent.algo_params):
        return None  # it rests there, and its exits are watched here
    return next(
        (venue_of(part.part.place) for part in book.parts_of(record.parent.cl_ord_id) if held(part)), None
    )


def listed_words(venue: str, exits: int) -> str:
    """Of an entry whose exits go with it: OTOCO, or OTO with one."""
    both = "both exits" if exits > 1 else "its exit"
    return (
        f"at the exchange: {venue} holds the entry and {both} as one order list, also while nothing runs here"
    )


def resting_words(venue: str) -> str:
    """Of an entry that stands at an exchange which holds no lists."""
    return f"the entry rests at {venue}, which holds no order lists; its exits are {EMULATED}"


def words(venue: str, exits: int = 2) -> str:
    held = "both as one" if exits > 1 else "it"
    return f"at the exchange: {venue} holds {held}, also while nothing runs here"
