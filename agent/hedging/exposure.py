"""Holding one asset's exposure near a target: the part that the delta hedges share. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal, localcontext

from agent.domain.errors import Usage
from agent.domain.orders import Side
from agent.domain.units import WIDE, quantize_down
from agent.hedging.band import Band, band_of
from agent.hedging.policy import Decision, State, Wish, number, only, positive, symbol

COSTS = (
    ("base", "the asset whose exposure is held, by symbol"),
    ("quote", "what it is traded against"),
    (
        "instrument",
        "what is traded instead of base and counts as much: a contract of it, by symbol, held short as well; base where not given",
    ),
    ("target", "the exposure wanted, in whole units of base; 0 where not given"),
    (
        "risk_aversion",
        "per USD: a variance of v USD² is as bad as losing risk_aversion × v / 2; larger hedges sooner",
    ),
    ("cost_bps", "what trading costs, in bps of what is traded: fee, spread and impact"),
    ("gas_usd", "what each trade costs besides, in USD; 0 where not given"),
    ("least_usd", "no order below this; 10 where not given"),
    ("step", "orders are multiples of this; 0.000001 where not given"),
)


def check(given: Mapping[str, str], parameters: tuple[tuple[str, str], ...]) -> None:
    """Raises Usage HEDGE_PARAMETER."""
    only(given, parameters)
    symbol(given, "base"), symbol(given, "quote")
    if "instrument" in given and symbol(given, "instrument") in (given["base"], given["quote"]):
        raise Usage("HEDGE_PARAMETER", "instrument is base or quote itself", "name a contract of base")
    positive(given, "risk_aversion")
    positive(given, "step", "0.000001")
    for name, default in (("target", "0"), ("cost_bps", None), ("gas_usd", "0"), ("least_usd", "10")):
        number(given, name, default)


def band(given: Mapping[str, str], state: State, gamma: Decimal) -> Band:
    """The band now; `gamma` in units of base for each USD of its price."""
    cost = number(given, "cost_bps").scaleb(-4)
    fixed, aversion = number(given, "gas_usd", "0"), positive(given, "risk_aversion")
    return band_of(gamma, state.price(given["base"]), cost, fixed, aversion)


def held_of(given: Mapping[str, str], state: State) -> Decimal:
    """What is held of base, and of the contract that stands for it. Raises Denied HOLDING_UNKNOWN."""
    held = state.holding(given["base"])
    return WIDE.add(held, state.holding(given["instrument"])) if "instrument" in given else held


def held_to_target(given: Mapping[str, str], state: State, exposure: Decimal, gamma: Decimal) -> Decision:
    """A wish where the exposure stands outside its band."""
    base, quote = given["base"], given["quote"]
    traded = given.get("instrument", base)
    limits = band(given, state, gamma)
    with localcontext(WIDE):
        drift = exposure - number(given, "target", "0")
        change = limits.correction(drift)
        qty = quantize_down(abs(change), positive(given, "step", "0.000001"))
        worth = qty * state.price(base)
    why = f"{base} {exposure:.6f}, {drift:+.6f} from its target; the band is ±{limits.outer:.6f}"
    if not qty:
        return Decision((), why)
    if worth < number(given, "least_usd", "10"):
        return Decision((), f"{why}; {worth:.2f} USD are too few to trade")
    side = Side.BUY if change > 0 else Side.SELL
    return Decision((Wish(side, traded, quote, qty),), f"{why}; back to {limits.inner:.6f} from it")
