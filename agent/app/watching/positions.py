"""What is held where, what it is worth, and what was made or lost: chains, exchanges and lending beside the journal's book.

A price counts where two independent fresh sources gave it, by the same rule that orders are reviewed with; else UNKNOWN.
"""

from __future__ import annotations

import asyncio
from collections.abc import Container, Mapping
from dataclasses import dataclass, field
from decimal import Decimal, localcontext

from agent.app.contracts import holdings_of
from agent.app.places import Directory, place_named
from agent.app.settings import Settings, risk_limits
from agent.app.watching.aave import ChainHealth, chain_health
from agent.domain.errors import FairleadError
from agent.domain.instruments import Asset, AssetId, Place, address_of, chain_of, chain_place, native_id
from agent.domain.risk import OraclePrice
from agent.domain.units import WIDE, qty_exact
from agent.journal.book import Book
from agent.ports import ExecutionVenue
from agent.risk.validator import Situation, fresh_sources, reference_px
from chains import profiles
from chains.gateway import Gateway
from chains.types import Address, BlockRef
from chains.wallets import holdings


@dataclass(frozen=True, slots=True)
class Held:
    """One balance: `qty` negative where it is owed. `px_usd` None is UNKNOWN."""

    place: Place
    where: str
    asset: AssetId
    symbol: str
    qty: Decimal
    px_usd: Decimal | None = None

    @property
    def value_usd(self) -> Decimal | None:
        with localcontext(WIDE):
            return None if self.px_usd is None else self.qty * self.px_usd


@dataclass(frozen=True, slots=True)
class Profit:
    """A symbol over all places, as the journal tells it. Average cost and P&L are in what it was traded against."""

    symbol: str
    qty: Decimal
    avg_px: Decimal | None
    realised: Decimal
    px_usd: Decimal | None

    @property
    def unrealised(self) -> Decimal | None:
        if self.px_usd is None or self.avg_px is None:
            return None
        with localcontext(WIDE):
            return self.qty * (self.px_usd - self.avg_px)


@dataclass(frozen=True)
class Overview:
    heads: Mapping[str, BlockRef | str]
    held: tuple[Held, ...]
    profits: tuple[Profit, ...]
    sources: Mapping[str, tuple[OraclePrice, ...]]
    gas: Mapping[str, tuple[str, Decimal, Decimal | None]] = field(default_factory=dict)
    """By chain's name: the coin's symbol, what was paid in it, and that in USD today."""
    unreachable: Mapping[str, str] = field(default_factory=dict)

    @property
    def total_usd(self) -> Decimal:
        """Of what has a known price; `unpriced` names the rest."""
        with localcontext(WIDE):
            return sum((h.value_usd or Decimal(0) for h in self.held), Decimal(0))

    @property
    def unpriced(self) -> list[str]:
        return sorted({h.symbol for h in self.held if h.px_usd is None and h.qty})


class Prices:
    """The settings' oracles at one moment. A symbol that has none of its own takes that of a group it belongs to."""

    def __init__(
        self, settings: Settings, directory: Directory, prices: tuple[OraclePrice, ...], now_ns: int
    ) -> None:
        self._limits, self._directory = risk_limits(settings), directory
        self._moment = Situation(now_ns, prices, {}, {}, {}, {}, {}, {}, Decimal(0), {}, "", {})

    def _names(self, symbol: str, asset: AssetId | None) -> list[str]:
        groups = [
            g for g, members in self._directory.groups.items() if asset is not None and asset in members
        ]
        return list(dict.fromkeys([symbol, *groups]))

    def px(self, symbol: str, asset: AssetId | None = None) -> Decimal | None:
        found = (reference_px(name, self._limits, self._moment, set()) for name in self._names(symbol, asset))
        return next((px for px in found if px is not None), None)

    def fresh(self, symbol: str) -> tuple[OraclePrice, ...]:
        return tuple(fresh_sources(symbol, self._limits, self._moment, set()))


@dataclass(frozen=True, slots=True)
class _ChainHeld:
    head: BlockRef
    raw: tuple[tuple[AssetId, int], ...]
    silent: tuple[str, ...]


async def _on_chain(gateway: Gateway, directory: Directory, wallet: Address) -> _ChainHeld:
    place = chain_place(gateway.chain_id)
    tokens = {Address(a): asset for asset in directory.at(place) if (a := address_of(asset)) is not None}
    found = await holdings(gateway, wallet, list(tokens))
    raw = [(native_id(gateway.chain_id), found.native)]
    raw += [(tokens[token], amount) for token, amount in found.balances.items()]
    return _ChainHeld(found.block, tuple(raw), tuple(tokens[t] for t in found.silent))


async def balances_of_venues(
    venues: Mapping[str, ExecutionVenue], known: Container[AssetId] = ()
) -> dict[str, list[tuple[AssetId, Decimal]] | str]:
    """Free and locked together, by venue, contracts among `known` as holdings; a venue that does not answer gives its reason."""

    async def one(venue: ExecutionVenue) -> list[tuple[AssetId, Decimal]] | str:
        try:
            return [(b.asset, b.free + b.locked) for b in await holdings_of(venue, known)]
        except FairleadError as error:
            return error.message

    found = await asyncio.gather(*(one(venue) for venue in venues.values()))
    return dict(zip(venues, found, strict=True))


async def overview(
    settings: Settings,
    directory: Directory,
    gateways: Mapping[int, Gateway],
    venues: Mapping[str, ExecutionVenue],
    prices: Prices,
    book: Book | None,
    unreachable: Mapping[str, str],
) -> Overview:
    """Everything at once; what does not answer is named, never counted as zero."""
    wallet = Address(settings.wallet.address)
    silent = dict(unreachable)
    heads: dict[str, BlockRef | str] = {}
    held: list[Held] = []

    async def chain_side(chain_id: int) -> _ChainHeld | FairleadError:
        try:
            return await _on_chain(gateways[chain_id], directory, wallet)
        except FairleadError as error:
            if error.verb == "HALT":
                raise
            return error

    chains, lending, exchanges = await asyncio.gather(
        asyncio.gather(*(chain_side(c.chain_id) for c in settings.chains)),
        asyncio.gather(*(chain_health(c, gateways[c.chain_id], wallet) for c in settings.chains)),
        balances_of_venues(venues, directory.assets),
    )
    for chain, found in zip(settings.chains, chains, strict=True):
        if isinstance(found, FairleadError):
            heads[chain.name], silent[chain.name] = found.message, found.message
            continue
        heads[chain.name] = found.head
        silent |= {asset: "the token does not answer" for asset in found.silent}
        for asset, raw in found.raw:
            held.append(_held(settings, directory, prices, asset, raw))
    for name, told in exchanges.items():
        if isinstance(told, str):
            silent[name] = told
            continue
        for asset, qty in told:
            symbol = asset.partition("/")[2]
            held.append(Held(Place(f"cex:{name}"), name, asset, symbol, qty, prices.px(symbol, asset)))
    for one in lending:
        if one is not None:
            held += _lent(one, prices)
            if one.trouble:
                silent[f"aave v3 on {one.chain.name}"] = one.trouble
    return Overview(
        heads,
        tuple(h for h in held if h.qty),
        tuple(_profits(book, prices)) if book else (),
        {symbol: prices.fresh(symbol) for symbol in settings.oracles},
        _gas(settings, book, prices) if book else {},
        silent,
    )


def _held(settings: Settings, directory: Directory, prices: Prices, asset: AssetId, raw: int) -> Held:
    place = Place(asset.partition("/")[0])
    chain_id = chain_of(place)
    native = profiles.load(chain_id).native if chain_id is not None else ""
    known = directory.assets.get(asset) or Asset(asset, native, 18)
    qty = qty_exact(raw, known.decimals)
    return Held(place, place_named(settings, place), asset, known.symbol, qty, prices.px(known.symbol, asset))


def _lent(one: ChainHealth, prices: Prices) -> list[Held]:
    """Supplied and owed, accrued to the block; both priced as what they are of."""
    if one.account is None or one.found is None:
        return []
    place, at, rows = chain_place(one.chain.chain_id), one.found.block.timestamp, []
    for r in one.account.reserves:
        asset, symbol = AssetId(r.asset), one.symbols.get(r.asset, "")
        px = prices.px(symbol, asset)
        for what, raw in (("supplied", one.engine.supply_raw(r, at)), ("owed", -one.engine.debt_raw(r, at))):
            if raw:
                where = f"aave on {one.chain.name}, {what}"
                rows.append(Held(place, where, asset, symbol, qty_exact(raw, r.decimals), px))
    return rows


def _profits(book: Book, prices: Prices) -> list[Profit]:
    return [
        Profit(symbol, p.qty, p.avg_px, p.realised, prices.px(symbol))
        for symbol, p in sorted(book.positions.items())
        if p.qty or p.realised
    ]


def _gas(settings: Settings, book: Book, prices: Prices) -> dict[str, tuple[str, Decimal, Decimal | None]]:
    paid = {}
    for place, wei in book.gas_wei.items():
        chain_id = chain_of(place)
        if wei and chain_id is not None:
            coin, qty = profiles.load(chain_id).native, qty_exact(wei, 18)
            px = prices.px(coin, native_id(chain_id))
            with localcontext(WIDE):
                paid[place_named(settings, place)] = (coin, qty, None if px is None else qty * px)
    return paid
