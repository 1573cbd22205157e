"""`fairlead config`: is the settings file right, and what does each key do."""

from __future__ import annotations

from pathlib import Path

import click

from agent.app import paths
from agent.app.cli.groups import Sentences
from agent.app.cli.output import NO_CHAIN, emit_json, header, table


def _path(ctx: click.Context, file: str | None) -> Path:
    from agent.app.cli.common import settings_file

    return paths.settings_path(file) if file else settings_file(ctx)


@click.group(name="config", cls=Sentences)
def command() -> None:
    """Check and explain the settings."""


@command.command()
@click.argument("file", required=False)
@click.option("--json", "as_json", is_flag=True, help="One JSON document.")
@click.pass_context
def check(ctx: click.Context, file: str | None, as_json: bool) -> int:
    """Reads the settings and tells every problem at once, with its line and remedy."""
    from agent.app.settings import load
    from agent.app.settings_explain import shown

    path = _path(ctx, file)
    settings = load(path)
    facts = {
        "environment": settings.environment.value,
        "live": settings.live,
        "wallet": settings.wallet.address,
        "watch_only": settings.watch_only,
        "chains": [chain.name for chain in settings.chains],
        "venues": [venue.name for venue in settings.venues],
        "assets": list(settings.assets),
    }
    if as_json:
        emit_json({"ok": True, "file": str(path), **facts})
    else:
        header(settings.environment.value, settings.wallet.address, NO_CHAIN)
        click.echo(
            f"{path} is right: {facts['environment']}, wallet {facts['wallet']}"
            + (", watch-only" if settings.watch_only else "")
        )
        named = (("chains", facts["chains"]), ("venues", facts["venues"]), ("assets", facts["assets"]))
        click.echo("; ".join(f"{what} {shown(names)}" for what, names in named))
    return 0


@command.command()
@click.argument("key", required=False)
@click.option("--file", "file", metavar="FILE", help="The settings file.")
@click.option("--json", "as_json", is_flag=True, help="One JSON document.")
@click.pass_context
def explain(ctx: click.Context, key: str | None, file: str | None, as_json: bool) -> int:
    """Every key (or KEY and what is below it): its value, where it came from, what it does."""
    from agent.app.settings import load_with_sources
    from agent.app.settings_explain import explain as explained

    path = _path(ctx, file)
    found = load_with_sources(path)
    rows = explained(found, key)
    if as_json:
        emit_json(
            {
                "file": str(path),
                "keys": [
                    {"key": row.key, "value": row.value, "source": row.source, "meaning": row.meaning}
                    for row in rows
                ],
            }
        )
    else:
        header(found.settings.environment.value, found.settings.wallet.address, NO_CHAIN)
        click.echo(f"{path}")
        table(
            ["key", "value", "from", "meaning"],
            [
                [row.key, "not set" if row.value is None else row.value, row.source, row.meaning]
                for row in rows
            ],
        )
    return 0
