"""What one chain's routers cannot trade with is left out of that chain's plans and of no other's; a pool of another factory than Uniswap's is
never taken for the factory's own of the same tokens and fee."""

from __future__ import annotations

import dataclasses
from types import SimpleNamespace
from typing import Any

import custody as c
import pytest
from planned_legs import E18, EMPTY, ROUTERS, USDC, USDT, WETH, leg

from agent.amm import ConcentratedPool, ConcentratedV4Pool, ConstantProductPool, CurvePool, Pool
from agent.app.live_market import LiveMarket
from agent.app.places import Directory
from agent.domain.ids import ClOrdId
from agent.domain.instruments import Place
from agent.domain.orders import Part
from agent.execution.batch import Routers, build
from agent.execution.route_batch import is_foreign
from agent.market.view import MarketView
from chains.pools import PoolSnapshot, Token
from chains.profiles import load
from chains.types import Address, BlockRef, Hash32
from contracts import route_executor as rx
from contracts.codec import decode_call
from contracts.uniswap_pools import v2_pair, v3_pool

EXECUTOR = Address(rx.ADDRESS)
WITH = dataclasses.replace(ROUTERS, executor=EXECUTOR)
HERE, THERE = Place("eip155:1"), Place("eip155:8453")
PAIR, POOL, CURVE, V4 = "0x" + "77" * 20, "0x" + "88" * 20, "0x" + "99" * 20, "0x" + "aa" * 32


def pools(place: Place) -> dict[str, Pool]:
    """One of each kind that makes a difference, none of them of Uniswap's own factories."""
    found: list[Pool] = [
        ConstantProductPool(f"{place}/{PAIR}", (USDC, WETH), (1, 1), 3000),
        ConcentratedPool(f"{place}/{POOL}", (USDC, WETH), 500, 10, 1, 0, 1, EMPTY),
        CurvePool(f"{place}/{CURVE}", (USDT, USDC), (1, 1), 100, 1, 1, 0, (1, 1), (1, 1)),
        ConcentratedV4Pool(f"{place}/{V4}", (WETH, USDC), 500, (0, 0), 10, 1, 0, 1, EMPTY),
    ]
    return {pool.id: pool for pool in found}


def reach(**routers: Routers) -> tuple[frozenset[str], frozenset[str]]:
    desks: Any = {
        n: SimpleNamespace(place=place, routers=routers[name])
        for n, (name, place) in enumerate((("here", HERE), ("there", THERE)))
    }
    settings: Any = SimpleNamespace(chains=())
    nothing: Any = None
    market = LiveMarket(nothing, settings, Directory({}, {}), desks, {}, nothing)
    return market.reach(MarketView(assets={}, pools=pools(HERE) | pools(THERE), gas={}))


def test_the_executor_on_one_chain_widens_that_chains_plans_alone() -> None:
    base = dataclasses.replace(ROUTERS, chain_id=8453)
    never, alone = reach(here=WITH, there=base)
    assert never == {f"{HERE}/{POOL}", *(f"{THERE}/{name}" for name in (PAIR, POOL, CURVE))}
    assert alone == {f"{THERE}/{V4}"}
    never, alone = reach(here=ROUTERS, there=base)
    assert never == {f"{place}/{name}" for place in (HERE, THERE) for name in (PAIR, POOL, CURVE)}
    assert alone == {f"{HERE}/{V4}", f"{THERE}/{V4}"}


def test_what_is_left_out_is_told() -> None:
    """A foreign pair and a token that tells no decimals, by name and with the reason; the pools that are planned over are not."""
    weth, usdc = (Address(a) for a in (c.WETH, c.USDC))
    own = v3_pool(load(1).contracts["uniswap_v3_factory"], c.WETH, c.USDC, 500)
    entries = tuple(
        {"id": f"{HERE}/{at}", "kind": "uniswap_v2", "assets": [USDC, WETH], "reserves_raw": ["9", "9"], "fee_pips": 3000}
        if at == PAIR
        else {
            **{"id": f"{HERE}/{at.lower()}", "kind": "uniswap_v3", "assets": [USDC, WETH], "fee_pips": 500, "tick_spacing": 10},
            **{"tick": 0, "sqrt_price_x96": str(2**96), "liquidity": "0", "ticks": []},
        }
        for at in (PAIR, own)
    )  # fmt: skip
    read = PoolSnapshot(
        BlockRef(7, Hash32("0x" + "11" * 32), Hash32("0x" + "22" * 32), 1_800_000_000, 1),
        entries,
        {weth: Token(weth, "WETH", 18), usdc: Token(usdc, "USDC", 6)},
        ((CURVE, "token 0x… tells no decimals"),),
    )
    desk: Any = SimpleNamespace(place=HERE, profile=load(1), routers=ROUTERS, native_pools=set())
    settings: Any = SimpleNamespace(chains=())
    nothing: Any = None
    market = LiveMarket(nothing, settings, Directory({}, {}), {1: desk}, {}, nothing)
    view = market._chain_view(desk, read, {}, 1, (0, 0))
    assert len(view.pools) == 2
    assert set(market.left_out) == {f"ethereum pool {PAIR}", f"ethereum pool {CURVE}"}
    assert "another factory" in market.left_out[f"ethereum pool {PAIR}"]
    assert "decimals" in market.left_out[f"ethereum pool {CURVE}"]
    # Figures that no pool of its kind can hold take that pool out, and none beside it.
    mad = dataclasses.replace(read, pools=({**entries[0], "reserves_raw": ["9", str(10**77)]}, entries[1]))
    market.left_out = {}
    assert list(market._chain_view(desk, mad, {}, 1, (0, 0)).pools) == [f"{HERE}/{own.lower()}"]
    assert "reserves_raw" in market.left_out[f"ethereum pool {PAIR}"]


@pytest.mark.parametrize("chain_id", [1, 8453, 42161])
def test_the_factorys_own_are_known_by_their_address(chain_id: int) -> None:
    at = load(chain_id)
    a, b = at.usdc, at.wrapped_native
    assets = tuple(f"eip155:{chain_id}/erc20:{token}" for token in (a, b))
    pair = v2_pair(at.contracts["uniswap_v2_factory"], b, a)
    assert pair == v2_pair(at.contracts["uniswap_v2_factory"], a, b)
    own = ConstantProductPool(f"eip155:{chain_id}/{pair.lower()}", assets, (1, 1), 3000)
    assert not is_foreign(own, chain_id)
    assert is_foreign(own, 1 if chain_id != 1 else 42161)
    deep = ConcentratedPool(
        f"eip155:{chain_id}/{v3_pool(at.contracts['uniswap_v3_factory'], a, b, 500)}", assets, 500, 10, 1, 0, 1, EMPTY
    )  # fmt: skip
    assert not is_foreign(deep, chain_id)
    assert is_foreign(dataclasses.replace(deep, fee_pips=3000), chain_id)


def test_mainnets_best_known_pools_are_where_everybody_knows_them() -> None:
    contracts = load(1).contracts
    assert (
        v2_pair(contracts["uniswap_v2_factory"], c.WETH, c.USDC)
        == "0xB4e16d0168e52d35CaCD2c6185b44281Ec28C9Dc"
    )
    assert v3_pool(contracts["uniswap_v3_factory"], c.WETH, c.USDC, 500) == "0x88e6A0c2dDD26FEEb64F039a2c41296FcB3f5640"  # fmt: skip


def test_another_factorys_pair_is_traded_with_itself_and_not_with_uniswaps() -> None:
    name = f"{HERE}/{PAIR}"
    legs = [leg(name, WETH, USDC, E18, 3_000)]
    part = Part(ClOrdId("p"), ClOrdId("c"), HERE, 0, WETH, USDC, E18, 3_000, 1, (0,))
    calls = build(part, legs, pools(HERE), WITH, Address(c.SAFE), c.DEADLINE, {0: 2_990})
    assert [call.to for call in calls] == [c.WETH, EXECUTOR]
    (hop,) = decode_call("route_executor", calls[1].data).args["hops"]
    assert hop["venue"].lower() == PAIR and rx.KINDS[hop["kind"]] == "V2"
