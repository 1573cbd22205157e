"""The CRC32 that Kraken sends with its spot books: best ten asks, then best ten bids, digits without point and leading zeros. Pure."""

from __future__ import annotations

import zlib
from collections.abc import Callable
from decimal import Decimal

from agent.market.feed import Rows


def crc32(bids: Rows, asks: Rows) -> int:
    """Over the digits as they were sent: trailing zeros count, and an exact decimal keeps them."""
    return _crc32(bids, asks, _digits, _digits)


def crc32_of(px_decimals: int, qty_decimals: int) -> Callable[[Rows, Rows], int]:
    """The same where the numbers came without their trailing zeros: the pair's own decimals bring them back."""
    px_step, qty_step = Decimal(1).scaleb(-px_decimals), Decimal(1).scaleb(-qty_decimals)

    def padded(bids: Rows, asks: Rows) -> int:
        return _crc32(
            bids, asks, lambda px: _digits(px.quantize(px_step)), lambda qty: _digits(qty.quantize(qty_step))
        )

    return padded


def _crc32(bids: Rows, asks: Rows, px: Callable[[Decimal], str], qty: Callable[[Decimal], str]) -> int:
    text = "".join([px(p) + qty(q) for side in (asks, bids) for p, q in side])
    return zlib.crc32(text.encode())


def _digits(value: Decimal) -> str:
    return f"{value:f}".replace(".", "").lstrip("0")
