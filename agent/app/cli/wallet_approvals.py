"""`fairlead wallet approvals`: what others may take, because the wallet once allowed it; and taking it back."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import click

from agent.app.cli.output import emit_json, header, note, table
from agent.app.cli.wallet_look import error_json
from chains.errors import FairleadError

if TYPE_CHECKING:
    from agent.app.settings import Settings
    from agent.app.settings_tree import Chain
    from agent.app.watching.approvals import Approval, Held
    from agent.app.watching.reading import Reading

LEFT = 3
"""Exit status where an approval is left."""
REQUESTS = 40
"""How often an endpoint is asked for logs before the search gives up and says so."""


@click.command("approvals")
@click.option("--chain", metavar="NAME", help="This chain only.")
@click.option(
    "--revoke", is_flag=True, help="Write the proposal that takes all of them back, one for each chain."
)
@click.option(
    "--since",
    type=click.IntRange(0),
    default=0,
    metavar="BLOCK",
    help="Search the logs from here on, where an endpoint does not take the whole chain.",
)
@click.option("--json", "as_json", is_flag=True, help="One JSON document on stdout.")
@click.pass_context
def approvals(ctx: click.Context, /, chain: str | None, revoke: bool, since: int, as_json: bool) -> int:
    """What others may take: allowances, Permit2's with their expiry, operators of collections, credit at Aave; each chain at one block.

    Known spenders are asked about by name, everybody else is found in the chain's logs. After a trade every allowance is zero again;
    what the settings' scope grants to the agent's Gate is listed and is no finding. Ends with 3 where something is left, 4 where a
    chain did not answer.
    """
    from agent.app.cli.common import load_settings
    from agent.app.multisig.state import chain_named
    from agent.app.watching.reading import read

    settings = load_settings(ctx)
    chosen = [chain_named(settings, chain)] if chain else list(settings.chains)

    async def work(reading: Reading) -> tuple[list[Any], int]:
        from agent.app.watching.holdings_check import held_on

        async def one(chain: Chain) -> Held | FairleadError:
            try:
                return await held_on(reading, chain, since, REQUESTS)
            except FairleadError as error:
                return error

        return list(await asyncio.gather(*(one(c) for c in chosen))), reading.now_s

    held, now_s = read(settings, work)
    told = [(c, h) for c, h in zip(chosen, held, strict=True) if not isinstance(h, FairleadError)]
    listed = [(c, a, h) for c, h in told for a in h.approvals]
    rows = [row for row in listed if not row[1].intended]
    silent = [(c, h) for c, h in zip(chosen, held, strict=True) if isinstance(h, FairleadError)]
    made = _revoking(settings, rows) if revoke and rows else []
    if rows and not made:
        from agent.app.alarm import raise_alarm

        raise_alarm(settings, "APPROVALS_LEFT", f"{len(rows)} approval(s) are left: {_first(rows)}")
    if as_json:
        emit_json(
            {
                "wallet": settings.wallet.address,
                "environment": settings.environment.value,
                "chains": [
                    {"chain": c.name, "chain_id": c.chain_id, "error": error_json(h)}
                    if isinstance(h, FairleadError)
                    else {"chain": c.name, "chain_id": c.chain_id, "block": h.holdings.block.number,
                          "approvals": [_approval(c, a, h) for a in h.approvals], "silent": list(h.holdings.silent),
                          "searched": h.unsearched == "", "unsearched_why": h.unsearched or None, "strange_contracts": h.strange}
                    for c, h in zip(chosen, held, strict=True)
                ],
                "left": len(rows),
                "proposals": made,
            }
        )  # fmt: skip
        return 4 if silent else LEFT if rows and not made else 0
    from agent.app.watching.words import age

    heads = [
        f"{c.name} unreachable" if isinstance(h, FairleadError)
        else f"{c.name} {h.holdings.block.number} ({age(now_s - h.holdings.block.timestamp)})"
        for c, h in zip(chosen, held, strict=True)
    ]  # fmt: skip
    header(settings.environment.value, settings.wallet.address, " · ".join(heads))
    for c, error in silent:
        note(f"{c.name}: {error.message}: UNKNOWN")
    for c, h in told:
        if h.unsearched:
            note(
                f"{c.name}: its logs were not searched ({h.unsearched}): only known spenders are listed; try --since BLOCK"
            )
        if h.strange:
            note(
                f"{c.name}: {h.strange} contract(s) log approvals in the wallet's name that it never gave; left out"
            )
    if listed:
        columns = ("chain", "token", "spender", "may take", "through", "until")
        table(columns, [_row(c, a, h) for c, a, h in listed], right=(3,))
    if not rows:
        print("no approval is left" + (" where the chain answered" if silent else ""))
    for path in made:
        print(f"proposed  {path}\nsign it   fairlead wallet sign {path}")
    if rows and not made:
        print("take them back: fairlead wallet approvals --revoke")
    return 4 if silent else LEFT if rows and not made else 0


Row = tuple["Chain", "Approval", "Held"]


def _first(rows: list[Row]) -> str:
    c, a, h = rows[0]
    who = a.spender if a.spender_name == "unknown" else a.spender_name
    return f"{who} may {a.may(h.tokens[a.token])} on {c.name}" + (" and others" if len(rows) > 1 else "")


def _amount(a: Approval, h: Held) -> str:
    from agent.app.watching.words import amount

    decimals = h.tokens[a.token].decimals
    return (
        f"number {a.number}"
        if a.kind.value == "collectible"
        else "ALL"
        if a.unlimited
        else f"{a.amount_raw} raw"
        if decimals is None
        else amount(a.amount_raw, decimals)
    )


def _row(c: Chain, a: Approval, h: Held) -> tuple[str, ...]:
    from agent.app.multisig.words import instant

    until = (
        ""
        if a.expires_s is None
        else "for ever"
        if a.expires_s >= 2**48 - 1
        else instant(min(a.expires_s, 253_402_300_799))
    )
    return (
        c.name,
        h.tokens[a.token].symbol,
        f"{a.spender_name}\n{a.spender}",
        _amount(a, h),
        ("the scope: " if a.intended else "") + (a.via or "the token"),
        until,
    )


def _approval(c: Chain, a: Approval, h: Held) -> dict[str, Any]:
    return {
        "token": f"eip155:{c.chain_id}/erc20:{a.token}",
        "symbol": h.tokens[a.token].symbol,
        "spender": a.spender,
        "spender_name": a.spender_name,
        "amount_raw": str(a.amount_raw),
        "unlimited": a.unlimited,
        "via": a.via or None,
        "number": str(a.number) if a.via == "collectible" else None,
        "intended": a.intended,
        "expires": None if a.expires_s is None else str(a.expires_s),
    }


def _revoking(settings: Settings, rows: list[Row]) -> list[str]:
    """One proposal for each chain, kept beside the journal."""
    from agent.app.multisig import files, serving
    from agent.app.multisig.building import taking_back
    from agent.app.multisig.proposing import Wish, propose
    from agent.app.multisig.room import Room, inside

    week_s, made = 7 * 86_400, []
    by_chain = {c.chain_id: c for c, _, _ in rows}
    for chain_id, chain in by_chain.items():
        mine = [a for c, a, _ in rows if c.chain_id == chain_id]

        async def work(room: Room, mine: Any = mine) -> str:
            calls = tuple(dict.fromkeys(taking_back(a, room.wallets.permit2) for a in mine))
            found = await propose(room, Wish(calls=calls, valid_s=week_s, origin="take approvals back"))
            path = files.folder(settings) / files.name_of(found.document)
            if why := await serving.keep(room, path, found.document, found.now):
                note(why)
            return str(path)

        made.append(inside(settings, chain, work))
    return made
