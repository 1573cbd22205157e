"""`fairlead wallet`: what stands at the wallet's address on every configured chain, as the chains themselves say it."""

from __future__ import annotations

import asyncio
import importlib
from typing import TYPE_CHECKING, Any

import click

from agent.app.cli.groups import Sentences
from agent.app.cli.output import emit_json, header, table
from chains.errors import FairleadError, Usage
from chains.types import ZERO_ADDRESS, Address

if TYPE_CHECKING:
    from agent.app.settings import Chain, Settings


ELSEWHERE = {
    "propose": "wallet_propose:propose",
    "sign": "wallet_sign:sign",
    "merge": "wallet_sign:merge",
    "execute": "wallet_execute:execute",
    "outstanding": "wallet_look:outstanding",
    "approvals": "wallet_approvals:approvals",
    "create": "wallet_create:create",
    "scope": "wallet_scope:scope",
    "audit": "wallet_scope:audit",
    "renew": "wallet_scope:renew",
    "rotate-agent": "wallet_scope:rotate_agent",
    "freeze": "wallet_scope:freeze",
    "delegate": "wallet_delegate:delegate",
    "operate": "wallet_operate:operate",
    "executor": "wallet_executor:executor",
    "flash": "wallet_executor:flash",
}


class WalletGroup(Sentences):
    """Its commands are files of their own, imported when they are used."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return [*super().list_commands(ctx), *ELSEWHERE]

    def get_command(self, ctx: click.Context, name: str) -> click.Command | None:
        if name not in ELSEWHERE:
            return super().get_command(ctx, name)
        module, _, attribute = ELSEWHERE[name].partition(":")
        found: click.Command = getattr(importlib.import_module(f"agent.app.cli.{module}"), attribute)
        return found


@click.group("wallet", cls=WalletGroup)
def command() -> None:
    """The wallet: what stands there, and what its owners propose, sign and execute."""


@command.command()
@click.argument("address", required=False)
@click.option("--json", "as_json", is_flag=True, help="One JSON document.")
@click.pass_context
def show(ctx: click.Context, address: str | None, as_json: bool) -> None:
    """Kind, owners, threshold, nonce, modules and guard on each chain; ADDRESS is the settings' wallet by default."""
    from agent.app.cli.common import load_settings
    from agent.transport.clock import SystemClock
    from contracts.hashing import to_checksum

    settings = load_settings(ctx)
    try:
        wallet = Address(to_checksum(address)) if address else Address(settings.wallet.address)
    except ValueError as error:
        raise Usage("BAD_ADDRESS", str(error), "Give a 0x address.") from None
    facts = asyncio.run(_all(settings, wallet))
    if as_json:
        emit_json({"wallet": wallet, "environment": settings.environment.value, "chains": facts})
        return
    now = SystemClock().now_ns() // 10**9
    heads = [
        f"{f['chain']} {f['block']} ({max(now - f['timestamp'], 0)} s)"
        if "block" in f
        else f"{f['chain']} unreachable"
        for f in facts
    ]
    header(settings.environment.value, wallet, " · ".join(heads))
    table(
        ("chain", "kind", "version", "owners", "needs", "nonce", "modules", "guard", "remarks"),
        [_row(f) for f in facts],
    )


def _row(facts: dict[str, Any]) -> tuple[str, ...]:
    if "error" in facts:
        return (facts["chain"], "UNKNOWN", "", "", "", "", "", "", facts["error"]["message"])
    if "owners" not in facts:
        return (facts["chain"], facts["kind"], "", "", "", "", "", "", facts.get("what", ""))
    remarks = "; ".join(facts["remarks"])
    guard = "none" if facts["guard"] is None else facts["guard"]
    modules = "\n".join(facts["modules"]) or "none"
    return (
        facts["chain"],
        facts["kind"],
        facts["version"],
        "\n".join(facts["owners"]),
        f"{facts['threshold']} of {len(facts['owners'])}",
        str(facts["nonce"]),
        modules,
        guard,
        remarks,
    )


async def _all(settings: Settings, wallet: Address) -> list[dict[str, Any]]:
    import aiohttp

    async with aiohttp.ClientSession() as session:
        return list(
            await asyncio.gather(*(_one(settings, chain, wallet, session) for chain in settings.chains))
        )


async def _one(settings: Settings, chain: Chain, wallet: Address, session: Any) -> dict[str, Any]:
    from agent.app.endpoints import call_endpoints
    from chains.gateway import Gateway
    from chains.rpc import Rpc
    from chains.wallets import identify

    facts: dict[str, Any] = {"chain": chain.name, "chain_id": chain.chain_id}
    try:
        rpcs = [Rpc(url, session) for url in call_endpoints(chain)]
        found = await identify(Gateway(chain.chain_id, rpcs), wallet)
    except FairleadError as error:
        return facts | {
            "error": {"code": error.code, "verb": error.verb, "message": error.message, "hint": error.hint}
        }
    facts |= {"kind": found.kind.value, "block": found.block.number, "timestamp": found.block.timestamp}
    if found.safe is None:
        return facts | ({"claims_version": found.claims, "what": found.what} if found.claims else {})
    safe = found.safe
    return facts | {
        "version": safe.version,
        "owners": list(safe.owners),
        "threshold": safe.threshold,
        "nonce": safe.nonce,
        "modules": list(safe.modules),
        "guard": None if safe.guard == ZERO_ADDRESS else safe.guard,
        "fallback_handler": safe.fallback_handler,
        "remarks": _remarks(settings, wallet, safe),
    }


def _remarks(settings: Settings, wallet: Address, safe: Any) -> list[str]:
    """Where the chain and the settings differ, and what can act without the owners."""
    remarks = []
    if safe.modules:
        remarks.append("modules can spend without any owner's signature")
    if wallet == settings.wallet.address:
        known = {o.address for o in settings.wallet.owners}
        if foreign := sorted(known - set(safe.owners)):
            remarks.append(f"the settings name {', '.join(foreign)}, which is no owner")
        if settings.wallet.owners and safe.threshold != settings.wallet.threshold:
            remarks.append(
                f"the settings say {settings.wallet.threshold} must sign, the Safe says {safe.threshold}"
            )
    return remarks
