"""The hedge elsewhere in `fairlead rescue`: what it would be beside the other means, what stands, and, with --live, opened or taken off."""

from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING, Any

from agent.app.cli.output import note, plain
from chains.errors import FairleadError

if TYPE_CHECKING:
    from agent.app.rescue.hedge import Crisis, Rule
    from agent.app.wiring import App
    from agent.execution.desk import Desk


async def hedged(
    app: App,
    desk: Desk,
    crisis: Crisis,
    *,
    well: bool,
    due: bool,
    act: bool,
    yes: bool,
    most_cost_usd: Decimal,
    as_json: bool,
) -> dict[str, Any] | None:
    """None where the rule has no hedge. `well`: the account is where a hedge is taken off; `due`: nothing else restores it, or the rule says
    so first. With `act` it is done; what is refused is told in "why_not"."""
    from agent.app.cli.trade import ask
    from agent.app.rescue import hedge, orders
    from agent.app.rescue.hedge_lease import HedgeLease, leased

    rule = crisis.rule
    if rule.hedge_at is None:
        return None
    facts: dict[str, Any] = {
        "at": rule.hedge_at,
        "with": rule.hedge_with,
        "would": None,
        "why_not": None,
        "did": None,
    }
    held, lease = hedge.stands(desk.book, rule), HedgeLease.of(app, rule)
    try:
        if (open_one := orders.open_of(desk, hedge.source_of(rule))) is not None:
            facts["why_not"] = (
                f"the order {open_one} of it is under way: `fairlead run --once` follows it to its end"
            )
        elif held and well:
            facts["would"] = f"take the hedge off: {hedge.stands_words(rule, held)}"
            if act:
                if not yes:
                    ask(as_json)
                held = await hedge.close_one(app, desk, rule, crisis.account, most_cost_usd)
                facts["did"] = "taken off"
                if lease is not None and not held:
                    lease.finish()
        elif not held and not well:
            offer = await hedge.offered(app, crisis)
            facts["would"] = hedge.words(offer)
            if act and due:
                if not yes:
                    ask(as_json)
                held = await leased(
                    lease, desk, rule, lambda begins: hedge.open_one(app, desk, offer, most_cost_usd, begins)
                )
                facts["did"] = "opened"
    except FairleadError as error:
        if error.verb == "HALT":
            raise
        if error.code == hedge.GONE:
            from agent.domain.events import Alarmed

            await desk.journal.record(Alarmed(error.code, error.message, desk.clock.now_ns()))
            held = hedge.stands(desk.book, rule)
        facts["why_not"] = f"{error.code}: {error.message} → {error.hint}"
    facts["stands"] = plain(held)
    if not as_json:
        _show(rule, facts, held, due)
    return facts


def _show(rule: Rule, facts: dict[str, Any], held: Decimal, due: bool) -> None:
    from agent.app.rescue.hedge import stands_words

    if facts["would"]:
        print(f"  {'hedge   ' if due or held else 'or hedge'}  {facts['would']}")
    if facts["did"]:
        print(f"  settled   the hedge was {facts['did']}")
    if facts["why_not"]:
        print(f"  no hedge  {facts['why_not']}")
    if held:
        note(f"a hedge stands: {stands_words(rule, held)}; it raises no health")
