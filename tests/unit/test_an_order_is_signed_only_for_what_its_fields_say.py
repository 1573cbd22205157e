"""The signer's judgement of CoW orders, and of the allowances and presignatures that refer to them: attacks refused, honest ones allowed."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Any

import custody as c
import pytest

from chains.errors import Denied, Usage
from chains.types import Address, CowOrder, Environment, Hash32
from contracts.universal_router import deadline_guard
from keys import cow_order
from keys.local_keystore import LocalKeystore
from keys.owner_sign import by_keystore, prepare
from keys.policy import Allowed, Refusal, SafeTxRequest, judge_order, judge_safe_tx
from keys.policy_orders import GrantedOrder, OrderRequest
from keys.secrets import Secret
from keys.signer.ledger import SpendLedger, order_facts

SETTLEMENT = "0x9008D19f58AAbD9eD0D60971565AA8510560ab41"
RELAYER = "0xC92E8bdf79f0507f65a392b0ab4667716BFE0110"
CONTRACTS = {
    **c.chain_json()["contracts"], SETTLEMENT: "gpv2_settlement", RELAYER: "gpv2_vault_relayer"
}  # fmt: skip
SETTINGS = c.settings(contracts=CONTRACTS)
ORDER = CowOrder(
    1, Address(SETTLEMENT), Address(c.SAFE), Address(c.SAFE), Address(c.WETH), Address(c.USDC), 5 * c.ETH, 14_000 * 10**6,
    c.DEADLINE, cow_order.APP_DATA_HASH,
)  # fmt: skip
GRANTED = GrantedOrder(cow_order.uid(ORDER), c.WETH, 5 * c.ETH, c.DEADLINE)


def judge(order: CowOrder, ledger: c.EmptyLedger | None = None, **more: Any) -> Allowed | Refusal:
    request = OrderRequest(Environment.DEVNET, order, c.NOW, c.NOW)
    return judge_order(dataclasses.replace(request, **more), SETTINGS, ledger or c.EmptyLedger())


def altered(**fields: Any) -> CowOrder:
    return dataclasses.replace(ORDER, **fields)


ATTACKS: dict[str, tuple[CowOrder, str]] = {
    "receiver a thief": (altered(receiver=Address(c.THIEF)), "recipient"),
    "receiver nobody": (altered(receiver=Address("0x" + "0" * 40)), "recipient"),
    "another owner": (altered(owner=Address(c.THIEF)), "wallet"),
    "another settlement contract": (altered(settlement=Address(c.ROUTER)), "order-settlement"),
    "another chain": (altered(chain_id=5), "chain"),
    "an unlisted token bought": (altered(buy_token=Address(c.THIEF)), "token"),
    "an unlisted token sold": (altered(sell_token=Address(c.THIEF)), "token"),
    "the chain's own coin": (altered(buy_token=Address("0x" + "0" * 40)), "token"),
    "a token for itself": (altered(buy_token=Address(c.WETH)), "swap"),
    "any amount accepted": (altered(buy_raw=0), "minimum-out"),
    "nothing sold": (altered(sell_raw=0), "amount"),
    "all there is": (altered(sell_raw=2**256 - 1), "amount"),
    "a fee beside the price": (altered(fee_raw=1), "order-fee"),
    "valid for a day": (altered(valid_to=c.NOW + 86_400), "deadline-too-far"),
    "over already": (altered(valid_to=c.NOW - 1), "deadline"),
    "a document with hooks": (altered(app_data=Hash32("0x" + "11" * 32)), "order-app-data"),
    "more than a transaction may": (altered(sell_raw=31 * c.ETH), "cap-per-tx"),
    "a field out of its type": (altered(buy_raw=2**256), "order-fields"),
    "a kind there is not": (altered(kind="swap"), "order-fields"),
    "a purchase that may cost too much": (altered(kind="buy", sell_raw=31 * c.ETH), "cap-per-tx"),
}


@pytest.mark.parametrize("name", ATTACKS)
def test_every_altered_field_is_refused_by_its_rule(name: str) -> None:
    order, rule = ATTACKS[name]
    verdict = judge(order)
    assert isinstance(verdict, Refusal) and verdict.rule == rule, verdict


def test_an_honest_order_is_allowed_and_counts_what_it_may_take() -> None:
    verdict = judge(ORDER)
    assert isinstance(verdict, Allowed) and verdict.spend == {c.WETH: 5 * c.ETH}
    assert verdict.deadline == c.DEADLINE and verdict.safe_hash == cow_order.digest(ORDER)
    assert isinstance(judge(altered(partially_fillable=True)), Allowed)


def test_a_purchase_counts_the_most_it_may_cost_and_is_another_order() -> None:
    bought = altered(kind="buy")
    verdict = judge(bought)
    assert isinstance(verdict, Allowed) and verdict.spend == {c.WETH: 5 * c.ETH}
    assert cow_order.uid(bought) != cow_order.uid(ORDER)


def test_orders_count_against_the_days_cap_once() -> None:
    spent = c.EmptyLedger(spends={c.WETH: 96 * c.ETH})
    refused = judge(ORDER, spent)
    assert isinstance(refused, Refusal) and refused.rule == "cap-per-day"
    again = dataclasses.replace(spent, known=(cow_order.digest(ORDER),))
    assert isinstance(judge(ORDER, again), Allowed)


def test_another_environments_signer_refuses() -> None:
    refused = judge(ORDER, environment=Environment.LIVE)
    assert isinstance(refused, Refusal) and refused.rule == "environment"


# ---------------------------------------------------------------------- the batches around an order


def batch_verdict(*parts: c.Part, granted: tuple[GrantedOrder, ...] = ()) -> Allowed | Refusal:
    tx = c.batch(c.Part(c.ROUTER, 0, deadline_guard(c.SAFE, c.USDC, c.DEADLINE)), *parts)
    request = SafeTxRequest(Environment.DEVNET, 1, Address(c.SAFE), tx, c.NOW, c.NOW)
    return judge_safe_tx(request, SETTINGS, c.EmptyLedger(granted=granted))


def presign(uid: str, signed: bool = True) -> c.Part:
    return c.call(SETTLEMENT, "gpv2_settlement", "setPreSignature", bytes.fromhex(uid[2:]), signed)


def test_the_relayers_allowance_is_signed_for_exactly_what_a_judged_order_sells() -> None:
    exact = c.approve(c.WETH, RELAYER, 5 * c.ETH)
    assert isinstance(batch_verdict(exact, granted=(GRANTED,)), Allowed)
    over = dataclasses.replace(GRANTED, valid_to=c.NOW - 1)
    for part, granted in (
        (exact, ()),
        (c.approve(c.WETH, RELAYER, 5 * c.ETH + 1), (GRANTED,)),
        (c.approve(c.WETH, RELAYER, 5 * c.ETH - 1), (GRANTED,)),
        (c.approve(c.USDC, RELAYER, 5 * c.ETH), (GRANTED,)),
        (exact, (over,)),
    ):
        refused = batch_verdict(part, granted=granted)
        assert isinstance(refused, Refusal) and refused.rule == "order-allowance", (part, refused)


def test_a_bare_uid_is_never_presigned() -> None:
    uid = cow_order.uid(ORDER)
    both = (c.approve(c.WETH, RELAYER, 5 * c.ETH), presign(uid))
    assert isinstance(batch_verdict(*both, granted=(GRANTED,)), Allowed)
    for granted, name in (((), uid), ((GRANTED,), cow_order.uid(altered(receiver=Address(c.THIEF))))):
        refused = batch_verdict(presign(name), granted=granted)
        assert isinstance(refused, Refusal) and refused.rule == "order-presignature"


def test_taking_an_order_and_its_allowance_back_needs_no_order() -> None:
    uid = cow_order.uid(ORDER)
    end = c.call(SETTLEMENT, "gpv2_settlement", "invalidateOrder", bytes.fromhex(uid[2:]))
    verdict = batch_verdict(end, presign(uid, False), c.approve(c.WETH, RELAYER, 0))
    assert isinstance(verdict, Allowed) and not verdict.spend


def test_settling_or_moving_the_relayers_funds_is_no_call_of_ours() -> None:
    for to in (SETTLEMENT, RELAYER):
        refused = batch_verdict(c.Part(to, 0, bytes.fromhex("13d79a0b") + bytes(64)))
        assert isinstance(refused, Refusal) and refused.rule == "unknown-call"


# ---------------------------------------------------------------------- the ledger, and what an owner reads


def test_the_ledger_remembers_orders_over_a_restart(tmp_path: Path) -> None:
    ledger = SpendLedger(tmp_path / "ledger.jsonl")
    for request_id in ("judged", "signed"):
        ledger.record("order", request_id, "content", c.NOW, order_facts(ORDER))
    ledger.close()
    again = SpendLedger(tmp_path / "ledger.jsonl")
    assert again.orders(1, c.SAFE) == (GRANTED,)
    assert again.spent(1, c.SAFE, c.WETH, c.NOW - 1) == 5 * c.ETH, "asked for twice, counted once"
    assert again.counted(cow_order.digest(ORDER))
    again.close()


def test_an_order_survives_the_wire_and_a_strange_one_is_named() -> None:
    told = json.loads(json.dumps(cow_order.to_json(ORDER)))
    assert cow_order.from_json(told) == ORDER
    bought = altered(kind="buy")
    assert cow_order.from_json(json.loads(json.dumps(cow_order.to_json(bought)))) == bought
    for field, value in (
        ("receiver", "0x12"),
        ("sell_raw", "-1"),
        ("partially_fillable", 1),
        ("valid_to", 1.5),
        ("kind", "swap"),
        ("kind", None),
    ):
        with pytest.raises(Usage, match=field):
            cow_order.from_json({**told, field: value})
    with pytest.raises(Usage, match="hooks"):
        cow_order.from_json({**told, "hooks": []})
    del told["fee_raw"]
    with pytest.raises(Usage, match="fee_raw"):
        cow_order.from_json(told)


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> LocalKeystore:
    made = LocalKeystore(tmp_path_factory.mktemp("keys"))
    made.create("owner", Environment.DEVNET, Secret(b"pw"), n=4)
    return made


def shown(store: LocalKeystore, order: CowOrder) -> str:
    owner = by_keystore(store, store.find("owner", Environment.DEVNET), None)
    return "\n".join(prepare({"cow_order": cow_order.to_json(order)}, owner)[0])


def test_an_owner_reads_every_field_that_decides_where_the_money_goes(store: LocalKeystore) -> None:
    text = shown(store, ORDER)
    assert "Sells 5 WETH for at least 14000 USDC, as a whole or not at all." in text
    bought = shown(store, altered(kind="buy"))
    assert (
        "Buys exactly 14000 USDC for at most 5 WETH, as a whole or not at all." in bought
        and "Sells" not in bought
    )
    assert "Pays to this wallet, not after 2027-01-15 08:05:00 UTC." in text and "no hooks" in text
    assert cow_order.uid(ORDER) in text and "UNKNOWN" not in text and "SOMEBODY" not in text
    assert f"SOMEBODY ELSE ({c.THIEF})" in shown(store, altered(receiver=Address(c.THIEF)))
    assert "UNKNOWN CONTRACT" in shown(store, altered(settlement=Address(c.THIEF)))
    assert "DOCUMENT UNKNOWN HERE" in shown(store, altered(app_data=Hash32("0x" + "22" * 32)))
    assert "PAYS A FEE beside it: 0.5 WETH" in shown(store, altered(fee_raw=c.ETH // 2))
    assert "in parts" in shown(store, altered(partially_fillable=True))


def test_fewer_signatures_than_the_threshold_make_none() -> None:
    typed = cow_order.safe_typed(ORDER)
    one = c.OWNERS[0].sign(typed.digest)
    with pytest.raises(Denied, match="2"):
        cow_order.safe_signature(ORDER, [one], [o.address for o in c.OWNERS], 2)
