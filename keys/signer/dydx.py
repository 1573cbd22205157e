"""What may be signed for dYdX: an order within limits, the end of one, nothing that moves funds or hands power on. Pure.

What is asked for is plain words, and the transaction is written here (`keys/dydx.py`): no bytes of a stranger's are signed. Transfers,
withdrawals, deposits, sends, new authenticators and whatever comes later have no words here, so that they cannot be asked for.

A market is named by its number in the chain's book and the exponent of its quantums, "1@-9": by these two the chain's units are turned
into a price and a quantity, and limits are set by that name. Whoever names another exponent names a market without limits.

The chain takes a sequence of ours once, and in the next ten seconds only (`dydx_desk.BACK_MS`); a short-term order it may take again, and fills no more than its
quantums of it altogether, for it keeps what was filled of an order until it cannot be placed any more. A signature is one order therefore.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from chains.bounded_json import loads
from chains.dydx import GTT, IOC, LONG_TERM, POST_ONLY, SHORT_TERM, Account, price, quantity
from chains.errors import Denied, FairleadError, Usage
from keys import dydx
from keys.signer.exchange_orders import Counted, SymbolLimit, judge

DIALECT, METHOD, PATH = "dydx", "POST", "/broadcast_tx_sync"
LONGEST_S = 95 * 86_400
_OUT = re.compile(
    r"send|withdraw|transfer|deposit|authenticator|vault|delegate|vote|grant|exec", re.IGNORECASE
)
_WHICH = ("type", "id", "pair", "resolution", "flags", "until")
KEYS = {"place": (*_WHICH, "buy", "quantums", "subticks", "tif", "reduce_only"), "cancel": _WHICH}


@dataclass(frozen=True, slots=True)
class Asked:
    """An action that may be judged further, and the number that the chain gave the account."""

    action: dict[str, Any]
    account_number: int

    @property
    def kind(self) -> str:
        return str(self.action["type"])

    @property
    def symbol(self) -> str:
        return f"{self.action['pair']}@{self.action['resolution']}"


def check(
    method: str, path: str, payload: str, *, now_ms: int, symbols: frozenset[str] = frozenset()
) -> Asked:
    """`payload`: JSON of {"account", "action"}, nothing else. `symbols`: markets that may be named, none meaning any.

    Raises Denied EXCHANGE_WITHDRAWAL, EXCHANGE_UNLISTED, EXCHANGE_PARAMETER, EXCHANGE_SYMBOL, EXCHANGE_WINDOW; Usage
    EXCHANGE_QUERY_INVALID.
    """
    if (method, path) != (METHOD, PATH):
        raise Denied("EXCHANGE_UNLISTED", f"{method} {path} is not listed for {DIALECT}", "Only orders are signed.")  # fmt: skip
    try:
        data = loads(payload.encode())
        number, action = data["account"], data["action"]
        sound = list(data) == ["account", "action"] and isinstance(action, dict) and "type" in action
        sound = sound and json.dumps(data, separators=(",", ":")) == payload
    except (ValueError, KeyError, TypeError, UnicodeEncodeError):
        sound = False
    if not sound or type(number) is not int or not 0 <= number < 1 << 63:
        raise Usage("EXCHANGE_QUERY_INVALID", "no action with the account's number in plain JSON", "Send the exact text, without spaces, keys once.")  # fmt: skip
    _shape(action, now_ms)
    asked = Asked(action, number)
    if symbols and asked.symbol not in symbols:
        raise Denied("EXCHANGE_SYMBOL", f"market {asked.symbol} is not among this venue's symbols", "List it under exchanges in the signer's settings.")  # fmt: skip
    return asked


def _shape(action: dict[str, Any], now_ms: int) -> None:
    kind = action["type"]
    if not isinstance(kind, str) or kind not in KEYS:
        named = str(kind)[:40]
        if _OUT.search(named):
            raise Denied("EXCHANGE_WITHDRAWAL", f"action {named} moves funds or hands power on", "That is done by the owner's own wallet only.")  # fmt: skip
        raise Denied("EXCHANGE_UNLISTED", f"action {named} is not listed for {DIALECT}", "Orders and their ends are signed.")  # fmt: skip
    if tuple(action) != KEYS[kind]:
        raise _parameter(f"keys other than {' '.join(KEYS[kind])}")
    for name, most in (("id", 1 << 32), ("pair", 1 << 32), ("until", 1 << 32)):
        _number(action[name], name, 0, most)
    _number(action["resolution"], "resolution", -18, 1)
    flags, until = action["flags"], action["until"]
    if type(flags) is not int or flags not in (SHORT_TERM, LONG_TERM):
        raise _parameter("flags")
    if flags == LONG_TERM and not now_ms // 1000 < until <= now_ms // 1000 + LONGEST_S:
        raise Denied(
            "EXCHANGE_WINDOW",
            "until: the order would be over already, or stands for more than 95 days",
            "Ask for fewer days; set this machine's clock (NTP).",
        )
    if kind == "place":
        _placed(action)


def _placed(action: dict[str, Any]) -> None:
    for name in ("quantums", "subticks"):
        _number(action[name], name, 1, 1 << 63)
    if type(action["buy"]) is not bool or type(action["reduce_only"]) is not bool:
        raise _parameter("buy or reduce_only")
    short = action["flags"] == SHORT_TERM
    if type(action["tif"]) is not int or action["tif"] not in ((IOC,) if short else (GTT, POST_ONLY)):
        raise _parameter("tif: a short-term order takes at once, a long-term one may rest")
    if action["reduce_only"] and not short:
        raise _parameter("reduce_only: the chain takes it of orders that take at once")


def _number(value: Any, name: str, least: int, below: int) -> None:
    if type(value) is not int or not least <= value < below:
        raise _parameter(name)


def _parameter(what: str) -> FairleadError:
    return Denied("EXCHANGE_PARAMETER", f"action: {what}", "Only plain orders and their ends are signed, key by key.")  # fmt: skip


def judged(
    asked: Asked, limits: Mapping[str, SymbolLimit], spent: Mapping[str, Decimal], now_ms: int
) -> Counted | None:
    """An order against its market's limits; None for the end of one. Raises as `exchange_orders.judge`.

    A reduce-only order counts as any other: it may lose as much.
    """
    if asked.kind != "place":
        return None
    action = asked.action
    values = {
        "symbol": asked.symbol,
        "side": "BUY" if action["buy"] else "SELL",
        "type": "LIMIT",
        "price": f"{price(action['subticks'], action['resolution']).normalize():f}",
        "quantity": f"{quantity(action['quantums'], action['resolution']).normalize():f}",
        "timestamp": str(now_ms),
    }
    return judge(values, limits, spent, now_ms)


def message(asked: Asked, account: Account) -> tuple[str, bytes]:
    """(kind, message) for the chain, of what was asked."""
    action = asked.action
    of = dydx.OrderId(account, action["id"], action["flags"], action["pair"])
    if asked.kind == "cancel":
        return dydx.CANCEL, dydx.cancel(of, action["until"])
    placed = dydx.place(
        of,
        buy=action["buy"],
        quantums=action["quantums"],
        subticks=action["subticks"],
        until=action["until"],
        tif=action["tif"],
        reduce_only=action["reduce_only"],
    )
    return dydx.PLACE, placed
