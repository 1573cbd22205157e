"""One view of the market: pools and books side by side, what is held, what gas costs, and how old each part is."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from functools import cached_property

import orjson

from agent.amm import Pool
from agent.domain.errors import Retry, Usage
from agent.domain.instruments import Asset, AssetId, Place
from agent.market.book import Book


@dataclass(frozen=True, slots=True)
class GasState:
    """What a unit of gas costs on one chain; `native_as` is the asset that stands for the gas token.

    `tx_gas` is what the wallet's transaction there takes besides its swaps, `tx_gas_per_leg` what each leg adds to that:
    a plan leaves out a chain that does not earn its transaction. Neither is part of a route's own gas. `data_wei` and `data_wei_per_leg` are what
    a rollup charges for the data of such a transaction, and of each leg: the latter is part of a route's gas.
    """

    block: int | None
    base_fee_wei: int
    priority_fee_wei: int
    native_as: AssetId
    tx_gas: int = 0
    tx_gas_per_leg: int = 0
    data_wei: int = 0
    data_wei_per_leg: int = 0

    @property
    def price_wei(self) -> int:
        return self.base_fee_wei + self.priority_fee_wei


@dataclass(frozen=True, slots=True)
class Transfer:
    """Moving an asset between places: a flat fee and a share of it, within limits, with its usual durations.

    Fees and limits are raw units of `source`; what is left arrives as `target`, rounded down to its decimals."""

    source: AssetId
    target: AssetId
    fee_raw: int
    fee_bps: Decimal
    min_raw: int
    max_raw: int
    seconds_p50: int
    seconds_p99: int

    def fee_up(self, sent: int) -> int:
        """fee_raw + ceil(sent * fee_bps / 10000), raw units of `source`."""
        top, bottom = self.fee_bps.as_integer_ratio()
        return self.fee_raw - (-sent * top // (bottom * 10_000))

    def arrives_down(self, sent: int, decimals: int, decimals_there: int) -> int | None:
        """Raw units of `target` for so many of `source`; None where so many are not sent, or nothing is left of them."""
        if not self.min_raw <= sent <= self.max_raw:
            return None
        left = sent - self.fee_up(sent)
        arrives: int = left * 10**decimals_there // 10**decimals
        return arrives if left > 0 and arrives > 0 else None


@dataclass(frozen=True, slots=True)
class AsOf:
    """When a source was last proved right: Unix seconds, and the block for a chain."""

    at_s: int
    block: int | None = None
    block_hash: str | None = None


@dataclass(frozen=True)
class MarketView:
    """A complete input for quoting and routing. `inventory` is raw; an asset it does not name is unlimited.

    `as_of` is by place: a chain (`eip155:1`) or an exchange (`cex:NAME`).
    """

    assets: Mapping[AssetId, Asset]
    pools: Mapping[str, Pool]
    gas: Mapping[Place, GasState]
    books: tuple[Book, ...] = ()
    inventory: Mapping[AssetId, int] = field(default_factory=dict)
    equivalents: tuple[tuple[AssetId, ...], ...] = ()
    reference_px_native: Mapping[AssetId, Decimal] = field(default_factory=dict)
    transfers: tuple[Transfer, ...] = ()
    note: str = ""
    as_of: Mapping[str, AsOf] = field(default_factory=dict)

    @cached_property
    def digest(self) -> str:
        """sha256 of the canonical market/1 JSON (keys sorted, no spaces): equal for equal markets, however written."""
        from agent.market.write import market_json

        document = market_json(self)
        try:
            data = orjson.dumps(document, option=orjson.OPT_SORT_KEYS)
        except TypeError:
            # A number beyond 64 bits; there are no fractions, which alone the two would write differently.
            data = json.dumps(document, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()
        return hashlib.sha256(data).hexdigest()

    def stale(self, now_s: int, max_age_s: int) -> tuple[str, ...]:
        """The sources older than `max_age_s`; empty when all are fresh. Sources without a time count as stale."""
        known = [name for name, at in self.as_of.items() if now_s - at.at_s > max_age_s]
        places = {str(book.place) for book in self.books} | {
            str(pool_place(pool_id)) for pool_id in self.pools
        }
        return tuple(sorted({*known, *(place for place in places if place not in self.as_of)}))

    def require_fresh(self, now_s: int, max_age_s: int) -> None:
        """Raises Retry STALE_MARKET naming every source that is too old or of unknown age."""
        old = self.stale(now_s, max_age_s)
        if old:
            ages = ", ".join(
                f"{name} ({now_s - self.as_of[name].at_s} s)"
                if name in self.as_of
                else f"{name} (never read)"
                for name in old
            )
            raise Retry(
                "STALE_MARKET", f"older than {max_age_s} s: {ages}", "refresh the market and quote again"
            )

    def asset(self, text: str) -> Asset:
        """An asset by id (addresses in any case) or by an unambiguous symbol. Raises Usage UNKNOWN_ASSET, AMBIGUOUS_ASSET."""
        exact = self.assets.get(AssetId(text))
        if exact is not None:
            return exact
        lower = text.lower()
        found = [a for a in self.assets.values() if a.id.lower() == lower]
        if not found:
            found = [a for a in self.assets.values() if a.symbol == text] or [
                a for a in self.assets.values() if a.symbol.lower() == lower
            ]
        if not found:
            from difflib import get_close_matches

            near = get_close_matches(text, [a.symbol for a in self.assets.values()], n=1)
            raise Usage(
                "UNKNOWN_ASSET", f"'{text}' is not in this market", f"did you mean {near[0]}?" if near else ""
            )
        if len(found) > 1:
            raise Usage(
                "AMBIGUOUS_ASSET",
                f"'{text}' is {len(found)} assets here",
                "name one: " + ", ".join(a.id for a in found),
            )
        return found[0]

    def same(self, asset: AssetId) -> tuple[AssetId, ...]:
        """The asset and its equivalents in other places, the asset itself first."""
        group = next((g for g in self.equivalents if asset in g), (asset,))
        return (asset, *(other for other in group if other != asset))


def pool_place(pool_id: str) -> Place:
    return Place(pool_id.partition("/")[0])
