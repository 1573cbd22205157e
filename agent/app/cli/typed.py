"""Keys typed at a terminal while a view stands there: none is echoed, and the terminal is given back as it was however the view ends."""

from __future__ import annotations

import os
import select
import signal
import sys
import time
from types import FrameType, TracebackType
from typing import Any

QUIT = b"qQ"


class Typed:
    """A context; `heard` says whether keys are listened to: never where not `wanted`, where stdin is no terminal, or the command runs in
    its background."""

    def __init__(self, wanted: bool = True) -> None:
        self._wanted, self._fd = wanted, -1
        self._before: list[Any] = []
        self._ended: Any = None
        self._broken_off: Any = None
        self.stopped = False
        """Whether Ctrl-C was typed: what is read meanwhile may swallow the interruption, and a view must end all the same."""

    @property
    def heard(self) -> bool:
        return self._fd >= 0

    def __enter__(self) -> Typed:
        if not self._wanted:
            return self
        try:
            import termios
        except ImportError:  # a system without such terminals
            return self
        try:
            fd = sys.stdin.fileno()
            if not os.isatty(fd) or os.tcgetpgrp(fd) != os.getpgrp():
                return self  # whoever sets a terminal from its background is stopped
            before = termios.tcgetattr(fd)
            self._ended = signal.signal(signal.SIGTERM, self._terminated)
            self._broken_off = signal.signal(signal.SIGINT, self._interrupted)
        except (termios.error, AttributeError, OSError, ValueError):  # it is gone, or none of ours to set
            return self
        self._fd, self._before = fd, before
        told = [*before]
        told[3] &= ~(termios.ECHO | termios.ICANON)  # Ctrl-C and Ctrl-Z stay what they are
        termios.tcsetattr(fd, termios.TCSADRAIN, told)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._fd < 0:
            return
        import termios

        fd, self._fd = self._fd, -1
        signal.signal(signal.SIGTERM, self._ended)
        signal.signal(signal.SIGINT, self._broken_off)
        try:
            # What was typed at the view is not for the shell after it.
            termios.tcsetattr(fd, termios.TCSAFLUSH, self._before)
        except termios.error:
            pass  # the terminal itself is gone

    def _interrupted(self, number: int, frame: FrameType | None) -> None:
        self.stopped = True
        raise KeyboardInterrupt

    def _terminated(self, number: int, frame: FrameType | None) -> None:
        self.__exit__(None, None, None)
        os.kill(os.getpid(), number)

    def quit_within(self, seconds: float) -> bool:
        """Waits so long; at once True where q was typed, or the terminal is gone."""
        until = time.monotonic() + seconds
        if not self.heard:
            time.sleep(seconds)
            return False
        while (left := until - time.monotonic()) > 0:
            if not select.select([self._fd], [], [], left)[0]:
                return False
            try:
                typed = os.read(self._fd, 1024)
            except OSError:
                return True
            if not typed or set(typed) & set(QUIT):
                return True
        return False
