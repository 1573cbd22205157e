"""A wish priced: the plan of now, what it comes to at worst, and the parent order it would become."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from agent.app.agent_power import CUTS, NO_SCOPE, ScopedView
from agent.app.intents import Preview, Request, guarded, parent_of, preview, trial_child
from agent.domain.events import Planned
from agent.domain.orders import ParentOrder
from agent.execution.planning import planned
from agent.market.view import MarketView

if TYPE_CHECKING:
    from agent.app.wiring import App


@dataclass(frozen=True)
class Proposal:
    plan: Planned
    view: MarketView
    preview: Preview
    parent: ParentOrder


async def propose(
    app: App, request: Request, *, salt: str, source: str, created_ns: int, note: Callable[[str], None]
) -> Proposal:
    """Raises Reject NO_ROUTE or NO_MARKET, Denied NO_INVENTORY, Retry where prices are stale."""
    now = app.clock.now_ns()
    desk = next(iter(app.chains.values()))
    protection = request.protection or desk.wanted or desk.protection
    environment, wallet = app.settings.environment.value, app.settings.wallet.address
    parent = parent_of(request, environment, wallet, protection, salt, created_ns, source)
    child = trial_child(parent)
    view = await app.market.view(child.base, child.quote)
    for name, why in {**app.market.left_out, **app.unreachable}.items():
        note(f"left out: {name}: {why}")
    for limit in view.limits if isinstance(view, ScopedView) else ():
        if limit.rule not in CUTS and (limit.rule != NO_SCOPE or source == "cli"):  # a job needs no reminder
            note(f"left out: {limit.message} ({limit.rule})")
    route = app.market.route(view, child)
    route = replace(route, certificate=app.market.proof(view, child, route))  # whoever decides reads it
    plan = planned(child, route, view, now)
    return Proposal(plan, view, preview(plan, view, await app.oracles.medians()), parent)


def held_to_price(found: Proposal, request: Request) -> ParentOrder:
    """The parent of a market order, held to the price of its preview less the slippage."""
    if request.algo != "market":
        return found.parent
    intent = replace(found.parent.intent, limit_px=guarded(request, found.preview.net_px))
    return replace(found.parent, intent=intent)
