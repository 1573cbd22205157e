"""`fairlead wallet operate`: one call of a key that runs code (EIP-7702), as a user operation at EntryPoint 0.8."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from agent.app.cli.output import emit_json, header
from chains.errors import Denied, Usage

if TYPE_CHECKING:
    from agent.app.multisig.room import Room


@click.command("operate")
@click.option("--account", required=True, metavar="ADDRESS", help="The key's account, which runs listed code.")  # fmt: skip
@click.option("--to", "target", required=True, metavar="ADDRESS", help="What it calls.")
@click.option("--value", default="0", show_default=True, metavar="COINS", help="Of the chain's coin, in whole coins.")  # fmt: skip
@click.option("--data", default="0x", metavar="HEX", help="The call's calldata.")
@click.option("--chain", default="ethereum", show_default=True, metavar="NAME", help="The chain's name in the settings.")  # fmt: skip
@click.option("--live", is_flag=True, help="Really do it; the settings must say live, too.")
@click.option("--json", "as_json", is_flag=True, help="One JSON document on stdout.")
@click.pass_context
def operate(
    ctx: click.Context, /, account: str, target: str, value: str, data: str, chain: str, live: bool, as_json: bool
) -> int:  # fmt: skip
    """One call of a key that runs code, as a user operation at EntryPoint 0.8, through the chain's bundler.

    It is rehearsed on this machine, told in words and signed attended; its gas is the account's own. Without --live it is only told.
    Ends with 4 where its call failed in its block: then its gas is paid all the same.
    """
    from agent.app import operating
    from agent.app.cli.common import load_settings
    from agent.app.delegating import holder_of
    from agent.app.multisig.building import address as checked
    from agent.app.multisig.room import inside
    from agent.app.multisig.state import chain_named
    from agent.domain.units import parse_qty, raw_exact
    from chains.types import Call
    from keys.owner_operate import words
    from keys.safe import SafeTx

    settings = load_settings(ctx)
    where = chain_named(settings, chain)
    who, to = checked(account, "--account"), checked(target, "--to")
    try:
        body = bytes.fromhex(data.removeprefix("0x"))
    except ValueError:
        raise Usage("BAD_CALLDATA", "--data is no hex", "0x and an even number of digits") from None
    wei = 0 if value == "0" else raw_exact(parse_qty(value, "--value"), 18, "--value")
    if live and not settings.live:
        raise Denied("NOT_LIVE", "the settings do not say live = true", "set it, if you mean it")

    async def work(room: Room) -> tuple[Any, Any, str]:
        owner = holder_of(settings, who)
        made = await operating.plan(room, who, Call(to, body, wei))
        done = await operating.operate(room, owner, made) if live else None
        return made, done, room.head_line(await room.gateway.block())

    made, done, line = inside(settings, where, work)
    said = words(where.chain_id, who, made.op, SafeTx(to, wei, body, 0, 0))
    status = 4 if done is not None and not done.success else 0
    if as_json:
        emit_json(
            {
                "chain_id": where.chain_id,
                "account": who,
                "delegate": made.delegate,
                "sentences": said,
                "cost_at_most_raw": str(made.most_wei),
                "user_op_hash": done.op_hash if done is not None else None,
                "tx_hash": done.tx_hash if done is not None else None,
                "success": done.success if done is not None else None,
                "gas_cost_raw": str(done.gas_cost_wei) if done is not None else None,
            }
        )
        return status
    header(settings.environment.value, settings.wallet.address, line)
    print("\n".join(said))
    if done is None:
        print("dry run: --live has it signed and sends it")
    else:
        how = "done" if done.success else f"FAILED ({done.reason})"
        print(f"{how} in block {done.block_number}, {done.tx_hash}; {done.gas_cost_wei} wei of gas")
    return status
