"""Bytes of an honest trade of the agent's changed at will: refused, or still a trade that pays the Gate within every bound."""

from __future__ import annotations

import custody as c
from hypothesis import given, settings
from hypothesis import strategies as st

from chains.types import Address, Environment, Fees, UnsignedTx
from contracts import universal_router as ur
from contracts.codec import encode
from contracts.leaves import GateTrade, RoleExecution, RouterCall, Swap
from keys.policy import Allowed, OuterRequest, judge_outer
from keys.scope import ROLE

ROLES = Address("0x1111111111111111111111111111111111111111")
GATE = Address("0x2222222222222222222222222222222222222222")
AGENT = Address(c.AGENT.address)
POLICY = c.settings(
    Environment.LIVE, agent={"account": AGENT, "roles": ROLES, "gate": GATE, "role": "0x" + ROLE.hex()}
)
TRADE = {
    "tokenIn": c.WETH,
    "tokenOut": c.USDC,
    "amountIn": 5 * c.ETH,
    "minimumOut": 14_000 * 10**6,
    "deadline": c.DEADLINE,
    "router": c.ROUTER,
    "data": ur.execute(
        [
            c.v3_command(3 * c.ETH, 8_000 * 10**6, user_pays=False),
            c.v3_command(2 * c.ETH, 6_000 * 10**6, user_pays=False),
        ],
        c.DEADLINE,
    ),
}
HONEST = encode(
    "zodiac_roles",
    "execTransactionWithRole",
    (GATE, 0, encode("gate", "trade", (TRADE,)), 0, ROLE, True),
)


def judged(data: bytes) -> object:
    tx = UnsignedTx(1, 0, ROLES, 0, data, 900_000, Fees(30 * 10**9, 10**9))
    return judge_outer(OuterRequest(Environment.LIVE, AGENT, tx, 0, c.NOW, c.NOW), POLICY, c.EmptyLedger())


def within_bounds(verdict: Allowed) -> None:
    role = next(leaf for leaf in verdict.leaves if isinstance(leaf, RoleExecution))
    assert (role.to, role.role, role.operation, role.value, role.should_revert) == (GATE, ROLE, 0, 0, True)
    trade = next(leaf for leaf in verdict.leaves if isinstance(leaf, GateTrade))
    assert (trade.router, trade.token_in) == (c.ROUTER, c.WETH) or trade.token_in in (c.USDC, c.USDT)
    assert trade.minimum_out > 0 and dict(verdict.spend) == {trade.token_in: trade.amount_in}
    assert trade.amount_in <= POLICY.chains[1].tokens[trade.token_in].per_tx_raw
    assert c.NOW <= verdict.deadline <= c.NOW + POLICY.chains[1].max_deadline_s
    assert all(leaf.deadline is not None for leaf in verdict.leaves if isinstance(leaf, RouterCall))
    swaps = [leaf for leaf in verdict.leaves if isinstance(leaf, Swap)]
    assert sum(leaf.amount_in for leaf in swaps) == trade.amount_in
    for leaf in swaps:
        assert leaf.recipient in (ur.MSG_SENDER, GATE) and leaf.token_out == trade.token_out


def test_the_honest_trade_is_within_bounds() -> None:
    verdict = judged(HONEST)
    assert isinstance(verdict, Allowed)
    within_bounds(verdict)


@settings(max_examples=600, deadline=None)
@given(st.lists(st.tuples(st.integers(0, len(HONEST) - 1), st.integers(1, 255)), min_size=1, max_size=4))
def test_changed_bytes(changes: list[tuple[int, int]]) -> None:
    data = bytearray(HONEST)
    for at, mask in changes:
        data[at] ^= mask
    verdict = judged(bytes(data))
    if isinstance(verdict, Allowed):
        within_bounds(verdict)


@settings(max_examples=200, deadline=None)
@given(st.binary(min_size=1, max_size=64), st.integers(0, len(HONEST)))
def test_inserted_bytes_are_never_taken(more: bytes, at: int) -> None:
    verdict = judged(HONEST[:at] + more + HONEST[at:])
    assert not isinstance(verdict, Allowed)
