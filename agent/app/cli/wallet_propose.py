"""`fairlead wallet propose`: a Safe transaction for the owners to sign, rehearsed and dated, as a file or at a service."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from agent.app.cli.output import emit_json, header, note
from chains.errors import Usage

if TYPE_CHECKING:
    from agent.app.multisig.proposing import Proposed, Wish
    from agent.app.multisig.room import Room

LONGEST_S = 365 * 86_400


@click.command("propose")
@click.option(
    "--chain", default="ethereum", show_default=True, metavar="NAME", help="The chain's name in the settings."
)
@click.option("--to", metavar="ADDRESS", help="One call: whom.")
@click.option("--value", metavar="COINS", help="One call: how much of the chain's coin, like 0.5.")
@click.option("--data", metavar="HEX", help="One call: its calldata.")
@click.option(
    "--calls",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help='Many calls: a JSON list of {"to", "value" in wei, "data"}.',
)
@click.option(
    "--revoke", nargs=2, multiple=True, metavar="TOKEN SPENDER", help="Take back what a spender may take."
)
@click.option(
    "--reject", type=click.IntRange(0), metavar="NONCE", help="An empty transaction that only uses a nonce."
)
@click.option("--add-owner", multiple=True, metavar="ADDRESS")
@click.option("--remove-owner", multiple=True, metavar="ADDRESS")
@click.option(
    "--threshold", type=click.IntRange(1), metavar="N", help="How many owners must sign from then on."
)
@click.option(
    "--nonce",
    type=click.IntRange(0),
    metavar="N",
    help="The Safe's nonce; else the first that no proposal here holds.",
)
@click.option(
    "--valid",
    default="7d",
    show_default=True,
    metavar="TIME",
    help="How long it can be executed, like 6h; put in the calldata.",
)
@click.option("--no-deadline", is_flag=True, help="Leave the deadline out: one plain call.")
@click.option("--anyway", is_flag=True, help="Also where it would fail as things stand.")
@click.option("--note", "origin", default="", metavar="TEXT", help="A word for the other owners.")
@click.option(
    "--out",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="Where to write it; else beside the journal.",
)
@click.option(
    "--service", metavar="URL", help="Post it to this Safe Transaction Service, too; else to the settings'."
)
@click.option(
    "--service-key", metavar="REFERENCE", help="Where that service's API key is: env:NAME, file:PATH."
)
@click.option("--json", "as_json", is_flag=True, help="One JSON document on stdout.")
@click.pass_context
def propose(ctx: click.Context, /, chain: str, origin: str, out: Path | None, service: str | None, service_key: str | None,
            anyway: bool, as_json: bool, **wanted: Any) -> int:  # fmt: skip
    """Propose a Safe transaction: `fairlead wallet propose --to 0x… --value 0.5`. Nothing is signed and nothing is sent."""
    from agent.app.cli.common import load_settings
    from agent.app.multisig import files, serving
    from agent.app.multisig.proposing import propose as make
    from agent.app.multisig.room import inside
    from agent.app.multisig.state import chain_named

    settings = load_settings(ctx)
    wish = wish_of(origin=origin, **wanted)
    chosen = chain_named(settings, chain)
    client = serving.address_of(service, service_key, chosen)

    async def work(room: Room) -> tuple[Proposed, dict[Any, Any]]:
        made, tokens = await make(room, wish, anyway), await room.tokens()
        files.keep(out or files.folder(settings) / files.name_of(made.document), made.document)
        if client is not None:
            await serving.post(room, client, made.document, made.now)
        return made, {**tokens, "line": room.head_line(made.now.block)}

    made, found = inside(settings, chosen, work)
    line = found.pop("line")
    path = out or files.folder(settings) / files.name_of(made.document)
    from agent.app.multisig.words import decoded, document_json, effect_lines

    named = f"wallet sign {path}" + (f" --service {service}" if service else "")
    undo = (
        f"fairlead wallet propose --chain {chain} --reject {made.document.tx.nonce}"
        if wish.reject is None
        else None
    )
    if as_json:
        facts = document_json(made.document, made.effects, found)
        emit_json(
            {
                **facts,
                "file": str(path),
                "service": client.url.origin if client is not None else None,
                "next": f"fairlead {named}",
                "undo": undo,
            }
        )
        return 0
    header(settings.environment.value, settings.wallet.address, line)
    print("\n".join([*decoded(made.document, found), *effect_lines(made.effects)]))
    if made.document.tx.nonce > made.now.state.nonce:
        note(
            f"it waits: the Safe is at nonce {made.now.state.nonce}, and what comes before it may change what it does"
        )
    print(f"proposed  {made.document.hash}\nfile      {path}\nsign it   fairlead {named}")
    if undo is not None:
        print(f"revoke it {undo}")
    return 0


def wish_of(
    *, to: str | None, value: str | None, data: str | None, calls: Path | None, revoke: tuple[tuple[str, str], ...], reject: int | None,
    add_owner: tuple[str, ...], remove_owner: tuple[str, ...], threshold: int | None, nonce: int | None, valid: str,
    no_deadline: bool, origin: str,
) -> Wish:  # fmt: skip
    """What was typed, as one wish. Raises Usage TWO_WISHES and as the parts of it."""
    from agent.algos.twap import seconds_of
    from agent.app.multisig import building as b
    from agent.app.multisig.proposing import Wish
    from agent.domain.units import parse_qty, raw_exact
    from chains.types import Call

    given = {
        "--to": to, "--calls": calls, "--revoke": revoke or None, "--reject": reject,
        "--add-owner, --remove-owner, --threshold": add_owner or remove_owner or threshold,
    }  # fmt: skip
    chosen = [name for name, content in given.items() if content is not None and content != ()]
    if len(chosen) != 1:
        raise Usage(
            "TWO_WISHES" if chosen else "NOTHING_PROPOSED",
            f"{' and '.join(chosen)} are two transactions"
            if chosen
            else "it is not said what the transaction should do",
            f"give one of {'; '.join(given)}",
        )
    if to is None and (value is not None or data is not None):
        raise Usage("BAD_USAGE", "--value and --data go with --to", "say whom to call: --to ADDRESS")
    seconds = seconds_of(valid, "--valid")
    if not 60 <= seconds <= LONGEST_S:
        raise Usage("BAD_USAGE", f"--valid {valid} is no time between a minute and a year", "like 6h or 7d")
    if reject is not None and nonce is not None:
        raise Usage("TWO_WISHES", "--reject names its nonce already", "leave --nonce out")
    made: list[Call] = b.calls_of_file(calls) if calls is not None else []
    if to is not None:
        wei = (
            raw_exact(parse_qty(value, "--value"), 18, "--value") if value not in (None, "0") and value else 0
        )
        made = [Call(b.address(to, "--to"), b.calldata(data or "0x", "--data"), wei)]
    return Wish(
        calls=tuple(made),
        revoke=tuple((b.address(t, "--revoke TOKEN"), b.address(s, "--revoke SPENDER")) for t, s in revoke),
        owners=b.OwnerChange(
            tuple(b.address(o, "--add-owner") for o in add_owner),
            tuple(b.address(o, "--remove-owner") for o in remove_owner),
            threshold,
        ),
        reject=reject,
        nonce=nonce,
        valid_s=None if no_deadline or reject is not None else seconds,
        origin=origin,
    )
