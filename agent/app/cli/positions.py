"""`fairlead positions`: balances in every place, their value, average cost, realised and unrealised P&L."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from agent.app.cli.output import emit_json, header, plain, table

if TYPE_CHECKING:
    from contextlib import AsyncExitStack

    from agent.app.settings_tree import Settings
    from agent.app.watching.positions import Overview
    from agent.app.wiring import App


@click.command("positions")
@click.option("--json", "as_json", is_flag=True, help="One JSON document on stdout.")
@click.pass_context
def command(ctx: click.Context, as_json: bool) -> None:
    """Balances in every place with their value in USD, and the profit and loss of what was traded."""
    from dataclasses import replace

    from agent.app.bridging.flying import held_flying
    from agent.app.cli.common import load_settings, with_app
    from agent.app.readonly import read_book
    from agent.app.watching.exits import exits_json, exits_lines, unprotected_json, unprotected_lines
    from agent.app.watching.positions import Prices, overview
    from agent.app.watching.reading import head_words

    settings = load_settings(ctx)
    book = read_book(settings)

    async def work(app: App, stack: AsyncExitStack) -> tuple[Overview, int]:
        prices = Prices(settings, app.directory, await app.oracles.prices(), app.clock.now_ns())
        found = await overview(
            settings, app.directory, app.gateways, app.venues, prices, book, app.unreachable
        )
        flying = held_flying(settings, book, app.directory, prices)
        return replace(found, held=(*found.held, *flying)), app.clock.now_ns() // 10**9

    found, now_s = with_app(settings, work)
    if as_json:
        told = _json(settings, found, has_journal=book is not None)
        exits = {"exits": exits_json, "unprotected": unprotected_json}
        emit_json(told | {name: rows(book) if book is not None else [] for name, rows in exits.items()})
        return
    header(settings.environment.value, settings.wallet.address, head_words(found.heads, now_s))
    _show(found, has_journal=book is not None)
    for line in (*exits_lines(book), *unprotected_lines(book)) if book is not None else ():
        print(f" {line}")


def _show(found: Overview, has_journal: bool) -> None:
    from agent.app.watching.words import quantity, quantity_up, usd

    rows = [[h.where, h.symbol, quantity(h.qty), usd(h.px_usd, 4), usd(h.value_usd)] for h in found.held]
    table(["place", "asset", "quantity", "price USD", "value USD"], rows, right=[2, 3, 4])
    rest = (
        f" and UNKNOWN: {', '.join(found.unpriced)} (no two independent fresh prices)"
        if found.unpriced
        else ""
    )
    missing = f" without {', '.join(found.unreachable)}" if found.unreachable else ""
    print(f" total {usd(found.total_usd)} USD{missing}{rest}\n")
    if found.profits:
        rows = []
        for p in found.profits:
            cost = "" if p.avg_px is None else usd(p.avg_px, 4)
            gain = "" if p.avg_px is None else usd(p.unrealised)
            rows.append([p.symbol, quantity(p.qty), cost, usd(p.px_usd, 4), usd(p.realised), gain])
        columns = ["traded", "quantity", "average cost", "price USD", "realised", "unrealised"]
        table(columns, rows, right=[1, 2, 3, 4, 5])
    else:
        print(" nothing traded yet" if has_journal else " no journal yet: nothing was traded from here")
    for name, (coin, qty, worth) in found.gas.items():
        print(f" gas paid on {name}: {quantity_up(qty)} {coin} ({usd(worth)} USD), not in the P&L above")
    for name, why in found.unreachable.items():
        print(f"! {name}: UNKNOWN, {why}")


def _json(settings: Settings, found: Overview, has_journal: bool) -> dict[str, Any]:
    from agent.app.follow import instant

    chains: list[dict[str, Any]] = []
    for chain in settings.chains:
        head = found.heads.get(chain.name)
        known = None if head is None or isinstance(head, str) else head
        chains.append(
            {
                "chain": f"eip155:{chain.chain_id}",
                "block": known.number if known else None,
                "timestamp": known.timestamp if known else None,
            }
        )
    return {
        "environment": settings.environment.value,
        "wallet": settings.wallet.address,
        "chains": chains,
        "balances": [
            {
                "place": h.place,
                "where": h.where,
                "asset": h.asset,
                "symbol": h.symbol,
                "qty": plain(h.qty),
                "px_usd": None if h.px_usd is None else plain(h.px_usd),
                "value_usd": None if h.value_usd is None else plain(h.value_usd),
            }
            for h in found.held
        ],
        "total_usd": plain(found.total_usd),
        "unpriced": found.unpriced,
        "positions": [
            {
                "symbol": p.symbol,
                "qty": plain(p.qty),
                "avg_px": None if p.avg_px is None else plain(p.avg_px),
                "px_usd": None if p.px_usd is None else plain(p.px_usd),
                "realised": plain(p.realised),
                "unrealised": None if p.unrealised is None else plain(p.unrealised),
            }
            for p in found.profits
        ],
        "gas_paid": [
            {
                "place": name,
                "symbol": coin,
                "qty": plain(qty),
                "value_usd": None if worth is None else plain(worth),
            }
            for name, (coin, qty, worth) in found.gas.items()
        ],
        "journal": has_journal,
        "sources": {
            symbol: [{"source": s.source, "px": plain(s.px), "at": instant(s.at_s * 10**9)} for s in sources]
            for symbol, sources in found.sources.items()
        },
        "unreachable": dict(found.unreachable),
    }
