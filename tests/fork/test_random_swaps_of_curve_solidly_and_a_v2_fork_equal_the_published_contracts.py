"""Random swaps in random states of Curve's 3pool, of Aerodrome's pools and of a V2 fork's pair, carried out by their published code, several in a row: what
goes in and comes out, the state after each, and what reverts.

Curve and Solidly have no call that buys an amount. What we say is the least to be paid is sold there and buys it, one unit less does not, nor does any
amount further below that was drawn. The pair is asked for the amount itself."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace

import pytest
from eth_abi.abi import encode
from mainnet_world import call_data
from other_exchanges import PANCAKE_PIPS, Others, build_others
from random_swaps import AT, Calls, Storage, balance_slot, run

from agent.amm import (
    ConstantProductPool,
    CurvePool,
    Pool,
    Reverted,
    SolidlyPool,
    Swapped,
    swap_exact_in,
    swap_exact_out,
)
from agent.amm.math import ContractRevert
from agent.amm.solidly import amount_out
from chains.devnet.builder import Builder
from chains.devnet.jsonrpc import Rpc
from chains.devnet.service import Status
from chains.evm import keccak, words
from chains.multicall import MULTICALL3

pytestmark = pytest.mark.devnet
PLENTY = 1 << 250
IN_A_ROW, BATCH = 5, 50
Buy = tuple[int, int, int, int]
"""(i, j, the amount sold or to be bought, an amount to be tried where it is to buy)."""
Trade = tuple[Buy, Swapped | Reverted]
"""What is asked, and what we say to it in the state that those before it left."""
Made = tuple[Pool, list[Trade], Calls, Storage]


@dataclass
class Bench:
    rpc: Rpc
    others: Others
    slots: dict[str, int]
    """Where a Solidly pool keeps decimals0, decimals1, reserve0 and reserve1."""


@contextmanager
def bench(status: Status) -> Iterator[Bench]:
    named = {c.name: c.address for c in status.contracts if c.chain == 1}
    with Rpc(status.cheat_urls[1]) as rpc:
        others = build_others(Builder(rpc, AT), named["DAI"], named["USDT"])
        rpc("anvil_autoImpersonateAccount", False)
        answer = rpc("eth_call", {"to": others.volatile, "data": call_data("metadata()")}, "latest")
        wanted = dict(
            zip(("unit0", "unit1", "reserve0", "reserve1"), words(bytes.fromhex(answer[2:])), strict=False)
        )
        kept = [int(rpc("eth_getStorageAt", others.volatile, hex(slot), "latest"), 16) for slot in range(40)]
        yield Bench(rpc, others, {name: kept.index(value) for name, value in wanted.items()})


def ours(pool: Pool, buy: Buy, exact_in: bool) -> Swapped | Reverted:
    i, j, amount, _ = buy
    verb = swap_exact_in if exact_in else swap_exact_out
    return verb(pool, pool.assets[i], pool.assets[j], amount)


def raw(draw: random.Random, low: float, high: float) -> int:
    return int(10 ** draw.uniform(low, high)) + draw.randrange(2)


def to_buy(draw: random.Random, held: int) -> int:
    """Most of the time less than what is held, now and then nearly all of it."""
    if draw.random() < 0.1:
        return max(int(held * draw.uniform(0.9, 1.001)), 1)
    return max(int(held * 10 ** draw.uniform(-9, 0.01)), 1)


def tried(draw: random.Random, least: Swapped | Reverted, held: int) -> int:
    """An amount that must not be enough: below the least by a thousandth or more; where nothing is, up to thousands of times what is held."""
    if isinstance(least, Reverted):
        return int(held * 10 ** draw.uniform(-1, 4))
    return int(least.amount_in * draw.uniform(0, 0.999))


def held_by(at: str, held: dict[str, int]) -> Storage:
    """A pool's tokens, and plenty of each with who trades."""
    return {
        token: {balance_slot(token, at): much, balance_slot(token, MULTICALL3): PLENTY}
        for token, much in held.items()
    }


def together(*calls: tuple[str, str]) -> tuple[str, str]:
    """All of them or none."""
    listed = [(to, False, bytes.fromhex(data[2:])) for to, data in calls]
    return MULTICALL3, call_data("aggregate3((address,bool,bytes)[])", listed)


# ------------------------------------------------------------------ Curve


def curve_case(one: Bench, draw: random.Random, exact_in: bool) -> Made:
    coins, digits = (one.others.dai, AT.usdc, one.others.usdt), (18, 6, 6)
    at, depth = one.others.curve, draw.uniform(2, 10)
    balances = tuple(raw(draw, depth - 0.7, depth + 0.7) * 10 ** (d - 2) for d in digits)
    amp, fee, admin = (
        draw.choice((1, 50, 200, 2_000, 1_000_000)),
        draw.randrange(5 * 10**9),
        draw.randrange(10**10 + 1),
    )
    scaling = tuple(10 ** (36 - d) for d in digits)
    pool = CurvePool("3pool", coins, balances, amp, 1, fee, admin, (10**18,) * 3, scaling)
    first = int.from_bytes(keccak((1).to_bytes(32, "big")), "big")
    storage = held_by(at, dict(zip(coins, balances, strict=True)))
    storage[at] = {2: fee, 3: admin, 6: amp, 7: amp, 9: 1}
    storage[at] |= {first + k: held for k, held in enumerate(balances)}
    calls = [(coin, call_data("approve(address,uint256)", at, 1 << 255)) for coin in coins]
    trades: list[Trade] = []
    now = pool
    for _ in range(IN_A_ROW):
        i, j = draw.sample(range(3), 2)
        sold = raw(draw, 0, depth + 1) * 10 ** draw.choice((0, digits[i] - 2))
        buy: Buy = i, j, sold if exact_in else to_buy(draw, now.balances[j]), 0
        got = ours(now, buy, exact_in)
        if exact_in:
            asked = [(sold, 0)]
        else:
            buy = (*buy[:3], tried(draw, got, now.balances[i]))
            least = got.amount_in if isinstance(got, Swapped) else 1 << 128
            asked = [(buy[3], buy[2]), (least - 1, buy[2]), (least, buy[2])]
        trades.append((buy, got))
        calls += [(coins[j], call_data("balanceOf(address)", MULTICALL3))]
        calls += [
            (at, call_data("exchange(int128,int128,uint256,uint256)", i, j, *amounts)) for amounts in asked
        ]
        calls += [(coins[j], call_data("balanceOf(address)", MULTICALL3))]
        calls += [(at, call_data("balances(uint256)", k)) for k in range(3)]
        if isinstance(got, Swapped):
            assert isinstance(got.after, CurvePool)
            now = got.after
    return pool, trades, calls, storage


def judge_curve(pool: Pool, trades: list[Trade], exact_in: bool, answers: list[bytes | None]) -> Counter[str]:
    seen, told = Counter[str](), iter(answers[3:])
    for buy, got in trades:
        assert isinstance(pool, CurvePool)
        before, case = int.from_bytes(next(told) or b"", "big"), (pool, buy)
        if not exact_in:
            assert next(told) is None, ("an amount far below ours buys it", case, got)
            assert next(told) is None, ("a unit less buys it", case, got)
        done = next(told)
        paid, *after = (int.from_bytes(next(told) or b"", "big") for _ in range(4))
        if done is None:
            assert isinstance(got, Reverted), (case, got)
            seen["reverted"] += 1
            continue
        assert isinstance(got, Swapped) and paid - before == got.amount_out, (case, got, paid - before)
        pool = replace(pool, balances=tuple(after))
        assert got.after == pool, (case, got)
        seen["swapped"] += 1
    return seen


# ------------------------------------------------------------------ Solidly

FEE_SLOT = 8
"""Where the factory keeps the fees of single pools."""


def quoted(pool: SolidlyPool, i: int, amount: int) -> int | None:
    try:
        return amount_out(pool, i, 1 - i, amount)
    except ContractRevert:
        return None


def solidly_case(one: Bench, draw: random.Random, exact_in: bool) -> Made:
    stable = draw.random() < 0.7
    at = one.others.stable if stable else one.others.volatile
    tokens = sorted((AT.usdc, one.others.dai if stable else AT.weth), key=lambda a: int(a, 16))
    units = [10 ** (6 if token == AT.usdc else 18) for token in tokens]
    depth, spread = draw.uniform(0, 10), 0.5 if stable else 4
    reserves = [
        max(1, int(10 ** (depth + draw.uniform(-spread, spread)) * unit) + draw.randrange(99))
        for unit in units
    ]
    fee = draw.choice((1, 5, 30, 100, 300))
    pool = SolidlyPool(
        "p", (tokens[0], tokens[1]), (reserves[0], reserves[1]), fee, stable, (units[0], units[1])
    )
    fees = int.from_bytes(keccak(encode(["address", "uint256"], [at, FEE_SLOT])), "big")
    storage = held_by(at, dict(zip(tokens, reserves, strict=True)))
    storage[at] = {one.slots["reserve0"]: reserves[0], one.slots["reserve1"]: reserves[1]}
    storage[one.others.solidly] = {fees: fee}
    trades: list[Trade] = []
    calls: list[tuple[str, str]] = []
    now = pool
    for _ in range(IN_A_ROW):
        i = draw.randrange(2)
        sold = max(0, int(10 ** draw.uniform(-9, depth + 2) * units[i]) - draw.randrange(2))
        buy: Buy = i, 1 - i, sold if exact_in else to_buy(draw, now.reserves[1 - i]), 0
        got = ours(now, buy, exact_in)
        if not exact_in:
            buy = (*buy[:3], tried(draw, got, now.reserves[i]))
        trades.append((buy, got))
        for amount in solidly_amounts(buy, got, exact_in):
            quote = quoted(now, i, amount)
            out = quote or 1
            sides = (0, out) if i == 0 else (out, 0)
            swap = (
                (tokens[i], call_data("transfer(address,uint256)", at, amount)),
                (at, call_data("swap(uint256,uint256,address,bytes)", *sides, MULTICALL3, b"")),
            )
            calls += [(at, call_data("getAmountOut(uint256,address)", amount, tokens[i]))]
            calls += [together(*swap)] if sold_for(quote, buy, exact_in) else []
        calls += [(at, call_data("getReserves()"))]
        if isinstance(got, Swapped):
            assert isinstance(got.after, SolidlyPool)
            now = got.after
    return pool, trades, calls, storage


def sold_for(quote: int | None, buy: Buy, exact_in: bool) -> bool:
    """What has no quote is not sold, nor what is quoted nothing (a stable pool may give a unit of which its own view says nothing), and to buy an amount
    nothing that quotes less: it would go through."""
    return bool(quote) and quote is not None and (exact_in or quote >= buy[2])


def solidly_amounts(buy: Buy, got: Swapped | Reverted, exact_in: bool) -> tuple[int, ...]:
    if exact_in:
        return (buy[2],)
    return (buy[3], got.amount_in - 1, got.amount_in) if isinstance(got, Swapped) else (buy[3],)


def judge_solidly(
    pool: Pool, trades: list[Trade], exact_in: bool, answers: list[bytes | None]
) -> Counter[str]:
    seen, told = Counter[str](), iter(answers)
    for buy, got in trades:
        assert isinstance(pool, SolidlyPool)
        case = (pool, buy)
        swapped = False
        for amount in solidly_amounts(buy, got, exact_in):
            answer = next(told)
            quote = None if answer is None else int.from_bytes(answer, "big")
            assert quote == quoted(pool, buy[0], amount), (case, amount, quote)
            done = next(told) if sold_for(quote, buy, exact_in) else None
            if isinstance(got, Swapped) and amount == got.amount_in:
                assert done is not None and quote == got.amount_out, (case, got, quote)
                swapped = True
            else:
                assert done is None, ("less than ours does it", case, amount, quote, got)
        reserves = tuple(words(next(told) or b"")[:2])
        after = got.after if isinstance(got, Swapped) else pool
        assert isinstance(after, SolidlyPool) and reserves == after.reserves, (case, got, reserves)
        assert swapped is isinstance(got, Swapped)
        seen[f"{pool.kind} swapped" if isinstance(got, Swapped) else f"reverted {got.reason}"] += 1
        pool = after
    return seen


# ------------------------------------------------------------------ a fork of V2


EVEN = 2 * (10**6 - PANCAKE_PIPS)


def least_in(pool: ConstantProductPool, i: int, wanted: int) -> int:
    """The least that keeps the product for what is wanted, by the pair's own comparison of it."""
    kept = 10**6 - PANCAKE_PIPS
    return -(-pool.reserves[i] * wanted * 10**6 // ((pool.reserves[1 - i] - wanted) * kept))


def fork_case(one: Bench, draw: random.Random, exact_in: bool) -> Made:
    at = one.others.pairs[0]
    tokens = sorted((AT.weth, AT.usdc), key=lambda a: int(a, 16))
    reserves = [raw(draw, 3, 30), raw(draw, 3, 30)]
    halved = draw.random() < 0.2
    if halved:  # Half of the other side is then bought without a remainder.
        reserves = [held - held % EVEN + EVEN for held in reserves]
    pool = ConstantProductPool("p", (tokens[0], tokens[1]), (reserves[0], reserves[1]), PANCAKE_PIPS)
    storage = held_by(at, dict(zip(tokens, reserves, strict=True)))
    storage[at] = {8: reserves[0] | reserves[1] << 112}
    trades: list[Trade] = []
    calls: list[tuple[str, str]] = []
    now = pool
    for _ in range(IN_A_ROW):
        i = draw.randrange(2)
        buy: Buy = i, 1 - i, raw(draw, 0, 29) if exact_in else to_buy(draw, now.reserves[1 - i]), 0
        got = ours(now, buy, exact_in)
        if not exact_in:
            if halved and not trades:
                buy = i, 1 - i, now.reserves[1 - i] // 2, 0
                got = ours(now, buy, exact_in)
            buy = (*buy[:3], tried(draw, got, now.reserves[i]))
        trades.append((buy, got))
        if exact_in:
            out = got.amount_out if isinstance(got, Swapped) else 1
            tries = (buy[2], out + 1), (buy[2], out)
        elif isinstance(got, Swapped):
            tries = (buy[3], buy[2]), (least_in(now, i, buy[2]) - 1, buy[2]), (got.amount_in, buy[2])
        else:
            tries = (buy[3], buy[2]), (1 << 111, buy[2])
        for paid, out in tries:
            sides = (0, out) if i == 0 else (out, 0)
            swap = call_data("swap(uint256,uint256,address,bytes)", *sides, MULTICALL3, b"")
            calls += [
                together((tokens[i], call_data("transfer(address,uint256)", at, paid)), (at, swap)),
            ]
        calls += [(at, call_data("getReserves()"))]
        if isinstance(got, Swapped):
            assert isinstance(got.after, ConstantProductPool)
            now = got.after
    return pool, trades, calls, storage


def judge_fork(pool: Pool, trades: list[Trade], exact_in: bool, answers: list[bytes | None]) -> Counter[str]:
    seen, told = Counter[str](), iter(answers)
    for buy, got in trades:
        assert isinstance(pool, ConstantProductPool)
        case = (pool, buy)
        refused = 1 if exact_in or isinstance(got, Reverted) else 2
        for _ in range(refused):
            assert next(told) is None, ("better than ours is taken", case, got)
        done, after = next(told), tuple(words(next(told) or b"")[:2])
        if isinstance(got, Reverted):
            assert done is None and after == pool.reserves, (case, got)
            seen["reverted"] += 1
            continue
        if not exact_in:
            # The library that everybody buys by adds a unit also where the division leaves nothing: the pair takes a unit less there, and nowhere else.
            least, kept = least_in(pool, buy[0], buy[2]), 10**6 - PANCAKE_PIPS
            even = pool.reserves[buy[0]] * buy[2] * 10**6 % ((pool.reserves[buy[1]] - buy[2]) * kept) == 0
            assert got.amount_in == least + even and got.amount_out == buy[2], (case, got, least)
            seen["even"] += even
        assert done is not None and isinstance(got.after, ConstantProductPool), (case, got)
        assert after == got.after.reserves, (case, got, after)
        seen["swapped"] += 1
        pool = got.after
    return seen


Maker = Callable[[Bench, random.Random, bool], Made]
Judge = Callable[[Pool, list[Trade], bool, list[bytes | None]], Counter[str]]
KINDS: dict[str, tuple[Maker, Judge, dict[str, float]]] = {
    "curve": (curve_case, judge_curve, {"swapped": 0.8}),
    "solidly": (
        solidly_case,
        judge_solidly,
        {"solidly_stable swapped": 0.4, "solidly_volatile swapped": 0.15},
    ),
    "fork": (fork_case, judge_fork, {"swapped": 0.3, "reverted": 0.001}),
}
"""By kind: what makes a case, what judges it, and the least share of outcomes that has to be among them."""


def check(status: Status, kind: str, exact_in: bool, count: int) -> None:
    made, judge, least = KINDS[kind]
    draw, seen, done = random.Random(1), Counter[str](), 0
    with bench(status) as one:
        while done < count:
            cases = [made(one, draw, exact_in) for _ in range(min(BATCH, (count - done) // IN_A_ROW))]
            answers = run(one.rpc, [(calls, storage) for *_, calls, storage in cases])
            for (pool, trades, *_), answer in zip(cases, answers, strict=True):
                seen += judge(pool, trades, exact_in, answer)
                done += len(trades)
    print(f"{kind}, exact {'in' if exact_in else 'out'}: {dict(seen)}")
    assert seen.total() - seen["even"] == count, seen
    assert kind != "fork" or exact_in or seen["even"] > count / 50, seen
    assert all(seen[name] > share * count for name, share in least.items()), seen


@pytest.mark.parametrize("exact_in", (True, False), ids=("in", "out"))
@pytest.mark.parametrize("kind", KINDS)
def test_five_thousand_of_each(devnet: Status, kind: str, exact_in: bool) -> None:
    check(devnet, kind, exact_in, 5_000)


@pytest.mark.full
@pytest.mark.timeout(7_200)
@pytest.mark.parametrize("exact_in", (True, False), ids=("in", "out"))
@pytest.mark.parametrize("kind", KINDS)
def test_a_hundred_thousand_of_each(devnet: Status, kind: str, exact_in: bool) -> None:
    check(devnet, kind, exact_in, 100_000)
