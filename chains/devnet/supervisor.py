"""Separate processes with their own logs, remembered in a state file so that a later command finds and ends exactly them.

A pid alone proves nothing: a process is ours only while its start time is the recorded one.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

from chains.errors import Halt, Usage

_PASSED_ON = (
    "PATH",
    "HOME",
    "LANG",
    "LC_ALL",
    "TMPDIR",
    "TZ",
    "PYTHONPATH",
    "VIRTUAL_ENV",
    "SSL_CERT_FILE",
    "NO_COLOR",
    "FAIRLEAD_ANVIL",
    "FAIRLEAD_CACHE",
    "FAIRLEAD_HOME",
)
"""By name: a variable of ours may hold a secret that the settings refer to."""
_PASSED_PREFIXES = ("OPENBLAS_", "XDG_")
_TERM_S, _POLL_S = 5.0, 0.02


@dataclass(frozen=True, slots=True)
class Service:
    """What to run. `{port}` in `argv`, `url` and `ready` becomes the port given, or a free one.

    `ready` is a url that has to answer (any HTTP answer will do) or a function that says True; None asks nothing.
    `aliases` are further (name, url) rows of the same process, `{port2}` in them and in `argv` a second free port.
    """

    name: str
    argv: Sequence[str]
    url: str = ""
    ready: str | Callable[[], bool] | None = None
    port: int = 0
    aliases: tuple[tuple[str, str], ...] = ()
    ready_s: float = 30.0


@dataclass(frozen=True, slots=True)
class Running:
    """A service that was started: `started` is the kernel's start time of `pid`."""

    name: str
    pid: int
    url: str
    log: str
    started: str
    port: int
    aliases: dict[str, str] = field(default_factory=dict)

    @property
    def alive(self) -> bool:
        return start_time(self.pid) == self.started


class Supervisor:
    """The processes of one runtime folder. Not for two commands at once: hold `locked(folder / "lock")` around changes."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.file = folder, folder / "state.json"

    def recorded(self) -> tuple[dict[str, Any], list[Running]]:
        """(facts, services) of the state file; empty where there is none or it cannot be read."""
        try:
            content = json.loads(self.file.read_text())
            return content["facts"], [Running(**entry) for entry in content["services"]]
        except (OSError, ValueError, KeyError, TypeError):
            return {}, []

    def record(self, facts: dict[str, Any], services: Sequence[Running]) -> None:
        part = self.file.with_suffix(".part")
        part.write_text(json.dumps({"facts": facts, "services": [asdict(s) for s in services]}, indent=1))
        part.chmod(0o600)
        part.replace(self.file)

    def start(self, service: Service) -> Running:
        """Start the process and return at once. Raises Usage when the port asked for is taken."""
        port = service.port or free_port()
        if service.port and not _port_free(service.port):
            raise Usage(
                "PORT_IN_USE",
                f"port {port} of {service.name} is in use",
                f"end whatever listens there, or ask for another: --port {service.name}=PORT",
            )
        text = json.dumps([list(service.argv), service.url, dict(service.aliases)])
        text = text.replace("{port}", str(port))
        if "{port2}" in text:
            text = text.replace("{port2}", str(free_port()))
        argv, url, aliases = json.loads(text)
        log = self.folder / f"{service.name}.log"
        environment = {
            k: v for k, v in os.environ.items() if k in _PASSED_ON or k.startswith(_PASSED_PREFIXES)
        }
        write = os.O_WRONLY | os.O_CREAT | os.O_TRUNC
        try:
            pid = os.posix_spawn(
                argv[0],
                argv,
                environment,
                file_actions=[
                    (os.POSIX_SPAWN_OPEN, 0, os.devnull, os.O_RDONLY, 0),
                    (os.POSIX_SPAWN_OPEN, 1, str(log), write, 0o600),
                    (os.POSIX_SPAWN_DUP2, 1, 2),
                ],
                setpgroup=0,  # Ctrl-C in the terminal is not for them
            )
        except OSError as why:
            raise Usage(
                "SERVICE_START", f"{service.name} cannot be started: {argv[0]}: {why.strerror}"
            ) from why
        return Running(service.name, pid, url, str(log), start_time(pid) or "", port, aliases)

    def wait_ready(self, service: Service, running: Running) -> None:
        """Until the service answers. Raises Halt, with the end of its log, when it ends or stays silent."""
        ready = service.ready
        if ready is None:
            return
        url = ready.replace("{port}", str(running.port)) if isinstance(ready, str) else ""
        deadline = time.monotonic() + service.ready_s
        while time.monotonic() < deadline:
            if (_answers(url) if isinstance(ready, str) else ready()) and running.alive:
                return
            if not running.alive:
                raise Halt(
                    "SERVICE_ENDED",
                    f"{service.name} ended at once: {_tail(running.log)}",
                    f"see {running.log}",
                )
            time.sleep(_POLL_S)
        raise Halt(
            "SERVICE_SILENT", f"{service.name} does not answer: {_tail(running.log)}", f"see {running.log}"
        )

    def stop(self, services: Sequence[Running]) -> list[Running]:
        """End those that are still ours, the last first, and return what was ended."""
        ended = [service for service in reversed(services) if service.alive]
        for service in ended:
            with contextlib.suppress(ProcessLookupError):
                os.kill(service.pid, signal.SIGTERM)
        deadline = time.monotonic() + _TERM_S
        while any(service.alive for service in ended) and time.monotonic() < deadline:
            time.sleep(_POLL_S)
        for service in ended:
            if service.alive:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(service.pid, signal.SIGKILL)
        while any(service.alive for service in ended) and time.monotonic() < deadline + _TERM_S:
            time.sleep(_POLL_S)
        return ended

    @property
    def cache(self) -> Path:
        """What the services may fill and nobody keeps: gone with `forget`."""
        return self.folder / "cache"

    def forget(self) -> None:
        self.file.unlink(missing_ok=True)
        shutil.rmtree(self.cache, ignore_errors=True)


def start_time(pid: int) -> str | None:
    """The kernel's start time of a process, None where there is no such (living) process."""
    with contextlib.suppress(ChildProcessError):
        os.waitpid(pid, os.WNOHANG)  # a child of ours that ended is a zombie until somebody asks
    if sys.platform == "linux":
        try:
            fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        except (FileNotFoundError, ProcessLookupError):
            return None
        return None if fields[0] in "ZX" else fields[19]
    shown = subprocess.run(
        ["ps", "-o", "lstart=", "-p", str(pid)], capture_output=True, text=True, check=False
    )
    return shown.stdout.strip() or None


def free_port() -> int:
    """A port of 127.0.0.1 that nobody listens on now."""
    import socket

    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def _port_free(port: int) -> bool:
    import socket

    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True


def _answers(url: str) -> bool:
    try:
        with urllib.request.urlopen(url, timeout=2):
            return True
    except urllib.error.HTTPError as answer:
        answer.close()
        return True
    except OSError:
        return False


def _tail(log: str) -> str:
    with contextlib.suppress(OSError):
        return (
            " / ".join(Path(log).read_text(errors="replace").strip().splitlines()[-4:])[-400:]
            or "its log is empty"
        )
    return "it left no log"


def renamed(running: Running, url: str) -> Running:
    """The same process under another public url."""
    return replace(running, url=url)
