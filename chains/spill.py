"""A folder of this process's own among the temporary ones, gone with it: what a killed process left is swept by the next one.

The folder itself is locked (flock(2)) while its process lives. The lock ends with the process, however it ended.
"""

from __future__ import annotations

import fcntl
import os
import shutil
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

PREFIX = "fairlead-anvil-"
YOUNG_S = 60.0
"""A folder younger than this is left alone: its process may not have locked it yet."""


@dataclass(slots=True)
class Spill:
    path: Path
    lock: int
    """An open file descriptor of the folder; -1 once it is gone."""

    @classmethod
    def make(cls, among: Path | None = None) -> Spill:
        """`among`: the folder of temporary ones, the system's without it."""
        among = among or Path(tempfile.gettempdir())
        sweep(among)
        path = Path(tempfile.mkdtemp(prefix=PREFIX, dir=among))
        lock = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
        fcntl.flock(lock, fcntl.LOCK_EX)
        return cls(path, lock)

    def remove(self) -> None:
        if self.lock < 0:
            return
        shutil.rmtree(self.path, ignore_errors=True)
        os.close(self.lock)
        self.lock = -1


def sweep(among: Path) -> None:
    """Removes what nobody holds. What cannot be read or removed is left: it is somebody else's."""
    now = time.time()
    for path in among.glob(PREFIX + "*"):
        try:
            if now - path.lstat().st_mtime < YOUNG_S or path.is_symlink():
                continue
            lock = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
        except OSError:
            continue
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            shutil.rmtree(path, ignore_errors=True)
        except OSError:
            continue
        finally:
            os.close(lock)
