"""Finding secrets where they must not be: in files, databases, outputs, and in what every process shows of itself while it runs.

A secret is looked for by halves and in every form that a program would give it, so that a shortened or re-encoded one is found too.
"""

from __future__ import annotations

import os
import sqlite3
import threading
import time
from base64 import b64encode, urlsafe_b64encode
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import quote


@dataclass(frozen=True)
class Needle:
    secret: str
    form: str
    data: bytes
    any_case: bool = False


@dataclass(frozen=True)
class Leak:
    secret: str
    form: str
    where: str


def needles(secret: str, value: bytes) -> list[Needle]:
    """All forms of one secret. A text of hex digits is looked for as the bytes it means, too."""
    assert len(value) >= 16, "too short to be told from chance"
    found = [Needle(secret, "a number", str(int.from_bytes(value, "big")).encode())]
    meanings = [("", value)]
    try:
        meanings.append((" of its hex", bytes.fromhex(value.decode())))
    except (ValueError, UnicodeDecodeError):
        pass
    for of, meant in meanings:
        middle = len(meant) // 2
        for part, half in (("first", meant[:middle]), ("second", meant[middle:])):
            found += [
                Needle(secret, f"{form}, {part} half{of}", data, case) for form, data, case in forms(half)
            ]
    return list({needle.data: needle for needle in found}.values())


def forms(half: bytes) -> Iterator[tuple[str, bytes, bool]]:
    yield "raw", half, False
    yield "hex", half.hex().encode(), True
    yield "utf-16", half.decode("latin-1").encode("utf-16-le"), False
    yield "percent", quote(half).encode(), True
    numbers = list(half)
    yield "list", ", ".join(map(str, numbers)).encode(), False
    yield "tight list", ",".join(map(str, numbers)).encode(), False
    yield "repr", repr(half)[2:-1].encode(), False
    for shift in range(3):  # where it stands in what was encoded decides which letters it becomes
        padded = b"\0" * shift + half
        for name, encode in (("base64", b64encode), ("url base64", urlsafe_b64encode)):
            text = encode(padded)
            yield f"{name} shifted {shift}", text[(0, 2, 3)[shift] : -4 if len(padded) % 3 else None], False


class Search:
    """`allowed` are (secret, place) pairs: where a secret is kept on purpose."""

    def __init__(self, secrets: dict[str, bytes], allowed: Iterable[tuple[str, str]] = ()) -> None:
        self.needles = [needle for name, value in secrets.items() for needle in needles(name, value)]
        self.allowed = set(allowed)
        self.looked_at: dict[str, int] = {}

    def look(self, where: str, hay: bytes) -> list[Leak]:
        self.looked_at[where] = self.looked_at.get(where, 0) + len(hay)
        lower = hay.lower()
        return [
            Leak(needle.secret, needle.form, where)
            for needle in self.needles
            if (needle.data in hay or (needle.any_case and needle.data.lower() in lower))
            and (needle.secret, where) not in self.allowed
        ]

    def look_at_files(self, *folders: Path) -> list[Leak]:
        """Every regular file; of a database its values, too, for a long one lies in pieces in the file."""
        found = []
        for folder in folders:
            for path in sorted(folder.rglob("*")):
                if path.is_symlink() or not path.is_file():
                    continue
                data = path.read_bytes()
                found += self.look(str(path), data)
                if data.startswith(b"SQLite format 3\0"):
                    found += self.look(str(path), values_of(path))
        return found


def values_of(path: Path) -> bytes:
    db = sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True)
    try:
        tables = [name for (name,) in db.execute("SELECT name FROM sqlite_master WHERE type='table'")]
        rows = [row for name in tables for row in db.execute(f'SELECT * FROM "{name}"')]
    finally:
        db.close()
    return b"\n".join(v if isinstance(v, bytes) else str(v).encode() for row in rows for v in row)


@dataclass
class Process:
    """What one program shows: `hidden` where the kernel shows its environment to nobody else."""

    pid: int
    cmdline: bytes
    environ: bytes
    hidden: bool


@dataclass
class Watch:
    """Looks at this process's descendants all the while, those that lost their parent included. `with Watch() as watch`."""

    every_s: float = 0.02
    seen: dict[tuple[int, bytes], Process] = field(default_factory=dict)

    def __enter__(self) -> Watch:
        self._ours: set[tuple[int, str]] = set()
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="watch")
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()

    def ran(self, words: str) -> list[Process]:
        return [
            p for p in self.seen.values() if words in p.cmdline.replace(b"\0", b" ").decode(errors="replace")
        ]

    def _run(self) -> None:
        while not self._stop.is_set():
            self.look()
            time.sleep(self.every_s)

    def look(self) -> None:
        parents: dict[int, tuple[int, str]] = {}
        for name in os.listdir("/proc"):
            if name.isdigit():
                try:
                    stat = Path("/proc", name, "stat").read_text().rpartition(")")[2].split()
                except OSError:
                    continue
                parents[int(name)] = (int(stat[1]), stat[19])
        for pid, (_, started) in parents.items():
            if (pid, started) not in self._ours and not self._descends(pid, parents):
                continue
            self._ours.add((pid, started))
            shown = show(pid, parents[pid][0])
            if shown is not None:
                self.seen[pid, shown.cmdline] = shown

    def _descends(self, pid: int, parents: dict[int, tuple[int, str]]) -> bool:
        while pid in parents:
            parent = parents[pid][0]
            if parent == os.getpid() or (parent in parents and (parent, parents[parent][1]) in self._ours):
                return True
            pid = parent
        return False


def show(pid: int, parent: int) -> Process | None:
    """None for one that is gone, or that is still its parent's copy: between fork and exec it has not become anything."""
    try:
        before = Path(f"/proc/{pid}/cmdline").read_bytes()
        try:
            environ, hidden = Path(f"/proc/{pid}/environ").read_bytes(), False
        except PermissionError:
            environ, hidden = b"", True
        after = Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:
        return None
    try:
        of_parent = Path(f"/proc/{parent}/cmdline").read_bytes()
    except OSError:
        of_parent = b""
    if not before or before != after or before == of_parent:
        return None
    return Process(pid, before, environ, hidden)
