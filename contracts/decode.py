"""A call decoded to the leaf, through Safe.execTransaction, MultiSendCallOnly, multicall, the Universal Router, Roles v2 and the Gate.

    to_leaves(call, known) -> the leaves in the order they happen

`known` names contracts by address: EIP-55 address to the interface's name ("erc20", "weth9", "permit2",
"universal_router", "swap_router_02", "uniswap_v2_router", "balancer_v2_vault", "aave_v3_pool", "morpho_blue", "comet", "maker_vat", "maker_join", "maker_jug", "safe", "multi_send",
"safe_proxy_factory", "zodiac_roles", "zodiac_delay", "zodiac_module_factory", "gate", "offers", "payments", "route_executor", "flash_repay", "singleton_factory", "aave_debt_token",
"gpv2_settlement", "across_spoke_pool"). Anything not recognised, not canonical or nested too deep is an explicit Unknown leaf: nothing is dropped.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Protocol

from contracts import (
    decode_powers,
    decode_router,
    flash_repay,
    leaves,
    morpho_blue,
    multisend,
    route_executor,
)
from contracts.codec import AbiError, DecodedCall, decode_call
from contracts.leaves import Leaf
from contracts.universal_router import MSG_SENDER

Known = Mapping[str, str]
_DEPTH = 4


class CallLike(Protocol):
    @property
    def to(self) -> str: ...

    @property
    def data(self) -> bytes: ...

    @property
    def value(self) -> int: ...


def to_leaves(
    call: CallLike, known: Known, operation: int = 0, path: str = "", depth: int = 0
) -> tuple[Leaf, ...]:
    """Every leaf of `call`, in order. Never raises for any calldata. `operation` 1 marks a delegatecall."""
    to, data, value = call.to, bytes(call.data), call.value
    kind = known.get(to)
    if depth > _DEPTH:
        return (leaves.Unknown(path, to, "nested too deep"),)
    if operation == 1 and kind != "multi_send":
        return (leaves.Unknown(path, to, "a delegatecall to something other than MultiSendCallOnly"),)
    if operation == 0 and kind == "multi_send":
        return (leaves.Unknown(path, to, "MultiSend called, not delegatecalled"),)
    if not data:
        return (leaves.NativeTransfer(path, to, value),)
    if kind is None:
        return (leaves.Unknown(path, to, f"unlisted contract, selector 0x{data[:4].hex()}"),)
    handler = _HANDLERS.get(kind)
    if handler is None and kind != "singleton_factory":
        return (leaves.Unknown(path, to, f"nothing may be called on a {kind}"),)
    try:
        if handler is None:  # takes no function's calldata, but code
            if value:
                raise AbiError(f"{value} wei for a contract that is created")
            return (decode_powers.create2(f"{path} > create2" if path else "create2", to, data),)
        decoded = decode_call(kind, data)
        here = f"{path} > {kind}.{decoded.function}" if path else f"{kind}.{decoded.function}"
        return handler(_Context(known, to, value, here, depth), decoded)
    except AbiError as error:
        return (leaves.Unknown(path, to, f"{kind}: {error}"),)


class _Context:
    __slots__ = ("depth", "known", "path", "to", "value")

    def __init__(self, known: Known, to: str, value: int, path: str, depth: int) -> None:
        self.known, self.to, self.value, self.path, self.depth = known, to, value, path, depth

    def unknown(self, why: str) -> tuple[Leaf, ...]:
        return (leaves.Unknown(self.path, self.to, why),)


def _safe(at: _Context, call: DecodedCall) -> tuple[Leaf, ...]:
    a = call.args
    if call.function != "execTransaction":
        if call.function in _ADMIN and not at.value:
            args = tuple((k, v.hex() if isinstance(v, bytes) else v) for k, v in a.items())
            shown = ", ".join(f"{k} {v}" for k, v in args)
            return (leaves.WalletAdmin(at.path, at.to, call.function, f"{call.function}({shown})", args),)
        return at.unknown(f"safe.{call.function} is not a transaction of ours")
    opened = leaves.SafeExecution(
        at.path,
        at.to,
        a["operation"],
        a["safeTxGas"],
        a["baseGas"],
        a["gasPrice"],
        a["gasToken"],
        a["refundReceiver"],
    )
    if a["operation"] > 1 or at.value:
        return (opened, *at.unknown(f"operation {a['operation']}, outer value {at.value}"))
    inner = multisend.Part(a["to"], a["value"], a["data"])
    return (opened, *to_leaves(inner, at.known, a["operation"], at.path, at.depth + 1))


_ADMIN = frozenset(
    "addOwnerWithThreshold removeOwner swapOwner changeThreshold enableModule disableModule setGuard setModuleGuard setFallbackHandler approveHash".split()
)


def _multi_send(at: _Context, call: DecodedCall) -> tuple[Leaf, ...]:
    out: list[Leaf] = []
    for index, part in enumerate(multisend.unpack(call.args["transactions"])):
        out += to_leaves(part, at.known, part.operation, f"{at.path}[{index}]", at.depth + 1)
    return tuple(out) or at.unknown("an empty batch")


def _no_value(at: _Context) -> None:
    if at.value:
        raise AbiError(f"call value {at.value} sent to a function that does not take any")


def _erc20(at: _Context, call: DecodedCall) -> tuple[Leaf, ...]:
    _no_value(at)
    a = call.args
    if call.function == "approve":
        return (leaves.Approve(at.path, at.to, a["spender"], a["amount"]),)
    if call.function == "transfer":
        return (leaves.Transfer(at.path, at.to, a["to"], a["amount"]),)
    return at.unknown(f"{call.function} on a token")


def _weth9(at: _Context, call: DecodedCall) -> tuple[Leaf, ...]:
    if call.function == "deposit":
        return (leaves.Wrap(at.path, at.to, at.value),)
    if call.function == "withdraw":
        _no_value(at)
        return (leaves.Unwrap(at.path, at.to, call.args["amount"]),)
    return _erc20(at, call)


def _permit2(at: _Context, call: DecodedCall) -> tuple[Leaf, ...]:
    _no_value(at)
    a = call.args
    if call.function == "approve":
        return (
            leaves.Permit2Approve(at.path, at.to, a["token"], a["spender"], a["amount"], a["expiration"]),
        )
    if call.function == "lockdown":
        return tuple(
            leaves.Permit2Approve(at.path, at.to, p["token"], p["spender"], 0, 0) for p in a["approvals"]
        )
    return at.unknown(f"{call.function} on Permit2")


def _swap_router_02(at: _Context, call: DecodedCall) -> tuple[Leaf, ...]:
    if call.function == "multicall":
        _no_value(at)
        out: list[Leaf] = []
        for index, data in enumerate(call.args["data"]):
            inner = decode_call("swap_router_02", data)
            if inner.function == "multicall":
                raise AbiError("a multicall inside a multicall")
            path = f"{at.path}[{index}] > {inner.function}"
            out.append(decode_router.swap_router_02(path, at.to, inner, call.args["deadline"]))
        return tuple(out) or at.unknown("an empty multicall")
    _no_value(at)
    return (decode_router.swap_router_02(at.path, at.to, call, None),)


def _v2_router(at: _Context, call: DecodedCall) -> tuple[Leaf, ...]:
    if call.function != "swapExactETHForTokens":
        _no_value(at)
    return (decode_router.uniswap_v2_router(at.path, at.to, call, at.value),)


def _universal_router(at: _Context, call: DecodedCall) -> tuple[Leaf, ...]:
    return decode_router.universal_router(at.path, at.to, call, at.value)


def _route_executor(at: _Context, call: DecodedCall) -> tuple[Leaf, ...]:
    """One swap, whatever its hops: an exact amount of the caller's leaves, at least the minimum reaches the caller."""
    _no_value(at)
    if call.function != "route":
        return at.unknown(f"{call.function} on the route executor")
    a: dict[str, Any] = call.args
    tokens = a["tokens"]
    route_executor.checked(tokens, a["hops"])
    return (
        leaves.Swap(
            at.path,
            at.to,
            "route_executor",
            tokens[0],
            tokens[1],
            a["amountIn"],
            a["minimumOut"],
            True,
            MSG_SENDER,
            a["deadline"],
            tokens=(tokens[0], *tokens[2:], tokens[1]),
        ),
    )


def _flash_repay(at: _Context, call: DecodedCall) -> tuple[Leaf, ...]:
    """What comes back of the collateral and of the debt's token comes to the caller; the way of the purchase is the author's risk."""
    _no_value(at)
    if call.function != "repay":
        return at.unknown(f"{call.function} on FlashRepay")
    r = flash_repay.checked(call.args["r"])
    limits = r.repays, r.mostCollateral, r.leastHealth, r.deadline
    return (leaves.FlashRepayment(at.path, at.to, r.pool, r.aToken, *limits, r.tokens),)


def _balancer(at: _Context, call: DecodedCall) -> tuple[Leaf, ...]:
    if call.function != "swap":
        return at.unknown(f"{call.function} on the Balancer vault")
    _no_value(at)
    swap, funds = call.args["singleSwap"], call.args["funds"]
    if swap["kind"] > 1 or swap["userData"] or funds["fromInternalBalance"] or funds["toInternalBalance"]:
        return at.unknown("internal balances, user data or an unknown kind in a Balancer swap")
    exact_in = swap["kind"] == 0
    limit = call.args["limit"]
    return (
        leaves.Swap(
            at.path,
            at.to,
            "balancer_v2",
            swap["assetIn"],
            swap["assetOut"],
            swap["amount"] if exact_in else limit,
            limit if exact_in else swap["amount"],
            exact_in,
            funds["recipient"],
            call.args["deadline"],
            tokens=(swap["assetIn"], swap["assetOut"]),
            payer=funds["sender"],
        ),
    )


def _aave(at: _Context, call: DecodedCall) -> tuple[Leaf, ...]:
    _no_value(at)
    a: dict[str, Any] = call.args
    match call.function:
        case "supply":
            return (leaves.Lending(at.path, at.to, "SUPPLY", a["asset"], a["amount"], a["onBehalfOf"]),)
        case "withdraw":
            return (leaves.Lending(at.path, at.to, "WITHDRAW", a["asset"], a["amount"], a["to"]),)
        case "borrow":
            return (
                leaves.Lending(
                    at.path, at.to, "BORROW", a["asset"], a["amount"], a["onBehalfOf"], a["interestRateMode"]
                ),
            )
        case "repay":
            return (
                leaves.Lending(
                    at.path, at.to, "REPAY", a["asset"], a["amount"], a["onBehalfOf"], a["interestRateMode"]
                ),
            )
        case "repayWithATokens":
            amount, mode = a["amount"], a["interestRateMode"]
            return (leaves.Lending(at.path, at.to, "REPAY_WITH_COLLATERAL", a["asset"], amount, "", mode),)
        case "setUserUseReserveAsCollateral":
            action = "COLLATERAL_ON" if a["useAsCollateral"] else "COLLATERAL_OFF"
            return (leaves.LendingSwitch(at.path, at.to, action, a["asset"]),)
        case "setUserEMode":
            return (leaves.LendingSwitch(at.path, at.to, "EMODE", "", a["categoryId"]),)
    return at.unknown(f"{call.function} on the Aave pool")


def _spoke_pool(at: _Context, call: DecodedCall) -> tuple[Leaf, ...]:
    _no_value(at)  # ether sent along would be wrapped and bridged beside the token that is named
    if call.function != "depositV3":
        return at.unknown(f"{call.function} on a SpokePool")
    a: dict[str, Any] = call.args
    named = ("depositor", "recipient", "inputToken", "outputToken", "inputAmount", "outputAmount", "destinationChainId", "exclusiveRelayer", "quoteTimestamp", "fillDeadline", "exclusivityParameter", "message")  # fmt: skip
    return (leaves.BridgeDeposit(at.path, at.to, *(a[name] for name in named)),)


def _morpho(at: _Context, call: DecodedCall) -> tuple[Leaf, ...]:
    _no_value(at)
    a: dict[str, Any] = call.args
    actions = {"repay": ("REPAY", "loanToken"), "supplyCollateral": ("SUPPLY_COLLATERAL", "collateralToken")}
    if call.function not in actions:
        return at.unknown(f"{call.function} on Morpho Blue")
    action, which = actions[call.function]
    params, market = a["marketParams"], morpho_blue.market_id(a["marketParams"])
    amounts = a["assets"], a.get("shares", 0)
    return (
        leaves.MorphoPayment(
            at.path, at.to, action, params[which], *amounts, a["onBehalf"], market, bool(a["data"])
        ),
    )


def _comet(at: _Context, call: DecodedCall) -> tuple[Leaf, ...]:
    _no_value(at)
    if call.function != "supply":
        return at.unknown(f"{call.function} on a Compound III market")
    return (leaves.CometPayment(at.path, at.to, call.args["asset"], call.args["amount"]),)


def _maker(at: _Context, call: DecodedCall) -> tuple[Leaf, ...]:
    _no_value(at)
    a: dict[str, Any] = call.args
    match call.function:
        case "join":
            return (leaves.MakerJoin(at.path, at.to, a["usr"], a["wad"]),)
        case "frob":
            return (
                leaves.MakerFrob(at.path, at.to, *(a[name] for name in ("i", "u", "v", "w", "dink", "dart"))),
            )
        case "drip":
            return (leaves.MakerDrip(at.path, at.to, a["ilk"]),)
    return at.unknown(f"{call.function} at Maker")


def _gpv2_settlement(at: _Context, call: DecodedCall) -> tuple[Leaf, ...]:
    _no_value(at)
    if call.function == "setPreSignature":
        named, signed = "0x" + call.args["orderUid"].hex(), call.args["signed"]
        return (leaves.OrderSignature(at.path, at.to, named, signed),)
    if call.function == "invalidateOrder":
        return (leaves.OrderSignature(at.path, at.to, "0x" + call.args["orderUid"].hex(), False, True),)
    return at.unknown(f"{call.function} on CoW's settlement")


def _proxy_factory(at: _Context, call: DecodedCall) -> tuple[Leaf, ...]:
    _no_value(at)
    if call.function != "createProxyWithNonce":
        return at.unknown(f"{call.function} on the proxy factory")
    return (leaves.CreateWallet(at.path, at.to, call.args["singleton"], call.args["saltNonce"]),)


def _roles(at: _Context, call: DecodedCall) -> tuple[Leaf, ...]:
    _no_value(at)
    a: dict[str, Any] = call.args
    if call.function != "execTransactionWithRole":
        return (decode_powers.power(at.path, at.to, "zodiac_roles", call),)
    opened = leaves.RoleExecution(
        at.path, at.to, a["to"], a["value"], a["operation"], a["roleKey"], a["shouldRevert"]
    )
    if a["operation"] > 1:
        return (opened, *at.unknown(f"operation {a['operation']}"))
    inner = multisend.Part(a["to"], a["value"], a["data"])
    return (opened, *to_leaves(inner, at.known, a["operation"], at.path, at.depth + 1))


def _delay(at: _Context, call: DecodedCall) -> tuple[Leaf, ...]:
    _no_value(at)
    kind = _QUEUES.get(call.function)
    if kind is None:
        return (decode_powers.power(at.path, at.to, "zodiac_delay", call),)
    a: dict[str, Any] = call.args
    opened = leaves.DelayCall(at.path, at.to, kind, a["to"], a["value"], a["operation"])
    if a["operation"] > 1:
        return (opened, *at.unknown(f"operation {a['operation']}"))
    inner = multisend.Part(a["to"], a["value"], a["data"])
    return (opened, *to_leaves(inner, at.known, a["operation"], at.path, at.depth + 1))


_QUEUES = {
    "execTransactionFromModule": "QUEUE",
    "execTransactionFromModuleReturnData": "QUEUE",
    "executeNextTx": "RUN",
}


def _gate(at: _Context, call: DecodedCall) -> tuple[Leaf, ...]:
    _no_value(at)
    if call.function in decode_powers.GATE_POWERS:
        return decode_powers.gate_power(at.path, at.to, call)
    if call.function != "trade":
        return (decode_powers.gate_verb(at.path, at.to, call),)
    t = call.args["t"]
    names = ("tokenIn", "tokenOut", "amountIn", "minimumOut", "deadline", "router")
    opened = leaves.GateTrade(at.path, at.to, *(t[name] for name in names))
    inner = multisend.Part(t["router"], 0, t["data"])
    return (
        opened,
        *to_leaves(inner, at.known, 0, at.path, at.depth + 1),
        leaves.GateEnd(at.path, at.to),
    )


def _offers(at: _Context, call: DecodedCall) -> tuple[Leaf, ...]:
    _no_value(at)
    if call.function != "end":
        raise AbiError(f"{call.function} on Offers, which its Gate calls")
    return (leaves.OfferEnd(at.path, at.to, call.args["token"], None),)


def _payments(at: _Context, call: DecodedCall) -> tuple[Leaf, ...]:
    _no_value(at)
    return (decode_powers.payment(at.path, at.to, call),)


def _module_factory(at: _Context, call: DecodedCall) -> tuple[Leaf, ...]:
    _no_value(at)
    return (decode_powers.module(at.path, at.to, call),)


def _debt_token(at: _Context, call: DecodedCall) -> tuple[Leaf, ...]:
    _no_value(at)
    return (decode_powers.power(at.path, at.to, "aave_debt_token", call),)


_HANDLERS: Mapping[str, Callable[[_Context, DecodedCall], tuple[Leaf, ...]]] = {
    "safe": _safe,
    "multi_send": _multi_send,
    "erc20": _erc20,
    "weth9": _weth9,
    "permit2": _permit2,
    "swap_router_02": _swap_router_02,
    "uniswap_v2_router": _v2_router,
    "universal_router": _universal_router,
    "balancer_v2_vault": _balancer,
    "route_executor": _route_executor,
    "flash_repay": _flash_repay,
    "aave_v3_pool": _aave,
    "morpho_blue": _morpho,
    "comet": _comet,
    "maker_vat": _maker,
    "maker_join": _maker,
    "maker_jug": _maker,
    "safe_proxy_factory": _proxy_factory,
    "zodiac_roles": _roles,
    "zodiac_delay": _delay,
    "zodiac_module_factory": _module_factory,
    "gate": _gate,
    "offers": _offers,
    "payments": _payments,
    "aave_debt_token": _debt_token,
    "gpv2_settlement": _gpv2_settlement,
    "across_spoke_pool": _spoke_pool,
}
