"""Random swaps in random states of Balancer's weighted and composable stable pools, priced by their genuine code as its vault asks for them, given in
and given out; and many in a row through the genuine vault, whose balances afterwards are ours."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any

import pytest
from eth_abi.abi import decode
from mainnet_world import call_data
from random_swaps import AT, balance_slot, run

from agent.amm import BalancerStablePool, Pool, Reverted, Swapped, WeightedPool, swap_exact_in, swap_exact_out
from chains.devnet.addresses import BALANCER
from chains.devnet.artifacts import artifact
from chains.devnet.builder import DEPLOYER, Builder
from chains.devnet.demo import _created, _join
from chains.devnet.jsonrpc import Rpc
from chains.devnet.service import Status
from chains.multicall import MULTICALL3

pytestmark = pytest.mark.devnet
VAULT = BALANCER["Vault"]
ZERO = "0x" + "00" * 20
REQUEST = "(uint8,address,address,uint256,bytes32,uint256,address,address,bytes)"
BATCH, IN_A_ROW, PLENTY = 200, 8, 1 << 200
VAULTS = ("BAL#526", "BAL#510")
"""What the vault says, and not the pool: a balance beyond its 112 bits, no amount."""

Swap = tuple[int, int, bool, int]
"""(i, j, given in, amount)."""


@dataclass
class World:
    rpc: Rpc
    pools: list[Pool]
    """Of every kind some; their balances are drawn anew for each swap."""
    shares: dict[str, int]
    """Where a stable pool has its own share among its tokens."""
    ids: dict[str, bytes]
    """What the vault calls each."""


def tokens(b: Builder) -> list[tuple[str, int]]:
    """(address, decimals), in the order of their addresses."""
    made = [
        (b.deploy(artifact("MockERC20").creation(f"T{n}", f"T{n}", d)), d)
        for n, d in enumerate((6, 18, 8, 18, 2))
    ]
    return sorted(made, key=lambda token: int(token[0], 16))


def weighted(b: Builder, some: list[tuple[str, int]], weights: list[int], fee: int) -> WeightedPool:
    args = ("W", "W", [t for t, _ in some], weights, [ZERO] * len(some), fee, DEPLOYER)
    factory = BALANCER["WeightedPoolFactory"]
    at = _created(b.send(factory, artifact("WeightedPoolFactory").call("create", *args)), factory)
    names = tuple(t for t, _ in some)
    return WeightedPool(
        at, names, (0,) * len(some), tuple(weights), fee, tuple(10 ** (36 - d) for _, d in some)
    )


def stable(
    b: Builder, some: list[tuple[str, int]], amp: int, rates: list[int], fee: int
) -> tuple[BalancerStablePool, int]:
    providers = [ZERO if rate == 10**18 else says(b, rate) for rate in rates]
    n, factory = len(some), BALANCER["ComposableStablePoolFactory"]
    args = ("S", "S", [t for t, _ in some], amp, providers, [0] * n, [False] * n, fee, DEPLOYER)
    at = _created(b.send(factory, artifact("ComposableStablePoolFactory").call("create", *args)), factory)
    share = sorted([*(t for t, _ in some), at], key=lambda t: int(t, 16)).index(at)
    scaling = tuple(10 ** (18 - d) * rate for (_, d), rate in zip(some, rates, strict=True))
    names = tuple(t for t, _ in some)
    return BalancerStablePool(at, names, (0,) * n, amp * 1000, 1000, fee, tuple(rates), scaling), share


def says(b: Builder, rate: int) -> str:
    """A rate provider: whatever it is asked it says the rate."""
    runtime = bytes.fromhex("7f") + rate.to_bytes(32, "big") + bytes.fromhex("60005260206000f3")
    head = (
        bytes.fromhex("60")
        + bytes([len(runtime)])
        + bytes.fromhex("600c60003960")
        + bytes([len(runtime)])
        + bytes.fromhex("6000f3")
    )
    return b.deploy(head + runtime)


@contextmanager
def world(status: Status) -> Iterator[World]:
    draw = random.Random(4)
    with Rpc(status.cheat_urls[1]) as rpc:
        b = Builder(rpc, AT)
        known = tokens(b)
        pools: list[Pool] = []
        shares: dict[str, int] = {}
        for n in range(8):
            some = sorted(draw.sample(known, draw.randint(2, 5)), key=lambda t: int(t[0], 16))
            left = 10**18 - len(some) * 10**16
            cuts = sorted(draw.randrange(left + 1) for _ in some[1:])
            weights = [10**16 + b_ - a for a, b_ in zip([0, *cuts], [*cuts, left], strict=True)]
            if n < 2:
                some, weights = some[:2], [[5 * 10**17] * 2, [8 * 10**17, 2 * 10**17]][n]
            pools.append(
                weighted(
                    b,
                    some,
                    weights,
                    draw.choice((10**12, 3 * 10**15, 10**17, draw.randrange(10**12, 10**17))),
                )
            )
        for n in range(8):
            some = sorted(draw.sample(known, draw.randint(2, 5)), key=lambda t: int(t[0], 16))
            rates = [
                10**18 if n < 3 else draw.choice((10**18, draw.randrange(8 * 10**17, 2 * 10**18)))
                for _ in some
            ]
            amp = draw.choice((1, 10, 200, 2000, 5000))
            pool, share = stable(b, some, amp, rates, draw.choice((10**12, 4 * 10**14, 10**17)))
            pools.append(pool)
            shares[pool.id] = share
        ids = {pool.id: b.read(artifact("WeightedPool"), pool.id, "getPoolId") for pool in pools}
        filled = [joined(b, pool, shares.get(pool.id), draw) for pool in pools]
        rpc("anvil_autoImpersonateAccount", False)
        yield World(rpc, filled, shares, ids)


def joined(b: Builder, pool: Pool, share: int | None, draw: random.Random) -> Pool:
    """The pool with something of everything in the vault."""
    assert isinstance(pool, WeightedPool | BalancerStablePool)
    spread = 1 if share is None else 0.2
    amounts = [int(10 ** (6 + draw.uniform(-spread, spread)) * 10**36 / scaling) for scaling in pool.scaling]
    if share is None:
        _join(b, artifact("WeightedPool"), pool.id, list(pool.assets), amounts, amounts)
    else:
        every = [*pool.assets[:share], pool.id, *pool.assets[share:]]
        both = [*amounts[:share], 1 << 111, *amounts[share:]]
        _join(b, artifact("ComposableStablePool"), pool.id, every, both, both)
    return replace(pool, balances=tuple(amounts))


def ours(pool: Pool, swap: Swap) -> Swapped | Reverted:
    i, j, given_in, amount = swap
    return (swap_exact_in if given_in else swap_exact_out)(pool, pool.assets[i], pool.assets[j], amount)


def drawn(pool: Pool, draw: random.Random) -> tuple[Pool, Swap]:
    """Balances near each other by what they weigh and are worth, or not at all; any amount, most of them below what is there."""
    assert isinstance(pool, WeightedPool | BalancerStablePool)
    depth, wide = draw.uniform(-2, 14), draw.choice((0.05, 0.5, 3))
    balances = []
    for scaling in pool.scaling:
        units = 10 ** (depth + draw.uniform(-wide, wide)) * 10**18
        balances.append(min(max(int(units * 10**18 / scaling), 0) + draw.randrange(3), (1 << 112) - 1))
    if draw.random() < 0.01:
        balances[draw.randrange(len(balances))] = 0
    i, j = draw.sample(range(len(balances)), 2)
    given_in = draw.random() < 0.5
    amount = max(int(balances[i if given_in else j] * 10 ** draw.uniform(-12, 0.6)), 1) + draw.randrange(2)
    if draw.random() < 0.01:
        amount = draw.choice((1, 10**30, (1 << 255) + 1))
    return replace(pool, balances=tuple(balances)), (i, j, given_in, amount)


def asked(one: World, pool: Pool, swap: Swap) -> dict[str, Any]:
    """The call the vault makes of a pool."""
    assert isinstance(pool, WeightedPool | BalancerStablePool)
    i, j, given_in, amount = swap
    request = (
        0 if given_in else 1,
        pool.assets[i],
        pool.assets[j],
        amount,
        one.ids[pool.id],
        0,
        DEPLOYER,
        DEPLOYER,
        b"",
    )
    if isinstance(pool, WeightedPool):
        data = call_data(f"onSwap({REQUEST},uint256,uint256)", request, pool.balances[i], pool.balances[j])
    else:
        share = one.shares[pool.id]
        with_share = [*pool.balances[:share], 1 << 111, *pool.balances[share:]]
        at = [k + (k >= share) for k in (i, j)]
        data = call_data(f"onSwap({REQUEST},uint256[],uint256,uint256)", request, with_share, *at)
    return {"from": VAULT, "to": pool.id, "data": data, "gas": hex(1 << 26)}


def check(status: Status, kind: type, count: int) -> None:
    draw, seen = random.Random(17), Counter[str]()
    with world(status) as one:
        pools = [pool for pool in one.pools if isinstance(pool, kind)]
        for start in range(0, count, BATCH):
            cases = [drawn(draw.choice(pools), draw) for _ in range(min(BATCH, count - start))]
            body = [
                {
                    "jsonrpc": "2.0",
                    "id": n,
                    "method": "eth_call",
                    "params": [asked(one, pool, swap), "latest"],
                }
                for n, (pool, swap) in enumerate(cases)
            ]
            answers = {a["id"]: a for a in one.rpc._post(body)}
            for n, (pool, swap) in enumerate(cases):
                seen[judged(pool, swap, answers[n].get("result"))] += 1
    assert seen["given in"] > count * 0.2 and seen["given out"] > count * 0.2, seen
    assert sum(n for name, n in seen.items() if name.startswith("reverted")) > count / 50, seen


def judged(pool: Pool, swap: Swap, told: str | None) -> str:
    got, case = ours(pool, swap), (pool, swap)
    if isinstance(got, Reverted):
        assert told is None or got.reason in VAULTS, (case, got, told)
        return f"reverted {got.reason}"
    assert told is not None, (case, got)
    given_in = swap[2]
    assert int(told, 16) == (got.amount_out if given_in else got.amount_in), (case, got)
    return "given in" if given_in else "given out"


SWAP = "swap((bytes32,uint8,address,address,uint256,bytes),(address,bool,address,bool),uint256,uint256)"


def through_the_vault(
    one: World, pool: Pool, draw: random.Random
) -> tuple[list[Swap], list[tuple[str, str]], dict[str, dict[int, int]]]:
    """Swaps in a row from the pool as it was filled, and what is in it after each."""
    assert isinstance(pool, WeightedPool | BalancerStablePool)
    calls = [(token, call_data("approve(address,uint256)", VAULT, PLENTY)) for token in pool.assets]
    swaps = []
    for _ in range(IN_A_ROW):
        i, j = draw.sample(range(len(pool.assets)), 2)
        given_in = draw.random() < 0.5
        amount = (
            0
            if draw.random() < 0.02
            else int(pool.balances[i if given_in else j] * 10 ** draw.uniform(-9, 0)) + 1
        )
        swaps.append((i, j, given_in, amount))
        single = (one.ids[pool.id], 0 if given_in else 1, pool.assets[i], pool.assets[j], amount, b"")
        funds = (MULTICALL3, False, MULTICALL3, False)
        calls.append((VAULT, call_data(SWAP, single, funds, 0 if given_in else PLENTY, 1 << 40)))
        calls.append((VAULT, call_data("getPoolTokens(bytes32)", one.ids[pool.id])))
    return swaps, calls, {token: {balance_slot(token, MULTICALL3): PLENTY} for token in pool.assets}


def vaulted(status: Status, count: int) -> None:
    draw, seen = random.Random(23), Counter[str]()
    with world(status) as one:
        while seen.total() < count:
            pools = [draw.choice(one.pools) for _ in range(20)]
            cases = [through_the_vault(one, pool, draw) for pool in pools]
            answers = run(one.rpc, [(calls, storage) for _, calls, storage in cases])
            for pool, (swaps, *_), answer in zip(pools, cases, answers, strict=True):
                told = answer[len(pool.assets) :]
                for n, swap in enumerate(swaps):
                    outcome = judged(pool, swap, None if told[2 * n] is None else (told[2 * n] or b"").hex())
                    seen[outcome] += 1
                    got = ours(pool, swap)
                    pool = got.after if isinstance(got, Swapped) else pool
                    (_, held, _) = decode(["address[]", "uint256[]", "uint256"], told[2 * n + 1] or b"")
                    share = one.shares.get(pool.id)
                    assert isinstance(pool, WeightedPool | BalancerStablePool)
                    assert pool.balances == tuple(x for k, x in enumerate(held) if k != share), (pool, swap)
    assert seen["given in"] > count * 0.2 and seen["given out"] > count * 0.2, seen


@pytest.mark.parametrize("count", [800, pytest.param(20_000, marks=pytest.mark.full)])
def test_swaps_in_a_row_through_the_vault_leave_what_we_say(devnet: Status, count: int) -> None:
    vaulted(devnet, count)


@pytest.mark.parametrize("kind", [WeightedPool, BalancerStablePool])
def test_five_thousand_of_each(devnet: Status, kind: type) -> None:
    check(devnet, kind, 5_000)


@pytest.mark.full
@pytest.mark.timeout(7_200)
@pytest.mark.parametrize("kind", [WeightedPool, BalancerStablePool])
def test_a_hundred_thousand_of_each(devnet: Status, kind: type) -> None:
    check(devnet, kind, 100_000)
