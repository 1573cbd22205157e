"""A stale price, a source without an age, a sequencer that is down or only just up: each is told by name, none is passed over."""

from __future__ import annotations

import asyncio

import pytest
from fake_feeds import ORACLE, FakeFeeds, Round

from agent.app.places import Directory
from agent.app.rescue.doubts import sequencer_doubts, stale_doubts
from agent.domain.errors import Usage
from agent.domain.instruments import Asset, AssetId, cex_id, erc20_id
from chains.evm import checksum
from chains.types import Address

NOW = 1_700_000_000
WETH, USDC, ODD = (checksum("0x" + f"{n:040x}") for n in (0xB1, 0xB2, 0xB3))
FEED, DOLLAR, UPTIME = (checksum("0x" + f"{n:040x}") for n in (0xF1, 0xF2, 0xF3))


def told(ages: dict[Address, int], assets: dict[Address, str]) -> list[tuple[str, bool, bool]]:
    rounds = {feed: Round(3_000 * 10**8, NOW - age, NOW - age) for feed, age in ages.items()}
    chain = FakeFeeds(NOW, {WETH: FEED, USDC: DOLLAR}, rounds)
    limits = {FEED: 3_900, DOLLAR: 86_400}
    found = asyncio.run(stale_doubts(chain, ORACLE, assets, lambda source: limits[source]))
    assert all(
        doubt.hint and any(doubt.message.startswith(name) for name in assets.values()) for doubt in found
    )
    return [(doubt.code, doubt.stops, doubt.no_sale) for doubt in found]


def test_a_price_older_than_its_own_limit_is_told_and_stops_sales_alone() -> None:
    both = {WETH: "WETH", USDC: "USDC"}
    assert told({FEED: 3_900, DOLLAR: 86_400}, both) == []
    assert told({FEED: 3_901, DOLLAR: 50_000}, both) == [("ORACLE_STALE", False, True)]
    assert told({FEED: 10, DOLLAR: 86_401}, both) == [("ORACLE_STALE", False, True)]
    # A source that tells no age, or is not there, is no fresh one.
    assert told({DOLLAR: 5}, both) == [("ORACLE_AGE_UNKNOWN", False, True)]
    assert told({FEED: 5, DOLLAR: 5}, {WETH: "WETH", ODD: "ODD"}) == [("ORACLE_AGE_UNKNOWN", False, True)]


@pytest.mark.parametrize(
    ("status", "since", "code", "stops"),
    [
        (0, 10_000, "", False),
        (1, 10_000, "SEQUENCER_DOWN", True),
        (1, 10, "SEQUENCER_DOWN", True),
        (0, 3_599, "SEQUENCER_GRACE", False),
        (0, 3_600, "", False),
        (0, NOW, "SEQUENCER_UNKNOWN", False),
    ],
)
def test_a_sequencer_that_is_down_stops_and_its_grace_stops_sales(
    status: int, since: int, code: str, stops: bool
) -> None:
    chain = FakeFeeds(NOW, {}, {UPTIME: Round(status, NOW - since, NOW)})
    found = asyncio.run(sequencer_doubts(chain, UPTIME, "base", 3_600))
    assert [(doubt.code, doubt.stops) for doubt in found] == ([(code, stops)] if code else [])
    silent = asyncio.run(sequencer_doubts(FakeFeeds(NOW, {}, {}), UPTIME, "base", 3_600))
    assert [(doubt.code, doubt.no_sale) for doubt in silent] == [("SEQUENCER_UNKNOWN", True)]


def test_an_asset_in_one_place_has_a_name_of_its_own() -> None:
    there, here, exchange = erc20_id(8453, WETH), erc20_id(1, WETH), cex_id("paper", "ETH")
    assets = {AssetId(a): Asset(AssetId(a), "WETH", 18) for a in (here, there, exchange)}
    known = Directory({"ETH": (here, there, exchange)}, assets)
    assert known.group("ETH@eip155:8453") == (there,) and known.group("eth@cex:paper") == (exchange,)
    assert known.name("eth@eip155:1") == "ETH@eip155:1" and known.group("ETH") == (here, there, exchange)
    for wrong in ("ETH@eip155:10", "ETC@eip155:1"):
        with pytest.raises(Usage) as caught:
            known.group(wrong)
        assert caught.value.code == "UNKNOWN_ASSET" and caught.value.hint
