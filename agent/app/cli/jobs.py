"""`fairlead jobs`: what happens by itself: list, add, remove, stop, start, history, next."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

import click

from agent.app.cli.groups import Sentences
from agent.app.cli.jobs_budgets import budgets, settle
from agent.app.cli.output import emit_json, header, table
from chains.errors import Denied, Usage

if TYPE_CHECKING:
    from agent.app.settings_jobs import Timing
    from agent.app.settings_rescue import RescueTable
    from agent.app.settings_tree import Settings
    from agent.journal.book import Book

json_option = click.option("--json", "as_json", is_flag=True, help="One JSON document on stdout.")


NO_JOBS = "no jobs: `fairlead jobs add`, or a [[jobs]] or [[rescues]] table in the settings; `fairlead config explain jobs` tells its keys"


@click.group("jobs", cls=Sentences, invoke_without_command=True)
@json_option
@click.pass_context
def command(ctx: click.Context, as_json: bool) -> None:
    """Scheduled and hedging orders: of the settings' [[jobs]] and [[hedges]], and those added here."""
    if ctx.invoked_subcommand is None:
        ctx.invoke(listed, as_json=as_json)


command.add_command(budgets)
command.add_command(settle)


@command.command("list")
@json_option
@click.pass_context
def listed(ctx: click.Context, as_json: bool) -> None:
    """What each does, when it fired last and what became of that, when it fires next."""
    from agent.app.cli.common import load_settings
    from agent.app.jobs.guard import store_of
    from agent.app.jobs.known import all_jobs, in_settings
    from agent.app.readonly import read_book
    from agent.app.tail import held_by
    from agent.app.watching.reading import head_words, read
    from agent.journal.book import Book

    settings = load_settings(ctx)
    store, book, now_ns = store_of(settings), read_book(settings) or Book(), time.time_ns()
    stopped, own = store.stopped(), {job.name for job in in_settings(settings)}
    found = [_told(job, book, now_ns, stopped, job.name in own) for job in all_jobs(settings, store)]
    found += [_rescue_told(rule, book) for rule in settings.rescues]
    pid = held_by(settings)
    if as_json:
        emit_json({"jobs": found, "stopped": stopped, "carried_by": pid})
        return
    heads = read(settings, lambda reading: reading.heads())
    header(settings.environment.value, settings.wallet.address, head_words(heads, now_ns // 10**9))
    if not found:
        print(NO_JOBS)
        return
    rows = [
        [
            j["name"],
            j["does"] + (" (shadow)" if j["shadow"] else ""),
            j["when"],
            j["last_fire"] or "never",
            f"{j['last_order']} {j['last_status']}" if j["last_order"] else (j["last_outcome"] or "–"),
            j["stopped"] or (j["next_fire"] or "–") if j["enabled"] else "disabled",
        ]
        for j in found
    ]
    table(("job", "does", "when", "last fire", "its order", "next fire"), rows)
    if pid is None:
        print("no process runs them now: `fairlead run --live --yes --max-loss USD`")


def _told(job: Timing, book: Book, now_ns: int, stopped: dict[str, str], own: bool) -> dict[str, Any]:
    from agent.app.job_rules import Rule
    from agent.app.jobs.guard import source_of
    from agent.app.jobs.store import ALL
    from agent.app.jobs.triggers import trigger_of
    from agent.app.scheduler import last_fire, told, words_of

    trigger, fired = trigger_of(job), last_fire(book, job, now_ns)
    orders = [r for r in book.parents.values() if r.parent.intent.source == source_of(job)]
    newest = max(orders, key=lambda r: r.parent.intent.created_ns, default=None)
    closed = newest.closed if newest is not None else None
    outcomes = book.fired.get(job.name, [])
    fires_next = isinstance(trigger, Rule) and job.enabled
    why = stopped.get(ALL, stopped.get(job.name))
    return {
        "name": job.name,
        "does": words_of(job),
        "when": trigger.text,
        "enabled": job.enabled,
        "shadow": job.shadow,
        "source": "settings" if own else "added",
        "stopped": f"stopped: {why}" if why is not None else None,
        "last_fire": told(fired) if fired is not None else None,
        "last_order": newest.parent.cl_ord_id if newest is not None else None,
        "last_status": (closed.status if closed else "WORKING") if newest is not None else None,
        "last_outcome": outcomes[-1].outcome if outcomes else None,
        "next_fire": told(trigger.next_after(now_ns)) if fires_next and isinstance(trigger, Rule) else None,
    }


def _rescue_told(rule: RescueTable, book: Book) -> dict[str, Any]:
    """A rescue as a job: it fires by health, so that no time of a next fire is known."""
    from agent.app.rescue.landed import MARK
    from agent.app.rescue.watch import shown
    from agent.app.scheduler import told

    mark = f"{MARK}{rule.name} "
    sent = [(r.authorized.at_ns, r) for r in book.parts.values() if r.authorized and r.what.startswith(mark)]
    at_ns, newest = max(sent, key=lambda one: one[0], default=(None, None))
    state = newest.submission if newest is not None else None
    return {
        "name": rule.name,
        "does": shown(rule),
        "when": f"health below {rule.trigger}",
        "enabled": rule.enabled,
        "shadow": False,
        "source": "settings",
        "stopped": None,
        "last_fire": told(at_ns) if at_ns is not None else None,
        "last_order": newest.part.cl_ord_id if newest is not None else None,
        "last_status": state.value if state is not None else None,
        "last_outcome": None,
        "next_fire": None,
    }


# ---------------------------------------------------------------------- add and remove


@command.command("add")
@click.argument("name")
@click.argument("side", required=False)
@click.argument("qty", required=False)
@click.argument("base", required=False)
@click.option("--for", "quote", metavar="ASSET", help="What is received for it, or paid.")
@click.option(
    "--hedge",
    metavar="POLICY",
    help="Instead of an order: a policy of agent/hedging that decides at each fire.",
)
@click.option(
    "--with",
    "given",
    metavar="KEY=VALUE",
    multiple=True,
    help="One of the policy's own keys; may be repeated.",
)
@click.option("--every", metavar="TIME", help="How often, like 10m.")
@click.option("--cron", metavar="EXPRESSION", help="Five fields, like '30 9 * * 1-5'.")
@click.option("--timezone", metavar="ZONE", help="The cron expression's zone; UTC where not given.")
@click.option("--blocks", metavar="CHAIN N", help="Every so many blocks, like 'ethereum 10'.")
@click.option("--price", metavar="CONDITION", help="While it holds, like 'ETH below 2900'.")
@click.option("--health", metavar="CONDITION", help="While it holds, like 'ethereum below 1.5'.")
@click.option(
    "--again", metavar="TIME", help="The least between two fires of --price and --health; 1h where not given."
)
@click.option("--jitter", metavar="TIME", help="Each fire waits up to so long.")
@click.option(
    "--missed",
    type=click.Choice(["newest", "skip"]),
    help="What is done of fires that came while nothing ran.",
)
@click.option(
    "--overlap",
    type=click.Choice(["allow", "skip"]),
    help="Whether it fires while its own order still works.",
)
@click.option("--budget", "budget_usd", metavar="USD", help="What its orders may come to in any 24 hours.")
@click.option("--limit", metavar="PX", help="No worse than this net price.")
@click.option("--algo", metavar="NAME", help="market, limit, twap.")
@click.option("--over", metavar="TIME", help="For twap: how long.")
@click.option("--slices", type=int, help="For twap: how many.")
@click.option("--max-slippage-bps", type=int, help="How far below its plan an execution may fall.")
@click.option(
    "--live",
    is_flag=True,
    help="Really send its orders; the settings must say live, too. Else it is priced and told.",
)
@json_option
@click.pass_context
def add(
    ctx: click.Context,
    /,
    name: str,
    side: str | None,
    qty: str | None,
    base: str | None,
    given: tuple[str, ...],
    live: bool,
    as_json: bool,
    **words: Any,
) -> None:
    """Add one: `jobs add drip sell 0.1 ETH --for USDC --every 4h`, or `jobs add calm --hedge delta --with base=ETH … --every 10m`.

    Without --live the job is a shadow: priced and told when due, by whatever `fairlead run` works. A running daemon takes it up in seconds.
    """
    import json

    from agent.app.cli.common import load_settings
    from agent.app.jobs.guard import store_of
    from agent.app.jobs.known import in_settings, parsed, stored
    from agent.app.jobs.store import StoredJob

    settings = load_settings(ctx)
    if live and not settings.live:
        raise Denied("NOT_LIVE", "the settings do not say live = true", "set it, if you mean it")
    body = {key: value for key, value in words.items() if value is not None and key not in ("hedge", "quote")}
    if words["hedge"] is not None:
        if side is not None or words["quote"] is not None:
            raise Usage(
                "HEDGE_AND_ORDER",
                "a hedge decides its own orders",
                "name its assets by --with base=… --with quote=…",
            )
        body |= {"hedge": words["hedge"], "hedge_with": dict(_pair(text) for text in given)}
    elif given:
        raise Usage("BAD_USAGE", "--with belongs to --hedge", "add --hedge POLICY")
    else:
        body |= {
            k: v
            for k, v in (("side", side), ("qty", qty), ("base", base), ("quote", words["quote"]))
            if v is not None
        }
    body |= {"name": name} | ({} if live else {"shadow": True})
    one = StoredJob(name, "hedges" if "hedge" in body else "jobs", json.dumps(body), time.time_ns())
    job = parsed(settings, one)
    if job.name in {other.name for other in in_settings(settings)} or not store_of(settings).add(
        stored(job, one.added_ns)
    ):
        raise Usage(
            "JOB_EXISTS", f"there is a job {name} already", f"`fairlead jobs remove {name}`, or another name"
        )
    _done(settings, as_json, name, "added" if live else "added as a shadow: --live makes it one that acts")


def _pair(text: str) -> tuple[str, str]:
    key, equals, value = text.partition("=")
    if not key or not equals:
        raise Usage("BAD_USAGE", f"--with '{text}' is no KEY=VALUE", "write it like --with base=ETH")
    return key, value


@command.command("remove")
@click.argument("name")
@json_option
@click.pass_context
def remove(ctx: click.Context, name: str, as_json: bool) -> None:
    """Takes an added job away; its orders that work go on. One of the settings is taken away there."""
    from agent.app.cli.common import load_settings
    from agent.app.jobs.guard import store_of
    from agent.app.jobs.known import in_settings

    settings = load_settings(ctx)
    if name in {job.name for job in in_settings(settings)}:
        raise Usage(
            "JOB_OF_SETTINGS",
            f"{name} stands in the settings' file",
            "take its table away, or `fairlead jobs stop`",
        )
    if not store_of(settings).remove(name):
        raise unknown(settings, name)
    _done(settings, as_json, name, "removed; `fairlead orders` shows what still works")


@command.command("stop")
@click.argument("name", required=False)
@click.option("--all", "everything", is_flag=True, help="Every job.")
@click.option("--why", default="by hand", help="Told wherever the job is shown.")
@json_option
@click.pass_context
def stop(ctx: click.Context, name: str | None, everything: bool, why: str, as_json: bool) -> None:
    """No fire of the job begins an order until `jobs start`; what works goes on (`fairlead cancel`, `halt`)."""
    settings, which = _which(ctx, name, everything)
    from agent.app.jobs.guard import store_of

    store_of(settings).stop(which, why)
    _done(settings, as_json, name or "all jobs", f"stopped: {why}")


@command.command("start")
@click.argument("name", required=False)
@click.option("--all", "everything", is_flag=True, help="What `jobs stop --all` stopped.")
@json_option
@click.pass_context
def start(ctx: click.Context, name: str | None, everything: bool, as_json: bool) -> None:
    """Lets a stopped job fire again; fires in between are not made up for."""
    settings, which = _which(ctx, name, everything)
    from agent.app.jobs.guard import store_of

    was = store_of(settings).start(which)
    _done(settings, as_json, name or "all jobs", "may fire again" if was else "was not stopped")


def _which(ctx: click.Context, name: str | None, everything: bool) -> tuple[Settings, str]:
    from agent.app.cli.common import load_settings
    from agent.app.jobs.store import ALL

    settings = load_settings(ctx)
    if (name is None) != everything:
        raise Usage("BAD_USAGE", "name one job, or say --all", "`fairlead jobs list` tells the names")
    if name is not None:
        named(settings, name)
    return settings, name or ALL


def named(settings: Settings, name: str) -> Timing:
    """Raises Usage UNKNOWN_JOB."""
    from agent.app.jobs.guard import store_of
    from agent.app.jobs.known import all_jobs

    for job in all_jobs(settings, store_of(settings)):
        if job.name == name:
            return job
    raise unknown(settings, name)


def unknown(settings: Settings, name: str) -> Usage:
    from agent.app.job_checks import near
    from agent.app.jobs.guard import store_of
    from agent.app.jobs.known import in_settings

    names = [job.name for job in in_settings(settings)] + [one.name for one in store_of(settings).jobs()]
    return Usage("UNKNOWN_JOB", f"there is no job '{name}'", near(name, names))


def _done(settings: Settings, as_json: bool, name: str, what: str) -> None:
    if as_json:
        emit_json({"job": name, "done": what})
    else:
        header(settings.environment.value, settings.wallet.address, "jobs")
        print(f"{name} {what}")


# ---------------------------------------------------------------------- what was, what comes


@command.command("history")
@click.argument("name", required=False)
@click.option(
    "--limit", type=click.IntRange(1, 10_000), default=20, show_default=True, help="The newest so many."
)
@json_option
@click.pass_context
def history(ctx: click.Context, name: str | None, limit: int, as_json: bool) -> None:
    """Every fire and what became of it, from the journal, the newest first."""
    from agent.app.cli.common import load_settings
    from agent.app.readonly import read_book
    from agent.app.scheduler import told
    from agent.journal.book import Book

    settings = load_settings(ctx)
    book = read_book(settings) or Book()
    if name is not None and name not in book.fired:
        named(settings, name)
    fires = [f for job, found in book.fired.items() if name in (None, job) for f in found]
    rows: list[dict[str, Any]] = []
    for fire in sorted(fires, key=lambda f: f.at_ns, reverse=True)[:limit]:
        record = next(
            (r for n, r in book.parents.items() if fire.outcome == "ORDER" and n == fire.told), None
        )
        rows.append(
            {
                "job": fire.job,
                "fire": told(int(fire.key)) if fire.key.isdigit() else fire.key,
                "at": told(fire.at_ns),
                "outcome": fire.outcome,
                "order": fire.told if record is not None else None,
                "status": (record.closed.status if record.closed else "WORKING")
                if record is not None
                else None,
                "why": "" if record is not None else fire.told,
            }
        )
    if as_json:
        emit_json({"fires": rows})
        return
    header(settings.environment.value, settings.wallet.address, "jobs")
    if not rows:
        print("no fire yet")
        return
    shown = [
        [r["job"], r["fire"], r["outcome"], f"{r['order']} {r['status']}" if r["order"] else r["why"]]
        for r in rows
    ]
    table(("job", "fire", "outcome", "order, or why"), shown)


@command.command("next")
@click.argument("name", required=False)
@click.option(
    "--count", type=click.IntRange(1, 1_000), default=5, show_default=True, help="So many fires of each job."
)
@json_option
@click.pass_context
def following(ctx: click.Context, name: str | None, count: int, as_json: bool) -> None:
    """When jobs fire next, jitter included; what no clock sets off is told by its condition."""
    from agent.app.cli.common import load_settings
    from agent.app.job_rules import Rule
    from agent.app.jobs.guard import store_of
    from agent.app.jobs.known import all_jobs
    from agent.app.jobs.triggers import jitter_ns, trigger_of
    from agent.app.scheduler import told, words_of

    settings = load_settings(ctx)
    jobs = [named(settings, name)] if name is not None else list(all_jobs(settings, store_of(settings)))
    now_ns = time.time_ns()
    rows: list[dict[str, Any]] = []
    for job in jobs:
        trigger, at = trigger_of(job), now_ns
        if not isinstance(trigger, Rule):
            rows.append(
                {"job": job.name, "due": None, "begins": None, "when": trigger.text, "does": words_of(job)}
            )
            continue
        for _ in range(count):
            at = trigger.next_after(at)
            begins = told(at + jitter_ns(job, str(at)))
            rows.append(
                {
                    "job": job.name,
                    "due": told(at),
                    "begins": begins,
                    "when": trigger.text,
                    "does": words_of(job),
                }
            )
    rows.sort(key=lambda row: row["due"] or "~")
    if as_json:
        emit_json({"next": rows})
        return
    header(settings.environment.value, settings.wallet.address, "jobs")
    if not rows:
        print(NO_JOBS if not settings.rescues else "no job has a time: rescues are set off by health alone")
        return
    table(
        ("job", "due", "begins", "does"),
        [[r["job"], r["due"] or r["when"], to_the_second(r["begins"] or "–"), r["does"]] for r in rows],
    )


def to_the_second(time_told: str) -> str:
    """`…:40.612967930Z` without its fraction: a jitter's nanoseconds are for `--json`."""
    head, dot, _ = time_told.partition(".")
    return head + "Z" if dot else time_told
