"""`fairlead wallet outstanding` and `wallet approvals`: what others could do with the wallet, because somebody once allowed it."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import click

from agent.app.cli.output import emit_json, header, note, table
from chains.errors import FairleadError

if TYPE_CHECKING:
    from agent.app.multisig.outstanding import Known, Open
    from agent.app.multisig.serving import ServiceAddress
    from agent.app.settings import Settings
    from agent.app.settings_tree import Chain
    from agent.app.watching.approvals import Approval, Held
    from agent.app.watching.reading import Reading

LEFT = 3
"""Exit status where an approval is left, or a transaction is executable that a person may have forgotten."""


@click.command("outstanding")
@click.option("--service", metavar="URL", help="Look at a Safe Transaction Service, too; then say --chain.")
@click.option(
    "--service-key", metavar="REFERENCE", help="Where that service's API key is: env:NAME, file:PATH."
)
@click.option("--chain", metavar="NAME", help="This chain only.")
@click.option("--json", "as_json", is_flag=True, help="One JSON document on stdout.")
@click.pass_context
def outstanding(ctx: click.Context, /, service: str | None, service_key: str | None, chain: str | None, as_json: bool) -> int:  # fmt: skip
    """Safe transactions that are signed, or proposed, and not executed: until when, what they would do, how to revoke them.

    Beside them what the agent's own account signed and no block has decided yet (`agent` in JSON).
    """
    from agent.app.cli.common import load_settings
    from agent.app.multisig import files, serving
    from agent.app.multisig.outstanding import agents_own, known_here
    from agent.app.multisig.state import chain_named
    from agent.app.readonly import read_book
    from chains.errors import Usage
    from chains.types import Address

    settings = load_settings(ctx)
    if service is not None and chain is None and len(settings.chains) > 1:
        raise Usage("BAD_USAGE", "a Transaction Service is one chain's", "say which: --chain NAME")
    client = serving.address_of(service, service_key)
    wallet = Address(settings.wallet.address)
    book = read_book(settings)
    known, own = (
        known_here(files.folder(settings), settings.environment.value, wallet, book),
        agents_own(book),
    )
    chosen = [chain_named(settings, chain)] if chain else list(settings.chains)
    told = asyncio.run(_outstanding(settings, chosen, known, client))
    failed = [t["error"] for t in told if "error" in t]
    if as_json:
        unreadable = [{"file": str(path), "why": str(why)} for path, why in known.unreadable]
        emit_json(
            {
                "wallet": wallet,
                "environment": settings.environment.value,
                "chains": [{k: v for k, v in t.items() if k not in ("open", "line")} for t in told],
                "open": [entry for t in told for entry in t.get("open", ())],
                "agent": own,
                "unreadable": unreadable,
            }
        )
        return 4 if failed else 0
    header(settings.environment.value, wallet, " · ".join(t["line"] for t in told))
    for path, why in known.unreadable:
        note(f"left out: {path}: {why}")
    opened = [entry for t in told for entry in t.get("open", ())]
    for mine in own:
        print(
            f"\nchain {mine['chain_id']}: signed by the account {mine['sender']} itself, nonce {mine['nonce']}, until {mine['deadline']}\n"
            f"{mine['tx_hash']}\nrevoke it  {mine['revoke']}"
        )
    if not opened and not own:
        print("nothing is outstanding" + (" where the chain answered" if failed else ""))
        return 4 if failed else 0
    for entry in opened:
        signed = f"{len(entry['signed_by'])} signed, {entry['signatures_needed']} needed"
        until = f"until {entry['deadline']}" if entry["deadline"] else "NO DEADLINE: until its nonce is used"
        print(
            f"\n{entry['chain']} nonce {entry['nonce']}: {entry['state']} ({signed}), {until}\n{entry['safe_tx_hash']}"
        )
        for line in entry["sentences"]:
            print(f"  {line}")
        print(f"known from {', '.join(entry['known_from'])}")
        if entry["revoke"]:
            print(f"revoke it  {entry['revoke']}")
    return 4 if failed else 0


async def _outstanding(
    settings: Settings, chains: list[Chain], known: Known, service: ServiceAddress | None
) -> list[dict[str, Any]]:
    import aiohttp

    from agent.app.multisig.outstanding import outstanding as look
    from agent.app.multisig.room import open_room
    from agent.app.multisig.words import decoded

    async def one(chain: Chain, session: aiohttp.ClientSession) -> dict[str, Any]:
        facts: dict[str, Any] = {"chain": chain.name, "chain_id": chain.chain_id}
        try:
            room = await open_room(settings, chain, session)
            now, found, wrong = await look(room, known, service)
            tokens = await room.tokens() if found else {}
        except FairleadError as error:
            if error.code == "NOT_A_SAFE":
                return facts | {"line": f"{chain.name} no Safe", "open": []}
            return facts | {"line": f"{chain.name} unreachable", "error": _error(error)}
        for why in wrong:
            note(f"left out: the service tells {why}")

        def shown(entry: Open) -> dict[str, Any]:
            return entry.json() | {"sentences": decoded(entry.document, tokens)}

        block = {"block": now.block.number, "nonce": now.state.nonce}
        return facts | block | {"line": room.head_line(now.block), "open": [shown(entry) for entry in found]}

    async with aiohttp.ClientSession() as session:
        return list(await asyncio.gather(*(one(chain, session) for chain in chains)))


def _error(error: FairleadError) -> dict[str, str]:
    return {"code": error.code, "verb": error.verb, "message": error.message, "hint": error.hint}


@click.command("approvals")
@click.option("--chain", metavar="NAME", help="This chain only.")
@click.option(
    "--revoke", is_flag=True, help="Write the proposal that takes all of them back, one for each chain."
)
@click.option("--json", "as_json", is_flag=True, help="One JSON document on stdout.")
@click.pass_context
def approvals(ctx: click.Context, /, chain: str | None, revoke: bool, as_json: bool) -> int:
    """What known spenders may take, by a token's own allowance or through Permit2; each chain at one block.

    After a trade every allowance is zero again, but those of the owners' own Gate within [[scopes]], which are shown and not counted. Ends with 3 where one is left, 4 where a chain did not answer.
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
                return await held_on(reading, chain)
            except FairleadError as error:
                return error

        return list(await asyncio.gather(*(one(c) for c in chosen))), reading.now_s

    held, now_s = read(settings, work)
    shown = [
        (c, a, h)
        for c, h in zip(chosen, held, strict=True)
        if not isinstance(h, FairleadError)
        for a in h.approvals
    ]
    rows = [row for row in shown if not row[1].granted]
    silent = [(c, h) for c, h in zip(chosen, held, strict=True) if isinstance(h, FairleadError)]
    made = _revoking(settings, rows) if revoke and rows else []
    if rows and not made:
        _alarm(settings, f"{len(rows)} approval(s) are left: {_first(rows)}")
    if as_json:
        emit_json(
            {
                "wallet": settings.wallet.address,
                "environment": settings.environment.value,
                "chains": [
                    {"chain": c.name, "chain_id": c.chain_id, "error": _error(h)}
                    if isinstance(h, FairleadError)
                    else {"chain": c.name, "chain_id": c.chain_id, "block": h.holdings.block.number,
                          "approvals": [_approval(c, a, h) for a in h.approvals], "silent": list(h.holdings.silent)}
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
    if shown:
        columns = ("chain", "token", "spender", "may take", "through", "until")
        table(columns, [_row(c, a, h) for c, a, h in shown], right=(3,))
    if not rows:
        besides = " but what the owners granted their own Gate" if shown else ""
        print(f"no approval is left{besides}" + (" where the chain answered" if silent else ""))
    for path in made:
        print(f"proposed  {path}\nsign it   fairlead wallet sign {path}")
    if rows and not made:
        print("take them back: fairlead wallet approvals --revoke")
    return 4 if silent else LEFT if rows and not made else 0


Row = tuple["Chain", "Approval", "Held"]


def _first(rows: list[Row]) -> str:
    c, a, h = rows[0]
    return f"{a.spender_name} may take {h.tokens[a.token].symbol} on {c.name}" + (
        " and others" if len(rows) > 1 else ""
    )


def _amount(a: Approval, h: Held) -> str:
    from agent.app.watching.words import amount

    decimals = h.tokens[a.token].decimals
    return (
        "ALL"
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
        a.via or ("the token, by [[scopes]]" if a.granted else "the token"),
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
        "granted": a.granted,
        "expires": None if a.expires_s is None else str(a.expires_s),
    }


def _alarm(settings: Settings, message: str) -> None:
    """On stderr, and in the record where there is one that no other process holds."""
    from agent.app.readonly import append_event
    from agent.domain.events import Alarmed
    from agent.transport.clock import SystemClock

    note(f"ALARM APPROVALS_LEFT: {message}")
    if settings.journal.path.exists():
        clock = SystemClock()
        try:
            asyncio.run(append_event(settings, clock, Alarmed("APPROVALS_LEFT", message, clock.now_ns())))
        except FairleadError as error:
            note(f"the alarm could not be recorded: {error.message}")


def _revoking(settings: Settings, rows: list[Row]) -> list[str]:
    """One proposal for each chain, kept beside the journal."""
    from agent.app.multisig import files
    from agent.app.multisig.proposing import Wish, propose
    from agent.app.multisig.room import Room, inside

    week_s, made = 7 * 86_400, []
    by_chain = {c.chain_id: c for c, _, _ in rows}
    for chain_id, chain in by_chain.items():
        pairs = tuple(dict.fromkeys((a.token, a.spender) for c, a, _ in rows if c.chain_id == chain_id))

        async def work(room: Room, pairs: Any = pairs) -> str:
            found = await propose(room, Wish(revoke=pairs, valid_s=week_s, origin="take approvals back"))
            path = files.folder(settings) / files.name_of(found.document)
            files.keep(path, found.document)
            return str(path)

        made.append(inside(settings, chain, work))
    return made
