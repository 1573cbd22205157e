"""Accounts that are only looked at, as [[chains]] lists them: troves of Liquity v2, and where GMX v2 stands."""

from __future__ import annotations

import re
from typing import Annotated

from pydantic import AfterValidator, Field

from agent.app.settings_table import Table
from agent.app.settings_types import Address, Symbol, wrong


def _trove_id(value: str) -> str:
    """Written one way, in decimal digits."""
    if re.fullmatch(r"0x[0-9a-fA-F]{1,64}", value):
        return str(int(value, 16))
    if not re.fullmatch(r"[0-9]{1,78}", value) or int(value) >= 2**256:
        raise wrong(
            f"{value[:80]!r} is no trove's id",
            "in quotes, a whole number or 0x…, as the trove's NFT tells it",
        )
    return str(int(value))


class TroveRef(Table):
    registry: Address = Field(
        description="The AddressesRegistry of the trove's branch: it names all its contracts."
    )
    id: Annotated[str, AfterValidator(_trove_id)] = Field(
        description="The trove's id, in quotes: the token id of its NFT."
    )

    @property
    def number(self) -> int:
        return int(self.id)


class Gmx(Table):
    reader: Address = Field(description="GMX's Reader (of version 2.2) on this chain.")
    data_store: Address = Field(description="GMX's DataStore on this chain.")
    referral_storage: Address = Field(description="GMX's ReferralStorage on this chain.")
    event_emitter: Address | None = Field(
        None,
        description="GMX's EventEmitter on this chain: what changed a position is named by its logs then.",
    )
    symbols: dict[Address, Symbol] = Field(
        {},
        description="What indexes that are no tokens are called, by the address GMX gives them, as in "
        '{ "0x47904963fc8b2340414262125aF798B9655E58Cd" = "BTC" }: what `fairlead stress` then means by BTC.',
    )


__all__ = ["Gmx", "TroveRef"]
