"""Who runs this process, for the record of what a person decided."""

from __future__ import annotations

import os
from collections.abc import Callable
from getpass import getuser


def runs_as(name: Callable[[], str] = getuser) -> str:
    """The user's name; its number where this system has no name for it, as in many containers."""
    try:
        return name()
    except (KeyError, OSError):
        return f"user {os.getuid()}"
