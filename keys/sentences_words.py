"""Amounts, tokens, moments and spans as people read them: the words that every sentence in front of an owner is made of. Pure.

`tokens` names tokens: EIP-55 address to (symbol, decimals). What is not named is shown by address and in base units.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import UTC, datetime
from decimal import ROUND_CEILING, Context, Decimal

from contracts.universal_router import CONTRACT_BALANCE, NATIVE

Tokens = Mapping[str, tuple[str, int]]
_WIDE = Context(prec=120)
ASKERS = "?"
"""Ends a name that the asker gave: then decimals are the asker's word too, and base units and address are shown beside it."""
_LAST_SECOND = 253_402_300_799
_ILK = re.compile(rb"([A-Z0-9-]{1,32})\x00*")


def amount(raw: int, token: str, tokens: Tokens) -> str:
    """`raw` base units as people write them, exactly."""
    if raw in ((1 << 256) - 1, (1 << 160) - 1):
        return f"ALL (unlimited) of {name(token, tokens)}"
    if raw == CONTRACT_BALANCE:
        return f"all the {name(token, tokens)} the router holds"
    symbol, decimals = tokens.get(token, ("", 0)) if token != NATIVE else ("ETH", 18)
    if not symbol:
        return f"{raw} base units of {token}"
    value = _WIDE.scaleb(_WIDE.create_decimal(raw), -decimals)
    text = format(value, "f")
    text = text.rstrip("0").rstrip(".") if "." in text else text
    if symbol.endswith(ASKERS):
        return f"{text} {symbol} ({raw} base units of {token})"
    return f"{text} {symbol}"


def ilk(word: bytes) -> str:
    """An ilk of Maker, 32 bytes: as its publisher writes it, like ETH-A, and any other bytes in hex. Whoever asks for a signature chooses
    them, and on a terminal they might say what they like."""
    found = _ILK.fullmatch(word)
    return f"0x{word.hex()}" if found is None else found[1].decode()


def name(token: str, tokens: Tokens) -> str:
    if token == NATIVE:
        return "ETH"
    symbol = tokens[token][0] if token in tokens else token
    return f"{symbol} ({token})" if symbol.endswith(ASKERS) else symbol


def when(second: int) -> str:
    """A second of the chain's clock as people read it, in UTC; one that no calendar has as the number it is."""
    if second > _LAST_SECOND:
        return f"second {second}, which is FOR EVER"
    return datetime.fromtimestamp(second, UTC).strftime("%Y-%m-%d %H:%M:%S UTC")


def usd_up(amount_1e18: int) -> str:
    """Dollars of the Gate's 1e18 units, rounded up to the cent."""
    return f"${_WIDE.scaleb(Decimal(amount_1e18), -18).quantize(Decimal('0.01'), ROUND_CEILING, _WIDE):,f}"


def ether(wei: int) -> str:
    """Exact."""
    return f"{_WIDE.scaleb(Decimal(wei), -18).normalize(_WIDE):f} ETH"


def percent(bps: int) -> str:
    return f"{(Decimal(bps) / 100).normalize():f} %"


def span(seconds: int) -> str:
    """In the largest unit that fits evenly."""
    for unit, size in (("day", 86_400), ("hour", 3_600), ("minute", 60)):
        if seconds and seconds % size == 0:
            count = seconds // size
            return f"{count} {unit}{'' if count == 1 else 's'}"
    return f"{seconds} seconds"
