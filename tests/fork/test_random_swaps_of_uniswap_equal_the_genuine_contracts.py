"""Random swaps in random states of Uniswap's V2 pairs, V3 pools and the V4 manager, carried out by their genuine code, several in a row: what goes in and
comes out, exact in and exact out, up to any limit, what reverts, and the state after each."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest
from eth_abi.abi import encode
from lending_oracle import compiled
from mainnet_world import call_data
from odd_pools import drawn_state
from random_swaps import ALONE, AT, Calls, Storage, balance_slot, run

from agent.amm import (
    ConcentratedPool,
    ConcentratedV4Pool,
    ConstantProductPool,
    Pool,
    Reverted,
    Swapped,
    swap_exact_in,
    swap_exact_out,
)
from agent.amm.math import INT256_MAX
from agent.amm.steps import default_limit
from agent.amm.ticks import MAX_SQRT_PRICE, MIN_SQRT_PRICE, TickTable
from chains.devnet.artifacts import artifact
from chains.devnet.builder import Builder
from chains.devnet.jsonrpc import Rpc
from chains.devnet.service import Status
from chains.evm import keccak, words
from chains.multicall import MULTICALL3

pytestmark = pytest.mark.devnet
SOURCES = Path(__file__).parents[1] / "support" / "dex_sources"
SWAPS = "0x5A9B5a9B5a9b5A9B5a9B5a9b5a9B5a9B5a9B5A9b"
TOKENS = tuple(sorted((AT.weth, AT.usdc), key=lambda a: int(a, 16)))
PLENTY = 1 << 250
IN_A_ROW, BATCH = 4, 50
WORD = (1 << 256) - 1

Swap = tuple[int, bool, int, int | None]
"""(the place of what is sold, exact in, amount, limit)."""


@dataclass
class Chain:
    rpc: Rpc
    code: str
    pools: dict[int, str]
    """V3 pools by fee."""
    pair: str


@contextmanager
def chain(status: Status) -> Iterator[Chain]:
    with Rpc(status.cheat_urls[1]) as rpc:
        builder, factory = Builder(rpc, AT), artifact("UniswapV3Factory")
        at = AT.uniswap
        pools = {}
        for fee in (100, 500, 3000, 10_000):
            found = builder.read(factory, at.v3_factory, "getPool", *TOKENS, fee)
            if not int(found, 16):
                builder.do(factory, at.v3_factory, "createPool", *TOKENS, fee)
                found = builder.read(factory, at.v3_factory, "getPool", *TOKENS, fee)
            pools[fee] = found
        made = builder.deploy(bytes.fromhex(compiled("Swaps", SOURCES)["bytecode"]))
        code = rpc("eth_getCode", made, "latest")
        pair = builder.read(artifact("UniswapV2Factory"), at.v2_factory, "getPair", *TOKENS)
        rpc("anvil_autoImpersonateAccount", False)
        yield Chain(rpc, code, pools, pair)


def mapped(key: int, slot: int) -> int:
    """Where a mapping keeps the value of an integer."""
    return int.from_bytes(keccak((key & WORD).to_bytes(32, "big") + slot.to_bytes(32, "big")), "big")


def ticks_in(table: TickTable, spacing: int, ticks: int, bitmap: int) -> dict[int, int]:
    """The storage of ticks and of the words that say which there are: a tick's first slot is its gross liquidity and, above, its net."""
    found: dict[int, int] = {}
    for tick, net in zip(table.ticks, table.nets, strict=True):
        found[mapped(tick, ticks)] = min(abs(net), (1 << 128) - 1) | (net & ((1 << 128) - 1)) << 128
        at = mapped(tick // spacing >> 8, bitmap)
        found[at] = found.get(at, 0) | 1 << (tick // spacing & 255)
    return found


def amounts(draw: random.Random, count: int, pool: ConcentratedPool | ConcentratedV4Pool) -> list[Swap]:
    found: list[Swap] = []
    for _ in range(count):
        i, price = draw.randrange(2), pool.sqrt_price_x96
        amount = draw.randrange(1 << draw.choice((8, 24, 40, 56, 64, 80, 96, 128)))
        if draw.random() < 0.03:
            amount = draw.choice((0, 1 << 127, INT256_MAX))
        limit: int | None = None
        if draw.random() < 0.4:
            near = (
                price * draw.randrange(900, 1000) // 1000,
                min(price * draw.randrange(1001, 1100) // 1000, (1 << 160) - 1),
            )
            ends = MIN_SQRT_PRICE, MIN_SQRT_PRICE + 1, MAX_SQRT_PRICE - 1, MAX_SQRT_PRICE, 0
            limit = (
                near[i] if draw.random() < 0.7 else draw.choice((price, price + 1, price - 1, *near, *ends))
            )
        found.append((i, draw.random() < 0.5, amount, limit))
    return found


def ours(pool: Pool, swap: Swap) -> Swapped | Reverted:
    i, exact_in, amount, limit = swap
    verb = swap_exact_in if exact_in else swap_exact_out
    return verb(pool, pool.assets[i], pool.assets[1 - i], amount, limit_sqrt_price_x96=limit)


def tokens_at(*holders: str) -> Storage:
    """Both tokens in plenty with each."""
    return {token: {balance_slot(token, holder): PLENTY for holder in holders} for token in TOKENS}


# ------------------------------------------------------------------ V3


def v3_case(one: Chain, draw: random.Random) -> tuple[Pool, list[Swap], Calls, Storage]:
    fee, spacing = draw.choice(((100, 1), (500, 10), (3000, 60), (10_000, 200)))
    at = one.pools[fee]
    price, tick, liquidity, table = drawn_state(draw, spacing)
    pool = ConcentratedPool("p", (TOKENS[0], TOKENS[1]), fee, spacing, price, tick, liquidity, table)
    protocol = draw.choice((0, 0, 4 | 10 << 4))
    slot0 = price | (tick & 0xFFFFFF) << 160 | 1 << 200 | 1 << 216 | protocol << 232 | 1 << 240
    storage = tokens_at(at, SWAPS)
    storage[at] = {ALONE: 1, 0: slot0, 4: liquidity, 8: 1 << 248, **ticks_in(table, spacing, 5, 6)}
    swaps = amounts(draw, IN_A_ROW, pool)
    calls = []
    for i, exact_in, amount, limit in swaps:
        signed = amount if exact_in else -amount
        to = default_limit(i == 0) if limit is None else limit
        calls += [
            (SWAPS, call_data("v3(address,bool,int256,uint160)", at, i == 0, signed, to)),
            (at, call_data("slot0()")),
            (at, call_data("liquidity()")),
        ]
    return pool, swaps, calls, storage


def judge_ranges(pool: Pool, swaps: list[Swap], answers: list[bytes | None]) -> Counter[str]:
    """Of V3 and V4: V3 tells what the pool got, V4 what the trader did."""
    way = 1 if isinstance(pool, ConcentratedPool) else -1
    seen = Counter[str]()
    for n, swap in enumerate(swaps):
        told, slot0, liquidity = answers[3 * n : 3 * n + 3]
        got, case = ours(pool, swap), (pool, swap)
        if told is None:
            assert isinstance(got, Reverted), (case, got)
            seen[f"reverted {got.reason}"] += 1
            continue
        assert isinstance(got, Swapped) and slot0 is not None and liquidity is not None, (case, got)
        moved = [signed(word) for word in words(told)]
        i = swap[0]
        assert (way * moved[i], -way * moved[1 - i]) == (got.amount_in, got.amount_out), (case, got, moved)
        after = got.after
        assert isinstance(after, ConcentratedPool | ConcentratedV4Pool) and type(after) is type(pool)
        price, tick = words(slot0)[:2]
        assert (after.sqrt_price_x96, after.tick, after.liquidity) == (
            price,
            signed(tick),
            words(liquidity)[0],
        ), case
        seen["whole" if got.complete else "in part"] += 1
        seen["ticks crossed"] += got.ticks_crossed > 0
        pool = after
    return seen


def signed(word: int) -> int:
    return word - (1 << 256) if word >> 255 else word


# ------------------------------------------------------------------ V4

DYNAMIC = 0x800000
POOLS_SLOT = 6


def v4_case(one: Chain, draw: random.Random) -> tuple[Pool, list[Swap], Calls, Storage]:
    manager = AT.uniswap.v4_pool_manager
    spacing = draw.choice((1, 10, 60, 200, draw.randint(1, 32_767)))
    lp = draw.choice((0, 100, 500, 3000, draw.randint(0, 1_000_000), 1_000_000))
    protocol = draw.choice(((0, 0), (0, 0), (draw.randint(0, 1000), draw.randint(0, 1000))))
    price, tick, liquidity, table = drawn_state(draw, spacing)
    pool = ConcentratedV4Pool(
        "p", (TOKENS[0], TOKENS[1]), lp, protocol, spacing, price, tick, liquidity, table
    )
    key = (*TOKENS, draw.choice((lp, DYNAMIC)), spacing, "0x" + "00" * 20)
    name = keccak(encode(["address", "address", "uint24", "int24", "address"], key))
    base = int.from_bytes(keccak(name + POOLS_SLOT.to_bytes(32, "big")), "big")
    slot0 = price | (tick & 0xFFFFFF) << 160 | (protocol[0] | protocol[1] << 12) << 184 | lp << 208
    storage = tokens_at(manager, SWAPS)
    kept = {base: slot0, base + 3: liquidity, **ticks_in(table, spacing, base + 4, base + 5)}
    storage[manager] = {slot & WORD: value for slot, value in kept.items()}
    swaps = amounts(draw, IN_A_ROW, pool)
    calls = []
    for i, exact_in, amount, limit in swaps:
        to = default_limit(i == 0) if limit is None else limit
        params = (i == 0, -amount if exact_in else amount, to)
        swap = "v4(address,(address,address,uint24,int24,address),(bool,int256,uint160))"
        calls += [
            (SWAPS, call_data(swap, manager, key, params)),
            (AT.uniswap.v4_state_view, call_data("getSlot0(bytes32)", name)),
            (AT.uniswap.v4_state_view, call_data("getLiquidity(bytes32)", name)),
        ]
    return pool, swaps, calls, storage


# ------------------------------------------------------------------ V2


def v2_case(one: Chain, draw: random.Random) -> tuple[Pool, list[Swap], Calls, Storage]:
    """Each sale is tried for a unit more, too, which the pair has to refuse."""
    reserves = [int(10 ** draw.uniform(0, 33.7)) for _ in "ab"]
    pool = ConstantProductPool("p", (TOKENS[0], TOKENS[1]), (reserves[0], reserves[1]), 3000)
    storage: Storage = {one.pair: {8: reserves[0] | reserves[1] << 112}}
    for k, token in enumerate(TOKENS):
        storage[token] = {balance_slot(token, one.pair): reserves[k], balance_slot(token, MULTICALL3): PLENTY}
    swaps: list[Swap] = []
    calls: list[tuple[str, str]] = []
    now: Pool = pool
    for _ in range(IN_A_ROW):
        i, exact_in = draw.randrange(2), draw.random() < 0.5
        swap: Swap = (i, exact_in, int(10 ** draw.uniform(0, 34)) if draw.random() < 0.98 else 0, None)
        got = ours(now, swap)
        swaps.append(swap)
        calls += v2_calls(one.pair, now, swap, got)
        if isinstance(got, Swapped):
            now = got.after
    return pool, swaps, calls, storage


def v2_calls(pair: str, pool: Pool, swap: Swap, got: Swapped | Reverted) -> list[tuple[str, str]]:
    """The router library's own answer; a swap a unit too good; the swap; the reserves."""
    assert isinstance(pool, ConstantProductPool)
    i, exact_in, amount, _ = swap
    verb = "getAmountOut" if exact_in else "getAmountIn"
    asked = call_data(f"{verb}(uint256,uint256,uint256)", amount, pool.reserves[i], pool.reserves[1 - i])
    refused = (amount, 1) if exact_in else (1 << 111, amount)
    paid, out = (got.amount_in, got.amount_out) if isinstance(got, Swapped) else refused
    # To buy an amount the library asks for a unit that the pair does not always take: there it is tried for nothing at all.
    tries = (paid, out + 1) if exact_in else (0, out), (paid, out)

    def together(much: int, wanted: int) -> str:
        sides = (0, wanted) if i == 0 else (wanted, 0)
        both = [
            (TOKENS[i], False, bytes.fromhex(call_data("transfer(address,uint256)", pair, much)[2:])),
            (
                pair,
                False,
                bytes.fromhex(call_data("swap(uint256,uint256,address,bytes)", *sides, MULTICALL3, b"")[2:]),
            ),
        ]
        return call_data("aggregate3((address,bool,bytes)[])", both)

    # A call of the multicall to itself: where its swap is refused what was paid goes back with it.
    return [
        (AT.uniswap.v2_router, asked),
        *((MULTICALL3, together(*one)) for one in tries),
        (pair, call_data("getReserves()")),
    ]


def judge_v2(pool: Pool, swaps: list[Swap], answers: list[bytes | None]) -> Counter[str]:
    seen = Counter[str]()
    for n, swap in enumerate(swaps):
        quote, better, told, reserves = answers[4 * n : 4 * n + 4]
        got, case = ours(pool, swap), (pool, swap)
        assert better is None, ("what is better than ours is refused", case, got)
        if isinstance(got, Reverted):
            assert quote is None or told is None or "OVERFLOW" in got.reason, (case, got)
            assert told is None, (case, got)
            seen[f"reverted {got.reason}"] += 1
            continue
        assert quote is not None and told is not None and reserves is not None, (case, got)
        assert words(quote)[0] == (got.amount_out if swap[1] else got.amount_in), (case, got)
        assert (
            isinstance(got.after, ConstantProductPool) and tuple(words(reserves)[:2]) == got.after.reserves
        ), case
        seen["whole"] += 1
        pool = got.after
    return seen


Made = Callable[[Chain, random.Random], tuple[Pool, list[Swap], Calls, Storage]]
KINDS: dict[
    str, tuple[Made, Callable[[Pool, list[Swap], list[bytes | None]], Counter[str]], dict[str, float]]
] = {
    "v2": (v2_case, judge_v2, {"whole": 0.3}),
    "v3": (v3_case, judge_ranges, {"whole": 0.2, "in part": 0.1, "ticks crossed": 0.05}),
    "v4": (v4_case, judge_ranges, {"whole": 0.2, "in part": 0.1, "ticks crossed": 0.05}),
}
"""By kind: what makes a case, what judges it, and the least share of outcomes that has to be among them."""


def check(status: Status, kind: str, count: int) -> None:
    made, judge, least = KINDS[kind]
    draw, seen, done = random.Random(11), Counter[str](), 0
    with chain(status) as one:
        while done < count:
            cases = [made(one, draw) for _ in range(min(BATCH, -(-(count - done) // IN_A_ROW)))]
            answers = run(one.rpc, [(calls, storage) for *_, calls, storage in cases], {SWAPS: one.code})
            for (pool, swaps, *_), answer in zip(cases, answers, strict=True):
                seen += judge(pool, swaps, answer)
                done += len(swaps)
    assert all(seen[name] > share * done for name, share in least.items()), seen
    assert sum(n for name, n in seen.items() if name.startswith("reverted")) > done / 50, seen


@pytest.mark.parametrize("kind", KINDS)
def test_five_thousand_of_each(devnet: Status, kind: str) -> None:
    check(devnet, kind, 5_000)


@pytest.mark.full
@pytest.mark.timeout(7_200)
@pytest.mark.parametrize("kind", KINDS)
def test_a_hundred_thousand_of_each(devnet: Status, kind: str) -> None:
    check(devnet, kind, 100_000)
