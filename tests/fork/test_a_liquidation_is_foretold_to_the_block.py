"""Real loans at the devnet's genuine Aave, liquidated in the very block, at the very price and for the very wei that the model foretold."""

from __future__ import annotations

from collections.abc import Iterator
from decimal import Decimal

import pytest
from aave_chain import DOLLAR, USDC, WETH, aave_chain
from liquidations import HEALTHY, Loan, Pool, Taken

from agent.margin.accounts import px_text
from agent.margin.model import Seized, Side, State

pytestmark = pytest.mark.devnet
USD = 10**8
ID, USDC_ID = (f"eip155:1/erc20:{token}" for token in (WETH, USDC))
WHO = "0xB0440000000000000000000000000000000000b0"


@pytest.fixture(scope="module")
def node() -> Iterator[Pool]:
    with aave_chain(WHO) as made:
        yield made


@pytest.fixture
def pool(node: Pool) -> Iterator[Pool]:
    with node.undone():
        yield node


def at(loan: Loan, px: int, timestamp: int) -> State:
    return loan.health({ID: px}, timestamp).state


def seized(loan: Loan, px: int, timestamp: int) -> Seized:
    found = loan.health({ID: px}, timestamp).seized
    assert found is not None and found.collateral[0][0] == ID
    return found


async def test_falling_block_by_block_it_is_liquidated_in_the_block_foretold(pool: Pool) -> None:
    """Twelve dollars a block, every third block two months later, so that interest counts as the price does."""
    begun = await pool.loan(WHO)
    path, time, px = [], begun.at, 2_550 * USD
    for n in range(40):
        time, px = time + (12 if n % 3 else 60 * 86_400 + n), px - 12_12345678 + n
        path.append((time, px))
    foretold = next(n for n, (t, p) in enumerate(path) if at(begun, p, t) is State.LIQUIDATABLE)
    without_interest = next(
        n for n, (_, p) in enumerate(path) if at(begun, p, begun.at) is State.LIQUIDATABLE
    )
    assert 3 < foretold < without_interest, "interest must bring it a block forward, else it is not tried"
    for n, (time, px) in enumerate(path[: foretold + 1]):
        last = n == foretold
        taken = pool.block(WETH, USDC, WHO, {WETH: px}, time)
        if last:
            assert isinstance(taken, Taken) and taken.equals(seized(begun, px, time)) and taken.fee_raw > 0
        else:
            assert taken == HEALTHY
            seen = await pool.loan(WHO)
            health = seen.engine.health(seen.account, seen.at)
            assert seen.at == time and health.state is not State.LIQUIDATABLE
            assert health == begun.health({ID: px}, time), "what was read at first foretells every block"
            (told,) = (p for p in health.liquidation_px if p.asset == ID)
            assert told.side is Side.BELOW and told.px_raw is not None and told.px_raw < px


async def test_a_hundred_millionth_above_the_price_it_is_refused_and_at_it_not(pool: Pool) -> None:
    loan = await pool.loan(WHO)
    for seconds in (12, 3_600, 200 * 86_400):
        time = loan.at + seconds
        px = loan.px_1e8(ID, time)
        (told,) = (p for p in loan.health({}, time).liquidation_px if p.asset == ID)
        assert Decimal(px_text(told, 8) or 0) == Decimal(px).scaleb(-8), "what is printed is that price"
        for above, is_state in ((1, State.AT_RISK), (0, State.LIQUIDATABLE)):
            assert at(loan, px + above, time) is is_state
            with pool.undone():
                taken = pool.block(WETH, USDC, WHO, {WETH: px + above}, time)
            if above:
                assert taken == HEALTHY
            else:
                assert isinstance(taken, Taken) and taken.equals(seized(loan, px, time))
                assert 10_000 * DOLLAR < taken.paid_raw < 11_000 * DOLLAR, "half of the debt"


async def test_half_is_taken_down_to_a_health_of_095_and_from_there_on_all(pool: Pool) -> None:
    """At exactly 0.95 all as well. Where the collateral is worth less than the debt with its bonus: all of it, and only what that pays for."""
    loan = await pool.loan(WHO)
    time = loan.at + 86_400

    def low(px: int) -> bool:
        health = loan.health({ID: px}, time).health_1e18
        return health is not None and health <= 95 * 10**16

    bottom, top = 1, loan.px_1e8(ID, time)
    assert low(bottom) and not low(top)
    while top - bottom > 1:
        middle = (top + bottom) // 2
        bottom, top = (middle, top) if low(middle) else (bottom, middle)
    lent = loan.engine.holdings(loan.priced({}), time)
    debt, held = (next(getattr(h, name) for h in lent if getattr(h, name)) for name in ("debt", "supply"))
    exact = _exactly(loan, time, bottom)
    cases: list[tuple[dict[str, int], int | None]] = [
        ({WETH: top}, (debt + 1) // 2),
        ({WETH: bottom}, debt),
        (exact, debt),
    ]
    cases += [({WETH: 1_700 * USD + n * 1_234_567}, None) for n in range(6)]
    for prices, repaid in cases:
        with pool.undone():
            taken = pool.block(WETH, USDC, WHO, prices, time)
        told = loan.health({pool.asset(token): px for token, px in prices.items()}, time).seized
        assert told is not None and isinstance(taken, Taken) and taken.equals(told)
        if repaid is not None:
            assert taken.repaid_raw == repaid and told.collateral[0][1] < held
        else:
            # The aTokens' own rounding may keep a unit of the last of them from the treasury.
            assert taken.repaid_raw < debt and 0 <= held - told.collateral[0][1] <= 1


def _exactly(loan: Loan, timestamp: int, px: int) -> dict[str, int]:
    """Prices of both near `px` and a dollar at which health is 0.95 to the last digit."""
    for dollar in range(USD, USD + 20_000):
        near = px * dollar // USD
        for eth in range(near - 2, near + 3):
            found = loan.health({ID: eth, USDC_ID: dollar}, timestamp).health_1e18
            if found == 95 * 10**16:
                return {WETH: eth, USDC: dollar}
    raise AssertionError("no such prices")


async def test_by_time_alone_it_is_liquidated_at_the_second_foretold(pool: Pool) -> None:
    """The price stays a tenth of a cent above; blocks come every twelve seconds until the one that has the second in it."""
    loan = await pool.loan(WHO)
    start = loan.at + 12
    px = loan.px_1e8(ID, start) + USD // 1_000
    assert pool.block(WETH, USDC, WHO, {WETH: px}, start) == HEALTHY
    loan = await pool.loan(WHO)
    seconds = loan.engine.health(loan.account, loan.at).seconds_to_liquidation
    assert loan.at == start and seconds is not None and 120 < seconds < 12_000
    for second, word in ((seconds - 1, HEALTHY), (seconds, "")):
        with pool.undone():
            taken = pool.block(WETH, USDC, WHO, {}, start + second)
        assert taken == word or (word == "" and isinstance(taken, Taken))
    foretold = -(-seconds // 12)
    first, quiet = int(pool.rpc("eth_blockNumber"), 16), foretold - 8
    for n in range(1, quiet + 1):  # nothing but time passes in those long before
        pool.mine(start + 12 * n)
    for n in range(quiet + 1, foretold + 1):
        taken = pool.block(WETH, USDC, WHO, {}, start + 12 * n)
        if n < foretold:
            assert taken == HEALTHY
    assert isinstance(taken, Taken) and int(pool.rpc("eth_blockNumber"), 16) == first + foretold
    assert taken.equals(seized(loan, px, start + 12 * foretold))
