"""What an exchange can do, as the library says of it and as we use it; and what is missing there, in sentences. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from agent.venues.ccxt.exchanges import KNOWN, Known


@dataclass(frozen=True, slots=True)
class Capabilities:
    """`orders`: orders of ours can go there; `client_ids`: they can be asked for by our name; `amends` in place, else `replaces` by a
    request of the exchange's; `reports` come on a socket; `sandbox`: it has one; `missing` says what follows from what it lacks."""

    orders: bool
    client_ids: bool
    amends: bool
    replaces: bool
    cancels_all: bool
    reports: bool
    book_stream: bool
    sandbox: bool
    switch: bool
    missing: tuple[str, ...]

    def said(self) -> str:
        words = {
            "orders": self.orders,
            "client order ids": self.client_ids,
            "amendments in place": self.amends,
            "replacements": self.replaces,
            "cancel of all": self.cancels_all,
            "reports on a socket": self.reports,
            "a dead man's switch": self.switch,
            "a sandbox": self.sandbox,
        }
        return ", ".join(word for word, there in words.items() if there) or "market data alone"


def read(exchange: str, known: Known, has: Mapping[str, Any], urls: Mapping[str, Any]) -> Capabilities:
    """`has` and `urls` are the library's own; "emulated" counts as missing, for an emulation of it is not atomic."""
    orders = exchange in KNOWN and all(has.get(n) is True for n in ("createOrder", "cancelOrder", "fetchOpenOrders", "fetchMyTrades"))  # fmt: skip
    edits = has.get("editOrder") is True
    client_ids = orders and bool(known.asked)
    found = {
        "orders": (
            orders,
            "takes no orders of ours: how it writes one is not known to the signer; market data and balances only",
        ),
        "client_ids": (
            client_ids or not orders,
            "cannot be asked for an order by our name: after a lost answer open orders and trades are looked through before anything else",
        ),
        "amends": (orders and edits and known.amends, ""),
        "replaces": (orders and edits and not known.amends and exchange.startswith("binance"), ""),
        "reports": (
            orders and bool(known.login) and has.get("watchOrders") is True,
            "reports come by asking over REST: its socket would take orders unsigned once logged on, and no log-on is signed",
        ),
        "cancels_all": (has.get("cancelAllOrders") is True, "has no cancel of all: orders end one by one"),
        "switch": (
            orders and bool(known.switch),
            "has no dead man's switch that is used here: orders there outlive this process",
        ),
        "sandbox": (bool(urls.get("test")), "has no sandbox"),
    }
    there = {name: value for name, (value, _) in found.items()}
    there["client_ids"] = client_ids
    missing = [text for name, (value, text) in found.items() if text and not value and (orders or name in ("orders", "sandbox"))]  # fmt: skip
    if orders and not (there["amends"] or there["replaces"]):
        missing.append("has no amendments that are used here: an order is cancelled and sent anew")
    return Capabilities(**there, book_stream=has.get("watchOrderBook") is True, missing=tuple(missing))
