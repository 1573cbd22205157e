"""Kraken's private socket (v2): executions as they happen, where the owner's signer grants its token; nothing is sent over it.

It only quickens what the audit tells anyway: what cannot be read here is asked for there.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from decimal import Decimal
from typing import Any

import orjson

from agent.domain.errors import Denied, FairleadError, Retry
from agent.domain.ids import ClOrdId
from agent.domain.order_state import ExecType
from agent.domain.orders import Side
from agent.domain.reports import Fill
from agent.market.reading import above_zero, exact, legible, name, ns_of_text, number, side
from agent.transport.executions import Executions, Told
from agent.transport.stream import Stream, Text, Up
from agent.venues.kraken.codec import Reader

ENDS = {"canceled": ExecType.CANCELED, "expired": ExecType.EXPIRED}


def heard(frame: str, reader: Reader) -> list[tuple[ClOrdId, str, Fill | ExecType, int]]:
    """(our name, the venue's order number, fill or kind, ns) of each execution that a frame tells. Raises Retry BAD_FRAME."""
    with legible("a frame of the account"):
        data = exact(frame)
        if data.get("channel") != "executions":
            return []
        return [one for row in data["data"] if (one := _execution(row, reader)) is not None]


def _execution(row: Any, reader: Reader) -> tuple[ClOrdId, str, Fill | ExecType, int] | None:
    kind, txid, at_ns = row["exec_type"], name(row["order_id"]), ns_of_text(row["timestamp"])
    ours = reader.name(row.get("cl_ord_id"), txid)
    if kind in ENDS:
        return ours, txid, ENDS[kind], at_ns
    market = reader.markets.by_name.get(row["symbol"]) if kind == "trade" else None
    if market is None:
        return None
    quote = market.instrument.quote
    fees = [(reader.markets.asset(fee["asset"]), number(fee["qty"])) for fee in row.get("fees", ())]
    if len(fees) > 1:
        raise ValueError(f"{len(fees)} fees of one trade")
    px, qty = above_zero(row["last_price"]), above_zero(row["last_qty"])
    fill = reader.made(
        market,
        name(row["exec_id"]),
        side(row["side"], "buy", "sell") is Side.BUY,
        px,
        qty,
        above_zero(row["cost"]),
        fees[0] if fees else (quote, Decimal(0)),
        at_ns,
    )
    return ours, txid, fill, at_ns


class Line:
    """`token`: asked for on every connection. Raises Denied where none is granted."""

    def __init__(
        self,
        stream: Stream,
        token: Callable[[], Awaitable[str]],
        reader: Reader,
        reports: Executions,
    ) -> None:
        self._token, self._reader, self._reports = token, reader, reports
        self._stream = stream
        self.frames = 0

    async def listen(self, told: Told) -> None:
        """Ends where no token is granted: the audit alone tells then."""
        try:
            token = await self._asked()
            async for event in self._stream.events():
                if isinstance(event, Up):
                    token = token or await self._asked()
                    if not token:
                        await self._stream.drop("no token for the private socket")
                        continue
                    await self._stream.say(_subscribe(token))
                    token = ""  # good for one connection
                    self._reports.wake()
                elif isinstance(event, Text):
                    self.frames += 1
                    await self._hear(event.data, told)
        except Denied:
            return
        except FairleadError as error:
            await told.put(error)

    async def _asked(self) -> str:
        """The token; empty where it cannot be had now, and the next connection asks again."""
        try:
            return await self._token()
        except Retry:
            return ""

    async def _hear(self, frame: str, told: Told) -> None:
        try:
            found = heard(frame, self._reader)
        except Retry as bad:
            self._reports.wake()
            await self._stream.drop(bad.message)
            return
        known = [market.instrument.symbol for market in self._reader.markets.by_name.values()]
        for ours, txid, what, _ in found:
            if isinstance(what, Fill):
                await self._reports.fill(ours, txid, what, told)
                continue
            # how much was done such an event does not tell, so that it is asked: any market does, an order is found by its name
            await self._reports.ask_after(ours, known[0], told)


def _subscribe(token: str) -> str:
    said = {"channel": "executions", "token": token, "snap_orders": False, "snap_trades": False}
    return orjson.dumps({"method": "subscribe", "params": said}).decode()
