"""Loans at the recorded Aave market of Polygon, with its real reserves and rates, fall and are liquidated as the model foretells: block, price and wei."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from liquidations import HEALTHY, LIQUIDATOR, NEVER, Pool, Taken
from mainnet_world import address_of
from polygon_world import MARKET, USDC, WETH, WMATIC, give, polygon

from agent.margin.model import Seized, Side, State

pytestmark = pytest.mark.devnet
ETH, DOLLAR, USD = 10**18, 10**6, 10**8
ONE, MANY = "0xB0440000000000000000000000000000000000c1", "0xB0440000000000000000000000000000000000c2"
BLOCK_S = 2


@pytest.fixture(scope="module")
def node(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Pool]:
    """ONE lends WETH and owes dollars; MANY lends WETH and WMATIC, of other thresholds and bonuses, and owes dollars and a little WETH."""
    with polygon(tmp_path_factory.mktemp("polygon")) as pool:
        for token in (USDC, WETH):
            pool.do(LIQUIDATOR, "MockERC20", token, "approve", MARKET.pool, NEVER)
        give(pool, USDC, LIQUIDATOR, 100_000 * DOLLAR)
        give(pool, WETH, LIQUIDATOR, 100 * ETH)
        for who, token, raw in (
            (ONE, WETH, 10 * ETH + 1),
            (MANY, WETH, 7 * ETH),
            (MANY, WMATIC, 9_000 * ETH + 3),
        ):
            give(pool, token, who, raw)
            pool.supply(who, token, raw)
        pool.borrow(ONE, USDC, 15_000 * DOLLAR + 7)
        pool.borrow(MANY, USDC, 13_000 * DOLLAR + 1)
        pool.borrow(MANY, WETH, ETH // 2 + 9)
        yield pool


@pytest.fixture
def pool(node: Pool) -> Iterator[Pool]:
    with node.undone():
        yield node


def _pair(seized: Seized) -> tuple[str, str]:
    """(collateral, debt) token addresses of what the model takes."""
    return address_of(seized.collateral[0][0]), address_of(seized.debt_asset)


@pytest.mark.parametrize("who", [ONE, MANY])
async def test_falling_block_by_block_it_is_liquidated_in_the_block_foretold(pool: Pool, who: str) -> None:
    begun = await pool.loan(who)
    eth, time, px = pool.asset(WETH), begun.at, 2_236 * USD
    path = []
    for n in range(60):
        time, px = time + (BLOCK_S if n % 4 else 15 * 86_400), px - 41_00000007
        path.append((time, px))
    foretold = next(
        n for n, (t, p) in enumerate(path) if begun.health({eth: p}, t).state is State.LIQUIDATABLE
    )
    assert foretold > 2
    told = begun.health({eth: path[foretold][1]}, path[foretold][0]).seized
    assert told is not None and told.fee_raw > 0
    for n, (time, px) in enumerate(path[: foretold + 1]):
        taken = pool.block(*_pair(told), who, {WETH: px}, time)
        if n < foretold:
            assert taken == HEALTHY
            seen = await pool.loan(who)
            assert seen.at == time and seen.engine.health(seen.account, time) == begun.health({eth: px}, time)
    assert isinstance(taken, Taken) and taken.equals(told)


@pytest.mark.parametrize(
    ("who", "token"), [(ONE, WETH), (ONE, USDC), (MANY, WETH), (MANY, WMATIC), (MANY, USDC)]
)
async def test_a_hundred_millionth_short_of_the_price_it_is_refused_and_at_it_not(
    pool: Pool, who: str, token: str
) -> None:
    """A collateral's falls to it, a debt's rises to it; the averaged threshold of MANY moves with either."""
    loan = await pool.loan(who)
    asset, time = pool.asset(token), loan.at + 7_201
    (told,) = (p for p in loan.health({}, time).liquidation_px if p.asset == asset)
    assert told.px_raw is not None and told.side is (Side.ABOVE if token == USDC else Side.BELOW)
    seized = loan.health({asset: told.px_raw}, time).seized
    assert seized is not None
    safe = told.px_raw + (1 if told.side is Side.BELOW else -1)
    for px, word in ((safe, HEALTHY), (told.px_raw, "")):
        assert (loan.health({asset: px}, time).state is State.LIQUIDATABLE) is (word == "")
        with pool.undone():
            taken = pool.block(*_pair(seized), who, {token: px}, time)
        assert taken == word or (word == "" and isinstance(taken, Taken) and taken.equals(seized))


@pytest.mark.parametrize("px", [1_700 * USD, 1_500 * USD])
async def test_far_below_all_of_the_debt_or_all_of_the_collateral_is_taken(pool: Pool, px: int) -> None:
    """The whole debt below a health of 0.95; where the collateral pays for less than that, the collateral."""
    loan = await pool.loan(ONE)
    health = loan.health({pool.asset(WETH): px}, loan.at + BLOCK_S)
    assert health.seized is not None and health.health_1e18 is not None and health.health_1e18 < 95 * 10**16
    taken = pool.block(WETH, USDC, ONE, {WETH: px}, loan.at + BLOCK_S)
    assert isinstance(taken, Taken) and taken.equals(health.seized)
    (left,) = (await pool.loan(ONE)).account.reserves
    assert left.asset == pool.asset(USDC if px == 1_500 * USD else WETH), "the other side is gone"


async def test_the_treasurys_share_of_a_whole_collateral_is_cut_as_the_tokens_rounding_cuts_it(
    pool: Pool,
) -> None:
    """Burning the liquidator's part may leave a unit less than the fee is; the recorded indexes show both."""
    loan = await pool.loan(ONE)
    cut, px = set(), 1_500 * USD
    for time in range(loan.at + BLOCK_S, loan.at + 8 * 3_600, 3_600):
        (held,) = (h.supply for h in loan.engine.holdings(loan.account, time) if h.supply)
        told = loan.health({pool.asset(WETH): px}, time).seized
        assert told is not None
        with pool.undone():
            taken = pool.block(WETH, USDC, ONE, {WETH: px}, time)
        assert isinstance(taken, Taken) and taken.equals(told)
        cut.add(held - told.collateral[0][1])
    assert cut == {0, 1}


async def test_by_time_alone_it_is_liquidated_in_the_block_foretold(pool: Pool) -> None:
    begun = await pool.loan(ONE)
    start = begun.at + BLOCK_S
    px = begun.px_1e8(pool.asset(WETH), start) + USD // 2_000
    assert pool.block(WETH, USDC, ONE, {WETH: px}, start) == HEALTHY
    loan = await pool.loan(ONE)
    health = loan.engine.health(loan.account, loan.at)
    seconds = health.seconds_to_liquidation
    assert seconds is not None and 20 < seconds < 2_000
    for second, word in ((seconds - 1, HEALTHY), (seconds, "")):
        with pool.undone():
            taken = pool.block(WETH, USDC, ONE, {}, start + second)
        assert taken == word or (word == "" and isinstance(taken, Taken))
    foretold = -(-seconds // BLOCK_S)
    for n in range(1, foretold + 1):
        taken = pool.block(WETH, USDC, ONE, {}, start + BLOCK_S * n)
        assert n == foretold or taken == HEALTHY
    seized = loan.health({}, start + BLOCK_S * foretold).seized
    assert seized is not None and isinstance(taken, Taken) and taken.equals(seized)
