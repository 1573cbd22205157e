"""`fairlead run`: the daemon that finishes what is open, takes orders over and fires the jobs."""

from __future__ import annotations

import asyncio
import signal
import time
from contextlib import AsyncExitStack
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import click

from agent.app.cli.output import emit_json, header, note, plain
from chains.ending import ended
from chains.errors import Denied, Usage

if TYPE_CHECKING:
    from agent.app.carrier import Carrier
    from agent.app.settings_jobs import Timing
    from agent.app.settings_tree import Settings
    from agent.app.wiring import App
    from agent.domain.events import Crossed
    from agent.execution.desk import Desk


@click.command("run")
@click.option("--once", is_flag=True, help="Only finish what an earlier run left open, then exit.")
@click.option("--live", is_flag=True, help="Really do it; the settings must say live, too.")
@click.option(
    "--shadow",
    is_flag=True,
    help="Decide as if live, sign and send nothing, compare with what the market then gave (the default).",
)
@click.option("--yes", is_flag=True, help="Nobody watches: ask nothing. Needs --max-loss.")
@click.option(
    "--max-loss",
    metavar="USD",
    help="The most that any one order of a job may lose at worst, and a thief of the agent's key take in a day.",
)
@click.option(
    "--compiled",
    is_flag=True,
    help="Plan with compiled searches: the same plans, several times sooner. Needs the extra `fast`.",
)
@click.option("--json", "as_json", is_flag=True, help="With --once: one JSON document on stdout.")
@click.pass_context
def command(
    ctx: click.Context,
    once: bool,
    live: bool,
    shadow: bool,
    yes: bool,
    max_loss: str | None,
    compiled: bool,
    as_json: bool,
) -> int:
    """Carry orders until stopped: first what an earlier run left open, then handed-over orders and the settings' jobs.

    `--once` asks what became of everything signed, finishes every order that was agreed to (it still holds to its own
    price, limits and expiry), and exits: 0 all is over, 4 one of them ended unfilled, 5 something is still unclear.

    `--shadow` works beside a live daemon of the same settings, with a record, leases and ids of its own; `fairlead report shadow` reads it.

    Where the settings have [[scopes]], the agent's own key signs, within what the owners granted on chain: that is audited at
    the start, every minute and before every fire, and what a thief of the key could take in a day must be within --max-loss.
    """
    from agent.app.cli.common import load_settings, with_app
    from agent.domain.units import parse_qty

    settings = load_settings(ctx)
    if as_json and not once:
        raise Usage("JSON_NEEDS_ONCE", "a daemon has no one document to print", "use it with --once")
    if live and shadow:
        raise Usage("LIVE_AND_SHADOW", "--live and --shadow exclude each other", "leave one out")
    if compiled:
        from agent.routing.warm import warm

        # Before anything is open: the first start on a machine compiles for half a minute, later ones load for a second.
        warm()
    if once:
        return with_app(settings, lambda app, stack: _once(app, stack, as_json))
    if not live:
        from agent.app.shadow.signer import ReadingSigner

        most = parse_qty(max_loss, "--max-loss") if max_loss is not None else Decimal("Infinity")
        return with_app(settings, lambda app, stack: _shadow(app, stack, most), ReadingSigner)
    _may_run_unattended(settings, yes, max_loss)
    bound = parse_qty(max_loss or "", "--max-loss")
    return with_app(settings, lambda app, stack: _daemon(app, stack, bound))


def _may_run_unattended(settings: Settings, yes: bool, max_loss: str | None) -> None:
    if not settings.live:
        raise Denied("NOT_LIVE", "the settings do not say live = true", "set it, if you mean it")
    if not yes or max_loss is None:
        raise Usage(
            "MAX_LOSS_MISSING",
            "an unattended run needs --yes and --max-loss USD",
            "say what any one order may lose at most",
        )


# ---------------------------------------------------------------------- once


async def _once(app: App, stack: AsyncExitStack, as_json: bool) -> int:
    from agent.app.bridging.following import follow_all
    from agent.app.carrier import Carrier, tell_alarms
    from agent.app.start_check import certify
    from agent.app.wiring import open_trading, tell_unless_written

    if not as_json:
        header(app.settings.environment.value, app.settings.wallet.address, await app.head_line())
    await _agents_road(app)
    desk = await open_trading(app, stack)
    tell_unless_written(app)
    desk.journal.watchers.append(tell_alarms(note))
    asked = [record.part.cl_ord_id for record in desk.book.open_parts()]
    if asked or any(record.closed is None for record in desk.book.parents.values()):
        await certify(app, desk, stays=True)
    async with Carrier(app, desk, note, takes_orders=False) as carrier:
        names = await carrier.take_up(exits=True)
        if names or asked:
            note(f"finishing {len(names)} orders and {len(asked)} open parts of an earlier run")
        await carrier.look()
        await carrier.rest(standing=True)
        if carrier.failure is not None:
            raise carrier.failure
    crossings = await follow_all(app, desk)
    return _told_once(app, desk, names, asked, crossings, as_json)


def _told_once(
    app: App,
    desk: Desk,
    names: tuple[Any, ...],
    asked: list[Any],
    crossings: tuple[Crossed, ...],
    as_json: bool,
) -> int:
    from agent.app.bridging import following
    from agent.app.bridging.flying import crossing_json
    from agent.app.exchange_pairs import held, holder_of
    from agent.app.follow import held_words, part_json, summary

    book = desk.book
    left = [r for r in book.open_parts() if r.authorized is not None and not held(r)]
    kept = [name for name in names if holder_of(book, name) is not None]
    ended = {name: book.parents[name].closed for name in names if name not in kept}
    status = 0
    if any(
        closed is not None and closed.status not in ("FILLED", "CANCELED", "LAPSED")
        for closed in ended.values()
    ):
        status = 4
    if left or crossings or any(closed is None for closed in ended.values()):
        status = 5
    if as_json:
        emit_json(
            {
                "orders": [
                    {
                        "cl_ord_id": name,
                        "status": closed.status if closed else "WORKING",
                        "why": closed.why if closed else "",
                        "filled_base": plain(book.filled_base(name)),
                        "filled_quote": plain(book.filled_quote(name)),
                    }
                    for name, closed in ended.items()
                ],
                "parts": [part_json(app.settings, book.parts[name]) for name in asked],
                "open": [part_json(app.settings, record) for record in left],
                "held": [{"cl_ord_id": name, "held_by": holder_of(book, name)} for name in kept],
                "crossings": [crossing_json(app.settings, book, one) for one in crossings],
            }
        )
        return status
    for name in names:
        if name in kept:
            print(f"{name}: {held_words(book, name, holder_of(book, name))}")
        else:
            summary(app.settings, book, name)
    for one in crossings:
        print(f"on its way: {one.cl_ord_id}: {following.words(app, one)}; `fairlead bridge list` shows it")
    if not names and not asked and not crossings:
        print("nothing was left open")
    for record in left:
        print(f"still unclear: {record.part.cl_ord_id} at {record.part.place}; `fairlead orders` shows it")
    return status


async def _agents_road(app: App) -> None:
    """The agent's own key signs what is still to be signed. A scope that is not as granted stops that, not the following."""
    from agent.app.agent_road import by_agent, take_agents_road

    if by_agent(app.settings, unattended=True):
        for reason in (await take_agents_road(app)).troubles:
            note(f"nothing new is signed: {reason.rule}: {reason.message} → {reason.remedy}")


# ---------------------------------------------------------------------- the daemon


async def _daemon(app: App, stack: AsyncExitStack, max_loss_usd: Decimal) -> int:
    from functools import partial

    from agent.app.bridging.following import CrossingWatch
    from agent.app.carrier import Carrier, tell_alarms
    from agent.app.counterparty import cap_watch
    from agent.app.jobs.facts import confirmed_px
    from agent.app.jobs.guard import Guard, owner_of, store_of
    from agent.app.jobs.known import all_jobs
    from agent.app.jobs.supervisor import Supervisor
    from agent.app.monitor import monitored
    from agent.app.place_watch import PlaceWatch
    from agent.app.rescue.margin_watch import MarginWatch
    from agent.app.rescue.sight import desk_of
    from agent.app.rescue.watch import RescueWatch
    from agent.app.scheduler import Scheduler, request_of_job
    from agent.app.settings_tree import Job
    from agent.app.start_check import certify
    from agent.app.unattended import Watch, admit, bound_words
    from agent.app.wiring import open_trading, tell_unless_written
    from agent.domain.errors import FairleadError

    store = store_of(app.settings)
    jobs = all_jobs(app.settings, store)
    for job in jobs:
        if isinstance(job, Job):
            request_of_job(app, job)  # a wrong word is told now, not when it is due
    header(app.settings.environment.value, app.settings.wallet.address, await app.head_line())
    roads = await admit(app, max_loss_usd)
    if roads is not None:
        print(bound_words(roads), flush=True)
    rescues = [rule for rule in app.settings.rescues if rule.enabled]
    for rule in rescues:
        desk_of(app, rule)  # a chain on which nothing could be done is told now
    desk = await open_trading(app, stack)
    tell_unless_written(app)
    desk.journal.watchers.append(tell_alarms(_say))
    await certify(app, desk, stays=bool(rescues or app.settings.margin_rescues))
    watch = Watch(app, desk, roads, max_loss_usd, _say) if roads is not None else None
    if watch is not None:
        await watch.look()
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    loop.add_signal_handler(signal.SIGTERM, stop.set)
    stack.callback(loop.remove_signal_handler, signal.SIGTERM)
    async with Carrier(app, desk, _say) as carrier, monitored(app, desk, _say):
        names = await carrier.take_up(exits=True)
        if names:
            _say(f"going on with {', '.join(names)}")
        else:
            await app.adopt_balances()
        before = watch.before_fire if watch is not None else None
        guard = Guard(store, owner_of(app.settings), partial(confirmed_px, app))
        shared = guard.budgets
        try:
            shared.settle(desk.book)
        except FairleadError as error:
            _say(f"what earlier orders came to is not settled yet, and counts whole: {error}")
        desk.journal.watchers.append(shared.watcher(desk.book, _say))
        scheduler = Scheduler(app, desk, carrier, max_loss_usd, _say, before, guard=guard)
        enabled = [job for job in jobs if job.enabled]
        supervisor = Supervisor(app.settings, store, scheduler, app.clock, _say)
        tasks = [asyncio.create_task(supervisor.run(), name="jobs")]
        watches = [RescueWatch(app, desk, rule, max_loss_usd, _say, before, shared) for rule in rescues]
        tasks += [asyncio.create_task(one.run(), name=f"rescue {one.name}") for one in watches]
        exposed = [
            MarginWatch(app, desk, rule, max_loss_usd, _say, before, shared)
            for rule in app.settings.margin_rescues
            if rule.enabled
        ]
        tasks += [asyncio.create_task(one.run(), name=f"rescue {one.name}") for one in exposed]
        if watch is not None:
            tasks.append(asyncio.create_task(watch.run(), name="scopes"))
        tasks.append(asyncio.create_task(cap_watch(app, desk).run(), name="counterparty caps"))
        tasks.append(asyncio.create_task(CrossingWatch(app, desk, _say).run(), name="bridge"))
        tasks.append(asyncio.create_task(PlaceWatch(app, desk, carrier, _say).run(), name="places"))
        guarded = f", {len(watches) + len(exposed)} accounts watched" if watches or exposed else ""
        _say(f"running: {len(enabled)} jobs{guarded}, inbox open; end it with Ctrl-C or SIGTERM")
        try:
            await _until_stopped(stop, carrier, tasks)
        finally:
            await ended(tasks)
    return _stopped(app)


async def _until_stopped(stop: asyncio.Event, carrier: Carrier, tasks: list[asyncio.Task[None]]) -> None:
    """Returns when asked to stop. Raises what ended a job, or what means that nothing can be recorded any more."""
    stopping = asyncio.create_task(stop.wait())
    try:
        while not stop.is_set():
            carrier.changed.clear()
            changed = asyncio.create_task(carrier.changed.wait())
            await asyncio.wait({stopping, changed, *tasks}, return_when=asyncio.FIRST_COMPLETED)
            changed.cancel()
            if carrier.failure is not None:
                raise carrier.failure
            for task in tasks:
                if task.done():
                    task.result()
    finally:
        stopping.cancel()


def _stopped(app: App) -> int:
    from agent.app.cli.common import signed_and_open

    left = signed_and_open(app)
    if left:
        _say(f"stopped; signed and not over: {left}; the next run follows it: fairlead run --once")
        return 5
    _say("stopped; nothing that was signed is open")
    return 0


def _say(text: str) -> None:
    note(f"{time.strftime('%H:%M:%SZ', time.gmtime())} {text}")


async def _shadow(app: App, stack: AsyncExitStack, max_loss_usd: Decimal) -> int:
    """The daemon's decisions over the live market, with nothing that could sign or send; see `agent.app.shadow.running`."""
    from agent.app.jobs.guard import store_of
    from agent.app.jobs.known import all_jobs
    from agent.app.scheduler import request_of_job
    from agent.app.settings_tree import Job
    from agent.app.shadow.running import ShadowCarrier, open_shadow, supervisor_of, tell_looks

    jobs = [job for job in all_jobs(app.settings, store_of(app.settings)) if job.enabled]
    for job in jobs:
        if isinstance(job, Job):
            request_of_job(app, job)
    header(app.settings.environment.value, app.settings.wallet.address, await app.head_line())
    if app.settings.rescues or app.settings.margin_rescues:
        _say("rescues are not watched in the shadow: `fairlead rescue` shows what one would do now")
    stop = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
    if app.settings.watch_only:
        return await _priced(app, jobs, stop)
    await _agents_road(app)
    desk = await open_shadow(app, stack)
    desk.journal.watchers.append(tell_looks(_say))
    async with ShadowCarrier(desk, _say) as carrier:
        left = await carrier.go_on()
        _say(
            f"shadow: {len(jobs)} jobs decide as if they acted, nothing is signed or sent"
            f"{f'; going on with {left} orders' if left else ''}; --live --yes --max-loss USD does it"
        )
        supervisor = supervisor_of(app, desk, carrier, max_loss_usd, _say)
        tasks: list[asyncio.Task[Any]] = [asyncio.create_task(supervisor.run(), name="jobs")]
        tasks.append(asyncio.create_task(stop.wait()))
        ends: list[asyncio.Future[Any]] = [*tasks, carrier.failed]
        try:
            done, _ = await asyncio.wait(ends, return_when=asyncio.FIRST_COMPLETED)
            for task in done:
                task.result()
        finally:
            await ended(tasks)
    _say("stopped; `fairlead report shadow` compares what was decided with what the market gave")
    return 0


async def _priced(app: App, jobs: list[Timing], stop: asyncio.Event) -> int:
    """Where there is no wallet to decide for: each job's price when it is due."""
    from agent.app.jobs.shadow import priced

    _say(f"shadow: {len(jobs)} jobs are priced when due; these settings only watch, so nothing is decided")
    tasks = [asyncio.create_task(priced(app, job, _say)) for job in jobs]
    try:
        waiting = asyncio.create_task(stop.wait())
        done, _ = await asyncio.wait({waiting, *tasks}, return_when=asyncio.FIRST_COMPLETED)
        for task in done:
            task.result()
    finally:
        await ended(tasks)
    return 0
