"""`fairlead jobs budgets` and `jobs settle`: what orders of all daemons have in their budgets, and a person's word for a daemon that is gone."""

from __future__ import annotations

import time
from typing import Any

import click

from agent.app.cli.output import emit_json, header, plain, table
from chains.errors import Usage


@click.command("budgets")
@click.option("--json", "as_json", is_flag=True, help="One JSON document on stdout.")
@click.pass_context
def budgets(ctx: click.Context, as_json: bool) -> None:
    """What counts against each budget in the jobs' store now: job:NAME, rescue:NAME and margins:NAME, by whichever daemon."""
    from agent.app.cli.common import load_settings
    from agent.app.jobs.guard import store_of
    from agent.app.scheduler import told
    from agent.journal.living import DAY_NS

    settings = load_settings(ctx)
    since_ns = time.time_ns() - DAY_NS
    rows: list[dict[str, Any]] = [
        {
            "budget": row.budget,
            "owner": row.owner,
            "order": row.name.partition("@")[0],
            "of": told(row.at_ns),
            "usd": plain(row.usd),
            "open": row.open,
        }
        for row in store_of(settings).reserved()
        if row.counts(since_ns)
    ]
    if as_json:
        emit_json({"budgets": rows})
        return
    header(settings.environment.value, settings.wallet.address, "jobs")
    if not rows:
        print("nothing counts against a budget now")
        return
    shown = [
        [r["budget"], r["owner"], r["order"], r["of"], r["usd"], "open" if r["open"] else "came to"]
        for r in rows
    ]
    table(("budget", "daemon", "order", "of", "USD", ""), shown)


@click.command("settle")
@click.argument("budget")
@click.option(
    "--of", "owner", required=True, metavar="DAEMON", help="The daemon that is gone, as `jobs budgets` says."
)
@click.option("--json", "as_json", is_flag=True, help="One JSON document on stdout.")
@click.pass_context
def settle(ctx: click.Context, budget: str, owner: str, as_json: bool) -> None:
    """For a daemon that will never run again: what it had open in that budget counts as spent whole, now.

    A daemon that comes back settles its own by its journal; look first that no order of it can still be filled.
    """
    from agent.app.cli.common import load_settings
    from agent.app.jobs.guard import owner_of, store_of
    from agent.app.tail import held_by

    settings = load_settings(ctx)
    if owner == owner_of(settings) and held_by(settings) is not None:
        raise Usage(
            "DAEMON_RUNS", f"{owner} runs, and settles its own", "`fairlead orders` shows what is open"
        )
    store = store_of(settings)
    left = [row for row in store.reserved(budget) if row.open and row.owner == owner]
    if not left:
        raise Usage(
            "NOTHING_OPEN",
            f"{owner} has nothing open in '{budget}'",
            "`fairlead jobs budgets` tells names of both",
        )
    done = [row.name for row in left if store.settle(budget, owner, row.name, row.usd, time.time_ns())]
    if as_json:
        emit_json({"budget": budget, "settled": done})
        return
    header(settings.environment.value, settings.wallet.address, "jobs")
    print(f"{len(done)} orders of {owner} count as spent whole for the next 24 hours")
