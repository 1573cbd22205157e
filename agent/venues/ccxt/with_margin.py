"""A session at an exchange of the family whose unified margin account is read here as well: an `agent.ports.TellsMargin`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from agent.venues.ccxt import binance_margin, bybit_margin, okx_margin, paradex_margin
from agent.venues.ccxt.session import Ccxt

READERS = {
    "binance": binance_margin.read,
    "bybit": bybit_margin.read,
    "okx": okx_margin.read,
    "paradex": paradex_margin.read,
}
"""By the library's name of the exchange. Their endpoints stand in the signer's words (keys/signer/ccxt_words.py)."""


class CcxtWithMargin(Ccxt):
    async def margin(self) -> Mapping[str, Any]:
        """The account, as its model of agent/margin reads it; none where nothing is open or owed. Raises Retry, Reject, Usage
        MARGIN_UNREAD."""
        library = self.library

        async def call(method: str, params: Mapping[str, str]) -> Any:
            return await library.call(method, dict(params))

        return await READERS[self._exchange](call, self._name, self._clock.now_ns() // 10**9)
