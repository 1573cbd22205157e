"""What a pool's events say of it: V4's liquidity, ticks that end, and events that nobody here understands."""

from __future__ import annotations

from typing import Any

from chains.evm import word
from chains.pool_events import (
    SYNC,
    V3_BURN,
    V3_MINT,
    V4_MODIFY,
    V4_SWAP,
    consistent,
    doubtful_ticks,
    moved,
    without_ticks,
)
from chains.types import Address, Hash32, Log

POOL = Address("0x" + "11" * 20)
ENTRY: dict[str, Any] = {
    "kind": "uniswap_v4", "id": "eip155:1/0x" + "22" * 32, "sqrt_price_x96": str(1 << 96), "tick": 0, "liquidity": "70",
    "tick_spacing": 10, "ticks": [[-20, "70"], [30, "-70"]],
}  # fmt: skip


def log(topic: bytes, *data: int, topics: tuple[int, ...] = ()) -> Log:
    named = (topic, *(word(t) for t in topics))
    return Log(
        POOL, named, b"".join(word(d) for d in data), 1, Hash32("0x" + "00" * 32), Hash32("0x" + "00" * 32), 0
    )


def test_liquidity_of_v4_comes_and_goes_with_its_sign() -> None:
    more = moved(ENTRY, log(V4_MODIFY, -20, 40, 30, 0))
    assert more is not None and consistent(more)
    assert more["ticks"] == [[-20, "100"], [30, "-70"], [40, "-30"]] and more["liquidity"] == "100"
    beside = moved(more, log(V4_MODIFY, 10, 40, 5, 0))
    assert beside is not None and beside["liquidity"] == "100" and consistent(beside)
    less = moved(more, log(V4_MODIFY, -20, 40, -30, 0))
    assert less is not None and less["liquidity"] == "70" and consistent(less)
    assert doubtful_ticks(more, less) == [40]
    assert without_ticks(less, frozenset({40})) == ENTRY
    assert moved(ENTRY, log(V4_MODIFY, -20, 30, -71, 0)) is None, "more than there was"
    assert moved(ENTRY, log(V4_MODIFY, -20, 30, 0, 0)) is ENTRY, "fees were collected, nothing else"


def test_a_swap_of_v4_tells_price_liquidity_and_tick_after_it() -> None:
    after = moved(ENTRY, log(V4_SWAP, 5, -4, (1 << 96) - 9, 70, -1, 3000))
    assert after == {**ENTRY, "sqrt_price_x96": str((1 << 96) - 9), "tick": -1}


def test_where_two_positions_meet_the_tick_stays_in_doubt_until_it_is_read() -> None:
    entry = {**ENTRY, "kind": "uniswap_v3"}
    met = moved(entry, log(V3_MINT, 0, 70, 1, 1, topics=(1, 30, 60)))
    assert met is not None and met["ticks"] == [[-20, "70"], [30, "0"], [60, "-70"]]
    assert doubtful_ticks(entry, met) == [30]
    gone = moved(met, log(V3_BURN, 70, 1, 1, topics=(1, -20, 30)))
    assert gone is not None and gone["liquidity"] == "0" and doubtful_ticks(met, gone) == [-20]


def test_what_is_not_understood_is_read_and_never_believed_unchanged() -> None:
    strange = bytes.fromhex("ab" * 32)
    for kind in ("uniswap_v2", "uniswap_v3", "uniswap_v4", "balancer_v2_weighted"):
        assert moved({**ENTRY, "kind": kind}, log(strange, 1)) is None
    pair = {"kind": "uniswap_v2", "reserves_raw": ["1", "2"]}
    assert moved(pair, log(SYNC, 5, 6)) == {"kind": "uniswap_v2", "reserves_raw": ["5", "6"]}
    assert moved(pair, log(SYNC, 5)) is None, "of another shape"
    assert moved(pair, Log(POOL, (), b"", 1, Hash32("0x"), Hash32("0x"), 0)) is None, "anonymous"
