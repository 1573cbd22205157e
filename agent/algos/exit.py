"""A stop, a take-profit, or both, of which one ends the other: held here and watched, since it is over every place and no exchange holds it.

A stop that was reached stays reached: what a first attempt left is done at whatever the market gives (or no worse than --limit). A
take-profit is done at its price or better, and where it was done in part what is left waits for either again. What is left is always
the remainder to the last unit, whatever filled and whatever was cancelled. Attempts that fail are made again with growing pauses, up to
a minute: an exit is given up at its end alone, or where no place takes an order as small as what is left.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from decimal import Decimal

from agent.algos.step import Algorithm, Progress, Step, rest_left, slice_of
from agent.algos.twap import seconds_of
from agent.domain.errors import Usage
from agent.domain.orders import ParentOrder, Side
from agent.domain.units import parse_qty

LOOK_EVERY_NS, LONGEST_PAUSE_NS = 500_000_000, 60 * 10**9
LIFE = "30d"
WORDS = ("stop-loss", "take-profit")


def prices(parameters: Mapping[str, str]) -> tuple[Decimal | None, Decimal | None]:
    """(stop, take-profit), net prices in the other asset. Raises Usage for what is no price."""
    stop, profit = (parameters.get(name) for name in ("stop-loss", "take-profit"))
    return parse_qty(stop, "--stop-loss") if stop else None, parse_qty(
        profit, "--take-profit"
    ) if profit else None


def check(parameters: dict[str, str]) -> None:
    if prices(parameters) == (None, None):
        raise Usage("NO_EXIT", "an exit needs --stop-loss, --take-profit or both", "give a price")
    seconds_of(parameters.get("over", LIFE), "--over")


def fits(side: Side, limit: Decimal | None, parameters: Mapping[str, str]) -> None:
    """Raises Usage EXITS_CROSS, LIMIT_BEYOND_STOP."""
    stop, profit = prices(parameters)
    below, above = (stop, profit) if side is Side.SELL else (profit, stop)
    if below is not None and above is not None and below >= above:
        names = (
            "--stop-loss is below --take-profit"
            if side is Side.SELL
            else "--take-profit is below --stop-loss"
        )
        raise Usage("EXITS_CROSS", f"{below} is not below {above}", f"for a {side.value.lower()} {names}")
    if limit is None:
        return
    if stop is None:
        raise Usage("LIMIT_BEYOND_STOP", "--take-profit is a limit already", "leave --limit out")
    if limit > stop if side is Side.SELL else limit < stop:
        raise Usage("LIMIT_BEYOND_STOP", f"--limit {limit} could never be met once the stop {stop} is reached", "put it beyond the stop, or leave it out")  # fmt: skip


def reached(side: Side, px: Decimal, parameters: Mapping[str, str]) -> str:
    """Which of them this net price meets: "stop-loss", "take-profit", or "" where it lies between."""
    stop, profit = prices(parameters)
    selling = side is Side.SELL
    if stop is not None and (px <= stop if selling else px >= stop):
        return "stop-loss"
    return "take-profit" if profit is not None and (px >= profit if selling else px <= profit) else ""


def step(parent: ParentOrder, progress: Progress, now_ns: int) -> Step:
    if progress.working > 0 or (progress.leaves <= progress.lot and progress.unsettled):
        return Step(wake_ns=now_ns + LOOK_EVERY_NS)
    if progress.leaves <= progress.lot:
        return Step(done="FILLED")
    if ended := rest_left(parent, progress):
        return Step(done=ended)
    if now_ns >= parent.intent.expire_ns:
        return Step(done="EXPIRED")
    stop, profit = prices(dict(parent.intent.algo_params))
    limit = _let_go(parent, progress, stop, profit)
    if limit is _WAIT:
        return Step(wake_ns=min(now_ns + LOOK_EVERY_NS, parent.intent.expire_ns))
    again_ns = _again_ns(progress, limit)
    if now_ns < again_ns:
        return Step(wake_ns=min(again_ns, parent.intent.expire_ns))
    child = slice_of(parent, progress.children, progress.leaves, parent.intent.expire_ns)
    return Step(children=(replace(child, limit_px=limit),))


_WAIT = Decimal("NaN")


def _let_go(
    parent: ParentOrder, progress: Progress, stop: Decimal | None, profit: Decimal | None
) -> Decimal | None:
    """The limit that the rest goes with now, None for any price; _WAIT where neither price was reached."""
    if (
        stop is not None
        and progress.last is not None
        and (profit is None or progress.last.limit_px != profit)
    ):
        return parent.intent.limit_px  # it was reached before
    if progress.px_now is None:
        return _WAIT
    match reached(parent.side, progress.px_now, dict(parent.intent.algo_params)):
        case "stop-loss":
            return parent.intent.limit_px
        case "take-profit":
            return profit
    return _WAIT


def _again_ns(progress: Progress, limit: Decimal | None) -> int:
    """When the next attempt may be made: at once, or after what failed, the longer the more of it did. A stop does not wait for what
    take-profits failed at."""
    if not progress.failed or (progress.last is not None and progress.last.limit_px != limit):
        return 0
    return progress.last_ns + min(LOOK_EVERY_NS << min(progress.failed, 10), LONGEST_PAUSE_NS)


ALGO = Algorithm(
    "exit",
    "all at once, when a stop or a take-profit is reached; watched here, not by an exchange",
    (
        ("stop-loss", "price that is bad enough"),
        ("take-profit", "price that is good enough"),
        ("over", "how long it waits, like 7d; 30 days"),
    ),
    step,
    check,
    wants_px=True,
    fits=fits,
)
