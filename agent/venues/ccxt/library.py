"""The library's exchange object with our own way to the network under it: our signer, our throttle, our judgement of what may have
happened. The library only makes requests and reads answers here.

It holds no secret: what is not public is made and signed by the signer's process, out of the same call. Its rate limiter, its retries
and its session are not used.
"""

from __future__ import annotations

import importlib
import json
from collections.abc import Awaitable, Callable, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from decimal import Decimal
from math import ceil
from typing import Any
from urllib.parse import urlsplit

from agent.domain.errors import FairleadError, Halt, Reconcile, Retry, Usage
from agent.ports import Clock
from agent.transport.http import Http, Reply, TimeOuts
from agent.transport.throttle import Throttle
from agent.transport.turns import Turns
from agent.venues import Sign
from agent.venues.ccxt import border
from agent.venues.ccxt.exchanges import KNOWN, READ_ONLY, Known

_SPOT = {
    "defaultType": "spot",
    "fetchMarkets": {"types": ["spot"]},
    "fetchMargins": False,
    "adjustForTimeDifference": False,
}
_DUMMY = {"apiKey": "none", "secret": "bm9uZQ==", "password": "none", "uid": "none"}


class Captured(Exception):
    """An order's request, signed and not sent."""

    def __init__(self, request: Mapping[str, Any]) -> None:
        super().__init__("captured")
        self.request = request


@dataclass(slots=True)
class Way:
    """How the calls made inside it travel. `capture`: the first that changes something is signed and handed back by Captured.
    `answer`: the first is not sent, this is its answer."""

    write: bool = False
    capture: bool = False
    answer: Any = None


_WAY: ContextVar[Way] = ContextVar("way")


def load(exchange: str) -> type[Any]:
    """The library's class, the one with sockets where there is one. Raises Usage CCXT_MISSING, UNKNOWN_EXCHANGE."""
    try:
        pro, plain = importlib.import_module("ccxt.pro"), importlib.import_module("ccxt.async_support")
    except ImportError:
        raise Usage("CCXT_MISSING", "exchanges of the ccxt family need the package ccxt", "install fairlead[ccxt]") from None  # fmt: skip
    if exchange not in plain.exchanges:
        near = [name for name in plain.exchanges if name[:2] == exchange[:2]][:6]
        raise Usage("UNKNOWN_EXCHANGE", f"ccxt has no exchange '{exchange}'", f"near it: {', '.join(near) or ', '.join(KNOWN)}")  # fmt: skip
    found: type[Any] = getattr(pro, exchange, None) or getattr(plain, exchange)
    return found


class Library:
    """`raw` is the library's object; `call` makes one unified call of it."""

    def __init__(
        self,
        name: str,
        exchange: str,
        clock: Clock,
        sign: Sign,
        timeouts: TimeOuts,
        base_url: str | None,
        ws_url: str | None,
        sandbox: bool,
    ) -> None:
        self.name, self.exchange, self.known = (
            name,
            exchange,
            {**READ_ONLY, **KNOWN}.get(exchange, Known(asked="")),
        )
        self._clock, self._sign, self._timeouts = clock, sign, timeouts
        self.ahead_ms = 0
        self.login: dict[str, Any] = {}
        self.signer = ""
        """The session key that signs, where the signer tells it."""
        self.expired: Callable[[], Awaitable[None]] | None = None
        """What is done where the exchange says that a request was dated wrongly."""
        made = _bound(load(exchange), self)
        self.raw: Any = made({"enableRateLimit": False, "options": {**_SPOT, **self.known.options}})
        self.raw.number, self.raw.safe_float, self.raw.parse_json = str, self._exact_or_none, _read_json
        self.raw.timeout_on_exit = 0
        for key, value in self.known.credentials.items():
            setattr(self.raw, key, value)
        self.raw.has = {**self.raw.has, "fetchCurrencies": False}
        if sandbox:
            if not self.raw.urls.get("test"):
                raise Usage("NO_SANDBOX", f"ccxt knows no sandbox of {exchange}", "leave `sandbox` out")
            self.raw.set_sandbox_mode(True)
        if base_url is not None:
            _elsewhere(self.raw, base_url.rstrip("/"), ws_url)
        per_minute = int(60_000 / float(self.raw.rateLimit)) if self.raw.rateLimit else 600
        self.throttle = Throttle(clock, max(per_minute, 1))
        self._doors: dict[str, Http] = {}
        self._closed = False
        self._turns = Turns(clock) if self.known.nonces else None

    @property
    def http(self) -> Http:
        """The first door that was opened: for what is told of limits."""
        return next(iter(self._doors.values()), None) or self._door("http://127.0.0.1")

    async def markets(self) -> Mapping[str, Any]:
        """The spot markets by the library's symbols. Until they are there no key is shown, for some exchanges then ask for more."""
        self._closed = False
        rows = await self.call("fetch_markets")
        with border.understood("markets"):
            self.raw.set_markets([row for row in rows if row.get("spot")])
        for name, value in _DUMMY.items():
            setattr(self.raw, name, value)
        found: Mapping[str, Any] = self.raw.markets
        return found

    async def close(self) -> None:
        self._closed = True  # what the library began beside a socket opens no door again
        for door in self._doors.values():
            await door.close()
        await self.raw.close()

    async def call(self, method: str, *args: Any, write: bool = False, **more: Any) -> Any:
        """A unified call. Raises our verbs and nothing of the library's; Halt VENUE_DIALECT for an answer that it cannot read."""
        with self._way(Way(write=write)):
            return await self._called(method, args, more, write)

    async def captured(self, method: str, *args: Any) -> Mapping[str, Any]:
        """The request of a call that changes something, signed and not sent."""
        with self._way(Way(capture=True)):
            try:
                await self._called(method, args, {}, False)
            except Captured as caught:
                return caught.request
        raise Halt("CCXT_SENT_NOTHING", f"{self.exchange}: {method} asked for nothing that changes anything", "a bug: report it")  # fmt: skip

    async def answered(self, answer: Any, method: str, *args: Any) -> Any:
        """What the call makes of this answer, which came before."""
        with self._way(Way(write=True, answer=answer)):
            return await self._called(method, args, {}, True)

    async def send(self, request: Mapping[str, Any]) -> Any:
        """Sends what was captured, once. The exchange's answer; raises Reject, Retry (it never arrived) or Reconcile."""
        try:
            return await self._exchange(request, 1, write=True)
        except FairleadError:
            raise
        except Exception as error:  # noqa: BLE001 - the library's tree of errors, told by its own names
            raise await self._told(error, write=True) from None
        finally:
            self._over(request["turn"])

    # the socket

    async def subscribe(self) -> None:
        """Has the subscription to the account's reports signed; `heard` takes it up. Raises as the signer."""
        asked = {"at_ms": self._now_ms(), "params": {}}
        self.login = json.loads(await self._sign("WS", self.known.login, json.dumps(asked)))["params"]

    async def heard(self) -> None:
        """Returns when the socket told of an order. Raises our verbs, Retry where the line broke."""
        await self.call("watch_orders")

    def forget_book(self, symbol: str) -> None:
        """No level of a book that was followed is left: the next call begins with a subscription and a snapshot."""
        self.raw.orderbooks.pop(symbol, None)
        for client in list(self.raw.clients.values()):
            for name in [n for n in client.subscriptions if symbol in n and "book" in n.lower()]:
                del client.subscriptions[name]

    async def hang_up(self) -> None:
        await self.raw.close_ws_clients()

    @contextmanager
    def _way(self, way: Way) -> Iterator[None]:
        token = _WAY.set(way)
        try:
            yield
        finally:
            _WAY.reset(token)

    async def _called(self, method: str, args: tuple[Any, ...], more: Mapping[str, Any], write: bool) -> Any:
        try:
            with border.understood(f"{self.exchange}'s answer to {method}", write=write):
                return await getattr(self.raw, method)(*args, **more)
        except (FairleadError, Captured):
            raise
        except Exception as error:  # noqa: BLE001 - the library's tree of errors, told by its own names
            raise await self._told(error, write=write) from None

    async def _told(self, error: Exception, *, write: bool) -> FairleadError:
        """Our verb; where the time was wrong the exchange's clock is measured again, once for all that fails meanwhile."""
        found = border.error_of(error, self.name, write=write)
        if found.code == "REQUEST_EXPIRED" and self.expired is not None:
            measure, self.expired = self.expired, None
            try:
                await measure()
            except FairleadError:
                pass  # the next one that fails measures again
            finally:
                self.expired = measure
        return found

    def page(self, method: str, most: int) -> int:
        """How many rows one call of that method may ask for, at most `most`: some exchanges refuse to be asked for more than they give."""
        told = ((self.raw.features or {}).get("spot") or {}).get(method) or {}
        return min(int(told.get("limit") or most), most)

    def _now_ms(self) -> int:
        return self._clock.now_ns() // 1_000_000 + self.ahead_ms

    # under the library

    async def fetch(self, path: str, api: Any, method: str, params: Any, config: Any) -> Any:
        """In place of the library's own."""
        way = _WAY.get(Way())
        sections = [api] if isinstance(api, str) else list(api)
        public = any("public" in section.lower() for section in sections)
        weight = max(ceil(self.raw.calculate_rate_limiter_cost(sections, method, path, params, config)), 1)
        if way.answer is not None and not public:
            answer, way.answer = way.answer, None
            return answer
        if public:
            return await self._exchange(self.raw.sign(path, sections, method, params), weight, write=False)
        turn = await self._turns.take() if self._turns is not None else 0
        try:
            request = await self._signed(path, sections, method, params)
            if way.capture and method != "GET":
                kept, turn = {**request, "turn": turn}, 0  # the turn lasts until it is sent
                raise Captured(kept)
            return await self._exchange(request, weight, write=way.write)
        finally:
            self._over(turn)

    def _over(self, turn: int) -> None:
        if turn and self._turns is not None:
            self._turns.over(turn)

    async def _signed(self, path: str, sections: list[str], method: str, params: Any) -> Mapping[str, Any]:
        """Made here without a secret, for the address and what a sandbox adds; made again and signed by the signer."""
        own = self.raw.sign(path, sections, method, _copy(params))
        asked = {"at_ms": self._now_ms(), "params": params}
        told = json.loads(await self._sign(method, f"{'/'.join(sections)}/{path}", json.dumps(asked)))
        self.signer = str(told.get("signer", ""))
        ours, theirs = urlsplit(own["url"]), urlsplit(told["url"])
        if not ours.path.endswith(theirs.path):
            raise Halt("CCXT_PATHS", f"{self.name}: the signer signed {theirs.path} for {ours.path}", "both need the same ccxt")  # fmt: skip
        url = theirs._replace(scheme=ours.scheme, netloc=ours.netloc, path=ours.path).geturl()
        headers = {**(own["headers"] or {}), **(told["headers"] or {})}
        named = f"{method} {'/'.join(sections)}/{path} {json.dumps(params)}"
        return {
            "url": url,
            "method": told["method"],
            "headers": headers,
            "body": told["body"],
            "named": named,
        }

    async def _exchange(self, request: Mapping[str, Any], weight: int, *, write: bool) -> Any:
        if self._closed:
            raise Retry("VENUE_CLOSED", f"the session with {self.name} was closed", "start it again")
        parts = urlsplit(request["url"])
        door = self._door(f"{parts.scheme}://{parts.netloc}")
        headers = self.raw.prepare_request_headers(request["headers"])
        body = (request["body"] or "").encode()
        method = request["method"]
        if write:
            reply = await door.write(method, parts.path, parts.query, body, headers, weight)
        else:
            reply = await door.read(method, parts.path, parts.query, headers, weight, body)
        return self._read(request, reply, write=write)

    def _read(self, request: Mapping[str, Any], reply: Reply, *, write: bool) -> Any:
        """Raises the library's exceptions for what the exchange refuses; Retry or Reconcile GARBLED."""
        text = reply.body.decode("utf-8", "replace")
        data = _read_json(text)
        # What it says of an error is kept: a signature in the address is not to be.
        url = request["url"].partition("?")[0]
        told = (reply.status, "", url, request["method"], dict(reply.headers), text)
        self.raw.handle_errors(*told, data, request["headers"], request["body"])
        self.raw.handle_http_status_code(reply.status, "", url, request["method"], text)
        if data is None:
            kind = Reconcile if write else Retry
            raise kind("GARBLED", f"{self.name} answered {len(text)} characters that are no JSON", "ask by client order id" if write else "ask again")  # fmt: skip
        return data

    def _door(self, origin: str) -> Http:
        if origin not in self._doors:
            self._doors[origin] = Http(self.name, origin, self.throttle, self.known.limits, self._timeouts, now_ms=self._now_ms)  # fmt: skip
        return self._doors[origin]

    def _exact_or_none(self, data: Any, key: Any, default: Any = None) -> Any:
        """In place of the library's reading of floats: levels of books come through here."""
        text = self.raw.safe_string(data, key)
        if text is None or text == "":
            return default
        found = Decimal(text)
        return found if found.is_finite() else default


def _bound(kind: type[Any], library: Library) -> Callable[[Mapping[str, Any]], Any]:
    async def fetch2(
        self: Any, path: str, api: Any = "public", method: str = "GET", params: Any = None, config: Any = None
    ) -> Any:
        return await library.fetch(path, api, method, {} if params is None else params, config or {})

    def sign_params(self: Any, params: Any = None) -> dict[str, Any]:
        """In place of the library's signing of a socket's subscription: `Library.subscribe` had it signed before."""
        return dict(library.login)

    def client(self: Any, url: str) -> Any:
        """A socket that what it cannot read ends: the library would stop reading it, and wait for what is never told."""
        known = url in (self.clients or {})
        found = kind.client(self, url)
        if not known:
            found.handle_text_or_binary_message = _legible(found, found.handle_text_or_binary_message)
        return found

    own = {"fetch2": fetch2, "sign_params": sign_params, "client": client}
    made: Callable[[Mapping[str, Any]], Any] = type(kind.__name__, (kind,), own)
    return made


def _legible(client: Any, read: Callable[[Any], None]) -> Callable[[Any], None]:
    def heard(data: Any) -> None:
        try:
            read(data)
        except (ValueError, LookupError, TypeError, AttributeError, ArithmeticError) as strange:
            client.on_error(_broken(f"a message that cannot be read: {type(strange).__name__}"))

    return heard


def _broken(what: str) -> Exception:
    """The library's own error of a line that broke, so that it is taken up again as after any other."""
    error: Exception = importlib.import_module("ccxt").NetworkError(what)
    return error


def _read_json(text: str, *_: Any) -> Any:
    """Numbers as the text they came as; None for what is no JSON."""
    try:
        return json.loads(text, parse_float=str) if text.lstrip()[:1] in ("{", "[") else None
    except ValueError:
        return None


def _copy(params: Any) -> Any:
    return [dict(one) for one in params] if isinstance(params, list) else dict(params)


def _elsewhere(raw: Any, base_url: str, ws_url: str | None) -> None:
    """Every address of the library's moved to that server, its paths as they are; sockets to `ws_url`, or the same server."""
    socket = ws_url or "ws" + base_url.removeprefix("http")

    def moved(value: Any, to: str) -> Any:
        if isinstance(value, Mapping):
            return {key: moved(one, socket if key == "ws" else to) for key, one in value.items()}
        return to + urlsplit(value).path.rstrip("/") if isinstance(value, str) else value

    raw.urls = {**raw.urls, "api": moved(raw.urls["api"], base_url)}
