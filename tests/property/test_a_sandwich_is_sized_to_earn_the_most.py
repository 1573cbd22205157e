"""No front-run of any size earns more than the one the bot chose, and the victim always gets its minimum."""

from __future__ import annotations

from fractions import Fraction

from hypothesis import given, settings
from hypothesis import strategies as st

from agent.amm import ConstantProductPool
from agent.app.adversary.sizing import Victim, best, gas_in_up, most_allowed
from agent.domain.instruments import erc20_id

WETH, USDC = erc20_id(1, "0x" + "11" * 20), erc20_id(1, "0x" + "22" * 20)
POOLS = st.builds(
    lambda weth, px, fee: ConstantProductPool("eip155:1/0x33", (WETH, USDC), (weth, weth * px // 10**12), fee, 90_000),
    st.integers(10**19, 10**23),
    st.integers(100, 10_000),
    st.sampled_from((100, 500, 3000)),
)  # fmt: skip


@settings(max_examples=60, deadline=None)
@given(POOLS, st.integers(1, 2000), st.integers(1, 500), st.integers(0, 10**11))
def test_nothing_on_a_grid_beats_it(
    pool: ConstantProductPool, share: int, tolerance_bps: int, gas_wei: int
) -> None:
    amount = pool.reserves[0] * share // 10_000
    fair = Victim(pool, WETH, USDC, amount, 0, Fraction(gas_wei)).alone
    assert fair
    minimum = fair * (10_000 - tolerance_bps) // 10_000
    victim = Victim(pool, WETH, USDC, amount, minimum, Fraction(gas_wei))
    most, chosen = most_allowed(victim), best(victim)
    if most < victim.amount * 64:
        assert victim.attacked(most + 1) is None
    on_grid = [a.profit for n in range(1, 201) if (a := victim.attacked(most * n // 200)) is not None]
    top = max(on_grid, default=0)
    if chosen is None:
        assert top <= most // 10**4, "at most what the search steps over"
    else:
        assert chosen.out >= minimum and chosen.front <= most
        assert chosen.profit >= top - most // 10**4


def test_gas_is_counted_in_what_is_sold_and_never_below_its_price() -> None:
    pool = ConstantProductPool("eip155:1/0x33", (WETH, USDC), (10**21, 3 * 10**12), 3000, 90_000)
    assert gas_in_up(pool, WETH, WETH, 12345) == 12345
    assert gas_in_up(pool, USDC, WETH, 10**16) > 30 * 10**6
    assert gas_in_up(pool, USDC, erc20_id(1, "0x" + "44" * 20), 10**16) is None
