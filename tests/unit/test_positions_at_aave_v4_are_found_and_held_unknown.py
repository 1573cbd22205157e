"""A position at a Spoke of Aave V4 is shown UNKNOWN and alerted, though no model of it is here; where there is none, nothing is said."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

import pytest
from answering_chain import Answer, AnsweringChain, place
from comet_node import holding
from looked_health import BASE_CHAIN, Captured, looked

from agent.app.settings_tree import Chain
from agent.app.watching.aave_v4 import spoke_loans, spokes_of
from agent.margin.model import State
from chains import profiles
from chains.evm import selector, word, words
from chains.types import Address, Call, CallResult

MAIN, OWN = Address("0x94e7A5dCbE816e498b89aB752661904E2F56c485"), place(0x4A)
WHO, NEVER = Address("0x" + "ab" * 20), 2**256 - 1
TELLS = "getUserAccountData(address)"
NOTHING = [0, 0, NEVER, 0, 0, 0, 0]
LOAN = [0, 8_300 * 10**14, 1_234_567 * 10**12, 3_000 * 10**26, 2_000 * 10**26, 1, 1]


class Spokes(AnsweringChain):
    """Spokes that answer; no contract stands anywhere else."""

    def _answer(self, call: Call) -> CallResult:
        there = any(to == call.to for to, _ in self.table)
        return super()._answer(call) if there else CallResult(True, b"")


async def told(answers: dict[Address, Answer]) -> list[tuple[str, str]]:
    chain = Chain.model_validate(
        {"name": "ethereum", "chain_id": 1, "rpc": ["http://127.0.0.1:1"], "aave_v4_spokes": [OWN, MAIN]}
    )
    spokes = Spokes()
    for to, answer in answers.items():
        spokes.table[to, TELLS] = answer
    found = await spoke_loans(chain, spokes, WHO)
    assert all(loan.judged.state is State.UNKNOWN and loan.judged.model == "aave_v4" for loan in found)
    assert len(spokes_of(chain)) == len(profiles.load(1).aave_v4_spokes) + 1, "each is asked once"
    return [(loan.judged.id, loan.judged.why) for loan in found]


@pytest.mark.parametrize("spoke", [MAIN, OWN], ids=["of the profile", "of the settings"])
async def test_a_loan_is_unknown_with_the_spokes_own_figure(spoke: Address) -> None:
    ((name, why),) = await told({spoke: lambda who: LOAN if who == int(WHO, 16) else NOTHING})
    assert name == f"aave_v4:eip155:1:{spoke}"
    assert why == "Aave V4, not modelled; the Spoke itself tells a health factor of 1.2345"


async def test_collateral_without_debt_is_a_position_and_nothing_is_none() -> None:
    ((_, why),) = await told({MAIN: lambda who: [0, 8_000, NEVER, 10**30, 0, 1, 0], OWN: lambda who: NOTHING})
    assert why == "Aave V4, not modelled; the Spoke itself tells collateral and no debt"
    assert await told({MAIN: lambda who: NOTHING}) == []
    assert await told({}) == []


@pytest.mark.parametrize("answer", [None, [1], LOAN[:6]], ids=["reverts", "one word", "six words"])
async def test_a_spoke_that_tells_no_figures_is_not_taken_for_an_empty_one(answer: list[int] | None) -> None:
    ((_, why),) = await told({MAIN: lambda who: answer})
    assert "does not tell whether the wallet has a position there" in why


@dataclass
class Stub:
    """A Spoke over a node's own answers."""

    figures: list[int]
    asked: list[int] = field(default_factory=list)

    def answer_to(self, call: Call) -> CallResult:
        if call.to != OWN or call.data[:4] != selector(TELLS):
            return CallResult(True, b"")
        self.asked += words(call.data[4:])
        return CallResult(True, b"".join(word(n) for n in self.figures))


def test_health_shows_it_and_alerts_it(tmp_path: Path, capfd: Captured) -> None:
    stub = Stub(LOAN)
    seen = looked(tmp_path, capfd, {BASE_CHAIN: [holding(stub, BASE_CHAIN)]}, aave_v4_spokes=[OWN])
    assert seen.status == 0 and len(set(stub.asked)) == 1
    (account,) = seen.accounts.values()
    assert account["state"] == "UNKNOWN" and "Aave V4, not modelled" in account["why"]
    ((code, text),) = [(a["code"], a["message"]) for a in seen.alerts]
    assert code == "HEALTH_UNKNOWN" and "Aave V4, not modelled" in text
    assert "1 of 1 account could not be judged" in seen.said
