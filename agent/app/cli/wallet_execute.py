"""`fairlead wallet execute`: a Safe transaction its owners have signed, rehearsed with those signatures, sent, followed to finality."""

from __future__ import annotations

from contextlib import AsyncExitStack
from typing import TYPE_CHECKING

import click

from agent.app.cli.output import emit_json, header, note, plain
from chains.errors import Denied, FairleadError, Usage

if TYPE_CHECKING:
    from decimal import Decimal

    from agent.app.multisig.executing import Execution
    from agent.app.wiring import App


@click.command("execute")
@click.argument("target", metavar="FILE|HASH")
@click.option("--chain", metavar="NAME", help="Which chain it is for, where the file does not say so.")
@click.option("--live", is_flag=True, help="Really send it; the settings must say live, too.")
@click.option("--yes", is_flag=True, help="Ask nothing; needs --max-loss.")
@click.option(
    "--max-loss", metavar="USD", help="The most that may leave, be taken afterwards, and be paid for gas."
)
@click.option(
    "--service",
    metavar="URL",
    help="Take HASH, and signatures the file lacks, from a Safe Transaction Service.",
)
@click.option(
    "--service-key", metavar="REFERENCE", help="Where that service's API key is: env:NAME, file:PATH."
)
@click.option("--json", "as_json", is_flag=True, help="One JSON document on stdout.")
@click.pass_context
def execute(ctx: click.Context, /, target: str, chain: str | None, live: bool, yes: bool, max_loss: str | None,
            service: str | None, service_key: str | None, as_json: bool) -> int:  # fmt: skip
    """Execute a signed proposal: `fairlead wallet execute FILE --live`. Without --live it is a dry run.

    Hash, owners, threshold, nonce and every signature are checked against the Safe as it is now, before anything is sent.
    """
    from agent.app.cli.common import load_settings, with_app
    from agent.app.cli.wallet_sign import opened
    from agent.app.multisig import serving
    from agent.domain.units import parse_qty

    settings = load_settings(ctx)
    if live and not settings.live:
        raise Denied("NOT_LIVE", "the settings do not say live = true", "set it, if you mean it")
    if live and yes and max_loss is None:
        raise Usage("MAX_LOSS_MISSING", "--live --yes needs --max-loss USD", "say what may be lost at most")
    most: Decimal | None = parse_qty(max_loss, "--max-loss") if max_loss is not None else None
    chosen, kept = opened(settings, target, chain, service)
    client = serving.address_of(service, service_key, chosen)

    async def work(app: App, stack: AsyncExitStack) -> int:
        from agent.app.instructed import failure
        from agent.app.multisig import executing
        from agent.app.multisig.room import open_room
        from agent.app.multisig.words import decoded
        from agent.app.wiring import open_trading
        from keys.safe_document import merge

        document = kept
        if client is not None:
            room = await open_room(settings, chosen, app.session)
            try:
                there = await serving.fetch(room, client, kept.hash if kept else target)
                document = merge(kept, there) if kept else there
            except FairleadError as error:
                if kept is None or service is not None:
                    raise
                note(f"the settings' service was left out: {error.message}")
        assert document is not None
        desk = await open_trading(app, stack)
        found = await executing.prepare(app, app.chains[chosen.chain_id], document, desk.book)
        tokens = {a: (n.symbol, n.decimals) for a, n in found.effects.names.items() if n.known}
        if not as_json:
            header(settings.environment.value, settings.wallet.address, await app.head_line())
            print("\n".join([*decoded(document, tokens), *found.effects.sentences(), *found.counted.lines()]))
            print(
                f"{len(found.counted.signers)} signatures, {found.now.state.threshold} needed, about {found.gas:,} gas{_fee(found)}"
            )
        if most is not None:
            executing.check_max_loss(found, most)
        if live and not yes:
            from agent.app.cli.trade import ask

            ask(as_json)
        name = found.part.cl_ord_id
        settled = await executing.carry_out(found, desk) if live else None
        if not live:
            note("dry run: nothing was sent; --live does it")
        elif (no := failure(settled, desk, name)) is not None:
            raise no
        record = desk.book.parts.get(name)
        sent = record.authorized.tx_hash if record is not None and record.authorized is not None else None
        if as_json:
            emit_json(_facts(found) | {"cl_ord_id": name, "tx_hash": sent, "done": live})
        elif live:
            print(f"executed  {document.hash}\nsettled   {name} in {sent}")
        return 0

    return with_app(settings, work)


def _fee(found: Execution) -> str:
    told = f", at most {found.fee_usd:,.2f} USD" if found.fee_usd is not None else ""
    loss = "cannot be told in USD" if found.loss_usd is None else f"{found.loss_usd:,.2f} USD"
    return (
        f"{told}; with what leaves it costs {loss}"
        if found.effects.changes or found.effects.allowances
        else told
    )


def _facts(found: Execution) -> dict[str, object]:
    return {
        "what": found.what,
        "safe_tx_hash": found.document.hash,
        "chain_id": found.document.chain_id,
        "nonce": found.document.tx.nonce,
        "signed_by": list(found.counted.signers),
        "not_valid": list(found.counted.false),
        "signatures_needed": found.now.state.threshold,
        "effects": found.effects.json(),
        "fee_usd_at_most": plain(round(found.fee_usd, 2)) if found.fee_usd is not None else None,
        "loss_usd_at_most": plain(round(found.loss_usd, 2)) if found.loss_usd is not None else None,
    }
