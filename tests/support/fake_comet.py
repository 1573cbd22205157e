"""A Compound III market that answers from figures, for readers: every getter as the contract lays it out, all at one block."""

from __future__ import annotations

from collections.abc import Sequence

from chains.evm import checksum, selector, word, words
from chains.types import Address, BlockRef, Call, CallResult, Hash32

BASE, WETH, WBTC = (checksum("0x" + f"{n:040x}") for n in (0xB0, 0xB1, 0xB2))
FEEDS = {
    BASE: Address("0x" + f"{0xF0:040x}"),
    WETH: Address("0x" + f"{0xF1:040x}"),
    WBTC: Address("0x" + f"{0xF2:040x}"),
}


class FakeComet:
    """`prices` by asset in 1e-8; `principal` below zero is debt; `held` collateral by asset. It accrues nothing by itself."""

    chain_id = 1

    def __init__(self, principal: int, held: dict[Address, int], prices: dict[Address, int]) -> None:
        self.principal, self.held, self.prices = principal, held, prices
        self.index, self.rate, self.accrued_at, self.now = 12 * 10**14, 10**9, 1_700_000_000, 1_700_000_100
        self.liquidatable, self.covered, self.paused, self.reorganised = False, True, False, False
        self.assets = ((WETH, 10**18, 8, 85), (WBTC, 10**8, 7, 75))

    async def block(self, tag: int | str = "latest") -> BlockRef:
        number = 2 if self.reorganised and str(tag).startswith("0x") else 1
        return BlockRef(number, Hash32(f"0x{number:064x}"), Hash32("0x" + "00" * 32), self.now, 10**9)

    async def call(self, call: Call, block: int | str = "latest") -> CallResult:
        return (await self.multicall([call], block))[1][0]

    async def multicall(
        self, calls: Sequence[Call], block: int | str = "latest"
    ) -> tuple[BlockRef, list[CallResult]]:
        return await self.block(block), [self._answer(c.data) for c in calls]

    def answer_to(self, call: Call) -> CallResult:
        return self._answer(call.data)

    def _answer(self, data: bytes) -> CallResult:
        asked = words(data[4:])
        owner = {int(feed, 16): asset for asset, feed in FEEDS.items()}
        e16 = 10**16
        table = {
            "baseToken()": lambda: [BASE],
            "baseTokenPriceFeed()": lambda: [FEEDS[BASE]],
            "baseScale()": lambda: [10**6],
            "numAssets()": lambda: [len(self.assets)],
            "userBasic(address)": lambda: [self.principal % 2**256, 0, 0, 3, 0],
            "totalsBasic()": lambda: [10**15, self.index, 0, 0, 10**12, 10**12, self.accrued_at, 0],
            "getUtilization()": lambda: [9 * 10**17],
            "isAbsorbPaused()": lambda: [int(self.paused)],
            "isLiquidatable(address)": lambda: [int(self.liquidatable)],
            "isBorrowCollateralized(address)": lambda: [int(self.covered)],
            "getBorrowRate(uint256)": lambda: [self.rate if asked[0] == 9 * 10**17 else 0],
            "getSupplyRate(uint256)": lambda: [1],
            "getAssetInfo(uint8)": lambda: (lambda a: [asked[0], a[0], FEEDS[a[0]], a[1], a[2] * 10**17, a[3] * e16, 95 * e16, 0])(self.assets[asked[0]]),
            "getPrice(address)": lambda: [self.prices[owner[asked[0]]]],
            "userCollateral(address,address)": lambda: [next((v for k, v in self.held.items() if int(k, 16) == asked[1]), 0), 0],
            "symbol()": lambda: [32, 1, "0x41" + "00" * 31],
        }  # fmt: skip
        for signature, answer in table.items():
            if selector(signature) == data[:4]:
                return CallResult(True, b"".join(word(v) for v in answer()))
        return CallResult(False, b"")
