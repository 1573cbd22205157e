"""A stop and a take-profit that one exchange holds as a pair: given to it once, and over when it is.

The prices are those of orders in its book, fees apart. The stop is a limit order once its price was traded: at --limit, or so far behind
the stop as --max-slippage-bps allows; a market that jumps over that leaves it standing. What the exchange ended is not sent again. Exits
that stand in a list behind their entry are of this kind too: they were given with it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from decimal import Decimal, localcontext

from agent.algos import exit as exit_algo
from agent.algos.step import Algorithm, Progress, Step, once
from agent.domain.errors import Usage
from agent.domain.order_lists import AFTER
from agent.domain.orders import ChildOrder, Exits, ParentOrder, Side
from agent.domain.units import WIDE

LOOK_EVERY_NS = 5 * 10**9


def check(parameters: dict[str, str]) -> None:
    """Raises Usage NO_PAIR, and as an exit does."""
    exit_algo.check(parameters)
    if None in exit_algo.prices(parameters):
        raise Usage(
            "NO_PAIR",
            "an exchange holds a pair: --stop-loss and --take-profit",
            "give both, or leave --at out",
        )


def exits_of(side: Side, limit: Decimal | None, slippage_bps: int, parameters: Mapping[str, str]) -> Exits:
    """The pair's prices, as typed and not on a tick yet; of a list, one of them may be missing."""
    stop, profit = exit_algo.prices(parameters)
    if stop is None:
        return Exits(None, None, profit)
    with localcontext(WIDE):
        behind = stop * (10_000 + (-1 if side is Side.SELL else 1) * slippage_bps) / 10_000
    return Exits(stop, limit if limit is not None else behind, profit)


def step(parent: ParentOrder, progress: Progress, now_ns: int) -> Step:
    intent = parent.intent

    def pair(child: ChildOrder) -> ChildOrder:
        exits = exits_of(intent.side, intent.limit_px, intent.max_slippage_bps, dict(intent.algo_params))
        return replace(child, limit_px=None, exits=exits)

    found = once(parent, progress, now_ns, pair, LOOK_EVERY_NS)
    lapsed = found.done == "FAILED" and AFTER in dict(intent.algo_params) and progress.leaves >= parent.qty
    return Step(done="LAPSED") if lapsed else found


ALGO = Algorithm(
    "oco",
    "a stop and a take-profit that one exchange holds as a pair; with --at",
    exit_algo.ALGO.parameters,
    step,
    check,
    fits=exit_algo.fits,
)
