"""What the execution layer builds for the RouteExecutor is what the signer's policy allows where the owners listed it, and only then;
what audited routers can carry stays with them."""

from __future__ import annotations

import dataclasses
from typing import Any

import custody as c
import pytest
from agent_calls import GATE, ROAD, judged, outer, policy
from planned_legs import BALANCER, E18, HERE, POOLS, ROUTERS, SELL, USDC, USDT, WETH, leg

from agent.amm import CurvePool
from agent.domain.errors import Reject
from agent.domain.ids import ClOrdId
from agent.domain.orders import Part
from agent.domain.routes import Leg
from agent.execution.agent_batch import trade_call
from agent.execution.batch import build
from agent.execution.route_batch import needs_executor, route_data
from chains.errors import Usage
from chains.profiles import load
from chains.types import Address, Environment
from contracts import multisend
from contracts import route_executor as rx
from contracts.codec import decode_call, encode
from contracts.decode import to_leaves
from contracts.leaves import Swap, Unknown
from contracts.uniswap_pools import v3_pool
from keys.policy import Allowed, Refusal, SafeTxRequest, judge_safe_tx
from keys.safe import DELEGATECALL, SafeTx

EXECUTOR = Address(rx.ADDRESS)
WITH = dataclasses.replace(ROUTERS, executor=EXECUTOR)
KNOWN = c.chain_json()["contracts"] | {EXECUTOR: "route_executor"}
SPENDERS = [*c.chain_json()["spenders"], EXECUTOR]
OURS = "eip155:1/" + v3_pool(load(1).contracts["uniswap_v3_factory"], c.USDC, c.USDT, 100)
PAIR = "eip155:1/0x" + "77" * 20
CURVE = "eip155:1/0x" + "99" * 20
MORE: dict[str, Any] = POOLS | {
    OURS: dataclasses.replace(POOLS["v3t"], id=OURS),
    PAIR: dataclasses.replace(POOLS["v2t"], id=PAIR),
    CURVE: CurvePool(CURVE, (USDT, USDC), (1, 1), 100, 1, 1, 0, (1, 1), (1, 1)),
}
ROUTES = {
    "V4 in the middle of a path": [leg("v4", WETH, USDC, E18, 3_000), leg(OURS, USDC, USDT, 3_000, 2_999)],
    "a vault after a pair": [leg(PAIR, USDT, WETH, 3_000, E18), leg(BALANCER, WETH, USDC, E18, 2_990)],
    "two hops merged and split again": [
        leg("v4", WETH, USDC, E18, 3_000),
        leg(BALANCER, WETH, USDC, E18, 2_999),
        leg(OURS, USDC, USDT, 4_000, 3_990),
        leg(CURVE, USDC, USDT, 1_999, 1_998),
    ],
}


def part_of(legs: list[Leg]) -> Part:
    start, end = legs[0].asset_in, legs[-1].asset_out
    spent = sum(x.in_raw for x in legs if x.asset_in == start)
    got = sum(x.out_raw for x in legs if x.asset_out == end)
    return Part(ClOrdId("p"), ClOrdId("c"), HERE, 0, start, end, spent, got, 1, tuple(range(len(legs))))


def minimum(legs: list[Leg], each: int = 1) -> dict[int, int]:
    return {i: each for i, x in enumerate(legs) if x.asset_out == legs[-1].asset_out}


def asked(legs: list[Leg], each: int = 1, deadline: int = c.DEADLINE, **settings: Any) -> Allowed | Refusal:
    listed = {"contracts": KNOWN, "spenders": SPENDERS} | settings
    calls = build(part_of(legs), legs, MORE, WITH, Address(c.SAFE), deadline, minimum(legs, each), {"v4"})
    packed = multisend.calldata(multisend.Part(x.to, x.value, x.data) for x in calls)
    tx = SafeTx(Address(c.MULTISEND), 0, packed, DELEGATECALL, 0)
    request = SafeTxRequest(Environment.DEVNET, 1, Address(c.SAFE), tx, c.NOW, c.NOW)
    return judge_safe_tx(request, c.settings(**listed), c.EmptyLedger())


@pytest.mark.parametrize("name", ROUTES)
def test_routes_are_allowed_where_the_executor_is_listed(name: str) -> None:
    legs = ROUTES[name]
    verdict = asked(legs)
    assert isinstance(verdict, Allowed), verdict
    sold = {WETH: c.WETH, USDT: c.USDT}[legs[0].asset_in]
    assert dict(verdict.spend) == {sold: part_of(legs).in_raw} and verdict.deadline == c.DEADLINE


@pytest.mark.parametrize("name", ROUTES)
def test_they_are_refused_where_it_is_not(name: str) -> None:
    plain = c.chain_json()
    verdict = asked(ROUTES[name], contracts=plain["contracts"], spenders=plain["spenders"])
    assert isinstance(verdict, Refusal) and verdict.rule == "spender"
    unlisted = asked(ROUTES[name], spenders=c.chain_json()["spenders"])
    assert isinstance(unlisted, Refusal) and unlisted.rule == "spender"


def test_a_signer_that_calls_another_contract_so_does_not_start() -> None:
    with pytest.raises(Usage, match="is not the RouteExecutor"):
        c.settings(contracts=KNOWN | {c.THIEF: "route_executor"})


def test_one_thing_wrong_and_they_are_refused() -> None:
    legs = ROUTES["V4 in the middle of a path"]
    for changed, rule in (
        (asked(legs, each=0), "minimum-out"),
        (asked(legs, deadline=c.NOW + 10_000), "deadline-too-far"),
        (asked(legs, tokens={c.WETH: {"per_tx_raw": "1", "per_day_raw": "1"}}), "approval-size"),
        (asked(legs, tokens={k: v for k, v in c.chain_json()["tokens"].items() if k != c.USDC}), "token"),
    ):
        assert isinstance(changed, Refusal) and changed.rule == rule, changed


@pytest.mark.parametrize("name", SELL)
def test_what_audited_routers_carry_stays_with_them(name: str) -> None:
    legs = SELL[name]
    assert not needs_executor(part_of(legs), legs, POOLS, 1)
    calls = build(part_of(legs), legs, POOLS, WITH, Address(c.SAFE), c.DEADLINE, minimum(legs), {"v4"})
    assert EXECUTOR not in {call.to for call in calls}


@pytest.mark.parametrize("name", ROUTES)
def test_without_it_they_are_no_plans_at_all(name: str) -> None:
    legs = ROUTES[name]
    with pytest.raises(Reject) as told:
        build(part_of(legs), legs, MORE, ROUTERS, Address(c.SAFE), c.DEADLINE, minimum(legs), {"v4"})
    assert told.value.code == "UNEXECUTABLE_LEG"


def test_shares_come_to_the_planned_amounts() -> None:
    legs = ROUTES["two hops merged and split again"]
    data = route_data(part_of(legs), legs, MORE, 1, Address(c.WETH), c.DEADLINE, 1, {"v4"})
    hops = decode_call("route_executor", data).args["hops"]
    assert [h["share"] for h in hops] == [False, False, True, True]
    assert hops[2]["amount"] * 5_999 // rx.ALL == 4_000 and hops[3]["amount"] == rx.ALL
    assert int.from_bytes(hops[0]["detail"], "big") & 3 == rx.ETHER_IN


def test_a_pool_that_is_not_the_factorys_is_not_asked() -> None:
    legs = [leg("v4", WETH, USDC, E18, 3_000), leg("v3t", USDC, USDT, 3_000, 2_999)]
    with pytest.raises(Reject, match="not the factory's own pool"):
        route_data(part_of(legs), legs, MORE, 1, Address(c.WETH), c.DEADLINE, 1, {"v4"})


def test_the_agent_sends_it_through_the_gate_where_its_scope_lists_it() -> None:
    legs = [
        leg(PAIR, WETH, USDT, 2 * E18, 6_000),
        leg(OURS, USDT, USDC, 4_000, 3_990),
        leg(OURS, USDT, USDC, 2_000, 1_990),
    ]
    road = dataclasses.replace(ROAD, executor=EXECUTOR)
    call = trade_call(part_of(legs), legs, MORE, WITH, road, c.DEADLINE, minimum(legs), 5_000)
    trade = decode_call("gate", decode_call("zodiac_roles", call.data).args["data"]).args["t"]
    assert trade["router"] == EXECUTOR and trade["minimumOut"] == 5_000
    listed = policy(contracts=KNOWN, spenders=SPENDERS)
    verdict = judged(outer(call), listed)
    assert isinstance(verdict, Allowed), verdict
    assert dict(verdict.spend) == {c.WETH: 2 * E18}
    unlisted = judged(outer(call))
    assert isinstance(unlisted, Refusal) and unlisted.rule in ("unknown-call", "agent-router")


def gate_call(tokens: list[str], amount: int, hops: list[rx.Hop], **changes: Any) -> bytes:
    fields = {"tokenIn": c.WETH, "tokenOut": c.USDC, "amountIn": E18, "minimumOut": 1, "deadline": c.DEADLINE, "router": EXECUTOR}  # fmt: skip
    fields |= {"data": rx.route(tokens, amount, 1, c.DEADLINE, hops)} | changes
    inner = encode("gate", "trade", (fields,))
    return encode("zodiac_roles", "execTransactionWithRole", (GATE, 0, inner, 0, ROAD.role, True))


HOP = rx.Hop("V3", 0, 1, True, rx.ALL, "0x" + "55" * 20, rx.fee_detail(500))


@pytest.mark.parametrize(
    ("tokens", "amount", "changes", "rule"),
    [
        ([c.WETH, c.USDC], E18, {}, None),
        ([c.WETH, c.USDC], 2 * E18, {}, "allowance-missing"),
        ([c.WETH, c.USDC], E18 // 2, {}, "allowance-left"),
        ([c.WETH, c.USDT], E18, {}, "agent-output"),
        ([c.USDT, c.USDC], E18, {}, "allowance-missing"),
        ([c.WETH, c.USDC], E18, {"minimumOut": 0}, "minimum-out"),
        ([c.WETH, c.USDC, c.THIEF], E18, {}, "token"),
        ([c.WETH, c.USDC, c.WETH], E18, {}, "unknown-call"),
        ([c.WETH, c.USDC], E18, {"data": encode("route_executor", "unlockCallback", (b"",))}, "unknown-call"),
    ],
)
def test_the_agents_route_is_judged_to_the_leaf(
    tokens: list[str], amount: int, changes: Any, rule: str | None
) -> None:
    from chains.types import Call

    listed = policy(contracts=KNOWN, spenders=SPENDERS)
    verdict = judged(outer(Call(ROAD.roles, gate_call(tokens, amount, [HOP], **changes))), listed)
    if rule is None:
        assert isinstance(verdict, Allowed), verdict
    else:
        assert isinstance(verdict, Refusal) and verdict.rule == rule, verdict


def test_a_route_is_one_leaf_and_an_odd_one_is_none() -> None:
    from chains.types import Call

    def leaves(tokens: list[str], hops: list[rx.Hop]) -> tuple[Any, ...]:
        return to_leaves(Call(EXECUTOR, rx.route(tokens, 5, 4, 99, hops)), {EXECUTOR: "route_executor"})

    (swap,) = leaves([c.WETH, c.USDC, c.USDT], [HOP])
    assert isinstance(swap, Swap) and (swap.token_in, swap.token_out, swap.amount_in, swap.amount_out) == (
        c.WETH,
        c.USDC,
        5,
        4,
    )
    assert swap.tokens == (c.WETH, c.USDT, c.USDC) and swap.exact_in and swap.deadline == 99
    for tokens, hops in (
        ([c.WETH], [HOP]),
        ([c.WETH, c.USDC], []),
        ([c.WETH, c.USDC], [dataclasses.replace(HOP, token_out=2)]),
        ([c.WETH, c.USDC], [dataclasses.replace(HOP, amount=0)]),
        ([c.WETH, c.USDC], [dataclasses.replace(HOP, amount=rx.ALL + 1)]),
        ([c.WETH, c.USDC], [dataclasses.replace(HOP, share=False, amount=1 << 127)]),
        ([c.WETH, c.USDC, *(f"0x{i:040x}" for i in range(1, 32))], [HOP]),
    ):
        (odd,) = leaves(tokens, hops)
        assert isinstance(odd, Unknown)


def test_a_forks_pair_goes_through_its_own_router_where_the_signer_knows_that() -> None:
    """No executor: the pair's own road, for at least the minimum, paid to the wallet; a signer that was not told of the router refuses."""
    router = Address("0x" + "88" * 20)
    legs = [leg(PAIR, USDT, WETH, 3_000, E18)]
    forked = dataclasses.replace(ROUTERS, forks={PAIR: router})
    calls = build(part_of(legs), legs, MORE, forked, Address(c.SAFE), c.DEADLINE, minimum(legs, 7))
    assert [call.to for call in calls] == [Address(USDT.rpartition(":")[2]), router]
    packed = multisend.calldata(multisend.Part(x.to, x.value, x.data) for x in calls)
    tx = SafeTx(Address(c.MULTISEND), 0, packed, DELEGATECALL, 0)
    request = SafeTxRequest(Environment.DEVNET, 1, Address(c.SAFE), tx, c.NOW, c.NOW)
    listed = {"contracts": KNOWN | {router: "uniswap_v2_router"}, "spenders": [*SPENDERS, router]}
    assert isinstance(judge_safe_tx(request, c.settings(**listed), c.EmptyLedger()), Allowed)
    assert isinstance(judge_safe_tx(request, c.settings(), c.EmptyLedger()), Refusal)
    assert forked.alone([MORE[PAIR]]) == {PAIR} and not forked.never([MORE[PAIR]])
    middle = [leg(PAIR, USDT, WETH, 3_000, E18), leg("v4", WETH, USDC, E18, 2_990)]
    with pytest.raises(Reject, match="a fork's pair in the middle of a path"):
        build(part_of(middle), middle, MORE, forked, Address(c.SAFE), c.DEADLINE, minimum(middle))
