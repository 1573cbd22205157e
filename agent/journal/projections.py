"""The states that are folds of the journal, by name: what `journal replay` rebuilds and compares."""

from __future__ import annotations

from typing import Any

from agent.journal.book import Book
from agent.journal.fold import Projection


def _apply(book: Book, event: Any) -> Book:
    book.apply(event)
    return book


BOOK: Projection[Book] = Projection("book", Book, _apply, Book.state_hash)
PROJECTIONS: tuple[Projection[Any], ...] = (BOOK,)
