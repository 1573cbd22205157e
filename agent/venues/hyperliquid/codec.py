"""Hyperliquid's actions and answers: orders to actions, payloads to nouns, refusals to verbs. Pure; amounts are text until Decimal.

Sources: the venue's published API documentation. Spot pairs are of their coins; a perpetual is a contract, an asset of its own here
(`ETH-PERP`), and what it is margined in are the perpetuals' own dollars (`USDC-PERPS`), which no spot pair can spend. A client order id of
ours travels in the 16 bytes of a cloid and is read back from it.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

import orjson

from agent.domain.errors import FairleadError, Reconcile, Reject, Usage
from agent.domain.ids import ClOrdId, in_16_bytes, out_of_16_bytes
from agent.domain.instruments import Place, cex_id
from agent.domain.order_state import OrdStatus
from agent.domain.orders import OrdType, Side, TimeInForce, VenueOrder
from agent.domain.reports import Balance, Fill, OrderSnapshot, Position
from agent.domain.units import WIDE, sum_exact
from agent.market.reading import above_zero, ns_of_ms, number, side, whole
from agent.market.reading import name as text_of
from agent.ports import VenueInstrument
from agent.venues import garbled, understood

SPOT_ASSETS, SPOT_DECIMALS, PERP_DECIMALS, DIGITS = 10_000, 8, 6, 5
MIN_NOTIONAL = Decimal(10)
PERP_FEES_BPS = Decimal("1.5"), Decimal("4.5")
"""Of the first tier, maker and taker."""
DOLLARS = "USDC-PERPS"
"""What perpetuals are margined in: the account's dollars there, apart from its spot USDC."""
TIF = {TimeInForce.GTC: "Gtc", TimeInForce.IOC: "Ioc"}
_CLOID = re.compile(r"0x[0-9a-f]{32}")


@dataclass(frozen=True, slots=True)
class Market:
    """A spot pair or a perpetual: `coin` is its name on the wire ("@107", "ETH"), `asset` its number in actions. Prices have `decimals` less
    those of the lot."""

    instrument: VenueInstrument
    coin: str
    asset: int
    decimals: int = SPOT_DECIMALS


def load(body: bytes, what: str, *, write: bool = False) -> Any:
    """Raises Retry GARBLED for what is no JSON: it broke on its way, and what was asked can be asked again; a write is Reconcile."""
    try:
        return orjson.loads(body)
    except ValueError:
        raise garbled(what, body, write=write) from None


# ids


def cloid(cl_ord_id: ClOrdId) -> str:
    """16 bytes of hex."""
    return "0x" + in_16_bytes(cl_ord_id).hex()


def cl_ord_id(text: str | None) -> ClOrdId | None:
    """Our id out of a cloid, None for what is none of ours."""
    if not text or not _CLOID.fullmatch(text):
        return None
    return out_of_16_bytes(bytes.fromhex(text[2:]))


# actions


def wire(value: Decimal) -> str:
    """Plain digits, no exponent, no trailing zeros: the form that is hashed."""
    text = f"{value:f}"
    return text.rstrip("0").rstrip(".") if "." in text else text


def order_action(order: VenueOrder, market: Market) -> dict[str, Any]:
    """Raises Usage for what the venue would refuse: off its grid, below 10 of quote, a type or time it has not, a pair that is to be reduced."""
    return {"type": "order", "orders": [order_wire(order, market)], "grouping": "na"}


def order_wire(order: VenueOrder, market: Market) -> dict[str, Any]:
    instrument = market.instrument
    if order.ord_type is not OrdType.LIMIT or order.px is None:
        raise Usage("MISSING_PRICE", "an order at Hyperliquid needs a price", "give --limit")
    if order.time_in_force not in TIF:
        raise Usage("UNSUPPORTED_TIF", f"{order.time_in_force.value} is not offered there", "GTC or IOC")
    if order.reduce_only and not instrument.contract:
        raise Usage("UNSUPPORTED_TERMS", f"{instrument.symbol} has no position to make smaller", "trade it")
    if order.order_qty <= 0 or order.order_qty % instrument.lot:
        raise Usage(
            "OFF_GRID",
            f"quantity {wire(order.order_qty)} is no multiple of {wire(instrument.lot)}",
            f"{instrument.symbol} trades in such steps",
        )
    if not on_grid(order.px, instrument.lot, market.decimals):
        raise Usage(
            "OFF_GRID",
            f"price {wire(order.px)} has more than {DIGITS} digits that count, or too many decimals",
            f"{instrument.symbol} is priced in steps of {wire(instrument.tick)} now",
        )
    if order.px * order.order_qty < instrument.min_notional:
        raise Usage(
            "BELOW_MIN_NOTIONAL",
            f"the order is worth less than {wire(instrument.min_notional)} {instrument.quote}",
        )
    return {
        "a": market.asset,
        "b": order.side is Side.BUY,
        "p": wire(order.px),
        "s": wire(order.order_qty),
        "r": order.reduce_only,
        "t": {"limit": {"tif": TIF[order.time_in_force]}},
        "c": cloid(order.cl_ord_id),
    }


def on_grid(px: Decimal, lot: Decimal, decimals: int = SPOT_DECIMALS) -> bool:
    """Whole prices always; others with at most five digits that count and `decimals` less those of the lot."""
    if px <= 0:
        return False
    if px == px.to_integral_value():
        return True
    parts = px.normalize().as_tuple()
    assert isinstance(parts.exponent, int)
    return len(parts.digits) <= DIGITS and -parts.exponent <= decimals - _decimals(lot)


def _decimals(lot: Decimal) -> int:
    exponent = lot.normalize().as_tuple().exponent
    assert isinstance(exponent, int)
    return max(0, -exponent)


def cancel_action(cl_ord_id: ClOrdId, market: Market) -> dict[str, Any]:
    return {"type": "cancelByCloid", "cancels": [{"asset": market.asset, "cloid": cloid(cl_ord_id)}]}


def modify_action(order: VenueOrder, market: Market) -> dict[str, Any]:
    """The order with this client order id becomes this one and keeps the id."""
    return {"type": "modify", "oid": cloid(order.cl_ord_id), "order": order_wire(order, market)}


def schedule_action(at_ms: int | None) -> dict[str, Any]:
    """Everything is cancelled at that instant, 5 s ahead at least; None takes that back."""
    return {"type": "scheduleCancel"} | ({} if at_ms is None else {"time": at_ms})


def to_sign(action: Mapping[str, Any], expires_ms: int) -> str:
    """What the signer judges and signs."""
    return orjson.dumps({"action": action, "expiresAfter": expires_ms}).decode()


def signed_body(asked: str, signature: str) -> str:
    """The request's body: what was signed, with the nonce and the signature that the signer gave. Raises Halt."""
    with understood("the signer's answer"):
        told, parts = orjson.loads(asked), orjson.loads(signature)
        body = {
            "action": told["action"],
            "nonce": parts["nonce"],
            "signature": {key: parts[key] for key in ("r", "s", "v")},
            "vaultAddress": None,
            "expiresAfter": told["expiresAfter"],
        }
        return orjson.dumps(body).decode()


# answers


def markets(meta: Any, mids: Mapping[str, str], maker_bps: Decimal, taker_bps: Decimal) -> dict[str, Market]:
    """Spot pairs with a price, by "BASE/QUOTE". `mids`: by the wire's name, where prices are now: the step follows from it."""
    found: dict[str, Market] = {}
    with understood("spotMeta"):
        tokens = {token["index"]: token for token in meta["tokens"]}
        for pair in meta["universe"]:
            base, quote = (tokens[index] for index in pair["tokens"])
            symbol, coin = f"{base['name']}/{quote['name']}", pair["name"]
            if coin not in mids or symbol in found:
                continue
            digits = int(base["szDecimals"])
            lot = Decimal(1).scaleb(-digits)
            instrument = VenueInstrument(
                symbol,
                base["name"],
                quote["name"],
                step_up(number(mids[coin]), SPOT_DECIMALS - digits),
                lot,
                lot,
                MIN_NOTIONAL,
                taker_bps,
                maker_bps,
            )
            found[symbol] = Market(instrument, coin, SPOT_ASSETS + int(pair["index"]))
    return found


def perpetuals(meta: Any, mids: Mapping[str, str]) -> dict[str, Market]:
    """Contracts with a price, by "COIN-PERP", out of the answer to `meta`."""
    found: dict[str, Market] = {}
    with understood("meta"):
        for number_, row in enumerate(meta["universe"]):
            coin = text_of(row["name"])
            if coin not in mids or row.get("isDelisted"):
                continue
            digits, symbol = int(row["szDecimals"]), f"{coin}-PERP"
            lot, (maker_bps, taker_bps) = Decimal(1).scaleb(-digits), PERP_FEES_BPS
            tick = step_up(number(mids[coin]), PERP_DECIMALS - digits)
            instrument = VenueInstrument(
                symbol, symbol, DOLLARS, tick, lot, lot, MIN_NOTIONAL, taker_bps, maker_bps, "linear"
            )
            found[symbol] = Market(instrument, coin, number_, PERP_DECIMALS)
    return found


def step_up(px: Decimal, decimals: int) -> Decimal:
    """A step that keeps five digits up to twice this price, and is no finer than the venue's decimals; 1 at most."""
    if px <= 0:
        raise ValueError(f"a price of {px}")
    finest = Decimal(1).scaleb(-decimals)
    return min(max(Decimal(1).scaleb((2 * px).adjusted() - DIGITS + 1), finest), Decimal(1))


def refusal(text: str, *, write: bool) -> FairleadError:
    """The verb of the venue's words."""
    low = text.lower()
    said = f"the venue says: {text[:200]}"
    if write and ("duplicate" in low or ("already" in low and ("cloid" in low or "nonce" in low))):
        return Reconcile("DUPLICATE_CLIENT_ID", said, "ask by client order id")
    if "reduce only" in low:
        return Reject("NOTHING_TO_REDUCE", said, "look at the position there")
    if "insufficient" in low:
        return Reject("INSUFFICIENT_BALANCE", said, "look at the balances there")
    if "does not exist" in low:
        return Reject("UNAUTHORIZED", said, "have the owner's wallet approve the agent wallet")
    if "nonce" in low or "expire" in low:
        return Reject("REQUEST_EXPIRED", said, "check this machine's clock")
    if "could not immediately match" in low:
        return Reject("NOT_MATCHED", said, "the market moved: price it anew")
    if "never placed" in low or "already canceled" in low:
        return Reject("NO_SUCH_ORDER", said)
    return Reject("VENUE_REFUSED", said)


def statuses(body: Any) -> list[Any]:
    """What became of each order of an action. Raises Reject, Reconcile for an error of the whole action."""
    with understood("the answer to an action", write=True):
        if body["status"] == "err":
            raise refusal(str(body["response"]), write=True)
        if body["status"] != "ok":
            raise ValueError(f"status {str(body['status'])[:40]}")
        response = body["response"]
        found = response.get("data", {}).get("statuses", [])
        if not isinstance(found, list):
            raise TypeError("statuses are no list")
        for one in found:
            if isinstance(one, dict) and "error" in one:
                raise refusal(str(one["error"]), write=True)
        return found


def status_of(word: str, cum_qty: Decimal) -> OrdStatus:
    """Raises KeyError for a word that is not documented."""
    if word in ("open", "triggered"):
        return OrdStatus.PARTIALLY_FILLED if cum_qty else OrdStatus.NEW
    if word == "filled":
        return OrdStatus.FILLED
    if word == "iocCancelRejected":
        return OrdStatus.EXPIRED
    if word in ("canceled", "scheduledCancel") or word.endswith("Canceled"):
        return OrdStatus.CANCELED
    if word == "rejected" or word.endswith("Rejected"):
        return OrdStatus.REJECTED
    raise KeyError(word)


class Reader:
    """Payloads of one account to nouns; knows the pairs by their name on the wire."""

    def __init__(self, venue: str, known: Mapping[str, Market]) -> None:
        self.venue, self.place, self._known = venue, Place(f"cex:{venue}"), known
        self.names: dict[str, ClOrdId] = {}

    def market(self, coin: str) -> Market | None:
        return self._known.get(coin)

    def name(self, row: Mapping[str, Any]) -> ClOrdId:
        """Whose order it is: ours by its cloid, else by the number that the venue gave it."""
        text = row.get("cloid")
        if text is not None and not isinstance(text, str):
            raise TypeError("a cloid that is no text")
        return cl_ord_id(text) or self.names.get(text or "") or ClOrdId(f"oid-{whole(row['oid'])}")

    def order(self, row: Any, word: str, at_ms: int, fills: Iterable[Fill] = ()) -> OrderSnapshot:
        """A row of openOrders, orderStatus or orderUpdates. `cum_qty` is what fills tell, where they do."""
        with understood("an order"):
            told = tuple(fills)
            market = self._known[row["coin"]]
            left = number(row["sz"])
            size = above_zero(row["origSz"]) if "origSz" in row else left
            base = cex_id(self.venue, market.instrument.base)
            filled = sum(((f.qty_out if f.asset_out == base else f.qty_in) for f in told), Decimal(0))
            cum_qty = filled if told else size - left
            if not 0 <= left <= size:
                raise ValueError(f"{left} left of {size}")
            return OrderSnapshot(
                self.name(row),
                str(whole(row["oid"])),
                market.instrument.symbol,
                side(row["side"], "B", "A"),
                status_of(word, cum_qty),
                size,
                number(row["limitPx"]),
                cum_qty,
                told,
                ns_of_ms(at_ms),
            )

    def fill(self, row: Any) -> tuple[ClOrdId, str, Fill] | None:
        """(our name, the venue's order number, fill); None for what is not traded. A rebate counts as no fee. A perpetual's is
        taken of the perpetuals' own dollars."""
        with understood("a fill"):
            market = self._known.get(row["coin"])
            if market is None:
                return None
            instrument, buys = market.instrument, side(row["side"], "B", "A") is Side.BUY
            base, quote = cex_id(self.venue, instrument.base), cex_id(self.venue, instrument.quote)
            qty = above_zero(row["sz"])
            notional = qty * above_zero(row["px"])
            fee_in = (
                instrument.quote if instrument.contract else text_of(row.get("feeToken") or instrument.quote)
            )
            fill = Fill(
                f"{instrument.symbol}:{whole(row['tid'])}",
                self.place,
                quote if buys else base,
                base if buys else quote,
                notional if buys else qty,
                qty if buys else notional,
                cex_id(self.venue, fee_in),
                max(number(row["fee"]), Decimal(0)),
                ns_of_ms(row["time"]),
            )
            return self.name(row), str(whole(row["oid"])), fill


def balances(data: Any, venue: str) -> list[Balance]:
    """spotClearinghouseState: what is held for orders is locked."""
    with understood("spotClearinghouseState"):
        found = []
        for row in data["balances"]:
            total, hold = number(row["total"]), number(row["hold"])
            if total:
                found.append(Balance(cex_id(venue, text_of(row["coin"])), total - hold, hold))
        return found


FUNDING_PAGE = 500
"""So many payments fundingHistory tells at once."""


def funding(rows: Any) -> tuple[tuple[int, Decimal], ...]:
    """(time in ns, rate) of fundingHistory, oldest first."""
    with understood("fundingHistory"):
        return tuple(sorted((ns_of_ms(row["time"]), number(row["fundingRate"])) for row in rows))


def dollars(data: Any, venue: str) -> list[Balance]:
    """clearinghouseState: the perpetuals' own dollars, without gains of open positions; what may be withdrawn is free, since
    what margin and orders take may not. `totalRawUsd` is what is left of them once positions are taken at nothing."""
    with understood("clearinghouseState"):
        rows = [row["position"] for row in data["assetPositions"]]
        costs = [
            WIDE.multiply(number(row["szi"]), number(row["entryPx"])) for row in rows if number(row["szi"])
        ]
        summary = data["marginSummary"]
        held = sum_exact([number(summary["totalRawUsd"]), *costs])
        free = max(min(held, number(data["withdrawable"])), Decimal(0)) if held > 0 else held
        return [Balance(cex_id(venue, DOLLARS), free, held - free)] if held else []


def positions(data: Any, venue: str) -> list[Position]:
    """clearinghouseState: perpetuals, called as their markets."""
    with understood("clearinghouseState"):
        rows = [row["position"] for row in data["assetPositions"]]
        return [
            Position(
                f"{text_of(row['coin'])}-PERP",
                cex_id(venue, f"{text_of(row['coin'])}-PERP"),
                number(row["szi"]),
                number(row["szi"]) * number(row["entryPx"]),
                number(row["entryPx"]),
                None,
                cex_id(venue, DOLLARS),
                number(str(whole(row["leverage"]["value"]))),
                row["leverage"]["type"] == "isolated",
            )
            for row in rows
            if number(row["szi"])
        ]
