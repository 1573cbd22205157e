"""What a hedging job takes for held: what is there, not what may be traded of it now; and nothing where a place does not answer."""

from __future__ import annotations

from decimal import Decimal
from types import SimpleNamespace
from typing import Any

import pytest

from agent.app.jobs.facts import held
from agent.app.live_market import LiveMarket
from agent.app.places import Directory
from agent.domain.errors import Retry
from agent.domain.instruments import Asset, AssetId, Place
from agent.domain.reports import Balance
from agent.market.view import MarketView
from chains.evm import word
from chains.types import Call, CallResult

WETH = AssetId("eip155:1/erc20:0xC02aaA39b223FE8D0A0e5C4F27eAD9083C756Cc2")
USDC = AssetId("eip155:1/erc20:0xA0b86991c6218b36c1d19D4a2e9Eb0cE3606eB48")
ETH_THERE, USDC_THERE = AssetId("cex:paper/ETH"), AssetId("cex:paper/USDC")
DIGITS = {WETH: 18, USDC: 6, ETH_THERE: 8, USDC_THERE: 8}
KNOWN = Directory(
    {"ETH": (WETH, ETH_THERE), "USDC": (USDC, USDC_THERE)},
    {asset: Asset(asset, asset[-4:], digits) for asset, digits in DIGITS.items()},
)
SETTINGS: Any = SimpleNamespace(chains=(), venue=lambda name: SimpleNamespace(symbols=("ETHUSDC",)))


class Exchange:
    silent = False

    async def balances(self) -> list[Balance]:
        if self.silent:
            raise Retry("NO_ANSWER", "paper does not answer")
        return [Balance(ETH_THERE, Decimal(5), Decimal(10)), Balance(USDC_THERE, Decimal(1))]


class Chain:
    quiet = False

    async def multicall(self, calls: list[Call], block: Any) -> Any:
        raw = [100 * 10**18, 7 * 10**6]
        return None, [CallResult(not self.quiet, word(n)) for n in raw[: len(calls)]]


def app_of(chain: Chain, exchange: Exchange) -> Any:
    async def no_trade(view: MarketView, groups: Any) -> MarketView:
        raise AssertionError("what may be traded is no measure of what is held")

    desk: Any = SimpleNamespace(place=Place("eip155:1"), wallet="0x" + "11" * 20, warm=chain, profile=SimpleNamespace(name="ethereum"))  # fmt: skip
    market = LiveMarket(SimpleNamespace(), SETTINGS, KNOWN, {1: desk}, {}, lambda: None)  # type: ignore[arg-type, return-value]
    market.narrow = no_trade
    return SimpleNamespace(settings=SETTINGS, chains={1: desk}, venues={"paper": exchange}, directory=KNOWN, market=market, unreachable={}, pretended={})  # fmt: skip


async def test_what_an_order_locks_and_what_the_agents_key_may_not_sell_is_held_all_the_same() -> None:
    assert await held(app_of(Chain(), Exchange()), ["ETH"], "USDC") == {
        "ETH": Decimal(115),
        "USDC": Decimal(8),
    }
    shadow = app_of(Chain(), Exchange())
    shadow.pretended = {ETH_THERE: Decimal(-3), USDC_THERE: Decimal(9000)}
    assert await held(shadow, ["ETH"], "USDC") == {"ETH": Decimal(112), "USDC": Decimal(9008)}


async def test_a_place_or_a_token_that_does_not_answer_is_not_counted_as_nothing() -> None:
    exchange, chain = Exchange(), Chain()
    exchange.silent = True
    with pytest.raises(Retry, match="paper") as refused:
        await held(app_of(Chain(), exchange), ["ETH"], "USDC")
    assert refused.value.code == "HOLDING_UNKNOWN"
    chain.quiet = True
    with pytest.raises(Retry, match="ethereum"):
        await held(app_of(chain, Exchange()), ["ETH"], "USDC")
    app = app_of(Chain(), Exchange())
    app.unreachable["other"] = "no connection"
    with pytest.raises(Retry, match="other"):
        await held(app, ["ETH"], "USDC")
