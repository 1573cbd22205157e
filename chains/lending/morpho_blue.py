"""A position in a Morpho Blue market as plain integers, all of one block: shares, collateral, the market's totals, oracle and rate.

The rate is what the market's own rate model would accrue with now (1e18 a second), the price the market's own oracle's (36 + loan −
collateral decimals). Layouts: Morpho.sol's idToMarketParams, market and position.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial

from chains.answers import at_same_block, words_of
from chains.errors import Retry
from chains.evm import address_of, call_data, word
from chains.types import ZERO_ADDRESS, Address, BlockRef, Call, ViewReader

RATE = "borrowRateView((address,address,address,address,uint256),(uint128,uint128,uint128,uint128,uint128,uint128))"

_words = partial(
    words_of, "the Morpho market", "are Morpho's address and the market's id right for this chain?"
)


@dataclass(frozen=True, slots=True)
class MorphoPosition:
    market: str
    block: BlockRef
    loan: Address
    loan_decimals: int
    collateral: Address
    collateral_decimals: int
    lltv_1e18: int
    oracle_price_1e36: int
    collateral_raw: int
    borrow_shares_raw: int
    total_borrow_assets_raw: int
    total_borrow_shares_raw: int
    borrow_rate_1e18: int
    last_update: int
    oracle: Address
    irm: Address


async def read_position(
    chain: ViewReader, morpho: Address, market: str, user: Address, block: int | str = "latest"
) -> MorphoPosition:
    """`market` is the id, 32 bytes as 0x…. Raises Retry where the chain does not answer, moved meanwhile, or has no such market."""
    key = bytes.fromhex(market[2:])
    ref, head = await chain.multicall(
        [
            Call(morpho, call_data("idToMarketParams(bytes32)", key)),
            Call(morpho, call_data("market(bytes32)", key)),
            Call(morpho, call_data("position(bytes32,address)", key, user)),
        ],
        block,
    )
    params, totals = _words("idToMarketParams", head[0], 5), _words("market", head[1], 6)
    position = _words("position", head[2], 3)
    if params[0] == 0 or totals[4] == 0:
        raise Retry(
            "NO_SUCH_MARKET", f"{market} is no market of {morpho}", "is the market's id right for this chain?"
        )
    loan, collateral, oracle, irm = (address_of(word(value)) for value in params[:4])
    asked = [
        Call(loan, call_data("decimals()")),
        Call(collateral, call_data("decimals()")),
        Call(oracle, call_data("price()")),
    ]
    if irm != ZERO_ADDRESS:
        asked.append(Call(irm, call_data(RATE, *params, *totals)))
    rest = await at_same_block(chain, ref, asked)
    loan_decimals, collateral_decimals, price = (
        _words(what, r, 1)[0] for what, r in zip(("decimals", "decimals", "price"), rest[:3], strict=True)
    )
    rate = _words("borrowRateView", rest[3], 1)[0] if len(rest) > 3 else 0
    if max(loan_decimals, collateral_decimals) > 36:
        raise Retry(
            "MALFORMED_ANSWER", "a token says it has more than 36 decimals", "is the market's id right?"
        )
    return MorphoPosition(
        market, ref, loan, loan_decimals, collateral, collateral_decimals, params[4], price, position[2], position[1], totals[2],
        totals[3], rate, totals[4], oracle, irm,
    )  # fmt: skip
