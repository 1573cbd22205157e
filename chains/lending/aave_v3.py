"""An Aave V3 account as plain integers, all of one block: scaled balances, indices, rates, thresholds, e-modes, prices.

Units: prices in the market's base currency (1e8 = one US dollar), ratios in basis points, indices and rates in 1e27 (rates
a year), amounts in base units of the asset; scaled amounts are before the index. Nothing is accrued here: a model in
`agent.margin` does that for its own version of the protocol, told by `revision`. Storage layouts: aave core-v3
ReserveConfiguration and DataTypes, which later versions keep for these getters.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

from chains.answers import at_same_block, words_of
from chains.evm import address_of, call_data, word, words
from chains.profile import Aave
from chains.types import ZERO_ADDRESS, Address, BlockRef, Call, CallResult, ViewReader

# Position of each word in getReserveData's answer.
CONFIG, LIQUIDITY_INDEX, LIQUIDITY_RATE, BORROW_INDEX, BORROW_RATE = 0, 1, 2, 3, 4
LAST_UPDATE, RESERVE_ID, A_TOKEN, STABLE_DEBT, VARIABLE_DEBT = 6, 7, 8, 9, 10

_words = partial(words_of, "the Aave market", "is the market's address right for this chain?")


@dataclass(frozen=True, slots=True)
class EMode:
    """`collateral` are the assets whose thresholds it replaces, `ltvzero` those of them that lend nothing (3.6 on); `price_source` ZERO_ADDRESS where prices stay the market's."""

    id: int
    ltv_bps: int
    liquidation_threshold_bps: int
    liquidation_bonus_bps: int
    price_source: Address
    collateral: tuple[Address, ...]
    ltvzero: tuple[Address, ...] = ()


@dataclass(frozen=True, slots=True)
class ReservePosition:
    """One asset of an account. `price_1e8` is what the pool uses for this account, its e-mode's price where that rules."""

    asset: Address
    decimals: int
    price_1e8: int
    ltv_bps: int
    liquidation_threshold_bps: int
    liquidation_bonus_bps: int
    protocol_fee_bps: int
    collateral_enabled: bool
    last_update: int
    scaled_supply_raw: int
    liquidity_index_1e27: int
    liquidity_rate_1e27: int
    scaled_debt_raw: int
    borrow_index_1e27: int
    borrow_rate_1e27: int
    stable_debt_raw: int
    active: bool
    frozen: bool
    paused: bool


@dataclass(frozen=True, slots=True)
class AccountData:
    """getUserAccountData's own answer; `health_1e18` is 2^256 − 1 without debt."""

    collateral_base: int
    debt_base: int
    available_borrows_base: int
    liquidation_threshold_bps: int
    ltv_bps: int
    health_1e18: int


@dataclass(frozen=True, slots=True)
class AaveAccount:
    """`reserves` are those the account has supply or debt in; `emodes` is the account's own category, if it has one."""

    user: Address
    block: BlockRef
    revision: int
    base_unit: int
    emode: int
    emodes: tuple[EMode, ...]
    reserves: tuple[ReservePosition, ...]
    data: AccountData


async def account_data(
    chain: ViewReader, market: Aave, user: Address, block: int | str = "latest"
) -> AccountData:
    """The contract's own figures, to check others against."""
    _, (answer,) = await chain.multicall(
        [Call(market.pool, call_data("getUserAccountData(address)", user))], block
    )
    return AccountData(*_words("getUserAccountData", answer, 6))


async def a_token_of(
    chain: ViewReader, pool: Address, asset: Address, block: int | str = "latest"
) -> Address | None:
    """The token that a deposit of `asset` at the market is held in, None where it lists none. Raises Retry where it does not answer."""
    _, (answer,) = await chain.multicall([Call(pool, call_data("getReserveData(address)", asset))], block)
    found = address_of(word(_words("getReserveData", answer, 12)[A_TOKEN]))
    return None if found == ZERO_ADDRESS else found


async def read_account(
    chain: ViewReader, market: Aave, user: Address, block: int | str = "latest"
) -> AaveAccount:
    """Everything of one account at one block. Raises Retry where the chain does not answer or moved meanwhile."""
    pool = market.pool
    ref, head = await chain.multicall(
        [
            Call(pool, call_data("getUserAccountData(address)", user)),
            Call(pool, call_data("getUserEMode(address)", user)),
            Call(pool, call_data("getUserConfiguration(address)", user)),
            Call(pool, call_data("POOL_REVISION()")),
            Call(pool, call_data("getReservesList()")),
            Call(market.addresses_provider, call_data("getPriceOracle()")),
        ],
        block,
    )
    data = AccountData(*_words("getUserAccountData", head[0], 6))
    emode, flags, revision = (
        _words(n, r, 1)[0] for n, r in zip(("emode", "flags", "revision"), head[1:4], strict=True)
    )
    assets = _addresses(head[4])
    oracle = address_of(word(_words("getPriceOracle", head[5], 1)[0]))

    rows = [Call(pool, call_data("getReserveData(address)", a)) for a in assets]
    prices = [Call(oracle, call_data("getAssetPrice(address)", a)) for a in assets]
    rest = [Call(oracle, call_data("BASE_CURRENCY_UNIT()")), Call(pool, call_data("getEModeCategoryData(uint8)", emode)),
            Call(pool, call_data("getEModeCategoryCollateralBitmap(uint8)", emode)),
            Call(pool, call_data("getEModeCategoryLtvzeroBitmap(uint8)", emode))]  # fmt: skip
    answers = await at_same_block(chain, ref, [*rows, *prices, *rest])
    reserves = [_words("getReserveData", r, 12) for r in answers[: len(assets)]]
    price_of = {
        a: _words("getAssetPrice", r, 1)[0] for a, r in zip(assets, answers[len(assets) :], strict=False)
    }
    unit, category, bitmap, zeros = answers[-4:]
    mode = _emode(emode, category, bitmap, zeros, assets, reserves) if emode else None
    emode_price = 0
    if mode is not None and mode.price_source != ZERO_ADDRESS:
        (answer,) = await at_same_block(
            chain, ref, [Call(oracle, call_data("getAssetPrice(address)", mode.price_source))]
        )
        emode_price = _words("getAssetPrice", answer, 1)[0]

    asked = []
    for row in reserves:
        asked += [Call(address_of(word(row[A_TOKEN])), call_data("scaledBalanceOf(address)", user))]
        asked += [Call(address_of(word(row[VARIABLE_DEBT])), call_data("scaledBalanceOf(address)", user))]
    fixed = [address_of(word(row[STABLE_DEBT])) for row in reserves]
    asked += [Call(t, call_data("principalBalanceOf(address)", user)) for t in fixed if t != ZERO_ADDRESS]
    held = await at_same_block(chain, ref, asked)
    stable_of = await _stable_debts(
        chain, ref, user, [t for t in fixed if t != ZERO_ADDRESS], held[2 * len(reserves) :]
    )
    positions = []
    for i, (asset, row) in enumerate(zip(assets, reserves, strict=True)):
        supply, debt = (_words("scaledBalanceOf", r, 1)[0] for r in held[2 * i : 2 * i + 2])
        stable = stable_of.get(fixed[i], 0)
        if supply or debt or stable:
            own_price = (
                emode_price
                if emode_price and mode is not None and asset in mode.collateral
                else price_of[asset]
            )
            positions.append(_position(asset, row, own_price, flags, supply, debt, stable))
    base_unit = _words("BASE_CURRENCY_UNIT", unit, 1)[0]
    return AaveAccount(user, ref, revision, base_unit, emode, (mode,) if mode else (), tuple(positions), data)


async def _stable_debts(
    chain: ViewReader,
    ref: BlockRef,
    user: Address,
    tokens: Sequence[Address],
    principals: Sequence[CallResult],
) -> dict[Address, int]:
    """Debts at a fixed rate with their interest, by token. Later versions have none: the token is the zero address, or answers nothing.
    What grows by the second is asked for only where a principal is owed."""
    owed = [
        token
        for token, told in zip(tokens, principals, strict=True)
        if not told.ok or len(told.data) < 32 or words(told.data)[0]
    ]
    answers = await at_same_block(
        chain, ref, [Call(token, call_data("balanceOf(address)", user)) for token in owed]
    )
    return {
        token: words(told.data)[0]
        for token, told in zip(owed, answers, strict=True)
        if told.ok and len(told.data) >= 32
    }


def _position(
    asset: Address, row: Sequence[int], price: int, flags: int, supply: int, debt: int, stable: int
) -> ReservePosition:
    config = row[CONFIG]
    return ReservePosition(
        asset=asset,
        decimals=config >> 48 & 0xFF,
        price_1e8=price,
        ltv_bps=config & 0xFFFF,
        liquidation_threshold_bps=config >> 16 & 0xFFFF,
        liquidation_bonus_bps=config >> 32 & 0xFFFF,
        protocol_fee_bps=config >> 152 & 0xFFFF,
        # Two bits a reserve, in the order of their ids: borrowing, used as collateral.
        collateral_enabled=bool(flags >> (2 * row[RESERVE_ID] + 1) & 1),
        last_update=row[LAST_UPDATE],
        scaled_supply_raw=supply,
        liquidity_index_1e27=row[LIQUIDITY_INDEX],
        liquidity_rate_1e27=row[LIQUIDITY_RATE],
        scaled_debt_raw=debt,
        borrow_index_1e27=row[BORROW_INDEX],
        borrow_rate_1e27=row[BORROW_RATE],
        stable_debt_raw=stable,
        active=bool(config >> 56 & 1),
        frozen=bool(config >> 57 & 1),
        paused=bool(config >> 60 & 1),
    )


def _emode(
    number: int,
    category: CallResult,
    bitmap: CallResult,
    zeros: CallResult,
    assets: Sequence[Address],
    reserves: Sequence[Sequence[int]],
) -> EMode:
    """The struct (ltv, threshold, bonus, price source, label); members by bitmap since 3.2, by the reserve's own bits before."""
    _, ltv, threshold, bonus, source = _words("getEModeCategoryData", category, 5)[:5]
    if bitmap.ok and len(bitmap.data) >= 32:
        bits = words(bitmap.data)[0]
        members = [a for a, row in zip(assets, reserves, strict=True) if bits >> row[RESERVE_ID] & 1]
    else:
        members = [a for a, row in zip(assets, reserves, strict=True) if row[CONFIG] >> 168 & 0xFF == number]
    none = words(zeros.data)[0] if zeros.ok and len(zeros.data) >= 32 else 0
    ltvzero = tuple(a for a, row in zip(assets, reserves, strict=True) if none >> row[RESERVE_ID] & 1)
    return EMode(number, ltv, threshold, bonus, address_of(word(source)), tuple(members), ltvzero)


def _addresses(result: CallResult) -> list[Address]:
    found = _words("getReservesList", result, 2)
    return [address_of(word(value)) for value in found[2 : 2 + found[1]]]


def account_json(account: AaveAccount, chain_id: int, name: str, model: str = "aave_v3_0") -> dict[str, Any]:
    """The account as `accounts/1` writes it: strings for money, CAIP-19 for assets."""

    def asset_id(asset: Address) -> str:
        return f"eip155:{chain_id}/erc20:{asset}"

    emodes = {
        str(e.id): {
            "ltv_bps": e.ltv_bps, "liquidation_threshold_bps": e.liquidation_threshold_bps,
            "liquidation_bonus_bps": e.liquidation_bonus_bps, "collateral": [asset_id(a) for a in e.collateral],
        }
        for e in account.emodes
    }  # fmt: skip
    reserves = [
        {
            "asset": asset_id(r.asset), "price_1e8": str(r.price_1e8), "ltv_bps": r.ltv_bps,
            "liquidation_threshold_bps": r.liquidation_threshold_bps, "liquidation_bonus_bps": r.liquidation_bonus_bps,
            "protocol_fee_bps": r.protocol_fee_bps, "collateral_enabled": r.collateral_enabled, "last_update": r.last_update,
            "scaled_supply_raw": str(r.scaled_supply_raw), "liquidity_index_1e27": str(r.liquidity_index_1e27),
            "liquidity_rate_1e27": str(r.liquidity_rate_1e27), "scaled_debt_raw": str(r.scaled_debt_raw),
            "borrow_index_1e27": str(r.borrow_index_1e27), "borrow_rate_1e27": str(r.borrow_rate_1e27),
        }
        for r in account.reserves
    ]  # fmt: skip
    return {
        "id": name, "model": model, "chain": f"eip155:{chain_id}", "emode": account.emode, "emodes": emodes, "reserves": reserves,
    }  # fmt: skip
