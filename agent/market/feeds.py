"""What a venue's module says of its market data, as FEED: facts and pure functions; `agent.transport.books` follows any of them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from agent.market.feed import Decode, Event, Note
from agent.market.ladder import BookRules

Answer = Callable[[str, str | bytes], tuple[Event, ...]]
"""(symbol asked for, body) to what an answer over REST says. Raises Retry BAD_FRAME and nothing else."""


@dataclass(frozen=True, slots=True)
class FeedFacts:
    """`answers` by the name of the endpoint. `subscribe` gives what is added to `stream_url` and what is said on it.

    `snapshot`: where books' snapshots come by REST, the symbol to (path, name of the answer). `line_quiet_s`: silence after which a
    line that should speak, if only by a heartbeat, is taken for dead and its books for stale; 0: it may be silent, and a probe looks.
    `limit_a_minute`: requests. `probe`: as `snapshot`, of a few levels, asked for a book that
    was silent for `probe_s`: its id tells whether nothing happened or nothing was told.
    """

    title: str
    stream_url: str
    rest_url: str
    decode: Decode
    rules: BookRules
    answers: Mapping[str, Answer]
    subscribe: Callable[[tuple[str, ...]], tuple[str, tuple[str, ...]]]
    snapshot: Callable[[str], tuple[str, str]] | None = None
    reply: Callable[[Note], str | None] | None = None
    line_quiet_s: float = 15.0
    limit_a_minute: int = 600
    probe: Callable[[str], tuple[str, str]] | None = None
    probe_s: float = 1.5
