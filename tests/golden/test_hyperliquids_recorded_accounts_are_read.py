"""Recorded accounts at Hyperliquid: every status, fill, balance and position it told is read; our ids survive their journey."""

from __future__ import annotations

import json
from collections import Counter
from decimal import Decimal
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st
from recordings import cassettes, payloads

from agent.domain.errors import FairleadError, Reconcile, Reject
from agent.domain.ids import ClOrdId
from agent.domain.order_state import OrdStatus
from agent.margin.accounts import judge
from agent.margin.model import Side
from agent.margin.perps import PerpAccount, state_at
from agent.ports import VenueInstrument
from agent.venues.hyperliquid import codec, margin

D = Decimal


class EveryCoin(dict[str, codec.Market]):
    """The recordings are of perpetuals; read as if each were a pair with USDC."""

    def __missing__(self, coin: str) -> codec.Market:
        instrument = VenueInstrument(f"{coin}/USDC", coin.replace("@", "n").replace("/", "_").replace(":", "_"), "USDC", D("0.01"), D("0.01"), D(0), D(0), D(0), D(0))  # fmt: skip
        return codec.Market(instrument, coin, 10_000)

    def get(self, coin: str, default: object = None) -> codec.Market:  # type: ignore[override]
        return self[coin]


READER = codec.Reader("hl", EveryCoin())


def answers(kind: str) -> list[object]:
    return [
        json.loads(answer)
        for pairs in cassettes().values()
        for asked, answer in pairs
        if json.loads(asked)["type"] == kind
    ]


def test_each_historical_order_has_a_status_we_know() -> None:
    seen: Counter[OrdStatus] = Counter()
    for told in answers("historicalOrders"):
        for one in told:  # type: ignore[attr-defined]
            order = READER.order(one["order"], one["status"], one["statusTimestamp"])
            assert 0 <= order.cum_qty <= order.order_qty
            seen[order.status] += 1
    assert seen == {OrdStatus.EXPIRED: 3, OrdStatus.CANCELED: 2}


def test_each_fill_is_worth_its_price_times_its_size() -> None:
    rows = [row for kind in ("userFills", "userFillsByTime") for told in answers(kind) for row in told]  # type: ignore[attr-defined]  # fmt: skip
    rows += json.loads(payloads("hyperliquid")["http_user_fills_dust_conversion"])
    rows += json.loads(payloads("hyperliquid")["ws_user_fill_liquidation"])["data"]["fills"]
    read = 0
    for row in rows:
        if "tid" not in row:  # of before the venue numbered its trades
            continue
        found = READER.fill(row)
        assert found is not None
        fill = found[2]
        sides = {fill.qty_in, fill.qty_out}
        assert sides == {D(row["sz"]), D(row["sz"]) * D(row["px"])} and fill.fee_qty >= 0
        read += 1
    assert read > 3, read


def test_balances_and_positions_are_read() -> None:
    told = json.loads(payloads("hyperliquid")["http_spot_clearinghouse_state"])
    held = {b.asset: (b.free, b.locked) for b in codec.balances(told, "hl")}
    assert held["cex:hl/PURR"] == (D(1900), D(100))  # type: ignore[index]
    (state,) = answers("clearinghouseState")
    found = {one.symbol: one for one in codec.positions(state, "hl")}
    assert found["BTC-PERP"].qty == D("-0.00785") and found["ETH-PERP"].qty == D("0.1334")
    assert all(
        one.entry_px > 0 and one.leverage and one.settle == "cex:hl/USDC-PERPS" for one in found.values()
    )
    (dollars,) = codec.dollars(state, "hl")
    gains = sum(D(row["position"]["unrealizedPnl"]) for row in state["assetPositions"])  # type: ignore[index]
    worth = D(state["marginSummary"]["accountValue"])  # type: ignore[index]
    assert abs(dollars.free + dollars.locked + gains - worth) < D("0.01"), (
        "what it is worth, less what is open of it"
    )
    assert dollars.free == D(state["withdrawable"]) <= worth  # type: ignore[index]
    assert codec.positions(json.loads(payloads("hyperliquid")["http_clearinghouse_state_negative_total_raw_usd"]), "hl") == []  # fmt: skip


def test_a_recorded_account_is_judged_as_the_venue_judged_it() -> None:
    """Twelve positions of one cross account: its value to the digit; and at each liquidation price the venue told, its value is what the model
    says has to be maintained (the venue's estimate leaves out what a position itself would need there)."""
    (state,), (meta, *_) = answers("clearinghouseState"), answers("meta")
    (found,) = judge(margin.document("hl", state, meta, 5))
    assert found.health is not None and found.health.maintenance_raw is not None and found.member is not None
    account: PerpAccount = found.member.account
    assert state_at(account, account.group(None), {})[0] == Fraction(
        state["crossMarginSummary"]["accountValue"]
    )
    ours = {px.asset: px for px in found.health.liquidation_px}
    told = 0
    for row in (one["position"] for one in state["assetPositions"]):
        asset = f"cex:hl/{row['coin']}-PERP"
        if row["liquidationPx"] is None:
            assert ours[asset].side is Side.NONE
            continue
        told += 1
        there = Fraction(row["liquidationPx"])
        worth, _ = state_at(account, account.group(None), {asset: there})
        assert abs(worth - Fraction(found.health.maintenance_raw, 10**8)) < Fraction(1, 10**4), row
        px = ours[asset].px_raw
        assert px is not None and 0.99 < Fraction(px, 10**8) / there < 1, (
            "ours comes first: it needs more there"
        )
    assert told == 5
    assert judge(margin.document("hl", {"assetPositions": []}, {}, 5)) == []


def test_isolated_positions_and_tables_of_tiers_are_read() -> None:
    tiers = [{"lowerBound": "0.0", "maxLeverage": 25}, {"lowerBound": "1000.0", "maxLeverage": 10}]
    meta = {
        "universe": [{"name": "ETH", "maxLeverage": 25, "marginTableId": 53}, {"name": "X", "maxLeverage": 3, "marginTableId": 3}],
        "marginTables": [[53, {"marginTiers": tiers}]],
    }  # fmt: skip
    rows = [
        {"coin": "ETH", "szi": "-0.5", "entryPx": "2986.3", "positionValue": "1500.5", "leverage": {"type": "isolated", "value": 20, "rawUsd": "1593.15"}},
        {"coin": "X", "szi": "10", "entryPx": "2", "positionValue": "21", "leverage": {"type": "cross", "value": 3}},
    ]  # fmt: skip
    state = {
        "assetPositions": [{"position": row} for row in rows],
        "crossMarginSummary": {"totalRawUsd": "9"},
    }
    (found,) = judge(margin.document("hl", state, meta, 5))
    assert found.health is not None and found.member is not None and found.health.maintenance_raw is not None
    # 1000/50 + 500.5/20 of the one, 21/6 of the other; 1593.15 less 1500.5, and 9 with 21.
    assert found.health.maintenance_raw == (Fraction("20") + Fraction("25.025") + Fraction("3.5")) * 10**8
    account: PerpAccount = found.member.account
    assert state_at(account, (account.positions[0],), {})[0] == Fraction("92.65")
    assert state_at(account, account.group(None), {})[0] == 30


@given(st.text("abcdefghijklmnopqrstuvwxyz234567", min_size=20, max_size=20))
def test_an_id_of_ours_comes_back_whole_out_of_its_sixteen_bytes(text: str) -> None:
    name = ClOrdId("fl-" + text)
    told = codec.cloid(name)
    assert len(told) == 34 and codec.cl_ord_id(told) == name


@given(st.binary(min_size=16, max_size=16))
def test_an_id_of_somebody_else_is_taken_for_none_of_ours(raw: bytes) -> None:
    told = "0x" + raw.hex()
    found = codec.cl_ord_id(told)
    assert found is None or codec.cloid(found) == told
    assert codec.cl_ord_id(codec.cloid(ClOrdId("manual-1"))) is None


@given(st.decimals("0.00001", "99999", places=5), st.integers(0, 5))
def test_a_step_holds_for_every_price_up_to_twice_the_one_it_was_made_for(px: Decimal, digits: int) -> None:
    lot = D(1).scaleb(-digits)
    step = codec.step_up(px, codec.SPOT_DECIMALS - digits)
    for price in (step, px // step * step, (2 * px) // step * step):
        assert price <= 0 or codec.on_grid(price, lot), (price, step)


@pytest.mark.parametrize(("answer", "kind", "code"), [
    ({"status": "err", "response": "User or API Wallet 0x1 does not exist."}, Reject, "UNAUTHORIZED"),
    ({"status": "err", "response": "Invalid nonce: duplicate nonce 1"}, Reconcile, "DUPLICATE_CLIENT_ID"),
    ({"status": "ok", "response": {"type": "order", "data": {"statuses": [{"error": "Insufficient spot balance asset=10000"}]}}}, Reject, "INSUFFICIENT_BALANCE"),
    ({"status": "ok", "response": {"type": "order", "data": {"statuses": {"a": 1}}}}, Reconcile, "VENUE_DIALECT"),
    ({"status": "maybe"}, Reconcile, "VENUE_DIALECT"), ([], Reconcile, "VENUE_DIALECT"), (None, Reconcile, "VENUE_DIALECT"),
])  # fmt: skip
def test_a_refusal_is_one_and_an_answer_that_cannot_be_read_is_asked_after(
    answer: object, kind: type[FairleadError], code: str
) -> None:
    with pytest.raises(kind) as raised:
        codec.statuses(answer)
    assert raised.value.code == code
