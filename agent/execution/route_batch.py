"""A part's legs as one call of the RouteExecutor (contracts/src/RouteExecutor.sol, unaudited, opted in to by its code hash). Pure.

It carries what the audited routers cannot: V4 and Balancer pools in the middle of a path, Curve's and Solidly's pools, V2 pairs of
other factories, and an asset in between that is handed on to several pools, of which each takes its share of whatever came. One minimum
bounds the whole.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from functools import lru_cache

from agent.amm import (
    BalancerStablePool,
    ConcentratedPool,
    ConcentratedV4Pool,
    ConstantProductPool,
    CurvePool,
    Pool,
    SolidlyPool,
    WeightedPool,
)
from agent.domain.errors import Reject
from agent.domain.instruments import AssetId
from agent.domain.orders import Part
from agent.domain.routes import Leg
from agent.execution.settlement import token_of
from chains.profiles import load
from chains.types import Address, Call
from contracts import route_executor as rx
from contracts.codec import encode
from contracts.hashing import to_checksum
from contracts.uniswap_pools import v2_pair, v3_pool

UNTRADEABLE = frozenset({"curve_stableswap", "solidly_volatile", "solidly_stable"})
"""Kinds that no audited router here trades with."""
UNCHAINABLE = frozenset({"uniswap_v4", "balancer_v2_weighted", "balancer_v2_stable"})
"""Kinds that audited routers trade with only as whole paths."""


def is_foreign(pool: Pool, chain_id: int) -> bool:
    """Whether a V2 or V3 pool is another factory's than Uniswap's: its routers are told tokens and fee, and would trade elsewhere."""
    if isinstance(pool, ConstantProductPool):
        return not _own(chain_id, pool.id, pool.assets, None)
    return isinstance(pool, ConcentratedPool) and not _own(chain_id, pool.id, pool.assets, pool.fee_pips)


@lru_cache(maxsize=4096)
def _own(chain_id: int, name: str, assets: tuple[str, ...], v3_pips: int | None) -> bool:
    contracts, (a, b) = load(chain_id).contracts, (token_of(AssetId(asset)) for asset in assets)
    factory = contracts.get("uniswap_v2_factory" if v3_pips is None else "uniswap_v3_factory")
    if factory is None:
        return False
    made = v2_pair(factory, a, b) if v3_pips is None else v3_pool(factory, a, b, v3_pips)
    return name.rpartition("/")[2].lower() == made.lower()


def can_trade(pool: Pool, chain_id: int, with_executor: bool) -> bool:
    """Whether any road here reaches the pool itself: told to the router before it plans."""
    if is_foreign(pool, chain_id):
        return with_executor and isinstance(pool, ConstantProductPool)
    return with_executor or pool.kind not in UNTRADEABLE


def needs_executor(part: Part, legs: Sequence[Leg], pools: Mapping[str, Pool], chain_id: int) -> bool:
    """Whether audited routers cannot carry the legs, or only with amounts in between that fail when the market moves."""
    users: dict[AssetId, int] = {}
    for leg in legs:
        pool, kind = pools[leg.id], pools[leg.id].kind
        if isinstance(pool, ConstantProductPool) and is_foreign(pool, chain_id):
            return True
        whole = leg.asset_in == part.asset_in and leg.asset_out == part.asset_out
        if kind in UNTRADEABLE or (kind in UNCHAINABLE and not whole):
            return True
        users[leg.asset_in] = users.get(leg.asset_in, 0) + 1
    return any(n > 1 for asset, n in users.items() if asset != part.asset_in)


def executor_calls(
    part: Part,
    legs: Sequence[Leg],
    pools: Mapping[str, Pool],
    executor: Address,
    chain_id: int,
    wrapped_native: Address,
    deadline_s: int,
    minimum_out: int,
    native_pools: Collection[str] = (),
) -> tuple[Call, ...]:
    """The wallet's allowance of exactly what is sold, used up by the call after it. Raises Reject UNEXECUTABLE_LEG."""
    data = route_data(part, legs, pools, chain_id, wrapped_native, deadline_s, minimum_out, native_pools)
    allow = encode("erc20", "approve", (executor, part.in_raw))
    return Call(token_of(part.asset_in), allow), Call(executor, data)


def route_data(
    part: Part,
    legs: Sequence[Leg],
    pools: Mapping[str, Pool],
    chain_id: int,
    wrapped_native: Address,
    deadline_s: int,
    minimum_out: int,
    native_pools: Collection[str] = (),
) -> bytes:
    """The executor's calldata. What is sold is spent in the legs' own amounts; what comes in between is shared as planned, and its
    last user takes the rest. Raises Reject UNEXECUTABLE_LEG."""
    tokens: list[Address] = [token_of(part.asset_in), token_of(part.asset_out)]
    held: dict[AssetId, int] = {part.asset_in: part.in_raw}
    users: dict[AssetId, int] = {}
    for leg in legs:
        users[leg.asset_in] = users.get(leg.asset_in, 0) + 1
    hops = []
    for leg in legs:
        users[leg.asset_in] -= 1
        have = held.get(leg.asset_in, 0)
        if not 0 < leg.in_raw <= have < rx.ALL:
            raise _unexecutable(leg, f"spends {leg.in_raw} where the route holds {have}")
        share, amount = True, rx.ALL
        if leg.asset_in == part.asset_in:
            share, amount = False, leg.in_raw
        elif users[leg.asset_in]:
            amount = rx.share_up(leg.in_raw, have)
        held[leg.asset_in] = have - leg.in_raw
        held[leg.asset_out] = held.get(leg.asset_out, 0) + leg.out_raw
        kind, venue, detail = _venue(leg, pools[leg.id], chain_id, wrapped_native, leg.id in native_pools)
        sides = [_place(tokens, token_of(a)) for a in (leg.asset_in, leg.asset_out)]
        hops.append(rx.Hop(kind, sides[0], sides[1], share, amount, venue, detail))
    return rx.route(tokens, part.in_raw, minimum_out, deadline_s, hops)


def _place(tokens: list[Address], token: Address) -> int:
    if token not in tokens:
        tokens.append(token)
    return tokens.index(token)


def _venue(leg: Leg, pool: Pool, chain_id: int, wrapped: Address, native: bool) -> tuple[str, Address, bytes]:
    """(kind, the contract to ask, what else identifies the pool): RouteExecutor.Hop."""
    contracts, named = load(chain_id).contracts, leg.id.rpartition("/")[2]
    at = Address(to_checksum(named)) if len(named) == 42 else Address(named)
    match pool:
        case ConstantProductPool():
            return "V2", at, rx.fee_detail(pool.fee_pips)
        case ConcentratedPool():
            factory = contracts["uniswap_v3_factory"]
            if is_foreign(pool, chain_id):
                raise _unexecutable(leg, "is not the factory's own pool of its tokens and fee")
            return "V3", factory, rx.fee_detail(pool.fee_pips)
        case ConcentratedV4Pool() if "uniswap_v4_pool_manager" in contracts:
            ether = 0
            if native:
                ether = rx.ETHER_IN if token_of(leg.asset_in) == wrapped else rx.ETHER_OUT
            detail = rx.v4_detail(pool.lp_fee_pips, pool.tick_spacing, ether)
            return "V4", contracts["uniswap_v4_pool_manager"], detail
        case WeightedPool() | BalancerStablePool() if "balancer_vault" in contracts:
            return "BALANCER", contracts["balancer_vault"], bytes.fromhex(at.removeprefix("0x"))
        case CurvePool():
            sides = [pool.assets.index(a) for a in (leg.asset_in, leg.asset_out)]
            return "CURVE", at, rx.curve_detail(sides[0], sides[1])
        case SolidlyPool():
            return "SOLIDLY", at, bytes(32)
    raise _unexecutable(leg, f"a {pool.kind} pool cannot be traded on this chain")


def _unexecutable(leg: Leg, what: str) -> Reject:
    return Reject("UNEXECUTABLE_LEG", f"{leg.id}: {what}", "leave the pool out")
