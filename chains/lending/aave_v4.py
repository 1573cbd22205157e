"""Whether a wallet has a position at Aave V4's Spokes, all asked in one call. Nothing of it is modelled here.

A Spoke's getUserAccountData (aave/aave-v4, src/spoke/interfaces/ISpoke.sol) gives (riskPremium, avgCollateralFactor, healthFactor, totalCollateralValue,
totalDebtValue, activeCollateralCount, borrowCount), the health factor in 1e-18 and 2^256 − 1 without debt. What is supplied without being collateral, and beside
no debt, is in none of these figures: there is nothing to liquidate.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from chains.evm import call_data, words
from chains.types import Address, BlockRef, Call, ViewReader

FIGURES, HEALTH, VALUES = 7, 2, slice(3, 7)


@dataclass(frozen=True, slots=True)
class SpokePosition:
    """`answered` False where the Spoke tells no such figures; `health_1e18` is its own, None without debt."""

    spoke: Address
    block: BlockRef
    answered: bool
    health_1e18: int | None = None


async def read_spokes(
    chain: ViewReader, spokes: Sequence[Address], user: Address, block: int | str = "latest"
) -> list[SpokePosition]:
    """Those at which the user has a position, and those that do not answer. Where no contract stands there is none. Raises Retry where the
    chain does not answer."""
    if not spokes:
        return []
    asked = [Call(spoke, call_data("getUserAccountData(address)", user)) for spoke in spokes]
    ref, answers = await chain.multicall(asked, block)
    found = []
    for spoke, answer in zip(spokes, answers, strict=True):
        if answer.ok and not answer.data:
            continue
        told = words(answer.data) if answer.ok else []
        if len(told) < FIGURES:
            found.append(SpokePosition(spoke, ref, False))
        elif any(told[VALUES]):
            health = told[HEALTH]
            found.append(SpokePosition(spoke, ref, True, None if health == 2**256 - 1 else health))
    return found
