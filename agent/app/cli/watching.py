"""A view drawn again and again: in place on a terminal, one after the other where it is piped."""

from __future__ import annotations

import io
import sys
import time
from collections.abc import Callable
from contextlib import redirect_stdout

from chains.errors import FairleadError

TO_THE_TOP, REST_AWAY, LINE_AWAY = "\033[H", "\033[J", "\033[K"
WHOLE_AWAY = "\033[2J"


def drawn_again(draw: Callable[[], object], every_s: float, count: int | None) -> None:
    """Until Ctrl-C or `count` looks. What cannot be read now is said in the view, and read again: only wrong input ends it."""
    terminal, looks = sys.stdout.isatty(), 0
    try:
        while count is None or looks < count:
            text = _drawn(draw, terminal)
            if terminal:
                # Lines are overwritten, never the screen blanked first: nothing flickers.
                begin = WHOLE_AWAY + TO_THE_TOP if not looks else TO_THE_TOP
                text = begin + text.replace("\n", LINE_AWAY + "\n") + REST_AWAY
            sys.stdout.write(text)
            sys.stdout.flush()
            looks += 1
            if count is None or looks < count:
                time.sleep(every_s)
    except KeyboardInterrupt:
        sys.stdout.flush()


class _Screen(io.StringIO):
    """What is drawn, whole before it is shown; it says whether a terminal stands behind it, so that colours are kept."""

    def __init__(self, terminal: bool) -> None:
        super().__init__()
        self._terminal = terminal

    def isatty(self) -> bool:
        return self._terminal


def _drawn(draw: Callable[[], object], terminal: bool) -> str:
    screen = _Screen(terminal)
    with redirect_stdout(screen):
        try:
            draw()
        except FairleadError as error:
            if error.verb in ("USAGE", "HALT"):
                raise
            print(f"not known now: {error}")
    at = time.strftime("%H:%M:%SZ", time.gmtime())
    return screen.getvalue() + f"\n{at}; Ctrl-C ends it\n"
