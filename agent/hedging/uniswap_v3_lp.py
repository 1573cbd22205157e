"""Uniswap V3 positions and what is held beside them, together near a target: delta and gamma exact from liquidity and ticks."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal, localcontext

from agent.domain.errors import Denied, Usage
from agent.domain.units import WIDE
from agent.hedging.exposure import COSTS, held_of, held_to_target
from agent.hedging.exposure import check as check_costs
from agent.hedging.policy import Decision, Hedge, State

PARAMETERS = (
    *COSTS,
    ("chain", "the chain the positions are on, by name; the first of the settings where not given"),
    ("positions", "their token ids at the position manager, separated by commas"),
)


def ids(given: Mapping[str, str]) -> tuple[int, ...]:
    """Raises Usage HEDGE_PARAMETER."""
    words = [word.strip() for word in given.get("positions", "").split(",")]
    if not all(word.isascii() and word.isdigit() for word in words):
        raise Usage(
            "HEDGE_PARAMETER",
            f"positions = '{given.get('positions', '')}' are no token ids",
            'write positions = "123, 456"',
        )
    return tuple(int(word) for word in words)


def check(given: Mapping[str, str]) -> None:
    check_costs(given, PARAMETERS)
    ids(given)


def decide(given: Mapping[str, str], state: State) -> Decision:
    """Raises Denied NO_POSITION where none of the positions holds the asset."""
    base = given["base"]
    mine = [one for one in state.ranges if base in one.symbols]
    if not mine:
        raise Denied("NO_POSITION", f"none of the positions holds {base}", "check `positions` and `chain`")
    with localcontext(WIDE):
        exposure, gamma = held_of(given, state), Decimal(0)
        for one in mine:
            exposure += one.exposure(base)
            # Where both tokens count as the base, trades only change one for the other: what is held of it stays.
            for other in one.symbols:
                if other != base:
                    gamma += one.gamma(base) / state.price(other)
    return held_to_target(given, state, exposure, gamma)


HEDGE = Hedge(
    "uniswap_v3_lp",
    "liquidity positions' delta near a target",
    PARAMETERS,
    check,
    decide,
    frozenset({"ranges"}),
)
