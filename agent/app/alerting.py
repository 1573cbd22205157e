"""The channels of the settings, made: each with its secret resolved, none of which is ever shown."""

from __future__ import annotations

import time
from collections.abc import Callable

import aiohttp

from agent.app.alert_channels import Channel, Slack, Telegram, Webhook
from agent.app.alert_mail import Email
from agent.app.alerts import Alerts
from agent.app.endpoints import resolve_endpoint
from agent.app.escalation import Escalation, open_path
from agent.app.settings_tree import Settings
from agent.domain.errors import FairleadError
from agent.journal.chain import Head
from keys.secrets import resolve


def channels_of(
    settings: Settings, session: aiohttp.ClientSession, say: Callable[[str], None]
) -> dict[str, Channel]:
    """By its key in the settings, each channel that can be reached; one whose secret is not there is said, and the others go on."""
    table, found = settings.alerts, dict[str, Channel]()

    def made(name: str, make: Callable[[], Channel]) -> None:
        try:
            found[name] = make()
        except FairleadError as error:
            say(f"alerts.{name}: {error.message}")

    if (hook := table.webhook) is not None:
        made("webhook", lambda: Webhook(resolve_endpoint(hook), session))
    if (slack := table.slack) is not None:
        made("slack", lambda: Slack(resolve_endpoint(slack), session))
    if (bot := table.telegram) is not None:
        made(
            "telegram", lambda: Telegram(bot.server, resolve(bot.token).text().strip(), bot.chat_id, session)
        )
    if (mail := table.email) is not None:

        def post() -> Channel:
            password = resolve(mail.password).text().rstrip("\n") if mail.password is not None else ""
            return Email(mail.server, mail.port, mail.sender, mail.to, mail.user, password)

        made("email", post)
    return found


def alerts_of(
    settings: Settings, head: Callable[[], Head], session: aiohttp.ClientSession, say: Callable[[str], None]
) -> Alerts:
    """The watcher of the record that the settings ask for. Channels that are told of what is unanswered are told of nothing else."""
    table, channels = settings.alerts, channels_of(settings, session, say)
    late = table.escalate
    further = (
        [channels[name] for name in dict.fromkeys(late.to) if name in channels] if late is not None else []
    )
    escalation = None
    if late is not None:
        escalation = Escalation(open_path(settings.journal.path), late.after_minutes * 60, late.codes, say)
    return Alerts(
        settings.environment.value, settings.wallet.address, head, table.file,
        [channel for channel in channels.values() if channel not in further], say,
        escalation=escalation, further=further, now_s=time.time,
    )  # fmt: skip


__all__ = ["alerts_of", "channels_of"]
