"""`fairlead reconcile --end PART`: what speaks for ending an order that its exchange has forgotten, and its end in the books."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from agent.app.cli.output import emit_json, header, plain, table
from chains.errors import Denied

if TYPE_CHECKING:
    from agent.app.forgotten import Forgotten
    from agent.app.wiring import App
    from agent.domain.ids import ClOrdId
    from agent.journal.book import Book


async def end(app: App, text: str, why: str, cancel: bool, yes: bool, as_json: bool) -> int:
    """Tells, and with `yes` does it. Exit 5 where its owner has to say more first. Raises as `agent.app.forgotten`."""
    from agent.app.forgotten import events_of, look, record_all, writing
    from agent.app.readonly import read_book
    from agent.app.runs_as import runs_as
    from agent.journal.book import Book

    if app.settings.watch_only:
        raise Denied(
            "WATCH_ONLY", "these settings only watch", "nothing is traded by them, so nothing is open"
        )
    if not yes:
        book = read_book(app.settings) or Book()
        found = await look(app, book, _part(book, text))
        return await _tell(app, book, found, why, cancel, as_json)
    async with writing(app.settings, app.clock) as recorder:
        found = await look(app, recorder.book, _part(recorder.book, text))
        who = runs_as()
        await record_all(recorder, await events_of(app, recorder.book, found, who, why, cancel))
        if as_json:
            emit_json({**_facts(found), "ended": True, "by": who, "cancelled": cancel and found.goes_on})
            return 0
        header(app.settings.environment.value, app.settings.wallet.address, await app.head_line())
        print(f"ended in the books: {_what(recorder.book, found)}; {_then(found, cancel, done=True)}")
        print(
            f"its story: fairlead orders {found.parent or found.name}    who and why: fairlead journal show"
        )
    return 0


def _part(book: Book, text: str) -> ClOrdId:
    """Of an order with one part that is open, that part."""
    from agent.app.follow import named_order

    name = named_order(book, text)
    if name not in book.parents:
        return name
    opened = [record.part.cl_ord_id for record in book.parts_of(name) if not record.ended]
    return opened[0] if len(opened) == 1 else name


async def _tell(app: App, book: Book, found: Forgotten, why: str, cancel: bool, as_json: bool) -> int:
    from agent.app.forgotten import check
    from chains.errors import Reconcile

    missing: Reconcile | None = None
    try:
        check(found, why)
    except Reconcile as more:
        missing = more
    again = " ".join(["fairlead reconcile --end", found.name, *(["--cancel"] if cancel else []), *(['--why "…"'] if not found.proved else []), "--yes"])  # fmt: skip
    if as_json:
        blocked = (
            {"code": missing.code, "message": missing.message, "hint": missing.hint} if missing else None
        )
        emit_json({**_facts(found), "ended": False, "missing": blocked, "command": again})
        return 5 if missing else 0
    header(app.settings.environment.value, app.settings.wallet.address, await app.head_line())
    print(f"{_what(book, found)}; {found.where} {found.told}")
    rows = [
        [one.symbol, plain(one.booked), plain(one.there), plain(one.there - one.booked)] for one in found.held
    ]
    table(("asset", "the books", found.where, "difference"), rows, right=(1, 2, 3))
    if found.proved:
        print("what is held there is what the books say: it did no more than is booked")
    elif missing is not None:
        print(f"{missing.message}: {missing.hint}")
    if found.differing and not found.others:
        print("what is held there would be taken over as it is")
    print(f"it would end in the books, and nothing is sent: {_then(found, cancel, done=False)}")
    print(f"do it: {again}")
    return 5 if missing else 0


def _what(book: Book, found: Forgotten) -> str:
    record = found.record
    signed = record.authorized
    assert signed is not None and signed.order is not None
    order, done = signed.order, plain(record.base_qty())
    told = f"{found.name}: {order.side.value.lower()} {plain(order.order_qty)} {order.symbol} at {found.where}, {done} done"
    return f"{told}, of order {found.parent}" if found.parent is not None else told


def _then(found: Forgotten, cancel: bool, *, done: bool) -> str:
    freed = "its limits are free" if done else "its limits become free"
    rest = plain(found.rest)
    if not found.rest or not found.goes_on:
        return freed
    if cancel:
        return f"{freed}, and its order is cancelled: the rest, {rest}, is not ordered again"
    return f"{freed}, and its order goes on: `fairlead run` may order the rest, {rest}, again (--cancel ends it too)"


def _facts(found: Forgotten) -> dict[str, Any]:
    return {
        "part": found.name,
        "order": found.parent,
        "place": found.record.part.place,
        "told": found.told,
        "proved": found.proved,
        "balances": [
            {"asset": one.asset, "symbol": one.symbol, "book": plain(one.booked), "there": plain(one.there)}
            for one in found.held
        ],
        "open_beside": list(found.others),
        "done_base": plain(found.record.base_qty()),
        "rest_base": plain(found.rest),
    }


__all__ = ["end"]
