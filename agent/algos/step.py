"""What an algo sees and what it answers."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from decimal import Decimal

from agent.domain.ids import child_id
from agent.domain.orders import ChildOrder, ParentOrder, Side

REDUCE_ONLY = ("reduce_only", "true")
"""Among an intent's parameters: its slices close what is open of a contract, and never open any."""
LASTS = "lasts_s"
"""Among an intent's parameters: how long a wallet's batch of a slice may wait for its block, in seconds."""
EXITS = frozenset({"exit", "oco"})
"""Algorithms whose slices are exits of what is held."""


@dataclass(frozen=True, slots=True)
class Progress:
    """A parent's story so far. `leaves` is what is neither filled nor working; `px_now` the net price of trading it now.

    `denied`: the last slice was refused by our own rules. `children` counts the slices made, `failed` those that ended without a fill (a dying process aside), `unsettled` the parts that are not final
    yet: a fill may still be taken back, so nothing is FILLED before it is 0. `lot` is the least worth sending. `last`: the slice made last, at `last_ns`.
    `too_small`: no place takes an order as small as what is left.
    """

    leaves: Decimal
    working: Decimal
    children: int
    failed: int
    unsettled: int
    denied: bool
    accepted_ns: int
    px_now: Decimal | None
    lot: Decimal
    last: ChildOrder | None = None
    last_ns: int = 0
    too_small: bool = False


@dataclass(frozen=True, slots=True)
class Step:
    """`wake_ns` is when to ask again; `done` with its reason when nothing more will come."""

    children: tuple[ChildOrder, ...] = ()
    wake_ns: int | None = None
    done: str = ""


@dataclass(frozen=True, slots=True)
class Algorithm:
    """`step` is pure; `parameters` are its command-line words with what they mean; `wants_px` where it needs a price;
    `fits` refuses parameters that do not go with the side and the limit."""

    name: str
    about: str
    parameters: tuple[tuple[str, str], ...]
    step: Callable[[ParentOrder, Progress, int], Step]
    check: Callable[[dict[str, str]], None]
    wants_px: bool = False
    fits: Callable[[Side, Decimal | None, Mapping[str, str]], None] = lambda side, limit, parameters: None


def once(
    parent: ParentOrder,
    progress: Progress,
    now_ns: int,
    make: Callable[[ChildOrder], ChildOrder],
    look_ns: int,
) -> Step:
    """One slice of everything, as `make` has it: what an exchange ended is not sent again. One that the end of a process stopped before
    anything was signed is made again."""
    if progress.working > 0 or progress.unsettled:
        return Step(wake_ns=now_ns + look_ns)
    if progress.leaves <= progress.lot:
        return Step(done="FILLED")
    if now_ns >= parent.intent.expire_ns:
        return Step(done="EXPIRED")
    if progress.failed or progress.leaves < parent.qty:
        return Step(done="FAILED")
    child = slice_of(parent, progress.children, progress.leaves, parent.intent.expire_ns)
    return Step(children=(make(child),))


def rest_left(parent: ParentOrder, progress: Progress) -> str:
    """How an order ends whose rest is too small to be ordered; "" where that is not so, or nothing of it is done yet.

    Never by an order that is larger than the rest.
    """
    left = progress.too_small and not progress.unsettled and progress.working == 0
    return "PARTLY_FILLED" if left and progress.leaves < parent.qty else ""


def slice_of(parent: ParentOrder, slice_no: int, qty: Decimal, expire_ns: int) -> ChildOrder:
    intent = parent.intent
    return ChildOrder(
        cl_ord_id=child_id(parent.cl_ord_id, slice_no),
        parent=parent.cl_ord_id,
        slice_no=slice_no,
        side=intent.side,
        base=intent.base,
        quote=intent.quote,
        qty=qty,
        limit_px=intent.limit_px,
        max_slippage_bps=intent.max_slippage_bps,
        protection=intent.protection,
        expire_ns=expire_ns,
        reduce_only=REDUCE_ONLY in intent.algo_params,
        closes=intent.algo in EXITS,
        lasts_s=int(lasts) if (lasts := dict(intent.algo_params).get(LASTS)) is not None else None,
    )
