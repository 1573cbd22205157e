"""`fairlead chaos custody|submission|exchange|rescue`: attacks on the wallet, faults on the way to a block and at an exchange, crises of a loan;
on a devnet or at exchanges of their own, judged by a referee."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import click

from agent.app.cli.groups import Sentences
from agent.app.cli.output import emit_json, header, note
from chains.errors import Usage

if TYPE_CHECKING:
    from agent.app.chaos.report import Report

VIOLATED = 3
"""Exit status where the referee found a violation."""


def seeded(
    many: str, one: str, default: int, mistakes: str
) -> Callable[[Callable[..., int]], Callable[..., int]]:
    """The options of chaos that a seed draws."""
    options = (
        click.option("--seed", type=int, default=1, show_default=True, metavar="N"),
        click.option(
            "--count", type=click.IntRange(1), metavar="K", help=f"How many {many}; {default} by default."
        ),
        click.option(
            "--case", "case", type=click.IntRange(0), metavar="C", help=f"This one {one} of the seed, alone."
        ),
        click.option("--mistake", default="", metavar="NAME", help=mistakes),
        click.option("--json", "as_json", is_flag=True, help="One JSON document on stdout."),
    )

    def give(function: Callable[..., int]) -> Callable[..., int]:
        for option in reversed(options):
            function = option(function)
        return function

    return give


def chosen(count: int | None, case: int | None, default: int) -> list[int]:
    """The numbers of the cases. Raises Usage BAD_CASES where both were given."""
    if case is not None and count is not None:
        raise Usage("BAD_CASES", "--case is one case and --count is many", "give one of them")
    return [case] if case is not None else list(range(count or default))


def tell_violations(report: Report, more: str = "") -> None:
    """With the command that runs each again; `more`: further words of it."""
    for broken in report.violations:
        print(f"case {broken['case']} · {broken['rule']}: {broken['story']}")
        print(f"  → fairlead chaos {report.kind}{more} --seed {report.seed} --case {broken['case']}")


@click.group("chaos", cls=Sentences)
def command() -> None:
    """Seeded attacks and faults, on a devnet or exchanges that are made for them and go with them."""


@command.command()
@click.option("--seed", type=int, default=1, show_default=True, metavar="N")
@click.option("--count", type=click.IntRange(1), metavar="K", help="How many cases; all attacks by default.")
@click.option("--case", "case", type=click.IntRange(0), metavar="C", help="This one case of the seed, alone.")
@click.option(
    "--rpc",
    "rpcs",
    multiple=True,
    metavar="CHAIN=URL",
    help="Devnet chains that run already (1 and 8453), instead of making some.",
)
@click.option(
    "--mistake",
    default="",
    metavar="NAME",
    help="A control: the owners have made this mistake (allowance, module, slack, signer, exchange, signatures), and the referee must find it.",
)
@click.option("--json", "as_json", is_flag=True, help="One JSON document on stdout.")
def custody(
    seed: int, count: int | None, case: int | None, rpcs: tuple[str, ...], mistake: str, as_json: bool
) -> int:
    """Attacks on the wallet with the agent's key, its machine's files and its journal."""
    from agent.app.chaos.custody.catalogue import every
    from agent.app.chaos.custody.devnet import own_devnet
    from agent.app.chaos.custody.run import run

    if case is not None and count is not None:
        raise Usage("BAD_CASES", "--case is one case and --count is many", "give one of them")
    cases = [case] if case is not None else list(range(count if count is not None else len(every())))
    with own_devnet(_urls(rpcs), note) as urls:
        report = run(urls, seed, cases, mistake=mistake, say=note)
    if as_json:
        emit_json(report.to_json())
    else:
        header("devnet", "two throw-away Safes", f"seed {seed}")
        print(f"{report.attacks} attacks, {report.repelled} repelled, {len(report.violations)} violations")
        print(
            f"the most that one of them took: {report.extracted:.2f} USD of at most {report.bound:.2f}, {report.bound - report.extracted:.2f} short"
        )
        print(
            f"at the exchange, the most that one of them took: {report.at_exchange:.2f} USD of at most {report.exchange_bound:.2f}"
        )
        for found in report.violations:
            print(f"case {found['case']} · {found['rule']}: {found['story']}")
            print(f"  → fairlead chaos custody --seed {seed} --case {found['case']}")
    return VIOLATED if report.violations else 0


@command.command()
@seeded(
    "submissions",
    "submission",
    100,
    "A control: desks do this wrong (public, estimate, silent, twice, forgets, reverts), and the referee must find it; leaky: a builder does.",
)
@click.option(
    "--chain",
    type=click.Choice(("ethereum", "base")),
    default="ethereum",
    show_default=True,
    help="Where: behind builders, or behind a rollup's one sequencer.",
)
def submission(
    seed: int, count: int | None, case: int | None, mistake: str, as_json: bool, chain: str
) -> int:
    """Private orders through builders that compete, fail, forget and lie, on a chain that reorganises, by desks that die."""
    from agent.app.chaos.submission.run import run
    from chains.profiles import load

    where = load(chain).chain_id
    report = run(seed, chosen(count, case, 100), chain_id=where, mistake=mistake, say=note)
    if as_json:
        emit_json(report.to_json())
    else:
        found = report.counters
        header("devnet", "throw-away Safes", f"seed {seed}")
        print(
            f"{report.count} submissions in {found['blocks']} blocks, {found['executed']} executed, {len(report.violations)} violations"
        )
        print(
            f"{found['deaths']} deaths of a desk ({found['sigkills']} by SIGKILL), {found['reorgs']} reorganisations, "
            f"{found['foreign_uses']} nonces used by another program"
        )
        print(
            f"included within 2 blocks {found['included_within_2']}, within 5 {found['included_within_5']}, at most {found['included_blocks_max']}"
        )
        for name in ("public_leaks", "double_executions", "paid_reverts", "stalls_over_2_blocks"):
            print(f"{name.replace('_', ' ')}: {found[name]}")
        tell_violations(report, "" if chain == "ethereum" else f" --chain {chain}")
    return VIOLATED if report.violations else 0


@command.command()
@seeded(
    "crises",
    "crisis",
    20,
    "A control: nobody watches (asleep), money goes elsewhere (thief), it begins too late, pays too much or heeds no doubt (late, greedy, blind), may not sell collateral or sells it at any price (unarmed, spendthrift), and the referee must find it.",
)
@click.option(
    "--kind",
    type=click.Choice(("loan", "bridge")),
    default="loan",
    show_default=True,
    help="Where the wallet's money is: beside the loan, or on another chain, from which Across has to bring it in time.",
)
def rescue(seed: int, count: int | None, case: int | None, mistake: str, as_json: bool, kind: str) -> int:
    """A loan whose collateral falls fast, with dear gas, stale prices, a sequencer, relay or exchange that is down and a daemon that is killed."""
    from agent.app.chaos.rescue.run import run

    report = run(seed, chosen(count, case, 20), kind=kind, mistake=mistake, say=note)
    if as_json:
        emit_json(report.to_json())
    else:
        found = report.counters
        header("devnet", "a throw-away Safe", f"seed {seed}")
        print(
            f"{found['crises']} crises, {found['infeasible']} infeasible, {found['survived']} survived, {found['fallen']} fallen; "
            f"{found['payments']} payments, {found['by_flash']} of them out of collateral, {found['sigkills']} deaths of the daemon"
        )
        if kind == "bridge":
            print(f"{found['crossings']} crossings, {found['came_back']} of them came back")
        for name, who in (
            ("lost_cents", "lost"), ("lost_all_knowing_cents", "by one who knows all"),
            ("lost_repaying_cents", "by repaying all from the wallet at the trigger"), ("lost_doing_nothing_cents", "by doing nothing"),
        ):  # fmt: skip
            print(f"{who}: {found[name] / 100:,.2f} USD")
        tell_violations(report, "" if kind == "loan" else f" --kind {kind}")
    return VIOLATED if report.violations else 0


@command.command()
@seeded(
    "orders", "order", 100, "A control: desks do this wrong (resends, forgets), and the referee must find it."
)
@click.option(
    "--venue",
    "--by",
    "by",
    type=click.Choice(
        (
            "binance_spot",
            "fix",
            "ccxt",
            "binance_usdm",
            "deribit",
            "hyperliquid",
            "kraken",
            "coinbase",
            "dydx",
            "every",
        )
    ),
    default="binance_spot",
    show_default=True,
    help="Which session the desks work by: fix and ccxt are other doors of binance_spot; binance_usdm, deribit and dydx trade contracts; every: the seed chooses.",
)
def exchange(seed: int, count: int | None, case: int | None, mistake: str, by: str, as_json: bool) -> int:
    """Orders at paper exchanges that lose, repeat, delay and garble, by desks that die; judged by the exchanges' own books."""
    from agent.app.chaos.exchange.run import run

    report = run(seed, chosen(count, case, 100), mistake=mistake, by=by, say=note)
    if as_json:
        emit_json(report.to_json())
    else:
        found = report.counters
        header("devnet", "throw-away accounts", f"seed {seed}")
        print(
            f"{report.count} cases, {found['orders']} orders and {found['fills']} fills at the exchanges, {found['faults']} faults, "
            f"{found['deaths']} deaths of a desk ({found['sigkills']} by SIGKILL)"
        )
        for name in ("duplicates", "lost_orders", "lost_fills", "balance_errors"):
            print(f"{name.replace('_', ' ')}: {found[name]}")
        tell_violations(report, "" if by == "binance_spot" else f" --venue {by}")
    return VIOLATED if report.violations else 0


def _urls(rpcs: tuple[str, ...]) -> dict[int, str]:
    found: dict[int, str] = {}
    for text in rpcs:
        chain, _, url = text.partition("=")
        if not chain.isdecimal() or not url:
            raise Usage("BAD_RPC", "--rpc is CHAIN=URL", "write it like --rpc 1=http://127.0.0.1:8545")
        found[int(chain)] = url
    return found
