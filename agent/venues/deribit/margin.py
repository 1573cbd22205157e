"""Deribit's margin accounts as accounts/1, for the models that judge them (agent/margin/deribit_sm, deribit_pm). Pure.

Each currency's account answers for what settles in it. Segregated portfolio margin is `portfolio`'s; of segregated standard margin the maintenance is also asked for open orders and
options; where the account's own figure is above the sum of its contracts', theirs are taken for so much more.
"""

from __future__ import annotations

from collections.abc import Mapping
from decimal import ROUND_CEILING, ROUND_FLOOR, Decimal
from typing import Any

from agent.domain.errors import Usage
from agent.domain.instruments import cex_id
from agent.domain.units import WIDE
from agent.market.reading import above_zero, understood
from agent.market.reading import name as text_of
from agent.market.reading import number as exact
from agent.venues import number
from agent.venues.deribit.codec import Market
from agent.venues.deribit.portfolio import PORTFOLIO, settled_in

DIGITS = 8
DOLLARS = frozenset({"USDC", "USDT", "USDE"})
"""Counted as a dollar, as the venue does for margin."""
JUDGED = frozenset({"segregated_sm", PORTFOLIO})
PLACES = Decimal("1e-18")


def refused(venue: str, summaries: Any) -> Usage | None:
    """Why the accounts are not judged here, with what the exchange itself says of them; None where they may be."""
    with understood("get_account_summaries"):
        models = {_model(row) for row in summaries["summaries"]}
        other = sorted(models - JUDGED)
        if not other:
            return None
        figures = [words for row in summaries["summaries"] if (words := _stated(row))]
    says = f"; the exchange itself says: {'; '.join(figures)}" if figures else ""
    return Usage(
        "MARGIN_MODEL",
        f"at {venue} margin is by {other[0][:40]}, of which is not published how positions answer for one another{says}",
        "use segregated margin there, standard or portfolio",
    )


def _stated(row: Mapping[str, Any]) -> str:
    """One currency's own two figures and their ratio, rounded down; "" where nothing has to be kept."""
    equity, kept = exact(row["equity"]), exact(row["maintenance_margin"])
    if kept <= 0:
        return ""
    times = WIDE.divide(equity, kept).quantize(Decimal("0.01"), ROUND_FLOOR, WIDE)
    currency = text_of(row["currency"])
    return f"equity {number(equity)} {currency}, maintenance margin {number(kept)} {currency}, {times} times"


def _model(row: Mapping[str, Any]) -> str:
    told = row.get("margin_model")
    if told is not None and not row.get("cross_collateral_enabled"):
        return str(told)
    kind = "cross" if row.get("cross_collateral_enabled") else "segregated"
    return f"{kind}_{'pm' if row.get('portfolio_margining_enabled') else 'sm'}"


def by_portfolio(summaries: Any, rows: Any) -> dict[str, tuple[Any, list[Any]]]:
    """(summary, positions) of each currency whose account is portfolio-margined and has something open. Raises Halt VENUE_DIALECT."""
    with understood("a margin account"):
        stated = {text_of(row["currency"]): row for row in summaries["summaries"] if _model(row) == PORTFOLIO}
        held: dict[str, list[Any]] = {}
        for row in rows:
            if exact(row["size"]) and (coin := settled_in(text_of(row["instrument_name"]))) in stated:
                held.setdefault(coin, []).append(row)
        return {coin: (stated[coin], of) for coin, of in sorted(held.items())}


def document(
    venue: str,
    summaries: Any,
    rows: Any,
    markets: Mapping[str, Market],
    at_s: int,
    portfolios: Mapping[str, Mapping[str, Any]] | None = None,
) -> Mapping[str, Any]:
    """Of get_account_summaries and get_positions; `portfolios` are the accounts of `portfolio.account` by their currency. An account with options,
    which are no contracts of one price, is told by a model of no name here, so that it is UNKNOWN; one that is portfolio-margined and not among
    `portfolios` too. Raises Usage MARGIN_MODEL for what is open in an unknown market; Halt VENUE_DIALECT."""
    place, told_whole = f"cex:{venue}", portfolios or {}
    with understood("a margin account"):
        stated = {text_of(row["currency"]): row for row in summaries["summaries"]}
        held: dict[str, list[Any]] = {}
        for row in rows:
            if not exact(row["size"]) or settled_in(text_of(row["instrument_name"])) in told_whole:
                continue
            if (market := markets.get(text_of(row["instrument_name"]))) is None:
                raise Usage(
                    "MARGIN_MODEL",
                    f"at {venue} {row['instrument_name']} is open, whose market is not known here",
                    "the account cannot be told without it: watch it on the exchange's own page",
                )
            held.setdefault(market.settle, []).append(row)
        accounts, symbols = [dict(one) for one in told_whole.values()], set(told_whole)
        for currency, open_now in sorted(held.items()):
            account = stated[currency]
            if _model(account) == PORTFOLIO:
                words = _stated(account) or "nothing of it"
                why = f"how what is settled in {currency} answers for one another is not published; the exchange itself says: {words}"
                accounts.append(
                    {"id": f"{venue} {currency}", "model": "deribit_pm", "chain": place, "doubt": why}
                )
                continue
            least = exact(account["maintenance_margin"])
            kept = [exact(row["maintenance_margin"]) for row in open_now]
            told = sum(kept, Decimal(0))
            px = Decimal(1) if currency in DOLLARS else above_zero(open_now[0]["index_price"])
            positions = []
            for row, own in zip(open_now, kept, strict=True):
                symbol = text_of(row["instrument_name"])
                more = WIDE.divide(WIDE.multiply(own, least), told) if least > told > 0 else own
                positions.append(
                    {
                        "asset": cex_id(venue, symbol),
                        "size": number(exact(row["size"])),
                        "mark_px": number(above_zero(row["mark_price"])),
                        "maintenance": number(more.quantize(PLACES, ROUND_CEILING, WIDE)),
                        "inverse": markets[symbol].inverse,
                    }
                )
                symbols.add(symbol)
            symbols.add(currency)
            options = any(str(row["kind"]) != "future" for row in open_now)
            accounts.append(
                {
                    "id": f"{venue} {currency}",
                    "model": "deribit_sm with options" if options else "deribit_sm",
                    "chain": place,
                    "settle": cex_id(venue, currency),
                    "settle_px": number(px),
                    "equity": number(exact(account["equity"])),
                    "positions": positions,
                }
            )
    return {
        "fairlead": "accounts/1",
        "at": {place: {"timestamp": at_s}},
        "assets": [{"id": cex_id(venue, s), "symbol": s, "decimals": DIGITS} for s in sorted(symbols)],
        "accounts": accounts,
    }
