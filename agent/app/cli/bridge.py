"""`fairlead bridge quote|send|list`: money of the wallet brought from one of its chains to another by Across."""

from __future__ import annotations

from contextlib import AsyncExitStack
from typing import TYPE_CHECKING, Any

import click

from agent.app.cli.groups import Sentences
from agent.app.cli.output import emit_json, header, note, plain, table
from chains.errors import Denied, FairleadError, Reconcile, Reject, Usage

if TYPE_CHECKING:
    from collections.abc import Callable

    from agent.app.bridging.sending import Deposit, Way
    from agent.app.wiring import App
    from agent.domain.events import Crossed
    from chains.bridges.across import Quote


@click.group("bridge", cls=Sentences)
def command() -> None:
    """Bring money of the wallet from one chain to another, to the same owners' Safe there and nowhere else."""


def _words(f: Callable[..., Any]) -> Callable[..., Any]:
    """What `quote` and `send` share."""
    for one in (
        click.option("--json", "as_json", is_flag=True, help="One JSON document on stdout."),
        click.option(
            "--to", "to_chain", required=True, metavar="CHAIN", help="Where it is to arrive, by name."
        ),
        click.option(
            "--from", "from_chain", required=True, metavar="CHAIN", help="Where it is now, by name."
        ),
        click.argument("asset"),
        click.argument("qty"),
    ):
        f = one(f)
    return f


@command.command()
@_words
@click.pass_context
def quote(ctx: click.Context, /, qty: str, asset: str, from_chain: str, to_chain: str, as_json: bool) -> None:
    """What would arrive: `fairlead bridge quote 500 USDC --from base --to ethereum`."""
    from agent.app.cli.common import load_settings, with_app

    settings = load_settings(ctx)

    async def work(app: App, stack: AsyncExitStack) -> None:
        from agent.app.bridging.sending import quoted, way_of

        way = way_of(app, asset, from_chain, to_chain)
        found = await quoted(app, way, _raw(way, qty))
        if as_json:
            emit_json(_quote_json(way, found))
            return
        header(settings.environment.value, settings.wallet.address, await app.head_line())
        print(_quote_words(way, found))

    with_app(settings, work)


@command.command()
@_words
@click.option("--live", is_flag=True, help="Really do it; the settings must say live, too.")
@click.option("--yes", is_flag=True, help="Ask nothing; needs --max-loss.")
@click.option("--max-loss", metavar="USD", help="The most that the bridge's fee and the gas may cost.")
@click.option("--again", is_flag=True, help="Also where the very same amount is under way already.")
@click.option(
    "--by",
    type=click.Choice(["owners", "agent"]),
    help="Who signs; else as wallet.authority says. The agent's own key sends nothing across.",
)
@click.pass_context
def send(
    ctx: click.Context,
    /,
    qty: str,
    asset: str,
    from_chain: str,
    to_chain: str,
    live: bool,
    yes: bool,
    max_loss: str | None,
    again: bool,
    by: str | None,
    as_json: bool,
) -> int:
    """Send it, and follow it on both chains until it has arrived.

    Exit status 0: it has arrived, or would; 4: nobody took it, or it never left; 5: it is still on its way, and `fairlead bridge list`
    shows where. What no relayer takes comes back to the wallet by itself.
    """
    from agent.app.cli.common import load_settings, with_app
    from agent.domain.units import parse_qty

    settings = load_settings(ctx)
    if live and not settings.live:
        raise Denied("NOT_LIVE", "the settings do not say live = true", "set it, if you mean it")
    if live and yes and max_loss is None:
        raise Usage("MAX_LOSS_MISSING", "--live --yes needs --max-loss USD", "say what may be lost at most")
    most = parse_qty(max_loss, "--max-loss") if max_loss is not None else None

    async def work(app: App, stack: AsyncExitStack) -> int:
        from agent.app.bridging import sending
        from agent.app.carrier import tell_alarms
        from agent.app.start_check import certify
        from agent.app.unattended import whose_key
        from agent.app.wiring import nothing_new_unless_written, open_trading
        from agent.domain.ids import ClOrdId

        way = sending.way_of(app, asset, from_chain, to_chain)
        raw = _raw(way, qty)
        await whose_key(app, by, live)
        desk = await open_trading(app, stack)
        if live:
            nothing_new_unless_written(app)
            desk.journal.watchers.append(tell_alarms(note))
            await certify(app, desk)
        if (other := sending.same_under_way(desk.book, way, raw)) is not None and not again:
            raise Denied(
                "BRIDGE_IN_FLIGHT",
                f"{other} brings {qty} {asset} from {from_chain} to {to_chain} already",
                "`fairlead run --once` follows it; --again sends as much once more",
            )
        what = f"{sending.MARK}{qty} {way.symbol} from {from_chain} to {to_chain}"
        found = await sending.prepare(app, desk.book, way, raw, what, ClOrdId(f"bridge-{app.clock.now_ns()}"))
        if not as_json:
            header(settings.environment.value, settings.wallet.address, await app.head_line())
            print(
                f"{_quote_words(way, found.quoted)}\nabout {found.gas:,} gas, at most {found.cost_usd:,.2f} USD in all"
            )
        if most is not None:
            sending.check_max_loss(found, most)
        facts = _quote_json(way, found.quoted) | {
            "cl_ord_id": found.part.cl_ord_id,
            "cost_usd_at_most": plain(round(found.cost_usd, 2)),
        }
        if not live:
            note("dry run: nothing was signed or sent; --live does it")
            if as_json:
                emit_json({**facts, "done": False, "crossing": None})
            return 0
        if not yes:
            from agent.app.cli.trade import ask

            ask(as_json)
        return await _sent(app, found, facts, as_json)

    return with_app(settings, work)


async def _sent(app: App, found: Deposit, facts: dict[str, Any], as_json: bool) -> int:
    """The deposit carried out and followed."""
    from agent.app.bridging import following, sending
    from agent.app.bridging.flying import crossing_json
    from agent.app.instructed import failure

    desk = app.desk
    assert desk is not None
    name = found.part.cl_ord_id
    await app.adopt_balances()
    ended = await sending.carry_out(found, desk)
    no = failure(ended, desk, name)
    if no is not None and name not in desk.book.crossings:
        raise no
    until = desk.clock.now_ns() + following.LATE_TIMES * app.settings.bridge.usual_s * 10**9
    one = await following.follow(app, desk, name, until)
    if no is not None:
        raise no
    if as_json:
        emit_json({**facts, "done": True, "crossing": crossing_json(app.settings, desk.book, one)})
        return status_of(one)
    if (error := _not_there(app, one)) is not None:
        raise error
    print(f"arrived   {name}: {following.words(app, one)}")
    return 0


def status_of(one: Crossed) -> int:
    return {"ARRIVED": 0, "EXPIRED": 4, "REFUNDED": 4, "DROPPED": 4}.get(one.stage, 5)


def _not_there(app: App, one: Crossed) -> FairleadError | None:
    from agent.app.bridging.following import words

    if one.stage == "ARRIVED":
        return None
    if status_of(one) == 5:
        return Reconcile(
            "BRIDGE_UNDER_WAY",
            words(app, one),
            "`fairlead run --once` goes on following it; nothing is sent twice",
        )
    told = "it comes back by itself, which can take hours" if one.stage == "EXPIRED" else "the wallet has it"
    return Reject(
        "BRIDGE_" + one.stage, words(app, one), f"{told}; a higher bridge.fee_bps finds a relayer sooner"
    )


@command.command("list")
@click.option("--all", "everything", is_flag=True, help="Also what is over.")
@click.option("--json", "as_json", is_flag=True, help="One JSON document on stdout.")
@click.pass_context
def listed(ctx: click.Context, everything: bool, as_json: bool) -> None:
    """What is on its way, where it stands, what it waits for, and how much of it counts meanwhile."""
    from agent.app.bridging.flying import crossing_json
    from agent.app.cli.common import load_settings
    from agent.app.readonly import read_book
    from agent.journal.crossing_fold import is_over

    settings = load_settings(ctx)
    book = read_book(settings)
    known = [] if book is None else [c for c in book.crossings.values() if everything or not is_over(c)]
    found = [crossing_json(settings, book, c) for c in reversed(known)] if book is not None else []
    if as_json:
        emit_json({"crossings": found})
        return
    header(settings.environment.value, settings.wallet.address, "as the journal tells")
    if not found:
        print("nothing is on its way" if not everything else "nothing was ever sent across")
        return
    from decimal import Decimal

    rows = []
    for one, event in zip(found, reversed(known), strict=True):
        sent, counts, fee = (Decimal(raw).scaleb(-event.decimals) for raw in (one["in_raw"], one["counts_raw"], one["held_raw"]["fee"]))  # fmt: skip
        rows.append(
            [
                one["cl_ord_id"],
                one["what"],
                one["stage"],
                f"{sent:f}",
                f"{counts:f}",
                f"{fee:f}",
                one["waits_for"],
            ]
        )
    table(["id", "what", "stage", "sent", "counts", "fee", "waits for"], rows, right=[3, 4, 5])


def _raw(way: Way, qty: str) -> int:
    from agent.domain.units import parse_qty, raw_exact

    return raw_exact(parse_qty(qty, "the quantity"), way.decimals, "the quantity")


def _quote_json(way: Way, found: Quote) -> dict[str, Any]:
    from agent.app.follow import instant

    return {
        "bridge": "across",
        "given": way.given,
        "received": way.received,
        "in_raw": str(found.in_raw),
        "out_raw": str(found.out_raw),
        "fee_raw": str(found.fee_raw),
        "usual_s": found.seconds,
        "deadline": instant(found.deadline_s * 10**9),
        "recipient": way.there.wallet,
    }


def _quote_words(way: Way, found: Quote) -> str:
    from agent.domain.units import qty_exact

    given, out, fee = (
        f"{qty_exact(raw, way.decimals):f}" for raw in (found.in_raw, found.out_raw, found.fee_raw)
    )
    here, there = way.here.profile.name, way.there.profile.name
    return (
        f"bridge {given} {way.symbol} from {here} to {there} by Across: {out} arrive at {way.there.wallet}, {fee} stay with the relayer\n"
        f"usually within {found.seconds} s; what nobody takes in {found.deadline_s - found.quote_s} s comes back, which can take hours"
    )
