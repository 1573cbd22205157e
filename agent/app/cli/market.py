"""`fairlead market snapshot|show|watch`: the live market as a file, as a table, and as it moves."""

from __future__ import annotations

import json
import os
import sys
import time
from contextlib import AsyncExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from agent.app.cli.groups import Sentences
from agent.app.cli.output import emit_json, header, note, table
from agent.app.watching.words import many
from chains.errors import Usage

if TYPE_CHECKING:
    from agent.app.market_table import Quoted
    from agent.app.wiring import App
    from agent.market.view import MarketView


@click.group("market", cls=Sentences)
def command() -> None:
    """The live market over every configured pool and book."""


async def _view(app: App) -> MarketView:
    view = await app.market.whole()
    for name, why in {**app.market.left_out, **app.unreachable}.items():
        note(f"left out: {name}: {why}")
    return view


@command.command("snapshot")
@click.option(
    "--out", required=True, type=click.Path(path_type=Path), metavar="FILE", help="Where it is written."
)
@click.option("--force", is_flag=True, help="Replace FILE where it exists.")
@click.option("--json", "as_json", is_flag=True, help="One JSON document on stdout.")
@click.pass_context
def snapshot(ctx: click.Context, out: Path, force: bool, as_json: bool) -> None:
    """Write the market as a market/1 file, which `fairlead route` answers from with no network."""
    from agent.app.cli.common import load_settings, with_app
    from agent.market.file import parse_text
    from agent.market.write import market_json

    settings = load_settings(ctx)
    if out.exists() and not force:
        raise Usage("FILE_EXISTS", f"{out} is there already", "name another, or add --force")

    async def work(app: App, stack: AsyncExitStack) -> tuple[MarketView, str]:
        return await _view(app), await app.head_line()

    view, heads = with_app(settings, work)
    at = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
    document = {**market_json(view), "note": f"{settings.environment.value}, {at}"}
    loaded = parse_text(json.dumps(document))
    _write(out, document)
    facts = {
        "file": str(out), "pools": len(view.pools), "books": len(view.books), "assets": len(view.assets),
        "market_digest": loaded.digest,
    }  # fmt: skip
    if as_json:
        emit_json(facts)
        return
    header(settings.environment.value, settings.wallet.address, heads)
    print(
        f"{many(len(view.pools), 'pool')} and {many(len(view.books), 'book')} written to {out}, digest {loaded.digest[:12]}"
    )
    print(f"try: fairlead route {out} --sell ASSET --qty Q --buy ASSET --cross-domain")


def _write(out: Path, document: dict[str, Any]) -> None:
    spare = out.with_name(f".{out.name}.{os.getpid()}")
    try:
        spare.write_text(json.dumps(document, ensure_ascii=False, indent=1) + "\n", encoding="utf-8")
        spare.replace(out)
    except OSError as wrong:
        spare.unlink(missing_ok=True)
        raise Usage(
            "UNWRITABLE", f"{out} cannot be written: {wrong.strerror}", "name another file"
        ) from wrong


@command.command("show")
@click.option("--json", "as_json", is_flag=True, help="One JSON document on stdout.")
@click.pass_context
def show(ctx: click.Context, as_json: bool) -> None:
    """Every pool and book with its mid price and fee."""
    from agent.app.cli.common import load_settings, with_app
    from agent.app.market_table import quoted

    settings = load_settings(ctx)

    async def work(app: App, stack: AsyncExitStack) -> tuple[list[Quoted], str, dict[str, str]]:
        view = await _view(app)
        return quoted(app, view), await app.head_line(), {**app.market.left_out, **app.unreachable}

    rows, heads, left_out = with_app(settings, work)
    if as_json:
        emit_json(
            {
                "markets": [
                    {"place": r.place, "id": r.id, "kind": r.kind, "base": r.base, "quote": r.quote,
                     "mid_px": r.mid, "fee_bps": r.fee_bps, "age_s": r.age_s}
                    for r in rows
                ],
                "left_out": left_out,
            }
        )  # fmt: skip
        return
    header(settings.environment.value, settings.wallet.address, heads)
    shown = [
        [r.where, r.kind, f"{r.base}/{r.quote}", r.mid, r.fee_bps, f"{r.age_s} s", r.short] for r in rows
    ]
    table(("where", "kind", "pair", "mid price", "fee bps", "age", "id"), shown, right=(3, 4, 5))


@command.command("watch")
@click.option("--count", type=click.IntRange(1), help="Stop after so many lines.")
@click.option("--every", type=click.FloatRange(0.2, 3600), default=1.0, show_default=True, help="Seconds.")
@click.pass_context
def watch(ctx: click.Context, count: int | None, every: float) -> None:
    """Mid prices of each place, a line at a time, until Ctrl-C: the median of its pools or its book."""
    from agent.app.cli.common import load_settings, with_app
    from agent.app.market_table import by_place, quoted

    settings = load_settings(ctx)

    async def work(app: App, stack: AsyncExitStack) -> None:
        header(settings.environment.value, settings.wallet.address, await app.head_line())
        printed = 0
        while count is None or printed < count:
            rows = by_place(quoted(app, await app.market.whole()))
            told = "  ".join(f"{where} {pair} {mid}" for where, pair, mid in rows)
            gone = [*app.market.left_out, *app.unreachable]
            print(
                time.strftime("%H:%M:%SZ ", time.gmtime())
                + told
                + (f"  left out: {', '.join(gone)}" if gone else ""),
                flush=True,
            )
            printed += 1
            if count is None or printed < count:
                await app.clock.sleep(every)

    try:
        with_app(settings, work)
    except Usage as stopped:
        if stopped.code != "INTERRUPTED":
            raise
        sys.stdout.flush()  # Ctrl-C is how a watch ends
