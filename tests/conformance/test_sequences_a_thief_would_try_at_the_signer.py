"""No single request is wrong here; the sequence would be. Judged against a real ledger, which remembers across restarts."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from pathlib import Path

import custody as c
import pytest

from chains.types import Address, Environment, Fees
from contracts import universal_router as ur
from keys import safe
from keys import safe_signatures as ss
from keys.policy import DAY_S, Allowed, OuterRequest, Refusal, SafeTxRequest, judge_outer, judge_safe_tx
from keys.signer.ledger import SpendLedger, safe_tx_facts

SAFE, AGENT = Address(c.SAFE), Address(c.AGENT.address)
GUARD = c.Part(c.ROUTER, 0, ur.deadline_guard(c.SAFE, c.WETH, c.DEADLINE))


class Signer:
    """The handlers' own order, judge, record, sign, without a socket and with a clock in hand."""

    def __init__(self, path: Path) -> None:
        self.path, self.ledger, self.wall, self.count = path, SpendLedger(path), c.NOW, 0

    def restart(self) -> None:
        self.ledger.close()
        self.ledger = SpendLedger(self.path)

    def _record(self, kind: str, facts: dict[str, object]) -> None:
        self.count += 1
        self.ledger.record(kind, f"r{self.count}", f"d{self.count}", self.wall, facts)

    def owners(self, tx: safe.SafeTx, chain_id: int = 1, **policy: object) -> str:
        request = SafeTxRequest(Environment.DEVNET, chain_id, SAFE, tx, self.wall, self.wall)
        verdict = judge_safe_tx(request, c.settings(**policy), self.ledger)
        if isinstance(verdict, Refusal):
            return verdict.rule
        self._record("safe_tx", safe_tx_facts(chain_id, SAFE, tx.nonce, verdict))
        return ""

    def sender(self, tx: safe.SafeTx, nonce: int = 0, gas: int = 1_500_000, fee: int = 30 * 10**9) -> str:
        digest = safe.safe_tx_hash(1, SAFE, tx)
        signed = [o.sign(digest) for o in c.OWNERS[:2]]
        packed = safe.pack_signatures(digest, signed, [o.address for o in c.OWNERS], 2)
        outer = c.outer(safe.exec_transaction(tx, packed), nonce, gas=gas, max_fee=fee)
        return self._outer(outer, tx.nonce)

    def claimed(self, tx: safe.SafeTx, nonce: int) -> str:
        """As the owners' own, with consent that two of them never gave."""
        owners = [o.address for o in c.OWNERS]
        packed = ss.pack([ss.by_approval(owners[0]), ss.by_contract(owners[1], b"")], owners, 2)
        return self._outer(c.outer(safe.exec_transaction(tx, packed), nonce), tx.nonce, attended=True)

    def cancel(self, nonce: int, fee: int = 30 * 10**9) -> str:
        empty = dataclasses.replace(c.outer(b"", nonce, to=AGENT), gas=21_000, fees=Fees(fee, 10**9))
        return self._outer(empty, 0)

    def _outer(self, tx: c.UnsignedTx, safe_nonce: int, attended: bool = False) -> str:
        request = OuterRequest(Environment.DEVNET, AGENT, tx, safe_nonce, self.wall, self.wall, attended)
        verdict = judge_outer(request, c.settings(), self.ledger)
        if isinstance(verdict, Refusal):
            return verdict.rule
        assert isinstance(verdict, Allowed)
        facts = safe_tx_facts(1, SAFE, safe_nonce, verdict)
        facts |= {"sender": AGENT, "nonce": tx.nonce, "content": verdict.content.hex(), "gas_wei": str(verdict.gas_wei)}  # fmt: skip
        self._record("tx", facts)
        return ""


@pytest.fixture
def signer(tmp_path: Path) -> Iterator[Signer]:
    made = Signer(tmp_path / "ledger.jsonl")
    yield made
    made.ledger.close()


def sale(eth: int, nonce: int, wall: int = c.NOW) -> safe.SafeTx:
    return c.sell(eth * c.ETH, nonce=nonce, deadline=wall + 300)


def test_a_nonce_carries_one_thing_until_its_deadline_even_across_a_restart(signer: Signer) -> None:
    assert signer.owners(sale(5, 0)) == "" and signer.sender(sale(5, 0)) == ""
    signer.restart()
    assert signer.owners(sale(6, 0)) == "nonce-reused"
    assert signer.sender(sale(6, 1), nonce=0) == "nonce-reused"
    signer.wall += 301
    assert signer.owners(sale(6, 0, signer.wall)) == ""


def test_after_a_cancel_the_nonce_takes_nothing_else(signer: Signer) -> None:
    assert signer.sender(sale(5, 0)) == ""
    assert signer.cancel(0, fee=60 * 10**9) == ""
    signer.wall += 301  # the sale has expired; the cancel never does
    assert signer.sender(sale(5, 1, signer.wall), nonce=0) == "nonce-reused"


def test_a_fee_bump_is_no_second_spend(signer: Signer) -> None:
    assert signer.sender(sale(30, 0)) == ""
    for fee in (40, 50, 60):
        assert signer.sender(sale(30, 0), fee=fee * 10**9) == ""
    assert signer.ledger.spent(1, SAFE, c.WETH, 0) == 30 * c.ETH
    assert signer.ledger.gas_spent(1, AGENT, 0) == 1_500_000 * 60 * 10**9


def test_the_days_cap_has_no_midnight_and_no_backward_clock(signer: Signer) -> None:
    start = signer.wall = c.NOW // DAY_S * DAY_S + DAY_S - 60
    for nonce in range(3):
        assert signer.owners(sale(30, nonce, signer.wall)) == ""
    assert signer.owners(sale(30, 3, signer.wall)) == "cap-per-day"
    signer.wall = start + 120  # past midnight
    assert signer.owners(sale(30, 3, signer.wall)) == "cap-per-day"
    signer.wall = start - 40 * DAY_S  # the clock is set back, and the signer restarted
    signer.restart()
    assert signer.owners(sale(30, 3, signer.wall)) == "cap-per-day"
    signer.wall = start + DAY_S + 1
    assert signer.owners(sale(30, 3, signer.wall)) == ""


def test_claimed_consent_makes_no_sale_free_of_the_days_cap(signer: Signer) -> None:
    """First sent as the owners' own with false claims, which the Safe will refuse; then the very same sale, signed unattended."""
    for nonce in range(3):
        assert signer.claimed(sale(30, nonce), nonce) == ""
        signer.restart()
        assert signer.owners(sale(30, nonce)) == "" and signer.sender(sale(30, nonce), nonce=nonce + 10) == ""
    assert signer.ledger.spent(1, SAFE, c.WETH, 0) == 90 * c.ETH
    assert signer.claimed(sale(30, 3), 3) == ""
    assert signer.owners(sale(30, 3)) == "cap-per-day"


def test_claimed_consent_burns_no_more_than_the_days_gas(signer: Signer) -> None:
    for nonce in range(1_000):
        if (why := signer.claimed(sale(30, nonce), nonce)) != "":
            break
    assert why == "gas-per-day"
    assert signer.ledger.gas_spent(1, AGENT, 0) <= c.settings().chains[1].gas_per_day_wei


def test_what_expired_unexecuted_still_counts(signer: Signer) -> None:
    """The signer cannot know what was mined: it counts what could have been."""
    for _ in range(3):
        assert signer.owners(sale(30, 0, signer.wall)) == ""
        signer.wall += 301
    assert signer.owners(sale(30, 0, signer.wall)) == "cap-per-day"


def test_a_cap_cannot_be_walked_around_over_another_token(signer: Signer) -> None:
    """WETH to USDT to USDC in three batches: every leg counts against the cap of what it sells."""

    def leg(sold: str, bought: str, amount: int, nonce: int) -> safe.SafeTx:
        swap = ur.Command(
            "V3_SWAP_EXACT_IN",
            {"recipient": ur.MSG_SENDER, "amountIn": amount, "amountOutMin": 1,
             "path": ur.v3_path([sold, bought], [500]), "payerIsUser": True},
        )  # fmt: skip
        return c.batch(
            c.approve(sold, c.PERMIT2, amount),
            c.call(c.PERMIT2, "permit2", "approve", sold, c.ROUTER, amount, 0),
            c.Part(c.ROUTER, 0, ur.execute([swap], c.DEADLINE)),
            nonce=nonce,
        )

    assert signer.owners(leg(c.WETH, c.USDT, 30 * c.ETH, 0)) == ""
    for nonce in range(1, 4):
        assert signer.owners(leg(c.USDT, c.USDC, 100_000 * 10**6, nonce)) == ""
    assert signer.owners(leg(c.USDT, c.USDC, 1, 4)) == "cap-per-day"


def test_an_approval_in_one_batch_and_its_use_in_another_is_refused(signer: Signer) -> None:
    amount = 5 * c.ETH
    opened = c.batch(c.approve(c.WETH, c.PERMIT2, amount), GUARD)
    assert signer.owners(opened) == "allowance-left"
    swap = ur.Command(
        "V3_SWAP_EXACT_IN",
        {"recipient": ur.MSG_SENDER, "amountIn": amount, "amountOutMin": 1,
         "path": ur.v3_path([c.WETH, c.USDC], [500]), "payerIsUser": True},
    )  # fmt: skip
    assert signer.owners(c.batch(c.Part(c.ROUTER, 0, ur.execute([swap], c.DEADLINE)))) == "allowance-missing"


def test_router_shorthands_are_nobody_at_other_contracts(signer: Signer) -> None:
    for who in (ur.MSG_SENDER, ur.ADDRESS_THIS):
        supply = c.batch(
            c.approve(c.USDC, c.AAVE, 10),
            c.call(c.AAVE, "aave_v3_pool", "supply", c.USDC, 10, who, 0),
            GUARD,
        )
        assert signer.owners(supply) == "recipient"
        take = c.batch(c.call(c.AAVE, "aave_v3_pool", "withdraw", c.USDC, 10, who), GUARD)
        assert signer.owners(take) == "recipient"


def test_the_same_bytes_on_another_chain_are_another_thing(signer: Signer) -> None:
    assert signer.owners(sale(5, 0), chain_id=10) == "chain"
    here, there = (safe.safe_tx_hash(n, SAFE, sale(5, 0)) for n in (1, 8453))
    assert here != there


def test_a_relay_header_is_no_transaction_and_no_owners_signature() -> None:
    """The header's text is 66 characters long; a Safe's eth_sign form and every transaction hash other bytes."""
    from keys.curve import personal_digest

    digest = safe.safe_tx_hash(1, SAFE, c.sell())
    header = c.RELAY.sign(personal_digest(("0x" + digest.hex()).encode()))
    assert safe.recover_owner(digest, header) != c.RELAY.address
    eth_sign = c.keccak(b"\x19Ethereum Signed Message:\n32" + digest)
    assert safe.recover_owner(eth_sign, header) != c.RELAY.address


def test_one_base_unit_is_a_minimum_and_the_cap_is_what_bounds_it(signer: Signer) -> None:
    """No price is known here: the bound of `keys.policy` is the caps, and this says so."""
    for nonce in range(3):
        assert signer.owners(c.sell(30 * c.ETH, minimum=2, nonce=nonce)) == ""
    assert signer.owners(c.sell(30 * c.ETH, minimum=2, nonce=3)) == "cap-per-day"
