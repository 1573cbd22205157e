"""What swaps a transaction would make, read off the call trace of its simulation: whatever wallet is around them. Pure.

Read are single-pool exact-input swaps of Uniswap V2, V3 and V4 through the Universal Router, and SwapRouter02's exactInputSingle. Paths
over several pools, other routers and Balancer are left alone: the bot is not everybody's.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from contracts import universal_router as ur
from contracts.abi_types import AbiError
from contracts.codec import decode_call
from contracts.hashing import checksum


@dataclass(frozen=True, slots=True)
class SeenSwap:
    """One swap through one pool: `fee_pips` is what finds the pool among those of the pair (V2: 0). Base units."""

    kind: str
    token_in: str
    token_out: str
    fee_pips: int
    amount: int
    minimum: int


def swaps(trace: Mapping[str, Any], universal: str, router_02: str) -> tuple[SeenSwap, ...]:
    """The swaps below a `callTracer` frame, in order; none where the transaction reverts as a whole."""
    if trace.get("error"):
        return ()
    found: list[SeenSwap] = []
    for to, data in _frames(trace):
        try:
            if to == universal.lower():
                found += _universal(data)
            elif to == router_02.lower():
                found += _router_02(data)
        except AbiError:
            continue
    return tuple(found)


def _frames(frame: Mapping[str, Any]) -> Iterator[tuple[str, bytes]]:
    if frame.get("type", "CALL") in ("CALL", "DELEGATECALL") and not frame.get("error"):
        yield str(frame.get("to", "")).lower(), bytes.fromhex(str(frame.get("input", "0x"))[2:])
        for inner in frame.get("calls") or ():
            yield from _frames(inner)


def _universal(data: bytes) -> Iterator[SeenSwap]:
    args = decode_call("universal_router", data).args
    for code, coded in zip(args["commands"], args["inputs"], strict=True):
        try:
            command = ur.decode_command(code, coded)
        except AbiError:
            continue
        a = command.args
        if a.get("amountIn") == ur.CONTRACT_BALANCE:
            continue
        if command.name == "V2_SWAP_EXACT_IN" and len(a["path"]) == 2:
            yield SeenSwap("uniswap_v2", a["path"][0], a["path"][1], 0, a["amountIn"], a["amountOutMin"])
        elif command.name == "V3_SWAP_EXACT_IN":
            tokens, fees = ur.decode_v3_path(a["path"])
            if len(fees) == 1:
                yield SeenSwap("uniswap_v3", tokens[0], tokens[1], fees[0], a["amountIn"], a["amountOutMin"])
        elif command.name == "V4_SWAP":
            yield from _v4(ur.decode_actions(a["actions"], a["params"]))


def _v4(actions: Sequence[ur.Command]) -> Iterator[SeenSwap]:
    for action in actions:
        if action.name == "SWAP_EXACT_IN_SINGLE":
            swap = action.args["swap"]
            key = swap["poolKey"]
            sides = (key["currency0"], key["currency1"])
            paid, got = sides if swap["zeroForOne"] else sides[::-1]
            yield SeenSwap("uniswap_v4", paid, got, key["fee"], swap["amountIn"], swap["amountOutMinimum"])


def _router_02(data: bytes) -> Iterator[SeenSwap]:
    call = decode_call("swap_router_02", data)
    if call.function == "exactInputSingle":
        a = call.args["params"]
        if a["sqrtPriceLimitX96"] == 0 and a["amountIn"]:
            yield SeenSwap(
                "uniswap_v3", checksum(a["tokenIn"]), checksum(a["tokenOut"]), a["fee"], a["amountIn"], a["amountOutMinimum"]
            )  # fmt: skip
