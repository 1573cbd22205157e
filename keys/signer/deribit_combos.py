"""How much an order in a combo at Deribit can cost, by what the signer's owner wrote of that combo, and whether it may be signed. Pure.

A combo is traded at one price for all its legs, which may be zero or less; the exchange names it and carries its legs out. The signer
asks nobody what a name stands for: the owner lists the combos he allows, their legs with the ratios (the combo's own direction is +), and a
band [px_from, px_to] that he takes the combo's worth not to leave. What is not listed is not signed.

Whoever trades with himself at the edge of that band gains its whole width, whichever side he takes: a purchase at px_to of what is
worth px_from, a sale at px_from of what is worth px_to. No price of an order makes that less than nothing, and a change does not say which
side it is of, so that every order counts the same for each unit, at any price inside the band:

    px_to − px_from + fees              in what the combo settles in; `fees`: the most the exchange takes for one unit, over all its legs

Where the legs are dollars' worth of a coin, so is the amount, and the legs gain in coins: dollars over a price. Bought and sold at prices p₁,
p₂ inside [leg_from, leg_to] = [L, U] one dollar's worth gains (p₁ − p₂) / (p₁·p₂) coins, a coin being worth U at most, so that it counts

    U · (hi(px_to) − lo(px_from)) + fees · U / L      hi(x) = x/L² where x > 0, else x/U²; lo(x) = x/U² where x > 0, else x/L²

What the market does to the legs afterwards no count bounds; nor is a leg closed by the combo's own limits: the legs have limits of their own.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from decimal import ROUND_CEILING, Context, Decimal, localcontext

from chains.errors import Denied
from keys.signer.exchange_orders import Counted, within

NAME = re.compile(r"([A-Z0-9_]+)-(?!PERPETUAL)[A-Z].*")
"""Of instruments of several legs: a code of letters stands where others have a date."""
FUTURE = re.compile(r"([A-Z0-9_]+)-(?:PERPETUAL|[0-9]{1,2}[A-Z]{3}[0-9]{2})")
OPTION = re.compile(r"([A-Z0-9_]+)-[0-9]{1,2}[A-Z]{3}[0-9]{2}-[0-9d]+-[CP]")
STEP = Decimal("1e-8")
_PRICE = re.compile(r"-?[0-9]{1,20}(?:\.[0-9]{1,20})?")
_AMOUNT = re.compile(r"[0-9]{1,20}(?:\.[0-9]{1,20})?")
_WIDE = Context(prec=120)
_SEE = "See `combos` under exchanges in the signer's settings."


@dataclass(frozen=True, slots=True)
class ComboLimit:
    """What may be traded of one combo. `legs`: whole ratio by instrument, below zero where a purchase of the combo sells it. `per_order`,
    `per_day`: what orders can cost, see above; any 24 hours. `px_from`, `px_to`: of one unit, also below zero. `leg_from`, `leg_to`: of
    every leg, dollars for a coin; None where the legs are no dollars' worth of a coin. `quote_usd`: as `SymbolLimit` has it."""

    legs: Mapping[str, int]
    per_order: Decimal
    per_day: Decimal
    px_from: Decimal
    px_to: Decimal
    fees: Decimal
    leg_from: Decimal | None = None
    leg_to: Decimal | None = None
    quote_usd: Decimal = Decimal(1)

    def unit_cost(self) -> Decimal:
        """The most that one fill of one unit can lose, at any price inside the band. Exact, or to 120 digits where it divides."""
        with localcontext(_WIDE):
            if self.leg_from is None or self.leg_to is None:
                return self.px_to - self.px_from + self.fees
            near, far = self.leg_from**2, self.leg_to**2
            most = self.px_to / (near if self.px_to > 0 else far)
            least = self.px_from / (far if self.px_from > 0 else near)
            return self.leg_to * (most - least) + self.fees * self.leg_to / self.leg_from


def wrong_legs(combo: str, legs: Mapping[str, int], banded: bool) -> str:
    """Why these cannot be the legs of that combo, as far as names tell; "" where they can. `banded`: a band of their prices is given."""
    named = NAME.fullmatch(combo)
    if named is None:
        return "is no combo's name: one has letters where others have a date, like BTC-FS-27DEC30_PERP"
    if len(legs) < 2 or not all(legs.values()):
        return "must name two instruments or more, each with a whole ratio that is not 0"
    futures, options = ([kind.fullmatch(leg) for leg in legs] for kind in (FUTURE, OPTION))
    found = futures if all(futures) else options if all(options) else []
    if not found or any(one is None or one[1] != named[1] for one in found):
        return f"must all be futures, or all be options, of {named[1]}: one price bounds no others together"
    in_coin = all(futures) and "_" not in named[1]
    if in_coin != banded:
        return "in dollars' worth of a coin go with leg_from and leg_to, and no others do"
    if in_coin and sorted(legs.values()) != [-1, 1]:
        return "in dollars' worth of a coin are one bought and one sold, 1 and -1"
    return ""


def judge(
    words: Mapping[str, str], combos: Mapping[str, ComboLimit], spent: Mapping[str, Decimal]
) -> Counted:
    """An order's words (`deribit.Asked`) against its combo's limits; `spent`: by instrument, of the last 24 hours.

    Raises Denied EXCHANGE_LIMITS, EXCHANGE_ORDER, EXCHANGE_MARKET, EXCHANGE_COLLAR, EXCHANGE_PER_ORDER or EXCHANGE_PER_DAY.
    """
    symbol = words["symbol"]
    limit = combos.get(symbol)
    if limit is None:
        raise Denied("EXCHANGE_LIMITS", f"an order in {symbol[:40]}, a combo that is not listed", _SEE)
    if words["type"] != "LIMIT" or "price" not in words:
        raise Denied("EXCHANGE_MARKET", f"type {words['type'][:20]!r}: a combo is signed at a price alone", "Send a LIMIT order at your worst price.")  # fmt: skip
    amount, price = _number(words, "quantity", _AMOUNT), _number(words, "price", _PRICE)
    if amount <= 0:
        raise Denied("EXCHANGE_ORDER", "quantity is not above zero", "Send plain digits, like 1.25.")
    if not limit.px_from <= price <= limit.px_to:
        raise Denied(
            "EXCHANGE_COLLAR",
            f"price {price:f} of {symbol} is outside {limit.px_from:f} to {limit.px_to:f}",
            "Where its worth has left that band, the owner widens it. " + _SEE,
        )
    with localcontext(_WIDE):
        cost = (amount * limit.unit_cost()).quantize(STEP, ROUND_CEILING)
    return within(symbol, cost, limit, spent, "Every unit counts the whole band and the fees. " + _SEE)


def _number(words: Mapping[str, str], name: str, form: re.Pattern[str]) -> Decimal:
    text = words.get(name, "")
    if not form.fullmatch(text):
        raise Denied("EXCHANGE_ORDER", f"{name} {text[:40]!r} is no number", "Send plain digits, like 1.25.")
    return Decimal(text)
