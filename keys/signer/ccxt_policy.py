"""What may be signed for an exchange that the ccxt library speaks to: judged before the library sees it, from names alone. Pure.

A request comes as the library's own call: its endpoint, and its parameters as one JSON object beside the time it is dated with. The
library then makes the bytes and their signature in this process (`ccxt_desk`), so that what was judged is what is signed. As for
Binance (`exchange`), endpoints are listed, parameters are those of trading alone, and an order is counted before it is signed; an
amendment is counted whole, as the dearer of the two sides, for the request does not say which it is.

A path of the library has places that parameters fill: their values may be nothing but letters, digits, _ and -.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from chains.errors import Denied, Usage
from keys.signer import exchange, exchange_orders
from keys.signer.ccxt_words import PREFIX, WORDS, Shape, Words, words_of
from keys.signer.exchange_orders import Counted, SymbolLimit

LONGEST = 4096
_VALUE = re.compile(r"[A-Za-z0-9._~:-]{0,100}")
_PLACE = re.compile(r"[A-Za-z0-9_-]{1,64}")
_NUMBER = re.compile(r"[0-9]{1,20}(?:\.[0-9]{1,20})?")
PLACES = re.compile(r"\{([^{}]*)\}")


@dataclass(frozen=True, slots=True)
class Call:
    """One call that may be signed. `shape` is an order's or an amendment's; `writes`: it changes something there."""

    sections: tuple[str, ...]
    path: str
    method: str
    params: Mapping[str, str | int]
    at_ms: int
    shape: Shape | None
    writes: bool


def check(
    dialect: str,
    allow: tuple[str, ...],
    method: str,
    path: str,
    payload: str,
    *,
    now_ms: int,
    symbols: frozenset[str] = frozenset(),
) -> Call:
    """Raises Denied EXCHANGE_WITHDRAWAL, EXCHANGE_UNLISTED, EXCHANGE_PARAMETER, EXCHANGE_SYMBOL, EXCHANGE_AHEAD; Usage for what is none."""
    words = _words(dialect)
    at_ms, params = _read(payload)
    endpoint = f"{method} {path}"
    exchange.dated(endpoint, str(at_ms), now_ms)
    if method == "WS":
        return _login(words, path, params, at_ms)
    shape = words.orders.get(endpoint) or words.amends.get(endpoint)
    more = (
        () if words.token or words.session else allow
    )  # what goes with every request goes with these reads alone
    listed = any(endpoint in where for where in (words.reads, words.ends, words.margin, more))
    if shape is None and not listed:
        raise exchange.unlisted(endpoint, path, dialect)
    names = words.margin.get(endpoint, words.names) if shape is None else _names(shape)
    strange = next((name for name in params if name not in names), None)
    if strange is not None:
        raise Denied("EXCHANGE_PARAMETER", f"{endpoint} with parameter {strange[:40]!r}", "Only trading's own parameters are signed.")  # fmt: skip
    _values(endpoint, path, params)
    name = _symbol_name(words, shape)
    symbol = next((str(params[key]) for key in name if key in params), None)
    if symbols and symbol is not None and symbol not in symbols:
        raise Denied("EXCHANGE_SYMBOL", f"{endpoint} for {symbol[:40]}, which is not among this venue's symbols", "List it under exchanges in the signer's settings.")  # fmt: skip
    sections, bare = _split(path, words.sections)
    writes = shape is not None or endpoint in words.ends
    return Call(sections, bare, method, params, at_ms, shape, writes)


def judged(call: Call, limits: Mapping[str, SymbolLimit], spent: Mapping[str, Decimal], now_ms: int) -> Counted | None:  # fmt: skip
    """What an order or an amendment can cost; None for what is neither. Raises Denied as `exchange_orders.judge`, EXCHANGE_ORDER."""
    shape, params = call.shape, call.params
    if shape is None:
        return None
    for name, value in shape.must.items():
        if params.get(name) != value:
            raise Denied("EXCHANGE_ORDER", f"{name} {str(params.get(name))[:40]!r} is none of a spot order", f"It has to be {value}.")  # fmt: skip
    if shape.kind and params.get(shape.kind) not in shape.kinds:
        raise Denied("EXCHANGE_ORDER", f"{shape.kind} {str(params.get(shape.kind))[:40]!r} is none of a limit order", f"{', '.join(sorted(shape.kinds))} are signed.")  # fmt: skip
    # an amendment tells no side: as a sale it is counted at the dearest price, which no purchase inside the band exceeds
    side = str(params.get(shape.side, "")).upper() if shape.side else "SELL"
    plain = {
        "symbol": str(params.get(shape.symbol, "")),
        "side": side,
        "type": "LIMIT",
        "timestamp": str(call.at_ms),
        "quantity": _figure(params, shape.qty),
        "price": _figure(params, shape.px),
    }
    return exchange_orders.judge(plain, limits, spent, now_ms)


def _words(dialect: str) -> Words:
    found = words_of(dialect)
    if found is None:
        raise Usage(
            "EXCHANGE_DIALECT_UNKNOWN",
            f"no dialect {dialect[:40]!r}: how this exchange writes an order is not known",
            f"There are {', '.join(PREFIX + name for name in WORDS)}.",
        )
    return found


def _read(payload: str) -> tuple[int, dict[str, str | int]]:
    try:
        if len(payload) > LONGEST:
            raise ValueError
        data: Any = json.loads(payload, object_pairs_hook=_once)
        at_ms, params = data.pop("at_ms"), data.pop("params")
        if data or type(at_ms) is not int or not isinstance(params, dict):
            raise ValueError
    except (ValueError, AttributeError, KeyError, TypeError, RecursionError):
        raise Usage(
            "EXCHANGE_QUERY_INVALID",
            "the request is no object of `at_ms` (milliseconds) and `params`, each name once, at most 4096 characters",
            "Send the library's own parameters and the present time.",
        ) from None
    return at_ms, params


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("a name twice")
    return found


def _names(shape: Shape) -> frozenset[str]:
    own = {shape.symbol, shape.qty, shape.px, shape.side, shape.kind} - {""}
    return shape.also | own | shape.must.keys()


def _symbol_name(words: Words, shape: Shape | None) -> frozenset[str]:
    if shape is not None:
        return frozenset({shape.symbol})
    return frozenset(one.symbol for one in words.orders.values())


def _values(endpoint: str, path: str, params: Mapping[str, Any]) -> None:
    places = set(PLACES.findall(path))
    if places - params.keys():
        raise Denied("EXCHANGE_PARAMETER", f"{endpoint} without {sorted(places - params.keys())[0]}", "Fill the path's places.")  # fmt: skip
    for name, value in params.items():
        form = _PLACE if name in places else _VALUE
        if type(value) not in (str, int, bool) or not form.fullmatch(str(value)):
            raise Denied(
                "EXCHANGE_PARAMETER",
                f"{endpoint}: the value of {name} has a character or a form that no trading value has",
                "Letters, digits and . _ ~ : - are signed; in a path letters, digits, _ and -.",
            )


def _figure(params: Mapping[str, str | int], name: str) -> str:
    text = str(params.get(name, ""))
    return text if _NUMBER.fullmatch(text) else ""


def _split(path: str, count: int) -> tuple[tuple[str, ...], str]:
    """The library's own sections, ("private",) or two like ("spot", "private"), and the path."""
    parts = path.split("/")
    return tuple(parts[:count]), "/".join(parts[count:])


def _login(words: Words, path: str, params: Mapping[str, Any], at_ms: int) -> Call:
    """A subscription to reports. A log-on that would let orders follow unsigned is none, and none is signed."""
    if not words.login or path != words.login or params:
        raise Denied(
            "EXCHANGE_UNLISTED",
            f"WS {path[:60]} is not signed: on a socket that is logged on, orders need no signature",
            "Reports come by asking over REST there.",
        )
    return Call((), path, "WS", {}, at_ms, None, False)
