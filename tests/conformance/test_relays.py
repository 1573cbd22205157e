"""Every file in chains/relays against one set of rules: a new road is tested by being there.

A file exposes RELAY and one class whose `profile` is RELAY. The class is built from what its constructor asks for, by name,
and is put in front of a server that counts what reaches it.
"""

from __future__ import annotations

import inspect
import random
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, replace
from importlib import import_module
from typing import Any

import aiohttp
import orjson
import pytest
from aiohttp import web
from anvil_support import User
from eth_account import Account

from chains import relays
from chains.errors import Denied, Reconcile, Reject, Retry, Usage
from chains.relay import Received, Relay, RelayProfile, Sendable, replacement_id, sendable
from chains.relay_auth import HEADER, local_header, local_signer, verify
from chains.rpc import Rpc
from chains.types import Protection

every = pytest.mark.parametrize("name", relays.names())


class Server:
    """Answers every POST with `reply(request)`; `status` overrides; `cut` closes the connection without an answer."""

    def __init__(self) -> None:
        self.bodies: list[dict[str, Any]] = []
        self.headers: list[dict[str, str]] = []
        self.raw: list[bytes] = []
        self.status = 200
        self.cut = False
        self.answer: dict[str, Any] | None = None
        self.location = ""

    async def handle(self, request: web.Request) -> web.StreamResponse:
        raw = await request.read()
        body = orjson.loads(raw)
        self.raw.append(raw)
        self.bodies.append(body)
        self.headers.append(dict(request.headers))
        if self.cut:
            assert request.transport is not None
            request.transport.abort()
        if self.location:
            return web.Response(status=307, headers={"Location": self.location})
        if self.status != 200:
            return web.Response(status=self.status)
        answer = self.answer
        if answer is None:
            hashed = tx_hash(raw_of(body["params"][0]))
            answer = {"result": {"bundleHash": hashed} if "Bundle" in body["method"] else hashed}
        return web.Response(
            body=orjson.dumps({"jsonrpc": "2.0", "id": body["id"], **answer}), content_type="application/json"
        )


def raw_of(argument: Any) -> str:
    if isinstance(argument, dict):
        return str(argument["tx"] if "tx" in argument else argument["txs"][0])
    return str(argument)


def tx_hash(raw: str) -> str:
    from eth_utils import keccak

    return "0x" + keccak(hexstr=raw).hex()


@dataclass
class Case:
    relay: Relay
    server: Server
    profile: RelayProfile
    item: Sendable
    url: str


def profile_of(name: str) -> RelayProfile:
    found: RelayProfile = import_module(f"chains.relays.{name}").RELAY
    return found


def build(name: str, url: str, session: aiohttp.ClientSession) -> Relay:
    module = import_module(f"chains.relays.{name}")
    (made,) = [
        c
        for _, c in inspect.getmembers(module, inspect.isclass)
        if c.__module__ == module.__name__ and hasattr(c, "send")
    ]
    given = {
        "url": url,
        "session": session,
        "auth": local_header(bytes([3] * 32)),
        "rpc": Rpc(url, session, timeout_s=1),
    }
    asked = [p for p, v in inspect.signature(made).parameters.items() if v.default is inspect.Parameter.empty]
    relay: Relay = made(**{p: given[p] for p in asked})
    assert relay.profile is module.RELAY
    return relay


def signed(profile: RelayProfile) -> Any:
    return User(Account.from_key(bytes([5] * 32))).sign(
        "0x" + "00" * 19 + "07", value=1, chain_id=min(profile.chains)
    )


@asynccontextmanager
async def case(name: str) -> AsyncIterator[Case]:
    server, app = Server(), web.Application()
    app.add_routes([web.post("/{tail:.*}", server.handle)])
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    try:
        async with aiohttp.ClientSession() as session:
            url = f"http://127.0.0.1:{runner.addresses[0][1]}/road"
            profile = profile_of(name)
            item = sendable(signed(profile), min(profile.honours, key=lambda p: p.value), profile)
            yield Case(build(name, url, session), server, profile, item, url)
    finally:
        await runner.cleanup()


@every
def test_the_data_says_what_the_road_is(name: str) -> None:
    profile = profile_of(name)
    assert profile.name == name and profile.honours and profile.chains and profile.method
    assert Protection.INTENT not in profile.honours
    # Secrecy always rests on somebody: a road that honours PRIVATE names whom.
    assert bool(profile.trusts) == (Protection.PRIVATE in profile.honours)


@every
async def test_received_means_received_and_the_exact_bytes_travelled_once(name: str) -> None:
    async with case(name) as c:
        received = await c.relay.send(c.item, block=98, max_block=99)
        assert received == Received(name, c.item.signed.hash, received.reference)
        assert bool(received.reference) is c.profile.per_block
        (body,) = c.server.bodies
        argument = body["params"][0]
        assert (body["method"], raw_of(argument)) == (c.profile.method, "0x" + c.item.signed.raw.hex())
        if c.profile.per_block:
            assert argument["blockNumber"] == "0x62"
            assert argument["replacementUuid"] == str(replacement_id(c.item.signed))
            assert "revertingTxHashes" not in argument, "what reverts is left out"
        elif isinstance(argument, dict):
            assert argument["maxBlockNumber"] == "0x63"
        header = c.server.headers[0].get(HEADER)
        assert (header is not None) == c.profile.needs_auth
        if header is not None:
            assert verify(header, c.server.raw[0]) == local_signer(bytes([3] * 32))[0]


@every
@pytest.mark.parametrize("protection", list(Protection))
async def test_a_plan_travels_only_where_its_protection_is_honoured(
    name: str, protection: Protection
) -> None:
    async with case(name) as c:
        tx = signed(c.profile)
        if protection in c.profile.honours:
            await c.relay.send(sendable(tx, protection, c.profile), block=7)
            assert len(c.server.bodies) == 1
            return
        with pytest.raises(Denied) as denied:
            sendable(tx, protection, c.profile)
        assert denied.value.code == "PROTECTION_NOT_HONOURED"
        # Nor by a profile that only claims to be another, nor by a forged item.
        lax = replace(c.profile, name="lax", honours=frozenset(Protection))
        with pytest.raises(Denied):
            await c.relay.send(sendable(tx, protection, lax), block=7)
        with pytest.raises(Denied):
            Sendable(tx, protection, name, object())  # type: ignore[arg-type]
        assert c.server.bodies == []


@every
async def test_another_chain_is_refused_before_anything_is_sent(name: str) -> None:
    async with case(name) as c:
        other = User(Account.from_key(bytes([5] * 32))).sign("0x" + "00" * 19 + "07", chain_id=777)
        with pytest.raises(Denied):
            sendable(other, min(c.profile.honours, key=lambda p: p.value), c.profile)


@every
@pytest.mark.parametrize("fault", ["5xx", "cut", "garbage", "other hash", "nonce too low"])
async def test_an_unclear_answer_is_reconciled(name: str, fault: str) -> None:
    async with case(name) as c:
        if fault == "5xx":
            c.server.status = 502
        elif fault == "cut":
            c.server.cut = True
        elif fault == "garbage":
            c.server.answer = {"neither": 1}
        elif fault == "other hash":
            c.server.answer = {"result": "0x" + "12" * 32}
        else:
            c.server.answer = {
                "error": {"code": -32000, "message": "nonce too low: next nonce 5, tx nonce 4"}
            }
        with pytest.raises(Reconcile):
            await c.relay.send(c.item, block=7)
        assert len(c.server.bodies) == 1


@every
async def test_a_clear_no_is_a_reject_and_a_rate_limit_a_retry(name: str) -> None:
    async with case(name) as c:
        c.server.answer = {"error": {"code": -32000, "message": "insufficient funds for gas * price + value"}}
        with pytest.raises(Reject, match="insufficient funds"):
            await c.relay.send(c.item, block=7)
        c.server.answer = {"error": {"code": -32000, "message": "already known"}}
        assert (await c.relay.send(c.item, block=7)).tx_hash == c.item.signed.hash
        c.server.status = 429
        with pytest.raises(Retry):
            await c.relay.send(c.item, block=7)


@every
async def test_nothing_was_sent_where_nobody_listens(name: str) -> None:
    async with aiohttp.ClientSession() as session:
        profile = profile_of(name)
        relay = build(name, "http://127.0.0.1:1/road", session)
        with pytest.raises(Retry) as retry:
            item = sendable(signed(profile), min(profile.honours, key=lambda p: p.value), profile)
            await relay.send(item, block=7)
        assert retry.value.code == "NO_CONNECTION"


@every
async def test_a_redirect_is_not_followed(name: str) -> None:
    async with case(name) as c, case(name) as elsewhere:
        c.server.location = elsewhere.url
        with pytest.raises((Reconcile, Reject)):
            await c.relay.send(c.item, block=7)
        assert elsewhere.server.bodies == []


@every
async def test_cancel_promises_only_what_the_road_can_do(name: str) -> None:
    async with case(name) as c:
        c.server.answer = {"result": True}
        assert await c.relay.cancel(c.item.signed) is c.profile.cancels
        assert bool(c.server.bodies) is c.profile.cancels


@every
async def test_a_bundle_without_its_block_is_refused_before_anything_is_sent(name: str) -> None:
    async with case(name) as c:
        if c.profile.per_block:
            with pytest.raises(Usage) as refused:
                await c.relay.send(c.item, max_block=9)
            assert refused.value.code == "RELAY_NEEDS_BLOCK" and c.server.bodies == []
        else:
            await c.relay.send(c.item, max_block=9)
            assert len(c.server.bodies) == 1


@every
async def test_whatever_an_endpoint_answers_a_lane_gets_one_of_our_errors(name: str) -> None:
    """Fuzzed answers: bytes, JSON of every shape, half objects. Nothing but Received and our own verbs comes out."""
    rng = random.Random(1)
    leaves: list[Any] = [
        None,
        True,
        0,
        -1,
        2**80,
        1.5,
        "",
        "0x",
        "0x12",
        [],
        {},
        [[]],
        {"bundleHash": 5},
        "\x00",
        "é" * 50,
    ]
    async with case(name) as c:
        for _ in range(120):
            value = rng.choice(leaves)
            key = rng.choice(["result", "error", "code", "status"])
            inner = {"code": rng.choice(leaves), "message": rng.choice(leaves), "data": rng.choice(leaves)}
            c.server.answer = rng.choice([{key: value}, {"error": inner}, {"result": value, "error": inner}])
            for ask in (c.relay.send(c.item, block=7, max_block=9), c.relay.cancel(c.item.signed)):
                with suppress(Retry, Reject, Reconcile):
                    assert isinstance(await ask, (Received, bool))
