"""Orders that others settle, judged and counted: what may be asked for, whether a quote is sound, what the chain's logs say. Pure.

The rules: the wallet itself owns and receives, exactly the part's tokens and fixed amount, no fee beside the price, never less than
the plan's floor, and in a purchase never more than its ceiling. What the order book says decides nothing but where between that
bound and the plan itself the limit stands. A trade in the logs that breaks the order's own terms is no fill of it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from agent.domain.errors import Halt, Reject
from agent.domain.instruments import AssetId
from agent.domain.orders import Part
from agent.domain.reports import Fill
from agent.domain.units import less_bps_down, plus_bps_down, qty_exact
from agent.execution.settlement import token_of
from chains.intents.cow import Quote
from chains.types import Address, CowOrder, Log
from contracts.codec import decode_event, topic

CONTRACT = "gpv2_settlement"
TRADE, INVALIDATED = topic(CONTRACT, "Trade"), topic(CONTRACT, "OrderInvalidated")


@dataclass(frozen=True, slots=True)
class Traded:
    """One Trade of the settlement contract; amounts in base units."""

    sold_raw: int
    bought_raw: int
    log: Log

    @property
    def exec_id(self) -> str:
        """The same settlement mined in another block is another execution."""
        return f"{self.log.tx_hash}@{self.log.block_hash}#{self.log.log_index}"


@dataclass(frozen=True, slots=True)
class OnChain:
    """What the contract logged of one order: its trades in order, and the block it was invalidated in."""

    trades: tuple[Traded, ...]
    invalidated_in: int | None

    def sold_raw(self, until: int | None = None) -> int:
        return sum(t.sold_raw for t in self.trades if until is None or t.log.block_number <= until)

    def bought_raw(self, until: int | None = None) -> int:
        return sum(t.bought_raw for t in self.trades if until is None or t.log.block_number <= until)

    def all_done(self, order: CowOrder, until: int | None = None) -> bool:
        """Whether trades have used up what the order fixes."""
        return (self.bought_raw(until) if order.buys else self.sold_raw(until)) >= order.whole_raw


def check_quote(quote: Quote, order: CowOrder) -> None:
    """Whether a quote speaks of what was asked. Raises Reject QUOTE_ALTERED naming the field."""
    fields = quote.fields
    asked = {
        "sellToken": order.sell_token,
        "buyToken": order.buy_token,
        "receiver": order.receiver,
        "kind": order.kind,
        "sellTokenBalance": "erc20",
        "buyTokenBalance": "erc20",
        "partiallyFillable": order.partially_fillable,
    }
    for name, wanted in asked.items():
        found = fields.get(name)
        same = found.lower() == str(wanted).lower() if isinstance(found, str) else found == wanted
        if not same:
            raise _altered(name, found, wanted)
    if order.buys:
        if quote.buy_raw != order.buy_raw:
            raise _altered("buyAmount", quote.buy_raw, order.buy_raw)
    elif quote.cost_raw != order.sell_raw:
        raise _altered("sellAmount", quote.cost_raw, order.sell_raw)


def _altered(name: str, found: object, wanted: object) -> Reject:
    return Reject(
        "QUOTE_ALTERED",
        f"the order book's quote says {name} {str(found)[:60]}, asked was {wanted}",
        "nothing was signed; do not use this order book",
    )


def most_raw(part: Part, quoted_raw: int, slippage_bps: int, planned_raw: int) -> int:
    """The most a purchase gives: the quoted cost and the slippage, between what the plan itself gives (`planned_raw`) and the part's ceiling.

    Rounded down. Raises Reject QUOTE_ABOVE_CEILING: who asks more than the plan's maximum will hardly take less. A quote below the plan
    does not lower the limit below it: then nobody would settle what a liar promised.
    """
    if quoted_raw > part.in_raw:
        raise Reject(
            "QUOTE_ABOVE_CEILING",
            f"the order book asks {quoted_raw}, the plan's maximum is {part.in_raw}",
            "nothing was signed; trade with --protection private, or allow more slippage",
        )
    return min(part.in_raw, max(plus_bps_down(quoted_raw, slippage_bps), planned_raw))


def least_raw(part: Part, quoted_raw: int, slippage_bps: int) -> int:
    """The least the order accepts: the quote less the slippage, between the plan's floor and what the plan itself gives.

    Rounded down. Raises Reject QUOTE_BELOW_FLOOR: who quotes less than the plan's minimum will hardly pay it. A quote above the
    plan does not raise the limit above it: then nobody would settle what a liar promised.
    """
    if quoted_raw < part.floor_raw:
        raise Reject(
            "QUOTE_BELOW_FLOOR",
            f"the order book quotes {quoted_raw}, the plan's minimum is {part.floor_raw}",
            "nothing was signed; trade with --protection private, or allow more slippage",
        )
    return max(part.floor_raw, min(less_bps_down(quoted_raw, slippage_bps), part.out_raw), 1)


def check_offer(part: Part, order: CowOrder, wallet: Address, owner: Address | None = None) -> None:
    """What must be true of an order before anybody is asked to sign it: `owner` is the wallet itself, or what holds the agent's orders for it.
    Raises Halt OFFER_DIFFERS: then a step of ours went wrong."""
    wrong = [
        name
        for name, right in {
            "owner": order.owner == (owner or wallet),
            "receiver": order.receiver == wallet,
            "sell_token": order.sell_token == token_of(part.asset_in),
            "buy_token": order.buy_token == token_of(part.asset_out),
            "sell_raw": 0 < order.sell_raw <= part.in_raw if order.buys else order.sell_raw == part.in_raw,
            "buy_raw": order.buy_raw == part.out_raw if order.buys else order.buy_raw >= part.floor_raw,
            "fee_raw": order.fee_raw == 0,
        }.items()
        if not right
    ]
    if wrong:
        raise Halt("OFFER_DIFFERS", f"{part.cl_ord_id}: {wrong[0]} is not the plan's", "please report it")


def on_chain(logs: Sequence[Log], order: CowOrder, uid: str) -> OnChain:
    """What logs of the settlement contract say of the order. Raises Halt TRADE_DIFFERS for one that the order does not allow."""
    trades: list[Traded] = []
    invalidated: int | None = None
    for log in sorted(logs, key=lambda entry: (entry.block_number, entry.log_index)):
        event = decode_event(CONTRACT, log) if log.address.lower() == order.settlement.lower() else None
        if event is None or "0x" + event.args["orderUid"].hex() != uid:
            continue
        if event.event == "Trade":
            _check_trade(event.args, order, log)
            trades.append(Traded(event.args["sellAmount"], event.args["buyAmount"], log))
        elif event.event == "OrderInvalidated":
            invalidated = log.block_number
    return OnChain(tuple(trades), invalidated)


def _check_trade(told: Mapping[str, Any], order: CowOrder, log: Log) -> None:
    """The contract settles nothing past an order's tokens and limit price: a log that says so comes from a chain that lies, or is another's."""
    sold, bought = told["sellAmount"], told["buyAmount"]
    right = {
        "sellToken": told["sellToken"].lower() == order.sell_token.lower(),
        "buyToken": told["buyToken"].lower() == order.buy_token.lower(),
        "feeAmount": told["feeAmount"] == order.fee_raw,
        "sellAmount": sold * order.buy_raw <= bought * order.sell_raw,
    }
    for name, good in right.items():
        if not good:
            what = f"{log.tx_hash} trades {sold} for {bought}: its {name} is not what the order allows"
            raise Halt("TRADE_DIFFERS", what, "nothing of it was counted; are the chain's endpoints honest?")


def fill_of(part: Part, traded: Traded, decimals: Mapping[AssetId, int], at_ns: int) -> Fill:
    """The solver's and the network's share are inside the price: what was sold went, what was bought came."""
    return Fill(
        exec_id=traded.exec_id,
        place=part.place,
        asset_in=part.asset_in,
        asset_out=part.asset_out,
        qty_in=qty_exact(traded.sold_raw, decimals[part.asset_in]),
        qty_out=qty_exact(traded.bought_raw, decimals[part.asset_out]),
        fee_asset=part.asset_out,
        fee_qty=qty_exact(0, decimals[part.asset_out]),
        at_ns=at_ns,
    )
