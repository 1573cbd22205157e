"""What the readers of unified accounts at OKX and Bybit share: accounts/1 in exact decimals, and doubts instead of guesses. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

from agent.domain.errors import Usage
from agent.domain.instruments import cex_id
from agent.domain.units import WIDE
from agent.market.reading import NOT_AS_DOCUMENTED, above_zero
from agent.venues import number
from agent.venues.ccxt.border import exact, maybe

DIGITS = 8
Row = Mapping[str, Any]


@contextmanager
def documented(what: str) -> Iterator[None]:
    """What is not as documented makes the account UNKNOWN, not the program stop: nothing was changed there. Raises Usage MARGIN_UNREAD."""
    try:
        yield
    except NOT_AS_DOCUMENTED as error:
        raise unread(f"{what} is not as documented: {type(error).__name__} {str(error)[:120]}") from None


def unread(why: str) -> Usage:
    return Usage("MARGIN_UNREAD", why, "see the exchange's own page")


def positive(value: Any) -> Decimal:
    return above_zero(exact(value))


def span(figures: Iterable[Decimal]) -> list[str | None]:
    """From the least to the most of one figure told twice."""
    told = list(figures)
    return [number(min(told)), number(max(told))]


def bounds(rows: Sequence[tuple[Decimal, Decimal]]) -> list[list[str]]:
    """Rows [from, rate] of a table, sorted."""
    return [[number(start), number(rate)] for start, rate in sorted(rows)]


def quotient(value: Decimal, by: Decimal) -> Decimal:
    """To 20 digits: what is told is told with fewer."""
    found = WIDE.divide(value, by)
    return found.quantize(Decimal(1).scaleb(found.adjusted() - 20), context=WIDE)


@dataclass
class Coin:
    """One asset of an account: `equity` without unrealised profit; `collateral` one rate or its tiers; `loan_rate` None where its tiers were
    not asked for."""

    name: str
    equity: Decimal
    loan: Decimal
    index_px: Decimal
    collateral: list[list[str]] | str
    loan_rate: list[list[str]] | None = None

    def row(self, venue: str) -> dict[str, Any]:
        found: dict[str, Any] = {
            "asset": cex_id(venue, self.name),
            "equity": number(self.equity),
            "loan": number(self.loan),
            "index_px": number(self.index_px),
            "collateral_rate": self.collateral,
        }
        return found if self.loan_rate is None else found | {"loan_rate": self.loan_rate}


@dataclass
class Held:
    """One position. `coin` is what it is of: all that is of one coin moves with it. `contract_usd` None for a linear one, `close_fee_rate`
    where closing costs nothing that is counted."""

    symbol: str
    coin: str
    settles: str
    size: Decimal
    entry_px: Decimal
    mark_px: Decimal
    brackets: list[list[str]]
    close_fee_rate: Decimal | None = None
    contract_usd: Decimal | None = None
    close_fee: Decimal = Decimal(0)

    def row(self, venue: str) -> dict[str, Any]:
        found: dict[str, Any] = {
            "asset": cex_id(venue, self.coin),
            "settles": cex_id(venue, self.settles),
            "size": number(self.size),
            "entry_px": number(self.entry_px),
            "mark_px": number(self.mark_px),
            "brackets": self.brackets,
        }
        if self.close_fee_rate is not None:
            found |= {"close_fee_rate": number(self.close_fee_rate), "close_fee": number(self.close_fee)}
        return found if self.contract_usd is None else found | {"contract_usd": number(self.contract_usd)}


@dataclass
class Account:
    """`doubt` says why it is not judged. `told` as agent.margin.unified_told has it."""

    name: str
    coins: Sequence[Coin] = ()
    held: Sequence[Held] = ()
    told: Row = field(default_factory=dict)
    doubt: str = ""


def document(venue: str, model: str, accounts: Sequence[Account], at_s: int) -> Row:
    place = f"cex:{venue}"
    names = sorted({c.name for a in accounts for c in a.coins} | {h.coin for a in accounts for h in a.held})
    rows = []
    for one in accounts:
        row: dict[str, Any] = {"id": f"{venue} {one.name}", "model": model, "chain": place}
        if one.doubt:
            row["doubt"] = one.doubt
        else:
            row |= {
                "assets": [c.row(venue) for c in one.coins],
                "positions": [h.row(venue) for h in one.held],
                "told": dict(one.told),
            }
        rows.append(row)
    return {
        "fairlead": "accounts/1",
        "at": {place: {"timestamp": at_s}},
        "assets": [{"id": cex_id(venue, name), "symbol": name, "decimals": DIGITS} for name in names],
        "accounts": rows,
    }


__all__ = [
    "Account",
    "Coin",
    "Held",
    "bounds",
    "document",
    "documented",
    "exact",
    "maybe",
    "positive",
    "quotient",
    "span",
    "unread",
]
