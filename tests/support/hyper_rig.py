"""A paper exchange in Hyperliquid's dialect over the matching engine, and a session at it whose actions the signer's own policy judges."""

from __future__ import annotations

import json
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from decimal import Decimal

from hyper_server import ACCOUNT, AGENT
from paper import DEPOSITS, Door, served

from agent.app.testvenue.engine import Engine
from agent.app.testvenue.futures import FuturesEngine
from agent.app.testvenue.hyperliquid import HyperliquidServer, on_its_grid
from agent.app.testvenue.limits import Limits
from agent.app.testvenue.liquidity import Maker, seeded_levels
from agent.app.testvenue.spec import SymbolSpec
from agent.app.testvenue.venue import Account, Venue
from agent.transport.clock import SystemClock
from agent.transport.http import TimeOuts
from agent.venues.hyperliquid import FEED, VENUE, Hyperliquid
from keys.hyperliquid import action_hash, agent_digest
from keys.signer import hyperliquid as policy

PAIR, PERPETUAL = "ETH/USDC", "ETH-PERP"


class Signer:
    """Judges by the signer's policy and signs as the agent wallet; a nonce of its own for each action. `asked`: kinds of actions."""

    def __init__(self) -> None:
        self.asked, self.last = list[str](), 0

    async def sign(self, method: str, path: str, payload: str) -> str:
        now_ms = time.time_ns() // 10**6
        asked = policy.check(method, path, payload, now_ms=now_ms)
        self.asked.append(asked.kind)
        self.last = max(now_ms, self.last + 1)
        raw = AGENT.sign(
            agent_digest(action_hash(asked.action, self.last, None, asked.expires_ms), mainnet=False)
        )
        return json.dumps({"nonce": self.last, "r": "0x" + raw[:32].hex(), "s": "0x" + raw[32:64].hex(), "v": raw[64]})  # fmt: skip


@asynccontextmanager
async def hyper_paper(kind: type[Engine] = Engine) -> AsyncIterator[Door]:
    """`kind` FuturesEngine: it has perpetuals."""
    spec = on_its_grid(SymbolSpec("ETH", "USDC"), kind is FuturesEngine)
    maker = Maker(spec, seeded_levels(spec, 1), 1, breathing=False)
    engine = kind([spec], Decimal("0.001"), Decimal("0.001"))
    account = Account(ACCOUNT, "0x" + "07" * 32, DEPOSITS)
    venue = Venue(engine, [account], [maker], lambda: time.time_ns() // 10**6)
    async with served(HyperliquidServer(venue, Limits(10**7)), "/depth") as door:
        yield door


def hyper_session(url: str, signer: Signer | None = None, timeouts: TimeOuts | None = None) -> Hyperliquid:
    facts = replace(VENUE, audit_s=0.05, weight_per_minute=10**7)
    sign = (signer or Signer()).sign
    return Hyperliquid(
        facts, FEED, "paper", SystemClock(), ACCOUNT, sign, url, None, timeouts or TimeOuts(1.0, 0.5)
    )
