"""Alerts by e-mail: the standard library's SMTP, in a thread with a time limit, over TLS to any server that is not this machine."""

from __future__ import annotations

import asyncio
import ipaddress
import smtplib
import ssl
from collections.abc import Mapping, Sequence
from email.message import EmailMessage
from typing import Any

from agent.app.alert_channels import in_words

TIMEOUT_S = 10.0
_TLS_FROM_THE_START = 465


class Email:
    """One message an alert. A password goes over TLS alone."""

    name = "email"

    def __init__(
        self, server: str, port: int, sender: str, to: Sequence[str], user: str, password: str
    ) -> None:
        self._server, self._port, self._sender, self._to = server, port, sender, tuple(to)
        self._user, self._password = user, password
        self.where = f"{server}:{port}"
        self._here = _is_here(server)

    async def send(self, alert: Mapping[str, Any]) -> str:
        return await asyncio.to_thread(self._send, self.message(alert))

    def message(self, alert: Mapping[str, Any]) -> EmailMessage:
        """The message: its subject on one line, whatever the alert says."""
        found = EmailMessage()
        subject = f"[fairlead {alert['environment']}] {alert['code']}: {alert['message']}"
        found["Subject"] = " ".join(subject.split())[:200]
        found["From"], found["To"] = self._sender, ", ".join(self._to)
        found.set_content(in_words(alert))
        return found

    def _send(self, message: EmailMessage) -> str:
        secure = ssl.create_default_context()
        try:
            if self._port == _TLS_FROM_THE_START:
                link: smtplib.SMTP = smtplib.SMTP_SSL(
                    self._server, self._port, timeout=TIMEOUT_S, context=secure
                )
            else:
                link = smtplib.SMTP(self._server, self._port, timeout=TIMEOUT_S)
            with link:
                link.ehlo()
                if self._port != _TLS_FROM_THE_START and not self._here:
                    # Raises where the server has none: nothing goes in the clear.
                    link.starttls(context=secure)
                    link.ehlo()
                if self._user:
                    link.login(self._user, self._password)
                link.send_message(message)
        except smtplib.SMTPResponseException as wrong:
            return f"it answered {wrong.smtp_code}"
        except (OSError, smtplib.SMTPException) as wrong:
            return type(wrong).__name__
        return ""


def _is_here(server: str) -> bool:
    try:
        return server == "localhost" or ipaddress.ip_address(server).is_loopback
    except ValueError:
        return False


__all__ = ["Email"]
