"""Where an account lends the asset it owes, the one pays the other: no more than both have, the last unit needed, nothing leaves the wallet."""

from __future__ import annotations

from dataclasses import replace

import pytest
from troubled_loans import AT, GAS, account

from agent.margin import aave_v3_0, aave_v3_6
from agent.margin.aave_account import Account
from agent.margin.aave_core import AaveModel
from agent.margin.aave_moves import REPAY, REPAY_WITH, WITHDRAW, moved
from agent.margin.rescue import Means, Move, health_after, plans
from chains.types import Address, Call
from contracts.codec import encode
from contracts.decode import to_leaves
from contracts.universal_router import deadline_guard
from keys.policy_flow import follow
from keys.policy_settings import Cap, ChainPolicy
from keys.policy_state import Refused
from keys.sentences import sentence

TARGET = 135 * 10**16
SAFE, POOL, ROUTER, TOKEN = (Address("0x" + f"{n:02x}" * 20) for n in range(1, 5))
POLICY = ChainPolicy(
    1, SAFE, frozenset({SAFE}), 1, {TOKEN: "erc20", POOL: "aave_v3_pool", ROUTER: "universal_router"}, frozenset({POOL}),
    {TOKEN: Cap(10, 20)}, TOKEN,
)  # fmt: skip


def lending(seed: int, lent: int) -> Account:
    one = account(seed)
    rows = [replace(r, scaled_supply_raw=lent) if r.asset == "usdc" else r for r in one.reserves]
    return replace(one, reserves=tuple(rows))


@pytest.mark.parametrize("model", [aave_v3_0.MODEL, aave_v3_6.MODEL], ids=["3.0", "3.6"])
def test_it_is_a_withdrawal_and_a_repayment_of_as_much(model: AaveModel) -> None:
    for seed in range(40):
        one = lending(seed, 1_000 * 10**6)
        raw = 300 * 10**6 + seed
        apart = moved(model, moved(model, one, WITHDRAW, "usdc", raw, AT), REPAY, "usdc", raw, AT)
        assert moved(model, one, REPAY_WITH, "usdc", raw, AT) == apart
        (owing,) = (r for r in one.reserves if r.asset == "usdc")
        all_of_it = moved(model, lending(seed, 10**13), REPAY_WITH, "usdc", 10**12, AT)
        (left,) = (r for r in all_of_it.reserves if r.asset == "usdc")
        assert left.scaled_debt_raw == 0
        taken = model.supply_raw(replace(left, scaled_supply_raw=10**13), AT) - model.supply_raw(left, AT)
        assert abs(taken - model.debt_raw(owing, AT)) <= 1, "no more is taken than is owed"


def test_a_plan_takes_the_least_that_reaches_the_target() -> None:
    reached = 0
    for seed in range(60):
        one = lending(seed, 2_500 * 10**6)
        model = (aave_v3_0.MODEL, aave_v3_6.MODEL)[seed % 2]
        means = [Means(REPAY_WITH, "usdc", 2_500 * 10**6, GAS), Means(REPAY, "usdc", 50 * 10**6, GAS)]
        for plan in plans(model, one, (AT, AT + 180), TARGET, means):
            *before, last = plan.moves
            if last.means.do != REPAY_WITH:
                continue
            reached += 1
            for at in (AT, AT + 180):
                left = health_after(model, one, at, plan.moves)
                assert left is None or left >= TARGET
            less = [*before, Move(last.means, last.raw - 1)]
            short = [health_after(model, one, at, less) for at in (AT, AT + 180)]
            assert any(f is not None and f < TARGET for f in short)
    assert reached > 20


def test_the_signer_lets_it_pass_beyond_every_cap_and_an_owner_reads_it() -> None:
    """Nothing leaves the wallet: deposit and debt are its own."""
    guard = Call(ROUTER, deadline_guard(SAFE, TOKEN, 1_060))

    def judged(mode: int) -> dict[str, int]:
        call = Call(POOL, encode("aave_v3_pool", "repayWithATokens", (TOKEN, 10**9, mode)))
        leaves = [leaf for c in (guard, call) for leaf in to_leaves(c, POLICY.contracts)]
        assert "out of what is lent of it" in sentence(leaves[-1], SAFE, {TOKEN: ("USDC", 6)})
        return follow(leaves, POLICY, 1_000).spend

    assert judged(2) == {}
    with pytest.raises(Refused) as refused:
        judged(1)
    assert refused.value.rule == "rate-mode"
