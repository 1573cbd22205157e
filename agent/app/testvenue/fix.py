"""The FIX door of the paper exchange: order entry and drop copy, as Binance documents them, over the same engine as the other doors.

Every log-on begins both sides' numbers at 1 and nothing is ever sent again: a message that does not come in its turn ends the session.
All sessions of an account are told all of its executions, whichever door they came by. Faults: `on` is fix.logon, fix.order, fix.cancel,
fix.request (what befalls a request) or fix (what befalls a message to a client), see `faults`.
"""

from __future__ import annotations

import asyncio
import base64
import binascii
import contextlib
import re
import secrets
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field

from Crypto.PublicKey import ECC
from Crypto.Signature import eddsa

from agent.app.testvenue import fix_wire as wire
from agent.app.testvenue.book import HOUSE
from agent.app.testvenue.engine import Outcome
from agent.app.testvenue.faults import Fault
from agent.app.testvenue.fix_wire import Pairs
from agent.app.testvenue.server import Server
from agent.app.testvenue.spec import VenueError
from agent.app.testvenue.wire import new_order
from agent.transport.fix.dictionary import BadMessage, Record
from agent.transport.fix.message import Framer, Garbled, Message, encode, stamp, stamp_ns
from agent.venues.binance_spot.fix_dictionary import DICTIONARY

COMP_ID = re.compile(r"[a-zA-Z0-9_-]{1,8}")
LOGON_S, COPY_DELAY_S = 10.0, 1.0


@dataclass(slots=True, eq=False)
class Client:
    """One connection. `account` is empty until it has logged on; `mute`: nothing more is written to it. `spoil` befalls the next message."""

    writer: asyncio.StreamWriter
    account: str = ""
    name: str = ""
    copies: bool = False
    heartbeat_s: float = LOGON_S
    next_in: int = 1
    next_out: int = 1
    mute: bool = False
    spoil: str = ""
    test: str = ""
    sent_s: float = 0.0
    heard_s: float = 0.0
    over: bool = False
    late: set[asyncio.Task[None]] = field(default_factory=set)


class Refused(Exception):
    """A message that is answered with Reject<3>; `ends` the session with it."""

    def __init__(self, reason: int, text: str, tag: int = 0, code: int = 0, ends: bool = False) -> None:
        super().__init__(text)
        self.reason, self.text, self.tag, self.code, self.ends = reason, text, tag, code, ends


class FixServer:
    """`keys`: the Ed25519 public key in PEM of every account that may log on. Raises ValueError for one that is none."""

    def __init__(self, server: Server, keys: Mapping[str, str], copy_delay_s: float = COPY_DELAY_S) -> None:
        self.server, self.venue, self.copy_delay_s = server, server.venue, copy_delay_s
        self._keys = {account: _public(account, pem) for account, pem in keys.items()}
        self.clients: set[Client] = set()
        self.asked: Counter[str] = Counter()
        """How many requests came of each kind (35) that orders and cancels are, whatever befell them."""
        self._cancel_ids: dict[int, str] = {}
        self._exec_id = 0
        self._tasks: set[asyncio.Task[None]] = set()
        self._listening: asyncio.Server | None = None
        hear = self.venue.listener

        def both(outcome: Outcome) -> None:
            hear(outcome)
            self.on_outcome(outcome)

        self.venue.listener = both

    async def start(self, port: int = 0) -> int:
        """On 127.0.0.1; the port. Raises OSError."""
        self._listening = await asyncio.start_server(self._accept, "127.0.0.1", port)
        found: int = self._listening.sockets[0].getsockname()[1]
        self.server.fix_port = found
        return found

    async def close(self) -> None:
        if self._listening is not None:
            self._listening.close()
        for client in list(self.clients):
            client.writer.transport.abort()
        tasks = [*self._tasks, *(task for client in self.clients for task in client.late)]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def news(self, text: str) -> None:
        """What the venue tells everybody before it closes for maintenance."""
        for client in self.clients:
            if client.account:
                self._say(client, "B", [(148, text)])

    def disconnect(self) -> None:
        """Every connection ends without a word."""
        for client in list(self.clients):
            client.writer.transport.abort()

    # a connection

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        client = Client(writer)
        client.sent_s = client.heard_s = asyncio.get_running_loop().time()
        self.clients.add(client)
        try:
            await self._converse(client, reader)
        except (OSError, asyncio.CancelledError):
            pass
        finally:
            self.clients.discard(client)
            self._tasks.discard(task)
            for late in client.late:
                late.cancel()
            with contextlib.suppress(OSError):
                writer.close()

    async def _converse(self, client: Client, reader: asyncio.StreamReader) -> None:
        framer, loop = Framer(), asyncio.get_running_loop()
        while not client.over:
            wait_s = client.heartbeat_s / self.server.speed / 4
            try:
                async with asyncio.timeout(wait_s):
                    data = await reader.read(1 << 16)
            except TimeoutError:
                self._tick(client, loop.time())
                continue
            if not data:
                return
            client.heard_s, client.test = loop.time(), ""
            for came in framer.feed(data):
                if client.over:
                    break
                self._receive(client, came)
        await client.writer.drain()

    def _tick(self, client: Client, now_s: float) -> None:
        silent_s = client.heartbeat_s / self.server.speed
        if not client.account:
            client.over = now_s - client.heard_s >= silent_s
            return
        if now_s - client.heard_s >= silent_s * (2 if client.test else 1):
            if client.test:
                self._say(client, "5", [(58, "No answer to the test request.")])
                client.over = True
                return
            client.test = secrets.token_hex(4)
            self._say(client, "1", [(112, client.test)])
        elif now_s - client.sent_s >= silent_s:
            self._say(client, "0", [])

    def _receive(self, client: Client, came: Message | Garbled) -> None:
        if isinstance(came, Garbled):
            self._goodbye(client, f"Message could not be parsed: {came.why}"[:200])
            return
        if not client.account:
            client.name = came.get(49)
        try:
            record = DICTIONARY.read(came, strict=True)
            self._in_turn(client, record)
            self._judge(client, record)
        except BadMessage as error:
            client.next_in += 1
            self._reject(client, came, Refused(error.reason, error.text, error.tag, -1102))
            client.over = client.over or not client.account
        except Refused as error:
            self._reject(client, came, error)
            client.over = client.over or error.ends

    def _in_turn(self, client: Client, record: Record) -> None:
        if int(record[34]) != client.next_in:
            self._goodbye(client, f"MsgSeqNum (34) is {record[34]}, expected {client.next_in}")
            raise Refused(5, "Values that will cause a gap are rejected.", 34, ends=True)
        client.next_in += 1
        if record[56] != "SPOT" or (client.account and record[49] != client.name):
            raise Refused(5, "CompID problem.", 49, ends=True)

    def _judge(self, client: Client, record: Record) -> None:
        if not client.account:
            self._log_on(client, record)
            return
        match record.kind:
            case "0":
                return
            case "1":
                self._say(client, "0", [(112, record[112])])
            case "5":
                self._say(client, "5", [(58, "Logout acknowledgment.")])
                client.over = True
            case "D" | "F" | "q" if client.copies:
                raise Refused(99, "Not on a drop copy session.", 35)
            case "D":
                self._befall(client, record, "fix.order")
            case "F" | "q":
                self._befall(client, record, "fix.cancel")
            case _:
                raise Refused(11, f"Message type {record.kind} is not taken here.", 35)

    # logging on

    def _log_on(self, client: Client, record: Record) -> None:
        fault = self.server.faults.take("fix.logon")
        if fault is not None:
            if fault.kind == "reset_before":
                client.writer.transport.abort()
                client.over = True
                return
            if fault.kind == "hang_before":
                client.mute = True
                return
            raise Refused(99, fault.msg, code=fault.code, ends=True)
        if record.kind != "A":
            raise Refused(99, "The first message must be a Logon.", 35, ends=True)
        for tag in (95, 96, 98, 141, 553, 25035):
            if tag not in record.values:
                raise Refused(1, f"Required tag {tag} is missing.", tag, -1102, ends=True)
        if record[98] != "0" or record[141] != "Y" or int(record[34]) != 1:
            raise Refused(
                5, "EncryptMethod 0, ResetSeqNumFlag Y and MsgSeqNum 1 are required.", 141, ends=True
            )
        if not 5 <= int(record[108]) <= 60:
            raise Refused(5, "HeartBtInt must be from 5 to 60.", 108, ends=True)
        self._check_identity(record)
        client.account = record[553]
        client.copies = record.get(9406) == "Y"
        client.heartbeat_s = float(record[108])
        self._say(client, "A", [(98, "0"), (108, record[108]), (25037, secrets.token_hex(16))])

    def _check_identity(self, record: Record) -> None:
        if not COMP_ID.fullmatch(record[49]) or any(c.name == record[49] for c in self.clients if c.account):
            raise Refused(5, "SenderCompID is malformed or in use.", 49, ends=True)
        key = self._keys.get(record[553])
        if key is None:
            raise Refused(8, "Invalid API-key, IP, or permissions for action.", 553, -2015, ends=True)
        late_ms = self.venue.now_ms() - stamp_ns(record[52]) // 1_000_000
        window_ms = float(record.get(25000, "5000"))
        if not -1_000 < late_ms <= min(window_ms, 60_000):
            raise Refused(
                10, "Timestamp for this request is outside of the recvWindow.", 52, -1021, ends=True
            )
        text = "\x01".join(("A", record[49], record[56], record[34], record[52]))
        try:
            eddsa.new(key, "rfc8032").verify(text.encode(), base64.b64decode(record[96], validate=True))
        except (ValueError, binascii.Error):
            raise Refused(8, "Signature for this request is not valid.", 96, -1022, ends=True) from None

    # what is asked for

    def _befall(self, client: Client, record: Record, on: str) -> None:
        """Carries a request out, as the fault that strikes it lets it."""
        self.asked[record.kind] += 1
        fault = self.server.faults.take(on) or self.server.faults.take("fix.request")
        kind = fault.kind if fault is not None else ""
        if kind == "hang_before":
            return
        if kind == "maintenance":
            self._goodbye(client, "Closed for maintenance.")
            return
        if fault is not None and kind in ("error_before", "error_after"):
            said = Message(record.kind, tuple(record.values.items()))
            self._reject(client, said, Refused(99, fault.msg, code=fault.code))
            if kind == "error_before":
                return
        if kind == "reset_before":
            client.writer.transport.abort()
            client.over = True
            return
        if kind in ("reset_after", "hang_after"):
            client.mute = True
        if kind in ("checksum", "partial"):
            client.spoil = kind
        if kind == "late" and fault is not None:
            task = asyncio.create_task(self._later(client, record, fault))
            client.late.add(task)
            task.add_done_callback(client.late.discard)
            return
        self._carry_out(client, record)
        if kind == "twice":
            self._carry_out(client, record)
        if kind == "reset_after":
            client.writer.transport.abort()
            client.over = True

    async def _later(self, client: Client, record: Record, fault: Fault) -> None:
        await asyncio.sleep(fault.delay_ms / 1_000 / self.server.speed)
        try:
            self._carry_out(client, record)
        except Refused as error:
            self._reject(client, Message(record.kind, tuple(record.values.items())), error)

    def _carry_out(self, client: Client, record: Record) -> None:
        window = record.get(25000)
        late_ms = self.venue.now_ms() - stamp_ns(record[52]) // 1_000_000
        if late_ms < -1_000 or (window and late_ms > float(window)):
            raise Refused(10, "Timestamp for this request is outside of the recvWindow.", 52, -1021)
        if record.kind == "D":
            self._place(client, record)
        elif record.kind == "F":
            self._cancel(client, record)
        else:
            self._cancel_all(client, record)

    def _place(self, client: Client, record: Record) -> None:
        try:
            self.server.limits.order(client.account, self.venue.now_ms())
            self.venue.place(
                new_order(self.venue.engine, client.account, wire.parameters(record), record[11])
            )
        except VenueError as error:
            self._say(client, "8", wire.rejected(record, error, self.venue.now_ms()))

    def _cancel(self, client: Client, record: Record) -> None:
        engine = self.venue.engine
        number = int(record[37]) if 37 in record.values else None
        order = (
            engine.find(client.account, record[55], number, record.get(41))
            if record[55] in engine.specs
            else None
        )
        if order is None or not order.is_open:
            self._say(client, "9", wire.cancel_refused(record, VenueError(-2011, "Unknown order sent.")))
            return
        self._cancel_ids[order.order_id] = record[11]
        self.venue.cancel(order)

    def _cancel_all(self, client: Client, record: Record) -> None:
        engine, head = self.venue.engine, [(55, record[55]), (11, record[11]), (530, "1")]
        orders = engine.open_orders(client.account, record[55]) if record[55] in engine.specs else []
        if not orders:
            self._say(
                client, "r", [*head, (531, "0"), (532, "99"), (25016, "-2011"), (58, "Unknown order sent.")]
            )
            return
        for order in orders:
            self._cancel_ids[order.order_id] = record[11]
            self.venue.cancel(order)
        self._say(client, "r", [*head, (531, "1"), (533, str(len(orders)))])

    # what is told

    def on_outcome(self, outcome: Outcome) -> None:
        for execution in outcome.executions:
            account = execution.order.account
            if account == HOUSE:
                continue
            self._exec_id += 1
            own = (
                self._cancel_ids.pop(execution.order.order_id, "")
                if execution.exec_type == "CANCELED"
                else ""
            )
            fields = wire.report(execution, self._exec_id, own)
            for client in self.clients:
                if client.account == account and not client.copies:
                    self._say(client, "8", fields)
                elif client.account == account:
                    self._copy(client, fields)

    def _copy(self, client: Client, fields: Pairs) -> None:
        def say() -> None:
            if client in self.clients:
                self._say(client, "8", fields)

        asyncio.get_running_loop().call_later(self.copy_delay_s / self.server.speed, say)

    def _reject(self, client: Client, came: Message, why: Refused) -> None:
        fields = (
            [(45, came.get(34)), (372, came.kind), (373, str(why.reason))] if came.get(34).isdigit() else []
        )
        fields += [(371, str(why.tag))] if why.tag else []
        fields += [(25016, str(why.code))] if why.code else []
        if not client.over:
            self._say(client, "3", [*fields, (58, why.text[:200])])

    def _goodbye(self, client: Client, text: str) -> None:
        self._say(client, "5", [(58, text)])
        client.over = True

    def _say(self, client: Client, kind: str, fields: Pairs) -> None:
        if client.mute or client.over:
            return
        how = self._spoiled(client) if kind not in ("0", "1", "A") else ""
        if how == "half_open":
            client.mute = True
            return
        if how == "gap":
            client.next_out += 1
        frame = self._frame(client, kind, fields)
        client.next_out += 1
        if how == "drop":
            return
        if how == "checksum":
            frame = frame[:-4] + (b"000" if frame[-4:-1] != b"000" else b"001") + b"\x01"
        if how == "partial":
            client.writer.write(frame[: len(frame) // 2])
            client.writer.close()
            client.over = True
            return
        client.writer.write(frame)
        client.sent_s = asyncio.get_running_loop().time()
        if how == "duplicate":
            client.writer.write(frame)
        if how == "again":  # the same news under a new number
            client.writer.write(self._frame(client, kind, fields))
            client.next_out += 1
        if how == "close":
            client.writer.transport.abort()
            client.over = True

    def _spoiled(self, client: Client) -> str:
        """What befalls the next message, of its own or as the answer to a request."""
        how, client.spoil = client.spoil, ""
        if how:
            return how
        fault = self.server.faults.take("fix")
        return fault.kind if fault is not None else ""

    def _frame(self, client: Client, kind: str, fields: Pairs) -> bytes:
        head = [(49, "SPOT"), (56, client.name or "?"), (34, str(client.next_out))]
        return encode(kind, [*head, (52, stamp(self.venue.now_ms() * 1_000_000) + "000"), *fields])


def _public(account: str, pem: str) -> ECC.EccKey:
    try:
        key = ECC.import_key(pem)
    except (ValueError, IndexError):
        raise ValueError(f"account {account}: fix is no public key in PEM") from None
    if key.curve != "Ed25519" or key.has_private():
        raise ValueError(f"account {account}: fix is no Ed25519 public key")
    return key
