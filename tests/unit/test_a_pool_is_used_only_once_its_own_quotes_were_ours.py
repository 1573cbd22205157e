"""A Curve or Solidly pool proves by its own quotes that it is what it is taken for: figures that nobody can trade at prove nothing, and
neither do answers of another block."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from lying_pools import Answer, ToldChain

from agent.amm import SolidlyPool, Swapped, swap_exact_in
from agent.app.live_pools import UNPROVEN, PoolProof
from chains.evm import keccak, word, words
from chains.types import Address, Hash32

X, Y = "eip155:1/erc20:0x" + "44" * 20, "eip155:1/erc20:0x" + "55" * 20
POOL = SolidlyPool("eip155:1/0x" + "22" * 20, (X, Y), (10**24, 3 * 10**24), 30, False, (10**18, 10**18))
HUGE = replace(POOL, reserves=(10**76, 10**76))


def quotes(of: SolidlyPool, more: int = 0) -> ToldChain:
    def answers(to: Address, data: bytes) -> Answer:
        del to
        assert data[:4] == keccak(b"getAmountOut(uint256,address)")[:4]
        raw, token = words(data[4:])
        paid = X if token == int(X[-40:], 16) else Y
        swapped = swap_exact_in(of, paid, Y if paid == X else X, raw)
        return word(swapped.amount_out + more) if isinstance(swapped, Swapped) else None

    return ToldChain(answers)


async def failing(proof: PoolProof, pool: SolidlyPool, chain: Any) -> dict[str, str]:
    return await proof.failing((pool,), await chain.block(), chain)


async def test_figures_that_nobody_can_trade_at_prove_nothing() -> None:
    proof = PoolProof()
    assert await failing(proof, HUGE, quotes(HUGE)) == {POOL.id: UNPROVEN}
    # Later it tells figures that can be traded at, and quotes what no such pool gives.
    assert "quotes" in (await failing(proof, POOL, quotes(POOL, 1)))[POOL.id]
    fresh = PoolProof()
    await failing(fresh, HUGE, quotes(HUGE))
    assert await failing(fresh, POOL, quotes(POOL)) == {}


async def test_a_block_that_was_replaced_meanwhile_proves_nothing() -> None:
    class Replaced(ToldChain):
        async def multicall(self, calls: Any, block: int | str = "latest") -> Any:
            at, results = await super().multicall(calls, block)
            return replace(at, hash=Hash32("0x" + "99" * 32)), results

    proof, honest = PoolProof(), quotes(POOL)
    assert await failing(proof, POOL, Replaced(honest.answers)) == {POOL.id: UNPROVEN}
    assert await failing(proof, POOL, honest) == {}


@pytest.mark.parametrize("answer", [None, b"", b"\1" * 31, word((1 << 256) - 1)])
async def test_a_pool_that_quotes_nothing_or_anything_is_left_out_for_good(answer: Answer) -> None:
    proof = PoolProof()
    assert "of another kind" in (await failing(proof, POOL, ToldChain(lambda to, data: answer)))[POOL.id]
    assert POOL.id in await failing(proof, POOL, quotes(POOL)), "what lied once is not asked again"
