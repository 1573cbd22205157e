"""Whether nobody has to watch: an unattended run is let in where the chain bounds it, and looked after while it goes on.

    admit(app, most)      at the start: the scope is granted, the audit finds no drift, the bound is no more than --max-loss
    Watch                 again every minute and before every fire; warns before the agent's power lapses

What it finds wrong stops new orders and slices by name; following and cancelling go on. Nothing is taken for granted that was not read
from the chain just now.
"""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal
from typing import TYPE_CHECKING

from agent.app.agent_road import Roads, by_agent, take_agents_road
from agent.app.cli.output import note
from agent.domain.errors import Denied
from agent.domain.events import Alarmed
from chains.types import Environment

if TYPE_CHECKING:
    from agent.app.wiring import App
    from agent.execution.desk import Desk

AUDIT_EVERY_S = 60.0
WARN_AT = (Decimal("0.25"), Decimal("0.1"), Decimal("0.02"))
"""At these shares of the term that are left, somebody is told that it has to be renewed."""


async def admit(app: App, most_usd: Decimal) -> Roads | None:
    """The agent's roads, opened and audited; None on a devnet or fork whose settings have owners' throw-away keys sign.

    Raises Denied NO_ONCHAIN_PERMISSIONS, SCOPE_NOT_GRANTED, SCOPE_DRIFT, SCOPE_FROZEN, SCOPE_LAPSED, BOUND_OVER_MAX_LOSS,
    SIGNER_OTHER_ROAD, Retry SCOPE_UNKNOWN or SIGNER_UNREACHABLE, and as `take_agents_road`.
    """
    settings = app.settings
    if not by_agent(settings, unattended=True):
        if settings.environment is not Environment.LIVE:
            return None
        why = "[wallet] authority is owners" if settings.scopes else "the settings have no [[scopes]] table"
        raise Denied(
            "NO_ONCHAIN_PERMISSIONS",
            f"unattended runs need the agent's own key, bounded by what the owners granted on chain, and {why}",
            "add a scope and have the owners grant it (`fairlead wallet scope`), or trade attended",
        )
    roads = await take_agents_road(app)
    roads.refuse_trouble()
    refuse_bound(roads, most_usd)
    await roads.refuse_signer()
    return roads


async def whose_key(app: App, by: str | None, live: bool) -> str:
    """Opens the agent's own road where its key is to sign; gives what was asked for, "" where nothing was.

    Raises Denied SCOPE_… where the chain is not as the settings say.
    """
    if by == "agent" or (by is None and by_agent(app.settings, unattended=False)):
        roads = await take_agents_road(app)
        roads.refuse_trouble()
        if live:
            await roads.refuse_signer()
        note(bound_words(roads))
        return "agent"
    return by or ""


def refuse_bound(roads: Roads, most_usd: Decimal) -> None:
    """Raises Denied BOUND_OVER_MAX_LOSS."""
    if roads.bound_per_day_usd > most_usd:
        raise Denied(
            "BOUND_OVER_MAX_LOSS",
            f"whoever steals the agent's key could take {roads.bound_per_day_usd:,.2f} USD in 24 hours; --max-loss is {most_usd:,.2f}",
            "have the owners narrow the scope, or say a --max-loss that covers it",
        )


def bound_words(roads: Roads) -> str:
    venues = [venue.name for venue in roads.settings.venues if venue.symbols]
    apart = f"; what lies at {', '.join(venues)} is apart from it" if venues else ""
    return (
        f"bound     whoever steals the agent's key takes at most {roads.bound_per_day_usd:,.2f} USD in any 24 hours and "
        f"{roads.bound_per_hour_usd:,.2f} USD in any hour until `fairlead wallet freeze`{apart}"
    )


def warning_of(left_s: int, term_s: int) -> Decimal | None:
    """The smallest share of WARN_AT that what is left of the term has fallen to; None above all."""
    fallen = [share for share in WARN_AT if left_s <= share * term_s]
    return min(fallen, default=None)


class Watch:
    """Looks at every scope again and again; what is new is an alarm, told once."""

    def __init__(
        self, app: App, desk: Desk, roads: Roads, most_usd: Decimal, tell: Callable[[str], None]
    ) -> None:
        self._app, self._desk, self._roads, self._most, self._tell = app, desk, roads, most_usd, tell
        self._told: set[str] = set()
        self._warned: dict[str, tuple[int, Decimal]] = {}

    async def run(self) -> None:
        while True:
            await self._desk.clock.sleep(AUDIT_EVERY_S)
            await self.look()

    async def before_fire(self) -> None:
        """Raises Denied where something was found, Retry SCOPE_UNKNOWN where nothing could be read."""
        await self.look()
        self._roads.refuse_trouble()
        refuse_bound(self._roads, self._most)

    async def look(self) -> None:
        """Audits now and records what is new."""
        audits = await self._roads.check()
        troubles = {reason.rule + reason.message.partition(":")[0]: reason for reason in self._roads.troubles}
        for name, reason in troubles.items():
            if name not in self._told:
                await self._alarm(reason.rule, f"{reason.message} → {reason.remedy}")
        if self._told and not troubles:
            self._tell("the chain is as the settings say again: new orders go on")
        self._told = set(troubles)
        for audit in audits:
            await self._warn(audit.chain, audit.granted.expiry, audit.left_s, audit.scope.term_s)

    async def _warn(self, chain: str, expiry: int, left_s: int, term_s: int) -> None:
        share = warning_of(left_s, term_s)
        if share is None or not left_s or self._warned.get(chain) == (expiry, share):
            return
        self._warned[chain] = (expiry, share)
        on = "" if chain == "ethereum" else f" --chain {chain}"
        await self._alarm(
            "SCOPE_LAPSES_SOON",
            f"{chain}: the agent's power lapses in {span(left_s)}; `fairlead wallet renew{on}` proposes another term",
        )

    async def _alarm(self, code: str, message: str) -> None:
        await self._desk.journal.record(Alarmed(code, message, self._desk.clock.now_ns()))


def span(seconds: int) -> str:
    """A duration as people say it, rounded down."""
    for unit, size in (("days", 86_400), ("hours", 3_600), ("minutes", 60)):
        if seconds >= 2 * size:
            return f"{seconds // size} {unit}"
    return f"{seconds} seconds"
