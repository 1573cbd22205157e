"""A lending account's health at a target: the debt asset to have at hand so that repaying reaches it. Pure.

    health = C·t / D, C the collateral and D the debt in USD, t the weighted liquidation threshold
    repaying x from elsewhere:  C·t / (D − x) = target  ⟺  x = D − C·t / target

The order buys what of x is not held yet; the repayment itself is the lending desk's (`fairlead lend repay`).
"""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal, localcontext

from agent.domain.errors import Denied, Usage
from agent.domain.orders import Side
from agent.domain.units import WIDE, quantize_up
from agent.hedging.policy import Debt, Decision, Hedge, State, Wish, number, only, positive, symbol

PARAMETERS = (
    ("base", "the asset that is owed, by symbol: what is bought"),
    ("quote", "what it is bought with"),
    ("chain", "the chain the account is on, by name; the first of the settings where not given"),
    ("floor", "the health below which something is done, like 1.5"),
    ("target", "the health to come back to, like 1.8"),
    ("least_usd", "no order below this; 10 where not given"),
    ("step", "orders are multiples of this; 0.000001 where not given"),
)


def check(given: Mapping[str, str]) -> None:
    only(given, PARAMETERS)
    symbol(given, "base"), symbol(given, "quote")
    if positive(given, "floor") > positive(given, "target"):
        raise Usage("HEDGE_PARAMETER", "floor is above target", "the target is what is come back to")
    if positive(given, "floor") <= 1:
        raise Usage("HEDGE_PARAMETER", "floor is not above 1, where liquidation begins", "write it like 1.5")
    number(given, "least_usd", "10"), positive(given, "step", "0.000001")


def repayment(loan: Debt, target: Decimal) -> Decimal:
    """USD to repay so that the health is at least `target`: never negative, never more than is owed."""
    with localcontext(WIDE):
        return max(loan.debt - loan.collateral * loan.threshold / target, Decimal(0))


def decide(given: Mapping[str, str], state: State) -> Decision:
    """Raises Denied LOAN_UNKNOWN: an account that cannot be told is not safe, and not traded for either."""
    loan, base = state.loan, given["base"]
    if loan is None:
        raise Denied("LOAN_UNKNOWN", "the lending account could not be told", "`fairlead health` tells why")
    if not loan.debt:
        return Decision((), "nothing is owed")
    with localcontext(WIDE):
        health = loan.collateral * loan.threshold / loan.debt
        if health >= positive(given, "floor"):
            return Decision((), f"health {health:.4f}")
        needed = repayment(loan, positive(given, "target")) / state.price(base)
        short = needed - state.holding(base)
        told = f"health {health:.4f}: {needed:.6f} {base} are to be repaid"
        if short <= 0:
            return Decision((), f"{told}, and are at hand: fairlead lend repay")
        qty = quantize_up(short, positive(given, "step", "0.000001"))
        if qty * state.price(base) < number(given, "least_usd", "10"):
            return Decision((), f"{told}; what is missing is too little to trade")
    return Decision((Wish(Side.BUY, base, given["quote"], qty),), told)


HEDGE = Hedge(
    "collateral_target",
    "a lending account's health at a target",
    PARAMETERS,
    check,
    decide,
    frozenset({"loan"}),
)
