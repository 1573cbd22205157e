"""Routes for `contracts/src/RouteExecutor.sol`: its record, its one address, and its calldata, exact both ways. Pure.

    route(tokens, amount_in, minimum_out, deadline, hops) -> calldata        tokens[0] is sold, tokens[1] bought

A hop spends an exact amount, or a share of what the route holds of its token then, in parts of 2**128.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from contracts.abi_types import AbiError
from contracts.codec import encode
from contracts.hashing import keccak
from contracts.own import Own, placed_at

EXECUTOR = Own("RouteExecutor", "route_executor.json", keccak(b"fairlead.route.1"))
ADDRESS = placed_at(EXECUTOR.salt, EXECUTOR.creation_hash)
"""Where it is on every chain that has it."""
KINDS = ("V2", "V3", "V4", "BALANCER", "CURVE", "SOLIDLY")
ALL = 1 << 128
ETHER_IN, ETHER_OUT = 1, 2
MOST_TOKENS = 32


@dataclass(frozen=True, slots=True)
class Hop:
    """`kind` of KINDS; tokens by their place in the route's list; `amount` in base units, or in parts of ALL where `share`."""

    kind: str
    token_in: int
    token_out: int
    share: bool
    amount: int
    venue: str
    detail: bytes


def share_up(amount: int, held: int) -> int:
    """The least share of `held` that comes to exactly `amount` (0 < amount <= held < 2**128)."""
    return -(-amount * ALL // held)


def fee_detail(pips: int) -> bytes:
    """V2 and V3: the fee in millionths."""
    return pips.to_bytes(32, "big")


def v4_detail(pips: int, tick_spacing: int, ether: int = 0) -> bytes:
    """V4, without hooks; `ether`: ETHER_IN or ETHER_OUT where that side of the pool is ether and the route's token its wrapper."""
    return (pips << 32 | tick_spacing << 8 | ether).to_bytes(32, "big")


def curve_detail(i: int, j: int) -> bytes:
    """The coins' places in the pool."""
    return (i << 8 | j).to_bytes(32, "big")


def route(
    tokens: Sequence[str], amount_in: int, minimum_out: int, deadline: int, hops: Sequence[Hop]
) -> bytes:
    """The calldata. Raises AbiError for what does not fit its type."""
    told = [
        {
            "kind": KINDS.index(h.kind),
            "tokenIn": h.token_in,
            "tokenOut": h.token_out,
            "share": h.share,
            "amount": h.amount,
            "venue": h.venue,
            "detail": h.detail,
        }
        for h in hops
    ]
    return encode("route_executor", "route", (tuple(tokens), amount_in, minimum_out, deadline, tuple(told)))


def checked(tokens: Sequence[str], hops: Sequence[dict[str, object]]) -> None:
    """Raises AbiError where the contract itself would refuse the shape, so that whoever judges a call sees what it can do."""
    if not 2 <= len(tokens) <= MOST_TOKENS or len(set(tokens)) != len(tokens) or not hops:
        raise AbiError(
            f"a route of fewer than 2 or more than {MOST_TOKENS} tokens, the same token twice, or no hops"
        )
    for i, hop in enumerate(hops):
        kind, spent, got, amount = hop["kind"], hop["tokenIn"], hop["tokenOut"], hop["amount"]
        assert (
            isinstance(kind, int)
            and isinstance(spent, int)
            and isinstance(got, int)
            and isinstance(amount, int)
        )
        if kind >= len(KINDS) or spent == got or max(spent, got) >= len(tokens):
            raise AbiError(f"hop {i} is of no known kind, or names no two tokens of the route")
        if not 0 < amount <= (ALL if hop["share"] else (1 << 127) - 1):
            raise AbiError(f"hop {i} spends {amount}, which no pool can count")
