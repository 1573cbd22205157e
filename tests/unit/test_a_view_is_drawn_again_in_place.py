"""A watch on a terminal overwrites itself and never blanks the screen again; what cannot be read is said and read again."""

from __future__ import annotations

import io
from contextlib import redirect_stdout

import pytest

from agent.app.cli.watching import drawn_again
from chains.errors import FairleadError, Retry, Usage


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def drawn(stream: io.StringIO, *views: str | FairleadError) -> str:
    left = list(views)

    def draw() -> None:
        one = left.pop(0)
        if isinstance(one, FairleadError):
            raise one
        print(one)

    with redirect_stdout(stream):
        drawn_again(draw, 0.001, len(views))
    return stream.getvalue()


def test_on_a_terminal_it_goes_to_the_top_and_leaves_nothing_of_the_last_view() -> None:
    text = drawn(Terminal(), "one\ntwo", "short")
    assert text.count("\033[2J") == 1 and text.count("\033[H") == 2 == text.count("\033[J")
    second = text.rpartition("\033[H")[2]
    assert second.startswith("\033[Kshort\n\033[K\n") and "two" not in second


def test_piped_it_has_no_control_codes() -> None:
    text = drawn(io.StringIO(), "one", "two")
    assert "\033" not in text and text.index("one") < text.index("two")


def test_what_is_not_known_now_is_said_and_wrong_input_ends_it() -> None:
    text = drawn(io.StringIO(), Retry("RPC_DOWN", "nobody answers", "wait"), "two")
    assert "not known now: RPC_DOWN" in text and "two" in text
    with pytest.raises(Usage):
        drawn(io.StringIO(), Usage("SETTINGS_INVALID", "line 1", ""))


def test_ctrl_c_is_how_it_ends() -> None:
    looks = []

    def draw() -> None:
        looks.append(1)
        if len(looks) == 3:
            raise KeyboardInterrupt

    with redirect_stdout(io.StringIO()):
        drawn_again(draw, 0.001, None)
    assert len(looks) == 3
