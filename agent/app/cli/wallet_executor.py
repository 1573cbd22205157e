"""`fairlead wallet executor` and `wallet flash`: where our RouteExecutor and FlashRepay stand, and how anybody can place them."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import click

from agent.app.cli.output import emit_json, header, table
from chains.errors import FairleadError

if TYPE_CHECKING:
    from agent.app.settings_tree import Chain
    from agent.app.watching.executor_check import Placed
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
    from agent.app.watching.executor_check import ROUTES

    return _shown(ctx, as_json, ROUTES)


@click.command("flash")
@click.option("--json", "as_json", is_flag=True, help="One JSON document on stdout.")
@click.pass_context
def flash(ctx: click.Context, /, as_json: bool) -> int:
    """Our FlashRepay (contracts/src/FlashRepay.sol; unaudited): what stands at its address on each chain, and its code hash.

    It repays a loan at Aave V3 out of the loan's own collateral, and only where [wallet] flash_repay names that hash. It has no owner, so
    anybody may place it, by the transaction that --json tells. Ends with 4 where a chain did not answer.
    """
    from agent.app.watching.executor_check import FLASH

    return _shown(ctx, as_json, FLASH)


def _shown(ctx: click.Context, as_json: bool, of: Placed) -> int:
    from agent.app.cli.common import load_settings
    from agent.app.scoping import creation_code
    from agent.app.watching.executor_check import ABSENT, standing
    from agent.app.watching.reading import read
    from contracts.own import FACTORY

    settings, own = load_settings(ctx), of.own

    async def work(reading: Reading) -> list[Any]:
        async def one(chain: Chain) -> Any:
            try:
                return (await standing(reading, chain, of))[0]
            except FairleadError as error:
                return error

        return list(await asyncio.gather(*(one(chain) for chain in settings.chains)))

    found = list(zip(settings.chains, read(settings, work), strict=True))
    silent = any(isinstance(state, FairleadError) for _, state in found)
    opted = of.opted_in(settings)
    if as_json:
        told: dict[str, Any] = {
            "address": of.address,
            "code_hash": f"0x{own.runtime_hash.hex()}",
            "opted_in": opted,
            "chains": [
                {"chain": c.name, "error": s.message} if isinstance(s, FairleadError) else {"chain": c.name, "standing": s}
                for c, s in found
            ],
        }  # fmt: skip
        if any(state == ABSENT for _, state in found):
            code = own.init_code(creation_code(own.name))
            told["create"] = {"to": FACTORY, "data": "0x" + (own.salt + code).hex()}
        emit_json(told)
        return 4 if silent else 0
    header(settings.environment.value, settings.wallet.address, f"{own.name} (ours, unaudited)")
    table(("chain", "at its address"), [(c.name, s.message if isinstance(s, FairleadError) else SAID[s]) for c, s in found])  # fmt: skip
    print(f"\naddress    {of.address}\ncode hash  0x{own.runtime_hash.hex()}")
    print("used       " + (f"yes: [wallet] {of.key} names it" if opted else f"no: [wallet] {of.key} is not set"))  # fmt: skip
    return 4 if silent else 0
