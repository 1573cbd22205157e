"""A refusal of the whole names the calls it is about: the decoded ones, as the leaf's own refusals do. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager

from contracts.leaves import Leaf
from keys.policy_state import Refused

SHOWN = 6


@contextmanager
def about(leaves: Iterable[Leaf]) -> Iterator[None]:
    """What is refused inside without naming a decoded call gets those of `leaves`, in their order."""
    try:
        yield
    except Refused as refused:
        calls = list(dict.fromkeys(leaf.path or f"a plain transfer to {leaf.target}" for leaf in leaves))
        if not calls or any(call in refused.what for call in calls):
            raise
        more = f" and {len(calls) - SHOWN} more" if len(calls) > SHOWN else ""
        said = f"{refused.what}, in {', '.join(calls[:SHOWN])}{more}"
        raise Refused(refused.rule, said, refused.remedy) from None
