"""Random swaps in random states of Curve's 3pool, of Aerodrome's pools and of a V2 fork's pair, carried out by their published code: what goes
in and comes out, the state after it, and what reverts. Each is one call on a state of its own, of which nothing stays. Half of them are to buy an amount:
Curve and Solidly have no such call, so that what we say is the least to be paid is sold, or a unit less of it, which must not be enough."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace

import pytest
from eth_abi.abi import decode, encode
from mainnet_world import call_data
from other_exchanges import PANCAKE_PIPS, Others, build_others

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
from chains.devnet.addresses import CHAINS
from chains.devnet.builder import Builder
from chains.devnet.funding import BALANCE_SLOT, mapping_slot
from chains.devnet.jsonrpc import Rpc
from chains.devnet.service import Status
from chains.evm import keccak, words
from chains.multicall import MULTICALL3

pytestmark = pytest.mark.devnet
AT = CHAINS[1]
MOCK_SLOT = 3
DECIMALS = {"USDC": 6, "USDT": 6, "DAI": 18, "WETH": 18}
BATCH = 100
Storage = dict[str, dict[int, int]]
Case = tuple[Pool, int, int, int, int, list[tuple[str, str]], Storage]
"""(the pool, i, j, the amount, what it is to buy or 0, the calls that swap and look, what is in storage by address and slot)."""


@dataclass
class Bench:
    rpc: Rpc
    others: Others
    slots: dict[str, int]
    """Where a Solidly pool keeps decimals0, decimals1, reserve0 and reserve1."""

    def run(self, cases: list[Case]) -> list[list[bytes | None]]:
        """What each case's calls answer, None where one reverted; the calls before it stand."""
        body = []
        for n, (*_, calls, storage) in enumerate(cases):
            listed = [(to, True, bytes.fromhex(data[2:])) for to, data in calls]
            data = call_data("aggregate3((address,bool,bytes)[])", listed)
            given = {
                at: {"stateDiff": {f"0x{slot:064x}": f"0x{value:064x}" for slot, value in slots.items()}}
                for at, slots in storage.items()
            }
            params = [{"to": MULTICALL3, "data": data, "gas": hex(1 << 34)}, "latest", given]
            body.append({"jsonrpc": "2.0", "id": n, "method": "eth_call", "params": params})
        answers = {a["id"]: a for a in self.rpc._post(body)}
        found = []
        for n in range(len(cases)):
            assert "result" in answers[n], answers[n]
            (told,) = decode(["(bool,bytes)[]"], bytes.fromhex(answers[n]["result"][2:]))
            found.append([data if ok else None for ok, data in told])
        return found

    def balance(self, token: str, of: str) -> int:
        """The storage slot of a balance."""
        slot = {AT.weth: BALANCE_SLOT["WETH"], AT.usdc: BALANCE_SLOT["USDC"]}.get(token, MOCK_SLOT)
        return int(mapping_slot(of, slot), 16)


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


def compare(
    one: Bench, made: Callable[[Bench, random.Random], Case], judge: Callable[..., str], seed: int, count: int
) -> Counter[str]:
    """How often each outcome was met."""
    draw, seen = random.Random(seed), Counter[str]()
    for start in range(0, count, BATCH):
        cases = [made(one, draw) for _ in range(min(BATCH, count - start))]
        for case, answers in zip(cases, one.run(cases), strict=True):
            pool, i, j, amount, wanted, *_ = case
            seen[judge(pool, i, j, amount, wanted, answers)] += 1
            seen["to buy"] += wanted > 0
    return seen


def raw(draw: random.Random, low: float, high: float) -> int:
    return int(10 ** draw.uniform(low, high)) + draw.randrange(2)


def to_buy(pool: Pool, i: int, j: int, held: int, draw: random.Random) -> tuple[int, int] | None:
    """(an amount, the least that buys it or, as often, a unit less); None where ours says that nothing does."""
    wanted = max(int(held * 10 ** draw.uniform(-9, 0)), 1)
    least = swap_exact_out(pool, pool.assets[i], pool.assets[j], wanted)
    if not isinstance(least, Swapped):
        return None
    return wanted, max(least.amount_in - draw.randrange(2), 1)


def enough(pool: Pool, i: int, j: int, amount: int, wanted: int, paid: int) -> None:
    """The contract pays what is wanted for our least amount, and for a unit less it does not."""
    least = swap_exact_out(pool, pool.assets[i], pool.assets[j], wanted)
    assert isinstance(least, Swapped)
    assert (paid >= wanted) is (amount >= least.amount_in), (pool, i, j, amount, wanted, paid, least)


# ------------------------------------------------------------------ Curve


def curve_case(one: Bench, draw: random.Random) -> Case:
    coins = (one.others.dai, AT.usdc, one.others.usdt)
    depth = draw.uniform(2, 10)
    balances = [
        raw(draw, depth - 0.7, depth + 0.7) * 10 ** (DECIMALS[s] - 2) for s in ("DAI", "USDC", "USDT")
    ]
    amp, fee, admin = (
        draw.choice((1, 50, 200, 2_000, 1_000_000)),
        draw.randrange(5 * 10**9),
        draw.randrange(10**10 + 1),
    )
    i, j = draw.sample(range(3), 2)
    amount, wanted = (
        raw(draw, 0, depth + 1) * 10 ** draw.choice((0, DECIMALS["DAI" if i == 0 else "USDC"] - 2)),
        0,
    )
    scaling = tuple(10 ** (36 - d) for d in (18, 6, 6))
    pool = CurvePool("3pool", coins, tuple(balances), amp, 1, fee, admin, (10**18,) * 3, scaling)
    if draw.random() < 0.5 and (bought := to_buy(pool, i, j, balances[j], draw)) is not None:
        wanted, amount = bought
    first = int.from_bytes(keccak((1).to_bytes(32, "big")), "big")
    storage: Storage = {one.others.curve: {2: fee, 3: admin, 6: amp, 7: amp, 9: 1}}
    for k, held in enumerate(balances):
        storage[one.others.curve][first + k] = held
        storage[coins[k]] = {
            one.balance(coins[k], one.others.curve): held,
            one.balance(coins[k], MULTICALL3): 0,
        }
    storage[coins[i]][one.balance(coins[i], MULTICALL3)] = amount
    calls = [
        (coins[i], call_data("approve(address,uint256)", one.others.curve, 2**256 - 1)),
        (one.others.curve, call_data("exchange(int128,int128,uint256,uint256)", i, j, amount, 0)),
        (coins[j], call_data("balanceOf(address)", MULTICALL3)),
        *((one.others.curve, call_data("balances(uint256)", k)) for k in range(3)),
    ]
    return pool, i, j, amount, wanted, calls, storage


def judge_curve(
    pool: CurvePool, i: int, j: int, amount: int, wanted: int, answers: list[bytes | None]
) -> str:
    ours = swap_exact_in(pool, pool.assets[i], pool.assets[j], amount)
    case = (pool, i, j, amount, ours)
    if answers[1] is None:
        assert isinstance(ours, Reverted), case
        if wanted:
            enough(pool, i, j, amount, wanted, 0)
        return "reverted"
    assert isinstance(ours, Swapped), case
    if wanted:
        enough(pool, i, j, amount, wanted, int.from_bytes(answers[2] or b"", "big"))
    got, *after = (int.from_bytes(answer or b"", "big") for answer in answers[2:])
    assert got == ours.amount_out and ours.after == replace(pool, balances=tuple(after)), case
    return "swapped"


# ------------------------------------------------------------------ Solidly


def solidly_case(one: Bench, draw: random.Random) -> Case:
    stable = draw.random() < 0.7
    at = one.others.stable if stable else one.others.volatile
    tokens = sorted((AT.usdc, one.others.dai if stable else AT.weth), key=lambda a: int(a, 16))
    units = [10 ** (6 if token == AT.usdc else 18) for token in tokens]
    depth, i = draw.uniform(0, 10), draw.randrange(2)
    spread = 0.5 if stable else 4
    reserves = [
        max(1, int(10 ** (depth + draw.uniform(-spread, spread)) * unit) + draw.randrange(99))
        for unit in units
    ]
    amount = max(0, int(10 ** draw.uniform(-9, depth + 2) * units[i]) - draw.randrange(2))
    fee = draw.choice((1, 5, 30, 100, 300))
    pool = SolidlyPool(
        "p", (tokens[0], tokens[1]), (reserves[0], reserves[1]), fee, stable, (units[0], units[1])
    )
    wanted = 0
    if draw.random() < 0.5 and (bought := to_buy(pool, i, 1 - i, reserves[1 - i], draw)) is not None:
        wanted, amount = bought
    out = quoted(pool, i, amount) or 1
    sides = (0, out) if i == 0 else (out, 0)
    fees = int.from_bytes(keccak(encode(["address", "uint256"], [at, FEE_SLOT])), "big")
    storage: Storage = {
        at: {one.slots["reserve0"]: reserves[0], one.slots["reserve1"]: reserves[1]},
        one.others.solidly: {fees: fee},
        **{token: {one.balance(token, at): reserves[k]} for k, token in enumerate(tokens)},
    }
    storage[tokens[i]][one.balance(tokens[i], MULTICALL3)] = amount
    calls = [
        (at, call_data("getAmountOut(uint256,address)", amount, tokens[i])),
        (tokens[i], call_data("transfer(address,uint256)", at, amount)),
        (at, call_data("swap(uint256,uint256,address,bytes)", *sides, MULTICALL3, b"")),
        (at, call_data("getReserves()")),
    ]
    return pool, i, 1 - i, amount, wanted, calls, storage


FEE_SLOT = 8
"""Where the factory keeps the fees of single pools."""


def judge_solidly(
    pool: SolidlyPool, i: int, j: int, amount: int, wanted: int, answers: list[bytes | None]
) -> str:
    ours, quote = swap_exact_in(pool, pool.assets[i], pool.assets[j], amount), quoted(pool, i, amount)
    case = (pool, i, amount, ours, answers)
    assert quote == (None if answers[0] is None else int.from_bytes(answers[0], "big")), case
    if wanted:
        enough(pool, i, j, amount, wanted, quote or 0)
    if isinstance(ours, Reverted):
        # Of a quote of nothing a unit was asked for: a stable pool may give it, its own view rounds down further than its swap does.
        assert quote is None or answers[2] is None or (quote == 0 and ours.reason == "IOA"), case
        return f"reverted {ours.reason}"
    assert answers[2] is not None and isinstance(ours.after, SolidlyPool), case
    assert tuple(words(answers[3] or b"")[:2]) == ours.after.reserves, case
    return f"{pool.kind} swapped"


def quoted(pool: SolidlyPool, i: int, amount: int) -> int | None:
    try:
        return amount_out(pool, i, 1 - i, amount)
    except ContractRevert:
        return None


# ------------------------------------------------------------------ a fork of V2


def fork_case(one: Bench, draw: random.Random) -> Case:
    at, i = one.others.pairs[0], draw.randrange(2)
    tokens = sorted((AT.weth, AT.usdc), key=lambda a: int(a, 16))
    reserves = [raw(draw, 3, 30), raw(draw, 3, 30)]
    amount = raw(draw, 0, 29)
    pool = ConstantProductPool("p", (tokens[0], tokens[1]), (reserves[0], reserves[1]), PANCAKE_PIPS)
    wanted = 0
    if draw.random() < 0.5 and (bought := to_buy(pool, i, 1 - i, reserves[1 - i], draw)) is not None:
        wanted, amount = bought
    ours = swap_exact_in(pool, tokens[i], tokens[1 - i], amount)
    out = ours.amount_out if isinstance(ours, Swapped) else 1

    def swap(much: int) -> tuple[str, str]:
        return at, call_data(
            "swap(uint256,uint256,address,bytes)", *((0, much) if i == 0 else (much, 0)), MULTICALL3, b""
        )

    storage: Storage = {
        at: {8: reserves[0] | reserves[1] << 112},
        **{token: {one.balance(token, at): reserves[k]} for k, token in enumerate(tokens)},
    }
    storage[tokens[i]][one.balance(tokens[i], MULTICALL3)] = amount
    paid = (tokens[i], call_data("transfer(address,uint256)", at, amount))
    calls = [paid, swap(out + 1), swap(out), (at, call_data("getReserves()"))]
    return pool, i, 1 - i, amount, wanted, calls, storage


def judge_fork(
    pool: ConstantProductPool, i: int, j: int, amount: int, wanted: int, answers: list[bytes | None]
) -> str:
    ours = swap_exact_in(pool, pool.assets[i], pool.assets[j], amount)
    case = (pool, i, amount, ours, answers)
    assert answers[1] is None, ("it gives no unit more", case)
    least = swap_exact_out(pool, pool.assets[i], pool.assets[j], wanted) if wanted else None
    if isinstance(least, Swapped) and amount == least.amount_in and isinstance(ours, Swapped):
        # The library that everybody buys by asks for a unit that the pair does not always take: a unit less may be enough.
        assert ours.amount_out >= wanted, case
    if isinstance(ours, Reverted) or ours.amount_out == 0:
        assert answers[2] is None, case
        return "reverted"
    assert answers[2] is not None and isinstance(ours.after, ConstantProductPool), case
    assert tuple(words(answers[3] or b"")[:2]) == ours.after.reserves, case
    return "swapped"


EXPECTED = {
    "curve": (curve_case, judge_curve, {"swapped": 0.8}),
    "solidly": (
        solidly_case,
        judge_solidly,
        {"solidly_stable swapped": 0.4, "solidly_volatile swapped": 0.15},
    ),
    "fork": (fork_case, judge_fork, {"swapped": 0.3, "reverted": 0.001}),
}
"""By kind: what makes a case, what judges it, and the least share of outcomes that has to be among them."""


def check(status: Status, kind: str, count: int) -> None:
    made, judge, least = EXPECTED[kind]
    with bench(status) as one:
        seen = compare(one, made, judge, 1, count)
    assert seen.total() - seen["to buy"] == count and seen["to buy"] > count / 5, seen
    assert all(seen[name] > share * count for name, share in least.items()), seen


@pytest.mark.parametrize("kind", EXPECTED)
def test_five_thousand_of_each(devnet: Status, kind: str) -> None:
    check(devnet, kind, 5_000)


@pytest.mark.full
@pytest.mark.timeout(7_200)
@pytest.mark.parametrize("kind", EXPECTED)
def test_a_hundred_thousand_of_each(devnet: Status, kind: str) -> None:
    check(devnet, kind, 100_000)
