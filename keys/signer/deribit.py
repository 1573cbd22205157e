"""What may be signed for Deribit: single requests that trade or read, counted before; never a log-on, and nothing that moves funds. Pure.

A signature of Deribit's covers method, path, query and body, with a time and a nonce given out here. An order has to say until when it
may be carried out (`valid_until`), six seconds from now at most: a signature of one is dead then. On a line that is logged on orders
would follow that nobody signed; no log-on is signed therefore, unless the settings `allow` it ("WS public/auth") for the sake of
Deribit's cancel-on-disconnect, which only such a line has: limits bound nothing then. Orders are counted as `exchange_orders` does. Where an instrument's limits say `inverse` its amount is dollars and its price
dollars for a coin: whoever trades with himself inside the band gains amount · px_to / px_from at most, and that is what it counts.

Linked orders are judged as the orders they can become (`deribit_lists`). An order in a combo is signed where the owner lists that combo with its legs (`deribit_combos`), and counted by what he wrote there. A change is counted whole, as a sale at the dearest price, for it does not say which side it is of.
"""

from __future__ import annotations

import hashlib
import hmac
import re
from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal

from chains.errors import Denied, Usage
from keys.signer import deribit_combos, deribit_lists, exchange, exchange_orders
from keys.signer.deribit_combos import ComboLimit
from keys.signer.exchange_lists import Legs
from keys.signer.exchange_orders import LIFE_MS, Counted, SymbolLimit

DIALECT = "deribit"
REPEATS = 50
"""Twenty at once and five a second, as the exchange publishes its limits, while a signature lives."""
API = "/api/v2/private/"
LOG_ON = "WS public/auth"
ORDERS = {"buy": "BUY", "sell": "SELL"}
CHANGES = frozenset({"edit_by_label"})
READS = frozenset(
    (
        "get_order_state_by_label get_order_state get_open_orders get_open_orders_by_label get_user_trades_by_order "
        "get_user_trades_by_instrument_and_time get_user_trades_by_currency_and_time get_positions get_position get_account_summaries "
        "get_account_summary pme/simulate"
    ).split()
)
ENDS = frozenset("cancel cancel_by_label cancel_all_by_instrument".split())
_ORDER = frozenset(
    "instrument_name amount type price label time_in_force post_only reject_post_only reduce_only valid_until trigger trigger_price linked_order_type trigger_fill_condition".split()
)
CONDITIONS = {"stop_limit": "LIMIT", "take_limit": "LIMIT", "stop_market": "MARKET", "take_market": "MARKET"}
"""What an order becomes that waits for a price: counted as that, whenever it is carried out."""
TRIGGERS = frozenset({"last_price", "mark_price", "index_price"})
_PLAIN = frozenset(
    "instrument_name currency label order_id start_timestamp end_timestamp count sorting kind type historical".split()
)
IN_COIN = re.compile(r"[A-Z]+-(?:PERPETUAL|[0-9]{1,2}[A-Z]{3}[0-9]{2})")
"""Names of the contracts in dollars' worth of a coin: those margined in USDC name it too, and options end otherwise."""
_VALUE = re.compile(r"[A-Za-z0-9._~:-]{1,100}")
_QUERY = re.compile(r"[\x21-\x7e]{0,4096}")
_PRICE = re.compile(r"[0-9]{1,20}(?:\.[0-9]{1,20})?")
_UNTIL = re.compile(r"[0-9]{1,16}")


@dataclass(frozen=True, slots=True)
class Asked:
    """A request that may be judged further. `words`: an order in a plain order's words, None for what is none; `writes`: it changes
    something there; `linked`: all the orders of a list that it opens."""

    endpoint: str
    words: Mapping[str, str] | None
    writes: bool
    linked: Legs | None = None


def check(
    method: str,
    path: str,
    query: str,
    *,
    now_ms: int,
    symbols: frozenset[str] = frozenset(),
    combos: Mapping[str, ComboLimit] | None = None,
) -> Asked:
    """`combos` and their legs may be named besides the `symbols`. Raises Denied EXCHANGE_WITHDRAWAL, EXCHANGE_UNLISTED, EXCHANGE_PARAMETER,
    EXCHANGE_SYMBOL, EXCHANGE_WINDOW, EXCHANGE_LIST; Usage for what is no request at all."""
    endpoint, name = f"{method} {path}", path.removeprefix(API)
    order, change = name in ORDERS, name in CHANGES
    if method != "GET" or path != API + name or not (order or change or name in READS | ENDS):
        raise exchange.unlisted(endpoint, path, DIALECT)
    if not _QUERY.fullmatch(query):
        raise Usage("EXCHANGE_QUERY_INVALID", f"{endpoint}: the query is too long or not printable ASCII", "Send its exact text, at most 4096 characters.")  # fmt: skip
    names = _ORDER if order or change else _PLAIN
    bare, config = deribit_lists.without(query) if order else (query, None)
    values = exchange.values_of(endpoint, bare, names, _VALUE)
    listed = combos or {}
    combo = deribit_combos.NAME.fullmatch(values.get("instrument_name", ""))
    if (order or change) and combo is not None and combo[0] not in listed:
        raise Denied("EXCHANGE_SYMBOL", f"{endpoint} for {combo[0][:40]}, a combo whose legs the signer's owner did not list", "List it with its legs under `combos` of this exchange in the signer's settings, or trade its legs.")  # fmt: skip
    named = symbols and symbols.union(listed, *(limit.legs for limit in listed.values()))
    if named and values.get("instrument_name", next(iter(named))) not in named:
        raise Denied("EXCHANGE_SYMBOL", f"{endpoint} for {values['instrument_name'][:40]}, which is not among this venue's symbols", "List it under exchanges in the signer's settings.")  # fmt: skip
    if not (order or change):
        return Asked(endpoint, None, name in ENDS)
    until = values.get("valid_until", "")
    if not _UNTIL.fullmatch(until) or not now_ms < int(until) <= now_ms + LIFE_MS:
        raise Denied("EXCHANGE_WINDOW", f"{endpoint}: valid_until {until[:20]!r} is past, or more than {LIFE_MS} ms ahead, or not there", "Ask for a few seconds; set this machine's clock (NTP).")  # fmt: skip
    kind, waits = values.get("type", ""), "trigger" in values or "trigger_price" in values
    if combo is not None and waits:
        raise Denied("EXCHANGE_PARAMETER", f"{endpoint}: trigger of a combo", "No order in a combo waits for a price.")  # fmt: skip
    if waits != (kind in CONDITIONS) or (
        waits
        and (values.get("trigger") not in TRIGGERS or not _PRICE.fullmatch(values.get("trigger_price", "")))
    ):
        raise Denied("EXCHANGE_PARAMETER", f"{endpoint}: type {kind[:20]!r} with trigger {values.get('trigger', '')[:20]!r} at {values.get('trigger_price', '')[:20]!r}", "An order that waits for a price has one of the stop and take types, a trigger and a price of it; no other has.")  # fmt: skip
    words = {
        "symbol": values.get("instrument_name", ""),
        # a change says no side: as a sale it is counted at the dearest price, which no purchase inside the band exceeds
        "side": ORDERS.get(name, "SELL"),
        "type": "LIMIT" if change else CONDITIONS.get(kind, kind.upper()),
        "quantity": values.get("amount", ""),
        "timestamp": str(now_ms),
    }
    if "price" in values:
        words["price"] = values["price"]
    linked = deribit_lists.legs(words, values, config)
    if linked is not None and (change or combo is not None):
        raise Denied(
            "EXCHANGE_LIST", f"{endpoint}: linked orders of a change or a combo", "Send the order alone."
        )
    return Asked(endpoint, words, True, linked)


def judge(
    words: Mapping[str, str],
    limits: Mapping[str, SymbolLimit],
    combos: Mapping[str, ComboLimit],
    spent: Mapping[str, Decimal],
    now_ms: int,
    linked: Legs | None = None,
) -> Counted:
    """What an order's words count as, and where it opens a list all of that. Raises as `exchange_orders.judge`, and as
    `deribit_combos.judge` for a combo."""
    if linked is not None:
        return exchange_orders.judge_legs(words.get("symbol", ""), linked, limits, spent, now_ms)
    if deribit_combos.NAME.fullmatch(words.get("symbol", "")):
        return deribit_combos.judge(words, combos, spent)
    return exchange_orders.judge(words, limits, spent, now_ms)


def grants_log_on(allow: tuple[str, ...]) -> bool:
    """Whether the owner wrote so into the signer's settings: what is sent on that line nobody signs, and nobody counts."""
    return LOG_ON in allow


def sign_log_on(secret: bytes, data: str, *, at_ms: int, nonce: str) -> str:
    """HMAC-SHA256 over time, nonce and data, of public/auth with client_signature."""
    return hmac.new(secret, f"{at_ms}\n{nonce}\n{data}".encode(), hashlib.sha256).hexdigest()


def sign(secret: bytes, method: str, path: str, query: str, *, at_ms: int, nonce: str) -> str:
    """HMAC-SHA256 over time, nonce, method, address and an empty body, lower-case hex."""
    address = f"{path}?{query}" if query else path
    text = f"{at_ms}\n{nonce}\n{method}\n{address}\n\n"
    return hmac.new(secret, text.encode(), hashlib.sha256).hexdigest()
