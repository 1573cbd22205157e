"""The [outside] table: other routers whose quotes stand beside ours."""

from __future__ import annotations

from pydantic import Field

from agent.app.settings_table import Table
from agent.app.settings_types import Endpoint, Name, SecretRef


class OutsideKeyed(Table):
    key: SecretRef = Field(description="Where the key of its API is.")
    server: Endpoint | None = Field(
        None, description="Its address, where that is another than the documented one."
    )


class OutsideTable(Table):
    cow: dict[Name, Endpoint] = Field(
        {},
        description='CoW\'s order books by chain, without /api, as in { ethereum = "https://api.cow.fi/mainnet" }.',
    )
    zerox: OutsideKeyed | None = Field(None, description="0x's Swap API.")
    oneinch: OutsideKeyed | None = Field(None, description="1inch's Swap API.")


__all__ = ["OutsideKeyed", "OutsideTable"]
