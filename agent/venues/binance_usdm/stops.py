"""Conditional orders at Binance USD-M: kept by the exchange under an id of their own, orders of the same client id once they are triggered.

Source: the venue's published documentation of its algo orders, where every stop stands since 2025-12-09. They are triggered by the
contract's own last price.
"""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from agent.domain.errors import Reject, Usage
from agent.domain.ids import ClOrdId
from agent.domain.orders import OrdType, Side, VenueOrder
from agent.market.reading import above_zero, understood, whole
from agent.market.reading import name as text_of
from agent.market.reading import number as exact
from agent.ports import HeldCondition
from agent.transport import binance
from agent.venues import Terms, check_grid, check_order, number

if TYPE_CHECKING:
    from agent.venues.binance_usdm.session import BinanceUsdm

PATH, OPEN = "/fapi/v1/algoOrder", "/fapi/v1/openAlgoOrders"
WAITING = frozenset({"NEW", "TRIGGERING"})
STATES = WAITING | {"TRIGGERED", "FINISHED", "CANCELED", "REJECTED", "EXPIRED"}


@dataclass(frozen=True, slots=True)
class Condition:
    """What the exchange keeps, under its own `number`. `waits`: it was not triggered; once it was, `BinanceUsdm.query` has the order under
    the same name. `qty` None: of the whole position, whatever that is then; `trigger_px` None: a price that trails the market's."""

    number: str
    cl_ord_id: ClOrdId
    symbol: str
    side: Side
    qty: Decimal | None
    trigger_px: Decimal | None
    px: Decimal | None
    state: str

    @property
    def waits(self) -> bool:
        return self.state in WAITING

    def held(self) -> HeldCondition:
        what = f"{self.qty.normalize():f}" if self.qty is not None else "the whole position of"
        when = (
            f"once {self.trigger_px.normalize():f} is reached"
            if self.trigger_px is not None
            else "behind the market"
        )
        about = f"{self.side.value.lower()} {what} {self.symbol} {when}"
        return HeldCondition(self.cl_ord_id, self.number, self.symbol, about)


class Stops:
    def __init__(self, venue: BinanceUsdm) -> None:
        self._venue = venue

    async def place(
        self, order: VenueOrder, trigger_px: Decimal, terms: Terms, *, gains: bool = False
    ) -> Condition:
        """`order` waits until a trade is at `trigger_px`: a stop, or with `gains` a take-profit. A limit order where it has a price.

        Raises Usage for what the venue would refuse, Reject, Retry (it never arrived), Reconcile (ask `query`).
        """
        venue = self._venue
        instrument = venue.instrument(order.symbol)
        check_order(order, instrument)
        check_grid("trigger price", trigger_px, instrument.tick, instrument)
        if terms.post_only or terms.good_till_ns:
            raise Usage(
                "UNSUPPORTED_TERMS", "a conditional order takes and stays", "reduce_only alone goes with it"
            )
        limited = order.ord_type is OrdType.LIMIT
        kind = ("TAKE_PROFIT" if gains else "STOP") + ("" if limited else "_MARKET")
        params: dict[str, str | int] = {
            "algoType": "CONDITIONAL",
            "symbol": order.symbol,
            "side": order.side.value,
            "type": kind,
            "quantity": number(order.order_qty),
            "triggerPrice": number(trigger_px),
            "clientAlgoId": order.cl_ord_id,
        }
        if limited and order.px is not None:
            params |= {"timeInForce": order.time_in_force.value, "price": number(order.px)}
        if terms.reduce_only:
            params["reduceOnly"] = "true"
        request = await venue.signed_order(order.cl_ord_id, order.symbol, PATH, params)
        reply = await venue.account.submit(request)
        return condition(
            venue.account.accepted(reply, "the answer to a conditional order", write=True), write=True
        )

    async def query(self, cl_ord_id: ClOrdId) -> Condition | None:
        """None only where the venue says that it has none of this name."""
        return await self._found({"clientAlgoId": cl_ord_id})

    async def _found(self, named: binance.Params) -> Condition | None:
        reply = await self._venue.account.reply("GET", PATH, named, 1)
        if reply.status >= 400 and binance.refusal(reply.body).code == binance.NO_SUCH_ORDER:
            return None
        return condition(await self._venue.account.checked(reply, "a conditional order"))

    async def cancel(self, cl_ord_id: ClOrdId) -> Condition:
        """The condition as it is then; one that was triggered before is an order, which `BinanceUsdm.cancel` ends.

        Raises Reject NO_SUCH_ORDER where the venue never had it, Reconcile.
        """
        return await self._end({"clientAlgoId": cl_ord_id}, cl_ord_id)

    async def end(self, number: str) -> Condition:
        """As `cancel`, by the venue's own number: whoever placed it, and whatever it is called."""
        return await self._end({"algoId": number}, number)

    async def _end(self, named: binance.Params, about: str) -> Condition:
        try:
            await self._venue.account.write("DELETE", PATH, named, "a cancel")
        except Reject as refused:
            if refused.code != "CANCEL_REJECTED":
                raise
        found = await self._found(named)
        if found is None:
            raise Reject("NO_SUCH_ORDER", f"{self._venue.name} has no conditional order {about}")
        return found

    async def opened(self) -> tuple[Condition, ...]:
        data = await self._venue.signed_read(OPEN, {}, 40)
        with understood("openAlgoOrders"):
            return tuple(condition(row) for row in data)


def condition(data: Any, *, write: bool = False) -> Condition:
    with understood("a conditional order", write=write):
        px, state = exact(data["price"]) if data.get("price") else Decimal(0), text_of(data["algoStatus"])
        if state not in STATES or px < 0:
            raise ValueError(f"state {state[:20]} at {px}")
        all_of_it, trails = data.get("closePosition") is True, data.get("orderType") == "TRAILING_STOP_MARKET"
        return Condition(
            str(whole(data["algoId"])),
            ClOrdId(text_of(data["clientAlgoId"])),
            text_of(data["symbol"]),
            Side(data["side"]),
            None if all_of_it else above_zero(data["quantity"]),
            None if trails else above_zero(data["triggerPrice"]),
            px or None,
            state,
        )
