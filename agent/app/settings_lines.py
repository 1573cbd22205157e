"""On which line of a TOML file a path is written: tomllib keeps values only, and a message must say where to look."""

from __future__ import annotations

import re

_HEADER = re.compile(r"\s*(\[\[?)\s*([^\]]+?)\s*\]\]?\s*(#.*)?$")
_KEY = re.compile(
    r"""\s*((?:[A-Za-z0-9_-]+|"[^"]*"|'[^']*')(?:\s*\.\s*(?:[A-Za-z0-9_-]+|"[^"]*"|'[^']*'))*)\s*="""
)
_PART = re.compile(r"""[A-Za-z0-9_-]+|"[^"]*"|'[^']*'""")


class Lines:
    """Knows tables, arrays of tables and plain keys; what is inside an inline table or a list is found at its key."""

    def __init__(self, text: str) -> None:
        self._lines: dict[str, int] = {}
        counts: dict[str, int] = {}
        table = ""
        for number, line in enumerate(text.splitlines(), 1):
            header = _HEADER.match(line)
            if header:
                table = ""
                parts = [part.strip("\"'") for part in _PART.findall(header[2])]
                for depth, part in enumerate(parts):
                    table = f"{table}.{part}" if table else part
                    if depth == len(parts) - 1 and header[1] == "[[":
                        counts[table] = counts.get(table, -1) + 1
                        self._lines.setdefault(table, number)
                    if table in counts:
                        table = f"{table}[{counts[table]}]"
                self._lines.setdefault(table, number)
                continue
            key = _KEY.match(line)
            if key:
                path = ".".join(part.strip("\"'") for part in _PART.findall(key[1]))
                self._lines.setdefault(f"{table}.{path}" if table else path, number)

    def of(self, path: str) -> int:
        """The line of the path, or of the nearest thing around it; 1 where nothing of it is written."""
        while path:
            if path in self._lines:
                return self._lines[path]
            path = re.sub(r"(\[\d+\]|\.[^.\[\]]+|^[^.\[\]]+)$", "", path)
        return 1
