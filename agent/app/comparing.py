"""What a comparison of the books with a place finds: one difference each, with what explains it or the lock that it is."""

from __future__ import annotations

from dataclasses import dataclass

from agent.domain.instruments import Place

IN_FLIGHT = "it is in flight"
RUN_BOOKS_IT = "`fairlead run --once` books it"

BOOKS_CONTRADICTED = "BOOKS_CONTRADICTED"
ORDERS_OPEN = "ORDERS_OPEN"
FOREIGN_NONCE = "FOREIGN_NONCE"
NOT_CERTIFIED = "NOT_CERTIFIED"
BALANCE_GONE = "BALANCE_GONE"

ADOPT = "`fairlead reconcile --adopt` takes it over as it is (end a running process first)"
REMEDIES = {
    "NOT_COMPARED": "it is compared when it answers, and opened by itself where that locks nothing; `fairlead doctor` asks it now",
    BOOKS_CONTRADICTED: f"look there what is so; {ADOPT}",
    ORDERS_OPEN: "find out which other Fairlead has this key; `fairlead reconcile --adopt --cancel` ends its orders and takes the rest over as it is",
    FOREIGN_NONCE: f"find out who else has this key, and freeze it where it is a thief; {ADOPT}",
    NOT_CERTIFIED: ADOPT,
    BALANCE_GONE: f"where it was no withdrawal of yours, end the exchange's key there; {ADOPT}",
}
"""What opens a place again, by what locks it."""


@dataclass(frozen=True, slots=True)
class Difference:
    """`what` says both sides; `why` explains it, or says that nothing here does. `explained` ones need no action. `locks`: the code of the
    lock that it is, '' where it is none."""

    place: Place
    kind: str
    what: str
    why: str
    explained: bool
    locks: str = ""

    @property
    def explained_by(self) -> str | None:
        """None where it locks: nothing here explains it."""
        return None if self.locks else self.why


def unreachable(place: Place, what: str) -> Difference:
    return Difference(place, "unreachable", what, "unknown is not equal", False, "NOT_COMPARED")


__all__ = [
    "ADOPT", "BALANCE_GONE", "BOOKS_CONTRADICTED", "FOREIGN_NONCE", "IN_FLIGHT", "NOT_CERTIFIED", "ORDERS_OPEN", "REMEDIES", "RUN_BOOKS_IT",
    "Difference", "unreachable",
]  # fmt: skip
