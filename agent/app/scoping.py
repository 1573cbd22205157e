"""From the settings' `[[scopes]]` to the scope the owners grant, and what the chain has of it now.

The chain is asked for what must not be typed: decimals of tokens and feeds, and Aave's own token addresses.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal

from agent.algos.twap import seconds_of
from agent.app.loan_payments import payment_rules, reserve_tokens
from agent.app.multisig.room import Room
from agent.app.settings_scope import ScopeReserve, ScopeTable
from agent.app.settings_tree import Chain, Settings
from agent.app.watching.aave import market_of
from agent.domain.errors import Reject, Usage
from agent.domain.units import raw_exact
from chains.profile import Aave
from chains.types import ZERO_ADDRESS, Address, BlockRef, Call
from contracts import offers
from contracts.codec import encode
from contracts.payments import FIRST, FURTHER
from contracts.route_executor import ADDRESS as ROUTE_EXECUTOR
from keys.scope import (
    GasRule,
    PairRule,
    ReserveRule,
    RouteRule,
    Scope,
    TokenRule,
    gate_address,
    payers,
    roles_address,
)
from keys.scope_payments import split
from keys.scope_state import Change, Reading, changes, grants, readings


def gate_creation() -> bytes:
    """The Gate's creation code as set-up compiled it. Raises Usage where set-up has not run."""
    return creation_code("Gate")


def creation_code(name: str) -> bytes:
    """That of one of our own contracts. Raises as `gate_creation`."""
    from chains.devnet.artifacts import artifact

    return bytes.fromhex(artifact(name).bytecode)


def table_for(room: Room) -> ScopeTable:
    """Raises Usage NO_SCOPE."""
    for table in room.settings.scopes:
        if table.chain == room.chain.name:
            return table
    raise Usage(
        "NO_SCOPE",
        f"the settings have no [[scopes]] table for {room.chain.name}",
        "add one: `fairlead config explain scopes` says what each key means",
    )


async def scope_of(room: Room, table: ScopeTable) -> Scope:
    """The table with what the chain tells. Raises Usage for names the settings do not know, Reject where a contract does not answer."""
    agent = table.agent or (room.settings.wallet.sender.address if room.settings.wallet.sender else None)
    if agent is None:
        raise Usage(
            "NO_AGENT", "neither scopes.agent nor [wallet.sender] names the agent's account", "add one"
        )
    addresses = {t.symbol: token_named(room.settings, room.chain, t.symbol) for t in table.tokens}
    feeds = {t.symbol: Address(t.feed) if t.feed else _feed(room, t.symbol) for t in table.tokens}
    second = [Address(p.source) for p in table.pairs if not p.window_s]
    asked = [*addresses.values(), *feeds.values(), *second]
    found = await _decimals(room, asked)
    tokens = tuple(
        TokenRule(
            address=addresses[t.symbol],
            symbol=t.symbol,
            decimals=found[addresses[t.symbol]],
            feed=feeds[t.symbol],
            feed_decimals=found[feeds[t.symbol]],
            max_age_s=t.max_age_s,
            feed_error_bps=t.feed_error_bps,
            allowance_raw=raw_exact(t.allowance, found[addresses[t.symbol]], f"the allowance of {t.symbol}"),
        )
        for t in table.tokens
    )

    def listed(symbol: str) -> Address:
        if symbol not in addresses:
            raise Usage(
                "SCOPE_INVALID",
                f"{symbol} is not among the scope's tokens",
                f"there are {', '.join(addresses)}",
            )
        return addresses[symbol]

    pairs = tuple(
        PairRule(
            listed(p.a),
            listed(p.b),
            Address(p.source),
            p.window_s,
            p.max_age_s or 0,
            0 if p.window_s else found[Address(p.source)],
        )
        for p in table.pairs
    )
    decimals = {t.symbol: t.decimals for t in tokens}
    paid = await payment_rules(room, table, listed, decimals)
    wei, aave = 10**18, await market_of(room.chain, room.gateway) if table.reserves else None
    if table.reserves and aave is None:
        raise Usage("NO_LENDING", f"no lending pool is known on {table.chain}", "leave reserves out")
    per_day = int(table.gas_per_day * wei)
    wrapped = room.profile.wrapped_native
    return Scope(
        chain_id=room.chain.chain_id,
        safe=room.wallet,
        agent=Address(agent),
        tokens=tokens,
        pairs=pairs,
        routes=routes_of(room),
        per_day_usd=table.per_day_usd,
        burst_usd=table.burst_usd,
        slack_bps=table.slack_bps,
        divergence_bps=table.divergence_bps,
        deadline_s=table.deadline_s,
        term_s=seconds_of(table.term, "scopes.term"),
        delay_s=seconds_of(table.delay, "scopes.delay"),
        health_floor=table.health_floor,
        lending_pool=aave.pool if aave is not None else ZERO_ADDRESS,
        reserves=tuple([await _reserve(room, aave, r, listed(r.symbol), decimals[r.symbol]) for r in table.reserves if aave is not None]),
        gas=GasRule(Address(agent), wrapped, per_day // 2, per_day - per_day // 2, per_day) if per_day else None,
        gas_float_wei=int(table.gas_float * wei),
        sequencer=Address(table.sequencer) if table.sequencer else ZERO_ADDRESS,
        sequencer_grace_s=table.sequencer_grace_s if table.sequencer else 0,
        offers=offers_code(room) if table.intents else b"",
        payments=paid,
        payments_code=creation_code("Payments") if FIRST.interface in split(paid) else b"",
        further_code=creation_code("FurtherPayments") if FURTHER.interface in split(paid) else b"",
    )  # fmt: skip


def offers_code(room: Room) -> bytes:
    """The creation code of Offers, where the chain has the settlement contract that it knows. Raises Usage NO_ORDERS_THERE."""
    known = room.profile.contracts
    if (known.get("cow_settlement"), known.get("cow_vault_relayer")) != (offers.SETTLEMENT, offers.RELAYER):
        raise Usage(
            "NO_ORDERS_THERE",
            f"scopes.intents: CoW Protocol is not known on {room.chain.name}",
            "leave intents out",
        )
    return creation_code("Offers")


def routes_of(room: Room) -> tuple[RouteRule, ...]:
    """The audited routers of the chain and the functions the agent's plans need of them. Raises Usage NO_ROUTERS."""
    contracts = room.profile.contracts
    found = []
    if router := contracts.get("uniswap_v3_router_02"):
        found += [RouteRule(router, "swap_router_02", name) for name in ("exactInputSingle", "exactInput")]
    if universal := contracts.get("universal_router"):
        found.append(RouteRule(universal, "universal_router", "execute(bytes,bytes[],uint256)", "push"))
    if room.settings.wallet.route_executor is not None:
        found.append(RouteRule(Address(ROUTE_EXECUTOR), "route_executor", "route"))
    if not found:
        raise Usage("NO_ROUTERS", f"no audited router is known on {room.chain.name}", "use another chain")
    return tuple(found)


def _same(settings: Settings, symbol: str) -> tuple[str, ...]:
    """The symbol, and those that the settings call the same."""
    groups = ((name, *members) for name, members in settings.equivalents.items())
    return (symbol, *(other for group in groups if symbol in group for other in group if other != symbol))


def token_named(settings: Settings, chain: Chain, symbol: str) -> Address:
    """The token a symbol means on a chain. Raises Usage UNKNOWN_ASSET."""
    prefix = f"eip155:{chain.chain_id}/erc20:"
    for name in _same(settings, symbol):
        for asset in settings.assets.get(name, ()):
            if asset.startswith(prefix):
                return Address(asset.removeprefix(prefix))
    raise Usage(
        "UNKNOWN_ASSET",
        f"{symbol} has no token on {chain.name} in [assets]",
        "add it, or leave it out of the scope",
    )


def _feed(room: Room, symbol: str) -> Address:
    for name in _same(room.settings, symbol):
        for source in room.settings.oracles.get(name, ()):
            if source.kind == "chainlink" and source.chain == room.chain.name and source.address:
                return Address(source.address)
    raise Usage(
        "NO_FEED",
        f"no dollar feed of {symbol} on {room.chain.name} is known",
        "give scopes.tokens.feed, or add it under [oracles]",
    )


async def _decimals(room: Room, contracts: Sequence[Address]) -> dict[Address, int]:
    _, answers = await room.gateway.multicall([Call(a, encode("erc20", "decimals")) for a in contracts])
    found = {}
    for address, answer in zip(contracts, answers, strict=True):
        value = int.from_bytes(answer.data[:32], "big") if answer.ok and len(answer.data) == 32 else 99
        if value > 36:
            raise Reject("NO_DECIMALS", f"{address} does not tell its decimals", "is it on this chain?")
        found[address] = value
    return found


async def _reserve(
    room: Room, market: Aave, rule: ScopeReserve, asset: Address, decimals: int
) -> ReserveRule:
    tokens = await reserve_tokens(room.gateway, market, asset)
    if tokens is None:
        raise Reject(
            "NO_RESERVE",
            f"{rule.symbol} is no reserve of the lending pool",
            "leave it out of scopes.reserves",
        )
    return ReserveRule(
        asset,
        *tokens,
        tuple(rule.actions),
        raw_exact(rule.withdraw, decimals, f"{rule.symbol}: withdraw"),
        raw_exact(rule.borrow, decimals, f"{rule.symbol}: borrow"),
    )


@dataclass(frozen=True, slots=True)
class Paying:
    """What pays into loans beside the Gate, its own modifier, and from when on it pays, in seconds of the chain's clock; 0: it is closed, or
    not there."""

    interface: str
    contract: Address
    roles: Address
    opens_at: int


@dataclass(frozen=True, slots=True)
class Granted:
    """What the chain has of a scope at one block: `differs` is empty where it is exactly as the settings say. `grants`, before anything is
    granted, is all that granting it changes."""

    gate: Address
    roles: Address
    standing: tuple[Address, ...]
    differs: tuple[Change, ...]
    checked: int
    block: BlockRef
    expiry: int
    grants: tuple[Change, ...] = ()
    payers: tuple[Paying, ...] = ()
    """What pays into loans beside the Gate, as the scope says it."""

    @property
    def none_yet(self) -> bool:
        return self.gate not in self.standing

    @property
    def wanted_payers(self) -> tuple[Paying, ...]:
        """Those that are not granted, or were closed again."""
        return tuple(p for p in self.payers if p.contract not in self.standing or not p.opens_at)


async def granted(room: Room, scope: Scope, creation: bytes) -> Granted:
    """Reads every power of the scope at one block. Raises Retry where the chain does not answer."""
    wanted: tuple[Reading, ...] = readings(scope, creation)
    calls = [r for r in wanted if r.kind != "code"]
    at = gate_address(scope, creation)
    paying = payers(scope, at)
    more = [Call(at, encode("gate", "expiry"))]
    more += [Call(payer.contract, encode("payments", "opensAt")) for payer in paying]
    block, answers = await room.gateway.multicall([*(r.call for r in calls), *more])
    told = {r.key: a.data if a.ok else b"" for r, a in zip(calls, answers, strict=False)}
    standing = []
    for reading in wanted:
        if reading.kind == "code":
            told[reading.key] = await room.gateway.code(reading.call.to, block.number)
            if told[reading.key]:
                standing.append(reading.call.to)
    expiry, *opens = (
        int.from_bytes(a.data, "big") if a.ok and len(a.data) == 32 else 0 for a in answers[len(calls) :]
    )
    state = changes(wanted, told), len(wanted), block, expiry
    diff = () if at in standing else grants(wanted, told)
    pays = tuple(
        Paying(p.form.interface, p.contract, p.roles, at_s) for p, at_s in zip(paying, opens, strict=True)
    )
    return Granted(at, roles_address(scope, at), tuple(standing), *state, diff, pays)


async def native_usd(room: Room) -> Decimal:
    """What the gas token is worth by its dollar feed. Raises Usage NO_FEED, Reject PRICE_UNKNOWN."""
    feed = room.profile.feeds.get(f"{room.profile.native}/USD") or _feed(room, room.profile.native)
    calls = [Call(feed, encode("chainlink_aggregator", name)) for name in ("latestRoundData", "decimals")]
    _, (told, digits) = await room.gateway.multicall(calls)
    if not (told.ok and digits.ok and len(told.data) >= 64 and len(digits.data) == 32):
        raise Reject(
            "PRICE_UNKNOWN", f"the feed of {room.profile.native} does not answer", "the bound needs its price"
        )
    return Decimal(int.from_bytes(told.data[32:64], "big")).scaleb(-int.from_bytes(digits.data, "big"))
