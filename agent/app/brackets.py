"""The exits of what an entry brings: an order of their own, whose id is derived from the entry's, so that no restart makes two.

They are given once the entry is over, for what it brought and no more: to an exchange as a pair where one was named, else watched here.
Until then nothing protects what was filled. Where entry and exits went to an exchange as one list, its exits stand there already; only
where that list ended without them (its entry was filled in part, say, and cancelled) are others given for what it brought.
"""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from typing import TYPE_CHECKING

from agent.algos import bracket
from agent.algos import exit as exit_algo
from agent.algos.bracket import AT, PROFIT, STOP
from agent.algos.twap import seconds_of
from agent.domain.errors import Usage
from agent.domain.ids import ClOrdId, IntentId, intent_id, parent_id
from agent.domain.instruments import Place
from agent.domain.order_lists import AFTER
from agent.domain.orders import Intent, ParentOrder, Side
from agent.domain.units import quantize_down
from agent.journal.list_fold import attached_to

if TYPE_CHECKING:
    from agent.app.wiring import App
    from agent.journal.book import Book


def parameters_of(
    side: Side, algo: str, stop: str | None, profit: str | None, at: str | None
) -> dict[str, str]:
    """The exits of an entry as its parameters. Raises Usage as an exit does, and THEN_AND_NOW for an order that is an exit itself."""
    typed = {STOP: stop, PROFIT: profit}
    found = {name: px for name, px in typed.items() if px is not None}
    if not found:
        return {}
    if algo in ("exit", "oco"):
        raise Usage("THEN_AND_NOW", f"an order by --algo {algo} is an exit itself", "leave --then-… out")
    words = bracket.after(found)
    exit_algo.check(words)
    exit_algo.fits(side.other, None, words)
    return found | ({AT: at} if at is not None else {})


def exit_id(entry: ParentOrder) -> ClOrdId:
    return parent_id(_intent_id(entry))


def _intent_id(entry: ParentOrder) -> IntentId:
    return intent_id("", "", "exits of", entry.cl_ord_id)


def waiting_entries(book: Book) -> list[ParentOrder]:
    """Entries that are over and have brought something, whose exits were not given yet."""
    return [
        record.parent
        for name, record in book.parents.items()
        if record.closed is not None
        and {STOP, PROFIT} & dict(record.parent.intent.algo_params).keys()
        and exit_id(record.parent) not in book.parents
        and book.filled_base(name) > 0
        and ((listed := listed_exits(book, name)) is None or lapsed(book, listed))
    ]


def unprotected(book: Book, of: ClOrdId | None = None) -> tuple[tuple[ParentOrder, Decimal], ...]:
    """Entries whose exits nobody holds and nobody watches, and how much each brought; `of`: that entry's or its list's alone."""
    mine = None if of is None else {of, *(list_of(book, of) or ())}
    return tuple(
        (entry, book.filled_base(entry.cl_ord_id))
        for entry in waiting_entries(book)
        if mine is None or entry.cl_ord_id in mine
    )


def listed_exits(book: Book, entry: ClOrdId) -> ParentOrder | None:
    """The exits that went to an exchange in one list with this entry; None where none did."""
    for record in book.parts_of(entry):
        if (exits := attached_to(record)) is not None:
            return book.parents[book.children[book.parts[exits].part.child].child.parent].parent
    return None


def list_of(book: Book, name: ClOrdId) -> tuple[ClOrdId, ClOrdId] | None:
    """(entry, exits) of the list that an order belongs to; None where it belongs to none."""
    if name not in book.parents:
        return None
    entry = dict(book.parents[name].parent.intent.algo_params).get(AFTER)
    exits = listed_exits(book, name)
    if entry is not None:
        return ClOrdId(entry), name
    return (name, exits.cl_ord_id) if exits is not None else None


def lapsed(book: Book, exits: ParentOrder) -> bool:
    """Whether a list's exits are over without having done anything, and neither their owner nor their time ended them."""
    record = book.parents[exits.cl_ord_id]
    return record.closed is not None and record.closed.status == "LAPSED" and not record.cancel_requested


async def exit_after(app: App, book: Book, entry: ParentOrder) -> ParentOrder | None:
    """The exits' order of an entry that is over; None where it has none, brought nothing, or they were given already."""
    if entry not in waiting_entries(book):
        return None
    intent, params = entry.intent, dict(entry.intent.algo_params)
    closed = book.parents[entry.cl_ord_id].closed
    assert closed is not None
    at = params.get(AT)
    qty = book.filled_base(entry.cl_ord_id)
    qty = quantize_down(qty, await _lot(app, (at,) if at is not None else tuple(app.venues), intent))
    if qty <= 0:
        return None
    words = bracket.after(params)
    pair = at is not None and len(words) == len(exit_algo.WORDS)
    exits = Intent(
        id=_intent_id(entry),
        source=f"exits of {entry.cl_ord_id}",
        side=intent.side.other,
        base=intent.base,
        quote=intent.quote,
        qty=qty,
        limit_px=None,
        algo="oco" if pair else "exit",
        algo_params=tuple(sorted(words.items())),
        max_slippage_bps=intent.max_slippage_bps,
        protection=intent.protection,
        created_ns=closed.at_ns,
        expire_ns=closed.at_ns + seconds_of(exit_algo.LIFE, "--over") * 10**9,
    )
    return ParentOrder(exit_id(entry), exits)


async def _lot(app: App, venues: tuple[str, ...], intent: Intent) -> Decimal:
    """The coarsest step of quantities where the exits may be done: what is less than it would be tried for ever."""
    symbols = app.directory.symbols
    lots = [Decimal("0.00000001")]
    for name in venues:
        here = {a.rpartition("/")[2]: symbols.get(a) for a in app.directory.at(Place(f"cex:{name}"))}
        wanted = (intent.base.partition("@")[0], intent.quote.partition("@")[0])
        instruments = await app.venues[name].instruments()
        lots += [one.lot for one in instruments if (here.get(one.base), here.get(one.quote)) == wanted]
    return max(lots)


def words_of(params: Mapping[str, str]) -> str:
    """For a person: what comes once the entry is over."""
    return ", ".join(f"{n.removeprefix('then-')} {params[n]}" for n in (STOP, PROFIT) if n in params)
