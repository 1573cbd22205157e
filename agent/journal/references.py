"""What an event builds upon: an order, a slice or a part of which the record must have told before.

Such an event about something unknown is never admitted, for a fold that fails on it would fail at every opening from then on.
In a journal it can stand all the same: when a disk fills up, what had reduced risk is saved while the plan it speaks of, never
acknowledged and never acted upon, is lost. The fold then counts it and changes nothing.
"""

from __future__ import annotations

from collections.abc import Container
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


def unknown_to(known: Known, event: object) -> ClOrdId | None:
    """The id that an event cannot do without and the book has not heard of."""
    among: Container[ClOrdId]
    match event:
        case ev.ParentClosed() | ev.Attributed():
            among, name = known.parents, event.parent
        case ev.Planned():
            among, name = known.children, event.child.cl_ord_id
        case ev.Proved():
            among, name = known.children, event.child
        case ev.Approved():
            among, name = known.children, event.planned.child.cl_ord_id
        case (
            ev.Prepared()
            | ev.Simulated()
            | ev.Authorized()
            | ev.Replaced()
            | ev.Refused()
            | ev.PartFailed()
            | ev.Settled()
            | ev.Shadowed()
        ):
            among, name = known.parts, event.part.cl_ord_id
        case (
            ev.Submitted()
            | ev.Indeterminate()
            | ev.Observed()
            | ev.CancelSigned()
            | ev.GasPaid()
            | ev.ShadowSeen()
            | ev.Crossed()
        ):
            among, name = known.parts, event.cl_ord_id
        case _:
            return None
    return None if name in among else name
