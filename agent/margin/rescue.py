"""The cheapest way to bring a lending account back to a target health, out of what is at hand. Pure, proved in integers.

Minimal payments (reference: x = D − C/H for a repayment, x = (H·D − C)/LT for collateral) are found by bisection on the version's
own arithmetic, so that the last unit is right, and there is no least size. What a payment costs is the gas and the spread of getting
it done; the money itself stays the wallet's. The yield that it no longer earns elsewhere is left out of account.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from decimal import Decimal, localcontext
from itertools import combinations
from typing import Any

from agent.domain.units import WIDE
from agent.margin.aave_moves import ADD_COLLATERAL, REPAY, REPAY_WITH, WITHDRAW
from agent.margin.changes import deposits, owed
from agent.margin.dust import most_taken, taken
from agent.margin.flash import FLASH, Purchase, loss_usd
from agent.margin.model import MarginModel
from agent.margin.moves import factor as factor_of
from agent.margin.moves import moved
from agent.margin.worths import DOLLAR, raw_worth, worth_usd

BEYOND_USD = Decimal(10**9)
"""Beyond that no payment helps, and bisection need not look."""
NEAR_1E18, LEAST_GAIN_1E18 = 120 * 10**16, 10**15
REPAYMENTS = (REPAY, REPAY_WITH, FLASH)
MOST_MOVES = 3
"""More payments than that in one plan are not tried: each is a transaction of its own."""


@dataclass(frozen=True, slots=True)
class Means:
    """What may be paid in: `most_raw` base units of `asset`, as a repayment or as collateral.

    Paying costs `fixed_usd` however much it is, and `bps` of what is paid; `swap_from` names the asset that is to be sold for it
    first, "" where `asset` itself is in the wallet. FLASH `buys` it with the account's own collateral, and can of all up to `most_raw`.
    """

    do: str
    asset: str
    most_raw: int
    fixed_usd: Decimal
    bps: int = 0
    swap_from: str = ""
    buys: Purchase | None = None

    @property
    def lent(self) -> str:
        """Which collateral it takes out, "" for none."""
        return self.buys.lent if self.buys is not None else ""


@dataclass(frozen=True, slots=True)
class Move:
    means: Means
    raw: int


@dataclass(frozen=True, slots=True)
class Plan:
    """`moves` in their order. `cost_usd` is lost, `paid_usd` only moves; `health_1e18` is what it leaves, None without debt."""

    moves: tuple[Move, ...]
    cost_usd: Decimal
    paid_usd: Decimal
    health_1e18: int | None


@dataclass(frozen=True, slots=True)
class Need:
    """What would do it alone, whoever brings it: `raw` base units on top of what is at hand."""

    do: str
    asset: str
    raw: int


def plans(
    model: MarginModel,
    account: Any,
    times: Sequence[int],
    target_1e18: int,
    means: Sequence[Means],
    unit_usd: Decimal = DOLLAR,
) -> list[Plan]:
    """Combinations that reach the target at each of `times`, the cheapest first; of equals the one that pays least.

    Each single payment that does is there, and of several together those that could be cheaper.

    The health told is that at the first of `times`.
    """
    found: list[Plan] = []
    whole = [Move(m, m.most_raw) for m in means]
    # Several that sell the same collateral cannot be counted at once.
    if not any(m.buys for m in means) and not healthy(model, account, times[-1:], target_1e18, whole):
        return []  # not even all of it, counted twice where it could be used twice
    for count in range(1, min(MOST_MOVES, len(means)) + 1):
        for order in _orders(means, count):
            # More payments are tried only where their fees alone do not cost as much as what was found already.
            if (
                count > 1
                and found
                and sum((m.fixed_usd for m in order), Decimal(0)) > min(p.cost_usd for p in found)
            ):
                continue
            plan = _filled(model, account, times, target_1e18, order, unit_usd)
            if plan is not None:
                found.append(plan)
    return sorted(found, key=lambda p: (p.cost_usd, p.paid_usd, len(p.moves)))


def _orders(means: Sequence[Means], count: int) -> Iterator[tuple[Means, ...]]:
    """Every choice of the one that is paid in part, behind every set of those that are paid whole."""
    for last in means:
        for whole in combinations([m for m in means if m is not last and m.buys is None], count - 1):
            yield (*whole, last)


def _filled(
    model: MarginModel,
    account: Any,
    times: Sequence[int],
    target: int,
    order: Sequence[Means],
    unit_usd: Decimal,
) -> Plan | None:
    """All of each but the last, and of the last what is still needed. None where that does not do, or less would."""
    if len({(m.do, m.asset, m.swap_from, m.lent) for m in order}) < len(order) or _twice(order):
        return None
    moves = [Move(m, most_taken(account, m.do, m.most_raw, times)) for m in order[:-1]]
    if any(m.raw <= 0 for m in moves) or healthy(model, account, times, target, moves):
        return None
    last = order[-1]
    raw = least(model, account, times, target, moves, last)
    if raw is None:
        return None
    moves.append(Move(last, raw))
    cost = sum((cost_usd(account, m, unit_usd) for m in moves), Decimal(0))
    paid = sum((worth_usd(account, m.means.asset, m.raw, unit_usd) for m in moves), Decimal(0))
    return Plan(tuple(moves), cost, paid, health_after(model, account, times[0], moves))


def best_effort(
    model: MarginModel,
    account: Any,
    times: Sequence[int],
    means: Sequence[Means],
    room_usd: Decimal,
    unit_usd: Decimal = DOLLAR,
) -> Plan | None:
    """What helps most where no plan reaches the target: all that is at hand, repayments first, for no more than `room_usd`.

    A payment worth less than its cost is made only below a health of 1.2, while that cost is below a quarter of what a liquidation would
    take, and where it raises health by a thousandth: there is no least size, only a least use. None where nothing is left of it, or it raises nothing.
    """
    moves, left, used = list[Move](), room_usd, set[str]()
    saved = liquidation_usd(model, account, times[-1], unit_usd) / 4
    for one in sorted(means, key=lambda m: (m.swap_from != "", m.do != REPAY)):
        source = _source(one)
        raw = min(one.most_raw, raw_worth(account, one.asset, left, unit_usd))
        if one.do in REPAYMENTS:
            raw = min(raw, _owed_after(model, account, times[-1], moves, one.asset))
        raw = most_taken(_moved(model, account, times[0], moves), one.do, raw, times)
        move = Move(one, raw)
        worth = worth_usd(account, one.asset, raw, unit_usd)
        if source in used or raw <= 0:
            continue
        cost = cost_usd(account, move, unit_usd)
        if one.buys is not None and not _better(model, account, times[0], moves, move):
            continue  # at pools far below the protocol's price more security would be lost than debt
        if worth <= cost and not (cost < saved and _useful(model, account, times[0], moves, move)):
            continue
        used.add(source)
        moves.append(move)
        left, saved = WIDE.subtract(left, worth), saved - cost
    before, after = (health_after(model, account, times[0], m) for m in ([], moves))
    if not moves or (before is not None and after is not None and after <= before):
        return None
    cost = sum((cost_usd(account, m, unit_usd) for m in moves), Decimal(0))
    paid = sum((worth_usd(account, m.means.asset, m.raw, unit_usd) for m in moves), Decimal(0))
    return Plan(tuple(moves), cost, paid, after)


def liquidation_usd(model: MarginModel, account: Any, timestamp: int, unit_usd: Decimal = DOLLAR) -> Decimal:
    """What liquidators take of a loan at the least, roughly: a bonus of 5 % on half of what is owed (Aave V3's smallest usual one)."""
    due = owed(model, account, timestamp).items()
    return sum((worth_usd(account, asset, raw, unit_usd) for asset, raw in due), Decimal(0)) / 40


def _useful(model: MarginModel, account: Any, timestamp: int, before: Sequence[Move], move: Move) -> bool:
    less = health_after(model, account, timestamp, before)
    more = health_after(model, account, timestamp, [*before, move])
    return less is not None and less < NEAR_1E18 and (more is None or more - less >= LEAST_GAIN_1E18)


def _better(model: MarginModel, account: Any, timestamp: int, before: Sequence[Move], move: Move) -> bool:
    less = health_after(model, account, timestamp, before)
    more = health_after(model, account, timestamp, [*before, move])
    return less is not None and (more is None or more > less)


def _owed_after(model: MarginModel, account: Any, timestamp: int, moves: Sequence[Move], asset: str) -> int:
    return owed(model, _moved(model, account, timestamp, moves), timestamp).get(asset, 0)


def _moved(model: MarginModel, account: Any, timestamp: int, moves: Sequence[Move]) -> Any:
    for move in moves:
        account = after(model, account, move, timestamp)
    return account


def _twice(order: Sequence[Means]) -> bool:
    """Whether an asset of the wallet is counted on more than once: as itself and sold, or sold for two things."""
    used = [_source(m) for m in order]
    return len(set(used)) < len(used)


def _source(means: Means) -> str:
    """What it takes from: an asset of the wallet, or the account's own deposit of it."""
    if means.lent:
        return f"lent {means.lent}"
    return f"lent {means.asset}" if means.do == REPAY_WITH else means.swap_from or means.asset


def least(
    model: MarginModel,
    account: Any,
    times: Sequence[int],
    target: int,
    before: Sequence[Move],
    means: Means,
) -> int | None:
    """The least base units of `means`, on top of what comes before, that reach the target. None where all of it does not, or where the
    protocol takes neither so little nor all of it."""

    # Interest makes the last of the times the hardest as a rule; the others are asked once it is met.
    *others, hardest = times

    def factor(raw: int) -> int | None:
        return health_after(model, account, hardest, [*before, Move(means, raw)])

    def enough(raw: int) -> bool:
        found = factor(raw)
        if found is not None and found < target:
            return False
        return healthy(model, account, others, target, [*before, Move(means, raw)])

    most = means.most_raw
    if means.do in REPAYMENTS:
        most = min(most, _owed_after(model, account, hardest, before, means.asset))
    if most <= 0 or not enough(most):
        return None
    low, high = _bracket(means.do, most, target, factor, enough)
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if enough(middle) else (middle, high)
    there = _moved(model, account, times[0], before)
    return next((raw for raw in (high, most) if taken(there, means.do, raw, times)), None)


def _bracket(
    do: str, most: int, target: int, factor: Callable[[int], int | None], enough: Callable[[int], bool]
) -> tuple[int, int]:
    """Around the answer: the factor is linear in what is supplied, and its inverse in what is repaid. Never believed unproved."""
    first, last = factor(0), factor(most)
    if first is None or first >= target:
        return 0, most
    if do in (REPAY, FLASH):
        part, whole = (target - first) * (last or 1), ((last or 1) - first) * target
        part, whole = (target - first, target) if last is None else (part, whole)
    else:
        part, whole = target - first, (last or target) - first
    guess = min(max(most * part // whole, 1), most) if whole > 0 else most
    width = max(guess >> 36, 4)
    low, high = 0, most
    while width < most:
        if high == most and guess + width < most and enough(guess + width):
            high = guess + width
        if low == 0 and guess - width > 0 and not enough(guess - width):
            low = guess - width
        if low and high < most:
            break
        width *= 64
    return low, high


def healthy(
    model: MarginModel, account: Any, times: Sequence[int], target: int, moves: Sequence[Move]
) -> bool:
    factors = [health_after(model, account, at, moves) for at in times]
    return all(f is None or f >= target for f in factors)


def health_after(model: MarginModel, account: Any, timestamp: int, moves: Sequence[Move]) -> int | None:
    """The contract's own health factor in 1e18 after all of `moves` in a block of that time."""
    for move in moves:
        account = after(model, account, move, timestamp)
    return factor_of(model, account, timestamp)


def after(model: MarginModel, account: Any, move: Move, timestamp: int) -> Any:
    """The account once a move is made in a block of that time. Raises ValueError for a purchase that its pools do not hold."""
    means = move.means
    if means.buys is None:
        return moved(model, account, means.do, means.asset, move.raw, timestamp)
    if move.raw == 0:
        return account
    if (taken := means.buys.takes(move.raw)) is None:
        raise ValueError(f"{means.buys.pools[0].id} does not sell {move.raw}")
    account = moved(model, account, REPAY, means.asset, move.raw, timestamp)
    return moved(model, account, WITHDRAW, means.lent, taken, timestamp)


def needs(
    model: MarginModel,
    account: Any,
    times: Sequence[int],
    target_1e18: int,
    means: Sequence[Means],
    unit_usd: Decimal = DOLLAR,
) -> list[Need]:
    """What is missing, for each debt and collateral alone, once all of the wallet's own `means` are spent. Least worth first."""
    held = [
        Move(m, most_taken(account, m.do, m.most_raw, times))
        for m in means
        if not m.swap_from and not m.buys and m.most_raw > 0
    ]
    found = []
    for do, asset in ways(model, account, times[0]):
        raw = least(
            model,
            account,
            times,
            target_1e18,
            held,
            Means(do, asset, raw_worth(account, asset, BEYOND_USD, unit_usd), Decimal(0)),
        )
        if raw is not None:
            found.append(Need(do, asset, raw))
    return sorted(found, key=lambda n: worth_usd(account, n.asset, n.raw, unit_usd))


def ways(model: MarginModel, account: Any, timestamp: int) -> Iterator[tuple[str, str]]:
    """What can be paid in at all: each debt, each collateral that counts."""
    for asset in owed(model, account, timestamp):
        yield REPAY, asset
    for asset in deposits(model, account):
        yield ADD_COLLATERAL, asset


def cost_usd(account: Any, move: Move, unit_usd: Decimal = DOLLAR) -> Decimal:
    paid = worth_usd(account, move.means.asset, move.raw, unit_usd)
    if move.means.buys is not None:
        return WIDE.add(
            move.means.fixed_usd, loss_usd(account, move.means.buys, move.raw, unit_usd) or Decimal(0)
        )
    with localcontext(WIDE):
        return move.means.fixed_usd + paid * move.means.bps / 10_000
