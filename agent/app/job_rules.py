"""When a job fires: pure functions of its rule and a time. Cron is read by cronsim, which neither repeats nor invents a
wall time when clocks change.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING
from zoneinfo import ZoneInfo

from agent.algos.twap import seconds_of
from agent.domain.errors import Usage

if TYPE_CHECKING:
    from agent.app.settings_jobs import Timing

SECOND = 10**9


@dataclass(frozen=True, slots=True)
class Rule:
    """`every_s` seconds, or `cron` in `zone`. `text` names the rule: a job whose text changed has no past."""

    text: str
    every_s: int = 0
    cron: str = ""
    zone: str = "UTC"

    def next_after(self, at_ns: int) -> int:
        """The first fire later than a moment, in nanoseconds of Unix time."""
        if self.every_s:
            step = self.every_s * SECOND
            return (at_ns // step + 1) * step
        return self._walk(at_ns, reverse=False)

    def last_before(self, at_ns: int) -> int:
        """The last fire at or before a moment."""
        if self.every_s:
            step = self.every_s * SECOND
            return at_ns // step * step
        return self._walk(at_ns + SECOND, reverse=True)

    def period_ns(self, fire_ns: int) -> int:
        """How long until the fire after this one."""
        return self.next_after(fire_ns) - fire_ns

    def between(self, first_ns: int, last_ns: int, most: int = 1000) -> list[int]:
        """Fires from one moment to another, both included; no more than the last `most`."""
        found: list[int] = []
        at = self.last_before(last_ns)
        while at >= first_ns and len(found) < most:
            found.append(at)
            at = self.last_before(at - 1)
        return found[::-1]

    def _walk(self, at_ns: int, reverse: bool) -> int:
        from cronsim import CronSim

        moment = datetime.fromtimestamp(at_ns // SECOND, ZoneInfo(self.zone))
        found: datetime = next(CronSim(self.cron, moment, reverse=reverse))
        return int(found.astimezone(UTC).timestamp()) * SECOND


def rule_of(job: Timing) -> Rule:
    """Raises Usage BAD_DURATION, BAD_CRON, BAD_ZONE."""
    if job.every is not None:
        return Rule(f"every {job.every}", every_s=seconds_of(job.every, "every"))
    from cronsim import CronSim, CronSimError

    try:
        ZoneInfo(job.timezone)
    except (KeyError, ValueError, OSError):
        raise Usage(
            "BAD_ZONE", f"there is no time zone '{job.timezone}'", "write it like UTC or Europe/Zurich"
        ) from None
    expression = job.cron or ""
    if len(expression.split()) != 5:
        raise Usage(
            "BAD_CRON", f"'{expression}' has not five fields", "minute hour day month weekday: 30 9 * * 1-5"
        )
    try:
        next(CronSim(expression, datetime(2024, 1, 1, tzinfo=UTC)))
    except (CronSimError, StopIteration) as wrong:
        told = str(wrong) or "it never fires"
        raise Usage(
            "BAD_CRON", f"'{expression}' is no cron expression: {told}", "five fields: 30 9 * * 1-5"
        ) from None
    return Rule(f"cron {expression} {job.timezone}", cron=expression, zone=job.timezone)
