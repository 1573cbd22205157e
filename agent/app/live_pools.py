"""The pools a chain's settings name, and proof that each is what it is taken for: its own quote is ours, or it is not used."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import permutations

from agent.amm import CurvePool, Pool, SolidlyPool, Swapped, swap_exact_in
from agent.app.chain_desk import ChainDesk
from agent.app.settings_pools import UNISWAP_V2_PIPS
from agent.app.settings_tree import Chain
from chains.evm import call_data, words
from chains.pool_factories import PoolFactory
from chains.pool_keeper import PoolKeeper
from chains.pools import PoolReader, PoolSpec, V4Contracts
from chains.types import Address, BlockRef, Call, ChainReader

SHARES = (1_000_000, 1_000, 5)
"""What is quoted of the pool's holding of what is paid in: a part in so many."""
UNPROVEN = "its contract's quotes could not be compared with ours yet"
ROUNDING = 2
"""Base units: Curve's view takes its fee after the unscaling, its exchange before, and templates of one curve round D either way."""


def pool_keeper(desk: ChainDesk, chain: Chain, tokens: Sequence[Address] = ()) -> PoolKeeper:
    """The chain's configured pools and those its factories made of the tokens, kept up with its blocks."""
    contracts = desk.profile.contracts
    v4 = None
    if "uniswap_v4_pool_manager" in contracts:
        v4 = V4Contracts(
            contracts["uniswap_v4_pool_manager"],
            contracts["uniswap_v4_state_view"],
            contracts["uniswap_v4_position_manager"],
        )
    factories = [PoolFactory(f.kind, Address(f.address), f.fee_pips or 0) for f in chain.factories]
    reader = PoolReader(
        desk.gateway,
        [PoolSpec(pool.kind, pool.address) for pool in chain.pools],
        v4,
        v2_fees=v2_fees(contracts, factories),
        factories=factories,
        tokens=tokens,
    )
    return PoolKeeper(reader, desk.warm)


def v2_fees(contracts: Mapping[str, Address], factories: Sequence[PoolFactory]) -> dict[Address, int]:
    """What the pairs of each V2 factory known here take, in millionths."""
    known = {f.address: f.fee_pips for f in factories if f.kind == "uniswap_v2"}
    own = contracts.get("uniswap_v2_factory")
    return known if own is None else {own: UNISWAP_V2_PIPS, **known}


def routers_of(chain: Chain) -> dict[Address, Address]:
    """By factory, the router that the settings name."""
    return {Address(f.address): Address(f.router) for f in chain.factories if f.router is not None}


def fork_routers(routers: Mapping[Address, Address], made_by: Mapping[str, Address]) -> dict[str, Address]:
    """By a pair's id, the router of its own factory."""
    return {name: routers[factory] for name, factory in made_by.items() if factory in routers}


class PoolProof:
    """Curve's and Solidly's pools come in templates and forks that tell the same views and compute otherwise. Each quotes for itself, so
    before one is used its quotes are compared with ours, once."""

    def __init__(self) -> None:
        self._found: dict[str, str] = {}

    async def failing(self, pools: Sequence[Pool], at: BlockRef, reader: ChainReader) -> dict[str, str]:
        """Ids of those whose contracts quote otherwise, and how, and of those of which no quote was compared: figures nobody can trade at prove
        nothing. Raises Retry where the chain does not answer at that block."""
        judged = [pool for pool in pools if isinstance(pool, CurvePool | SolidlyPool)]
        new = [pool for pool in judged if pool.id not in self._found and _holding(pool)]
        asked = [(pool, *quote) for pool in new for quote in _quotes(pool)]
        if asked:
            block, results = await reader.multicall([call for *_, call in asked], at.number)
            if block.hash == at.hash:  # else the next look asks again
                self._found |= {pool.id: "" for pool, *_ in asked}
                for (pool, ours, call), result in zip(asked, results, strict=True):
                    theirs = words(result.data)[0] if result.ok and len(result.data) == 32 else None
                    if theirs is None or abs(theirs - ours) > (
                        ROUNDING if pool.kind.startswith("curve") else 0
                    ):
                        self._found[pool.id] = (
                            f"its contract quotes {theirs if theirs is not None else 'nothing'} where a {pool.kind} pool gives "
                            f"{ours} (calldata 0x{call.data.hex()}): it is of another kind"
                        )
        return {
            pool.id: why
            for pool in judged
            if (why := self._found.get(pool.id, UNPROVEN if _holding(pool) else ""))
        }


def _holding(pool: CurvePool | SolidlyPool) -> bool:
    return all(pool.balances if isinstance(pool, CurvePool) else pool.reserves)


def _quotes(pool: CurvePool | SolidlyPool) -> list[tuple[int, Call]]:
    """(what we say comes out, the contract's own view of it)."""
    at = Address(pool.id.rpartition("/")[2])
    held = pool.balances if isinstance(pool, CurvePool) else pool.reserves
    found = []
    for i, j in permutations(range(len(held)), 2):
        for share in SHARES:
            amount = held[i] // share
            swapped = swap_exact_in(pool, pool.assets[i], pool.assets[j], amount)
            if not isinstance(swapped, Swapped):
                continue
            if isinstance(pool, CurvePool):
                data = call_data("get_dy(int128,int128,uint256)", i, j, amount)
            else:
                token = pool.assets[i].rpartition(":")[2]
                data = call_data("getAmountOut(uint256,address)", amount, token)
            found.append((swapped.amount_out, Call(at, data)))
    return found
