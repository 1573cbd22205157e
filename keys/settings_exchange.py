"""An exchange account in the signer's file: whose key it is, what of it may be signed, up to which amounts, and who sends it.

`keys.settings` describes the file's form. Errors: Usage SIGNER_CONFIG_INVALID.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

from keys.secrets import is_reference
from keys.settings_reading import Reader, bad, bool_of, int_of, list_of, map_of, reference_of, text_of
from keys.signer import (
    binance_usdm,
    ccxt_words,
    coinbase,
    deribit,
    deribit_combos,
    dydx,
    fix_logon,
    kraken,
)
from keys.signer.deribit_combos import ComboLimit
from keys.signer.exchange_orders import SymbolLimit
from keys.signer.exchange_wire import checked

REPEATS = 200
"""100 orders in ten seconds, as Binance Spot publishes its limit, and a signature's life that touches two such windows."""
_REPEATS = {one.DIALECT: one.REPEATS for one in (binance_usdm, coinbase, deribit, kraken)} | {dydx.DIALECT: 1}


@dataclass(frozen=True, slots=True)
class ExchangeReference:
    """`api_key` and `secret` are secret references; `allow` adds "METHOD path" pairs to the dialect's own; `symbols` that may be
    named, none meaning any; `limits` by symbol, without which no order is signed; `repeats`: how often one signature may be used;
    `sends_to`: where the signer sends orders itself, so that no signature of them leaves it; empty where it does not; `password`: the
    key's passphrase, where the exchange has one; `senders`: the names that sessions may log on with, with dialect "binance-fix" alone;
    `combos` by name, with dialect "deribit" alone, without which no order in a combo is signed."""

    dialect: str
    api_key: str
    secret: str
    allow: tuple[str, ...] = ()
    symbols: tuple[str, ...] = ()
    limits: Mapping[str, SymbolLimit] = field(default_factory=dict)
    repeats: int = REPEATS
    sends_to: str = ""
    password: str | None = None
    senders: tuple[str, ...] = ()
    combos: Mapping[str, ComboLimit] = field(default_factory=dict)


_PLAIN = re.compile(r"[0-9]{1,20}(?:\.[0-9]{1,20})?")


def _host(value: Any, path: str) -> str:
    text = text_of(value, path)
    if is_reference(text):
        return text
    try:
        checked(text)
    except ValueError as error:
        raise bad(path, str(error)) from None
    return text


def exchange_of(value: Any, path: str) -> ExchangeReference:
    r = Reader(
        value, path, "dialect api_key secret allow symbols limits repeats sends_to password senders combos"
    )
    dialect = r.get("dialect", text_of)
    words = ccxt_words.words_of(dialect)
    read = ExchangeReference(
        dialect,
        r.get("api_key", reference_of),
        r.get("secret", reference_of),
        r.get("allow", list_of(text_of), ()),
        r.get("symbols", list_of(text_of), ()),
        r.get("limits", map_of(text_of, _symbol_limit), {}),
        r.get("repeats", int_of, words.repeats if words else _REPEATS.get(dialect, REPEATS)),
        r.get("sends_to", _host, ""),
        r.get("password", reference_of, None),
        r.get("senders", list_of(text_of), ()),
        r.get("combos", map_of(text_of, _combo_limit), {}),
    )
    _check_senders(read, path)
    _check_combos(read, path)
    for symbol, limit in read.limits.items():
        if limit.inverse and not (dialect == deribit.DIALECT and deribit.IN_COIN.fullmatch(symbol)):
            raise bad(
                f"{path}.limits.{symbol}.inverse",
                "is for Deribit's contracts in dollars' worth of a coin, named like BTC-PERPETUAL: an amount of coins would count as dollars",
            )
    if read.repeats < 1:
        raise bad(f"{path}.repeats", "must be 1 or more: a signature is used at least once")
    if read.sends_to and read.dialect in ("hyperliquid", dydx.DIALECT):
        raise bad(f"{path}.sends_to", "is not for this dialect: its signatures are taken once as it is")
    if read.sends_to and (words is not None or read.dialect in (deribit.DIALECT, kraken.DIALECT)):
        raise bad(
            f"{path}.sends_to", "is not for this dialect: the signer does not speak to this exchange itself"
        )
    for symbol in read.limits:
        if read.symbols and symbol not in read.symbols:
            raise bad(f"{path}.limits.{symbol}", "is not among the symbols")
    return read


def _check_combos(read: ExchangeReference, path: str) -> None:
    if read.dialect != deribit.DIALECT:
        if read.combos:
            raise bad(f"{path}.combos", f'are for dialect "{deribit.DIALECT}"')
        return
    for symbol in read.limits:
        if deribit_combos.NAME.fullmatch(symbol):
            raise bad(f"{path}.limits.{symbol}", "is a combo: list it with its legs under `combos`")
    for name, combo in read.combos.items():
        if wrong := deribit_combos.wrong_legs(name, combo.legs, combo.leg_from is not None):
            raise bad(f"{path}.combos.{name}.legs", wrong)


def _check_senders(read: ExchangeReference, path: str) -> None:
    """A key that logs on signs nothing else, and no other one logs on."""
    if read.dialect != fix_logon.DIALECT:
        if read.senders:
            raise bad(
                f"{path}.senders",
                f'are for dialect "{fix_logon.DIALECT}", whose key signs log-ons and nothing else',
            )
        return
    if not read.senders:
        raise bad(f"{path}.senders", "must name the SenderCompIDs that may log on")
    for number, sender in enumerate(read.senders):
        if not fix_logon.SENDER.fullmatch(sender):
            raise bad(f"{path}.senders[{number}]", "must be 1 to 8 letters, digits, _ or -")
    for name, there in (
        ("allow", read.allow),
        ("symbols", read.symbols),
        ("limits", read.limits),
        ("sends_to", read.sends_to),
    ):
        if there:
            raise bad(
                f"{path}.{name}",
                "bounds nothing here: a session that is logged on needs no further signature",
            )


def _amount(value: Any, path: str) -> Decimal:
    if not isinstance(value, str) or not _PLAIN.fullmatch(value):
        raise bad(path, 'must be a decimal number as a text, like "2500.50"')
    return Decimal(value)


def _signed(value: Any, path: str) -> Decimal:
    if not isinstance(value, str) or not _PLAIN.fullmatch(value.removeprefix("-")):
        raise bad(path, 'must be a decimal number as a text, like "-120.50"')
    return Decimal(value)


def _ratio(value: Any, path: str) -> int:
    if type(value) is not int or not -1_000 < value < 1_000:
        raise bad(path, "must be a whole number, below zero where a purchase of the combo sells it")
    return value


def _combo_limit(value: Any, path: str) -> ComboLimit:
    r = Reader(value, path, "legs per_order per_day px_from px_to fees leg_from leg_to quote_usd")
    read = ComboLimit(
        r.get("legs", map_of(text_of, _ratio)),
        r.get("per_order", _amount),
        r.get("per_day", _amount),
        r.get("px_from", _signed),
        r.get("px_to", _signed),
        r.get("fees", _amount),
        r.get("leg_from", _amount, None),
        r.get("leg_to", _amount, None),
        r.get("quote_usd", _amount, Decimal(1)),
    )
    if not read.px_from < read.px_to:
        raise bad(f"{path}.px_to", "must be above px_from")
    if (read.leg_from is None) != (read.leg_to is None) or (
        read.leg_from is not None and read.leg_to is not None and not 0 < read.leg_from < read.leg_to
    ):
        raise bad(f"{path}.leg_to", "must be above leg_from, and both above zero")
    if not 0 < read.quote_usd:
        raise bad(f"{path}.quote_usd", "must be above zero")
    return read


def _symbol_limit(value: Any, path: str) -> SymbolLimit:
    r = Reader(value, path, "per_order per_day px_from px_to quote_usd market inverse")
    read = SymbolLimit(
        r.get("per_order", _amount),
        r.get("per_day", _amount),
        r.get("px_from", _amount),
        r.get("px_to", _amount),
        r.get("quote_usd", _amount, Decimal(1)),
        r.get("market", bool_of, False),
        r.get("inverse", bool_of, False),
    )
    if not 0 < read.px_from < read.px_to:
        raise bad(f"{path}.px_to", "must be above px_from, and both above zero")
    if not 0 < read.quote_usd:
        raise bad(f"{path}.quote_usd", "must be above zero")
    return read
