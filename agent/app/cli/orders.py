"""`fairlead orders` and `fairlead cancel`: what is working, what it waits for, what happens next; and its end."""

from __future__ import annotations

import time
from contextlib import AsyncExitStack
from typing import TYPE_CHECKING, Any

import click

from agent.app.cli.output import NO_CHAIN, emit_json, header, note, plain, table
from chains.errors import Reconcile, Reject, Retry

if TYPE_CHECKING:
    from agent.app.settings_tree import Settings
    from agent.app.wiring import App
    from agent.domain.ids import ClOrdId
    from agent.journal.book import Book


@click.command("orders")
@click.argument("order", metavar="[ID]", required=False)
@click.option("--all", "everything", is_flag=True, help="Orders that are over, too.")
@click.option("--json", "as_json", is_flag=True, help="One JSON document on stdout.")
@click.pass_context
def orders(ctx: click.Context, order: str | None, everything: bool, as_json: bool) -> None:
    """What is working: its state, what it waits for, what happens next, and the command that ends it.

    Reads the journal beside whatever process writes it. With an ID (or its beginning), that order with all its parts.
    """
    from agent.app.cli.common import load_settings
    from agent.app.follow import named_order, orders_json
    from agent.app.readonly import read_book
    from agent.app.tail import held_by
    from agent.app.watching.exits import unprotected_lines
    from agent.app.watching.reading import head_words, read
    from agent.journal.book import Book

    settings = load_settings(ctx)
    book = read_book(settings) or Book()
    chosen = named_order(book, order) if order is not None else None
    pid = held_by(settings)
    found = orders_json(settings, book, time.time_ns(), pid, everything or chosen is not None)
    if chosen is not None:
        found["orders"] = [o for o in found["orders"] if chosen == o["cl_ord_id"] or chosen in part_ids(o)]
        found["instructions"] = [i for i in found["instructions"] if i["cl_ord_id"] == chosen]
    if as_json:
        emit_json(found)
        return
    heads = read(settings, lambda reading: reading.heads())
    header(settings.environment.value, settings.wallet.address, head_words(heads, time.time_ns() // 10**9))
    _show(found, chosen is not None, everything)
    for line in unprotected_lines(book, chosen):
        print(line)


def part_ids(order: dict[str, Any]) -> set[str]:
    return {part["cl_ord_id"] for child in order["children"] for part in child["parts"]}


def _show(found: dict[str, Any], one: bool, everything: bool) -> None:
    listed = found["orders"]
    if not listed and not found["instructions"]:
        print("nothing is working" if not everything else "there are no orders yet")
        return
    if listed:
        rows = [
            [
                o["cl_ord_id"],
                f"{o['side']} {o['qty']} {o['base']} for {o['quote']}",
                o["algo"],
                o["status"] + (" (cancel asked)" if o["cancel_requested"] and not o["closed"] else ""),
                f"{o['filled_base']} {o['base']}",
                o["age"],
            ]
            for o in listed
        ]
        table(("order", "what", "algo", "state", "done", "age"), rows, right=(4, 5))
    rows = []
    for o in listed:
        for child in o["children"]:
            for part in child["parts"]:
                if one or part["open"]:
                    rows.append(_part_row(part))
            if one:
                rows += [
                    [child["cl_ord_id"], "–", f"DENIED {b['rule']}", b["message"], ""]
                    for b in child["breaches"]
                ]
    rows += [_part_row(part) for part in found["instructions"]]
    if rows:
        table(("part", "where", "state", "waits for", "then"), rows)
    for o in listed:
        if not o["closed"]:
            print(f"{o['cl_ord_id']}: waits for {o['waits_for']}, then {o['next']}")
            if o["held"]:
                print(f"  {o['held']}")
            if o["list"]:
                print(f"  list: entry {o['list']['entry']}, exits {o['list']['exits']}")
            print(f"  end it: {o['cancel']}" + (f"    go on: {o['resume']}" if o["resume"] else ""))
        elif one:
            print(f"{o['status'].lower()}: {o['why']}")
    if found["carried_by"] is None and found["unfinished"]:
        print("no process carries them now: `fairlead run --once` asks what became of them and goes on")
    elif found["carried_by"] is not None:
        print(f"carried by process {found['carried_by']}")


def _part_row(part: dict[str, Any]) -> list[str]:
    state = part["status"] + (f" {part['failed']}" if part["failed"] else "")
    if part["submission"]:
        state += f" ({part['submission']})"
    if part["indeterminate"]:
        state += " unclear"
    return [part["cl_ord_id"], part["where"], state, part["waits_for"], part["next"]]


# ---------------------------------------------------------------------- cancel


@click.command("cancel")
@click.argument("order", metavar="ID")
@click.option("--json", "as_json", is_flag=True, help="One JSON document on stdout.")
@click.pass_context
def cancel(ctx: click.Context, order: str, as_json: bool) -> int:
    """Cancel an order, or one part of it, and follow it to its end. ID may be the beginning of one.

    A cancel is a wish: an order that left may still fill before it arrives, and then that is told.
    """
    from agent.app.cli.common import journal_busy, load_settings, with_app
    from agent.app.follow import named_order
    from agent.app.readonly import read_book
    from agent.journal.book import Book

    settings = load_settings(ctx)
    book = read_book(settings) or Book()
    name = named_order(book, order)
    _refuse_ended(book, name)

    async def work(app: App, stack: AsyncExitStack) -> Book:
        if journal_busy(settings):
            return await _through_the_inbox(app, name)
        return await _here(app, stack, name)

    return _told(settings, with_app(settings, work), name, as_json)


def _over(book: Book, name: ClOrdId) -> bool:
    parent = book.parents.get(name)
    return parent.closed is not None if parent is not None else name in book.parts and book.parts[name].ended


def _refuse_ended(book: Book, name: ClOrdId) -> None:
    if not _over(book, name):
        return
    parent = book.parents.get(name)
    if parent is not None and parent.closed is not None:
        how = f"{parent.closed.status}: {parent.closed.why}"
    else:
        record = book.parts[name]
        how = record.failed or (record.status.value if record.status else "ended")
    raise Reject("ALREADY_ENDED", f"{name} is over ({how})", f"`fairlead orders {name}` tells its story")


async def _through_the_inbox(app: App, name: ClOrdId) -> Book:
    from agent.app.carrier import inbox_of
    from agent.app.tail import Tail, held_by

    pid = held_by(app.settings)
    answer = await inbox_of(app).ask("cancel", "cancel", id=name)
    if answer is None:
        raise Retry(
            "JOURNAL_LOCKED",
            f"another Fairlead process (pid {pid}) holds the journal and did not take the cancel; it was withdrawn",
            "try again when it has ended; `fairlead panic` does not need the journal",
        )
    answer.unwrap()
    note(f"the running process (pid {pid}) cancels {name}; following it")
    with Tail(app.settings, app.clock) as tail:
        await tail.until(lambda book: _over(book, name))
        return tail.book


async def _here(app: App, stack: AsyncExitStack, name: ClOrdId) -> Book:
    from agent.app.carrier import Carrier
    from agent.app.wiring import open_trading, tell_unless_written
    from agent.domain.events import CancelRequested

    desk = await open_trading(app, stack)
    tell_unless_written(app)
    async with Carrier(app, desk, note, takes_orders=False) as carrier:
        _refuse_ended(desk.book, name)
        await desk.journal.record_durably(CancelRequested(name, "cancel", app.clock.now_ns()))
        note(f"cancel of {name} is recorded; following it to its end")
        await carrier.finish(name)
        if (other := carrier.ended_with(name)) is not None:
            note(f"its list ended with it: order {other}")
            await carrier.finish(other)
        if not _over(desk.book, name):
            raise Reconcile("INDETERMINATE", f"{name} is not over", "`fairlead run --once` asks again")
    return desk.book


def base_of(book: Book, part: ClOrdId) -> str:
    child = book.children.get(book.parts[part].part.child)
    return child.child.base if child is not None else ""


def _told(settings: Settings, book: Book, name: ClOrdId, as_json: bool) -> int:
    """0 where something of it was cancelled, 4 where all of it had been done."""
    from agent.app.follow import part_json, story_json, summary
    from agent.app.watching.exits import unprotected_json, unprotected_lines

    parent = book.parents.get(name)
    if parent is not None:
        done, wanted = book.filled_base(name), parent.parent.qty
        base = parent.parent.intent.base
        story: dict[str, Any] = story_json(settings, book, name)
        full = parent.closed is not None and parent.closed.status == "FILLED"
    else:
        record = book.parts[name]
        done, wanted, base = record.base_qty(), record.base_qty(), base_of(book, name)
        story = {"part": part_json(settings, record)}
        full = record.status is not None and record.status.value == "FILLED"
    outcome = "FILLED" if full else "PARTLY_FILLED" if done else "CANCELED"
    if as_json:
        emit_json(
            {
                "cl_ord_id": name,
                "outcome": outcome,
                "filled_base": plain(done),
                "unprotected": unprotected_json(book, name),
                **story,
            }
        )
        return 4 if full else 0
    header(settings.environment.value, settings.wallet.address, NO_CHAIN)
    if parent is not None and list(book.parts_of(name)):
        summary(settings, book, name)
    if full:
        print(f"too late: {plain(done)} {base} had been done before the cancel could take effect")
    elif done:
        of = f" of {plain(wanted)}" if parent is not None else ""
        print(f"cancelled; {plain(done)}{of} {base} had been done before")
    else:
        print(f"cancelled: nothing of {name} was done")
    for line in unprotected_lines(book, name):
        print(line)
    return 4 if full else 0
