"""Fires of jobs: intervals, cron across changes of the clocks, and what a job owes after a pause."""

from __future__ import annotations

from datetime import datetime
from zoneinfo import ZoneInfo

import pytest
from settings_values import parsed_with_jobs

from agent.app.job_rules import SECOND, Rule, rule_of
from agent.app.scheduler import due
from agent.app.settings_tree import Job
from agent.domain.errors import Usage
from agent.domain.events import Scheduled

BASE = {"name": "j", "side": "sell", "qty": "1", "base": "ETH", "quote": "USDC"}


def job(**timing: str) -> Job:
    return Job.model_validate({**BASE, **timing})


def at(text: str, zone: str = "UTC") -> int:
    return int(datetime.fromisoformat(text).replace(tzinfo=ZoneInfo(zone)).timestamp()) * SECOND


def walk(rule: Rule, first: int, last: int) -> list[int]:
    found, here = [], rule.next_after(first)
    while here <= last:
        found.append(here)
        here = rule.next_after(here)
    return found


def test_an_interval_counts_from_the_epoch() -> None:
    rule = rule_of(job(every="10m"))
    assert rule.next_after(at("2026-03-01T10:03:00")) == at("2026-03-01T10:10:00")
    assert rule.next_after(at("2026-03-01T10:10:00")) == at("2026-03-01T10:20:00")
    assert rule.last_before(at("2026-03-01T10:10:00")) == at("2026-03-01T10:10:00")
    assert rule.between(at("2026-03-01T10:05:00"), at("2026-03-01T10:30:00")) == [
        at(f"2026-03-01T10:{m}:00") for m in (10, 20, 30)
    ]


def test_a_wall_time_that_comes_twice_fires_once_and_one_that_is_missing_is_not_lost() -> None:
    """New York: on 1 November 2026 01:30 comes twice; on 8 March 2026 02:30 does not exist."""
    once = rule_of(job(cron="30 1 * * *", timezone="America/New_York"))
    autumn = walk(once, at("2026-10-31T12:00:00"), at("2026-11-03T12:00:00"))
    assert [datetime.fromtimestamp(f // SECOND, ZoneInfo("America/New_York")).day for f in autumn] == [
        1,
        2,
        3,
    ]
    missing = rule_of(job(cron="30 2 * * *", timezone="America/New_York"))
    spring = walk(missing, at("2026-03-07T12:00:00"), at("2026-03-10T12:00:00"))
    assert [datetime.fromtimestamp(f // SECOND, ZoneInfo("America/New_York")).day for f in spring] == [
        8,
        9,
        10,
    ]


@pytest.mark.parametrize("cron", ["30 9 * * 1-5", "*/15 * * * *", "0 0 1 * *"])
def test_backwards_finds_what_forwards_found(cron: str) -> None:
    rule = rule_of(job(cron=cron))
    first, last = at("2026-05-01T00:00:01"), at("2026-06-02T00:00:00")
    assert rule.between(first, last, most=5_000) == walk(rule, first, last)
    fire = rule.next_after(first)
    assert rule.last_before(fire) == fire and rule.last_before(fire - 1) < fire


@pytest.mark.parametrize(
    ("timing", "code"),
    [
        ({"every": "10"}, "BAD_DURATION"),
        ({"every": "0s"}, "BAD_DURATION"),
        ({"cron": "61 * * * *"}, "BAD_CRON"),
        ({"cron": "* * * *"}, "BAD_CRON"),
        ({"cron": "0 0 30 2 *"}, "BAD_CRON"),
        ({"cron": "0 0 * * *", "timezone": "Mars/Base"}, "BAD_ZONE"),
    ],
)
def test_a_timing_that_means_nothing_is_refused(timing: dict[str, str], code: str) -> None:
    with pytest.raises(Usage) as refused:
        rule_of(job(**timing))
    assert refused.value.code == code


def test_what_a_job_owes() -> None:
    rule = rule_of(job(every="10s"))
    planned = Scheduled("j", rule.text, 100 * SECOND, 95 * SECOND)
    assert due(rule, None, None, 95 * SECOND).fires == ()
    assert due(rule, planned, None, 99 * SECOND).fires == ()
    assert due(rule, planned, None, 100 * SECOND).fires == (100 * SECOND,)
    late = due(rule, planned, None, 135 * SECOND)
    assert late.skipped == (100 * SECOND, 110 * SECOND, 120 * SECOND)
    assert late.fires == (130 * SECOND,) and late.next_ns == 140 * SECOND
    assert due(rule, planned, 100 * SECOND, 105 * SECOND).fires == ()
    assert due(rule, planned, 130 * SECOND, 135 * SECOND).fires == ()
    other = rule_of(job(every="20s"))
    assert due(other, planned, None, 135 * SECOND).fires == (), "a changed rule has no past"


def test_jobs_in_the_settings_are_checked() -> None:
    good = parsed_with_jobs({**BASE, "base": "WETH", "every": "4h"})
    assert good.jobs[0].qty == 1 and good.jobs[0].enabled
    for wrong, says in (
        ({"every": "4h", "cron": "* * * * *"}, "either `every` or `cron`"),
        ({}, "either `every` or `cron`"),
        ({"every": "4h", "base": "WETHH"}, "did you mean 'WETH'"),
        ({"cron": "every day"}, "five fields"),
        ({"every": "4h", "name": "Daily"}, "is no name"),
    ):
        with pytest.raises(Usage, match=says):
            parsed_with_jobs({**BASE, "base": "WETH", **wrong})
