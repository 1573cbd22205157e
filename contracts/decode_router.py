"""Swaps of the Uniswap routers as leaves. Raises AbiError for what is not recognised; `contracts.decode` turns that into Unknown."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from contracts import universal_router as ur
from contracts.abi_types import AbiError
from contracts.codec import DecodedCall
from contracts.leaves import Leaf, RouterCall, RouterEnd, RouterMove, Swap


def _ends(path: tuple[str, ...]) -> tuple[str, str]:
    if len(path) < 2:
        raise AbiError("a swap path of fewer than two tokens")
    return path[0], path[-1]


def swap_router_02(path: str, target: str, call: DecodedCall, deadline: int | None) -> Swap:
    """One swap of SwapRouter02. `deadline` is that of the multicall around it."""
    a: Mapping[str, Any] = call.args["params"] if "params" in call.args else call.args
    partial = a.get("sqrtPriceLimitX96", 0) != 0
    exact_in = call.function in ("exactInputSingle", "exactInput", "swapExactTokensForTokens")
    protocol = (
        "uniswap_v2" if "TokensForExact" in call.function or "ForTokens" in call.function else "uniswap_v3"
    )
    match call.function:
        case "exactInputSingle" | "exactOutputSingle":
            tokens: tuple[str, ...] = (a["tokenIn"], a["tokenOut"])
        case "exactInput":
            tokens = ur.decode_v3_path(a["path"])[0]
        case "exactOutput":
            tokens = ur.decode_v3_path(a["path"])[0][::-1]
        case "swapExactTokensForTokens" | "swapTokensForExactTokens":
            tokens = a["path"]
        case _:
            raise AbiError(f"{call.function} is not a listed swap")
    token_in, token_out = _ends(tokens)
    spent = a["amountIn"] if exact_in else a.get("amountInMaximum", a.get("amountInMax"))
    got = a.get("amountOutMinimum", a.get("amountOutMin")) if exact_in else a["amountOut"]
    recipient = a.get("recipient", a.get("to"))
    assert spent is not None and got is not None and recipient is not None
    # An input amount of 0 makes SwapRouter02 spend its own balance.
    from_router = exact_in and spent == 0
    return Swap(
        path,
        target,
        protocol,
        token_in,
        token_out,
        spent,
        got,
        exact_in,
        recipient,
        deadline,
        from_router,
        False,
        partial,
        tokens,
    )


def uniswap_v2_router(path: str, target: str, call: DecodedCall, value: int) -> Swap:
    """One swap of the V2 Router02. Native ether appears as ur.NATIVE."""
    a = call.args
    if call.function not in (
        "swapExactTokensForTokens",
        "swapExactTokensForETH",
        "swapExactETHForTokens",
        "swapTokensForExactTokens",
    ):
        raise AbiError(f"{call.function} is not a listed swap")
    token_in, token_out = _ends(a["path"])
    exact_in = call.function != "swapTokensForExactTokens"
    if call.function == "swapExactETHForTokens":
        token_in, spent = ur.NATIVE, value
    else:
        spent = a["amountIn"] if exact_in else a["amountInMax"]
    if call.function == "swapExactTokensForETH":
        token_out = ur.NATIVE
    return Swap(
        path,
        target,
        "uniswap_v2",
        token_in,
        token_out,
        spent,
        a["amountOutMin"] if exact_in else a["amountOut"],
        exact_in,
        a["to"],
        a["deadline"],
        tokens=a["path"],
        value=value,
    )


def universal_router(path: str, target: str, call: DecodedCall, value: int) -> tuple[Leaf, ...]:
    """RouterCall, then every command, then RouterEnd."""
    codes, inputs = call.args["commands"], call.args["inputs"]
    if len(codes) != len(inputs) or not codes:
        raise AbiError(f"{len(codes)} router commands with {len(inputs)} inputs")
    deadline = call.args.get("deadline")
    out: list[Leaf] = [RouterCall(path, target, deadline, value)]
    for index, (code, data) in enumerate(zip(codes, inputs, strict=True)):
        command = ur.decode_command(code, data)
        here = f"{path}[{index}] {command.name}"
        if command.may_revert:
            raise AbiError(f"{here} may fail silently (allow-revert flag)")
        out.append(_command(here, target, command, deadline))
    out.append(RouterEnd(path, target))
    return tuple(out)


_MOVES = {
    "PERMIT2_TRANSFER_FROM": ("PULL", "amount"),
    "SWEEP": ("SWEEP", "amountMin"),
    "TRANSFER": ("TRANSFER", "value"),
    "PAY_PORTION": ("PAY_PORTION", "bips"),
    "WRAP_ETH": ("WRAP", "amount"),
    "UNWRAP_WETH": ("UNWRAP", "amountMin"),
}


def _command(path: str, target: str, command: ur.Command, deadline: int | None) -> Leaf:
    a = command.args
    if command.name in _MOVES:
        kind, amount = _MOVES[command.name]
        return RouterMove(path, target, kind, a.get("token", ur.NATIVE), a["recipient"], a[amount])
    if command.name == "V4_SWAP":
        return _v4(path, target, ur.decode_actions(a["actions"], a["params"]), deadline)
    if command.name == "BALANCE_CHECK_ERC20":
        return RouterMove(path, target, "CHECK", a["token"], a["owner"], a["minBalance"])
    exact_in = command.name.endswith("EXACT_IN")
    v3 = command.name.startswith("V3")
    tokens = ur.decode_v3_path(a["path"])[0] if v3 else a["path"]
    if v3 and not exact_in:
        tokens = tokens[::-1]
    token_in, token_out = _ends(tokens)
    return Swap(
        path,
        target,
        "uniswap_v3" if v3 else "uniswap_v2",
        token_in,
        token_out,
        a["amountIn"] if exact_in else a["amountInMax"],
        a["amountOutMin"] if exact_in else a["amountOut"],
        exact_in,
        a["recipient"],
        deadline,
        from_router=not a["payerIsUser"],
        via_permit2=True,
        tokens=tokens,
    )


def _v4(path: str, target: str, actions: tuple[ur.Command, ...], deadline: int | None) -> Swap:
    """Exactly swap, settle, take: any other sequence leaves deltas whose meaning would have to be simulated."""
    if len(actions) != 3 or actions[0].name != "SWAP_EXACT_IN_SINGLE":
        raise AbiError(
            "a V4 sequence other than SWAP_EXACT_IN_SINGLE, SETTLE or SETTLE_ALL, TAKE or TAKE_ALL"
        )
    swap, settle, take = (a.args for a in actions)
    swap = swap["swap"]
    key = swap["poolKey"]
    coins = (key["currency0"], key["currency1"])
    paid, got = coins if swap["zeroForOne"] else coins[::-1]
    if settle["currency"] != paid or take["currency"] != got:
        raise AbiError("a V4 swap settles or takes another currency than it swaps")
    if swap["hookData"]:
        raise AbiError("hook data in a V4 swap")
    if actions[1].name == "SETTLE_ALL":
        from_router = False
        if settle["maxAmount"] < swap["amountIn"]:
            raise AbiError("a V4 swap settles less than it spends")
    elif actions[1].name == "SETTLE":
        from_router = not settle["payerIsUser"]
        if settle["amount"] not in (0, swap["amountIn"]):
            raise AbiError("a V4 swap settles another amount than it spends")
    else:
        raise AbiError(f"{actions[1].name} where a V4 swap settles")
    if actions[2].name == "TAKE_ALL":
        recipient, least = ur.MSG_SENDER, max(swap["amountOutMinimum"], take["minAmount"])
    elif actions[2].name == "TAKE":
        recipient, least = take["recipient"], swap["amountOutMinimum"]
        if take["amount"] != 0:
            raise AbiError("a V4 swap takes a fixed amount and would leave the rest")
    else:
        raise AbiError(f"{actions[2].name} where a V4 swap takes")
    return Swap(
        path,
        target,
        "uniswap_v4",
        paid,
        got,
        swap["amountIn"],
        least,
        True,
        recipient,
        deadline,
        from_router=from_router or paid == ur.NATIVE,
        via_permit2=True,
        tokens=coins,
        hooks=key["hooks"],
    )
