"""What is on its way between chains, and how much of it counts before it is there."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from decimal import Decimal, localcontext
from typing import TYPE_CHECKING, Any

from agent.app.follow import instant
from agent.app.places import Directory, place_named
from agent.app.watching.aave import ChainHealth, name_of
from agent.app.watching.book import members_of
from agent.app.watching.positions import Held, Prices
from agent.domain.instruments import AssetId, Place, chain_of, place_of
from agent.domain.units import WIDE, qty_exact
from agent.journal.crossing_fold import flight_of, open_crossings
from agent.margin import transfers
from chains.bridges.flight import Stage, counted_raw, held
from chains.errors import Halt

if TYPE_CHECKING:
    from agent.app.settings import Settings
    from agent.domain.events import Crossed
    from agent.journal.book import Book

WAITS: dict[Stage, tuple[str, str]] = {
    Stage.SENT: ("its block", "a relayer pays it out over there"),
    Stage.DEPOSITED: ("a relayer", "it arrives; after the deadline it comes back"),
    Stage.FILLED: ("the fill's finality", "it has arrived"),
    Stage.EXPIRED: ("the bridge's next settlement", "it comes back"),
    Stage.ARRIVED: ("", ""),
    Stage.REFUNDED: ("", ""),
    Stage.DROPPED: ("", ""),
}
"""What each stage waits for, and what happens then."""


def flying_usd(book: Book, prices: Prices, directory: Directory) -> Decimal | None:
    """What may be on its way, whole: what is signed counts from its signature on. None where some of it has no known price."""
    total = Decimal(0)
    for one in open_crossings(book):
        if one.stage == Stage.FILLED.value:
            continue
        symbol = directory.assets[one.given].symbol if one.given in directory.assets else ""
        px = prices.px(symbol, one.given)
        if px is None:
            return None
        with localcontext(WIDE):
            total += qty_exact(one.in_raw, one.decimals) * px
    return total


def arriving(known: Iterable[Crossed]) -> list[Crossed]:
    """What is in a SpokePool and may still arrive: neither here nor there, and in no balance."""
    return [c for c in known if c.stage == Stage.DEPOSITED.value]


def flights_to(
    settings: Settings, known: Sequence[Crossed], one: ChainHealth
) -> tuple[transfers.Flight, ...]:
    """What of them is on its way to the chain of an account, for what the account would be once it is there."""
    usual, haircut, chain = settings.bridge.usual_s, settings.bridge.haircut_bps, one.chain.chain_id
    return tuple(
        transfers.Flight(name_of(one), c.received, c.out_raw, c.at_ns // 10**9 + usual, haircut)
        for c in arriving(known)
        if chain_in(c.received) == chain
    )


def with_arrivals(one: ChainHealth, flights: tuple[transfers.Flight, ...]) -> int | None:
    """The health factor in 1e18 once all of it is there and paid in; None where nothing comes, nothing is owed or nothing is known."""
    members, _ = members_of([one], [])
    later = transfers.arrived(members[0], flights) if members and flights else None
    return later.factor({}) if later is not None else None


def held_flying(settings: Settings, book: Book | None, directory: Directory, prices: Prices) -> list[Held]:
    """A row of `positions` for each: what counts of it, less the haircut."""
    found = []
    for one in arriving(book.crossings.values() if book is not None else ()):
        known = directory.assets.get(one.received)
        symbol = known.symbol if known is not None else one.received
        counts = qty_exact(counted_raw(flight_of(one), settings.bridge.haircut_bps), one.decimals)
        cut = f"{Decimal(settings.bridge.haircut_bps) / 100:f}"
        where = f"on its way to {place_named(settings, place_of(one.received))}, less {cut} %"
        place = Place(f"bridge:{one.bridge}")
        found.append(Held(place, where, one.received, symbol, counts, prices.px(symbol, one.received)))
    return found


def crossing_json(settings: Settings, book: Book, one: Crossed) -> dict[str, Any]:
    """A crossing for `bridge list`: every amount in base units; the four of `held` add up to what was sent."""
    flight, record = flight_of(one), book.parts.get(one.cl_ord_id)
    told, (waits, then) = held(flight), WAITS[flight.stage]
    signed = record.authorized if record is not None else None
    return {
        "cl_ord_id": one.cl_ord_id,
        "bridge": one.bridge,
        "what": record.what if record is not None else "",
        "from": place_named(settings, place_of(one.given)),
        "to": place_named(settings, place_of(one.received)),
        "given": one.given,
        "received": one.received,
        "stage": flight.stage.value,
        "open": not flight.over,
        "since": instant(one.at_ns),
        "in_raw": str(one.in_raw),
        "out_raw": str(one.out_raw),
        "paid_raw": str(one.paid_raw),
        "held_raw": {
            "origin": str(told.origin),
            "flying": str(told.flying),
            "destination": str(told.destination),
            "fee": str(told.fee),
        },
        "counts_raw": str(counted_raw(flight, settings.bridge.haircut_bps)),
        "haircut_bps": settings.bridge.haircut_bps,
        "gas_wei": str(record.gas_wei if record is not None else 0),
        "tx_hash": (record.winner or signed.tx_hash) if record is not None and signed is not None else None,
        "deadline": instant(one.deadline_s * 10**9),
        "waits_for": waits,
        "next": then,
    }


def chain_in(asset: AssetId) -> int:
    """The chain id of a token's id."""
    found = chain_of(place_of(asset))
    if found is None:
        raise Halt("NO_CHAIN", f"{asset} is on no chain", "this is a bug: report it")
    return found
