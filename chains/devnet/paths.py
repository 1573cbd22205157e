"""Where the devnet keeps what it fetched, what it built and what it runs.

The cache (`$FAIRLEAD_CACHE`, else the platform's cache folder) holds only what can be fetched or built again.
The runtime folder (`$FAIRLEAD_HOME/devnet`, else the platform's state folder) holds pids and logs.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from chains.errors import Usage


def cache_dir() -> Path:
    """The cache folder, made if absent. Raises Usage when it cannot be made."""
    named = os.environ.get("FAIRLEAD_CACHE")
    if named:
        folder = Path(named)
    else:
        from platformdirs import user_cache_path

        folder = user_cache_path("fairlead")
    return _made(folder, "FAIRLEAD_CACHE")


def runtime_dir(runtime: Path | None = None) -> Path:
    """The folder of pids, logs and the state file of one devnet, made if absent. Raises Usage when it cannot be made."""
    return _made(
        runtime_path(runtime), "the runtime folder (--runtime)" if runtime is not None else "FAIRLEAD_HOME"
    )


def runtime_path(runtime: Path | None = None) -> Path:
    """The same folder, made by nobody: for those who only look."""
    if runtime is not None:
        return runtime.resolve()
    home = os.environ.get("FAIRLEAD_HOME")
    if home:
        return (Path(home) / "devnet").resolve()
    from platformdirs import user_state_path

    return (user_state_path("fairlead") / "devnet").resolve()


def _made(folder: Path, name: str) -> Path:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as why:
        raise Usage(
            "FOLDER_UNUSABLE", f"{folder} cannot be made: {why.strerror}", f"point {name} elsewhere"
        ) from why
    return folder.resolve()


@contextmanager
def locked(lock: Path) -> Iterator[None]:
    """Hold `lock` across processes: two set-ups at once do the work once."""
    import fcntl

    lock.parent.mkdir(parents=True, exist_ok=True)
    with lock.open("w") as handle:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield
