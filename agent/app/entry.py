"""Where the `fairlead` command begins: Ctrl-C is an answer from its first moment on, also while the rest is still loading."""

from __future__ import annotations

import os
import sys


def main() -> None:
    try:
        from agent.app.cli import READER_GONE, run

        status = run(sys.argv[1:])
        if status == READER_GONE:  # or Python would try once more to write what nobody reads
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    except KeyboardInterrupt:
        print("error INTERRUPTED: stopped; nothing was begun", file=sys.stderr)
        status = 2
    sys.exit(status)
