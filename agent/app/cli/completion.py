"""Shell completion scripts, made by click for the shell that asks."""

from __future__ import annotations

import click
from click.shell_completion import get_completion_class

SHELLS = ("bash", "zsh", "fish")


@click.command("completion")
@click.argument("shell", type=click.Choice(SHELLS))
def command(shell: str) -> None:
    """Print the completion script for SHELL; `eval "$(fairlead completion bash)"` turns it on."""
    from agent.app.cli import cli

    found = get_completion_class(shell)
    assert found is not None
    click.echo(found(cli, {}, "fairlead", "_FAIRLEAD_COMPLETE").source())
