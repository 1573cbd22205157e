"""Symbols, their filters, and the refusal an order gets that breaks one. Codes and texts are the venue's published ones."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal

ZERO = Decimal(0)
EIGHT = Decimal("0.00000001")
EIGHTEEN = Decimal("1e-18")


class VenueError(Exception):
    """A refusal as the venue words it: `code` is negative, `http` the status it travels with."""

    def __init__(self, code: int, msg: str, http: int = 400) -> None:
        super().__init__(msg)
        self.code, self.msg, self.http = code, msg, http


@dataclass(frozen=True, slots=True)
class SymbolSpec:
    """One market. `tick`, `lot` in quote and base units; `min_notional` in quote units; `mid` is where a seeded book stands. `signed`: its
    price may be zero or less, and is no price of a notional. `inverse`: a contract of dollars (`quote`), margined in the coin (`base`)."""

    base: str
    quote: str
    tick: Decimal = Decimal("0.01")
    lot: Decimal = Decimal("0.0001")
    min_notional: Decimal = Decimal(5)
    max_notional: Decimal = Decimal(9_000_000)
    max_qty: Decimal = Decimal(9_000)
    max_px: Decimal = Decimal(1_000_000)
    max_open_orders: int = 200
    mid: Decimal = Decimal(3000)
    signed: bool = False
    inverse: bool = False

    @property
    def settle(self) -> str:
        """What a contract is margined in."""
        return self.base.partition("-")[0] if self.inverse else self.quote

    def value(self, px: Decimal) -> Decimal:
        """Of one unit held long, in what it settles in: its price, or what a dollar costs the other way round, to 18 places."""
        return -(1 / px).quantize(EIGHTEEN) if self.inverse else px

    @property
    def symbol(self) -> str:
        return self.base + self.quote


def fmt(value: Decimal) -> str:
    """A decimal with eight places, as every amount travels."""
    return f"{value:.8f}" if value else "0.00000000"


def check_filters(spec: SymbolSpec, px: Decimal | None, qty: Decimal | None, mark: Decimal | None) -> None:
    """PRICE_FILTER, LOT_SIZE and NOTIONAL, in that order; `mark` stands in for the price of a market order.

    Raises VenueError -1013 naming the filter.
    """
    least = -spec.max_px if spec.signed else spec.tick
    if px is not None and (px < least or px > spec.max_px or px % spec.tick != 0):
        raise VenueError(-1013, "Filter failure: PRICE_FILTER")
    if qty is None:
        return
    if qty < spec.lot or qty > spec.max_qty or qty % spec.lot != 0:
        raise VenueError(-1013, "Filter failure: LOT_SIZE")
    at = px if px is not None else mark
    if at is not None and not spec.signed:
        check_notional(spec, qty if spec.inverse else at * qty)


def check_notional(spec: SymbolSpec, notional: Decimal) -> None:
    if not spec.min_notional <= notional <= spec.max_notional:
        raise VenueError(-1013, "Filter failure: NOTIONAL")


def exchange_info(
    specs: list[SymbolSpec], now_ms: int, weight_limit: int, order_limit: int
) -> dict[str, object]:
    return {
        "timezone": "UTC",
        "serverTime": now_ms,
        "rateLimits": [
            {
                "rateLimitType": "REQUEST_WEIGHT",
                "interval": "MINUTE",
                "intervalNum": 1,
                "limit": weight_limit,
            },
            {"rateLimitType": "ORDERS", "interval": "SECOND", "intervalNum": 10, "limit": order_limit},
        ],
        "exchangeFilters": [],
        "symbols": [_symbol_info(spec) for spec in specs],
    }


def grid_filters(spec: SymbolSpec) -> list[dict[str, object]]:
    """The steps of prices and quantities, as spot and futures both tell them."""
    return [
        {
            "filterType": "PRICE_FILTER",
            "minPrice": fmt(spec.tick),
            "maxPrice": fmt(spec.max_px),
            "tickSize": fmt(spec.tick),
        },
        {
            "filterType": "LOT_SIZE",
            "minQty": fmt(spec.lot),
            "maxQty": fmt(spec.max_qty),
            "stepSize": fmt(spec.lot),
        },
    ]


def _symbol_info(spec: SymbolSpec) -> dict[str, object]:
    return {
        "symbol": spec.symbol,
        "status": "TRADING",
        "baseAsset": spec.base,
        "baseAssetPrecision": 8,
        "quoteAsset": spec.quote,
        "quotePrecision": 8,
        "quoteAssetPrecision": 8,
        "baseCommissionPrecision": 8,
        "quoteCommissionPrecision": 8,
        "orderTypes": [
            "LIMIT",
            "LIMIT_MAKER",
            "MARKET",
            "STOP_LOSS",
            "STOP_LOSS_LIMIT",
            "TAKE_PROFIT",
            "TAKE_PROFIT_LIMIT",
        ],
        "icebergAllowed": True,
        "ocoAllowed": True,
        "otoAllowed": True,
        "quoteOrderQtyMarketAllowed": True,
        "allowTrailingStop": False,
        "cancelReplaceAllowed": True,
        "amendAllowed": True,
        "isSpotTradingAllowed": True,
        "isMarginTradingAllowed": False,
        "filters": [
            *grid_filters(spec),
            {
                "filterType": "NOTIONAL",
                "minNotional": fmt(spec.min_notional),
                "applyMinToMarket": True,
                "maxNotional": fmt(spec.max_notional),
                "applyMaxToMarket": True,
                "avgPriceMins": 0,
            },
            {"filterType": "MAX_NUM_ORDERS", "maxNumOrders": spec.max_open_orders},
        ],
        "permissions": [],
        "permissionSets": [["SPOT"]],
        "defaultSelfTradePreventionMode": "EXPIRE_MAKER",
        "allowedSelfTradePreventionModes": ["NONE", "EXPIRE_MAKER", "EXPIRE_TAKER", "EXPIRE_BOTH"],
    }
