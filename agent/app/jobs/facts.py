"""What a hedging job is told: confirmed prices, what is held everywhere, liquidity positions, the loan. Unknown is never zero."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from decimal import Decimal, localcontext
from typing import TYPE_CHECKING

from agent.domain.errors import Denied, Retry
from agent.domain.instruments import erc20_id
from agent.domain.units import WIDE, qty_exact
from agent.hedging.liquidity import Range
from agent.hedging.policy import Debt
from chains.types import Address

if TYPE_CHECKING:
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


async def confirmed_px(app: App, symbol: str) -> Decimal | None:
    return (await confirmed_prices(app, [symbol])).get(symbol)


async def held(app: App, symbols: list[str], quote: str) -> dict[str, Decimal]:
    """Whole units over every place, by symbol. Raises Retry HOLDING_UNKNOWN where a place did not answer."""
    found: dict[str, Decimal] = {}
    for symbol in symbols:
        if symbol == quote:
            continue
        view = await app.market.view(symbol, quote)
        if silent := {**app.market.left_out, **app.unreachable}:
            where, why = next(iter(silent.items()))
            raise Retry(
                "HOLDING_UNKNOWN", f"what is held at {where} is not known: {why}", "`fairlead doctor` looks"
            )
        for name in (symbol, quote):
            with localcontext(WIDE):
                found[name] = sum(
                    (
                        qty_exact(view.inventory.get(asset, 0), app.directory.assets[asset].decimals)
                        for asset in app.directory.group(name)
                    ),
                    Decimal(0),
                )
    return found


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

    found = await chain_health(chain, app.gateways[chain.chain_id], Address(app.settings.wallet.address))
    if found is None or found.trouble or found.health is None:
        return None
    health = found.health
    collateral, debt = qty_exact(health.collateral_value_raw, 8), qty_exact(health.debt_value_raw, 8)
    if health.health_1e18 is None or not collateral:
        return Debt(collateral, Decimal(0), Decimal(0))
    with localcontext(WIDE):
        return Debt(collateral, debt, qty_exact(health.health_1e18, 18) * debt / collateral)
