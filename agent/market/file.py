"""market/1 read from JSON: a complete market for quoting and routing with no network.

Every refusal is a Usage error BAD_MARKET_FILE that names the field, the pool's id where there is one, and the nearest
known name for an unknown key or kind.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from decimal import Decimal
from typing import Any, TypeVar

import orjson

from agent.amm import Pool
from agent.domain.errors import Usage
from agent.domain.instruments import Asset, AssetId, Place, asset_id
from agent.domain.units import raw_exact
from agent.market.book import Book, Levels
from agent.market.fields import Fields, decimal_text, known_asset, refuse
from agent.market.pools import parse_pool
from agent.market.view import GasState, MarketView, Transfer

T = TypeVar("T")


def _assets(top: Fields) -> dict[AssetId, Asset]:
    out: dict[AssetId, Asset] = {}
    for k, entry in enumerate(top.list("assets")):
        f = Fields(f"assets[{k}]", entry, ("id", "symbol", "decimals"))
        try:
            identity = asset_id(f.text("id"))
        except Usage as bad:
            refuse(f"assets[{k}].id", bad.message, bad.hint)
        if identity in out:
            refuse(f"assets[{k}].id", f"{identity} is listed twice")
        out[identity] = Asset(identity, f.text("symbol"), f.number("decimals", 0, 77))
    return out


def _gas(top: Fields, assets: Mapping[AssetId, Asset]) -> dict[Place, GasState]:
    out: dict[Place, GasState] = {}
    at = top.values["at"]
    if not isinstance(at, dict):
        refuse("at", "is not a JSON object")
    for chain, entry in at.items():
        where = f"at.{chain}"
        if not chain.startswith("eip155:") or not chain[7:].isdigit():
            refuse(where, "is not a chain like eip155:1")
        wallet, data = ("tx_gas", "tx_gas_per_leg"), ("data_wei", "data_wei_per_leg")
        f = Fields(where, entry, ("base_fee_wei", "priority_fee_wei", "native_as"), ("block", *wallet, *data))
        block = None if f.values.get("block") is None else f.number("block", 0, 1 << 63)
        tx_gas = (f.number(key, 0, 1 << 40) if key in f.values else 0 for key in wallet)
        native = known_asset(f"{where}.native_as", f.values["native_as"], assets)
        fees = [f.raw(key, 0, 1 << 90) if key in f.values else 0 for key in data]
        found = GasState(block, f.raw("base_fee_wei"), f.raw("priority_fee_wei"), native, *tx_gas, *fees)
        if any(fees) and not found.price_wei:
            refuse(f"{where}.data_wei", "is given and gas costs nothing here: data is counted in gas")
        out[Place(chain)] = found
    return out


def _levels(where: str, entries: list[Any], descending: bool) -> Levels:
    out: list[tuple[Decimal, Decimal]] = []
    for k, entry in enumerate(entries):
        if not isinstance(entry, list) or len(entry) != 2:
            refuse(f"{where}[{k}]", "must be [price, quantity]")
        px, qty = decimal_text(f"{where}[{k}][0]", entry[0]), decimal_text(f"{where}[{k}][1]", entry[1])
        if px <= 0 or qty <= 0:
            refuse(f"{where}[{k}]", "price and quantity must be greater than zero")
        if out and (px >= out[-1][0] if descending else px <= out[-1][0]):
            refuse(f"{where}[{k}]", f"price {px} is out of order; best levels come first")
        out.append((px, qty))
    return tuple(out)


def _book(where: str, entry: Any, assets: Mapping[AssetId, Asset]) -> Book:
    keys = (
        "venue",
        "symbol",
        "base",
        "quote",
        "taker_fee_bps",
        "lot",
        "tick",
        "min_notional",
        "bids",
        "asks",
    )
    f = Fields(where, entry, keys)
    base, quote = (known_asset(f"{where}.{side}", f.values[side], assets) for side in ("base", "quote"))
    bids, asks = (
        _levels(f"{where}.bids", f.list("bids"), True),
        _levels(f"{where}.asks", f.list("asks"), False),
    )
    lot, tick = f.decimal("lot"), f.decimal("tick")
    if lot <= 0 or tick <= 0:
        refuse(where, "lot and tick must be greater than zero")
    if bids and asks and bids[0][0] >= asks[0][0]:
        refuse(where, f"the book of {f.text('symbol')} is crossed: bid {bids[0][0]}, ask {asks[0][0]}")
    fee = f.decimal("taker_fee_bps")
    if fee >= 10_000:
        refuse(f"{where}.taker_fee_bps", f"is {fee}; it must be below 10000")
    return Book(
        f.text("venue"), f.text("symbol"), base, quote, fee, lot, tick, f.decimal("min_notional"), bids, asks
    )


def _transfer(where: str, entry: Any, assets: Mapping[AssetId, Asset]) -> Transfer:
    f = Fields(
        where, entry, ("from", "to", "fee_raw", "fee_bps", "min_raw", "max_raw", "seconds_p50", "seconds_p99")
    )
    source, target = (known_asset(f"{where}.{end}", f.values[end], assets) for end in ("from", "to"))
    if source == target:
        refuse(where, "leads from an asset to itself")
    if f.decimal("fee_bps") >= 10_000:
        refuse(f"{where}.fee_bps", f"is {f.values['fee_bps']}; it must be below 10000")
    if f.raw("min_raw") > f.raw("max_raw"):
        refuse(f"{where}.min_raw", "is above max_raw: nothing can be sent")
    return Transfer(
        source, target, f.raw("fee_raw"), f.decimal("fee_bps"), f.raw("min_raw"), f.raw("max_raw"),
        f.number("seconds_p50", 0, 1 << 31), f.number("seconds_p99", 0, 1 << 31),
    )  # fmt: skip


def _group(where: str, entry: Any, assets: Mapping[AssetId, Asset]) -> tuple[AssetId, ...]:
    if not isinstance(entry, list):
        refuse(where, f"must be a list of assets, not {json.dumps(entry)[:40]}")
    return tuple(known_asset(where, a, assets) for a in entry)


def parse_market(document: Any) -> MarketView:
    """A market/1 document to a view. Raises Usage BAD_MARKET_FILE."""
    if not isinstance(document, dict):
        refuse("market", "is not a JSON object")
    if document.get("fairlead") != "market/1":
        refuse("fairlead", f'is {json.dumps(document.get("fairlead"))[:40]}, not "market/1"')
    optional = ("note", "reference_px_native", "equivalents", "inventory", "books", "transfers")
    top = Fields("market", document, ("fairlead", "at", "assets", "pools"), optional)
    assets = _assets(top)
    pools: dict[str, Pool] = {}
    for k, entry in enumerate(top.list("pools")):
        pool = parse_pool(f"pools[{k}]", entry, assets)
        if pool.id in pools:
            refuse(f"pools[{k}]", f"pool {pool.id} is listed twice")
        pools[pool.id] = pool
    gas = _gas(top, assets)
    equivalents = tuple(
        _group(f"equivalents[{k}]", group, assets) for k, group in enumerate(top.list("equivalents"))
    )
    flat = [a for group in equivalents for a in group]
    if len(flat) != len(set(flat)):
        refuse("equivalents", "an asset stands in two groups")
    return MarketView(
        assets=assets,
        pools=pools,
        gas=gas,
        books=tuple(_book(f"books[{k}]", entry, assets) for k, entry in enumerate(top.list("books"))),
        inventory=_amounts(
            "inventory", document, assets, lambda a, q: raw_exact(q, assets[a].decimals, f"inventory of {a}")
        ),
        equivalents=equivalents,
        reference_px_native=_amounts("reference_px_native", document, assets, lambda _, px: px),
        transfers=tuple(
            _transfer(f"transfers[{k}]", entry, assets) for k, entry in enumerate(top.list("transfers"))
        ),
        note=top.text("note") if "note" in document else "",
    )


def _amounts(
    key: str, document: dict[str, Any], assets: Mapping[AssetId, Asset], make: Callable[[AssetId, Decimal], T]
) -> dict[AssetId, T]:
    entries = document.get(key, {})
    if not isinstance(entries, dict):
        refuse(key, "is not a JSON object")
    return {
        known_asset(key, a, assets): make(AssetId(a), decimal_text(f"{key}.{a}", text))
        for a, text in entries.items()
    }


def parse_text(text: str | bytes) -> MarketView:
    """market/1 JSON text to a view. Raises Usage BAD_MARKET_FILE, for malformed JSON too."""
    try:
        # orjson bounds the nesting itself; the standard library's recursion can exhaust the stack of a deep file.
        document = orjson.loads(text)
    except orjson.JSONDecodeError as bad:
        refuse("market", f"is not JSON: {bad}")
    return parse_market(document)
