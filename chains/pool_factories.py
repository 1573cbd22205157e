"""Factories that are named in the settings: their pools of the assets at hand, and what a V2 fork's pairs take. Reads, no state.

PoolFactory("uniswap_v2", address, 2500)      a fork of Uniswap V2; its pairs do not tell their fee, so it is said here
PoolFactory("solidly", address)               Velodrome, Aerodrome and kin; it tells each pool's fee itself
PoolFactory("uniswap_v3", address)            one pool for two tokens and a fee; fees are the usual ones and those its PoolCreated logs tell
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations

from chains.errors import Reject, Retry
from chains.evm import address_of, call_data, keccak, word
from chains.types import ZERO_ADDRESS, Address, BlockRef, Call, ChainReader

KINDS = ("uniswap_v2", "solidly", "uniswap_v3")
V3_FEES = (100, 200, 300, 400, 500, 2_500, 3_000, 10_000, 20_000)
"""In millionths: what Uniswap's V3 factories and their forks' have enabled on the chains known here. Others are found by their pools' logs."""
_POOL_CREATED = keccak(b"PoolCreated(address,address,uint24,int24,address)")
_MOST_FEES = 64


@dataclass(frozen=True, slots=True)
class PoolFactory:
    """`kind` of KINDS; `fee_pips` (millionths of what is paid in) of a uniswap_v2 one's pairs."""

    kind: str
    address: Address
    fee_pips: int = 0


async def found_pools(
    factories: Sequence[PoolFactory], tokens: Sequence[Address], at: BlockRef, reader: ChainReader
) -> list[tuple[str, Address]]:
    """(kind, pool) of every two of the tokens that a factory has made one of, at a block. Raises Retry.

    A factory that does not answer has no pools here: its address is another contract's, or none's.
    """
    asked: list[tuple[str, Call]] = []
    for factory in factories:
        if factory.kind == "uniswap_v3":
            asked += await _v3_asked(factory.address, tokens, at, reader)
            continue
        for a, b in combinations(sorted(tokens), 2):
            if factory.kind == "uniswap_v2":
                asked.append(
                    ("uniswap_v2", Call(factory.address, call_data("getPair(address,address)", a, b)))
                )
                continue
            for stable, kind in enumerate(("solidly_volatile", "solidly_stable")):
                data = call_data("getPool(address,address,bool)", a, b, stable)
                older = call_data("getPair(address,address,bool)", a, b, stable)
                asked += [(kind, Call(factory.address, data)), (kind, Call(factory.address, older))]
    if not asked:
        return []
    block, results = await reader.multicall([call for _, call in asked], at.number)
    if block.hash != at.hash:
        raise Retry("BLOCK_MOVED", f"block {at.number} was replaced while pools were looked for", "ask again")
    found = [
        (kind, address_of(result.data))
        for (kind, _), result in zip(asked, results, strict=True)
        if result.ok and len(result.data) == 32
    ]
    return [pair for pair in dict.fromkeys(found) if pair[1] != ZERO_ADDRESS]


async def _v3_asked(
    factory: Address, tokens: Sequence[Address], at: BlockRef, reader: ChainReader
) -> list[tuple[str, Call]]:
    """What the factory has for every two of the tokens: UniswapV3Factory.getPool by fee. A log only says which fees to ask for, so none that
    is invented brings a pool in; an endpoint that refuses logs of the whole chain leaves the usual fees."""
    fees = set(V3_FEES)
    among = [word(token) for token in sorted(tokens)]
    try:
        logs = await reader.logs(factory, [_POOL_CREATED, among, among], 0, at.number, halve=False)
    except (Reject, Retry):
        logs = []
    told = {int.from_bytes(log.topics[3], "big") for log in logs if len(log.topics) == 4}
    fees |= set(sorted(fee for fee in told if 0 < fee < 1_000_000)[:_MOST_FEES])
    return [
        ("uniswap_v3", Call(factory, call_data("getPool(address,address,uint24)", a, b, fee)))
        for a, b in combinations(sorted(tokens), 2)
        for fee in sorted(fees)
    ]
