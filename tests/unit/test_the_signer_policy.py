"""A table of attacks, each refused by its rule, and the honest batches, each allowed."""

from __future__ import annotations

import dataclasses
import re

import custody as c
import pytest

from agent.app.chaos.custody.signer_attacks import ATTACKS, CONTEXT, OUTER
from agent.app.chaos.custody.signer_batches import (
    BOUGHT_ETHER,
    E6,
    E18,
    KEY,
    NONE,
    PULL,
    SUPPLY,
    aave,
    balancer,
    change,
    funded,
    hop,
    move,
    packed,
    router02,
    v2,
)  # fmt: skip
from chains.types import Address, Environment
from contracts import universal_router as ur
from keys import safe
from keys.policy import Allowed, OuterRequest, Refusal, SafeTxRequest, Signed, judge_outer, judge_safe_tx
from keys.policy_state import MAX_UINT
from keys.safe import SafeTx


def judge(tx: SafeTx, ledger: c.EmptyLedger | None = None, **request: object) -> Allowed | Refusal:
    base = SafeTxRequest(Environment.DEVNET, 1, Address(c.SAFE), tx, c.NOW, c.NOW)
    return judge_safe_tx(dataclasses.replace(base, **request), c.settings(), ledger or c.EmptyLedger())


HONEST: dict[str, SafeTx] = {
    "two hops, the last one bounded": funded(
        hop(5 * E18, 0, (c.WETH, c.USDT), False), hop(ur.CONTRACT_BALANCE, 9, (c.USDT, c.USDC), True)
    ),
    "two first hops, two bounded last ones": funded(
        hop(2 * E18, 0, (c.WETH, c.USDT), False),
        hop(3 * E18, 0, (c.WETH, c.USDT), False),
        hop(7, 9, (c.USDT, c.USDC), True),
        hop(ur.CONTRACT_BALANCE, 9, (c.USDT, c.USDC), True),
    ),
    "ether bought on V4 and wrapped": c.batch(*BOUGHT_ETHER),
    "sale over V3 and V2": c.sell(),
    "V3 alone": funded(c.v3_command(5 * E18)),
    "permit for this block only": c.batch(
        c.approve(c.WETH, c.PERMIT2, E18), c.permit(c.WETH, c.ROUTER, E18, 0), c.route([c.v3_command(E18)])
    ),
    "exact out with the rest taken back": c.batch(
        c.approve(c.WETH, c.PERMIT2, E18),
        c.permit(c.WETH, c.ROUTER, E18),
        c.route(
            [
                move(
                    "V3_SWAP_EXACT_OUT",
                    recipient=ur.MSG_SENDER,
                    amountOut=5,
                    amountInMax=E18,
                    path=ur.v3_path([c.USDC, c.WETH], [500]),
                    payerIsUser=True,
                )
            ]
        ),
        c.permit(c.WETH, c.ROUTER, 0, 0),
        c.approve(c.WETH, c.PERMIT2, 0),
    ),
    "ether through V4": c.batch(c.route([ur.v4_exact_in_single(KEY, True, E18, 5)], value=E18)),
    "WETH through V4's ether pool": funded(
        PULL,
        move("UNWRAP_WETH", recipient=ur.ADDRESS_THIS, amountMin=5 * E18),
        ur.v4_swap(
            [
                ur.Command(
                    "SWAP_EXACT_IN_SINGLE",
                    {
                        "swap": {
                            "poolKey": KEY,
                            "zeroForOne": True,
                            "amountIn": 5 * E18,
                            "amountOutMinimum": 9,
                            "hookData": b"",
                        }
                    },
                ),
                ur.Command("SETTLE", {"currency": NONE, "amount": 5 * E18, "payerIsUser": False}),
                ur.Command("TAKE_ALL", {"currency": c.USDC, "minAmount": 9}),
            ]
        ),
    ),
    "ether wrapped in the router": c.batch(
        c.route(
            [
                move("WRAP_ETH", recipient=ur.ADDRESS_THIS, amount=E18),
                c.v3_command(E18, user_pays=False),
            ],
            value=E18,
        )
    ),
    "output swept to the wallet": funded(
        c.v3_command(5 * E18, recipient=ur.ADDRESS_THIS),
        move("SWEEP", token=c.USDC, recipient=c.SAFE, amountMin=1),
    ),
    "SwapRouter02": router02(),
    "V2 router": v2(),
    "ether through the V2 router": c.batch(
        c.call(
            c.V2_ROUTER,
            "uniswap_v2_router",
            "swapExactETHForTokens",
            1,
            (c.WETH, c.USDC),
            c.SAFE,
            c.DEADLINE,
            value=E18,
        )
    ),
    "Balancer": balancer(),
    "wrap, then sell": c.batch(
        c.call(c.WETH, "weth9", "deposit", value=E18),
        c.approve(c.WETH, c.PERMIT2, E18),
        c.permit(c.WETH, c.ROUTER, E18),
        c.route([c.v3_command(E18)]),
    ),
    "Aave supply": SUPPLY,
    "Aave supply as collateral": aave("setUserUseReserveAsCollateral", c.WETH, True),
    "Aave borrow": aave("borrow", c.USDC, 100 * E6, 2, 0, c.SAFE),
    "Aave repay": aave(
        "repay",
        c.USDC,
        MAX_UINT,
        2,
        c.SAFE,
        before=(c.approve(c.USDC, c.AAVE, 100 * E6),),
        after=(c.approve(c.USDC, c.AAVE, 0),),
    ),
    "Aave withdraw": aave("withdraw", c.WETH, MAX_UINT, c.SAFE),
    "leftover approvals taken back": c.batch(
        c.approve(c.WETH, c.PERMIT2, 0), c.permit(c.WETH, c.ROUTER, 0, 0)
    ),
}


@pytest.mark.parametrize("name", HONEST)
def test_honest_batches_are_allowed(name: str) -> None:
    verdict = judge(HONEST[name])
    assert isinstance(verdict, Allowed), verdict


@pytest.mark.parametrize("name", ATTACKS)
def test_attacks_are_refused_by_their_rule(name: str) -> None:
    rule, tx = ATTACKS[name]
    verdict = judge(tx)
    assert isinstance(verdict, Refusal)
    assert verdict.rule == rule, verdict
    assert verdict.what and verdict.remedy
    # It names the call it is about, decoded; or, of the Safe transaction itself, the field that is wrong.
    if rule not in ("operation", "refund-fields"):
        named = re.search(
            r"multi_send(\.multiSend)?|erc20\.|safe\.|universal_router\.|plain transfer", verdict.what
        )
        assert named or c.THIEF in verdict.what, verdict.what


def test_what_leaves_is_counted_to_the_unit() -> None:
    verdict = judge(c.sell(5 * E18 + 3))
    assert isinstance(verdict, Allowed)
    assert dict(verdict.spend) == {c.WETH: 5 * E18 + 3} and verdict.deadline == c.DEADLINE


@pytest.mark.parametrize("name", CONTEXT)
def test_the_place_and_the_past_are_judged_too(name: str) -> None:
    asked = CONTEXT[name]
    verdict = judge(c.sell(), asked.history, **asked.changes)
    assert isinstance(verdict, Refusal) and verdict.rule == asked.rule
    assert verdict.what and verdict.remedy


def test_a_nonce_is_free_again_once_what_was_signed_has_expired() -> None:
    assert isinstance(judge(c.sell(), c.EmptyLedger(safe_signed=(Signed(b"x" * 32, c.NOW - 1),))), Allowed)


def judged_outer(
    ledger: c.EmptyLedger | None = None, sender: str = c.AGENT.address, **fields: object
) -> Allowed | Refusal:
    tx = dataclasses.replace(c.outer(safe.exec_transaction(c.sell(), packed(c.sell()))), **fields)
    request = OuterRequest(Environment.DEVNET, Address(sender), tx, 0, c.NOW, c.NOW)
    return judge_outer(request, c.settings(), ledger or c.EmptyLedger())


def test_the_outer_transaction_of_a_signed_sale_is_allowed() -> None:
    verdict = judged_outer()
    assert isinstance(verdict, Allowed) and verdict.gas_wei == 1_500_000 * 30 * 10**9


@pytest.mark.parametrize("name", OUTER)
def test_outer_attacks_are_refused_by_their_rule(name: str) -> None:
    asked = OUTER[name]
    verdict = judged_outer(asked.history, asked.sender, **asked.fields())
    assert isinstance(verdict, Refusal) and verdict.rule == asked.rule, verdict
    assert verdict.what and verdict.remedy


def test_a_signed_nonce_may_be_cancelled() -> None:
    ledger = c.EmptyLedger(sender_signed=(Signed(b"x" * 32, c.DEADLINE),))
    verdict = judged_outer(ledger, to=c.AGENT.address, data=b"")
    assert isinstance(verdict, Allowed) and verdict.cancel


REJECTION = SafeTx(Address(c.SAFE), 0, b"", 0, 0)


def test_what_was_signed_may_be_rejected_by_using_its_nonces() -> None:
    """Safe's own way to cancel: an empty call to itself at the same nonce; nothing leaves the wallet."""
    ledger = c.EmptyLedger(
        safe_signed=(Signed(b"x" * 32, c.DEADLINE),), sender_signed=(Signed(b"y" * 32, c.DEADLINE),)
    )
    verdict = judge(REJECTION, ledger)
    assert isinstance(verdict, Allowed) and not verdict.spend and not verdict.leaves
    data = safe.exec_transaction(REJECTION, packed(REJECTION))
    assert isinstance(judged_outer(ledger, data=data), Allowed)


def test_only_what_was_signed_is_rejected_and_a_rejection_carries_nothing() -> None:
    signed = c.EmptyLedger(safe_signed=(Signed(b"x" * 32, c.DEADLINE),))
    assert judge(REJECTION, c.EmptyLedger()).rule == "rejection"  # type: ignore[union-attr]
    for wrong in (
        change(REJECTION, value=1),
        change(REJECTION, data=b"\x00"),
        change(REJECTION, operation=1),
        change(REJECTION, to=Address(c.AGENT.address)),
    ):
        assert isinstance(judge(wrong, signed), Refusal), wrong


def test_after_a_rejection_nothing_else_is_signed_at_that_nonce() -> None:
    rejected = safe.safe_tx_hash(1, Address(c.SAFE), REJECTION)
    assert judge(c.sell(), c.EmptyLedger(safe_signed=(Signed(rejected, 0),))).rule == "nonce-reused"  # type: ignore[union-attr]
