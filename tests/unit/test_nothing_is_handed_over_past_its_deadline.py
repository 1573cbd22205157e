"""The last block a transaction is handed over for follows the deadline in its calldata, and is never later than its chain's own limit."""

from __future__ import annotations

from typing import Any

import pytest

from agent.app.rescue.acting import LASTS_S
from agent.app.wiring import DEADLINE_S
from agent.execution.authority import ChainAuthority
from chains import profiles
from chains.types import BlockRef, Hash32

HEAD = BlockRef(100, Hash32("0x" + "00" * 32), Hash32("0x" + "00" * 32), 1_700_000_000, 1)


def authority(block_time_ms: int, max_blocks: int) -> ChainAuthority:
    nothing: Any = None
    return ChainAuthority(
        nothing, nothing, nothing, (), 1, nothing, nothing, max_blocks, block_time_ms=block_time_ms
    )


@pytest.mark.parametrize(
    ("lasts_s", "last"),
    [(180, 115), (600, 115), (48, 104), (47, 104), (49, 105), (1, 101), (0, 101), (-30, 101)],
)
def test_on_mainnet(lasts_s: int, last: int) -> None:
    """Below a block, or past: the next one, of which the calldata itself is the judge."""
    assert authority(12_000, 15).last_block(HEAD, HEAD.timestamp + lasts_s) == last


@pytest.mark.parametrize("name", profiles.names())
def test_an_order_has_what_its_chain_gives_it_and_a_rescue_a_quarter_of_the_time(name: str) -> None:
    chain = profiles.load(name)
    told = authority(chain.block_time_ms, chain.max_blocks)
    whole = told.last_block(HEAD, HEAD.timestamp + DEADLINE_S) - HEAD.number
    assert whole == min(chain.max_blocks, -(-DEADLINE_S * 1000 // chain.block_time_ms))
    rescue = told.last_block(HEAD, HEAD.timestamp + LASTS_S) - HEAD.number
    assert rescue * chain.block_time_ms < LASTS_S * 1000 + chain.block_time_ms and rescue <= whole


def test_where_the_block_time_is_not_known_the_chains_own_limit_holds() -> None:
    assert authority(0, 15).last_block(HEAD, HEAD.timestamp + 1) == 115
