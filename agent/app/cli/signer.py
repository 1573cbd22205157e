"""`fairlead signer`: the process that holds the keys; run it, ask it, have it unlock."""

from __future__ import annotations

import asyncio
import os
import sys
from pathlib import Path
from typing import Any

import click

from agent.app.cli.output import emit_json, table
from chains.types import Environment

_SOCKET = click.option(
    "--socket", type=click.Path(path_type=Path), help="Its Unix socket; the settings' by default."
)
_JSON = click.option("--json", "as_json", is_flag=True, help="One JSON document.")


@click.group("signer")
def command() -> None:
    """The process that holds the keys."""


def _settings(ctx: click.Context) -> Any:
    from agent.app.cli.common import load_settings

    return load_settings(ctx)


@command.command()
@_SOCKET
@click.option(
    "--config", type=click.Path(path_type=Path), help="Its JSON policy file; the settings' by default."
)
@click.pass_context
def run(ctx: click.Context, socket: Path | None, config: Path | None) -> None:
    """Runs the signer in the foreground, in place of this process and with an environment of its own."""
    from keys.secrets import minimal_environment
    from keys.settings import environment_names, load

    if socket is None or config is None:
        settings = _settings(ctx)
        socket, config = socket or settings.signer.socket, config or settings.signer.config
    environment = minimal_environment(environment_names(load(config)))
    argv = [
        sys.executable,
        "-m",
        "keys.signer",
        "--socket",
        str(socket.absolute()),
        "--config",
        str(config.absolute()),
    ]
    os.chdir(Path(__file__).resolve().parents[3])
    sys.stdout.flush()
    sys.stderr.flush()
    os.execve(sys.executable, argv, environment)


@command.command()
@_SOCKET
@_JSON
@click.pass_context
def status(ctx: click.Context, socket: Path | None, as_json: bool) -> None:
    """Which keys it holds, which are open, and the head of its ledger."""
    _show(_ask(ctx, socket, "status"), as_json)


@command.command()
@_SOCKET
@_JSON
@click.pass_context
def unlock(ctx: click.Context, socket: Path | None, as_json: bool) -> None:
    """Has the signer ask for the missing passwords, on its own terminal."""
    _show(_ask(ctx, socket, "unlock"), as_json)


def _ask(ctx: click.Context, socket: Path | None, method: str) -> dict[str, Any]:
    from keys.client import SignerClient

    path = socket or _settings(ctx).signer.socket

    async def ask() -> dict[str, Any]:
        # Neither request signs anything, so neither names an environment the signer would compare.
        async with SignerClient(path, Environment.DEVNET) as client:
            return await (client.unlock() if method == "unlock" else client.status())

    return asyncio.run(ask())


def _show(facts: dict[str, Any], as_json: bool) -> None:
    if as_json:
        emit_json(facts)
        return
    ledger = facts["ledger"]
    print(
        f"{facts['environment']} · signer, process {facts['pid']}; ledger of {ledger['entries']} entries, head {ledger['head'][:16]}"
    )
    rows = [
        (role, address, "open" if is_open else "locked")
        for role in ("senders", "owners")
        for address, is_open in facts[role].items()
    ]
    rows += [("relay", facts["relay_auth"], "open")] if facts["relay_auth"] else []
    rows += [("exchange", name, "open") for name in facts["exchanges"]]
    table(("role", "key", "state"), rows)
