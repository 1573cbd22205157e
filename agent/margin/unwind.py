"""A loan made smaller out of its own collateral: withdrawn, sold, repaid, round after round, never below a floor of health. Pure.

A round may take out only what leaves the floor, so that a loan near its edge needs several; each is found on the version's own
integers. In one step it would be x = (H·D − C)/(H − LT·(1 + f)), which the sum of the rounds comes to.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from decimal import Decimal, localcontext

from agent.domain.units import WIDE
from agent.margin.aave_account import Account
from agent.margin.aave_core import AaveModel
from agent.margin.aave_moves import REPAY, WITHDRAW, moved
from agent.margin.changes import deposits, owed
from agent.margin.worths import worth_usd

MOST_ROUNDS = 6


@dataclass(frozen=True, slots=True)
class Round:
    """`out_raw` of the collateral withdrawn and sold for at least `back_raw` of what is owed, which is repaid; health between and after."""

    out_raw: int
    back_raw: int
    between_1e18: int | None
    after_1e18: int | None


@dataclass(frozen=True, slots=True)
class Unwinding:
    """`cost_usd` is what the sales may lose and the gas of every round; the rest only changes places."""

    lent: str
    owed: str
    rounds: tuple[Round, ...]
    cost_usd: Decimal

    @property
    def out_raw(self) -> int:
        return sum(r.out_raw for r in self.rounds)

    @property
    def back_raw(self) -> int:
        return sum(r.back_raw for r in self.rounds)


def unwinding(
    model: AaveModel,
    account: Account,
    timestamp: int,
    target_1e18: int,
    pair: tuple[str, str],
    loss_bps: int,
    floor_1e18: int,
    round_usd: Decimal,
) -> Unwinding | None:
    """The fewest rounds of `pair` (lent, owed) that reach the target by `timestamp`. None where six do not, or the floor is passed already.

    Sales bring the protocol's own prices less `loss_bps`, floored; a round costs `round_usd` of gas.
    """
    lent, debt = pair
    rows = {r.asset: r for r in account.reserves}
    given, got = rows[lent], rows[debt]
    if given.price_1e8 <= 0 or got.price_1e8 <= 0:
        return None

    def brings(raw: int) -> int:
        worth = raw * given.price_1e8 * 10**got.decimals * (10_000 - loss_bps)
        return int(worth // (got.price_1e8 * 10**given.decimals * 10_000))

    def factor(one: Account) -> int | None:
        return model.account_data(one, timestamp).health_1e18

    def well(one: Account, least: int) -> bool:
        found = factor(one)
        return found is None or found >= least

    rounds = list[Round]()
    while not well(account, target_1e18):
        if len(rounds) == MOST_ROUNDS:
            return None

        def out(raw: int, one: Account = account) -> Account:
            return moved(model, one, WITHDRAW, lent, raw, timestamp)

        def whole(raw: int, one: Account = account) -> Account:
            return moved(model, out(raw, one), REPAY, debt, brings(raw), timestamp)

        held = next(model.supply_raw(r, timestamp) for r in account.reserves if r.asset == lent)
        due = owed(model, account, timestamp).get(debt, 0)
        enough = _least(lambda raw, due=due: brings(raw) >= due, held) if due else 0  # type: ignore[misc]
        most = min(_least(lambda raw: not well(out(raw), floor_1e18), held) - 1, enough)
        if most <= 0 or brings(most) == 0:
            return None
        raw = most
        if well(whole(most), target_1e18):
            raw = _least(lambda raw: well(whole(raw), target_1e18), most)
        after = whole(raw)
        before, left = factor(account), factor(after)
        if before is not None and left is not None and left <= before:
            return None  # what it sells counts for more than what it repays
        rounds.append(Round(raw, brings(raw), factor(out(raw)), left))
        account = after
    if not rounds:
        return None
    with localcontext(WIDE):
        sold = worth_usd(account, lent, sum(r.out_raw for r in rounds))
        cost = sold * loss_bps / 10_000 + round_usd * len(rounds)
    return Unwinding(lent, debt, tuple(rounds), cost)


def cheapest_unwinding(
    model: AaveModel,
    account: Account,
    timestamp: int,
    target_1e18: int,
    loss_bps: int,
    floor_1e18: int,
    round_usd: Decimal,
    among: Collection[str],
) -> Unwinding | None:
    """Of every collateral against every debt of `among`, the one that costs least; of equals the one with fewer rounds."""
    found = []
    for lent in deposits(model, account):
        for debt in owed(model, account, timestamp):
            if lent != debt and lent in among and debt in among:
                pair = (lent, debt)
                one = unwinding(model, account, timestamp, target_1e18, pair, loss_bps, floor_1e18, round_usd)
                found += [one] if one is not None else []
    return min(found, key=lambda u: (u.cost_usd, len(u.rounds)), default=None)


def after(model: AaveModel, account: Account, found: Unwinding, timestamp: int) -> Sequence[Account]:
    """The account after each withdrawal and each repayment, in their order."""
    states = list[Account]()
    for one in found.rounds:
        states.append(
            moved(model, states[-1] if states else account, WITHDRAW, found.lent, one.out_raw, timestamp)
        )
        states.append(moved(model, states[-1], REPAY, found.owed, one.back_raw, timestamp))
    return states


def _least(enough: Callable[[int], bool], most: int) -> int:
    """The smallest whole number up to `most` for which it is true, `most` + 1 where it never is; true stays true."""
    low, high = 0, most + 1
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if enough(middle) else (middle, high)
    return high
