"""`fairlead report`: each on-chain fill beside what it would have given without its neighbours in the block; what a shadow decided."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from agent.app.cli.groups import Sentences
from agent.app.cli.output import emit_json, header, note, table

if TYPE_CHECKING:
    from contextlib import AsyncExitStack

    from agent.app.mev import MevReceipt
    from agent.app.settings import Settings
    from agent.app.wiring import App
    from agent.domain.errors import FairleadError
    from agent.journal.book import Book
    from agent.journal.records import PartRecord


@click.group("report", cls=Sentences)
def command() -> None:
    """What trades cost, or would have."""


@command.command("mev")
@click.argument("order", required=False)
@click.option("--last", type=click.IntRange(1, 1000), default=20, help="How many fills, the latest first.")
@click.option("--json", "as_json", is_flag=True, help="One JSON document on stdout.")
@click.pass_context
def mev(ctx: click.Context, order: str | None, last: int, as_json: bool) -> int:
    """Carries each fill's block out again on this machine, without what stood before it: lost to that, paid to the builder, refunded.

    Ends with 4 where a chain did not answer.
    """
    from agent.app.cli.common import load_settings, with_app
    from agent.app.readonly import read_book
    from agent.domain.errors import FairleadError, Usage

    settings = load_settings(ctx)
    book = read_book(settings)
    if book is None:
        raise Usage("NO_JOURNAL", "there is no journal yet", "trade first: `fairlead trade …`")
    wanted = _fills(book, order)[:last]

    async def work(app: App, stack: AsyncExitStack) -> list[tuple[PartRecord, MevReceipt | FairleadError]]:
        opened: set[int] = set()
        return [(record, await _one(app, stack, record, opened)) for record in wanted]

    told = with_app(settings, work) if wanted else []
    silent = any(isinstance(found, FairleadError) and found.verb == "RETRY" for _, found in told)
    if as_json:
        emit_json({"fills": [_json(record, found) for record, found in told]})
        return 4 if silent else 0
    header(
        settings.environment.value,
        settings.wallet.address,
        f"{len(told)} of {len(_fills(book, order))} fills on chains",
    )
    if not told:
        print("no fill on a chain yet")
        return 0
    rows = [row for record, found in told if (row := _row(settings, record, found)) is not None]
    columns = ("part", "chain", "block", "place in it", "lost bps", "around it", "tip wei", "refund wei")
    table(columns, rows, right=(2, 3, 4, 6, 7))
    for record, found in told:
        if isinstance(found, FairleadError):
            note(f"{record.part.cl_ord_id}: {found.message}: UNKNOWN")
    return 4 if silent else 0


@command.command("shadow")
@click.option("--last", type=click.IntRange(1, 10_000), default=20, help="How many orders, the latest first.")
@click.option("--json", "as_json", is_flag=True, help="One JSON document on stdout.")
@click.pass_context
def shadow(ctx: click.Context, last: int, as_json: bool) -> None:
    """What `run --shadow` would have sent, beside what the market then gave for it: filled or not at its price, and how far from the plan.

    Basis points above zero are worse than planned. It reads the shadow's own record, also while it runs.
    """
    from agent.app.cli.common import load_settings
    from agent.app.cli.report_shadow import show

    show(load_settings(ctx), last, as_json)


def _fills(book: Book, order: str | None) -> list[PartRecord]:
    """Fills on chains, the latest first; of one order, slice or part where `order` names it. Raises Usage UNKNOWN_ORDER."""
    from agent.domain.errors import Usage

    names: dict[str, set[str]] = {}
    for parent, found in book.parents.items():
        for child in found.children:
            for part in book.children[child].parts:
                names[part] = {parent, child, part}
    chosen = [n for n in book.parts if order is None or any(x.startswith(order) for x in names.get(n, {n}))]
    if not chosen and order is not None:
        raise Usage("UNKNOWN_ORDER", f"the record knows no order {order!r}", "`fairlead orders` lists them")
    return [record for n in reversed(chosen) if (record := book.parts[n]).on_chain and record.fills]


async def _one(
    app: App, stack: AsyncExitStack, record: PartRecord, opened: set[int]
) -> MevReceipt | FairleadError:
    from agent.app.mev import examine
    from agent.domain.errors import FairleadError, Usage
    from agent.execution.settlement import token_of
    from chains.operations import is_keyed
    from chains.types import Hash32

    exec_id = next(iter(record.fills))
    assert record.authorized is not None
    desk = app.chains[record.authorized.chain_id]
    try:
        if desk.simulator is None:
            return Usage("NO_SIMULATOR", "a watch-only wallet has no simulator", "add [wallet.sender]")
        if desk.profile.chain_id not in opened:
            opened.add(desk.profile.chain_id)
            await stack.enter_async_context(desk.simulator)
        mined = Hash32(exec_id.partition("@")[0])
        if desk.operations is not None and is_keyed(record.authorized.nonce):
            bundled = await desk.operations.bundle_of(mined, record.authorized.since_block)
            mined = bundled if bundled is not None else mined
        return await examine(
            desk.gateway,
            desk.simulator,
            mined,
            desk.wallet,
            token_of(record.part.asset_out),
        )
    except FairleadError as error:
        return error


def _row(settings: Settings, record: PartRecord, found: MevReceipt | FairleadError) -> tuple[str, ...] | None:
    from agent.app.places import place_named
    from agent.domain.errors import FairleadError

    if isinstance(found, FairleadError):
        return None
    bps = found.loss_bps
    around = "SANDWICHED" if found.sandwich else f"{len(found.ahead)} before, {len(found.behind)} behind"
    return (
        str(record.part.cl_ord_id), place_named(settings, record.part.place), str(found.block), str(found.index),
        "UNKNOWN" if bps is None else f"{bps:.2f}", around, f"{found.tip_wei:,}", f"{found.refund_wei:,}",
    )  # fmt: skip


def _json(record: PartRecord, found: MevReceipt | FairleadError) -> dict[str, Any]:
    from agent.domain.errors import FairleadError

    part = {"part": record.part.cl_ord_id, "place": record.part.place}
    if isinstance(found, FairleadError):
        return {
            **part,
            "error": {"code": found.code, "verb": found.verb, "message": found.message, "hint": found.hint},
        }
    assert record.authorized is not None
    return {
        **part,
        "tx_hash": found.tx_hash,
        "block": found.block,
        "index": found.index,
        "received_raw": str(found.received_raw),
        "replayed_raw": str(found.replayed_raw),
        "alone_raw": str(found.alone_raw),
        "loss_raw": None if found.loss_raw is None else str(found.loss_raw),
        "loss_bps": None if found.loss_bps is None else str(found.loss_bps),
        "ahead": [n.tx_hash for n in found.ahead],
        "behind": [n.tx_hash for n in found.behind],
        "sandwich": list(found.sandwich) if found.sandwich else None,
        "tip_wei": str(found.tip_wei),
        "refund_wei": str(found.refund_wei),
    }
