"""What the execution layer builds from a plan's legs is what the signer's policy allows; one wrong leg and it is not."""

from __future__ import annotations

import dataclasses

import custody as c
import pytest
from planned_legs import BUY, E18, HERE, POOLS, ROUTERS, SELL

from agent.domain.ids import ClOrdId
from agent.domain.orders import Part
from agent.domain.routes import Leg
from agent.execution.batch import build, floors
from chains.types import Address, Environment
from contracts import multisend
from keys.policy import Allowed, Refusal, SafeTxRequest, judge_safe_tx
from keys.safe import DELEGATECALL, SafeTx


def judged(
    legs: list[Leg], wallet: str = c.SAFE, deadline: int = c.DEADLINE, starve: bool = False
) -> Allowed | Refusal:
    start, end = legs[0].asset_in, legs[-1].asset_out
    spent = sum(x.in_raw for x in legs if x.asset_in == start)
    got = sum(x.out_raw for x in legs if x.asset_out == end)
    part = Part(ClOrdId("p"), ClOrdId("c"), HERE, 0, start, end, spent, got, 1, tuple(range(len(legs))))
    minimum = floors(part, legs, got, 50)
    if starve:
        minimum = dict.fromkeys(minimum, 0)
    calls = build(part, legs, POOLS, ROUTERS, Address(wallet), deadline, minimum, {"v4"})
    packed = multisend.calldata(multisend.Part(x.to, x.value, x.data) for x in calls)
    tx = SafeTx(Address(c.MULTISEND), 0, packed, DELEGATECALL, 0)
    request = SafeTxRequest(Environment.DEVNET, 1, Address(c.SAFE), tx, c.NOW, c.NOW)
    return judge_safe_tx(request, c.settings(), c.EmptyLedger())


@pytest.mark.parametrize("name", [*SELL, *BUY])
def test_planned_batches_are_allowed(name: str) -> None:
    legs = (SELL | BUY)[name]
    verdict = judged(legs)
    assert isinstance(verdict, Allowed), verdict
    spent = sum(x.in_raw for x in legs if x.asset_in == legs[0].asset_in)
    assert dict(verdict.spend) == {c.WETH if name in SELL else c.USDC: spent}


@pytest.mark.parametrize("name", [*SELL, *BUY])
def test_without_floors_they_are_refused(name: str) -> None:
    verdict = judged((SELL | BUY)[name], starve=True)
    assert isinstance(verdict, Refusal) and verdict.rule == "minimum-out"


def test_a_batch_built_for_another_wallet_is_refused() -> None:
    verdict = judged(SELL["Balancer beside V3"], wallet=c.THIEF)
    assert isinstance(verdict, Refusal) and verdict.rule in ("payer", "recipient")


def test_a_batch_that_lives_too_long_is_refused() -> None:
    verdict = judged(SELL["V2 and V3"], deadline=c.NOW + 10_000)
    assert isinstance(verdict, Refusal) and verdict.rule == "deadline-too-far"


def test_too_much_is_refused() -> None:
    legs = [dataclasses.replace(x, in_raw=40 * E18) for x in SELL["V2 and V3"]]
    verdict = judged(legs)
    assert isinstance(verdict, Refusal) and verdict.rule in ("approval-size", "cap-per-tx")
