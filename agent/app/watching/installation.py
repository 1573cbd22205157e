"""Is this installation whole? Packages from one folder, nothing that shadows them, room on the disk, the record and the switch."""

from __future__ import annotations

import shutil
import stat
import sys
from collections.abc import Sequence
from importlib import import_module
from pathlib import Path

from agent.app.settings import Settings
from agent.app.watching.check import Check, fail, ok, skip, warn
from agent.domain.errors import FairleadError
from agent.execution.halt import Switch

PACKAGES = ("agent", "keys", "chains", "contracts")
OLDEST_PYTHON = (3, 11)
LOW_BYTES, FULL_BYTES = 1 << 30, 100 << 20


def python() -> Check:
    version = ".".join(map(str, sys.version_info[:3]))
    if tuple(sys.version_info[:2]) < OLDEST_PYTHON:
        return fail("python", f"Python {version} is too old", "use 3.11 or later", 3)
    return ok("python", f"Python {version}")


def packages(search: Sequence[str] = tuple(sys.path)) -> list[Check]:
    """Whether the four come from one folder, and what else on the search path is called like them.

    PyContracts installs a `contracts`; eth-ape's dependencies a `tests`, which is harmless but confuses test runs.
    """
    homes: dict[Path, list[str]] = {}
    for name in PACKAGES:
        file = import_module(name).__file__
        homes.setdefault(Path(file or "?").resolve().parent.parent, []).append(name)
    if len(homes) > 1:
        told = "; ".join(f"{', '.join(names)} from {home}" for home, names in homes.items())
        remedy = "install Fairlead in an environment of its own: uv tool install fairlead"
        return [fail("packages", f"our packages come from different folders: {told}", remedy, 3)]
    (home,) = homes
    found = [ok("packages", f"agent, keys, chains, contracts from {home}")]
    for name in (*PACKAGES, "tests"):
        others = [
            folder
            for folder in dict.fromkeys(Path(entry or ".").resolve() for entry in search)
            if folder != home
            and ((folder / name / "__init__.py").exists() or (folder / f"{name}.py").exists())
        ]
        if others and not (name == "tests" and not (home / "tests").exists()):
            found.append(
                warn(
                    "packages",
                    f"another '{name}' is installed in {others[0]}",
                    f"whoever imports it may get ours, or ours theirs: uninstall the one that brings {name}, or separate them",
                )
            )
    return found


def writable(settings_file: Path) -> list[Check]:
    """Nothing where only the user may write it. The limits and the jobs stand there: whoever may write it gives orders."""
    if settings_file.stat().st_mode & (stat.S_IWGRP | stat.S_IWOTH):
        return [warn("settings", f"others may write to {settings_file}", f"chmod go-w {settings_file}")]
    return []


def disk(settings: Settings) -> list[Check]:
    found = []
    for what, path in (
        ("journal", settings.journal.path),
        ("emergency journal", settings.journal.emergency_path),
    ):
        folder = next(p for p in path.parents if p.exists())
        free = shutil.disk_usage(folder).free
        told = f"{free / (1 << 30):.1f} GiB free for the {what}"
        if free < FULL_BYTES:
            found.append(fail("disk", told, "make room: without a record no new risk leaves", 3))
        elif free < LOW_BYTES:
            found.append(warn("disk", told, "make room before it is full"))
        else:
            found.append(ok("disk", told))
    return found[:1] if len({c.message.partition(" free")[0] for c in found}) == 1 else found


def journal(settings: Settings) -> Check:
    """The chain of the whole journal, and the head that was last seen outside it."""
    from agent.journal.verify import heads_path, verify

    path = settings.journal.path
    if not path.exists():
        return skip("journal", "none yet: nothing was recorded from here")
    try:
        heads = heads_path(path)
        verdict = verify(path, heads_file=heads if heads.exists() else None)
    except FairleadError as error:
        return fail("journal", error.message, error.hint or "`fairlead journal verify`", error.exit_status)
    if not verdict.ok:
        first = verdict.faults[0]
        return fail(
            "journal",
            f"{first.kind}: {first.message}",
            "`fairlead journal verify` tells all; nothing was overwritten",
            6,
        )
    if verdict.environment != settings.environment.value:
        return fail(
            "journal",
            f"it is of {verdict.environment}, the settings of {settings.environment.value}",
            "set journal.path",
            3,
        )
    return ok("journal", f"{verdict.entries} entries verified, head {verdict.head.hash.hex()[:12]}…")


def switch(settings: Settings) -> Check:
    why = Switch.beside(settings.journal.path).why()
    if why:
        return warn("kill switch", f"set: {why}; no new risk leaves", "`fairlead resume` when you are sure")
    return ok("kill switch", "not set")
