"""What a process that opens keys does first: nothing of its memory is written down or shown to another process."""

from __future__ import annotations

import ctypes
import resource
import sys


def harden() -> None:
    """No core files, and no other process of the same user may read this one's memory (where the system knows how)."""
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    if sys.platform == "linux":
        pr_set_dumpable = 4
        ctypes.CDLL(None).prctl(pr_set_dumpable, 0, 0, 0, 0)
