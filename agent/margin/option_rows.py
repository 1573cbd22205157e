"""Rows of options as accounts/1 writes them: a list of decimal strings in an order of each model's own, "C" or "P" second. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from agent.margin import fields


def option_rows(
    raw: Mapping[str, Any], where: str, columns: Sequence[str]
) -> Iterator[tuple[str, dict[str, Any], bool]]:
    """(where it stands, its columns by name, whether it is a call) of each. Raises Usage naming the row that has not those columns."""
    for n, row in enumerate(fields.rows(raw, "options", where)):
        at = f"{where}, option {n}"
        if not isinstance(row, list) or len(row) != len(columns) + 1 or row[1] not in ("C", "P"):
            wanted = ", ".join([columns[0], '"C" or "P"', *columns[1:]])
            raise fields.wrong(f"{at}: [{wanted}]")
        yield at, dict(zip(columns, [row[0], *row[2:]], strict=True)), row[1] == "C"
