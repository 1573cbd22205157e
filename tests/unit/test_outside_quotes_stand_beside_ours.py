"""CoW, 0x and 1inch are asked by their documented interfaces, on a local server of these shapes; whatever they answer is a figure or a reason."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import aiohttp
import pytest
from aiohttp import web

from chains.outside import Cow, OneInch, Outside, Sale, ZeroX, asked
from chains.rpc import SecretUrl

WETH, USDC, SAFE = (
    "0xC02aaA39b223FE8D0A0e5C4F27eAD9083C756Cc2",
    "0xA0b86991c6218b36c1d19D4a2e9Eb0cE3606eB48",
    "0x" + "11" * 20,
)
SALE = Sale(1, WETH, USDC, 25 * 10**18, SAFE)
KEY = "a-secret-key"


class Routers:
    """What all three say; `answers` replaces the body by path, a number is a status."""

    def __init__(self) -> None:
        self.answers: dict[str, Any] = {
            "/api/v1/quote": {"quote": {"sellAmount": str(SALE.raw - 10**15), "feeAmount": str(10**15), "buyAmount": "74990000000"}, "id": 7},
            "/swap/allowance-holder/price": {"liquidityAvailable": True, "buyAmount": "75000000000", "gas": "230000"},
            "/swap/v6.1/1/quote": {"dstAmount": "75010000000", "gas": 250000},
        }  # fmt: skip
        self.seen: list[tuple[str, dict[str, str], dict[str, str], Any]] = []

    async def take(self, request: web.Request) -> web.StreamResponse:
        body = await request.json() if request.method == "POST" else None
        self.seen.append(
            (f"{request.method} {request.path}", dict(request.query), dict(request.headers), body)
        )
        answer = self.answers[request.path]
        if answer == "hang":
            await asyncio.sleep(60)
        if isinstance(answer, int):
            return web.Response(status=answer, text=KEY)
        if isinstance(answer, bytes):
            return web.Response(body=answer)
        return web.json_response(answer)


@asynccontextmanager
async def routers() -> AsyncIterator[tuple[Routers, list[Any], aiohttp.ClientSession]]:
    held, app = Routers(), web.Application()
    app.router.add_route("*", "/{tail:.*}", held.take)
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    url = SecretUrl(f"http://127.0.0.1:{runner.addresses[0][1]}/")
    async with aiohttp.ClientSession() as session:
        try:
            yield held, [Cow(url), ZeroX(url, KEY), OneInch(url, KEY)], session
        finally:
            await runner.cleanup()


async def test_each_is_asked_as_documented() -> None:
    async with routers() as (held, some, session):
        found = await asked(some, session, SALE)
    assert found == [
        Outside("cow", 74990000000),
        Outside("zerox", 75000000000, 230000),
        Outside("oneinch", 75010000000, 250000),
    ]
    seen = {line: (query, headers, body) for line, query, headers, body in held.seen}
    _, _, body = seen["POST /api/v1/quote"]
    assert (body["sellToken"], body["buyToken"], body["kind"], body["sellAmountBeforeFee"]) == (
        WETH,
        USDC,
        "sell",
        str(SALE.raw),
    )
    assert body["from"] == SAFE and body["signingScheme"] == "eip1271"
    query, headers, _ = seen["GET /swap/allowance-holder/price"]
    assert query == {
        "chainId": "1",
        "sellToken": WETH,
        "buyToken": USDC,
        "sellAmount": str(SALE.raw),
        "taker": SAFE,
    }
    assert headers["0x-api-key"] == KEY and headers["0x-version"] == "v2"
    query, headers, _ = seen["GET /swap/v6.1/1/quote"]
    assert query == {"src": WETH, "dst": USDC, "amount": str(SALE.raw), "includeGas": "true"}
    assert headers["Authorization"] == f"Bearer {KEY}"


@pytest.mark.parametrize(
    ("answer", "why"),
    [
        (401, "it answered 401"), (503, "it answered 503"), (b"<html>", "it answered no JSON"), ([], "it answered no object"),
        ({}, "without a"), ({"quote": []}, "without a quote"), (b"[" * 100_000, "no JSON"),
    ],
)  # fmt: skip
async def test_whatever_cow_answers_is_a_reason(answer: Any, why: str) -> None:
    async with routers() as (held, some, session):
        held.answers["/api/v1/quote"] = answer
        found = await some[0].ask(session, SALE)
    assert why in found.why and KEY not in found.why and found.out_raw == 0


@pytest.mark.parametrize(
    "raw", ["-1", "1e30", "", " 5", "9" * 81, None, True, 1.5, "0x10", {}, str(1 << 256)]
)
async def test_what_is_no_amount_is_none(raw: Any) -> None:
    async with routers() as (held, some, session):
        held.answers["/swap/v6.1/1/quote"] = {"dstAmount": raw, "gas": 1}
        held.answers["/swap/allowance-holder/price"] = {
            "liquidityAvailable": True,
            "buyAmount": "5",
            "gas": raw,
        }
        _, zerox, inch = await asked(some, session, SALE)
    assert "without a sound dstAmount" in inch.why and inch.out_raw == 0
    assert zerox.why or (raw is None and zerox == Outside("zerox", 5))


async def test_no_liquidity_is_said_and_one_that_hangs_holds_up_no_other() -> None:
    async with routers() as (held, some, session):
        held.answers["/swap/allowance-holder/price"] = {"liquidityAvailable": False}
        held.answers["/swap/v6.1/1/quote"] = "hang"
        cow, zerox, inch = await asked(some, session, SALE)
    assert cow.out_raw and zerox.why == "it finds no liquidity" and inch.why == "TimeoutError"
