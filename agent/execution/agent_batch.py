"""A part's legs as the one call that the agent's own key makes: Roles v2 → Gate.trade → Universal Router, or RouteExecutor. Pure.

The Gate takes exactly what the part sells from the Safe, pays the router beforehand, and forwards what comes; so the router pulls
nothing, everything it gives is paid to the Gate (the caller, to the router), and the Gate itself demands the part's whole minimum.
Why it is built so: contracts/src/Gate.sol, keys/scope.py. The signer judges the same call by itself: keys/policy_agent.py.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

from agent.amm import ConcentratedPool, ConcentratedV4Pool, ConstantProductPool, Pool
from agent.domain.errors import Reject, Usage
from agent.domain.orders import Part
from agent.domain.routes import Leg
from agent.execution.batch import Routers, router_amounts, router_swap
from agent.execution.route_batch import needs_executor, route_data
from agent.execution.settlement import token_of
from chains.operations import executing
from chains.types import Address, Call
from contracts.abi_types import AbiError
from contracts.codec import decode_call, encode, selector
from contracts.decode_powers import LENDING
from contracts.universal_router import ADDRESS_THIS, Command, execute

ACTIONS = {word.lower(): bit for bit, word in LENDING.items()}
"""The Gate's lending verbs."""

PAY = selector("payments", "pay")

REACHED = (ConstantProductPool, ConcentratedPool, ConcentratedV4Pool)
"""The kinds of pools that the Universal Router trades with: the Gate's one route."""


@dataclass(frozen=True, slots=True)
class PaymentRoad:
    """What pays into the wallet's loans beside the Gate, and the Roles modifier in front of it."""

    contract: Address
    roles: Address


@dataclass(frozen=True, slots=True)
class AgentRoad:
    """What the owners granted on one chain, as far as it shapes a call. `deadline_s` is how far ahead a deadline may be."""

    account: Address
    roles: Address
    gate: Address
    role: bytes
    tokens: frozenset[Address]
    pairs: frozenset[frozenset[Address]]
    deadline_s: int
    executor: Address | None = None
    """The RouteExecutor, where the owners' scope lists it as a router."""
    offers: Address | None = None
    """The Gate's contract that holds orders for others to settle, where the owners' scope has one."""
    entry_point: Address | None = None
    """Where the account is a Safe behind ERC-4337: what calls it, so that its call is rehearsed as it will be made."""

    payments: PaymentRoad | None = None
    """Where the owners' scope lets it pay into loans beside the lending pool: by Payments, and by FurtherPayments."""
    further_payments: PaymentRoad | None = None

    @property
    def payers(self) -> dict[str, PaymentRoad]:
        """By the names that the signer's settings know them by."""
        both = {"payments": self.payments, "further_payments": self.further_payments}
        return {name: one for name, one in both.items() if one is not None}

    @property
    def modifiers(self) -> frozenset[Address]:
        """The Roles modifiers of which the account is a member."""
        return frozenset((self.roles, *(payer.roles for payer in self.payers.values())))

    @property
    def more_gas(self) -> int:
        """What a call through Safe and module needs beyond what it uses: four more calls deep, each of which keeps a 64th back
        (EIP-150), and limits that hold before any refund comes."""
        return 0 if self.entry_point is None else 80_000


def trade_call(
    part: Part,
    legs: Sequence[Leg],
    pools: Mapping[str, Pool],
    routers: Routers,
    road: AgentRoad,
    deadline_s: int,
    minimum: Mapping[int, int],
    minimum_out: int,
    native_pools: Collection[str] = (),
) -> Call:
    """`minimum` are the legs' own floors, `minimum_out` what the Gate demands of the whole. Raises Reject UNEXECUTABLE_LEG."""
    sold, bought = token_of(part.asset_in), token_of(part.asset_out)
    if frozenset((sold, bought)) not in road.pairs:
        raise _unexecutable(f"{sold} for {bought}", "is no pair of the agent's scope")
    if sum(leg.in_raw for leg in legs if leg.asset_in == part.asset_in) != part.in_raw:
        raise _unexecutable(part.cl_ord_id, "its legs do not spend what it sells")
    for leg in legs:
        if not isinstance(pools[leg.id], REACHED):
            raise _unexecutable(leg.id, f"a {pools[leg.id].kind} pool is not on the Gate's route")
        if {token_of(leg.asset_in), token_of(leg.asset_out)} - road.tokens:
            raise _unexecutable(leg.id, "trades a token that the agent's scope does not list")
    if routers.executor is not None and needs_executor(part, legs, pools, routers.chain_id):
        router = routers.executor
        data = route_data(
            part, legs, pools, routers.chain_id, routers.wrapped_native, deadline_s, minimum_out, native_pools
        )
    else:
        router = routers.universal_router
        data = execute(_commands(part, legs, pools, routers, minimum, native_pools), deadline_s)
    trade = {
        "tokenIn": sold,
        "tokenOut": bought,
        "amountIn": part.in_raw,
        "minimumOut": minimum_out,
        "deadline": deadline_s,
        "router": router,
        "data": data,
    }
    return under_the_role(road, encode("gate", "trade", (trade,)))


def _commands(
    part: Part,
    legs: Sequence[Leg],
    pools: Mapping[str, Pool],
    routers: Routers,
    minimum: Mapping[int, int],
    native_pools: Collection[str],
) -> list[Command]:
    """For a Universal Router that was paid before."""
    amounts = router_amounts(part, legs)
    commands: list[Command] = []
    through_ether: list[int] = []
    for i, leg in enumerate(legs):
        if leg.id in native_pools and token_of(leg.asset_in) == routers.wrapped_native:
            through_ether.append(i)
        else:
            commands += _swap(part, leg, pools, routers, amounts[i], minimum.get(i, 0), native_pools)
    if through_ether:
        # UNWRAP_WETH turns all the router holds: what is sold as ether comes last, when nothing else needs its wrapped form.
        ether = sum(amounts[i] for i in through_ether)
        commands.append(Command("UNWRAP_WETH", {"recipient": ADDRESS_THIS, "amountMin": ether}))
    for i in through_ether:
        commands += _swap(part, legs[i], pools, routers, amounts[i], minimum.get(i, 0), native_pools)
    return commands


def lend_call(road: AgentRoad, verb: str, token: Address, raw: int, deadline_s: int) -> Call:
    """`verb`: supply, withdraw, borrow or repay, on the Safe's own account; the Gate writes the pool's calldata itself."""
    return under_the_role(road, encode("gate", "lend", (ACTIONS[verb], token, raw, deadline_s)))


def pay_call(road: AgentRoad, rule: int, raw: int, deadline_s: int, payer: str = "payments") -> Call:
    """`raw` paid by the rule of that number of `payer`, one of `road.payers`; the contract writes the lender's calldata itself."""
    to = road.payers[payer]
    inner = encode("payments", "pay", (rule, raw, deadline_s))
    data = encode("zodiac_roles", "execTransactionWithRole", (to.contract, 0, inner, 0, road.role, True))
    return Call(to.roles, data)


def sent_as(road: AgentRoad, call: Call) -> tuple[Address, Call]:
    """Who sends what, for a rehearsal: the account its call, or the EntryPoint the account's own that carries it."""
    if road.entry_point is None:
        return road.account, call
    return road.entry_point, Call(road.account, executing(call))


def deadline_of(data: bytes) -> int:
    """The deadline inside a call under the role, in seconds of the chain's clock. Raises Usage for anything else."""
    try:
        told = decode_call("zodiac_roles", data).args["data"]
        inner = decode_call("payments" if told[:4] == PAY else "gate", told)
        match inner.function:
            case "trade":
                return int(inner.args["t"]["deadline"])
            case "offer":
                return int(inner.args["o"]["validTo"])
        return int(inner.args["deadline"])
    except (AbiError, KeyError) as error:
        raise Usage("NO_DEADLINE", f"a call of the agent's that carries no deadline: {error}", "") from None


def under_the_role(road: AgentRoad, inner: bytes) -> Call:
    """What the agent's account sends so that the Gate runs `inner`."""
    data = encode("zodiac_roles", "execTransactionWithRole", (road.gate, 0, inner, 0, road.role, True))
    return Call(road.roles, data)


def _swap(
    part: Part,
    leg: Leg,
    pools: Mapping[str, Pool],
    routers: Routers,
    amount: int,
    minimum: int,
    native_pools: Collection[str],
) -> list[Command]:
    first, last = leg.asset_in == part.asset_in, leg.asset_out == part.asset_out
    native = leg.id in native_pools
    return router_swap(leg, pools[leg.id], routers, amount, minimum, first, last, native, pushed=True)


def _unexecutable(what: str, why: str) -> Reject:
    return Reject(
        "UNEXECUTABLE_LEG",
        f"{what}: {why}",
        "leave it out, or let the owners sign; `fairlead wallet scope` tells what the agent may do",
    )
