"""Where the `fairlead` command begins: Ctrl-C is an answer from its first moment on, also while the rest is still loading."""

from __future__ import annotations

import gc
import os
import sys

OBJECTS = 50_000
"""New objects before the collector looks: what a command loads lives to its end, and Python's 700 would search it a hundred times."""


def collect_seldom() -> None:
    gc.set_threshold(OBJECTS, 20, 20)


def main() -> None:
    collect_seldom()
    try:
        from agent.app.cli import READER_GONE, run

        status = run(sys.argv[1:])
        if status == READER_GONE:  # or Python would try once more to write what nobody reads
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    except KeyboardInterrupt:
        print("error INTERRUPTED: stopped; nothing was begun", file=sys.stderr)
        status = 2
    sys.exit(status)
