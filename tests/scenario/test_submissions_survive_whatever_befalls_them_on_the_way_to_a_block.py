"""`fairlead chaos submission`: private orders through builders that compete, fail and forget, by desks that die; a referee process
judges by the chain and the builders' own records. Controls show that it finds what is wrong."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from agent.app.chaos.deaths import MOMENTS
from agent.app.chaos.submission.fates import KINDS, draw
from agent.app.cli import run
from agent.app.cli.chaos import VIOLATED
from chains.devnet import state

pytestmark = pytest.mark.devnet

ORDINARY = 300
"""In the ordinary tests: as many as fit into some thirty seconds of two cores."""
NOUGHT = ("public_leaks", "double_executions", "paid_reverts", "stalls_over_2_blocks", "journals_wrong")


@pytest.fixture(scope="module", autouse=True)
def built() -> None:
    state.ensure((1, 8453))


def chaos(capsys: pytest.CaptureFixture[str], *words: str) -> tuple[int, dict[str, object]]:
    status = run(["chaos", "submission", *words, "--json"])
    found: dict[str, object] = json.loads(capsys.readouterr().out)
    return status, found


def check(status: int, report: dict[str, object], seed: int, count: int) -> None:
    assert report["violations"] == [] and status == 0
    assert (report["kind"], report["seed"], report["count"]) == ("submission", seed, count)
    counters = report["counters"]
    assert isinstance(counters, dict) and counters["submissions"] == count
    assert {name: counters[name] for name in NOUGHT} == dict.fromkeys(NOUGHT, 0)
    assert counters["executed"] >= count * 0.8


def test_three_hundred_submissions(capsys: pytest.CaptureFixture[str]) -> None:
    status, report = chaos(capsys, "--seed", "1", "--count", str(ORDINARY))
    check(status, report, 1, ORDINARY)
    counters = report["counters"]
    assert isinstance(counters, dict) and counters["deaths"] >= 8 and counters["reorgs"] >= 1


def test_two_dozen_behind_a_rollups_sequencer(capsys: pytest.CaptureFixture[str]) -> None:
    """It drops, answers nothing after accepting, goes back in time, and another program has the key."""
    status, report = chaos(capsys, "--chain", "base", "--seed", "69", "--count", "24")
    check(status, report, 69, 24)
    counters = report["counters"]
    assert isinstance(counters, dict) and counters["foreign_uses"] >= 1 and counters["deaths"] >= 3


def test_a_desk_killed_for_good_is_taken_up_by_another(capsys: pytest.CaptureFixture[str]) -> None:
    real = next(n for n in range(1000) if any(d.real and 6 < d.at < 12 for d in draw(4, n).deaths))
    status, report = chaos(capsys, "--seed", "4", "--case", str(real))
    assert report["violations"] == [] and status == 0
    counters = report["counters"]
    assert isinstance(counters, dict) and counters["sigkills"] == 1 and counters["executed"] <= 1


CONTROLS = {
    "public": {"public-leak"},
    "estimate": {"public-leak"},
    "twice": {"double-execution"},
    "forgets": {"journal-differs"},
    "silent": {"nonce-stall"},
    "reverts": {"paid-revert"},
}


@pytest.mark.parametrize("mistake", CONTROLS)
def test_what_desks_do_wrong_is_found(capsys: pytest.CaptureFixture[str], mistake: str) -> None:
    status, report = chaos(capsys, "--seed", "3", "--count", "6", "--mistake", mistake)
    violations = report["violations"]
    assert isinstance(violations, list) and status == VIOLATED
    assert CONTROLS[mistake] <= {found["rule"] for found in violations}, violations


def test_what_a_leaky_builder_executes_in_our_stead_is_booked_and_not_done_again(
    capsys: pytest.CaptureFixture[str],
) -> None:
    """`leaky`: the strongest builder sends the Safe's inner signatures again from an account of its own, in public."""
    _, report = chaos(capsys, "--seed", "3", "--count", "12", "--mistake", "leaky")
    violations = report["violations"]
    assert isinstance(violations, list)
    assert violations == []
    counters = report["counters"]
    assert isinstance(counters, dict)
    assert counters["by_another"] >= 1, "nobody else executed any of it: the case shows nothing"


def test_an_unknown_control_is_named(capsys: pytest.CaptureFixture[str]) -> None:
    status, report = chaos(capsys, "--count", "1", "--mistake", "nonsense")
    error = report["error"]
    assert isinstance(error, dict) and error["code"] == "MISTAKE_UNKNOWN" and status == 2


def test_fates_are_the_seeds_and_cover_what_can_befall() -> None:
    fates = [draw(5, case) for case in range(600)]
    assert fates == [draw(5, case) for case in range(600)]
    assert len({fate.qty_raw for fate in fates}) == len(fates), "the referee tells orders apart by them"
    assert {f["kind"] for fate in fates for f in fate.faults} == set(KINDS)
    assert {d.moment for fate in fates for d in fate.deaths} == set(MOMENTS)
    assert any(d.real for fate in fates for d in fate.deaths) and any(fate.cancelled for fate in fates)
    assert any(fate.foreign_s is not None for fate in fates)
    behind = [draw(5, case, rollup=True) for case in range(600)]
    assert {f["kind"] for fate in behind for f in fate.faults} == set(KINDS)
    assert {fate.builders for fate in behind} == {("sequencer",)} and {
        f["road"] for fate in behind for f in fate.faults
    } == {"sequencer"}


REGRESSIONS = [
    tuple(line.split()[:3])
    for line in Path(__file__).with_name("submission_regressions.txt").read_text().splitlines()
    if line and not line.startswith("#")
]


@pytest.mark.full
@pytest.mark.parametrize(("chain", "seed", "case"), REGRESSIONS)
def test_what_once_went_wrong(capsys: pytest.CaptureFixture[str], chain: str, seed: str, case: str) -> None:
    status, report = chaos(capsys, "--chain", chain, "--seed", seed, "--case", case)
    assert report["violations"] == [] and status == 0


@pytest.mark.full
@pytest.mark.timeout(7200)
@pytest.mark.parametrize("seed", range(11, 16))
def test_ten_thousand(capsys: pytest.CaptureFixture[str], seed: int) -> None:
    status, report = chaos(capsys, "--seed", str(seed), "--count", "2000")
    check(status, report, seed, 2000)


@pytest.mark.full
@pytest.mark.timeout(7200)
@pytest.mark.parametrize("seed", range(21, 24))
def test_three_thousand_behind_a_rollups_sequencer(capsys: pytest.CaptureFixture[str], seed: int) -> None:
    status, report = chaos(capsys, "--chain", "base", "--seed", str(seed), "--count", "1000")
    check(status, report, seed, 1000)


@pytest.mark.full
@pytest.mark.parametrize("mistake", ["public", "estimate", "twice", "forgets", "silent"])
def test_what_desks_do_wrong_at_a_rollup_is_found(capsys: pytest.CaptureFixture[str], mistake: str) -> None:
    words = ("--chain", "base", "--seed", "3", "--count", "6", "--mistake", mistake)
    status, report = chaos(capsys, *words)
    violations = report["violations"]
    assert isinstance(violations, list) and status == VIOLATED
    assert CONTROLS[mistake] <= {found["rule"] for found in violations}, violations
