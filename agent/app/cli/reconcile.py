"""`fairlead reconcile`: the books beside venues and chains, each difference with what explains it."""

from __future__ import annotations

from contextlib import AsyncExitStack
from typing import TYPE_CHECKING

import click

from agent.app.cli.output import emit_json, header, note, table
from chains.errors import Denied, Retry, Usage

if TYPE_CHECKING:
    from agent.app.comparison import Compared
    from agent.app.wiring import App


@click.command("reconcile")
@click.option(
    "--adopt", is_flag=True, help="Take the account over as it is: what the journal lost, or never knew."
)
@click.option(
    "--cancel", is_flag=True, help="With --adopt: cancel open exchange orders of an earlier Fairlead first."
)
@click.option(
    "--at-once", is_flag=True, help="With --adopt: do not wait out private transactions of an earlier run."
)
@click.option("--json", "as_json", is_flag=True, help="One JSON document on stdout.")
@click.pass_context
def command(ctx: click.Context, adopt: bool, cancel: bool, at_once: bool, as_json: bool) -> int:
    """Compare open orders, fills, balances and nonces with the books; record what was found. Cancels and sends nothing.

    Exit 0 where they agree (differences that an order in flight explains count as agreement), 5 where they do not.

    A journal that knows nothing of an account with history trades nothing. `--adopt` takes that account over: balances at today's
    prices, used nonces, fills. It is refused while something of an earlier run could still happen unseen.
    """
    from agent.app.cli.common import load_settings, with_app

    settings = load_settings(ctx)
    if (cancel or at_once) and not adopt:
        raise Usage("ADOPT_MISSING", "--cancel and --at-once belong to --adopt", "add --adopt")
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
    ended = await drop_ours(app) if cancel else []
    book = read_book(settings) or Book()
    compared = await compare(app, book)
    await _record(app, compared)  # the first look is on record, whatever comes of the rest
    events = await certificate(app, book, compared, at_once)
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
    from agent.app.certifying import contradicted, history
    from agent.app.cli.common import journal_busy
    from agent.app.comparison import compare
    from agent.app.places import place_named
    from agent.app.readonly import read_book
    from agent.journal.book import Book

    settings = app.settings
    book = read_book(settings) or Book()
    compared = await compare(app, book)
    recorded = not settings.watch_only and not journal_busy(settings)
    if recorded:
        await _record(app, compared)
    else:
        note("not recorded: another process holds the journal, or these settings only watch")
    unexplained = [d for d in compared.differences if not d.explained]
    locked = () if settings.watch_only else await history(app, book) or await contradicted(app, book)
    if as_json:
        emit_json(
            {
                "equal": not unexplained,
                "asked": list(compared.asked),
                "differences": [
                    {"place": d.place, "kind": d.kind, "what": d.what, "why": d.why, "explained": d.explained}
                    for d in compared.differences
                ],
                "recorded": recorded,
                "locked": list(locked),
            }
        )
        return 5 if unexplained else 0
    header(settings.environment.value, settings.wallet.address, await app.head_line())
    if compared.differences:
        rows = [
            [place_named(settings, d.place) if d.place else "–", d.kind, d.what, d.why]
            for d in compared.differences
        ]
        table(("where", "kind", "difference", "why"), rows)
    asked = ", ".join(place_named(settings, place) for place in compared.asked)
    if unexplained:
        print(
            f"{len(unexplained)} difference{'s' * (len(unexplained) > 1)} that nothing explains; asked {asked}"
        )
    else:
        print(f"the books agree with {asked}")
    if locked:
        print(f"trading is locked: {'; '.join(locked)}")
        print("`fairlead reconcile --adopt` takes the account over as it is")
    return 5 if unexplained else 0


async def _record(app: App, compared: Compared) -> None:
    from agent.app.readonly import append_event
    from agent.domain.events import Reconciled
    from agent.domain.instruments import Place

    places = {*compared.asked, *(d.place for d in compared.differences if d.place)}
    for place in sorted(places):
        told = tuple(f"{d.kind}: {d.what}: {d.why}" for d in compared.differences if d.place == place)
        await append_event(app.settings, app.clock, Reconciled(Place(place), told, app.clock.now_ns()))
