"""`fairlead reconcile`: the books beside venues and chains, each difference with what explains it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import AsyncExitStack
from typing import TYPE_CHECKING, Any

import click

from agent.app.cli.output import emit_json, header, note, table
from chains.errors import Denied, Retry, Usage

if TYPE_CHECKING:
    from agent.app.comparing import Difference
    from agent.app.comparison import Compared
    from agent.app.wiring import App
    from agent.domain.instruments import Place
    from agent.execution.locks import Lock


@click.command("reconcile")
@click.option(
    "--adopt", is_flag=True, help="Take the account over as it is: what the journal lost, or never knew."
)
@click.option("--end", "part", metavar="ID", help="End a part in the books that its exchange has forgotten.")
@click.option("--why", default="", help="With --end: what you know of it, where the balances prove nothing.")
@click.option("--yes", is_flag=True, help="With --end: do it; without, what it would do is told.")
@click.option(
    "--cancel",
    is_flag=True,
    help="With --adopt: cancel open exchange orders of an earlier Fairlead first. With --end: cancel the part's order too.",
)
@click.option(
    "--at-once", is_flag=True, help="With --adopt: do not wait out private transactions of an earlier run."
)
@click.option("--json", "as_json", is_flag=True, help="One JSON document on stdout.")
@click.pass_context
def command(
    ctx: click.Context,
    adopt: bool,
    part: str | None,
    why: str,
    yes: bool,
    cancel: bool,
    at_once: bool,
    as_json: bool,
) -> int:
    """Compare open orders, fills, balances, positions and nonces with the books, place by place; record what was found. Cancels and sends
    nothing.

    Exit 0 where nothing locks, 5 where something does: a place that does not answer, or a difference that nothing explains. Such a place
    gets no order; the others trade on. `run` and every command that trades check the same before they sign.

    `--adopt` takes the account over as it is and opens it: balances at today's prices, used nonces, fills. It is refused while something of
    an earlier run could still happen unseen. A journal that knows nothing of an account with history trades nothing before.

    `--end ID` tells what its exchange says of a part that is open in the books and what speaks for ending it there; with `--yes` it is ended,
    its limits are freed, and who did so and why is written down. Where the balances do not prove that it did no more than is booked, it
    takes your word (`--why`), and what is held there is taken over as it is.
    """
    from agent.app.cli.common import load_settings, with_app
    from agent.app.cli.reconcile_end import end

    settings = load_settings(ctx)
    if adopt and part is not None:
        raise Usage(
            "ONE_OR_THE_OTHER", "--adopt and --end are two things", "end the part first, then --adopt"
        )
    if (why or yes) and part is None:
        raise Usage("END_MISSING", "--why and --yes belong to --end", "add --end ID")
    if at_once and not adopt or cancel and not adopt and part is None:
        raise Usage("ADOPT_MISSING", "--cancel and --at-once belong to --adopt", "add --adopt")
    if part is not None:
        named, word = part, why
        return with_app(settings, lambda app, stack: end(app, named, word, cancel, yes, as_json))
    if adopt:
        return with_app(settings, lambda app, stack: _adopt(app, cancel, at_once, as_json))
    return with_app(settings, lambda app, stack: _compare(app, stack, as_json))


async def _adopt(app: App, cancel: bool, at_once: bool, as_json: bool) -> int:
    from agent.app.certifying import certificate, drop_ours
    from agent.app.comparison import compare
    from agent.app.places import place_named
    from agent.app.readonly import append_event, read_book
    from agent.journal.book import Book

    settings = app.settings
    if settings.watch_only:
        raise Denied(
            "WATCH_ONLY", "these settings only watch", "nothing is traded by them, so nothing is locked"
        )
    book = read_book(settings) or Book()
    ended = await drop_ours(app, book) if cancel else []
    compared = await compare(app, book)
    await _record(app, compared)  # the first look is on record, whatever comes of the rest
    events = await certificate(app, book, compared, at_once, ended)
    for event in events:
        if not await append_event(settings, app.clock, event):
            raise Retry("JOURNAL_LOCKED", "another process holds the journal", "end it, then try again")
    told = [
        f"{place_named(settings, d.place) if d.place else 'home'}: {d.kind}: {d.what}"
        for d in compared.differences
    ]
    if as_json:
        emit_json({"certified": True, "adopted": told, "cancelled": ended})
        return 0
    header(settings.environment.value, settings.wallet.address, await app.head_line())
    for line in [*(f"cancelled {one}" for one in ended), *(f"adopted   {one}" for one in told)]:
        print(line)
    print("the account is taken over as it is: trading goes on from here")
    return 0


async def _compare(app: App, stack: AsyncExitStack, as_json: bool) -> int:
    from agent.app.certifying import history
    from agent.app.cli.common import journal_busy
    from agent.app.comparison import compare
    from agent.app.places import place_named
    from agent.app.readonly import read_book
    from agent.app.start_check import locks_of
    from agent.journal.book import Book

    settings = app.settings
    book = read_book(settings) or Book()
    compared = await compare(app, book)
    recorded = not settings.watch_only and not journal_busy(settings)
    if recorded:
        await _record(app, compared)
    else:
        note("not recorded: another process holds the journal, or these settings only watch")
    whole = () if settings.watch_only else await history(app, book)
    shut = {
        lock.place: lock
        for lock in locks_of(compared.differences)
        if lock.opens_itself or not settings.watch_only
    }
    locked = [*whole, *(f"{place_named(settings, p)}: {lock.why}" for p, lock in shut.items() if not whole)]
    if as_json:
        emit_json(_facts(app, compared, shut, whole, locked, recorded))
        return 5 if locked else 0
    header(settings.environment.value, settings.wallet.address, await app.head_line())
    table(("where", "state", "difference", "explained by"), _rows(app, compared, shut))
    if whole:
        print(f"trading is locked: {'; '.join(whole)}")
        print("`fairlead reconcile --adopt` takes the account over as it is")
    elif shut:
        names = ", ".join(place_named(settings, place) for place in shut)
        print(f"locked: {names}; the other places are open")
    else:
        print("nothing locks: the books agree, or each difference is explained")
    return 5 if locked else 0


def _rows(app: App, compared: Compared, shut: Mapping[Place, Lock]) -> list[list[str]]:
    """A line for each difference, one that locks naming its remedy; places without any in one word."""
    from agent.app.comparing import REMEDIES
    from agent.app.comparison import places_of
    from agent.app.places import place_named

    rows = []
    for place in places_of(app):
        name = place_named(app.settings, place)
        mine = [d for d in compared.differences if d.place == place]
        for found in sorted(mine, key=lambda d: not d.locks):
            locks = found.locks if place in shut else ""
            why = f"{found.why} → {REMEDIES[locks]}" if locks else found.why
            rows.append([name, "LOCKED" if locks else "told", f"{found.kind}: {found.what}", why])
        if not mine:
            rows.append([name, "agrees", "", ""])
    return rows


def _facts(
    app: App,
    compared: Compared,
    shut: Mapping[Place, Lock],
    whole: Sequence[str],
    locked: Sequence[str],
    recorded: bool,
) -> dict[str, Any]:
    from agent.app.comparing import REMEDIES
    from agent.app.comparison import places_of
    from agent.app.places import place_named

    def told(d: Difference) -> dict[str, Any]:
        locks = bool(d.locks) and d.place in shut
        by = None if locks else d.why
        return {
            "place": d.place, "kind": d.kind, "what": d.what, "why": d.why, "explained": d.explained, "explained_by": by, "locks": locks,
        }  # fmt: skip

    places = []
    for place in places_of(app):
        lock = shut.get(place)
        places.append(
            {
                "place": place,
                "name": place_named(app.settings, place),
                "compared": place in compared.asked,
                "locks": lock is not None or bool(whole),
                "code": lock.code if lock is not None else "NOT_CERTIFIED" if whole else None,
                "remedy": lock.remedy if lock is not None else REMEDIES["NOT_CERTIFIED"] if whole else None,
                "differences": [told(d) for d in compared.differences if d.place == place],
            }
        )
    return {
        "verdict": "locked" if locked else "open",
        "equal": all(d.explained for d in compared.differences),
        "asked": list(compared.asked),
        "places": places,
        "differences": [told(d) for d in compared.differences],
        "recorded": recorded,
        "locked": list(locked),
    }


async def _record(app: App, compared: Compared) -> None:
    from agent.app.readonly import append_event
    from agent.domain.events import Reconciled
    from agent.domain.instruments import Place

    places = {*compared.asked, *(d.place for d in compared.differences if d.place)}
    for place in sorted(places):
        told = tuple(f"{d.kind}: {d.what}: {d.why}" for d in compared.differences if d.place == place)
        await append_event(app.settings, app.clock, Reconciled(Place(place), told, app.clock.now_ns()))
