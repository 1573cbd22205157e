"""What is still new, how much of it may be open at once, and what raises that."""

from __future__ import annotations

from agent.app.places import places_of
from agent.app.settings import Settings, ramp_of
from agent.app.watching.check import Check, ok, skip
from agent.domain.instruments import chain_place
from agent.domain.risk import Ramp, Standing
from agent.journal.book import Book
from agent.journal.standing import standing
from agent.risk.ramp import raised_by, stage


def ramp_checks(settings: Settings, book: Book | None) -> list[Check]:
    """One for every chain and venue, and one for the pools together."""
    ramp = ramp_of(settings)
    if settings.watch_only:
        return []
    if ramp is None:
        return [skip("ramp", "none: what is new may have as much at once as the limits allow")]
    places = places_of(settings)
    pools = [
        f"{chain_place(chain.chain_id)}/{pool.address.lower()}"
        for chain in settings.chains
        for pool in chain.pools
    ]
    seen = standing(book or Book(), ramp, {*places.values(), *pools}, None)
    found = [ok(f"ramp {name}", _words(ramp, seen.get(place))) for name, place in places.items()]
    if pools:
        caps = [stage(ramp, seen[pool])[1] for pool in pools]
        new = [cap for cap in caps if cap is not None]
        least = f", {min(new)} USD open at once in the newest" if new else ""
        found.append(ok("ramp pools", f"{len(new)} of {len(pools)} are new{least}"))
    return found


def _words(ramp: Ramp, seen: Standing | None) -> str:
    if seen is None:
        return "known: the limits alone hold"
    cap = stage(ramp, seen)[1]
    if cap is None:
        return f"{seen.settled} settled orders: no longer new, the limits alone hold"
    settled = f"{seen.settled} settled, worth {seen.settled_usd:.2f} USD"
    return f"new: at most {cap} USD open at once; {settled}; {raised_by(ramp, seen)}"
