"""`fairlead health [FILE]`: collateral health as the protocol itself computes it, and where liquidation begins."""

from __future__ import annotations

import sys
from collections import defaultdict
from decimal import Decimal, InvalidOperation
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from agent.app.cli.output import emit_json, header, note, plain, table
from chains.bounded_file import DOCUMENT_BYTES, read_at_most
from chains.errors import FairleadError, Usage

if TYPE_CHECKING:
    from collections.abc import Mapping

    from agent.app.rescue.hedge import Rule
    from agent.app.settings_tree import Settings
    from agent.app.watching.aave import ChainHealth
    from agent.app.watching.loans import Loan
    from agent.margin.accounts import Judged
    from agent.margin.fixes import Fix
    from agent.margin.model import Health, LiquidationPx
    from agent.margin.transfers import Flight
    from chains.followed import Followed

CHANGES_SHOWN = 3
FACTORS = (Decimal("0.01"), Decimal(1000))
"""What --below takes."""


@click.command("health")
@click.argument("file", required=False)
@click.option("--json", "as_json", is_flag=True, help="One JSON document on stdout.")
@click.option(
    "--alert",
    is_flag=True,
    help="Also alert what is not SAFE: once, again when it worsens or stays so for six hours.",
)
@click.option("--watch", is_flag=True, help="Again and again until q or Ctrl-C; on a terminal in place.")
@click.option(
    "--every", type=click.FloatRange(0.2, 3600), default=5.0, show_default=True, help="Seconds, for --watch."
)
@click.option("--count", type=click.IntRange(1), help="For --watch: stop after so many looks.")
@click.option(
    "--below",
    metavar="FACTOR",
    help="Of a FILE: only accounts whose health factor or margin ratio is below it, and what is UNKNOWN.",
)
@click.pass_context
def command(
    ctx: click.Context,
    file: str | None,
    as_json: bool,
    alert: bool,
    watch: bool,
    every: float,
    count: int | None,
    below: str | None,
) -> None:
    """Health factor, liquidation price per asset and state: of the settings' wallet on every chain, or of an accounts/1 FILE."""
    if watch and (as_json or file is not None):
        raise Usage(
            "WATCH_ALONE", "--watch draws the settings' wallet for people to read", "leave out --json or FILE"
        )
    if file is not None:
        if alert:
            raise Usage(
                "NO_ALERTS_HERE",
                "alerts belong to the settings' wallet, not to a file",
                "leave out --alert or FILE",
            )
        _file(file, as_json, None if below is None else _threshold(below))
        return
    if below is not None:
        raise Usage("NO_FILE", "--below picks accounts of a file", "name an accounts/1 file")
    from agent.app.cli.common import load_settings

    settings = load_settings(ctx)
    if watch:
        from agent.app.cli.watching import drawn_again
        from chains.followed import Followed

        # One bad endpoint does not end it: the others are to be watched.
        kept: dict[int, Followed] = defaultdict(Followed)
        drawn_again(lambda: _look(settings, False, alert, kept), every, count)
    elif halt := _look(settings, as_json, alert):
        raise halt


def _look(
    settings: Settings, as_json: bool, alert: bool, kept: Mapping[int, Followed] | None = None
) -> FairleadError | None:
    """One look, told whole; gives back what is wrong with the installation itself, if anything."""
    from agent.app.bridging.flying import flights_to
    from agent.app.readonly import read_crossings
    from agent.app.watching.aave import name_of
    from agent.app.watching.accounts import accounts_of
    from agent.app.watching.reading import head_words, read

    told = read(settings, lambda reading: accounts_of(reading, kept))
    found, loans, now_s = told.found, told.loans, told.now_s
    known = [] if settings.watch_only else read_crossings(settings)
    coming = {name_of(one): flights_to(settings, known, one) for one in found}
    if alert:
        from agent.app.health_alerts import tell

        tell(settings, found, loans, now_s)
    unknown = [name_of(one) for one in found if one.state.value == "UNKNOWN" and not one.empty]
    unknown += [loan.judged.id for loan in loans if loan.judged.state.value == "UNKNOWN"]
    _warn(unknown, len(found) + len(loans))
    for name, why in told.unconfirmed.items():
        note(f"{name}: {why}")
    followed = {} if kept is None else {c.name: kept[c.chain_id] for c in settings.chains}
    for name, of in followed.items():
        if of.distrusted:
            note(f"{name}: {of.distrusted}")
    if as_json:
        emit_json(
            {
                "environment": settings.environment.value,
                "wallet": settings.wallet.address,
                "accounts": [_live_json(one) | _coming_json(one, coming[name_of(one)]) for one in found]
                + [_loan_json(one) for one in loans],
                "unknown": unknown,
                "hedges": hedges_of(settings),
            }
        )
        return told.halt
    header(settings.environment.value, settings.wallet.address, head_words(told.heads, now_s))
    if not found and not loans:
        print("\nnone of the configured chains has an Aave market")
    for one in found:
        _show_chain(one, now_s)
        _show_coming(one, coming[name_of(one)])
    for loan in loans:
        _show_judged(loan.judged)
        if loan.block is not None:
            print(f"  read at         block {loan.block.number}")
    for one_hedge in hedges_of(settings):
        print(f"\nhedge in place  {one_hedge['words']} for the rule {one_hedge['rule']}; it raises no health")
    _falls_first(found, loans)
    changed = [(name, change) for name, of in followed.items() for change in of.changes[-CHANGES_SHOWN:]]
    for n, (name, change) in enumerate(changed):
        print("" if n else "\nchanged\n", end="")
        print(f"  {name} block {change.block} by {change.tx_hash}")
    return told.halt


def hedges_of(settings: Settings) -> list[dict[str, str]]:
    """What rescues hold sold elsewhere against accounts in danger, as this machine's journal has it."""
    every: list[Rule] = [*settings.rescues, *settings.margin_rescues]
    rules = [rule for rule in every if rule.hedge_at is not None]
    if not rules:
        return []
    from agent.app.readonly import read_book
    from agent.app.rescue.hedge import stands, stands_words

    book = read_book(settings)
    held = {} if book is None else {r.name: (r, stands(book, r)) for r in rules}
    return [
        {
            "rule": name,
            "at": str(r.hedge_at),
            "with": str(r.hedge_with),
            "qty": plain(qty),
            "words": stands_words(r, qty),
        }
        for name, (r, qty) in held.items()
        if qty
    ]


def _coming_json(one: ChainHealth, flights: tuple[Flight, ...]) -> dict[str, Any]:
    """What a bridge is bringing to that chain, counted with its haircut, and what the account would be with it."""
    from agent.app.bridging.flying import with_arrivals

    if not flights:
        return {"in_flight": [], "health_with_flights_1e18": None}
    told = with_arrivals(one, flights)
    rows = [{"asset": f.asset, "raw": str(f.raw), "counts_raw": str(f.counted_raw)} for f in flights]
    return {"in_flight": rows, "health_with_flights_1e18": None if told is None else str(told)}


def _show_coming(one: ChainHealth, flights: tuple[Flight, ...]) -> None:
    from agent.app.bridging.flying import with_arrivals
    from agent.domain.units import qty_exact

    decimals = {r.asset: r.decimals for r in one.account.reserves} if one.account is not None else {}
    for f in flights:
        symbol, digits = one.symbols.get(f.asset, f.asset), decimals.get(f.asset, 0)
        raw, counts = (f"{qty_exact(n, digits):f}" for n in (f.raw, f.counted_raw))
        print(f"  on its way      {raw} {symbol}, of which {counts} count until it is there")
    if (told := with_arrivals(one, flights)) is not None:
        print(f"  with it         {plain(Decimal(told).scaleb(-18))}")


def _falls_first(found: list[ChainHealth], loans: list[Loan]) -> None:
    """The order of falling, were everything but dollar coins to fall alike."""
    from agent.app.stress import fall_together, percent
    from agent.app.watching.book import members_of
    from agent.margin.surface import STEPS

    members, symbols = members_of(found, loans)
    falls = [f for f in fall_together(members, symbols) if f.part is None or f.part <= STEPS]
    if not any(f.part is not None or f.state.value == "UNKNOWN" for f in falls):
        return
    print("\nfalls first, were all but dollar coins to fall alike")
    for f in falls:
        if f.state.value == "UNKNOWN":
            print(f"  {f.name}: UNKNOWN, it may have fallen already")
        elif f.part is not None:
            drags = f"; then soon {', '.join(f.drags)}" if f.drags else ""
            print(f"  {f.name}: at -{percent(f.part)} %{drags}")


# ---- an accounts/1 file


def _threshold(below: str) -> Decimal:
    """Raises Usage BAD_FACTOR."""
    try:
        found = Decimal(below)
    except InvalidOperation:
        found = Decimal("NaN")
    if not (found.is_finite() and FACTORS[0] <= found <= FACTORS[1]):
        least, most = (plain(edge) for edge in FACTORS)
        why = f"'{below}' is no health factor from {least} to {most}"
        raise Usage("BAD_FACTOR", why, "write --below 1.1")
    return found


def _file(file: str, as_json: bool, below: Decimal | None) -> None:
    from agent.app.watching.words import many
    from agent.domain.units import raw_up
    from agent.margin.accounts import health_json, judge_below, read_text
    from agent.margin.accounts import judged as judged_one

    accounts = read_text(text_of(file))
    if below is None:
        judged = [judged_one(one) for one in accounts]
    else:
        judged = judge_below(accounts, raw_up(below, 18))
    unknown = [j.id for j in judged if j.state.value == "UNKNOWN"]
    _warn(unknown, len(accounts))
    if as_json:
        emit_json(
            {
                "accounts": [
                    health_json(j.id, j.model, j.health, j.price_decimals, j.why, j.fix) for j in judged
                ],
                "unknown": unknown,
                **({} if below is None else {"looked_at": len(accounts)}),
            }
        )
        return
    name = Path(file).name if file != "-" else "standard input"
    shown = "" if below is None else f", {len(judged) - len(unknown)} below {plain(below)}"
    header("file", name, many(len(accounts), "account") + shown)
    for one in judged:
        _show_judged(one)


def _warn(unknown: list[str], of: int) -> None:
    """On stderr, whatever stdout is read by."""
    from agent.app.watching.words import unknown_words

    if told := unknown_words(unknown, of):
        note(told)


def _show_judged(one: Judged) -> None:
    print(f"\n{one.id} · {one.model} · {one.chain} · {_coloured(one.state.value)}")
    if one.health is None:
        print(f"  {one.why}")
        return
    _summary(one.health, one.symbols, one.decimals)
    _prices(one)
    _fix(one.fix, one.symbols, one.decimals)


def text_of(file: str) -> bytes:
    try:
        return read_at_most(file, DOCUMENT_BYTES)
    except FileNotFoundError:
        raise Usage("NO_SUCH_FILE", f"there is no file {file}", "name an accounts/1 file") from None
    except OSError as problem:
        why = f"{file} cannot be read: {problem.strerror}"
        raise Usage("UNREADABLE_FILE", why, "name an accounts/1 file") from None


def _prices(one: Judged) -> None:
    from agent.app.watching.words import quantity
    from agent.margin.accounts import px_text

    assert one.health is not None
    rows = []
    for px in one.health.liquidation_px:
        digits = one.price_decimals if px.decimals is None else px.decimals
        now = quantity(Decimal(px.now_raw).scaleb(-digits), 8)
        rows.append([one.symbols.get(px.asset, px.asset), now, *_liquidation(px, digits)])
    dollars = one.health.value_unit.startswith("USD")
    columns = ["asset", "price USD" if dollars else "price", "liquidated", "distance"]
    if gone := {px.asset: px_text(px, one.price_decimals) for px in one.health.bankruptcy_px}:
        columns.append("bankrupt")
        for px, row in zip(one.health.liquidation_px, rows, strict=True):
            row.append(gone.get(px.asset) or "at no price")
    table(columns, rows, right=[1, 3])


def _liquidation(found: LiquidationPx, digits: int = 8) -> list[str]:
    """Shortened the safe way: what is shown is reached no later than the exact price, which --json tells."""
    from agent.app.watching.words import quantity, quantity_up

    if found.px_raw is None:
        return ["at no price", ""]
    px, places = Decimal(found.px_raw).scaleb(-digits), 4 if found.px_raw >= 10**digits else 8
    shown = quantity_up(px, places) if found.side.value == "below" else quantity(px, places)
    distance = found.distance_pct_down
    sign = "-" if found.side.value == "below" else "+"
    return [f"{found.side.value} {shown}", f"{sign}{plain(distance)} %" if distance else "passed"]


# ---- the settings' wallet


def _show_chain(one: ChainHealth, now_s: int) -> None:
    from agent.app.watching.words import age, amount, quantity_up
    from agent.domain.units import qty_exact

    where = f"{one.chain.name} at {one.pool}" if one.pool is not None else one.chain.name
    print(f"\naave v3 on {where} · {_coloured(one.state.value)}")
    if one.trouble:
        print(f"  {one.trouble}")
    if one.found is not None and not one.found.reserves:
        print("  nothing supplied and nothing borrowed")
        return
    if one.account is not None and one.health is not None and one.found is not None:
        at = one.found.block.timestamp
        rows = []
        for r, px in zip(one.account.reserves, one.health.liquidation_px, strict=True):
            supply, debt, price = one.engine.supply_raw(r, at), one.engine.debt_raw(r, at), px.now_raw
            used = bool(supply) and one.engine.counts(r)
            counts = f"{plain(Decimal(one.account.threshold_bps(r)).scaleb(-2))} %" if used else "not"
            rows.append(
                [
                    one.symbols.get(r.asset, r.asset),
                    amount(supply, r.decimals, 4) if supply else "",
                    counts if supply else "",
                    quantity_up(qty_exact(debt, r.decimals), 4) if debt else "",
                    plain(Decimal(price).scaleb(-8)),
                    *_liquidation(px),
                ]
            )
        columns = ["asset", "supplied", "counts", "borrowed", "price USD", "liquidated", "distance"]
        table(columns, rows, right=[1, 2, 3, 4, 6])
        decimals = {r.asset: r.decimals for r in one.account.reserves}
        _summary(one.health, one.symbols, decimals)
        _fix(one.fix, one.symbols, decimals)
    if one.found is not None:
        print(f"  age of data     {age(now_s - one.found.block.timestamp)}")
        theirs = one.found.data.health_1e18
        told = "no debt" if theirs == 2**256 - 1 else plain(Decimal(theirs).scaleb(-18))
        verdict = {True: "equal to the last digit", False: "NOT EQUAL", None: "not computed here"}[one.equal]
        print(f"  contract says   {told}   ({verdict}, block {one.found.block.number})")
    if one.equal is False:
        note("the model and the contract differ: trust the contract, and treat this account as unknown")


def _summary(health: Health, symbols: Mapping[str, str], decimals: Mapping[str, int]) -> None:
    from agent.app.watching.words import age, quantity, quantity_up

    unit, name = value_unit(health.value_unit, symbols, decimals)
    factor = "none: no debt" if health.health_1e18 is None else plain(Decimal(health.health_1e18).scaleb(-18))
    margin = health.maintenance_raw is not None
    print(f"  {'margin ratio ' if margin else 'health factor'}   {factor}")
    print(
        f"  {'equity    ' if margin else 'collateral'}      {quantity(health.collateral_value_raw * unit, 2)}{name}"
    )
    if health.debt_value_raw or not margin:
        print(f"  debt            {quantity_up(health.debt_value_raw * unit, 2)}{name}")
    if health.maintenance_raw is not None:
        print(f"  maintenance     {quantity_up(health.maintenance_raw * unit, 2)}{name}")
    if health.initial_raw is not None:
        print(f"  initial         {quantity_up(health.initial_raw * unit, 2)}{name}")
    if health.distance_pct_down:
        print(f"  distance        {plain(health.distance_pct_down)} % of one price")
    if health.seconds_to_liquidation:
        print(f"  by interest     {age(health.seconds_to_liquidation)} at today's prices and rates")


def value_unit(told: str, symbols: Mapping[str, str], decimals: Mapping[str, int]) -> tuple[Decimal, str]:
    """What one of a model's `value_unit` is worth of what a person counts in, and that one's name with a space before it.

    `told` is `USD_1eN`, `raw of ASSET` or `1eN of …`; base units of an asset whose decimals are not known stay what they are.
    """
    if told.startswith("USD_1e"):
        return Decimal(1).scaleb(-int(told[6:])), " USD"
    scale, _, of = told.partition(" of ")
    if scale.startswith("1e"):
        return Decimal(1).scaleb(-int(scale[2:])), f" of {of}"
    if of in decimals:
        return Decimal(1).scaleb(-decimals[of]), f" {symbols.get(of, of)}"
    return Decimal(1), f" base units of {of}" if of else " base units"


def _fix(fix: Fix | None, symbols: Mapping[str, str], decimals: Mapping[str, int]) -> None:
    from agent.app.watching.words import quantity_up
    from agent.domain.units import qty_exact

    if fix is None:
        return
    digits = decimals.get(fix.asset, 8)
    shown = quantity_up(qty_exact(fix.raw, digits), min(digits, 6))
    stays = " (it stays at risk while its collateral is being sold)" if fix.eases_only else ""
    print(f"  cheapest fix    {fix.do.replace('_', ' ')} {shown} {symbols.get(fix.asset, fix.asset)}{stays}")


def _loan_json(loan: Loan) -> dict[str, Any]:
    from agent.margin.accounts import health_json

    j = loan.judged
    told = health_json(j.id, j.model, j.health, j.price_decimals, j.why, j.fix) | {"chain": j.chain}
    told["block"] = loan.block.number if loan.block else None
    told["timestamp"] = loan.block.timestamp if loan.block else None
    return told


def _live_json(one: ChainHealth) -> dict[str, Any]:
    from agent.app.watching.aave import name_of
    from agent.margin.accounts import health_json

    health = None if one.trouble else one.health
    told = health_json(
        name_of(one), one.model or "aave_v3", health, one.engine.price_decimals, one.trouble, one.fix
    )
    told |= {
        "chain": f"eip155:{one.chain.chain_id}",
        "block": None,
        "timestamp": None,
        "contract": None,
        "equal": one.equal,
    }
    if one.found is None:
        return told
    data, at = one.found.data, one.found.block.timestamp
    told |= {"block": one.found.block.number, "block_hash": one.found.block.hash, "timestamp": at}
    told["contract"] = {
        "health_1e18": None if data.health_1e18 == 2**256 - 1 else str(data.health_1e18),
        "collateral_value_raw": str(data.collateral_base),
        "debt_value_raw": str(data.debt_base),
        "available_borrows_raw": str(data.available_borrows_base),
        "ltv_bps": data.ltv_bps,
        "liquidation_threshold_bps": data.liquidation_threshold_bps,
        "revision": one.found.revision,
    }
    told["positions"] = [
        {
            "asset": r.asset,
            "symbol": one.symbols.get(r.asset, ""),
            "supplied_raw": str(one.engine.supply_raw(r, at)),
            "debt_raw": str(one.engine.debt_raw(r, at)),
            "collateral_enabled": r.collateral_enabled,
            "price_1e8": str(r.price_1e8),
        }
        for r in (one.account.reserves if one.account else ())
    ]
    return told


def _coloured(state: str) -> str:
    if not sys.stdout.isatty():
        return state
    return {"SAFE": "\033[32m", "AT_RISK": "\033[33m"}.get(state, "\033[1;31m") + state + "\033[0m"
