"""Orders that others settle, judged and counted: what may be asked for, whether a quote is sound, what the chain's logs say. Pure.

The rules: the wallet itself owns and receives, exactly the part's tokens and amount, no fee beside the price, never less than the
plan's floor. What the order book says decides nothing but how far above the floor the limit stands.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from agent.domain.errors import Halt, Reject
from agent.domain.instruments import AssetId
from agent.domain.orders import Part
from agent.domain.reports import Fill
from agent.domain.units import less_bps_down, qty_exact
from agent.execution.settlement import token_of
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


def check_quote(fields: Mapping[str, Any], sell_raw: int, fee_raw: int, order: CowOrder) -> None:
    """Whether a quote speaks of what was asked. Raises Reject QUOTE_ALTERED naming the field."""
    asked = {
        "sellToken": order.sell_token,
        "buyToken": order.buy_token,
        "receiver": order.receiver,
        "kind": "sell",
        "sellTokenBalance": "erc20",
        "buyTokenBalance": "erc20",
        "partiallyFillable": order.partially_fillable,
    }
    for name, wanted in asked.items():
        found = fields.get(name)
        same = found.lower() == str(wanted).lower() if isinstance(found, str) else found == wanted
        if not same:
            raise _altered(name, found, wanted)
    if sell_raw + fee_raw != order.sell_raw:
        raise _altered("sellAmount", sell_raw + fee_raw, order.sell_raw)


def _altered(name: str, found: object, wanted: object) -> Reject:
    return Reject(
        "QUOTE_ALTERED",
        f"the order book's quote says {name} {str(found)[:60]}, asked was {wanted}",
        "nothing was signed; do not use this order book",
    )


def limit_raw(part: Part, quoted_raw: int, slippage_bps: int) -> int:
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


def check_offer(part: Part, order: CowOrder, wallet: Address) -> None:
    """What must be true of an order before anybody is asked to sign it. Raises Halt OFFER_DIFFERS: then a step of ours went wrong."""
    wrong = [
        name
        for name, right in {
            "owner": order.owner == wallet,
            "receiver": order.receiver == wallet,
            "sell_token": order.sell_token == token_of(part.asset_in),
            "buy_token": order.buy_token == token_of(part.asset_out),
            "sell_raw": order.sell_raw == part.in_raw,
            "buy_raw": order.buy_raw >= part.floor_raw,
            "fee_raw": order.fee_raw == 0,
        }.items()
        if not right
    ]
    if wrong:
        raise Halt("OFFER_DIFFERS", f"{part.cl_ord_id}: {wrong[0]} is not the plan's", "please report it")


def on_chain(logs: Sequence[Log], order: CowOrder, uid: str) -> OnChain:
    """What logs of the settlement contract say of the order."""
    trades: list[Traded] = []
    invalidated: int | None = None
    for log in sorted(logs, key=lambda entry: (entry.block_number, entry.log_index)):
        event = decode_event(CONTRACT, log) if log.address.lower() == order.settlement.lower() else None
        if event is None or "0x" + event.args["orderUid"].hex() != uid:
            continue
        if event.event == "Trade":
            trades.append(Traded(event.args["sellAmount"], event.args["buyAmount"], log))
        elif event.event == "OrderInvalidated":
            invalidated = log.block_number
    return OnChain(tuple(trades), invalidated)


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
