"""An instruction that moves one asset names another token of its chain besides; where there is none the owner is told what to add."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import custody as c
import pytest

from agent.app.bridging.sending import Way, part_of
from agent.app.places import Directory
from agent.domain.errors import Usage
from agent.domain.ids import ClOrdId
from agent.domain.instruments import Asset, AssetId, chain_place, erc20_id

USDC, WETH = (AssetId(erc20_id(1, token)) for token in (c.USDC, c.WETH))
THERE = AssetId(erc20_id(8453, c.USDC))
COIN = AssetId("eip155:1/slip44:60")


def app_with(*assets: AssetId) -> Any:
    known = {asset: Asset(asset, asset[-4:], 6) for asset in (*assets, THERE)}
    return SimpleNamespace(directory=Directory({}, known))


def way() -> Way:
    desk: Any = SimpleNamespace(place=chain_place(1))
    return Way(desk, desk, USDC, THERE, "USDC", 6)


def test_the_part_of_a_deposit_names_another_token_or_says_that_there_is_none() -> None:
    assert part_of(app_with(USDC, COIN, WETH), way(), 7, ClOrdId("b-1")).asset_out == WETH
    with pytest.raises(Usage, match="only token") as caught:
        part_of(app_with(USDC, COIN), way(), 7, ClOrdId("b-1"))
    assert caught.value.code == "ONE_TOKEN" and caught.value.hint
