"""The agent's own trades in the signer's ledger: each counted once, replaced without counting again, remembered across restarts."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import custody as c
import pytest

from chains.types import Address, Environment, Fees, UnsignedTx
from contracts import universal_router as ur
from contracts.codec import encode
from keys.policy import DAY_S, OuterRequest, Refusal, SafeTxRequest, judge_outer, judge_safe_tx
from keys.scope import ROLE
from keys.signer.ledger import SpendLedger, safe_tx_facts

ROLES = Address("0x1111111111111111111111111111111111111111")
GATE = Address("0x2222222222222222222222222222222222222222")
AGENT = Address(c.AGENT.address)
ROAD = {"account": AGENT, "roles": ROLES, "gate": GATE, "role": "0x" + ROLE.hex()}


class Signer:
    """The handlers' own order: judge, record, sign."""

    def __init__(self, path: Path) -> None:
        self.path, self.ledger, self.wall, self.count = path, SpendLedger(path), c.NOW, 0

    def restart(self) -> None:
        self.ledger.close()
        self.ledger = SpendLedger(self.path)

    def _record(self, kind: str, facts: dict[str, Any]) -> None:
        self.count += 1
        self.ledger.record(kind, f"r{self.count}", f"d{self.count}", self.wall, facts)

    def trade(self, eth: int, nonce: int, fee: int = 30 * 10**9, minimum: int = 1) -> str:
        amount, deadline = eth * c.ETH, self.wall + 300
        data = ur.execute([c.v3_command(amount, minimum, user_pays=False)], deadline)
        trade = {
            "tokenIn": c.WETH, "tokenOut": c.USDC, "amountIn": amount, "minimumOut": minimum, "deadline": deadline,
            "router": c.ROUTER, "data": data,
        }  # fmt: skip
        inner = encode("gate", "trade", (trade,))
        call = encode("zodiac_roles", "execTransactionWithRole", (GATE, 0, inner, 0, ROLE, True))
        return self.send(UnsignedTx(1, nonce, ROLES, 0, call, 900_000, Fees(fee, 10**9)))

    def send(self, tx: UnsignedTx) -> str:
        request = OuterRequest(Environment.LIVE, AGENT, tx, 0, self.wall, self.wall)
        verdict = judge_outer(request, c.settings(Environment.LIVE, agent=ROAD), self.ledger)
        if isinstance(verdict, Refusal):
            return verdict.rule
        facts = safe_tx_facts(1, c.SAFE, 0, verdict)
        facts |= {"sender": AGENT, "nonce": tx.nonce, "content": verdict.content.hex(), "gas_wei": str(verdict.gas_wei)}  # fmt: skip
        self._record("tx", facts)
        return ""

    def cancel(self, nonce: int) -> str:
        empty = c.outer(b"", nonce, to=AGENT)
        return self.send(dataclasses.replace(empty, gas=21_000))

    def spent(self) -> int:
        return self.ledger.spends(1, c.SAFE, self.wall - DAY_S).get(c.WETH, 0)


@pytest.fixture
def signer(tmp_path: Path) -> Iterator[Signer]:
    made = Signer(tmp_path / "ledger.jsonl")
    yield made
    made.ledger.close()


def test_a_replacement_is_counted_once_even_across_a_restart(signer: Signer) -> None:
    assert signer.trade(20, 0) == "" and signer.spent() == 20 * c.ETH
    signer.restart()
    assert signer.trade(20, 0, fee=60 * 10**9) == "" and signer.spent() == 20 * c.ETH
    assert signer.trade(20, 1) == "" and signer.spent() == 40 * c.ETH


def test_the_same_trade_at_other_nonces_is_counted_each_time_up_to_the_cap(signer: Signer) -> None:
    for nonce in range(5):
        assert signer.trade(20, nonce) == ""
    signer.restart()
    assert signer.trade(20, 5) == "cap-per-day" and signer.trade(31, 6) == "cap-per-tx"
    signer.wall += DAY_S + 1
    assert signer.trade(20, 5) == ""


def test_a_nonce_carries_one_trade_until_its_deadline(signer: Signer) -> None:
    assert signer.trade(5, 0) == "" and signer.trade(6, 0) == "nonce-reused"
    assert signer.cancel(1) == "cancel" and signer.cancel(0) == ""
    assert signer.trade(6, 0) == "nonce-reused", "the cancel may lose the race"
    signer.wall += 301
    assert signer.trade(6, 0) == "nonce-reused", "the cancel itself carries no deadline"


def test_owners_and_agent_share_the_caps_and_no_safe_nonce(signer: Signer) -> None:
    assert signer.trade(30, 0) == ""
    nonces = signer.ledger.safe_nonce(1, c.SAFE, 0)
    assert nonces == (), "the agent's trade takes no Safe nonce"
    for nonce in range(1, 3):
        assert signer.trade(30, nonce) == ""
    tx = c.sell(20 * c.ETH)
    request = SafeTxRequest(Environment.DEVNET, 1, Address(c.SAFE), tx, c.NOW, c.NOW)
    verdict = judge_safe_tx(request, c.settings(), signer.ledger)
    assert isinstance(verdict, Refusal) and verdict.rule == "cap-per-day"
