"""The agent's own calls as the road builds them over planned legs, and the signer's judgement of its transaction."""

from __future__ import annotations

import dataclasses
from typing import Any

import custody as c
from planned_legs import BUY, E18, HERE, POOLS, ROUTERS, SELL, USDC, WETH, leg

from agent.domain.ids import ClOrdId
from agent.domain.orders import Part
from agent.domain.routes import Leg
from agent.execution.agent_batch import AgentRoad, trade_call
from agent.execution.batch import floors
from chains.types import Address, Call, Environment, Fees, UnsignedTx
from keys.policy import Allowed, OuterRequest, Refusal, judge_outer
from keys.scope import ROLE

ROLES = Address("0x1111111111111111111111111111111111111111")
GATE = Address("0x2222222222222222222222222222222222222222")
AGENT = Address(c.AGENT.address)
LISTED = frozenset(Address(a) for a in (c.WETH, c.USDC, c.USDT))
ROAD = AgentRoad(
    AGENT, ROLES, GATE, ROLE, LISTED, frozenset({frozenset((Address(c.WETH), Address(c.USDC)))}), 600
)
AGENT_JSON = {"account": AGENT, "roles": ROLES, "gate": GATE, "role": "0x" + ROLE.hex()}
ROUTES = {name: legs for name, legs in (SELL | BUY).items() if "Balancer" not in name} | {
    "two pools of ether": [leg("v4", WETH, USDC, E18, 3_000), leg("v3", WETH, USDC, E18, 3_000)]
}


def policy(environment: Environment = Environment.DEVNET, **changes: Any) -> Any:
    return c.settings(environment, agent=AGENT_JSON, **changes)


def call_of(legs: list[Leg], deadline: int = c.DEADLINE, starve: bool = False) -> Call:
    start, end = legs[0].asset_in, legs[-1].asset_out
    spent = sum(x.in_raw for x in legs if x.asset_in == start)
    got = sum(x.out_raw for x in legs if x.asset_out == end)
    part = Part(ClOrdId("p"), ClOrdId("c"), HERE, 0, start, end, spent, got, 1, tuple(range(len(legs))))
    minimum = floors(part, legs, got, 50)
    if starve:
        minimum = dict.fromkeys(minimum, 0)
    return trade_call(part, legs, POOLS, ROUTERS, ROAD, deadline, minimum, sum(minimum.values()), {"v4"})


def outer(call: Call, **changes: Any) -> UnsignedTx:
    tx = UnsignedTx(1, 7, call.to, call.value, call.data, 900_000, Fees(30 * 10**9, 10**9))
    return dataclasses.replace(tx, **changes)


def judged(tx: UnsignedTx, settings: Any = None, ledger: c.EmptyLedger | None = None) -> Allowed | Refusal:
    settings = settings or policy()
    request = OuterRequest(settings.environment, AGENT, tx, 0, c.NOW, c.NOW)
    return judge_outer(request, settings, ledger or c.EmptyLedger())
