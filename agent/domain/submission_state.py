"""The life of a signed transaction, and the one place where it is coupled to the order's life.

Rules of this file: two literals, `TRANSITIONS` and `REPORT_OF`; a missing key is a prohibition. RECEIVED by a relay is
not inclusion; inclusion is not finality; a fee bump (REPLACED) is the submission's own business and reports nothing.
"""

from __future__ import annotations

from enum import Enum

from agent.domain.errors import Halt
from agent.domain.order_state import ExecType


class SubmissionState(Enum):
    AUTHORIZED = "AUTHORIZED"
    BROADCAST = "BROADCAST"
    INCLUDED = "INCLUDED"
    REVERTED = "REVERTED"
    FINAL = "FINAL"
    EXPIRED = "EXPIRED"
    CANCELLED = "CANCELLED"


class Observation(Enum):
    """What was seen of a submission."""

    RECEIVED = "RECEIVED"
    REFUSED = "REFUSED"
    REPLACED = "REPLACED"
    INCLUDED = "INCLUDED"
    REVERTED = "REVERTED"
    REORGED = "REORGED"
    FINALIZED = "FINALIZED"
    EXPIRED = "EXPIRED"
    CANCEL_MINED = "CANCEL_MINED"


UNDECIDED = frozenset({SubmissionState.AUTHORIZED, SubmissionState.BROADCAST})
"""Signed, and no block has decided about its nonce."""

S, O = SubmissionState, Observation  # noqa: E741

# fmt: off
TRANSITIONS: dict[SubmissionState, dict[Observation, SubmissionState]] = {
    S.AUTHORIZED: {O.RECEIVED: S.BROADCAST, O.REFUSED: S.EXPIRED, O.REPLACED: S.AUTHORIZED,
                   O.INCLUDED: S.INCLUDED, O.REVERTED: S.REVERTED, O.EXPIRED: S.EXPIRED, O.CANCEL_MINED: S.CANCELLED},
    S.BROADCAST:  {O.RECEIVED: S.BROADCAST, O.REPLACED: S.BROADCAST, O.INCLUDED: S.INCLUDED,
                   O.REVERTED: S.REVERTED, O.EXPIRED: S.EXPIRED, O.CANCEL_MINED: S.CANCELLED},
    S.INCLUDED:   {O.REORGED: S.BROADCAST, O.FINALIZED: S.FINAL},
    S.REVERTED:   {O.REORGED: S.BROADCAST},
    S.CANCELLED:  {O.REORGED: S.BROADCAST, O.INCLUDED: S.INCLUDED},    # an empty transfer leaves the owners' signatures worth something
    S.EXPIRED:    {O.INCLUDED: S.INCLUDED, O.REVERTED: S.REVERTED, O.REORGED: S.BROADCAST},   # whoever saw it could send it
    S.FINAL:      {},
}

REPORT_OF: dict[tuple[SubmissionState, Observation], ExecType | None] = {
    (S.AUTHORIZED, O.RECEIVED): ExecType.NEW,
    (S.AUTHORIZED, O.REFUSED): ExecType.EXPIRED,
    (S.AUTHORIZED, O.REPLACED): None,
    (S.AUTHORIZED, O.INCLUDED): ExecType.TRADE,
    (S.AUTHORIZED, O.REVERTED): ExecType.REJECTED,
    (S.AUTHORIZED, O.EXPIRED): ExecType.EXPIRED,
    (S.AUTHORIZED, O.CANCEL_MINED): ExecType.CANCELED,
    (S.BROADCAST, O.RECEIVED): None,
    (S.BROADCAST, O.REPLACED): None,
    (S.BROADCAST, O.INCLUDED): ExecType.TRADE,
    (S.BROADCAST, O.REVERTED): ExecType.REJECTED,
    (S.BROADCAST, O.EXPIRED): ExecType.EXPIRED,
    (S.BROADCAST, O.CANCEL_MINED): ExecType.CANCELED,
    (S.INCLUDED, O.REORGED): ExecType.TRADE_CANCEL,
    (S.INCLUDED, O.FINALIZED): None,
    (S.REVERTED, O.REORGED): ExecType.NEW,
    (S.CANCELLED, O.REORGED): ExecType.NEW,
    (S.CANCELLED, O.INCLUDED): ExecType.TRADE,
    (S.EXPIRED, O.INCLUDED): ExecType.TRADE,
    (S.EXPIRED, O.REVERTED): None,
    (S.EXPIRED, O.REORGED): ExecType.NEW,
}
# fmt: on


def observe(state: SubmissionState, seen: Observation) -> tuple[SubmissionState, ExecType | None]:
    """The next state and the report it makes, if any. Raises Halt FORBIDDEN_TRANSITION where the table has no edge."""
    after = TRANSITIONS[state].get(seen)
    if after is None:
        raise Halt(
            "FORBIDDEN_TRANSITION",
            f"a submission that is {state.value} cannot be {seen.value}",
            "run `fairlead reconcile`",
        )
    return after, REPORT_OF[state, seen]
