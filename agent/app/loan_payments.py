"""What the agent's key may pay into the wallet's loans beside the lending pool: from `[[scopes.payments]]` to rules, and from a rule to its use.

Compound III and Morpho Blue by Payments; further pools of Aave V3's kind and vaults at Maker by FurtherPayments. A repayment out of the
loan's own collateral (FlashRepay) is its owners' to sign: it sells, and no contract that bounds a sale writes it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from agent.app.lenders import compound_v3, maker_vault, morpho_blue
from agent.app.lenders.lender import Lender
from agent.app.settings_maker import Maker, MakerUrn
from agent.app.settings_scope import ScopePayment, ScopeTable
from agent.app.watching.aave import market_of
from agent.domain.errors import Reject, Usage
from agent.domain.units import raw_exact
from agent.execution.agent_batch import AgentRoad, PaymentRoad
from chains.types import ZERO_ADDRESS, Address, Call
from contracts.codec import encode
from contracts.hashing import address_bytes, checksum, keccak
from keys.scope import Scope, payers
from keys.scope_payments import NO_MARKET, PaymentRule, split

if TYPE_CHECKING:
    from agent.app.multisig.room import Room
    from chains.gateway import Gateway
    from chains.profile import Aave

Listed = Callable[[str], Address]
_TOKENS_OF = keccak(b"getReserveTokensAddresses(address)")[:4]
"""Aave's data provider (AaveProtocolDataProvider): aToken, stable debt token, variable debt token."""


@dataclass(frozen=True)
class Market:
    """What may be paid there: by (action, asset), the lender that takes it and the account it is counted in (0x0: the lender's own)."""

    kind: str
    takes: Mapping[tuple[str, Address], tuple[Address, Address]]
    id: bytes = NO_MARKET
    fees: Address = ZERO_ADDRESS


async def reserve_tokens(gateway: Gateway, market: Aave, asset: Address) -> tuple[Address, Address] | None:
    """aToken and variable debt token of an asset; None where it is no reserve of that pool. Raises Retry."""
    answer = await gateway.call(Call(market.data_provider, _TOKENS_OF + bytes(12) + address_bytes(asset)))
    words = [answer.data[i : i + 32] for i in range(0, 96, 32)]
    if not answer.ok or len(answer.data) < 96 or not any(words[0]):
        return None
    return Address(checksum(words[0][12:])), Address(checksum(words[2][12:]))


async def payment_rules(
    room: Room, table: ScopeTable, listed: Listed, decimals: Mapping[str, int]
) -> tuple[PaymentRule, ...]:
    """The table's payments, each compared with what its market takes. Raises Usage NO_MARKET, Reject PAYMENT_ASSET, Retry."""
    return tuple([await _rule(room, p, listed(p.symbol), decimals[p.symbol]) for p in table.payments])


async def _rule(room: Room, payment: ScopePayment, asset: Address, decimals: int) -> PaymentRule:
    market = await _market(room, payment, asset)
    if (payment.action, asset) not in market.takes:
        raise Reject(
            "PAYMENT_ASSET",
            f"scopes.payments: {payment.symbol} ({asset}) is not what {payment.market} takes to {payment.action}",
            "repay names what is owed there, supply its collateral",
        )
    lender, account = market.takes[payment.action, asset]
    day = raw_exact(payment.per_day, decimals, f"{payment.symbol}: per_day")
    once = payment.at_once
    burst = day // 2 if once is None else raw_exact(once, decimals, f"{payment.symbol}: at_once")
    allowance = raw_exact(payment.allowance, decimals, f"{payment.symbol}: allowance")
    named = (market.kind, lender, payment.action, asset)
    return PaymentRule(*named, burst, day, allowance, market.id, account, market.fees)


async def _market(room: Room, payment: ScopePayment, asset: Address) -> Market:
    chain, named = room.chain, payment.market
    if named in chain.morpho_markets:
        found = await morpho_blue.lender(chain, room.gateway, named, room.wallet)
        if found is not None:
            loan, collateral = (Address(found.params[k]) for k in ("loanToken", "collateralToken"))
            at = (found.contract, ZERO_ADDRESS)
            both = {("repay", loan): at, ("supply", collateral): at}
            return Market("morpho_blue", both, bytes.fromhex(found.market[2:]))
    if named in chain.comets:
        comet = await compound_v3.lender(chain, room.gateway, Address(named))
        if comet.market.collateral:
            at = (comet.contract, ZERO_ADDRESS)
            secures = {("supply", token): at for token in comet.market.collateral}
            return Market("compound_v3", {("repay", comet.market.base): at, **secures})
    if named in chain.lending_pools:
        aave = await market_of(chain, room.gateway, Address(named))
        if aave is not None:
            tokens = await reserve_tokens(room.gateway, aave, asset)
            words = zip(("supply", "repay"), tokens or (), strict=False)
            return Market("aave_v3", {(word, asset): (aave.pool, token) for word, token in words})
    if chain.maker is not None and (vault := chain.maker.vault(named)) is not None:
        return _vault(chain.maker, vault)
    raise Usage(
        "NO_MARKET",
        f"scopes.payments: {named} is no market of Compound III or Morpho Blue, no further pool and no vault at Maker that {chain.name} lists",
        "name one of its comets, morpho_markets, lending_pools or maker.vaults; the chain's own pool is scopes.reserves",
    )


def _vault(maker: Maker, vault: MakerUrn) -> Market:
    """As the settings say it; that adapters and Jug belong to it, the contract asks them when it is created."""
    urn = Address(vault.urn)
    takes = {
        ("repay", Address(maker.dai)): (Address(maker.dai_join), urn),
        ("supply", Address(vault.collateral)): (Address(vault.join), urn),
    }
    return Market("maker", takes, vault.key, Address(maker.jug))


def roads_of_payments(scope: Scope, gate_at: Address) -> dict[str, PaymentRoad]:
    """By the names of AgentRoad. Raises Usage GATE_CODE."""
    return {p.form.interface: PaymentRoad(p.contract, p.roles) for p in payers(scope, gate_at)}


def rules_at(scope: Scope, lender: Lender) -> dict[tuple[str, Address], tuple[str, int]]:
    """The rules that pay into that market, by (verb, asset): whose they are (a name of AgentRoad.payers), and their numbers there."""
    return {
        (rule.action, rule.asset): (name, number)
        for name, rules in split(scope.payments).items()
        for number, rule in enumerate(rules)
        if _pays_into(rule, lender)
    }


def _pays_into(rule: PaymentRule, lender: Lender) -> bool:
    if isinstance(lender, maker_vault.MakerLender):
        return rule.kind == "maker" and (rule.market, rule.account) == (lender.vault.key, lender.vault.urn)
    market = bytes.fromhex(lender.market[2:]) if isinstance(lender, morpho_blue.MorphoMarket) else NO_MARKET
    return (rule.lender, rule.market) == (lender.contract, market)


async def payable(
    gateway: Gateway, scope: Scope, road: AgentRoad, lender: Lender
) -> dict[tuple[str, Address], int]:
    """What the agent's key may pay into that market now, by (verb, asset), in base units: what the rule's budget and the allowance leave.
    Empty where no rule names it. Raises Retry where the chain does not answer."""
    rules, calls = rules_at(scope, lender), list[Call]()
    for (_, asset), (name, number) in rules.items():
        at = road.payers[name].contract
        calls += [
            Call(at, encode("payments", "left", (number,))),
            Call(asset, encode("erc20", "allowance", (scope.safe, at))),
        ]
    if not calls:
        return {}
    _, answers = await gateway.multicall(calls)
    told = [int.from_bytes(a.data[:32], "big") if a.ok and len(a.data) >= 32 else 0 for a in answers]
    return {key: min(told[2 * i], told[2 * i + 1]) for i, key in enumerate(rules)}
