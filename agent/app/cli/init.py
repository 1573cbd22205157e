"""`fairlead init --watch 0xWALLET --rpc URL`: look at a wallet without any key, and write settings that watch it."""

from __future__ import annotations

import asyncio
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import click

from agent.app.cli.output import emit_json, header, table
from chains.errors import Usage
from chains.types import ZERO_ADDRESS

if TYPE_CHECKING:
    from agent.app.watching.approvals import Approval, Held
    from agent.app.watching.first_contact import Met


@click.command("init")
@click.option("--watch", "wallet", metavar="0xWALLET", help="The wallet: a Safe or an ordinary account.")
@click.option(
    "--rpc",
    "rpcs",
    multiple=True,
    metavar="[CHAIN=]URL",
    help="An RPC endpoint, or a reference such as env:NAME; once for each chain or endpoint.",
)
@click.option("--out", metavar="FILE", help="Where the settings go; the usual place by default.")
@click.option("--force", is_flag=True, help="Replace the file if it is there.")
@click.option("--json", "as_json", is_flag=True, help="One JSON document on stdout.")
@click.pass_context
def command(
    ctx: click.Context, wallet: str | None, rpcs: tuple[str, ...], out: str | None, force: bool, as_json: bool
) -> None:
    """Look at a wallet and write a settings file for it. No key is needed; nothing is sent but questions."""
    from agent.app import paths, template
    from agent.app.watching import first_contact as contact
    from agent.transport.clock import SystemClock

    example = "like `fairlead init --watch 0xWALLET --rpc https://… --rpc env:BASE_RPC`"
    if wallet is None:
        raise Usage("NO_WALLET", "--watch names no wallet", example)
    if not rpcs:
        raise Usage("NO_RPC", "--rpc names no endpoint", example)
    path = paths.settings_path(out or (ctx.find_object(dict) or {}).get("settings_path"))
    if path.exists() and not force:
        raise Usage(
            "SETTINGS_EXISTS",
            f"{path} is there already and was left as it is",
            "--out names another file, --force replaces it",
        )
    address = contact.wallet_address(wallet)
    environment, met = asyncio.run(contact.meet(address, rpcs))
    told = contact.warnings(met)
    kind = "a Safe" if contact.the_safe(met) else "an account"
    note = f"Written by `fairlead init`: {kind} to watch. Nothing here can sign."
    values = contact.settings_values(address, environment, met)
    told += [missing] if (missing := contact.unpriced(values)) else []
    template.write(values, path, note=note, replace=force)
    if as_json:
        emit_json(
            {
                "wallet": address,
                "environment": environment.value,
                "settings": str(path),
                "chains": [_json(m) for m in met],
                "warnings": told,
            }
        )
        return
    now = SystemClock().now_ns() // 10**9
    heads = ((m.profile.name, m.held.holdings.block) for m in met)
    blocks = " · ".join(f"{name} {b.number} ({max(now - b.timestamp, 0)} s)" for name, b in heads)
    header(environment.value, address, blocks)
    _show(met)
    for line in told:
        print(f"! {line}")
    print(f"\nwrote     {path}  (watch-only: nothing in it can sign)")
    named = "" if path == paths.default_settings() else f" --settings {path}"
    print(f"look      fairlead{named} positions · health · doctor")
    print(f"check     fairlead{named} config check")


def _show(met: list[Met]) -> None:
    from agent.app.watching.words import amount

    for line in _wallets(met):
        print(line)
    rows = []
    for m in met:
        rows.append([m.profile.name, m.profile.native, amount(m.held.holdings.native, 18), "native"])
        for token, raw in m.held.holdings.balances.items():
            if raw:
                rows.append([m.profile.name, m.held.tokens[token].symbol, _amount(m.held, token, raw), token])
    table(["chain", "asset", "balance", "token"], rows, right=[2])
    rows = [
        [m.profile.name, m.held.tokens[a.token].symbol, a.spender_name, _granted(m.held, a), _until(a)]
        for m in met
        for a in m.held.approvals
    ]
    if rows:
        table(["chain", "asset", "who may take it", "how much", "through"], rows, right=[3])
    else:
        print(" no approvals to the routers and vaults known here")
    for m in met:
        if m.lending is None or m.lending.empty or m.lending.found is None:
            continue
        data = m.lending.found.data
        unit = Decimal("1e-8")
        factor = (
            "no debt" if data.health_1e18 == 2**256 - 1 else f"{Decimal(data.health_1e18).scaleb(-18):.4f}"
        )
        print(
            f" Aave V3 on {m.profile.name}: {m.lending.state.value}, {data.collateral_base * unit:,.2f} USD supplied as collateral,"
            f" {data.debt_base * unit:,.2f} USD borrowed, health factor {factor}"
        )


def _wallets(met: list[Met]) -> list[str]:
    """What stands at the address, once for all chains where the same does."""
    told: dict[tuple[str, ...], list[str]] = {}
    for m in met:
        told.setdefault(tuple(_wallet(m)), []).append(m.profile.name)
    return [line for words, names in told.items() for line in ("", f" {', '.join(names)}", *words)]


def _wallet(m: Met) -> list[str]:
    from agent.app.multisig.delays import sentence, waiting

    safe = m.wallet.safe
    if safe is None:
        kind = {
            "EOA": "an ordinary account, or nothing yet",
            "OTHER": "a contract that is no known Safe",
            "DELEGATED_EOA": f"a key's account that runs the code of {m.wallet.delegate} (EIP-7702): whoever that code obeys can do all that the key can",
        }
        return [f"   wallet     {kind.get(m.wallet.kind.value, m.wallet.kind.value)}"]
    guard = "none" if safe.guard == ZERO_ADDRESS else safe.guard
    return [
        f"   wallet     Safe {safe.version}, {safe.threshold} of {len(safe.owners)} must sign",
        *(f"   owner      {owner}" for owner in safe.owners),
        *(f"   module     {module}  can spend without any owner" for module in safe.modules),
        *(f"   delay      {sentence(delay, m.wallet.address)}" for delay in m.delays),
        *(
            f"   waits      number {one.queued.number}: {one.state}; {line}"
            for one in waiting(m.profile.name, m.wallet.address, m.delays)
            for line in one.sentences(m.profile.chain_id, {})
        ),
        f"   modules    {'see above' if safe.modules else 'none'} · guard {guard} · fallback handler {_handler(m)}",
    ]


def _handler(m: Met) -> str:
    safe = m.wallet.safe
    if safe is None or safe.fallback_handler == ZERO_ADDRESS:
        return "none"
    official = safe.fallback_handler == m.profile.contracts.get("safe_fallback_handler")
    return "official 1.4.1" if official else safe.fallback_handler


def _amount(held: Held, token: Any, raw: int) -> str:
    from agent.app.watching.words import amount

    decimals = held.tokens[token].decimals
    return f"{raw} raw" if decimals is None else amount(raw, decimals)


def _granted(held: Held, approval: Approval) -> str:
    return "unlimited" if approval.unlimited else _amount(held, approval.token, approval.amount_raw)


def _until(approval: Approval) -> str:
    if not approval.via:
        return "the token"
    from datetime import UTC, datetime

    until = approval.expires_s or 0
    if until > 253_402_300_799:
        return "Permit2, for ever"
    return f"Permit2, until {datetime.fromtimestamp(until, UTC):%Y-%m-%d %H:%M} UTC"


def _json(m: Met) -> dict[str, Any]:
    from agent.margin.accounts import health_json

    chain, safe = f"eip155:{m.profile.chain_id}", m.wallet.safe
    told: dict[str, Any] = {
        "chain": chain,
        "name": m.profile.name,
        "block": m.held.holdings.block.number,
        "kind": m.wallet.kind.value,
        "delegate": m.wallet.delegate,
        "safe": None,
    }
    if safe is not None:
        told["safe"] = {
            "version": safe.version,
            "owners": list(safe.owners),
            "threshold": safe.threshold,
            "nonce": safe.nonce,
            "modules": list(safe.modules),
            "guard": None if safe.guard == ZERO_ADDRESS else safe.guard,
            "fallback_handler": None if safe.fallback_handler == ZERO_ADDRESS else safe.fallback_handler,
        }
    balances = [
        {
            "asset": f"{chain}/slip44:60",
            "symbol": m.profile.native,
            "balance_raw": str(m.held.holdings.native),
        }
    ]
    balances += [
        {"asset": f"{chain}/erc20:{t}", "symbol": m.held.tokens[t].symbol, "balance_raw": str(raw)}
        for t, raw in m.held.holdings.balances.items()
    ]
    told["balances"] = balances
    told["approvals"] = [
        {
            "asset": f"{chain}/erc20:{a.token}",
            "spender": a.spender,
            "spender_name": a.spender_name,
            "amount_raw": str(a.amount_raw),
            "unlimited": a.unlimited,
            "via": a.via or "token",
            "expires": a.expires_s,
        }
        for a in m.held.approvals
    ]
    from agent.app.multisig.delays import waiting

    delayed = waiting(m.profile.name, m.wallet.address, m.delays)
    told["delays"] = [d.address for d in m.delays]
    told["delayed"] = [one.json(m.profile.chain_id, {}) for one in delayed]
    lending = m.lending
    told["lending"] = None
    if lending is not None:
        health = None if lending.trouble else lending.health
        told["lending"] = health_json(
            f"aave_v3:{chain}", lending.model or "aave_v3", health, 8, lending.trouble
        )
    return told
