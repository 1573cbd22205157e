"""What the referee reads of an exchange: its own account of balances, over a connection of the referee's own, at true prices."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from http.client import HTTPConnection
from typing import Any


@dataclass(frozen=True)
class Exchange:
    """An account that is watched. `prices`: what an asset is truly worth in USD; `bound_usd`: what its owner was shown for a day."""

    name: str
    port: int
    account: str
    prices: Mapping[str, str]
    bound_usd: str


class Account:
    """One account's truth. Raises OSError, ValueError."""

    def __init__(self, told: Exchange) -> None:
        self.told = told
        self.was: dict[str, Decimal] = {}

    def begin(self) -> None:
        self.was = self._balances()

    def end(self, repelled: bool) -> tuple[list[dict[str, str]], Decimal, Decimal]:
        """(violations, dollars taken, the most that may be taken in a day)."""
        now, name = self._balances(), self.told.name
        taken, most = self._usd(self.was) - self._usd(now), Decimal(self.told.bound_usd)
        found = []
        if repelled and now != self.was:
            story = f"{name}: {_said(self.was)} became {_said(now)} in an attack to be repelled"
            found.append({"rule": "moved", "story": story})
        if taken > most:
            found.append(
                {
                    "rule": "bound",
                    "story": f"{name}: {taken:.2f} USD taken, at most {most:.2f} may be in a day",
                }
            )
        return found, taken, most

    def _usd(self, balances: Mapping[str, Decimal]) -> Decimal:
        return sum((qty * Decimal(self.told.prices[asset]) for asset, qty in balances.items()), Decimal(0))

    def _balances(self) -> dict[str, Decimal]:
        wire = HTTPConnection("127.0.0.1", self.told.port, timeout=60)
        try:
            wire.request("GET", "/admin/truth")
            rows: list[dict[str, Any]] = json.loads(wire.getresponse().read())["balances"][self.told.account]
        finally:
            wire.close()
        return {row["asset"]: Decimal(row["free"]) + Decimal(row["locked"]) for row in rows}


def _said(balances: Mapping[str, Decimal]) -> str:
    return ", ".join(f"{qty:f} {asset}" for asset, qty in sorted(balances.items()))
