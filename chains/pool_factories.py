"""Factories that are named in the settings: their pools of the assets at hand, and what a V2 fork's pairs take. Reads, no state.

PoolFactory("uniswap_v2", address, 2500)      a fork of Uniswap V2; its pairs do not tell their fee, so it is said here
PoolFactory("uniswap_v3", address)            the chain's own Uniswap V3; a pool for each fee that was ever allowed
PoolFactory("solidly", address)               Velodrome, Aerodrome and kin; it tells each pool's fee itself
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations

from chains.errors import Retry
from chains.evm import address_of, call_data
from chains.types import ZERO_ADDRESS, Address, BlockRef, Call, ChainReader

KINDS = ("uniswap_v2", "uniswap_v3", "solidly")
V3_FEES = (100, 200, 300, 400, 500, 3000, 10_000)
"""What Uniswap's governance has allowed on one chain or another, in millionths: 200, 300 and 400 on Base."""


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
        for a, b in combinations(sorted(tokens), 2):
            if factory.kind == "uniswap_v2":
                asked.append(
                    ("uniswap_v2", Call(factory.address, call_data("getPair(address,address)", a, b)))
                )
                continue
            if factory.kind == "uniswap_v3":
                for fee in V3_FEES:
                    data = call_data("getPool(address,address,uint24)", a, b, fee)
                    asked.append(("uniswap_v3", Call(factory.address, data)))
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
