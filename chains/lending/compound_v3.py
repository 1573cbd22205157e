"""A Compound III account as plain integers, all of one block: principal, indices and rates, collateral, factors, prices of the feeds.

Units: prices as the market's feeds give them (8 decimals, of dollars or of what the market counts in), factors in 1e18, rates a second
in 1e18, indices in 1e15. Layouts: Comet's UserBasic, TotalsBasic and AssetInfo. The contract's own two answers, which it gives for the
*stored* index, stand beside, to check against.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial

from chains.answers import at_same_block, words_of
from chains.errors import Retry
from chains.evm import address_of, call_data, word
from chains.types import Address, BlockRef, Call, ViewReader

MOST_ASSETS = 24

_words = partial(words_of, "the Compound III market", "is the market's address right for this chain?")


@dataclass(frozen=True, slots=True)
class CometMarket:
    """`feeds` are the price feeds of the base asset and of every collateral asset, by asset."""

    comet: Address
    base: Address
    feeds: Mapping[Address, Address]

    @property
    def collateral(self) -> tuple[Address, ...]:
        return tuple(asset for asset in self.feeds if asset != self.base)


@dataclass(frozen=True, slots=True)
class CollateralPosition:
    asset: Address
    decimals: int
    balance_raw: int
    price_1e8: int
    borrow_cf_1e18: int
    liquidate_cf_1e18: int
    liquidation_factor_1e18: int


@dataclass(frozen=True, slots=True)
class CometAccount:
    """`collateral` are the assets the account holds some of; `principal_raw` is below zero where it owes."""

    comet: Address
    block: BlockRef
    base: Address
    base_decimals: int
    base_price_1e8: int
    principal_raw: int
    borrow_index_1e15: int
    supply_index_1e15: int
    borrow_rate_1e18: int
    supply_rate_1e18: int
    last_update: int
    absorb_paused: bool
    collateral: tuple[CollateralPosition, ...]
    is_liquidatable: bool
    is_borrow_collateralized: bool


async def read_market(chain: ViewReader, comet: Address) -> CometMarket:
    """The market's assets. Raises Retry where the chain does not answer or moved meanwhile, and MALFORMED_ANSWER where it is none."""
    ref, head = await chain.multicall(
        [Call(comet, call_data(f"{name}()")) for name in ("baseToken", "baseTokenPriceFeed", "numAssets")]
    )
    base, feed, count = (
        _words(name, r, 1)[0]
        for name, r in zip(("baseToken", "baseTokenPriceFeed", "numAssets"), head, strict=True)
    )
    _check_count(comet, count)
    asked = [Call(comet, call_data("getAssetInfo(uint8)", n)) for n in range(count)]
    infos = [_words("getAssetInfo", r, 8) for r in await at_same_block(chain, ref, asked)]
    feeds = {address_of(word(info[1])): address_of(word(info[2])) for info in infos}
    return CometMarket(
        comet, address_of(word(base)), {address_of(word(base)): address_of(word(feed)), **feeds}
    )


async def read_account(
    chain: ViewReader, comet: Address, user: Address, block: int | str = "latest"
) -> CometAccount:
    """Everything of one account at one block. Raises Retry where the chain does not answer or moved meanwhile."""

    def ask(signature: str, *args: int | str) -> Call:
        return Call(comet, call_data(signature, *args))

    ref, head = await chain.multicall(
        [
            ask("baseToken()"), ask("baseTokenPriceFeed()"), ask("baseScale()"), ask("numAssets()"), ask("userBasic(address)", user),
            ask("totalsBasic()"), ask("getUtilization()"), ask("isAbsorbPaused()"), ask("isLiquidatable(address)", user),
            ask("isBorrowCollateralized(address)", user),
        ],
        block,
    )  # fmt: skip
    names = ("baseToken", "baseTokenPriceFeed", "baseScale", "numAssets", "userBasic", "totalsBasic", "getUtilization",
             "isAbsorbPaused", "isLiquidatable", "isBorrowCollateralized")  # fmt: skip
    told = [_words(n, r, 7 if n == "totalsBasic" else 1) for n, r in zip(names, head, strict=True)]
    count, utilization = told[3][0], told[6][0]
    _check_count(comet, count)
    rates = [ask("getBorrowRate(uint256)", utilization), ask("getSupplyRate(uint256)", utilization)]
    answers = await at_same_block(
        chain, ref, [*(ask("getAssetInfo(uint8)", n) for n in range(count)), *rates]
    )
    infos = [_words("getAssetInfo", r, 8) for r in answers[:count]]
    borrow_rate, supply_rate = (_words("rate", r, 1)[0] for r in answers[count:])
    assets = [address_of(word(info[1])) for info in infos]
    feeds = [address_of(word(told[1][0])), *(address_of(word(info[2])) for info in infos)]
    prices_and_held = await at_same_block(
        chain,
        ref,
        [
            *(ask("getPrice(address)", feed) for feed in feeds),
            *(ask("userCollateral(address,address)", user, asset) for asset in assets),
        ],
    )
    prices = [_words("getPrice", r, 1)[0] for r in prices_and_held[: len(feeds)]]
    held = [_words("userCollateral", r, 1)[0] for r in prices_and_held[len(feeds) :]]
    collateral = tuple(
        CollateralPosition(asset, _digits(info[3]), balance, price, info[4], info[5], info[6])
        for asset, info, price, balance in zip(assets, infos, prices[1:], held, strict=True)
        if balance
    )
    totals = told[5]
    return CometAccount(
        comet, ref, address_of(word(told[0][0])), _digits(told[2][0]), prices[0], _int104(told[4][0]), totals[1], totals[0],
        borrow_rate, supply_rate, totals[6], bool(told[7][0]), collateral, bool(told[8][0]), bool(told[9][0]),
    )  # fmt: skip


def _check_count(comet: Address, count: int) -> None:
    if count > MOST_ASSETS:
        raise Retry("MALFORMED_ANSWER", f"{comet} says it has {count} assets", "is it a Compound III market?")


def _digits(scale: int) -> int:
    """Decimals of a scale of 10^n. Raises Retry where it is none."""
    digits = len(str(scale)) - 1
    if scale <= 0 or 10**digits != scale:
        raise Retry("MALFORMED_ANSWER", f"{scale} is no power of ten", "is it a Compound III market?")
    return digits


def _int104(value: int) -> int:
    return value - 2**256 if value >> 255 else value
