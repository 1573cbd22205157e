"""`fairlead wallet outstanding`: what others could do with the wallet, because its owners once signed it."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import click

from agent.app.cli.output import emit_json, header, note
from chains.errors import FairleadError

if TYPE_CHECKING:
    from agent.app.multisig.outstanding import Known, Open
    from agent.app.multisig.serving import ServiceAddress
    from agent.app.settings import Settings
    from agent.app.settings_tree import Chain


@click.command("outstanding")
@click.option(
    "--service",
    metavar="URL",
    help="Look at this Safe Transaction Service, too, and say --chain; else at the settings'.",
)
@click.option(
    "--service-key", metavar="REFERENCE", help="Where that service's API key is: env:NAME, file:PATH."
)
@click.option("--chain", metavar="NAME", help="This chain only.")
@click.option("--json", "as_json", is_flag=True, help="One JSON document on stdout.")
@click.pass_context
def outstanding(ctx: click.Context, /, service: str | None, service_key: str | None, chain: str | None, as_json: bool) -> int:  # fmt: skip
    """Safe transactions that are signed, or proposed, and not executed: until when, what they would do, how to revoke them.

    Beside them what the agent's own account signed and no block has decided yet (`agent` in JSON), and what waits in a Zodiac Delay that is
    a module of the Safe: that needs no signature any more (`delayed`).
    """
    from agent.app.cli.common import load_settings
    from agent.app.multisig import files, serving
    from agent.app.multisig.outstanding import agents_own, known_here
    from agent.app.multisig.state import chain_named
    from agent.app.readonly import read_book
    from chains.errors import Usage
    from chains.types import Address

    settings = load_settings(ctx)
    if service not in (None, serving.NONE) and chain is None and len(settings.chains) > 1:
        raise Usage("BAD_USAGE", "a Transaction Service is one chain's", "say which: --chain NAME")
    wallet = Address(settings.wallet.address)
    book = read_book(settings)
    known, own = (
        known_here(files.folder(settings), settings.environment.value, wallet, book),
        agents_own(book),
    )
    chosen = [chain_named(settings, chain)] if chain else list(settings.chains)
    services = {c.chain_id: serving.address_of(service, service_key, c) for c in chosen}
    told = asyncio.run(_outstanding(settings, chosen, known, services))
    failed = [t["error"] for t in told if "error" in t]
    late = [entry for t in told for entry in t.get("delayed", ())]
    if as_json:
        unreadable = [{"file": str(path), "why": str(why)} for path, why in known.unreadable]
        emit_json(
            {
                "wallet": wallet,
                "environment": settings.environment.value,
                "chains": [
                    {k: v for k, v in t.items() if k not in ("open", "line", "delayed")} for t in told
                ],
                "open": [entry for t in told for entry in t.get("open", ())],
                "delayed": late,
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
            f"\nchain {mine['chain_id']}: a {mine['kind']} signed by the account {mine['sender']} itself, nonce {mine['nonce']}, until {mine['deadline']}\n"
            f"{mine['tx_hash']}\nrevoke it  {mine['revoke']}"
        )
    for entry in late:
        print(
            f"\n{entry['chain']} Delay {entry['delay']} number {entry['number']}: {entry['state']}\n{entry['hash']}"
        )
        for line in entry["sentences"]:
            print(f"  {line}")
        print(f"revoke it  {entry['revoke']}")
    if not opened and not own and not late:
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
    settings: Settings, chains: list[Chain], known: Known, services: dict[int, ServiceAddress | None]
) -> list[dict[str, Any]]:
    import aiohttp

    from agent.app.multisig.delays import delays_of, unread
    from agent.app.multisig.delays import waiting as delayed
    from agent.app.multisig.outstanding import outstanding as look
    from agent.app.multisig.room import open_room
    from agent.app.multisig.words import decoded

    async def one(chain: Chain, session: aiohttp.ClientSession) -> dict[str, Any]:
        facts: dict[str, Any] = {"chain": chain.name, "chain_id": chain.chain_id}
        try:
            room = await open_room(settings, chain, session)
            now, found, wrong = await look(room, known, services[chain.chain_id])
            delays = await delays_of(room.gateway, now.state.modules)
            late = delayed(chain.name, room.wallet, delays)
            tokens = await room.tokens() if found or late else {}
        except FairleadError as error:
            if error.code == "NOT_A_SAFE":
                return facts | {"line": f"{chain.name} no Safe", "open": []}
            return facts | {"line": f"{chain.name} unreachable", "error": error_json(error)}
        for why in wrong:
            note(f"left out: the service tells {why}")
        for more in unread(delays):
            note(more)

        def shown(entry: Open) -> dict[str, Any]:
            return entry.json() | {"sentences": decoded(entry.document, tokens)}

        block = {"block": now.block.number, "nonce": now.state.nonce}
        named = {str(a): n for a, n in tokens.items()}
        waits = [one.json(chain.chain_id, named) for one in late]
        listed = [shown(entry) for entry in found]
        return facts | block | {"line": room.head_line(now.block), "open": listed, "delayed": waits}

    async with aiohttp.ClientSession() as session:
        return list(await asyncio.gather(*(one(chain, session) for chain in chains)))


def error_json(error: FairleadError) -> dict[str, str]:
    return {"code": error.code, "verb": error.verb, "message": error.message, "hint": error.hint}
