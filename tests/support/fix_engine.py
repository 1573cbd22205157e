"""QuickFIX as a process of its own, a line of ours to it with numbers on the disk, and a wire between them that a seed breaks."""

from __future__ import annotations

import asyncio
import json
import os
import random
import socket
import time
from collections import Counter
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

from agent.transport.clock import SystemClock
from agent.transport.fix.line import Line, address
from agent.transport.fix.message import Message, Pair
from agent.transport.fix.numbers import FileNumbers
from agent.transport.fix.rules import Session

ROOT = Path(__file__).resolve().parents[2]
HEARTBEAT_S = 1


def peer_python() -> str:
    """The interpreter that has QuickFIX. `scripts/test --full` makes it and says where it is."""
    cache = os.environ.get("FAIRLEAD_CACHE", str(Path.home() / ".cache" / "fairlead"))
    found = os.environ.get("FAIRLEAD_FIX_PEER", f"{cache}/peers-fix/bin/python")
    assert Path(found).exists(), "the FIX engine is not installed: scripts/test --full does it"
    return found


def free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        port: int = found.getsockname()[1]
        return port


class Engine:
    """The exchange's side. `orders`: how often each arrived; `said` and `heard`: its session messages, by type."""

    def __init__(self, folder: Path, port: int) -> None:
        self.folder, self.port = folder, port
        self.orders: Counter[str] = Counter()
        self.said: Counter[str] = Counter()
        self.heard: Counter[str] = Counter()
        self._process: asyncio.subprocess.Process | None = None
        self._told = asyncio.Condition()
        self._events: Counter[str] = Counter()
        self._reading: asyncio.Task[None] | None = None

    async def start(self) -> None:
        command = [
            peer_python(),
            str(ROOT / "scripts" / "peers" / "fix_engine.py"),
            str(self.folder),
            str(self.port),
        ]
        pipe = asyncio.subprocess.PIPE
        self._process = await asyncio.create_subprocess_exec(*command, stdin=pipe, stdout=pipe)
        self._reading = asyncio.create_task(self._read())
        await self.event("ready")

    async def _read(self) -> None:
        assert self._process is not None and self._process.stdout is not None
        async for line in self._process.stdout:
            told = json.loads(line)
            async with self._told:
                self._events[told["event"]] += 1
                if told["event"] == "order":
                    self.orders[told["name"]] += 1
                elif told["event"] in ("says", "hears"):
                    (self.said if told["event"] == "says" else self.heard)[told["kind"]] += 1
                self._told.notify_all()

    async def event(self, name: str) -> None:
        """The next of its kind, used up."""
        async with asyncio.timeout(20), self._told:
            await self._told.wait_for(lambda: self._events[name] > 0)
            self._events[name] -= 1

    async def event_of(self, way: str, kind: str) -> None:
        """It said or heard a session message of this type at least once."""
        async with asyncio.timeout(20), self._told:
            await self._told.wait_for(lambda: (self.said if way == "says" else self.heard)[kind] > 0)

    async def arrived(self, name: str, seconds: float) -> bool:
        try:
            async with asyncio.timeout(seconds), self._told:
                await self._told.wait_for(lambda: self.orders[name] > 0)
        except TimeoutError:
            return False
        return True

    def _ask(self, text: str) -> None:
        assert self._process is not None and self._process.stdin is not None
        self._process.stdin.write(text.encode() + b"\n")

    async def report(self, count: int) -> None:
        self._ask(f"report {count}")
        await self.event("reported")

    async def stop(self) -> None:
        process, self._process = self._process, self._process
        if process is None or self._reading is None:
            return
        if process.returncode is None:
            self._ask("stop")
            async with asyncio.timeout(20):
                await process.wait()
        await self._reading
        self._process = None


class Wire:
    """Between the two: passes bytes on, and breaks them as told. `lose`: how often a chunk is changed, or the connection ends."""

    def __init__(self, to: int, chance: random.Random, lose: float = 0.0) -> None:
        self._to, self._chance, self.lose = to, chance, lose
        self._server: asyncio.Server | None = None
        self._open: set[asyncio.StreamWriter] = set()
        self._tasks: set[asyncio.Task[None]] = set()
        self.port = self.broken = 0

    async def start(self) -> None:
        self._server = await asyncio.start_server(self._accept, "127.0.0.1", 0)
        self.port = self._server.sockets[0].getsockname()[1]

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            far_reader, far_writer = await asyncio.open_connection("127.0.0.1", self._to)
        except OSError:
            writer.close()
            return
        self._open |= {writer, far_writer}
        for pair in ((reader, far_writer, writer), (far_reader, writer, far_writer)):
            task = asyncio.create_task(self._pass_on(*pair))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    async def _pass_on(
        self, reader: asyncio.StreamReader, to: asyncio.StreamWriter, back: asyncio.StreamWriter
    ) -> None:
        try:
            while data := await reader.read(1 << 16):
                if b"\x0135=A\x01" not in data and self._chance.random() < self.lose:
                    self.broken += 1
                    if self._chance.random() < 0.3:
                        break
                    at = self._chance.randrange(len(data))
                    data = data[:at] + bytes([data[at] ^ 1]) + data[at + 1 :]
                to.write(data)
        except OSError:
            pass
        finally:
            for one in (to, back):
                one.close()
                self._open.discard(one)

    def cut(self) -> None:
        for writer in list(self._open):
            writer.transport.abort()

    async def close(self) -> None:
        if self._server is not None:
            self._server.close()
        self.cut()
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)


class Impatient(SystemClock):
    """Reconnects at once: a wire that breaks all the time is the test, and the growing pauses are not."""

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(min(seconds, 0.1))


class Ours:
    """Our side as one process of ours has it: `reports` are the ExecIDs delivered, in order."""

    def __init__(self, path: Path, port: int, reports: list[str]) -> None:
        self.numbers, self.reports = FileNumbers(path), reports
        self.session = Session("OURS", "ENGINE", HEARTBEAT_S, self.numbers, resets=False, resends=True)
        self.line = Line(
            "engine", address(f"tcp://127.0.0.1:{port}"), Impatient(), time.time_ns, lambda: self.session,
            self._logon, self._deliver, lambda: None, lambda why: None,
        )  # fmt: skip
        self._came = asyncio.Event()

    async def _logon(self, session: Session, number: int) -> tuple[Sequence[Pair], int]:
        return [(98, "0"), (108, str(HEARTBEAT_S))], time.time_ns()

    def _deliver(self, message: Message) -> None:
        if message.kind == "8":
            self.reports.append(message.get(17))
            self._came.set()

    async def has(self, count: int) -> None:
        async with asyncio.timeout(30):
            while len(self.reports) < count:
                self._came.clear()
                await self._came.wait()

    def order(self, name: str) -> None:
        self.line.say(
            "D", [(11, name), (54, "1"), (55, "ETHUSDC"), (38, "1"), (40, "1"), (60, "20240611-09:01:46.228")]
        )

    async def close(self) -> None:
        await self.line.close()
        self.numbers.close()


@asynccontextmanager
async def engine_and_wire(folder: Path, seed: int = 1) -> AsyncIterator[tuple[Engine, Wire]]:
    engine = Engine(folder / "engine", free_port())
    wire = Wire(engine.port, random.Random(seed))
    await engine.start()
    await wire.start()
    try:
        yield engine, wire
    finally:
        await wire.close()
        await engine.stop()
