"""Where an alert can go: a webhook of one's own, Slack's form of one, a Telegram chat; e-mail is in `alert_mail`. One try each; the queue tries again.

Bodies are as documented: Slack's incoming webhooks take {"text"}, with &, < and > escaped; the Bot API's sendMessage {"chat_id", "text"} of at most
4,096 characters, without a parse mode, so that nothing in an alert is markup.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol

import aiohttp

from chains.rpc import SecretUrl

TIMEOUT_S = 5.0
TELEGRAM_MOST = 4_096
SLACK_MOST = 30_000


class Channel(Protocol):
    """`name` is its key in the settings, `where` what may be shown of its address."""

    @property
    def name(self) -> str: ...

    @property
    def where(self) -> str: ...

    async def send(self, alert: Mapping[str, Any]) -> str:
        """Tries once. Why it was not taken; empty where it was."""
        ...


def in_words(alert: Mapping[str, Any]) -> str:
    """An alert as people read it, with the journal's head."""
    head = alert["head"]
    unanswered = f" (unanswered for {alert['minutes']} minutes)" if "minutes" in alert else ""
    return (
        f"fairlead {alert['environment']} {alert['wallet']}\n{alert['code']}{unanswered}: {alert['message']}\n"
        f"journal {head['seq']} {head['hash']}"
    )


class _Posted:
    def __init__(self, name: str, url: SecretUrl, session: aiohttp.ClientSession) -> None:
        self.name, self.where, self._url, self._session = name, url.origin, url, session

    def body(self, alert: Mapping[str, Any]) -> Mapping[str, Any]:
        return alert

    async def send(self, alert: Mapping[str, Any]) -> str:
        timeout = aiohttp.ClientTimeout(total=TIMEOUT_S)
        try:
            async with self._session.post(
                self._url.reveal(), json=self.body(alert), timeout=timeout, allow_redirects=False
            ) as answer:
                return "" if answer.status < 300 else f"it answered {answer.status}"
        except (aiohttp.ClientError, TimeoutError, OSError) as wrong:
            # Its text may hold the URL.
            return type(wrong).__name__


class Webhook(_Posted):
    """Posts the alert itself as JSON."""

    def __init__(self, url: SecretUrl, session: aiohttp.ClientSession) -> None:
        super().__init__("webhook", url, session)


class Slack(_Posted):
    """Posts {"text"}, which Slack, Mattermost, Discord's /slack address and others take."""

    def __init__(self, url: SecretUrl, session: aiohttp.ClientSession) -> None:
        super().__init__("slack", url, session)

    def body(self, alert: Mapping[str, Any]) -> Mapping[str, Any]:
        text = in_words(alert).replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
        return {"text": text[:SLACK_MOST]}


class Telegram(_Posted):
    """A bot's sendMessage to one chat; `server` is the Bot API's address."""

    def __init__(self, server: str, token: str, chat_id: str, session: aiohttp.ClientSession) -> None:
        super().__init__("telegram", SecretUrl(f"{server.rstrip('/')}/bot{token}/sendMessage"), session)
        self._chat_id = chat_id

    def body(self, alert: Mapping[str, Any]) -> Mapping[str, Any]:
        return {"chat_id": self._chat_id, "text": in_words(alert)[:TELEGRAM_MOST]}


__all__ = ["Channel", "Slack", "Telegram", "Webhook", "in_words"]
