"""The live market: pools of every chain at one block each, books, balances and gas, as one MarketView."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from decimal import Decimal, localcontext
from functools import partial
from typing import Any, TypeVar

from agent.amm import Pool
from agent.app.agent_power import ScopedView
from agent.app.chain_desk import ChainDesk
from agent.app.clocked import proof_of, timed_route, until
from agent.app.contracts import all_in, holdings_of, spendable_down
from agent.app.data_fees import DataFees, data_gas
from agent.app.live_pools import PoolProof, fork_routers, pool_keeper, routers_of
from agent.app.locked_places import locked_out, without_locked
from agent.app.overheads import overhead_gas
from agent.app.places import Directory
from agent.app.replanning import Starts
from agent.app.settings_tree import Settings
from agent.domain.errors import Denied, FairleadError, Reject, Retry, Usage
from agent.domain.instruments import Asset, AssetId, Place, erc20_id, native_id, place_of
from agent.domain.orders import ChildOrder, Side
from agent.domain.risk import OraclePrice
from agent.domain.routes import Certificate, Route
from agent.domain.units import WIDE, raw_down, raw_exact
from agent.execution.batch import MAX_CHAIN_LEGS
from agent.execution.locks import Locks
from agent.market.book import Book
from agent.market.pools import parse_pool
from agent.market.smallest import too_small
from agent.market.view import AsOf, GasState, MarketView, pool_place
from agent.ports import Clock, MarketVenue
from agent.routing.graphs import Graphs
from chains.gas import Urgency, bid
from chains.pools import PoolSnapshot
from chains.types import Address, BlockRef, Call, Protection
from contracts.codec import decode_result, encode

Narrow = Callable[[MarketView, tuple[Sequence[AssetId], Sequence[AssetId]]], Awaitable[MarketView]]
"""What may be traded of a view, given the two groups of assets."""

T = TypeVar("T")
PATIENCE_NS = 2 * 10**9
PROVING_MS = 3_000
"""How long a proof, and a purchase with its proof, may take: who waits for an order would rather have a looser bound."""
UNREACHED = "no router here trades with it: of another factory than Uniswap's whose router is not named, or of a kind that takes the RouteExecutor"


class LiveMarket:
    """Implements the desk's Market. One place that does not answer is left out and named; the others go on."""

    locks: Locks | None = None
    """Of a process that trades: its locked places are in no plan."""

    def __init__(
        self,
        clock: Clock,
        settings: Settings,
        directory: Directory,
        chains: Mapping[int, ChainDesk],
        venues: Mapping[str, MarketVenue],
        prices: Callable[[], Awaitable[tuple[OraclePrice, ...]]],
    ) -> None:
        self._prices = prices
        self._clock, self._settings, self.directory = clock, settings, directory
        self._chains, self._venues = chains, venues
        self._readers = {
            c.chain_id: pool_keeper(chains[c.chain_id], c, _tokens(directory, c.chain_id))
            for c in settings.chains
            if c.chain_id in chains
        }
        self._routed = {c.chain_id: routers_of(c) for c in settings.chains}
        self._proof = PoolProof()
        self._parsed: dict[str, tuple[dict[str, Any], Pool]] = {}
        self._views = 0
        self.left_out: dict[str, str] = {}
        self.unreachable: dict[str, str] = {}
        self.narrow: Narrow | None = None
        self._starts = Starts()
        self._graphs = Graphs()
        self._data = DataFees(lambda: clock.now_ns() / 1e9)

    def on_difference(self, tell: Callable[[str], None]) -> None:
        """Who is told, in a sentence, when pools that were followed turn out not to be the chain's."""
        for keeper in self._readers.values():
            keeper.differed = tell

    async def close(self) -> None:
        """Ends what is read beside the road."""
        for keeper in self._readers.values():
            await keeper.close()

    async def view(self, base: str, quote: str) -> MarketView:
        """Raises Usage UNKNOWN_ASSET, and Retry NO_MARKET where no place answered at all.

        Where the agent's own key signs, what it may not trade is left out already.
        """
        groups = (self.directory.group(base), self.directory.group(quote))
        trading = [chain_id for chain_id, reader in self._readers.items() if reader.reads_any]
        view = await self._gather((*groups[0], *groups[1]), groups, trading)
        return view if self.narrow is None else await self.narrow(view, groups)

    async def pools_at(self, chain_id: int) -> Mapping[str, Pool]:
        """A chain's configured pools at its head, by their ids; none where there are none, or it does not answer."""
        reader = self._readers.get(chain_id)
        found = await self._chain(chain_id, ()) if reader is not None and reader.reads_any else None
        return {} if found is None else found.pools

    async def whole(self) -> MarketView:
        """Every configured asset, pool and book. Raises as `view`."""
        groups = sorted(set(self.directory.groups.values()), key=len, reverse=True)
        widest: list[tuple[AssetId, ...]] = []
        for group in groups:
            if not any(set(group) <= set(wider) for wider in widest):
                widest.append(group)
        return await self._gather(tuple(self.directory.assets), tuple(widest), list(self._readers))

    async def _gather(
        self, wanted: tuple[AssetId, ...], groups: tuple[tuple[AssetId, ...], ...], chain_ids: Sequence[int]
    ) -> MarketView:
        self.left_out = {}
        self._views += 1
        if (
            self._views == 3
        ):  # a preview and its plan need no feed of heads; whoever looks again will at every block
            for desk in self._chains.values():
                desk.warm.want()
        parts, native_px, _ = await asyncio.gather(
            asyncio.gather(
                *(self._chain(chain_id, wanted) for chain_id in chain_ids),
                *(self._venue(name, venue, wanted) for name, venue in self._venues.items()),
            ),
            self._native_prices(),
            asyncio.gather(*(self._executor(desk) for desk in self._chains.values())),
        )
        view = MarketView(assets=dict(self.directory.assets), pools={}, gas={})
        assets = dict(view.assets)
        pools: dict[str, Pool] = {}
        gas: dict[Place, GasState] = {}
        as_of: dict[str, AsOf] = {}
        books: list[Book] = []
        inventory: dict[AssetId, int] = {}
        for part in parts:
            if part is None:
                continue
            assets |= part.assets
            pools |= part.pools
            gas |= part.gas
            as_of |= part.as_of
            books += part.books
            inventory |= part.inventory
        if not pools and not books:
            told = "; ".join(f"{name}: {why}" for name, why in {**self.unreachable, **self.left_out}.items())
            raise Reject(
                "NO_MARKET", f"no place answered: {told or 'none is configured'}", "see `fairlead doctor`"
            )
        return replace(
            view,
            assets=assets,
            pools=pools,
            gas=gas,
            as_of=as_of,
            books=tuple(books),
            inventory=inventory,
            equivalents=tuple(group for group in groups if len(group) > 1),
            reference_px_native=native_px,
        )

    async def _executor(self, desk: ChainDesk) -> None:
        with suppress(FairleadError):  # a chain that does not answer is left out of the view as well
            await desk.find_executor()

    def reach(self, view: MarketView) -> tuple[frozenset[str], frozenset[str]]:
        """Ids of the pools that their own chain's routers never trade with, and of those they trade with only as whole paths."""
        never, alone = set[str](), set[str]()
        for desk in self._chains.values():
            here = [pool for name, pool in view.pools.items() if pool_place(name) == desk.place]
            never |= desk.routers.never(here)
            alone |= desk.routers.alone(here)
        return frozenset(never), frozenset(alone)

    async def _native_prices(self) -> dict[AssetId, Decimal]:
        """Whole gas tokens per whole unit, by the oracles' medians: what gas costs must not hang on one odd pool."""
        by_symbol: dict[str, list[Decimal]] = {}
        for price in await self._prices():
            by_symbol.setdefault(price.symbol, []).append(price.px)
        px = {symbol: sorted(found)[len(found) // 2] for symbol, found in by_symbol.items()}
        native = next(
            (px[desk.profile.native] for desk in self._chains.values() if desk.profile.native in px), None
        )
        if native is None:
            return {}
        with localcontext(WIDE):
            return {
                asset: (px[symbol] / native).quantize(Decimal("1e-18"))
                for asset, symbol in self.directory.symbols.items()
                if symbol in px
            }

    def route(self, view: MarketView, child: ChildOrder) -> Route:
        """The plan for a slice over every place we hold inventory in, a sale's without its certificate: that is `proof`.
        A purchase finds what must be given for it.

        Raises Reject BELOW_MINIMUM for what no place takes because it is too small, Denied SCOPE_… where there would be one without the
        limits of the agent's scope.
        """
        try:
            return self._route(view, child)
        except (Denied, Reject) as none:
            if shut := locked_out(none, view, self.locks):
                raise shut from none
            limits = view.limits if isinstance(view, ScopedView) and isinstance(none, Reject) else ()
            if not limits:
                raise none if none.code != "NO_ROUTE" else self._too_small(view, child) or none from None
            told = "; ".join([none.message, *(f"{r.rule}: {r.message}" for r in limits)])
            raise Denied(limits[0].rule, told, limits[0].remedy) from none

    def _route(self, view: MarketView, child: ChildOrder) -> Route:
        held = self.with_inventory(self.within(view, child), child)
        never, alone = self.reach(held)
        if child.side is Side.SELL:
            sold, bought = self._sides(view, child)
            return timed_route(
                held,
                sold,
                bought,
                raw_exact(child.qty, view.assets[sold].decimals, "the quantity"),
                max_legs=MAX_CHAIN_LEGS,
                cross_domain=True,
                never=never,
                alone=alone,
                proved=False,
                starts=self._starts,
                graph=self._graphs.of(held, never, alone),
            )
        from agent.routing.buy import route_buy

        bought, paid = self._sides(view, child)
        wanted = raw_exact(child.qty, view.assets[bought].decimals, "the quantity")
        return route_buy(
            held,
            paid,
            bought,
            wanted,
            max_legs=MAX_CHAIN_LEGS,
            cross_domain=True,
            never=never,
            alone=alone,
            in_time=until(PROVING_MS),
        )

    def _too_small(self, view: MarketView, child: ChildOrder) -> Reject | None:
        base, quote = self.directory.group(child.base), self.directory.group(child.quote)
        return too_small(self.with_inventory(self.within(view, child), child), child, base, quote)

    def proof(self, view: MarketView, child: ChildOrder, route: Route) -> Certificate:
        """How far that plan can be from the best one over the same view."""
        if route.certificate is not None:
            return route.certificate
        held = self.with_inventory(self.within(view, child), child)
        never, alone = self.reach(held)
        found = proof_of(
            held,
            route,
            max_legs=MAX_CHAIN_LEGS,
            cross_domain=True,
            never=never,
            alone=alone,
            deadline_ms=PROVING_MS,
        )
        self._starts.told(route.sell, route.buy, found.gap_bps)
        return found

    def within(self, view: MarketView, child: ChildOrder) -> MarketView:
        """What a slice may be planned over: places that are not locked; an INTENT one over chains whose settings name an order book.

        Raises Denied PROTECTION_NOT_HONOURED where there is none: another road is never taken instead.
        """
        view = without_locked(view, child, self.locks)
        if child.protection is not Protection.INTENT:
            return view
        places = {desk.place for desk in self._chains.values() if desk.takes_offers}
        if not places:
            raise Denied(
                "PROTECTION_NOT_HONOURED",
                "no chain has an order book that takes INTENT orders",
                "add [chains.order_book] to one, or ask for another --protection",
            )
        return replace(
            view,
            pools={name: pool for name, pool in view.pools.items() if pool_place(name) in places},
            books=(),
            inventory={a: raw if place_of(a) in places else 0 for a, raw in view.inventory.items()},
        )

    def with_inventory(self, view: MarketView, child: ChildOrder) -> MarketView:
        """Every asset we could give from is named: what stands at a place that did not answer is nothing."""
        giving = child.base if child.side is Side.SELL else child.quote
        known = {asset: view.inventory.get(asset, 0) for asset in self.directory.group(giving)}
        return replace(view, inventory={**view.inventory, **known})

    def _sides(self, view: MarketView, child: ChildOrder) -> tuple[AssetId, AssetId]:
        """One asset of each group to name the route by: the one with the finest base units."""

        def finest(symbol: str) -> AssetId:
            return max(self.directory.group(symbol), key=lambda a: view.assets[a].decimals)

        return finest(child.base), finest(child.quote)

    # ------------------------------------------------------------------ places

    async def _chain(self, chain_id: int, wanted: tuple[AssetId, ...]) -> MarketView | None:
        desk = self._chains[chain_id]
        try:
            tokens = [a for a in wanted if a.startswith(f"eip155:{chain_id}/erc20:")]
            (snapshot, balances), history, data = await asyncio.gather(
                self._states(desk, tokens),
                desk.warm.fee_history(),
                self._data.prices(desk.profile, desk.gateway),
            )
            fees = bid(history, Urgency.NORMAL)
        except FairleadError as error:
            if error.verb == "HALT":
                raise
            self.left_out[desk.profile.name] = str(error)
            return None
        view = self._chain_view(desk, snapshot, balances, fees.max_priority_fee_wei, data_gas(data, fees))
        try:
            failing = await self._proof.failing(tuple(view.pools.values()), snapshot.block, desk.gateway)
        except Retry as error:
            self.left_out[desk.profile.name] = str(error)
            return None
        for name, why in failing.items():
            self.left_out[f"{desk.profile.name} pool {name.rpartition('/')[2]}"] = why
        if not failing:
            return view
        return replace(view, pools={name: pool for name, pool in view.pools.items() if name not in failing})

    async def _states(
        self, desk: ChainDesk, tokens: list[AssetId]
    ) -> tuple[PoolSnapshot, dict[AssetId, int]]:
        keeper = self._readers[desk.profile.chain_id]
        snapshot = await keeper.snapshot()
        if routers := self._routed.get(desk.profile.chain_id):
            desk.fork_routers.update(fork_routers(routers, keeper.v2_factories()))
        return snapshot, await self.balances(desk, tokens, snapshot.block)

    def _chain_view(
        self,
        desk: ChainDesk,
        snapshot: PoolSnapshot,
        balances: dict[AssetId, int],
        tip_wei: int,
        data: tuple[int, int],
    ) -> MarketView:
        chain_id = desk.profile.chain_id
        wrapped = erc20_id(chain_id, desk.profile.wrapped_native)
        native = native_id(chain_id)
        assets: dict[AssetId, Asset] = {}
        for token in snapshot.tokens.values():
            asset = erc20_id(chain_id, token.address)
            assets[asset] = self.directory.assets.get(asset) or Asset(asset, token.symbol, token.decimals)
        assets.setdefault(wrapped, Asset(wrapped, "W" + desk.profile.native, 18))
        pools: dict[str, Pool] = {}
        for entry in snapshot.pools:
            name = str(entry["id"])
            was = self._parsed.get(name)
            if was is None or was[0] is not entry:
                # The router unwraps for a pool of native ether, so that such a pool trades our wrapped ether.
                told = {**entry, "assets": [wrapped if a == native else a for a in entry["assets"]]}
                try:
                    was = self._parsed[name] = (entry, parse_pool(name, told, assets))
                except (
                    Usage
                ) as error:  # figures that no pool of its kind can have: the others are none the worse
                    self.left_out[f"{desk.profile.name} pool {name.rpartition('/')[2]}"] = error.message
                    continue
            pools[name] = was[1]
            if native in entry["assets"]:
                desk.native_pools.add(name)
        for name, why in snapshot.skipped:
            self.left_out[f"{desk.profile.name} pool {name}"] = why
        for name in sorted(desk.routers.never(tuple(pools.values()))):
            self.left_out[f"{desk.profile.name} pool {name.rpartition('/')[2]}"] = UNREACHED
        block = snapshot.block
        once, each = overhead_gas(0) + data[0], overhead_gas(1) - overhead_gas(0) + data[1]
        gas = GasState(block.number, block.base_fee_wei, tip_wei, wrapped, once, each)
        return MarketView(
            assets=assets,
            pools=pools,
            gas={desk.place: gas},
            inventory=balances,
            as_of={desk.place: AsOf(block.timestamp, block.number, block.hash)},
        )

    async def balances(
        self, desk: ChainDesk, tokens: list[AssetId], block: BlockRef | None = None
    ) -> dict[AssetId, int]:
        """The wallet's ERC-20 balances in base units, at one block."""
        calls = [
            Call(Address(t.rpartition(":")[2]), encode("erc20", "balanceOf", (desk.wallet,))) for t in tokens
        ]
        _, results = await desk.warm.multicall(calls, block.number if block else "latest")
        return {
            token: int(decode_result("erc20", "balanceOf", r.data)[0])
            for token, r in zip(tokens, results, strict=True)
            if r.ok
        }

    async def _told(self, ask: Callable[[], Awaitable[T]]) -> T:
        """What a venue answers, asked again for two seconds: one answer may be lost or garbled, and a book that was only just asked for
        is not in step yet. A venue that let us wait for as long is not asked again. Raises Retry after that."""
        for _ in range(8):
            began_ns = self._clock.now_ns()
            try:
                return await ask()
            except Retry:
                if self._clock.now_ns() - began_ns >= PATIENCE_NS:
                    raise
                await self._clock.sleep(0.25)
        return await ask()

    async def _venue(self, name: str, venue: MarketVenue, wanted: tuple[AssetId, ...]) -> MarketView | None:
        configured = self._settings.venue(name)
        if configured is None or not configured.symbols:
            return None  # it is asked for prices alone
        try:
            instruments = {i.symbol: i for i in await self._told(venue.instruments)}
            holdings = partial(holdings_of, venue, self.directory.assets)
            held = {b.asset: b for b in await self._told(holdings)}
            books, seen = list[Book](), list[int]()
            inventory: dict[AssetId, int] = {}
            for symbol in configured.symbols:
                instrument = instruments.get(symbol)
                if instrument is None:
                    raise Usage(
                        "UNKNOWN_SYMBOL",
                        f"{name} does not trade {symbol}",
                        "check its symbols in the settings",
                    )
                base, quote = (
                    AssetId(f"cex:{name}/{instrument.base}"),
                    AssetId(f"cex:{name}/{instrument.quote}"),
                )
                if base not in wanted or quote not in wanted:
                    continue
                levels = await self._told(partial(venue.book, symbol))
                seen.append(levels.at_ns)
                bids, asks, fee_bps = all_in(instrument, levels)
                books.append(
                    Book(
                        venue=name,
                        symbol=f"{instrument.base}/{instrument.quote}",
                        base=base,
                        quote=quote,
                        taker_fee_bps=fee_bps,
                        lot=instrument.lot,
                        tick=instrument.tick,
                        min_notional=instrument.min_notional,
                        bids=bids,
                        asks=asks,
                    )
                )
                free = {asset: held[asset].free if asset in held else Decimal(0) for asset in (base, quote)}
                if instrument.contract:
                    ask = levels.asks[0][0] if levels.asks else None
                    some = (Decimal(0), Decimal(0)) if ask is None else spendable_down(held, base, quote, ask)
                    free = dict(zip((base, quote), some, strict=True))
                for asset, qty in free.items():
                    raw = raw_down(qty, self.directory.assets[asset].decimals)
                    inventory[asset] = min(raw, inventory.get(asset, raw))
        except FairleadError as error:
            if error.verb == "HALT":
                raise
            self.left_out[name] = str(error)
            return None
        if not books:
            return None
        return MarketView(
            assets={},
            pools={},
            gas={},
            books=tuple(books),
            inventory=inventory,
            as_of={Place(f"cex:{name}"): AsOf(min(seen) // 10**9)},
        )


def _tokens(directory: Directory, chain_id: int) -> list[Address]:
    """The chain's tokens among the settings' assets."""
    mark = f"eip155:{chain_id}/erc20:"
    return [Address(asset.removeprefix(mark)) for asset in directory.assets if asset.startswith(mark)]
