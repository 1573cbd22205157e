"""A session at an exchange of the family of which nothing but a margin account and balances is read: no orders, no markets of ours."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from agent.domain.errors import Retry
from agent.domain.reports import Balance, OrderSnapshot
from agent.ports import VenueInstrument
from agent.venues.ccxt import paradex_margin
from agent.venues.ccxt.library import Library
from agent.venues.ccxt.with_margin import CcxtWithMargin


class CcxtMarginOnly(CcxtWithMargin):
    @property
    def library(self) -> Library:
        """Raises Retry MARKETS_NOT_LOADED before `start`."""
        if self._library is None:
            raise Retry("MARKETS_NOT_LOADED", f"{self._name} was not started", "start the venue and look at its error")  # fmt: skip
        return self._library

    async def start(self) -> None:
        """Loads the library; the exchange is asked for its time alone. Raises Usage CCXT_MISSING, NO_SANDBOX; Retry."""
        if self._library is None:
            self._library = Library(self._name, self._exchange, self._clock, self._sign, self._timeouts, self._base_url, self._ws_url, self._sandbox)  # fmt: skip
        await self._set_clock(self._library)
        self.reports.begin()

    async def instruments(self) -> Sequence[VenueInstrument]:
        return ()

    async def open_orders(self) -> Sequence[OrderSnapshot]:
        """None of ours can be there; those of others are not asked for."""
        return ()

    async def balances(self) -> Sequence[Balance]:
        library = self.library

        async def call(method: str, params: Mapping[str, str]) -> Any:
            return await library.call(method, dict(params))

        return await paradex_margin.balances(call, self._name)
