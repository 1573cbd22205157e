"""`fairlead alerts`: what has not been answered yet, an answer to it, and a trial of every channel."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING, Any

import click

from agent.app.cli.output import NO_CHAIN, emit_json, header, note, table
from chains.errors import Usage

if TYPE_CHECKING:
    from agent.app.settings_tree import Settings

_TRIAL = "TRIAL"


@click.command("alerts")
@click.option("--answer", is_flag=True, help="Answer all that is open: nobody further is told of it.")
@click.option(
    "--try", "trial", is_flag=True, help="Send a trial to every channel now, and tell which took it."
)
@click.option("--json", "as_json", is_flag=True, help="One JSON document on stdout.")
@click.pass_context
def command(ctx: click.Context, answer: bool, trial: bool, as_json: bool) -> int:
    """What stands open of the alerts that must be answered (`[alerts.escalate]`), and since when."""
    from agent.app.cli.common import load_settings
    from agent.app.escalation import open_path, read, write

    settings = load_settings(ctx)
    if trial:
        if answer:
            raise Usage("BAD_OPTION", "--try and --answer do two things", "give one of them")
        return asyncio.run(_try(settings, as_json))
    path, now = open_path(settings.journal.path), time.time()
    found = read(path, note)
    rows = [
        {
            "code": one["alert"]["code"], "message": one["alert"]["message"], "minutes": int((now - one["first_s"]) // 60),
            "told_further": one["told"],
        }
        for one in sorted(found.values(), key=lambda one: float(one["first_s"]))
    ]  # fmt: skip
    if answer and found:
        write(path, {}, note)
    if as_json:
        emit_json({"open": rows, "answered": answer})
        return 0
    header(settings.environment.value, settings.wallet.address, NO_CHAIN)
    if rows:
        cells = [
            (r["code"], str(r["minutes"]), "yes" if r["told_further"] else "no", r["message"]) for r in rows
        ]
        table(("alert", "minutes", "told further", "what"), cells)
        print("answered" if answer else "answer them: fairlead alerts --answer")
    else:
        print("nothing is open")
    if settings.alerts.escalate is None:
        note("no [alerts.escalate] is set: nobody further is told of what stays unanswered")
    return 0


async def _try(settings: Settings, as_json: bool) -> int:
    """Exit 6 where a channel did not take it."""
    import aiohttp

    from agent.app.alerting import channels_of

    missing: list[str] = []
    alert: dict[str, Any] = {
        "at_ns": str(time.time_ns()), "code": _TRIAL, "message": "a trial by `fairlead alerts --try`; nothing is wrong",
        "environment": settings.environment.value, "wallet": settings.wallet.address, "head": {"seq": -1, "hash": bytes(32).hex()},
    }  # fmt: skip
    async with aiohttp.ClientSession() as session:
        channels = channels_of(settings, session, missing.append)
        answers = await asyncio.gather(*(channel.send(alert) for channel in channels.values()))
    found = [
        {"channel": name, "where": channel.where, "took": not why, "why": why}
        for (name, channel), why in zip(channels.items(), answers, strict=True)
    ]
    for why in missing:
        note(why)
    bad = bool(missing) or any(answers)
    if as_json:
        emit_json({"channels": found, "missing": missing})
        return 6 if bad else 0
    header(settings.environment.value, settings.wallet.address, NO_CHAIN)
    if found:
        table(
            ("channel", "where", "took it"),
            [(str(r["channel"]), str(r["where"]), str(r["why"]) or "yes") for r in found],
        )
    elif not missing:
        print("no channel is set under [alerts] but perhaps a file")
    return 6 if bad else 0
