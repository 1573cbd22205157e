"""Limits and verdicts. A verdict carries every breach, not the first one found."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal

from agent.domain.instruments import AssetId, Place


@dataclass(frozen=True, slots=True)
class Ramp:
    """How a place or contract that is new earns trust: caps in USD, `settled` orders a step, `known` places that are not new."""

    start_usd: Decimal
    factor: int
    settled: int
    most_usd: Decimal
    known: tuple[Place, ...] = ()


@dataclass(frozen=True, slots=True)
class Standing:
    """What a place or contract has shown: how many orders of ours settled there, what they were worth in USD, and what is open."""

    settled: int = 0
    settled_usd: Decimal = Decimal(0)
    open_usd: Decimal = Decimal(0)


@dataclass(frozen=True, slots=True)
class Limits:
    """What the owner allows. Money in USD; prices older than `max_price_age_s` are UNKNOWN. No `ramp`: nothing is new."""

    per_order_usd: Decimal
    per_day_usd: Decimal
    allow_assets: tuple[str, ...]
    allow_venues: tuple[str, ...]
    price_collar_bps: int
    max_slippage_bps: int
    max_price_age_s: int
    max_market_age_s: int
    min_gas_reserve_wei: tuple[tuple[Place, int], ...]
    counterparty_cap_usd: tuple[tuple[Place, Decimal], ...]
    ramp: Ramp | None = None


@dataclass(frozen=True, slots=True)
class BreachReason:
    """One rule that said no: `rule` in UPPER_SNAKE, what was seen against what is allowed, and the remedy."""

    rule: str
    message: str
    remedy: str


@dataclass(frozen=True, slots=True)
class Reservation:
    """What an approved child holds back of the limits until it resolves."""

    notional_usd: Decimal
    spends: tuple[tuple[AssetId, int], ...]


@dataclass(frozen=True, slots=True)
class OraclePrice:
    """One source's price of one unit in USD, and when that source last said so (seconds of Unix time)."""

    source: str
    symbol: str
    px: Decimal
    at_s: int
