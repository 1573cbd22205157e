"""One share of a key in a process of its own: `python -m keys.mpc_share --config FILE.json`. The protocol is in `keys.mpc`.

    {"fairlead": "mpc-share/1", "environment", "party": 0, "threshold": 2, "listen": "127.0.0.1:9100" or "unix:PATH",
     "file": the vault, "password": reference, "coordinator": its public key, "shares": [the shares' public keys, in order],
     "engine": [command], "rules": {…}, "patience_s"?: 60}

It runs best as an OS user of its own, on a machine of its own. Who may ask is the coordinator whose key is pinned; what is signed is what
this share has decoded itself, its rules allow and its holder's command approves (`keys.mpc_policy`); what is signed with is checked by
recovering the joint address. One operation at a time: a new one ends the one before. Ends on SIGTERM.
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from coincurve import PublicKey

from chains.bounded_file import SETTINGS_BYTES, read_at_most
from chains.errors import Denied, FairleadError, Retry, Usage
from chains.types import Environment
from keys import curve
from keys.hardening import harden
from keys.mpc_engine import Engine, aborted
from keys.mpc_link import error_of, pack, prologue, read_address, read_frame, unpack, write_frame
from keys.mpc_operation import Operation
from keys.mpc_policy import Rules, judge, read_rules
from keys.mpc_vault import Part, Vault, unlock
from keys.noise import KEY, Handshake
from keys.secrets import Secret, minimal_environment, resolve

_FORMAT = "mpc-share/1"
_MAX_LINES = 16


@dataclass(frozen=True, slots=True)
class Config:
    environment: Environment
    party: int
    threshold: int
    listen: str
    file: Path
    password: str
    coordinator: bytes
    shares: tuple[bytes, ...]
    engine: tuple[str, ...]
    rules: Rules
    patience_s: float = 60.0


def read_config(data: Any) -> Config:
    """Raises Usage MPC_CONFIG_INVALID naming the key."""
    if not isinstance(data, dict) or data.get("fairlead") != _FORMAT:
        raise _config("fairlead", f"is not {_FORMAT}")
    known = {*Config.__dataclass_fields__, "fairlead"}
    if unknown := sorted(data.keys() - known):
        raise _config(unknown[0], "is no setting")
    if missing := sorted(known - data.keys() - {"patience_s"}):
        raise _config(missing[0], "is missing")
    values: dict[str, Any] = {}
    for name, read in _READ.items():
        if name in data:
            try:
                values[name] = read(data[name])
            except (ValueError, TypeError, AttributeError) as error:
                raise _config(name, f"cannot be read: {error}") from None
    config = Config(**values, rules=read_rules(data["rules"], values["environment"]))
    if not 0 <= config.party < len(config.shares) or not 2 <= config.threshold <= len(config.shares):
        raise _config("party", "or threshold does not fit the number of shares")
    read_address(config.listen)
    return config


def _key(text: str) -> bytes:
    raw = bytes.fromhex(text)
    if len(raw) != KEY:
        raise ValueError(f"a key has {KEY} bytes")
    return raw


_READ: dict[str, Callable[[Any], Any]] = {
    "environment": Environment,
    "party": int,
    "threshold": int,
    "listen": str,
    "file": lambda text: Path(text).expanduser(),
    "password": str,
    "coordinator": _key,
    "shares": lambda keys: tuple(_key(k) for k in keys),
    "engine": lambda words: tuple(str(w) for w in words),
    "patience_s": float,
}


def _config(name: str, why: str) -> Usage:
    return Usage("MPC_CONFIG_INVALID", f"{name} {why}", "See keys/mpc_share.py.")


class Share:
    """The one writer of its vault. `answer` is called by one thread a connection."""

    def __init__(self, config: Config, vault: Vault) -> None:
        self.config, self.vault = config, vault
        self._lock = threading.Lock()
        self._running: subprocess.Popen[bytes] | Engine | None = None
        self._ident: object = None
        self._operation: tuple[str, Operation, Engine, dict[str, Any]] | None = None

    def answer(self, asked: dict[str, Any]) -> dict[str, Any]:
        """Raises what the coordinator is told."""
        match asked.get("do"):
            case "status":
                return self._status()
            case "begin":
                self._interrupt()
                with self._lock:
                    self._ident = asked.get("id")
                    return self._guarded(lambda: self._begin(asked))
            case "deliver":
                with self._lock:
                    return self._guarded(lambda: self._deliver(asked))
            case "commit":
                with self._lock:
                    self.vault.commit(int(asked["generation"]))
                    return self._status()
            case "abort":
                if asked.get("id") == self._ident:  # never the one that came after
                    self._interrupt()
                return {}
        raise Usage("MPC_REQUEST_INVALID", "the request is of no known kind")

    def _status(self) -> dict[str, Any]:
        found = self.vault.content
        parts = {"current": found.current, "pending": found.pending}
        shown = {
            n: None if p is None else {"generation": p.generation, "public": p.public.hex()}
            for n, p in parts.items()
        }
        return {"party": self.config.party, "threshold": self.config.threshold, **shown}

    def _guarded(self, work: Callable[[], dict[str, Any]]) -> dict[str, Any]:
        try:
            return work()
        except (FairleadError, ValueError, KeyError, TypeError) as error:
            self._end()
            if isinstance(error, FairleadError):
                raise
            raise Usage(
                "MPC_REQUEST_INVALID", f"the request cannot be read: {type(error).__name__}"
            ) from None

    def _interrupt(self) -> None:
        """Ends what another connection waits for."""
        running = self._running
        if running is not None:
            running.kill()

    def _end(self) -> None:
        if self._operation is not None:
            self._operation[2].close()
        self._operation = self._running = None

    def _begin(self, asked: dict[str, Any]) -> dict[str, Any]:
        self._end()
        what, ident, parties = str(asked["what"]), str(asked["id"]), [int(p) for p in asked["parties"]]
        everybody = list(range(len(self.config.shares)))
        if len(ident) != 32 or self.config.party not in parties or not set(parties) <= set(everybody):
            raise Usage("MPC_REQUEST_INVALID", "the operation's id or its parties are none")
        question: dict[str, Any] = {
            "do": what,
            "party": self.config.party,
            "parties": sorted(set(parties)),
            "total": len(everybody),
            "threshold": self.config.threshold,
        }
        if what == "sign":
            lines, more = self._signing(asked, parties)
        elif what in ("keygen", "refresh"):
            lines, more = self._ceremony(what, asked, parties == everybody)
        else:
            raise Usage("MPC_REQUEST_INVALID", f"there is no operation {what[:20]!r}")
        self._approved(what, lines)
        about = f"fairlead mpc/1 {self.config.environment.value} {what} {ident} {parties} {more.get('digest', '')}"
        engine = Engine(self.config.engine, question | more, self.config.patience_s)
        self._running = engine
        secret = self.vault.content.identity.reveal()
        peers = dict(enumerate(self.config.shares))
        operation = Operation(self.config.party, parties, peers, secret, about.encode(), engine)
        self._operation = (
            ident,
            operation,
            engine,
            question | more | {"generation": int(asked["generation"])},
        )
        return {"out": operation.start(), "done": False}

    def _signing(self, asked: dict[str, Any], parties: list[int]) -> tuple[tuple[str, ...], dict[str, Any]]:
        if len(set(parties)) < self.config.threshold:
            raise Usage("MPC_REQUEST_INVALID", "fewer shares than the threshold")
        wanted = int(asked["generation"])
        self.vault.commit(wanted)  # the others have moved on: the staged part is the one in use
        part = self.vault.content.current
        if part is None or part.generation != wanted:
            raise Usage(
                "MPC_GENERATION",
                f"this share has no part of generation {wanted}",
                "Refresh with every share.",
            )
        request = judge(asked["request"], self.config.rules)
        return request.lines, {"digest": request.digest.hex(), "share": part.secret.reveal().hex()}

    def _ceremony(
        self, what: str, asked: dict[str, Any], everybody: bool
    ) -> tuple[tuple[str, ...], dict[str, Any]]:
        if not self.config.rules.ceremonies:
            raise Denied(
                "MPC_REFUSED", f"a {what} was asked for, and this share's rule `ceremonies` does not allow it"
            )
        part = self.vault.content.current
        if not everybody:
            raise Usage("MPC_REQUEST_INVALID", f"a {what} needs every share")
        if what == "keygen":
            if part is not None:
                raise Denied(
                    "MPC_HAS_KEY", "this share already has a part of a key", "Refresh it, or use a new file."
                )
            return ("Makes a new key, of which this will be one share.",), {}
        if part is None or part.generation + 1 != int(asked["generation"]):
            raise Usage(
                "MPC_GENERATION", "this share has no part of the generation before", "Compare `status`."
            )
        return ("Renews this share of the same key; the old one is thrown away.",), {
            "share": part.secret.reveal().hex()
        }

    def _approved(self, what: str, lines: tuple[str, ...]) -> None:
        command = self.config.rules.approve
        if not command:
            return
        shown = pack({"what": what, "party": self.config.party, "lines": list(lines)})
        try:
            process = subprocess.Popen(
                list(command),
                stdin=subprocess.PIPE,
                stdout=subprocess.DEVNULL,
                env=minimal_environment(),
                start_new_session=True,
            )
        except OSError as error:
            raise Usage("MPC_RULES_INVALID", f"rules.approve cannot be started: {error.strerror}") from None
        self._running = process
        try:
            process.communicate(shown, timeout=self.config.patience_s)
        except subprocess.TimeoutExpired:
            process.kill()
            process.communicate()
            raise Retry("MPC_SILENT", "nobody approved in time", "Ask again.") from None
        if process.returncode < 0:
            raise Retry("MPC_SILENT", "the question to the holder was ended", "Ask again.")
        if process.returncode:
            raise Denied("MPC_REFUSED", "its holder said no", "Nothing was signed.")

    def _deliver(self, asked: dict[str, Any]) -> dict[str, Any]:
        if self._operation is None or asked.get("id") != self._operation[0]:
            raise Retry("MPC_GONE", "this operation was ended", "Ask again.")
        _, operation, _, about = self._operation
        out = operation.deliver(asked["in"])
        if operation.result is None:
            return {"out": out, "done": False}
        result = self._finish(operation.result, about)
        self._end()
        return {"out": out, "done": True, "result": result}

    def _finish(self, result: dict[str, Any], about: dict[str, Any]) -> dict[str, Any]:
        if about["do"] == "sign":
            part = self.vault.content.current
            assert part is not None
            address = curve.address_of(PublicKey(part.public))
            r, s = int(result["r"], 16), int(result["s"], 16)
            curve.complete(bytes.fromhex(about["digest"]), r, s, address)
            return {"r": result["r"], "s": result["s"]}
        public = PublicKey(bytes.fromhex(result["public"])).format()
        before = self.vault.content.current
        if before is not None and before.public != public:
            raise aborted(None, "changed the key itself in a refresh")
        part = Part(about["generation"], public, Secret(bytes.fromhex(result["share"])))
        self.vault.stage(part)
        return {"public": public.hex(), "generation": part.generation}


def serve(share: Share, stop: threading.Event) -> None:
    """Listens until `stop`. One thread a connection; whoever is not the coordinator is hung up on."""
    address = read_address(share.config.listen)
    if isinstance(address, Path):
        address.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        address.unlink(missing_ok=True)
        server = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        fresh = address.with_name(address.name + ".new")
        fresh.unlink(missing_ok=True)
        server.bind(str(fresh))
        server.listen()
        fresh.rename(address)  # it is there only once it listens
    else:
        server = socket.create_server(address)
    server.settimeout(0.2)
    room = threading.BoundedSemaphore(_MAX_LINES)
    log(f"share {share.config.party} listens at {share.config.listen}")
    try:
        while not stop.is_set():
            try:
                line, _ = server.accept()
            except TimeoutError:
                continue
            if not room.acquire(blocking=False):
                line.close()
                continue
            threading.Thread(target=_talk, args=(share, line, room), daemon=True).start()
    finally:
        server.close()
        if isinstance(address, Path):
            address.unlink(missing_ok=True)


def _talk(share: Share, line: socket.socket, room: threading.BoundedSemaphore) -> None:
    config = share.config
    try:
        with line:
            line.settimeout(config.patience_s)
            about = prologue(config.environment.value, config.party)
            shake = Handshake(False, share.vault.content.identity.reveal(), config.coordinator, about)
            shake.read(read_frame(line, longest=48))
            write_frame(line, shake.write())
            channel = shake.channel()
            while True:
                asked = unpack(channel.open(read_frame(line)))
                try:
                    answer = share.answer(asked)
                except FairleadError as error:
                    log(f"{str(asked.get('do'))[:10]} {error.code}")
                    answer = error_of(error)
                write_frame(line, channel.seal(pack(answer)))
    except Denied as error:
        log(f"hung up: {error.code}")
    except OSError:
        return
    finally:
        room.release()


def log(line: str) -> None:
    print(f"mpc: {line}", file=sys.stderr, flush=True)


def main(argv: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        prog="keys.mpc_share", description="One share of a key, in its own process."
    )
    parser.add_argument("--config", type=Path, required=True, help="see keys/mpc_share.py")
    given = parser.parse_args(argv)
    harden()
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    try:
        try:
            data = json.loads(read_at_most(given.config, SETTINGS_BYTES))
        except (OSError, ValueError, RecursionError) as error:
            raise _config(str(given.config), f"cannot be read: {type(error).__name__}") from None
        config = read_config(data)
        vault = unlock(config.file, resolve(config.password))
        if vault.public_identity != config.shares[config.party]:
            raise _config("shares", f"name another key for share {config.party} than its file has")
        os.umask(0o077)
        serve(Share(config, vault), stop)
    except FairleadError as error:
        print(f"error {error}", file=sys.stderr)
        return error.exit_status
    except OSError as error:
        print(f"error MPC_ADDRESS: cannot listen: {error.strerror}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
