"""A market/1 file from the command line's argument: plain or gzip, from a path or standard input."""

from __future__ import annotations

import zlib

from agent.market.file import parse_text
from agent.market.view import MarketView
from chains.bounded_file import DOCUMENT_BYTES, read_at_most
from chains.errors import Usage


def load_market(path: str) -> MarketView:
    """Raises Usage NO_SUCH_FILE, UNREADABLE_FILE or BAD_MARKET_FILE."""
    try:
        data = read_at_most(path, DOCUMENT_BYTES)
    except FileNotFoundError:
        raise Usage("NO_SUCH_FILE", f"there is no file {path}", "name a market/1 file") from None
    except OSError as problem:
        why = f"{path} cannot be read: {problem.strerror}"
        raise Usage("UNREADABLE_FILE", why, "name a market/1 file") from None
    if data[:2] == b"\x1f\x8b":
        try:
            unpacked = zlib.decompressobj(wbits=31)
            data = unpacked.decompress(data, DOCUMENT_BYTES)
            if unpacked.unconsumed_tail:
                raise Usage("UNREADABLE_FILE", f"{path} unpacks to more than {DOCUMENT_BYTES >> 20} MB")
            if not unpacked.eof:
                raise Usage("UNREADABLE_FILE", f"{path} is a gzip file that ends too early", "fetch it again")
        except zlib.error as problem:
            raise Usage("UNREADABLE_FILE", f"{path} is a damaged gzip file: {problem}") from None
    return parse_text(data)
