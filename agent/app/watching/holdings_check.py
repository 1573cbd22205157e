"""Is the wallet what the settings say, can its sender pay, has nobody a claim on it, and are its prices known?"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from decimal import Decimal
from functools import partial

from agent.app.oracles import Oracles
from agent.app.places import directory
from agent.app.settings import Settings, risk_limits
from agent.app.settings_tree import Chain
from agent.app.watching.approval_search import search
from agent.app.watching.approvals import Approval, Held, Kind, Token, held_by
from agent.app.watching.check import Check, fail, guarded, ok, skip, warn
from agent.app.watching.positions import Prices
from agent.app.watching.reading import Reading
from agent.app.watching.safe_make import codes_of
from agent.app.watching.words import amount
from agent.domain.errors import FairleadError
from agent.domain.instruments import AssetId, address_of, chain_place
from agent.ports import ExecutionVenue
from agent.transport.clock import SystemClock
from chains import profiles
from chains.safe_versions import RELEASES
from chains.types import ZERO_ADDRESS, Address
from chains.wallets import SafeState, WalletKind, identify
from contracts import gate as gates
from keys.scope import payers
from keys.scope_payments import allowed


async def wallet(reading: Reading, chain: Chain) -> list[Check]:
    settings, name = reading.settings, f"wallet {chain.name}"
    found = await identify(reading.gateways[chain.chain_id], Address(settings.wallet.address))
    if settings.wallet.kind == "eoa":
        if found.kind is WalletKind.EOA:
            return [ok(name, "an ordinary account, as the settings say")]
        if found.kind is WalletKind.DELEGATED_EOA:
            return [
                warn(name, f"it runs the code of {found.delegate} (EIP-7702)", "is that delegation yours?")
            ]
        return [fail(name, f"the settings say eoa, there is a {found.kind.value}", "set wallet.kind", 3)]
    if found.safe is None:
        message = f"the settings say safe, there is {found.what}"
        return [fail(name, message, f"create the Safe on {chain.name}, or drop the chain", 3)]
    gateway, block = reading.gateways[chain.chain_id], found.block.number
    strange = await codes_of(gateway, found.address, found.safe, block)
    hint = "sign nothing of it before you know who made it"
    made = [fail(name, told, hint, 3) for told in strange]
    return [*_safe(settings, name, found.safe), *made, *_extensions(name, found.safe)]


def _safe(settings: Settings, name: str, safe: SafeState) -> list[Check]:
    listed = {owner.address for owner in settings.wallet.owners}
    if safe.threshold != settings.wallet.threshold:
        message = f"the Safe wants {safe.threshold} signatures, the settings say {settings.wallet.threshold}"
        return [fail(name, message, "correct wallet.threshold once you know why it changed", 3)]
    if strangers := sorted(listed - set(safe.owners)):
        return [fail(name, f"{strangers[0]} is no owner of the Safe", "correct wallet.owners", 3)]
    found = [ok(name, f"Safe {safe.version}, {safe.threshold} of {len(safe.owners)}, nonce {safe.nonce}")]
    if unknown := sorted(set(safe.owners) - listed):
        found.append(
            warn(
                name,
                f"owners the settings do not know: {', '.join(unknown)}",
                "add them to wallet.owners, or ask who they are",
            )
        )
    if safe.threshold == 1 and len(safe.owners) > 1:
        found.append(
            warn(name, f"any single one of {len(safe.owners)} owners moves everything", "raise the threshold")
        )
    return found


def _extensions(name: str, safe: SafeState) -> list[Check]:
    found = []
    if safe.modules:
        told = f"{len(safe.modules)} module(s) can spend without any owner: {', '.join(safe.modules)}"
        found.append(fail(name, told, "remove what you do not know, in the Safe's own app", 3))
    if safe.guard != ZERO_ADDRESS:
        found.append(warn(name, f"the guard {safe.guard} can refuse every transaction", "is it yours?"))
    official = {r.fallback_handler for r in RELEASES}
    if safe.fallback_handler not in (ZERO_ADDRESS, *official):
        found.append(
            warn(
                name,
                f"fallback handler {safe.fallback_handler} is none of Safe's own",
                "it answers in the Safe's name: is it known to you?",
            )
        )
    return found


async def held_on(reading: Reading, chain: Chain, since: int = 0, requests: int = 1) -> Held:
    """What the wallet holds and has granted on one chain, at one block: among the tokens of profile and settings, and by the logs from
    block `since` on where so many requests bring them (0: no search)."""
    profile, place = profiles.load(chain.chain_id), chain_place(chain.chain_id)
    configured = [
        AssetId(a) for ids in reading.settings.assets.values() for a in ids if a.startswith(f"{place}/")
    ]
    more = [Address(token) for asset in configured if (token := address_of(asset)) is not None]
    gateway, wallet = reading.gateways[chain.chain_id], Address(reading.settings.wallet.address)
    held = await held_by(profile, gateway, wallet, more)
    grants = await _with_payments(reading, chain, grants_of(reading.settings, chain))
    if grants is not None:
        named = {grants.gate: "the agent's Gate"}
        named |= dict.fromkeys(grants.paid, "what pays into its loans")
        held = replace(held, spenders={**held.spenders, **named})
    if requests:
        found = await search(profile, gateway, wallet, held, since, requests)
        tokens = {**held.tokens, **found.tokens}
        marked = (
            replace(a, intended=grants is not None and grants.cover(a, tokens))
            for a in (*held.approvals, *found.approvals)
        )
        held = replace(
            held, tokens=tokens, approvals=tuple(marked), unsearched=found.why, strange=found.strange
        )
    return held


@dataclass(frozen=True, slots=True)
class Grants:
    """The Gate of the settings' scope, and how many whole tokens of each it may take; what pays into loans beside it, and how many base
    units of each token that may take."""

    gate: Address
    whole: Mapping[Address, Decimal]
    paid: Mapping[Address, Mapping[Address, int]] = field(default_factory=dict)

    def cover(self, approval: Approval, tokens: Mapping[Address, Token]) -> bool:
        """Whether the scope says so; more of a token than it says stays a finding. What it says of Aave's own tokens
        `wallet audit` compares."""
        if approval.spender in self.paid and approval.kind is Kind.TOKEN:
            return approval.amount_raw <= self.paid[approval.spender].get(approval.token, 0)
        if approval.spender != self.gate or approval.kind not in (Kind.TOKEN, Kind.DELEGATION):
            return False
        whole, decimals = self.whole.get(approval.token), tokens[approval.token].decimals
        return whole is None or decimals is None or approval.amount_raw <= int(whole.scaleb(decimals))


def grants_of(settings: Settings, chain: Chain) -> Grants | None:
    """What the settings' scope of this chain lets its Gate take; None where there is none, or set-up has not compiled the Gate."""
    from agent.app.scoping import gate_creation, token_named

    table = next((t for t in settings.scopes if t.chain == chain.name), None)
    if table is None:
        return None
    try:
        at = Address(gates.address(gate_creation(), settings.wallet.address))
        return Grants(at, {token_named(settings, chain, t.symbol): t.allowance for t in table.tokens})
    except (FairleadError, ValueError):
        return None


async def _with_payments(reading: Reading, chain: Chain, grants: Grants | None) -> Grants | None:
    """With the scope's payments, whose contract's address only the chain's own markets and decimals tell."""
    from agent.app.multisig.room import Room
    from agent.app.scoping import scope_of

    table = next((t for t in reading.settings.scopes if t.chain == chain.name), None)
    if grants is None or table is None or not table.payments:
        return grants
    profile, gateway = profiles.load(chain.chain_id), reading.gateways[chain.chain_id]
    room = Room(reading.settings, chain, profile, gateway, reading.session, SystemClock())
    try:
        scope = await scope_of(room, table)
        return replace(grants, paid={p.contract: allowed(p.rules) for p in payers(scope, grants.gate)})
    except FairleadError as error:
        if error.verb == "HALT":
            raise
        return grants


async def approvals(reading: Reading, chain: Chain) -> list[Check]:
    """After a trade every allowance is zero again; one that is left lets its spender take that much at any time."""
    held = await held_on(reading, chain)
    name = f"approvals {chain.name}"
    found = []
    for a in held.left:
        found.append(
            warn(
                name,
                f"{a.spender_name} ({a.spender}) may {a.may(held.tokens[a.token])}",
                "`fairlead wallet approvals --revoke` takes it back, unless you gave it knowingly",
            )
        )
    if held.holdings.silent:
        found.append(
            warn(
                name,
                f"{len(held.holdings.silent)} token(s) do not answer: {', '.join(held.holdings.silent)}",
                "correct [assets]",
            )
        )
    looked = "its logs searched" if held.unsearched == "" else f"its logs not searched: {held.unsearched}"
    return found or [
        ok(name, f"none left, of {len(held.tokens)} tokens and the spenders known here; {looked}")
    ]


async def gas(reading: Reading, chain: Chain) -> list[Check]:
    settings, name = reading.settings, f"gas {chain.name}"
    if settings.wallet.sender is None:
        return [skip(name, "watch-only: no sender")]
    wei = await reading.gateways[chain.chain_id].balance(Address(settings.wallet.sender.address))
    native = profiles.load(chain.chain_id).native
    reserve = dict(risk_limits(settings).min_gas_reserve_wei).get(chain_place(chain.chain_id), 0)
    told = f"the sender holds {amount(wei, 18)} {native}"
    if wei <= reserve:
        return [
            fail(
                name,
                f"{told}, the reserve is {amount(reserve, 18)}",
                f"send {native} to {settings.wallet.sender.address}",
                3,
            )
        ]
    return [ok(name, told + (f", reserve {amount(reserve, 18)}" if reserve else ""))]


async def prices(reading: Reading, venues: dict[str, ExecutionVenue], now_ns: int) -> list[Check]:
    """Two fresh independent sources for each symbol that has any, and for each that may be traded."""
    settings = reading.settings
    if not settings.oracles:
        return [
            warn(
                "prices",
                "no oracles in the settings: every value is UNKNOWN",
                "add [oracles], two sources for each asset",
            )
        ]
    told = await Oracles(settings, reading.gateways, venues).prices()
    known = Prices(settings, directory(settings, {}), told, now_ns)
    found = []
    for symbol, configured in settings.oracles.items():
        fresh = known.fresh(symbol)
        if len(fresh) >= 2:
            ages = max(now_ns // 10**9 - p.at_s for p in fresh)
            found.append(
                ok(
                    f"price {symbol}",
                    f"{len(fresh)} of {len(configured)} sources fresh, oldest {max(ages, 0)} s",
                )
            )
        else:
            message = f"{len(fresh)} of {len(configured)} sources fresh: the price is UNKNOWN and nothing of it is traded"
            found.append(fail(f"price {symbol}", message, "wait for the feed, or add a source"))
    priced = {name for symbol in settings.oracles for name in (symbol, *settings.equivalents.get(symbol, ()))}
    for symbol in settings.limits.allow_assets:
        if symbol not in priced:
            found.append(
                fail(
                    f"price {symbol}",
                    "it may be traded and has no oracle: every order of it is denied",
                    f"add oracles.{symbol}",
                    3,
                )
            )
    return found


async def holdings_checks(reading: Reading) -> list[Check]:
    chains = reading.settings.chains
    asked = []
    for what, check in (("wallet", wallet), ("approvals", approvals), ("gas", gas)):
        asked += [guarded(f"{what} {c.name}", partial(check, reading, c)) for c in chains]
    return [check for some in await asyncio.gather(*asked) for check in some]
