"""`fairlead doctor`: what is well, what is not, and what to do; one line a thing."""

from __future__ import annotations

import asyncio
import sys
from typing import TYPE_CHECKING, Any

import click

from agent.app.cli.output import emit_json, header
from chains.errors import FairleadError

if TYPE_CHECKING:
    from agent.app.settings_tree import Settings
    from agent.app.watching.check import Check
    from agent.app.watching.reading import Reading

COLOURS = {"ok": "\033[32m", "warn": "\033[33m", "fail": "\033[1;31m", "skip": "\033[2m"}


@click.command("doctor")
@click.option("--venue", metavar="NAME", help="This exchange alone, and everything about it.")
@click.option("--json", "as_json", is_flag=True, help="One JSON document on stdout.")
@click.pass_context
def command(ctx: click.Context, venue: str | None, as_json: bool) -> int:
    """Checks the installation, the chains, the wallet and everything else an order needs. It changes nothing; an approval that was left
    over raises an alarm, in the record and to whoever gets the alerts.

    With --venue: its clock, key, permissions, limits and balances, what the signer lets an order cost there, and its books for three
    seconds: how often one was in doubt, what was superseded and what was dropped.

    Ends with 0 where nothing fails (warnings are no failures), 2 where the settings are wrong, 3 where what fails is ours
    to put right, 4 where it is an endpoint's, a venue's or an oracle's, 6 where the journal does not hold: the highest of them.
    """
    from agent.app.cli.common import load_settings, settings_file
    from agent.app.watching import installation
    from agent.app.watching.check import fail, ok
    from agent.app.watching.ramp_check import ramp_checks

    found = [installation.python(), *installation.packages()]
    try:
        settings = load_settings(ctx)
    except FairleadError as error:
        found.append(fail("settings", error.message, error.hint, error.exit_status))
        return _tell(None, "", found, as_json)
    mode = "watch-only" if settings.watch_only else "may be live with --live" if settings.live else "dry-run"
    found += [
        ok("settings", f"{settings.environment.value}, {mode}"),
        *installation.writable(settings_file(ctx)),
    ]
    if venue is not None:
        return _tell(settings, f"venue {venue}", [*found, *asyncio.run(_ask_venue(settings, venue))], as_json)
    heads, asked = asyncio.run(_ask(settings))
    found += [
        *asked,
        installation.journal(settings),
        installation.switch(settings),
        *ramp_checks(settings, _book(settings)),
        *installation.disk(settings),
    ]
    left = [
        c
        for c in found
        if c.name.startswith("approvals ") and c.level.value == "warn" and " may " in c.message
    ]
    if left:
        from agent.app.alarm import raise_alarm

        more = f" and {len(left) - 1} more" if len(left) > 1 else ""
        raise_alarm(settings, "APPROVALS_LEFT", f"{left[0].name.partition(' ')[2]}: {left[0].message}{more}")
    return _tell(settings, heads, found, as_json)


async def _ask(settings: Settings) -> tuple[str, list[Check]]:
    """Everything that has to be asked over a network or a socket."""
    import aiohttp

    from agent.app.endpoints import open_gateways
    from agent.app.watching.check import fail
    from agent.app.watching.holdings_check import holdings_checks
    from agent.app.watching.outside import outside
    from agent.app.watching.reading import Reading, head_words
    from agent.app.watching.scope_check import scope_checks
    from keys.client import SignerClient

    async with (
        aiohttp.ClientSession() as session,
        SignerClient(settings.signer.socket, settings.environment) as signer,
    ):
        try:
            reading = Reading(settings, await open_gateways(settings, session), session)
        except FairleadError as error:
            return "no chain", [fail("rpc", error.message, error.hint, error.exit_status)]
        around, wallet, priced, heads = await asyncio.gather(
            outside(reading, signer), holdings_checks(reading), _prices(reading, signer), reading.heads()
        )
        scopes = await scope_checks(reading, signer, _book(settings))
        return head_words(heads, reading.now_s), quieted([*around, *wallet, *scopes, *priced])


async def _ask_venue(settings: Settings, name: str) -> list[Check]:
    from agent.app.watching.check import guarded
    from agent.app.watching.venue_check import venue_checks
    from keys.client import SignerClient

    async with SignerClient(settings.signer.socket, settings.environment) as signer:
        return await guarded(f"venue {name}", lambda: venue_checks(settings, name, signer))


def _book(settings: Settings) -> Any:
    """None where there is no journal, or one that `doctor` finds fault with by another check."""
    from agent.app.readonly import read_book

    try:
        return read_book(settings)
    except FairleadError:
        return None


def quieted(found: list[Check]) -> list[Check]:
    """Of a chain that no endpoint tells anything of, only that is told, and not everything that follows from it."""
    from agent.app.watching.check import Level, skip

    told: dict[str, set[Level]] = {}
    for check in found:
        if check.name.startswith("rpc "):
            told.setdefault(check.name[4:], set()).add(check.level)
    dead = {name for name, levels in told.items() if levels == {Level.FAIL}}

    def follows(check: Check) -> bool:
        what, _, where = check.name.partition(" ")
        return check.level is Level.FAIL and what in ("wallet", "approvals", "gas", "scope") and where in dead

    told_once = "not asked: no endpoint of the chain is right"
    return [skip(check.name, told_once) if follows(check) else check for check in found]


async def _prices(reading: Reading, signer: Any) -> list[Check]:
    """Oracles, over venues of our own opening: a book is a source too."""
    import time

    from agent.app.watching.check import guarded
    from agent.app.watching.holdings_check import prices
    from agent.app.wiring import connect_venue
    from agent.transport.clock import SystemClock

    venues = {}
    wanted = {s.venue for sources in reading.settings.oracles.values() for s in sources if s.venue}
    try:
        for configured in reading.settings.venues:
            if configured.name not in wanted:
                continue
            try:
                venue = connect_venue(configured, SystemClock(), signer)
                venues[configured.name] = venue
                await venue.start()
            except FairleadError:
                continue  # told by the venue's own check
        return await guarded("prices", lambda: prices(reading, venues, time.time_ns()))
    finally:
        for venue in venues.values():
            await venue.close()


def _tell(settings: Settings | None, heads: str, found: list[Check], as_json: bool) -> int:
    from agent.app.watching.check import Level

    failed = [check for check in found if check.level is Level.FAIL]
    warned = [check for check in found if check.level is Level.WARN]
    status = max((check.exit_status for check in failed), default=0)
    if as_json:
        rows = [
            {"check": c.name, "level": c.level.value, "message": c.message, "remedy": c.remedy or None}
            for c in found
        ]
        environment = settings.environment.value if settings else None
        wallet = settings.wallet.address if settings else None
        emit_json({"ok": not failed, "environment": environment, "wallet": wallet, "checks": rows})
        return status
    if settings is not None:
        header(settings.environment.value, settings.wallet.address, heads)
    else:
        header("no settings", "no wallet", "no chain")
    width = max(len(check.name) for check in found)
    bright = sys.stdout.isatty()
    for check in found:
        word = check.level.value
        shown = f"{COLOURS[word]}{word:<4}\033[0m" if bright else f"{word:<4}"
        print(f"{shown}  {check.name:<{width}}  {check.message}")
        if check.remedy:
            print(f"{'':<6}{'':<{width}}  → {check.remedy}")
    print(f"\n{len(found)} checks: {len(failed)} failed, {len(warned)} warnings")
    return status
