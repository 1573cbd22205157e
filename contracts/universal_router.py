"""Commands of Uniswap's Universal Router 2.1 (with its V4 actions), encoded and decoded exactly.

A command is one byte and one ABI-encoded input. Recipients MSG_SENDER and ADDRESS_THIS stand for the caller and for the
router itself; CONTRACT_BALANCE as an amount means all the router holds. A command this file does not list decodes to
AbiError: the caller decides what an unrecognised command is worth.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from contracts.abi_types import AbiError, Tuple, parse_tuple
from contracts.codec import encode
from contracts.hashing import address_bytes, checksum

MSG_SENDER = "0x0000000000000000000000000000000000000001"
ADDRESS_THIS = "0x0000000000000000000000000000000000000002"
CONTRACT_BALANCE = 1 << 255
NATIVE = "0x0000000000000000000000000000000000000000"
ALLOW_REVERT = 0x80

_SWAP_IN = "address recipient, uint256 amountIn, uint256 amountOutMin, {path} path, bool payerIsUser"
_SWAP_OUT = "address recipient, uint256 amountOut, uint256 amountInMax, {path} path, bool payerIsUser"
_KEY = "(address currency0, address currency1, uint24 fee, int24 tickSpacing, address hooks) poolKey"

COMMANDS: Mapping[str, tuple[int, Tuple]] = {
    "V3_SWAP_EXACT_IN": (0x00, parse_tuple(_SWAP_IN.format(path="bytes"))),
    "V3_SWAP_EXACT_OUT": (0x01, parse_tuple(_SWAP_OUT.format(path="bytes"))),
    "PERMIT2_TRANSFER_FROM": (0x02, parse_tuple("address token, address recipient, uint160 amount")),
    "SWEEP": (0x04, parse_tuple("address token, address recipient, uint256 amountMin")),
    "TRANSFER": (0x05, parse_tuple("address token, address recipient, uint256 value")),
    "PAY_PORTION": (0x06, parse_tuple("address token, address recipient, uint256 bips")),
    "V2_SWAP_EXACT_IN": (0x08, parse_tuple(_SWAP_IN.format(path="address[]"))),
    "V2_SWAP_EXACT_OUT": (0x09, parse_tuple(_SWAP_OUT.format(path="address[]"))),
    "WRAP_ETH": (0x0B, parse_tuple("address recipient, uint256 amount")),
    "UNWRAP_WETH": (0x0C, parse_tuple("address recipient, uint256 amountMin")),
    "BALANCE_CHECK_ERC20": (0x0E, parse_tuple("address owner, address token, uint256 minBalance")),
    "V4_SWAP": (0x10, parse_tuple("bytes actions, bytes[] params")),
}
ACTIONS: Mapping[str, tuple[int, Tuple]] = {
    "SWAP_EXACT_IN_SINGLE": (
        0x06,
        parse_tuple(
            f"({_KEY}, bool zeroForOne, uint128 amountIn, uint128 amountOutMinimum, bytes hookData) swap"
        ),
    ),
    "SETTLE": (0x0B, parse_tuple("address currency, uint256 amount, bool payerIsUser")),
    "SETTLE_ALL": (0x0C, parse_tuple("address currency, uint256 maxAmount")),
    "TAKE": (0x0E, parse_tuple("address currency, address recipient, uint256 amount")),
    "TAKE_ALL": (0x0F, parse_tuple("address currency, uint256 minAmount")),
}
_COMMAND_BY_CODE = {code: (name, kind) for name, (code, kind) in COMMANDS.items()}
_ACTION_BY_CODE = {code: (name, kind) for name, (code, kind) in ACTIONS.items()}


@dataclass(frozen=True, slots=True)
class Command:
    """One command or V4 action with its arguments by name; `may_revert` is the router's allow-revert flag."""

    name: str
    args: Mapping[str, Any]
    may_revert: bool = False


def encode_command(command: Command) -> tuple[int, bytes]:
    """The command byte and its input. Raises AbiError for an unknown name or arguments that do not fit."""
    if command.name not in COMMANDS:
        raise AbiError(f"unknown Universal Router command {command.name!r}")
    code, kind = COMMANDS[command.name]
    return code | (ALLOW_REVERT if command.may_revert else 0), kind.enc(command.args)


def execute(commands: Sequence[Command], deadline: int) -> bytes:
    """Calldata of execute(commands, inputs, deadline); `deadline` in seconds of the chain's clock."""
    coded = [encode_command(c) for c in commands]
    inputs = tuple(data for _, data in coded)
    return encode("universal_router", "execute", (bytes(code for code, _ in coded), inputs, deadline))


def decode_command(code: int, data: bytes) -> Command:
    """Raises AbiError for a command that is not listed or an input that is not canonical."""
    known = _COMMAND_BY_CODE.get(code & ~ALLOW_REVERT)
    if known is None:
        raise AbiError(f"unlisted Universal Router command 0x{code:02x}")
    return Command(known[0], known[1].decode(data), bool(code & ALLOW_REVERT))


def v4_swap(actions: Sequence[Command]) -> Command:
    """A V4_SWAP command of the listed actions, in order."""
    for action in actions:
        if action.name not in ACTIONS:
            raise AbiError(f"unknown V4 action {action.name!r}")
    codes = bytes(ACTIONS[a.name][0] for a in actions)
    return Command(
        "V4_SWAP", {"actions": codes, "params": tuple(ACTIONS[a.name][1].enc(a.args) for a in actions)}
    )


def v4_exact_in_single(
    pool_key: Mapping[str, Any], zero_for_one: bool, amount_in: int, amount_out_min: int
) -> Command:
    """One exact-input swap in one V4 pool, paid by the caller (through Permit2, or from call value for ether) and paid out to it."""
    coins = (pool_key["currency0"], pool_key["currency1"])
    paid, got = coins if zero_for_one else coins[::-1]
    swap = {
        "poolKey": pool_key,
        "zeroForOne": zero_for_one,
        "amountIn": amount_in,
        "amountOutMinimum": amount_out_min,
        "hookData": b"",
    }
    return v4_swap(
        [
            Command("SWAP_EXACT_IN_SINGLE", {"swap": swap}),
            Command("SETTLE_ALL", {"currency": paid, "maxAmount": amount_in}),
            Command("TAKE_ALL", {"currency": got, "minAmount": amount_out_min}),
        ]
    )


def decode_actions(actions: bytes, params: Sequence[bytes]) -> tuple[Command, ...]:
    """The actions of a V4_SWAP. Raises AbiError for one that is not listed or not canonical."""
    if len(actions) != len(params):
        raise AbiError(f"{len(actions)} V4 actions with {len(params)} parameters")
    out = []
    for code, data in zip(actions, params, strict=True):
        known = _ACTION_BY_CODE.get(code)
        if known is None:
            raise AbiError(f"unlisted V4 action 0x{code:02x}")
        out.append(Command(known[0], known[1].decode(data)))
    return tuple(out)


def v3_path(tokens: Sequence[str], fees: Sequence[int]) -> bytes:
    """token (20 bytes), fee in pips (3), token … Exact-output paths run from the bought token to the sold one."""
    if len(tokens) != len(fees) + 1 or not fees:
        raise AbiError("a V3 path has one token more than it has fees")
    out = address_bytes(tokens[0])
    for fee, token in zip(fees, tokens[1:], strict=True):
        out += fee.to_bytes(3, "big") + address_bytes(token)
    return out


def decode_v3_path(path: bytes) -> tuple[tuple[str, ...], tuple[int, ...]]:
    """(tokens, fees in pips). Raises AbiError when the length is not that of a path."""
    if len(path) < 43 or (len(path) - 20) % 23:
        raise AbiError(f"{len(path)} bytes are not a V3 path")
    tokens = tuple(checksum(path[i : i + 20]) for i in range(0, len(path), 23))
    fees = tuple(int.from_bytes(path[i : i + 3], "big") for i in range(20, len(path), 23))
    return tokens, fees


def deadline_guard(wallet: str, token: str, deadline: int) -> bytes:
    """Router calldata that only reverts when `deadline` has passed: it dates a batch whose calls carry no deadline.

    `token` is any ERC-20; its balance is compared with zero.
    """
    return execute(
        [Command("BALANCE_CHECK_ERC20", {"owner": wallet, "token": token, "minBalance": 0})], deadline
    )
