"""Lending actions of the wallet: supply, borrow, repay, withdraw at Aave V3, on the same road as an order.

The batch starts with a call that only checks its deadline (lending calls carry none), approves exactly, acts, and takes
back what approval a repayment leaves. It is rehearsed here first, with the health factor it would leave behind.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from decimal import Decimal, localcontext

from agent.app.agent_workshop import remedy_of
from agent.app.chain_desk import ChainDesk
from agent.app.instructed import instructed
from agent.app.lasting import until_s
from agent.app.lenders import aave_v3
from agent.app.lenders.lender import Lender, SeenLoan
from agent.app.loan_payments import rules_at
from agent.app.wiring import DEADLINE_S, App
from agent.domain.errors import Denied, Reject, Usage
from agent.domain.events import ChainBatch, PartFailed, Refused, Settled, Simulated
from agent.domain.ids import ClOrdId, child_id, part_id
from agent.domain.instruments import AssetId, Place, place_of
from agent.domain.orders import Part
from agent.domain.units import WIDE, parse_qty, qty_exact, raw_exact
from agent.execution.agent_batch import lend_call, pay_call, sent_as
from agent.execution.authority import EXEC_OVERHEAD_GAS
from agent.execution.desk import Desk
from agent.execution.settlement import token_of
from chains.gas import Urgency, bid, cost_at_most, gas_limit_up
from chains.simulate import WATCHER, Simulation, Step
from chains.types import Address, BlockRef, Call
from contracts.universal_router import deadline_guard

VERBS = ("supply", "borrow", "repay", "withdraw")


@dataclass(frozen=True)
class Action:
    """`health_before` and `health_after` are the protocol's own health factors in 1e18, None without debt.

    `fee_wei` is the most its transaction may cost as it would be bid for now; `fee_usd` the same in dollars, None where no
    source prices the gas token. `time_s` is the time of the rehearsed block.
    """

    verb: str
    part: Part
    batch: ChainBatch
    what: str
    gas: int
    block_number: int
    health_before: int | None
    health_after: int | None
    fee_wei: int
    fee_usd: Decimal | None
    time_s: int


def asset_at(app: App, symbol: str, place: Place) -> AssetId:
    """The ERC-20 that stands for a symbol on a chain."""
    for asset in app.directory.group(symbol):
        if asset.startswith(f"{place}/erc20:"):
            return asset
    raise Usage("UNKNOWN_ASSET", f"{symbol} has no token on {place} in the settings", "add it under [assets]")


def beside(app: App, asset: AssetId) -> AssetId:
    """Another token of its chain: what a part names besides, where only one asset moves. Raises Usage ONE_TOKEN."""
    place = place_of(asset)
    for other in app.directory.at(place):
        if other != asset and "/erc20:" in other:
            return other
    raise Usage(
        "ONE_TOKEN", f"{asset} is the only token of {place} in the settings", "add another one under [assets]"
    )


async def prepare(app: App, verb: str, qty: str, symbol: str, chain_name: str) -> Action:
    """The action as a rehearsed batch. Raises Usage for wrong words, Reject WOULD_REVERT with the protocol's reason."""
    chain = app.settings.chain(chain_name)
    if chain is None:
        raise Usage("UNKNOWN_CHAIN", f"there is no chain '{chain_name}' in the settings", "see [[chains]]")
    desk = app.chains[chain.chain_id]
    if app.roads is not None and desk.road is None:
        raise Denied(
            "SCOPE_NONE",
            f"{chain_name}: the owners grant the agent's key nothing there",
            "add a [[scopes]] table for it, or let the owners sign (`--by owners`)",
        )
    lender = await aave_v3.lender(chain, desk.gateway) if desk.simulator is not None else None
    if lender is None:
        raise Usage(
            "NO_LENDING",
            f"no lending pool is known on {chain_name}, or the settings only watch",
            "try ethereum",
        )
    asset = asset_at(app, symbol, desk.place)
    raw = raw_exact(parse_qty(qty, "the quantity"), app.directory.assets[asset].decimals, "the quantity")
    what = f"{verb} {qty} {symbol} at Aave V3 on {chain_name}"
    name = ClOrdId(f"lend-{app.clock.now_ns()}")
    return await prepared(app, desk, verb, asset, raw, what, name, lender)


async def prepared(
    app: App,
    desk: ChainDesk,
    verb: str,
    asset: AssetId,
    raw: int,
    what: str,
    name: ClOrdId,
    lender: Lender,
    at: BlockRef | None = None,
    seen: SeenLoan | None = None,
    own: Callable[[int, int], tuple[Call, ...]] | None = None,
    lasts_s: int = DEADLINE_S,
) -> Action:
    """The action under a name of the caller's, rehearsed on top of `at` (the head where None), where the account was `seen`; `own` are its
    calls by the block's time and the deadline, where the lender has none of that verb. It may be included for `lasts_s` from now on, and no
    longer than DEADLINE_S after that block. Raises as `prepare`."""
    assert desk.simulator is not None
    wallet = desk.wallet
    head = at or await desk.gateway.block("latest")
    most_s = DEADLINE_S
    if desk.road is not None:
        most_s = min(DEADLINE_S, desk.road.deadline_s)
        check_market(app, desk, lender)
        check_scope(app, desk, lender, verb, token_of(asset), app.directory.assets[asset].symbol)
    time_s = max(head.timestamp + 1, app.clock.now_ns() // 10**9)
    deadline = until_s(head.timestamp, app.clock.now_ns(), most_s, lasts_s)
    if desk.road is not None:
        calls: tuple[Call, ...] = (_agents_call(app, desk, lender, verb, token_of(asset), raw, deadline),)
    else:
        guard = Call(desk.routers.universal_router, deadline_guard(wallet, token_of(asset), deadline))
        acts = (
            own(time_s, deadline) if own else lender.calls(verb, token_of(asset), raw, wallet, seen, time_s)
        )
        calls = (guard, *acts)
    batch = ChainBatch(desk.profile.chain_id, wallet, calls, deadline, desk.protection)
    other = beside(app, asset)
    leaves = verb in ("supply", "repay")
    child = child_id(name, 0)
    part = Part(
        cl_ord_id=part_id(child, desk.place, 1),
        child=child,
        place=desk.place,
        attempt=1,
        asset_in=asset if leaves else other,
        asset_out=other if leaves else asset,
        in_raw=raw if leaves else 0,
        out_raw=raw if verb in ("borrow", "withdraw") else 0,
        floor_raw=0,
        legs=(),
    )
    tried, used, before, after = await rehearse(desk, lender, batch, head, time_s, seen)
    gas = (
        used + 60_000 + (desk.road.more_gas if desk.road is not None else 0)
    )  # told after refunds, which come only at the end
    fee_wei = cost_at_most(
        gas_limit_up(gas + EXEC_OVERHEAD_GAS), bid(await desk.gateway.fee_history(), Urgency.NORMAL)
    )
    px = (await app.oracles.medians()).get(desk.profile.native)
    with localcontext(WIDE):
        fee_usd = qty_exact(fee_wei, 18) * px if px is not None else None
    return Action(verb, part, batch, what, gas, tried.block.number, before, after, fee_wei, fee_usd, time_s)


def _agents_call(
    app: App, desk: ChainDesk, lender: Lender, verb: str, token: Address, raw: int, deadline: int
) -> Call:
    """Through the Gate at its own pool, through Payments at any other market."""
    assert app.roads is not None and desk.road is not None
    by = rules_at(app.roads.opened[desk.profile.chain_id].scope, lender).get((verb, token))
    if by is None:
        return lend_call(desk.road, verb, token, raw, deadline)
    payer, rule = by
    return pay_call(desk.road, rule, raw, deadline, payer)


def granted_verbs(app: App, desk: ChainDesk, lender: Lender, token: Address) -> list[str]:
    """What the owners let the agent's key do with a token at that market."""
    assert app.roads is not None
    scope = app.roads.opened[desk.profile.chain_id].scope
    if scope.lending_pool == lender.contract:
        return [action for reserve in scope.reserves if reserve.asset == token for action in reserve.actions]
    return [verb for verb, asset in rules_at(scope, lender) if asset == token]


def check_scope(app: App, desk: ChainDesk, lender: Lender, verb: str, token: Address, symbol: str) -> None:
    """Raises Denied SCOPE_RESERVE where the owners grant the agent's key nothing of the kind."""
    may = granted_verbs(app, desk, lender, token)
    if verb not in may:
        raise Denied(
            "SCOPE_RESERVE",
            f"{desk.profile.name}: the agent's scope does not let it {verb} {symbol}"
            + (f", only {' and '.join(sorted(may))} it" if may else ""),
            "add it to scopes.reserves, or elsewhere than at the scope's own pool to scopes.payments, and have the owners grant it; or let them sign (`--by owners`)",
        )


def within_scope(app: App, desk: ChainDesk, lender: Lender) -> bool:
    """Whether the agent's key reaches that market: through the Gate, which knows one, or by a payment of the scope; true where owners sign."""
    if app.roads is None:
        return True
    opened = app.roads.opened.get(desk.profile.chain_id)
    if opened is None:
        return False
    return opened.scope.lending_pool == lender.contract or bool(rules_at(opened.scope, lender))


def check_market(app: App, desk: ChainDesk, lender: Lender) -> None:
    """Raises Denied SCOPE_MARKET where the agent's scope holds another market, or none."""
    if not within_scope(app, desk, lender):
        raise Denied(
            "SCOPE_MARKET",
            f"{desk.profile.name}: the agent's scope does not reach {lender.words}",
            "let the owners sign (`--by owners`)",
        )


async def rehearse(
    desk: ChainDesk, lender: Lender, batch: ChainBatch, at: BlockRef, time_s: int, loan: SeenLoan | None
) -> tuple[Simulation, int, int | None, int | None]:
    """The batch in the wallet's own name, or in that of the agent's account where its key signs, in one simulated block: its gas, and the
    health factor before and after it."""
    assert desk.simulator is not None
    sent = [(batch.wallet, c) if desk.road is None else sent_as(desk.road, c) for c in batch.calls]
    asked = [Step(WATCHER, call) for call in lender.asked(batch.wallet)]
    seen = await desk.simulator.run([*asked, *(Step(*one) for one in sent), *asked], at=at, time_s=time_s)
    failed = next((step for step in seen.steps if not step.ok), None)
    if failed is not None:
        reason = lender.errors.get(failed.reason, failed.reason)
        if desk.road is not None:
            hint = remedy_of(reason)
            raise Reject("WOULD_REVERT", f"the Gate or the protocol refuses it: {reason}", hint)
        raise Reject("WOULD_REVERT", f"the protocol refuses it: {reason}", "nothing was signed")
    answers, count = [step.data for step in seen.steps], len(asked)
    before, after = (lender.health(told, loan, time_s) for told in (answers[:count], answers[-count:]))
    used = sum(step.gas_used for step in seen.steps[count:-count])
    return seen, used, before, after


def shown_health(factor_1e18: int | None) -> str:
    return "no debt" if factor_1e18 is None else f"{qty_exact(factor_1e18, 18):.4f}"


def check_health(action: Action, least: Decimal) -> None:
    """Raises Denied HEALTH_TOO_LOW where the action leaves less than asked for and makes it worse."""
    if action.health_after is None:
        return
    with localcontext(WIDE):
        after = qty_exact(action.health_after, 18)
    worse = action.health_before is None or action.health_after < action.health_before
    if worse and after < least:
        raise Denied(
            "HEALTH_TOO_LOW",
            f"it would leave a health factor of {after:.4f}; {least} is wanted",
            "borrow or withdraw less",
        )


def check_max_loss(action: Action, most_usd: Decimal, lost_usd: Decimal = Decimal(0)) -> None:
    """What moves to the pool stays the wallet's; only the fee is lost, and `lost_usd` where it sells. Raises Denied PRICE_UNKNOWN or MAX_LOSS."""
    if action.fee_usd is None:
        raise Denied(
            "PRICE_UNKNOWN", "the fee cannot be told in dollars: no reference price", "check oracles"
        )
    if WIDE.add(action.fee_usd, lost_usd) > most_usd:
        sale = f", and its sale {lost_usd:.2f}" if lost_usd else ""
        raise Denied(
            "MAX_LOSS",
            f"its transaction may cost {action.fee_usd:.2f} USD{sale}; {most_usd} are allowed",
            "wait for cheaper gas, or raise --max-loss",
        )


async def carry_out(action: Action, desk: Desk) -> Settled | Refused | PartFailed | None:
    """Instructed → Simulated → Authorized → Submitted → … → Settled, in the chain's lane. None where the lane stopped it."""
    simulated = Simulated(
        action.part,
        action.batch,
        None,
        action.part.out_raw,
        0,
        action.gas,
        action.block_number,
        desk.clock.now_ns(),
    )
    return await instructed(desk, action.what, simulated, desk.authority.authorize)


__all__ = ["VERBS", "Action", "carry_out", "check_health", "prepare", "shown_health"]
