"""A paper exchange with its FIX door in this process, and sessions of ours there whose log-ons the signer's own code judges and signs."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from typing import Any

from Crypto.PublicKey import ECC
from paper import KEY, Door, new_venue, paper, sign
from wire import Fault

from agent.app.testvenue.faults import Fault as Switch
from agent.app.testvenue.fix import FixServer
from agent.app.testvenue.server import Server
from agent.transport.clock import SystemClock
from agent.transport.http import TimeOuts
from agent.venues import Sign
from agent.venues.binance_spot import FEED, VENUE
from agent.venues.binance_spot import fix_door as fd
from agent.venues.binance_spot.by_fix import BinanceSpotByFix, Doors
from keys.signer import fix_logon

SENDERS, COPIERS = ("FLT1", "FLT2"), ("FLC1", "FLC2")
SEED = bytes(range(32))
PRIVATE = ECC.construct(curve="Ed25519", seed=SEED)
PEM = PRIVATE.export_key(format="PEM")
PUBLIC = PRIVATE.public_key().export_key(format="PEM")


async def log_on(method: str, path: str, query: str) -> str:
    """As the signer does it, without its ledger."""
    now_ms = time.time_ns() // 10**6
    text = fix_logon.check(method, path, query, senders=(*SENDERS, *COPIERS), now_ms=now_ms)
    return fix_logon.sign(PRIVATE, text)


def fix_session(
    url: str, fix_url: str, *, copy: bool = True, logs_on: Sign = log_on, timeouts: TimeOuts | None = None
) -> BinanceSpotByFix:
    facts = replace(VENUE, weight_per_minute=10**7)
    entry = fd.Door(fix_url, SENDERS, KEY, logs_on)
    copies = fd.Door(fix_url, COPIERS, KEY, logs_on) if copy else None
    return BinanceSpotByFix(
        facts,
        FEED,
        "paper",
        SystemClock(),
        KEY,
        sign,
        url,
        timeouts or TimeOuts(1.0, 0.5),
        doors=Doors(entry, copies),
    )


NEAREST: dict[Fault, dict[str, Any]] = {
    Fault.LOST: {"on": "fix.request", "kind": "reset_before"},
    Fault.CUT_AFTER: {"on": "fix.request", "kind": "reset_after"},
    Fault.HALF_AFTER: {"on": "fix.request", "kind": "partial"},
    Fault.SILENT_AFTER: {"on": "fix.request", "kind": "hang_after"},
    Fault.GARBLED_AFTER: {"on": "fix.request", "kind": "checksum"},
    Fault.ERROR_500: {"on": "fix.request", "kind": "error_before", "code": -1001},
    Fault.ERROR_503: {"on": "fix.request", "kind": "maintenance"},
    Fault.ERROR_502_AFTER: {"on": "fix.request", "kind": "error_after", "code": -1006},
    Fault.ERROR_504_AFTER: {"on": "fix.request", "kind": "error_after", "code": -1007},
    Fault.TOO_MANY_429: {"on": "fix.request", "kind": "error_before", "code": -1015},
    Fault.BANNED_418: {"on": "fix.request", "kind": "error_before", "code": -1003},
}
"""What a FIX session meets where HTTP meets the fault: the code that says the same, or the connection's own end."""


@dataclass
class FixWire:
    """The switchboard of the FIX door, as `wire.OrdersWire`."""

    fix: FixServer
    _armed: list[Switch] = field(default_factory=list)

    def arm(self, fault: Fault) -> None:
        self._armed.append(self.fix.server.faults.add(NEAREST[fault]))

    @property
    def armed(self) -> bool:
        return any(not one.struck for one in self._armed)

    @property
    def writes(self) -> int:
        return self.fix.asked.total()


@dataclass
class Exchange:
    door: Door
    fix: FixServer
    fix_url: str

    def session(
        self, *, copy: bool = True, logs_on: Sign = log_on, timeouts: TimeOuts | None = None
    ) -> BinanceSpotByFix:
        return fix_session(self.door.url, self.fix_url, copy=copy, logs_on=logs_on, timeouts=timeouts)


@asynccontextmanager
async def fix_exchange(copy_delay_s: float = 0.01) -> AsyncIterator[Exchange]:
    server = Server(new_venue())
    fix = FixServer(server, {KEY: PUBLIC}, copy_delay_s)
    port = await fix.start()
    async with paper(made=server) as door:
        try:
            yield Exchange(door, fix, f"tcp://127.0.0.1:{port}")
        finally:
            await fix.close()
