"""A book of accounts under a shock: what would be liquidated, what falls first and what it drags; as one JSON-able report."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from typing import Any

from agent.domain.errors import Usage
from agent.margin.model import State, VolModel, state_of
from agent.margin.shocks import moved_assets, unused
from agent.margin.surface import STEPS, Fall, LikelyPoint, Member, along, likely_point, order
from agent.margin.transfers import Flight, arrived

PARTS_PCT = (0, 25, 50, 75, 100, 150)
DOLLAR_COINS = frozenset(
    ["USDC", "USDT", "DAI", "USDS", "USDE", "PYUSD", "FDUSD", "USD", "GHO", "LUSD", "FRAX", "CRVUSD", "USDC.E", "USDBC", "SDAI", "SUSDS", "RLUSD", "TUSD", "USDG"]
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Row:
    """One account: its state and factor (1e18) at each of PARTS_PCT of the shock, and where in it (in percent) it falls."""

    member: Member
    states: tuple[State, ...]
    factors: tuple[int | None, ...]


@dataclass(frozen=True, slots=True)
class Stress:
    """`shock` by symbol as asked for, `changes` by asset; volatility is changed wholly from the first part on."""

    shock: Mapping[str, Fraction]
    vol: Fraction
    changes: Mapping[str, Fraction]
    rows: tuple[Row, ...]
    falls: tuple[Fall, ...]
    unmoved: tuple[str, ...]
    with_transfers: tuple[Fall, ...] = ()
    likely: Mapping[str, LikelyPoint | None] | None = None

    @property
    def liquidated(self) -> list[str]:
        return [r.member.name for r in self.rows if r.states[PARTS_PCT.index(100)] is State.LIQUIDATABLE]

    @property
    def unknown(self) -> list[str]:
        return [r.member.name for r in self.rows if r.states[0] is State.UNKNOWN]


@dataclass(frozen=True, slots=True)
class Horizon:
    """The world of a likeliest point: yearly volatilities by symbol, one correlation for every pair, days."""

    vols: Mapping[str, Fraction]
    correlation: Fraction
    days: int


def stress(
    members: Sequence[Member],
    symbols: Mapping[str, str],
    shock: Mapping[str, Fraction],
    vol: Fraction,
    flights: tuple[Flight, ...] = (),
    horizon: Horizon | None = None,
) -> Stress:
    """Raises Usage UNKNOWN_SYMBOL where a symbol of the shock moves nothing of the book; of a book that nobody could read all is UNKNOWN."""
    if symbols and members and (idle := unused(shock, symbols)):
        known = ", ".join(sorted({s for s in symbols.values()}))
        raise Usage("UNKNOWN_SYMBOL", f"{idle[0]} moves nothing here", f"the book holds {known}")
    changes = moved_assets(shock, symbols)
    shaken = [_shaken(m, vol) for m in members]
    places = [along(changes, part * STEPS // 100) for part in PARTS_PCT]
    rows = []
    for before, after in zip(members, shaken, strict=True):
        factors: list[int | None] = []
        states: list[State] = []
        for part, moves in zip(PARTS_PCT, places, strict=True):
            m = after if part else before
            factor = m.factor(moves) if m.account is not None else None
            factors.append(factor)
            states.append(State.UNKNOWN if m.account is None or m.model is None else state_of(factor))
        rows.append(Row(before, tuple(states), tuple(factors)))
    unmoved = sorted({s for a, s in symbols.items() if a not in changes})
    later = [there for one in shaken if (there := arrived(one, flights)) is not None]
    return Stress(
        shock,
        vol,
        changes,
        tuple(rows),
        order(shaken, changes),
        tuple(unmoved),
        order(later, changes),
        _likely(members, symbols, horizon) if horizon else None,
    )


def _likely(
    members: Sequence[Member], symbols: Mapping[str, str], horizon: Horizon
) -> dict[str, LikelyPoint | None]:
    names = [n for n in horizon.vols if moved_assets({n: Fraction(1)}, symbols)]
    vols = {n: float(horizon.vols[n]) for n in names}
    pairs = {(a, b): float(horizon.correlation) for a in names for b in names if a < b}

    def expand(moves: dict[str, Fraction]) -> dict[str, Fraction]:
        changes = moved_assets({name: move - 1 for name, move in moves.items()}, symbols)
        return {asset: 1 + change for asset, change in changes.items()}

    known = [m for m in members if m.model is not None and m.account is not None]
    return {m.name: likely_point(m, vols, pairs, float(horizon.days), expand) for m in known}


def fall_together(members: Sequence[Member], symbols: Mapping[str, str]) -> tuple[Fall, ...]:
    """What falls first if everything but dollar coins fell by the same part: the shock is all of it, 100 %."""
    return order(
        members, {a: Fraction(-1) for a, s in symbols.items() if s.upper() not in DOLLAR_COINS}, STEPS // 20
    )


def _shaken(member: Member, vol: Fraction) -> Member:
    if vol and member.account is not None and isinstance(member.model, VolModel):
        return replace(member, account=member.model.at_vol(member.account, 1 + vol))
    return member


def percent(part: int | None) -> str | None:
    """A part of a shock in millionths as percent, cut towards now."""
    if part is None:
        return None
    text = f"{part // 10_000}.{part % 10_000:04d}"
    return text.rstrip("0").rstrip(".")


def change_text(change: Fraction) -> str:
    return f"{float(change * 100):+g}"


def stress_json(found: Stress) -> dict[str, Any]:
    falls = {f.name: f for f in found.falls}
    return {
        "shock_pct": {name: change_text(change) for name, change in found.shock.items()},
        "vol_pct": change_text(found.vol),
        "moves_pct": {asset: change_text(change) for asset, change in found.changes.items()},
        "unmoved": list(found.unmoved),
        "parts_pct": list(PARTS_PCT),
        "accounts": [
            {
                "id": r.member.name,
                "model": r.member.model.name if r.member.model else "",
                "states": [s.value for s in r.states],
                "health_1e18": [None if f is None else str(f) for f in r.factors],
                "falls_at_pct": percent(falls[r.member.name].part),
                **({"why": r.member.why} if r.member.why else {}),
            }
            for r in found.rows
        ],
        "falls": [
            {"id": f.name, "at_pct": percent(f.part), "drags": list(f.drags)}
            for f in found.falls
            if f.part is not None
        ],
        "falls_with_transfers": [{"id": f.name, "at_pct": percent(f.part)} for f in found.with_transfers],
        "likeliest": None if found.likely is None else {n: _likely_json(p) for n, p in found.likely.items()},
        "would_be_liquidated": found.liquidated,
        "unknown": found.unknown,
    }


def _likely_json(point: LikelyPoint | None) -> dict[str, Any] | None:
    if point is None:
        return None
    return {
        "moves_pct": {name: f"{float(move - 1) * 100:+.2f}" for name, move in point.moves.items()},
        "sigmas": round(point.sigmas, 4),
        "at_the_end_bps": round(point.at_the_end * 10_000, 2),
        "within_bps": round(point.within * 10_000, 2),
    }
