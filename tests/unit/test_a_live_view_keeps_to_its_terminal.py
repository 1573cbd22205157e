"""`health --watch` on a real terminal, narrow and wide: it draws, follows what changes, ends at q, Ctrl-C or a signal, and leaves all as it was."""

from __future__ import annotations

import os
import signal
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from comet_node import beside, holding
from fake_comet import BASE, WBTC, WETH, FakeComet
from glass import Glass, glass, shown
from looked_health import BASE_CHAIN, written

HOME = "\033[H"


def market(ether_usd: int) -> FakeComet:
    """Ten ether against a debt of 24,000."""
    return FakeComet(
        -20_000 * 10**6, {WETH: 10**19}, {BASE: 10**8, WETH: ether_usd * 10**8, WBTC: 60_000 * 10**8}
    )


def by_q(one: Glass) -> int:
    one.types(b"xq")
    return 0


def by_ctrl_c(one: Glass) -> int:
    one.types(b"\x03")
    return 0


def by_a_signal(one: Glass) -> int:
    one.process.send_signal(signal.SIGTERM)
    return -signal.SIGTERM


@pytest.mark.parametrize(("columns", "how"), [(60, by_q), (160, by_ctrl_c), (100, by_a_signal)])
def test_it_draws_follows_and_leaves_the_terminal_as_it_was(
    columns: int, how: Callable[[Glass], int], tmp_path: Path
) -> None:
    now = market(3_000)
    node = holding(now, BASE_CHAIN)
    with beside(node):
        path, urls = written(tmp_path, {BASE_CHAIN: [node]}, comets=["0x" + "c0" * 20])
        kept = {k: v for k, v in os.environ.items() if k not in ("COLUMNS", "LINES", "NO_COLOR")}
        command = [sys.executable, "-m", "agent", "--settings", str(path), "health", "--watch", "--every", "0.2"]  # fmt: skip
        with glass(command, columns, {**kept, **urls, "TERM": "xterm-256color"}) as one:
            rows = one.read(lambda rows: "AT_RISK" in "".join(rows))
            assert not one.as_before and rows[0].startswith("devnet")
            now.prices[WETH], now.liquidatable, now.covered = 2_000 * 10**8, True, False
            rows = one.read(lambda rows: "LIQUIDATABLE" in "".join(rows))
            # Nothing of an earlier view is left, and none of this one is lost: it is what a blank screen would show of it.
            assert rows == shown(HOME + one.raw.rpartition(HOME)[2], columns)
            text = " ".join(rows)
            assert "health factor" in text and " 2,000 " in text and "3,000" not in text
            assert any("q or Ctrl-C ends it" in row for row in rows)
            status = how(one)
            assert one.ended() == status and one.as_before
            assert shown(one.raw, columns)[0].startswith("devnet") and "Traceback" not in one.raw
            assert "^C" not in one.raw and "xq" not in one.raw


SWALLOWS = """
import time
from agent.app.cli.watching import drawn_again

looks = []
def draw():
    looks.append(1)
    print("look", len(looks))
    try:
        time.sleep(60 if len(looks) == 2 else 0)
    except KeyboardInterrupt:
        print("heard, and not told on")

drawn_again(draw, 0.2, None)
"""


def test_ctrl_c_ends_it_although_what_is_read_swallows_the_interruption() -> None:
    with glass([sys.executable, "-c", SWALLOWS], 80, dict(os.environ) | {"TERM": "xterm-256color"}) as one:
        one.read(lambda rows: "look 1" in "".join(rows))
        time.sleep(1.0)  # the second look is under way
        one.types(b"\x03")
        assert one.ended() == 0 and one.as_before
        assert "look 3" not in one.raw
