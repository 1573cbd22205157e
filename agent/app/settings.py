"""The settings: one TOML file, one frozen tree. `load` tells all problems at once, each with its line and remedy."""

from __future__ import annotations

from agent.app.places import places_of
from agent.app.settings_alerts import Alerts
from agent.app.settings_load import Loaded, load, load_with_sources, parse
from agent.app.settings_pools import Pool
from agent.app.settings_tree import (
    Chain,
    Job,
    JournalTable,
    Limits,
    Oracle,
    Owner,
    Relay,
    Sender,
    Settings,
    Signer,
    Venue,
    Wallet,
)
from agent.domain import risk
from agent.domain.instruments import Place
from agent.domain.units import raw_exact

__all__ = [
    "Alerts", "Chain", "Job", "JournalTable", "Limits", "Loaded", "Oracle", "Owner", "Pool", "Relay", "Sender", "Settings", "Signer", "Venue",
    "Wallet", "load", "load_with_sources", "parse", "ramp_of", "risk_limits",
]  # fmt: skip


def risk_limits(settings: Settings) -> risk.Limits:
    """The limits as the risk rules take them: places instead of names, gas reserves in wei.

    Usage TOO_MANY_DECIMALS where a gas reserve has more than 18 decimals.
    """
    limits = settings.limits
    places = places_of(settings)
    return risk.Limits(
        per_order_usd=limits.per_order_usd,
        per_day_usd=limits.per_day_usd,
        allow_assets=limits.allow_assets,
        allow_venues=tuple(places[name] for name in limits.allow_venues),
        price_collar_bps=limits.price_collar_bps,
        max_slippage_bps=limits.max_slippage_bps,
        max_price_age_s=limits.max_price_age_s,
        max_market_age_s=limits.max_market_age_s,
        min_gas_reserve_wei=tuple(
            (places[name], raw_exact(coins, 18, f"limits.min_gas_reserve.{name}"))
            for name, coins in limits.min_gas_reserve.items()
        ),
        counterparty_cap_usd=tuple(
            (Place(f"cex:{venue.name}"), venue.counterparty_cap_usd) for venue in settings.venues
        ),
        ramp=ramp_of(settings),
    )


def ramp_of(settings: Settings) -> risk.Ramp | None:
    """None where nothing starts small."""
    table, places = settings.ramp, places_of(settings)
    if not table.start_usd:
        return None
    known = tuple(places[name] for name in table.known)
    return risk.Ramp(table.start_usd, table.factor, table.settled, table.most_usd, known)
