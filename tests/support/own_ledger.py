"""A spend ledger for one holder: in memory where the system has a place for files there, and gone with its holder."""

from __future__ import annotations

import shutil
import tempfile
import weakref
from pathlib import Path

from keys.signer.ledger import SpendLedger

SHARED = Path("/dev/shm")


def own_ledger(holder: object) -> SpendLedger:
    """Closed and removed when nothing refers to `holder` any more."""
    folder = Path(tempfile.mkdtemp(dir=SHARED if SHARED.is_dir() else None))
    ledger = SpendLedger(folder / "ledger.jsonl")
    weakref.finalize(holder, _end, ledger, folder)
    return ledger


def _end(ledger: SpendLedger, folder: Path) -> None:
    ledger.close()
    shutil.rmtree(folder, ignore_errors=True)
