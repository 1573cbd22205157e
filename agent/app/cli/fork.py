"""`fairlead fork`: the same local environment on a fork of any RPC, for rehearsal with throw-away keys."""

from __future__ import annotations

from pathlib import Path

import click

from agent.app.cli.output import emit_json, note


@click.command("fork")
@click.option(
    "--rpc",
    required=True,
    metavar="URL",
    help="The RPC to fork; it is only read. May be a secret reference like env:RPC_URL.",
)
@click.option("--block", type=click.IntRange(min=0), metavar="N", help="At this block (default: its head).")
@click.option(
    "--wallet",
    metavar="0xSAFE",
    help="Rehearse with this Safe: its owners are replaced by throw-away keys on the fork.",
)
@click.option(
    "--runtime", type=click.Path(path_type=Path), metavar="FOLDER", help="Where its state and logs live."
)
@click.option("--json", "as_json", is_flag=True)
def command(rpc: str, block: int | None, wallet: str | None, runtime: Path | None, as_json: bool) -> None:
    """Start a local fork with a relay, a paper exchange and throw-away keys; `fairlead devnet down --runtime …` ends it."""
    from agent.app.cli.devnet import show
    from agent.app.fork_home import bring_up_fork

    home = bring_up_fork(rpc, block, wallet=wallet, runtime=runtime, progress=note)
    if as_json:
        emit_json({**home.status.to_json(), "settings": str(home.settings) if home.settings else None})
        return
    show(home.status)
    print(f"\nsettings  {home.settings}\nend it    fairlead devnet down --runtime {home.status.runtime}")
