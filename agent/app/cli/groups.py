"""Groups of commands whose help tells what each command does in a whole sentence."""

from __future__ import annotations

import click

WHOLE = 1_000
"""Characters: more than any first sentence of a command has, so that none is cut; it is wrapped instead."""


class Sentences(click.Group):
    """Click cuts what does not fit one line; the cut words were those that told two commands apart."""

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        found = [(name, self.get_command(ctx, name)) for name in self.list_commands(ctx)]
        with formatter.section("Commands"):
            formatter.write_dl(
                [(name, command.get_short_help_str(WHOLE)) for name, command in found if command is not None]
            )
