"""`trade buy 2 ETH --for USDC --at paper --limit 2990 --then-stop-loss 2800 --then-take-profit 3300`: what the words become, what is said
of them before anything is sent, how the record makes two orders of one authorization, and what a review asks of the whole list."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from settings_values import values

from agent.algos import bracket
from agent.algos.step import Progress
from agent.app import template
from agent.app.brackets import lapsed, list_of, listed_exits, waiting_entries
from agent.app.cli.plan_view import exits_json, told_otherwise
from agent.app.exchange_pairs import EMULATED, chosen, holder_of, is_bracket
from agent.app.follow import orders_json
from agent.app.intents import Request, parent_of, request_of, trial_child
from agent.app.places import directory
from agent.app.settings import Settings, parse
from agent.app.watching.exits import exits_json as exits_held
from agent.app.watching.exits import exits_lines, unprotected_json, unprotected_lines
from agent.app.wiring import algorithms
from agent.domain import events as ev
from agent.domain.errors import Reject, Usage
from agent.domain.ids import ClOrdId, part_id
from agent.domain.instruments import AssetId, Place
from agent.domain.order_lists import exit_ids, listed_ids, pair_of
from agent.domain.order_lists import list_of as order_list
from agent.domain.order_state import ExecType, OrdStatus
from agent.domain.orders import Exits, OrdType, ParentOrder, Part, Side, TimeInForce, VenueOrder
from agent.domain.reports import ExecutionReport, Fill
from agent.domain.risk import Limits, OraclePrice, Reservation
from agent.domain.routes import Costs, Leg, PlaceSummary, Route
from agent.execution.listing import attached, on_tick
from agent.journal.book import Book
from agent.journal.registry import event_codec
from agent.ports import VenueInstrument
from agent.risk.validator import Situation, clock_behind, exits_paid, fresh_market, review, size_limits
from chains.types import Address, Hash32, Protection

D = Decimal
HERE = Path("/nowhere/fairlead.toml")
NOW = 1_800_000_000 * 10**9
PAPER = Place("cex:paper")
ETH, USDC = AssetId("cex:paper/ETH"), AssetId("cex:paper/USDC")
SPOT = VenueInstrument("ETHUSDC", "ETH", "USDC", D("0.01"), D("0.0001"), D("0.0001"), D(5), D(10), D(10))


def settings() -> Settings:
    return parse(template.render(values(), HERE), HERE).settings


def asked(side: str = "buy", **words: Any) -> Request:
    given = {"at": "paper", "limit": "2990", "then_stop_loss": "2800", "then_take_profit": "3300"} | words
    return request_of(directory(settings(), {}), algorithms(), side, "2", "ETH", "USDC", **given)


def entry_of(request: Request) -> ParentOrder:
    return parent_of(request, "devnet", "0x", Protection.PRIVATE, "a", NOW)


def test_the_words_make_one_slice_that_rests_with_its_exits_behind_it() -> None:
    parent = entry_of(asked())
    assert (parent.intent.algo, parent.intent.base) == ("bracket", "ETH@cex:paper")
    assert parent.intent.expire_ns - NOW == 30 * 86_400 * 10**9
    progress = Progress(D(2), D(0), 0, 0, 0, False, NOW, None, D("0.0001"))
    (child,) = bracket.step(parent, progress, NOW).children
    assert child == trial_child(parent) and child.rests and child.limit_px == 2990
    assert child.then == Exits(D(2800), D(2786), D(3300)), "half a percent behind the stop"
    ended = replace(progress, children=1, failed=1)
    assert bracket.step(parent, ended, NOW).done == "FAILED", "never sent again"
    (again,) = bracket.step(parent, replace(progress, children=1), NOW).children
    assert again.cl_ord_id != child.cl_ord_id, "but where a process died before it was signed"
    assert trial_child(entry_of(asked(then_take_profit=None))).then == Exits(D(2800), D(2786), None)
    assert trial_child(entry_of(asked(then_stop_loss=None))).then == Exits(None, None, D(3300))
    assert trial_child(entry_of(asked(holds=False))).then is None, "this exchange holds no lists"


@pytest.mark.parametrize(
    ("words", "code"),
    [
        ({"limit": "2700"}, "EXIT_BEFORE_ENTRY"),
        ({"limit": "3300"}, "EXIT_BEFORE_ENTRY"),
        ({"side": "sell", "then_stop_loss": "3300", "then_take_profit": "2990"}, "EXIT_BEFORE_ENTRY"),
        ({"algo": "bracket", "limit": None}, "NO_ENTRY_PRICE"),
        ({"algo": "bracket", "at": None}, "NO_BRACKET"),
        ({"algo": "bracket", "then_stop_loss": None, "then_take_profit": None}, "NO_BRACKET"),
        ({"over": "soon"}, "BAD_DURATION"),
        ({"slices": 3}, "ALGO_PARAMETER"),
        ({"then_stop_loss": ""}, "BAD_AMOUNT"),
        ({"then_stop_loss": "0"}, "BAD_AMOUNT"),
        ({"then_stop_loss": "NaN", "then_take_profit": None}, "BAD_AMOUNT"),
        ({"then_take_profit": "-3300"}, "BAD_AMOUNT"),
        ({"then_take_profit": "1e400"}, "BAD_AMOUNT"),
        ({"then_stop_loss": "3000", "then_take_profit": "3000"}, "EXITS_CROSS"),
        ({"over": ""}, "BAD_DURATION"),
    ],
)
def test_a_bracket_that_cannot_be_is_refused_by_name(words: dict[str, Any], code: str) -> None:
    with pytest.raises(Usage) as no:
        asked(**words)
    assert no.value.code == code and no.value.hint


def test_an_exit_of_an_empty_variable_is_not_left_out_in_silence() -> None:
    for word in ("then_stop_loss", "then_take_profit"):
        with pytest.raises(Usage, match=f"--{word.replace('_', '-')} '' is not a number"):
            asked(limit=None, at=None, **{word: ""})
    with pytest.raises(Usage, match="--stop-loss ''"):
        asked(limit=None, then_stop_loss=None, then_take_profit=None, stop_loss="", take_profit="3300")


@pytest.mark.parametrize(
    ("exits", "side"),
    [(Exits(D(2400), D(0), None), Side.SELL), (Exits(D("0.004"), D("0.004"), None), Side.BUY)],
)
def test_exits_that_the_tick_leaves_no_price_are_refused(exits: Exits, side: Side) -> None:
    with pytest.raises(Reject, match=r"ETHUSDC trades in steps of 0\.01") as no:
        on_tick(exits, side, SPOT)
    assert no.value.code == "EXIT_BELOW_TICK" and no.value.hint


VENUES, HOLDING = ("paper", "kraken"), ("paper",)


def test_an_entry_rests_at_any_exchange_and_its_exits_where_lists_are_held() -> None:
    typed = {"limit": "2990", "then_stop_loss": "2800"}
    assert is_bracket(typed) and not is_bracket({**typed, "limit": None}) and not is_bracket({"limit": "1"})
    assert not is_bracket({**typed, "algo": "limit"}), "watched from here, as before"
    assert chosen("kraken", "ETH", False, VENUES, HOLDING, rests=True) == "kraken"
    assert chosen(None, "ETH@cex:paper", False, VENUES, HOLDING, rests=True) == "paper"
    assert chosen("here", "ETH@cex:paper", False, VENUES, HOLDING, rests=True) is None
    with pytest.raises(Usage, match="no exchange that answers"):
        chosen("nyse", "ETH", False, VENUES, HOLDING, rests=True)


@pytest.mark.parametrize(
    ("words", "kind", "said"),
    [
        ({}, "OTOCO", "paper holds the entry and both exits as one order list"),
        ({"then_take_profit": None}, "OTO", "paper holds the entry and its exit as one order list"),
        ({"holds": False}, None, EMULATED),
    ],
)
def test_who_holds_what_is_said_before_anything_is_sent(
    words: dict[str, Any], kind: str | None, said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    request = asked(**words)
    told_otherwise(request, SimpleNamespace(net_px=D(3000)), HOLDING)  # type: ignore[arg-type]
    assert said in capsys.readouterr().out
    told = exits_json(entry_of(request).intent)
    assert told is not None and told["stop-loss"] == "2800"
    assert (told["list"], told["emulated"], told["with_entry"]) == (kind, kind is None, kind is not None)
    assert told["held_by"] == ("paper" if kind else None)
    assert exits_json(entry_of(asked(then_stop_loss=None, then_take_profit=None, at=None)).intent) is None


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ({"limit": "2990"}, ""),
        ({"limit": "3100"}, "--limit is reached already at 3,000"),
        ({"limit": None, "at": None}, ""),
        ({"limit": None, "at": None, "then_stop_loss": "3100"}, "--then-stop-loss is reached already at 3,000"),
        ({"side": "sell", "limit": None, "at": None, "then_stop_loss": "3300", "then_take_profit": "3050"},
         "--then-take-profit is reached already at 3,000"),
        ({"at": None, "limit": "2990", "algo": "limit", "then_stop_loss": "2995"}, "--then-stop-loss is reached already at 2,990"),
    ],
)  # fmt: skip
def test_what_would_be_done_at_once_is_said(
    words: dict[str, Any], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    told_otherwise(asked(**words), SimpleNamespace(net_px=D(3000)), HOLDING)  # type: ignore[arg-type]
    printed = capsys.readouterr().out
    assert (said in printed) if said else ("AT ONCE" not in printed)


# ---------------------------------------------------------------------- one authorization, two orders


def signed(request: Request, instrument: VenueInstrument = SPOT) -> tuple[Book, ev.Authorized, ParentOrder]:
    """A record up to the authorization of an entry."""
    parent, book = entry_of(request), Book()
    child = trial_child(parent)
    selling, qty = child.side is Side.SELL, D("2.0021")
    part_in, part_out = (ETH, USDC) if selling else (USDC, ETH)
    raws = (200_210_000, 598_000_000_000) if selling else (600_630_000_000, 200_000_000)
    name = part_id(child.cl_ord_id, PAPER, 1)
    part = Part(name, child.cl_ord_id, PAPER, 1, part_in, part_out, *raws, raws[1] * 99 // 100, (0,))
    px = D(3000) if selling else 1 / D(3000)
    leg = Leg("paper:ETH/USDC", PAPER, part_in, part_out, *raws, 0, 0, part_out, "book", qty=qty, px=D(3000))
    there = PlaceSummary(PAPER, part_in, part_out, *raws, 0, 0, 0, px, px, D(0))
    route = Route(part_in, part_out, *raws, raws[1], Costs(0, 0, 0, "1"), (leg,), (there,), "digest")
    planned = ev.Planned(child, route, (part,), D(3000), ((PAPER, D(3000)),), (), NOW)
    order = VenueOrder(name, "ETHUSDC", child.side, OrdType.LIMIT, TimeInForce.GTC, qty, D(2990))
    if child.then is not None:
        order = replace(order, then=attached(order, part, child.then, instrument, lambda asset: 8))
    told = ev.Authorized(
        part, order, 0, Address("0x"), 0, 0, Hash32(""), b"", "digest", Protection.PRIVATE, 0, 0, 0, NOW
    )
    approved = ev.Approved(planned, Reservation(D(6000), ((part_in, raws[0]),)), (), NOW)
    for event in (ev.Accepted(parent, NOW), ev.Sliced(child, NOW), planned, approved, told):
        book.apply(event)
    return book, told, parent


def report(name: ClOrdId, kind: ExecType, fill: Fill | None = None) -> ev.Reported:
    return ev.Reported(ExecutionReport(name, PAPER, kind, NOW, "7", fill))


def test_one_authorization_is_the_record_of_both_orders() -> None:
    book, told, parent = signed(asked())
    assert told.order is not None and told.order.then is not None
    exits = listed_exits(book, parent.cl_ord_id)
    assert exits is not None and (exits.side, exits.qty) == (Side.SELL, D("2.0000")), (
        "less the fee, on the lot"
    )
    ids = listed_ids(told.part.cl_ord_id, PAPER)
    assert (exits.cl_ord_id, told.order.then.cl_ord_id) == (ids.parent, ids.part)
    record = book.parts[ids.part]
    assert (record.status, record.order_qty, record.base_is_in) == (OrdStatus.PENDING_NEW, D("2.0000"), True)
    assert (record.part.in_raw, record.part.out_raw) == (200_000_000, 557_200_000_000), "at worst 2786 each"
    assert record.authorized is not None and record.authorized.order is not None
    assert record.authorized.order.exits == Exits(D(2800), D(2786), D(3300))
    assert book.day_notional_usd(NOW) > D(6000) * 2, "both are counted, the exits at their dearest"
    entry_id, exits_id = parent.cl_ord_id, exits.cl_ord_id
    assert list_of(book, entry_id) == list_of(book, exits_id) == (entry_id, exits_id)
    codec = event_codec()
    again = codec.decode("Authorized", codec.version_of(ev.Authorized), codec.encode(told)[2])
    assert again == told, "and the journal gives it back whole"
    assert signed(asked())[0].state_hash() == book.state_hash()


def test_the_exits_were_sent_with_the_entry_and_are_refused_with_it() -> None:
    for kind, status in ((ExecType.REJECTED, OrdStatus.REJECTED), (ExecType.NEW, OrdStatus.PENDING_NEW)):
        book, told, _ = signed(asked())
        exits = listed_ids(told.part.cl_ord_id, PAPER).part
        book.apply(ev.Submitted(told.part.cl_ord_id, PAPER, "paper", "7", NOW))
        assert book.parts[exits].submitted
        book.apply(report(told.part.cl_ord_id, kind))
        assert book.parts[exits].status is status


def test_orders_tells_of_both_and_of_what_each_waits_for() -> None:
    book, told, parent = signed(asked())
    exits = listed_ids(told.part.cl_ord_id, PAPER)
    for name in (told.part.cl_ord_id, exits.part):
        book.apply(report(name, ExecType.NEW))
    shown = {o["cl_ord_id"]: o for o in orders_json(settings(), book, NOW, None, False)["orders"]}
    mine = {"entry": parent.cl_ord_id, "exits": exits.parent}
    assert all(o["list"] == mine and o["held_by"] == "paper" for o in shown.values()) and len(shown) == 2
    assert shown[parent.cl_ord_id]["waits_for"] == "its price 2990"
    assert shown[exits.parent]["waits_for"] == f"its entry {parent.cl_ord_id}"
    (line,) = exits_lines(book)
    assert (
        f"sell 2 ETH at stop-loss 2800 or take-profit 3300: at paper, after its entry {parent.cl_ord_id}"
        in line
    )
    book.apply(ev.ParentClosed(parent.cl_ord_id, "FILLED", "", NOW))
    (waits,) = exits_held(book)
    assert (waits["waits_for"], waits["held_by"], waits["cl_ord_id"]) == (None, "paper", exits.parent)
    (left,) = orders_json(settings(), book, NOW, None, False)["orders"][:1]
    assert left["waits_for"] == "stop-loss 2800 or take-profit 3300"
    alone, of_alone, entry = signed(asked(holds=False))
    alone.apply(report(of_alone.part.cl_ord_id, ExecType.NEW))
    (rests,) = orders_json(settings(), alone, NOW, None, False)["orders"]
    assert rests["list"] is None and rests["held_by"] is None and EMULATED in rests["held"]
    assert holder_of(alone, entry.cl_ord_id) is None


def test_what_an_entry_brought_has_exits_of_its_own_where_the_list_lapsed() -> None:
    book, told, parent = signed(asked())
    name, exits = told.part.cl_ord_id, listed_ids(told.part.cl_ord_id, PAPER)
    fill = Fill("t-1", PAPER, USDC, ETH, D(1495), D("0.5"), ETH, D("0.0005"), NOW)
    for event in (
        report(name, ExecType.NEW),
        report(name, ExecType.TRADE, fill),
        report(name, ExecType.CANCELED),
    ):
        book.apply(event)
    book.apply(ev.ParentClosed(parent.cl_ord_id, "FAILED", "", NOW))
    assert waiting_entries(book) == [] == unprotected_json(book), "whether its exits stand is not known yet"
    book.apply(report(exits.part, ExecType.EXPIRED))
    book.apply(ev.ParentClosed(exits.parent, "LAPSED", "", NOW))
    record = book.parents[exits.parent]
    assert lapsed(book, record.parent) and waiting_entries(book) == [parent]
    (bare,) = unprotected_json(book)
    assert (bare["entry"], bare["side"], bare["qty"]) == (parent.cl_ord_id, "sell", "0.4995")
    assert orders_json(settings(), book, NOW, None, False)["unprotected"] == [bare]
    for order in (None, parent.cl_ord_id, exits.parent):
        (line,) = unprotected_lines(book, order)
        assert "NO EXITS  for 0.4995 ETH" in line and "stop-loss 2800, take-profit 3300" in line
    assert unprotected_lines(book, ClOrdId("p-another")) == []
    book.apply(ev.CancelRequested(exits.parent, "test", NOW))
    assert waiting_entries(book) == [] == unprotected_json(book), "their owner ended them"


def test_exits_are_on_the_tick_and_buy_back_what_was_sold_with_the_fee() -> None:
    book, told, parent = signed(
        asked("sell", then_stop_loss="3100.004", then_take_profit="2900.004", limit="2990")
    )
    assert told.order is not None and told.order.then is not None
    then = told.order.then
    assert (then.order_qty, then.exits) == (D("2.0042"), Exits(D("3100.00"), D("3115.50"), D("2900.00")))
    exits = listed_exits(book, parent.cl_ord_id)
    assert exits is not None and (exits.side, exits.qty) == (Side.BUY, D("2.0021"))
    assert (then.in_raw, then.out_raw) == (624_408_510_000, 200_420_000)


def test_an_exit_alone_has_an_id_of_its_own_kind() -> None:
    _, told, _ = signed(asked(then_take_profit=None))
    assert told.order is not None and told.order.then is not None
    found = order_list(told.order)
    name = told.order.then.cl_ord_id
    assert found.above is None and found.below is not None and found.entry == told.order
    assert exit_ids(name, told.order.then.exits) == (found.below.cl_ord_id,) == (f"{name}-c",)
    assert pair_of(found.below.cl_ord_id) == name == found.cl_list_id


# ---------------------------------------------------------------------- the review of the whole list

LIMITS = Limits(
    D(7_000), D(20_000), ("ETH", "USDC"), (PAPER,), 300, 300, 3600, 60, (), ((PAPER, D(10**9)),)
)  # fmt: skip


def situation(day: str = "0", held: int = 0) -> Situation:
    prices = tuple(
        OraclePrice(f"{who} {name}", name, D(px), NOW // 10**9)
        for who in ("one", "two")
        for name, px in (("ETH", 3000), ("USDC", 1))
    )
    return Situation(
        NOW,
        prices,
        {USDC: held},
        {ETH: 8, USDC: 8},
        {ETH: "ETH", USDC: "USDC"},
        {},
        {},
        {},
        D(day),
        {},
        "",
        {},
    )


def plan_of(request: Request) -> ev.Planned:
    book, told, _ = signed(request)
    found = book.children[told.part.child].planned
    assert found is not None
    return found


@pytest.mark.parametrize(
    ("words", "day", "rules"),
    [
        ({}, "0", []),
        ({"then_take_profit": "3600"}, "0", ["ORDER_TOO_LARGE"]),  # 2 at 3600 are more than an order may be
        ({}, "7500", ["DAY_LIMIT"]),  # 7500 + 6000 + 6600
        ({"then_stop_loss": None, "then_take_profit": None, "at": None}, "7500", []),
    ],
)
def test_limits_are_of_the_entry_and_of_its_exits_together(
    words: dict[str, Any], day: str, rules: list[str]
) -> None:
    assert [one.rule for one in size_limits(plan_of(asked(**words)), LIMITS, situation(day))] == rules


def test_exits_that_buy_back_dearer_than_was_sold_must_be_paid_for() -> None:
    planned = plan_of(asked("sell", then_stop_loss="3100", then_take_profit="2900"))
    (unpaid,) = exits_paid(planned, LIMITS, situation())
    assert unpaid.rule == "EXITS_UNPAID" and "6231" in unpaid.message and unpaid.remedy
    assert exits_paid(planned, LIMITS, situation(held=400 * 10**8)) == []
    assert exits_paid(plan_of(asked()), LIMITS, situation()) == [], "what was bought is what is sold"


def test_nothing_is_approved_by_a_clock_that_is_behind() -> None:
    late = replace(situation(), behind_s={"eip155:1": 3_600}, market_age_s={PAPER: D(1)})
    told = review(plan_of(asked()), LIMITS, late)
    assert isinstance(told, ev.Breach)
    (reason,) = [one for one in told.reasons if one.rule == "CLOCK_BEHIND"]
    assert "3600 s behind" in reason.message and "NTP" in reason.remedy
    assert clock_behind(plan_of(asked()), LIMITS, situation()) == []


def test_a_market_of_no_known_age_is_stale() -> None:
    (reason,) = fresh_market(plan_of(asked()), LIMITS, situation())
    assert reason.rule == "STALE_MARKET" and "nobody knows" in reason.message
