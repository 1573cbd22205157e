"""The life of an order as one table, for exchange orders, transactions, user operations and Safe queue entries alike.

Rules of this file: the table is a literal; a missing key is a prohibition; nothing here knows who sent a report, so
no report can be read in our favour. Names and meanings are FIX 4.4 OrdStatus (39) and ExecType (150).
"""

from __future__ import annotations

from enum import Enum

from agent.domain.errors import Halt


class OrdStatus(Enum):
    __hash__ = (
        object.__hash__
    )  # a member is itself alone; Enum's own is a function of Python's, asked at every report

    PENDING_NEW = "PENDING_NEW"
    NEW = "NEW"
    PARTIALLY_FILLED = "PARTIALLY_FILLED"
    FILLED = "FILLED"
    PENDING_CANCEL = "PENDING_CANCEL"
    CANCELED = "CANCELED"
    REJECTED = "REJECTED"
    EXPIRED = "EXPIRED"


class ExecType(Enum):
    __hash__ = object.__hash__

    PENDING_NEW = "PENDING_NEW"
    NEW = "NEW"
    TRADE = "TRADE"
    TRADE_CANCEL = "TRADE_CANCEL"
    PENDING_CANCEL = "PENDING_CANCEL"
    CANCEL_REJECTED = "CANCEL_REJECTED"
    CANCELED = "CANCELED"
    REJECTED = "REJECTED"
    EXPIRED = "EXPIRED"


S, X = OrdStatus, ExecType

TERMINAL: frozenset[OrdStatus] = frozenset({S.FILLED, S.CANCELED, S.REJECTED, S.EXPIRED})

# fmt: off
TRANSITIONS: dict[OrdStatus, dict[ExecType, frozenset[OrdStatus]]] = {
    S.PENDING_NEW: {
        X.NEW: frozenset({S.NEW}),
        X.TRADE: frozenset({S.PARTIALLY_FILLED, S.FILLED}),          # filled before it was acknowledged
        X.PENDING_CANCEL: frozenset({S.PENDING_CANCEL}),
        X.CANCELED: frozenset({S.CANCELED}),
        X.REJECTED: frozenset({S.REJECTED}),
        X.EXPIRED: frozenset({S.EXPIRED}),
    },
    S.NEW: {
        X.TRADE: frozenset({S.PARTIALLY_FILLED, S.FILLED}),
        X.PENDING_CANCEL: frozenset({S.PENDING_CANCEL}),
        X.CANCELED: frozenset({S.CANCELED}),
        X.REJECTED: frozenset({S.REJECTED}),                         # mined and reverted
        X.EXPIRED: frozenset({S.EXPIRED}),
    },
    S.PARTIALLY_FILLED: {
        X.TRADE: frozenset({S.PARTIALLY_FILLED, S.FILLED}),
        X.TRADE_CANCEL: frozenset({S.NEW, S.PARTIALLY_FILLED}),
        X.PENDING_CANCEL: frozenset({S.PENDING_CANCEL}),
        X.CANCELED: frozenset({S.CANCELED}),
        X.EXPIRED: frozenset({S.EXPIRED}),
    },
    S.PENDING_CANCEL: {
        X.TRADE: frozenset({S.PENDING_CANCEL, S.FILLED}),            # the fill raced the cancel
        X.TRADE_CANCEL: frozenset({S.PENDING_CANCEL}),
        X.CANCEL_REJECTED: frozenset({S.NEW, S.PARTIALLY_FILLED}),
        X.CANCELED: frozenset({S.CANCELED}),
        X.REJECTED: frozenset({S.REJECTED}),
        X.EXPIRED: frozenset({S.EXPIRED}),
    },
    S.FILLED: {
        X.TRADE_CANCEL: frozenset({S.NEW, S.PARTIALLY_FILLED}),      # a reorg took the fill back
        X.TRADE: frozenset({S.FILLED}),                              # an overfill is recorded, and alarms
    },
    S.CANCELED: {
        X.TRADE: frozenset({S.CANCELED, S.FILLED}),                  # the fill had left before the cancel arrived
        X.TRADE_CANCEL: frozenset({S.CANCELED}),
        X.NEW: frozenset({S.NEW}),                                   # a reorg took the cancelling transaction back
    },
    S.REJECTED: {
        X.TRADE: frozenset({S.PARTIALLY_FILLED, S.FILLED}),          # they said no and did it: believed, and alarms
        X.NEW: frozenset({S.NEW}),                                   # a reorg took the reverted transaction back
    },
    S.EXPIRED: {
        X.TRADE: frozenset({S.EXPIRED, S.FILLED}),
        X.TRADE_CANCEL: frozenset({S.EXPIRED}),
        X.NEW: frozenset({S.NEW}),
    },
}
# fmt: on


def next_status(status: OrdStatus, exec_type: ExecType, *, filled: bool, any_fill: bool) -> OrdStatus:
    """The status after a report; `filled` and `any_fill` describe the order once the report is counted.

    Raises Halt FORBIDDEN_TRANSITION where the table has no edge: our book and theirs disagree about what can be.
    """
    allowed = TRANSITIONS[status].get(exec_type)
    if allowed is None:
        raise Halt(
            "FORBIDDEN_TRANSITION",
            f"an order that is {status.value} cannot get {exec_type.value}",
            "run `fairlead reconcile`",
        )
    if len(allowed) == 1:
        return next(iter(allowed))
    if exec_type is X.TRADE:
        if filled:
            return S.FILLED
        return status if status in allowed else S.PARTIALLY_FILLED
    return S.PARTIALLY_FILLED if any_fill else S.NEW


def is_surprising(status: OrdStatus, exec_type: ExecType) -> bool:
    """True for edges that are accepted but must raise an alarm: a fill after the end."""
    return exec_type is X.TRADE and status in TERMINAL
