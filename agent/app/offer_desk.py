"""One chain's order book at the desk: a part becomes an order within its plan, and the chain as the offer's road needs it.

Implements `agent.execution.offer_road.OfferChain` over a ChainDesk, and the workshop's two steps for Protection INTENT.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import aiohttp

from agent.app.chain_desk import ChainDesk
from agent.app.endpoints import resolve_endpoint
from agent.app.settings_tree import OrderBook, Settings
from agent.domain.errors import Reject, Usage
from agent.domain.events import ChainBatch, PartFailed, Planned, Prepared, Simulated
from agent.domain.instruments import AssetId
from agent.domain.orders import Offer, Part, Side
from agent.domain.units import qty_exact
from agent.execution.bearing import Fate
from agent.execution.offers import check_quote, least_raw, most_raw
from agent.execution.settlement import token_of
from agent.ports import Clock
from chains.gateway import Gateway
from chains.intents.cow import CowBook, QuoteRequest, Told
from chains.simulate import DELEGATECALL, SafeCall, balance_call
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
        child, buys = planned.child, planned.child.side is Side.BUY
        head = await self.desk.gateway.block("latest")
        asked = CowOrder(
            chain_id=self.desk.profile.chain_id,
            settlement=self.settlement,
            owner=self.desk.wallet,
            receiver=self.desk.wallet,
            sell_token=token_of(part.asset_in),
            buy_token=token_of(part.asset_out),
            sell_raw=part.in_raw,
            buy_raw=part.out_raw if buys else part.floor_raw,
            valid_to=head.timestamp + self.terms.valid_s,
            app_data=APP_DATA_HASH,
            partially_fillable=self.terms.partially_fillable,
            kind="buy" if buys else "sell",
        )
        quote = await self.book.quote(QuoteRequest(asked, self.terms.scheme, self.terms.valid_s, APP_DATA))
        check_quote(quote, asked)
        if buys:
            plain = next(summary.in_raw for summary in planned.route.places if summary.place == part.place)
            most = most_raw(part, quote.cost_raw, child.max_slippage_bps, plain)
            order = replace(asked, sell_raw=most)
        else:
            order = replace(asked, buy_raw=least_raw(part, quote.buy_raw, child.max_slippage_bps))
        qty = qty_exact(order.whole_raw, decimals(part.asset_out if buys else part.asset_in))
        offer = Offer(order, self.terms.scheme, qty, head.number, quote.quote_id)
        return Prepared(part, None, None, self.clock.now_ns(), offer)

    async def simulate(self, prepared: Prepared) -> Simulated | PartFailed:
        """Others settle it: what can be rehearsed is that the wallet holds what it offers. Authority asks the rest of the local node."""
        part, offer = prepared.part, prepared.offer
        assert offer is not None
        order = offer.order
        head = await self.desk.gateway.block("latest")
        found = await self.desk.gateway.call(balance_call(order.sell_token, order.owner), head.number)
        if not found.ok or int.from_bytes(found.data, "big") < order.sell_raw:
            what = f"{order.owner} does not hold {order.sell_raw} base units of {part.asset_in}"
            return PartFailed(part, "INSUFFICIENT_BALANCE", what, self.clock.now_ns())
        return Simulated(
            part, None, None, part.out_raw, order.buy_raw, 0, head.number, self.clock.now_ns(), offer
        )

    # ------------------------------------------------------------------ the wallet's own batches

    async def rehearse(self, calls: Sequence[Call], asset: str) -> tuple[ChainBatch, int, int]:
        """The calls behind a guard that dates them, for they carry no deadline of their own. Raises Reject WOULD_REVERT."""
        desk = self.desk
        if desk.simulator is None:
            raise Usage("NO_SIMULATOR", "there is no local simulator on this machine")
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
