"""The [alerts] table: where alerts go, and who is told when nobody answers."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

from pydantic import AfterValidator, Field

from agent.app.settings_table import Table
from agent.app.settings_types import SecretRef

ESCALATED = (
    "HALTED", "HEALTH_LIQUIDATABLE", "HEALTH_UNKNOWN", "RESCUE_IMPOSSIBLE", "RESCUE_SHORT", "BOOKS_CONTRADICTED", "TAKEN_OUTSIDE",
)  # fmt: skip


def _mail(text: str) -> str:
    name, _, host = text.rpartition("@")
    if not name or not host or any(mark.isspace() or mark in "<>," for mark in text):
        raise ValueError("must be one address like name@host")
    return text


MailAddress = Annotated[str, AfterValidator(_mail)]
Further = Literal["webhook", "slack", "telegram", "email"]


class Telegram(Table):
    token: SecretRef = Field(description="Where the bot's token is.")
    chat_id: Annotated[str, Field(min_length=1, max_length=100)] = Field(
        description="The chat, as the Bot API names it: a number or @channel."
    )
    server: str = Field(
        "https://api.telegram.org",
        description="The Bot API's address; another where you run a server of it yourself.",
    )


class Email(Table):
    server: Annotated[str, Field(min_length=1, max_length=253)] = Field(description="The SMTP server's name.")
    port: Annotated[int, Field(ge=1, le=65_535, strict=True)] = Field(
        587, description="Its port; 465 speaks TLS from the first byte, any other begins it by STARTTLS."
    )
    sender: MailAddress = Field(description="The address it is sent from.")
    to: Annotated[tuple[MailAddress, ...], Field(min_length=1, max_length=20)] = Field(
        description="The addresses it is sent to."
    )
    user: str = Field("", description="The name to log in with; none where the server asks for none.")
    password: SecretRef | None = Field(None, description="Where that name's password is.")


class Escalate(Table):
    after_minutes: Annotated[int, Field(ge=1, le=10_080, strict=True)] = Field(
        15, description="How long an alert may stay unanswered."
    )
    to: Annotated[tuple[Further, ...], Field(min_length=1)] = Field(
        description="The channels that are told then, and of nothing else."
    )
    codes: tuple[str, ...] = Field(ESCALATED, description="The alerts that must be answered.")


class Alerts(Table):
    file: Path | None = Field(None, description="A file that every alert is appended to, as JSON Lines.")
    webhook: SecretRef | None = Field(None, description="Where the URL is that every alert is posted to.")
    slack: SecretRef | None = Field(
        None, description="Where the URL of an incoming webhook is that takes Slack's form of a message."
    )
    telegram: Telegram | None = Field(None, description="A Telegram bot that tells a chat.")
    email: Email | None = Field(None, description="A mail server.")
    escalate: Escalate | None = Field(None, description="Who is told when an alert stays unanswered.")


__all__ = ["ESCALATED", "Alerts", "Email", "Escalate", "Telegram"]
