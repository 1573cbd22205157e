"""The exchange behind its doors: accounts, one writer, and a log of commands from which a restart rebuilds everything."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from decimal import Decimal
from pathlib import Path
from typing import Any

from agent.app.testvenue.book import HOUSE, Order
from agent.app.testvenue.engine import Engine, NewList, NewOrder, Outcome
from agent.app.testvenue.futures import FuturesEngine
from agent.app.testvenue.liquidity import Maker, Tape, TapeEvent
from agent.app.testvenue.spec import VenueError


@dataclass(frozen=True, slots=True)
class Account:
    """`fix_key`: the public key in PEM that its FIX sessions log on with; empty where it has none."""

    key: str
    secret: str = field(repr=False)
    deposits: tuple[tuple[str, Decimal], ...]
    fix_key: str = ""


class CommandLog:
    """One JSON line per accepted command. Orders and cancels are on the disk before they take effect."""

    def __init__(self, path: Path, header: dict[str, str]) -> None:
        self.path = path
        self.commands: list[dict[str, Any]] = []
        if path.exists() and path.stat().st_size:
            self._read(header)
        self._file = path.open("ab", buffering=0)
        if self._file.tell() == 0:
            self.append({"op": "header", **header}, durable=True)

    def _read(self, header: dict[str, str]) -> None:
        raw = self.path.read_bytes()
        whole = raw[: raw.rfind(b"\n") + 1]
        if len(whole) != len(raw):
            # the last line was being written when the process ended: it was never acknowledged
            with self.path.open("r+b") as file:
                file.truncate(len(whole))
        try:
            lines = [json.loads(line) for line in whole.splitlines()]
        except ValueError:
            raise ValueError(f"{self.path.name} is damaged: a line of it is no JSON") from None
        if lines and {k: v for k, v in lines[0].items() if k != "op"} != header:
            raise ValueError(
                f"{self.path.name} was written by a server with other symbols, seed, mid or accounts, or of another version"
            )
        self.commands = lines[1:]

    def append(self, command: dict[str, Any], *, durable: bool) -> None:
        """Raises OSError, and then the log is as it was."""
        end = self._file.seek(0, os.SEEK_END)
        try:
            self._file.write(json.dumps(command).encode() + b"\n")
            if durable:
                os.fdatasync(self._file.fileno())
        except OSError:
            self._file.truncate(end)
            raise

    def close(self) -> None:
        self._file.close()


class Venue:
    """All changes go through here, one at a time; `listener` hears of each outcome in order."""

    def __init__(
        self,
        engine: Engine,
        accounts: list[Account],
        makers: list[Maker],
        now_ms: Callable[[], int],
        log: CommandLog | None = None,
    ) -> None:
        self.engine, self.makers, self.now_ms, self.log = engine, makers, now_ms, log
        self.accounts = {account.key: account for account in accounts}
        self.listener: Callable[[Outcome], None] = lambda outcome: None
        self.tape = Tape()
        self.ticks = 0
        for account in accounts:
            for asset, qty in account.deposits:
                engine.deposit(account.key, asset, qty)
        for maker in makers:
            maker.tick(engine, 0, 0)
        for number, command in enumerate(log.commands if log else (), 2):
            try:
                self._apply(command)
            except (KeyError, TypeError, ArithmeticError, VenueError) as error:
                raise ValueError(f"the command log is damaged at line {number}: {error}") from None

    def place(self, request: NewOrder) -> Outcome:
        """Raises VenueError, and then nothing has changed or been logged."""
        now_ms = self.now_ms()
        if self.log is None:  # it is checked there, and there is nothing to write before it takes effect
            return self._told(self.engine.place(request, now_ms))
        self.engine.check(request)
        command = {"op": "place", "t": now_ms, "r": _fields(request)}
        return self._run(command, durable=request.account != HOUSE)

    def place_list(self, request: NewList) -> Outcome:
        """Raises VenueError, and then nothing has changed or been logged."""
        self.engine.check_list(request)
        fields = asdict(request) | {"orders": [_fields(order) for order in request.orders]}
        return self._run({"op": "list", "t": self.now_ms(), "r": fields}, durable=True)

    def amend(self, order: Order, qty: Decimal) -> Outcome:
        """Raises VenueError, and then nothing has changed or been logged."""
        self.engine.check_amend(order, qty)
        command = {"op": "amend", "t": self.now_ms(), "id": order.order_id, "qty": str(qty)}
        return self._run(command, durable=True)

    def change(self, order: Order, qty: Decimal, px: Decimal) -> Outcome:
        """Of an engine that changes prices too. Raises VenueError, and then nothing has changed or been logged."""
        engine = self.engine
        assert isinstance(engine, FuturesEngine)
        engine.check_change(order, qty, px)
        command = {"op": "change", "t": self.now_ms(), "id": order.order_id, "qty": str(qty), "px": str(px)}
        return self._run(command, durable=True)

    def cancel(self, order: Order) -> Outcome:
        if not order.is_open:
            return self.engine.cancel(order, self.now_ms())
        return self._run({"op": "cancel", "t": self.now_ms(), "id": order.order_id}, durable=True)

    def expire(self, order: Order) -> Outcome:
        """Ends an open order whose time has come."""
        return self._run({"op": "expire", "t": self.now_ms(), "id": order.order_id}, durable=True)

    def set_level(self, symbol: str, side: str, px: Decimal, qty: Decimal) -> Outcome:
        """Moves the house for good: the maker keeps the level from now on."""
        return self._run(
            {"op": "level", "t": self.now_ms(), "s": symbol, "side": side, "px": str(px), "qty": str(qty)},
            durable=False,
        )

    def tick(self) -> Outcome:
        return self._run({"op": "tick", "t": self.now_ms(), "n": self.ticks + 1}, durable=False)

    def play(self, event: TapeEvent) -> Outcome:
        """A recorded event; recordings are not logged (a server that plays one starts it again)."""
        outcome = self.tape.apply(self.engine, event, self.now_ms())
        self.listener(outcome)
        return outcome

    def _run(self, command: dict[str, Any], *, durable: bool) -> Outcome:
        if self.log is not None:
            self.log.append(command, durable=durable)
        return self._told(self._apply(command))

    def _told(self, outcome: Outcome) -> Outcome:
        self.listener(outcome)
        return outcome

    def _apply(self, command: dict[str, Any]) -> Outcome:
        now_ms = int(command["t"])
        match command["op"]:
            case "place":
                return self.engine.place(_request(command["r"]), now_ms)
            case "list":
                fields = dict(command["r"])
                fields["orders"] = tuple(_request(order) for order in fields["orders"])
                return self.engine.place_list(NewList(**fields), now_ms)
            case "amend":
                order = self.engine.orders[int(command["id"])]
                return self.engine.amend(order, Decimal(command["qty"]), now_ms)
            case "cancel":
                return self.engine.cancel(self.engine.orders[int(command["id"])], now_ms)
            case "change":
                order, engine = self.engine.orders[int(command["id"])], self.engine
                assert isinstance(engine, FuturesEngine)
                return engine.change(order, Decimal(command["qty"]), Decimal(command["px"]), now_ms)
            case "expire":
                return self.engine.expire(self.engine.orders[int(command["id"])], now_ms)
            case "level":
                side, px, qty = command["side"], Decimal(command["px"]), Decimal(command["qty"])
                for maker in self.makers:
                    if maker.symbol == command["s"]:
                        maker.target[side, px] = qty
                return self.engine.set_level(command["s"], side, px, qty, now_ms)
            case "tick":
                self.ticks, outcome = int(command["n"]), Outcome()
                for maker in self.makers:
                    outcome.extend(maker.tick(self.engine, self.ticks, now_ms))
                return outcome
            case other:
                raise ValueError(f"the command log holds an unknown command '{other}'")


def _fields(request: NewOrder) -> dict[str, Any]:
    return {k: (str(v) if isinstance(v, Decimal) else v) for k, v in asdict(request).items()}


def _request(fields: dict[str, Any]) -> NewOrder:
    amounts = {
        name: Decimal(fields[name])
        for name in ("px", "qty", "quote_qty", "stop_px", "iceberg")
        if fields.get(name) is not None
    }
    return NewOrder(**{**fields, **amounts})
