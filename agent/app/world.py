"""The facts a review needs, gathered at one moment: prices, balances, gas, ages, and whether the wallet can sign."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from decimal import Decimal, localcontext

from agent.app.agent_power import ScopedView, refusals
from agent.app.chain_desk import ChainDesk
from agent.app.overheads import around_gas
from agent.app.places import Directory
from agent.app.workshop import fees_up
from agent.domain.events import Planned
from agent.domain.instruments import AssetId, Place, chain_of
from agent.domain.risk import OraclePrice, Ramp, Standing
from agent.domain.units import WIDE, qty_exact, raw_down
from agent.execution.halt import Switch
from agent.journal.book import Book
from agent.journal.standing import standing
from agent.market.view import MarketView
from agent.ports import Clock
from agent.risk.ramp import touched
from agent.risk.validator import Situation
from chains.gas import FeeHistory, Urgency, bid

CLOCKS_S = 60
"""How far apart this machine's clock and a chain's may be: a block is dated seconds ahead at most."""
Prices = Callable[[], Awaitable[tuple[OraclePrice, ...]]]
Ready = Callable[[Place], Awaitable[str]]


class World:
    def __init__(
        self,
        clock: Clock,
        directory: Directory,
        chains: Mapping[int, ChainDesk],
        switch: Switch,
        prices: Prices,
        wallet_ready: Ready,
        book_halted: Callable[[], str],
        ramp: Ramp | None = None,
        earlier: Book | None = None,
        *,
        real_time: bool = False,
    ) -> None:
        """`earlier` is a record besides the desk's own, whose settled orders count for the ramp; `real_time`: the chains keep the time of
        day, as a devnet's or a fork's need not."""
        self._real_time = real_time
        self._ramp, self._earlier = ramp, earlier
        self._clock, self._directory, self._chains, self._switch = clock, directory, chains, switch
        self._prices, self._wallet_ready, self._book_halted = prices, wallet_ready, book_halted

    async def situation(self, plan: Planned, view: MarketView, book: Book) -> Situation:
        now = self._clock.now_ns()
        on_chains = [part for part in plan.parts if chain_of(part.place) is not None]
        read: list[tuple[FeeHistory, int]] = []
        if not on_chains:  # an exchange's readiness is known here: there is nothing to ask beside the prices
            prices = await self._prices()
            readiness = [await self._wallet_ready(part.place) for part in plan.parts]
        else:
            prices, readiness, read = await asyncio.gather(
                self._all_prices(),
                asyncio.gather(*(self._ready(part.place) for part in plan.parts)),
                asyncio.gather(*(self._gas_facts(self._chains[chain_of(p.place) or 0]) for p in on_chains)),
            )
        facts = {part.place: seen for part, seen in zip(on_chains, read, strict=True)}
        native: dict[Place, int] = {}
        fees: dict[Place, int] = {}
        ready: dict[Place, str] = {}
        no_road: dict[Place, str] = {}
        powers = view.powers if isinstance(view, ScopedView) else {}
        no_power = {
            part.place: refusals(part, powers[part.place], self._directory.decimals)
            for part in plan.parts
            if part.place in powers
        }
        for part, no in zip(plan.parts, readiness, strict=True):
            chain_id = chain_of(part.place)
            ready[part.place] = no
            if chain_id is None:
                continue
            chain = self._chains[chain_id]
            no_road[part.place] = chain.no_road(plan.child.protection)
            around = around_gas(view.gas.get(part.place), len(part.legs))
            gas = sum(plan.route.legs[i].gas for i in part.legs) + around
            history, native[part.place] = facts[part.place]
            fees[part.place] = fees_up(gas, bid(history, Urgency.NORMAL).max_fee_wei)
        return Situation(
            now_ns=now,
            prices=prices,
            held_raw=self._held(view, book, plan),
            decimals=self._directory.decimals,
            symbols=self._directory.labels,
            native_wei=native,
            fees_wei=fees,
            venue_value_usd=self._venue_values(view, prices),
            day_notional_usd=book.day_notional_usd(now),
            market_age_s={
                part.place: Decimal(now // 10**9 - view.as_of[part.place].at_s)
                for part in plan.parts
                if part.place in view.as_of
            },
            halted=self._switch.why() or self._book_halted(),
            wallet_ready=ready,
            no_road=no_road,
            no_power=no_power,
            standing=self._standing(plan, book),
            behind_s=behind(now // 10**9, view, prices) if self._real_time else {},
        )

    def _standing(self, plan: Planned, book: Book) -> dict[str, Standing]:
        if self._ramp is None:
            return {}
        names = {name for part in plan.parts for name in touched(plan, part)}
        return standing(book, self._ramp, names, self._directory.decimals, self._earlier)

    async def _all_prices(self) -> tuple[OraclePrice, ...]:
        return await self._prices()

    async def _ready(self, place: Place) -> str:
        return await self._wallet_ready(place)

    async def _gas_facts(self, chain: ChainDesk) -> tuple[FeeHistory, int]:
        """What gas went for, and what the sender has for it, wei."""
        return await asyncio.gather(chain.warm.fee_history(), chain.gas_money())

    def _held(self, view: MarketView, book: Book, plan: Planned) -> dict[AssetId, int]:
        """What stands in each place now, less what other open children have reserved and not yet spent."""
        held = dict(view.inventory)
        for child in book.living.children():
            if child.child.cl_ord_id == plan.child.cl_ord_id or child.approved is None:
                continue
            for part_name in child.parts:
                record = book.parts[part_name]
                if not record.ended and (not record.fills or not record.on_chain):
                    asset = record.part.asset_in
                    spent = sum((fill.qty_in for fill in record.fills.values()), Decimal(0))
                    most = record.part.in_raw
                    if (
                        child.child.after is not None
                    ):  # exits in a list spend what their entry has brought, not more
                        brought = book.parts[child.child.after].brought()
                        most = min(most, raw_down(brought, self._directory.decimals[asset]))
                    left = most - raw_down(spent, self._directory.decimals[asset])
                    held[asset] = held.get(asset, 0) - max(left, 0)
        return held

    def _venue_values(self, view: MarketView, prices: tuple[OraclePrice, ...]) -> dict[Place, Decimal]:
        """What each exchange holds of ours, in USD, where a price is known."""
        px: dict[str, Decimal] = {}
        for price in prices:
            px[price.symbol] = max(price.px, px.get(price.symbol, Decimal(0)))
        values: dict[Place, Decimal] = {}
        symbols = self._directory.symbols
        with localcontext(WIDE):
            for asset, raw in view.inventory.items():
                place = Place(asset.partition("/")[0])
                name = symbols.get(asset)
                if name in px and chain_of(place) is None:
                    worth = qty_exact(raw, self._directory.assets[asset].decimals) * px[name]
                    values[place] = values.get(place, Decimal(0)) + worth
        return values


def behind(now_s: int, view: MarketView, prices: Sequence[OraclePrice]) -> dict[str, int]:
    """By how much a clock that says `now_s` is behind what chains and price sources dated, where it is more than clocks may differ."""
    told = {str(place): at.at_s for place, at in view.as_of.items()}
    for price in prices:
        told[price.source] = max(price.at_s, told.get(price.source, 0))
    return {place: at_s - now_s for place, at_s in told.items() if at_s - now_s > CLOCKS_S}
