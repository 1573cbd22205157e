"""`fairlead reconcile`: the books beside venues and chains, each difference with what explains it."""

from __future__ import annotations

from contextlib import AsyncExitStack
from typing import TYPE_CHECKING

import click

from agent.app.cli.output import emit_json, header, note, table

if TYPE_CHECKING:
    from agent.app.comparison import Compared
    from agent.app.wiring import App


@click.command("reconcile")
@click.option("--json", "as_json", is_flag=True, help="One JSON document on stdout.")
@click.pass_context
def command(ctx: click.Context, as_json: bool) -> int:
    """Compare open orders, fills, balances and nonces with the books; record what was found. Cancels and sends nothing.

    Exit 0 where they agree (differences that an order in flight explains count as agreement), 5 where they do not.
    """
    from agent.app.cli.common import load_settings, with_app

    settings = load_settings(ctx)
    return with_app(settings, lambda app, stack: _compare(app, stack, as_json))


async def _compare(app: App, stack: AsyncExitStack, as_json: bool) -> int:
    from agent.app.cli.common import journal_busy
    from agent.app.comparison import compare
    from agent.app.places import place_named
    from agent.app.readonly import read_book
    from agent.journal.book import Book

    settings = app.settings
    compared = await compare(app, read_book(settings) or Book())
    recorded = not settings.watch_only and not journal_busy(settings)
    if recorded:
        await _record(app, compared)
    else:
        note("not recorded: another process holds the journal, or these settings only watch")
    unexplained = [d for d in compared.differences if not d.explained]
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
    return 5 if unexplained else 0


async def _record(app: App, compared: Compared) -> None:
    from agent.app.readonly import append_event
    from agent.domain.events import Reconciled
    from agent.domain.instruments import Place

    places = {*compared.asked, *(d.place for d in compared.differences if d.place)}
    for place in sorted(places):
        told = tuple(f"{d.kind}: {d.what}: {d.why}" for d in compared.differences if d.place == place)
        await append_event(app.settings, app.clock, Reconciled(Place(place), told, app.clock.now_ns()))
