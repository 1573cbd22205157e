"""All of the settings' accounts at one look: every chain's lending accounts, each confirmed by a second endpoint where there is one, and margins.

What is wrong with one chain or exchange, a Halt too, makes its own accounts UNKNOWN and keeps none of the others from being judged.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass

from agent.app.settings_tree import Chain
from agent.app.watching.aave import ChainHealth, looked_at
from agent.app.watching.aave_v4 import spoke_loans
from agent.app.watching.loans import Loan, loans_of
from agent.app.watching.margins import margins_of
from agent.app.watching.reading import Reading
from agent.domain.errors import FairleadError
from chains.confirmed import Confirmed
from chains.followed import Followed
from chains.types import Address, BlockRef, ViewReader


@dataclass(frozen=True, slots=True)
class Accounts:
    """`heads` by the chain's name, why it has none where it is not told; `unconfirmed` chains by name, with why."""

    found: list[ChainHealth]
    loans: list[Loan]
    heads: Mapping[str, BlockRef | str]
    now_s: int
    unconfirmed: Mapping[str, str]

    @property
    def halt(self) -> FairleadError | None:
        """The first that stops whoever acts; a look tells it once everything else is told."""
        halts = [*(one.halt for one in self.found), *(loan.halt for loan in self.loans)]
        return next((halt for halt in halts if halt is not None), None)


async def accounts_of(reading: Reading, kept: Mapping[int, Followed] | None = None) -> Accounts:
    """`kept`, by chain, is what looks before this one know. Raises nothing that concerns one chain or exchange alone."""
    wallet, chains = Address(reading.settings.wallet.address), reading.settings.chains
    views = {c.chain_id: Confirmed(reading.gateways[c.chain_id]) for c in chains}
    followed = {
        c.chain_id: kept[c.chain_id].over(views[c.chain_id], reading.gateways[c.chain_id], _logged_by(c))
        for c in chains
        if kept is not None
    }
    read_by: Mapping[int, ViewReader] = followed or views
    asked = [
        looked_at(c, read_by[c.chain_id], wallet, pool)
        for c in chains
        for pool in (None, *(Address(p) for p in c.lending_pools))
    ]
    others = [read(c, read_by[c.chain_id], wallet) for c in chains for read in (loans_of, spoke_loans)]
    found, loans, heads, margins = await asyncio.gather(
        asyncio.gather(*asked), asyncio.gather(*others), reading.heads(), margins_of(reading.settings)
    )
    await asyncio.gather(*(view.settle() for view in followed.values()))
    unconfirmed = {c.name: why for c in chains if (why := views[c.chain_id].unconfirmed)}
    known = [one for one in found if one is not None]
    return Accounts(
        known, [*(loan for some in loans for loan in some), *margins], heads, reading.now_s, unconfirmed
    )


def _logged_by(chain: Chain) -> dict[Address, Address]:
    gmx = chain.gmx
    return {Address(gmx.reader): Address(gmx.event_emitter)} if gmx is not None and gmx.event_emitter else {}
