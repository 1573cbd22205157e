"""Alerts leave with the journal's head, in order, a bounded number of times; a webhook that hangs holds up nobody."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
from aiohttp import web

from agent.app.alert_channels import Webhook
from agent.app.alerts import Alerts
from agent.domain.events import Alarmed, Halted, Resumed
from agent.journal.chain import Head, Seq
from chains.rpc import SecretUrl


class Hook:
    """A webhook that answers with `statuses` one by one, then 200; `hang` never answers."""

    def __init__(self, statuses: list[int], hang: bool = False) -> None:
        self.statuses, self.hang, self.got = statuses, hang, list[Any]()

    async def take(self, request: web.Request) -> web.Response:
        if self.hang:
            await asyncio.sleep(60)
        self.got.append(await request.json())
        return web.Response(status=self.statuses.pop(0) if self.statuses else 200)


@asynccontextmanager
async def alerts(file: Path | None, hook: Hook | None, said: list[str]) -> AsyncIterator[Alerts]:
    app = web.Application()
    if hook is not None:
        app.router.add_post("/alert/secret-token", hook.take)
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    url = SecretUrl(f"http://127.0.0.1:{runner.addresses[0][1]}/alert/secret-token") if hook else None
    head = Head(Seq(7), bytes(range(32)))
    async with aiohttp.ClientSession() as session:
        try:
            hooks = [Webhook(url, session)] if url is not None else []
            async with Alerts("devnet", "0xW", lambda: head, file, hooks, said.append, 0.01) as found:
                yield found
        finally:
            await runner.cleanup()


async def test_every_alarm_is_in_the_file_with_the_head(tmp_path: Path) -> None:
    file, said = tmp_path / "sub" / "alerts.jsonl", list[str]()
    async with alerts(file, None, said) as found:
        found.saw(Alarmed("NONCE_TAKEN", "somebody has the key", 5))
        found.saw(Halted("halt", "squall", 6))
        found.saw(Resumed("resume", 7))
        found.saw(object())
    lines = [json.loads(line) for line in file.read_text().splitlines()]
    assert [line["code"] for line in lines] == ["NONCE_TAKEN", "HALTED", "RESUMED"]
    assert all(line["head"] == {"seq": 7, "hash": bytes(range(32)).hex()} for line in lines)
    assert said == []


async def test_a_webhook_that_fails_is_tried_again_and_given_up_in_the_end() -> None:
    said = list[str]()
    hook = Hook([500, 503])
    async with alerts(None, hook, said) as found:
        found.saw(Alarmed("A", "one", 1))
    assert [got["code"] for got in hook.got] == ["A", "A", "A"] and said == []
    hook = Hook([500] * 50)
    async with alerts(None, hook, said) as found:
        found.saw(Alarmed("B", "two", 2))
    assert len(hook.got) == 4
    assert "B: two" in said[0] and "secret-token" not in said[0]


async def test_a_webhook_that_hangs_holds_up_nobody() -> None:
    said = list[str]()
    began = time.monotonic()
    async with alerts(None, Hook([], hang=True), said) as found:
        for number in range(1_100):
            found.saw(Alarmed("A", str(number), number))
        assert time.monotonic() - began < 1, "the road waited for a webhook"
        assert any("too many at once" in line for line in said)
    assert time.monotonic() - began < 6
    assert "not all could be delivered" in said[-1]


async def test_a_file_that_cannot_be_written_is_said(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    said = list[str]()
    async with alerts(tmp_path / "file" / "alerts.jsonl", None, said) as found:
        found.saw(Alarmed("A", "one", 1))
    assert "cannot be written" in said[0] and "A: one" in said[0]
