"""One submission road a file; the file's name is the settings' name, RELAY its data."""

from __future__ import annotations

import pkgutil
from difflib import get_close_matches
from functools import cache
from importlib import import_module

import aiohttp

from chains.errors import Usage
from chains.relay import Header, Relay, RelayProfile
from chains.rpc import SecretUrl


@cache
def names() -> tuple[str, ...]:
    return tuple(
        sorted(module.name for module in pkgutil.iter_modules(__path__) if not module.name.startswith("_"))
    )


def load(name: str) -> RelayProfile:
    """Raises Usage UNKNOWN_RELAY, naming the nearest known name."""
    if name not in names():
        near = get_close_matches(name, names(), 1)
        hint = f"did you mean {near[0]}?" if near else f"known: {', '.join(names())}"
        raise Usage("UNKNOWN_RELAY", f"there is no relay {name!r}", hint)
    found: RelayProfile = import_module(f"{__name__}.{name}").RELAY
    return found


def connect(name: str, url: SecretUrl, session: aiohttp.ClientSession, header: Header) -> Relay:
    """The relay over a URL; `header` makes its authentication header where it needs one. Raises Usage UNKNOWN_RELAY."""
    load(name)
    relay: Relay = import_module(f"{__name__}.{name}").connect(url, session, header)
    return relay


@cache
def profiles() -> tuple[RelayProfile, ...]:
    return tuple(import_module(f"{__name__}.{name}").RELAY for name in names())
