"""An exchange's FIX sessions out of the settings: where they are, under which names, and whom the signer signs their log-ons for.

In the signer's file the key of order entry is the exchange's name with `-fix`, that of drop copy with `-dropcopy` where it has its own.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from agent.app.exchange_bound import FIX_KEYS
from agent.app.settings_fix import Fix
from keys.secrets import resolve

if TYPE_CHECKING:
    from agent.venues import Sign
    from agent.venues.binance_spot.by_fix import Doors

ENTRY, COPY = FIX_KEYS


def doors(name: str, fix: Fix, sign_for: Callable[[str], Sign]) -> Doors:
    """Raises Usage for a reference that cannot be resolved, FIX_ADDRESS."""
    from agent.venues.binance_spot.by_fix import DROP_COPY_URL, ENTRY_URL, Doors
    from agent.venues.binance_spot.fix_door import Door

    key = resolve(fix.api_key).text().strip()
    entry = Door(fix.url or ENTRY_URL, fix.senders, key, sign_for(f"{name}{ENTRY}"))
    if not fix.drop_copy_senders:
        return Doors(entry)
    own = fix.drop_copy_api_key
    copy_key = resolve(own).text().strip() if own is not None else key
    signer = sign_for(f"{name}{COPY if own is not None else ENTRY}")
    return Doors(entry, Door(fix.drop_copy_url or DROP_COPY_URL, fix.drop_copy_senders, copy_key, signer))


def signer_entries(name: str, fix: Fix) -> dict[str, Any]:
    """What stands in the signer's file under `exchanges`, by name there."""
    found: dict[str, Any] = {}
    apart = fix.drop_copy_api_key is not None
    if fix.api_secret is not None:
        senders = fix.senders if apart else (*fix.senders, *fix.drop_copy_senders)
        found[f"{name}{ENTRY}"] = _entry(fix.api_key, fix.api_secret, senders)
    if apart and fix.drop_copy_api_secret is not None:
        found[f"{name}{COPY}"] = _entry(
            str(fix.drop_copy_api_key), fix.drop_copy_api_secret, fix.drop_copy_senders
        )
    return found


def _entry(api_key: str, secret: str, senders: tuple[str, ...]) -> dict[str, Any]:
    return {"dialect": "binance-fix", "api_key": api_key, "secret": secret, "senders": list(senders)}
