"""What the agent's key may pay into the wallet's loans beside the lending pool: from `[[scopes.payments]]` to rules, and from a rule to its use.

Compound III and Morpho Blue. A repayment at Maker, and one out of the loan's own collateral (FlashRepay), are their owners' to sign: the
one goes through several contracts in units of its own, the other sells, and neither is written by a contract that bounds it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

from agent.app.lenders import compound_v3, morpho_blue
from agent.app.lenders.lender import Lender
from agent.app.settings_scope import ScopePayment, ScopeTable
from agent.domain.errors import Reject, Usage
from agent.domain.units import raw_exact
from agent.execution.agent_batch import AgentRoad, PaymentRoad
from chains.types import ZERO_ADDRESS, Address, Call
from contracts.codec import encode
from keys.scope import Scope, payments_address, roles_of
from keys.scope_payments import NO_MARKET, PaymentRule

if TYPE_CHECKING:
    from agent.app.multisig.room import Room
    from chains.gateway import Gateway

Listed = Callable[[str], Address]


async def payment_rules(
    room: Room, table: ScopeTable, listed: Listed, decimals: Mapping[str, int]
) -> tuple[PaymentRule, ...]:
    """The table's payments, each compared with what its market takes. Raises Usage NO_MARKET, Reject PAYMENT_ASSET, Retry."""
    return tuple([await _rule(room, p, listed(p.symbol), decimals[p.symbol]) for p in table.payments])


async def _rule(room: Room, payment: ScopePayment, asset: Address, decimals: int) -> PaymentRule:
    kind, lender, market, takes = await _market(room, payment)
    if asset not in takes[payment.action]:
        raise Reject(
            "PAYMENT_ASSET",
            f"scopes.payments: {payment.symbol} ({asset}) is not what {payment.market} takes to {payment.action}",
            "repay names what is owed there, supply its collateral",
        )
    day = raw_exact(payment.per_day, decimals, f"{payment.symbol}: per_day")
    once = payment.at_once
    burst = day // 2 if once is None else raw_exact(once, decimals, f"{payment.symbol}: at_once")
    allowance = raw_exact(payment.allowance, decimals, f"{payment.symbol}: allowance")
    return PaymentRule(kind, lender, payment.action, asset, burst, day, allowance, market)


async def _market(
    room: Room, payment: ScopePayment
) -> tuple[str, Address, bytes, Mapping[str, tuple[Address, ...]]]:
    """Kind, lender and market, and what may be paid there by action."""
    chain = room.chain
    if payment.market in chain.morpho_markets:
        found = await morpho_blue.lender(chain, room.gateway, payment.market, room.wallet)
        if found is not None:
            loan, collateral = (Address(found.params[k]) for k in ("loanToken", "collateralToken"))
            market = bytes.fromhex(found.market[2:])
            return "morpho_blue", found.contract, market, {"repay": (loan,), "supply": (collateral,)}
    if payment.market in chain.comets:
        comet = await compound_v3.lender(chain, room.gateway, Address(payment.market))
        if comet.market.collateral:
            takes = {"repay": (comet.market.base,), "supply": tuple(comet.market.collateral)}
            return "compound_v3", comet.contract, NO_MARKET, takes
    raise Usage(
        "NO_MARKET",
        f"scopes.payments: {payment.market} is no market of Compound III or Morpho Blue that {chain.name} lists",
        "name one of its comets or morpho_markets; Aave's are scopes.reserves, Maker's vaults are their owners' to pay into",
    )


def road_of_payments(scope: Scope, gate_at: Address) -> PaymentRoad | None:
    """Raises Usage GATE_CODE."""
    at = payments_address(scope, gate_at)
    return None if at == ZERO_ADDRESS else PaymentRoad(at, roles_of(scope.safe, at))


def rules_at(scope: Scope, lender: Lender) -> dict[tuple[str, Address], int]:
    """The rules that pay into that market, by (verb, asset): their numbers."""
    market = bytes.fromhex(lender.market[2:]) if isinstance(lender, morpho_blue.MorphoMarket) else NO_MARKET
    return {
        (rule.action, rule.asset): number
        for number, rule in enumerate(scope.payments)
        if (rule.lender, rule.market) == (lender.contract, market)
    }


async def payable(
    gateway: Gateway, scope: Scope, road: AgentRoad, lender: Lender
) -> dict[tuple[str, Address], int]:
    """What the agent's key may pay into that market now, by (verb, asset), in base units: what the rule's budget and the allowance leave.
    Empty where no rule names it. Raises Retry where the chain does not answer."""
    rules = rules_at(scope, lender)
    if road.payments is None or not rules:
        return {}
    at, calls = road.payments.contract, list[Call]()
    for (_, asset), number in rules.items():
        calls += [
            Call(at, encode("payments", "left", (number,))),
            Call(asset, encode("erc20", "allowance", (scope.safe, at))),
        ]
    _, answers = await gateway.multicall(calls)
    told = [int.from_bytes(a.data[:32], "big") if a.ok and len(a.data) >= 32 else 0 for a in answers]
    return {key: min(told[2 * i], told[2 * i + 1]) for i, key in enumerate(rules)}
