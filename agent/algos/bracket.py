"""An entry that rests in one exchange's book at its limit, with the exits of what it brings behind it.

Given once. Where the exchange holds order lists (`then-at` among the parameters) entry and exits are one request: the exits stand at the
exchange the moment the entry is filled, and end with an entry that is cancelled. Elsewhere the entry goes alone, and its exits are given
by `agent.app.brackets` once it is over. Prices are those of orders in that book, fees apart; a list's exits wait for all of the entry.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from decimal import Decimal

from agent.algos.exit import LIFE, prices
from agent.algos.oco import LOOK_EVERY_NS, exits_of
from agent.algos.step import Algorithm, Progress, Step, once
from agent.algos.twap import seconds_of
from agent.domain.errors import Usage
from agent.domain.orders import ChildOrder, Exits, ParentOrder, Side

STOP, PROFIT, AT = "then-stop-loss", "then-take-profit", "then-at"


def check(parameters: dict[str, str]) -> None:
    seconds_of(parameters.get("over", LIFE), "--over")


def after(parameters: Mapping[str, str]) -> dict[str, str]:
    """The exits of an entry in an exit's own words."""
    return {n.removeprefix("then-"): parameters[n] for n in (STOP, PROFIT) if n in parameters}


def between(side: Side, limit: Decimal, parameters: Mapping[str, str]) -> None:
    """Raises Usage EXIT_BEFORE_ENTRY: an exit that would trade at once where the entry stands ends what it brought, at a loss of fees."""
    stop, profit = prices(after(parameters))
    buys = side is Side.BUY
    for word, px, above in (("stop-loss", stop, not buys), ("take-profit", profit, buys)):
        if px is not None and (px <= limit if above else px >= limit):
            where = "above" if above else "below"
            raise Usage(
                "EXIT_BEFORE_ENTRY",
                f"--then-{word} {px} is reached where the entry stands, at --limit {limit}",
                f"for a {side.value.lower()} it lies {where} the limit",
            )


def listed(parent: ParentOrder) -> Exits | None:
    """The exits that go with the entry in one list, as typed and not on a tick yet; None where they do not."""
    intent = parent.intent
    told = dict(intent.algo_params)
    if intent.algo != "bracket" or AT not in told or not after(told):
        return None
    return exits_of(intent.side.other, None, intent.max_slippage_bps, after(told))


def as_entry(parent: ParentOrder, child: ChildOrder) -> ChildOrder:
    """A slice of such a parent, as it is to rest."""
    return replace(child, rests=True, then=listed(parent))


def step(parent: ParentOrder, progress: Progress, now_ns: int) -> Step:
    return once(parent, progress, now_ns, lambda child: as_entry(parent, child), LOOK_EVERY_NS)


def fits(side: Side, limit: Decimal | None, parameters: Mapping[str, str]) -> None:
    """Raises Usage NO_ENTRY_PRICE."""
    if limit is None:
        raise Usage("NO_ENTRY_PRICE", "an entry that rests at an exchange needs its price", "give --limit")


ALGO = Algorithm(
    "bracket",
    "an entry that rests at one exchange, its exits behind it; with --at, --limit and --then-…",
    (("over", "how long the entry rests, like 7d; 30 days"),),
    step,
    check,
    fits=fits,
)
