"""Prices in USD from the settings' sources, each with its own name and age. What they are worth is the risk rules' business.

Chainlink feeds are read by one multicall a chain: `latestRoundData` and `decimals` of the aggregator's interface.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from decimal import Decimal, localcontext

from agent.app.settings_tree import Oracle, Settings
from agent.domain.errors import FairleadError
from agent.domain.instruments import Place
from agent.domain.risk import OraclePrice
from agent.domain.units import WIDE, qty_exact
from agent.ports import ExecutionVenue
from chains.types import Address, Call, ChainReader
from contracts.codec import decode_result, encode

ROUND_AND_DIGITS = (
    encode("chainlink_aggregator", "latestRoundData"),
    encode("chainlink_aggregator", "decimals"),
)


class Oracles:
    def __init__(
        self, settings: Settings, gateways: Mapping[int, ChainReader], venues: Mapping[str, ExecutionVenue]
    ) -> None:
        self._settings, self._gateways, self._venues = settings, gateways, venues

    async def medians(self) -> dict[str, Decimal]:
        """By symbol, the median of what the sources say: for estimates, never for a risk decision."""
        by_symbol: dict[str, list[Decimal]] = {}
        for price in await self.prices():
            by_symbol.setdefault(price.symbol, []).append(price.px)
        return {symbol: sorted(found)[len(found) // 2] for symbol, found in by_symbol.items()}

    async def prices(self) -> tuple[OraclePrice, ...]:
        """Every source that answered with a positive price; one that did not is simply not there."""
        feeds: dict[int, list[tuple[str, Oracle]]] = {}
        books: list[tuple[str, Oracle]] = []
        for symbol, sources in self._settings.oracles.items():
            for source in sources:
                chain = self._settings.chain(source.chain) if source.chain else None
                if source.kind == "chainlink" and chain is not None:
                    feeds.setdefault(chain.chain_id, []).append((symbol, source))
                elif source.kind == "venue":
                    books.append((symbol, source))
        found = await asyncio.gather(
            *(self._feeds(chain_id, wanted) for chain_id, wanted in feeds.items()),
            *(self._book(symbol, source) for symbol, source in books),
        )
        return tuple(price for some in found for price in some)

    async def _feeds(self, chain_id: int, wanted: list[tuple[str, Oracle]]) -> list[OraclePrice]:
        calls = [
            Call(feed, asked)
            for feed in (Address(str(s.address)) for _, s in wanted)
            for asked in ROUND_AND_DIGITS
        ]
        try:
            _, answers = await self._gateways[chain_id].multicall(calls)
        except FairleadError as error:
            if error.verb == "HALT":
                raise
            return []
        prices = []
        for (symbol, source), told, digits in zip(wanted, answers[::2], answers[1::2], strict=True):
            if not (told.ok and digits.ok and told.data and digits.data):
                continue
            answer = decode_result("chainlink_aggregator", "latestRoundData", told.data)
            decimals = int(decode_result("chainlink_aggregator", "decimals", digits.data)[0])
            raw, updated_at = int(answer[1]), int(answer[3])
            if raw > 0:
                name = f"chainlink:eip155:{chain_id}/{source.address}"
                prices.append(OraclePrice(name, symbol, qty_exact(raw, decimals), updated_at))
        return prices

    async def _book(self, symbol: str, source: Oracle) -> list[OraclePrice]:
        """The mid of an exchange's book, named by its place: it does not count for a plan that trades there."""
        venue = self._venues.get(str(source.venue))
        if venue is None:
            return []
        try:
            book = await venue.book(str(source.symbol))
        except FairleadError:
            return []
        if not book.bids or not book.asks:
            return []
        with localcontext(WIDE):
            mid = (book.bids[0][0] + book.asks[0][0]) / Decimal(2)
        return [OraclePrice(Place(f"cex:{source.venue}"), symbol, mid, book.at_ns // 10**9)]
