"""An order whose signature never leaves the signer's process: granted, sent once to the one host, and its answer handed back."""

from __future__ import annotations

import json
import subprocess
import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from decimal import Decimal
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import aiohttp
import custody as c
import pytest
from fix_exchange import PEM, PUBLIC

from agent.app.chaos.custody.exchange_room import OWNER_SECRET, ExchangeRoom
from agent.app.exchange_bound import bounds_of, sentence
from agent.app.fix_doors import signer_entries
from agent.app.settings_fix import Fix
from agent.app.settings_tree import Venue
from agent.app.wiring import connect_venue
from agent.domain.ids import ClOrdId
from agent.domain.order_state import OrdStatus
from agent.domain.orders import OrdType, Side, TimeInForce, VenueOrder
from agent.transport.clock import SystemClock
from agent.transport.fix.message import stamp
from chains.errors import Denied, Reconcile, Retry, Usage
from chains.types import Environment
from keys.client import SignerClient, start_signer
from keys.settings import load
from keys.signer.exchange import sign
from keys.signer.exchange_wire import Wire, checked

ORDER = "/api/v3/order"


class Exchange(BaseHTTPRequestHandler):
    """Keeps what it is sent; answers as `how` says."""

    protocol_version = "HTTP/1.1"

    def do_POST(self) -> None:
        server = self.server
        assert isinstance(server, Kept)
        body = self.rfile.read(int(self.headers["Content-Length"])).decode()
        server.got.append((self.path, body, self.headers["X-MBX-APIKEY"], self.client_address[1]))
        if server.how == "hangs up":
            self.close_connection = True
            return
        if server.how == "says nothing":
            time.sleep(1.5)
        status = int(server.how) if server.how.isdigit() else 200
        text = b'{"orderId": 1, "status": "FILLED"}'
        self.send_response(status)
        self.send_header("Content-Length", str(len(text)))
        self.send_header("X-MBX-USED-WEIGHT-1M", "7")
        self.send_header("X-MBX-ORDER-COUNT-10S", "3")
        self.send_header("Set-Cookie", "not=yours")
        self.end_headers()
        self.wfile.write(text)

    def log_message(self, format: str, *args: object) -> None:
        return


class Kept(ThreadingHTTPServer):
    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Exchange)
        self.got: list[tuple[str, str, str, int]] = []
        self.how = "200"

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"


@pytest.fixture
def exchange() -> Iterator[Kept]:
    server = Kept()
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield server
    server.shutdown()
    server.server_close()


@pytest.fixture
def signer(tmp_path: Path, exchange: Kept) -> Iterator[Path]:
    config = c.signer_files(tmp_path, sends_to=exchange.url)
    process = start_signer(tmp_path / "s.sock", config, tmp_path / "signer.log")
    yield tmp_path
    stop(process)


def stop(process: subprocess.Popen[bytes]) -> None:
    process.terminate()
    process.wait(20)


def query(**changes: str) -> str:
    fields = {"symbol": "ETHUSDC", "side": "BUY", "type": "LIMIT", "timeInForce": "GTC", "quantity": "0.1", "price": "3000"}  # fmt: skip
    fields |= {"timestamp": str(time.time_ns() // 10**6)} | changes
    return "&".join(f"{n}={v}" for n, v in fields.items())


def client(folder: Path) -> SignerClient:
    return SignerClient(folder / "s.sock", Environment.DEVNET)


async def test_an_order_is_granted_sent_once_and_its_signature_stays(signer: Path, exchange: Kept) -> None:
    async with client(signer) as asks:
        asked = ("e1", "paper", "POST", ORDER, query())
        assert await asks.sign_exchange(*asked) == ("", "public-ish-key")
        assert not exchange.got, "a grant sends nothing"
        status, headers, body = await asks.send_exchange(*asked)
        assert status == 200 and json.loads(body)["status"] == "FILLED"
        assert dict(headers) == {"x-mbx-used-weight-1m": "7", "x-mbx-order-count-10s": "3"}, (
            "the exchange's limits, and nothing else of its headers"
        )
        ((path, sent, key, port),) = exchange.got
        assert path == ORDER and key == "public-ish-key"
        assert sent == f"{asked[4]}&signature={sign(b'exchange-secret-value', asked[4])}"
        with pytest.raises(Reconcile, match="sent once"):
            await asks.send_exchange(*asked)
        assert await asks.sign_exchange(*asked) == ("", "public-ish-key")
        with pytest.raises(Reconcile):
            await asks.send_exchange(*asked)
        assert len(exchange.got) == 1
        another = ("e2", "paper", "POST", ORDER, query(price="3001"))
        await asks.sign_exchange(*another)
        await asks.send_exchange(*another)
        assert exchange.got[1][3] == port, "the connection is kept"
        told = (await asks.status())["exchange_limits"]["paper"]
        assert told["sends"] is True and told["repeats"] == 1
        (bound,) = bounds_of({"exchange_limits": {"paper": told}}, ["paper"]) or ()
        assert bound.per_day_usd == bound.signed_per_day_usd == 30_000 and "times" not in sentence(bound)


async def test_what_was_not_granted_is_not_sent(signer: Path, exchange: Kept) -> None:
    async with client(signer) as asks:
        asked = ("g1", "paper", "POST", ORDER, query())
        with pytest.raises(Denied) as never:
            await asks.send_exchange(*asked)
        assert never.value.code == "EXCHANGE_NOT_GRANTED"
        await asks.sign_exchange(*asked)
        for other in (query(quantity="0.11"), asked[4] + "&recvWindow=1"):
            with pytest.raises(Denied, match="another content"):
                await asks.send_exchange("g1", "paper", "POST", ORDER, other)
        with pytest.raises(Denied) as large:
            await asks.sign_exchange("g2", "paper", "POST", ORDER, query(quantity="10"))
        assert large.value.code == "EXCHANGE_PER_ORDER"
        for method, path in (("GET", "/api/v3/account"), ("DELETE", ORDER), ("WS", "order.place")):
            with pytest.raises(Denied) as kept:
                await asks.sign_exchange("g3", "paper", method, path, query())
            assert kept.value.code == "EXCHANGE_SENT_HERE"
        signature, _ = await asks.sign_exchange("r", "paper", "GET", "/api/v3/account", f"timestamp={time.time_ns() // 10**6}")  # fmt: skip
        assert len(signature) == 64, "what is no order is signed as ever"
        assert not exchange.got


async def test_a_signer_that_ended_never_sends_what_it_granted_before(tmp_path: Path, exchange: Kept) -> None:
    config = c.signer_files(tmp_path, sends_to=exchange.url)
    asked = ("old", "paper", "POST", ORDER, query())
    process = start_signer(tmp_path / "s.sock", config, tmp_path / "signer.log")
    async with client(tmp_path) as asks:
        await asks.sign_exchange(*asked)
    process.kill()
    process.wait()
    process = start_signer(tmp_path / "s.sock", config, tmp_path / "signer.log")
    try:
        async with client(tmp_path) as asks:
            assert (await asks.sign_exchange(*asked))[0] == ""
            with pytest.raises(Reconcile):
                await asks.send_exchange(*asked)
    finally:
        stop(process)
    assert not exchange.got


async def test_whether_it_may_have_been_sent_decides_the_error(signer: Path, exchange: Kept) -> None:
    async with client(signer) as asks:
        exchange.how = "hangs up"
        asked = ("h", "paper", "POST", ORDER, query())
        await asks.sign_exchange(*asked)
        with pytest.raises(Reconcile) as lost:
            await asks.send_exchange(*asked)
        assert lost.value.code == "VENUE_DISCONNECTED"
        exchange.how = "503"
        asked = ("s", "paper", "POST", ORDER, query(price="3002"))
        await asks.sign_exchange(*asked)
        assert (await asks.send_exchange(*asked))[0] == 503, "what the exchange says is the agent's to judge"


async def test_an_order_that_reached_nobody_may_be_sent_again(tmp_path: Path) -> None:
    gone = Kept()
    gone.server_close()
    process = start_signer(
        tmp_path / "s.sock", c.signer_files(tmp_path, sends_to=gone.url), tmp_path / "signer.log"
    )
    try:
        async with client(tmp_path) as asks:
            asked = ("n", "paper", "POST", ORDER, query())
            await asks.sign_exchange(*asked)
            for _ in range(2):
                with pytest.raises(Retry) as nobody:
                    await asks.send_exchange(*asked)
                assert nobody.value.code == "VENUE_UNREACHABLE"
    finally:
        stop(process)


def test_an_exchange_that_says_nothing_is_given_up_in_time(exchange: Kept) -> None:
    exchange.how = "says nothing"
    with pytest.raises(Reconcile) as late:
        Wire("paper", exchange.url, timeout_s=0.3).send("POST", ORDER, "a=1", "s", "k")
    assert late.value.code == "VENUE_TIMEOUT"


@pytest.mark.parametrize(
    "url",
    ["http://api.example.com", "ftp://127.0.0.1", "https://u@host", "https://host/?x=1", "api.example.com"],
)
def test_orders_go_nowhere_that_others_can_read(url: str, tmp_path: Path) -> None:
    with pytest.raises(ValueError):
        checked(url)
    with pytest.raises(Usage, match="sends_to"):
        load(c.signer_files(tmp_path, sends_to=url))
    assert checked("https://api.binance.com").hostname and checked("http://127.0.0.1:1").port == 1


def test_a_reference_that_names_no_address_is_refused_without_telling_it(tmp_path: Path) -> None:
    (tmp_path / "url").write_text("https://user:secret@api.example.com")
    (tmp_path / "url").chmod(0o600)
    config = c.signer_files(tmp_path, sends_to=f"file:{tmp_path}/url")
    assert load(config).exchanges["paper"].sends_to == f"file:{tmp_path}/url"
    with pytest.raises(Usage, match=r"exchanges\.paper\.sends_to") as wrong:
        start_signer(tmp_path / "s.sock", config, tmp_path / "signer.log")
    assert "example" not in wrong.value.message and "secret" not in wrong.value.message.replace(
        "sends_to", ""
    )


async def test_the_exchanges_client_places_orders_through_the_signer(tmp_path: Path) -> None:
    """The client is the one for every exchange of the dialect; what it is given back is the exchange's own answer. Its address is
    given to the signer by reference."""
    (tmp_path / "api-secret").write_text(OWNER_SECRET)
    (tmp_path / "fix-public").write_text(PUBLIC)
    room = ExchangeRoom(tmp_path, tmp_path / "fix-public")
    room.start()
    try:
        (tmp_path / "url").write_text(room.url + "\n")
        (tmp_path / "fix-secret").write_text(PEM)
        for name in ("url", "fix-secret"):
            (tmp_path / name).chmod(0o600)
        config = c.signer_files(tmp_path, sends_to=f"file:{tmp_path}/url")
        fix = {
            "api_key": f"file:{tmp_path}/api-key",
            "api_secret": f"file:{tmp_path}/fix-secret",
            "senders": ["FL1", "FL2"],
        }
        written = json.loads(config.read_text())
        written["exchanges"] |= signer_entries("paper", Fix.model_validate(fix))
        config.write_text(json.dumps(written))
        process = start_signer(tmp_path / "s.sock", config, tmp_path / "signer.log")
        try:
            async with client(tmp_path) as signer:
                told = {"name": "paper", "module": "binance_spot", "base_url": room.url}
                configured = Venue.model_validate(told | {"api_key": f"file:{tmp_path / 'api-key'}"})
                venue = connect_venue(configured, SystemClock(), signer)
                await venue.start()
                try:
                    order = VenueOrder(ClOrdId("mine"), "ETHUSDC", Side.BUY, OrdType.LIMIT, TimeInForce.GTC, Decimal("0.1"), Decimal("2000"))  # fmt: skip
                    request = await venue.authorize(order)
                    assert "signature" not in request.payload, (
                        "what the journal and the agent keep opens nothing"
                    )
                    placed = await venue.submit(request)
                    assert placed.cl_ord_id == "mine" and placed.cum_qty == 0
                    with pytest.raises(Reconcile):
                        await venue.submit(request)
                    found = await venue.query(ClOrdId("mine"), "ETHUSDC")
                    assert found is not None
                    assert (await venue.cancel(ClOrdId("mine"), "ETHUSDC")).cl_ord_id == "mine"
                    dear = replace(order, cl_ord_id=ClOrdId("dear"), order_qty=Decimal("10"))
                    with pytest.raises(Denied) as over:
                        await venue.authorize(dear)
                    assert over.value.code == "EXCHANGE_PER_ORDER", (
                        "refused before anything is recorded as signed"
                    )
                finally:
                    await venue.close()
                await by_fix(signer, configured, fix, room.url)
        finally:
            stop(process)
    finally:
        room.stop()


async def by_fix(signer: SignerClient, configured: Venue, fix: dict[str, Any], url: str) -> None:
    """The same settings with `[venues.fix]`: the log-on is signed by the signer's process, an order is judged there as before."""
    async with aiohttp.ClientSession() as asks, asks.get(f"{url}/api/v3/ping") as told:
        port = told.headers["X-Fairlead-Fix"]
    sessions = Fix.model_validate(fix | {"url": f"tcp://127.0.0.1:{port}"})
    venue = connect_venue(configured.model_copy(update={"fix": sessions}), SystemClock(), signer)
    await venue.start()
    try:
        order = VenueOrder(ClOrdId("by-fix"), "ETHUSDC", Side.BUY, OrdType.LIMIT, TimeInForce.GTC, Decimal("0.1"), Decimal("2000"))  # fmt: skip
        placed = await venue.submit(await venue.authorize(order))
        assert placed.cl_ord_id == "by-fix" and placed.cum_qty == 0
        assert (await venue.cancel(ClOrdId("by-fix"), "ETHUSDC")).status is OrdStatus.CANCELED
        with pytest.raises(Denied) as over:
            await venue.authorize(replace(order, cl_ord_id=ClOrdId("dear-too"), order_qty=Decimal("10")))
        assert over.value.code == "EXCHANGE_PER_ORDER"
        text = (
            f"MsgType=A&SenderCompID=OTHER&TargetCompID=SPOT&MsgSeqNum=1&SendingTime={stamp(time.time_ns())}"
        )
        with pytest.raises(Denied) as another:
            await signer.sign_exchange("l1", "paper-fix", "FIX", "LOGON", text)
        assert another.value.code == "EXCHANGE_FIX_SENDER"
    finally:
        await venue.close()
    bounds = bounds_of(await signer.status(), ["paper"]) or ()
    assert [one.name for one in bounds] == ["paper", "paper-fix"] and bounds[1].per_day_usd is None
