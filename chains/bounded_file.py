"""Files that a person names: read up to a size, for /dev/zero and a mistaken name end too."""

from __future__ import annotations

import errno
import os
import sys
from pathlib import Path

SETTINGS_BYTES = 16 << 20
"""More than a settings file, a keystore or a list of calls ever has."""
DOCUMENT_BYTES = 512 << 20
"""More than a market of every pool, a route or a book of accounts has."""


def read_at_most(path: Path | str, most: int) -> bytes:
    """The bytes of a file, or of standard input for `-`. Raises OSError, EFBIG where there are more than `most` or no end."""
    if str(path) == "-":
        data = sys.stdin.buffer.read(most + 1)
    else:
        with Path(path).open("rb") as file:
            data = file.read(most + 1)
    if len(data) > most:
        raise OSError(errno.EFBIG, f"more than {most >> 20} MB, or without an end", os.fspath(path))
    return data
