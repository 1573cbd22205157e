"""A limit on gas that one road forgets is none: trades, approvals, payments, new wallets, cancels and the agent's own calls keep the same ones.

A transaction that reverts moves nothing and still costs its gas, whoever had signed what is in it; so what can be burnt is bounded by these
limits and by what lies on the account, which the printed bound counts.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from decimal import Decimal

import custody as c
import pytest

from agent.execution.agent_batch import AgentRoad, lend_call
from chains.types import ZERO_ADDRESS, Address, Environment, Fees, UnsignedTx
from contracts.codec import encode
from keys import safe
from keys.policy import Allowed, OuterRequest, Refusal, Signed, judge_outer
from keys.safe import SafeTx
from keys.scope import ROLE, PairRule, RouteRule, Scope, TokenRule
from keys.scope_bound import bound

FACTORY = "0x4e1DCf7AD4e460CfD30791CCC4F9c8a4f820ec67"
ROLES, GATE = (
    Address("0x1111111111111111111111111111111111111111"),
    Address("0x2222222222222222222222222222222222222222"),
)
AGENT = Address(c.AGENT.address)
ROAD = AgentRoad(AGENT, ROLES, GATE, ROLE, frozenset(), frozenset(), 600)


def around(tx: SafeTx) -> UnsignedTx:
    digest = safe.safe_tx_hash(1, Address(c.SAFE), tx)
    ordered = sorted(c.OWNERS[:2], key=lambda k: int(k.address, 16))
    return c.outer(safe.exec_transaction(tx, b"".join(k.sign(digest) for k in ordered)))


def creation() -> UnsignedTx:
    made = safe.SafeSetup(tuple(o.address for o in c.OWNERS), 2, ZERO_ADDRESS, 5)
    call = safe.create_call(Address(FACTORY), Address(c.VAULT), made)
    return c.outer(call.data, to=FACTORY)


def lending() -> UnsignedTx:
    call = lend_call(ROAD, "supply", Address(c.WETH), 10**18, c.DEADLINE)
    return c.outer(call.data, to=call.to)


REVOKED = SafeTx(Address(c.USDC), 0, encode("erc20", "approve", (c.ROUTER, 0)), 0, 3)
REVERTS = SafeTx(Address(c.USDC), 0, encode("erc20", "transfer", (c.THIEF, 10**30)), 0, 3)
SIGNED = c.EmptyLedger(sender_signed=(Signed(b"x" * 32, 0),))
ROADS: dict[str, tuple[Callable[[], UnsignedTx], bool, c.EmptyLedger]] = {
    "a trade that owners signed": (lambda: around(c.sell()), False, c.EmptyLedger()),
    "an approval taken back": (lambda: around(REVOKED), True, c.EmptyLedger()),
    "what people signed and what reverts": (lambda: around(REVERTS), True, c.EmptyLedger()),
    "a new wallet": (creation, False, c.EmptyLedger()),
    "a cancel": (lambda: c.outer(b"", to=AGENT), False, SIGNED),
    "the agent's own lending": (lending, False, c.EmptyLedger()),
}
AGENT_JSON = {"account": AGENT, "roles": ROLES, "gate": GATE, "role": "0x" + ROLE.hex()}
CONTRACTS = {**c.chain_json()["contracts"], FACTORY: "safe_proxy_factory"}


def judged(
    tx: UnsignedTx, attended: bool, ledger: c.EmptyLedger, environment: Environment
) -> Allowed | Refusal:
    settings = c.settings(environment, contracts=CONTRACTS, agent=AGENT_JSON)
    nonce = 3 if attended else 0
    return judge_outer(OuterRequest(environment, AGENT, tx, nonce, c.NOW, c.NOW, attended), settings, ledger)


@pytest.mark.parametrize("environment", [Environment.DEVNET, Environment.LIVE])
@pytest.mark.parametrize("road", ROADS)
def test_no_road_forgets_a_limit(road: str, environment: Environment) -> None:
    make, attended, ledger = ROADS[road]
    tx, chain = make(), c.settings().chains[1]
    honest = judged(tx, attended, ledger, environment)
    assert isinstance(honest, Allowed), honest
    assert honest.gas_wei == tx.gas * tx.fees.max_fee_wei, "what it can burn at most is what counts"
    dear = Fees(chain.max_fee_wei + 1, 1)
    whole = Fees(chain.gas_per_tx_wei // tx.gas + 1, 1)
    for changed in (replace(tx, gas=chain.max_gas + 1), replace(tx, fees=dear), replace(tx, fees=whole)):
        verdict = judged(changed, attended, ledger, environment)
        assert isinstance(verdict, Refusal) and verdict.rule == "gas-cap" and verdict.remedy, road
    spent = replace(ledger, gas=chain.gas_per_day_wei - honest.gas_wei + 1)
    verdict = judged(tx, attended, spent, environment)
    assert isinstance(verdict, Refusal) and verdict.rule == "gas-per-day", road
    assert isinstance(judged(tx, attended, replace(spent, gas=spent.gas - 1), environment), Allowed)


def test_what_reverts_is_in_the_printed_bound() -> None:
    """All that lies on the agent's account is lost to whoever has its key, by failing transactions if by nothing else."""
    feed, other = Address("0x5f4eC3Df9cbd43714FE2740f5E3616155c5b8419"), Address("0x8fFfFfd4AfB6115b954Bd326cbe7B4BA576818f6")  # fmt: skip
    pool = Address("0x88e6A0c2dDD26FEEb64F039a2c41296FcB3f5640")
    scope = Scope(
        1, Address(c.SAFE), AGENT,
        (TokenRule(Address(c.WETH), "WETH", 18, feed, 8, 3_600, 50, 10**20), TokenRule(Address(c.USDC), "USDC", 6, other, 8, 86_400, 25, 10**11)),
        (PairRule(Address(c.WETH), Address(c.USDC), pool, 1_800),),
        (RouteRule(Address(c.ROUTER), "universal_router", "execute(bytes,bytes[],uint256)", "push"),),
        Decimal(60_000), Decimal(30_000), 100, 200, 600, 7 * 86_400, 86_400,
    )  # fmt: skip
    none = bound(scope, Decimal(3_000))
    for ether in (1, 7):
        held = bound(replace(scope, gas_float_wei=ether * 10**18), Decimal(3_000))
        assert held.per_day_usd - none.per_day_usd == held.per_hour_usd - none.per_hour_usd == 3_000 * ether
