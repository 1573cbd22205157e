"""`fairlead wallet sign` and `wallet merge`: an owner reads a proposal and adds a signature; files with signatures become one."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import TYPE_CHECKING

import click

from agent.app.cli.output import emit_json, header, note
from chains.errors import Usage

if TYPE_CHECKING:
    from agent.app.multisig.effects import Effects
    from agent.app.multisig.room import Room
    from agent.app.multisig.state import SafeNow
    from agent.app.settings_tree import Chain, Settings
    from keys.safe_document import SafeDocument


@click.command("sign")
@click.argument("target", metavar="FILE|HASH")
@click.option("--as", "named", metavar="OWNER", help="Which owner signs, by label or address.")
@click.option("--chain", metavar="NAME", help="Which chain it is for, where the file does not say so.")
@click.option(
    "--service",
    metavar="URL",
    help="Give the signature to a Safe Transaction Service; HASH is looked up there.",
)
@click.option(
    "--service-key", metavar="REFERENCE", help="Where that service's API key is: env:NAME, file:PATH."
)
@click.option("--json", "as_json", is_flag=True, help="One JSON document on stdout.")
@click.pass_context
def sign(ctx: click.Context, /, target: str, named: str | None, chain: str | None, service: str | None,
         service_key: str | None, as_json: bool) -> int:  # fmt: skip
    """Sign a proposal as one owner: `fairlead wallet sign FILE --as anna`.

    It is checked against the Safe as it is now and shown in sentences first; then the owner's own process shows what it signs
    and asks for the password. Nothing is sent.
    """
    from agent.app.cli.common import load_settings
    from agent.app.local_proof import prove_environment
    from agent.app.multisig import files, serving
    from agent.app.multisig.claims import as_the_safe_sees
    from agent.app.multisig.room import inside, try_to_rehearse
    from agent.app.multisig.signing import check_signer, owner_named, signature_of
    from agent.app.multisig.words import decoded, document_json, effect_lines

    settings = load_settings(ctx)
    owner = owner_named(settings, named)
    chosen, kept = opened(settings, target, chain, service)
    client = serving.address_of(service, service_key, chosen)

    async def work(room: Room) -> tuple[SafeDocument, SafeNow, Effects | str]:
        await prove_environment(settings, (), room.session)
        document = kept or await serving.fetch(room, client, target)
        now = await room.now()
        check_signer(document, settings, now, owner)
        tokens = await room.tokens()
        counted, found = await asyncio.gather(
            as_the_safe_sees(room.gateway, document, now), try_to_rehearse(room, document.tx, now)
        )
        lines = [*decoded(document, tokens), *effect_lines(found), *counted.lines()]
        if document.seen is None:
            lines.append(
                "IT WAS MADE ELSEWHERE and does not say what the Safe was like then: look at `fairlead wallet show`, too."
            )
        if document.tx.nonce > now.state.nonce:
            lines.append(
                f"IT WAITS: the Safe is at nonce {now.state.nonce}, and what comes before it may change what it does."
            )
        if as_json:
            note("\n".join(lines))
        else:
            header(settings.environment.value, settings.wallet.address, room.head_line(now.block))
            print("\n".join(lines), flush=True)
        if owner.address in document.proved:
            note(f"{owner.label or owner.address} has signed it already")
        else:
            made = await signature_of(document, settings, owner, room.clock)
            if kept is not None:
                document = files.add(Path(target), made, document.chain_id)
            if client is not None:
                document = await serving.confirm(room, client, document, made)
        counted = await as_the_safe_sees(room.gateway, document, now)
        have, need = len(counted.signers), now.state.threshold
        step = f"wallet execute {target}" if have >= need else f"wallet sign {target} --as ANOTHER_OWNER"
        step += f" --service {service}" if service else ""
        if as_json:
            facts = document_json(document, found, tokens)
            emit_json(
                {
                    **facts,
                    "signatures_needed": need,
                    "file": target if kept else None,
                    "next": f"fairlead {step}",
                }
            )
        else:
            print(
                f"signed    {document.hash}\n          {have} of {need} signatures\nnext      fairlead {step}"
            )
        return document, now, found

    inside(settings, chosen, work)
    return 0


def opened(
    settings: Settings, target: str, chain: str | None, service: str | None
) -> tuple[Chain, SafeDocument | None]:
    """(the chain, the document) of a file; of a hash the document is still to be fetched. Raises Usage, Denied as `files.read`."""
    from agent.app.multisig import files
    from agent.app.multisig.state import chain_named, chain_of

    named = chain_named(settings, chain) if chain else None
    if target.startswith("0x") and len(target) == 66 and not Path(target).exists():
        at = named or chain_named(settings, "ethereum")
        if service == "none" or (service is None and at.safe_service is None):
            raise Usage(
                "SERVICE_MISSING",
                "a hash is looked up at a service",
                "say which: --service URL, safe_service in the settings, or give a file",
            )
        return at, None
    document = files.read(Path(target), named.chain_id if named else None)
    return chain_of(settings, document.chain_id), document


@click.command("merge")
@click.argument("first", type=click.Path(path_type=Path), metavar="FILE")
@click.argument("others", type=click.Path(path_type=Path), metavar="[FILES…]", nargs=-1)
@click.option(
    "--signature",
    "given",
    multiple=True,
    metavar="HEX",
    help="A signature made elsewhere, in any form a Safe takes; again for more.",
)
@click.option(
    "--out",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="Where to write it; else into the first file.",
)
@click.option("--chain", metavar="NAME", help="Which chain they are for, where no file says so.")
@click.option("--json", "as_json", is_flag=True, help="One JSON document on stdout.")
@click.pass_context
def merge(
    ctx: click.Context,
    /,
    first: Path,
    others: tuple[Path, ...],
    given: tuple[str, ...],
    out: Path | None,
    chain: str | None,
    as_json: bool,
) -> int:
    """Put the signatures of several files of one transaction together, and those made elsewhere. Every one is checked; none is lost.

    A wallet may have signed the hash itself or as a message (eth_sign); an owner that is a contract gives its own bytes (EIP-1271); one
    that approves the hash on chain need not be named at all.
    """
    from agent.app.multisig import files
    from agent.app.multisig.signing import from_elsewhere

    if not others and not given:
        raise Usage(
            "NOTHING_TO_MERGE", "there is one file and no signature", "give more files, or --signature HEX"
        )

    chain_id = None
    if chain is not None:
        from agent.app.cli.common import load_settings
        from agent.app.multisig.state import chain_named

        chain_id = chain_named(load_settings(ctx), chain).chain_id
    documents = [files.read(path, chain_id) for path in (first, *others)]
    target = out or first
    from keys.safe_document import merge as together
    from keys.safe_document import with_confirmation

    document = together(*documents)
    for text in given:
        document = with_confirmation(document, from_elsewhere(document, text))
    document = files.keep(target, document)
    need = document.seen.threshold if document.seen else None
    if as_json:
        emit_json(
            {
                "safe_tx_hash": document.hash,
                "signed_by": list(document.signers),
                "signatures_needed": need,
                "file": str(target),
            }
        )
        return 0
    header(document.environment or "unknown", document.safe, "no chain asked")
    print(
        f"merged    {document.hash}\n          {len(document.signers)} of {need or '?'} signatures in {target}"
    )
    print(f"next      fairlead wallet execute {target}")
    return 0
