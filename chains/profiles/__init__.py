"""One chain a file; the file's name is the settings' name. `load("base")`, `load(8453)`, `load("eip155:8453")`."""

from __future__ import annotations

import difflib
import pkgutil
from functools import cache
from importlib import import_module

from chains.errors import Usage
from chains.profile import ChainProfile


@cache
def names() -> tuple[str, ...]:
    """Every profile in this folder, in alphabetical order."""
    return tuple(
        sorted(module.name for module in pkgutil.iter_modules(__path__) if not module.name.startswith("_"))
    )


@cache
def profiles() -> tuple[ChainProfile, ...]:
    return tuple(import_module(f"{__name__}.{name}").CHAIN for name in names())


def load(wanted: str | int) -> ChainProfile:
    """A profile by name, chain id or CAIP-2. Raises Usage, naming the nearest known name."""
    text = str(wanted).removeprefix("eip155:")
    for profile in profiles():
        if text in (profile.name, str(profile.chain_id)):
            return profile
    near = difflib.get_close_matches(text, names(), 1)
    known = ", ".join(f"{p.name} ({p.chain_id})" for p in profiles())
    raise Usage(
        "UNKNOWN_CHAIN",
        f"there is no chain {wanted!r}",
        f"did you mean {near[0]}?" if near else f"known: {known}",
    )
