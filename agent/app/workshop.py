"""Parts made concrete and rehearsed on this machine: a wallet's batch, or an exchange order on its tick and lot."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from decimal import Decimal, localcontext

from agent.app import agent_workshop
from agent.app.chain_desk import ChainDesk
from agent.app.contracts import bare_px
from agent.app.lasting import until_s
from agent.app.offer_desk import OfferDesk
from agent.domain.errors import Reject
from agent.domain.events import Approved, ChainBatch, PartFailed, Prepared, Simulated
from agent.domain.instruments import chain_of, venue_of
from agent.domain.orders import Exits, OrdType, Part, Side, TimeInForce, VenueOrder
from agent.domain.routes import Leg
from agent.domain.units import WIDE, quantize_down, quantize_up
from agent.execution.batch import build, floors
from agent.execution.listing import attached, on_tick
from agent.execution.settlement import token_of
from agent.market.smallest import BELOW_MINIMUM
from agent.market.view import MarketView
from agent.ports import Clock, HoldsPairs, MarketVenue, VenueInstrument
from chains.simulate import DELEGATECALL, SafeCall
from chains.types import Protection
from contracts import multisend


class Workshop:
    """`deadline_s` is how long after now a batch may still execute, where its child does not say less; it stands in its calldata."""

    def __init__(
        self,
        clock: Clock,
        chains: Mapping[int, ChainDesk],
        venues: Mapping[str, MarketVenue],
        deadline_s: int,
        offers: Mapping[int, OfferDesk] | None = None,
    ) -> None:
        self._clock, self._chains, self._venues, self._deadline_s = clock, chains, venues, deadline_s
        self._offers = offers or {}

    async def prepare(self, part: Part, approved: Approved, view: MarketView) -> Prepared:
        legs = [approved.planned.route.legs[i] for i in part.legs]
        slippage = approved.planned.child.max_slippage_bps
        chain_id = chain_of(part.place)
        if chain_id is None:
            order = await self._venue_order(part, legs, approved, slippage)
            if (then := approved.planned.child.then) is not None:
                instrument = await self._holder(part, order.symbol)
                behind = attached(order, part, then, instrument, lambda asset: view.assets[asset].decimals)
                order = replace(order, then=behind)
            return Prepared(part, None, order, self._clock.now_ns())
        child = approved.planned.child
        if child.reduce_only:
            raise Reject("NOT_A_CONTRACT", f"{part.place} has no position to make smaller", "trade it")
        if child.exits is not None or child.rests:
            raise Reject("NO_PAIRS_THERE", f"{part.place} holds no pair of orders", "give --at an exchange")
        if child.protection is Protection.INTENT:
            return await self._offers[chain_id].prepare(
                part, approved.planned, lambda asset: view.assets[asset].decimals
            )
        chain = self._chains[chain_id]
        if chain.road is not None:
            return await agent_workshop.prepare(
                part, approved, view, chain, chain.road, self._deadline_s, self._clock.now_ns
            )
        head = await chain.warm.block("latest")
        deadline = until_s(head.timestamp, self._clock.now_ns(), self._deadline_s, child.lasts_s)
        batch = ChainBatch(
            chain_id=chain_id,
            wallet=chain.wallet,
            calls=build(
                part,
                legs,
                view.pools,
                chain.routers,
                chain.wallet,
                deadline,
                floors(part, legs, part.out_raw, slippage),
                chain.native_pools,
            ),
            deadline_s=deadline,
            protection=approved.planned.child.protection,
        )
        return Prepared(part, batch, None, self._clock.now_ns())

    async def simulate(
        self, prepared: Prepared, approved: Approved, view: MarketView
    ) -> Simulated | PartFailed:
        if prepared.offer is not None:
            return await self._offers[prepared.offer.order.chain_id].simulate(prepared)
        if prepared.chain is None:
            return await self._check_order(prepared)
        part, batch = prepared.part, prepared.chain
        chain = self._chains[batch.chain_id]
        if chain.simulator is None:
            return self._failed(part, "NO_SIMULATOR", "there is no local simulator on this machine")
        if chain.road is not None:
            return await agent_workshop.simulate(
                prepared, approved, view, chain, chain.road, self._clock.now_ns
            )
        sold, bought = token_of(part.asset_in), token_of(part.asset_out)
        parts = [multisend.Part(call.to, call.value, call.data) for call in batch.calls]
        inner = SafeCall(chain.multi_send, 0, multisend.calldata(parts), DELEGATECALL)
        watched = [(sold, batch.wallet), (bought, batch.wallet)]
        seen = await chain.simulator.run_safe(
            batch.wallet, inner, chain.sender or batch.wallet, watch=watched
        )
        if not seen.ok:
            return self._failed(part, "WOULD_REVERT", seen.reason)
        given, got = -seen.changes[watched[0]], seen.changes[watched[1]]
        if given != part.in_raw:
            return self._failed(part, "OTHER_AMOUNT", f"the batch would spend {given}, not {part.in_raw}")
        if got < part.floor_raw:
            return self._failed(
                part, "MARKET_MOVED", f"the batch would give {got}, at least {part.floor_raw} is wanted"
            )
        legs = [approved.planned.route.legs[i] for i in part.legs]
        minimum = floors(part, legs, got, approved.planned.child.max_slippage_bps)
        calls = build(
            part, legs, view.pools, chain.routers, batch.wallet, batch.deadline_s, minimum, chain.native_pools
        )
        return Simulated(
            part=part,
            chain=ChainBatch(batch.chain_id, batch.wallet, calls, batch.deadline_s, batch.protection),
            order=None,
            out_raw=got,
            floor_raw=sum(minimum.values()),
            gas=seen.steps[0].gas_used,
            block_number=seen.block.number,
            at_ns=self._clock.now_ns(),
        )

    async def _venue_order(
        self, part: Part, legs: Sequence[Leg], approved: Approved, slippage: int
    ) -> VenueOrder:
        """One IOC limit order, its limit the worst level the plan needs less the slippage, on the tick, against us. What is to rest stands at
        its own limit, or there where the market would let it trade at once for no better than that."""
        if len(legs) != 1 or legs[0].qty is None or legs[0].px is None:
            raise Reject(
                "UNEXECUTABLE_LEG", f"{part.place}: one order for one book is what can be sent", "plan again"
            )
        leg, worst, qty = legs[0], legs[0].px, legs[0].qty
        side = approved.planned.child.side
        instrument = await self._paired(part, leg.id.partition(":")[2])
        if (exits := approved.planned.child.exits) is not None:
            return self._pair(part, instrument.symbol, side, qty, exits, instrument)
        worst = bare_px(instrument, worst, side)
        with localcontext(WIDE):
            if side is Side.SELL:
                px = quantize_up(worst * (10_000 - slippage) / 10_000, instrument.tick)
            else:
                px = quantize_down(worst * (10_000 + slippage) / 10_000, instrument.tick)
        rests, limit = approved.planned.child.rests, approved.planned.child.limit_px
        if rests and limit is not None:
            selling = side is Side.SELL
            own = (quantize_up if selling else quantize_down)(limit, instrument.tick)
            px = max(px, own) if selling else min(px, own)
        reduce_only = approved.planned.child.reduce_only
        if reduce_only and instrument.contract != "linear":
            raise Reject("NOT_A_CONTRACT", f"{instrument.symbol} has no position to make smaller", "trade it")
        return VenueOrder(
            part.cl_ord_id,
            instrument.symbol,
            side,
            OrdType.LIMIT,
            TimeInForce.GTC if rests else TimeInForce.IOC,
            qty,
            px,
            reduce_only=reduce_only,
        )

    async def _paired(self, part: Part, pair: str) -> VenueInstrument:
        """By "BASE/QUOTE", as a route names its books; a venue calls it as it likes."""
        venue = self._venues[venue_of(part.place) or ""]
        base, _, quote = pair.partition("/")
        for instrument in await venue.instruments():
            if instrument.base == base and instrument.quote == quote:
                return instrument
        raise Reject("NO_INSTRUMENT", f"{venue.name} does not trade {pair}", "check [[venues]] symbols")

    def _pair(
        self, part: Part, symbol: str, side: Side, qty: Decimal, exits: Exits, instrument: VenueInstrument
    ) -> VenueOrder:
        """Exits that the exchange holds as one, their prices on the tick: none is worse than was typed."""
        self._need_holder(part, symbol)
        rounded = on_tick(exits, side, instrument)
        return VenueOrder(
            part.cl_ord_id, symbol, side, OrdType.LIMIT, TimeInForce.GTC, qty, rounded.profit_px, rounded
        )

    def _need_holder(self, part: Part, symbol: str) -> None:
        venue = venue_of(part.place) or ""
        there = self._venues[venue]
        if not isinstance(there, HoldsPairs) or not there.holds_pairs(symbol):
            raise Reject("NO_PAIRS_THERE", f"{venue} holds no pair of orders in {symbol}", "leave --at out")

    async def _holder(self, part: Part, symbol: str) -> VenueInstrument:
        """The instrument, at an exchange that holds lists. Raises Reject NO_PAIRS_THERE, NO_INSTRUMENT."""
        self._need_holder(part, symbol)
        return await self._instrument(part, symbol)

    async def _instrument(self, part: Part, symbol: str) -> VenueInstrument:
        venue = self._venues[venue_of(part.place) or ""]
        for instrument in await venue.instruments():
            if instrument.symbol == symbol:
                return instrument
        raise Reject("NO_INSTRUMENT", f"{venue.name} does not trade {symbol}", "check [[venues]] symbols")

    async def _check_order(self, prepared: Prepared) -> Simulated | PartFailed:
        """An exchange has no rehearsal: its filters are checked here instead."""
        part, order = prepared.part, prepared.order
        assert order is not None and order.px is not None
        instrument = await self._instrument(part, order.symbol)
        off, small, qty, px = list[str](), list[str](), order.order_qty, order.px
        if WIDE.remainder(qty, instrument.lot) != 0:
            off.append(f"{qty} is not on the lot {instrument.lot}")
        if qty < instrument.min_qty:
            small.append(f"{qty} is under the least {instrument.min_qty}")
        if WIDE.remainder(px, instrument.tick) != 0:
            off.append(f"{px} is not on the tick {instrument.tick}")
        if WIDE.multiply(px, qty) < instrument.min_notional:
            small.append(f"it is under {instrument.min_notional}")
        if off or small:
            code = "VENUE_FILTER" if off else BELOW_MINIMUM
            return self._failed(part, code, f"{part.place} would refuse it: {'; '.join((*off, *small))}")
        return Simulated(
            part=part,
            chain=None,
            order=order,
            out_raw=part.out_raw,
            floor_raw=part.floor_raw,
            gas=0,
            block_number=0,
            at_ns=self._clock.now_ns(),
        )

    def _failed(self, part: Part, code: str, message: str) -> PartFailed:
        return PartFailed(part, code, message, self._clock.now_ns())


def fees_up(gas: int, max_fee_wei: int) -> int:
    return gas * max_fee_wei
