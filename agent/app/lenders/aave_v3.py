"""Aave V3, and markets of its kind: the pool's calls, its own health factor, the sources of its prices."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from agent.app.lenders.lender import SeenLoan
from agent.app.rescue.doubts import Doubt, stale_doubts
from agent.app.settings_tree import Chain
from agent.app.watching.aave import chain_health, market_of, name_of
from agent.domain.instruments import AssetId, erc20_id
from agent.execution.settlement import token_of
from agent.margin.aave_moves import REPAY_WITH
from chains.gateway import Gateway
from chains.lending.aave_v3 import AaveAccount, account_data
from chains.profile import Aave
from chains.types import Address, BlockRef, Call, ViewReader
from contracts.codec import decode_result, encode

VARIABLE = 2  # DataTypes.InterestRateMode.VARIABLE
UINT_MAX = 2**256 - 1
AAVE_ERRORS = {
    "26": "the amount is zero (26)",
    "27": "the reserve is not active (27)",
    "28": "the reserve is frozen (28)",
    "29": "the reserve is paused (29)",
    "30": "the asset cannot be borrowed (30)",
    "32": "more than is supplied (32)",
    "34": "there is no collateral: supply some first (34)",
    "35": "the health factor would fall below 1 (35)",
    "36": "the collateral does not cover a new borrow (36)",
    "39": "there is no debt in this asset (39)",
    "43": "the underlying balance is zero (43)",
    "50": "the reserve's borrow cap is reached (50)",
    "51": "the reserve's supply cap is reached (51)",
    "57": "the loan-to-value of the collateral does not allow it (57)",
    "reverted without a reason": "reverted without a reason; does the wallet hold that much on this chain?",
}
"""The revert strings of Aave V3's `Errors` library that a lending action meets, in words."""


@dataclass(frozen=True)
class AaveV3:
    """`pool` is that of [[chains]] lending_pools, None for the chain's own Aave market, which is `market`."""

    chain: Chain
    market: Aave
    pool: Address | None = None

    @property
    def words(self) -> str:
        return "Aave V3" if self.pool is None else f"the Aave V3 market {self.pool}"

    @property
    def contract(self) -> Address:
        return self.market.pool

    @property
    def errors(self) -> Mapping[str, str]:
        return AAVE_ERRORS

    def calls(
        self, verb: str, token: Address, raw: int, wallet: Address, seen: SeenLoan | None, time_s: int
    ) -> tuple[Call, ...]:
        """A repayment of more than is owed takes what is owed, and what it leaves approved is taken back."""
        pool = self.market.pool
        approve = Call(token, encode("erc20", "approve", (pool, raw)))
        if verb == "supply":
            return (approve, Call(pool, encode("aave_v3_pool", "supply", (token, raw, wallet, 0))))
        if verb == "borrow":
            return (Call(pool, encode("aave_v3_pool", "borrow", (token, raw, VARIABLE, 0, wallet))),)
        if verb == "repay":
            act = encode("aave_v3_pool", "repay", (token, raw, VARIABLE, wallet))
            return (approve, Call(pool, act), Call(token, encode("erc20", "approve", (pool, 0))))
        if verb == REPAY_WITH:
            return (Call(pool, encode("aave_v3_pool", "repayWithATokens", (token, raw, VARIABLE))),)
        return (Call(pool, encode("aave_v3_pool", "withdraw", (token, raw, wallet))),)

    def asked(self, wallet: Address) -> tuple[Call, ...]:
        return (Call(self.market.pool, encode("aave_v3_pool", "getUserAccountData", (wallet,))),)

    def health(self, answers: Sequence[bytes], seen: SeenLoan | None, time_s: int) -> int | None:
        factor = int(decode_result("aave_v3_pool", "getUserAccountData", answers[0])[5])
        return None if factor == UINT_MAX else factor

    async def look(self, gateway: ViewReader, wallet: Address) -> SeenLoan | None:
        one = await chain_health(self.chain, gateway, wallet, self.pool)
        if one is None:
            return None
        rows = one.found.reserves if one.found is not None else ()
        frozen = frozenset(erc20_id(self.chain.chain_id, r.asset) for r in rows if r.frozen)
        return SeenLoan(
            name_of(one), one.chain, one.found, one.account, one.engine, one.health, one.symbols, one.trouble, one.empty, frozen
        )  # fmt: skip

    async def health_at(self, gateway: Gateway, wallet: Address, block: BlockRef) -> int | None:
        data = await account_data(gateway, self.market, wallet, block.number)
        return None if data.health_1e18 == UINT_MAX else data.health_1e18

    async def stale(
        self, gateway: Gateway, seen: SeenLoan, limit_s: Callable[[Address | None], int]
    ) -> list[Doubt]:
        if not isinstance(seen.found, AaveAccount) or not seen.found.reserves:
            return []
        names = {token_of(AssetId(asset)): symbol for asset, symbol in seen.symbols.items()}
        assets = {r.asset: names.get(r.asset, r.asset) for r in seen.found.reserves}
        return await stale_doubts(gateway, self.market.oracle, assets, limit_s)


async def lender(chain: Chain, gateway: Gateway, pool: Address | None = None) -> AaveV3 | None:
    """None where the chain has no such market."""
    market = await market_of(chain, gateway, pool)
    return None if market is None else AaveV3(chain, market, pool)
