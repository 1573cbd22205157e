"""What sets a job off: a time (`job_rules.Rule`), so many blocks of a chain, or a condition that holds. Pure."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from decimal import Decimal

from agent.algos.twap import seconds_of
from agent.app.job_rules import SECOND, Rule, rule_of
from agent.app.settings_jobs import Timing
from agent.domain.errors import Usage
from agent.domain.units import parse_qty


@dataclass(frozen=True, slots=True)
class Blocks:
    chain: str
    count: int

    @property
    def text(self) -> str:
        return f"every {self.count} blocks of {self.chain}"

    def passed(self, number: int) -> int:
        """The newest block at or before `number` that fires."""
        return number // self.count * self.count


@dataclass(frozen=True, slots=True)
class Condition:
    """`subject` is a symbol (kind "price", `level` in USD) or a chain (kind "health"). `again_ns` is the least between two fires."""

    kind: str
    subject: str
    below: bool
    level: Decimal
    again_ns: int

    @property
    def text(self) -> str:
        what = f"price of {self.subject}" if self.kind == "price" else f"health on {self.subject}"
        return f"{what} {'below' if self.below else 'above'} {self.level:f}"

    def holds(self, value: Decimal) -> bool:
        return value < self.level if self.below else value > self.level


Trigger = Rule | Blocks | Condition


def trigger_of(job: Timing) -> Trigger:
    """Raises Usage BAD_TRIGGER, and as `rule_of`."""
    if job.blocks is not None:
        return _blocks(job.blocks)
    if job.price is not None:
        return _condition("price", job.price, seconds_of(job.again, "again"))
    if job.health is not None:
        found = _condition("health", job.health, seconds_of(job.again, "again"))
        if not found.below:
            raise Usage(
                "BAD_TRIGGER",
                f"health = '{job.health}': only falling health calls for something",
                'write "ethereum below 1.5"',
            )
        return found
    return rule_of(job)


def most_jitter_ns(job: Timing) -> int:
    return 0 if job.jitter is None else seconds_of(job.jitter, "jitter") * SECOND


def jitter_ns(job: Timing, key: str) -> int:
    """How long a fire waits: the same for a fire whoever asks, spread evenly below `jitter`."""
    most = most_jitter_ns(job)
    if not most:
        return 0
    drawn = hashlib.sha256(f"jitter\x1f{job.name}\x1f{key}".encode()).digest()
    return int.from_bytes(drawn[:16], "big") % most


def _blocks(text: str) -> Blocks:
    chain, _, count = text.partition(" ")
    if not chain or not count.isascii() or not count.isdigit() or not 1 <= int(count) <= 10**9:
        raise Usage(
            "BAD_TRIGGER", f"blocks = '{text}' is no chain with a number of blocks", 'write "ethereum 10"'
        )
    return Blocks(chain, int(count))


def _condition(kind: str, text: str, again_s: int) -> Condition:
    words = text.split()
    if len(words) != 3 or words[1] not in ("below", "above"):
        example = "ETH below 2900" if kind == "price" else "ethereum below 1.5"
        raise Usage("BAD_TRIGGER", f"{kind} = '{text}' is no condition", f'write "{example}"')
    return Condition(kind, words[0], words[1] == "below", parse_qty(words[2], kind), again_s * SECOND)
