"""Random Aave accounts, and the same at the edge of liquidation, for whoever judges the models."""

from __future__ import annotations

import random
from dataclasses import replace

from agent.margin.aave_account import Account, EMode, Reserve
from agent.margin.aave_core import AaveModel
from agent.margin.ray import RAY


def random_account(draw: random.Random, stable: bool, at: int) -> Account:
    """Up to eight reserves, some lent, some owed, in a category as often as not; `stable`: with what versions up to 3.1 have."""
    reserves = []
    for number in range(draw.randrange(1, 9)):
        decimals = draw.choice((2, 6, 8, 18))
        lent, owed = draw.random() < 0.7, draw.random() < 0.5
        reserves.append(
            Reserve(
                f"a{number}", decimals, int(10 ** draw.uniform(4, 13)), draw.choice((0, draw.randrange(1, 9000))),
                draw.choice((0, draw.randrange(1, 9500), draw.randrange(1, 9500))), draw.random() < 0.85,
                at - draw.choice((0, 1, 2, int(10 ** draw.uniform(0, 8)))),
                int(10 ** draw.uniform(0, decimals + 6)) if lent else 0, draw.randrange(RAY, 3 * RAY), draw.randrange(RAY // 2),
                int(10 ** draw.uniform(0, decimals + 5)) if owed else 0, draw.randrange(RAY, 3 * RAY), draw.randrange(2 * RAY),
                int(10 ** draw.uniform(0, decimals + 3)) if stable and draw.random() < 0.1 else 0,
            )
        )  # fmt: skip
    if draw.random() < 0.5:
        return Account(tuple(reserves))
    names = [r.asset for r in reserves]
    members = frozenset(draw.sample(names, draw.randrange(len(names) + 1)))
    price = int(10 ** draw.uniform(4, 13)) if stable and draw.random() < 0.3 else 0
    zero = frozenset() if stable else frozenset(a for a in names if draw.random() < 0.15)
    return Account(
        tuple(reserves), EMode(draw.randrange(9500), draw.randrange(9900), members, price, 10_100, zero)
    )


def at_the_edge(model: AaveModel, account: Account, number: int, at: int) -> list[Account]:
    """The account with the debt of one reserve within three wei of where the model says liquidation begins; [] where none does."""

    def owing(scaled: int) -> Account:
        rows = list(account.reserves)
        rows[number] = replace(rows[number], scaled_debt_raw=scaled)
        return replace(account, reserves=tuple(rows))

    def bad(scaled: int) -> bool:
        health = model.account_data(owing(scaled), at).health_1e18
        return health is not None and health < 10**18

    if bad(1) or not bad(10**32):
        return []
    good, found = 1, 10**32
    while found - good > 1:
        middle = (good + found) // 2
        good, found = (good, middle) if bad(middle) else (middle, found)
    return [owing(found + n) for n in range(-3, 4) if found + n > 0]
