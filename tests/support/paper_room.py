"""The paper exchange counts request weight by the minute as Binance does; a test that types without pause waits as its message says."""

from __future__ import annotations

import time
from urllib.request import urlopen

ENOUGH = 4_000
"""Of 6,000, of which a client keeps a tenth for writes: the most a command or two ask for fits in what is left."""


def leave_room(paper_url: str) -> None:
    """Returns once the exchange's minute has room for a command."""
    with urlopen(f"{paper_url}/api/v3/time", timeout=10) as answer:
        used = int(answer.headers["X-MBX-USED-WEIGHT-1M"])
    if used > ENOUGH:
        time.sleep(60.5 - time.time() % 60)
