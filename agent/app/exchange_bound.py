"""What a thief of the agent's machine can take at the exchanges, as the signer that holds their keys tells it.

The chain bounds nothing there and nobody checks prices: a thief sells the account's coins to himself for what he likes. What bounds
him is what the signer signs in a day (keys/signer/exchange_orders.py), how often a signature can be used while it lives, and what lies
there. It is no part of the Gate's number and is told in a line of its own.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from agent.app.settings_tree import Settings
from chains.errors import FairleadError

FIX_KEYS = ("-fix", "-dropcopy")
"""What follows an exchange's name in the signer's settings for the keys of its FIX sessions."""


@dataclass(frozen=True, slots=True)
class ExchangeBound:
    """Dollars. `signed_per_day_usd`: all that one day's orders can cost, each carried out once; `repeats`: how often each can be. `logs_on`:
    orders go there that nobody signs, so that neither number bounds anything."""

    name: str
    signed_per_day_usd: Decimal
    repeats: int
    logs_on: bool = False

    @property
    def per_day_usd(self) -> Decimal | None:
        """None: nothing but what lies there bounds it."""
        return None if self.logs_on else self.signed_per_day_usd * self.repeats


async def exchange_bounds(settings: Settings) -> tuple[ExchangeBound, ...] | None:
    """Of every configured exchange; None where there are some and the signer does not say."""
    from keys.client import SignerClient

    if not settings.venues:
        return ()
    try:
        async with SignerClient(settings.signer.socket, settings.environment) as client:
            told = await client.status()
    except FairleadError:
        return None
    return bounds_of(told, [venue.name for venue in settings.venues])


def bounds_of(told: dict[str, Any], names: Sequence[str]) -> tuple[ExchangeBound, ...] | None:
    """Out of the signer's status; an exchange whose key it does not hold has nothing to lose through it. The keys of its FIX sessions are
    the exchange's too."""
    if "exchange_limits" not in told:
        return None
    found = dict(told["exchange_limits"])
    return tuple(
        ExchangeBound(
            key,
            Decimal(found[key]["per_day_usd"]),
            int(found[key]["repeats"]),
            bool(found[key].get("logs_on")),
        )
        for name in names
        for key in (name, *(f"{name}{ending}" for ending in FIX_KEYS))
        if key in found
    )


def sentence(bound: ExchangeBound) -> str:
    signed, most = bound.signed_per_day_usd, bound.per_day_usd
    if most is None:
        return (
            f"at exchange {bound.name}: all that lies there, at worst: its signer logs sessions on, and one that is logged on needs no further "
            "signature (unless this key may only read)"
        )
    if not signed:
        return f"at exchange {bound.name}: nothing, since the signer signs no order there"
    again = (
        f": {signed:,.2f} USD of orders may be signed, each signature used up to {bound.repeats} times while it lives; `sends_to` in the signer's settings ends that"
        if bound.repeats > 1
        else ""
    )
    return (
        f"at exchange {bound.name}: up to {most:,.2f} USD a day, and no more than lies there, since nothing there checks "
        f"prices{again}"
    )


UNKNOWN = "at the exchanges: unknown, since the signer does not say; all that lies there, at worst"


def bounds_json(bounds: tuple[ExchangeBound, ...] | None) -> list[dict[str, Any]] | None:
    if bounds is None:
        return None
    return [
        {
            "name": b.name,
            "per_day_usd": None if b.per_day_usd is None else f"{b.per_day_usd:f}",
            "signed_per_day_usd": f"{b.signed_per_day_usd:f}",
            "repeats": b.repeats,
            **({"logs_on": True} if b.logs_on else {}),
        }
        for b in bounds
    ]
