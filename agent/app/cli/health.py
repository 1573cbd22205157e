"""`fairlead health [FILE]`: collateral health as the protocol itself computes it, and where liquidation begins."""

from __future__ import annotations

import asyncio
import sys
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from agent.app.cli.output import emit_json, header, note, plain, table
from chains.errors import Usage

if TYPE_CHECKING:
    from agent.app.watching.aave import ChainHealth
    from agent.app.watching.reading import Reading
    from agent.margin.accounts import Judged
    from agent.margin.model import Health, LiquidationPx


@click.command("health")
@click.argument("file", required=False)
@click.option("--json", "as_json", is_flag=True, help="One JSON document on stdout.")
@click.pass_context
def command(ctx: click.Context, file: str | None, as_json: bool) -> None:
    """Health factor, liquidation price per asset and state: of the settings' wallet on every chain, or of an accounts/1 FILE."""
    if file is not None:
        _file(file, as_json)
        return
    from agent.app.cli.common import load_settings
    from agent.app.watching.reading import head_words, read

    settings = load_settings(ctx)
    found, heads, now_s = read(settings, _chains)
    if as_json:
        emit_json(
            {
                "environment": settings.environment.value,
                "wallet": settings.wallet.address,
                "accounts": [_live_json(one) for one in found],
            }
        )
        return
    header(settings.environment.value, settings.wallet.address, head_words(heads, now_s))
    if not found:
        print("\nnone of the configured chains has an Aave market")
    for one in found:
        _show_chain(one)


async def _chains(reading: Reading) -> tuple[list[ChainHealth], Any, int]:
    from agent.app.watching.aave import chain_health
    from chains.types import Address

    wallet = Address(reading.settings.wallet.address)
    asked = [chain_health(c, reading.gateways[c.chain_id], wallet) for c in reading.settings.chains]
    found, heads = await asyncio.gather(asyncio.gather(*asked), reading.heads())
    return [one for one in found if one is not None], heads, reading.now_s


# ---- an accounts/1 file


def _file(file: str, as_json: bool) -> None:
    from agent.margin.accounts import health_json, judge_text

    judged = judge_text(_text(file))
    if as_json:
        emit_json(
            {"accounts": [health_json(j.id, j.model, j.health, j.price_decimals, j.why) for j in judged]}
        )
        return
    header("file", Path(file).name if file != "-" else "standard input", f"{len(judged)} accounts")
    for one in judged:
        print(f"\n{one.id} · {one.model} · {one.chain} · {_coloured(one.state.value)}")
        if one.health is None:
            print(f"  {one.why}")
            continue
        _summary(one.health)
        _prices(one)


def _text(file: str) -> bytes:
    try:
        return sys.stdin.buffer.read() if file == "-" else Path(file).read_bytes()
    except FileNotFoundError:
        raise Usage("NO_SUCH_FILE", f"there is no file {file}", "name an accounts/1 file") from None
    except OSError as problem:
        why = f"{file} cannot be read: {problem.strerror}"
        raise Usage("UNREADABLE_FILE", why, "name an accounts/1 file") from None


def _prices(one: Judged) -> None:
    assert one.health is not None
    rows = []
    for px in one.health.liquidation_px:
        now = plain(Decimal(px.now_raw).scaleb(-one.price_decimals))
        rows.append([one.symbols.get(px.asset, px.asset), now, *_liquidation(px)])
    table(["asset", "price USD", "liquidated", "distance"], rows, right=[1, 3])


def _liquidation(found: LiquidationPx) -> list[str]:
    """Shortened the safe way: what is shown is reached no later than the exact price, which --json tells."""
    from agent.app.watching.words import quantity, quantity_up

    if found.px_raw is None:
        return ["at no price", ""]
    px, places = Decimal(found.px_raw).scaleb(-8), 4 if found.px_raw >= 10**8 else 8
    shown = quantity_up(px, places) if found.side.value == "below" else quantity(px, places)
    distance = found.distance_pct_down
    sign = "-" if found.side.value == "below" else "+"
    return [f"{found.side.value} {shown}", f"{sign}{plain(distance)} %" if distance else "passed"]


# ---- the settings' wallet


def _show_chain(one: ChainHealth) -> None:
    from agent.app.watching.words import amount, quantity_up
    from agent.domain.units import qty_exact

    print(f"\naave v3 on {one.chain.name} · {_coloured(one.state.value)}")
    if one.trouble:
        print(f"  {one.trouble}")
    if one.found is not None and not one.found.reserves:
        print("  nothing supplied and nothing borrowed")
        return
    if one.account is not None and one.health is not None and one.found is not None:
        at = one.found.block.timestamp
        rows = []
        for r, px in zip(one.account.reserves, one.health.liquidation_px, strict=True):
            supply, debt, price = one.engine.supply_raw(r, at), one.engine.debt_raw(r, at), px.now_raw
            used = bool(supply) and one.engine.counts(r)
            counts = f"{plain(Decimal(one.account.threshold_bps(r)).scaleb(-2))} %" if used else "not"
            rows.append(
                [
                    one.symbols.get(r.asset, r.asset),
                    amount(supply, r.decimals, 4) if supply else "",
                    counts if supply else "",
                    quantity_up(qty_exact(debt, r.decimals), 4) if debt else "",
                    plain(Decimal(price).scaleb(-8)),
                    *_liquidation(px),
                ]
            )
        columns = ["asset", "supplied", "counts", "borrowed", "price USD", "liquidated", "distance"]
        table(columns, rows, right=[1, 2, 3, 4, 6])
        _summary(one.health)
    if one.found is not None:
        theirs = one.found.data.health_1e18
        told = "no debt" if theirs == 2**256 - 1 else plain(Decimal(theirs).scaleb(-18))
        verdict = {True: "equal to the last digit", False: "NOT EQUAL", None: "not computed here"}[one.equal]
        print(f"  contract says   {told}   ({verdict}, block {one.found.block.number})")
    if one.equal is False:
        note("the model and the contract differ: trust the contract, and treat this account as unknown")


def _summary(health: Health) -> None:
    from agent.app.watching.words import age, usd

    unit = Decimal("1e-8")
    factor = "none: no debt" if health.health_1e18 is None else plain(Decimal(health.health_1e18).scaleb(-18))
    print(f"  health factor   {factor}")
    print(f"  collateral      {usd(health.collateral_value_raw * unit)} USD")
    print(f"  debt            {usd(health.debt_value_raw * unit)} USD")
    if health.distance_pct_down:
        print(f"  distance        {plain(health.distance_pct_down)} % of one price")
    if health.seconds_to_liquidation:
        print(f"  by interest     {age(health.seconds_to_liquidation)} at today's prices and rates")


def _live_json(one: ChainHealth) -> dict[str, Any]:
    from agent.margin.accounts import health_json

    health = None if one.trouble else one.health
    name = f"aave_v3:eip155:{one.chain.chain_id}"
    told = health_json(name, one.model or "aave_v3", health, one.engine.price_decimals, one.trouble)
    told |= {
        "chain": f"eip155:{one.chain.chain_id}",
        "block": None,
        "timestamp": None,
        "contract": None,
        "equal": one.equal,
    }
    if one.found is None:
        return told
    data, at = one.found.data, one.found.block.timestamp
    told |= {"block": one.found.block.number, "block_hash": one.found.block.hash, "timestamp": at}
    told["contract"] = {
        "health_1e18": None if data.health_1e18 == 2**256 - 1 else str(data.health_1e18),
        "collateral_value_raw": str(data.collateral_base),
        "debt_value_raw": str(data.debt_base),
        "available_borrows_raw": str(data.available_borrows_base),
        "ltv_bps": data.ltv_bps,
        "liquidation_threshold_bps": data.liquidation_threshold_bps,
        "revision": one.found.revision,
    }
    told["positions"] = [
        {
            "asset": r.asset,
            "symbol": one.symbols.get(r.asset, ""),
            "supplied_raw": str(one.engine.supply_raw(r, at)),
            "debt_raw": str(one.engine.debt_raw(r, at)),
            "collateral_enabled": r.collateral_enabled,
            "price_1e8": str(r.price_1e8),
        }
        for r in (one.account.reserves if one.account else ())
    ]
    return told


def _coloured(state: str) -> str:
    if not sys.stdout.isatty():
        return state
    return {"SAFE": "\033[32m", "AT_RISK": "\033[33m"}.get(state, "\033[1;31m") + state + "\033[0m"
