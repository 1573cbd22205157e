"""market/1 is read to the letter: what is wrong is named, what is right is written back the same."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from markets import CEX_ETH, USDC, WETH, three_places

from agent.market.file import parse_market, parse_text
from agent.market.view import AsOf
from agent.market.write import market_json
from chains.errors import Retry, Usage

Edit = Callable[[dict[str, Any]], Any]


def broken(edit: Edit) -> Usage:
    doc = copy.deepcopy(three_places(inventory={WETH: "25", CEX_ETH: "10"}))
    edit(doc)
    with pytest.raises(Usage) as caught:
        parse_market(doc)
    assert caught.value.code == "BAD_MARKET_FILE"
    return caught.value


def test_a_market_is_written_back_as_it_was_read_and_its_digest_does_not_depend_on_layout() -> None:
    doc = three_places(inventory={WETH: "25", CEX_ETH: "10.5"}, note="made up")
    view = parse_market(doc)
    assert market_json(view) == doc
    shuffled = json.dumps(dict(reversed(doc.items())), indent=7)
    assert parse_text(shuffled).digest == view.digest
    other = copy.deepcopy(doc)
    other["pools"][0]["reserves_raw"][0] += "0"
    assert parse_market(other).digest != view.digest


@pytest.mark.parametrize(
    ("edit", "message", "hint"),
    [
        (lambda d: d.update(fairlead="market/2"), '"market/2", not "market/1"', ""),
        (lambda d: d.update(pool=[]), "unknown key 'pool'", "did you mean 'pools'"),
        (lambda d: d.pop("assets"), "'assets' is missing", ""),
        (lambda d: d["pools"][0].update(kind="uniswap_v5"), "unknown kind 'uniswap_v5'", "did you mean 'uniswap_v"),
        (lambda d: d["pools"][0].update(fee_pip=1), "unknown key 'fee_pip'", "did you mean 'fee_pips'"),
        (lambda d: d["pools"][0].update(reserves_raw=[1, "2"]), "must be a whole number as a string, not 1", ""),
        (lambda d: d["pools"][0].update(reserves_raw=["-1", "2"]), "outside 0 to", ""),
        (lambda d: d["pools"][0].update(fee_pips="3000"), "fee_pips: must be a whole number", ""),
        (lambda d: d["pools"][1].update(liquidity="5"), "pool eip155:1/0xbb: liquidity is 5, but the ticks", ""),
        (lambda d: d["pools"][1]["ticks"].reverse(), "ticks ascend", ""),
        (lambda d: d["pools"][1].update(tick=7), "are not the same price", ""),
        (lambda d: d["pools"][0].update(assets=[WETH, WETH]), "names an asset twice", ""),
        (lambda d: d["pools"][0].update(assets=[WETH, "eip155:1/erc20:0x" + "1" * 40]), "is not in assets", ""),
        (lambda d: d["pools"].append(d["pools"][0]), "pool eip155:1/0xaa is listed twice", ""),
        (lambda d: d["books"][0].update(bids=[["3000", "1"], ["3001", "1"]]), "out of order", ""),
        (lambda d: d["books"][0].update(bids=[["4000", "1"]]), "is crossed", ""),
        (lambda d: d["books"][0].update(lot="0"), "lot and tick must be greater than zero", ""),
        (lambda d: d["books"][0].update(lot="NaN"), "must be finite", ""),
        (lambda d: d["books"][0].update(lot=0.1), "must be a decimal as a string", ""),
        (lambda d: d["inventory"].update({WETH: "-1"}), "at least 0", ""),
        (lambda d: d["equivalents"].append([WETH, USDC]), "stands in two groups", ""),
        (lambda d: d["equivalents"].append(None), "equivalents[2]: must be a list of assets, not null", ""),
        (lambda d: d["equivalents"].append(True), "equivalents[2]: must be a list of assets, not true", ""),
        (lambda d: d["equivalents"].append(WETH), "must be a list of assets", ""),
        (lambda d: d["at"].update({"solana": {}}), "is not a chain like eip155:1", ""),
        (lambda d: d["assets"].append({"id": "eip155:1/0x12", "symbol": "X", "decimals": 18}), "is no asset id", ""),
    ],
)  # fmt: skip
def test_what_is_wrong_is_named(edit: Edit, message: str, hint: str) -> None:
    error = broken(edit)
    assert message in error.message
    assert hint in error.hint


@pytest.mark.parametrize("text", ["", "{", "[]", "7", "nul", '{"fairlead": "market/1"}', "[" * 100_000])
def test_malformed_json_is_a_message_and_no_traceback(text: str) -> None:
    with pytest.raises(Usage) as caught:
        parse_text(text)
    assert caught.value.code == "BAD_MARKET_FILE"


def test_symbols_are_accepted_where_they_are_unambiguous() -> None:
    view = parse_market(three_places())
    assert view.asset("DAI").decimals == 18
    assert view.asset(WETH.upper().replace("EIP155", "eip155").replace("ERC20:0X", "erc20:0x")).id == WETH
    with pytest.raises(Usage, match="is 2 assets here"):
        view.asset("WETH")
    with pytest.raises(Usage, match="did you mean DAI"):
        view.asset("DAY")


def test_a_source_that_is_old_or_was_never_read_is_stale() -> None:
    view = parse_market(three_places())
    ages = {"eip155:1": AsOf(1000, 5), "eip155:8453": AsOf(1010), "cex:paper": AsOf(1009)}
    fresh = replace(view, as_of=ages)
    assert fresh.stale(1010, 10) == ()
    assert fresh.stale(1011, 10) == ("eip155:1",)
    fresh.require_fresh(1010, 10)
    with pytest.raises(Retry, match=r"STALE_MARKET.*eip155:1 \(30 s\)"):
        fresh.require_fresh(1030, 21)
    del ages["cex:paper"]
    assert replace(view, as_of=ages).stale(1010, 10) == ("cex:paper",)
