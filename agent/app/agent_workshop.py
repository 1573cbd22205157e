"""A part of the agent's own road made concrete and rehearsed: the one call its key will sign, exactly as it will be signed.

What the Gate demands is asked of the fork on this machine, never of an endpoint: amounts are nobody's business. A plan the Gate would
refuse is refused here by name, before anything is signed.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace

from agent.app.chain_desk import ChainDesk
from agent.app.lasting import until_s
from agent.domain.errors import Denied, Reject
from agent.domain.events import Approved, ChainBatch, PartFailed, Prepared, Simulated
from agent.domain.orders import Part
from agent.execution.agent_batch import AgentRoad, sent_as, trade_call
from agent.execution.authority import EXEC_OVERHEAD_GAS
from agent.execution.batch import floors
from agent.execution.settlement import token_of
from agent.market.view import MarketView
from chains.gas import gas_limit_up
from chains.simulate import Simulator, Step
from chains.types import Address, Call
from contracts.codec import decode_result, encode

REMEDIES = {
    "MinimumBelowFloor": "the market or the feeds moved: plan again, trade less, or let the owners sign",
    "ReceivedBelowMinimum": "the market moved: plan again, or trade less",
    "OverBudget": "the agent's budget refills steadily within a day: trade less or later, or let the owners sign",
    "IsFrozen": "an owner has frozen the Gate: they decide",
    "Lapsed": "`fairlead wallet renew`, then the owners sign and execute it",
    "NotTheAgent": "the Gate has another agent: `fairlead wallet audit`",
    "NoMembership": "the agent's account is no member of the role: `fairlead wallet audit`",
    "NotAuthorized": "the agent's account is no member of the role: `fairlead wallet audit`",
    "ConditionViolation": "the role does not allow it: `fairlead wallet audit`",
    "SourcesDisagree": "the Gate's two price sources differ too far: wait until they agree",
    "PriceStale": "a feed is too old: wait until it is fresh",
    "PairNotListed": "the scope does not list the pair: `fairlead wallet scope`",
    "RouteNotListed": "the scope does not list the router: `fairlead wallet scope`",
    "ReserveNotListed": "the scope does not list it: `fairlead wallet scope`",
    "HealthLowered": "the owners' health floor stands: borrow or withdraw less, or supply first",
    "StillOpen": "another order sells this token: wait for its end, or cancel it",
    "OverPaymentBudget": "the rule's budget refills steadily within a day: pay less or later, or let the owners sign",
    "StillLiquidatable": "it would leave the account liquidatable: pay more at once, or let the owners sign",
    "NoCollateral": "the asset secures nothing there (switched off, isolated, worth no loan), or too little to show: repay, supply more, or let the owners sign",
    "NotOpenYet": "what pays into loans was opened after the Gate was sealed: the Gate's delay has to pass",
    "Closed()": "an owner has closed what pays into loans: they decide; `fairlead wallet scope --propose` opens it again",
    "GateFrozen": "an owner has frozen the Gate: they decide",
    "GateLapsed": "`fairlead wallet renew`, then the owners sign and execute it",
    "TokenCallFailed": "the Safe's allowance or balance is too small: `fairlead wallet audit`",
}
"""What to do where Roles or the Gate says no, by the error it reverts with."""


async def oracle_floor(simulator: Simulator, road: AgentRoad, part: Part) -> int:
    """The least the Gate takes for the part now. Raises Reject SCOPE_PRICE where it believes no price."""
    sold, bought = token_of(part.asset_in), token_of(part.asset_out)
    return await gate_floor(simulator, road, sold, bought, part.in_raw, part.place)


async def gate_floor(
    simulator: Simulator, road: AgentRoad, sold: Address, bought: Address, raw: int, place: str
) -> int:
    """The least of `bought` that the Gate takes for `raw` of `sold` now. Raises Reject SCOPE_PRICE."""
    try:
        answer = await simulator.call(Call(road.gate, encode("gate", "floorOf", (sold, bought, raw))))
    except Reject as no:
        raise Reject("SCOPE_PRICE", f"{place}: the Gate: {no.message}", remedy_of(no.message)) from no
    return int(decode_result("gate", "floorOf", answer)[0])


async def prepare(
    part: Part,
    approved: Approved,
    view: MarketView,
    chain: ChainDesk,
    road: AgentRoad,
    deadline_s: int,
    now_ns: Callable[[], int],
) -> Prepared:
    """Raises Denied SCOPE_FLOOR, Reject SCOPE_PRICE, UNEXECUTABLE_LEG."""
    assert chain.simulator is not None
    floor = await oracle_floor(chain.simulator, road, part)
    if part.out_raw < floor:
        raise Denied(
            "SCOPE_FLOOR",
            f"{part.place}: the plan gives {part.out_raw} of {part.asset_out}, the Gate demands {floor}",
            REMEDIES["MinimumBelowFloor"],
        )
    legs = [approved.planned.route.legs[i] for i in part.legs]
    minimum = floors(part, legs, part.out_raw, approved.planned.child.max_slippage_bps)
    head = await chain.warm.block("latest")
    lasts_s = approved.planned.child.lasts_s
    until = until_s(head.timestamp, now_ns(), min(deadline_s, road.deadline_s), lasts_s)
    call = _call(part, approved, view, chain, road, until, minimum, max(sum(minimum.values()), floor))
    batch = ChainBatch(
        chain.profile.chain_id, chain.wallet, (call,), until, approved.planned.child.protection
    )
    return Prepared(part, batch, None, now_ns())


async def simulate(
    prepared: Prepared,
    approved: Approved,
    view: MarketView,
    chain: ChainDesk,
    road: AgentRoad,
    now_ns: Callable[[], int],
) -> Simulated | PartFailed:
    """Twice: once for what the market really gives, then exactly what will be signed, with its gas limit, from the agent's account."""
    part, batch = prepared.part, prepared.chain
    simulator = chain.simulator
    assert batch is not None and simulator is not None
    sold, bought = token_of(part.asset_in), token_of(part.asset_out)
    watched = [(sold, batch.wallet), (bought, batch.wallet), (sold, road.gate), (bought, road.gate)]
    seen = await simulator.run([Step(*sent_as(road, batch.calls[0]))], watch=watched)
    if not seen.ok:
        return _failed(part, "WOULD_REVERT", f"{seen.reason} → {remedy_of(seen.reason)}", now_ns())
    given, got = -seen.changes[watched[0]], seen.changes[watched[1]]
    if given != part.in_raw:
        return _failed(part, "OTHER_AMOUNT", f"it would spend {given}, not {part.in_raw}", now_ns())
    if got < part.floor_raw:
        told = f"it would give {got}, at least {part.floor_raw} is wanted"
        return _failed(part, "MARKET_MOVED", told, now_ns())
    if any(seen.changes[key] for key in watched[2:]):
        return _failed(part, "OTHER_AMOUNT", "something would stay in the Gate", now_ns())
    legs = [approved.planned.route.legs[i] for i in part.legs]
    minimum = floors(part, legs, got, approved.planned.child.max_slippage_bps)
    least = max(sum(minimum.values()), await oracle_floor(simulator, road, part))
    call = _call(part, approved, view, chain, road, batch.deadline_s, minimum, least)
    gas = seen.steps[0].gas_used + road.more_gas
    # Gas used is told after refunds, which come only at the end: locks and allowances are set and unset on the way.
    final = await simulator.run(
        [Step(*sent_as(road, call), gas_limit_up(gas + EXEC_OVERHEAD_GAS))], watch=watched
    )
    if not final.ok:
        return _failed(part, "WOULD_REVERT", f"{final.reason} → {remedy_of(final.reason)}", now_ns())
    return Simulated(
        part=part,
        chain=replace(batch, calls=(call,)),
        order=None,
        out_raw=final.changes[watched[1]],
        floor_raw=least,
        gas=final.steps[0].gas_used + road.more_gas,
        block_number=final.block.number,
        at_ns=now_ns(),
    )


def remedy_of(reason: str) -> str:
    return next((remedy for name, remedy in REMEDIES.items() if name in reason), "`fairlead wallet audit`")


def _call(
    part: Part,
    approved: Approved,
    view: MarketView,
    chain: ChainDesk,
    road: AgentRoad,
    deadline_s: int,
    minimum: Mapping[int, int],
    least: int,
) -> Call:
    legs = [approved.planned.route.legs[i] for i in part.legs]
    return trade_call(
        part, legs, view.pools, chain.routers, road, deadline_s, minimum, least, chain.native_pools
    )


def _failed(part: Part, code: str, message: str, at_ns: int) -> PartFailed:
    return PartFailed(part, code, message, at_ns)
