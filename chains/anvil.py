"""One Anvil process: start on a free loopback port, wait until it answers, stop. Owns nothing but what it started."""

from __future__ import annotations

import asyncio
import ctypes
import os
import shutil
import signal
import socket
import sys
import tempfile
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import orjson

from chains.errors import Halt, Usage
from chains.spill import Spill

READY_S = 20.0


def find_anvil() -> str:
    """The Anvil binary: FAIRLEAD_ANVIL, else the devnet's pinned one, else PATH. Raises Usage where there is none."""
    named = os.environ.get("FAIRLEAD_ANVIL")
    if named:
        if not os.access(named, os.X_OK):
            raise Usage("NO_ANVIL", "FAIRLEAD_ANVIL names no executable file", "point it at the anvil binary")
        return named
    from chains.devnet.packages import tool

    try:
        return str(tool("anvil"))
    except Usage:
        found = shutil.which("anvil")
        if found:
            return found
    raise Usage("NO_ANVIL", "the anvil binary is not here", "run scripts/setup, or set FAIRLEAD_ANVIL")


def die_with_parent() -> None:
    """Between fork and exec, on Linux: a process that is killed takes its Anvil along (prctl(2), PR_SET_PDEATHSIG)."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(1, signal.SIGKILL)


def free_port() -> int:
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        return int(sock.getsockname()[1])


@dataclass(slots=True)
class Anvil:
    """A running Anvil. `url` is loopback; the process group is its own, so that stopping it stops it all."""

    url: str
    port: int
    process: asyncio.subprocess.Process
    spill: Spill
    """Where it moves old states to; gone when it stops."""

    @classmethod
    async def start(cls, options: Sequence[str] = (), *, port: int = 0, binary: str | None = None) -> Anvil:
        """Start and wait until it answers. Raises Usage (no binary, port taken) or Halt (it ended; its last words)."""
        binary = binary or find_anvil()
        port = port or free_port()
        # A file, not a pipe: nobody drains a pipe for the whole life of the process, and a full one stops it.
        log = tempfile.NamedTemporaryFile(prefix="anvil-", suffix=".log", delete=False)
        environment = {
            k: v for k, v in os.environ.items() if k in ("PATH", "HOME", "TMPDIR", "LANG", "RUST_LOG")
        }
        spill = Spill.make()
        with log:
            process = await asyncio.create_subprocess_exec(
                binary, "--host", "127.0.0.1", "--port", str(port), "--cache-path", str(spill.path), *options,
                stdout=log, stderr=log, stdin=asyncio.subprocess.DEVNULL, env=environment, start_new_session=True,
                preexec_fn=die_with_parent,
            )  # fmt: skip
        anvil = cls(f"http://127.0.0.1:{port}", port, process, spill)
        try:
            await anvil._ready(log.name)
        except BaseException:
            await anvil.stop()
            raise
        finally:
            os.unlink(log.name)
        return anvil

    async def _ready(self, log: str) -> None:
        loop = asyncio.get_running_loop()
        deadline = loop.time() + READY_S
        while loop.time() < deadline:
            if self.process.returncode is not None:
                words = last_words(log)
                raise Halt(
                    "ANVIL_ENDED",
                    "anvil ended while starting: " + words,
                    "is the port free, the fork endpoint up?",
                )
            if await answers(self.port):
                return
            await asyncio.sleep(0.02)
        raise Halt("ANVIL_SILENT", f"anvil did not answer within {READY_S:g} s")

    @property
    def pid(self) -> int:
        return self.process.pid

    async def stop(self) -> None:
        await self._end()
        self.spill.remove()

    async def _end(self) -> None:
        if self.process.returncode is not None:
            return
        for sign, patience in ((signal.SIGTERM, 5.0), (signal.SIGKILL, 5.0)):
            try:
                os.killpg(self.process.pid, sign)
            except ProcessLookupError:
                pass
            try:
                async with asyncio.timeout(patience):
                    await self.process.wait()
                return
            except TimeoutError:
                continue
        print(f"anvil {self.process.pid} did not end", file=sys.stderr)

    @classmethod
    @asynccontextmanager
    async def running(
        cls, options: Sequence[str] = (), *, port: int = 0, binary: str | None = None
    ) -> AsyncIterator[Anvil]:
        anvil = await cls.start(options, port=port, binary=binary)
        try:
            yield anvil
        finally:
            await anvil.stop()


def last_words(log: str) -> str:
    return " / ".join(Path(log).read_text(errors="replace").strip().splitlines()[-3:])


async def answers(port: int) -> bool:
    """Whether something on this loopback port speaks JSON-RPC."""
    body = orjson.dumps({"jsonrpc": "2.0", "id": 1, "method": "eth_chainId", "params": []})
    head = f"POST / HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\nContent-Length: {len(body)}\r\nConnection: close\r\n\r\n"
    try:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
    except OSError:
        return False
    try:
        writer.write(head.encode() + body)
        await writer.drain()
        async with asyncio.timeout(2.0):
            answer = await reader.read()
    except (OSError, TimeoutError):
        return False
    finally:
        writer.close()
    return b'"result"' in answer
