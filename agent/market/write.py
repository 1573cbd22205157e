"""A market view written back as market/1: plain JSON values, money as strings, the same for the same market."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

from agent.amm import (
    BalancerStablePool,
    ConcentratedPool,
    ConcentratedV4Pool,
    ConstantProductPool,
    Pool,
    WeightedPool,
)
from agent.amm.solidly import SolidlyPool
from agent.domain.units import qty_exact
from agent.market.book import Book
from agent.market.view import MarketView


def plain(value: Decimal) -> str:
    """A Decimal without exponent or trailing zeros."""
    text = format(value, "f")
    return text.rstrip("0").rstrip(".") if "." in text else text


def _texts(values: tuple[int, ...]) -> list[str]:
    return [str(value) for value in values]


def pool_json(pool: Pool) -> dict[str, Any]:
    """One pool as market/1 writes it."""
    out: dict[str, Any] = {"id": pool.id, "kind": pool.kind, "assets": list(pool.assets)}
    if isinstance(pool, ConstantProductPool):
        out |= {"reserves_raw": _texts(pool.reserves), "fee_pips": pool.fee_pips}
    elif isinstance(pool, SolidlyPool):
        out |= {"reserves_raw": _texts(pool.reserves), "fee_1e4": str(pool.fee_1e4)}
    elif isinstance(pool, ConcentratedPool | ConcentratedV4Pool):
        if isinstance(pool, ConcentratedPool):
            out["fee_pips"] = pool.fee_pips
        else:
            out |= {"lp_fee_pips": pool.lp_fee_pips, "protocol_fee_pips": list(pool.protocol_fee_pips)}
        out |= {
            "tick_spacing": pool.tick_spacing,
            "sqrt_price_x96": str(pool.sqrt_price_x96),
            "tick": pool.tick,
            "liquidity": str(pool.liquidity),
            "ticks": [[tick, str(net)] for tick, net in zip(pool.table.ticks, pool.table.nets, strict=True)],
        }
    else:
        out["balances_raw"] = _texts(pool.balances)
        if isinstance(pool, WeightedPool):
            out |= {"weights_1e18": _texts(pool.weights), "fee_1e18": str(pool.fee_1e18)}
        else:
            out |= {"a": _unscaled(pool.amp, pool.amp_precision), "a_precision": str(pool.amp_precision)}
            if isinstance(pool, BalancerStablePool):
                out["fee_1e18"] = str(pool.fee_1e18)
            else:
                out |= {"fee_1e10": str(pool.fee_1e10), "admin_fee_1e10": str(pool.admin_fee_1e10)}
            out["rates_1e18"] = _texts(pool.rates_1e18)
    if pool.gas:
        out["gas"] = pool.gas
    if pool.gas_per_tick:
        out["gas_per_tick"] = pool.gas_per_tick
    return out


def _unscaled(amp: int, precision: int) -> str:
    return plain(Decimal(amp) / precision)


def _book(book: Book) -> dict[str, Any]:
    return {
        "venue": book.venue,
        "symbol": book.symbol,
        "base": book.base,
        "quote": book.quote,
        "taker_fee_bps": plain(book.taker_fee_bps),
        "lot": plain(book.lot),
        "tick": plain(book.tick),
        "min_notional": plain(book.min_notional),
        "bids": [[plain(px), plain(qty)] for px, qty in book.bids],
        "asks": [[plain(px), plain(qty)] for px, qty in book.asks],
    }


def market_json(view: MarketView) -> dict[str, Any]:
    """The whole view as a market/1 document."""
    out: dict[str, Any] = {"fairlead": "market/1"}
    if view.note:
        out["note"] = view.note
    out["at"] = {
        place: {
            "block": gas.block,
            "base_fee_wei": str(gas.base_fee_wei),
            "priority_fee_wei": str(gas.priority_fee_wei),
            "native_as": gas.native_as,
        }
        | ({"tx_gas": gas.tx_gas} if gas.tx_gas else {})
        | ({"tx_gas_per_leg": gas.tx_gas_per_leg} if gas.tx_gas_per_leg else {})
        | ({"data_wei": str(gas.data_wei)} if gas.data_wei else {})
        | ({"data_wei_per_leg": str(gas.data_wei_per_leg)} if gas.data_wei_per_leg else {})
        for place, gas in view.gas.items()
    }
    if view.reference_px_native:
        out["reference_px_native"] = {asset: plain(px) for asset, px in view.reference_px_native.items()}
    out["assets"] = [{"id": a.id, "symbol": a.symbol, "decimals": a.decimals} for a in view.assets.values()]
    if view.equivalents:
        out["equivalents"] = [list(group) for group in view.equivalents]
    if view.inventory:
        out["inventory"] = {
            a: plain(qty_exact(raw, view.assets[a].decimals)) for a, raw in view.inventory.items()
        }
    out["pools"] = [pool_json(pool) for pool in view.pools.values()]
    if view.books:
        out["books"] = [_book(book) for book in view.books]
    if view.transfers:
        out["transfers"] = [
            {
                "from": t.source,
                "to": t.target,
                "fee_raw": str(t.fee_raw),
                "fee_bps": plain(t.fee_bps),
                "min_raw": str(t.min_raw),
                "max_raw": str(t.max_raw),
                "seconds_p50": t.seconds_p50,
                "seconds_p99": t.seconds_p99,
            }
            for t in view.transfers
        ]
    return out
