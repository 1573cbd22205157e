"""The `fairlead` command: one click group whose sub-commands are files here, imported only when they are used.

A command is a module of this package with a click command or group named `command`; the table below names them, so that
`fairlead --help` imports nothing. The same object serves `ape fairlead …`.
"""

from __future__ import annotations

import errno
import importlib
import os
import sys
from collections.abc import Sequence
from typing import Any

import click

from agent.app.cli.output import emit_error, one_answer, stdout_to_nowhere
from chains.errors import FairleadError, Usage

COMMANDS: dict[str, tuple[str, str]] = {
    "demo": ("demo", "The whole story in one run, on a local devnet."),
    "init": ("init", "Look at a wallet and write a settings file for it."),
    "quote": ("trade:quote", "Price an order over every place; prints a quote id."),
    "trade": ("trade:trade", "Sell or buy, checked, protected and followed to finality."),
    "orders": ("orders:orders", "What is working, what it waits for, what happens next."),
    "cancel": ("orders:cancel", "Cancel an order at its venue or on its chain."),
    "positions": ("positions", "Balances, average cost, realised and unrealised P&L."),
    "bridge": ("bridge", "Bring money of the wallet from one chain to another."),
    "lend": ("lend", "Supply, borrow, repay, withdraw at a lending pool."),
    "health": ("health", "Collateral health and liquidation prices."),
    "stress": ("stress", "What a shock would liquidate, and what falls first."),
    "rescue": ("rescue", "The cheapest way back to health for a lending account, shown and done."),
    "alerts": ("alerts", "What nobody has answered yet; a trial of every channel."),
    "run": ("run", "Carry scheduled orders until stopped."),
    "jobs": ("jobs", "Scheduled and hedging orders: add, list, stop, budgets, history."),
    "reconcile": ("reconcile", "Compare the books with venues and chains."),
    "market": ("market", "The live market: show, watch, snapshot to a file."),
    "pool": ("pool", "Exact quotes of one pool from a market file."),
    "route": ("route", "The best split over a market file."),
    "certificate": ("certificate", "Check the proof that a route carries."),
    "journal": ("journal", "Show, verify, export and replay the record."),
    "report": ("report", "What trades cost: losses to front-runners, tips, refunds."),
    "relay": ("relay", "The private roads: list, try with canaries, restore."),
    "wallet": ("wallet", "The Safe: show, create, propose, sign, execute, approvals."),
    "keys": ("keys", "Keystores: new, import, list."),
    "signer": ("signer", "The process that holds the keys."),
    "config": ("config", "Check and explain the settings."),
    "devnet": ("devnet", "A local devnet with genuine contracts."),
    "fork": ("fork", "The same local environment on a fork of any RPC."),
    "chaos": ("chaos", "Seeded attacks, faults and crises, on devnets of their own."),
    "doctor": ("doctor", "What is well, what is not, and what to do."),
    "halt": ("switch:halt", "Stop new risk; cancelling and following go on."),
    "resume": ("switch:resume", "Let new risk leave again."),
    "panic": ("switch:panic", "Cancel everything that can be cancelled, now, without the journal."),
    "completion": ("completion", "Shell completion."),
}


READER_GONE = 141
"""What a shell says of a program whose reader has gone (128 + SIGPIPE): what was to be printed was not all read."""


def wants_json(argv: Sequence[str]) -> bool:
    return "--json" in argv


class LazyGroup(click.Group):
    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, name: str) -> click.Command | None:
        if name not in COMMANDS:
            return None
        target, _, attribute = COMMANDS[name][0].partition(":")
        module = importlib.import_module(f"agent.app.cli.{target}")
        found: click.Command = getattr(module, attribute or "command")
        return found

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        if args and args[0] not in COMMANDS and not args[0].startswith("-"):
            from difflib import get_close_matches

            near = get_close_matches(args[0], COMMANDS, n=1)
            hint = f" Did you mean '{near[0]}'?" if near else " See `fairlead --help`."
            raise click.UsageError(f"no command '{args[0]}'.{hint}", ctx)
        return super().resolve_command(ctx, args)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl([(name, text) for name, (_, text) in COMMANDS.items()])


@click.group(cls=LazyGroup, context_settings={"help_option_names": ["-h", "--help"]})
@click.option(
    "--settings", "settings_path", metavar="FILE", envvar="FAIRLEAD_SETTINGS", help="The settings file."
)
@click.version_option(package_name="fairlead", prog_name="fairlead")
@click.pass_context
def cli(ctx: click.Context, settings_path: str | None) -> None:
    """Execution for people who keep their own keys."""
    ctx.ensure_object(dict)
    ctx.obj["settings_path"] = settings_path


def run(argv: Sequence[str]) -> int:
    """Runs one command line and gives its exit status; every error a user can cause is a message, never a traceback."""
    with one_answer():
        return _run(argv, wants_json(argv))


def _run(argv: Sequence[str], as_json: bool) -> int:
    try:
        if complete_variable := os.environ.get("_FAIRLEAD_COMPLETE"):
            from click.shell_completion import shell_complete

            return shell_complete(cli, {}, "fairlead", "_FAIRLEAD_COMPLETE", complete_variable)
        with cli.make_context("fairlead", list(argv)) as context:
            outcome: Any = cli.invoke(context)
        sys.stdout.flush()
        return outcome if isinstance(outcome, int) else 0
    except click.exceptions.Exit as stop:
        return stop.exit_code
    except (click.Abort, EOFError):
        return emit_error(
            Usage("INTERRUPTED", "stopped; nothing was lost", "`fairlead orders` shows what is working"),
            as_json,
        )
    except click.NoSuchOption as strange:
        usage = strange.ctx.get_usage() if strange.ctx else ""
        if strange.option_name[1:2].isdigit():
            number = strange.option_name
            return emit_error(
                Usage("BAD_AMOUNT", f"an amount must be greater than zero, not {number}", usage), as_json
            )
        return emit_error(Usage("BAD_USAGE", strange.format_message(), usage), as_json)
    except click.ClickException as problem:
        within = problem.ctx if isinstance(problem, click.UsageError) else None
        usage = within.get_usage() if within else ""
        if within is not None and problem.message == within.get_help():  # a group named without its command
            if not as_json:
                print(problem.message, file=sys.stderr)
                return problem.exit_code
            return emit_error(Usage("BAD_USAGE", "the command is missing", usage), as_json)
        return emit_error(Usage("BAD_USAGE", problem.format_message(), usage), as_json)
    except FairleadError as error:
        return emit_error(error, as_json)
    except KeyboardInterrupt:
        return emit_error(
            Usage("INTERRUPTED", "stopped; nothing was lost", "`fairlead orders` shows what is working"),
            as_json,
        )
    except BrokenPipeError:
        return READER_GONE
    except OSError as failed:
        if failed.errno != errno.ENOSPC:
            raise
        stdout_to_nowhere()
        return emit_error(
            Usage(
                "DISK_FULL",
                "there is no space left to write to",
                "make room; `fairlead orders` shows what works",
            ),
            as_json,
        )


def main() -> None:
    sys.exit(run(sys.argv[1:]))


class ApeGroup(LazyGroup):
    """The same commands below `ape`, which knows neither our errors nor our exit statuses."""

    def invoke(self, ctx: click.Context) -> Any:
        try:
            outcome = super().invoke(ctx)
        except FairleadError as error:
            outcome = emit_error(error, wants_json(sys.argv))
        ctx.exit(outcome if isinstance(outcome, int) else 0)


ape_command = ApeGroup("fairlead", params=cli.params, callback=cli.callback, help=cli.help)
