"""A market of Morpho Blue by its five parameters, and the id they give it. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from contracts.hashing import address_bytes, keccak

PARAMS = ("loanToken", "collateralToken", "oracle", "irm", "lltv")
"""MarketParams of IMorpho.sol, in their order."""
ETHEREUM_AND_BASE = "0xBBBBBbbBBb9cC5e90e3b3Af64bdAF62C37EEFFCb"
"""Where Morpho Blue stands on these two."""


def market_id(params: Mapping[str, Any]) -> str:
    """keccak256 of the five words, as MarketParamsLib.id: 0x and 64 digits."""
    words = [bytes(12) + address_bytes(str(params[name])) for name in PARAMS[:4]]
    return "0x" + keccak(b"".join(words) + int(params["lltv"]).to_bytes(32, "big")).hex()
