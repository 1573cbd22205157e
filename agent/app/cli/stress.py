"""`fairlead stress [FILE] --shock ETH=-20%,USDC=-2%`: what would be liquidated, what falls first, and the surface as a page."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from agent.app.cli.output import emit_json, header, note, table
from chains.errors import Usage

if TYPE_CHECKING:
    from agent.app.stress import Horizon, Stress
    from agent.margin.surface import Member
    from agent.margin.transfers import Flight


@click.command("stress")
@click.argument("file", required=False)
@click.option(
    "--shock",
    required=True,
    metavar="LIST",
    help="Changes of prices, as ETH=-20%,USDC=-2%; wrapped and staked forms follow.",
)
@click.option("--vol", default="0%", metavar="PERCENT", help="Change of all implied volatilities, as +30%.")
@click.option(
    "--yearly",
    metavar="LIST",
    help="Yearly volatilities, as ETH=80%,BTC=60%: also tell the likeliest way to be liquidated.",
)
@click.option("--correlation", default="80%", metavar="PERCENT", help="Of every pair under --yearly.")
@click.option("--days", type=click.IntRange(1, 3650), default=30, help="The horizon of --yearly.")
@click.option(
    "--html", metavar="OUT", help="Also write a page with the surface drawn; needs nothing else to be read."
)
@click.option("--json", "as_json", is_flag=True, help="One JSON document on stdout.")
@click.pass_context
def command(
    ctx: click.Context,
    file: str | None,
    shock: str,
    vol: str,
    yearly: str | None,
    correlation: str,
    days: int,
    html: str | None,
    as_json: bool,
) -> None:
    """What of the wallet's accounts (or of an accounts/1 FILE) a shock would liquidate: a matrix, and what falls first."""
    from agent.app.stress import stress, stress_json
    from agent.app.watching.words import unknown_words
    from agent.margin.shocks import parse_percent, parse_shock

    asked, change = parse_shock(shock), parse_percent(vol)
    if change <= -1:
        raise Usage("BAD_SHOCK", "volatility cannot fall by all of it", "write --vol -50%")
    horizon = _horizon(yearly, correlation, days) if yearly else None
    members, symbols, line, flights = _from_file(file) if file is not None else _from_wallet(ctx)
    found = stress(members, symbols, asked, change, flights, horizon)
    if html is not None:
        _write(html, " · ".join(line), members, symbols, found)
    if told := unknown_words(found.unknown, len(found.rows)):
        note(told)
    if as_json:
        emit_json(stress_json(found))
        return
    header(*line)
    _show(found)


Book = tuple[list["Member"], dict[str, str], tuple[str, str, str], tuple["Flight", ...]]


def _horizon(yearly: str, correlation: str, days: int) -> Horizon:
    from agent.app.stress import Horizon
    from agent.margin.shocks import parse_percent, parse_shock

    vols, pair = parse_shock(yearly), parse_percent(correlation)
    if any(v <= 0 or v > 10 for v in vols.values()) or not -1 < pair < 1:
        why = "volatilities are above 0 and at most 1000 %, a correlation is between -100 % and 100 %"
        raise Usage("BAD_SHOCK", why, "write --yearly ETH=80% --correlation 80%")
    return Horizon(vols, pair, days)


def _from_file(file: str) -> Book:
    from agent.app.cli.health import text_of
    from agent.app.watching.words import many
    from agent.margin.accounts import flights_of, judge_text
    from agent.margin.surface import Member

    text = text_of(file)
    judged = judge_text(text)
    members = [j.member or Member(j.id, None, None, 0, j.why) for j in judged]
    symbols = dict(judged[0].symbols) if judged else {}
    name = Path(file).name if file != "-" else "standard input"
    return members, symbols, ("file", name, many(len(judged), "account")), flights_of(text)


def _from_wallet(ctx: click.Context) -> Book:
    from agent.app.bridging.flying import flights_to
    from agent.app.cli.common import load_settings
    from agent.app.readonly import read_crossings
    from agent.app.watching.accounts import accounts_of
    from agent.app.watching.book import members_of
    from agent.app.watching.reading import head_words, read

    settings = load_settings(ctx)
    told = read(settings, accounts_of)
    if told.halt is not None:
        raise told.halt
    for name, why in told.unconfirmed.items():
        note(f"{name}: {why}")
    members, symbols = members_of(told.found, told.loans)
    known = [] if settings.watch_only else read_crossings(settings)
    return (
        members,
        symbols,
        (settings.environment.value, settings.wallet.address, head_words(told.heads, told.now_s)),
        tuple(flight for one in told.found for flight in flights_to(settings, known, one)),
    )


def _write(out: str, title: str, members: Any, symbols: Any, found: Stress) -> None:
    from agent.app.surface_page import page

    try:
        Path(out).write_text(page(title, members, symbols, found), encoding="utf-8")
    except OSError as problem:
        why = f"{out} cannot be written: {problem.strerror}"
        raise Usage("UNWRITABLE_FILE", why, "name another file after --html") from None
    note(f"the surface is drawn in {out}")


def _show(found: Stress) -> None:
    from agent.app.stress import PARTS_PCT, percent
    from agent.app.surface_page import factor_text
    from agent.margin.model import State

    if not found.rows:
        print("\nno account to shake")
        return
    rows = []
    for r in found.rows:
        cells = []
        for state, factor in zip(r.states, r.factors, strict=True):
            sign = {State.LIQUIDATABLE: "✗ ", State.AT_RISK: "! ", State.UNKNOWN: "? "}.get(state, "")
            cells.append("UNKNOWN" if state is State.UNKNOWN else sign + factor_text(factor))
        rows.append([r.member.name, *cells])
    print()
    table(["account", *(f"{p} %" for p in PARTS_PCT)], rows, right=list(range(1, 7)))
    print("health or margin ratio at each part of the shock; ✗ liquidated, ! at risk\n")
    for f in found.falls:
        if f.state is State.UNKNOWN:
            why = next(r.member.why for r in found.rows if r.member.name == f.name)
            print(f"UNKNOWN    {f.name}: {why}")
        elif f.part is not None:
            drags = f"; then soon {', '.join(f.drags)}" if f.drags else ""
            print(f"falls      {f.name} at {percent(f.part)} % of the shock{drags}")
    for f in found.with_transfers:
        when = f"at {percent(f.part)} % of the shock" if f.part is not None else "not at all"
        print(f"in flight  {f.name} would fall {when}, had what is on its way to it arrived")
    for name, point in (found.likely or {}).items():
        if point is not None:
            moves = ", ".join(
                f"{asset} {float(move - 1) * 100:+.1f} %" for asset, move in point.moves.items()
            )
            print(
                f"likeliest  {name}: {moves}; {point.sigmas:.2f} sigma, {point.within * 100:.2f} % within the horizon"
            )
    if found.unmoved:
        print(f"unmoved    {', '.join(found.unmoved)}")
    gone = found.liquidated
    known = ", ".join(gone) if gone else "none that is known" if found.unknown else "none"
    print(
        f"liquidated {known}"
        + (f" (and what is UNKNOWN is not safe: {', '.join(found.unknown)})" if found.unknown else "")
    )
