"""A plan's moves on the one road, each rehearsed, held against its prediction, signed, followed; and what earlier rescues did.

Names are derived from the account and the number of rescues the journal already knows of it: a restart finds what it began under the
same name and begins nothing beside it.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from decimal import Decimal, localcontext
from functools import partial
from typing import TYPE_CHECKING

from agent.algos.step import LASTS
from agent.app import lending
from agent.app.cli.common import first_error
from agent.app.cli.output import note
from agent.app.instructed import failure
from agent.app.intents import check_max_loss, request_of
from agent.app.jobs.budgets import Budgets, others_words, payment_name
from agent.app.jobs.guard import budgets_of
from agent.app.proposals import held_to_price, propose
from agent.app.rescue import flash, landed
from agent.app.rescue.pricing import VERB_OF
from agent.app.rescue.sight import Sight, token_known
from agent.app.wiring import DEADLINE_S
from agent.domain.errors import Denied, FairleadError, Halt, Reject, Retry
from agent.domain.events import Alarmed
from agent.domain.ids import ClOrdId, digest_of
from agent.domain.instruments import AssetId
from agent.domain.orders import Part
from agent.domain.units import WIDE, qty_exact, quantize_up
from agent.execution.desk import Desk
from agent.execution.spine import work
from agent.journal.records import PartRecord
from agent.margin.aave_moves import REPAY_WITH
from agent.margin.rescue import Move, Plan, health_after
from agent.margin.worths import assets_of, worth_usd
from chains.types import Environment

if TYPE_CHECKING:
    from agent.app.wiring import App
    from agent.journal.book import Book

DAY_NS = landed.DAY_NS
MORE_BPS = 20
"""How much more than is owed a sale is to bring."""
LASTS_S = 48
"""How long a payment, or a sale for one, may wait for its block: what the pools, or the price, outran is planned anew after four blocks of mainnet, not after
three minutes."""
UNSIGNED = frozenset(
    {
        "WOULD_REVERT",
        "RESCUE_USELESS",
        "NO_ROUTE",
        "NO_MARKET",
        "NO_INVENTORY",
        "MAX_LOSS",
        "RESCUE_OVER_DAY",
        "SCOPE_RESERVE",
        "SCOPE_MARKET",
    }
)
"""Refusals that come before anything is signed: another plan may still do."""
SOURCE = "rescue:"


@dataclass(frozen=True)
class Done:
    """A payment that is final. `health_1e18` is the contract's own at its block, `predicted_1e18` the plan's for that block's time.
    `repaid_raw` and `taken_raw` are what FlashRepay booked of the debt and of the collateral, None for other payments."""

    cl_ord_id: ClOrdId
    what: str
    block: int
    predicted_1e18: int | None
    health_1e18: int | None
    repaid_raw: int | None = None
    taken_raw: int | None = None


def payments(book: Book, account: str) -> list[PartRecord]:
    """Every payment of a rescue of that account that the journal knows, whatever became of it."""
    return [r for r in book.parts.values() if r.what.startswith(landed.MARK) and f" {account}: " in r.what]


def in_flight(book: Book, sight: Sight) -> str:
    """The payment that is in no block yet, or the sale that is not over; "" where there is neither.

    What is in a block is in the health that is read of it, though it is followed on to its finality.
    """
    for record in payments(book, sight.name):
        if not record.ended and not record.included_in:
            return f"{record.part.cl_ord_id}: {record.what}"
    for parent in book.parents.values():
        if parent.parent.intent.source == source_of(sight) and parent.closed is None:
            return f"{parent.parent.cl_ord_id}: a sale"
    return ""


def over(book: Book) -> frozenset[ClOrdId]:
    """Every payment and sale of rescues that has come to its end."""
    sales = {
        n
        for n, p in book.parents.items()
        if p.parent.intent.source.startswith(SOURCE) and p.closed is not None
    }
    return frozenset(sales | {n for n, r in book.parts.items() if r.what.startswith(landed.MARK) and r.ended})


async def seen_since(book: Book, sight: Sight, over_before: frozenset[ClOrdId]) -> bool:
    """Whether what was seen holds every payment that is in a block: one that is not in it would be paid a second time.

    `over_before` is what was `over` before the look began: what came to its end since may have been in no block that was seen.
    """
    assert sight.one.found is not None
    if over(book) != over_before:
        return False
    for record in payments(book, sight.name):
        if record.ended or not record.included_in:
            continue
        receipts = [await sight.desk.gateway.receipt(form.tx_hash) for form in record.signed]
        blocks = [r.block_number for r in receipts if r is not None]
        if not blocks or min(blocks) > sight.one.found.block.number:
            return False
    return True


def begun(book: Book, sight: Sight) -> int:
    """How many payments and sales the journal knows of: it grows when one begins."""
    sales = [p for p in book.parents.values() if p.parent.intent.source == source_of(sight)]
    return len(payments(book, sight.name)) + len(sales)


def spent_usd(app: App, book: Book, sight: Sight, now_ns: int) -> Decimal:
    """What was paid in within 24 hours, at the protocol's prices of now.

    An asset that the account has no more, a debt that was repaid whole say, counts at our own sources' price, and without any by the
    most that one payment may be.
    """
    total = Decimal(0)
    for record in payments(book, sight.name):
        signed = record.authorized
        if signed is None or record.failed or now_ns - signed.at_ns > DAY_NS:
            continue
        total = WIDE.add(total, _worth_usd(app, sight, record.part))
    return total


def counted_usd(app: App, desk: Desk, sight: Sight, shared: Budgets) -> Decimal:
    """What counts against the rule's day: by our own journal, or by what all daemons have in the store where that is more. Raises Retry
    JOBS_STORE."""
    now_ns = desk.clock.now_ns()
    shared.settle(desk.book, source_of(sight))
    everywhere = shared.counted_usd(source_of(sight), now_ns - DAY_NS)
    return max(spent_usd(app, desk.book, sight, now_ns), everywhere)


def _worth_usd(app: App, sight: Sight, part: Part) -> Decimal:
    account, unit = sight.one.account, sight.unit_usd
    if account is None or unit is None:
        return Decimal(0)
    asset = str(part.asset_in)
    if asset in assets_of(account):
        return worth_usd(account, asset, part.in_raw, unit)
    return _gone_usd(app, sight, part.asset_in, part.in_raw)


def _gone_usd(app: App, sight: Sight, asset: AssetId, raw: int) -> Decimal:
    known, px = app.directory.assets.get(asset), sight.prices.get(app.directory.symbol_of(asset) or "")
    if known is None or px is None:
        return sight.rule.most_usd
    return WIDE.multiply(qty_exact(raw, known.decimals), px)


def words(app: App, sight: Sight, move: Move) -> str:
    """What a move does, as it would be typed."""
    known = token_known(app, move.means.asset)
    assert known is not None
    asset = app.directory.assets[known]
    first = ""
    if move.means.swap_from:
        first = f"buy it with {app.directory.assets[AssetId(move.means.swap_from)].symbol} and "
    does = f"{first}{VERB_OF[move.means.do].split('_')[0]} {qty_exact(move.raw, asset.decimals):f} {asset.symbol}"
    if move.means.buys is not None:
        lent = app.directory.assets[AssetId(move.means.lent)]
        took = f"{qty_exact(flash.taken_raw(move), lent.decimals):f} {lent.symbol}"
        return f"{does} with {took} of its own collateral in one transaction"
    return f"{does} out of what is lent of it" if move.means.do == REPAY_WITH else does


async def prepare(app: App, book: Book, sight: Sight, move: Move, most_cost_usd: Decimal) -> lending.Action:
    """The move rehearsed on top of the block that was seen. A sale in it is bounded by `most_cost_usd`. Raises as `lending.prepare`."""
    known = token_known(app, move.means.asset)
    assert known is not None and sight.one.found is not None
    what = f"{landed.MARK}{sight.rule.name} {sight.name}: {words(app, sight, move)}"
    name = ClOrdId(digest_of("rescue", sight.name, len(payments(book, sight.name))))
    own = None
    if move.means.buys is not None:
        token = await flash.a_token(sight, sight.one.found.block, move)
        own = partial(flash.calls, sight, move, token, flash.most_raw_taken(sight, move, most_cost_usd))
    return await lending.prepared(
        app,
        sight.desk,
        VERB_OF[move.means.do],
        known,
        move.raw,
        what,
        name,
        sight.lender,
        at=sight.one.found.block,
        seen=sight.one,
        own=own,
        lasts_s=lasts_s(app, sight),
    )


def lasts_s(app: App, sight: Sight) -> int:
    """Owners who sign attended are given their time; whoever signs at once is asked again at once."""
    at_once = sight.desk.road is not None or (
        app.settings.signer.unattended and app.settings.environment is not Environment.LIVE
    )
    return LASTS_S if at_once else DEADLINE_S


def source_of(sight: Sight) -> str:
    """Whose order a sale is, as jobs are named."""
    return f"{SOURCE}{sight.rule.name}"


async def buy(app: App, desk: Desk, sight: Sight, move: Move, most_cost_usd: Decimal) -> None:
    """What is owed is bought on that chain with another asset of the wallet: an order like any other, held to its preview.

    A little more than is needed, since interest goes on. Raises as `propose`, Denied MAX_LOSS, Reject NOT_EXECUTED.
    """
    known, sold = token_known(app, move.means.asset), AssetId(move.means.swap_from)
    assert known is not None
    place, symbols = sight.desk.place, app.directory.symbols
    decimals = app.directory.assets[known].decimals
    with localcontext(WIDE):
        qty = quantize_up(qty_exact(move.raw, decimals) * (10_000 + MORE_BPS) / 10_000, Decimal("0.000001"))
    request = request_of(
        app.directory, dict(desk.algos), "buy", f"{qty:f}", f"{symbols[known]}@{place}", f"{symbols[sold]}@{place}",
        max_slippage_bps=sight.rule.max_slippage_bps,
    )  # fmt: skip
    if (lasts := lasts_s(app, sight)) < DEADLINE_S:
        request = replace(request, algo_params=(*request.algo_params, (LASTS, str(lasts))))
    earlier = [r for r in desk.book.parents.values() if r.parent.intent.source == source_of(sight)]
    found = await propose(
        app, request, salt=f"{sight.name} {len(earlier)}", source=source_of(sight), created_ns=desk.clock.now_ns(), note=note,
    )  # fmt: skip
    check_max_loss(found.preview, most_cost_usd)
    parent = held_to_price(found, request)
    try:
        await work(parent, desk)
    except BaseExceptionGroup as group:
        raise first_error(group) from None
    closed = desk.book.parents[parent.cl_ord_id].closed
    if closed is None or closed.status != "FILLED":
        why = closed.why if closed is not None else "its story goes on"
        raise Reject(
            "NOT_EXECUTED", f"{sight.name}: the sale {parent.cl_ord_id}: {why}", "it is planned anew"
        )


def predicted(sight: Sight, move: Move, time_s: int) -> int | None:
    """The health factor after the move in a block of that time, by the version's own arithmetic."""
    assert sight.one.account is not None
    return health_after(sight.one.engine, sight.one.account, time_s, [move])


async def act_first(
    app: App,
    desk: Desk,
    sight: Sight,
    plans: Sequence[Plan],
    most_cost_usd: Decimal,
    known: set[tuple[str, ...]] | None = None,
    shared: Budgets | None = None,
) -> tuple[Done | None, Plan]:
    """The cheapest plan whose first step nothing refuses before it is signed, and what came of it. Raises the last refusal, else as `act`.

    `known` are refusals that were told already: a market that stays as it is would else be told of at every block.
    """
    known = set() if known is None else known
    for plan in plans[:-1]:
        try:
            return await act(app, desk, sight, plan, most_cost_usd, shared), plan
        except FairleadError as error:
            if error.code not in UNSIGNED:
                raise
            means = plan.moves[0].means
            if (key := (error.code, means.do, str(means.asset), str(means.swap_from))) in known:
                continue
            known.add(key)
            told = (
                f"{sight.name}: {words(app, sight, plan.moves[0])}: {error.message}; the next best is tried"
            )
            await desk.journal.record(Alarmed("RESCUE_PLAN_REFUSED", told, desk.clock.now_ns()))
    return await act(app, desk, sight, plans[-1], most_cost_usd, shared), plans[-1]


async def act(
    app: App, desk: Desk, sight: Sight, plan: Plan, most_cost_usd: Decimal, shared: Budgets | None = None
) -> Done | None:
    """The plan's first step, to its end; what else is needed is planned anew from what is then seen. None where that was a sale.

    A payment is reserved in the rule's day, which all daemons share, before it is signed. Raises Halt HALTED, Denied MAX_LOSS,
    PRICE_UNKNOWN, RESCUE_OVER_DAY or SCOPE_…, Reject WOULD_REVERT or NOT_EXECUTED, Reconcile INDETERMINATE, Retry JOBS_STORE.
    """
    move = plan.moves[0]
    if move.means.swap_from:
        await buy(app, desk, sight, move, most_cost_usd)
        return None
    action = await prepare(app, desk.book, sight, move, most_cost_usd)
    lending.check_max_loss(action, most_cost_usd, flash.lost_usd(sight, move))
    foretold = predicted(sight, move, action.time_s)
    if foretold != action.health_after:
        # The contract is right, whatever we say: that it still helps is what counts.
        told = f"{sight.name}: the rehearsal leaves {lending.shown_health(action.health_after)}, the model {lending.shown_health(foretold)}"
        await desk.journal.record(Alarmed("RESCUE_MISPREDICTED", told, desk.clock.now_ns()))
    if action.health_after is not None and action.health_before is not None:
        if action.health_after <= action.health_before:
            raise Reject(
                "RESCUE_USELESS", f"{action.what} would not raise the health factor", "`fairlead health`"
            )
    shared = shared or budgets_of(app.settings)
    _reserve(app, desk, sight, action, shared)
    try:
        ended = await lending.carry_out(action, desk)
    finally:
        with suppress(Retry):  # settled before the next one else, and counted whole until then
            shared.settle(desk.book, source_of(sight))
    if (no := failure(ended, desk, action.part.cl_ord_id)) is not None:
        raise no
    done = await told_of(sight, move, desk.book.parts[action.part.cl_ord_id])
    if done.taken_raw is not None:
        text = f"{sight.name}: in block {done.block} {flash.booked_words(app, move, done.repaid_raw or 0, done.taken_raw)}"
        await desk.journal.record(Alarmed("RESCUE_BOOKED", text, desk.clock.now_ns()))
    return done


def _reserve(app: App, desk: Desk, sight: Sight, action: lending.Action, shared: Budgets) -> None:
    """Raises Denied RESCUE_OVER_DAY, Retry JOBS_STORE."""
    rule, budget, now_ns = sight.rule, source_of(sight), desk.clock.now_ns()
    shared.settle(desk.book, budget)
    usd = _worth_usd(app, sight, action.part)
    name = payment_name(action.part.cl_ord_id, now_ns)
    room = shared.reserve(budget, name, now_ns, usd, rule.per_day_usd, now_ns - DAY_NS)
    if room is None or not room.granted:
        before = "" if room is None else f" on top of {room.counted_usd:.2f} of the last 24 hours"
        raise Denied(
            "RESCUE_OVER_DAY",
            f"{rule.name}: {usd:.2f} USD{before} are more than per_day_usd ({rule.per_day_usd}) lets all daemons pay in"
            + ("" if room is None else others_words(room)),
            "raise rescues.per_day_usd, or pay in by hand",
        )


async def tell(desk: Desk, sight: Sight, done: Done) -> None:
    """The alert of a payment that is final; `sight` is from before it."""
    record = desk.book.parts[done.cl_ord_id]
    health, foretold = (landed.health_words(one) for one in (done.health_1e18, done.predicted_1e18))
    text = (
        f"{landed.opening(record, sight.name)} in block {done.block}; health factor {landed.health_words(sight.health_1e18)} → "
        f"{health} (foretold {foretold})"
    )
    await desk.journal.record(Alarmed(landed.RESCUED, text, desk.clock.now_ns()))


async def told_of(sight: Sight, move: Move, record: PartRecord) -> Done:
    """What came of it, read at the block that holds it."""
    assert record.authorized is not None
    receipt = await sight.desk.gateway.receipt(record.authorized.tx_hash)
    if receipt is None:
        for form in record.signed:
            receipt = receipt or await sight.desk.gateway.receipt(form.tx_hash)
    if receipt is None:
        raise Halt(
            "NO_RECEIPT", f"{record.part.cl_ord_id} is final and no chain knows it", "`fairlead reconcile`"
        )
    block = await sight.desk.gateway.block(receipt.block_number)
    now = await sight.lender.health_at(sight.desk.gateway, sight.desk.wallet, block)
    foretold = predicted(sight, move, block.timestamp)
    book = flash.booked(receipt, sight.desk.wallet) if move.means.buys is not None else None
    told = (book["repaid"], book["taken"]) if book is not None else (None, None)
    return Done(record.part.cl_ord_id, record.what, block.number, foretold, now, *told)
