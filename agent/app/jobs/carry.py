"""What a short of a contract is paid, by its venue's own record, and how near its margin account is to liquidation. Unknown is never zero."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal, localcontext
from typing import TYPE_CHECKING

from agent.app.job_checks import LINEAR_HINT
from agent.app.watching.margins import judged_now
from agent.domain.errors import Denied
from agent.domain.instruments import AssetId, cex_id, place_of, venue_of
from agent.domain.units import WIDE
from agent.hedging.policy import Carry, positive
from agent.margin.model import Side, State
from agent.ports import TellsFunding, TellsMargin

if TYPE_CHECKING:
    from agent.app.wiring import App

HOUR_NS = 3_600 * 10**9
YEAR_HOURS = 8_760


async def carry_of(app: App, given: Mapping[str, str]) -> Carry | None:
    """None where the account cannot be told. Raises Denied FUNDING_UNKNOWN, Usage MARGIN_MODEL and the like, Retry where the venue does not answer."""
    asset, venue = contract_of(app, given["instrument"])
    hours = positive(given, "hours", "72")
    with localcontext(WIDE):
        since_ns = app.clock.now_ns() - int(hours * HOUR_NS)
        rates = await venue.funding(asset.partition("/")[2], since_ns)
        if not rates:
            raise Denied(
                "FUNDING_UNKNOWN",
                f"{given['instrument']}: no funding is told of the last {hours:f} hours",
                "a longer hedge_with.hours; a contract that expires has none",
            )
        # Each rate is for its own interval, so that what was paid over the hours is their sum, whatever the intervals are.
        yearly = sum((rate for _, rate in rates), Decimal(0)) * YEAR_HOURS / hours
    if not isinstance(venue, TellsMargin):
        return None
    room: Decimal | None = None
    for account in await judged_now(venue):
        if account.state is State.UNKNOWN or account.health is None:
            return None
        for px in account.health.liquidation_px:
            if px.asset != asset:
                continue
            if account.state is State.LIQUIDATABLE:
                return Carry(yearly, Decimal(0))
            if px.side is Side.ABOVE and px.px_raw is not None and px.now_raw:
                with localcontext(WIDE):
                    room = max(Decimal(px.px_raw) / px.now_raw - 1, Decimal(0))
    return Carry(yearly, room)


async def is_inverse(app: App, given: Mapping[str, str]) -> bool:
    """Whether the contract is dollars that are bought with the coin. Raises Denied CARRY_COIN: where that coin is not counted as the base,
    what the short has spent would not be, either."""
    found = await inverse_coin(app, given["instrument"])
    if found is not None and found not in app.directory.group(given["base"]):
        raise Denied(
            "CARRY_COIN",
            f"{given['instrument']} is paid for in {found}, which is no {given['base']} of the settings",
            f"add it to assets.{given['base']}",
        )
    return found is not None


async def need_linear(app: App, name: str) -> None:
    """Raises Denied HEDGE_INVERSE: other policies count a contract as so many of the coin, and this one is so many dollars."""
    if await inverse_coin(app, name) is not None:
        raise Denied("HEDGE_INVERSE", f"{name} is dollars' worth of a coin, which only the carry counts as such", LINEAR_HINT)  # fmt: skip


async def inverse_coin(app: App, name: str) -> AssetId | None:
    """What an inverse contract is paid for in; None for a linear one, or where no exchange of ours trades it."""
    for asset in app.directory.group(name):
        venue, symbol = venue_of(place_of(asset)) or "", asset.partition("/")[2]
        if venue not in app.venues:
            continue
        for one in await app.venues[venue].instruments():
            if one.symbol == symbol and one.contract == "inverse":
                return cex_id(venue, one.quote)
    return None


def contract_of(app: App, name: str) -> tuple[AssetId, TellsFunding]:
    """The contract at a venue that tells funding. Raises Denied FUNDING_UNKNOWN."""
    for asset in app.directory.group(name):
        venue = app.venues.get(venue_of(place_of(asset)) or "")
        if isinstance(venue, TellsFunding):
            return asset, venue
    raise Denied(
        "FUNDING_UNKNOWN",
        f"no exchange that answers now tells what a short of {name} is paid",
        "name a contract of an exchange that does (binance_usdm, deribit, hyperliquid)",
    )
