"""`fairlead chaos exchange`: orders through a switchboard of faults, by desks that die; a referee process opens the exchanges' own books.

Numbers 1 to 3, 5, 6, 8 and 9 of the failures this must survive, in whatever order they come. Controls show that it finds what is wrong.
"""

from __future__ import annotations

import json

import pytest

from agent.app.chaos.deaths import MOMENTS
from agent.app.chaos.exchange.cases import fate_of
from agent.app.chaos.exchange.dialects import DIALECTS, chosen
from agent.app.chaos.exchange.fates import DEPTH, LEAST, READS, USER, WRITES, by_fix, draw
from agent.app.cli import run
from agent.app.cli.chaos import VIOLATED
from agent.app.testvenue.faults import FIX_KINDS, Faults

ORDINARY = 24
"""In the ordinary tests: as many as fit into some ten seconds of a core that is shared."""
EVERY_SEED = 36_065
"""Its first cases are drawn for other sessions than those of Binance's spot market by REST, four of them by FIX and two each for Kraken,
Coinbase and dYdX."""
NOUGHT = ("duplicates", "lost_orders", "lost_fills", "balance_errors")


def chaos(capsys: pytest.CaptureFixture[str], *words: str) -> tuple[int, dict[str, object]]:
    status = run(["chaos", "exchange", *words, "--json"])
    found: dict[str, object] = json.loads(capsys.readouterr().out)
    return status, found


def check(status: int, report: dict[str, object], seed: int, count: int) -> dict[str, int]:
    assert report["violations"] == [] and status == 0
    assert (report["kind"], report["seed"], report["count"]) == ("exchange", seed, count)
    counters = report["counters"]
    assert isinstance(counters, dict) and counters["cases"] == count
    assert {name: counters[name] for name in NOUGHT} == dict.fromkeys(NOUGHT, 0)
    assert counters["orders"] >= count // 2 and counters["fills"] >= count // 3
    return counters


def test_some_orders(capsys: pytest.CaptureFixture[str]) -> None:
    status, report = chaos(capsys, "--seed", "1", "--count", str(ORDINARY))
    counters = check(status, report, 1, ORDINARY)
    assert counters["faults"] >= 10 and counters["deaths"] >= 1


def test_some_orders_by_fix_and_at_every_other_kind_of_exchange(capsys: pytest.CaptureFixture[str]) -> None:
    """By a seed that draws them; the referee compares positions and margin as well."""
    drawn = [chosen("every", EVERY_SEED, case) for case in range(14)]
    assert set(drawn) == set(DIALECTS) - {"binance_spot", "ccxt"}
    assert [drawn.count(one) for one in ("fix", "kraken", "coinbase", "dydx")] == [4, 2, 2, 2]
    status, report = chaos(capsys, "--seed", str(EVERY_SEED), "--count", "14", "--venue", "every")
    counters = report["counters"]
    assert report["violations"] == [] and status == 0 and isinstance(counters, dict)
    assert counters["cases"] == 14 and counters["fills"] >= 3


def test_the_seed_draws_every_kind_of_exchange_and_contracts_are_sold_short_and_reduced() -> None:
    kinds = [chosen("every", 3, case) for case in range(200)]
    assert set(kinds) == set(DIALECTS) and kinds == [chosen("every", 3, case) for case in range(200)]
    assert {chosen("fix", 3, case) for case in range(50)} == {"fix"}
    for name in ("binance_usdm", "deribit", "dydx"):
        fates = [fate_of(name, 3, case) for case in range(200)]
        assert {(fate.buys, fate.reduces) for fate in fates} == {
            (a, b) for a in (True, False) for b in (True, False)
        }
        assert min(fate.qty for fate in fates) >= LEAST
        assert not any(fate_of("binance_spot", 3, case).reduces for case in range(200))


@pytest.mark.full
@pytest.mark.parametrize("venue", ["binance_usdm", "deribit", "dydx"])
def test_a_desk_of_contracts_that_sends_again_is_found_out(
    capsys: pytest.CaptureFixture[str], venue: str
) -> None:
    status, report = chaos(capsys, "--seed", "1", "--count", "40", "--mistake", "resends", "--venue", venue)
    violations = report["violations"]
    assert status == VIOLATED and isinstance(violations, list)
    assert {found["rule"] for found in violations} >= {"unknown-order", "other-balance"}


@pytest.mark.full
def test_five_hundred_orders_by_fix(capsys: pytest.CaptureFixture[str]) -> None:
    status, report = chaos(capsys, "--seed", "7", "--count", "500", "--by", "fix")
    assert report["violations"] == [] and status == 0
    counters = report["counters"]
    assert isinstance(counters, dict) and {name: counters[name] for name in NOUGHT} == dict.fromkeys(
        NOUGHT, 0
    )
    assert counters["orders"] >= 250 and counters["fills"] >= 150 and counters["faults"] >= 500


def test_every_trouble_has_its_like_by_fix() -> None:
    faults = [fault for case in range(600) for fault in draw(3, case).faults]
    switchboard = Faults()
    befallen = {(one.on, one.kind) for one in (switchboard.add(by_fix(dict(fault))) for fault in faults)}
    assert {on for on, _ in befallen} >= {"fix", "fix.order", "fix.cancel", "fix.logon", "depth"}
    assert not {on for on, _ in befallen} & {"user", "order.place", "order.cancel"}
    assert {kind for on, kind in befallen if on == "fix"} == set(FIX_KINDS)


@pytest.mark.full
def test_a_desk_that_sends_again_by_fix_is_found_out(capsys: pytest.CaptureFixture[str]) -> None:
    case = _befallen(1, ("error_after",))
    status, report = chaos(capsys, "--seed", "1", "--case", str(case), "--mistake", "resends", "--by", "fix")
    assert status == VIOLATED and report["violations"]


@pytest.mark.full
def test_a_desk_of_the_family_that_sends_again_is_found_out(capsys: pytest.CaptureFixture[str]) -> None:
    case = _befallen(1, ("error_after",))
    status, report = chaos(capsys, "--seed", "1", "--case", str(case), "--mistake", "resends", "--by", "ccxt")
    violations = report["violations"]
    assert status == VIOLATED and isinstance(violations, list)
    assert "unknown-order" in {found["rule"] for found in violations}


@pytest.mark.full
def test_five_hundred_orders_by_the_ccxt_family(capsys: pytest.CaptureFixture[str]) -> None:
    status, report = chaos(capsys, "--seed", "7", "--count", "500", "--by", "ccxt")
    assert report["violations"] == [] and status == 0
    counters = report["counters"]
    assert isinstance(counters, dict) and {name: counters[name] for name in NOUGHT} == dict.fromkeys(
        NOUGHT, 0
    )
    # its books and reports are asked for over REST by a clock twelve times as quick: fewer orders find a fresh price
    assert counters["cases"] == 500 and counters["orders"] >= 50 and counters["fills"] >= 25


def _befallen(seed: int, kinds: tuple[str, ...]) -> int:
    """A case whose first order is accepted and its answer lost, with no other trouble."""
    return next(
        number
        for number in range(5_000)
        if (fate := draw(seed, number)).faults
        and not fate.deaths
        and not fate.rests
        and all(f["on"] == "order.place" and f["kind"] in kinds and f["count"] == 1 for f in fate.faults)
    )


def test_a_desk_that_sends_again_what_was_not_answered_is_found_out(
    capsys: pytest.CaptureFixture[str],
) -> None:
    case = _befallen(1, ("error_after",))
    status, report = chaos(capsys, "--seed", "1", "--case", str(case), "--mistake", "resends")
    violations = report["violations"]
    assert status == VIOLATED and isinstance(violations, list)
    assert "unknown-order" in {found["rule"] for found in violations}
    assert {found["case"] for found in violations} == {case}


@pytest.mark.full
@pytest.mark.parametrize(
    "venue", ["binance_spot", "binance_usdm", "deribit", "hyperliquid", "kraken", "coinbase", "dydx"]
)
def test_a_desk_killed_for_good_is_taken_up_by_another(
    capsys: pytest.CaptureFixture[str], venue: str
) -> None:
    real = [n for n in range(1_000) if any(d.real and d.at < 6 for d in draw(1, n).deaths)][:6]
    killed = 0
    for case in real:
        status, report = chaos(capsys, "--seed", "1", "--case", str(case), "--venue", venue)
        counters = report["counters"]
        assert report["violations"] == [] and status == 0 and isinstance(counters, dict)
        killed += counters["sigkills"]
    assert killed >= 3


@pytest.mark.full
def test_a_journal_that_forgets_fills_is_found_out(capsys: pytest.CaptureFixture[str]) -> None:
    status, report = chaos(capsys, "--seed", "1", "--count", "20", "--mistake", "forgets")
    violations = report["violations"]
    assert status == VIOLATED and isinstance(violations, list)
    assert "lost-fill" in {found["rule"] for found in violations}


def test_a_mistake_that_is_none_is_named(capsys: pytest.CaptureFixture[str]) -> None:
    status, report = chaos(capsys, "--mistake", "prays")
    error = report["error"]
    assert status == 2 and isinstance(error, dict) and "resends" in error["hint"]
    status, report = chaos(capsys, "--case", "1", "--count", "2")
    assert status == 2


def test_a_fate_is_drawn_from_seed_and_number_alone_and_all_kinds_are_drawn() -> None:
    fates = [draw(3, number) for number in range(3_000)]
    assert fates[:50] == [draw(3, number) for number in range(50)] and draw(4, 0) != draw(3, 0)
    faults = [(f["on"], f["kind"]) for fate in fates for f in fate.faults]
    for on, kinds in (("order.place", WRITES), ("order.query", READS), ("user", USER), ("depth", DEPTH)):
        assert {kind for where, kind in faults if where == on} == set(kinds)
    assert {death.moment for fate in fates for death in fate.deaths} == set(MOMENTS)
    assert any(death.real for fate in fates for death in fate.deaths)


@pytest.mark.full
@pytest.mark.parametrize(
    ("seed", "venue"),
    [
        (100, "binance_spot"),
        (101, "kraken"),
        (102, "coinbase"),
        (103, "hyperliquid"),
        (104, "binance_usdm"),
        *((seed, "dydx") for seed in range(105, 107)),
        (107, "deribit"),
        *((seed, "every") for seed in range(108, 110)),
    ],
)
def test_five_thousand_orders(capsys: pytest.CaptureFixture[str], seed: int, venue: str) -> None:
    status, report = chaos(capsys, "--seed", str(seed), "--count", "500", "--venue", venue)
    counters = check(status, report, seed, 500)
    assert counters["deaths"] >= 50
