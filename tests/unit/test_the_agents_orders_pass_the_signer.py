"""What is built to open or end an order under the agent's key is what the signer allows where its settings say so; one thing changed and it
is refused by name."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import custody as c
import pytest
from agent_calls import AGENT_JSON, ROAD, ROLES, judged, outer
from planned_legs import E18

from agent.app.offer_desk import offers_of
from agent.execution.agent_batch import deadline_of, under_the_role
from agent.execution.agent_offers import ending, is_agents, left_raw, opening
from chains import operations
from chains.errors import Denied, Usage
from chains.types import ZERO_ADDRESS, Address, Call, CowOrder, Environment, Fees
from chains.userops import UserOperation
from contracts import offers
from contracts.codec import encode
from contracts.decode import to_leaves
from keys import cow_order
from keys.erc4337 import Window
from keys.policy import Allowed, Refusal, Signed
from keys.policy_operations import OperationRequest, judge_operation
from keys.sentences import sentence

HOLDER = Address("0x3333333333333333333333333333333333333333")
SETTLEMENT = Address(offers.SETTLEMENT)
ORDER = CowOrder(
    1, SETTLEMENT, HOLDER, Address(c.SAFE), Address(c.WETH), Address(c.USDC), E18, 2_950 * 10**6, c.DEADLINE,
    cow_order.APP_DATA_HASH, 0, True, "sell",
)  # fmt: skip
LISTED = {**c.chain_json()["contracts"], SETTLEMENT: "gpv2_settlement"}


def settings(environment: Environment = Environment.DEVNET, **road: Any) -> Any:
    return c.settings(environment, agent=AGENT_JSON | {"offers": True} | road, contracts=LISTED)


def refused(call: Call, rule: str, with_: Any = None) -> None:
    verdict = judged(outer(call), with_ or settings())
    assert isinstance(verdict, Refusal) and verdict.rule == rule and verdict.remedy, verdict


@pytest.mark.parametrize("kind", ["sell", "buy"])
@pytest.mark.parametrize("environment", [Environment.DEVNET, Environment.LIVE])
def test_an_order_from_its_fields_is_signed_and_counts_what_it_sells(
    kind: str, environment: Environment
) -> None:
    verdict = judged(outer(opening(ROAD, replace(ORDER, kind=kind))), settings(environment))
    assert isinstance(verdict, Allowed), verdict
    assert dict(verdict.spend) == {c.WETH: E18} and verdict.deadline == c.DEADLINE and verdict.spend_id


def test_its_end_is_signed_whatever_the_caps_and_the_settings_say_and_counts_nothing() -> None:
    full = c.EmptyLedger()
    full.spends[c.WETH] = 10**30
    without = c.settings(agent=AGENT_JSON)
    for with_ in (settings(), without):
        verdict = judged(outer(ending(ROAD, Address(c.WETH), c.DEADLINE)), with_, full)
        assert isinstance(verdict, Allowed) and not verdict.spend and verdict.deadline == c.DEADLINE
    refused(ending(ROAD, Address(c.WETH), c.NOW - 1), "deadline")
    refused(ending(ROAD, Address(c.WETH), c.NOW + 10**6), "deadline-too-far")


def test_without_a_word_in_the_settings_or_the_settlement_contract_none_is_signed() -> None:
    refused(opening(ROAD, ORDER), "agent-offer", c.settings(agent=AGENT_JSON, contracts=LISTED))
    refused(opening(ROAD, ORDER), "agent-offer", c.settings(agent=AGENT_JSON | {"offers": True}))
    with pytest.raises(Usage, match="offers"):
        c.settings(agent=AGENT_JSON | {"offers": "yes"})


HOSTILE: dict[str, tuple[dict[str, Any], str]] = {
    "an unlisted token sold": ({"sell_token": HOLDER}, "token"),
    "an unlisted token bought": ({"buy_token": HOLDER}, "token"),
    "ether bought": ({"buy_token": ZERO_ADDRESS}, "token"),
    "a token for itself": ({"buy_token": Address(c.WETH)}, "swap"),
    "for nothing": ({"buy_raw": 0}, "minimum-out"),
    "of nothing": ({"sell_raw": 0}, "amount"),
    "above the cap": ({"sell_raw": 10**25}, "cap-per-tx"),
    "that lapsed": ({"valid_to": c.NOW - 1}, "deadline"),
    "for a month": ({"valid_to": c.NOW + 30 * 86_400}, "deadline-too-far"),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_an_order_that_no_owner_would_sign_is_refused_by_its_rule(name: str) -> None:
    changed, rule = HOSTILE[name]
    refused(opening(ROAD, replace(ORDER, **changed)), rule)


def test_nothing_else_of_it_is_signed() -> None:
    refused(under_the_role(ROAD, encode("gate", "setOffers", (HOLDER,))), "unknown-call")
    refused(replace(opening(ROAD, ORDER), value=1), "outer-value")
    data = bytearray(opening(ROAD, ORDER).data)
    data[-33] ^= 2  # the last flag is neither true nor false
    refused(Call(ROLES, bytes(data)), "unknown-call")
    uid = bytes.fromhex(cow_order.uid(ORDER)[2:])
    refused(under_the_role(ROAD, encode("gpv2_settlement", "setPreSignature", (uid, True))), "unknown-call")


def test_the_days_cap_counts_orders_and_a_dearer_form_is_the_same_order() -> None:
    tx = outer(opening(ROAD, ORDER))
    first = judged(tx, settings())
    assert isinstance(first, Allowed)
    ledger = c.EmptyLedger(sender_signed=(Signed(first.content, first.deadline),), known=(first.spend_id,))
    ledger.spends[c.WETH] = 10**30
    again = judged(replace(tx, fees=Fees(60 * 10**9, 2 * 10**9)), settings(), ledger)
    assert isinstance(again, Allowed) and again.spend_id == first.spend_id
    full = c.EmptyLedger()
    full.spends[c.WETH] = 10**30
    over = judged(tx, settings(), full)
    assert isinstance(over, Refusal) and over.rule == "cap-per-day"


@pytest.mark.parametrize("ends", [False, True])
def test_an_account_behind_erc_4337_offers_within_its_window(ends: bool) -> None:
    account, key = Address("0x4444444444444444444444444444444444444444"), AGENT_JSON["account"]
    call = ending(ROAD, Address(c.WETH), c.DEADLINE) if ends else opening(ROAD, ORDER)
    data, fees = operations.executing(call), Fees(30 * 10**9, 10**9)
    op = UserOperation(account, operations.keyed(7), data, 600_000, 200_000, 80_000, fees)
    told = settings(account=account, key=key)
    request = OperationRequest(told.environment, 1, op, Window(c.DEADLINE), c.NOW, c.NOW)
    assert isinstance(judge_operation(request, told, c.EmptyLedger()), Allowed)
    late = judge_operation(replace(request, window=Window(c.DEADLINE + 1)), told, c.EmptyLedger())
    assert isinstance(late, Refusal) and late.rule == "operation-window"


def test_where_the_scope_has_none_or_the_account_is_behind_erc_4337_it_is_refused_by_name() -> None:
    assert offers_of(replace(ROAD, offers=HOLDER)) == HOLDER
    for road, why in (
        (ROAD, "the owners' scope"),
        (replace(ROAD, offers=HOLDER, entry_point=Address(c.ROUTER)), "behind ERC-4337"),
    ):
        with pytest.raises(Denied, match=why) as told:
            offers_of(road)
        assert told.value.code == "INTENT_NEEDS_OWNERS" and "--by owners" in told.value.hint


def test_a_person_reads_what_it_opens_and_ends() -> None:
    tokens = {c.WETH: ("WETH", 18), c.USDC: ("USDC", 6)}
    known = {ROAD.roles: "zodiac_roles", ROAD.gate: "gate", HOLDER: "offers"}

    def said(call: Call) -> str:
        return "\n".join(sentence(leaf, c.SAFE, tokens) for leaf in to_leaves(call, known))

    opened = said(opening(ROAD, ORDER))
    assert (
        f"{ROAD.gate} opens an order that others settle: it sells 1 WETH for at least 2950 USDC, in parts"
        in opened
    )
    assert "paid to its Safe, not after" in opened
    whole = said(opening(ROAD, replace(ORDER, kind="buy", partially_fillable=False)))
    assert "buys exactly 2950 USDC for at most 1 WETH, as a whole or not at all" in whole
    assert f"{ROAD.gate} ends the order that sells WETH, not after" in said(
        ending(ROAD, Address(c.WETH), c.DEADLINE)
    )
    home = said(Call(HOLDER, encode("offers", "end", (c.WETH,))))
    assert home == f"{HOLDER} ends the order that sells WETH; what is left of it goes back to the Safe."


def test_what_an_order_left_behind_is_told_by_its_own_digest() -> None:
    def live(digest: bytes) -> bytes:
        return digest + bytes(32 * 7)

    def word(value: int) -> bytes:
        return value.to_bytes(32, "big")

    mine = cow_order.digest(ORDER)
    assert left_raw(ORDER, (live(mine), word(5), word(7))) == 7
    assert left_raw(ORDER, (live(mine), word(0), word(0))) == 0
    assert left_raw(ORDER, (live(bytes(32)), word(5), word(0))) == 0
    assert left_raw(ORDER, (live(cow_order.digest(replace(ORDER, buy_raw=1))), word(5), word(7))) == 0, (
        "another order has its place: that one's money is not ours to end"
    )
    assert is_agents(ORDER) and not is_agents(replace(ORDER, owner=ORDER.receiver))
    assert deadline_of(opening(ROAD, ORDER).data) == ORDER.valid_to
    assert deadline_of(ending(ROAD, Address(c.WETH), 77).data) == 77
