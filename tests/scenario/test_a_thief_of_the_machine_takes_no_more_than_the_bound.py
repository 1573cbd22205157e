"""`fairlead chaos custody`: attacks on the wallet, made for real and judged by another process; and controls that it can find one."""

from __future__ import annotations

import json
from decimal import Decimal

import pytest

from agent.app.chaos.custody.catalogue import every
from agent.app.chaos.custody.moves import Move
from agent.app.chaos.custody.run import order
from agent.app.chaos.custody.wallet import EXCHANGE_LIMIT
from agent.app.cli import run
from agent.app.cli.chaos import VIOLATED
from chains.devnet.jsonrpc import Rpc
from chains.devnet.nodes import MARKER, set_marker
from chains.devnet.service import Status
from chains.types import Environment

pytestmark = pytest.mark.devnet


def chaos(
    devnet: Status, capsys: pytest.CaptureFixture[str], *words: str
) -> tuple[int, dict[str, object], str]:
    rpcs = [f"--rpc={chain}={devnet.cheat_urls[chain]}" for chain in (1, 8453)]
    status = run(["chaos", "custody", *rpcs, *words, "--json"])
    told = capsys.readouterr()
    return status, json.loads(told.out), told.err


def number_of(seed: int, wanted: str) -> int:
    found: list[Move] = order(seed, every())
    return next(n for n, move in enumerate(found) if move.name == wanted)


def check(status: int, report: dict[str, object], seed: int, count: int) -> None:
    assert report["violations"] == [] and status == 0
    assert (report["kind"], report["seed"], report["count"]) == ("custody", seed, count)
    counters = report["counters"]
    assert isinstance(counters, dict) and counters["attacks"] == count
    bounded = sum(not move.repelled for move in order(seed, every())[:count])
    assert counters["repelled"] == count - bounded
    # The optimising attacker is case 0 of every seed: the bound is nearly reached, and not passed.
    taken, most = Decimal(counters["extracted_usd"]), Decimal(counters["bound_usd"])
    assert Decimal("0.95") * most < taken <= most
    there, there_most = Decimal(counters["exchange_extracted_usd"]), Decimal(counters["exchange_bound_usd"])
    assert there <= there_most
    if count == len(every()):
        # All that a day lets through, carried out once and no more often: the signer sends the orders itself.
        assert (
            Decimal("0.6") * Decimal(EXCHANGE_LIMIT["per_day"]) < there <= Decimal(EXCHANGE_LIMIT["per_day"])
        )


def test_sixty_attacks(devnet: Status, capsys: pytest.CaptureFixture[str]) -> None:
    status, report, said = chaos(devnet, capsys, "--seed", "7", "--count", "60")
    check(status, report, 7, 60)
    assert " short" in said, "the gap to the bound is printed"


@pytest.mark.full
@pytest.mark.parametrize("seed", [1, 2])
def test_all_of_them(devnet: Status, capsys: pytest.CaptureFixture[str], seed: int) -> None:
    status, report, _ = chaos(devnet, capsys, "--seed", str(seed), "--count", str(len(every())))
    check(status, report, seed, len(every()))


CONTROLS = {
    "allowance": ("WETH.transferFrom the Safe", {"recipient", "moved", "bound"}),
    "module": ("Safe.execTransactionFromModule", {"succeeded", "executed"}),
    "slack": ("his own pool, feeds at their edge, the second source held", {"bound"}),
    "signer": ("token away, dated", {"signed", "recipient", "moved"}),
    "signatures": ("has one order carried out as often as the exchange takes it", {"bound"}),
    "exchange": ("buys his coins at the top of the band to the end of the day", {"bound"}),
}


@pytest.mark.parametrize("mistake", CONTROLS)
def test_what_owners_did_wrong_is_found_and_the_case_stands_alone(
    devnet: Status, capsys: pytest.CaptureFixture[str], mistake: str
) -> None:
    name, rules = CONTROLS[mistake]
    case = number_of(3, name)
    words = ("--seed", "3", "--case", str(case))
    status, report, _ = chaos(devnet, capsys, *words, "--mistake", mistake)
    assert "error" not in report, report
    violations = report["violations"]
    assert isinstance(violations, list) and status == VIOLATED
    assert rules <= {found["rule"] for found in violations}, violations
    assert all(found["case"] == case and name in found["story"] for found in violations)
    status, report, _ = chaos(devnet, capsys, *words)
    assert (status, report["violations"]) == (0, [])


def test_nothing_but_a_devnet_is_attacked(devnet: Status, capsys: pytest.CaptureFixture[str]) -> None:
    with Rpc(devnet.cheat_urls[8453]) as rpc:
        for other in ("live", "fork"):
            rpc("anvil_setCode", MARKER, "0x")
            if other == "fork":
                set_marker(rpc, Environment.FORK)
            before = rpc("eth_blockNumber")
            status, report, _ = chaos(devnet, capsys, "--count", "1")
            error = report["error"]
            assert isinstance(error, dict) and error["code"] == "NOT_A_DEVNET" and status == 3, other
            assert rpc("eth_blockNumber") == before
