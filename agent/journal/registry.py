"""The codec of Fairlead's own events, with the upcasters that still read what older versions wrote."""

from __future__ import annotations

from functools import cache

from agent.domain.events import EVENTS, VERSIONS
from agent.journal.codec import Codec, Upcaster

UPCASTERS: dict[tuple[str, int], Upcaster] = {}
"""(type name, old version) → plain fields of the next version."""
RENAMED: dict[str, str] = {}
"""A type's old name → its name today."""


@cache
def event_codec() -> Codec:
    """One for the process: to learn how thirty types are written takes a journal's opening longer than all else."""
    return Codec(EVENTS, versions=VERSIONS, upcasters=UPCASTERS, renamed=RENAMED)


NEW_RISK: frozenset[str] = frozenset(
    {
        "Accepted",
        "Sliced",
        "Planned",
        "Approved",
        "Instructed",
        "Prepared",
        "Simulated",
        "Authorized",
        "Certified",
        "Replaced",
        "Quoted",
        "Resumed",
        "Scheduled",
        "Shadowed",
    }
)
"""Events that begin or permit something. All others tell what happened already, or take risk away."""


def is_derisking(event: object) -> bool:
    """Whether the event may go to the emergency journal when the main one cannot be written: for `Journal.open`."""
    return type(event).__name__ not in NEW_RISK
