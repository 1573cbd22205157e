"""The admin port: set-up and funding (cheat methods), faults to order, reorganisations, and the truth for referees.

    relay_truth   {arrivals: [{hash, road, sender, nonce, head, at_ms, owner, builder, raw}], included: […], winners: […], public_pool: […], reads: […]}
    relay_fault   {road: public|private|sequencer, kind: KINDS, count: n, blocks: k, builder: NAME, owner: 0x…}; [] clears,
                  {clear: true, owner: 0x…} clears that owner's
    relay_builder {name: NAME, leaks: …, race: …}: a builder from now on, in the words of `builders`
    relay_reorg   depth, "return" | "drop" (what becomes of the orphaned transactions)
    relay_mine    n: that many blocks now · relay_pause · relay_resume
Transactions sent here are mined at once, each alone in a block.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any

import orjson
from aiohttp import web

from chains.devnet.builders import change
from chains.devnet.relay_builder import SEQUENCER, Builder
from chains.devnet.relay_pool import Pools
from chains.devnet.relay_public import READS, PublicApi, refuse
from chains.evm import number

ROADS = ("public", "private", SEQUENCER)
KINDS = frozenset({"accept_then_5xx", "accept_then_hang", "refuse", "down", "swallow", "delay"})


@dataclass(slots=True)
class Fault:
    road: str
    kind: str
    count: int = 1
    blocks: int = 0
    builder: str = ""
    owner: str = ""

    def hits(self, road: str, builder: str, owner: str) -> bool:
        """Whether it befalls this request. Without a builder or an owner it befalls all of them."""
        mine = self.builder in ("", builder) and self.owner in ("", owner.lower())
        return self.road == road and self.count > 0 and mine


class AdminApi:
    def __init__(
        self, builder: Builder, pools: Pools, public: PublicApi, faults: list[Fault], running: asyncio.Event,
        respond: Callable[..., Any], answer: Callable[..., web.Response],
    ) -> None:  # fmt: skip
        self._builder, self._pools, self._public = builder, pools, public
        self._faults, self._running, self._respond, self._answer = faults, running, respond, answer

    async def handle(self, request: web.Request) -> web.StreamResponse:
        try:
            parsed = orjson.loads(await request.read())
        except orjson.JSONDecodeError:
            return self._answer(
                {"jsonrpc": "2.0", "id": None, "error": {"code": -32700, "message": "parse error"}}
            )
        if isinstance(parsed, list):
            return self._answer([await self._one(p) for p in parsed])
        return self._answer(await self._one(parsed))

    async def _one(self, request: Any) -> Any:
        async def run() -> Any:
            if not isinstance(request, dict) or not isinstance(request.get("method"), str):
                raise refuse(-32600, "invalid request")
            params = request.get("params", [])
            try:
                return await self.call(request["method"], params if isinstance(params, list) else [])
            except (ValueError, TypeError, IndexError) as error:
                raise refuse(-32602, f"invalid parameters: {error}") from None

        return await self._respond(request, run)

    async def call(self, method: str, params: list[Any]) -> Any:
        match method:
            case "relay_truth":
                pool = [
                    asdict(t) | {"raw": "0x" + t.raw.hex(), "data": "0x" + t.data.hex()}
                    for t in self._pools.public.values()
                ]
                return {
                    "arrivals": self._pools.arrivals, "included": self._pools.included, "public_pool": pool,
                    "winners": self._builder.winners,
                    "reads": list(self._pools.reads), "reads_dropped": self._pools.reads_dropped, "private_pending": [t.hash for h in self._builder.houses for o in h.lots.values() for t in o.txs],
                }  # fmt: skip
            case "relay_fault":
                return self._order_fault(params)
            case "relay_builder":
                return self._change_builder(params)
            case "relay_reorg":
                depth = params[0] if params else 1
                orphans = params[1] if len(params) > 1 else "return"
                if not isinstance(depth, int) or orphans not in ("return", "drop"):
                    raise refuse(-32602, "relay_reorg takes a depth and 'return' or 'drop'")
                return await self._builder.reorg(depth, orphans)
            case "relay_pause":
                self._running.clear()
                return True
            case "relay_resume":
                self._running.set()
                return True
            case "relay_mine" | "evm_mine" | "anvil_mine":
                count = number(params[0]) if params and isinstance(params[0], (int, str)) else 1
                for _ in range(count):
                    await self._builder.build()
                return hex(self._builder.head.number)
            case "evm_increaseTime":
                self._builder.offset_s += number(params[0])
                return self._builder.offset_s
            case "evm_setNextBlockTimestamp" | "evm_setTime" | "anvil_setTime":
                self._builder.offset_s = number(params[0]) - int(time.time())
                return self._builder.offset_s
            case "eth_sendTransaction" | "eth_sendRawTransaction" | "eth_sendUnsignedTransaction":
                return await self._builder.mine_admin(method, params)
        if method in READS and method != "eth_accounts":
            return await self._public.read(method, params, 0)
        async with self._builder.gate.build():
            result = await self._builder.upstream.call(method, params)
            await self._builder.refresh()
            return result

    def _change_builder(self, params: list[Any]) -> bool:
        told = dict(params[0]) if params and isinstance(params[0], dict) else {}
        auction, name = self._builder.auction, str(told.pop("name", ""))
        found = auction.named(name) if auction is not None else None
        if found is None:
            raise refuse(-32602, f"there is no builder {name!r}")
        for word, value in told.items():
            change(found, word, value)
        if "leaks" in told and auction is not None:
            auction.sold.pop(name, None)  # what it sold so far is nobody's any more
        return True

    def _order_fault(self, params: list[Any]) -> int:
        if not params:
            self._faults.clear()
        for entry in params:
            if isinstance(entry, dict) and entry.get("clear"):
                mine = str(entry.get("owner", "")).lower()
                self._faults[:] = [f for f in self._faults if f.owner != mine]
                continue
            if (
                not isinstance(entry, dict)
                or entry.get("kind") not in KINDS
                or entry.get("road") not in ROADS
            ):
                raise refuse(
                    -32602, f"a fault has a road ({', '.join(ROADS)}) and a kind ({', '.join(sorted(KINDS))})"
                )
            self._faults.append(
                Fault(
                    entry["road"],
                    entry["kind"],
                    int(entry.get("count", 1)),
                    int(entry.get("blocks", 0)),
                    str(entry.get("builder", "")),
                    str(entry.get("owner", "")).lower(),
                )
            )
        return len(self._faults)
