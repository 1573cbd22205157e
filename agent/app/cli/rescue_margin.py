"""`fairlead rescue --venue NAME`: how much smaller the positions at an exchange have to be, shown first, done with --live."""

from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING, Any

from agent.app.cli.output import plain
from chains.errors import Denied, Usage

if TYPE_CHECKING:
    from agent.app.rescue.exchange import Exposed
    from agent.app.settings_rescue import MarginRescueTable
    from agent.app.settings_tree import Settings
    from agent.app.wiring import App
    from agent.execution.desk import Desk

MOST_ORDERS = 8


def rules_of(settings: Settings, venue: str, target: Decimal | None) -> list[MarginRescueTable]:
    """The settings' rules of that exchange, else what a rule says by itself. Raises Usage UNKNOWN_VENUE, BAD_TARGET."""
    from agent.app.settings_rescue import MarginRescueTable

    if settings.venue(venue) is None:
        raise Usage("UNKNOWN_VENUE", f"there is no exchange '{venue}' in the settings", "see [[venues]]")
    if target is not None and target <= 1:
        raise Usage(
            "BAD_TARGET", f"--target {target} is where liquidation begins", "it must be above 1, like 2.5"
        )
    rules = [r for r in settings.margin_rescues if r.venue == venue]
    rules = rules or [MarginRescueTable.model_validate({"name": venue, "venue": venue})]
    return [r if target is None else r.model_copy(update={"target": target}) for r in rules]


async def one_rule(
    app: App, desk: Desk, rule: MarginRescueTable, live: bool, yes: bool, most: Decimal | None, as_json: bool
) -> list[dict[str, Any]]:
    """Each margin account there, shown and, where asked for, made safer order by order."""
    from agent.app.cli.rescue_hedge import hedged
    from agent.app.cli.trade import ask
    from agent.app.rescue import exchange
    from agent.app.rescue.hedge import of_margin

    told = await exchange.exposed(app, rule)
    shown = {one.name: _facts(app, one) for one in told}
    for one in told if not as_json else ():
        _show(app, one)
    if (open_one := exchange.in_flight(desk, rule)) is not None:
        raise Denied(
            "RESCUE_IN_FLIGHT",
            f"{rule.name} is being rescued by the order {open_one}",
            "`fairlead run --once` follows it to its end",
        )
    done = dict[str, list[str]]()
    first = rule.hedge_first and rule.hedge_at is not None
    for _ in range(MOST_ORDERS if live and not first else 0):
        due = [(one, found) for one in told if one.below(rule.target) and (found := one.least()) is not None]
        if not due:
            break
        if not yes and not done:
            ask(as_json)
        one, found = due[0]
        made = await exchange.reduce(
            app, desk, one, found.cuts[0], most if most is not None else rule.most_cost_usd
        )
        done.setdefault(one.name, []).append(made.cl_ord_id)
        if not as_json:
            print(f"  settled {exchange.done_words(app, one, made)}")
        told = await exchange.exposed(app, rule)
    after = {one.name: one for one in told}
    for name, facts in shown.items():
        left = after.get(name)
        facts["done"] = done.get(name, [])
        facts["ratio_after_1e18"] = None if left is None or left.ratio_1e18 is None else str(left.ratio_1e18)
        if live:
            facts["missing_way"] = left is not None and left.below(rule.target)
        if left is not None:
            facts["hedge"] = await hedged(
                app,
                desk,
                of_margin(app, left),
                well=not left.below(rule.lasts_below(rule.target)),
                due=left.below(rule.target) and (first or left.least() is None),
                act=live,
                yes=yes or bool(done),
                most_cost_usd=most if most is not None else rule.most_cost_usd,
                as_json=as_json,
            )
    return list(shown.values())


def _facts(app: App, one: Exposed) -> dict[str, Any]:
    from agent.app.rescue.exchange import qty_of, words

    found = one.least() if one.below(one.rule.target) else None
    return {
        "id": one.name,
        "rule": one.rule.name,
        "state": one.judged.state.value,
        "why": one.judged.why,
        "ratio_1e18": None if one.ratio_1e18 is None else str(one.ratio_1e18),
        "trigger": plain(one.rule.trigger),
        "target": plain(one.rule.target),
        "due": one.below(one.rule.trigger),
        "orders": [
            {"asset": c.asset, "qty": plain(qty_of(c)), "side": "buy" if c.buys else "sell", "words": words(app, one, c)}
            for c in (found.cuts if found is not None else ())
        ],
        "foretold_1e18": None if found is None or found.ratio_1e18 is None else str(found.ratio_1e18),
        "unnamed": list(one.unnamed),
        "missing_way": one.below(one.rule.target) and found is None,
    }  # fmt: skip


def _show(app: App, one: Exposed) -> None:
    from agent.app.rescue.exchange import dollars_up, words
    from agent.app.rescue.words import health_words

    print(f"\n{one.name} · {one.judged.state.value} · equity over maintenance {health_words(one.ratio_1e18)}")
    if one.judged.why:
        print(f"  {one.judged.why}")
    print(f"  made smaller below {plain(one.rule.trigger)}, up to {plain(one.rule.target)}")
    if not one.below(one.rule.target):
        print("  nothing to do")
        return
    if (found := one.least()) is None:
        print("  nothing that the settings name and the exchange trades reaches the target")
    else:
        does = ", then ".join(words(app, one, cut) for cut in found.cuts)
        print(
            f"  cheapest  {does}: {health_words(found.ratio_1e18)}, loses at most about {dollars_up(found.cost):,} USD"
        )
    for asset in one.unnamed:
        print(f"  left out  {asset}: the settings do not name it, or it cannot be traded here")
