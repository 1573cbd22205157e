"""What an agent wallet may sign for Hyperliquid: orders within limits, their ends, nothing that moves funds or hands power on. Pure.

An action is judged as it will be hashed: only the kinds and the keys below, in the venue's own order. Transfers, withdrawals, new
agents, builder fees, vaults, sub-accounts, leverage and whatever comes later are refused by not being listed. There is no other
message this key signs: the venue's user-signed actions have another EIP-712 domain, which nothing here builds.

The nonce is given out here, in the one process that holds the key: strictly increasing for the key, whoever asks, over restarts.
Every action names when it ends to be valid (`expiresAfter`), six seconds from now at most, and its nonce is taken once: a
signature is carried out once. An instrument is named by its asset number (10000 + n for spot pair n), and has `limits` by that.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from chains.bounded_json import loads
from chains.errors import Denied, FairleadError, Usage
from keys.signer.exchange_orders import LIFE_MS, Counted, SymbolLimit, judge

DIALECT, METHOD, PATH = "hyperliquid", "POST", "/exchange"
MAX_ORDERS = 20
_OUT = re.compile(
    r"send|withdraw|transfer|approve|agent|vault|sub.?account|deposit|delegate|convert|deploy|builder",
    re.IGNORECASE,
)
_CLOID = re.compile(r"0x[0-9a-f]{32}")
_TIFS = ("Gtc", "Ioc", "Alo")
_ORDER = ("a", "b", "p", "s", "r", "t")


@dataclass(frozen=True, slots=True)
class Asked:
    """An action that may be judged further, with the instant (ms) after which it is void."""

    action: dict[str, Any]
    expires_ms: int

    @property
    def kind(self) -> str:
        return str(self.action["type"])


def check(
    method: str, path: str, payload: str, *, now_ms: int, symbols: frozenset[str] = frozenset()
) -> Asked:
    """`payload`: JSON of {"action", "expiresAfter"}, nothing else. `symbols`: asset numbers that may be named, none meaning any.

    Raises Denied EXCHANGE_WITHDRAWAL, EXCHANGE_UNLISTED, EXCHANGE_PARAMETER, EXCHANGE_SYMBOL, EXCHANGE_WINDOW; Usage
    EXCHANGE_QUERY_INVALID.
    """
    if (method, path) != (METHOD, PATH):
        raise Denied(
            "EXCHANGE_UNLISTED", f"{method} {path} is not listed for {DIALECT}", "Only actions are signed."
        )
    try:
        data = loads(payload.encode())
        action, expires_ms = data["action"], data["expiresAfter"]
        sound = list(data) == ["action", "expiresAfter"] and isinstance(action, dict) and "type" in action
        sound = sound and json.dumps(data, separators=(",", ":")) == payload
    except (ValueError, KeyError, TypeError, UnicodeEncodeError):
        sound = False
    if not sound or type(expires_ms) is not int:
        raise Usage("EXCHANGE_QUERY_INVALID", "no action with expiresAfter in plain JSON", "Send the exact text, without spaces, keys once.")  # fmt: skip
    if not now_ms < expires_ms <= now_ms + LIFE_MS:
        raise Denied(
            "EXCHANGE_WINDOW",
            f"expiresAfter: the signature would be void already, or good for longer than {LIFE_MS} ms",
            "Ask for a few seconds; set this machine's clock (NTP).",
        )
    _shape(action)
    strange = next((s for s in assets(action) if symbols and s not in symbols), None)
    if strange is not None:
        raise Denied("EXCHANGE_SYMBOL", f"asset {strange} is not among this venue's symbols", "List it under exchanges in the signer's settings.")  # fmt: skip
    return Asked(action, expires_ms)


def _shape(action: dict[str, Any]) -> None:
    kind = action["type"]
    readers = {
        "order": _orders,
        "modify": _modify,
        "batchModify": _modifies,
        "cancel": _cancels,
        "cancelByCloid": _cancels_by_cloid,
        "scheduleCancel": _schedule,
    }
    if not isinstance(kind, str) or kind not in readers:
        named = str(kind)[:40]
        if _OUT.search(named):
            raise Denied("EXCHANGE_WITHDRAWAL", f"action {named} moves funds or hands power on", "That is done by the owner's own wallet only.")  # fmt: skip
        raise Denied("EXCHANGE_UNLISTED", f"action {named} is not listed for {DIALECT}", "Orders and their ends are signed.")  # fmt: skip
    readers[kind](action)


def _orders(action: dict[str, Any]) -> None:
    _keys(action, ("type", "orders", "grouping"))
    _listed(action["orders"])
    for order in action["orders"]:
        _one_order(order)
    if action["grouping"] != "na":
        raise _parameter("grouping")


def _one_order(order: Any) -> None:
    _keys(order, _ORDER, "c")
    _number(order["a"], "a")
    if type(order["b"]) is not bool or type(order["r"]) is not bool:
        raise _parameter("b or r")
    if not all(isinstance(order[k], str) and len(order[k]) <= 40 for k in ("p", "s")):
        raise _parameter("p or s")
    _keys(order["t"], ("limit",))
    _keys(order["t"]["limit"], ("tif",))
    if order["t"]["limit"]["tif"] not in _TIFS:
        raise _parameter("tif")
    if "c" in order:
        _cloid(order["c"])


def _modify(action: dict[str, Any]) -> None:
    _keys(action, ("type", "oid", "order"))
    _oid(action["oid"])
    _one_order(action["order"])


def _modifies(action: dict[str, Any]) -> None:
    _keys(action, ("type", "modifies"))
    _listed(action["modifies"])
    for one in action["modifies"]:
        _keys(one, ("oid", "order"))
        _oid(one["oid"])
        _one_order(one["order"])


def _cancels(action: dict[str, Any]) -> None:
    _keys(action, ("type", "cancels"))
    _listed(action["cancels"])
    for one in action["cancels"]:
        _keys(one, ("a", "o"))
        _number(one["a"], "a")
        _number(one["o"], "o")


def _cancels_by_cloid(action: dict[str, Any]) -> None:
    _keys(action, ("type", "cancels"))
    _listed(action["cancels"])
    for one in action["cancels"]:
        _keys(one, ("asset", "cloid"))
        _number(one["asset"], "asset")
        _cloid(one["cloid"])


def _schedule(action: dict[str, Any]) -> None:
    _keys(action, ("type",), "time")
    if "time" in action:
        _number(action["time"], "time")


def _keys(value: Any, wanted: tuple[str, ...], last: str | None = None) -> None:
    """Exactly these, in this order; `last` may follow."""
    if not isinstance(value, dict) or tuple(value) not in (wanted, (*wanted, last)):
        raise _parameter(f"keys other than {' '.join(wanted)}")


def _listed(value: Any) -> None:
    if not isinstance(value, list) or not 0 < len(value) <= MAX_ORDERS:
        raise _parameter(f"a list of none or of more than {MAX_ORDERS}")


def _number(value: Any, name: str) -> None:
    if type(value) is not int or not 0 <= value < 1 << 63:
        raise _parameter(name)


def _cloid(value: Any) -> None:
    if not isinstance(value, str) or not _CLOID.fullmatch(value):
        raise _parameter("a client order id that is no 16 bytes of lower-case hex")


def _oid(value: Any) -> None:
    if type(value) is int:
        _number(value, "oid")
    else:
        _cloid(value)


def _parameter(what: str) -> FairleadError:
    return Denied("EXCHANGE_PARAMETER", f"action: {what}", "Only plain orders and their ends are signed, key by key as documented.")  # fmt: skip


def orders(action: dict[str, Any]) -> list[dict[str, Any]]:
    """The orders that an action places; a modification places its order anew."""
    kind = action["type"]
    if kind == "order":
        return list(action["orders"])
    if kind == "modify":
        return [action["order"]]
    return [one["order"] for one in action["modifies"]] if kind == "batchModify" else []


def assets(action: dict[str, Any]) -> list[str]:
    named = [order["a"] for order in orders(action)]
    named += [one.get("a", one.get("asset")) for one in action.get("cancels", ())]
    return [str(number) for number in named]


def judged(
    asked: Asked, limits: Mapping[str, SymbolLimit], spent: Mapping[str, Decimal], now_ms: int
) -> list[Counted]:
    """Each order against its asset's limits, what the action's other orders cost counted with it. Raises as `exchange_orders.judge`.

    A reduce-only order counts as any other: it may lose as much.
    """
    before, found = dict(spent), []
    for order in orders(asked.action):
        values = {
            "symbol": str(order["a"]),
            "side": "BUY" if order["b"] else "SELL",
            "type": "LIMIT",
            "price": order["p"],
            "quantity": order["s"],
            "timestamp": str(now_ms),
        }
        counted = judge(values, limits, before, now_ms)
        before[counted.symbol] = before.get(counted.symbol, Decimal(0)) + counted.cost
        found.append(counted)
    return found
