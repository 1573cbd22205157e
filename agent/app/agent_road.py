"""The agent's own road on every chain that has a scope: opened once per process, audited again and again, asked before each plan.

While it is open nothing of this process is signed by owners: chains without a scope take no part, and a chain whose audit finds
anything other than the settings say takes none until it agrees again. Following and cancelling go on regardless.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from typing import TYPE_CHECKING

from agent.app import scoping
from agent.app.agent_power import NO_SCOPE, Found, Power, ScopedView, Unit, narrowed
from agent.app.auditing import Audit, audit
from agent.app.auditing_past import Logged
from agent.app.loan_payments import roads_of_payments
from agent.app.multisig.room import Room
from agent.domain.errors import Denied, FairleadError, Retry, Usage
from agent.domain.instruments import AssetId, Place
from agent.domain.risk import BreachReason
from agent.execution.agent_batch import AgentRoad
from agent.market.view import MarketView
from chains.types import Call
from chains.userops import ENTRY_POINT
from contracts.codec import decode_result, decode_revert, encode
from keys.scope import ROLE, Scope, gate_address, offers_address, roles_address

if TYPE_CHECKING:
    from agent.app.settings_tree import Settings
    from agent.app.wiring import App


@dataclass
class Opened:
    """One chain's road. `trouble` is why it may not be used now; None once an audit found everything as the settings say."""

    room: Room
    scope: Scope
    creation: bytes
    road: AgentRoad
    audit: Audit | None = None
    logged: Logged = field(default_factory=Logged)
    trouble: BreachReason | None = None


def by_agent(settings: Settings, unattended: bool) -> bool:
    """Whose key signs: by `wallet.authority`, where "auto" means owners for what a person asks, the agent for what nobody watches."""
    chosen = settings.wallet.authority
    return chosen == "agent" or (chosen == "auto" and unattended and bool(settings.scopes))


class Roads:
    """By chain id. `check` before anything new; `narrow` is the market's, before each plan."""

    def __init__(self, app: App, opened: dict[int, Opened]) -> None:
        self._app, self.opened = app, opened

    @property
    def settings(self) -> Settings:
        return self._app.settings

    async def check(self) -> tuple[Audit, ...]:
        """Audits every chain now. One that does not answer counts as trouble: unknown is not safe."""
        return tuple(
            found
            for found in await asyncio.gather(*(self._check(one) for one in self.opened.values()))
            if found is not None
        )

    async def _check(self, one: Opened) -> Audit | None:
        try:
            one.audit = await audit(one.room, one.scope, one.creation, one.logged)
            if (account := self._app.chains[one.room.chain.chain_id].by_operation) is not None:
                await account.check()
        except FairleadError as error:
            if error.verb == "HALT":
                raise
            one.trouble = BreachReason(
                "SCOPE_UNKNOWN",
                f"{one.room.chain.name}: what the owners granted cannot be read: {error.message}",
                error.hint or "`fairlead doctor`",
            )
            return None
        one.trouble = one.audit.trouble
        return one.audit

    @property
    def troubles(self) -> tuple[BreachReason, ...]:
        return tuple(one.trouble for one in self.opened.values() if one.trouble is not None)

    def refuse_trouble(self) -> None:
        """Raises Denied with the first trouble's own code, naming all; Retry SCOPE_UNKNOWN where one could not be read."""
        if found := self.troubles:
            message = "; ".join(reason.message for reason in found)
            if found[0].rule == "SCOPE_UNKNOWN":
                raise Retry(found[0].rule, message, found[0].remedy)
            raise Denied(found[0].rule, message, found[0].remedy)

    async def refuse_signer(self) -> None:
        """Raises Denied SIGNER_OTHER_ROAD where the signer would refuse every trade of this road, Retry where it does not answer."""
        told = dict((await self._app.signer.status()).get("agents", {}))
        for chain_id, one in self.opened.items():
            road, knows = one.road, told.get(str(chain_id))
            if knows != signers_road(road, self.settings):
                what = "another road" if knows else "no road"
                raise Denied(
                    "SIGNER_OTHER_ROAD",
                    f"{one.room.chain.name}: the signer knows {what} of the agent's key: it would refuse every trade",
                    f"`fairlead wallet scope --chain {one.room.chain.name}` prints what its settings must say; then restart it",
                )

    @property
    def bound_per_day_usd(self) -> Decimal:
        """What whoever steals the key takes at most in any 24 hours, over all chains together."""
        return sum((o.audit.bound.per_day_usd for o in self.opened.values() if o.audit), Decimal(0))

    @property
    def bound_per_hour_usd(self) -> Decimal:
        return sum((o.audit.bound.per_hour_usd for o in self.opened.values() if o.audit), Decimal(0))

    async def narrow(
        self, view: MarketView, groups: tuple[Sequence[AssetId], Sequence[AssetId]]
    ) -> ScopedView:
        """The market as the agent's key may trade it now."""
        found: dict[Place, Found] = {}
        for chain_id, desk in self._app.chains.items():
            one = self.opened.get(chain_id)
            found[desk.place] = (
                BreachReason(
                    NO_SCOPE,
                    f"{desk.profile.name}: the owners grant the agent's key nothing there",
                    "add a [[scopes]] table for it, or let the owners sign (`fairlead trade --by owners`)",
                )
                if one is None
                else await self._power(one)
            )
        return narrowed(view, found, groups)

    async def _power(self, one: Opened) -> Found:
        """Read anew before every plan. Only whole tokens are asked about: nobody is told what is going to be traded."""
        if one.trouble is not None:
            return one.trouble
        scope, road, name = one.scope, one.road, one.room.chain.name
        directions = [d for p in scope.pairs for d in ((p.token_a, p.token_b), (p.token_b, p.token_a))]
        calls = [Call(road.gate, encode("gate", word)) for word in ("frozen", "expiry", "budgetLeft")]
        calls += [
            Call(t.address, encode("erc20", "allowance", (scope.safe, road.gate))) for t in scope.tokens
        ]
        calls += [
            Call(road.gate, encode("gate", "floorOf", (a, b, 10 ** scope.token(a).decimals)))
            for a, b in directions
        ]
        try:
            block, answers = await one.room.gateway.multicall(calls)
        except FairleadError as error:
            if error.verb == "HALT":
                raise
            return BreachReason("SCOPE_UNKNOWN", f"{name}: {error.message}", error.hint)
        told = [int.from_bytes(a.data[:32], "big") if a.ok and a.data else 0 for a in answers]
        if not answers[0].ok or told[0]:
            return BreachReason(
                "SCOPE_FROZEN", f"{name}: an owner has frozen the Gate {road.gate}", "the owners decide"
            )
        left_s = told[1] - block.timestamp
        if left_s <= 0:
            return BreachReason(
                "SCOPE_LAPSED",
                f"{name}: the agent's power lapsed {-left_s} s ago",
                "`fairlead wallet renew`, then the owners sign and execute it",
            )
        units, why = {}, ""
        for direction, answer in zip(directions, answers[3 + len(scope.tokens) :], strict=True):
            if answer.ok and answer.data:
                floor, usd = decode_result("gate", "floorOf", answer.data)
                units[direction] = Unit(int(floor), int(usd))
            else:
                why = decode_revert(answer.data) if answer.data else "it does not answer"
        allowances = {t.address: told[3 + i] for i, t in enumerate(scope.tokens)}
        return Power(name, road, scope, told[2], allowances, units, why, left_s)


async def take_agents_road(app: App) -> Roads:
    """From here on this process signs by the agent's key alone; each chain desk with a scope gets its road, audited now.

    Raises Usage NO_SCOPE, NO_ROUTERS, SCOPE_INVALID, Denied AGENT_IS_NOT_THE_SENDER, Retry where a chain does not answer.
    """
    settings = app.settings
    if not settings.scopes:
        raise Usage(
            "NO_SCOPE",
            "the settings have no [[scopes]] table: the agent's own key may do nothing",
            "add one: `fairlead config explain scopes` says what each key means",
        )
    opened = {}
    for table in settings.scopes:
        chain = settings.chain(table.chain)
        if chain is None:
            raise Usage(
                "NO_SCOPE", f"scopes name {table.chain}, which is no chain here", "add it under [[chains]]"
            )
        desk = app.chains[chain.chain_id]
        room = Room(settings, chain, desk.profile, desk.gateway, app.session, app.clock)
        scope = await scoping.scope_of(room, table)
        if table.account == "safe_4337" and desk.operations is None:
            raise Usage(
                "NO_BUNDLER",
                f"{table.chain}: the agent's account takes user operations, and these settings name no bundler or sender",
                "add [chains.bundler] and [wallet.sender]",
            )
        if table.account == "key" and scope.agent != desk.sender:
            raise Denied(
                "AGENT_IS_NOT_THE_SENDER",
                f"{table.chain}: the scope is for {scope.agent}, [wallet.sender] is {desk.sender}",
                "the role's member sends its own transactions: name the same account in both",
            )
        creation = scoping.gate_creation()
        road = road_of(scope, creation, table.account)
        one = Opened(room, scope, creation, road, logged=Logged(table.since))
        desk.road = road
        opened[chain.chain_id] = one
    app.roads = Roads(app, opened)
    app.market.narrow = app.roads.narrow
    await app.roads.check()
    return app.roads


def signers_road(road: AgentRoad, settings: Settings) -> dict[str, str]:
    """The road as the signer's `status` tells it, where it is the one the settings mean."""
    sender = settings.wallet.sender
    key = {"key": sender.address} if road.entry_point is not None and sender is not None else {}
    more = {"offers": "yes"} if road.offers is not None else {}
    more |= {name: payer.contract for name, payer in road.payers.items()}
    return {"account": road.account, "roles": road.roles, "gate": road.gate} | key | more


def road_of(scope: Scope, creation: bytes, account: str = "key") -> AgentRoad:
    """Raises Usage GATE_CODE."""
    gate = gate_address(scope, creation)
    return AgentRoad(
        account=scope.agent,
        roles=roles_address(scope, gate),
        gate=gate,
        role=ROLE,
        tokens=frozenset(t.address for t in scope.tokens),
        pairs=frozenset(frozenset((p.token_a, p.token_b)) for p in scope.pairs),
        deadline_s=scope.deadline_s,
        executor=next((r.router for r in scope.routes if r.contract == "route_executor"), None),
        offers=offers_address(scope, gate) if scope.intents else None,
        entry_point=ENTRY_POINT if account == "safe_4337" else None,
        **roads_of_payments(scope, gate),
    )
