"""A branch of Liquity v2 that answers from figures: a trove of its own or in a batch, with what its contracts say of it."""

from __future__ import annotations

from dataclasses import dataclass, field

from answering_chain import AnsweringChain, place

REGISTRY, MANAGER, FEED, POOL, WETH, BOLD, BATCH = (place(0xD0 + n) for n in range(7))
WAD, YEAR_S = 10**18, 365 * 86_400


@dataclass
class FakeTrove:
    """Amounts in 1e18. `batch` is (debt, rate, fee, shares); the trove then has `shares` of it. A year has passed since it was touched."""

    coll: int = 10 * WAD
    debt: int = 20_000 * WAD
    rate: int = 5 * 10**16
    price: int = 3_000 * WAD
    mcr: int = 11 * 10**17
    redistributed: tuple[int, int] = (0, 0)
    batch: tuple[int, int, int, int] | None = None
    shares: int = 0
    status: int = 1
    shutdown_at: int = 0
    price_failed: bool = False
    decimals: int = 18
    icr_off: int = 0
    debt_off: int = 0
    pool: int = 10**6 * WAD
    silent: set[str] = field(default_factory=set)

    def owed(self) -> int:
        if self.batch is None:
            return self.debt + self.debt * self.rate // WAD + self.redistributed[0]
        debt, rate, fee, total = self.batch
        return (
            sum(p * self.shares // total for p in (debt, debt * rate // WAD, debt * fee // WAD))
            + self.redistributed[0]
        )

    def chain(self, reorganised: bool = False, now: int = 1_700_000_100) -> AnsweringChain:
        chain = AnsweringChain(now=now)
        chain.reorganised = reorganised
        since = chain.now - YEAR_S
        chain.token(WETH, self.decimals, "WETH")
        chain.token(BOLD, 18, "BOLD")
        batch = self.batch or (0, 0, 0, 0)
        owed, held = self.owed() + self.debt_off, self.coll + self.redistributed[1]
        manager = BATCH if self.batch else place(0)
        table = {
            (REGISTRY, "collToken()"): lambda: [WETH],
            (REGISTRY, "boldToken()"): lambda: [BOLD],
            (REGISTRY, "troveManager()"): lambda: [MANAGER],
            (REGISTRY, "priceFeed()"): lambda: [FEED],
            (REGISTRY, "stabilityPool()"): lambda: [POOL],
            (REGISTRY, "MCR()"): lambda: [self.mcr],
            (REGISTRY, "LIQUIDATION_PENALTY_SP()"): lambda: [5 * 10**16],
            (REGISTRY, "LIQUIDATION_PENALTY_REDISTRIBUTION()"): lambda: [10**17],
            (MANAGER, "Troves(uint256)"): lambda _: [
                self.debt, self.coll, 1, self.status, 0, since, since, self.rate, manager, self.shares,
            ],
            (MANAGER, "getLatestTroveData(uint256)"): lambda _: [owed, held, *self.redistributed, 1, self.debt, self.rate, 1, 0, since],
            (MANAGER, "getLatestBatchData(address)"): lambda _: [batch[3], 1, 1, 1, batch[0], batch[1], 1, batch[2], 1, 1, since, since],
            (MANAGER, "shutdownTime()"): lambda: [self.shutdown_at],
            (MANAGER, "getCurrentICR(uint256,uint256)"): lambda _, px: [(held * px // owed if owed else 2**256 - 1) + self.icr_off],
            (POOL, "getTotalBoldDeposits()"): lambda: [self.pool],
            (FEED, "fetchPrice()"): lambda: [self.price, int(self.price_failed)],
        }  # fmt: skip
        chain.table |= {key: answer for key, answer in table.items() if key[1] not in self.silent}
        return chain
