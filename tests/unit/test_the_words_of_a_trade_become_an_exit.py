"""`trade sell 1 ETH --for USDC --stop-loss 2900 --take-profit 3100`: the words as an order, and how `orders` tells of it."""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path
from types import SimpleNamespace

import pytest
from settings_values import values

from agent.algos import oco
from agent.algos.step import Progress, slice_of
from agent.algos.twap import seconds_of
from agent.app import template
from agent.app.cli.plan_view import told_otherwise
from agent.app.exchange_pairs import EMULATED, chosen
from agent.app.follow import instant, orders_json
from agent.app.intents import Request, parent_of, request_of
from agent.app.places import directory
from agent.app.settings import Settings, parse
from agent.app.wiring import algorithms
from agent.domain.errors import Usage
from agent.domain.events import Accepted, Sliced
from agent.domain.orders import Exits
from agent.journal.book import Book
from chains.types import Protection

HERE = Path("/nowhere/fairlead.toml")
NOW = 1_800_000_000 * 10**9
DAY_NS = 86_400 * 10**9


def settings() -> Settings:
    return parse(template.render(values(), HERE), HERE).settings


def asked(**words: str) -> Request:
    return request_of(directory(settings(), {}), algorithms(), "sell", "1", "ETH", "USDC", **words)  # type: ignore[arg-type]


def test_a_price_makes_it_an_exit_that_waits_for_thirty_days_or_as_long_as_is_said() -> None:
    request = asked(stop_loss="2900", take_profit="3100")
    assert (request.algo, dict(request.algo_params)) == ("exit", {"stop-loss": "2900", "take-profit": "3100"})
    for words, days in (({}, 30), ({"over": "7d"}, 7)):
        parent = parent_of(asked(stop_loss="2900", **words), "devnet", "0x", Protection.PRIVATE, "a", NOW)
        assert parent.intent.expire_ns - NOW == days * DAY_NS and parent.intent.limit_px is None
    with pytest.raises(Usage, match="--over"):
        asked(stop_loss="2900", over="soon")
    with pytest.raises(Usage, match="means nothing to twap") as wrong:
        asked(stop_loss="2900", algo="twap", over="10m", slices="2")
    assert wrong.value.hint == "it belongs to --algo exit"


@pytest.mark.parametrize(("stop", "said"), [("2900", False), ("3000", True), ("5000", True)])
def test_an_exit_whose_price_is_reached_already_says_so_before_it_is_done(
    stop: str, said: bool, capsys: pytest.CaptureFixture[str]
) -> None:
    told_otherwise(asked(stop_loss=stop), SimpleNamespace(net_px=Decimal(3000)))  # type: ignore[arg-type]
    assert ("--stop-loss is reached already" in capsys.readouterr().out) is said


VENUES, HOLDING = ("paper", "dex"), ("paper",)


@pytest.mark.parametrize(
    ("at", "base", "pair", "holder"),
    [
        (None, "ETH", True, None),
        (None, "ETH@cex:paper", True, "paper"),
        (None, "ETH@cex:paper", False, None),
        (None, "ETH@cex:dex", True, None),
        ("here", "ETH@cex:paper", True, None),
        ("paper", "ETH", True, "paper"),
    ],
)
def test_who_is_to_hold_both(at: str | None, base: str, pair: bool, holder: str | None) -> None:
    assert chosen(at, base, pair, VENUES, HOLDING) == holder


@pytest.mark.parametrize(
    ("at", "pair", "code"),
    [("dex", True, "NO_PAIRS_THERE"), ("nyse", True, "UNKNOWN_VENUE"), ("paper", False, "NO_PAIR")],
)
def test_what_cannot_hold_both_is_refused_by_name(at: str, pair: bool, code: str) -> None:
    with pytest.raises(Usage) as no:
        chosen(at, "ETH", pair, VENUES, HOLDING)
    assert no.value.code == code and no.value.hint


def test_a_pair_at_an_exchange_says_who_holds_it_and_at_which_prices(
    capsys: pytest.CaptureFixture[str],
) -> None:
    here = asked(stop_loss="2900", take_profit="3100")
    told_otherwise(here, SimpleNamespace(net_px=Decimal(3000)), HOLDING)  # type: ignore[arg-type]
    said = capsys.readouterr().out
    assert EMULATED in said and "--at paper" in said and "--at dex" not in said
    there = asked(stop_loss="2900", take_profit="3100", at="paper")
    assert (there.algo, there.base) == ("oco", "ETH@cex:paper")
    told_otherwise(there, SimpleNamespace(net_px=Decimal(3000)), HOLDING)  # type: ignore[arg-type]
    said = capsys.readouterr().out
    assert (
        "at the exchange: paper holds both" in said
        and "stop-loss 2900, then an order limited at 2,885.5" in said
    )
    with pytest.raises(Usage, match="none is named"):
        asked(stop_loss="2900", take_profit="3100", algo="oco")


@pytest.mark.parametrize(
    ("side", "limit", "behind"), [("sell", None, "2885.5"), ("sell", "2800", "2800"), ("buy", None, "3115.5")]
)
def test_a_pair_is_given_once_and_never_again(side: str, limit: str | None, behind: str) -> None:
    stop, profit = ("2900", "3100") if side == "sell" else ("3100", "2900")
    request = request_of(
        directory(settings(), {}), algorithms(), side, "1", "ETH", "USDC", stop_loss=stop, take_profit=profit, limit=limit,
        at="paper",
    )  # fmt: skip
    parent = parent_of(request, "devnet", "0x", Protection.PRIVATE, "a", NOW)
    (child,) = oco.step(parent, progress(), NOW).children
    assert child.exits == Exits(Decimal(stop), Decimal(behind), Decimal(profit)) and child.limit_px is None
    assert (child.qty, child.base) == (1, "ETH@cex:paper")
    works = progress(leaves="0", working="1", children=1, unsettled=1)
    assert not oco.step(parent, works, NOW + 40 * DAY_NS).done, "it is cancelled first, and told then"
    assert oco.step(parent, progress(leaves="0.4", children=1), NOW).done == "FAILED", "the exchange ended it"
    assert oco.step(parent, progress(leaves="0.4", children=1), NOW + 31 * DAY_NS).done == "EXPIRED"
    assert oco.step(parent, progress(leaves="0", children=1), NOW).done == "FILLED"


def progress(leaves: str = "1", working: str = "0", children: int = 0, unsettled: int = 0) -> Progress:
    lot = Decimal("0.000001")
    return Progress(Decimal(leaves), Decimal(working), children, 0, unsettled, False, NOW, None, lot)


def test_orders_tells_what_it_waits_for() -> None:
    parent = parent_of(
        asked(stop_loss="2900", take_profit="3100"), "devnet", "0x", Protection.PRIVATE, "a", NOW
    )
    book = Book()
    book.apply(Accepted(parent, NOW))
    (told,) = orders_json(settings(), book, NOW, "77", False)["orders"]  # type: ignore[arg-type]
    assert told["waits_for"] == "stop-loss 2900 or take-profit 3100" and told["next"] == "all of it is sold"
    assert (told["held"], told["held_by"]) == (EMULATED, None)
    assert told["cancel"] == f"fairlead cancel {parent.cl_ord_id}"
    book.apply(Sliced(slice_of(parent, 0, parent.qty, parent.intent.expire_ns), NOW + 5))
    assert book.children[book.parents[parent.cl_ord_id].children[0]].sliced_ns == NOW + 5


@pytest.mark.parametrize(
    "text", ["", "d", "0s", "²d", "-1d", "1.5h", "1w", "9" * 5_000 + "s", "3654d", "99999999999d"]
)
def test_a_duration_has_an_end_and_plain_digits(text: str) -> None:
    with pytest.raises(Usage) as refused:
        seconds_of(text, "--over")
    assert refused.value.code == "BAD_DURATION" and "--over" in refused.value.message
    assert len(refused.value.message) < 100


def test_an_instant_beyond_all_calendars_can_still_be_told() -> None:
    assert seconds_of("3653d", "--over") == 3_653 * 86_400
    assert (
        instant(10**28) == "9999-12-31T23:59:59.000000000Z" and instant(1) == "1970-01-01T00:00:00.000000001Z"
    )
