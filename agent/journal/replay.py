"""Rebuilding every state from the first entry, and comparing it with what the process recorded when it lived it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from agent.journal.chain import Head, Seq, genesis
from agent.journal.codec import Codec
from agent.journal.fold import Live, Projection
from agent.journal.query import read_entries
from agent.journal.schema import connect_read_only, meta


@dataclass(frozen=True, slots=True)
class Rebuilt:
    """`recorded` is the newest hash stored while living, at entry `recorded_seq`; `replayed_there` what the fold gives there.

    Both are None where nothing was recorded, as before the first clean stop.
    """

    name: str
    seq: Seq
    state: Any
    state_hash: str
    recorded_seq: int | None
    recorded: str | None
    replayed_there: str | None

    @property
    def same(self) -> bool | None:
        return None if self.recorded is None else self.recorded == self.replayed_there


@dataclass(frozen=True, slots=True)
class Replay:
    environment: str
    head: Head
    states: tuple[Rebuilt, ...]

    @property
    def ok(self) -> bool:
        return all(state.same is not False for state in self.states)


def replay(path: Path, codec: Codec, projections: Sequence[Projection[Any]]) -> Replay:
    """Reads the file, writes nothing. Halt JOURNAL_MISSING, JOURNAL_UNREADABLE, JOURNAL_CORRUPT, or the codec's."""
    db = connect_read_only(path)
    try:
        db.execute("BEGIN")
        environment = meta(db)["environment"]
        marks: dict[str, tuple[int, str]] = {}
        for name, seq, recorded in db.execute("SELECT projection, seq, state_hash FROM states ORDER BY seq"):
            marks[name] = (seq, recorded)
        lives = [Live(projection) for projection in projections]
        there: dict[str, str] = {}
        head = Head(Seq(0), genesis(environment))
        for entry in read_entries(db):
            event = codec.decode(entry.kind, entry.version, entry.payload)
            head = Head(entry.seq, entry.hash)
            for live in lives:
                live.apply(event, entry.seq)
                if marks.get(live.projection.name, (0, ""))[0] == entry.seq:
                    there[live.projection.name] = live.state_hash()
    finally:
        db.close()
    states = []
    for live in lives:
        name = live.projection.name
        seq, recorded = marks.get(name, (None, None))
        states.append(Rebuilt(name, live.seq, live.state, live.state_hash(), seq, recorded, there.get(name)))
    return Replay(environment, head, tuple(states))
