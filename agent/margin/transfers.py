"""Money on its way to an account: counted apart, with a haircut, and never as if it were there. Pure.

In accounts/1: `transfers`, a list of `to` (an account's id), `asset`, `raw`, `arrives` (a time) and `haircut_bps`. An account's own
state and prices leave them out; what it would be once they have arrived is told beside it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from agent.margin import fields
from agent.margin.changes import DOLLARS, deposited, deposits, owed, repaid
from agent.margin.ray import PERCENT
from agent.margin.surface import Member


@dataclass(frozen=True, slots=True)
class Flight:
    """`raw` leaves; what counts is that less the haircut, floored."""

    to: str
    asset: str
    raw: int
    arrives: int
    haircut_bps: int

    @property
    def counted_raw(self) -> int:
        return self.raw * (PERCENT - self.haircut_bps) // PERCENT


def read_flights(
    document: Mapping[str, Any], decimals: Mapping[str, int], names: list[str]
) -> tuple[Flight, ...]:
    """Raises Usage naming the transfer and the key. `asset` is one of the file's, or USD for an exchange's dollars (1e-8)."""
    found = []
    for n, raw in enumerate(fields.rows(document, "transfers", "the file")):
        where = f"transfers[{n}]"
        if not isinstance(raw, Mapping):
            raise fields.wrong(f"{where} is not an object")
        fields.only(raw, where, {"to", "asset", "raw", "arrives", "haircut_bps"})
        to = fields.text(raw, "to", where)
        if to not in names:
            raise fields.wrong(f"{where}: there is no account {to}")
        asset = fields.text(raw, "asset", where)
        if asset != DOLLARS:
            asset = fields.listed(raw, "asset", where, decimals)
        haircut = fields.whole(raw, "haircut_bps", where)
        if haircut > PERCENT:
            raise fields.wrong(f"{where}: haircut_bps is more than {PERCENT}")
        amount, arrives = fields.whole(raw, "raw", where), fields.whole(raw, "arrives", where)
        found.append(Flight(to, asset, amount, arrives, haircut))
    return tuple(found)


def arrived(member: Member, flights: tuple[Flight, ...]) -> Member | None:
    """The account once all that is on its way to it is there: debt of that asset is paid first, the rest is collateral.

    Judged when the last one arrives, interest until then counted. None where nothing is on its way, or none of it would count.
    """
    if member.model is None or member.account is None:
        return None
    account, at, changed = member.account, member.timestamp, False
    for flight in flights:
        if flight.to != member.name:
            continue
        at, left = max(at, flight.arrives), flight.counted_raw
        debt = owed(member.model, account, at).get(flight.asset, 0)
        if debt and left:
            paid = min(debt, left)
            account, left, changed = repaid(member.model, account, flight.asset, paid, at), left - paid, True
        if left and flight.asset in deposits(member.model, account):
            account, changed = deposited(member.model, account, flight.asset, left, at), True
    return replace(member, account=account, timestamp=at) if changed else None
