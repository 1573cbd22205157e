"""Order lists, taken apart into the plain orders they can become, so that each is counted as an order is. Pure.

    OCO     side quantity, above… below…                 one of the two trades
    OTO     working… pending…                            both can trade
    OTOCO   working… pending(Side Quantity), pendingAbove… pendingBelow…     the first and one of the two

The exchange's signature covers the query alone: which of these a request is, is read from its parameters, and one that could be read
as two things, or as a plain order too, is refused.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from chains.errors import Denied

LEG = ("Type", "Price", "StopPrice", "TimeInForce", "ClientOrderId")
PAIR, LATER_PAIR = ("above", "below"), ("pendingAbove", "pendingBelow")
OWN = (*LEG, "Side", "Quantity")
PARAMETERS = frozenset(
    [f"{prefix}{name}" for prefix in (*PAIR, *LATER_PAIR) for name in LEG]
    + [f"{prefix}{name}" for prefix in ("working", "pending") for name in OWN]
    + ["listClientOrderId", "orderListId"]
)
ENDPOINTS = tuple(f"POST /api/v3/orderList/{kind}" for kind in ("oco", "oto", "otoco"))
MARKS = frozenset(name for name in PARAMETERS if name.endswith(("Type", "Quantity", "Side")))
PLAIN = frozenset({"type", "price", "quoteOrderQty", "stopPrice", "timeInForce", "newClientOrderId"})
STOPS = ("STOP_LOSS", "STOP_LOSS_LIMIT", "TAKE_PROFIT", "TAKE_PROFIT_LIMIT")


@dataclass(frozen=True, slots=True)
class Legs:
    """All of `together` can trade, and one of `either` besides; each in a plain order's words."""

    together: tuple[Mapping[str, str], ...]
    either: tuple[Mapping[str, str], ...]


def is_list(values: Mapping[str, str]) -> bool:
    return not MARKS.isdisjoint(values)


def legs(values: Mapping[str, str]) -> Legs:
    """Raises Denied EXCHANGE_LIST for what is none of the three, or more than one."""
    plain = sorted(PLAIN & values.keys())
    if plain:
        raise _none(f"{plain[0]} beside a list's own parameters")
    starts = {
        prefix: _has(values, prefix) for prefix in ("above", "below", "working", "pending", *LATER_PAIR)
    }
    match tuple(prefix for prefix, there in starts.items() if there):
        case ("above", "below"):
            shared = _shared(values, "side", "quantity")
            return Legs((), tuple(_leg(values, prefix, shared) for prefix in PAIR))
        case ("working", "pending") if not {"side", "quantity"} & values.keys():
            return Legs((_own(values, "working"), _own(values, "pending")), ())
        case ("working", "pendingAbove", "pendingBelow") if not {"side", "quantity"} & values.keys():
            shared = _shared(values, "pendingSide", "pendingQuantity")
            return Legs((_own(values, "working"),), tuple(_leg(values, p, shared) for p in LATER_PAIR))
        case found:
            raise _none(f"orders {', '.join(found)}")


def _has(values: Mapping[str, str], prefix: str) -> bool:
    return f"{prefix}Type" in values


def _shared(values: Mapping[str, str], side: str, quantity: str) -> dict[str, str]:
    if side not in values or quantity not in values:
        raise _none(f"no {side} or no {quantity}")
    return {"side": values[side], "quantity": values[quantity]}


def _own(values: Mapping[str, str], prefix: str) -> dict[str, str]:
    return _leg(values, prefix, _shared(values, f"{prefix}Side", f"{prefix}Quantity"))


def _leg(values: Mapping[str, str], prefix: str, shared: Mapping[str, str]) -> dict[str, str]:
    """A stop counts as what it becomes when it is reached: a limit order, or one at any price."""
    kind = values[f"{prefix}Type"]
    found = {**shared, "type": kind}
    if f"{prefix}Price" in values:
        found["price"] = values[f"{prefix}Price"]
    if kind in STOPS:
        if f"{prefix}StopPrice" not in values:
            raise _none(f"{prefix}Type {kind} without {prefix}StopPrice")
        found["type"] = "LIMIT" if kind.endswith("_LIMIT") else "MARKET"
    elif kind not in ("LIMIT", "LIMIT_MAKER") or f"{prefix}StopPrice" in values:
        raise _none(f"{prefix}Type {kind[:40]!r}")
    return found


def _none(what: str) -> Denied:
    return Denied(
        "EXCHANGE_LIST",
        f"{what}: neither an OCO nor an OTO nor an OTOCO",
        "Send one of them, with its own parameters and no others.",
    )
