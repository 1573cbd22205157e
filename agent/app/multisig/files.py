"""Safe transactions as files: written whole or not at all, and under a lock, so that two signers never lose a signature."""

from __future__ import annotations

import fcntl
import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from agent.app.settings_tree import Settings
from agent.domain.errors import FairleadError, Usage
from chains.bounded_file import read_at_most
from chains.bounded_json import loads
from keys.safe_document import MAX_BYTES, Confirmation, SafeDocument, merge, parse, to_json, with_confirmation


def folder(settings: Settings) -> Path:
    """Where proposals are kept: beside the journal."""
    return settings.journal.path.parent / "safe-transactions"


def name_of(document: SafeDocument) -> str:
    return f"{document.chain_id}-{document.tx.nonce}-{document.digest.hex()[:12]}.json"


def read(path: Path, chain_id: int | None = None) -> SafeDocument:
    """Raises Usage SAFE_FILE_UNREADABLE, and as `keys.safe_document.parse`."""
    try:
        if path.stat().st_size > MAX_BYTES:
            raise Usage(
                "SAFE_FILE_INVALID", f"{path} is larger than {MAX_BYTES} bytes", "is it the right file?"
            )
        data = loads(read_at_most(path, MAX_BYTES))
    except OSError as error:
        raise Usage(
            "SAFE_FILE_UNREADABLE",
            f"{path}: {error.strerror}",
            "`fairlead wallet outstanding` lists what is kept here",
        ) from None
    except ValueError:
        raise Usage("SAFE_FILE_INVALID", f"{path} is not JSON", "was it cut off on its way?") from None
    return parse(data, chain_id)


def write(path: Path, document: SafeDocument) -> None:
    """Whole or not at all, durable on return. Raises Usage SAFE_FILE_UNWRITABLE."""
    text = json.dumps(to_json(document), indent=1) + "\n"
    scratch = path.with_name(f".{path.name}.{os.getpid()}.new")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with scratch.open("w", encoding="utf-8") as out:
            out.write(text)
            out.flush()
            os.fsync(out.fileno())
        scratch.replace(path)
        handle = os.open(path.parent, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)
    except OSError as error:
        scratch.unlink(missing_ok=True)
        raise Usage(
            "SAFE_FILE_UNWRITABLE", f"{path}: {error.strerror}", "choose another place: --out FILE"
        ) from None


@contextmanager
def locked(path: Path) -> Iterator[None]:
    """Nobody else changes the file within, on this machine."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handle = os.open(path.with_name(f".{path.name}.lock"), os.O_RDWR | os.O_CREAT, 0o600)
    except OSError as error:
        raise Usage(
            "SAFE_FILE_UNWRITABLE",
            f"{path.parent}: {error.strerror}",
            "copy the file to a folder that can be written to",
        ) from None
    try:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield
    finally:
        os.close(handle)


def keep(path: Path, document: SafeDocument) -> SafeDocument:
    """Writes it, with whatever signatures the file holds already where it is there. Raises Usage FILE_EXISTS
    where it holds another transaction, and as `read`, `write`."""
    with locked(path):
        if path.exists():
            there = read(path, document.chain_id)
            if there.digest != document.digest:
                raise Usage(
                    "FILE_EXISTS",
                    f"{path} holds another transaction, {there.hash}",
                    "choose another place: --out FILE",
                )
            document = merge(document, there)
        write(path, document)
    return document


def add(path: Path, made: Confirmation, chain_id: int) -> SafeDocument:
    """Adds a signature to the file as it is now: another signer may have added his while this one was thinking."""
    with locked(path):
        document = with_confirmation(read(path, chain_id), made)
        write(path, document)
    return document


def listed(where: Path) -> tuple[list[tuple[Path, SafeDocument]], list[tuple[Path, FairleadError]]]:
    """(every document of a folder, what could not be read and why)."""
    found: list[tuple[Path, SafeDocument]] = []
    broken: list[tuple[Path, FairleadError]] = []
    for path in sorted(where.glob("*.json")) if where.is_dir() else []:
        try:
            found.append((path, read(path)))
        except FairleadError as error:
            broken.append((path, error))
    return found, broken
