"""Positions at GMX v2.2 as plain integers, all of one block: size, collateral, fees with what is due since, closing impact, price feeds.

Layouts: Reader's getAccountPositions (Position.Props of fourteen words), getMarket, getPositionInfo (PositionInfo of sixty-six words),
isPositionLiquidatable and the head of getMarketInfo; DataStore's getAddress and getUint by the keys of Keys.sol of gmx-io/gmx-synthetics.

GMX liquidates by prices that are signed off its chain and stand nowhere on it. What is read here are the Chainlink feeds its DataStore lists,
which it checks those against (ChainlinkPriceFeedUtils.getPriceFeedPrice): an estimate. A token of which it lists none cannot be told.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache, partial

from chains.answers import at_same_block, words_of
from chains.errors import Retry
from chains.evm import address_of, call_data, keccak, selector, signed, word
from chains.types import ZERO_ADDRESS, Address, BlockRef, Call, CallResult, ViewReader

E30 = 10**30
MOST_POSITIONS = 100
POSITION_WORDS, INFO_WORDS = 14, 66
USD_DIGITS = 60
"""A feed's decimals, a multiplier's and a token's make that many (Keys.priceFeedMultiplierKey)."""

MARKET = "(address,address,address,address)"
PRICES = "((uint256,uint256),(uint256,uint256),(uint256,uint256))"
INFO = f"getPositionInfo(address,address,bytes32,{PRICES},uint256,address,bool)"
LIQUIDATABLE = f"isPositionLiquidatable(address,address,bytes32,{MARKET},{PRICES},bool,bool)"
LIQUIDATABLE_BEFORE = f"isPositionLiquidatable(address,address,bytes32,{MARKET},{PRICES},bool)"
MARKET_INFO = f"getMarketInfo(address,{PRICES},address)"

_HINT = "are reader, data_store and referral_storage of [chains.gmx] right for this chain?"
_words = partial(words_of, "GMX", _HINT)


@dataclass(frozen=True, slots=True)
class GmxCore:
    reader: Address
    data_store: Address
    referral_storage: Address


@dataclass(frozen=True, slots=True)
class HeldPosition:
    """What is stored of a position; `key` is what GMX names it by."""

    key: bytes
    market: Address
    collateral: Address
    long: bool
    size_usd_1e30: int
    size_tokens_raw: int
    collateral_raw: int


@dataclass(frozen=True, slots=True)
class Priced:
    """A token's price in dollars of 30 decimals a base unit, and the decimals GMX counts it in."""

    price_raw: int
    decimals: int


@dataclass(frozen=True, slots=True)
class GmxPosition:
    """`position_fee_raw` and the other fees in collateral tokens, less discounts; `impact_usd_1e30` of closing, below zero where it costs.

    `told_…` are what the contract itself says of a liquidation, by fees as they were last settled: with what is due since, less remains.
    """

    held: HeldPosition
    block: BlockRef
    index: Address
    index_price: Priced
    collateral_price: Priced
    position_fee_raw: int
    borrowing_usd_1e30: int
    borrowing_usd_per_second_1e30: int
    funding_raw: int
    impact_usd_1e30: int
    max_impact_factor_1e30: int
    profit_usd_1e30: int
    uncapped_profit_usd_1e30: int
    min_factor_1e30: int
    told_liquidatable: bool
    told_remaining_usd_1e30: int
    told_min_usd_1e30: int
    told_min_for_leverage_usd_1e30: int


@cache
def base_key(name: str) -> bytes:
    """keccak256(abi.encode(name)), a string being encoded with its offset and length (Keys.sol)."""
    raw = name.encode()
    return keccak(word(32) + word(len(raw)) + raw.ljust(-(-len(raw) // 32) * 32, b"\0"))


def key_of(name: str, *parts: str) -> bytes:
    return keccak(base_key(name) + b"".join(word(part) for part in parts))


def position_key(account: Address, market: Address, collateral: Address, long: bool) -> bytes:
    """Position.getPositionKey."""
    return keccak(word(account) + word(market) + word(collateral) + word(int(long)))


async def read_positions(
    chain: ViewReader, core: GmxCore, account: Address, block: int | str = "latest"
) -> tuple[BlockRef, tuple[HeldPosition, ...]]:
    """The open positions of an account. Raises Retry MALFORMED_ANSWER where they are laid out otherwise, or are more than are looked at."""
    call = call_data("getAccountPositions(address,address,uint256,uint256)", core.data_store, account, 0, MOST_POSITIONS + 1)  # fmt: skip
    ref, (answer,) = await chain.multicall([Call(core.reader, call)], block)
    flat = _words("getAccountPositions", answer, 2)
    count, rows = flat[1], flat[2:]
    if flat[0] != 32 or len(rows) != count * POSITION_WORDS:
        raise Retry(
            "MALFORMED_ANSWER", "GMX lays its positions out otherwise: it is of another version", _HINT
        )
    if count > MOST_POSITIONS:
        raise Retry("MALFORMED_ANSWER", f"GMX tells more than {MOST_POSITIONS} positions of {account}", _HINT)
    found = []
    for n in range(count):
        row = rows[n * POSITION_WORDS : (n + 1) * POSITION_WORDS]
        market, collateral = address_of(word(row[1])), address_of(word(row[2]))
        if address_of(word(row[0])) != account or row[13] > 1:
            raise Retry("MALFORMED_ANSWER", "GMX tells a position that is not the account's", _HINT)
        key = position_key(account, market, collateral, bool(row[13]))
        found.append(HeldPosition(key, market, collateral, bool(row[13]), row[3], row[4], row[5]))
    return ref, tuple(found)


async def read_position(chain: ViewReader, core: GmxCore, ref: BlockRef, held: HeldPosition) -> GmxPosition:
    """The rest of one position at the block it was found at. Raises Retry where the chain does not answer or moved meanwhile, and NO_PRICE_FEED
    where GMX lists none for a token of its market."""
    store = core.data_store
    factors = ("MIN_COLLATERAL_FACTOR_FOR_LIQUIDATION", "MIN_COLLATERAL_FACTOR", "MAX_POSITION_IMPACT_FACTOR_FOR_LIQUIDATIONS")  # fmt: skip
    head = await at_same_block(
        chain,
        ref,
        [
            Call(core.reader, call_data("getMarket(address,address)", store, held.market)),
            *(_uint(store, key_of(name, held.market)) for name in factors),
        ],
    )
    market = [address_of(word(value)) for value in _words("getMarket", head[0], 4)[:4]]
    for_liquidation, usual, max_impact = (_words("getUint", r, 1)[0] for r in head[1:])
    if market[0] != held.market or held.collateral not in market[2:]:
        raise Retry("NO_SUCH_MARKET", f"{held.market} is no market of {held.collateral}", _HINT)
    priced = await _prices(chain, core, ref, list(dict.fromkeys(market[1:])))
    prices = [price for token in market[1:] for price in (priced[token].price_raw,) * 2]
    asked = [
        Call(
            core.reader, call_data(INFO, store, core.referral_storage, held.key, *prices, 0, ZERO_ADDRESS, 1)
        ),
        Call(core.reader, call_data(MARKET_INFO, store, *prices, held.market)),
        *(
            Call(
                core.reader, call_data(form, store, core.referral_storage, held.key, *market, *prices, *flags)
            )
            for form, flags in ((LIQUIDATABLE, (1, 1)), (LIQUIDATABLE_BEFORE, (1,)))
        ),
        Call(held.collateral, call_data("decimals()")),
    ]
    told = await at_same_block(chain, ref, asked)
    info, about = _words("getPositionInfo", told[0], INFO_WORDS), _words("getMarketInfo", told[1], 6)
    if len(info) != INFO_WORDS or info[0] != int.from_bytes(held.key, "big") or info[4:7] != [
        held.size_usd_1e30, held.size_tokens_raw, held.collateral_raw,
    ]:  # fmt: skip
        raise Retry("MALFORMED_ANSWER", "GMX lays a position out otherwise: it is of another version", _HINT)
    if _words("decimals", told[4], 1)[0] != priced[held.collateral].decimals:
        raise Retry(
            "MALFORMED_ANSWER", f"GMX counts {held.collateral} in other decimals than itself does", _HINT
        )
    gone, remaining, least, for_leverage = _verdict(told[2] if told[2].ok else told[3])
    return GmxPosition(
        held, ref, market[1], priced[market[1]], priced[held.collateral], info[54] - info[35] - info[42], info[34],
        held.size_usd_1e30 * about[4 if held.long else 5] // E30, info[28], signed(info[57]), max_impact, signed(info[63]), signed(info[64]),
        for_liquidation if told[2].ok else usual, gone, remaining, least, for_leverage,
    )  # fmt: skip


def _uint(store: Address, key: bytes) -> Call:
    return Call(store, call_data("getUint(bytes32)", key))


def _verdict(result: CallResult) -> tuple[bool, int, int, int]:
    """(liquidatable, remaining, least, least for its size): a flag, a reason's offset and three figures before the reason itself."""
    told = _words("isPositionLiquidatable", result, 5)
    return bool(told[0]), signed(told[2]), signed(told[3]), signed(told[4])


async def _prices(
    chain: ViewReader, core: GmxCore, ref: BlockRef, tokens: Sequence[Address]
) -> dict[Address, Priced]:
    store = core.data_store
    listed = await at_same_block(
        chain,
        ref,
        [
            call
            for token in tokens
            for call in (
                Call(store, call_data("getAddress(bytes32)", key_of("PRICE_FEED", token))),
                _uint(store, key_of("PRICE_FEED_MULTIPLIER", token)),
                _uint(store, key_of("PRICE_FEED_HEARTBEAT_DURATION", token)),
            )
        ],
    )
    values = [_words("getAddress or getUint", r, 1)[0] for r in listed]
    feeds = [address_of(word(value)) for value in values[::3]]
    for token, feed in zip(tokens, feeds, strict=True):
        if feed == ZERO_ADDRESS:
            raise Retry(
                "NO_PRICE_FEED",
                f"GMX lists no price feed of {token} on its chain",
                "its price stands with GMX alone: look there",
            )
    rounds = await at_same_block(
        chain, ref, [Call(f, selector(s)) for f in feeds for s in ("latestRoundData()", "decimals()")]
    )
    found = {}
    for n, token in enumerate(tokens):
        answer = _words("latestRoundData", rounds[2 * n], 5)
        places = _words("decimals", rounds[2 * n + 1], 1)[0]
        found[token] = _priced(
            token, ref, signed(answer[1]), answer[3], places, *values[3 * n + 1 : 3 * n + 3]
        )
    return found


def _priced(
    token: Address, ref: BlockRef, answer: int, at: int, places: int, multiplier: int, heartbeat: int
) -> Priced:
    if answer <= 0:
        raise Retry("NO_PRICE", f"the price feed of {token} says {answer}", "its price cannot be told")
    if ref.timestamp - at > heartbeat:
        raise Retry(
            "ORACLE_STALE",
            f"the price of {token} is {ref.timestamp - at} s old, and GMX takes none older than {heartbeat} s",
            "ask again later",
        )
    digits = len(str(multiplier)) - 1
    decimals = USD_DIGITS - places - digits
    if multiplier != 10**digits or not 0 <= decimals <= 30:
        raise Retry("MALFORMED_ANSWER", f"GMX tells no decimals of {token} that could be any", _HINT)
    return Priced(answer * multiplier // E30, decimals)


__all__ = [
    "GmxCore",
    "GmxPosition",
    "HeldPosition",
    "Priced",
    "key_of",
    "position_key",
    "read_position",
    "read_positions",
]
