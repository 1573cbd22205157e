"""Alerts by Telegram, in Slack's form and by e-mail, each with the journal's head and none with a secret; and further ones where nobody answers."""

from __future__ import annotations

import asyncio
import base64
import json
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from email import message_from_string, policy
from pathlib import Path
from typing import Any

import aiohttp
from aiohttp import web
from mail_server import mail_server

from agent.app.alert_channels import TELEGRAM_MOST, Slack, Telegram, Webhook, in_words
from agent.app.alert_mail import Email
from agent.app.alerts import Alerts
from agent.app.escalation import Escalation, read
from agent.domain.events import Alarmed, Halted, Resumed
from agent.journal.chain import Head, Seq
from chains.rpc import SecretUrl

HEAD = Head(Seq(7), bytes(range(32)))
TOKEN = "123456:secret-token"


class Posts:
    """An HTTP server that keeps what is posted to it and answers `status`."""

    def __init__(self, status: int = 200) -> None:
        self.status, self.got = status, list[tuple[str, Any]]()

    async def take(self, request: web.Request) -> web.Response:
        self.got.append((request.path, await request.json()))
        return web.json_response({"ok": self.status == 200}, status=self.status)


@asynccontextmanager
async def posts(status: int = 200) -> AsyncIterator[tuple[Posts, str, aiohttp.ClientSession]]:
    held, app = Posts(status), web.Application()
    app.router.add_post("/{tail:.*}", held.take)
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    async with aiohttp.ClientSession() as session:
        try:
            yield held, f"http://127.0.0.1:{runner.addresses[0][1]}", session
        finally:
            await runner.cleanup()


def alert(code: str = "NONCE_TAKEN", message: str = "somebody has the key", **more: Any) -> dict[str, Any]:
    head = {"seq": HEAD.seq, "hash": HEAD.hash.hex()}
    return {
        "at_ns": "5",
        "code": code,
        "message": message,
        "environment": "devnet",
        "wallet": "0xW",
        "head": head,
        **more,
    }


async def test_a_telegram_bot_tells_its_chat_in_plain_text() -> None:
    async with posts() as (held, url, session):
        channel = Telegram(url, TOKEN, "-100200", session)
        assert await channel.send(alert()) == ""
        assert await channel.send(alert(message="x" * 9_000)) == ""
        (path, body), (_, long) = held.got
        assert path == f"/bot{TOKEN}/sendMessage"
        assert body == {"chat_id": "-100200", "text": in_words(alert())}
        assert HEAD.hash.hex() in body["text"] and "NONCE_TAKEN: somebody has the key" in body["text"]
        assert len(long["text"]) == TELEGRAM_MOST
        assert TOKEN not in channel.where


async def test_slacks_form_has_no_markup_of_an_alert() -> None:
    async with posts() as (held, url, session):
        channel = Slack(SecretUrl(f"{url}/services/T0/secret"), session)
        assert await channel.send(alert(message="<!channel> & <http://evil|all is well>")) == ""
        ((_, body),) = held.got
        assert set(body) == {"text"} and "&lt;!channel&gt; &amp;" in body["text"] and "<" not in body["text"]
        assert HEAD.hash.hex() in body["text"] and "secret" not in channel.where


async def test_a_mail_has_the_head_and_one_line_of_subject() -> None:
    async with mail_server() as held:
        channel = Email(
            "127.0.0.1", held.port, "bot@example.org", ["a@example.org", "b@example.org"], "bot", "pa55"
        )
        assert await channel.send(alert(message="first\r\nBcc: thief@example.org\r\n\r\nsecond")) == ""
        found = message_from_string(held.taken[0], policy=policy.default)
        assert found["To"] == "a@example.org, b@example.org" and found["Bcc"] is None
        assert found["Subject"].startswith("[fairlead devnet] NONCE_TAKEN: first Bcc: thief@example.org")
        assert HEAD.hash.hex() in found.get_content()
        assert base64.b64decode(held.logins[0].split()[-1]) == b"\0bot\0pa55"


async def test_a_mail_server_that_refuses_is_told_by_its_number() -> None:
    async with mail_server(refuse="550 5.7.1 no bot of yours pa55") as held:
        said = await Email("127.0.0.1", held.port, "bot@example.org", ["a@example.org"], "", "").send(alert())
        assert said and "pa55" not in said and held.taken == []


async def test_nothing_goes_in_the_clear_to_another_machine() -> None:
    async with mail_server() as held:
        # A name that is not told to be this machine's; the server offers no STARTTLS: nothing is sent, and no password either.
        channel = Email("127.1", held.port, "bot@example.org", ["a@example.org"], "bot", "pa55")
        assert await channel.send(alert()) == "SMTPNotSupportedError"
        assert held.taken == [] and held.logins == []


async def test_a_channel_that_fails_keeps_no_other_from_being_told() -> None:
    said = list[str]()
    async with posts(500) as (bad, bad_url, session), posts() as (good, url, _):
        channels = [Telegram(bad_url, TOKEN, "1", session), Webhook(SecretUrl(f"{url}/hook"), session)]
        async with Alerts("devnet", "0xW", lambda: HEAD, None, channels, said.append, 0.01) as alerts:
            alerts.saw(Alarmed("A", "one", 1))
            alerts.saw(Alarmed("B", "two", 2))
    assert [body["code"] for _, body in good.got] == ["A", "B"]
    assert len(bad.got) == 8 and len(said) == 2
    assert all("it answered 500" in line and TOKEN not in line for line in said)


class Watch:
    """A clock that is set, and the alerts of one desk with somebody to tell further."""

    def __init__(self, folder: Path) -> None:
        self.now, self.told, self.first = 1_000.0, list[Mapping[str, Any]](), list[Mapping[str, Any]]()
        self.path, self.said = folder / "alerts-open.json", list[str]()

    def channel(self, into: list[Mapping[str, Any]]) -> Any:
        class Kept:
            name, where = "kept", "here"

            async def send(self, alert: Mapping[str, Any]) -> str:
                into.append(alert)
                return ""

        return Kept()

    @asynccontextmanager
    async def alerts(self) -> AsyncIterator[Alerts]:
        escalation = Escalation(self.path, 900, ["HALTED", "HEALTH_LIQUIDATABLE"], self.said.append)
        async with Alerts(
            "devnet", "0xW", lambda: HEAD, None, [self.channel(self.first)], self.said.append, 0.01,
            escalation=escalation, further=[self.channel(self.told)], now_s=lambda: self.now, look_s=0.01,
        ) as found:  # fmt: skip
            yield found


async def settled() -> None:
    await asyncio.sleep(0.08)


async def test_what_nobody_answers_is_told_further_once(tmp_path: Path) -> None:
    watch = Watch(tmp_path)
    async with watch.alerts() as alerts:
        alerts.saw(Halted("halt", "squall", 1))
        alerts.saw(Alarmed("FOREIGN_NONCE", "no code that must be answered", 2))
        await settled()
        assert [one["code"] for one in watch.first] == ["HALTED", "FOREIGN_NONCE"] and watch.told == []
        watch.now += 899
        await settled()
        assert watch.told == []
        watch.now += 61
        await settled()
        alerts.saw(Halted("halt", "squall again", 3))
        await settled()
    assert [(one["code"], one["message"], one["minutes"]) for one in watch.told] == [("HALTED", "squall", 16)]
    assert watch.told[0]["head"]["hash"] == HEAD.hash.hex() and "unanswered for 16 minutes" in in_words(
        watch.told[0]
    )


async def test_what_is_over_or_answered_is_told_no_further(tmp_path: Path) -> None:
    watch = Watch(tmp_path)
    async with watch.alerts() as alerts:
        alerts.saw(Halted("halt", "squall", 1))
        alerts.saw(Alarmed("HEALTH_LIQUIDATABLE", "aave:1: may be liquidated now", 2))
        alerts.saw(Alarmed("HEALTH_LIQUIDATABLE", "morpho:2: may be liquidated now", 2))
        alerts.saw(Resumed("resume", 3))
        alerts.saw(Alarmed("HEALTH_SAFE", "aave:1: safe again, health 1.5", 4))
        await settled()
        watch.now += 1_000
        await settled()
    assert [one["message"] for one in watch.told] == ["morpho:2: may be liquidated now"]


async def test_an_alert_stays_open_over_a_restart(tmp_path: Path) -> None:
    watch = Watch(tmp_path)
    async with watch.alerts() as alerts:
        alerts.saw(Halted("halt", "squall", 1))
        await settled()
    watch.now += 2_000
    async with watch.alerts():
        await settled()
    assert [one["minutes"] for one in watch.told] == [33]
    async with watch.alerts():
        await settled()
    assert len(watch.told) == 1


async def test_a_file_that_is_no_list_of_alerts_is_said_and_replaced(tmp_path: Path) -> None:
    watch = Watch(tmp_path)
    watch.path.write_text("[1")
    async with watch.alerts() as alerts:
        alerts.saw(Halted("halt", "squall", 1))
        await settled()
    assert any("cannot be read" in line for line in watch.said)
    assert list(read(watch.path, watch.said.append)) == ["HALTED"]
    assert json.loads(watch.path.read_text())
