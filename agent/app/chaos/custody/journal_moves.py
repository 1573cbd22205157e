"""The journal rewritten: an altered record, a cut tail, or a whole new chain whose hashes are right.

A journal holds no key and gives no right: what is made of it passes the signer and the Gate like anything else (a scenario of its own
runs the agent on a forged one). Here it is asked whether the forgery is found: by the agent, which does not start on a journal that
its heads contradict, and by `journal verify` with a head that an alert carried away from this machine.
"""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Callable
from dataclasses import replace
from decimal import Decimal
from pathlib import Path

from agent.app.chaos.custody.forger import chain, rewrite, stroke
from agent.app.chaos.custody.moves import Move, Room
from agent.domain.events import Accepted, Halted
from agent.domain.ids import ClOrdId, IntentId
from agent.domain.orders import Intent, ParentOrder, Side
from agent.journal.chain import Entry, Head
from agent.journal.registry import event_codec
from agent.journal.store import Journal
from agent.journal.verify import heads_path, verify
from chains.errors import FairleadError
from chains.types import Environment, Protection

FAMILY = "the journal rewritten"
ORDERS = 12
_START_NS = 1_800_000_000 * 10**9
_EMERGENCY_BYTES = 1 << 16


class _Clock:
    def now_ns(self) -> int:
        return _START_NS


def order(number: int, qty: str = "1") -> Accepted:
    intent = Intent(
        IntentId(f"in-{number}"), "the owner", Side.SELL, "ETH", "USDC", Decimal(qty), None, "market", (), 50,
        Protection.PRIVATE, _START_NS, _START_NS + 10**12,
    )  # fmt: skip
    return Accepted(ParentOrder(ClOrdId(f"fl-{number}"), intent), _START_NS + number)


def _journal(path: Path) -> Journal:
    return Journal.open(
        path,
        clock=_Clock(),
        environment=Environment.DEVNET.value,
        codec=event_codec(),
        emergency_size=_EMERGENCY_BYTES,
    )


def honest(folder: Path) -> tuple[Path, Head]:
    """Twelve orders and a halt, closed; and the head as an alert would have carried it away."""
    path = folder / "journal.db"
    journal = _journal(path)
    try:
        for number in range(ORDERS):
            journal.append(order(number))
        journal.append(Halted("the owner", "enough for today", _START_NS))
    finally:
        journal.close()
    return path, verify(path).head


def _entry(event: object, like: Entry) -> Entry:
    kind, version, payload = event_codec().encode(event)
    return replace(like, kind=kind, version=version, payload=payload)


def _larger(entries: list[Entry]) -> list[Entry]:
    """Every order a thousand times as large."""
    return [_entry(order(n, "1000"), e) if e.kind == "Accepted" else e for n, e in enumerate(entries)]


def _unhalted(entries: list[Entry]) -> list[Entry]:
    return [e for e in entries if e.kind != "Halted"]


def _added(entries: list[Entry]) -> list[Entry]:
    return [*entries, _entry(order(ORDERS, "1000"), entries[-1])]


def _elsewhere(path: Path) -> None:
    """The same contents as a perfect chain of another environment."""
    rewrite(path, lambda entries: entries)
    for entry in chain("live", honest_entries(path)):
        stroke(
            path,
            "UPDATE entries SET prev_hash = ?, hash = ? WHERE seq = ?",
            entry.prev_hash,
            entry.hash,
            entry.seq,
        )


def honest_entries(path: Path) -> list[Entry]:
    journal = _journal(path)
    try:
        return list(journal.entries())
    finally:
        journal.close()


def _gone(path: Path) -> None:
    """Journal and heads away, and an empty one in their place."""
    for file in (path, heads_path(path), path.with_name(path.name + ".emergency")):
        file.unlink(missing_ok=True)
    _journal(path).close()


Forgery = Callable[[Path], object]
FOUND_BY_BOTH: dict[str, tuple[str, Forgery]] = {
    "a record's amount altered": ("ALTERED", lambda p: stroke(p, "UPDATE entries SET payload = replace(payload, '\"1\"', '\"9\"') WHERE seq = 3")),
    "a record's time altered": ("ALTERED", lambda p: stroke(p, "UPDATE entries SET at_ns = at_ns + 1 WHERE seq = 5")),
    "a record's kind altered": ("ALTERED", lambda p: stroke(p, "UPDATE entries SET kind = 'Resumed' WHERE kind = 'Halted'")),
    "a record's hash made to fit, and no other": ("ALTERED", lambda p: stroke(p, "UPDATE entries SET hash = zeroblob(32) WHERE seq = 4")),
    "a record taken out": ("GAP", lambda p: stroke(p, "DELETE FROM entries WHERE seq = 6")),
    "the halt at the end taken out": ("TRUNCATED", lambda p: stroke(p, "DELETE FROM entries WHERE kind = 'Halted'")),
    "a chain of another environment": ("ALTERED", _elsewhere),
    "all orders a thousand times as large, every hash anew": ("REWRITTEN", lambda p: rewrite(p, _larger)),
    "the halt taken out, every hash anew": ("TRUNCATED", lambda p: rewrite(p, _unhalted)),
    "the halt replaced by an order, every hash anew": ("REWRITTEN", lambda p: rewrite(p, lambda es: _added(_unhalted(es)))),
}  # fmt: skip
"""What a journal contradicts by itself or by the heads beside it: the agent does not start on it."""
FOUND_FROM_OUTSIDE: dict[str, tuple[str, Forgery]] = {
    "all orders a thousand times as large, hashes and heads anew": ("REWRITTEN", lambda p: rewrite(p, _larger, heads=True)),
    "the halt taken out, hashes and heads anew": ("TRUNCATED", lambda p: rewrite(p, _unhalted, heads=True)),
    "an order in the halt's place, hashes and heads anew": ("REWRITTEN", lambda p: rewrite(p, lambda es: _added(_unhalted(es)), heads=True)),
    "journal and heads removed": ("TRUNCATED", _gone),
}  # fmt: skip
"""What only a head shows that left this machine in an alert."""


def _forged(room: Room, forgery: Forgery) -> tuple[Path, Head]:
    folder = Path(tempfile.mkdtemp(prefix="journal-", dir=room.signer.folder))
    path, head = honest(folder)
    forgery(path)
    return path, head


def _judged(name: str, kind: str, forgery: Forgery, outside: bool) -> Move:
    def act(room: Room) -> str:
        path, head = _forged(room, forgery)
        try:
            return f"{_faults(path, head if outside else None)}; {_started(path, outside)}"
        finally:
            shutil.rmtree(path.parent)

    started = "JOURNAL_CORRUPT" if not outside else "of itself a perfect chain"
    return Move(FAMILY, name, act, f"{kind}; {started}")


def _faults(path: Path, head: Head | None) -> str:
    return ", ".join(fault.kind for fault in verify(path, anchors=[head] if head else ()).faults)


def _started(path: Path, outside: bool) -> str:
    """Whether the agent would go on with it. Where only a head from outside shows it, the file itself must tell nothing."""
    if outside:
        return _faults(path, None) or "of itself a perfect chain"
    try:
        _journal(path).close()
    except FairleadError as refused:
        return refused.code
    return "and the agent goes on with it"


def moves() -> list[Move]:
    found = [_judged(name, *told, outside=False) for name, told in FOUND_BY_BOTH.items()]
    return found + [_judged(name, *told, outside=True) for name, told in FOUND_FROM_OUTSIDE.items()]
