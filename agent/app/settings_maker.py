"""`[chains.maker]`: vaults at Maker (Sky), each by its ilk, its urn and the adapter of its collateral; and where the protocol's core stands."""

from __future__ import annotations

import re
from typing import Annotated

from pydantic import AfterValidator, Field

from agent.app.settings_table import Table
from agent.app.settings_types import Address, wrong


def _ilk(value: str) -> str:
    if not re.fullmatch(r"[A-Z0-9-]{1,31}", value):
        raise wrong(f"{value!r} is no ilk", "it is like ETH-A, as the Vat's own bytes32 spells it")
    return value


class MakerUrn(Table):
    ilk: Annotated[str, AfterValidator(_ilk)] = Field(description="The kind of vault, like ETH-A.")
    urn: Address = Field(
        description="The vault's address in the Vat: `urns` of DssCdpManager tells it for a vault's number."
    )
    join: Address = Field(description="The GemJoin that takes this ilk's collateral.")
    collateral: Address = Field(description="The token it takes.")

    @property
    def key(self) -> bytes:
        """The ilk as the Vat names it, 32 bytes."""
        return self.ilk.encode().ljust(32, b"\0")


class Maker(Table):
    vaults: tuple[MakerUrn, ...] = Field(
        description="The vaults that `fairlead health` looks at and rescues may name by their urn."
    )
    vat: Address = Field("0x35D1b3F3D7966A1DFe207aa4514C12a259A0492B", description="MCD_VAT of the chainlog.")
    spotter: Address = Field(
        "0x65C79fcB50Ca1594B025960e539eD7A9a6D434A3", description="MCD_SPOT of the chainlog."
    )
    jug: Address = Field("0x19c0976f590D67707E62397C87829d896Dc0f1F1", description="MCD_JUG of the chainlog.")
    dog: Address = Field("0x135954d155898D42C90D2a57824C690e0c7BEf1B", description="MCD_DOG of the chainlog.")
    dai_join: Address = Field(
        "0x9759A6Ac90977b93B58547b4A71c78317f391A28", description="MCD_JOIN_DAI of the chainlog."
    )
    dai: Address = Field("0x6B175474E89094C44Da98b954EedeAC495271d0F", description="MCD_DAI of the chainlog.")

    def vault(self, urn: str | None) -> MakerUrn | None:
        return next((v for v in self.vaults if v.urn == urn), None)


__all__ = ["Maker", "MakerUrn"]
