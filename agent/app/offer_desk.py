"""One chain's order book at the desk: a part becomes an order within its plan, and the chain as the offer's road needs it.

Implements `agent.execution.offer_road.OfferChain`, and `AgentsOffers` where the agent's own key trades, over a ChainDesk, and the workshop's two steps for Protection INTENT.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import aiohttp

from agent.app.agent_workshop import REMEDIES, gate_floor, remedy_of
from agent.app.chain_desk import ChainDesk
from agent.app.endpoints import resolve_endpoint
from agent.app.settings_tree import OrderBook, Settings
from agent.domain.errors import Denied, Reject, Retry, Usage
from agent.domain.events import ChainBatch, PartFailed, Planned, Prepared, Simulated
from agent.domain.instruments import AssetId
from agent.domain.orders import Offer, Part, Side
from agent.domain.units import qty_exact
from agent.execution.agent_batch import AgentRoad, deadline_of, sent_as
from agent.execution.agent_offers import asked as asked_of
from agent.execution.agent_offers import ending, is_agents, left_raw, opening
from agent.execution.authority import EXEC_OVERHEAD_GAS
from agent.execution.bearing import Fate
from agent.execution.offers import check_quote, least_raw, most_raw
from agent.execution.settlement import token_of
from agent.ports import Clock
from chains.gas import gas_limit_up
from chains.gateway import Gateway
from chains.intents.cow import CowBook, QuoteRequest, Told
from chains.simulate import DELEGATECALL, SafeCall, Simulator, Step, balance_call
from chains.types import Address, BlockRef, Call, CowOrder, Hash32, Protection, Receipt, SignedTx
from contracts import multisend
from contracts.universal_router import deadline_guard
from keys.cow_order import APP_DATA, APP_DATA_HASH


@dataclass
class OfferDesk:
    desk: ChainDesk
    book: CowBook
    terms: OrderBook
    deadline_s: int
    clock: Clock

    @property
    def settlement(self) -> Address:
        return self.desk.profile.contracts["cow_settlement"]

    @property
    def relayer(self) -> Address:
        return self.desk.profile.contracts["cow_vault_relayer"]

    # ------------------------------------------------------------------ the workshop's two steps

    async def prepare(self, part: Part, planned: Planned, decimals: Callable[[AssetId], int]) -> Prepared:
        """A sale for at least its floor, a purchase of exactly its amount for at most its ceiling.

        Raises Reject QUOTE_ALTERED, QUOTE_BELOW_FLOOR, QUOTE_ABOVE_CEILING, or the book's own refusal to quote: nothing is signed then.
        """
        child, buys, road = planned.child, planned.child.side is Side.BUY, self.desk.road
        head = await self.desk.gateway.block("latest")
        valid_s = self.terms.valid_s if road is None else min(self.terms.valid_s, road.deadline_s)
        asked = CowOrder(
            chain_id=self.desk.profile.chain_id,
            settlement=self.settlement,
            owner=self.desk.wallet if road is None else offers_of(road),
            receiver=self.desk.wallet,
            sell_token=token_of(part.asset_in),
            buy_token=token_of(part.asset_out),
            sell_raw=part.in_raw,
            buy_raw=part.out_raw if buys else part.floor_raw,
            valid_to=head.timestamp + valid_s,
            app_data=APP_DATA_HASH,
            partially_fillable=self.terms.partially_fillable,
            kind="buy" if buys else "sell",
        )
        scheme = self.terms.scheme if road is None else "eip1271"
        quote = await self.book.quote(QuoteRequest(asked, scheme, valid_s, APP_DATA))
        check_quote(quote, asked)
        if buys:
            plain = next(summary.in_raw for summary in planned.route.places if summary.place == part.place)
            most = most_raw(part, quote.cost_raw, child.max_slippage_bps, plain)
            order = replace(asked, sell_raw=most)
        else:
            order = replace(asked, buy_raw=least_raw(part, quote.buy_raw, child.max_slippage_bps))
        if road is not None:
            order = await self._above_floor(
                order, road, quote.sell_raw + quote.fee_raw if buys else quote.buy_raw
            )
        qty = qty_exact(order.whole_raw, decimals(part.asset_out if buys else part.asset_in))
        offer = Offer(order, scheme, qty, head.number, quote.quote_id)
        return Prepared(part, None, None, self.clock.now_ns(), offer)

    async def simulate(self, prepared: Prepared) -> Simulated | PartFailed:
        """Others settle it: what can be rehearsed is that the wallet holds what it offers, and the call of the Gate that opens it where the
        agent's key does. Authority asks the rest of the local node."""
        part, offer = prepared.part, prepared.offer
        assert offer is not None
        order = offer.order
        head = await self.desk.gateway.block("latest")
        found = await self.desk.gateway.call(balance_call(order.sell_token, order.receiver), head.number)
        if not found.ok or int.from_bytes(found.data, "big") < order.sell_raw:
            what = f"{order.receiver} does not hold {order.sell_raw} base units of {part.asset_in}"
            return PartFailed(part, "INSUFFICIENT_BALANCE", what, self.clock.now_ns())
        if is_agents(order):
            try:
                await self.rehearse(self.opening(order), part.asset_in)
            except Reject as no:
                why = f"{no.message} → {remedy_of(no.message)}"
                return PartFailed(part, no.code, why, self.clock.now_ns())
        return Simulated(
            part, None, None, part.out_raw, order.buy_raw, 0, head.number, self.clock.now_ns(), offer
        )

    # ------------------------------------------------------------------ under the agent's own key

    async def _above_floor(self, order: CowOrder, road: AgentRoad, quoted_raw: int) -> CowOrder:
        """The order at no less than the Gate demands: asked of the fork on this machine, never of an endpoint.

        Raises Denied SCOPE_FLOOR where what was quoted (what a sale brings, what a purchase costs) is below that already.
        """
        assert self.desk.simulator is not None
        floor = await gate_floor(
            self.desk.simulator, road, order.sell_token, order.buy_token, order.sell_raw, self.desk.place
        )
        if order.buys:
            # The floor is proportional, but for three roundings up: a ceiling for which it asks no more than what is bought.
            most = order.sell_raw * max(order.buy_raw - 3, 1) // floor
            found = order if floor <= order.buy_raw else replace(order, sell_raw=most)
        else:
            found = replace(order, buy_raw=max(order.buy_raw, floor))
        if quoted_raw > found.sell_raw if order.buys else quoted_raw < floor:
            raise Denied(
                "SCOPE_FLOOR",
                f"{self.desk.place}: the order book quotes {quoted_raw}; at {floor} for {order.sell_raw} the Gate lets nothing of it be settled",
                REMEDIES["MinimumBelowFloor"],
            )
        return found

    def _road(self) -> AgentRoad:
        if self.desk.road is None:
            raise Usage(
                "NO_AGENTS_ROAD",
                "this order was opened under the agent's key, which does not sign here",
                "`fairlead run --once` with authority agent goes on with it; any one owner can end it at its contract",
            )
        return self.desk.road

    def opening(self, order: CowOrder) -> Sequence[Call]:
        return (opening(self._road(), order),)

    async def ending(self, order: CowOrder) -> Sequence[Call]:
        if not await self.left(order):
            return ()
        head = await self.desk.gateway.block("latest")
        road = self._road()
        return (ending(road, order.sell_token, head.timestamp + min(self.deadline_s, road.deadline_s)),)

    async def left(self, order: CowOrder) -> int:
        _, answers = await self.desk.gateway.multicall(list(asked_of(order)))
        if not all(answer.ok for answer in answers):
            raise Retry("OFFERS_SILENT", f"{order.owner} does not answer", "it is asked again")
        return left_raw(order, tuple(answer.data for answer in answers))

    # ------------------------------------------------------------------ the wallet's own batches

    async def rehearse(self, calls: Sequence[Call], asset: str) -> tuple[ChainBatch, int, int]:
        """The calls behind a guard that dates them, for they carry no deadline of their own; one under the agent's role as it is.
        Raises Reject WOULD_REVERT."""
        desk = self.desk
        if desk.simulator is None:
            raise Usage("NO_SIMULATOR", "there is no local simulator on this machine")
        if desk.road is not None and [call.to for call in calls] == [desk.road.roles]:
            return await self._rehearse_agents(calls[0], desk.road, desk.simulator)
        head = await desk.gateway.block("latest")
        deadline = head.timestamp + self.deadline_s
        guard = deadline_guard(desk.wallet, token_of(AssetId(asset)), deadline)
        batch = ChainBatch(
            desk.profile.chain_id,
            desk.wallet,
            (Call(desk.routers.universal_router, guard), *calls),
            deadline,
            desk.protection,
        )
        parts = [multisend.Part(call.to, call.value, call.data) for call in batch.calls]
        inner = SafeCall(desk.multi_send, 0, multisend.calldata(parts), DELEGATECALL)
        seen = await desk.simulator.run_safe(desk.wallet, inner, desk.sender or desk.wallet)
        if not seen.ok:
            raise Reject("WOULD_REVERT", seen.reason, "nothing was signed")
        return batch, seen.steps[0].gas_used, seen.block.number

    async def _rehearse_agents(
        self, call: Call, road: AgentRoad, simulator: Simulator
    ) -> tuple[ChainBatch, int, int]:
        """As it will be sent: with its gas limit, too, since refunds come only at the end."""
        desk, sent = self.desk, sent_as(road, call)
        seen = await simulator.run([Step(*sent)])
        if seen.ok:
            gas = seen.steps[0].gas_used + road.more_gas
            seen = await simulator.run([Step(*sent, gas_limit_up(gas + EXEC_OVERHEAD_GAS))])
        if not seen.ok:
            raise Reject("WOULD_REVERT", seen.reason, remedy_of(seen.reason))
        batch = ChainBatch(
            desk.profile.chain_id, desk.wallet, (call,), deadline_of(call.data), desk.protection
        )
        return batch, seen.steps[0].gas_used + road.more_gas, seen.block.number

    # ------------------------------------------------------------------ the order book

    @property
    def order_book(self) -> OfferDesk:
        return self

    @property
    def name(self) -> str:
        return self.book.name

    async def post(self, offer: Offer, uid: str, signature: bytes) -> None:
        await self.book.post(offer.order, uid, offer.scheme, signature, APP_DATA, offer.quote_id)

    async def told(self, uid: str) -> Told | None:
        return await self.book.order(uid)

    # ------------------------------------------------------------------ the chain

    @property
    def truth(self) -> Gateway:
        return self.desk.gateway

    @property
    def wallet(self) -> Address:
        return self.desk.wallet

    def heads_told(self) -> int:
        return self.desk.heads_told()

    async def next_look(self, told: int, *, learnt: bool = True) -> None:
        await self.desk.next_look(told, learnt=learnt)

    async def is_final(self, receipt: Receipt, head: BlockRef) -> bool:
        return await self.desk.is_final(receipt, head)

    async def wallet_fate(
        self, signed: SignedTx, wallet_nonce: int, signed_at: int, ours: frozenset[Hash32]
    ) -> Fate:
        return await self.desk.wallet_fate(signed, wallet_nonce, signed_at, ours)

    async def cancel(self, signed: SignedTx) -> bool:
        return await self.desk.cancel(signed)

    async def tend(self, signed: SignedTx, protection: Protection, head: BlockRef, max_block: int) -> str:
        return await self.desk.tend(signed, protection, head, max_block)

    async def final_block(self, head: BlockRef) -> BlockRef:
        if self.desk.finality == "depth":
            return await self.desk.gateway.block(max(head.number - self.desk.finality_depth, 0))
        return await self.desk.gateway.block(self.desk.finality)


def offers_of(road: AgentRoad) -> Address:
    """Raises Denied INTENT_NEEDS_OWNERS where the owners' scope has no such orders, or the account is no key's own."""
    if road.entry_point is not None:
        raise Denied(
            "INTENT_NEEDS_OWNERS",
            "the agent's account is behind ERC-4337: by user operations no order for others to settle is made yet",
            "trade --by owners, or with --protection private",
        )
    if road.offers is None:
        raise Denied(
            "INTENT_NEEDS_OWNERS",
            "the owners' scope lets the agent's key make no order for others to settle",
            "`intents = true` in [[scopes]], granted by the owners (`fairlead wallet scope`); or trade --by owners, or with --protection private",
        )
    return road.offers


def offer_desks(
    settings: Settings,
    chains: dict[int, ChainDesk],
    session: aiohttp.ClientSession,
    clock: Clock,
    deadline_s: int,
) -> dict[int, OfferDesk]:
    """By chain id, for chains whose settings name an order book."""
    return {
        chain.chain_id: OfferDesk(
            chains[chain.chain_id],
            CowBook(resolve_endpoint(chain.order_book.url), session),
            chain.order_book,
            deadline_s,
            clock,
        )
        for chain in settings.chains
        if chain.order_book is not None
    }
