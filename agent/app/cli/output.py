"""How the command line speaks: one JSON document or a readable table on stdout, everything else on stderr.

Money is never a JSON number. Errors become FORMATS' error object and exit status; a traceback is a bug of ours.
"""

from __future__ import annotations

import errno
import io
import json
import os
import signal
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from contextvars import ContextVar
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from chains.errors import FairleadError

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table

WIDTH_PIPED = 150
NO_CHAIN = "no chain asked"
"""The block part of a header whose command asks no chain."""


def plain(value: Decimal) -> str:
    """A Decimal as people write it: no exponent, no trailing zeros."""
    text = format(value, "f")
    return text.rstrip("0").rstrip(".") if "." in text else text


def read_px(px: Decimal) -> str:
    """A price for reading: four decimals, and as many more as it has leading zeros behind the point."""
    return f"{px:,.{4 - min(px.adjusted(), 0) if px else 4}f}"


def quote_places(px: Decimal) -> int:
    """How many decimals a column of the quote asset shows, `px` being quote per base: cents, or what is worth about one."""
    return 2 if px >= 1 else 2 - px.adjusted() + 2 if px else 8


def _default(value: Any) -> Any:
    if isinstance(value, Decimal):
        return plain(value)
    if isinstance(value, bytes):
        return "0x" + value.hex()
    raise TypeError(f"{type(value).__name__} has no JSON form")


class _Said:
    """Whether this command line's one document has been written; tasks share the object, whatever context they copied."""

    document = False


_said: ContextVar[_Said | None] = ContextVar("said", default=None)


@contextmanager
def one_answer() -> Iterator[None]:
    """Within it one JSON document is written at most: an error that comes after the answer goes to stderr."""
    before = _said.set(_Said())
    try:
        yield
    finally:
        _said.reset(before)


def emit_json(document: Any) -> None:
    """Writes the document whole: a Ctrl-C comes before or after it, never within."""
    text = json.dumps(document, indent=2, default=_default, ensure_ascii=False) + "\n"
    held = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        sys.stdout.write(text)
        sys.stdout.flush()
        if (said := _said.get()) is not None:
            said.document = True
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, held)


def note(message: str) -> None:
    """Progress and warnings; never on stdout. Nobody listening is no reason to leave an order alone."""
    with suppress(OSError):
        print(message, file=sys.stderr, flush=True)


def header(environment: str, wallet: str, block: str) -> None:
    """The first line of every human output: ENV · wallet · block (age); LIVE is red on a terminal."""
    shown = "LIVE" if environment == "live" else environment
    if environment == "live" and sys.stdout.isatty():
        shown = f"\033[1;31m{shown}\033[0m"
    print(f"{shown} · {wallet} · {block}")


def table(
    columns: Sequence[str], rows: Sequence[Sequence[str]], *, right: Sequence[int] = (), title: str = ""
) -> None:
    """A table that stays readable when piped; `right` names the columns that are numbers."""
    from rich.box import SIMPLE_HEAD
    from rich.console import Console
    from rich.table import Table

    view = Table(
        box=SIMPLE_HEAD, title=title or None, title_justify="left", pad_edge=False, header_style="bold"
    )
    for position, column in enumerate(columns):
        number = position in right  # a number in two lines would be read as two numbers
        view.add_column(column, justify="right" if number else "left", overflow="fold", no_wrap=number)
    for row in rows:
        view.add_row(*row)
    if sys.stdout.isatty():
        console = Console(file=sys.stdout, highlight=False, markup=False)
        fitted(view, console)
        console.print(view)
        return
    plain_text = io.StringIO()
    Console(file=plain_text, highlight=False, markup=False, width=WIDTH_PIPED).print(view)
    sys.stdout.write("\n".join(line.rstrip() for line in plain_text.getvalue().splitlines()) + "\n")


def fitted(view: Table, console: Console) -> None:
    """Columns move together where the table is wider than the terminal: before words are broken, the room between them goes."""
    if console.measure(view, options=console.options.update(width=WIDTH_PIPED)).maximum > console.width:
        view.padding = 0


def stdout_to_nowhere() -> None:
    """Nobody can be told anything on stdout any more: else the interpreter tries what is left once more at its end, and ends with 120."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, 1)
    os.close(nowhere)


def emit_error(error: FairleadError, as_json: bool) -> int:
    """Prints the error the way it was asked for and gives the exit status."""
    said = _said.get()
    told = False
    if as_json and not (said and said.document):
        shown = {"code": error.code, "verb": error.verb, "message": error.message, "hint": error.hint}
        try:
            emit_json({"error": shown})
            told = True
        except OSError as failed:
            if failed.errno not in (errno.ENOSPC, errno.EPIPE):
                raise
            stdout_to_nowhere()
    if not told:
        red, dim, off = ("\033[31m", "\033[2m", "\033[0m") if sys.stderr.isatty() else ("", "", "")
        print(f"{red}error{off} {error.code}: {error.message}", file=sys.stderr)
        if error.hint:
            print(f"  {dim}→{off} {error.hint}", file=sys.stderr)
    return error.exit_status
