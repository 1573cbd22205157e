"""What may be signed for Coinbase Advanced Trade: a token for one method and path that trades or reads, and never one that leaves for orders. Pure.

A token (JWT) of Coinbase's names method, host and path, and until when it lives: ten seconds from now. It names neither query nor body and
is taken as often as it is shown, so that one for an order would be a door to trade. Orders and their changes are judged by their bodies
therefore, counted (`exchange_orders`) and sent by the signer itself (`exchange_desk`), once, six seconds after they were granted at most;
without `sends_to` none is. What reads, and what ends orders, gets its token. Products are named as Coinbase names them, `ETH-USDC`.

A body is judged in the one form that it is sent in: JSON without spaces, in the order that this software writes. A change names an order by
Coinbase's number alone: it is signed for one whose answer came through this process, and counted whole, as a sale there.

The private socket's token names no path. That REST takes none of that kind is not documented: it is signed only where the settings `allow`
"WS user".
"""

from __future__ import annotations

import base64
import binascii
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from chains.bounded_json import loads
from chains.errors import Denied, Usage
from keys.signer import exchange

if TYPE_CHECKING:
    from Crypto.PublicKey.ECC import EccKey

DIALECT = "coinbase"
REPEATS = 1
API = "/api/v3/brokerage/"
HOST = "api.coinbase.com"
LIVES_S, EARLIER_S = 10, 5
"""How long a token lives, and by how much the exchange's clock may be behind this machine's."""
ORDER, CHANGE = f"POST {API}orders", f"POST {API}orders/edit"
ENDS = f"POST {API}orders/batch_cancel"
SOCKET = "WS user"
READS = frozenset(
    f"GET {API}{name}"
    for name in "accounts orders/historical/batch orders/historical/fills key_permissions transaction_summary".split()
)
_ONE = re.compile(rf"GET {API}orders/historical/[A-Za-z0-9-]{{1,64}}")
_NUMBER = re.compile(r"[A-Za-z0-9-]{1,64}")
_ID = re.compile(r"[0-9a-f]{8}-(?:[0-9a-f]{4}-){3}[0-9a-f]{12}")
_TYPES = {
    "limit_limit_gtc": ("base_size", "limit_price", "post_only"),
    "sor_limit_ioc": ("base_size", "limit_price"),
    "limit_limit_fok": ("base_size", "limit_price"),
    "market_market_ioc": ("base_size",),
}
"""What an order may be, and what it says then, in that order."""
_SEE = "Only plain limit and market orders are signed, as this software writes them."


@dataclass(frozen=True, slots=True)
class Asked:
    """A request that may be judged further. `words`: an order in a plain order's words, None for what is none; `writes`: it changes
    something there."""

    endpoint: str
    words: Mapping[str, str] | None
    writes: bool


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
    """`symbols` that may be named, none meaning any; `known`: the product of each order that was sent from here, by Coinbase's number.
    Raises Denied EXCHANGE_WITHDRAWAL, EXCHANGE_UNLISTED, EXCHANGE_PARAMETER, EXCHANGE_ORDER, EXCHANGE_SYMBOL."""
    endpoint = f"{method} {path}"
    if endpoint in (ORDER, CHANGE):
        order = _body(endpoint, body)
        words = _order(order, symbols) if endpoint == ORDER else _change(order, known or {})
        return Asked(endpoint, {**words, "timestamp": str(now_ms)}, True)
    if endpoint == ENDS:
        named = _body(endpoint, body)
        ids = named.get("order_ids")
        if (
            set(named) != {"order_ids"}
            or not isinstance(ids, list)
            or not all(_is_number(one) for one in ids)
        ):
            raise _strange(endpoint, "order_ids")
        return Asked(endpoint, None, True)
    reads = endpoint in READS or _ONE.fullmatch(endpoint) or (endpoint == SOCKET and SOCKET in allow)
    if not reads:
        raise exchange.unlisted(endpoint, path, DIALECT)
    if body:
        raise _strange(endpoint, "a body")
    return Asked(endpoint, None, False)


def _strange(endpoint: str, what: str) -> Denied:
    return Denied("EXCHANGE_PARAMETER", f"{endpoint}: {what[:60]} is none of trading's, or not as it is written here", _SEE)  # fmt: skip


def _body(endpoint: str, body: str) -> dict[str, Any]:
    """Raises Denied for every text that another reader could read otherwise."""
    try:
        found = loads(body.encode()) if len(body) <= 4_096 else None
        plain = json.dumps(found, separators=(",", ":"), allow_nan=False)
    except (ValueError, RecursionError):
        found, plain = None, ""
    if not isinstance(found, dict) or plain != body or not body.isascii():
        raise _strange(endpoint, "the body's form")
    return found


def _order(order: dict[str, Any], symbols: frozenset[str]) -> dict[str, str]:
    if tuple(order) != ("client_order_id", "product_id", "side", "order_configuration"):
        raise _strange(ORDER, ", ".join(map(str, order)))
    config, product = order["order_configuration"], order["product_id"]
    if not isinstance(order["client_order_id"], str) or not _ID.fullmatch(order["client_order_id"]):
        raise Denied("EXCHANGE_ORDER", "client_order_id is no UUID", "Name every order by one.")
    if not isinstance(product, str) or (symbols and product not in symbols):
        raise Denied("EXCHANGE_SYMBOL", f"{ORDER} for {str(product)[:40]}, which is not among this venue's symbols", "List it under exchanges in the signer's settings.")  # fmt: skip
    if not isinstance(config, dict) or len(config) != 1:
        raise _strange(ORDER, "order_configuration")
    ((kind, sizes),) = config.items()
    if kind not in _TYPES or not isinstance(sizes, dict) or tuple(sizes) != _TYPES[kind]:
        raise _strange(ORDER, f"order_configuration {kind}")
    if type(sizes.get("post_only", False)) is not bool or not isinstance(order["side"], str):
        raise _strange(ORDER, "post_only or side")
    words = {
        "symbol": product,
        "side": order["side"],
        "type": "MARKET" if kind == "market_market_ioc" else "LIMIT",
        "quantity": _text(sizes["base_size"]),
    }
    if "limit_price" in sizes:
        words["price"] = _text(sizes["limit_price"])
    return words


def _change(change: dict[str, Any], known: Mapping[str, str]) -> dict[str, str]:
    if tuple(change) != ("order_id", "price", "size"):
        raise _strange(CHANGE, ", ".join(map(str, change)))
    product = known.get(_text(change["order_id"]))
    if product is None:
        raise Denied("EXCHANGE_ORDER", f"{CHANGE} of an order that was not sent from here since this process began", "Cancel it and send another.")  # fmt: skip
    # a change says no side: as a sale it is counted at the dearest price, which no purchase inside the band exceeds
    return {"symbol": product, "side": "SELL", "type": "LIMIT", "quantity": _text(change["size"]), "price": _text(change["price"])}  # fmt: skip


def _text(value: Any) -> str:
    """What is no text is none of an order's numbers, and judged so."""
    return value if isinstance(value, str) else ""


def _is_number(value: Any) -> bool:
    return isinstance(value, str) and _NUMBER.fullmatch(value) is not None


def number_of(answer: str) -> tuple[str, str] | None:
    """(Coinbase's number, product) of an order that its answer says was taken; None for any other answer."""
    try:
        told = loads(answer.encode())["success_response"]
        number, product = told["order_id"], told["product_id"]
    except (ValueError, KeyError, TypeError):
        return None
    return (number, product) if _is_number(number) and isinstance(product, str) else None


# tokens


def key_of(secret: str) -> EccKey:
    """A P-256 key in PEM (as Coinbase gives it, also with its line ends written as \\n), or an Ed25519 key as 64 bytes in base64. Raises
    Usage BAD_PRIVATE_KEY, never with anything of it."""
    from Crypto.PublicKey import ECC

    text = secret.strip().replace("\\n", "\n")
    try:
        if "BEGIN" in text:
            key = ECC.import_key(text)
        else:
            raw = base64.b64decode(text, validate=True)
            if len(raw) != 64:
                raise ValueError("no seed and public key")
            key = ECC.construct(curve="Ed25519", seed=raw[:32])  # type: ignore[arg-type]
        sound = key.has_private() and key.curve in ("NIST P-256", "Ed25519")
    except (ValueError, IndexError, TypeError, binascii.Error):
        sound = False
    if not sound:
        raise Usage("BAD_PRIVATE_KEY", "the secret of this exchange is no P-256 or Ed25519 private key of Coinbase's", "Put the key there as Coinbase gives it.")  # fmt: skip
    return key


def token(key: EccKey, name: str, uri: str, *, at_s: int, nonce: str) -> str:
    """A JWT of this key, for one method, host and path (`uri`), or for the private socket ("")."""
    ecdsa = key.curve == "NIST P-256"
    head = {"alg": "ES256" if ecdsa else "EdDSA", "typ": "JWT", "kid": name, "nonce": nonce}
    says: dict[str, Any] = {"sub": name, "iss": "cdp", "nbf": at_s - EARLIER_S, "exp": at_s + LIVES_S}
    if uri:
        says["uri"] = uri
    text = f"{_part(head)}.{_part(says)}"
    return f"{text}.{_base64(_signature(key, text.encode(), ecdsa))}"


def _signature(key: EccKey, text: bytes, ecdsa: bool) -> bytes:
    """r ‖ s by RFC 6979 and SHA-256, or by RFC 8032."""
    if ecdsa:
        from Crypto.Hash import SHA256
        from Crypto.Signature import DSS

        made: bytes = DSS.new(key, "deterministic-rfc6979").sign(SHA256.new(text))
        return made
    from Crypto.Signature import eddsa

    signed: bytes = eddsa.new(key, "rfc8032").sign(text)
    return signed


def _part(value: Mapping[str, Any]) -> str:
    return _base64(json.dumps(value, separators=(",", ":")).encode())


def _base64(raw: bytes) -> str:
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()
