"""Runs `fairlead` commands, each in a process of its own that is forked from one that has loaded the code already.

    python fork_server.py SOCKET       one line of JSON and two descriptors a command; {"pid"} and, at its end, {"status"} come back

What a command does from then on is what it does when a person types it: its own process, arguments, environment, folder, signals and
exit status. Only reading the code from the disk is not done a thousand times over. Tests of the very first moments of a command
start it as `python -m agent` themselves.
"""

from __future__ import annotations

import gc
import importlib
import json
import os
import pkgutil
import selectors
import signal
import socket
import sys
from typing import Any

LOADED = (
    "aiohttp.web",
    "numpy",
    "rich.console",
    "rich.table",
    "websockets.asyncio.client",
    "Crypto.Hash.keccak",
)
CHILD_ENDED, NEW_COMMAND = "a child ended", "a command"


def load() -> None:
    import agent.app.cli

    run = agent.app.cli.run  # which the module of that name would hide
    for name in LOADED:
        importlib.import_module(name)
    for module in pkgutil.iter_modules(agent.app.cli.__path__):
        importlib.import_module(f"agent.app.cli.{module.name}")
    for name in ("agent.app.wiring", "agent.app.workshop", "agent.routing.certify", "chains.devnet.nodes"):
        importlib.import_module(name)
    agent.app.cli.run = run
    gc.collect()
    gc.freeze()


def become(asked: dict[str, Any], fds: list[int]) -> int:
    """In the child: the command, to its exit status."""
    for number in (signal.SIGCHLD, signal.SIGTERM):
        signal.signal(number, signal.SIG_DFL)
    signal.signal(signal.SIGINT, signal.default_int_handler)
    signal.set_wakeup_fd(-1)
    nothing = os.open(os.devnull, os.O_RDONLY)
    for number, target in ((nothing, 0), (fds[0], 1), (fds[1], 2)):
        os.dup2(number, target)
        os.close(number)
    os.chdir(asked["cwd"])
    os.environ.clear()
    os.environ.update(asked["env"])
    sys.argv = ["fairlead", *asked["argv"]]
    from agent.app.entry import main

    main()
    return 0


def serve(path: str) -> int:
    """Until whoever started it closes its standard input."""
    selector = selectors.DefaultSelector()
    woken, wake = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
    signal.set_wakeup_fd(wake)
    signal.signal(signal.SIGCHLD, lambda *_: None)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C in the terminal is for the tests to answer
    door = socket.socket(socket.AF_UNIX)
    door.bind(path)
    door.listen(16)
    selector.register(door, selectors.EVENT_READ, NEW_COMMAND)
    selector.register(woken, selectors.EVENT_READ, CHILD_ENDED)
    selector.register(0, selectors.EVENT_READ, "the end")
    asking: dict[int, socket.socket] = {}
    while True:
        for key, _ in selector.select():
            if key.data == CHILD_ENDED:
                os.read(woken, 4096)
                _reap(asking)
            elif key.data == NEW_COMMAND:
                talk, _ = door.accept()
                line, fds, _, _ = socket.recv_fds(talk, 1 << 20, 2)
                while not line.endswith(b"\n"):
                    line += talk.recv(1 << 20)
                pid = os.fork()
                if not pid:
                    for held in (door, talk, *asking.values()):
                        held.close()
                    selector.close()
                    os.close(woken)
                    os.close(wake)
                    return become(json.loads(line), fds)
                for fd in fds:
                    os.close(fd)
                asking[pid] = talk
                talk.sendall(json.dumps({"pid": pid}).encode() + b"\n")
            elif not os.read(0, 1):
                return 0


def _reap(asking: dict[int, socket.socket]) -> None:
    while asking:
        pid, how = os.waitpid(-1, os.WNOHANG)
        if not pid:
            return
        with asking.pop(pid) as talk:
            talk.sendall(json.dumps({"status": os.waitstatus_to_exitcode(how)}).encode() + b"\n")


if __name__ == "__main__":
    sys.path[:] = [entry for entry in sys.path if not entry.endswith("tests/support")]
    load()
    sys.exit(serve(sys.argv[1]))
