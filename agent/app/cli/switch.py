"""`fairlead halt`, `resume` and `panic`: the kill switch, and cancelling all that can be cancelled without the journal."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import click

from agent.app.cli.output import NO_CHAIN, emit_json, header, note, table
from chains.errors import FairleadError, Halt, Retry, Usage

if TYPE_CHECKING:
    from agent.app.panic import Done
    from agent.app.settings_tree import Settings
    from agent.execution.halt import Switch


def _switch(settings: Settings) -> Switch:
    from agent.execution.halt import Switch

    return Switch.beside(settings.journal.path)


async def _record(settings: Settings, kind: str, **fields: Any) -> str:
    """Halted or Resumed in the record: by this process, by the one that holds the journal, or in the emergency journal.

    Gives where it stands: journal, running process, emergency journal, or nowhere with the reason.
    """
    from agent.app.inbox import Inbox
    from agent.app.readonly import append_event
    from agent.domain.events import Halted, Resumed
    from agent.transport.clock import SystemClock

    clock = SystemClock()
    inbox = Inbox(settings.journal.path.parent / "inbox", clock)
    for _ in range(3):
        now = clock.now_ns()
        event = Halted("halt", fields.get("why", ""), now) if kind == "halt" else Resumed("resume", now)
        recorded = await append_event(settings, clock, event)
        if recorded:
            return recorded
        answer = await inbox.ask(kind, kind, **fields)
        if answer is not None:
            answer.unwrap()
            return "running process"
    raise Retry(
        "JOURNAL_LOCKED",
        "another Fairlead process holds the journal and answers nothing",
        "see `fairlead orders`",
    )


@click.command("halt")
@click.argument("why", nargs=-1)
@click.option("--json", "as_json", is_flag=True, help="One JSON document on stdout.")
@click.pass_context
def halt(ctx: click.Context, why: tuple[str, ...], as_json: bool) -> None:
    """Stop new risk at once, in every process of this home. Cancelling and following go on. `fairlead resume` ends it."""
    from agent.app.cli.common import load_settings

    settings = load_settings(ctx)
    reason = " ".join(why) or "halted by hand"
    _switch(settings).set(reason)
    try:
        recorded = asyncio.run(_record(settings, "halt", why=reason))
    except FairleadError as error:  # the switch is set: that is what counts, and is said first
        recorded = "nowhere"
        note(f"halted, but not recorded: {error}")
    if as_json:
        emit_json({"halted": True, "why": reason, "recorded": recorded})
        return
    header(settings.environment.value, settings.wallet.address, NO_CHAIN)
    print(f"HALTED: {reason}")
    print(f"new orders are denied; what is signed is followed on. Recorded in: {recorded}")
    print(
        "undo it: fairlead resume    cancel an order: fairlead cancel ID    cancel everything: fairlead panic"
    )


@click.command("resume")
@click.option("--json", "as_json", is_flag=True, help="One JSON document on stdout.")
@click.pass_context
def resume(ctx: click.Context, as_json: bool) -> None:
    """Let new risk leave again. Recorded first: where nothing can be recorded, the switch stays set."""
    from agent.app.cli.common import load_settings

    settings = load_settings(ctx)
    switch = _switch(settings)
    why = switch.why()
    if not why:
        if as_json:
            emit_json({"halted": False, "was": None, "recorded": None})
        else:
            header(settings.environment.value, settings.wallet.address, NO_CHAIN)
            print("nothing is halted")
        return
    recorded = asyncio.run(_record(settings, "resume"))
    switch.clear()
    if as_json:
        emit_json({"halted": False, "was": why, "recorded": recorded})
        return
    header(settings.environment.value, settings.wallet.address, NO_CHAIN)
    print(f"resumed; it was halted because: {why}. Recorded in: {recorded}")
    print("orders that are still open go on: `fairlead orders` shows them, `fairlead cancel ID` ends one")


@click.command("panic")
@click.option("--yes", is_flag=True, help="Ask nothing.")
@click.option("--json", "as_json", is_flag=True, help="One JSON document on stdout.")
@click.pass_context
def panic(ctx: click.Context, yes: bool, as_json: bool) -> int:
    """Halt, cancel every open order at every exchange, and have relays drop what is still private.

    Needs neither daemon, journal nor our RPC. Goes on past every error; exit 0 only where all of it is confirmed, else 5.
    """
    from agent.app.cli.common import load_settings
    from agent.app.panic import everything

    settings = load_settings(ctx)
    if not yes:
        _sure(as_json)
    done: list[Done] = []
    try:
        _switch(settings).set("panic")
        done.append(_done("kill switch", "set", True, "new risk is denied in every process"))
    except Halt as error:
        done.append(_done("kill switch", "NOT SET", False, str(error)))
    done += asyncio.run(everything(settings))
    confirmed = all(one.confirmed for one in done)
    if as_json:
        emit_json(
            {
                "confirmed": confirmed,
                "results": [
                    {"where": d.where, "what": d.what, "confirmed": d.confirmed, "told": d.told} for d in done
                ],
            }
        )
    else:
        header(settings.environment.value, settings.wallet.address, NO_CHAIN)
        rows = [[d.where, d.what, "yes" if d.confirmed else "NO", d.told] for d in done]
        table(("where", "what", "confirmed", "told"), rows)
        if confirmed:
            print("all of it is confirmed; `fairlead resume` ends the halt")
        else:
            print("NOT all of it is confirmed: look at the venues and chains named above, and run it again")
    return 0 if confirmed else 5


def _done(where: str, what: str, confirmed: bool, told: str) -> Done:
    from agent.app.panic import Done

    return Done(where, what, confirmed, told)


def _sure(as_json: bool) -> None:
    import sys

    if not sys.stdin.isatty():
        raise Usage("CANNOT_ASK", "there is no terminal to ask on", "add --yes")
    if not click.confirm("Cancel every open order at every exchange, and halt?", default=False, err=as_json):
        raise Usage("DECLINED", "you said no; nothing was done", "")
