"""`fairlead wallet executor`: where our RouteExecutor stands, and how anybody can place it."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import click

from agent.app.cli.output import emit_json, header, table
from chains.errors import FairleadError

if TYPE_CHECKING:
    from agent.app.settings_tree import Chain
    from agent.app.watching.reading import Reading

SAID = {
    "ours": "the code of this version",
    "absent": "nothing: anybody may place it",
    "other": "OTHER CODE: it is not used",
}


@click.command("executor")
@click.option("--json", "as_json", is_flag=True, help="One JSON document on stdout.")
@click.pass_context
def executor(ctx: click.Context, /, as_json: bool) -> int:
    """Our RouteExecutor (contracts/src/RouteExecutor.sol; unaudited): what stands at its address on each chain, and its code hash.

    It is used only where [wallet] route_executor names that hash. It has no owner, so anybody may place it, from any account, by the
    transaction that --json tells: it costs its sender gas, and gives nobody any power. Ends with 4 where a chain did not answer.
    """
    from agent.app.cli.common import load_settings
    from agent.app.scoping import creation_code
    from agent.app.watching.executor_check import ABSENT, standing
    from agent.app.watching.reading import read
    from contracts.own import FACTORY
    from contracts.route_executor import ADDRESS, EXECUTOR

    settings = load_settings(ctx)

    async def work(reading: Reading) -> list[Any]:
        async def one(chain: Chain) -> Any:
            try:
                return (await standing(reading, chain))[0]
            except FairleadError as error:
                return error

        return list(await asyncio.gather(*(one(chain) for chain in settings.chains)))

    found = list(zip(settings.chains, read(settings, work), strict=True))
    silent = any(isinstance(state, FairleadError) for _, state in found)
    opted = settings.wallet.route_executor is not None
    if as_json:
        told: dict[str, Any] = {
            "address": ADDRESS,
            "code_hash": f"0x{EXECUTOR.runtime_hash.hex()}",
            "opted_in": opted,
            "chains": [
                {"chain": c.name, "error": s.message} if isinstance(s, FairleadError) else {"chain": c.name, "standing": s}
                for c, s in found
            ],
        }  # fmt: skip
        if any(state == ABSENT for _, state in found):
            code = EXECUTOR.init_code(creation_code("RouteExecutor"))
            told["create"] = {"to": FACTORY, "data": "0x" + (EXECUTOR.salt + code).hex()}
        emit_json(told)
        return 4 if silent else 0
    header(settings.environment.value, settings.wallet.address, "RouteExecutor (ours, unaudited)")
    table(("chain", "at its address"), [(c.name, s.message if isinstance(s, FairleadError) else SAID[s]) for c, s in found])  # fmt: skip
    print(f"\naddress    {ADDRESS}\ncode hash  0x{EXECUTOR.runtime_hash.hex()}")
    print("used       " + ("yes: [wallet] route_executor names it" if opted else "no: [wallet] route_executor is not set"))  # fmt: skip
    return 4 if silent else 0
