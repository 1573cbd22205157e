"""What a hedging policy sees and what it answers. A policy decides and does nothing: its wishes become intents like anybody's."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from decimal import Decimal, InvalidOperation

from agent.domain.errors import Denied, Usage
from agent.domain.orders import Side
from agent.domain.units import parse_qty
from agent.hedging.liquidity import Range

DIGITS = 30
"""Of the largest and the smallest number that a parameter may be."""


@dataclass(frozen=True, slots=True)
class Debt:
    """A lending account in USD: `collateral` and `debt` at the protocol's prices, `threshold` the weighted liquidation threshold."""

    collateral: Decimal
    debt: Decimal
    threshold: Decimal


@dataclass(frozen=True, slots=True)
class Carry:
    """What a short of a contract is paid, `yearly` as a share of its notional, and how far the price may rise, as a share of it, before the
    account it is in is liquidated: None where nothing is open there, or no rise would do it."""

    yearly: Decimal
    room: Decimal | None


@dataclass(frozen=True, slots=True)
class State:
    """`px` in USD per whole unit, `held` in whole units over every place, both by symbol; a symbol that is missing is unknown.

    `inverse`: the contract is dollars that are bought with the coin, whose short is what is held of it; what it has spent is no coin any more.
    """

    now_ns: int
    px: Mapping[str, Decimal]
    held: Mapping[str, Decimal]
    ranges: tuple[Range, ...] = ()
    loan: Debt | None = None
    spent_usd: Decimal = Decimal(0)
    carry: Carry | None = None
    inverse: bool = False

    def price(self, symbol: str) -> Decimal:
        """Raises Denied PRICE_UNKNOWN: what has no price is hedged by nobody."""
        found = self.px.get(symbol)
        if found is None or found <= 0:
            raise Denied(
                "PRICE_UNKNOWN",
                f"{symbol} has no reference price now",
                f"name oracles.{symbol} in the settings",
            )
        return found

    def holding(self, symbol: str) -> Decimal:
        """Raises Denied HOLDING_UNKNOWN: a balance that was not read is not zero."""
        found = self.held.get(symbol)
        if found is None:
            raise Denied(
                "HOLDING_UNKNOWN",
                f"how much {symbol} is held could not be read",
                "`fairlead positions` tells why",
            )
        return found


@dataclass(frozen=True, slots=True)
class Wish:
    """One order that would put things right: `qty` of `base`, whole units, never rounded up."""

    side: Side
    base: str
    quote: str
    qty: Decimal


@dataclass(frozen=True, slots=True)
class Decision:
    """What to do now; no wishes where things are as wanted. `why` is one line with the numbers it was decided by."""

    wishes: tuple[Wish, ...]
    why: str


@dataclass(frozen=True, slots=True)
class Hedge:
    """`decide` is pure. `parameters` are the settings' keys with what they mean; `check` raises Usage for a wrong one.

    `needs` names what the state has to hold besides prices and holdings: "ranges", "loan", "spent" (by the job's own orders), "carry" (and the loan with it, where `chain` is given).
    """

    name: str
    about: str
    parameters: tuple[tuple[str, str], ...]
    check: Callable[[Mapping[str, str]], None]
    decide: Callable[[Mapping[str, str], State], Decision]
    needs: frozenset[str] = field(default_factory=frozenset)


def number(given: Mapping[str, str], name: str, default: str | None = None) -> Decimal:
    """A parameter that is zero or more. Raises Usage HEDGE_PARAMETER."""
    text = given.get(name, default)
    if text is None:
        raise Usage("HEDGE_PARAMETER", f"`{name}` is missing", f'write {name} = "…" under hedge_with')
    try:
        found = Decimal(text)
    except InvalidOperation:
        found = Decimal("NaN")
    if not found.is_finite() or found < 0:
        raise Usage("HEDGE_PARAMETER", f"{name} = '{text}' is no number of zero or more", "write it like 0.5")
    if found and abs(found.adjusted()) > DIGITS:  # beyond what is computed with exactly
        raise Usage(
            "HEDGE_PARAMETER",
            f"{name} = '{text[:40]}' is larger or smaller than any amount",
            "write it like 0.5",
        )
    return found


def positive(given: Mapping[str, str], name: str, default: str | None = None) -> Decimal:
    """As `number`, and not zero."""
    number(given, name, default)
    return parse_qty(str(given.get(name, default)), name)


def symbol(given: Mapping[str, str], name: str) -> str:
    found = given.get(name, "")
    if not found:
        raise Usage("HEDGE_PARAMETER", f"`{name}` is missing", f'write {name} = "ETH" under hedge_with')
    return found


def only(given: Mapping[str, str], parameters: tuple[tuple[str, str], ...]) -> None:
    """Raises Usage HEDGE_PARAMETER for a key that means nothing here."""
    known = [name for name, _ in parameters]
    for name in given:
        if name not in known:
            raise Usage(
                "HEDGE_PARAMETER", f"`{name}` means nothing to this hedge", f"known: {', '.join(known)}"
            )
