"""The exits that protect what is held: those that wait, who holds them, and which of them wait for an entry first. A question to the book."""

from __future__ import annotations

from typing import Any

from agent.algos.exit import WORDS
from agent.app.brackets import list_of, unprotected, words_of
from agent.app.cli.output import plain
from agent.app.exchange_pairs import holder_of
from agent.domain.ids import ClOrdId
from agent.domain.instruments import label_of
from agent.journal.book import Book


def exits_json(book: Book) -> list[dict[str, Any]]:
    """Open orders of stops and take-profits. `held_by` None: watched by a process of ours. `waits_for`: the entry that is not over yet."""
    found = []
    for name, record in book.parents.items():
        intent = record.parent.intent
        if record.closed is not None or intent.algo not in ("exit", "oco"):
            continue
        told, mine = dict(intent.algo_params), list_of(book, name)
        entry = mine[0] if mine is not None and book.parents[mine[0]].closed is None else None
        found.append(
            {
                "cl_ord_id": name,
                "side": intent.side.value.lower(),
                "qty": plain(book.leaves(name)),
                "base": label_of(intent.base),
                **{word: told.get(word) for word in WORDS},
                "held_by": holder_of(book, name),
                "waits_for": entry,
            }
        )
    return found


def exits_lines(book: Book) -> list[str]:
    """The same for a person, one line each."""
    lines = []
    for one in exits_json(book):
        prices = " or ".join(f"{word} {one[word]}" for word in WORDS if one[word] is not None)
        held = f"at {one['held_by']}" if one["held_by"] is not None else "watched by a process here"
        after = f", after its entry {one['waits_for']}" if one["waits_for"] is not None else ""
        lines.append(
            f"exits     {one['side']} {one['qty']} {one['base']} at {prices}: {held}{after} ({one['cl_ord_id']})"
        )
    return lines


def unprotected_json(book: Book, of: ClOrdId | None = None) -> list[dict[str, Any]]:
    """What entries brought whose exits nobody holds and nobody watches: a list that ended with its entry cancelled, or a process that died.
    `of`: of that order alone."""
    return [
        {
            "entry": entry.cl_ord_id,
            "side": entry.intent.side.other.value.lower(),
            "qty": plain(qty),
            "base": label_of(entry.intent.base),
            "then": words_of(dict(entry.intent.algo_params)),
        }
        for entry, qty in unprotected(book, of)
    ]


def unprotected_lines(book: Book, of: ClOrdId | None = None) -> list[str]:
    """The same for a person, one line each."""
    return [
        f"NO EXITS  for {one['qty']} {one['base']} that {one['entry']} brought ({one['side']} at {one['then']}): "
        "`fairlead run`, or `run --once`, gives what is not too little for them"
        for one in unprotected_json(book, of)
    ]
