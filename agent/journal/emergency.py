"""A small file, allocated in advance on a second path, for what must go on when the journal cannot be written.

Cancelling, halting and de-risking events go here, each synced before `append` returns; the next opening of the journal moves
them into it. Its space was written with zeros when it was made, so a full disk does not touch it.

    file    one 4096-byte header (magic, environment), then records on 512-byte boundaries
    record  "FLR1" · length (4) · SHA-256(previous record's digest ‖ body) (32) · body
    body    at_ns (8) · version (4) · len(kind) (2) · kind · payload
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import struct
from dataclasses import dataclass
from pathlib import Path

from chains.errors import Halt, Retry, Usage

SIZE = 1 << 20
_MAGIC = b"FLEMERG1"
_HEADER = 4096
_BLOCK = 512
_MARK = b"FLR1"
_PREFIX = struct.Struct(">4sI32s")
_BODY = struct.Struct(">qIH")


@dataclass(frozen=True, slots=True)
class Saved:
    """One event as it was saved; `digest` names it for ever, so that it is moved into the journal once."""

    at_ns: int
    kind: str
    version: int
    payload: bytes
    digest: bytes


class EmergencyJournal:
    """Open for one process at a time. All calls block on the disk; they are few."""

    def __init__(
        self, path: Path, fd: int, records: list[Saved], end: int, size: int, environment: str
    ) -> None:
        self.path = path
        self._fd, self._records, self._end, self._size, self._environment = (
            fd,
            records,
            end,
            size,
            environment,
        )

    @classmethod
    def open(cls, path: Path, *, environment: str, size: int = SIZE) -> EmergencyJournal:
        """Makes and allocates the file where it is absent.

        Halt EMERGENCY_UNWRITABLE (no space or no permission), EMERGENCY_DAMAGED; Usage JOURNAL_ENVIRONMENT; Retry JOURNAL_LOCKED.
        """
        header = (_MAGIC + environment.encode()).ljust(_HEADER, b"\0")
        try:
            path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            if not path.exists():
                _allocate(path, header, size)
            fd = os.open(path, os.O_RDWR)
        except OSError as wrong:
            raise Halt(
                "EMERGENCY_UNWRITABLE",
                f"the emergency journal {path} cannot be prepared: {wrong.strerror}",
                "free space there, or set journal.emergency_path to another disk",
            ) from wrong
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(fd)
            raise Retry(
                "JOURNAL_LOCKED",
                f"another Fairlead process uses the emergency journal {path}",
                "give every journal its own journal.emergency_path",
            ) from None
        data = os.pread(fd, os.fstat(fd).st_size, 0)
        if data[: len(_MAGIC)] != _MAGIC:
            os.close(fd)
            raise Halt(
                "EMERGENCY_DAMAGED", f"{path} is no emergency journal", "move the file away; it is made anew"
            )
        if data[:_HEADER] != header:
            os.close(fd)
            stored = data[len(_MAGIC) : _HEADER].rstrip(b"\0").decode(errors="replace")
            raise Usage(
                "JOURNAL_ENVIRONMENT",
                f"the emergency journal {path} belongs to '{stored}', not '{environment}'",
                "give each environment its own folder",
            )
        try:
            records, end = _read(data, path)
        except Halt:
            os.close(fd)
            raise
        return cls(path, fd, records, end, len(data), environment)

    @property
    def records(self) -> tuple[Saved, ...]:
        return tuple(self._records)

    @property
    def room(self) -> int:
        """Bytes left for records."""
        return self._size - self._end

    def append(self, at_ns: int, kind: str, version: int, payload: bytes) -> Saved:
        """On the disk when it returns. Halt EMERGENCY_FULL or EMERGENCY_UNWRITABLE."""
        name = kind.encode()
        body = _BODY.pack(at_ns, version, len(name)) + name + payload
        digest = _digest(self._records[-1].digest if self._records else b"", body)
        block = _padded(_PREFIX.pack(_MARK, len(body), digest) + body)
        if self._end + len(block) > self._size:
            raise Halt(
                "EMERGENCY_FULL",
                f"the emergency journal {self.path} is full",
                "free the journal's disk and start Fairlead again: it moves these records over",
            )
        try:
            if os.pwrite(self._fd, block, self._end) != len(block):
                raise OSError("short write")
            os.fdatasync(self._fd)
        except OSError as wrong:
            raise Halt(
                "EMERGENCY_UNWRITABLE",
                f"the emergency journal {self.path} cannot be written: {wrong}",
                "`fairlead panic` works without any journal",
            ) from wrong
        self._end += len(block)
        saved = Saved(at_ns, kind, version, payload, digest)
        self._records.append(saved)
        return saved

    def clear(self) -> None:
        """Empties it, its space kept. Only after its records are durable in the journal. Raises OSError."""
        os.pwrite(self._fd, b"\0" * (self._end - _HEADER), _HEADER)
        os.fdatasync(self._fd)
        self._records.clear()
        self._end = _HEADER

    def close(self) -> None:
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1


def _allocate(path: Path, header: bytes, size: int) -> None:
    spare = path.with_name(path.name + ".new")
    fd = os.open(spare, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    try:
        content = header + b"\0" * (size - len(header))
        if os.write(fd, content) != size:
            raise OSError(28, "No space left on device")
        os.fsync(fd)
    except OSError:
        os.unlink(spare)
        raise
    finally:
        os.close(fd)
    os.replace(spare, path)


def _digest(previous: bytes, body: bytes) -> bytes:
    return hashlib.sha256(previous + body).digest()


def _padded(block: bytes) -> bytes:
    return block + b"\0" * (-len(block) % _BLOCK)


def _read(data: bytes, path: Path) -> tuple[list[Saved], int]:
    """The records, and where the next one goes. A torn last record was never acknowledged and is dropped; one that others follow is damage."""
    records: list[Saved] = []
    at, previous = _HEADER, b""
    while at + _PREFIX.size <= len(data):
        mark, length, digest = _PREFIX.unpack_from(data, at)
        body = data[at + _PREFIX.size : at + _PREFIX.size + length]
        if mark != _MARK or len(body) != length or _digest(previous, body) != digest:
            if any(data[later : later + 4] == _MARK for later in range(at + _BLOCK, len(data), _BLOCK)):
                raise Halt(
                    "EMERGENCY_DAMAGED",
                    f"record {len(records) + 1} of the emergency journal {path} is damaged, and others follow it",
                    "keep a copy of the file; `fairlead reconcile` finds what it recorded; then move it away",
                )
            break
        at_ns, version, size = _BODY.unpack_from(body)
        kind = body[_BODY.size : _BODY.size + size].decode()
        records.append(Saved(at_ns, kind, version, body[_BODY.size + size :], digest))
        previous = digest
        at += len(_padded(data[at : at + _PREFIX.size + length]))
    return records, at
