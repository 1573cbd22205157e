"""Uniswap V3 positions by their token ids, all at one block: who owns them, their range, and where the pool stands."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from chains import profiles
from chains.errors import Reject, Usage
from chains.gateway import Gateway
from chains.types import ZERO_ADDRESS, Address, Call, CallResult
from contracts.codec import decode_result, encode

MANAGER = "uniswap_v3_position_manager"


@dataclass(frozen=True, slots=True)
class V3Position:
    """`tokens` are (token0, token1); `owed_raw` what the pool has credited already: fees since the last touch are not in it."""

    token_id: int
    owner: Address
    tokens: tuple[Address, Address]
    fee_pips: int
    tick_lower: int
    tick_upper: int
    liquidity: int
    owed_raw: tuple[int, int]
    pool: Address
    sqrt_price_x96: int
    tick: int
    block: int


async def read_positions(gateway: Gateway, ids: Sequence[int]) -> tuple[V3Position, ...]:
    """Raises Usage NO_POSITION_MANAGER where the chain's profile has none, Reject NO_SUCH_POSITION; else as the gateway does."""
    contracts = profiles.load(gateway.chain_id).contracts
    if MANAGER not in contracts:
        raise Usage(
            "NO_POSITION_MANAGER", f"no Uniswap V3 is known on chain {gateway.chain_id}", "check `chain`"
        )
    manager, factory = contracts[MANAGER], contracts["uniswap_v3_factory"]
    asked = [
        Call(manager, encode(MANAGER, function, [token_id]))
        for token_id in ids
        for function in ("positions", "ownerOf")
    ]
    block, answers = await gateway.multicall(asked)
    held = [_position(token_id, *answers[2 * n : 2 * n + 2]) for n, token_id in enumerate(ids)]
    _, found = await gateway.multicall(
        [Call(factory, encode("uniswap_v3_factory", "getPool", [p[2], p[3], p[4]])) for p, _ in held],
        block.number,
    )
    pools = [Address(decode_result("uniswap_v3_factory", "getPool", one.data)[0]) for one in found]
    _, slots = await gateway.multicall(
        [Call(pool, encode("uniswap_v3_pool", "slot0")) for pool in pools], block.number
    )
    read = []
    for token_id, (p, owner), pool, slot in zip(ids, held, pools, slots, strict=True):
        if pool == ZERO_ADDRESS or not slot.ok:
            raise Reject(
                "NO_SUCH_POSITION", f"position {token_id} has no pool", "check the token id and the chain"
            )
        price, tick = decode_result("uniswap_v3_pool", "slot0", slot.data)[:2]
        read.append(
            V3Position(
                token_id, owner, (Address(p[2]), Address(p[3])), int(p[4]), int(p[5]), int(p[6]), int(p[7]),
                (int(p[10]), int(p[11])), pool, int(price), int(tick), block.number,
            )
        )  # fmt: skip
    return tuple(read)


def _position(token_id: int, position: CallResult, owner: CallResult) -> tuple[Sequence[Any], Address]:
    if not (position.ok and owner.ok):
        raise Reject(
            "NO_SUCH_POSITION",
            f"there is no Uniswap V3 position {token_id}",
            "check the token id and the chain",
        )
    return (
        decode_result(MANAGER, "positions", position.data),
        Address(decode_result(MANAGER, "ownerOf", owner.data)[0]),
    )
