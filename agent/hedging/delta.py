"""What is held of an asset, with the delta and gamma of options kept elsewhere, near a target within the Whalley–Wilmott band."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal, InvalidOperation

from agent.domain.errors import Usage
from agent.domain.units import WIDE
from agent.hedging.exposure import COSTS, held_of, held_to_target
from agent.hedging.exposure import check as check_costs
from agent.hedging.policy import Decision, Hedge, State

PARAMETERS = (
    *COSTS,
    (
        "gamma",
        "how the exposure moves, in units of base for each USD of its price: of options, by your own books",
    ),
    (
        "delta",
        "exposure that is not a holding, in units of base, like the delta of those options; may be negative",
    ),
)


def signed(given: Mapping[str, str], name: str) -> Decimal:
    """A parameter of either sign, 0 where not given. Raises Usage HEDGE_PARAMETER."""
    try:
        found = Decimal(given.get(name, "0"))
    except InvalidOperation:
        found = Decimal("NaN")
    if not found.is_finite():
        raise Usage("HEDGE_PARAMETER", f"{name} = '{given[name]}' is no number", "write it like -0.5")
    return found


def check(given: Mapping[str, str]) -> None:
    check_costs(given, PARAMETERS)
    signed(given, "gamma"), signed(given, "delta")


def decide(given: Mapping[str, str], state: State) -> Decision:
    exposure = WIDE.add(held_of(given, state), signed(given, "delta"))
    return held_to_target(given, state, exposure, signed(given, "gamma"))


HEDGE = Hedge("delta", "an asset's exposure near a target", PARAMETERS, check, decide)
