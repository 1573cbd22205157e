"""Random books by the million: in parts of their own seeds, each counted and kept in a file, so that a run cut short goes on where it was.

A part is told by its seed, its number and its size, and by a digest of the code it was held against: after a change of a model nothing
that was counted before counts.
"""

from __future__ import annotations

import ast
import hashlib
import json
import random
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import random_books
from random_books import book, hold

from agent import margin
from agent.margin.model import State


@dataclass(slots=True)
class Counted:
    """`prices` were printed and flipped; `fallen` accounts are liquidatable; `cpu_s` is this process's own time."""

    books: int = 0
    accounts: int = 0
    prices: int = 0
    fallen: int = 0
    cpu_s: float = 0.0
    models: dict[str, int] = field(default_factory=dict)

    def add(self, other: Counted) -> None:
        self.books += other.books
        self.accounts += other.accounts
        self.prices += other.prices
        self.fallen += other.fallen
        self.cpu_s += other.cpu_s
        self.models = dict(Counter(self.models) + Counter(other.models))


def part(seed: int, number: int, size: int) -> Counted:
    """`size` books of one part, each held. Raises AssertionError with the account, and where it was drawn."""
    draw, found, begun = random.Random(f"{seed} {number}"), Counted(), time.process_time()
    models = Counter[str]()
    for at in range(size):
        try:
            for member in book(draw):
                assert member.model is not None
                found.prices += hold(member)
                found.fallen += member.state({}) is State.LIQUIDATABLE
                models[member.model.name] += 1
        except AssertionError as wrong:
            raise AssertionError(f"seed {seed}, part {number}, book {at}: {wrong}") from wrong
    found.books, found.accounts, found.models = size, models.total(), dict(models)
    found.cpu_s = time.process_time() - begun
    return found


def code_digest() -> str:
    """Of what draws and judges, and of every model's file that it comes to: one that it does not use changes nothing."""
    folder, due, seen = Path(margin.__path__[0]), [Path(random_books.__file__)], dict[str, bytes]()
    drawn = due[0].parent
    while due:
        path = due.pop()
        if path.name in seen:
            continue
        seen[path.name] = path.read_bytes()
        for node in ast.walk(ast.parse(seen[path.name])):
            if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("agent.margin"):
                names = [*(node.module or "").split(".")[2:], *(alias.name for alias in node.names)]
                due += [found for name in names if (found := folder / f"{name}.py").exists()]
            if isinstance(node, ast.Import):
                due += [found for alias in node.names if (found := drawn / f"{alias.name}.py").exists()]
    found = hashlib.sha256()
    for name in sorted(seen):
        found.update(name.encode() + seen[name])
    return found.hexdigest()[:16]


def parts(
    books: int, seed: int, size: int, kept: Path | None = None, run: Callable[[int, int, int], Counted] = part
) -> Iterator[tuple[int, Counted, bool]]:
    """(number, what was counted, whether it was known) of every part, the last one smaller where `size` does not divide `books`.

    `kept` is a file of JSON lines: what stands there of the same code, seed and size is not run again.
    """
    code, known = code_digest(), dict[tuple[str, int, int, int], dict[str, Any]]()
    if kept is not None and kept.exists():
        for line in kept.read_text().splitlines():
            if line.endswith("}"):  # a line that was cut short is no part
                row = json.loads(line)
                known[row["code"], row["seed"], row["part"], row["counted"]["books"]] = row["counted"]
    for number in range(-(-books // size)):
        due = min(size, books - number * size)
        told = known.get((code, seed, number, due))
        if told is not None:
            yield number, Counted(**told), True
            continue
        found = run(seed, number, due)
        if kept is not None:
            row = {"code": code, "seed": seed, "part": number, "counted": asdict(found)}
            with kept.open("a") as file:
                file.write(json.dumps(row) + "\n")
        yield number, found, False
