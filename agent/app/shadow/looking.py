"""What the market gives for exactly what would have been signed: a book walked within the order's limit, a batch rehearsed again.

A book's order could have taken effect at once, a transaction in the next block; where no block comes within the patience, the state of
then is taken. The rehearsal runs on this machine, with minimums of nearly nothing, so that a market that moved too far shows how far.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from decimal import Decimal, localcontext

from agent.app.chain_desk import ChainDesk
from agent.domain.errors import FairleadError, Retry
from agent.domain.events import Approved, PartFailed, Planned, Shadowed, ShadowSeen
from agent.domain.instruments import AssetId, chain_of
from agent.domain.orders import Part, Side, VenueOrder
from agent.domain.reports import Fill
from agent.domain.units import WIDE, qty_exact, raw_up
from agent.execution.deciding import Market, Workshop
from agent.execution.planning import part_px
from agent.market.book import Book, BookFill, buy_base, sell_base
from agent.ports import Clock
from chains.types import Protection

PATIENCE_POLLS = 12
"""Three blocks of a live chain; a devnet that has nothing to put into a block makes none."""
ANY_BPS = 10_000
"""A slippage at which a rehearsal's minimums demand next to nothing."""


class MarketLooker:
    """Implements `agent.execution.shadowing.Looker` over the same market and workshop that decided."""

    def __init__(
        self,
        clock: Clock,
        market: Market,
        workshop: Workshop,
        chains: Mapping[int, ChainDesk],
        decimals: Mapping[AssetId, int],
    ) -> None:
        self._clock, self._market, self._workshop = clock, market, workshop
        self._chains, self._decimals = chains, decimals

    async def first(self, shadowed: Shadowed, approved: Approved) -> ShadowSeen:
        if (chain_id := chain_of(shadowed.part.place)) is not None:
            await self._next_block(self._chains[chain_id], shadowed.block_number)
        return await self._look(shadowed, approved, decides=True)

    async def again(self, shadowed: Shadowed, approved: Approved) -> ShadowSeen:
        return await self._look(shadowed, approved, decides=False)

    async def _next_block(self, chain: ChainDesk, after: int) -> None:
        until = self._clock.now_ns() + int(PATIENCE_POLLS * chain.poll_s * 10**9)
        while self._clock.now_ns() < until:
            try:
                if (await chain.warm.block("latest")).number > after:
                    return
            except Retry:
                pass  # nothing was learnt
            await self._clock.sleep(chain.poll_s)

    async def _look(self, shadowed: Shadowed, approved: Approved, *, decides: bool) -> ShadowSeen:
        side = approved.planned.child.side
        try:
            if shadowed.order is not None:
                return await self._book(shadowed, shadowed.order, approved.planned, decides)
            if approved.planned.child.protection is Protection.INTENT:
                return self._seen(
                    shadowed, side, decides, told="others would settle it: that is not looked at"
                )
            return await self._pools(shadowed, approved, decides)
        except FairleadError as error:
            if error.verb == "HALT":
                raise
            return self._seen(shadowed, side, decides, told=f"{error.code}: {error.message}")

    async def _book(
        self, shadowed: Shadowed, order: VenueOrder, planned: Planned, decides: bool
    ) -> ShadowSeen:
        view = await self._market.view(planned.child.base, planned.child.quote)
        part = shadowed.part
        book = next((b for b in view.books if b.place == part.place), None)
        if book is None:
            return self._seen(shadowed, order.side, decides, told=f"{part.place} showed no book")
        base, quote = self._decimals[book.base], self._decimals[book.quote]
        whole, fits = taken(book, order, base, quote), taken(within(book, order), order, base, quote)
        fill = None
        if fits is not None:
            gross = fits.out_raw + fits.fee_raw
            fill = self._fill(part, fits.in_raw, gross, fits.fee_asset, fits.fee_raw)
        best = book.bids if order.side is Side.SELL else book.asks
        told = (
            ""
            if fits is not None
            else f"its limit {order.px}: the book's best was {best[0][0]}"
            if best
            else "the book was empty"
        )
        if fits is not None and fits.qty < order.order_qty:
            told = f"only {fits.qty} of {order.order_qty} within its limit {order.px}"
        shown = fits or whole
        return self._seen(
            shadowed,
            order.side,
            decides,
            shown.in_raw if shown else 0,
            shown.out_raw if shown else 0,
            fill,
            told,
        )

    async def _pools(self, shadowed: Shadowed, approved: Approved, decides: bool) -> ShadowSeen:
        child = approved.planned.child
        view = await self._market.view(child.base, child.quote)
        by_agent = self._chains[chain_of(shadowed.part.place) or 0].road is not None
        part, asked = shadowed.part, approved
        if not by_agent:  # what bounds the agent's key on chain holds for a rehearsal, too
            part = replace(part, floor_raw=0)
            loose = replace(child, max_slippage_bps=ANY_BPS)
            asked = replace(approved, planned=replace(approved.planned, child=loose))
        prepared = await self._workshop.prepare(part, asked, view)
        given = await self._workshop.simulate(prepared, asked, view)
        if isinstance(given, PartFailed):
            return self._seen(shadowed, child.side, decides, told=f"{given.code}: {given.message}")
        part, fill, told = shadowed.part, None, "less than its minimum"
        if given.out_raw >= shadowed.floor_raw:
            told = ""
            fill = self._fill(part, part.in_raw, given.out_raw, part.asset_out, 0)
        return self._seen(shadowed, child.side, decides, part.in_raw, given.out_raw, fill, told)

    def _fill(self, part: Part, in_raw: int, out_raw: int, fee_asset: AssetId, fee_raw: int) -> Fill:
        return Fill(
            exec_id=f"shadow:{part.cl_ord_id}",
            place=part.place,
            asset_in=part.asset_in,
            asset_out=part.asset_out,
            qty_in=qty_exact(in_raw, self._decimals[part.asset_in]),
            qty_out=qty_exact(out_raw, self._decimals[part.asset_out]),
            fee_asset=fee_asset,
            fee_qty=qty_exact(fee_raw, self._decimals[fee_asset]),
            at_ns=self._clock.now_ns(),
        )

    def _seen(
        self,
        shadowed: Shadowed,
        side: Side,
        decides: bool,
        in_raw: int = 0,
        out_raw: int = 0,
        fill: Fill | None = None,
        told: str = "",
    ) -> ShadowSeen:
        now = self._clock.now_ns()
        part = shadowed.part
        return ShadowSeen(
            part.cl_ord_id,
            now - shadowed.at_ns,
            decides,
            in_raw,
            out_raw,
            part_px(part, side, in_raw, out_raw, self._decimals),
            fill if decides else None,
            told,
            now,
        )


def within(book: Book, order: VenueOrder) -> Book:
    """The book as far as the order's limit goes."""
    if order.px is None:
        return book
    bids = tuple(level for level in book.bids if level[0] >= order.px)
    asks = tuple(level for level in book.asks if level[0] <= order.px)
    return replace(book, bids=bids, asks=asks)


def taken(book: Book, order: VenueOrder, base_decimals: int, quote_decimals: int) -> BookFill | None:
    """What an immediate order of that quantity gets, fee off; None for nothing."""
    with localcontext(WIDE):
        if order.side is Side.SELL:
            return sell_base(book, raw_up(order.order_qty, base_decimals), base_decimals, quote_decimals)
        levels, left, cost = [], order.order_qty, Decimal(0)
        for (
            px,
            size,
        ) in book.asks:  # a purchase names what it buys before the fee: the asks are taken for exactly that
            if left <= 0:
                break
            levels.append((px, min(size, left)))
            left, cost = left - levels[-1][1], cost + px * levels[-1][1]
        few = replace(book, asks=tuple(levels))
        return buy_base(few, raw_up(cost, quote_decimals), base_decimals, quote_decimals)
