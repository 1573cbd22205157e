"""`fairlead wallet create`: where a Safe with these owners would stand on every chain, and its creation there."""

from __future__ import annotations

from contextlib import AsyncExitStack
from typing import TYPE_CHECKING, Any

import click

from agent.app.cli.output import emit_json, header, note, plain, table
from chains.errors import Denied, FairleadError, Usage

if TYPE_CHECKING:
    from agent.app.multisig.creating import Creation, Planned
    from agent.app.wiring import App


@click.command("create")
@click.option(
    "--owner", "owners", multiple=True, required=True, metavar="ADDRESS", help="An owner; once for each."
)
@click.option(
    "--threshold", type=click.IntRange(1), required=True, metavar="N", help="How many of them must sign."
)
@click.option(
    "--salt",
    type=click.IntRange(0),
    default=0,
    show_default=True,
    metavar="N",
    help="Another number, another address.",
)
@click.option(
    "--l2", "layer2", is_flag=True, help="The singleton that emits events for every call (another address)."
)
@click.option(
    "--safe-version",
    "version",
    default="1.4.1",
    show_default=True,
    metavar="VERSION",
    help="1.3.0, 1.4.1 or 1.5.0 (another, another address).",
)
@click.option(
    "--user-operations",
    "operations",
    is_flag=True,
    help="With the Safe 4337 module 0.3.0: it takes ERC-4337 user operations (another address).",
)
@click.option(
    "--chain",
    "names",
    multiple=True,
    metavar="NAME",
    help="This chain only; again for more. Else all of the settings'.",
)
@click.option("--live", is_flag=True, help="Really create it; the settings must say live, too.")
@click.option("--yes", is_flag=True, help="Ask nothing; needs --max-loss.")
@click.option("--max-loss", metavar="USD", help="The most that all its transactions may cost together.")
@click.option("--json", "as_json", is_flag=True, help="One JSON document on stdout.")
@click.pass_context
def create(ctx: click.Context, /, owners: tuple[str, ...], threshold: int, salt: int, layer2: bool, version: str, operations: bool,
           names: tuple[str, ...], live: bool, yes: bool, max_loss: str | None, as_json: bool) -> int:  # fmt: skip
    """A Safe at one address on several chains: `fairlead wallet create --owner 0x… --owner 0x… --threshold 2`.

    Without --live it says where it would stand. The settings' sender pays; the new Safe is not the settings' wallet until you say so.
    """
    from agent.app.cli.common import load_settings, with_app
    from agent.app.multisig.building import address
    from agent.app.multisig.state import chain_named
    from agent.domain.units import parse_qty, qty_exact
    from chains.safe_versions import release

    settings = load_settings(ctx)
    release(version)
    who = tuple(address(o, "--owner") for o in owners)
    if len(set(who)) != len(who) or any(int(o, 16) <= 1 for o in who):
        raise Usage("SAFE_OWNERS_INVALID", "owners must be distinct accounts", "give each --owner once")
    if threshold > len(who):
        raise Usage(
            "SAFE_THRESHOLD_INVALID",
            f"a threshold of {threshold} does not fit {len(who)} owners",
            "--threshold",
        )
    chosen = [chain_named(settings, n) for n in names] if names else list(settings.chains)
    if live and not settings.live:
        raise Denied("NOT_LIVE", "the settings do not say live = true", "set it, if you mean it")
    if live and yes and max_loss is None:
        raise Usage("MAX_LOSS_MISSING", "--live --yes needs --max-loss USD", "say what may be lost at most")
    most = parse_qty(max_loss, "--max-loss") if max_loss is not None else None

    async def work(app: App, stack: AsyncExitStack) -> int:
        from agent.app.instructed import failure
        from agent.app.multisig import creating
        from agent.app.wiring import open_trading

        found: dict[str, Planned | FairleadError] = {}
        for chain in chosen:
            at = app.chains[chain.chain_id]
            try:
                found[chain.name] = await creating.plan(
                    at.profile, at.gateway, who, threshold, salt, layer2, version, operations
                )
            except FairleadError as error:
                found[chain.name] = error
        planned = {name: p for name, p in found.items() if not isinstance(p, FairleadError)}
        if len({p.address for p in planned.values()}) > 1:
            raise Denied(
                "SAFE_ADDRESSES_DIFFER",
                "the chains' factories differ: there is no one address",
                "name the chains: --chain",
            )
        if not as_json:
            header(settings.environment.value, settings.wallet.address, await app.head_line())
            table(("chain", "address", "now"), [_row(name, p) for name, p in found.items()])
        if live and len(planned) < len(found):
            raise next(p for p in found.values() if isinstance(p, FairleadError))
        done: dict[str, str] = {}
        if live:
            desk = await open_trading(app, stack)
            todo = {
                n: await creating.prepare(app, app.chains[_id(app, n)], p)
                for n, p in planned.items()
                if not p.exists
            }
            if most is not None:
                await _check(app, todo, most)
            if not yes and todo:
                from agent.app.cli.trade import ask

                ask(as_json)
            for name, creation in todo.items():
                ended = await creating.carry_out(creation, desk)
                if (no := failure(ended, desk, creation.part.cl_ord_id)) is not None:
                    raise no
                record = desk.book.parts[creation.part.cl_ord_id].authorized
                done[name] = record.tx_hash if record is not None else ""
                if not as_json:
                    print(f"created   {creation.planned.address} on {name} in {done[name]}")
        else:
            note("dry run: nothing was sent; --live creates it where nothing stands yet")
        if as_json:
            emit_json(
                {
                    "owners": list(who),
                    "threshold": threshold,
                    "safe_version": version,
                    "salt": str(salt),
                    "address": next((p.address for p in planned.values()), None),
                    "chains": [_json(n, p) | {"tx_hash": done.get(n)} for n, p in found.items()],
                    "done": live,
                }
            )
        return 0 if planned else 4

    async def _check(app: App, todo: dict[str, Creation], most: Any) -> None:
        prices, total = await app.oracles.medians(), most - most
        for name, creation in todo.items():
            px = prices.get(app.chains[_id(app, name)].profile.native)
            if px is None:
                raise Denied(
                    "PRICE_UNKNOWN", "the fee cannot be told in dollars: no reference price", "check oracles"
                )
            total += qty_exact(creation.fee_wei, 18) * px
        if total > most:
            raise Denied(
                "MAX_LOSS",
                f"it may cost {plain(round(total, 2))} USD; {most} are allowed",
                "wait for cheaper gas, or raise --max-loss",
            )

    return with_app(settings, work)


def _id(app: App, name: str) -> int:
    chain = app.settings.chain(name)
    assert chain is not None
    return chain.chain_id


def _now(planned: Planned) -> str:
    there = planned.there
    if there.safe is None:
        return there.what
    return f"Safe {there.safe.version}, {there.safe.threshold} of {len(there.safe.owners)}, nonce {there.safe.nonce}"


def _row(name: str, planned: Planned | FairleadError) -> tuple[str, str, str]:
    if isinstance(planned, FairleadError):
        return (name, "UNKNOWN", planned.message)
    return (name, planned.address, _now(planned))


def _json(name: str, planned: Planned | FairleadError) -> dict[str, Any]:
    if isinstance(planned, FairleadError):
        return {
            "chain": name,
            "error": {
                "code": planned.code,
                "verb": planned.verb,
                "message": planned.message,
                "hint": planned.hint,
            },
        }
    return {"chain": name, "address": planned.address, "exists": planned.exists, "now": _now(planned)}
