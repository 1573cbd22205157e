"""A Zodiac Delay in calldata: what is queued, what is run, what is skipped, each to the leaf; people read it, the signer refuses it by name."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import custody as c
import pytest

from agent.app.multisig.delays import unread
from chains.delays import Delay, Queued, queue_hash
from chains.types import Address, BlockRef, Hash32
from contracts import leaves as lf
from contracts.codec import encode
from contracts.decode import to_leaves
from contracts.decode_powers import DELAY_MASTERCOPY, DELAY_POWERS, MODULE_FACTORY
from contracts.hashing import keccak
from contracts.multisend import Part
from keys.policy import Refusal, SafeTxRequest, judge_safe_tx
from keys.reading import sentences_of
from keys.safe import SafeTx
from keys.sentences_delay import SAY

DELAY = Address("0x4444444444444444444444444444444444444444")
FRIEND = "0x000000000000000000000000000000000000bEEF"
PAY = encode("erc20", "transfer", (FRIEND, 7 * 10**6))
NAMES = {c.WETH: ("WETH", 18), c.USDC: ("USDC", 6)}


def call(function: str, *args: Any) -> Part:
    return Part(DELAY, 0, encode("zodiac_delay", function, args))


def leaves(part: Part) -> tuple[lf.Leaf, ...]:
    return to_leaves(part, {DELAY: "zodiac_delay", c.USDC: "erc20"})


@pytest.mark.parametrize(
    ("function", "kind"),
    [
        ("execTransactionFromModule", "QUEUE"),
        ("execTransactionFromModuleReturnData", "QUEUE"),
        ("executeNextTx", "RUN"),
    ],
)
def test_what_waits_is_opened_and_what_cannot_be_is_unknown(function: str, kind: str) -> None:
    opened, inner = leaves(call(function, c.USDC, 0, PAY, 0))
    assert isinstance(opened, lf.DelayCall) and (opened.kind, opened.to, opened.operation) == (
        kind,
        c.USDC,
        0,
    )
    assert isinstance(inner, lf.Transfer) and (inner.to, inner.amount) == (FRIEND, 7 * 10**6)
    for strange in (call(function, FRIEND, 0, b"\x01\x02\x03\x04", 0), call(function, c.USDC, 0, PAY, 1)):
        assert isinstance(leaves(strange)[-1], lf.Unknown)


def test_what_waits_behind_those_that_are_read_is_told_as_that() -> None:
    """Whoever may queue can put one transaction behind many: that there are more is never left out."""
    block = BlockRef(9, Hash32("0x" + "1" * 64), Hash32("0x" + "2" * 64), 1_000, 0)
    read = tuple(Queued(number, bytes(32), 900) for number in range(3, 53))
    whole = Delay(DELAY, DELAY, DELAY, DELAY, 60, 0, 3, 53, (), read, block)
    assert whole.unread == 0 and unread([whole]) == []
    (told,) = unread([whole, replace(whole, end_number=60)])
    assert "7 more wait" in told and "from number 53 on" in told and DELAY in told


def test_every_power_of_a_delay_has_a_sentence() -> None:
    assert set(SAY) == DELAY_POWERS
    (skipped,) = leaves(call("setTxNonce", 9))
    assert isinstance(skipped, lf.Power) and skipped.args == (("nonce", 9),)


def said(to: str, data: bytes) -> str:
    return "\n".join(sentences_of(1, Address(c.SAFE), SafeTx(Address(to), 0, data, 0, 3), NAMES))


def test_people_read_it_and_are_told_that_the_contract_is_not_known() -> None:
    run = said(DELAY, call("executeNextTx", c.USDC, 0, PAY, 0).data)
    assert "executes what has waited longest" in run and f"Sends 7 USDC to SOMEBODY ELSE ({FRIEND})" in run
    skip = said(DELAY, call("setTxNonce", 9).data)
    assert "skips all that waits in it under a number below 9" in skip and "NOT KNOWN HERE" in skip
    none = said(DELAY, call("setTxCooldown", 0).data)
    assert "DOES NOT WAIT AT ALL" in none
    words = b"".join(bytes(12) + bytes.fromhex(a[2:]) for a in (c.SAFE, c.SAFE, c.SAFE))
    setup = encode("zodiac_delay", "setUp", (words + (86_400).to_bytes(32, "big") + bytes(32),))
    made = encode("zodiac_module_factory", "deployModule", (DELAY_MASTERCOPY, setup, 1))
    created = said(MODULE_FACTORY, made)
    assert "a Zodiac Delay owned by this wallet" in created and "waits 1 day" in created


@pytest.mark.parametrize(
    "part", [call("executeNextTx", c.USDC, 0, PAY, 0), call("execTransactionFromModule", c.USDC, 0, PAY, 0), call("setTxNonce", 9)]
)  # fmt: skip
@pytest.mark.parametrize("listed", [True, False])
def test_the_signer_refuses_it_listed_or_not(part: Part, listed: bool) -> None:
    contracts = {**c.chain_json()["contracts"], **({DELAY: "zodiac_delay"} if listed else {})}
    settings = c.settings(contracts=contracts)
    tx = SafeTx(Address(part.to), 0, part.data, 0, 3)
    request = SafeTxRequest(settings.environment, 1, Address(c.SAFE), tx, c.NOW, c.NOW)
    verdict = judge_safe_tx(request, settings, c.EmptyLedger())
    assert isinstance(verdict, Refusal) and verdict.rule == "unknown-call" and verdict.remedy
    assert ("zodiac_delay." in verdict.what) is listed


def test_the_hash_is_that_of_the_packed_call() -> None:
    packed = bytes.fromhex(c.USDC[2:]) + (5).to_bytes(32, "big") + PAY + b"\x01"
    assert queue_hash(c.USDC, 5, PAY, 1) == keccak(packed)
