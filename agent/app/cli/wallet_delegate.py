"""`fairlead wallet delegate`: which keys run code (EIP-7702); a key told to, or told no longer."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from agent.app.cli.output import emit_json, header
from chains.errors import Denied, Usage

if TYPE_CHECKING:
    from agent.app.delegating import Runs
    from agent.app.multisig.room import Room


@click.command("delegate")
@click.option("--account", metavar="ADDRESS", help="The key's account, which sends the transaction itself.")
@click.option("--to", "code", metavar="ADDRESS", help="The code it is to run, listed in wallet.delegates.")
@click.option("--revoke", is_flag=True, help="Take its delegation back.")
@click.option("--chain", default="ethereum", show_default=True, metavar="NAME", help="The chain's name in the settings.")  # fmt: skip
@click.option("--live", is_flag=True, help="Really do it; the settings must say live, too.")
@click.option("--json", "as_json", is_flag=True, help="One JSON document on stdout.")
@click.pass_context
def delegate(
    ctx: click.Context,
    /,
    account: str | None,
    code: str | None,
    revoke: bool,
    chain: str,
    live: bool,
    as_json: bool,
) -> int:
    """Which of the settings' keys run code by EIP-7702. With --account and --to one is told to, with --revoke no longer.

    A key that runs code can be moved by whoever that code obeys, for good. It is signed attended, by a key in a keystore, only to code
    that wallet.delegates lists, only for one chain.
    """
    from agent.app import delegating
    from agent.app.cli.common import load_settings
    from agent.app.multisig.building import address as checked
    from agent.app.multisig.room import inside
    from agent.app.multisig.state import chain_named
    from chains.types import ZERO_ADDRESS, Address
    from keys.delegations import Authorization
    from keys.owner_delegate import words

    settings = load_settings(ctx)
    where = chain_named(settings, chain)
    if bool(code) + revoke > 1 or (account is None) != (code is None and not revoke):
        raise Usage(
            "DELEGATE_WHAT", "one account, and either --to or --revoke", "without both, it is only told"
        )
    if live and not settings.live:
        raise Denied("NOT_LIVE", "the settings do not say live = true", "set it, if you mean it")
    who = checked(account, "--account") if account is not None else None
    target = checked(code, "--to") if code is not None else Address(ZERO_ADDRESS)

    async def work(room: Room) -> tuple[list[Runs], Any, str | None, str]:
        head = await room.gateway.block()
        if who is None:
            found = await delegating.running(room.gateway, delegating.accounts(settings))
            return found, None, None, room.head_line(head)
        owner = delegating.holder_of(settings, who, revoking=revoke)
        made = await delegating.plan(room, who, target)
        told = await delegating.delegate_by(room, owner, target, made) if live else None
        return [], made, told, room.head_line(head)

    found, made, told, line = inside(settings, where, work)
    said = words(Authorization(where.chain_id, target, 0), who) if who is not None else None
    if as_json:
        emit_json(
            {
                "chain_id": where.chain_id,
                "keys": [{"who": r.who, "account": r.account, "delegate": r.delegate} for r in found],
                "account": who,
                "delegate": None if target == ZERO_ADDRESS else target,
                "sentence": said,
                "cost_at_most_raw": str(made.most_wei) if made is not None else None,
                "tx_hash": told,
            }
        )
        return 0
    header(settings.environment.value, settings.wallet.address, line)
    for one in found:
        print(one.sentence if one.delegate else f"{one.who} {one.account} runs no code")
    if said is not None:
        print(said)
        print(f"done in {told}" if told else f"dry run: it costs at most {made.most_wei} wei; --live does it")
    return 0
