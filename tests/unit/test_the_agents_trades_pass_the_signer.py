"""What is built for the agent's own key is what the signer allows without any owner; one thing changed and it is refused by name."""

from __future__ import annotations

import dataclasses
from typing import Any

import custody as c
import pytest
from agent_calls import AGENT, AGENT_JSON, GATE, ROAD, ROLES, ROUTES, call_of, judged, outer, policy
from planned_legs import (
    BUY,
    E18,
    SELL,
    USDC,
    USDT,
    WETH,
    leg,
)

from agent.domain.errors import Reject
from agent.domain.routes import Leg
from agent.execution.agent_batch import lend_call
from chains.errors import Usage
from chains.types import Address, Call, Environment, Fees, UnsignedTx
from contracts import universal_router as ur
from contracts.codec import decode_call, encode
from keys.policy import Allowed, Refusal, Signed
from keys.scope import ROLE


@pytest.mark.parametrize("name", ROUTES)
@pytest.mark.parametrize("environment", [Environment.DEVNET, Environment.LIVE])
def test_the_agents_trades_are_allowed_without_any_owner(name: str, environment: Environment) -> None:
    legs = ROUTES[name]
    verdict = judged(outer(call_of(legs)), policy(environment))
    assert isinstance(verdict, Allowed), verdict
    spent = sum(x.in_raw for x in legs if x.asset_in == legs[0].asset_in)
    assert dict(verdict.spend) == {c.USDC if name in BUY else c.WETH: spent}
    assert verdict.deadline == c.DEADLINE and verdict.spend_id and not verdict.safe_hash


def test_a_dearer_replacement_is_the_same_spend() -> None:
    tx = outer(call_of(SELL["V2 and V3"]))
    first = judged(tx)
    assert isinstance(first, Allowed)
    earlier = c.EmptyLedger(sender_signed=(Signed(first.content, first.deadline),), known=(first.spend_id,))
    earlier.spends[c.WETH] = 100 * E18  # the day's cap is used up, by this very spend among others
    again = judged(dataclasses.replace(tx, fees=Fees(60 * 10**9, 2 * 10**9)), ledger=earlier)
    assert isinstance(again, Allowed) and again.spend_id == first.spend_id
    other = judged(outer(call_of(SELL["a second hop"])), ledger=earlier)
    assert isinstance(other, Refusal) and other.rule == "nonce-reused"


@pytest.mark.parametrize("verb", ["supply", "repay"])
@pytest.mark.parametrize("environment", [Environment.DEVNET, Environment.LIVE])
def test_what_lowers_the_safes_risk_is_signed_and_uses_up_no_cap(verb: str, environment: Environment) -> None:
    full = c.EmptyLedger()
    full.spends[c.WETH] = 100 * E18
    verdict = judged(outer(lent(verb)), policy(environment), full)
    assert isinstance(verdict, Allowed), verdict
    assert dict(verdict.spend) == {} and verdict.deadline == c.DEADLINE and verdict.gas_wei


def test_what_raises_it_is_signed_only_where_the_settings_say_so() -> None:
    lends = c.settings(agent=AGENT_JSON | {"lends": ["withdraw", "borrow"]})
    verdict = judged(outer(lent("borrow", c.USDC, 5 * 10**6)), lends)
    assert isinstance(verdict, Allowed) and dict(verdict.spend) == {c.USDC: 5 * 10**6}, "a loan counts"
    assert isinstance(judged(outer(lent("withdraw")), lends), Allowed)
    over = judged(outer(lent("borrow", c.USDC, 10**15)), lends)
    assert isinstance(over, Refusal) and over.rule == "cap-per-tx"
    none = judged(outer(lent("supply")), lends)
    assert isinstance(none, Refusal) and none.rule == "agent-lending", (
        "and then nothing that it does not name"
    )
    with pytest.raises(Usage, match="lends"):
        c.settings(agent=AGENT_JSON | {"lends": ["sell"]})


def changed(**changes: Any) -> Call:
    """An honest trade with one argument of the role's call changed."""
    return within(call_of(SELL["V2 and V3"]), **changes)


def lent(verb: str, token: str = c.WETH, raw: int = E18, deadline: int = c.DEADLINE) -> Call:
    return lend_call(ROAD, verb, Address(token), raw, deadline)


def within(call: Call, **changes: Any) -> Call:
    args = decode_call("zodiac_roles", call.data).args | changes
    order = ("to", "value", "data", "operation", "roleKey", "shouldRevert")
    data = encode("zodiac_roles", "execTransactionWithRole", tuple(args[name] for name in order))
    return Call(call.to, data)


def traded(**changes: Any) -> Call:
    """The same with the Gate's own arguments changed."""
    inner = decode_call("zodiac_roles", call_of(SELL["V2 and V3"]).data).args["data"]
    trade = decode_call("gate", inner).args["t"]
    return changed(data=encode("gate", "trade", ({**trade, **changes},)))


def routed(*commands: ur.Command, deadline: int = c.DEADLINE) -> Call:
    return traded(data=ur.execute(list(commands), deadline))


def v3(amount: int = 3 * E18, **changes: Any) -> ur.Command:
    args = {
        "recipient": ur.MSG_SENDER,
        "amountIn": amount,
        "amountOutMin": 5_000,
        "path": ur.v3_path([c.WETH, c.USDC], [500]),
        "payerIsUser": False,
    }
    return ur.Command("V3_SWAP_EXACT_IN", args | changes)


def flipped(call: Call, at: int, bit: int = 1) -> Call:
    data = bytearray(call.data)
    data[at] ^= bit
    return Call(call.to, bytes(data))


HONEST = call_of(SELL["V2 and V3"])
APPROVE = encode("erc20", "approve", (c.THIEF, 2**256 - 1))
SINGLE = encode(
    "swap_router_02",
    "exactInputSingle",
    ((c.WETH, c.USDC, 500, GATE, 3 * E18, 5_000, 0),),
)
HOSTILE: dict[str, tuple[Any, str]] = {
    "the recipient is the thief": (routed(v3(recipient=c.THIEF)), "recipient"),
    "the recipient is the Safe": (routed(v3(recipient=c.SAFE)), "recipient"),
    "another role": (changed(roleKey=b"\1" * 32), "agent-role"),
    "another Gate": (changed(to=c.THIEF), "unknown-call"),
    "the Safe itself": (changed(to=c.SAFE), "unknown-call"),
    "the router straight from Roles": (
        changed(to=c.ROUTER, data=ur.execute([v3()], c.DEADLINE)),
        "agent-gate",
    ),
    "a delegatecall": (changed(operation=1), "unknown-call"),
    "an operation of 2": (changed(operation=2), "unknown-call"),
    "value at the Gate": (changed(value=1), "unknown-call"),
    "a failure hidden": (changed(shouldRevert=False), "agent-revert"),
    "value from the agent": (Call(HONEST.to, HONEST.data, 5), "outer-value"),
    "calldata padded by a word": (Call(HONEST.to, HONEST.data + bytes(32)), "unknown-call"),
    "calldata padded by a byte": (Call(HONEST.to, HONEST.data + b"\0"), "unknown-call"),
    "calldata cut": (Call(HONEST.to, HONEST.data[:-32]), "unknown-call"),
    "dirty bits above an address": (flipped(HONEST, 4), "unknown-call"),
    "dirty bits above a bool": (flipped(HONEST, 4 + 5 * 32), "unknown-call"),
    "a wrong selector": (flipped(HONEST, 0), "unknown-call"),
    "the default role": (Call(HONEST.to, bytes.fromhex("468721a7") + HONEST.data[4:]), "unknown-call"),
    "new members": (
        Call(ROLES, encode("zodiac_roles", "assignRoles", (c.THIEF, (ROLE,), (True,)))),
        "unknown-call",
    ),
    "a withdrawal from the lending pool": (lent("withdraw"), "agent-lending"),
    "a loan": (lent("borrow", c.USDC, 10**6), "agent-lending"),
    "two lending verbs at once": (
        changed(data=encode("gate", "lend", (3, c.WETH, E18, c.DEADLINE))),
        "unknown-call",
    ),
    "a repayment of nothing": (lent("repay", c.USDC, 0), "amount"),
    "a repayment of everything": (lent("repay", c.USDC, 2**256 - 1), "amount"),
    "an unlisted token lent": (lent("supply", c.THIEF), "token"),
    "lending without an end": (lent("supply", deadline=c.NOW + 86_400), "deadline-too-far"),
    "lending too late": (lent("supply", deadline=c.NOW - 1), "deadline"),
    "lending under another role": (within(lent("supply"), roleKey=b"\1" * 32), "agent-role"),
    "lending with a failure hidden": (within(lent("repay", c.USDC), shouldRevert=False), "agent-revert"),
    "lending by a delegatecall": (within(lent("supply"), operation=1), "unknown-call"),
    "gas money": (changed(data=encode("gate", "refuel", (E18, c.DEADLINE))), "unknown-call"),
    "another verb of the Gate": (changed(data=encode("gate", "setAgent", (c.THIEF,))), "unknown-call"),
    "an unlisted token": (traded(tokenOut=c.THIEF), "token"),
    "a token for itself": (traded(tokenOut=c.WETH), "swap"),
    "no minimum": (traded(minimumOut=0), "minimum-out"),
    "a deadline gone by": (traded(deadline=c.NOW - 1), "deadline"),
    "a deadline far away": (traded(deadline=c.NOW + 10_000), "deadline-too-far"),
    "the router's deadline far away": (routed(v3(), deadline=c.NOW + 10_000), "deadline-too-far"),
    "an amount of nothing": (traded(amountIn=0), "router-balance"),
    "another router": (traded(router=c.ROUTER02, data=SINGLE), "agent-router"),
    "a token as the router": (traded(router=c.WETH, data=APPROVE), "agent-router"),
    "an unlisted router": (traded(router=c.THIEF), "unknown-call"),
    "the router's empty call": (traded(data=b""), "unknown-call"),
    "less is traded than taken": (routed(v3(E18)), "router-leftover"),
    "more is traded than taken": (routed(v3(4 * E18)), "router-balance"),
    "pulled from whoever allows it": (routed(v3(payerIsUser=True)), "allowance-missing"),
    "pulled by Permit2": (
        routed(
            ur.Command("PERMIT2_TRANSFER_FROM", {"token": c.WETH, "recipient": ur.ADDRESS_THIS, "amount": 1})
        ),
        "allowance-missing",
    ),
    "a hop that may fail": (
        routed(dataclasses.replace(v3(), may_revert=True)),
        "unknown-call",
    ),
    "a share for somebody": (
        routed(v3(), ur.Command("PAY_PORTION", {"token": c.USDC, "recipient": c.THIEF, "bips": 5_000})),
        "unknown-call",
    ),
    "swept to the thief": (
        routed(
            v3(recipient=ur.ADDRESS_THIS),
            ur.Command("SWEEP", {"token": c.USDC, "recipient": c.THIEF, "amountMin": 1}),
        ),
        "recipient",
    ),
    "other tokens come than the Gate forwards": (
        routed(v3(path=ur.v3_path([c.WETH, c.USDT], [500]))),
        "agent-output",
    ),
    "nothing comes": (
        routed(v3(recipient=ur.ADDRESS_THIS)),
        "router-leftover",
    ),
    "over the cap of one transaction": (
        call_of([leg("v3", WETH, USDC, 40 * E18, 100_000)]),
        "cap-per-tx",
    ),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_every_hostile_variant_is_refused_by_its_rule(name: str) -> None:
    call, rule = HOSTILE[name]
    verdict = judged(outer(call))
    assert isinstance(verdict, Refusal), name
    assert verdict.rule == rule, verdict
    assert verdict.what and verdict.remedy


def test_the_honest_call_these_variants_start_from_is_allowed() -> None:
    assert isinstance(judged(outer(changed())), Allowed) and isinstance(judged(outer(traded())), Allowed)
    assert isinstance(judged(outer(routed(v3()))), Allowed)
    assert changed().data == HONEST.data == traded().data


def test_over_the_days_cap_it_is_refused() -> None:
    verdict = judged(outer(HONEST), ledger=c.EmptyLedger(spends={c.WETH: 98 * E18}))
    assert isinstance(verdict, Refusal) and verdict.rule == "cap-per-day"


def test_too_much_gas_is_refused() -> None:
    verdict = judged(outer(HONEST, gas=20_000_000))
    assert isinstance(verdict, Refusal) and verdict.rule == "gas-cap"


def test_another_sender_of_the_signer_has_no_role() -> None:
    agent = {**AGENT_JSON, "account": c.OWNERS[2].address}
    verdict = judged(outer(HONEST), c.settings(agent=agent))
    assert isinstance(verdict, Refusal) and verdict.rule == "agent-account"


def test_without_a_road_in_the_signers_settings_nothing_goes_it() -> None:
    verdict = judged(outer(HONEST), c.settings())
    assert isinstance(verdict, Refusal) and verdict.rule == "agent-road"
    assert "wallet scope" in verdict.remedy


def test_only_what_was_signed_can_be_cancelled_and_then_it_can() -> None:
    empty = UnsignedTx(1, 7, AGENT, 0, b"", 21_000, Fees(60 * 10**9, 2 * 10**9))
    refused = judged(empty)
    assert isinstance(refused, Refusal) and refused.rule == "cancel"
    allowed = judged(empty, ledger=c.EmptyLedger(sender_signed=(Signed(b"x", c.DEADLINE),)))
    assert isinstance(allowed, Allowed) and allowed.cancel


@pytest.mark.parametrize(
    ("legs", "says"),
    [
        (SELL["Balancer beside V3"], "weighted"),
        ([leg("v2t", WETH, USDT, E18, 3_000)], "no pair"),
    ],
)
def test_a_leg_outside_the_scope_is_not_built(legs: list[Leg], says: str) -> None:
    with pytest.raises(Reject, match=says) as refused:
        call_of(legs)
    assert refused.value.code == "UNEXECUTABLE_LEG" and "wallet scope" in refused.value.hint
