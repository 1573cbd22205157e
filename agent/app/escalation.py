"""Alerts that nobody has answered: what stands open, in a small file beside the journal, and what is due to further channels.

An alert is answered by what ends it (trading resumed, an account safe again or rescued), or by its owner (`fairlead alerts --answer`). Each is told
further once. The file is shared by the daemon and by commands that cron runs: every look reads it anew and what is written replaces it whole.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Collection
from pathlib import Path
from typing import Any, TypeAlias

from chains.bounded_file import read_at_most
from chains.bounded_json import loads

Open: TypeAlias = dict[str, dict[str, Any]]
"""By key: the alert as it was sent, `first_s` and whether it was `told` further."""

MOST = 500
_MOST_BYTES = 4 << 20
_ENDS = {
    "RESUMED": ("HALTED",),
    "HEALTH_SAFE": ("HEALTH_AT_RISK", "HEALTH_UNKNOWN", "HEALTH_LIQUIDATABLE"),
    "RESCUED": ("RESCUE_NEAR", "RESCUE_IMPOSSIBLE", "RESCUE_SHORT"),
}
_OF_ACCOUNTS = ("HEALTH_", "RESCUE")
"""Codes whose message begins with the account, then a colon."""


def open_path(journal: Path) -> Path:
    """Where what is open stands, beside a journal."""
    return journal.parent / "alerts-open.json"


def _subject(code: str, message: str) -> str:
    return message.partition(": ")[0] if code.startswith(_OF_ACCOUNTS) else ""


class Escalation:
    """`codes` must be answered within `after_s`; `said` tells what of the file cannot be read or written."""

    def __init__(
        self, path: Path, after_s: float, codes: Collection[str], say: Callable[[str], None]
    ) -> None:
        self._path, self.after_s, self._codes, self._say = path, after_s, frozenset(codes), say

    def saw(self, alert: dict[str, Any], now_s: float) -> None:
        """Notes an alert that has to be answered, or what answers earlier ones."""
        code, subject = alert["code"], _subject(alert["code"], alert["message"])
        ends = _ENDS.get(code, ())
        if not ends and code not in self._codes:
            return
        found = self.read()
        for other in ends:
            found.pop(f"{other} {subject}".strip(), None)
        key = f"{code} {subject}".strip()
        if code in self._codes and key not in found and len(found) < MOST:
            found[key] = {"alert": alert, "first_s": now_s, "told": False}
        self._write(found)

    def due(self, now_s: float) -> list[dict[str, Any]]:
        """The alerts that are to be told further now, each with how many `minutes` it has stood; they count as told."""
        found = self.read()
        # A clock that went back is no reason for silence: what is of a later time counts from now on.
        ahead = [one for one in found.values() if one["first_s"] > now_s]
        for one in ahead:
            one["first_s"] = now_s
        late = [one for one in found.values() if not one["told"] and now_s - one["first_s"] >= self.after_s]
        for one in late:
            one["told"] = True
        if late or ahead:
            self._write(found)
        return [{**one["alert"], "minutes": int((now_s - one["first_s"]) // 60)} for one in late]

    def read(self) -> Open:
        """What is open; what cannot be read counts as nothing, and is said."""
        return read(self._path, self._say)

    def _write(self, found: Open) -> None:
        write(self._path, found, self._say)


def read(path: Path, say: Callable[[str], None]) -> Open:
    """What stands open there, by key."""
    try:
        document = loads(read_at_most(path, _MOST_BYTES))
        return {
            str(key): {
                "alert": dict(one["alert"]),
                "first_s": float(one["first_s"]),
                "told": bool(one["told"]),
            }
            for key, one in document.items()
        }
    except FileNotFoundError:
        return {}
    except (OSError, ValueError, TypeError, KeyError, AttributeError):
        say(f"alerts: {path} cannot be read; what stood open there is not told further")
        return {}


def write(path: Path, found: Open, say: Callable[[str], None]) -> None:
    """Replaces what stands open."""
    part = path.with_suffix(f".{os.getpid()}.part")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        part.write_text(json.dumps(found, indent=1))
        os.replace(part, path)
    except OSError as problem:
        say(f"alerts: {path} cannot be written ({problem.strerror}); what is open is not told further")


__all__ = ["Escalation", "open_path", "read", "write"]
