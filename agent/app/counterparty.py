"""What stands at an exchange beside its `counterparty_cap_usd`: an alarm with the withdrawal that brings it back below, since Fairlead cannot make it.

Orders that would add to what is above its cap are denied anyway (agent/risk/validator.py); what lies there already, or grew with its price,
only its owner can take out. Whatever has no price counts for nothing and is named.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal, localcontext
from typing import TYPE_CHECKING

from agent.app.places import Directory
from agent.domain.errors import FairleadError
from agent.domain.events import Alarmed
from agent.domain.instruments import AssetId, Place, chain_of, place_of
from agent.domain.reports import Balance
from agent.domain.risk import OraclePrice
from agent.domain.units import WIDE, div_up
from agent.ports import Clock, ExecutionVenue, Journal

if TYPE_CHECKING:
    from agent.app.wiring import App
    from agent.execution.desk import Desk

EVERY_S = 60.0
AGAIN_NS = 6 * 3600 * 10**9
WORSE = Decimal("1.1")
"""Told again when the excess is a tenth more than it was."""
MOST_PLACES = 8
"""Exchanges take no finer withdrawal of anything."""


@dataclass(frozen=True, slots=True)
class Lot:
    """One asset there: free and locked units, USD a unit (None: nobody tells), places a withdrawal of it may have."""

    symbol: str
    free: Decimal
    locked: Decimal
    px: Decimal | None
    places: int

    @property
    def worth(self) -> Decimal:
        return (self.free + self.locked) * (self.px or Decimal(0))


@dataclass(frozen=True, slots=True)
class Excess:
    """USD. `take`: (symbol, units) to withdraw, rounded up; `locked_usd`: what orders hold of the excess, to be cancelled first;
    `unpriced`: symbols that were not counted."""

    value: Decimal
    cap: Decimal
    take: tuple[tuple[str, Decimal], ...]
    locked_usd: Decimal
    unpriced: tuple[str, ...]

    @property
    def over(self) -> Decimal:
        return self.value - self.cap

    def said(self, venue: str, towards: Mapping[str, str]) -> str:
        """`towards`: by symbol, where to."""
        parts = [f"{qty:f} {symbol}{towards.get(symbol, '')}" for symbol, qty in self.take]
        text = (
            f"{venue} holds {self.value:.2f} USD of yours, {self.over:.2f} more than its cap of {self.cap:f}"
        )
        if parts:
            text += f": withdraw {', '.join(parts)}"
        if self.locked_usd:
            text += f"; {self.locked_usd:.2f} USD of it are held by open orders: cancel some first"
        if self.unpriced:
            text += f"; not counted, for want of a price: {', '.join(self.unpriced)}"
        return f"{text}. Fairlead's keys cannot withdraw: you do, at the exchange"


def excess(lots: Sequence[Lot], cap: Decimal) -> Excess | None:
    """What is above the cap and the fewest withdrawals that end it: the most valuable free balance first. None at the cap or below."""
    with localcontext(WIDE):
        value = sum((lot.worth for lot in lots), Decimal(0))
        left = value - cap
        if left <= 0:
            return None
        take = []
        priced = [(lot, lot.px) for lot in lots if lot.px]
        for lot, px in sorted(priced, key=lambda pair: (-pair[0].free * pair[1], pair[0].symbol)):
            qty = min(lot.free, div_up(left, px, lot.places))
            if left > 0 and qty > 0:
                take.append((lot.symbol, qty))
                left -= qty * px
        unpriced = sorted(lot.symbol for lot in lots if not lot.px and lot.free + lot.locked)
        return Excess(value, cap, tuple(take), max(left, Decimal(0)), tuple(unpriced))


@dataclass
class CapWatch:
    """Looks at every exchange with a cap again and again. `caps`: USD by the venue's name; 0 is no cap. `wallet`: where chains' assets go."""

    venues: Mapping[str, ExecutionVenue]
    caps: Mapping[str, Decimal]
    directory: Directory
    prices: Callable[[], Awaitable[Sequence[OraclePrice]]]
    clock: Clock
    journal: Journal
    wallet: str
    _told: dict[str, tuple[int, Decimal]] = field(default_factory=dict)

    async def run(self) -> None:
        while True:
            await self.look()
            await self.clock.sleep(EVERY_S)

    async def look(self) -> None:
        """Raises Halt where the alarm cannot be recorded; an exchange that does not answer is looked at the next time."""
        for name, venue in tuple(self.venues.items()):  # one may come back meanwhile
            cap = self.caps.get(name, Decimal(0))
            if not cap:
                continue
            try:
                balances, prices = await venue.balances(), await self.prices()
            except FairleadError as error:
                if error.verb == "HALT":
                    raise
                continue
            await self._judge(name, excess(self._lots(balances, prices), cap))

    async def _judge(self, name: str, found: Excess | None) -> None:
        now_ns = self.clock.now_ns()
        at_ns, over = self._told.get(name, (0, Decimal(0)))
        if found is None:
            self._told.pop(name, None)
        elif not over or found.over > over * WORSE or not 0 <= now_ns - at_ns < AGAIN_NS:
            self._told[name] = now_ns, found.over
            text = found.said(name, self._towards())
            await self.journal.record(Alarmed("COUNTERPARTY_CAP", text, now_ns))

    def _lots(self, balances: Sequence[Balance], prices: Sequence[OraclePrice]) -> list[Lot]:
        """The dearest of the prices counts, as it does when an order is reviewed."""
        px: dict[str, Decimal] = {}
        for price in prices:
            px[price.symbol] = max(price.px, px.get(price.symbol, Decimal(0)))
        symbols, decimals = self.directory.symbols, self.directory.decimals
        found = []
        for one in balances:
            symbol = symbols.get(one.asset) or one.asset.rpartition("/")[2]
            places = min(decimals.get(one.asset, MOST_PLACES), MOST_PLACES)
            found.append(Lot(symbol, one.free, one.locked, px.get(symbol), places))
        return found

    def _towards(self) -> dict[str, str]:
        """By symbol: the wallet on the first chain where the settings know that asset."""
        found: dict[str, str] = {}
        for symbol, members in self.directory.groups.items():
            on_chain: list[Place] = [
                place_of(AssetId(a)) for a in members if chain_of(place_of(a)) is not None
            ]
            if on_chain:
                found[symbol] = f" to {self.wallet} on {on_chain[0]}"
        return found


def cap_watch(app: App, desk: Desk) -> CapWatch:
    caps = {venue.name: venue.counterparty_cap_usd for venue in app.settings.venues}
    wallet = app.settings.wallet.address
    return CapWatch(app.venues, caps, app.directory, app.oracles.prices, desk.clock, desk.journal, wallet)
