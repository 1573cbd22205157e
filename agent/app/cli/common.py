"""What most commands share: the settings they work on, and one event loop with everything closed behind it."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

import click

from chains.errors import FairleadError, Reconcile, Usage

if TYPE_CHECKING:
    from agent.app.settings_tree import Settings
    from agent.app.wiring import App
    from keys.client import SignerClient

T = TypeVar("T")


def settings_file(ctx: click.Context) -> Path:
    """--settings, FAIRLEAD_SETTINGS, the user's own, ./fairlead.toml, then that of a running devnet. Raises Usage NO_SETTINGS."""
    from agent.app import paths

    named = (ctx.find_object(dict) or {}).get("settings_path")
    chosen = paths.settings_path(named)
    if named or chosen.exists():
        return chosen
    from chains.devnet.paths import runtime_path

    for candidate in (Path("fairlead.toml").absolute(), runtime_path() / "home" / "fairlead.toml"):
        if candidate.exists():
            return candidate
    raise Usage(
        "NO_SETTINGS",
        f"there is no settings file: {chosen} does not exist and no devnet runs",
        "`fairlead devnet up` for a try, `fairlead init --watch 0xWALLET --rpc URL` for a wallet of yours",
    )


def load_settings(ctx: click.Context) -> Settings:
    from agent.app.settings import load

    return load(settings_file(ctx))


def with_app(
    settings: Settings,
    work: Callable[[App, AsyncExitStack], Awaitable[T]],
    signer_of: type[SignerClient] | None = None,
) -> T:
    """Runs `work` over an open App; Ctrl-C cancels it, and what was signed stays in the journal for the next run.

    `signer_of` is the client of a signer that the App gets instead of the usual one.
    """
    from agent.app.wiring import open_app

    async def inside() -> T:
        async with AsyncExitStack() as stack:
            app = await (open_app(settings, stack, signer_of) if signer_of else open_app(settings, stack))
            try:
                return await work(app, stack)
            except asyncio.CancelledError:
                raise interrupted(app) from None

    try:
        return asyncio.run(inside())
    except* KeyboardInterrupt:
        raise KeyboardInterrupt from None
    except* FairleadError as group:
        raise first_error(group) from None


def interrupted(app: App) -> FairleadError:
    """What Ctrl-C says: nothing new is signed; what is signed and open is named, for the next run to finish."""
    if app.desk is None:
        return Usage("INTERRUPTED", "stopped; nothing was signed", "")
    told = signed_and_open(app)
    if told:
        return Reconcile(
            "INTERRUPTED",
            f"stopped; signed and not over: {told}: it may still fill",
            "`fairlead run --once` follows it to its end, `fairlead orders` shows it",
        )
    unfinished = [name for name, record in app.desk.book.parents.items() if record.closed is None]
    if unfinished:
        return Usage(
            "INTERRUPTED",
            f"stopped; nothing that was signed is open; unfinished: {', '.join(unfinished)}",
            "`fairlead run --once` goes on with it, `fairlead cancel ID` ends it",
        )
    return Usage("INTERRUPTED", "stopped; nothing that was signed is open", "")


def signed_and_open(app: App) -> str:
    """The signed parts of this process's book that are not over: id, place and transaction."""
    from agent.app.places import place_named

    assert app.desk is not None
    told = []
    for record in app.desk.book.open_parts():
        if record.authorized is not None:
            what = record.authorized.tx_hash or "order"
            place = place_named(app.settings, record.part.place)
            told.append(f"{record.part.cl_ord_id} ({what} at {place})")
    return ", ".join(told)


def journal_busy(settings: Settings) -> bool:
    """Whether another process holds the journal now; one that only writes a line gets a moment to finish."""
    import time

    from agent.app.tail import held_by

    for _ in range(10):
        if held_by(settings) is None:
            return False
        time.sleep(0.05)
    return True


def first_error(group: BaseExceptionGroup[BaseException]) -> BaseException:
    """The first error inside nested groups: tasks fail together, people are told one thing."""
    error: BaseException = group
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return error
