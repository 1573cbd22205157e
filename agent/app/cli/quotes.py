"""Quotes that a person may trade by their id: kept with all the words they were asked with, and held to their price."""

from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING, Any

from chains.errors import Reject, Usage

if TYPE_CHECKING:
    from agent.app.intents import Preview, Request
    from agent.app.settings_tree import Settings
    from agent.app.wiring import App
    from agent.domain.events import Planned, Quoted
    from agent.domain.orders import ParentOrder

LIFE_S = 300
NUMBERS = frozenset({"slices", "max_slippage_bps"})
DEFAULTS = {"max_slippage_bps": "50"}


def words_of(typed: dict[str, Any]) -> tuple[tuple[str, str], ...]:
    """The options of a quote as they are kept, those that were not typed left out."""
    return tuple(sorted((name, str(value)) for name, value in typed.items() if value is not None))


async def remember(
    app: App, settings: Settings, planned: Planned, parent: ParentOrder, typed: dict[str, Any], found: Preview
) -> str | None:
    """Writes the quote into the journal, where there is one to write to; a watch-only quote has no id."""
    from agent.app.readonly import append_event
    from agent.domain.events import Quoted
    from agent.domain.ids import digest_of

    if settings.watch_only:
        return None
    quote_id = "q-" + digest_of("quote", parent.cl_ord_id)[:10]
    event = Quoted(
        quote_id,
        planned.child.side.value.lower(),
        planned.child.base,
        planned.child.quote,
        planned.child.qty,
        planned.route,
        app.clock.now_ns(),
        words_of(typed),
        found.net_px,
    )
    return quote_id if await append_event(settings, app.clock, event) else None


def saved(app: App, quote_id: str) -> Quoted:
    """Raises Usage UNKNOWN_QUOTE, QUOTE_EXPIRED."""
    from agent.app.readonly import read_book

    book = read_book(app.settings)
    found = book.quotes.get(quote_id) if book is not None else None
    if found is None:
        raise Usage(
            "UNKNOWN_QUOTE",
            f"there is no quote {quote_id}",
            "`fairlead quote sell 25 ETH --for USDC` makes one",
        )
    age_s = (app.clock.now_ns() - found.at_ns) / 1e9
    if age_s > LIFE_S:
        raise Usage(
            "QUOTE_EXPIRED", f"quote {quote_id} is {age_s:.0f} s old; they live for {LIFE_S}", "quote again"
        )
    return found


def asked_with(app: App, side: str, typed: dict[str, Any]) -> tuple[Quoted | None, dict[str, Any]]:
    """The quote whose id was typed, if one was, and the options of the order. Raises as `saved` and `with_its_words`."""
    quoted = saved(app, side) if side.startswith("q-") else None
    return quoted, typed if quoted is None else with_its_words(quoted, typed)


def with_its_words(quoted: Quoted, typed: dict[str, Any]) -> dict[str, Any]:
    """What was typed now, and what the quote was asked with: its limit and its exits are never left out in silence.

    Raises Usage QUOTE_OTHERWISE for a word that says something else than the quote's own.
    """
    kept = dict(quoted.words)
    for name, value in words_of(typed):
        if value not in (kept.setdefault(name, value), DEFAULTS.get(name)):
            option = f"--{name.replace('_', '-')}"
            raise Usage(
                "QUOTE_OTHERWISE",
                f"{option} {value}: quote {quoted.quote_id} was asked with {option} {kept[name]}",
                "leave it out, or quote again",
            )
    return dict.fromkeys(typed) | {
        name: int(value) if name in NUMBERS else value for name, value in kept.items()
    }


def hold(quoted: Quoted | None, request: Request, found: Preview) -> Request:
    """The request, for a market order of a quote at no worse than the quoted price less the slippage. Raises Reject QUOTE_MOVED."""
    from dataclasses import replace

    from agent.app.intents import guarded, short
    from agent.domain.orders import Side

    if quoted is None or quoted.net_px is None or request.algo != "market" or request.limit_px is not None:
        return request
    worst: Decimal = guarded(request, quoted.net_px)
    if found.net_px < worst if request.side is Side.SELL else found.net_px > worst:
        raise Reject(
            "QUOTE_MOVED",
            f"quote {quoted.quote_id} was at {short(quoted.net_px)}, it would be {short(found.net_px)} now",
            "quote again, or allow more by --max-slippage-bps in the quote",
        )
    return replace(request, limit_px=worst)
