"""`fairlead chaos custody`: what a thief of the agent's machine can do, tried on a devnet of its own and judged by a referee."""

from __future__ import annotations

import click

from agent.app.cli.output import emit_json, header, note
from chains.errors import Usage

VIOLATED = 3
"""Exit status where the referee found a violation."""


@click.group("chaos")
def command() -> None:
    """Seeded attacks and faults, on a devnet that is made for them and goes with them."""


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
    help="A control: the owners have made this mistake (allowance, module, slack, signer, exchange), and the referee must find it.",
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


def _urls(rpcs: tuple[str, ...]) -> dict[int, str]:
    found: dict[int, str] = {}
    for text in rpcs:
        chain, _, url = text.partition("=")
        if not chain.isdigit() or not url:
            raise Usage("BAD_RPC", "--rpc is CHAIN=URL", "write it like --rpc 1=http://127.0.0.1:8545")
        found[int(chain)] = url
    return found
