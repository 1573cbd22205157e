"""The same account with its orders and cancels by FIX, and its reports by FIX: the third transport behind the same port.

Everything that is read (markets, books, balances, an order by its name, the audit) stays with REST, which is also what answers after a
session was lost: an order that went out by FIX is never sent again by anything. The signer judges and counts every order as it does
for REST, by the same words; what it cannot do is hold back what a session that is logged on says (keys/signer/fix_logon.py).
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

from agent.domain.errors import FairleadError, Reconcile, Reject, Retry
from agent.domain.ids import ClOrdId
from agent.domain.order_state import TERMINAL
from agent.domain.orders import Side
from agent.domain.reports import ExecutionReport, OrderSnapshot
from agent.market.feeds import FeedFacts
from agent.market.reading import number as exact
from agent.ports import Clock, SignedRequest
from agent.transport.fix.dictionary import Record
from agent.transport.http import CONNECT_S, TimeOuts
from agent.venues import Send, Sign, VenueFacts, to_cancel, understood
from agent.venues.binance_spot import codec
from agent.venues.binance_spot import fix_codec as words
from agent.venues.binance_spot.fix_door import Door, FixDoor
from agent.venues.binance_spot.session import BinanceSpot, fills_unknown

ENTRY_URL, DROP_COPY_URL = "tcp+tls://fix-oe.binance.com:9000", "tcp+tls://fix-dc.binance.com:9000"
REMEMBERED = 20_000


@dataclass(frozen=True, slots=True)
class Doors:
    """`copy`: a drop copy session that tells the account's reports too, where there is one."""

    entry: Door
    copy: Door | None = None


class BinanceSpotByFix(BinanceSpot):
    """An `agent.ports.ExecutionVenue`."""

    def __init__(
        self,
        facts: VenueFacts,
        feed_facts: FeedFacts,
        name: str,
        clock: Clock,
        api_key: str,
        sign: Sign,
        base_url: str | None,
        timeouts: TimeOuts,
        ws_url: str | None = None,
        send: Send | None = None,
        *,
        doors: Doors,
    ) -> None:
        super().__init__(facts, feed_facts, name, clock, api_key, sign, base_url, timeouts, ws_url, send)
        self._timeouts = timeouts
        self.entry = FixDoor(name, doors.entry, clock, self._now_ns)
        self.copy = (
            FixDoor(f"{name}'s drop copy", doors.copy, clock, self._now_ns, drop_copy=True)
            if doors.copy
            else None
        )
        self._sent: dict[str, None] = {}

    def holds_pairs(self, symbol: str) -> bool:
        """Lists are not spoken of here: exits are watched by this process."""
        return False

    @property
    def sessions(self) -> tuple[FixDoor, ...]:
        """Order entry, and drop copy where there is one."""
        return (self.entry,) if self.copy is None else (self.entry, self.copy)

    async def start(self) -> None:
        """As by REST. The FIX sessions come up beside it: what needs one that is not there says so (Retry FIX_DOWN)."""
        await super().start()
        for session in self.sessions:
            session.start()

    async def close(self) -> None:
        try:
            await asyncio.gather(*(session.close() for session in self.sessions))
        finally:
            await super().close()

    async def submit(self, request: SignedRequest) -> OrderSnapshot:
        """Says it once. Raises Reject, Retry (it never left) or Reconcile (it may be there, or was said before)."""
        self._need_markets()
        params = words.words(request.payload)
        with understood("an order of ours"):
            name, fields = params["newClientOrderId"], words.new_order(params)
            until_ms = int(params["timestamp"]) + int(params["recvWindow"])
            ends = params["type"] == "MARKET" or params["timeInForce"] != "GTC"
        await self.entry.line.ready(CONNECT_S)
        left_ms = until_ms - self.account.now_ms()
        if left_ms <= 0:
            raise Reject(
                "REQUEST_EXPIRED", f"{name} was signed too long ago to be sent", "check this machine's clock"
            )

        def takes(record: Record) -> tuple[bool, bool]:
            if record.kind != words.REPORT or record.get(words.CL_ORD_ID) != name:
                return False, False
            status = codec.STATUS.get(words.STATUS.get(record[words.ORD_STATUS], ""))
            return True, not ends or status in TERMINAL

        window: list[tuple[int, str]] = [(words.RECV_WINDOW, str(left_ms))]
        answers = await self.entry.ask(
            words.NEW_ORDER, window + fields, takes, self._timeouts.write_s, lambda: self._once(name)
        )
        last = answers[-1]
        if last.kind != words.REPORT or last[words.EXEC_TYPE] == "8":
            refused = words.refusal(last, write=True)
            if isinstance(refused, Retry):  # turned away at the door: it may come again
                self._sent.pop(name, None)
            raise refused
        return self._folded(answers)

    async def cancel(self, cl_ord_id: ClOrdId, symbol: str) -> OrderSnapshot:
        """As the port says; a refusal is looked into: the venue has one for every order it does not hold open. By REST where no session is
        up: what ends an order waits for none.

        One that leaves open what became of the cancel, or turns it away, is told as that.
        """
        self.instrument(symbol)
        if not self.entry.up or cl_ord_id in self.pairs.known:  # a pair that was given by REST ends by REST
            return await super().cancel(cl_ord_id, symbol)
        own = f"c-{cl_ord_id}"[:36]

        def takes(record: Record) -> tuple[bool, bool]:
            refused = record.kind == words.CANCEL_REJECT and record.get(words.CL_ORD_ID) == own
            done = (
                record.kind == words.REPORT
                and record[words.EXEC_TYPE] == "4"
                and cl_ord_id in (record.get(words.ORIG_CL_ORD_ID), record.get(words.CL_ORD_ID))
            )
            return refused or done, refused or done

        fields = [(words.CL_ORD_ID, own), (words.ORIG_CL_ORD_ID, str(cl_ord_id)), (words.SYMBOL, symbol)]
        last = (await self.entry.ask(words.CANCEL, fields, takes, self._timeouts.write_s))[-1]
        if last.kind == words.REPORT:
            try:
                return await self._with_fills(self._folded([last]))
            except Retry as error:
                raise fills_unknown(cl_ord_id, error) from None
        refused = words.refusal(last, write=True)
        if not isinstance(refused, Reject):
            raise refused
        ended = await to_cancel(self.query(cl_ord_id, symbol))
        if ended is None:
            raise Reject("NO_SUCH_ORDER", f"{self._name} has no order {cl_ord_id}")
        if cl_ord_id in self.pairs.known:  # met by asking
            return await self.pairs.cancel(cl_ord_id, symbol)
        if ended.status not in TERMINAL:
            raise refused
        return ended

    async def _cancel_symbol(self, symbol: str) -> dict[ClOrdId, OrderSnapshot | FairleadError]:
        """One mass cancel; what its reports name is ended, the rest is asked after one by one. By REST as `cancel`."""
        if not self.entry.up:
            return await super()._cancel_symbol(symbol)
        own = f"q-{symbol}-{self.account.now_ms()}"[:36]

        def takes(record: Record) -> tuple[bool, bool]:
            whole = record.kind == words.MASS_REPORT and record.get(words.CL_ORD_ID) == own
            one = (
                record.kind == words.REPORT
                and record[words.EXEC_TYPE] == "4"
                and record[words.SYMBOL] == symbol
            )
            return whole or one, whole

        fields = [(words.CL_ORD_ID, own), (words.SYMBOL, symbol), (words.MASS_TYPE, "1")]
        try:
            answers = await self.entry.ask(words.MASS_CANCEL, fields, takes, self._timeouts.write_s)
        except (Reject, Retry, Reconcile):
            return {}
        told: dict[ClOrdId, OrderSnapshot | FairleadError] = {}
        for record in answers:
            if record.kind == words.REPORT:
                order = self._folded([record])
                try:
                    told[order.cl_ord_id] = await self._with_fills(order)
                except Retry as error:
                    told[order.cl_ord_id] = fills_unknown(order.cl_ord_id, error)
        return told

    def stream(self) -> AsyncIterator[ExecutionReport]:
        """Reports of both sessions and of the audit, each execution once."""
        self._need_markets()
        return self.reports.merged(*self.sessions)

    # inside

    def _now_ns(self) -> int:
        return self._clock.now_ns() + self.account.ahead_ms * 1_000_000

    def _once(self, name: str) -> None:
        """An order that was said is not said again: once it has ended the venue would take its name for a new one. Raises Reconcile
        SENT_BEFORE."""
        if name in self._sent:
            raise Reconcile(
                "SENT_BEFORE",
                f"{name} was sent to {self._name} before, and is sent once",
                "ask by client order id",
            )
        self._sent[name] = None
        if len(self._sent) > REMEMBERED:
            del self._sent[next(iter(self._sent))]

    def _folded(self, records: list[Record]) -> OrderSnapshot:
        """The order as its last report has it, with the fills of all of them. Raises Reconcile where they cannot be read."""
        with understood("an execution report", write=True):
            events = [words.event(record) for record in records]
            last = events[-1]
            reports = [self._reader.report(event) for event in events]
            order = self._reader.order(_row(last))
            name = last["C"] if last["x"] == "CANCELED" and last["C"] else last["c"]
            fills = tuple(report.fill for report in reports if report is not None and report.fill is not None)
            return replace(order, cl_ord_id=ClOrdId(name), fills=fills)


def _row(event: Mapping[str, Any]) -> dict[str, Any]:
    """What REST would say of the order that this report is of."""
    return {
        "price": str(exact(event["p"])),
        "origQty": event["q"],
        "executedQty": event["z"],
        "orderId": event["i"],
        "symbol": event["s"],
        "side": Side(event["S"]),
        "status": event["X"],
        "clientOrderId": event["c"],
        "updateTime": event["T"],
    }
