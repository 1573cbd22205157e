"""What a hedging job is told: confirmed prices, what is held everywhere, liquidity positions, the loan. Unknown is never zero."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping
from decimal import Decimal, localcontext
from typing import TYPE_CHECKING

from agent.domain.errors import Denied, FairleadError, Retry
from agent.domain.instruments import AssetId, erc20_id
from agent.domain.units import WIDE, qty_exact
from agent.hedging.liquidity import Range
from agent.hedging.policy import Debt
from chains.types import Address

if TYPE_CHECKING:
    from agent.app.chain_desk import ChainDesk
    from agent.app.settings_tree import Chain
    from agent.app.wiring import App


async def confirmed_prices(app: App, symbols: Iterable[str]) -> dict[str, Decimal]:
    """In USD, where two independent fresh sources gave one: by the rule that orders are reviewed with."""
    from agent.app.watching.positions import Prices

    prices = Prices(app.settings, app.directory, await app.oracles.prices(), app.clock.now_ns())
    found = {}
    for symbol in symbols:
        group = app.directory.group(symbol)
        px = prices.px(symbol) or next((p for a in group if (p := prices.px(symbol, a))), None)
        if px is not None:
            found[symbol] = px
    return found


async def crossed_px(app: App, symbol: str, below: bool) -> Decimal | None:
    """The price that more than half of the fresh independent sources, both of two, stand at or beyond: no source alone carries it past a
    level, as it would a mean. None where fewer than two are fresh.
    """
    from agent.app.watching.positions import Prices

    prices = Prices(app.settings, app.directory, await app.oracles.prices(), app.clock.now_ns())
    found = sorted((price.px for price in prices.fresh(symbol)), reverse=not below)
    return found[len(found) // 2] if len(found) > 1 else None


async def confirmed_px(app: App, symbol: str) -> Decimal | None:
    return (await confirmed_prices(app, [symbol])).get(symbol)


async def held(app: App, symbols: list[str], quote: str) -> dict[str, Decimal]:
    """Whole units over every place, by symbol: all that is there, also what open orders lock at an exchange and what the agent's own key
    may not sell now. Raises Retry HOLDING_UNKNOWN where a place did not answer.
    """
    from agent.app.watching.positions import balances_of_venues

    names = tuple(dict.fromkeys((*symbols, quote)))
    wanted = [asset for name in names for asset in app.directory.group(name)]
    asked = {n: v for n, v in app.venues.items() if (c := app.settings.venue(n)) is not None and c.symbols}
    desks = tuple(app.chains.values())
    at_venues, on_chains = await asyncio.gather(
        balances_of_venues(asked, app.directory.assets),
        asyncio.gather(*(_on_chain(app, desk, wanted) for desk in desks)),
    )
    silent, found = dict(app.unreachable), dict[AssetId, Decimal]()
    chains = {desk.profile.name: told for desk, told in zip(desks, on_chains, strict=True)}
    for where, told in {**at_venues, **chains}.items():
        if isinstance(told, str):
            silent[where] = told
        else:
            found |= dict(told)
    if silent:
        where, why = next(iter(silent.items()))
        raise Retry(
            "HOLDING_UNKNOWN", f"what is held at {where} is not known: {why}", "`fairlead doctor` looks"
        )
    moved = app.pretended
    with localcontext(WIDE):
        return {
            name: sum(
                (
                    found.get(asset, Decimal(0)) + moved.get(asset, Decimal(0))
                    for asset in app.directory.group(name)
                ),
                Decimal(0),
            )
            for name in names
        }


async def _on_chain(app: App, desk: ChainDesk, wanted: list[AssetId]) -> list[tuple[AssetId, Decimal]] | str:
    """The wallet's tokens on one chain, or why they are not known."""
    tokens = [asset for asset in dict.fromkeys(wanted) if asset.startswith(f"{desk.place}/erc20:")]
    if not tokens:
        return []
    try:
        raw = await app.market.balances(desk, tokens)
    except FairleadError as error:
        if error.verb == "HALT":
            raise
        return str(error)
    if quiet := [token for token in tokens if token not in raw]:
        return f"{app.directory.assets[quiet[0]].symbol} does not answer"
    return [(token, qty_exact(raw[token], app.directory.assets[token].decimals)) for token in tokens]


def chain_named(app: App, given: Mapping[str, str]) -> Chain:
    """The chain a policy's own key names, the first where it names none. Raises Denied NO_CHAIN."""
    name = given.get("chain", app.settings.chains[0].name)
    chain = app.settings.chain(name)
    if chain is None:
        raise Denied("NO_CHAIN", f"the settings have no chain '{name}'", "check hedge_with.chain")
    return chain


async def ranges(
    app: App, chain: Chain, ids: tuple[int, ...], called: tuple[str, ...] = ()
) -> tuple[Range, ...]:
    """The positions at one block; a token in the group of one of the names in `called` goes by that. Raises Denied NOT_OURS where the wallet does not own one: it would be hedged for somebody else."""
    from chains.v3_positions import read_positions

    read = await read_positions(app.gateways[chain.chain_id], ids)
    wallet = Address(app.settings.wallet.address)
    found = []
    for one in read:
        if one.owner != wallet:
            raise Denied(
                "NOT_OURS", f"position {one.token_id} belongs to {one.owner}", "check hedge_with.positions"
            )
        assets = [erc20_id(chain.chain_id, token) for token in one.tokens]
        if any(asset not in app.directory.assets for asset in assets):
            raise Denied(
                "UNKNOWN_ASSET",
                f"position {one.token_id} holds a token that is no asset of the settings",
                "add it to [assets]",
            )
        names = [
            next((c for c in called if asset in app.directory.group(c)), app.directory.symbol_of(asset) or "")
            for asset in assets
        ]
        digits = [app.directory.assets[asset].decimals for asset in assets]
        found.append(
            Range(
                str(one.token_id), one.liquidity, one.tick_lower, one.tick_upper, one.sqrt_price_x96,
                (names[0], names[1]), (digits[0], digits[1]), one.owed_raw,
            )
        )  # fmt: skip
    return tuple(found)


async def loan(app: App, chain: Chain) -> Debt | None:
    """The wallet's account at the chain's Aave market; None where it cannot be told."""
    from agent.app.watching.aave import chain_health

    found = await chain_health(
        chain, app.chains[chain.chain_id].account_view(), Address(app.settings.wallet.address)
    )
    if found is None or found.trouble or found.health is None:
        return None
    health = found.health
    collateral, debt = qty_exact(health.collateral_value_raw, 8), qty_exact(health.debt_value_raw, 8)
    if health.health_1e18 is None or not collateral:
        return Debt(collateral, Decimal(0), Decimal(0))
    with localcontext(WIDE):
        return Debt(collateral, debt, qty_exact(health.health_1e18, 18) * debt / collateral)
