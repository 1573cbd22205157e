"""What an event builds upon: an order, a slice or a part of which the record must have told before.

Such an event about something unknown is never admitted, for a fold that fails on it would fail at every opening from then on.
In a journal it can stand all the same: when a disk fills up, what had reduced risk is saved while the plan it speaks of, never
acknowledged and never acted upon, is lost. The fold then counts it and changes nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Container
from operator import attrgetter
from typing import Protocol

from agent.domain import events as ev
from agent.domain.ids import ClOrdId


class Known(Protocol):
    @property
    def parents(self) -> Container[ClOrdId]: ...
    @property
    def children(self) -> Container[ClOrdId]: ...
    @property
    def parts(self) -> Container[ClOrdId]: ...


Read = Callable[[object], ClOrdId]
_PART: Read = attrgetter("part.cl_ord_id")
_NAMED: Read = attrgetter("cl_ord_id")
_PARENTS: dict[type, Read] = {kind: attrgetter("parent") for kind in (ev.ParentClosed, ev.Attributed)}
_CHILDREN: dict[type, Read] = {
    ev.Planned: attrgetter("child.cl_ord_id"),
    ev.Proved: attrgetter("child"),
    ev.Approved: attrgetter("planned.child.cl_ord_id"),
}
_PARTS: dict[type, Read] = {
    ev.Prepared: _PART,
    ev.Simulated: _PART,
    ev.Authorized: _PART,
    ev.Replaced: _PART,
    ev.Refused: _PART,
    ev.PartFailed: _PART,
    ev.Settled: _PART,
    ev.Shadowed: _PART,
    ev.Submitted: _NAMED,
    ev.Indeterminate: _NAMED,
    ev.Observed: _NAMED,
    ev.CancelSigned: _NAMED,
    ev.GasPaid: _NAMED,
    ev.ShadowSeen: _NAMED,
    ev.Crossed: _NAMED,
}

JUDGED = frozenset({ev.Observed, ev.Reported, ev.Replaced, ev.Prepared, ev.Authorized, ev.Crossed})
"""Of these `Book.admit` asks more than that."""


def unknown_to(known: Known, event: object) -> ClOrdId | None:
    """The id that an event cannot do without and the book has not heard of."""
    kind, among = type(event), known.parts
    if (read := _PARTS.get(kind)) is None:
        if (read := _CHILDREN.get(kind)) is not None:
            among = known.children
        elif (read := _PARENTS.get(kind)) is not None:
            among = known.parents
        else:
            return None
    name = read(event)
    return None if name in among else name
