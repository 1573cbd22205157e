"""What may be signed for Kraken: single requests that trade or read, counted before; never a socket's token, and nothing that moves funds. Pure.

A signature of Kraken's covers path, nonce and body, so that the endpoint is bound as well; it is taken once, for nonces only grow, and not
any more once a later nonce was. An order has to say until when it may be carried out (`deadline`), six seconds from now at most. On the
private socket orders would follow that nobody signed; its token is asked for by no signed request therefore, unless the settings `allow` it
("POST /0/private/GetWebSocketsToken"): limits bound nothing then. Orders are counted as `exchange_orders` does; pairs are named as in the
settings, `ETH/USDC` or as Kraken's orders call them, `ETHUSDC`.

A change says neither pair nor side. It is signed for a client's id under which this process signed an order before, and counted whole,
as a sale there at the dearest price; one id belongs to one pair.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime

from chains.errors import Denied, Usage
from keys.signer import exchange
from keys.signer.exchange_orders import LIFE_MS

DIALECT = "kraken"
REPEATS = 1
API = "/0/private/"
TOKEN = "POST /0/private/GetWebSocketsToken"
ORDER, CHANGE = "AddOrder", "AmendOrder"
READS = frozenset(
    "OpenOrders ClosedOrders QueryOrders QueryTrades TradesHistory Balance BalanceEx TradeVolume GetApiKeyInfo".split()
)
ENDS = frozenset("CancelOrder CancelAll CancelAllOrdersAfter".split())
_ORDER = frozenset("pair type ordertype volume price timeinforce oflags cl_ord_id deadline".split())
_CHANGE = frozenset("cl_ord_id order_qty limit_price deadline".split())
_PLAIN = frozenset(
    "txid cl_ord_id trades start end ofs type consolidate_taker without_count timeout pair asset".split()
)
FLAGS = frozenset({"fciq", "fciq,post"})
"""Others say a volume in the quote, or take the fee elsewhere."""
_VALUE = re.compile(r"[A-Za-z0-9._~:,/-]{1,1200}")
_BODY = re.compile(r"[\x21-\x7e]{0,4096}")
_ID = re.compile(r"[0-9a-f]{8}-(?:[0-9a-f]{4}-){3}[0-9a-f]{12}")
_UNTIL = re.compile(r"([0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2})\.([0-9]{3})Z")
_OLDER = {"BTC": "XBT", "DOGE": "XDG"}


@dataclass(frozen=True, slots=True)
class Asked:
    """A request that may be judged further. `words`: an order in a plain order's words, None for what is none; `writes`: it changes
    something there; `named`: the client's id of an order or its change."""

    endpoint: str
    words: Mapping[str, str] | None
    writes: bool
    named: str = ""


def pair_of(symbol: str) -> str:
    """What Kraken's orders call a market: `XBTUSD` of `BTC/USD`; a pair stays as it is."""
    base, slash, quote = symbol.partition("/")
    return _OLDER.get(base, base) + _OLDER.get(quote, quote) if slash else symbol


def grants_token(allow: tuple[str, ...]) -> bool:
    """Whether the owner wrote so into the signer's settings: what is sent on that socket nobody signs, and nobody counts."""
    return TOKEN in allow


def check(
    method: str,
    path: str,
    body: str,
    *,
    now_ms: int,
    symbols: frozenset[str] = frozenset(),
    allow: tuple[str, ...] = (),
    known: Mapping[str, str] | None = None,
) -> Asked:
    """`symbols`: those of the settings, none meaning any; `known`: the symbol of each client's id that was signed for. Raises Denied
    EXCHANGE_WITHDRAWAL, EXCHANGE_UNLISTED, EXCHANGE_PARAMETER, EXCHANGE_SYMBOL, EXCHANGE_WINDOW, EXCHANGE_ORDER; Usage for no request."""
    endpoint, name = f"{method} {path}", path.removeprefix(API)
    listed = {ORDER, CHANGE} | READS | ENDS
    token = endpoint == TOKEN and grants_token(allow)
    if not token and (method != "POST" or path != API + name or name not in listed):
        raise exchange.unlisted(endpoint, path, DIALECT)
    if not _BODY.fullmatch(body):
        raise Usage("EXCHANGE_QUERY_INVALID", f"{endpoint}: the body is too long or not printable ASCII", "Send its exact text, at most 4096 characters.")  # fmt: skip
    names = {ORDER: _ORDER, CHANGE: _CHANGE}.get(name, _PLAIN)
    values = exchange.values_of(endpoint, body, names, _VALUE)
    if name not in (ORDER, CHANGE):
        return Asked(endpoint, None, name in ENDS)
    _in_time(endpoint, values, now_ms)
    named = values.get("cl_ord_id", "")
    if not _ID.fullmatch(named):
        raise Denied("EXCHANGE_ORDER", f"{endpoint}: cl_ord_id {named[:40]!r} is no UUID", "Name every order by one.")  # fmt: skip
    there = (known or {}).get(named)
    if name == CHANGE:
        if there is None:
            raise Denied("EXCHANGE_ORDER", f"{endpoint} of {named}, which was not signed here since this process began", "Cancel it and send another.")  # fmt: skip
        words = {
            "symbol": there,
            # a change says no side: as a sale it is counted at the dearest price, which no purchase inside the band exceeds
            "side": "SELL",
            "type": "LIMIT",
            "quantity": values.get("order_qty", ""),
            "price": values.get("limit_price", ""),
            "timestamp": str(now_ms),
        }
        return Asked(endpoint, words, True, named)
    symbol = _symbol(endpoint, values.get("pair", ""), symbols)
    if there not in (None, symbol):
        raise Denied("EXCHANGE_ORDER", f"{endpoint}: cl_ord_id {named} was of {there}", "Every order has an id of its own.")  # fmt: skip
    if values.get("oflags", "") not in FLAGS or values.get("timeinforce", "GTC") not in ("GTC", "IOC"):
        raise Denied("EXCHANGE_ORDER", f"{endpoint}: oflags {values.get('oflags', '')[:40]!r}, timeinforce {values.get('timeinforce', '')[:40]!r}", "fciq or fciq,post; GTC or IOC.")  # fmt: skip
    words = {
        "symbol": symbol,
        "side": values.get("type", "").upper(),
        "type": values.get("ordertype", "").upper(),
        "quantity": values.get("volume", ""),
        "timestamp": str(now_ms),
    }
    if "price" in values:
        words["price"] = values["price"]
    return Asked(endpoint, words, True, named)


def _symbol(endpoint: str, pair: str, symbols: frozenset[str]) -> str:
    """As the settings call it."""
    found = next((symbol for symbol in symbols if pair_of(symbol) == pair_of(pair)), None)
    if found is None and symbols:
        raise Denied("EXCHANGE_SYMBOL", f"{endpoint} for {pair[:40]}, which is not among this venue's symbols", "List it under exchanges in the signer's settings.")  # fmt: skip
    return found or pair


def _in_time(endpoint: str, values: Mapping[str, str], now_ms: int) -> None:
    told = _UNTIL.fullmatch(values.get("deadline", ""))
    try:
        until = told and int(datetime.fromisoformat(told[1]).replace(tzinfo=UTC).timestamp()) * 1_000 + int(told[2])  # fmt: skip
    except ValueError:
        until = None
    if not until or not now_ms < until <= now_ms + LIFE_MS:
        raise Denied("EXCHANGE_WINDOW", f"{endpoint}: deadline {values.get('deadline', '')[:30]!r} is past, or more than {LIFE_MS} ms ahead, or not there", "Ask for a few seconds; set this machine's clock (NTP).")  # fmt: skip


def key_of(secret: str) -> bytes:
    """Raises Usage BAD_API_SECRET for what is no base64."""
    try:
        return base64.b64decode(secret.strip(), validate=True)
    except (binascii.Error, ValueError):
        raise Usage("BAD_API_SECRET", "the secret of a Kraken key is not in base64", "Copy it as Kraken shows it.") from None  # fmt: skip


def sign(key: bytes, path: str, body: str, nonce: int) -> str:
    """HMAC-SHA512 over the path and the SHA-256 of nonce and body, which begins with the nonce; base64."""
    sent = f"nonce={nonce}&{body}" if body else f"nonce={nonce}"
    hashed = hashlib.sha256(f"{nonce}{sent}".encode()).digest()
    return base64.b64encode(hmac.new(key, path.encode() + hashed, hashlib.sha512).digest()).decode()
