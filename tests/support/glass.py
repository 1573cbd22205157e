"""A terminal of so many columns: what a command that runs on it shows, and how it leaves it."""

from __future__ import annotations

import fcntl
import os
import pty
import re
import select
import signal
import struct
import subprocess
import termios
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

ROWS = 60
_TOKEN = re.compile(r"\033\[([0-9;]*)([A-Za-z])|(.)", re.DOTALL)


def shown(text: str, columns: int) -> list[str]:
    """The rows that stand there once `text` was written: cursor home, both clearings, and rows that wrap as a VT100's do."""
    cells = [[" "] * columns for _ in range(ROWS)]
    row = column = 0
    for words, command, letter in _TOKEN.findall(text):
        if command == "H":
            row = column = 0
        elif command == "K" or (command == "J" and words != "2"):
            at = min(column, columns - 1)  # after the last column the cursor still stands on it
            cells[row][at:] = [" "] * (columns - at)
            if command == "J":
                cells[row + 1 :] = [[" "] * columns for _ in cells[row + 1 :]]
        elif command == "J":
            cells = [[" "] * columns for _ in range(ROWS)]
        elif letter == "\r":
            column = 0
        elif letter == "\n":
            row += 1
        elif letter:
            if column == columns:
                row, column = row + 1, 0
            cells[row][column] = letter
            column += 1
        assert row < ROWS, "it scrolls"
    return ["".join(line).rstrip() for line in cells]


class Glass:
    """One command on its terminal."""

    def __init__(self, process: subprocess.Popen[bytes], end: int, columns: int, before: list[Any]) -> None:
        self.process, self.columns, self.raw = process, columns, ""
        self._end, self._before = end, before

    def read(self, until: Callable[[list[str]], bool], seconds: float = 60.0) -> list[str]:
        """The rows once they are so, at the end of a whole view."""
        ends = time.monotonic() + seconds
        while time.monotonic() < ends:
            if select.select([self._end], [], [], 0.2)[0]:
                self.raw += os.read(self._end, 65_536).decode()
            if self.raw.endswith("\033[J") and until(rows := shown(self.raw, self.columns)):
                return rows
            assert self.process.poll() is None, self.raw
        raise AssertionError("\n".join(shown(self.raw, self.columns)))

    def types(self, keys: bytes) -> None:
        os.write(self._end, keys)

    def ended(self) -> int:
        status = self.process.wait(30)
        while select.select([self._end], [], [], 0.2)[0]:
            self.raw += os.read(self._end, 65_536).decode()
        return status

    @property
    def as_before(self) -> bool:
        """Whether the terminal echoes, and gives lines, as it did."""
        return bool(termios.tcgetattr(self._end) == self._before)


@contextmanager
def glass(command: Sequence[str], columns: int, env: Mapping[str, str]) -> Iterator[Glass]:
    """The command in the foreground of a terminal of its own."""
    end, inner = pty.openpty()
    fcntl.ioctl(inner, termios.TIOCSWINSZ, struct.pack("HHHH", ROWS, columns, 0, 0))
    before = termios.tcgetattr(end)

    def foreground() -> None:
        os.setsid()
        fcntl.ioctl(0, termios.TIOCSCTTY, 0)

    process = subprocess.Popen(
        command, stdin=inner, stdout=inner, stderr=inner, env=dict(env), preexec_fn=foreground
    )
    try:
        yield Glass(process, end, columns, before)
    finally:
        if process.poll() is None:
            process.send_signal(signal.SIGKILL)
            process.wait(30)
        os.close(inner)
        os.close(end)
