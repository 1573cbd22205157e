"""Deribit's own answers for futures, case by case and to the last digit it prints; options by plain loops over the same table."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from dataclasses import replace
from fractions import Fraction
from typing import Any

import numpy as np
import pytest
from deribit_answers import BTC, BTC_MS, BTC_VECTORS, ETH, ETH_MS, ETH_VECTORS
from random_books_options import deribit_asked

from agent.domain.errors import Retry
from agent.margin.accounts import Judged, judge
from agent.margin.deribit_matrix import Account, Book
from agent.margin.deribit_pm import MODEL
from agent.margin.model import Side, State
from agent.venues.deribit import margin, portfolio

ANSWERS = {"BTC": (BTC, BTC_MS, BTC_VECTORS), "ETH": (ETH, ETH_MS, ETH_VECTORS)}


def summary(coin: str, equity: str, **more: Any) -> dict[str, Any]:
    kept = ANSWERS[coin][0]["margins"][coin.lower()]["maintenance_margin"]
    told = {"currency": coin, "equity": equity, "margin_balance": equity, "maintenance_margin": kept}
    return told | {"margin_model": "segregated_pm", "cross_collateral_enabled": False} | more


def document(coin: str, equity: str, simulated: Any = None, books: Any = ()) -> Mapping[str, Any]:
    answer, at_ms, _ = ANSWERS[coin]
    told = simulated or answer
    rows = [
        {"instrument_name": n, "size": s, "kind": "future"} for n, s in told["portfolio"]["position"].items()
    ]
    summaries = {"summaries": [summary(coin, equity)]}
    ((found, (stated, held)),) = margin.by_portfolio(summaries, rows).items()
    assert found == coin
    one = portfolio.account("deribit", stated, held, told, books, at_ms)
    return margin.document("deribit", summaries, rows, {}, at_ms // 1000, {coin: one})


def judged(coin: str, equity: str, simulated: Any = None, books: Any = ()) -> Judged:
    (one,) = judge(document(coin, equity, simulated, books))
    return one


def account(coin: str, equity: str = "1") -> Account:
    member = judged(coin, equity).member
    assert member is not None
    found: Account = member.account
    return found


@pytest.mark.parametrize("coin", ANSWERS)
def test_each_case_of_each_contract_is_the_exchanges_own(coin: str) -> None:
    one = account(coin)
    for future, (near, far) in zip(
        one.futures, (ANSWERS[coin][2][n] for n in sorted(ANSWERS[coin][2])), strict=True
    ):
        book = Book(Account(one.index, one.index_px, one.equity, (future,), (), one.parameters, in_coin=True))
        p = one.parameters
        moves = np.arange(-p.steps, p.steps + 1) / p.steps * p.price_range
        gains = book.worth(moves, book.vol)
        assert [float(x) for x in near[::3]] == pytest.approx(gains, rel=1e-12, abs=1e-15)
        bare = Book(
            Account(
                one.index, one.index_px, one.equity, (future,), (), type(p)(price_range=p.price_range, table_factor=1.0), in_coin=True
            )
        )  # fmt: skip
        assert [float(x) for x in far] == pytest.approx(bare._far(0.0, 0.0), rel=1e-12)
        assert not np.any(book._far(0.0, 0.0)), "so little is dampened away"


@pytest.mark.parametrize("coin", ANSWERS)
def test_maintenance_and_what_it_is_made_of_are_the_exchanges_own(coin: str) -> None:
    margins = ANSWERS[coin][0]["margins"][coin.lower()]
    details = margins["initial_margin_details"]["risk_matrix_margin_details"]
    book = Book(account(coin))
    assert book.worst() == pytest.approx(float(details["worst_case"]), rel=1e-14)
    assert book.own_roll() == pytest.approx(float(details["roll_shock"]), abs=1e-12)
    # The worst case is rounded to nine decimals there before it is charged.
    assert book.required() == pytest.approx(float(margins["maintenance_margin"]), abs=5e-10)
    health = judged(coin, "1").health
    assert health is not None and health.maintenance_raw is not None
    index = float(ANSWERS[coin][0]["index_price"][f"{coin.lower()}_usd"])
    assert health.maintenance_raw / 10**8 == pytest.approx(
        float(margins["maintenance_margin"]) * index, rel=1e-8
    )


def test_a_long_loses_coins_ever_faster_and_the_price_is_where_they_no_longer_cover_it() -> None:
    """0.5 of a coin against a long of 0.314538364 − 0.001187534: E + s(1 − 1/x) = 0.8 (s·0.16/0.84 + 0.01·n)/x, n all that is held either way."""
    s, n = Fraction("0.31335083"), Fraction("0.315725898")
    kept = Fraction("0.8") * (s * 16 / 84 + n / 100)
    x = (s + kept) / (Fraction("0.1") + s)
    health = judged("BTC", "0.1").health
    assert health is not None and health.state is State.SAFE
    (px,) = health.liquidation_px
    assert px.side is Side.BELOW and px.px_raw == pytest.approx(float(x) * 65_666.19e8, rel=1e-8)
    gone = judged("BTC", "0.05").health
    assert gone is not None and gone.state is State.LIQUIDATABLE


def changed(coin: str, **deep: Any) -> Any:
    """The answer with some of it, by a path with dots, another."""
    answer = copy.deepcopy(ANSWERS[coin][0])
    for path, value in deep.items():
        at = answer
        *way, last = path.split("__")
        for key in way:
            at = at[key]
        at[last] = value
    return answer


DETAILS = "margins__eth__initial_margin_details__risk_matrix_margin_details__"


@pytest.mark.parametrize(
    ("other", "why"),
    [
        ({"margins__eth__maintenance_margin": "0.1262"}, "tells a maintenance margin"),
        ({f"{DETAILS}roll_shock": "0.006"}, "asks 0.006 for rolls"),
        ({f"{DETAILS}delta_shock": "0.0001"}, "asks for a large delta"),
        ({f"{DETAILS}correlation_contingency": "0.1"}, "underlyings that differ"),
        ({"aggregated_risk_vectors": {"eth_eth": {}, "btc_btc": {}}}, "several underlyings"),
        ({"portfolio__currency": {"eth": "1"}}, "spot is counted"),
        ({"model_params__currency_pair__eth_usd__price_range": "0.16"}, "tells a maintenance margin"),
    ],
)
def test_an_account_whose_margin_is_another_than_computed_is_unknown(other: dict[str, Any], why: str) -> None:
    one = judged("ETH", "1", changed("ETH", **other))
    assert one.state is State.UNKNOWN and why in one.why, one.why


def test_positions_that_changed_meanwhile_are_asked_for_again() -> None:
    rows = [
        {"instrument_name": "ETH-PERPETUAL", "size": "-1"},
        {"instrument_name": "ETH-28JUN24", "size": "5"},
    ]
    ((_, (stated, held)),) = margin.by_portfolio({"summaries": [summary("ETH", "1")]}, rows).items()
    with pytest.raises(Retry) as moved:
        portfolio.account("deribit", stated, held, ETH, (), ETH_MS)
    assert moved.value.code == "MARGIN_MOVED"


def test_what_is_settled_in_dollars_is_unknown_with_the_exchanges_own_figures() -> None:
    from types import SimpleNamespace

    told = summary("ETH", "250.5") | {"currency": "USDC", "maintenance_margin": "100"}
    row = {"instrument_name": "ETH_USDC-PERPETUAL", "size": "1", "kind": "future"}
    markets: Any = {"ETH_USDC-PERPETUAL": SimpleNamespace(settle="USDC", inverse=False)}
    assert margin.by_portfolio({"summaries": [told]}, [row]) == {}
    (one,) = judge(margin.document("deribit", {"summaries": [told]}, [row], markets, 1_700_000_000))
    assert one.state is State.UNKNOWN and one.model == "deribit_pm"
    assert one.why.endswith("equity 250.5 USDC, maintenance margin 100 USDC, 2.50 times")


# ---- options, by plain loops

OPTIONS = {"BTC-28JUN24-60000-P": "-1.5", "BTC-28JUN24-80000-C": "-20", "BTC-27DEC24-70000-C": "2"}
BOOKS = [
    {"instrument_name": name, "mark_iv": iv, "underlying_price": forward}
    for name, iv, forward in (
        ("BTC-28JUN24-60000-P", "52.11", "66000"), ("BTC-28JUN24-80000-C", "58.4", "66000"), ("BTC-27DEC24-70000-C", "61", "69500.5"),
        ("BTC-27DEC24-90000-C", "66", "69500.5"),
    )
]  # fmt: skip


@pytest.mark.parametrize(("dampener", "table"), [("100000", "near"), ("1000", "far")])
def test_options_are_valued_in_coins_over_their_forward_at_each_move(dampener: str, table: str) -> None:
    held = BTC["portfolio"]["position"] | OPTIONS
    found: dict[str, Any] = {
        "portfolio__position": held,
        "model_params__currency__btc__extended_dampener": dampener,
    }
    bare = portfolio.account("x", summary("BTC", "50"), _rows(held), changed("BTC", **found), BOOKS, BTC_MS)
    raw = {
        key: value for key, value in bare.items() if key not in ("told", "stated_roll", "stated_maintenance")
    }
    one = MODEL.read(raw, {bare["index"]: 8})
    book = Book(one)
    worst, roll, whole = deribit_asked(one)
    nearest, _, _ = deribit_asked(replace(one, parameters=replace(one.parameters, table_factor=0.0)))
    assert (nearest < worst) is (table == "far")
    assert book.worst() == pytest.approx(worst, rel=1e-9)
    assert book.own_roll() == pytest.approx(roll, rel=1e-6)
    assert book.required() == pytest.approx(whole, rel=1e-7)
    # Told what is computed it is judged; told a thousandth more than that and a little, it is UNKNOWN.
    for told, state in ((1.0, State.SAFE), (1.0009, State.SAFE), (1.002, State.UNKNOWN)):
        margins = {
            "margins__btc__maintenance_margin": f"{0.8 * (worst + roll * 1.05) * told:.12f}",
            "margins__btc__initial_margin_details__risk_matrix_margin_details__roll_shock": f"{roll * 1.05:.12f}",
        }
        seen = judged("BTC", "50", changed("BTC", **found, **margins), BOOKS)
        assert seen.state is state, seen.why


def _rows(held: Mapping[str, str]) -> list[dict[str, Any]]:
    return [{"instrument_name": name, "size": size, "kind": "future"} for name, size in held.items()]
