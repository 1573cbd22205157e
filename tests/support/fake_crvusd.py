"""A controller of crvUSD and its AMM that answer from figures, with shares nobody can read: `get_xy` floors as the contract does."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

from answering_chain import AnsweringChain, place

from agent.margin import crvusd

CONTROLLER, AMM, CRVUSD, COLLATERAL = (place(0xC0 + n) for n in range(4))
DEAD = 1_000


@dataclass
class FakeLoan:
    """Bands as (x, y, own shares, all shares), 18 decimals; the health is what these very shares come to."""

    bands: tuple[tuple[int, int, int, int], ...]
    debt_raw: int
    price: int = 3_000 * 10**18
    p_up: int = 2_500 * 10**18
    a: int = 100
    discount: int = 6 * 10**16
    rate: int = 10**9
    first: int = -12
    active: int = -20
    debt_decimals: int = 18
    collateral_decimals: int = 18
    health_off: int = 0
    exists: bool = True
    silent: set[str] = field(default_factory=set)
    bands_told: int | None = None

    def health(self, now: int) -> int:
        account = crvusd.Account(
            "c", "d", self.debt_raw, self.debt_decimals, self.rate, now, self.discount, self.a, self.price, self.p_up, self.first,
            self.active, tuple(crvusd.Band(*band) for band in self.bands),
        )  # fmt: skip
        told = crvusd.factor_at(account, now) if self.price else None
        return 0 if told is None else told - 10**18 + self.health_off

    def own(self) -> tuple[list[int], list[int]]:
        x_unit, y_unit = 10 ** (18 - self.debt_decimals), 10 ** (18 - self.collateral_decimals)
        rows = [((x + 1) * s // (t + DEAD), (y + 1) * s // (t + DEAD)) for x, y, s, t in self.bands]
        return [x // x_unit for x, _ in rows], [y // y_unit for _, y in rows]

    def chain(self, reorganised: bool = False, now: int = 1_700_000_100) -> AnsweringChain:
        chain = AnsweringChain(now=now)
        chain.reorganised = reorganised
        chain.token(CRVUSD, self.debt_decimals, "crvUSD")
        chain.token(COLLATERAL, self.collateral_decimals, "WETH")
        at = self.first
        own_x, own_y = self.own()
        count = len(self.bands)
        told = count if self.bands_told is None else self.bands_told
        table = {
            (CONTROLLER, "amm()"): lambda: [AMM],
            (CONTROLLER, "loan_exists(address)"): lambda _: [int(self.exists)],
            (CONTROLLER, "debt(address)"): lambda _: [self.debt_raw],
            (CONTROLLER, "liquidation_discounts(address)"): lambda _: [self.discount],
            (CONTROLLER, "health(address,bool)"): lambda _, full: [self.health(chain.now)] if full == 1 and self.exists else None,
            (AMM, "coins(uint256)"): lambda n: [(CRVUSD, COLLATERAL)[n]],
            (AMM, "A()"): lambda: [self.a],
            (AMM, "rate()"): lambda: [self.rate],
            (AMM, "price_oracle()"): lambda: [self.price],
            (AMM, "active_band()"): lambda: [self.active],
            (AMM, "read_user_tick_numbers(address)"): lambda _: [at, at + told - 1],
            (AMM, "get_xy(address)"): lambda _: [32, 64, 96 + 32 * count, count, *own_x, count, *own_y],
            (AMM, "p_oracle_up(int256)"): lambda n: [self.p_up] if n == at % 2**256 else None,
            (AMM, "bands_x(int256)"): lambda n: [self.bands[(n - at) % 2**256][0]],
            (AMM, "bands_y(int256)"): lambda n: [self.bands[(n - at) % 2**256][1]],
        }  # fmt: skip
        chain.table |= {key: answer for key, answer in table.items() if key[1] not in self.silent}
        return chain


def above(debt: int = 10_000 * 10**18, **given: object) -> FakeLoan:
    """Ten bands of collateral only, the price above them all; a tenth of each is the loan's."""
    share = 10**18
    bands = tuple((0, 5 * 10**18, share, 10 * share) for _ in range(10))
    return replace(FakeLoan(bands, debt), **given)  # type: ignore[arg-type]


def selling(debt: int = 8_800 * 10**18, **given: object) -> FakeLoan:
    """The price has come into the first band: part of it is sold."""
    share = 10**18
    first = (6_000 * 10**18, 25 * 10**17, share, 10 * share)
    bands = (first, *((0, 5 * 10**18, share, 10 * share) for _ in range(9)))
    base = FakeLoan(bands, debt, price=2_490 * 10**18, active=-12)
    return replace(base, **given)  # type: ignore[arg-type]
