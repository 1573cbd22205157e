"""A part's legs as the calls one wallet makes: audited contracts only, exact approvals, one deadline. Pure.

Uniswap pools go through the Universal Router, paid by Permit2 allowances that are exactly what the batch uses and expire
with its deadline; Balancer pools through its Vault, a fork's V2 pairs through the fork's own router. Every swap that ends in the bought asset carries its own minimum and
pays the wallet itself. After the batch no allowance is left.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from agent.amm import (
    BalancerStablePool,
    ConcentratedPool,
    ConcentratedV4Pool,
    ConstantProductPool,
    Pool,
    WeightedPool,
)
from agent.domain.errors import Reject
from agent.domain.instruments import AssetId
from agent.domain.orders import Part
from agent.domain.routes import Leg
from agent.domain.units import less_bps_down
from agent.execution.route_batch import UNCHAINABLE, can_trade, executor_calls, needs_executor
from agent.execution.settlement import token_of
from chains.types import ZERO_ADDRESS, Address, Call
from contracts.codec import encode
from contracts.universal_router import (
    ADDRESS_THIS,
    CONTRACT_BALANCE,
    MSG_SENDER,
    Command,
    execute,
    v3_path,
    v4_swap,
)

MAX_CHAIN_LEGS = 12
GIVEN_IN = 0  # Balancer's SwapKind.GIVEN_IN


@dataclass(frozen=True, slots=True)
class Routers:
    """The contracts of one chain that batches may call; None where the chain has no such protocol."""

    chain_id: int
    permit2: Address
    universal_router: Address
    balancer_vault: Address | None
    wrapped_native: Address
    executor: Address | None = None
    """The RouteExecutor, where the owners opted in to its code and it is there."""
    forks: Mapping[str, Address] = field(default_factory=dict)
    """By a pair's id, the V2 router of its own factory, where the settings name one."""

    def never(self, pools: Iterable[Pool]) -> frozenset[str]:
        """Ids of those that nothing here trades with: told to the router before it plans."""
        able = self.executor is not None
        return frozenset(
            p.id for p in pools if p.id not in self.forks and not can_trade(p, self.chain_id, able)
        )

    def alone(self, pools: Iterable[Pool]) -> frozenset[str]:
        """Ids of those that only a whole path may use."""
        if self.executor is not None:
            return frozenset()
        return frozenset(p.id for p in pools if p.kind in UNCHAINABLE or p.id in self.forks)


def floors(part: Part, legs: Sequence[Leg], seen_out_raw: int, slippage_bps: int) -> dict[int, int]:
    """The least each leg into the bought asset must give: its share of what was really seen, less the slippage.

    Keys are positions in `legs`; the floors are rounded down and their sum is the part's floor.
    """
    planned = sum(leg.out_raw for leg in legs if leg.asset_out == part.asset_out)
    return {
        i: max(1, less_bps_down(leg.out_raw * seen_out_raw // planned, slippage_bps))
        for i, leg in enumerate(legs)
        if leg.asset_out == part.asset_out
    }


def build(
    part: Part,
    legs: Sequence[Leg],
    pools: Mapping[str, Pool],
    routers: Routers,
    wallet: Address,
    deadline_s: int,
    minimum: Mapping[int, int],
    native_pools: Collection[str] = (),
) -> tuple[Call, ...]:
    """The calls, in order. `native_pools` are V4 pools of native ether, shown to the route as pools of wrapped ether.
    What audited routers can carry goes through them; the rest through the RouteExecutor, where there is one.
    Raises Reject UNEXECUTABLE_LEG for a pool whose kind no audited router here can trade."""
    if routers.executor is not None and needs_executor(part, legs, pools, routers.chain_id):
        return executor_calls(
            part, legs, pools, routers.executor, routers.chain_id, routers.wrapped_native, deadline_s,
            sum(minimum.values()), native_pools,
        )  # fmt: skip
    commands: list[Command] = []
    vault_calls: list[Call] = []
    fork_calls: list[Call] = []
    through_router = through_vault = 0
    amounts = router_amounts(part, legs)

    for i, leg in enumerate(legs):
        pool = pools[leg.id]
        from_wallet = leg.asset_in == part.asset_in
        to_wallet = leg.asset_out == part.asset_out
        if isinstance(pool, WeightedPool | BalancerStablePool):
            if not (from_wallet and to_wallet) or routers.balancer_vault is None:
                raise _unexecutable(leg, "a Balancer pool in the middle of a path")
            vault_calls.append(_vault_swap(leg, pool, routers.balancer_vault, wallet, minimum[i], deadline_s))
            through_vault += leg.in_raw
            continue
        if (fork := routers.forks.get(leg.id)) is not None:
            if not (from_wallet and to_wallet):
                raise _unexecutable(leg, "a fork's pair in the middle of a path")
            fork_calls += _fork_swap(leg, fork, wallet, minimum[i], deadline_s)
            continue
        if from_wallet:
            through_router += leg.in_raw
        native = leg.id in native_pools
        commands += router_swap(
            leg, pool, routers, amounts[i], minimum.get(i, 0), from_wallet, to_wallet, native
        )

    token = token_of(part.asset_in)
    calls: list[Call] = []
    if through_router:
        router, permit2 = routers.universal_router, routers.permit2
        calls.append(Call(token, encode("erc20", "approve", (permit2, through_router))))
        calls.append(Call(permit2, encode("permit2", "approve", (token, router, through_router, deadline_s))))
        calls.append(Call(router, execute(commands, deadline_s)))
    if through_vault and routers.balancer_vault is not None:
        calls.append(Call(token, encode("erc20", "approve", (routers.balancer_vault, through_vault))))
        calls += vault_calls
    return (*calls, *fork_calls)


def router_amounts(part: Part, legs: Sequence[Leg]) -> tuple[int, ...]:
    """What each leg is told to spend: its own amount, or, for the last user of an asset in between, all the router holds of it."""
    users: dict[AssetId, int] = {}
    for leg in legs:
        if leg.asset_in != part.asset_in:
            users[leg.asset_in] = users.get(leg.asset_in, 0) + 1
    amounts = []
    for leg in legs:
        if leg.asset_in in users:
            users[leg.asset_in] -= 1
            amounts.append(leg.in_raw if users[leg.asset_in] else CONTRACT_BALANCE)
        else:
            amounts.append(leg.in_raw)
    return tuple(amounts)


def router_swap(
    leg: Leg,
    pool: Pool,
    routers: Routers,
    amount: int,
    minimum: int,
    from_wallet: bool,
    to_wallet: bool,
    native: bool,
    pushed: bool = False,
) -> list[Command]:
    """One leg as the router's commands. `pushed`: the router was paid before its call, in ether where `native` is sold, and pulls
    nothing. Raises Reject UNEXECUTABLE_LEG."""
    token_in, token_out = token_of(leg.asset_in), token_of(leg.asset_out)
    swap = {
        "recipient": MSG_SENDER if to_wallet else ADDRESS_THIS,
        "amountIn": amount,
        "amountOutMin": minimum,
        "payerIsUser": from_wallet and not pushed,
    }
    if isinstance(pool, ConstantProductPool):
        return [Command("V2_SWAP_EXACT_IN", {**swap, "path": (token_in, token_out)})]
    if isinstance(pool, ConcentratedPool):
        return [
            Command("V3_SWAP_EXACT_IN", {**swap, "path": v3_path((token_in, token_out), (pool.fee_pips,))})
        ]
    if isinstance(pool, ConcentratedV4Pool):
        if not (from_wallet and to_wallet):
            raise _unexecutable(leg, "a V4 pool in the middle of a path")
        return _v4(leg, pool, routers, amount, minimum, native, pushed)
    raise _unexecutable(leg, f"a {pool.kind} pool")


def _v4(
    leg: Leg,
    pool: ConcentratedV4Pool,
    routers: Routers,
    amount: int,
    minimum: int,
    native: bool,
    pushed: bool,
) -> list[Command]:
    """One V4 swap. A pool of native ether trades the wallet's wrapped ether: unwrapped before, wrapped after."""
    wrapped = routers.wrapped_native

    def currency(asset: str) -> Address:
        token = token_of(AssetId(asset))
        return ZERO_ADDRESS if native and token == wrapped else token

    sides = sorted((currency(asset) for asset in pool.assets), key=lambda a: int(a, 16))
    paid, got = currency(leg.asset_in), currency(leg.asset_out)
    key = {
        "currency0": sides[0],
        "currency1": sides[1],
        "fee": pool.lp_fee_pips,
        "tickSpacing": pool.tick_spacing,
        "hooks": ZERO_ADDRESS,
    }
    swap = Command(
        "SWAP_EXACT_IN_SINGLE",
        {
            "swap": {
                "poolKey": key,
                "zeroForOne": paid == sides[0],
                "amountIn": amount,
                "amountOutMinimum": minimum,
                "hookData": b"",
            }
        },
    )
    commands: list[Command] = []
    if pushed:
        settle = Command("SETTLE", {"currency": paid, "amount": amount, "payerIsUser": False})
    elif paid == ZERO_ADDRESS:
        commands.append(
            Command("PERMIT2_TRANSFER_FROM", {"token": wrapped, "recipient": ADDRESS_THIS, "amount": amount})
        )
        commands.append(Command("UNWRAP_WETH", {"recipient": ADDRESS_THIS, "amountMin": amount}))
        settle = Command("SETTLE", {"currency": ZERO_ADDRESS, "amount": amount, "payerIsUser": False})
    else:
        settle = Command("SETTLE_ALL", {"currency": paid, "maxAmount": amount})
    if got == ZERO_ADDRESS:
        take = Command("TAKE", {"currency": ZERO_ADDRESS, "recipient": ADDRESS_THIS, "amount": 0})
        commands.append(v4_swap([swap, settle, take]))
        commands.append(Command("WRAP_ETH", {"recipient": MSG_SENDER, "amount": CONTRACT_BALANCE}))
    else:
        commands.append(v4_swap([swap, settle, Command("TAKE_ALL", {"currency": got, "minAmount": minimum})]))
    return commands


def _vault_swap(leg: Leg, pool: Pool, vault: Address, wallet: Address, minimum: int, deadline_s: int) -> Call:
    """Balancer's Vault.swap: one pool, the wallet both sender and recipient, external balances only."""
    single = {
        "poolId": bytes.fromhex(leg.id.rpartition("/0x")[2]),
        "kind": GIVEN_IN,
        "assetIn": token_of(leg.asset_in),
        "assetOut": token_of(leg.asset_out),
        "amount": leg.in_raw,
        "userData": b"",
    }
    funds = {"sender": wallet, "fromInternalBalance": False, "recipient": wallet, "toInternalBalance": False}
    return Call(vault, encode("balancer_v2_vault", "swap", (single, funds, minimum, deadline_s)))


def _fork_swap(
    leg: Leg, router: Address, wallet: Address, minimum: int, deadline_s: int
) -> tuple[Call, Call]:
    """Through the router of the pair's own factory, which takes what it was allowed and finds the pair by its tokens."""
    sold, bought = token_of(leg.asset_in), token_of(leg.asset_out)
    swap = encode(
        "uniswap_v2_router",
        "swapExactTokensForTokens",
        (leg.in_raw, minimum, (sold, bought), wallet, deadline_s),
    )
    return Call(sold, encode("erc20", "approve", (router, leg.in_raw))), Call(router, swap)


def _unexecutable(leg: Leg, what: str) -> Reject:
    return Reject(
        "UNEXECUTABLE_LEG",
        f"{leg.id}: {what} cannot be traded through audited routers here",
        "leave the pool out",
    )
