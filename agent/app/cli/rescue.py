"""`fairlead rescue`: the cheapest way to bring a lending account back to health, shown first, done with --live."""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import click

from agent.app.cli.output import emit_json, header, note, plain
from chains.errors import Denied, Reject, Usage

if TYPE_CHECKING:
    from agent.app.rescue.acting import Done
    from agent.app.rescue.bringing import Bring
    from agent.app.rescue.doubts import Doubt
    from agent.app.rescue.pricing import Options
    from agent.app.rescue.sight import Sight
    from agent.app.settings_rescue import RescueTable
    from agent.app.settings_tree import Settings
    from agent.app.wiring import App
    from agent.domain.events import Crossed
    from agent.execution.desk import Desk
    from agent.margin.rescue import Plan
    from agent.margin.unwind import Unwinding


@click.command("rescue")
@click.option("--chain", metavar="NAME", help="Only the accounts of this chain.")
@click.option(
    "--venue", metavar="NAME", help="The margin accounts of this exchange instead: positions made smaller."
)
@click.option("--target", metavar="HEALTH", help="The health factor to restore; else that of [[rescues]].")
@click.option("--live", is_flag=True, help="Really do it; the settings must say live, too.")
@click.option("--yes", is_flag=True, help="Ask nothing; needs --max-loss.")
@click.option("--max-loss", metavar="USD", help="The most that gas and spread may cost.")
@click.option(
    "--by",
    type=click.Choice(["owners", "agent"]),
    help="Who signs; else as wallet.authority says. agent: its own key, within the scope the owners granted.",
)
@click.option("--json", "as_json", is_flag=True, help="One JSON document on stdout.")
@click.pass_context
def command(
    ctx: click.Context,
    /,
    chain: str | None,
    venue: str | None,
    target: str | None,
    live: bool,
    yes: bool,
    max_loss: str | None,
    by: str | None,
    as_json: bool,
) -> int:
    """Bring lending accounts of the wallet back to their target health by the cheapest means at hand: Aave V3, and the markets that
    `lending_pools`, `comets`, `morpho_markets` and `maker` name.

    What costs is counted: gas and spread. The yield that the money no longer earns where it is now is not.
    Exit status 0: every account is at its target, or would be; 4: for one of them there is no way, and what is missing is told.
    """
    from agent.app.cli import rescue_margin
    from agent.app.cli.common import load_settings, with_app
    from agent.domain.units import parse_qty

    settings = load_settings(ctx)
    if live and not settings.live:
        raise Denied("NOT_LIVE", "the settings do not say live = true", "set it, if you mean it")
    if live and yes and max_loss is None:
        raise Usage("MAX_LOSS_MISSING", "--live --yes needs --max-loss USD", "say what may be lost at most")
    most = parse_qty(max_loss, "--max-loss") if max_loss is not None else None
    wanted = parse_qty(target, "--target") if target is not None else None
    if chain is not None and venue is not None:
        raise Usage("TWO_PLACES", "--chain and --venue were both given", "give one of them")
    rules = rules_of(settings, chain, wanted) if venue is None else []
    margins = rescue_margin.rules_of(settings, venue, wanted) if venue is not None else []

    async def work(app: App, stack: AsyncExitStack) -> int:
        from agent.app.carrier import tell_alarms
        from agent.app.start_check import certify
        from agent.app.unattended import whose_key
        from agent.app.wiring import nothing_new_unless_written, open_trading

        await whose_key(app, by, live)
        desk = await open_trading(app, stack)
        if live:
            nothing_new_unless_written(app)
            desk.journal.watchers.append(tell_alarms(note))
            await certify(app, desk, stays=True)
        if not as_json:
            header(settings.environment.value, settings.wallet.address, await app.head_line())
        reached = [
            rule for rule in rules if chain is not None or rule in settings.rescues or _may_act(app, rule)
        ]
        told = [await _one(app, desk, rule, live, yes, most, as_json) for rule in reached]
        for one in margins:
            told += await rescue_margin.one_rule(app, desk, one, live, yes, most, as_json)
        if as_json:
            emit_json({"accounts": [facts for facts in told if facts is not None], "done": live})
        elif all(facts is None for facts in told):
            print("no account owes anything")
        elif not live:
            note("dry run: nothing was signed or sent; --live does it")
        return 4 if any(facts is not None and facts["missing_way"] for facts in told) else 0

    return with_app(settings, work)


def _may_act(app: App, rule: RescueTable) -> bool:
    """A chain that nobody named is left out where the agent's key signs and the owners grant it nothing there."""
    chain = app.settings.chain(rule.chain)
    return app.roads is None or (chain is not None and chain.chain_id in app.roads.opened)


def rules_of(settings: Settings, chain: str | None, target: Decimal | None) -> list[RescueTable]:
    """The settings' rules, and for chains without one what a rule says by itself. Raises Usage UNKNOWN_CHAIN, BAD_TARGET."""
    from agent.app.settings_rescue import RescueTable
    from agent.app.settings_rescue_checks import markets_of

    if chain is not None and settings.chain(chain) is None:
        raise Usage("UNKNOWN_CHAIN", f"there is no chain '{chain}' in the settings", "see [[chains]]")
    if target is not None and target <= 1:
        raise Usage(
            "BAD_TARGET", f"--target {target} is where liquidation begins", "it must be above 1, like 1.35"
        )
    written = {(rule.chain, rule.market): rule for rule in settings.rescues}
    chains = [c for c in settings.chains if chain in (None, c.name)]
    asked = [(c.name, market) for c in chains for market in (None, *markets_of(c))]
    rules = [
        written.get((name, market))
        or RescueTable.model_validate({"name": name, "chain": name, "market": market})
        for name, market in asked
    ]
    return [r if target is None else r.model_copy(update={"target": target}) for r in rules]


async def _one(
    app: App, desk: Desk, rule: RescueTable, live: bool, yes: bool, most: Decimal | None, as_json: bool
) -> dict[str, Any] | None:
    """One chain's account, shown and, where asked for, rescued move by move. None where there is none."""
    from chains.ending import ended

    beside: list[asyncio.Task[None]] = []
    try:
        told = await _moves(app, desk, rule, live, yes, most, as_json, beside)
        for task in beside:
            await task
        return told
    finally:
        await ended(beside)


async def _moves(
    app: App,
    desk: Desk,
    rule: RescueTable,
    live: bool,
    yes: bool,
    most: Decimal | None,
    as_json: bool,
    beside: list[asyncio.Task[None]],
) -> dict[str, Any] | None:
    from agent.app.bridging import following
    from agent.app.bridging.flying import crossing_json
    from agent.app.cli.rescue_hedge import hedged
    from agent.app.jobs.guard import budgets_of
    from agent.app.rescue import acting, bringing, pricing
    from agent.app.rescue.hedge import of_loan
    from agent.app.rescue.sight import look, next_s
    from agent.app.rescue.words import health_words
    from agent.margin.rescue import MOST_MOVES

    done: list[Done] = []
    brought: list[Crossed] = []
    asked, shared = False, budgets_of(app.settings)
    first: dict[str, Any] | None = None
    for _ in range(MOST_MOVES + 1):
        sight = await look(app, rule)
        if sight is None or sight.one.empty:
            return await _gone(app, desk, rule, live, yes, most, as_json)
        spent = acting.counted_usd(app, desk, sight, shared)
        found = pricing.options(app, sight, spent, next_s(app, sight), beside=not done)
        ways = bringing.choices(app, sight, found.missing, bringing.room_usd(sight, spent))
        facts = facts_of(app, sight, found) | {"bring": [bringing.words(app, one) for one in ways]}
        if first is None:
            first = facts
            if not as_json:
                _show(app, sight, found)
                for one in ways:
                    print(f"  or        {bringing.words(app, one)}, then pay it in")
        if open_one := acting.in_flight(desk.book, sight):
            raise Denied(
                "RESCUE_IN_FLIGHT",
                f"{sight.name} is being rescued: {open_one}",
                "`fairlead run --once` follows it to its end",
            )
        if not live or found.stopped is not None or (rule.hedge_first and rule.hedge_at is not None):
            break
        if not yes and not asked and (found.plans or ways):
            from agent.app.cli.trade import ask

            ask(as_json)
            asked = True
        cost = most if most is not None else rule.most_cost_usd
        if found.missing and await _brought(app, desk, sight, ways, cost, brought, beside):
            continue
        if not found.plans:
            break
        ended, _ = await acting.act_first(app, desk, sight, found.plans, cost, shared=shared)
        if ended is None:
            continue
        done.append(ended)
        await acting.tell(desk, sight, ended)
        if not as_json:
            print(
                f"  settled {ended.cl_ord_id} in block {ended.block}: {ended.what}; health factor {health_words(ended.health_1e18)}"
            )
    assert first is not None and sight is not None
    well = not sight.unknown and not sight.below(rule.lasts_below(rule.target))
    hedge = await hedged(
        app,
        desk,
        of_loan(sight, next_s(app, sight)),
        well=well,
        due=sight.below(rule.target) and (not found.plans or found.stopped is not None or rule.hedge_first),
        act=live,
        yes=yes or asked,
        most_cost_usd=most if most is not None else rule.most_cost_usd,
        as_json=as_json,
    )
    still = bool(facts["missing_way"]) if live else bool(first["missing_way"])
    # What was paid in of it is final by now: so is what it was paid with.
    over = [await following.follow(app, desk, one.cl_ord_id, 0) for one in brought]
    crossings = [crossing_json(app.settings, desk.book, one) for one in over]
    ended_ = [_done_json(d) for d in done]
    return {**first, "missing_way": still, "done": ended_, "brought": crossings, "hedge": hedge}


async def _gone(
    app: App, desk: Desk, rule: RescueTable, live: bool, yes: bool, most: Decimal | None, as_json: bool
) -> dict[str, Any] | None:
    """What stands against an account that is no more. None where nothing does."""
    from agent.app.cli.rescue_hedge import hedged
    from agent.app.rescue.hedge import Crisis, stands

    if rule.hedge_at is None or not stands(desk.book, rule):
        return None
    cost = most if most is not None else rule.most_cost_usd
    told = await hedged(
        app,
        desk,
        Crisis(rule, rule.name, Decimal(0)),
        well=True,
        due=False,
        act=live,
        yes=yes,
        most_cost_usd=cost,
        as_json=as_json,
    )
    return {"id": rule.name, "rule": rule.name, "missing_way": False, "hedge": told}


async def _brought(
    app: App,
    desk: Desk,
    sight: Sight,
    ways: list[Bring],
    most: Decimal,
    brought: list[Crossed],
    beside: list[asyncio.Task[None]],
) -> bool:
    """Whether money from another chain is there now that was not before: then it is planned anew. Refusals are told.

    A deposit goes on to its finality in `beside`: what it brings is paid in before.
    """
    from agent.app.bridging import following
    from agent.app.rescue import bringing
    from agent.domain.events import Crossed

    written = asyncio.Event()
    desk.journal.watchers.append(lambda event: written.set() if isinstance(event, Crossed) else None)
    names = [one.cl_ord_id for one in bringing.awaited(app, desk, sight)]
    for one in [] if brought or names else ways:
        try:
            ready = await bringing.prepare(app, desk.book, sight, one, most)
        except (Denied, Reject) as no:
            note(f"{bringing.words(app, one)}: {no.message} → {no.hint}")
            continue
        note(f"{bringing.words(app, one)}, to pay it in")
        name = ready.part.cl_ord_id
        task = asyncio.create_task(bringing.begin(app, desk, ready), name="bring")
        task.add_done_callback(lambda _: written.set())
        beside.append(task)
        await written.wait()
        names += [name] if name in desk.book.crossings else []
        break
    until = desk.clock.now_ns() + following.LATE_TIMES * app.settings.bridge.usual_s * 10**9
    came = [await following.follow(app, desk, name, until, paid=True) for name in names]
    for crossing in came:
        note(f"{crossing.cl_ord_id}: {following.words(app, crossing)}")
    brought += came
    return any(crossing.stage in ("FILLED", "ARRIVED") for crossing in came)


def facts_of(app: App, sight: Sight, found: Options) -> dict[str, Any]:
    """One account of `fairlead rescue --json`. Raw amounts are base units, health factors in 1e18."""
    from agent.app.rescue.words import missing_words

    below = sight.below(sight.rule.target)
    return {
        "id": sight.name,
        "rule": sight.rule.name,
        "state": sight.one.state.value,
        "health_1e18": None if sight.health_1e18 is None else str(sight.health_1e18),
        "trigger": plain(sight.rule.trigger),
        "target": plain(sight.rule.target),
        "due": sight.below(sight.rule.trigger),
        "doubts": [
            {"code": d.code, "message": d.message, "hint": d.hint, "stops": d.stops}
            for d in (*found.doubts, *_slow(app, sight, found))
        ],
        "plans": [_plan_json(app, sight, p) for p in found.plans],
        "owners_could": [_plan_json(app, sight, p) for p in found.owners],
        "missing": [
            {"do": n.do, "asset": n.asset, "raw": str(n.raw), "how": list(missing_words(app, sight, n))}
            for n in found.missing
        ],
        "unwinding": _unwinding_json(app, sight, found.unwound),
        "short": found.short,
        "missing_way": (below and (not found.plans or found.short)) or found.stopped is not None,
    }


def _slow(app: App, sight: Sight, found: Options) -> list[Doubt]:
    """What stands against waiting for money from another chain, where some lies there that is missing here."""
    from agent.app.rescue.bringing import too_slow

    slow = too_slow(app, sight) if found.missing and sight.on_chains and sight.rule.bridge else None
    return [slow] if slow is not None else []


def _unwinding_json(app: App, sight: Sight, found: Unwinding | None) -> dict[str, Any] | None:
    from agent.app.rescue.words import unwinding_words

    if found is None:
        return None
    return {
        "lent": found.lent,
        "owed": found.owed,
        "rounds": [
            {
                "withdraw_raw": str(r.out_raw),
                "repay_raw": str(r.back_raw),
                "health_between_1e18": None if r.between_1e18 is None else str(r.between_1e18),
                "health_after_1e18": None if r.after_1e18 is None else str(r.after_1e18),
            }
            for r in found.rounds
        ],
        "cost_usd_at_most": plain(round(found.cost_usd, 2)),
        "words": unwinding_words(app, sight, found),
    }


def _plan_json(app: App, sight: Sight, plan: Plan) -> dict[str, Any]:
    from agent.app.rescue.acting import words

    return {
        "moves": [
            {
                "do": m.means.do,
                "asset": m.means.asset,
                "raw": str(m.raw),
                "swap_from": m.means.swap_from,
                **({"lent": m.means.lent} if m.means.lent else {}),
                "words": words(app, sight, m),
            }
            for m in plan.moves
        ],
        "cost_usd_at_most": plain(round(plan.cost_usd, 2)),
        "paid_usd": plain(round(plan.paid_usd, 2)),
        "health_after_1e18": None if plan.health_1e18 is None else str(plan.health_1e18),
    }


def _done_json(done: Done) -> dict[str, Any]:
    return {
        "cl_ord_id": done.cl_ord_id,
        "what": done.what,
        "block": done.block,
        "predicted_1e18": None if done.predicted_1e18 is None else str(done.predicted_1e18),
        "health_1e18": None if done.health_1e18 is None else str(done.health_1e18),
        **(
            {}
            if done.taken_raw is None
            else {"repaid_raw": str(done.repaid_raw), "taken_raw": str(done.taken_raw)}
        ),
    }


def _show(app: App, sight: Sight, found: Options) -> None:
    from agent.app.rescue.acting import words
    from agent.app.rescue.words import health_words, missing_words, owners_words, unwinding_words

    rule = sight.rule
    print(
        f"\n{sight.lender.words} on {rule.chain} · {sight.one.state.value} · health factor {health_words(sight.health_1e18)}"
    )
    print(f"  rescued below {plain(rule.trigger)}, up to {plain(rule.target)}")
    for doubt in (*found.doubts, *_slow(app, sight, found)):
        print(f"  {doubt.code}: {doubt.message} → {doubt.hint}")
    for number, plan in enumerate(found.plans):
        does = ", then ".join(words(app, sight, m) for m in plan.moves)
        name = "cheapest" if number == 0 else "or      "
        print(
            f"  {name}  {does}: health factor {health_words(plan.health_1e18)}, costs at most {plan.cost_usd:,.2f} USD"
        )
    if found.unwound is not None:
        print(f"  or        {unwinding_words(app, sight, found.unwound)}")
    if found.short:
        print(f"  that is all that can be done here: the target {plain(rule.target)} is out of reach")
    elif found.plans:
        print("  counted are gas and spread; what the money earns where it is now is not")
        return
    if not sight.unknown and not sight.below(rule.target):
        print("  nothing to do")
    for plan in found.owners:
        print(f"  owners    {owners_words(app, sight, plan)}")
    for need in found.missing:
        for line in missing_words(app, sight, need):
            print(f"  missing   {line}")
