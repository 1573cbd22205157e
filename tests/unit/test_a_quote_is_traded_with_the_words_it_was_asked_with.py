"""`quote … --limit --then-stop-loss` and then `trade q-…`: the order that was quoted, its limit and its exits with it."""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import click
import pytest
from journal_moves import route
from settings_values import values

from agent.app import template
from agent.app.cli.order_words import order_words
from agent.app.cli.quotes import asked_with, hold, with_its_words, words_of
from agent.app.intents import Request, request_of
from agent.app.places import directory
from agent.app.settings import parse
from agent.app.wiring import algorithms
from agent.domain.errors import Reject, Usage
from agent.domain.events import Quoted
from agent.journal.book import Book
from agent.journal.registry import event_codec

NOW = 1_800_000_000 * 10**9
HERE = Path("/nowhere/fairlead.toml")
QUOTED = ("--limit", "2990", "--at", "paper", "--then-stop-loss", "2800", "--max-slippage-bps", "70")


def typed(*options: str) -> dict[str, Any]:
    """The options of an order as the command line reads them."""
    found: dict[str, Any] = {}

    @click.command()
    @order_words
    def command(side: str, qty: str, base: str, quote: str, as_json: bool, **words: Any) -> None:
        found.update(words)

    command.main(["q-1", *options], standalone_mode=False)
    return found


def quoted(*options: str, net_px: str | None = "3000") -> Quoted:
    """As the journal gives it back."""
    px = None if net_px is None else Decimal(net_px)
    event = Quoted("q-1", "buy", "ETH", "USDC", Decimal(2), route(), NOW, words_of(typed(*options)), px)
    codec = event_codec()
    _, version, payload = codec.encode(event)
    read: Quoted = codec.decode("Quoted", version, payload)
    assert read == event
    return read


def request(words: dict[str, Any], side: str = "buy") -> Request:
    settings = parse(template.render(values(), HERE), HERE).settings
    return request_of(directory(settings, {}), algorithms(), side, "2", "ETH", "USDC", **words)


def test_the_limit_and_the_exits_of_a_quote_are_those_of_its_trade() -> None:
    words = with_its_words(quoted(*QUOTED), typed())
    assert words == typed(*QUOTED)
    wanted = request(words)
    assert (wanted.algo, wanted.limit_px, wanted.max_slippage_bps) == ("bracket", Decimal(2990), 70)
    assert dict(wanted.algo_params) == {"then-at": "paper", "then-stop-loss": "2800"}
    twap = ("--algo", "twap", "--over", "10m", "--slices", "4")
    assert request(with_its_words(quoted(*twap), typed())) == request(typed(*twap))


def test_a_word_may_be_said_again_or_added_but_not_changed() -> None:
    assert with_its_words(quoted(*QUOTED), typed(*QUOTED)) == typed(*QUOTED)
    assert with_its_words(quoted(), typed("--protection", "private")) == typed("--protection", "private")
    for other in (("--limit", "3100"), ("--then-stop-loss", "2500"), ("--max-slippage-bps", "500")):
        with pytest.raises(Usage, match=f"{other[0]} {other[1]}: quote q-1 was asked with {other[0]}") as no:
            with_its_words(quoted(*QUOTED), typed(*other))
        assert no.value.code == "QUOTE_OTHERWISE" and no.value.hint


def test_a_quote_of_an_older_journal_has_the_words_that_are_typed_now() -> None:
    codec = event_codec()
    _, version, payload = codec.encode(Quoted("q-1", "buy", "ETH", "USDC", Decimal(2), route(), NOW))
    trimmed = payload.replace(b',"words":[]', b"").replace(b'"net_px":null,', b"")
    assert trimmed != payload and b"words" not in trimmed and b"net_px" not in trimmed
    read: Quoted = codec.decode("Quoted", version, trimmed)
    assert with_its_words(read, typed("--limit", "2990")) == typed("--limit", "2990")
    plain = request({})
    assert hold(read, plain, SimpleNamespace(net_px=Decimal(9000))) == plain  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("side", "now", "held"),
    [("buy", "3014", "3015"), ("buy", "3016", None), ("sell", "2986", "2985"), ("sell", "2984", None)],
)
def test_a_market_order_of_a_quote_is_held_to_its_price_less_the_slippage(
    side: str, now: str, held: str | None
) -> None:
    found: Any = SimpleNamespace(net_px=Decimal(now))
    if held is not None:
        assert hold(quoted(), request({}, side), found).limit_px == Decimal(held)
        return
    with pytest.raises(Reject, match="quote q-1 was at 3,000") as no:
        hold(quoted(), request({}, side), found)
    assert no.value.code == "QUOTE_MOVED" and no.value.hint


def test_what_names_no_quote_is_what_was_typed() -> None:
    words = typed("--limit", "2990")
    assert asked_with(SimpleNamespace(), "buy", words) == (None, words)  # type: ignore[arg-type]
    wanted = request(words)
    assert hold(None, wanted, SimpleNamespace(net_px=Decimal(1))) == wanted  # type: ignore[arg-type]
    book = Book()
    book.apply(quoted(*QUOTED))
    assert dict(book.quotes["q-1"].words)["then_stop_loss"] == "2800"
