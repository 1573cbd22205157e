"""`fairlead demo`: the whole story in one run, on a devnet of its own, through the same commands a person types."""

from __future__ import annotations

import shutil
import sys
import tempfile
import time
from pathlib import Path

import click

from agent.app.cli.output import note
from chains.errors import Halt


@click.command("demo")
@click.option("--keep", is_flag=True, help="Leave the devnet running at the end, to go on by hand.")
@click.option(
    "--market",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="Trade on a market/1 file's pools instead.",
)
def command(keep: bool, market: Path | None) -> None:
    """Bring a devnet up, quote, trade 25 ETH over several places, borrow, look at health, verify the record, clean up."""
    from agent.app.cli.devnet import read_market
    from agent.app.devnet_home import bring_up
    from chains.devnet import service

    runtime = Path(tempfile.mkdtemp(prefix="fairlead-demo-"))
    began = time.monotonic()
    try:
        say(
            "A devnet: three chains with genuine contracts at their mainnet addresses, a relay, an exchange, a 2-of-3 Safe."
        )
        home = bring_up(runtime=runtime, fast=True, market=read_market(market), progress=note)
        status = home.status
        labels = [c.label for c in status.contracts]
        print(
            f"{len(status.services)} services on 127.0.0.1; {len(labels)} contracts: "
            f"{labels.count('exact')} exact, {labels.count('genuine-build')} genuine builds, {labels.count('mock')} mocks"
        )
        settings = str(home.settings)
        tell(settings, "What the wallet holds.", "positions")
        tell(
            settings,
            "What 25 ETH would fetch, over every place at once.",
            "quote",
            "sell",
            "25",
            "ETH",
            "--for",
            "USDC",
        )
        tell(
            settings,
            "Do it: checked, rehearsed on this machine, signed by two of three owners, submitted privately, followed to finality.",
            *"trade sell 25 ETH --for USDC --live --yes --max-loss 900".split(),
        )
        tell(settings, "What is working now: nothing.", "orders")
        tell(
            settings,
            "Lend and borrow from the same Safe.",
            *"lend supply 10 ETH --live --yes --max-loss 100".split(),
        )
        borrowed = "6000" if market is not None else "12000"
        tell(settings, "", *f"lend borrow {borrowed} USDC --live --yes --max-loss 100".split())
        tell(settings, "How safe that is, to the last digit.", "health")
        tell(settings, "Where everything stands, and what it earned.", "positions")
        tell(
            settings,
            "The record: nothing altered, and the state rebuilt from it is the same.",
            "journal",
            "verify",
        )
        tell(settings, "", "journal", "replay")
        if keep:
            say(f"It keeps running. Settings: {settings}\nEnd it: fairlead devnet down --runtime {runtime}")
    finally:
        if not keep:
            ended = service.down(runtime=runtime)
            shutil.rmtree(runtime, ignore_errors=True)
            note(f"ended {', '.join(ended)}; nothing is left running")
    say(f"That was the whole road, in {time.monotonic() - began:.0f} s.")


def say(text: str) -> None:
    if text:
        bold, off = ("\033[1;36m", "\033[0m") if sys.stdout.isatty() else ("", "")
        print(f"\n{bold}# {text}{off}")
        sys.stdout.flush()


def tell(settings: str, why: str, *words: str) -> None:
    """One command, shown and run in this process. Raises Halt where it fails: the demo does not go on past an error."""
    from agent.app.cli import run

    say(why)
    bold, off = ("\033[1m", "\033[0m") if sys.stdout.isatty() else ("", "")
    print(f"{bold}$ fairlead {' '.join(words)}{off}")
    sys.stdout.flush()
    status = run(["--settings", settings, *words])
    sys.stdout.flush()
    if status != 0:
        raise Halt(
            "DEMO_STOPPED", f"`fairlead {' '.join(words)}` ended with {status}", "its message is above"
        )
