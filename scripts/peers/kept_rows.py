"""Rows of a long run, kept line by line as they are made: a run that was interrupted goes on where it stopped."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any


class KeptRows:
    """Rows by name in a file of one JSON object a line. `about` says what they were made of: others are made anew, and all where it is `fresh`."""

    def __init__(self, file: Path, about: dict[str, Any], fresh: bool = False) -> None:
        self._file = file
        self.rows: dict[str, Any] = {}
        lines = file.read_text().splitlines(keepends=True) if file.exists() and not fresh else []
        # A line without its end was being written when the run ended.
        told = [json.loads(line) for line in lines if line.endswith("\n")]
        if told and told[0] == {"about": about}:
            self.rows = {row["name"]: row["row"] for row in told[1:]}
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(
            "".join(json.dumps(line) + "\n" for line in ({"about": about}, *(told[1:] if self.rows else ())))
        )

    def add(self, name: str, row: Any) -> None:
        self.rows[name] = row
        with self._file.open("a") as file:
            file.write(json.dumps({"name": name, "row": row}) + "\n")
