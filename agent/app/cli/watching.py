"""A view drawn again and again: in place on a terminal, one after the other where it is piped."""

from __future__ import annotations

import io
import re
import shutil
import sys
import time
from collections.abc import Callable
from contextlib import redirect_stdout

from agent.app.cli.typed import Typed
from chains.errors import FairleadError

TO_THE_TOP, REST_AWAY, LINE_AWAY = "\033[H", "\033[J", "\033[K"
WHOLE_AWAY = "\033[2J"
_COLOUR = re.compile(r"(\033\[[0-9;]*m)")


def drawn_again(draw: Callable[[], object], every_s: float, count: int | None) -> None:
    """Until Ctrl-C, q where a terminal hears it, or `count` looks. What cannot be read now is said in the view, and read again: only
    wrong input ends it."""
    terminal, looks = sys.stdout.isatty(), 0
    try:
        with Typed(terminal) as typed:
            while count is None or looks < count:
                text = _drawn(draw, terminal, "q or Ctrl-C ends it" if typed.heard else "Ctrl-C ends it")
                if terminal:
                    # Lines are overwritten, never the screen blanked first: nothing flickers.
                    begin = WHOLE_AWAY + TO_THE_TOP if not looks else TO_THE_TOP
                    text = begin + _rows(text, shutil.get_terminal_size().columns) + REST_AWAY
                sys.stdout.write(text)
                sys.stdout.flush()
                looks += 1
                if typed.stopped or ((count is None or looks < count) and typed.quit_within(every_s)):
                    break
    except KeyboardInterrupt:
        sys.stdout.flush()


def _rows(text: str, width: int) -> str:
    """Each row cleared before it is written: after one that fills the width, its own last character would go. Longer lines are cut
    into rows here, since what the terminal wraps by itself it does not clear."""
    return "\n".join(LINE_AWAY + row for line in text.split("\n") for row in _folded(line, width))


def _folded(line: str, width: int) -> list[str]:
    rows, used = [""], 0
    for piece in _COLOUR.split(line):
        if _COLOUR.fullmatch(piece):
            rows[-1] += piece
            continue
        while piece:
            if used == width:
                rows.append("")
                used = 0
            part, piece = piece[: width - used], piece[width - used :]
            rows[-1] += part
            used += len(part)
    return rows


class _Screen(io.StringIO):
    """What is drawn, whole before it is shown; it says whether a terminal stands behind it, so that colours are kept."""

    def __init__(self, terminal: bool) -> None:
        super().__init__()
        self._terminal = terminal

    def isatty(self) -> bool:
        return self._terminal


def _drawn(draw: Callable[[], object], terminal: bool, ends: str) -> str:
    screen = _Screen(terminal)
    with redirect_stdout(screen):
        try:
            draw()
        except FairleadError as error:
            if error.verb in ("USAGE", "HALT"):
                raise
            print(f"not known now: {error}")
    at = time.strftime("%H:%M:%SZ", time.gmtime())
    return screen.getvalue() + f"\n{at}; {ends}\n"
