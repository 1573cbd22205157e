"""The wallet's positions at Aave V4: found and shown UNKNOWN, since no model of it is here. Read at the Spokes of the profile and of the settings."""

from __future__ import annotations

from agent.app.settings_tree import Chain
from agent.app.watching.loans_judged import Loan, unknown
from agent.domain.errors import FairleadError
from agent.margin.accounts import Judged
from chains import profiles
from chains.lending.aave_v4 import SpokePosition, read_spokes
from chains.types import Address, ViewReader

NAME = "aave_v4"


def spokes_of(chain: Chain) -> list[Address]:
    """The profile's, then the settings' own; each once."""
    own = [Address(spoke) for spoke in chain.aave_v4_spokes]
    return list(dict.fromkeys((*profiles.load(chain.chain_id).aave_v4_spokes, *own)))


async def spoke_loans(chain: Chain, gateway: ViewReader, wallet: Address) -> list[Loan]:
    """One UNKNOWN account for each Spoke with a position, or that does not answer; one for all where the chain does not."""
    place = f"{NAME}:eip155:{chain.chain_id}"
    try:
        found = await read_spokes(gateway, spokes_of(chain), wallet)
    except FairleadError as error:
        return [unknown(place, NAME, chain, error)]
    return [
        Loan(
            Judged(f"{place}:{one.spoke}", NAME, f"eip155:{chain.chain_id}", None, {}, 0, _why(one)),
            one.block,
        )
        for one in found
    ]


def _why(one: SpokePosition) -> str:
    if not one.answered:
        return f"the Spoke {one.spoke} of Aave V4 does not tell whether the wallet has a position there"
    if one.health_1e18 is None:
        return "Aave V4, not modelled; the Spoke itself tells collateral and no debt"
    whole, rest = divmod(one.health_1e18, 10**18)
    return f"Aave V4, not modelled; the Spoke itself tells a health factor of {whole}.{rest // 10**14:04d}"
