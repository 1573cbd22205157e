"""A session at an exchange of the family of which nothing but a margin account and balances is read: no orders, no markets of ours."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from agent.domain.errors import Retry
from agent.domain.reports import Balance, OrderSnapshot
from agent.ports import VenueInstrument
from agent.venues.ccxt import derive_margin, paradex_margin
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


@dataclass(frozen=True, slots=True)
class Excess:
    """What a key that has only to read may do besides (`scopes`), and whether it may do that from any address."""

    scopes: Sequence[str]
    anywhere: bool


class DeriveMargin(CcxtMarginOnly):
    """Derive's subaccounts of one wallet. `parameters`: of its margin by index, which no endpoint tells."""

    wallet = ""
    parameters: Mapping[str, Any] = {}

    async def margin(self) -> Mapping[str, Any]:
        """Every subaccount in which something is open or owed. Raises Retry, Reject, Usage MARGIN_UNREAD."""
        at_s = self._clock.now_ns() // 10**9
        return await derive_margin.read(self._call, self._name, at_s, self.wallet, self.parameters)

    async def balances(self) -> Sequence[Balance]:
        return await derive_margin.balances(self._call, self._name, self.wallet)

    async def excess(self) -> Excess:
        """Of the session key that signs here. Raises as `margin`."""
        await derive_margin.subaccounts(self._call, self.wallet)  # signed: the signer says with which key
        scopes, anywhere = await derive_margin.powers(self._call, self.wallet, self.library.signer)
        return Excess(scopes, anywhere)

    async def _call(self, method: str, params: Mapping[str, Any]) -> Any:
        return await self.library.call(method, dict(params))
