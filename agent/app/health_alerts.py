"""Alerts of accounts that are not SAFE: once for each piece of news, again when it worsens or stays, and once when it is over.

UNKNOWN is news like any other: what cannot be computed is not safe. What was told stands in a small file beside the journal, so that a
command run by cron every minute alerts once; every alert carries the journal's head.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from agent.app.alarm import raise_alarm
from agent.app.cli.output import note
from agent.app.settings_tree import Settings
from agent.app.watching.aave import ChainHealth, name_of
from agent.app.watching.loans import Loan
from agent.margin.fixes import Fix
from agent.margin.model import Health, State
from chains.bounded_json import loads

AGAIN_S = 6 * 3600
RANK = {State.SAFE: 0, State.AT_RISK: 1, State.UNKNOWN: 2, State.LIQUIDATABLE: 3}


@dataclass(frozen=True, slots=True)
class News:
    """One account's state as it is to be told."""

    account: str
    state: State
    words: str

    @property
    def code(self) -> str:
        return f"HEALTH_{self.state.value}"


def tell(settings: Settings, found: Sequence[ChainHealth], loans: Sequence[Loan], now_s: int) -> list[News]:
    """Alerts what is due, and gives it back. What was told is written down first: an alert that fails is said, not repeated."""
    path = settings.journal.path.parent / "health-alerts.json"
    news = [
        _news(name_of(one), one.state, one.health, one.trouble, one.fix, one.symbols)
        for one in found
        if not one.empty
    ]
    judged = [loan.judged for loan in loans]
    news += [_news(j.id, j.state, j.health, j.why, j.fix, j.symbols) for j in judged]
    told = _read(path)
    due, kept = sift(news, told, now_s)
    _write(path, kept)
    for one in due:
        raise_alarm(settings, one.code, f"{one.account}: {one.words}")
    return due


def sift(
    news: Sequence[News], told: dict[str, dict[str, Any]], now_s: int
) -> tuple[list[News], dict[str, dict[str, Any]]]:
    """What is due now, and what then has been told, by account: {"state", "at_s"}. An account that is gone is forgotten."""
    due: list[News] = []
    kept: dict[str, dict[str, Any]] = {}
    for one in news:
        before = told.get(one.account)
        was = State(before["state"]) if before else State.SAFE
        last = int(before["at_s"]) if before else 0
        worse = RANK[one.state] > RANK[was]
        over = one.state is State.SAFE and was is not State.SAFE
        # A clock that went back is no reason for silence.
        stays = one.state is not State.SAFE and not 0 <= now_s - last < AGAIN_S
        if worse or over or stays:
            due.append(one)
            last = now_s
        if one.state is not State.SAFE:
            # Within the hours of an alert the worst that was told stands: going to and fro at an edge is one piece of news.
            stood = one.state if worse or stays else was
            kept[one.account] = {"state": stood.value, "at_s": last}
    return due, kept


def _news(
    name: str, state: State, health: Health | None, why: str, fix: Fix | None, symbols: Mapping[str, str]
) -> News:
    if state is State.UNKNOWN or health is None:
        return News(name, State.UNKNOWN, f"its health cannot be told, and is not taken for safe: {why}")
    factor = health.health_1e18
    shown = "no debt" if factor is None else f"health {factor // 10**18}.{factor % 10**18 // 10**14:04d}"
    words = {
        State.SAFE: f"safe again, {shown}",
        State.AT_RISK: f"at risk, {shown}",
        State.LIQUIDATABLE: f"may be liquidated now, {shown}",
    }[state]
    if fix is not None:
        does = "lifts it, though its collateral goes on being sold" if fix.eases_only else "makes it safe"
        words += (
            f"; {fix.do.replace('_', ' ')} {fix.raw} base units of {symbols.get(fix.asset, fix.asset)} {does}"
        )
    return News(name, state, words)


def _read(path: Path) -> dict[str, dict[str, Any]]:
    """What was told; whatever cannot be read counts as nothing told, which repeats an alert and loses none."""
    try:
        document = loads(path.read_bytes())
        return {
            str(k): {"state": State(v["state"]).value, "at_s": int(v["at_s"])} for k, v in document.items()
        }
    except FileNotFoundError:
        return {}
    except (OSError, ValueError, TypeError, KeyError, AttributeError):
        note(f"alerts: {path} cannot be read; what it said is told again")
        return {}


def _write(path: Path, told: dict[str, dict[str, Any]]) -> None:
    part = path.with_suffix(".part")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        part.write_text(json.dumps(told, indent=1))
        os.replace(part, path)
    except OSError as problem:
        note(f"alerts: {path} cannot be written ({problem.strerror}); the same may be told again")
