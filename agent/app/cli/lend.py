"""`fairlead lend supply|borrow|repay|withdraw`: the wallet's lending, rehearsed first, health before and after shown."""

from __future__ import annotations

from contextlib import AsyncExitStack
from decimal import Decimal
from typing import TYPE_CHECKING

import click

from agent.app.cli.output import emit_json, header, note, plain
from chains.errors import Denied, Usage

if TYPE_CHECKING:
    from agent.app.lending import Action
    from agent.app.wiring import App

UNDOES = {"supply": "withdraw", "withdraw": "supply", "borrow": "repay", "repay": "borrow"}


@click.command("lend")
@click.argument("verb", type=click.Choice(["supply", "borrow", "repay", "withdraw"]))
@click.argument("qty")
@click.argument("asset")
@click.option(
    "--chain", default="ethereum", show_default=True, metavar="NAME", help="The chain's name in the settings."
)
@click.option(
    "--min-health", default="1.25", show_default=True, help="The least health factor it may leave behind."
)
@click.option("--live", is_flag=True, help="Really do it; the settings must say live, too.")
@click.option("--yes", is_flag=True, help="Ask nothing; needs --max-loss.")
@click.option("--max-loss", metavar="USD", help="The most that its transaction may cost.")
@click.option(
    "--by",
    type=click.Choice(["owners", "agent"]),
    help="Who signs; else as wallet.authority says. agent: its own key, within the scope the owners granted.",
)
@click.option("--json", "as_json", is_flag=True, help="One JSON document on stdout.")
@click.pass_context
def command(
    ctx: click.Context,
    /,
    verb: str,
    qty: str,
    asset: str,
    chain: str,
    min_health: str,
    live: bool,
    yes: bool,
    max_loss: str | None,
    by: str | None,
    as_json: bool,
) -> int:
    """Supply, borrow, repay or withdraw at Aave V3: `fairlead lend supply 10 ETH --live`."""
    from agent.app.cli.common import load_settings, with_app
    from agent.domain.units import parse_qty

    settings = load_settings(ctx)
    # What is typed wrong is told before anything is asked of a chain.
    least: Decimal = parse_qty(min_health, "--min-health")
    parse_qty(qty, "the quantity")
    if settings.chain(chain) is None:
        raise Usage("UNKNOWN_CHAIN", f"there is no chain '{chain}' in the settings", "see [[chains]]")
    if live and not settings.live:
        raise Denied("NOT_LIVE", "the settings do not say live = true", "set it, if you mean it")
    if live and yes and max_loss is None:
        raise Usage("MAX_LOSS_MISSING", "--live --yes needs --max-loss USD", "say what may be lost at most")
    most = parse_qty(max_loss, "--max-loss") if max_loss is not None else None

    async def work(app: App, stack: AsyncExitStack) -> int:
        from agent.app import lending
        from agent.app.carrier import tell_alarms
        from agent.app.instructed import failure
        from agent.app.start_check import certify
        from agent.app.unattended import whose_key
        from agent.app.wiring import nothing_new_unless_written, open_trading

        await whose_key(app, by, live)
        desk = await open_trading(app, stack)
        if live:
            nothing_new_unless_written(app)
            desk.journal.watchers.append(tell_alarms(note))
            await certify(app, desk)
        action = await lending.prepare(app, verb, qty, asset, chain)
        before, after = lending.shown_health(action.health_before), lending.shown_health(action.health_after)
        if not as_json:
            header(settings.environment.value, settings.wallet.address, await app.head_line())
            print(
                f"{action.what}\nhealth factor {before} → {after}, about {action.gas:,} gas{shown_fee(action)}"
            )
        lending.check_health(action, least)
        if most is not None:
            lending.check_max_loss(action, most)
        if live and not yes:
            from agent.app.cli.trade import ask

            ask(as_json)
        settled = await lending.carry_out(action, desk) if live else None
        facts = {
            "what": action.what,
            "health_before": before,
            "health_after": after,
            "fee_usd_at_most": plain(round(action.fee_usd, 2)) if action.fee_usd is not None else None,
            "cl_ord_id": action.part.cl_ord_id,
        }
        if not live:
            note("dry run: nothing was signed or sent; --live does it")
        elif (no := failure(settled, desk, action.part.cl_ord_id)) is not None:
            raise no
        if as_json:
            emit_json({**facts, "done": live})
        elif live:
            print(
                f"settled {action.part.cl_ord_id}    undo it: fairlead lend {UNDOES[verb]} {qty} {asset} --live"
            )
        return 0

    return with_app(settings, work)


def shown_fee(action: Action) -> str:
    return f", at most {action.fee_usd:,.2f} USD" if action.fee_usd is not None else ""
