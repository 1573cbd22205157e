"""So much money at each fire, none above a price the owner names, and no more than a whole. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal, localcontext

from agent.domain.orders import Side
from agent.domain.units import WIDE, quantize_down
from agent.hedging.policy import Decision, Hedge, State, Wish, number, only, positive, symbol

PARAMETERS = (
    ("base", "what is bought, by symbol"),
    ("quote", "what it is bought with"),
    ("usd", "how much at each fire, in USD"),
    ("at_most_usd", "how much in all, by this job's own fills; no end where not given"),
    ("not_above", "nothing is bought while the price is above this, in USD"),
    ("step", "orders are multiples of this; 0.000001 where not given"),
)


def check(given: Mapping[str, str]) -> None:
    only(given, PARAMETERS)
    symbol(given, "base"), symbol(given, "quote")
    positive(given, "usd"), positive(given, "step", "0.000001")
    for name in ("at_most_usd", "not_above"):
        if name in given:
            positive(given, name)


def decide(given: Mapping[str, str], state: State) -> Decision:
    px, usd = state.price(given["base"]), positive(given, "usd")
    if "not_above" in given and px > number(given, "not_above"):
        return Decision((), f"{px:,.2f} USD is above {given['not_above']}")
    with localcontext(WIDE):
        if "at_most_usd" in given:
            usd = min(usd, number(given, "at_most_usd") - state.spent_usd)
        qty = quantize_down(max(usd, Decimal(0)) / px, positive(given, "step", "0.000001"))
    if not qty:
        return Decision((), f"all of it is bought: {state.spent_usd:,.2f} USD")
    return Decision((Wish(Side.BUY, given["base"], given["quote"], qty),), f"{usd:,.2f} USD at {px:,.2f}")


HEDGE = Hedge("dca", "so much money at each fire", PARAMETERS, check, decide, frozenset({"spent"}))
