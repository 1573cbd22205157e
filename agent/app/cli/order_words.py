"""The words of an order, as `quote` and `trade` take them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

import click

F = TypeVar("F", bound=Callable[..., Any])


def order_words(function: F) -> F:
    for option in reversed(
        (
            click.argument("side", metavar="sell|buy|QUOTE_ID"),
            click.argument("qty", required=False),
            click.argument("base", required=False),
            click.option(
                "--for", "quote", metavar="ASSET", help="What is received for a sale, or paid for a purchase."
            ),
            click.option("--limit", metavar="PX", help="No worse than this net price, in the other asset."),
            click.option("--algo", metavar="NAME", help="market (default), limit, twap, exit, oco, bracket."),
            click.option(
                "--stop-loss",
                metavar="PX",
                help="Do it once the net price is this bad. With --take-profit one ends the other.",
            ),
            click.option(
                "--take-profit",
                metavar="PX",
                help="Do it once the net price is this good, at that price or better.",
            ),
            click.option(
                "--then-stop-loss",
                metavar="PX",
                help="Once it is filled: a stop for what it brought. With --then-take-profit a bracket.",
            ),
            click.option(
                "--then-take-profit",
                metavar="PX",
                help="Once it is filled: a take-profit for what it brought.",
            ),
            click.option(
                "--at",
                metavar="EXCHANGE",
                help="This exchange holds both exits as a pair, also while nothing runs here; with --limit and --then-… the entry rests there, its exits in the same list where it holds such; 'here' for watched by this process.",
            ),
            click.option(
                "--over",
                metavar="DURATION",
                help="For twap: how long, like 10m. For exit, oco and bracket: how long it waits.",
            ),
            click.option("--slices", type=click.IntRange(1, 10_000), help="For twap: how many."),
            click.option(
                "--max-slippage-bps",
                type=int,
                default=50,
                show_default=True,
                help="How far below its plan an execution may fall.",
            ),
            click.option(
                "--protection",
                type=click.Choice(("private", "public", "intent")),
                help="How it travels: by private relays, openly, or as a signed order that others settle. The settings' by default.",
            ),
            click.option("--json", "as_json", is_flag=True, help="One JSON document on stdout."),
        )
    ):
        function = option(function)
    return function
