"""GMX v2.2's Reader and DataStore that answer from figures: one market, positions of one account, what they say of a liquidation.

The liquidation's figures are worked out here by the contract's own steps, with fees as they were last settled, which may be less than is due.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from answering_chain import Answer, AnsweringChain, place

from chains.evm import checksum
from chains.lending import gmx_v2
from chains.types import Address

READER, STORE, REFERRALS, MARKET, INDEX, WETH, USDC, FEED_INDEX, FEED_ETH, FEED_USDC = (
    place(0xE0 + n) for n in range(10)
)
WHO = checksum("0x" + "ab" * 20)
E30 = 10**30
CORE = gmx_v2.GmxCore(READER, STORE, REFERRALS)


@dataclass
class FakePosition:
    """A long of 100,000 dollars at an entry of 50,000, with 10,000 USDC; prices in 1e-8 dollars. Fees in dollars of 30 decimals."""

    size: int = 100_000 * E30
    tokens: int = 2 * 10**8
    collateral_raw: int = 10_000 * 10**6
    long: bool = True
    collateral: Address = USDC
    fee_factor: int = 6 * 10**26
    discount_raw: int = 0
    borrowing: int = 120 * E30
    settled: int = 100 * E30
    funding_raw: int = 30 * 10**6
    settled_funding_raw: int = 25 * 10**6
    impact: int = -50 * E30
    capped: int | None = None


@dataclass
class FakeGmx:
    positions: Sequence[FakePosition] = (FakePosition(),)
    price: int = 49_000 * 10**8
    eth_price: int = 3_000 * 10**8
    min_factor: int = 5 * 10**27
    usual_factor: int = 10**28
    max_impact: int = 2 * 10**27
    per_second: int = 10**21
    index_decimals: int = 8
    usdc_decimals: int = 6
    age_s: int = 10
    older: bool = False
    feeds: int = 3
    told_off: int = 0
    multiplier_off: int = 0
    flag_off: bool = False
    row_words: int = 14
    silent: set[str] = field(default_factory=set)
    who: Address = WHO

    def prices(self) -> tuple[int, int, int]:
        return self.price * 10 ** (22 - self.index_decimals), self.eth_price * 10**4, 10**24

    def collateral_px(self, p: FakePosition) -> int:
        return self.prices()[2 if p.collateral == USDC else 1]

    def profit(self, p: FakePosition) -> tuple[int, int]:
        gain = p.tokens * self.prices()[0] - p.size
        gain = gain if p.long else -gain
        return (gain if p.capped is None or gain <= 0 else min(p.capped, gain)), gain

    def position_fee(self, p: FakePosition) -> int:
        return p.size * p.fee_factor // E30 // self.collateral_px(p)

    def remaining(self, p: FakePosition) -> int:
        px = self.collateral_px(p)
        costs = self.position_fee(p) - p.discount_raw + p.settled // px + p.settled_funding_raw
        impact = min(max(p.impact, -(p.size * self.max_impact // E30)), 0)
        return p.collateral_raw * px + self.profit(p)[0] + impact - costs * px + self.told_off

    def chain(self, reorganised: bool = False, now: int = 1_700_000_100) -> AnsweringChain:
        chain = AnsweringChain(42_161, now)
        chain.reorganised = reorganised
        chain.token(WETH, 18, "WETH")
        chain.token(USDC, self.usdc_decimals, "USDC")
        for feed, price in ((FEED_INDEX, self.price), (FEED_ETH, self.eth_price), (FEED_USDC, 10**8)):
            chain.answers(
                feed,
                latestRoundData=lambda price=price: [1, price, 0, chain.now - self.age_s, 1],
                decimals=lambda: [8],
            )
        feeds = dict(list({INDEX: FEED_INDEX, WETH: FEED_ETH, USDC: FEED_USDC}.items())[: self.feeds])
        uints = {
            gmx_v2.key_of("MIN_COLLATERAL_FACTOR_FOR_LIQUIDATION", MARKET): self.min_factor,
            gmx_v2.key_of("MIN_COLLATERAL_FACTOR", MARKET): self.usual_factor,
            gmx_v2.key_of("MAX_POSITION_IMPACT_FACTOR_FOR_LIQUIDATIONS", MARKET): self.max_impact,
        }
        for token, decimals in ((INDEX, self.index_decimals), (WETH, 18), (USDC, 6)):
            uints[gmx_v2.key_of("PRICE_FEED_MULTIPLIER", token)] = 10 ** (52 - decimals) + self.multiplier_off
            uints[gmx_v2.key_of("PRICE_FEED_HEARTBEAT_DURATION", token)] = 3_600
        places = {
            int.from_bytes(gmx_v2.key_of("PRICE_FEED", token), "big"): feed for token, feed in feeds.items()
        }
        known = {int.from_bytes(key, "big"): value for key, value in uints.items()}
        by_key = {int.from_bytes(self.key(p), "big"): p for p in self.positions}
        table: dict[tuple[Address, str], Answer] = {
            (READER, "getAccountPositions(address,address,uint256,uint256)"): lambda *_: [
                32, len(self.positions), *(v for p in self.positions for v in self.row(p)[: self.row_words]),
            ],
            (READER, "getMarket(address,address)"): lambda _, at: [at, INDEX, WETH, USDC],
            (READER, gmx_v2.INFO): lambda _, __, key, *___: self.info(by_key[key], key),
            (READER, gmx_v2.MARKET_INFO): lambda *_: [MARKET, INDEX, WETH, USDC, self.per_second, 3 * self.per_second, *[0] * 23],
            (READER, gmx_v2.LIQUIDATABLE): lambda _, __, key, *___: None if self.older else self.verdict(by_key[key], self.min_factor),
            (READER, gmx_v2.LIQUIDATABLE_BEFORE): lambda _, __, key, *___: (
                self.verdict(by_key[key], self.usual_factor) if self.older else None
            ),
            (STORE, "getUint(bytes32)"): lambda key: [known.get(key, 0)],
            (STORE, "getAddress(bytes32)"): lambda key: [places.get(key, 0)],
        }  # fmt: skip
        chain.table |= {
            key: answer for key, answer in table.items() if key[1].split("(")[0] not in self.silent
        }
        return chain

    def key(self, p: FakePosition) -> bytes:
        return gmx_v2.position_key(self.who, MARKET, p.collateral, p.long)

    def row(self, p: FakePosition) -> list[int | str]:
        return [
            self.who,
            MARKET,
            p.collateral,
            p.size,
            p.tokens,
            p.collateral_raw,
            0,
            0,
            0,
            0,
            0,
            1,
            0,
            int(p.long),
        ]

    def info(self, p: FakePosition, key: int) -> list[int | str]:
        px = self.collateral_px(p)
        fee, borrowing = self.position_fee(p), p.borrowing // px
        excluding = fee + borrowing - p.discount_raw
        fees = [*[0] * 10, *[0] * 3, p.funding_raw, *[0] * 5, p.borrowing, borrowing, 0, 0, *[0] * 3, *[0] * 4, px, px, p.fee_factor,
                *[0] * 5, fee, excluding, excluding + p.funding_raw, p.discount_raw]  # fmt: skip
        return [key, *self.row(p), *fees, p.impact, 1, 0, 0, 0, 0, *self.profit(p), 0]

    def verdict(self, p: FakePosition, factor: int) -> list[int | str | bytes]:
        left, least, for_leverage = self.remaining(p), E30, p.size * factor // E30
        gone = (left < max(least, for_leverage) or left <= 0) != self.flag_off
        return [int(gone), 160, left, least, for_leverage, 0]
