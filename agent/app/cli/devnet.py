"""`fairlead devnet up|status|down`: local chains with genuine contracts, a relay, a paper exchange, a funded wallet."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from agent.app.cli.common import settings_file
from agent.app.cli.groups import Sentences
from agent.app.cli.output import emit_json, header, note, table
from chains.errors import Usage


def found_unasked(ctx: click.Context, settings: Path) -> bool:
    """Whether the next command uses these settings without `--settings`: not in another folder, nor beside settings of the user's own."""
    try:
        return settings_file(ctx) == settings
    except Usage:
        return False


@click.group("devnet", cls=Sentences)
def command() -> None:
    """A local devnet with genuine contracts at their mainnet addresses, on 127.0.0.1 only."""


def read_market(path: Path | None) -> dict[str, Any] | None:
    """A market/1 file, gzipped or not, checked and as plain data. Raises Usage."""
    if path is None:
        return None
    from agent.app.cli.marketfile import load_market
    from agent.market.write import market_json

    return market_json(load_market(str(path)))


@command.command()
@click.option(
    "--market",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="Load a market/1 file instead of the demo market.",
)
@click.option("--fast", is_flag=True, help="Make blocks as transactions come instead of at real block times.")
@click.option(
    "--port", "ports", multiple=True, metavar="SERVICE=PORT", help="Ask for a port, like relay=8545."
)
@click.option(
    "--with",
    "extras",
    type=click.Choice(("cow", "sandwich", "across", "executor")),
    multiple=True,
    help="Start more: cow, a CoW order book and solver on chain 1, for `trade --protection intent`; sandwich, a bot that "
    "trades around whatever is public there; across, the bridge between chains 1 and 8453 with a relayer; executor, the settings "
    "and the signer's rules that opt in to our RouteExecutor and FlashRepay (unaudited).",
)
@click.option(
    "--builder",
    "builders",
    multiple=True,
    metavar="NAME:SHARE",
    help="Builders titan, buildernet, flashbots behind chain 1's relay, each a private road, like titan:49:leaks=publish; again for each.",
)
@click.option("--no-wallet", is_flag=True, help="Chains and exchange only: no Safe, no keys, no signer.")
@click.option(
    "--runtime", type=click.Path(path_type=Path), metavar="FOLDER", help="Where its state and logs live."
)
@click.option("--json", "as_json", is_flag=True)
@click.pass_context
def up(
    ctx: click.Context,
    market: Path | None,
    fast: bool,
    ports: tuple[str, ...],
    extras: tuple[str, ...],
    builders: tuple[str, ...],
    no_wallet: bool,
    runtime: Path | None,
    as_json: bool,
) -> None:
    """Bring it up (or say that it is up already)."""
    from agent.app.devnet_extras import ACROSS, COW, EXECUTOR, SANDWICH, canary_key
    from agent.app.devnet_home import bring_up
    from agent.app.devnet_signer import PAPER
    from chains.devnet.addresses import CHAINS

    named = (
        *(f"anvil-{chain}" for chain in CHAINS),
        "relay",
        PAPER,
        *(name for name in (COW, SANDWICH, ACROSS) if name in extras),
    )
    chosen: dict[str, int] = {}
    for text in ports:
        name, _, number = text.partition("=")
        if not number.isdecimal() or not 0 < int(number) < 65_536:
            raise Usage("BAD_PORT", f"--port '{text}' is not SERVICE=PORT", "write it like --port relay=8545")
        if name not in named:
            raise Usage(
                "BAD_PORT", f"there is no service '{name}' with a port", f"there are {', '.join(named)}"
            )
        chosen[name] = int(number)
    home = bring_up(
        runtime=runtime,
        fast=fast,
        ports=chosen,
        market=read_market(market),
        wallet=not no_wallet,
        cow=COW in extras,
        sandwich=SANDWICH in extras,
        bridge=ACROSS in extras,
        executor=EXECUTOR in extras,
        builders=builders,
        progress=note,
    )
    if as_json:
        emit_json({**home.status.to_json(), "settings": str(home.settings) if home.settings else None})
        return
    show(home.status)
    if home.settings:
        chosen_by = "" if found_unasked(ctx, home.settings) else f" --settings {home.settings}"
        print(
            f"\nsettings  {home.settings}\ntry       fairlead{chosen_by} quote sell 25 ETH --for USDC\nend it    fairlead devnet down"
            + (f" --runtime {runtime}" if runtime else "")
        )
        key = canary_key(home.folder)
        if key is not None:
            print(
                f"canaries  fairlead relay canary --live --keystore {key.path} --password file:{home.folder / 'password'}"
            )


@command.command()
@click.option("--runtime", type=click.Path(path_type=Path), metavar="FOLDER")
@click.option("--json", "as_json", is_flag=True)
def status(runtime: Path | None, as_json: bool) -> None:
    """What runs, where, and how genuine each contract is."""
    from chains.devnet import service

    found = service.status(runtime=runtime)
    if as_json:
        emit_json(found.to_json())
    elif not found.services:
        note("nothing runs here; `fairlead devnet up` starts it")
    else:
        show(found, contracts=True)


@command.command()
@click.option("--runtime", type=click.Path(path_type=Path), metavar="FOLDER")
@click.option("--json", "as_json", is_flag=True)
def down(runtime: Path | None, as_json: bool) -> None:
    """End everything that `up` or `fork` started here, and nothing else."""
    from chains.devnet import service

    ended = service.down(runtime=runtime)
    if as_json:
        emit_json({"ended": ended})
    else:
        note(f"ended {', '.join(ended)}" if ended else "nothing ran here")


def show(found: Any, contracts: bool = False) -> None:
    environment = found.environment.value if found.environment else "nothing"
    header(environment, f"{len(found.services)} services", f"runtime {found.runtime}")
    rows = []
    for s in found.services:
        url = s.url.replace(f"{found.runtime}/", "…/")
        rows.append([s.name, str(s.pid), "up" if s.alive else "ENDED", url, f"…/{Path(s.log).name}"])
        rows += [[name, "", "", url, ""] for name, url in s.aliases.items()]
    table(["service", "pid", "state", "url", "log"], rows, right=[1])
    if contracts:
        table(
            ["chain", "contract", "address", "label", "why"],
            [[str(c.chain), c.name, c.address, c.label, c.why] for c in found.contracts],
            right=[0],
        )
