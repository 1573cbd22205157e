"""Deribit's linked orders before the signer: what each counts, and that nothing else than one of the three is signed. And the rows in which
the exchange tells of a leg, before and after its entry is filled."""

from __future__ import annotations

from decimal import Decimal
from typing import Any
from urllib.parse import quote_plus, urlencode

import pytest

from agent.domain.errors import Reconcile, Retry
from agent.venues.deribit.linked import leg_row
from chains.errors import Denied
from keys.signer import deribit
from keys.signer.exchange_orders import SymbolLimit

NOW_MS = 1_800_000_000_000
LINEAR = "ETH_USDC-PERPETUAL"
LIMITS = {LINEAR: SymbolLimit(Decimal(20_000), Decimal(50_000), Decimal(1_000), Decimal(4_000))}
ORDER = {"instrument_name": LINEAR, "amount": "1", "type": "limit", "label": "fl-a", "price": "3000", "time_in_force": "good_til_cancelled", "valid_until": str(NOW_MS + 5_000)}  # fmt: skip
STOP = '{"direction":"sell","type":"stop_limit","amount":1.5,"price":2880,"label":"fl-b-b","reduce_only":true,"time_in_force":"good_til_cancelled","trigger":"last_price","trigger_price":2900}'  # fmt: skip
PROFIT = '{"direction":"sell","type":"limit","amount":1,"price":3300,"label":"fl-b-a","reduce_only":true,"time_in_force":"good_til_cancelled"}'  # fmt: skip
OTOCO = {"linked_order_type": "one_triggers_one_cancels_other", "trigger_fill_condition": "complete_fill", "otoco_config": f"[{PROFIT},{STOP}]"}  # fmt: skip
OTO = OTOCO | {"linked_order_type": "one_triggers_other", "otoco_config": f"[{STOP}]"}
OCO = {"linked_order_type": "one_cancels_other", "trigger_fill_condition": "first_hit", "otoco_config": f"[{STOP}]"}  # fmt: skip


def cost(name: str, more: dict[str, str], query: str | None = None) -> Decimal:
    text = query if query is not None else urlencode(ORDER | more)
    asked = deribit.check("GET", f"/api/v2/private/{name}", text, now_ms=NOW_MS, symbols=frozenset(LIMITS))
    assert asked.words is not None and asked.writes
    return deribit.judge(asked.words, LIMITS, {}, {}, NOW_MS, asked.linked).cost


@pytest.mark.parametrize(
    ("name", "more", "wanted"),
    [
        ("buy", OTOCO, 3_000 + 4_000 + 6_000),  # exits at the dearest price, each: one may be filled in part before the other is
        ("buy", OTO, 3_000 + 6_000),
        ("sell", OCO, 6_000),  # the dearer of the two
    ],
)  # fmt: skip
def test_a_list_counts_once_as_what_its_orders_can_become(
    name: str, more: dict[str, str], wanted: int
) -> None:
    assert cost(name, more) == wanted


def test_a_list_beyond_what_is_left_of_the_day_is_refused_whole() -> None:
    asked = deribit.check("GET", "/api/v2/private/buy", urlencode(ORDER | OTOCO), now_ms=NOW_MS)
    assert asked.words is not None
    with pytest.raises(Denied) as no:
        deribit.judge(asked.words, LIMITS, {}, {LINEAR: Decimal(37_001)}, NOW_MS, asked.linked)
    assert no.value.code == "EXCHANGE_PER_DAY"


@pytest.mark.parametrize(
    ("name", "more"),
    [
        ("buy", OTOCO | {"trigger_fill_condition": "first_hit"}),
        ("buy", OTOCO | {"trigger_fill_condition": "incremental"}),
        ("buy", OTOCO | {"linked_order_type": "one_triggers_other"}),
        ("buy", OTOCO | {"linked_order_type": "all_at_once"}),
        ("buy", OCO),  # a pair whose orders stand on two sides
        ("sell", OTOCO),
        ("buy", {k: v for k, v in OTOCO.items() if k != "otoco_config"}),
        ("buy", {"otoco_config": OTOCO["otoco_config"]}),
        ("buy", OTO | {"otoco_config": f"[{STOP.replace('2880', '1e9')}]"}),
        ("buy", OTO | {"otoco_config": f"[{STOP.replace('1.5', '-1.5')}]"}),
        ("buy", OTO | {"otoco_config": f'[{STOP[:-1]},"amount":900}}]'}),
        ("buy", OTO | {"otoco_config": f'[{STOP[:-1]},"instrument_name":"BTC-PERPETUAL"}}]'}),
        ("buy", OTO | {"otoco_config": f"[{STOP.replace('stop_limit', 'stop_market')}]"}),
        ("buy", OTO | {"otoco_config": f"[{STOP.replace('last_price', 'my_price')}]"}),
        ("buy", OTO | {"otoco_config": STOP}),
        ("buy", OTO | {"otoco_config": "[1]"}),
        ("buy", OTO | {"otoco_config": "[" * 1_100}),
        ("buy", OTO | {"otoco_config": "[" * 600 + "]" * 600}),
        ("buy", OTO | {"type": "market"}),
        ("buy", OTO | {"type": "stop_limit", "trigger": "last_price", "trigger_price": "2990"}),
        ("edit_by_label", OTO),
    ],
)
def test_what_is_none_of_the_three_is_refused(name: str, more: dict[str, str]) -> None:
    with pytest.raises(Denied):
        cost(name, more)


def test_a_configuration_that_reads_otherwise_than_it_is_written_is_refused() -> None:
    order = urlencode(ORDER | {k: v for k, v in OTO.items() if k != "otoco_config"})
    once, bare = f"otoco_config={quote_plus(f'[{STOP}]')}", f"otoco_config=[{STOP}]"
    assert cost("buy", {}, f"{order}&{once}") == 9_000
    spaced = f"otoco_config={quote_plus(f'[ {STOP}]')}"
    for query in (f"{order}&{bare}", f"{order}&{spaced}", f"{order}&{once}&{once}", f"{order}&otoco_config="):
        with pytest.raises(Denied):
            cost("buy", {}, query)


def row(number: str, state: str, **more: Any) -> dict[str, Any]:
    return {"order_id": number, "order_state": state, "order_type": "limit", "label": "fl-b-a", **more}


WAITS = row("USDC-OTO-7", "untriggered", is_secondary_oto=True)


def test_a_leg_is_told_by_what_waits_and_then_by_the_order_that_came_of_it() -> None:
    placed = row("USDC-9", "open", trigger_order_id="USDC-OTO-7")
    stop = row("USDC-SLTS-9", "untriggered", order_type="stop_limit", trigger_order_id="USDC-OTO-7")
    gone = row("USDC-OTO-7", "triggered")
    assert leg_row([], "x", "fl-b-a") is None
    for rows, wanted in (([WAITS], "USDC-OTO-7"), ([placed], "USDC-9"), ([gone, placed], "USDC-9"), ([stop, gone], "USDC-SLTS-9")):  # fmt: skip
        found = leg_row(rows, "x", "fl-b-a")
        assert found is not None and found["order_id"] == wanted


def test_what_waited_and_is_over_without_a_reason_is_no_end_of_the_leg() -> None:
    ended = leg_row([row("OTO-7", "cancelled", cancel_reason="oto_primary_closed")], "x", "fl-b-a")
    assert ended is not None and ended["order_state"] == "cancelled"
    for state in ("cancelled", "triggered", "filled"):
        with pytest.raises(Retry):
            leg_row([row("OTO-7", state)], "x", "fl-b-a")
    for alike in ([WAITS, WAITS], [row("USDC-1", "open"), row("USDC-2", "open")]):
        with pytest.raises(Reconcile):
            leg_row(alike, "x", "fl-b-a")
