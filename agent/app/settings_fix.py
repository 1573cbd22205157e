"""The settings' table of an exchange's FIX sessions: `[venues.fix]` after its `[[venues]]`."""

from __future__ import annotations

import re
from typing import Annotated

from pydantic import AfterValidator, Field

from agent.app.settings_table import Table
from agent.app.settings_types import SecretRef, wrong

_URL = re.compile(r"tcp(\+tls)?://(\[[0-9a-f:]+\]|[A-Za-z0-9.-]+):[0-9]{1,5}/?")
_SENDER = re.compile(r"[A-Za-z0-9_-]{1,8}")


def _address(value: str) -> str:
    if not _URL.fullmatch(value):
        raise wrong(
            "it is no FIX address", "like tcp+tls://fix-oe.binance.com:9000; tcp:// to this machine alone"
        )
    return value


def _sender(value: str) -> str:
    if not _SENDER.fullmatch(value):
        raise wrong(f"'{value}' is no SenderCompID", "1 to 8 letters, digits, _ or -")
    return value


FixAddress = Annotated[str, AfterValidator(_address)]
SenderId = Annotated[str, AfterValidator(_sender)]


class Fix(Table):
    url: FixAddress | None = Field(
        None, description="Order entry: tcp+tls://host:port; none means the venue's own."
    )
    api_key: SecretRef = Field(
        description="Where the API key is that may open FIX sessions (FIX_API, Ed25519)."
    )
    api_secret: SecretRef | None = Field(
        None, description="Where its private key is, in PEM; only `fairlead signer` resolves it."
    )
    senders: tuple[SenderId, ...] = Field(
        min_length=1,
        description="The names its order entry logs on with, in turn: after a broken line one is barred for a while, so give two.",
    )
    drop_copy_url: FixAddress | None = Field(
        None, description="Drop copy: tcp+tls://host:port; none means the venue's own."
    )
    drop_copy_senders: tuple[SenderId, ...] = Field(
        (), description="The names a drop copy session logs on with. Empty: none is kept."
    )
    drop_copy_api_key: SecretRef | None = Field(
        None,
        description="Where the drop copy's own API key is (FIX_API_READ_ONLY). None means the one of order entry.",
    )
    drop_copy_api_secret: SecretRef | None = Field(
        None, description="Where its private key is, in PEM; only `fairlead signer` resolves it."
    )
