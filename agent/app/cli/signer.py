"""`fairlead signer`: the process that holds the keys; run it, ask it, have it unlock."""

from __future__ import annotations

import asyncio
import os
import sys
from pathlib import Path
from typing import Any

import click

from agent.app.cli.groups import Sentences
from agent.app.cli.output import emit_json, table
from chains.types import Environment

_SOCKET = click.option(
    "--socket", type=click.Path(path_type=Path), help="Its Unix socket; the settings' by default."
)
_JSON = click.option("--json", "as_json", is_flag=True, help="One JSON document.")


@click.group("signer", cls=Sentences)
def command() -> None:
    """The process that holds the keys."""


def _settings(ctx: click.Context) -> Any:
    from agent.app.cli.common import load_settings

    return load_settings(ctx)


@command.command("init")
@click.option(
    "--cap",
    "caps",
    nargs=3,
    multiple=True,
    metavar="SYMBOL PER_TX PER_DAY",
    help="How much of a token may leave in one transaction and in 24 hours, on each chain; again for more. None: nothing.",
)
@click.option(
    "--bridge",
    "bridged",
    nargs=2,
    type=(str, click.IntRange(1, 1_000)),
    multiple=True,
    metavar="SYMBOL BPS",
    help="What may be sent to the Safe on another chain (`fairlead bridge`), and the most bps of it that a relayer may keep. None: nothing.",
)
@click.option(
    "--config", type=click.Path(path_type=Path), help="Where to write it; else where the settings say."
)
@_JSON
@click.pass_context
def init(
    ctx: click.Context,
    caps: tuple[tuple[str, str, str], ...],
    bridged: tuple[tuple[str, int], ...],
    config: Path | None,
    as_json: bool,
) -> None:
    """Writes the signer's own file from the settings: `fairlead signer init --cap WETH 5 20 --cap USDC 15000 60000 --bridge USDC 30`.

    It is never written over: afterwards only the signer's user changes what may be signed.
    """
    from agent.app import signer_file

    settings = _settings(ctx)
    found = asyncio.run(_caps(settings, caps))
    path = config or settings.signer.config
    data = signer_file.content(settings, found, dict(bridged))
    signer_file.write(path, data)
    if as_json:
        emit_json({"file": str(path), "senders": data["senders"], "chains": data["chains"]})
        return
    print(f"written   {path}\nstart it  fairlead signer run")


async def _caps(settings: Any, typed: tuple[tuple[str, str, str], ...]) -> dict[int, Any]:
    """By chain, in base units of what its tokens' contracts tell. Raises Usage UNKNOWN_ASSET, BAD_CAP."""
    import aiohttp

    from agent.app.multisig.room import open_room
    from agent.domain.units import parse_qty, raw_exact
    from chains.errors import Usage

    wanted = {s: (parse_qty(a, f"--cap {s}"), parse_qty(b, f"--cap {s}")) for s, a, b in typed}
    for symbol, (per_tx, per_day) in wanted.items():
        if symbol not in settings.assets:
            raise Usage("UNKNOWN_ASSET", f"--cap {symbol}: there is no such symbol under [assets]", "add it")
        if per_tx > per_day:
            raise Usage(
                "BAD_CAP", f"--cap {symbol}: {per_tx} at once is more than {per_day} a day", "swap them"
            )
    found: dict[int, Any] = {}
    async with aiohttp.ClientSession() as session:
        for chain in settings.chains if wanted else ():
            tokens = await (await open_room(settings, chain, session)).tokens()
            found[chain.chain_id] = {
                token: tuple(raw_exact(q, decimals, f"--cap {symbol}") for q in wanted[symbol])
                for token, (symbol, decimals) in tokens.items()
                if symbol in wanted
            }
    return found


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
