"""What befalls an order, drawn from the seed and the case's number alone. Pure but for its own seeded chance."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from decimal import Decimal
from random import Random
from typing import Any

from agent.app.chaos.deaths import MOMENTS, Death

WRITES = ("error_before", "hang_before", "reset_before", "late", "error_after", "hang_after", "reset_after", "partial", "limited", "banned")  # fmt: skip
READS = ("error_before", "reset_after", "partial", "stale", "delay")
USER = ("drop", "duplicate", "reorder", "delay", "partial", "silence", "half_open", "close")
BY_FIX = {
    "error_before": "hang_before",
    "error_after": "hang_after",
    "limited": "reset_before",
    "banned": "error_before",
}
TOLD_BY_FIX = {"drop": "drop", "duplicate": "duplicate", "reorder": "gap", "delay": "again", "partial": "partial", "silence": "checksum", "half_open": "half_open", "close": "close"}  # fmt: skip
"""What befalls FIX messages where the same befalls requests and events of the other doors."""
DEPTH = ("drop", "duplicate", "reorder", "partial", "silence", "close")
LEAST = Decimal("0.1")
"""Of a contract of Deribit's in the coin."""
LAST_EVENT = 14
"""An order that meets no trouble writes about as many events: later deaths strike those that do."""


@dataclass(frozen=True, slots=True)
class Fate:
    """One case. `qty` of ETH; `rests`: its order waits in the book at `away_bps` from the best price instead of taking, and the house
    fills `share` of it; `ends`: who ends what is left, "us" or "them" or nobody. `faults` as the switchboard takes them. `reduces`: of
    contracts, it may only make a position smaller. `listed`: its exits by name, each so many bps from the price, in one list with it."""

    seed: int
    case: int
    buys: bool
    qty: Decimal
    slippage_bps: int
    rests: bool
    away_bps: int
    share: Decimal
    ends: str
    pause_s: float
    faults: tuple[dict[str, Any], ...] = ()
    deaths: tuple[Death, ...] = ()
    reduces: bool = False
    listed: tuple[tuple[str, Decimal], ...] = ()


def draw(seed: int, case: int, *, real_share: float = 0.015) -> Fate:
    """The fate of case `case` of `seed`; the same for ever."""
    rng = Random(f"exchange {seed} {case}")
    rests = rng.random() < 0.4
    faults: list[dict[str, Any]] = []
    if rng.random() < 0.6:
        for _ in range(rng.choice((1, 1, 2, 3, 4))):
            faults.append(_fault(rng))
    deaths: list[Death] = []
    real = rng.random() < real_share
    if real or rng.random() < 0.25:
        for _ in range(1 if real else rng.choice((1, 1, 1, 2, 3))):
            deaths.append(Death(rng.randrange(LAST_EVENT if not real else 8), rng.choice(MOMENTS), real))
    return Fate(
        seed,
        case,
        rng.random() < 0.5,
        Decimal(rng.randint(100, 9_000)) / 10_000,
        rng.choice((5, 20, 50)),
        rests,
        rng.choice((-2, 0, 1, 5)),
        rng.choice((Decimal(0), Decimal("0.3"), Decimal(1), Decimal(1))),
        rng.choice(("us", "them", "us", "")) if rests else rng.choice(("", "", "", "us")),
        rng.uniform(0.0, 3.0),
        tuple(faults),
        tuple(deaths),
    )


def called(fate: Fate, on: Mapping[str, str]) -> Fate:
    """The same, troubles by the names that operations have at an exchange (`on`)."""
    return replace(
        fate, faults=tuple(fault | {"on": on.get(fault["on"], fault["on"])} for fault in fate.faults)
    )


def of_contracts(fate: Fate) -> Fate:
    """The same where contracts are traded: no fewer than the least that is taken, a third of them only to reduce what is held."""
    reduces = Random(f"contracts {fate.seed} {fate.case}").random() < 1 / 3
    return replace(fate, qty=fate.qty * 2 + LEAST, reduces=reduces)


def _fault(rng: Random) -> dict[str, Any]:
    draw = rng.random()
    if draw < 0.40:
        on = rng.choice(("order.place", "order.place", "order.cancel"))
        # an order that is delivered twice is two where the first has ended: no client can help that, and no proxy may do it
        kind = rng.choice(WRITES if on == "order.place" else (*WRITES, "twice"))
        # a request is late by less than it is good for, in the exchange's own time
        more = {"delay_ms": rng.randint(1_500, 4_500)} if kind == "late" else {}
        more |= {"delay_ms": 1_000} if kind in ("limited", "banned") else {}
        return {"on": on, "kind": kind, "count": rng.choice((1, 1, 2)), **more}
    if draw < 0.60:
        kind = rng.choice(READS)
        on = rng.choice(("order.query", "order.query", "openOrders", "myTrades", "account", "depth.rest"))
        more = {"delay_ms": rng.randint(100, 800)} if kind == "delay" else {}
        return {"on": on, "kind": kind, "count": rng.randint(1, 3), **more}
    if draw < 0.80:
        kind = rng.choice(USER)
        more = {"delay_ms": rng.randint(10, 250)} if kind == "delay" else {}
        return {"on": "user", "kind": kind, "count": rng.randint(1, 4), **more}
    if draw < 0.90:
        return {"on": "depth", "kind": rng.choice(DEPTH), "count": rng.randint(1, 4)}
    if draw < 0.95:
        return {"on": "any", "kind": "maintenance", "count": rng.randint(1, 6)}
    return {"on": "clock", "kind": "jump", "delay_ms": rng.choice((-2_000, -500, 500, 2_000))}


def by_fix(fault: dict[str, Any]) -> dict[str, Any]:
    """The same trouble where orders, cancels and reports go by FIX."""
    on, kind = fault["on"], fault["kind"]
    if on == "user":
        return {"on": "fix", "kind": TOLD_BY_FIX[kind], "count": fault["count"]}
    if on not in ("order.place", "order.cancel"):
        return fault
    if kind == "partial":
        return {"on": "fix", "kind": "partial", "count": fault["count"]}
    where = (
        "fix.logon"
        if kind == "banned"
        else on.replace("order.place", "fix.order").replace("order.cancel", "fix.cancel")
    )
    return fault | {"on": where, "kind": BY_FIX.get(kind, kind)}
