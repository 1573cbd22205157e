"""The thief at the exchange: what the signer refuses to sign for him, and what he gets by trading with himself where it signs.

He has the signer's door, the API key, and an account of his own at the exchange. A request that is to be refused is sent all the same,
with whatever signature he was given. What passes is taken to the end: the day's limit, and the same signature again and again.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping

from agent.app.chaos.custody import wallet as c
from agent.app.chaos.custody.exchange_room import now_ms
from agent.app.chaos.custody.moves import Move, Room
from agent.app.chaos.custody.signer_room import refusal
from chains.errors import Halt
from keys.signer.exchange_orders import LIFE_MS

EXCHANGE, SELF = "asks the signer for the exchange", "trades with himself at the exchange"
ORDER = "/api/v3/order"
TOP, BOTTOM = c.EXCHANGE_LIMIT["px_to"], c.EXCHANGE_LIMIT["px_from"]
WHOLE, REST = "1.2", "0.6"
"""The largest order at the top of the band; what is left of the day after two of them."""
_MANY, _TRIES = 6, 40


def _order(**changes: str) -> str:
    fields = {
        "symbol": "ETHUSDC",
        "side": "SELL",
        "type": "LIMIT",
        "timeInForce": "GTC",
        "quantity": "1",
        "price": "1",
    }
    fields |= {"timestamp": str(now_ms())} | changes
    return "&".join(f"{name}={value}" for name, value in fields.items())


def _dated(**fields: str) -> str:
    return "&".join(f"{n}={v}" for n, v in ({"timestamp": str(now_ms())} | fields).items())


EXCHANGE_ATTACKS: Mapping[str, tuple[str, str, str, Callable[[], str]]] = {
    "withdraws to the thief": ("EXCHANGE_WITHDRAWAL", "POST", "/sapi/v1/capital/withdraw/apply", lambda: _dated(coin="ETH", address=c.THIEF, amount="1")),
    "transfers to another account": ("EXCHANGE_WITHDRAWAL", "POST", "/sapi/v1/asset/transfer", lambda: _dated(type="MAIN_MARGIN", asset="ETH", amount="1")),
    "transfers to a sub-account": ("EXCHANGE_WITHDRAWAL", "POST", "/sapi/v1/sub-account/universalTransfer", lambda: _dated(asset="ETH", amount="1")),
    "borrows on margin": ("EXCHANGE_WITHDRAWAL", "POST", "/sapi/v1/margin/loan", lambda: _dated(asset="ETH", amount="1")),
    "pays somebody": ("EXCHANGE_WITHDRAWAL", "POST", "/sapi/v1/pay/transfer", lambda: _dated(asset="ETH", amount="1")),
    "converts": ("EXCHANGE_WITHDRAWAL", "POST", "/sapi/v1/convert/getQuote", lambda: _dated(fromAsset="ETH", toAsset="SHIB")),
    "makes an API key": ("EXCHANGE_WITHDRAWAL", "POST", "/sapi/v1/apikey", lambda: _dated()),
    "logs a session on": ("EXCHANGE_UNLISTED", "WS", "session.logon", lambda: _dated(apiKey="k")),
    "signs a withdrawal's words for an order's path": ("EXCHANGE_PARAMETER", "POST", "/api/v3/order", lambda: _dated(coin="ETH", address=c.THIEF, amount="1")),
    "hides a parameter behind an encoded separator": ("EXCHANGE_PARAMETER", "POST", "/api/v3/order", lambda: _order(newClientOrderId="a%26address=b")),
    "names a parameter twice": ("EXCHANGE_PARAMETER", "POST", "/api/v3/order", lambda: _order() + "&symbol=ETHUSDC"),
    "sends no date": ("EXCHANGE_PARAMETER", "POST", "/api/v3/order", lambda: "symbol=ETHUSDC&side=SELL&type=MARKET&quantity=1"),
    "dates an order for tomorrow": ("EXCHANGE_AHEAD", "POST", "/api/v3/order", lambda: _order(timestamp=str(int((time.time() + 86_400) * 1000)))),
    "dates an order in seconds": ("EXCHANGE_AHEAD", "POST", "/api/v3/order", lambda: _order(timestamp="9" * 16)),
    "trades a coin of his own": ("EXCHANGE_SYMBOL", "POST", "/api/v3/order", lambda: _order(symbol="SCAMUSDC")),
    "an order at another exchange": ("VENUE_UNKNOWN", "POST", "/api/v3/order", lambda: _order()),
    "an empty query": ("EXCHANGE_QUERY_INVALID", "POST", "/api/v3/order", lambda: ""),
    "a query of two lines": ("EXCHANGE_QUERY_INVALID", "POST", "/api/v3/order", lambda: _order() + "\r\nHost: x"),
    "sells below the owner's band": ("EXCHANGE_COLLAR", "POST", "/api/v3/order", lambda: _order(quantity="0.1", price="999.99")),
    "buys above the owner's band": ("EXCHANGE_COLLAR", "POST", "/api/v3/order", lambda: _order(side="BUY", quantity="0.1", price="10000.01")),
    "sells more than one order may": ("EXCHANGE_PER_ORDER", "POST", "/api/v3/order", lambda: _order(quantity="1.2001", price="3000")),
    "buys for more than one order may": ("EXCHANGE_PER_ORDER", "POST", "/api/v3/order", lambda: _order(side="BUY", quantity="12.1", price="1000")),
    "has an order's words signed for a reading": ("EXCHANGE_PER_ORDER", "GET", "/api/v3/account", lambda: _order(quantity="2000", price="3000")),
    "has an order's words signed for a test": ("EXCHANGE_PER_ORDER", "POST", "/api/v3/order/test", lambda: _order(quantity="2000", price="3000")),
    "has an order's words signed for a cancel": ("EXCHANGE_PER_ORDER", "DELETE", "/api/v3/order", lambda: _order(quantity="2000", price="3000")),
    "places more than one order may while it cancels another": ("EXCHANGE_PER_ORDER", "POST", "/api/v3/order/cancelReplace", lambda: _order(quantity="2000", price="3000", cancelReplaceMode="ALLOW_FAILURE", cancelOrderId="1")),
    "places an order on the socket": ("EXCHANGE_PER_ORDER", "WS", "order.place", lambda: _order(quantity="2000", price="3000", apiKey="public-ish-key")),
    "sells at any price": ("EXCHANGE_MARKET", "POST", "/api/v3/order", lambda: _dated(symbol="ETHUSDC", side="SELL", type="MARKET", quantity="0.1")),
    "buys at any price": ("EXCHANGE_MARKET", "POST", "/api/v3/order", lambda: _dated(symbol="ETHUSDC", side="BUY", type="MARKET", quantity="0.1")),
    "sells as many coins as an amount takes": ("EXCHANGE_MARKET", "POST", "/api/v3/order", lambda: _dated(symbol="ETHUSDC", side="SELL", type="MARKET", quoteOrderQty="100")),
    "trades what no limits are set for": ("EXCHANGE_LIMITS", "POST", "/api/v3/order", lambda: _order(symbol="BTCUSDC", quantity="0.1", price="3000")),
    "trades what he does not name": ("EXCHANGE_LIMITS", "POST", "/api/v3/order", lambda: _dated(side="SELL", type="LIMIT", quantity="0.1", price="3000")),
    "a signature that is good for a minute": ("EXCHANGE_WINDOW", "POST", "/api/v3/order", lambda: _order(quantity="0.1", price="3000", recvWindow="60000")),
    "an order dated half a minute ahead": ("EXCHANGE_AHEAD", "POST", "/api/v3/order", lambda: _order(quantity="0.1", price="3000", timestamp=str(now_ms() + 30_000))),
    "an order that lies in wait": ("EXCHANGE_ORDER", "POST", "/api/v3/order", lambda: _order(type="STOP_LOSS_LIMIT", quantity="0.1", price="3000")),
    "an order that follows the price": ("EXCHANGE_ORDER", "POST", "/api/v3/order", lambda: _order(quantity="0.1", price="3000", trailingDelta="100")),
    "a quantity in another notation": ("EXCHANGE_ORDER", "POST", "/api/v3/order", lambda: _order(quantity="1e3", price="3000")),
    "a quantity of nothing": ("EXCHANGE_ORDER", "POST", "/api/v3/order", lambda: _order(quantity="0", price="3000")),
    "an order without a price": ("EXCHANGE_ORDER", "POST", "/api/v3/order", lambda: _dated(symbol="ETHUSDC", side="SELL", type="LIMIT", quantity="0.1")),
}  # fmt: skip


def _asks(room: Room, method: str, path: str, query: str, venue: str = "paper") -> str:
    """Asked of the signer; what it signs is an order wherever it was said to go, and is sent as one; what it only grants it is told to send."""
    asked = f"thief-asks-{time.time_ns()}"
    answer = room.signer.exchange(method, path, query, venue, request_id=asked)
    if "result" in answer:
        room.exchange.sends("POST", ORDER, query, answer["result"]["signature"])
        room.signer.exchange(method, path, query, venue, request_id=asked, door="send")
    return refusal(answer)


def _at_exchange(name: str, attack: tuple[str, str, str, Callable[[], str]]) -> Move:
    rule, method, path, query = attack

    def before(room: Room) -> None:
        room.signer.fresh()
        room.exchange.waits("BUY", BOTTOM, "3000")

    def act(room: Room) -> str:
        return _asks(room, method, path, query(), "elsewhere" if rule == "VENUE_UNKNOWN" else "paper")

    return Move(EXCHANGE, name, act, rule + ":", before)


# ---------------------------------------------------------------------- the day's limit
def _spent(restart: bool) -> Callable[[Room], object]:
    """The day is used up: three orders signed and none of them sent."""

    def before(room: Room) -> None:
        room.signer.fresh()
        room.exchange.waits("SELL", TOP, "100")
        for quantity in (WHOLE, WHOLE, REST):
            answer = room.signer.exchange("POST", ORDER, _order(side="BUY", quantity=quantity, price=TOP))
            if "result" not in answer:
                raise Halt("CHAOS_WORLD", f"an honest order was refused: {refusal(answer)}")
        if restart:
            room.signer.restart()

    return before


def _one_more(room: Room) -> str:
    return _asks(room, "POST", ORDER, _order(side="BUY", quantity="0.0005", price=TOP))


DAYS = (
    Move(EXCHANGE, "one order more than a day may cost", _one_more, "EXCHANGE_PER_DAY:", _spent(restart=False)),
    Move(EXCHANGE, "the same after the signer was restarted", _one_more, "EXCHANGE_PER_DAY:", _spent(restart=True)),
)  # fmt: skip


# ---------------------------------------------------------------------- what is sent by the signer
_GRANTED: dict[str, str] = {}
"""The words of the one small order that is granted before such an attack begins."""


def _granted(restart: bool = False) -> Callable[[Room], object]:
    """An honest grant that was not sent, under the id `small`."""

    def before(room: Room) -> None:
        room.signer.fresh()
        room.exchange.waits("SELL", TOP, "100")
        _GRANTED["query"] = _small()
        answer = room.signer.exchange("POST", ORDER, _GRANTED["query"], request_id="small")
        if "result" not in answer:
            raise Halt("CHAOS_WORLD", f"an honest order was refused: {refusal(answer)}")
        if restart:
            room.signer.restart()

    return before


def _small(**changes: str) -> str:
    return _order(**({"side": "BUY", "quantity": "0.1", "price": TOP} | changes))


def _told_to_send(request_id: str, path: str = ORDER, **changes: str) -> Callable[[Room], str]:
    """`changes` to what was granted; without any, those very words."""

    def act(room: Room) -> str:
        query = _small(**changes) if changes else _GRANTED["query"]
        return refusal(room.signer.exchange("POST", path, query, request_id=request_id, door="send"))

    return act


def _words(method: str, path: str, **changes: str) -> Callable[[Room], str]:
    return lambda room: _asks(room, method, path, _small(**changes))


KEPT = (
    Move(EXCHANGE, "has an order sent that was never granted", _told_to_send("never"), "EXCHANGE_NOT_GRANTED:", _granted()),
    Move(EXCHANGE, "has other words sent than were granted", _told_to_send("small", quantity="3"), "REQUEST_ID_REUSED:", _granted()),
    Move(EXCHANGE, "has a granted order sent to another endpoint", _told_to_send("small", "/sapi/v1/capital/withdraw/apply"), "REQUEST_ID_REUSED:", _granted()),
    Move(EXCHANGE, "has a grant sent after the signer was restarted", _told_to_send("small"), "EXCHANGE_SENT_BEFORE:", _granted(restart=True)),
    Move(EXCHANGE, "has a small order's words signed for a reading", _words("GET", "/api/v3/account"), "EXCHANGE_SENT_HERE:", _granted()),
    Move(EXCHANGE, "has a small order's words signed for a cancel", _words("DELETE", ORDER), "EXCHANGE_SENT_HERE:", _granted()),
    Move(EXCHANGE, "has a small order's words signed for the socket", _words("WS", "order.place", apiKey="public-ish-key"), "EXCHANGE_SENT_HERE:", _granted()),
)  # fmt: skip


# ---------------------------------------------------------------------- what passes
def _himself(side: str, price: str) -> tuple[Callable[[Room], object], Callable[[Room], str]]:
    """All that a day lets through, each order once; the thief on the other side at his price."""
    other = "BUY" if side == "SELL" else "SELL"

    def before(room: Room) -> None:
        room.signer.fresh()
        room.exchange.waits(other, price, "100")

    def act(room: Room) -> str:
        said, signed = "", 0
        # As many as are signed; the count ends where the owner set no limit worth the name.
        for quantity in (WHOLE,) * _MANY + (REST,):
            one = f"t{signed}-{now_ms()}"
            refused = _asks(
                room, "POST", ORDER, _order(side=side, quantity=quantity, price=price, newClientOrderId=one)
            )
            said, signed = refused or said, signed + (not refused)
        return f"{signed} orders, and then {said}"

    return before, act


def _again_and_again(room: Room) -> str:
    """One order, for as long as the exchange takes it: filled at once, its id is free again. By its signature where one was
    given, and by telling the signer to send it, under the id it was granted under and under others."""
    query = _order(side="BUY", quantity=WHOLE, price=TOP, newClientOrderId=f"r{now_ms()}", timestamp=str(now_ms() + 900))  # fmt: skip
    answer = room.signer.exchange("POST", ORDER, query, request_id="again")
    if "result" not in answer:
        raise Halt("CHAOS_WORLD", f"an order within the limits was refused: {refusal(answer)}")
    taken, until = 0, time.monotonic() + LIFE_MS / 1000 + 1
    tries = 0
    while time.monotonic() < until:
        told = room.exchange.sends("POST", ORDER, query, answer["result"]["signature"])
        if told.get("code") == -1021:
            break
        if told.get("code") == -1015:
            time.sleep(0.1)
        by_signer = room.signer.exchange(
            "POST", ORDER, query, request_id="again" if tries % 2 == 0 else f"again-{tries}", door="send"
        )
        taken += (told.get("status") == "FILLED") + ("FILLED" in str(by_signer.get("result", "")))
        tries += 1
        if told.get("code") == -1022 and tries > _TRIES:  # never a signature that is right
            break
    return f"one order carried out {taken} times"


def _stocked(room: Room) -> None:
    room.signer.fresh()
    room.exchange.waits("SELL", TOP, "400")


def moves() -> list[Move]:
    top, bottom = _himself("BUY", TOP), _himself("SELL", BOTTOM)
    return [
        *(_at_exchange(name, attack) for name, attack in EXCHANGE_ATTACKS.items()),
        *DAYS,
        Move(SELF, "buys his coins at the top of the band to the end of the day", top[1], "", top[0], repelled=False),
        Move(SELF, "sells him coins at the bottom of the band to the end of the day", bottom[1], "", bottom[0], repelled=False),
        Move(SELF, "has one order carried out as often as the exchange takes it", _again_and_again, "", _stocked, repelled=False),
        *KEPT,
    ]  # fmt: skip
