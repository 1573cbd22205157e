"""Pools whose contracts answer at will, or not at all: the honest ones beside them are read as before, what cannot be a pool is told, and
nothing is computed on that fails otherwise than a contract would."""

from __future__ import annotations

import asyncio
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st
from lying_pools import Answer, ToldChain, listed

from agent.amm import Reverted, Swapped, swap_exact_in, swap_exact_out
from agent.domain.errors import Usage
from agent.domain.instruments import Asset, AssetId
from agent.market.pools import parse_pool
from chains.evm import selector, word
from chains.pool_factories import PoolFactory
from chains.pool_keeper import PoolKeeper
from chains.pools import PoolReader, PoolSnapshot, PoolSpec
from chains.types import Address

HONEST, EVIL, FACTORY = (Address("0x" + f"{k:02x}" * 20) for k in (0x11, 0x22, 0x33))
X, Y = Address("0x" + "44" * 20), Address("0x" + "55" * 20)
KINDS = ["uniswap_v2", "uniswap_v3", "curve_stableswap", "solidly_volatile", "solidly_stable"]
PAIR = {"token0()": word(X), "token1()": word(Y), "factory()": word(FACTORY)}


def told(evil: dict[str, Answer]) -> ToldChain:
    honest = {**PAIR, "getReserves()": word(10**18) + word(2 * 10**18) + word(7)}
    known: dict[tuple[str, bytes], Answer] = {
        **{(HONEST, selector(name)): answer for name, answer in honest.items()},
        **{(EVIL, selector(name)): answer for name, answer in evil.items()},
        **{(t, selector("decimals()")): word(18) for t in (X, Y)},
        **{(t, selector("symbol()")): b"T".ljust(32, b"\0") for t in (X, Y)},
    }

    def answers(to: Address, data: bytes) -> Answer:
        if to == EVIL and data[:4] == selector("coins(uint256)"):
            return {0: word(X), 1: word(Y)}.get(data[-1])
        if to == FACTORY:
            return evil.get("the factory")
        return known.get((to, data[:4]))

    return ToldChain(answers)


def reader(chain: Any, kind: str) -> PoolReader:
    specs = [PoolSpec("uniswap_v2", HONEST), PoolSpec(kind, EVIL)]
    return PoolReader(chain, specs, v2_fees={FACTORY: 3_000}, factories=[PoolFactory("solidly", FACTORY)], tokens=[X, Y])  # fmt: skip


def judged(read: PoolSnapshot) -> None:
    """The honest pool is there, and what else is told is a market's pool, or refused as none; figures are computed with or reverted on."""
    assets = {
        a: Asset(a, t.symbol, t.decimals)
        for t in read.tokens.values()
        for a in [AssetId(f"eip155:1/erc20:{t.address}")]
    }
    names = {str(entry["id"]).rpartition("/")[2] for entry in read.pools}
    assert HONEST in names
    assert EVIL in names | dict(read.skipped).keys()
    for entry in read.pools:
        try:
            pool = parse_pool("read", entry, assets)
        except Usage as error:
            assert entry["id"].endswith(EVIL) and error.code == "BAD_MARKET_FILE"
            continue
        for raw in (1, 10**15, 1 << 255):
            a, b = pool.assets[:2]
            for swapped in (swap_exact_in(pool, a, b, raw), swap_exact_out(pool, b, a, raw)):
                assert isinstance(swapped, Swapped | Reverted)


ODD = st.sampled_from(
    [
        0,
        1,
        2,
        30,
        60,
        10**8,
        10**12,
        10**18,
        10**24,
        1 << 96,
        (1 << 112) - 1,
        1 << 128,
        10**76,
        (1 << 256) - 1,
    ]
)
ANSWER = st.one_of(
    st.none(),
    st.sampled_from([b"", b"\x01", word(X), word(EVIL)]),
    st.lists(ODD, min_size=1, max_size=5).map(lambda values: b"".join(map(word, values))),
    st.lists(ODD, max_size=4).map(lambda values: listed(*values)),
)
VIEWS = [
    *PAIR, "stable()", "getReserves()", "slot0()", "liquidity()", "tickBitmap(int16)", "ticks(int24)", "fee()", "tickSpacing()",
    "A_precise()", "A()", "admin_fee()", "future_A_time()", "stored_rates()", "balances(uint256)", "the factory",
]  # fmt: skip


@settings(max_examples=150, deadline=None)
@given(st.sampled_from(KINDS), st.dictionaries(st.sampled_from(VIEWS), ANSWER), st.booleans())
def test_whatever_a_pool_answers(kind: str, evil: dict[str, Answer], spaced: bool) -> None:
    # A bitmap full of ticks is a matter of how many views are asked, not of what they say.
    evil.pop("tickBitmap(int16)", None) if not spaced else evil.update({"tickSpacing()": word(16_383)})
    if kind.startswith("solidly"):
        evil = {"stable()": word(kind == "solidly_stable"), "the factory": word(30), **PAIR, **evil}
    judged(asyncio.run(reader(told({**PAIR, **evil}), kind).snapshot()))


def test_a_pool_that_falls_silent_is_left_out_until_it_answers_again() -> None:
    evil: dict[str, Answer] = {"A()": word(200), "fee()": word(4_000_000), "admin_fee()": word(0), "stored_rates()": listed(10**18, 10**18)}  # fmt: skip
    evil |= {"balances(uint256)": word(10**24)}
    chain = told(evil)

    async def followed() -> None:
        read = reader(chain, "curve_stableswap")
        assert len((await read.snapshot()).pools) == 2
        chain.answers = told({**evil, "stored_rates()": None}).answers
        at = await chain.block()
        alone = await read.snapshot()
        assert [e["id"] for e in alone.pools] == [f"eip155:1/{HONEST}"]
        assert "left out until it answers" in dict(alone.skipped)[EVIL]
        assert f"eip155:1/{EVIL}" in read.changes_unheard(at), "asked again at every block"
        assert await read.states_of([f"eip155:1/{EVIL}"], at, chain) == {}  # type: ignore[arg-type]
        chain.answers = told(evil).answers
        again = await read.snapshot()
        assert len(again.pools) == 2 and EVIL not in dict(again.skipped)

    asyncio.run(followed())


class Blocks:
    """Warm's part of it: every look finds the chain one block further, with no log."""

    def __init__(self, chain: ToldChain) -> None:
        self.chain = chain

    async def news(self, since: str) -> list[Any]:
        del since
        self.chain.number += 1
        return [(await self.chain.block(), ())]

    def follow(self, sources: Any) -> None:
        del sources

    async def multicall(self, calls: Any, block: int | str = "latest") -> Any:
        return await self.chain.multicall(calls, block)


def test_a_pool_that_is_followed_falls_silent_and_comes_back_with_no_whole_reading() -> None:
    evil: dict[str, Answer] = {**PAIR, "stable()": word(0), "the factory": word(30)}
    evil |= {"getReserves()": word(10**18) + word(10**18) + word(7)}
    chain = told(evil)

    async def followed() -> None:
        keeper = PoolKeeper(reader(chain, "solidly_volatile"), Blocks(chain))  # type: ignore[arg-type]
        assert len((await keeper.snapshot()).pools) == len((await keeper.snapshot()).pools) == 2
        for silent in ({**evil, "getReserves()": None}, {**evil, "getReserves()": word(1)}):
            chain.answers = told(silent).answers
            for _ in range(2):
                alone = await keeper.snapshot()
                assert [e["id"] for e in alone.pools] == [f"eip155:1/{HONEST}"] and EVIL in dict(
                    alone.skipped
                )
            chain.answers = told(evil).answers
            back = await keeper.snapshot()
            assert len(back.pools) == 2 and EVIL not in dict(back.skipped)
        assert keeper.whole == 1

    asyncio.run(followed())


def test_a_pool_of_no_tick_spacing_is_none() -> None:
    v3 = {**PAIR, "fee()": word(500), "slot0()": word(1) + word(0), "liquidity()": word(0)}
    for spacing in (0, (1 << 256) - 60, 1 << 24):
        chain = told({**v3, "tickSpacing()": word(spacing)})
        read = asyncio.run(reader(chain, "uniswap_v3").snapshot())
        assert "tick spacing" in dict(read.skipped)[EVIL]
        judged(read)
