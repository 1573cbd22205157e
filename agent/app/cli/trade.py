"""`fairlead quote` and `fairlead trade`: the plan as a table first, then, if asked and agreed, the whole road."""

from __future__ import annotations

import asyncio
import signal
import sys
from collections.abc import Sequence
from contextlib import AsyncExitStack
from typing import TYPE_CHECKING, Any

import click

from agent.app.cli.order_words import order_words
from agent.app.cli.output import emit_json, note
from agent.app.cli.plan_view import plan_json, show_outside, show_plan, told_otherwise
from agent.app.cli.quotes import asked_with, hold, remember
from chains.errors import Denied, Halt, Reject, Retry, Usage
from chains.types import Environment

if TYPE_CHECKING:
    from agent.app.intents import Preview, Request
    from agent.app.wiring import App
    from agent.domain.events import Planned, Quoted
    from agent.domain.orders import Intent, ParentOrder
    from agent.domain.risk import BreachReason
    from agent.journal.book import Book
    from agent.market.view import MarketView

NOTHING_TO_DO = ("NO_ROUTE", "NO_MARKET", "BELOW_MINIMUM")
"""What the market says no to, and no rule of ours."""


@click.command("quote")
@order_words
@click.pass_context
def quote(
    ctx: click.Context,
    /,
    side: str,
    qty: str | None,
    base: str | None,
    quote: str | None,
    as_json: bool,
    **words: Any,
) -> None:
    """Price an order over every place: `fairlead quote sell 25 ETH --for USDC`. Prints an id that `trade` takes."""
    from agent.app.cli.common import load_settings, with_app

    settings = load_settings(ctx)

    async def work(app: App, stack: AsyncExitStack) -> None:
        from agent.app.outside_quotes import outside_json, outside_quotes

        quoted, said = asked_with(app, side, words)
        request, holding = await _request(app, quoted, side, qty, base, quote, said)
        planned, view, found, parent = await _plan(app, request)
        quote_id = await remember(app, settings, planned, parent, said, found)
        chain, beside = await outside_quotes(app, planned, view)
        if as_json:
            others = {"outside": outside_json(chain, beside)} if beside else {}
            emit_json({"quote_id": quote_id, **plan_json(planned, view, found, parent.intent), **others})
            return
        await show_plan(app, settings, planned, view, found)
        show_outside(planned, view, chain, beside)
        told_otherwise(request, found, holding)
        if quote_id:
            print(f"\nquote {quote_id}    trade it: fairlead trade {quote_id} --live")

    with_app(settings, work)


@click.command("trade")
@order_words
@click.option("--live", is_flag=True, help="Really do it; the settings must say live, too.")
@click.option("--dry-run", is_flag=True, help="Plan and check only (the default).")
@click.option("--yes", is_flag=True, help="Ask nothing; needs --max-loss where nobody watches.")
@click.option("--max-loss", metavar="USD", help="The most that may be lost against the reference price.")
@click.option(
    "--by",
    type=click.Choice(["owners", "agent"]),
    help="Who signs; else as wallet.authority says. agent: its own key, within the scope the owners granted.",
)
@click.pass_context
def trade(
    ctx: click.Context,
    /,
    side: str,
    qty: str | None,
    base: str | None,
    quote: str | None,
    as_json: bool,
    live: bool,
    dry_run: bool,
    yes: bool,
    max_loss: str | None,
    by: str | None,
    **words: Any,
) -> int:
    """Sell or buy: `fairlead trade sell 25 ETH --for USDC --live`, or a quote by its id.

    Shows the plan, asks, checks it against your limits, has it signed, submits it privately, follows it to finality.
    """
    from agent.app.cli.common import load_settings, with_app
    from agent.domain.units import parse_qty

    settings = load_settings(ctx)
    if live and dry_run:
        raise Usage("LIVE_AND_DRY", "--live and --dry-run exclude each other", "leave one out")
    if live and not settings.live:
        raise Denied("NOT_LIVE", "the settings do not say live = true", "set it, if you mean it")
    if live and yes and max_loss is None:
        raise Usage("MAX_LOSS_MISSING", "--live --yes needs --max-loss USD", "say what may be lost at most")
    most = parse_qty(max_loss, "--max-loss") if max_loss is not None else None

    async def work(app: App, stack: AsyncExitStack) -> int:
        from agent.app.intents import check_max_loss
        from agent.app.unattended import whose_key

        chosen = await whose_key(app, by, live)
        quoted, said = asked_with(app, side, words)
        request, holding = await _request(app, quoted, side, qty, base, quote, said)
        planned, view, found, parent = await _plan(app, request)
        request = hold(quoted, request, found)
        if not as_json:
            await show_plan(app, settings, planned, view, found)
            told_otherwise(request, found, holding)
        if most is not None:
            check_max_loss(found, most)
        if live and parent.intent.algo == "exit":
            refuse_unprotecting(await _reasons(app, planned, view))
        if not live:
            return await _dry_run(app, planned, view, found, as_json, parent.intent)
        if not yes:
            ask(as_json)
        return await _carry(app, stack, request, parent, found, planned, view, as_json, chosen)

    return with_app(settings, work)


# ---------------------------------------------------------------------- what was typed


async def _request(
    app: App,
    quoted: Quoted | None,
    side: str,
    qty: str | None,
    base: str | None,
    quote: str | None,
    words: dict[str, Any],
) -> tuple[Request, tuple[str, ...]]:
    """And, of exits, the exchanges that would hold them."""
    from agent.app.exchange_pairs import chosen, holders, is_bracket, is_pair
    from agent.app.intents import request_of
    from agent.app.wiring import algorithms

    if quoted is not None:
        side, qty, base, quote = quoted.side, str(quoted.qty), quoted.base, quoted.quote
    pair, rests = is_pair(words), is_bracket(words)
    asks = pair or rests or words["at"] is not None
    holding = await holders(app.venues, app.directory, base, quote) if asks else ()
    at = chosen(words["at"], base or "", pair, app.venues, holding, rests)
    words = words | {"at": at, "holds": at in holding}
    if side not in ("sell", "buy"):
        raise Usage(
            "BAD_SIDE",
            f"'{side}' is neither sell nor buy nor a quote's id",
            "write `fairlead trade sell 25 ETH --for USDC`",
        )
    if qty is None or base is None or quote is None:
        missing = "quantity" if qty is None else "asset" if base is None else "--for ASSET"
        raise Usage("MISSING_WORD", f"the {missing} is missing", f"write it like `{side} 25 ETH --for USDC`")
    return request_of(app.directory, algorithms(), side, qty, base, quote, **words), holding


async def _plan(app: App, request: Request) -> tuple[Planned, MarketView, Preview, ParentOrder]:
    from agent.app.proposals import propose

    now = app.clock.now_ns()
    found = await propose(app, request, salt=str(now), source="cli", created_ns=now, note=note)
    return found.plan, found.view, found.preview, found.parent


def ask(as_json: bool, instead: str = "--yes --max-loss USD") -> None:
    """Raises Usage CANNOT_ASK without a terminal, naming the options that need none; Denied DECLINED."""
    if not sys.stdin.isatty():
        raise Usage("CANNOT_ASK", "there is no terminal to ask on", f"add {instead}, or run it in a terminal")
    before = signal.signal(signal.SIGINT, signal.default_int_handler)  # the loop's own would wait for Enter
    try:
        agreed = click.confirm("\nDo it?", default=False, err=as_json)
    finally:
        signal.signal(signal.SIGINT, before)
    if not agreed:
        raise Denied("DECLINED", "you said no; nothing was done", "")


LASTING = frozenset(
    {"RAMP_CAP", "ORDER_TOO_LARGE", "ASSET_NOT_ALLOWED", "VENUE_NOT_ALLOWED", "SLIPPAGE_TOO_WIDE"}
)
"""Rules that no change of the market lets an order through: an exit they refuse now would be refused when its price comes."""


def refuse_unprotecting(reasons: Sequence[BreachReason]) -> None:
    """Raises Denied, by the rule's own code, for an exit that would not be let through once it is reached."""
    for reason in reasons:
        if reason.rule in LASTING:
            raise Denied(
                reason.rule,
                f"the exit would be refused when its price comes: {reason.message}",
                reason.remedy,
            )


async def _reasons(app: App, planned: Planned, view: MarketView) -> Sequence[BreachReason]:
    """What the rules have against the plan of now; nothing is asked where the wallet is only watched."""
    from agent.app.readonly import read_book
    from agent.app.settings import risk_limits
    from agent.app.wiring import wallet_ready
    from agent.app.world import World
    from agent.domain.events import Breach
    from agent.journal.book import Book
    from agent.risk.validator import review

    if app.settings.wallet.sender is None:
        return ()
    limits = risk_limits(app.settings)
    world = World(
        app.clock,
        app.directory,
        app.chains,
        app.switch,
        app.oracles.prices,
        wallet_ready(app),
        lambda: "",
        limits.ramp,
        real_time=app.settings.environment is Environment.LIVE,
    )
    book = read_book(app.settings) if limits.ramp is not None else None
    verdict = review(planned, limits, await world.situation(planned, view, book or Book()))
    return verdict.reasons if isinstance(verdict, Breach) else ()


async def _dry_run(
    app: App, planned: Planned, view: MarketView, found: Preview, as_json: bool, intent: Intent
) -> int:
    reasons = [
        {"rule": r.rule, "message": r.message, "remedy": r.remedy} for r in await _reasons(app, planned, view)
    ]
    if as_json:
        emit_json(
            {
                **plan_json(planned, view, found, intent),
                "dry_run": True,
                "breaches": reasons,
                "parent": None,
                "children": [],
                "executions": [],
                "settlement": None,
                "attribution": None,
            }
        )
    else:
        for reason in reasons:
            print(f"denied    {reason['rule']}: {reason['message']} → {reason['remedy']}")
        print("\ndry run: nothing was signed or sent; --live does it")
    return exit_of(reasons[0]["rule"]) if reasons else 0


def exit_of(rule: str) -> int:
    """The exit status of a plan that a rule refused: 6 where the kill switch did, 4 without a route, else 3."""
    if rule == "HALTED":
        return Halt.exit_status
    return Reject.exit_status if rule in NOTHING_TO_DO else Denied.exit_status


# ---------------------------------------------------------------------- doing it


async def _carry(
    app: App,
    stack: AsyncExitStack,
    request: Request,
    parent: ParentOrder,
    found: Preview,
    planned: Planned,
    view: MarketView,
    as_json: bool,
    by: str,
) -> int:
    from dataclasses import replace

    from agent.app.carrier import Carrier
    from agent.app.cli.common import journal_busy
    from agent.app.follow import Teller
    from agent.app.intents import guarded
    from agent.app.start_check import certify
    from agent.app.watching.exits import unprotected_lines
    from agent.app.wiring import nothing_new_unless_written, open_trading

    if request.algo == "market":
        parent = replace(parent, intent=replace(parent.intent, limit_px=guarded(request, found.net_px)))
    if journal_busy(app.settings):
        return await _hand_over(app, parent, found, planned, view, as_json, by)
    desk = await open_trading(app, stack)
    nothing_new_unless_written(app)
    desk.journal.watchers.append(
        Teller(app.settings, desk.book, parent).saw
    )  # alarms of what comes before it, too
    await certify(app, desk)
    async with Carrier(app, desk, note) as carrier:
        waiting = carrier.waiting()
        if desk.book.open_parts() or any(
            record.closed is None and name not in waiting for name, record in desk.book.parents.items()
        ):
            note("finishing what an earlier run left open")
            await carrier.take_up(waiting)
            await carrier.rest()
        await app.adopt_balances()
        for name in waiting:
            note(f"exit {name} of an earlier run is watched meanwhile")
            carrier.start(desk.book.parents[name].parent)
        for line in unprotected_lines(desk.book):
            note(line)
        note(_how_to_go_on(parent))
        try:
            await carrier.own(parent)
            if (listed := carrier.listed(parent)) is not None:
                await carrier.own(listed)
            if (after := await carrier.exit_of(parent)) is not None:
                note(
                    f"filled: its exits are order {after.cl_ord_id}    cancel both: fairlead cancel {after.cl_ord_id}"
                )
                await carrier.own(after)
        finally:
            if carrier.busy:
                note(f"still carrying {', '.join(carrier.busy)}, taken over from another process")
        await carrier.rest(waiting)
        carrier.close_door()
        for name in carrier.busy:
            note(f"exit {name} waits on, unwatched from now: `fairlead run` watches it")
    return _conclude(app, desk.book, parent, planned, view, found, as_json)


def _how_to_go_on(parent: ParentOrder) -> str:
    name = parent.cl_ord_id
    return f"order {name}    cancel it: fairlead cancel {name}    resume it: fairlead run --once"


async def _hand_over(
    app: App,
    parent: ParentOrder,
    found: Preview,
    planned: Planned,
    view: MarketView,
    as_json: bool,
    by: str,
) -> int:
    """Another process holds the journal: it carries the order, this one tells what it does."""
    from agent.app.carrier import handed_over, inbox_of
    from agent.app.exchange_pairs import holder_of
    from agent.app.follow import Teller
    from agent.app.tail import Tail, held_by

    pid = held_by(app.settings)
    wish = handed_over(parent, app.clock.now_ns())
    answer = await inbox_of(app).ask("intent", "trade", accepted=wish, by=by)
    if answer is None:
        raise Retry(
            "JOURNAL_LOCKED",
            f"another Fairlead process (pid {pid}) holds the journal and takes no orders; nothing was done",
            "try again when it has ended",
        )
    answer.unwrap()
    note(f"handed over to the running process (pid {pid})\n{_how_to_go_on(parent)}")
    name = parent.cl_ord_id
    with Tail(app.settings, app.clock) as tail:
        tail.watchers.append(Teller(app.settings, tail.book, parent).saw)

        def over(book: Book) -> bool:
            record = book.parents.get(name)
            if record is None or record.closed is None:
                return holder_of(book, name) is not None
            return record.attributed is not None or book.filled_base(name) == 0

        try:
            await tail.until(over)
        except asyncio.CancelledError:
            raise Usage(
                "INTERRUPTED",
                f"stopped watching; {name} goes on in the running process (pid {pid})",
                f"`fairlead cancel {name}` ends it, `fairlead orders` shows it",
            ) from None
    return _conclude(app, tail.book, parent, planned, view, found, as_json)


def _conclude(
    app: App,
    book: Book,
    parent: ParentOrder,
    planned: Planned,
    view: MarketView,
    found: Preview,
    as_json: bool,
) -> int:
    from agent.algos import bracket
    from agent.app.brackets import exit_id, listed_exits
    from agent.app.exchange_pairs import holder_of, listed_words, words
    from agent.app.follow import story_json, summary

    record = book.parents[parent.cl_ord_id]
    holder = holder_of(book, parent.cl_ord_id)
    listed = listed_exits(book, parent.cl_ord_id)
    after = exit_id(parent)
    if listed is not None and after not in book.parents:
        after = listed.cl_ord_id
    if as_json:
        told = story_json(app.settings, book, parent.cl_ord_id)
        emit_json(
            {
                **plan_json(planned, view, found, parent.intent),
                **told,
                "exits": after if after in book.parents else None,
            }
        )
    elif holder is not None:
        stands = listed_words(holder, len(listed.intent.algo_params) - 1) if listed else words(holder)
        print(f"{stands}\nfollow it: fairlead orders    end all of it: fairlead cancel {parent.cl_ord_id}")
    else:
        summary(app.settings, book, parent.cl_ord_id)
    if after in book.parents and not as_json and holder is None:
        held = holder_of(book, after)
        several = len(bracket.after(dict(parent.intent.algo_params)))
        print(
            f"its exits: {words(held, several)}"
            if held
            else f"its exits: {after}, see `fairlead orders {after}`"
        )
    if holder is not None:
        return 0
    closed = record.closed
    if closed is not None and closed.status in ("FILLED",):
        return 0
    if closed is not None and closed.status == "PARTLY_FILLED":
        return Reject.exit_status  # its rest was too small to be ordered, as its story says
    for name in reversed(record.children):
        breach = book.children[name].breach
        if breach is not None and not as_json:
            reason = breach.reasons[0]
            if reason.rule in NOTHING_TO_DO:
                raise Reject(reason.rule, reason.message, reason.remedy)
            if reason.rule == "HALTED":
                raise Halt(reason.rule, reason.message, reason.remedy)
            raise Denied(reason.rule, "; ".join(r.message for r in breach.reasons), reason.remedy)
        if breach is not None:
            return exit_of(breach.reasons[0].rule)
        for part in book.children[name].parts:
            refused = book.parts[part].refused
            if refused is not None and not as_json:
                raise Denied(refused.rule, refused.message, refused.remedy)
            if refused is not None:
                return 3
    return 4
