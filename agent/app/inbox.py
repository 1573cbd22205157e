"""What one process asks of the one that holds the journal: small files in a folder beside it, each answered by another.

    NAME.json     a request, written whole or not at all     {"fairlead": "inbox/1", "kind", "at_ns", "source", …}
    NAME.taken    the same, claimed by the running process; one it left behind is taken up again by the next
    NAME.answer   what became of it                           {"ok", "code", "message", "hint", "verb"}

Kinds: cancel (`id`), halt (`why`), resume, intent (`accepted`: the parent as the journal writes it). Acting twice on a request
does what acting once does: ids are derived. The folder belongs to its owner alone; a file of anybody else is not read.
"""

from __future__ import annotations

import json
import os
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from agent.domain.errors import Denied, FairleadError, Halt, Reconcile, Reject, Retry, Usage
from agent.ports import Clock
from chains.bounded_json import loads

FORMAT = "inbox/1"
KINDS = frozenset({"cancel", "halt", "resume", "intent"})
LOOK_S = 0.2
PATIENCE_S = 15.0
"""A process on a busy machine, or beside a slow disk, may be away for seconds; a cancel is not taken back for that."""
KEEP_NS = 3_600 * 10**9
MAX_BYTES = 64_000

_VERBS: dict[str, type[FairleadError]] = {c.verb: c for c in (Retry, Reject, Reconcile, Halt, Usage, Denied)}


@dataclass(frozen=True, slots=True)
class Request:
    """`name` is the file's, and orders requests by time."""

    name: str
    kind: str
    at_ns: int
    source: str
    fields: dict[str, Any]


@dataclass(frozen=True, slots=True)
class Answer:
    ok: bool
    message: str = ""
    code: str = ""
    hint: str = ""
    verb: str = ""

    def unwrap(self) -> str:
        """Its message; raises what the running process said where it said no."""
        if self.ok:
            return self.message
        raise _VERBS.get(self.verb, Reject)(self.code, self.message, self.hint)


def refusal(error: FairleadError) -> Answer:
    return Answer(False, error.message, error.code, error.hint, error.verb)


Handle = Callable[[Request], Awaitable[Answer]]


class Inbox:
    def __init__(self, folder: Path, clock: Clock) -> None:
        self.folder, self._clock = folder, clock

    # ------------------------------------------------------------------ whoever asks

    def put(self, kind: str, source: str, **fields: Any) -> str:
        """Writes a request and gives its name. Raises Halt INBOX_UNWRITABLE."""
        now = self._clock.now_ns()
        name = f"{now}-{os.getpid()}-{kind}"
        body = {"fairlead": FORMAT, "kind": kind, "at_ns": now, "source": source, **fields}
        try:
            self.folder.mkdir(parents=True, exist_ok=True, mode=0o700)
            self._write(f"{name}.json", body)
        except OSError as wrong:
            raise Halt(
                "INBOX_UNWRITABLE",
                f"the inbox {self.folder} cannot be written: {wrong.strerror}",
                "check the folder's permissions and space",
            ) from wrong
        return name

    async def ask(
        self, kind: str, source: str, patience_s: float = PATIENCE_S, **fields: Any
    ) -> Answer | None:
        """Puts a request and waits for its answer; None where nobody took it, and then it is withdrawn.

        Raises Reconcile INBOX_SILENT where it was taken and not answered: it may have been done.
        """
        name = self.put(kind, source, **fields)
        until = self._clock.now_ns() + int(patience_s * 1e9)
        while self._clock.now_ns() < until:
            found = self._answered(name)
            if found is not None:
                return found
            await self._clock.sleep(0.05)
        try:
            (self.folder / f"{name}.json").unlink()
            return None
        except FileNotFoundError:
            pass  # it was taken: the answer is on its way
        for _ in range(100):
            found = self._answered(name)
            if found is not None:
                return found
            await self._clock.sleep(0.1)
        raise Reconcile(
            "INBOX_SILENT",
            f"the running process took the {kind} and did not answer",
            "`fairlead orders` shows what became of it",
        )

    def _answered(self, name: str) -> Answer | None:
        path = self.folder / f"{name}.answer"
        try:
            told = loads(path.read_bytes())
            path.unlink(missing_ok=True)
            return Answer(**told)
        except FileNotFoundError:
            return None
        except (ValueError, TypeError):
            return Answer(False, f"{path.name} is not an answer", "BAD_ANSWER", "", "RECONCILE")

    # ------------------------------------------------------------------ whoever holds the journal

    async def serve(self, handle: Handle) -> None:
        """Runs until cancelled; each request is claimed, handled, answered, in order of time."""
        while True:
            for name, found in self._claim():
                self._tell(name, found if isinstance(found, Answer) else await handle(found))
            await self._clock.sleep(LOOK_S)

    def _claim(self) -> Iterator[tuple[str, Request | Answer]]:
        try:
            names = sorted(os.listdir(self.folder))
        except OSError:
            return
        for file in names:
            path = self.folder / file
            name, _, ending = file.rpartition(".")
            if ending == "answer":
                self._prune(path)
            if ending not in ("json", "taken") or not name:
                continue
            taken = self.folder / f"{name}.taken"
            try:
                if ending == "json":
                    path.rename(taken)
                yield name, self._read(name, taken)
            except OSError:
                continue  # withdrawn meanwhile, or not ours to read

    def _read(self, name: str, path: Path) -> Request | Answer:
        about = path.stat()
        if about.st_uid != os.getuid() or about.st_size > MAX_BYTES:
            return Answer(False, f"{path.name} is not a request of this user", "BAD_REQUEST", "", "DENIED")
        try:
            body = loads(path.read_bytes())
            if body.pop("fairlead") != FORMAT or body["kind"] not in KINDS:
                raise ValueError("not a request of inbox/1")
            return Request(name, body.pop("kind"), int(body.pop("at_ns")), str(body.pop("source")), body)
        except (ValueError, KeyError, TypeError, AttributeError) as wrong:
            return Answer(False, f"{path.name}: {wrong}", "BAD_REQUEST", "", "USAGE")

    def _tell(self, name: str, answer: Answer) -> None:
        try:
            self._write(f"{name}.answer", asdict(answer))
            (self.folder / f"{name}.taken").unlink(missing_ok=True)
        except OSError:
            return  # the disk is full: it stays taken, and whoever asked looks into the book

    def _prune(self, path: Path) -> None:
        try:
            if self._clock.now_ns() - int(path.name.partition("-")[0]) > KEEP_NS:
                path.unlink(missing_ok=True)
        except (OSError, ValueError):
            return

    def _write(self, name: str, body: dict[str, Any]) -> None:
        spare = self.folder / f".{name}.{os.getpid()}"
        try:
            fd = os.open(spare, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
            with os.fdopen(fd, "w") as out:
                json.dump(body, out)
                out.flush()
                os.fsync(out.fileno())
            spare.replace(self.folder / name)
        except OSError:
            spare.unlink(missing_ok=True)
            raise
