"""The Unix socket: who may connect, and one task a connection."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import struct
import sys
from pathlib import Path

from chains.errors import FairleadError, Halt, Usage
from keys.hardening import harden
from keys.settings import SignerSettings
from keys.signer import frames
from keys.signer.handlers import Handlers
from keys.signer.ledger import SpendLedger
from keys.signer.vault import Vault

_MAX_CLIENTS = 64
_IDLE_S = 3600


def peer_uid(connection: socket.socket) -> int | None:
    """The OS user at the other end as the kernel knows it."""
    if hasattr(socket, "SO_PEERCRED"):
        raw = connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, struct.calcsize("3i"))
        return int(struct.unpack("3i", raw)[1])
    if sys.platform == "darwin":
        raw = connection.getsockopt(0, 0x001, 76)  # SOL_LOCAL, LOCAL_PEERCRED: struct xucred
        return int(struct.unpack("2I", raw[:8])[1])
    return None


class Server:
    def __init__(self, settings: SignerSettings, handlers: Handlers) -> None:
        self.settings, self.handlers = settings, handlers
        self._clients: set[asyncio.Task[None]] = set()

    def _may_connect(self, uid: int | None) -> bool:
        return uid is not None and (uid == os.geteuid() or uid in self.settings.clients)

    async def _client(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._clients.add(task)
        try:
            uid = peer_uid(writer.get_extra_info("socket"))
            if self._may_connect(uid) and len(self._clients) <= _MAX_CLIENTS:
                await self._talk(reader, writer)
            else:
                log(f"refused a connection of user {uid}")
        except (frames.BadFrame, ConnectionError, TimeoutError) as error:
            log(f"dropped a connection: {type(error).__name__}")
        finally:
            self._clients.discard(task)
            writer.close()

    async def _talk(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while True:
            async with asyncio.timeout(_IDLE_S):
                message = await frames.read(reader)
            if message is None:
                return
            given = message.get("id")
            answer: dict[str, object] = {"id": given if isinstance(given, str) else ""}
            method = str(message.get("method"))[:32]
            try:
                answer["result"] = await self.handlers.answer(message)
                if method != "status":
                    log(f"{method!r} granted")
            except FairleadError as error:
                log(f"{method!r} {error.code}")
                answer["error"] = {
                    "code": error.code,
                    "verb": error.verb,
                    "message": error.message,
                    "hint": error.hint,
                }
            except Exception as error:  # noqa: BLE001 - the top of a lane: a bug answers HALT, shows no value and ends nothing else
                log(f"{method!r} failed: {type(error).__name__}")
                answer["error"] = {
                    "code": "SIGNER_BUG",
                    "verb": "HALT",
                    "message": f"internal {type(error).__name__}",
                    "hint": "",
                }
            writer.write(frames.pack(answer))
            await writer.drain()


def log(line: str) -> None:
    print(f"signer: {line}", file=sys.stderr, flush=True)


def _claim(path: Path) -> None:
    """Removes a dead signer's socket. Raises Usage SIGNER_RUNNING or SOCKET_INVALID."""
    if len(str(path).encode()) > 100:
        raise Usage("SOCKET_INVALID", f"{path} is too long for a Unix socket", "Choose a shorter path.")
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    if not path.exists():
        return
    if not path.is_socket():
        raise Usage("SOCKET_INVALID", f"{path} exists and is not a socket", "Choose another path.")
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        try:
            probe.connect(str(path))
        except OSError:
            path.unlink(missing_ok=True)
            return
    raise Usage("SIGNER_RUNNING", f"a signer already answers at {path}", "Use it, or stop it first.")


async def serve(socket_path: Path, settings: SignerSettings) -> None:
    """Runs until SIGTERM or SIGINT. Raises Usage, Denied, Halt before it listens."""
    harden()
    ledger = SpendLedger(settings.ledger)
    try:
        vault = Vault(settings)
        vault.open_exchanges()
        locked = vault.open_keys(None)
        _claim(socket_path)
        server = Server(settings, Handlers(settings, vault, ledger))
        mask = os.umask(0o117 if settings.clients else 0o177)
        try:
            listener = await asyncio.start_unix_server(server._client, str(socket_path))
        except OSError as error:
            raise Halt(
                "SOCKET_UNAVAILABLE", f"{socket_path}: {error.strerror}", "Choose a folder of your own."
            ) from None
        finally:
            os.umask(mask)
        stop = asyncio.Event()
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, stop.set)
        log(
            f"{settings.environment.value} signer ready"
            + (f"; locked: {', '.join(locked)}" if locked else "")
        )
        async with listener:
            await stop.wait()
            for task in list(server._clients):
                task.cancel()
        server.handlers.exchanges.close()
        os.unlink(socket_path)
    finally:
        ledger.close()
