"""The kill switch: one small file that every process of this home looks at before new risk leaves.

It needs neither journal nor daemon, so it works when they do not. Cancelling and following go on while it is set.
"""

from __future__ import annotations

import json
import os
from pathlib import Path

from agent.domain.errors import Halt


class Switch:
    def __init__(self, path: Path) -> None:
        self.path = path

    @classmethod
    def beside(cls, journal: Path) -> Switch:
        """The switch of the home whose journal this is."""
        return cls(journal.parent / "HALTED.json")

    def why(self) -> str:
        """Why trading is halted; empty when it is not. A switch that cannot be read counts as set."""
        try:
            os.stat(self.path)  # mostly there is none, which this tells sooner than opening it
            text = self.path.read_bytes()
        except FileNotFoundError:
            return ""
        except OSError as error:
            return f"the kill switch {self.path.name} cannot be read ({error.strerror})"
        try:
            return str(json.loads(text)["why"]) or "no reason given"
        except (ValueError, KeyError, TypeError):
            return "the kill switch is set"

    def set(self, why: str) -> None:
        """Raises Halt where it cannot be written, naming the file to create by hand."""
        fresh = self.path.with_suffix(".new")
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            with fresh.open("w") as out:
                json.dump({"why": why}, out)
                out.flush()
                os.fsync(out.fileno())
            fresh.replace(self.path)
        except OSError as error:
            if self._set_without_reason(fresh):
                return
            raise Halt(
                "SWITCH_UNWRITABLE",
                f"the kill switch could not be set: {error.strerror}",
                f"touch {self.path}",
            ) from error

    def _set_without_reason(self, fresh: Path) -> bool:
        """On a full disk an empty file still finds its place, and counts as set."""
        try:
            fresh.unlink(missing_ok=True)
            self.path.touch()
        except OSError:
            return False
        return True

    def clear(self) -> None:
        self.path.unlink(missing_ok=True)
