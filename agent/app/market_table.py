"""Pools and books as rows a person reads: mid prices in the settings' own pairs. Estimates for the eye, never an amount."""

from __future__ import annotations

from dataclasses import dataclass
from statistics import median
from typing import TYPE_CHECKING

from agent.app.places import place_named
from agent.domain.instruments import AssetId, Place
from agent.market.view import MarketView, pool_place
from agent.routing.spot import fee_share, mid_rate

if TYPE_CHECKING:
    from agent.app.wiring import App


@dataclass(frozen=True, slots=True)
class Quoted:
    """`mid` is quote per base, as text; `age_s` how old the state is, -1 where unknown."""

    place: Place
    where: str
    id: str
    kind: str
    base: str
    quote: str
    mid: str
    fee_bps: str
    age_s: int

    @property
    def short(self) -> str:
        if self.kind == "book":  # `paper:ETH/USDC`: its place stands beside it
            return self.id.partition(":")[2]
        head, _, tail = self.id.rpartition("/")
        return f"{tail[:8]}…{tail[-4:]}" if len(tail) > 16 else tail or head


def quoted(app: App, view: MarketView) -> list[Quoted]:
    """Every pool's pairs and every book, dearest asset as the base."""
    now_s = app.clock.now_ns() // 10**9
    usd_like = _rank(app)
    rows = []
    for pool in view.pools.values():
        place = pool_place(pool.id)
        for i, first in enumerate(pool.assets):
            for second in pool.assets[i + 1 :]:
                base, quote = sorted(
                    (AssetId(first), AssetId(second)), key=lambda a: usd_like.get(_name(app, view, a), 0)
                )
                scale = 10.0 ** (view.assets[base].decimals - view.assets[quote].decimals)
                mid = mid_rate(pool, base, quote) * scale
                fee = fee_share(pool, pool.assets.index(base)) * 10_000
                rows.append(_row(app, view, place, pool.id, pool.kind, base, quote, mid, fee, now_s))
    for book in view.books:
        mid_px = book.mid_px()
        mid = float(mid_px) if mid_px is not None else 0.0
        rows.append(
            _row(
                app,
                view,
                book.place,
                f"{book.venue}:{book.symbol}",
                "book",
                book.base,
                book.quote,
                mid,
                float(book.taker_fee_bps),
                now_s,
            )
        )
    return sorted(rows, key=lambda r: (r.base, r.quote, r.where, r.kind))


def _rank(app: App) -> dict[str, int]:
    """Names that orders are quoted in come last: those the settings give a dollar's price, by convention stable coins."""
    return {name: 1 for name in app.directory.groups if "USD" in name or name == "DAI"}


def _name(app: App, view: MarketView, asset: AssetId) -> str:
    return app.directory.symbol_of(asset) or view.assets[asset].symbol


def _row(
    app: App, view: MarketView, place: Place, name: str, kind: str, base: AssetId, quote: AssetId, mid: float, fee_bps: float, now_s: int
) -> Quoted:  # fmt: skip
    at = view.as_of.get(place)
    return Quoted(
        place,
        place_named(app.settings, place),
        name,
        kind,
        _name(app, view, base),
        _name(app, view, quote),
        f"{mid:,.6g}" if mid < 1 else f"{mid:,.4f}",
        f"{fee_bps:g}",
        max(now_s - at.at_s, 0) if at is not None else -1,
    )


def by_place(rows: list[Quoted]) -> list[tuple[str, str, str]]:
    """(place, pair, the median mid of its pools or book)."""
    found: dict[tuple[str, str], list[float]] = {}
    for row in rows:
        found.setdefault((row.where, f"{row.base}/{row.quote}"), []).append(float(row.mid.replace(",", "")))
    return [
        (where, pair, f"{median(mids):,.4f}")
        for (where, pair), mids in sorted(found.items(), key=lambda i: (i[0][1], i[0][0]))
    ]
