"""Our arithmetic against genuine V2 and V3 bytecode with recorded mainnet state: quotes, swaps and the state after, to the wei."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest
from eth_abi.abi import decode
from mainnet_world import (
    BALANCE_SLOTS,
    FOREVER,
    QUOTER,
    SWAP_ROUTER,
    TRADER,
    V2_ROUTER,
    World,
    address_of,
    call_data,
    mainnet_world,
    market,
)

from agent.amm import (
    ConcentratedPool,
    ConstantProductPool,
    Pool,
    Reverted,
    Swapped,
    swap_exact_in,
    swap_exact_out,
)

SHARES = (1, 10, 100, 1_000, 5_000)  # of the depth, in ten-thousandths: 0.01 % to 50 %


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    with mainnet_world(tmp_path_factory.mktemp("world")) as found:
        yield found


@pytest.fixture(scope="module")
def pools(world: World) -> list[Pool]:
    """The market file's pools that stand in the world: both were made from the same recording."""
    here = [
        pool
        for pool in market().pools.values()
        if isinstance(pool, ConstantProductPool | ConcentratedPool)
        and all(address_of(asset) in BALANCE_SLOTS for asset in pool.assets)
    ]
    codes = world.rpc.batch(("eth_getCode", [pool.id.rpartition("/")[2], "latest"]) for pool in here)
    found = [pool for pool, code in zip(here, codes, strict=True) if len(code) > 2]
    for pool in found:
        # The market file set the liquidity of six pools to the sum of their ticks; the world kept the recorded figure.
        if isinstance(pool, ConcentratedPool):
            where, word = pool.id.rpartition("/")[2], "0x" + pool.liquidity.to_bytes(32, "big").hex()
            world.rpc("anvil_setStorageAt", where, "0x4", word)
    return [pool for pool in found if tokens(world, pool) == tuple(map(address_of, pool.assets))]


def tokens(world: World, pool: Pool) -> tuple[str, str]:
    where = pool.id.rpartition("/")[2]
    return world.read(where, "token0()", ["address"])[0], world.read(where, "token1()", ["address"])[0]


def v3(pools: list[Pool]) -> list[ConcentratedPool]:
    return [pool for pool in pools if isinstance(pool, ConcentratedPool)]


def v2(pools: list[Pool]) -> list[ConstantProductPool]:
    # The world gave every pair Uniswap's own bytecode, so forks' pairs charge Uniswap's fee there.
    return [replace(pool, fee_pips=3000) for pool in pools if isinstance(pool, ConstantProductPool)]


def depth(pool: Pool, asset: str) -> int:
    """How much of an asset can be bought from the pool at all (its balance in the world is not the recorded one)."""
    if isinstance(pool, ConstantProductPool):
        return pool.reserves[pool.assets.index(asset)]
    other = pool.assets[1 - pool.assets.index(asset)]
    emptied = swap_exact_in(pool, other, asset, 1 << 200)
    return emptied.amount_out if isinstance(emptied, Swapped) else 0


def cases(pool: Pool) -> list[tuple[str, str, bool, int]]:
    """(in, out, exact in, amount): every share of what the pool holds, both ways round."""
    out = []
    for sold, bought in (pool.assets, pool.assets[::-1]):
        for share in SHARES:
            out.append((sold, bought, True, depth(pool, sold) * share // 10_000))
            out.append((sold, bought, False, depth(pool, bought) * share // 10_000))
    return [case for case in out if case[3] > 0]


def ours(pool: Pool, sold: str, bought: str, exact_in: bool, amount: int) -> Swapped | Reverted:
    return (swap_exact_in if exact_in else swap_exact_out)(pool, sold, bought, amount)


def test_the_world_holds_the_pools_it_should(pools: list[Pool]) -> None:
    # Two recorded V3 pools (0xc5af…d71d, 0xc7bb…0e9b) stand with one token twice in their bytecode, and cannot trade.
    assert len(v3(pools)) == 32
    assert len(v2(pools)) == 30
    assert max(len(pool.table.ticks) for pool in v3(pools)) == 1213


def test_every_v3_quote_equals_the_quoter(world: World, pools: list[Pool]) -> None:
    kind = "address,address,uint24,uint256,uint160"
    asked: list[tuple[Any, ...]] = []
    calls: list[tuple[str, str]] = []
    for pool in v3(pools):
        for sold, bought, exact_in, amount in cases(pool):
            verb = "quoteExactInputSingle" if exact_in else "quoteExactOutputSingle"
            asked.append((pool, sold, bought, exact_in, amount))
            calls.append(
                (
                    QUOTER,
                    call_data(
                        f"{verb}({kind})", address_of(sold), address_of(bought), pool.fee_pips, amount, 0
                    ),
                )
            )
    answers = world.ask(calls)
    equal = refused = 0
    for case, answer in zip(asked, answers, strict=True):
        pool, exact_in = case[0], case[3]
        got = ours(*case)
        if answer is None:
            # The quoter refuses an exact output the pool cannot pay in full.
            assert isinstance(got, Reverted) or (not exact_in and not got.complete), case[1:]
            refused += 1
            continue
        assert isinstance(got, Swapped), (pool.id, case[1:], got)
        theirs = decode(["uint256"], answer)[0]
        assert (got.amount_out if exact_in else got.amount_in) == theirs, (pool.id, case[1:])
        equal += 1
    assert equal > 500 and equal + refused == len(asked)


def test_every_v3_swap_leaves_the_pool_as_predicted(world: World, pools: list[Pool]) -> None:
    checked = 0
    for pool in v3(pools):
        where = pool.id.rpartition("/")[2]
        for sold, bought, exact_in, amount in cases(pool)[5::7]:
            got = ours(pool, sold, bought, exact_in, amount)
            if isinstance(got, Reverted) or not got.complete or not got.amount_out:
                continue
            with world.undone():
                verb = "exactInputSingle" if exact_in else "exactOutputSingle"
                limits = (amount, 0, 0) if exact_in else (amount, 2**255, 0)
                before = world.balance(address_of(sold)), world.balance(address_of(bought))
                receipt = world.send(
                    SWAP_ROUTER,
                    call_data(
                        f"{verb}((address,address,uint24,address,uint256,uint256,uint256,uint160))",
                        (address_of(sold), address_of(bought), pool.fee_pips, TRADER, FOREVER, *limits),
                    ),
                )
                assert receipt["status"] == "0x1", (pool.id, sold, exact_in, amount)
                after = world.balance(address_of(sold)), world.balance(address_of(bought))
                slot0 = world.read(where, "slot0()", ["uint160", "int24"])
                liquidity = world.read(where, "liquidity()", ["uint128"])[0]
            assert (before[0] - after[0], after[1] - before[1]) == (got.amount_in, got.amount_out), pool.id
            left = got.after
            assert isinstance(left, ConcentratedPool)
            assert (left.sqrt_price_x96, left.tick, left.liquidity) == (*slot0, liquidity), pool.id
            checked += 1
    assert checked >= 60


def test_a_v3_price_limit_stops_where_the_pool_stops(world: World, pools: list[Pool]) -> None:
    checked = 0
    for pool in v3(pools):
        for k, (sold, bought) in enumerate((pool.assets, pool.assets[::-1])):
            amount = depth(pool, sold) // 3
            if not pool.liquidity or not amount:
                continue
            limit = pool.sqrt_price_x96 * (995 if k == 0 else 1005) // 1000
            got = swap_exact_in(pool, sold, bought, amount, limit_sqrt_price_x96=limit)
            assert isinstance(got, Swapped)
            with world.undone():
                before = world.balance(address_of(sold)), world.balance(address_of(bought))
                receipt = world.send(
                    SWAP_ROUTER,
                    call_data(
                        "exactInputSingle((address,address,uint24,address,uint256,uint256,uint256,uint160))",
                        (
                            address_of(sold),
                            address_of(bought),
                            pool.fee_pips,
                            TRADER,
                            FOREVER,
                            amount,
                            0,
                            limit,
                        ),
                    ),
                )
                assert receipt["status"] == "0x1"
                after = world.balance(address_of(sold)), world.balance(address_of(bought))
                slot0 = world.read(pool.id.rpartition("/")[2], "slot0()", ["uint160", "int24"])
            assert (before[0] - after[0], after[1] - before[1]) == (got.amount_in, got.amount_out), pool.id
            assert isinstance(got.after, ConcentratedPool)
            assert (got.after.sqrt_price_x96, got.after.tick) == slot0
            assert got.complete == (got.amount_in == amount)
            checked += 1
    assert checked >= 40


def test_every_v2_quote_equals_the_router_and_every_swap_its_quote(world: World, pools: list[Pool]) -> None:
    """Uniswap's own pairs through its router; forks' pairs (other factories) by the pair's swap with the same amounts."""
    quotes: list[tuple[str, str]] = []
    expected: list[int] = []
    for pool in v2(pools):
        for sold, bought, exact_in, amount in cases(pool):
            got = ours(pool, sold, bought, exact_in, amount)
            if isinstance(got, Reverted):
                continue
            r_in, r_out = pool.reserves if sold == pool.assets[0] else pool.reserves[::-1]
            verb = "getAmountOut" if exact_in else "getAmountIn"
            quotes.append((V2_ROUTER, call_data(f"{verb}(uint256,uint256,uint256)", amount, r_in, r_out)))
            expected.append(got.amount_out if exact_in else got.amount_in)
    answers = [None if a is None else decode(["uint256"], a)[0] for a in world.ask(quotes)]
    assert answers == expected and len(answers) > 300

    executed = 0
    for pool in v2(pools):
        where = pool.id.rpartition("/")[2]
        for k, (sold, bought) in enumerate((pool.assets, pool.assets[::-1])):
            amount = pool.reserves[k] // 50
            got = swap_exact_in(pool, sold, bought, amount)
            if isinstance(got, Reverted):
                continue
            for extra, ok in ((0, True), (1, False)):
                with world.undone():
                    assert (
                        world.send(address_of(sold), call_data("transfer(address,uint256)", where, amount))[
                            "status"
                        ]
                        == "0x1"
                    )
                    outs = (0, got.amount_out + extra) if k == 0 else (got.amount_out + extra, 0)
                    receipt = world.send(
                        where, call_data("swap(uint256,uint256,address,bytes)", *outs, TRADER, b"")
                    )
                    # One wei more than quoted breaks the pair's own invariant, so the quote is the most there is.
                    assert (receipt["status"] == "0x1") == ok, (pool.id, k, extra)
                    if ok:
                        reserves = world.read(where, "getReserves()", ["uint112", "uint112", "uint32"])[:2]
                        assert isinstance(got.after, ConstantProductPool)
                        assert reserves == got.after.reserves
                        executed += 1
    assert executed >= 40
