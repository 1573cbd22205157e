"""dYdX's chain (v4) as both sides of the signer call things: accounts, kinds of orders, and the units that its book counts in. Pure.

Sources: the published documentation and message definitions of the chain. One quantum of a market's base is 10^atomicResolution of it; one
subtick of its price is 10^(conversion - 6 - atomicResolution) dollars, with one exponent of conversion for all markets that are listed.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from decimal import Decimal

from chains.errors import Usage

SHORT_TERM, LONG_TERM = 0, 64
GTT, IOC, POST_ONLY = 0, 1, 2
QUOTE_EXPONENT, CONVERSION = -6, -9
_ACCOUNT = re.compile(r"(dydx1[02-9ac-hj-np-z]{38})(?:/([0-9]{1,6}))?(?:/([0-9]{1,18}))?")
_CHARS = "qpzry9x8gf2tvdw0s3jn54khce6mua7l"


@dataclass(frozen=True, slots=True)
class Account:
    """Who trades: an address, the number of its subaccount, and the authenticator that its key signs by; None: by the account's own key."""

    address: str
    subaccount: int = 0
    authenticator: int | None = None


def account_of(written: str) -> Account:
    """ADDRESS, ADDRESS/SUBACCOUNT or ADDRESS/SUBACCOUNT/AUTHENTICATOR. Raises Usage DYDX_ACCOUNT."""
    found = _ACCOUNT.fullmatch(written.strip())
    if found is None or not _sound(found[1]):
        raise Usage(
            "DYDX_ACCOUNT",
            f"api_key: {written[:80]!r} names no account of dYdX's, or was mistyped",
            "Write dydx1…, dydx1…/SUBACCOUNT, or dydx1…/SUBACCOUNT/AUTHENTICATOR for a permissioned key.",
        )
    return Account(found[1], int(found[2] or 0), None if found[3] is None else int(found[3]))


def _sound(address: str) -> bool:
    """Whether the checksum of its bech32 (BIP-173) is right."""
    prefix, _, data = address.partition("1")
    values = [*(ord(c) >> 5 for c in prefix), 0, *(ord(c) & 31 for c in prefix), *map(_CHARS.index, data)]
    check = 1
    for value in values:
        top, check = check >> 25, (check & 0x1FFFFFF) << 5 ^ value
        for bit, generator in enumerate((0x3B6A57B2, 0x26508E6D, 0x1EA119FA, 0x3D4233DD, 0x2A1462B3)):
            check ^= generator if top >> bit & 1 else 0
    return check == 1


def price_exponent(resolution: int) -> int:
    """One subtick is 10 to this of a dollar."""
    return CONVERSION + QUOTE_EXPONENT - resolution


def price(subticks: int, resolution: int) -> Decimal:
    """Dollars for one whole unit of the base, exact."""
    return Decimal(subticks).scaleb(price_exponent(resolution))


def quantity(quantums: int, resolution: int) -> Decimal:
    """Whole units of the base, exact."""
    return Decimal(quantums).scaleb(resolution)
