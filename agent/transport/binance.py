"""What Binance's interfaces say alike, spot and futures: parameters, refusals and their verbs, requests signed over the exact bytes sent.

Sources: the venue's published REST, WebSocket and error documentation. The secret is never here: `sign` asks the signer's process.
"""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote_plus

import orjson

from agent.domain.errors import FairleadError, Reconcile, Reject, Retry, Usage
from agent.domain.ids import ClOrdId
from agent.market.reading import exact, garbled, understood
from agent.ports import Clock, SignedRequest
from agent.transport.http import Http, Reply
from agent.transport.limits import LimitHeaders

_AS_IT_IS = re.compile(r"[A-Za-z0-9_.~-]*")
Params = Mapping[str, str | int]
Sign = Callable[[str, str, str], Awaitable[str]]
Send = Callable[[str, str, str], Awaitable[tuple[int, Mapping[str, str], bytes]]]
HINTS = {
    -1021: "check this machine's clock",
    -1022: "check the API secret the signer holds",
    -2014: "check the API key in the settings",
    -2015: "check the API key, its permissions and its list of addresses",
}
LIMITS = LimitHeaders(used="X-MBX-USED-WEIGHT-1M", orders="X-MBX-ORDER-COUNT-10S")
ORDERS_NS = 10 * 10**9
NO_SUCH_ORDER, CANCEL_REJECTED, CLOCK_OFF = -2013, -2011, -1021
UNKNOWN_OUTCOME = frozenset({-1000, -1001, -1006, -1007, -1008})
TURNED_AWAY = frozenset({-1003, -1015})
NAMES = {
    -1002: "UNAUTHORIZED",
    -1013: "FILTER_FAILURE",
    -1021: "REQUEST_EXPIRED",
    -1022: "INVALID_SIGNATURE",
    -1100: "ILLEGAL_CHARACTERS",
    -1102: "PARAMETER_MISSING",
    -1111: "BAD_PRECISION",
    -1121: "UNKNOWN_SYMBOL",
    -2010: "NEW_ORDER_REJECTED",
    -2011: "CANCEL_REJECTED",
    -2013: "NO_SUCH_ORDER",
    -2014: "BAD_API_KEY",
    -2015: "API_KEY_REFUSED",
    -2018: "NO_SUCH_LIST",
    -2038: "AMEND_REJECTED",
}


@dataclass(frozen=True, slots=True)
class VenueSays:
    """A refusal: the venue's own code and words."""

    code: int
    msg: str


def query_string(params: Params) -> str:
    """As forms are encoded; mostly every name and value is as it is, which is looked at once for all."""
    plain = [f"{name}={value}" for name, value in params.items()]
    if _AS_IT_IS.fullmatch("".join(plain).replace("=", "", len(plain))):  # one more "=" would be a value's
        return "&".join(plain)
    return "&".join([f"{quote_plus(name)}={quote_plus(str(value))}" for name, value in params.items()])


def sorted_payload(params: Params) -> str:
    """What is signed on the WebSocket API: the parameters in alphabetical order."""
    return "&".join(f"{name}={params[name]}" for name in sorted(params))


def load(body: bytes, what: str, *, write: bool = False) -> Any:
    """Raises Retry GARBLED for what is no JSON: it broke on its way, and what was asked can be asked again; a write is Reconcile."""
    try:
        return orjson.loads(body)
    except ValueError:
        raise garbled(what, body, write=write) from None


def refusal(body: bytes) -> VenueSays:
    try:
        data = orjson.loads(body)
        return VenueSays(int(data["code"]), str(data["msg"]))
    except (ValueError, KeyError, TypeError):
        return VenueSays(0, body[:200].decode("utf-8", "replace"))


def error_of(says: VenueSays, *, write: bool, names: Mapping[int, str] = NAMES) -> FairleadError:
    """The verb of a refusal. A duplicate id means that an order of ours is there: ask, do not assume."""
    name, hint = names.get(says.code, f"VENUE_{-says.code}"), HINTS.get(says.code, "")
    text = f"the venue says {says.code}: {says.msg}"
    if not says.code:  # a refusal that cannot be read may be any: of a duplicate, of an unknown outcome
        kind = Reconcile if write else Retry
        text = f"the venue's refusal cannot be read: {says.msg[:80]}"
        return kind("GARBLED", text, "ask by client order id" if write else "ask again")
    if says.code in TURNED_AWAY:
        return Retry("RATE_LIMITED", text, "wait and try again")
    if says.code in UNKNOWN_OUTCOME:
        return (
            Reconcile("UNKNOWN_OUTCOME", text, "ask by client order id")
            if write
            else Retry(name, text, "ask again")
        )
    if name == "DUPLICATE_CLIENT_ID" or (says.code == -2010 and says.msg.startswith("Duplicate order")):
        return Reconcile("DUPLICATE_CLIENT_ID", text, "ask by client order id")
    if says.code == CLOCK_OFF and not write:
        return Retry(name, text, hint)
    return Reject(name, text, hint)


def weight_a_minute(data: Any) -> int | None:
    """The request weight that the exchange itself allows a minute, by its exchangeInfo; None where it does not say."""
    return _allowed(data, "REQUEST_WEIGHT", ("MINUTE", 1))


def orders_in_10s(data: Any) -> int | None:
    """The new orders that it allows an account in ten seconds, None where it does not say."""
    return _allowed(data, "ORDERS", ("SECOND", 10))


def _allowed(data: Any, kind: str, interval: tuple[str, int]) -> int | None:
    with understood("exchangeInfo"):
        for rule in data.get("rateLimits", ()):
            if rule["rateLimitType"] == kind and (rule["interval"], rule["intervalNum"]) == interval:
                return int(rule["limit"])
    return None


class Account:
    """One key's requests at one server. `ahead_ms`: how far its clock was measured to be before ours; `measured` hears it."""

    def __init__(
        self,
        http: Http,
        clock: Clock,
        api_key: str,
        sign: Sign,
        send: Send | None,
        time_path: str,
        recv_window_ms: int,
        measured: Callable[[int], None],
        names: Mapping[int, str] = NAMES,
    ) -> None:
        self.http, self._clock, self._api_key, self._sign, self._send = http, clock, api_key, sign, send
        self._time_path, self._recv_window_ms, self._measured = time_path, recv_window_ms, measured
        self._names = names
        self.ahead_ms = 0

    @property
    def api_key(self) -> str:
        return self._api_key

    def now_ms(self) -> int:
        """The venue's time."""
        return self._clock.now_ns() // 1_000_000 + self.ahead_ms

    def stamp(self) -> dict[str, str | int]:
        return {"recvWindow": self._recv_window_ms, "timestamp": self.now_ms()}

    async def set_clock(self) -> None:
        before = self._clock.now_ns()
        data = await self.public(self._time_path, {})
        after = self._clock.now_ns()
        with understood("time"):
            self.ahead_ms = int(data["serverTime"]) - (before + after) // 2_000_000
        self._measured(self.ahead_ms)

    def keep_to(self, info: Any, weight_a_minute_else: int, orders_in_10s_else: int) -> None:
        """Takes over what exchangeInfo allows; where it does not say, what is given."""
        self.http.throttle.limit = weight_a_minute(info) or weight_a_minute_else
        if self.http.orders is not None:
            self.http.orders.limit = orders_in_10s(info) or orders_in_10s_else

    async def depth(self, path: str, near: int, far: int) -> bytes:
        """A snapshot of a book; `near` is the weight of five levels, `far` of all. Raises Retry also where the venue refuses: a book that
        cannot be had is stale, whatever the reason."""
        path, _, query = path.partition("?")
        reply = await self.http.read("GET", path, query, weight=near if query.endswith("limit=5") else far)
        if reply.status >= 400:
            says = refusal(reply.body)
            text = f"{self.http.who} gives no depth: {says.code} {says.msg}"
            raise Retry("NO_SNAPSHOT", text, "see its status")
        return reply.body

    async def public(self, path: str, params: Params, weight: int = 1) -> Any:
        reply = await self.http.read("GET", path, query_string(params), weight=weight)
        return self.accepted(reply, path, write=False)

    async def keyed(self, method: str, path: str, weight: int = 1) -> Any:
        """A request that shows the key and takes no signature. Raises as a read."""
        reply = await self.http.read(method, path, "", {"X-MBX-APIKEY": self._api_key}, weight)
        return self.accepted(reply, path, write=False)

    async def signed(self, method: str, path: str, params: Params) -> tuple[str, str]:
        """(what is signed, its signature; empty where the signer keeps it)."""
        payload = query_string({**params, **self.stamp()})
        return payload, await self._sign(method, path, payload)

    async def read(self, path: str, params: Params, weight: int) -> Any:
        return await self.checked(await self.reply("GET", path, params, weight), path)

    async def read_exact(self, path: str, params: Params, weight: int) -> Any:
        """As `read`, of what comes with JSON numbers."""
        reply = await self.reply("GET", path, params, weight)
        await self.checked(reply, path)
        with understood(path):
            return exact(reply.body)

    async def write(self, method: str, path: str, params: Params, what: str, weight: int = 1) -> Any:
        return self.accepted(await self.reply(method, path, params, weight), what, write=True)

    async def reply(self, method: str, path: str, params: Params, weight: int) -> Reply:
        """The venue's own answer, whatever its status; sent by the signer where it keeps the signature. GET is a read, all else a write."""
        if method == "GET":
            await self.http.room(weight)
            weight = 0
        payload, signature = await self.signed(method, path, params)
        if not signature:
            return await self.sent_by_signer(SignedRequest(ClOrdId(""), method, path, payload, ""), weight)
        query, headers = f"{payload}&signature={signature}", {"X-MBX-APIKEY": self._api_key}
        if method == "GET":
            return await self.http.read(method, path, query, headers, weight)
        return await self.http.write(method, path, query, b"", headers, weight, int(method == "POST"))

    async def submit(self, request: SignedRequest) -> Reply:
        """Sends these bytes once, as a form; those without a signature by the signer."""
        if "&signature=" not in request.payload:
            return await self.sent_by_signer(request)
        headers = {"X-MBX-APIKEY": self._api_key, "Content-Type": "application/x-www-form-urlencoded"}
        body = request.payload.encode()
        return await self.http.write(request.method, request.path, "", body, headers, orders=1)

    async def sent_by_signer(self, request: SignedRequest, weight: int = 1) -> Reply:
        """Raises Usage EXCHANGE_NOT_SENT_HERE where nobody here sends for the signer, else as `Http.write`."""
        send = self._send
        if send is None:
            raise Usage(
                "EXCHANGE_NOT_SENT_HERE",
                f"the signer keeps {self.http.who}'s signatures, and does not send here",
            )

        async def ask() -> Reply:
            return Reply(*await send(request.method, request.path, request.payload))

        return await self.http.write_by(ask, weight, int(request.method == "POST"))

    async def checked(self, reply: Reply, what: str) -> Any:
        if reply.status >= 400 and refusal(reply.body).code == CLOCK_OFF:
            await self.set_clock()
        return self.accepted(reply, what, write=False)

    def accepted(self, reply: Reply, what: str, *, write: bool) -> Any:
        if reply.status >= 400:
            raise error_of(refusal(reply.body), write=write, names=self._names)
        return load(reply.body, what, write=write)
