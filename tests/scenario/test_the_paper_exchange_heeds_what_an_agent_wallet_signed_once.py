"""The paper exchange in Hyperliquid's dialect takes each action once, from the wallet that the account named, and not after its time.

Number 4 of the failures this must survive, from the exchange's side: a nonce used twice is an error there, and never a second order.
"""

from __future__ import annotations

import asyncio
from decimal import Decimal
from typing import Any

import aiohttp
import orjson
import pytest
from hyper_rig import PAIR, Signer, hyper_paper, hyper_session
from hyper_server import ACCOUNT
from venue_rigs import name_of

from agent.app.testvenue.__main__ import arguments, build
from agent.domain.errors import Reject
from agent.domain.order_state import OrdStatus
from agent.domain.orders import OrdType, Side, TimeInForce, VenueOrder

D = Decimal


def bid(number: int, px: str = "2990", qty: str = "1") -> VenueOrder:
    return VenueOrder(name_of(number), PAIR, Side.BUY, OrdType.LIMIT, TimeInForce.GTC, D(qty), D(px))


async def post(url: str, path: str, body: Any) -> Any:
    async with aiohttp.ClientSession() as client, client.post(f"{url}{path}", json=body) as answer:
        return (answer.status, await answer.json() if answer.status == 200 else await answer.text())


async def test_an_action_is_taken_once_and_only_from_its_wallet_and_in_time() -> None:
    async with hyper_paper() as door:
        venue = hyper_session(door.url)
        await venue.start()
        request = await venue.authorize(bid(0))
        body = orjson.loads(request.payload)
        strange = orjson.loads(request.payload)
        strange["action"]["orders"][0]["s"] = (
            "2"  # its signature is of something else, and so somebody else's
        )
        assert "does not exist" in (await post(door.url, "/exchange", strange))[1]["response"]
        said = (await post(door.url, "/exchange", body))[1]
        assert said["status"] == "ok" and "resting" in said["response"]["data"]["statuses"][0]
        again = (await post(door.url, "/exchange", body))[1]
        assert again == {"status": "err", "response": f"Invalid nonce: duplicate nonce {body['nonce']}"}
        assert len((await door.truth())["orders"]) == 1
        late = await venue.authorize(bid(1))
        assert door.here is not None
        door.here.faults.clock_ms = 60_000
        with pytest.raises(Reject) as expired:
            await venue.submit(late)
        assert expired.value.code == "REQUEST_EXPIRED" and len((await door.truth())["orders"]) == 1
        door.here.faults.clock_ms = 0
        for nonsense in ({}, {"action": 1}, {**body, "signature": {}}, {**body, "nonce": "x"}):
            status, _ = await post(door.url, "/exchange", nonsense)
            assert status == 422
        assert (await post(door.url, "/info", {"type": "nobody knows"}))[0] == 422
        assert (await post(door.url, "/info", {"type": "clearinghouseState", "user": ACCOUNT}))[1][
            "assetPositions"
        ] == []
        await venue.close()


async def test_a_change_keeps_the_name_and_a_scheduled_end_comes() -> None:
    async with hyper_paper() as door:
        signer = Signer()
        venue = hyper_session(door.url, signer)
        await venue.start()
        await venue.submit(await venue.authorize(bid(0)))
        changed = await venue.modify(bid(0, "2985", "2"))
        assert (changed.cl_ord_id, changed.px, changed.order_qty) == (name_of(0), 2985, 2)
        with pytest.raises(Reject) as none:
            await venue.modify(bid(7))
        assert none.value.code == "NO_SUCH_ORDER"
        with pytest.raises(Reject):
            await venue.schedule_cancel(1)  # five seconds ahead at least
        await venue.schedule_cancel(30)
        await venue.schedule_cancel(None)
        await venue.schedule_cancel(30)
        assert door.here is not None
        door.here.faults.clock_ms = 31_000
        await asyncio.sleep(0.15)
        ended = await venue.query(name_of(0), PAIR)
        assert ended is not None and ended.status is OrdStatus.CANCELED
        assert signer.asked == ["order", "modify", "modify", *["scheduleCancel"] * 4]
        await venue.close()


def test_it_runs_alone_and_wants_an_agents_key() -> None:
    words = ["--dialect", "hyperliquid", "--account", f"key={ACCOUNT}:secret=0x{'07' * 32}:USDC=1000"]
    server = build(arguments().parse_args(words))
    (spec,) = server.venue.engine.specs.values()
    assert spec.tick == D("0.1")
    with pytest.raises(ValueError, match="32 bytes of hex"):
        build(arguments().parse_args([*words[:3], f"key={ACCOUNT}:secret=0x07:USDC=1000"]))
