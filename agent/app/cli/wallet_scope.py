"""`fairlead wallet scope|audit|renew|freeze|rotate-agent`: what the agent's own key may do, granted, proved, renewed and taken away."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from agent.app.cli.output import emit_json, header, note, plain, table
from chains.errors import Denied, Usage

if TYPE_CHECKING:
    from agent.app.auditing_wide import Purse
    from agent.app.exchange_bound import ExchangeBound
    from agent.app.multisig.proposing import Proposed
    from agent.app.multisig.room import Room
    from agent.app.scoping import Granted
    from agent.app.settings_tree import Settings
    from chains.types import Call
    from keys.scope import Scope
    from keys.scope_bound import Bound

    Bounds = tuple[ExchangeBound, ...] | None

CHAIN = click.option(
    "--chain", default="ethereum", show_default=True, metavar="NAME", help="The chain's name in the settings."
)
OUT = click.option(
    "--out",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="Where to write the proposal; else beside the journal.",
)
JSON = click.option("--json", "as_json", is_flag=True, help="One JSON document on stdout.")
DRIFT = 3
"""Exit status of an audit that found the chain other than the settings say."""


async def _read(room: Room) -> tuple[Scope, bytes, Bound, Granted]:
    from dataclasses import replace

    from agent.app import scoping
    from agent.app.auditing import money_held
    from keys.scope_bound import bound

    scope = await scoping.scope_of(room, scoping.table_for(room))
    creation = scoping.gate_creation()
    # What really lies on the agent's account counts: whoever has the key burns it, be it in transactions that fail.
    held = await money_held(room, scope.agent)
    told = bound(replace(scope, gas_float_wei=max(scope.gas_float_wei, held)), await scoping.native_usd(room))
    return scope, creation, told, await scoping.granted(room, scope, creation)


def bound_json(told: Bound) -> dict[str, Any]:
    return {
        "per_day_usd": plain(told.per_day_usd),
        "per_hour_usd": plain(told.per_hour_usd),
        "until_lapse_usd": plain(told.until_lapse_usd),
        "gas_per_day_usd": plain(told.gas_per_day_usd),
        "share_of_traded": plain(round(told.share, 6)),
        "ceiling_raw": {name: str(raw) for name, raw in told.ceiling_raw},
        "locked_per_day": {name: plain(qty) for name, qty in told.locked},
    }


def _facts(
    scope: Scope, told: Bound, there: Bounds, apart: tuple[Purse, ...], has: Granted
) -> dict[str, Any]:
    from agent.app.exchange_bound import bounds_json
    from contracts.payments import FORMS

    paying = {payer.interface: payer.contract for payer in has.payers}
    purses = [{"chain": p.chain, "held_raw": str(p.wei) if p.wei is not None else None} for p in apart]

    return {
        "chain_id": scope.chain_id,
        "safe": scope.safe,
        "agent": scope.agent,
        "gate": has.gate,
        "roles": has.roles,
        **{form.interface: paying.get(form.interface) for form in FORMS},
        "granted": not has.none_yet,
        "expires": _instant(has.expiry),
        "checked": has.checked,
        "differs": [{"what": c.key, "on_chain": c.before, "settings": c.after} for c in has.differs],
        "bound": bound_json(told) | {"exchanges": bounds_json(there), "elsewhere": purses},
    }


def _signers_words(settings: Settings, scope: Scope, has: Granted) -> dict[str, Any]:
    """What the signer's settings have to say of this road: both addresses follow from the Safe's, so they are known beforehand."""
    from keys.policy_settings import SAFER
    from keys.scope import ROLE
    from keys.scope_payments import split

    sender, chain = settings.wallet.sender, settings.chain(scope.chain_id)
    behind = [t for t in settings.scopes if chain and t.chain == chain.name and t.account == "safe_4337"]
    key = {"key": sender.address} if behind and sender is not None else {}
    said: dict[str, Any] = {"account": scope.agent, **key, "roles": has.roles, "gate": has.gate}
    lends = sorted({action for reserve in scope.reserves for action in reserve.actions})
    said |= {"role": f"0x{ROLE.hex()}"} | ({"lends": lends} if set(lends) - SAFER else {})
    said |= {"offers": True} if scope.intents else {}
    for payer in has.payers:
        own = split(scope.payments)[payer.interface]
        rules = [{"asset": r.asset, "most_raw": str(r.burst_raw)} for r in own]
        said |= {payer.interface: {"contract": payer.contract, "roles": payer.roles, "rules": rules}}
    return said


def _instant(second: int) -> str | None:
    return datetime.fromtimestamp(second, UTC).strftime("%Y-%m-%dT%H:%M:%SZ") if second else None


async def _propose(
    room: Room, settings: Settings, calls: tuple[Call, ...], word: str, out: Path | None
) -> tuple[Proposed, Path]:
    from agent.app.multisig import files, serving
    from agent.app.multisig.proposing import Wish, propose

    made = await propose(room, Wish(calls=calls, valid_s=7 * 86_400, origin=word))
    path = out or files.folder(settings) / files.name_of(made.document)
    if why := await serving.keep(room, path, made.document, made.now):
        note(why)
    return made, path


def _room(ctx: click.Context, chain: str) -> tuple[Settings, Any]:
    from agent.app.cli.common import load_settings
    from agent.app.multisig.state import chain_named

    settings = load_settings(ctx)
    return settings, chain_named(settings, chain)


@click.command("scope")
@CHAIN
@click.option("--propose", "wanted", is_flag=True, help="Write the owners' transaction that grants it.")
@OUT
@JSON
@click.pass_context
def scope(ctx: click.Context, /, chain: str, wanted: bool, out: Path | None, as_json: bool) -> int:
    """What the agent's key may do, in sentences, with the bound; with --propose the owners' transaction that grants exactly that."""
    from agent.app.auditing_wide import purses
    from agent.app.exchange_bound import exchange_bounds
    from agent.app.multisig.room import inside
    from chains.types import Address, Call
    from keys.scope import batch, payer_parts, payers
    from keys.scope_words import sentences

    settings, where = _room(ctx, chain)

    async def work(room: Room) -> tuple[Any, ...]:
        powers, creation, told, has = await _read(room)
        proposed = None
        if wanted or out is not None:
            parts = batch(powers, creation, has.standing)
            if not has.none_yet and not any(c.key == "gate sealed" for c in has.differs):
                # What pays into loans stands beside the Gate: the owners add it, and after the Gate's delay it pays.
                wants = {payer.contract for payer in has.wanted_payers}
                added = [p for p in payers(powers, has.gate) if p.contract in wants]
                parts = tuple(x for p in added for x in payer_parts(powers, has.gate, p, has.standing))
            if not parts:
                raise Usage(
                    "GRANTED_ALREADY",
                    f"the Gate {has.gate} is granted and sealed",
                    "narrowing goes by `fairlead wallet propose`, widening waits in the Gate's queue",
                )
            calls = tuple(Call(Address(p.to), p.data, p.value) for p in parts)
            proposed = await _propose(room, settings, calls, "the agent's scope", out)
        there = await exchange_bounds(settings), await purses(room)
        return powers, told, there, has, proposed, room.head_line(has.block)

    powers, told, (there, apart), has, proposed, line = inside(settings, where, work)
    said = sentences(powers, told)
    path = proposed[1] if proposed else None
    named = "" if chain == "ethereum" else f" --chain {chain}"
    following = f"fairlead wallet sign {path}" if path else f"fairlead wallet scope --propose{named}"
    if as_json:
        emit_json(
            _facts(powers, told, there, apart, has)
            | {
                "sentences": list(said),
                "file": str(path) if path else None,
                "safe_tx_hash": proposed[0].document.hash if proposed else None,
                "next": following if path or has.none_yet else None,
                "signer": {"chain_id": powers.chain_id, "agent": _signers_words(settings, powers, has)},
            }
        )
        return 0
    header(settings.environment.value, settings.wallet.address, line)
    for number, sentence in enumerate(said, 1):
        print(f"{number:>3}. {sentence}")
    _show_bound(told, there, apart)
    print(
        f"\nsigner    so that its policy knows this road, its settings say under chain {powers.chain_id}:\n"
        f'          "agent": {json.dumps(_signers_words(settings, powers, has))}'
    )
    if has.none_yet:
        print("\nto be granted, on chain → by the settings")
        for change in has.grants:
            print(f"  {change}")
    if path is not None:
        print(
            f"\nproposed  {len(has.differs)} settings, as one Safe transaction\nfile      {path}\nsign it   {following}"
        )
    elif has.none_yet:
        print(f"\nnot granted yet: {following} writes the owners' transaction")
    else:
        _show_drift(has)
        print(
            "\ngranted, as the settings say"
            if not has.differs
            else "\ngranted, and it differs from the settings"
        )
    return 0


@click.command("audit")
@CHAIN
@click.option("--since", type=click.IntRange(0), metavar="BLOCK", help="First block whose logs are searched; else scopes.since.")  # fmt: skip
@JSON
@click.pass_context
def audit(ctx: click.Context, /, chain: str, since: int | None, as_json: bool) -> int:
    """Proves that what is on chain is what the settings say: code, owners, modules, guards, roles, limits, routes, allowances, nothing listed
    besides, approvals, the same address on the settings' other chains. Exit status 3 where it is not."""
    from agent.app import auditing, auditing_wide, scoping
    from agent.app.auditing_past import Logged
    from agent.app.exchange_bound import exchange_bounds
    from agent.app.multisig.room import inside

    settings, where = _room(ctx, chain)

    async def work(room: Room) -> tuple[Any, ...]:
        powers = await scoping.scope_of(room, scoping.table_for(room))
        first = scoping.table_for(room).since if since is None else since
        found = await auditing.audit(room, powers, scoping.gate_creation(), Logged(first))
        wide = await auditing_wide.wide(room, since or 0)
        apart = await exchange_bounds(settings), await auditing_wide.purses(room)
        return found, wide, apart, room.head_line(found.granted.block)

    found, wide, (there, apart), line = inside(settings, where, work)
    wanted, told, has = found.scope, found.bound, found.granted
    others, late = (*found.others, *wide.drift), found.lapsed
    drifted = found.drifted or bool(wide.drift)
    unread = (*([f"what the Gate was told besides: {found.unread}"] if found.unread else []), *wide.unread)
    if as_json:
        more = {"waits": list(found.waits), "notes": list(wide.notes), "unread": list(unread)}
        said = {"wallet": list(others), **more, "lapsed": late, "ok": not drifted}
        emit_json(_facts(wanted, told, there, apart, has) | said)
        return DRIFT if drifted else 0
    header(settings.environment.value, settings.wallet.address, line)
    print(f"gate {has.gate} · roles {has.roles} · agent {wanted.agent}")
    _show_drift(has)
    for word in others:
        print(f"DRIFT     {word}")
    for name, words in (("waits", found.waits), ("note", wide.notes), ("NOT READ", unread)):
        for word in words:
            print(f"{name:<9} {word}")
    if not drifted:
        print(f"as the settings say, in all {has.checked} readings at block {has.block.number}")
    print(f"{'lapsed' if late else 'lapses':<9} {_instant(has.expiry) or 'never granted'}")
    _show_bound(told, there, apart)
    return DRIFT if drifted else 0


def _show_drift(has: Granted) -> None:
    if has.differs and not has.none_yet:
        table(("DRIFT", "on chain", "settings"), [[c.key, c.before, c.after] for c in has.differs])


def _show_bound(told: Bound, there: Bounds, apart: tuple[Purse, ...]) -> None:
    from agent.app.exchange_bound import UNKNOWN, sentence

    print(
        f"\nbound     whoever steals the agent's key takes at most {told.per_day_usd:,.2f} USD in any 24 hours and {told.per_hour_usd:,.2f} USD in any hour, "
        f"until `fairlead wallet freeze`; {told.until_lapse_usd:,.2f} USD if nobody looks before it lapses"
    )
    if told.locked:
        locked = " and ".join(f"{plain(qty)} {name}" for name, qty in told.locked)
        print(
            f"          of payments into the wallet's own loans he extracts nothing; locked up at most {locked} in any 24 hours"
        )
    for word in (*((UNKNOWN,) if there is None else map(sentence, there)), *(p.sentence for p in apart)):
        print(f"          {word}")


@click.command("renew")
@CHAIN
@OUT
@JSON
@click.pass_context
def renew(ctx: click.Context, /, chain: str, out: Path | None, as_json: bool) -> int:
    """Propose that the agent's power goes on for another term: without it, it lapses by itself."""
    from contracts.codec import encode

    return _one_call(
        ctx, chain, out, as_json, "renew", lambda scope, has: (has.gate, encode("gate", "renew"))
    )


@click.command("rotate-agent")
@click.argument("address")
@CHAIN
@OUT
@JSON
@click.pass_context
def rotate_agent(ctx: click.Context, /, address: str, chain: str, out: Path | None, as_json: bool) -> int:
    """Propose that the role passes from the agent's account to ADDRESS, in one transaction."""
    from agent.app.multisig.building import address as checked
    from chains.types import Address, Call
    from contracts.codec import encode
    from keys.scope import ROLE

    new = checked(address, "ADDRESS")

    def calls(scope: Scope, has: Granted) -> list[Call]:
        if new == scope.agent:
            raise Usage("SAME_AGENT", f"{new} is the agent already", "name another account")

        def passed(roles: Address) -> list[Call]:
            return [
                Call(roles, encode("zodiac_roles", "assignRoles", (scope.agent, (ROLE,), (False,)))),
                Call(roles, encode("zodiac_roles", "assignRoles", (new, (ROLE,), (True,)))),
                # Members are a list, newest first: what stands before the old one is now the new one.
                Call(roles, encode("zodiac_roles", "disableModule", (new, scope.agent))),
            ]

        more = [payer.roles for payer in has.payers if payer.roles in has.standing]
        return [call for roles in (has.roles, *more) for call in passed(roles)]

    done = _calls(ctx, chain, out, as_json, "rotate-agent", calls)
    if not as_json:
        note(f"when it is executed, set scopes.agent to {new}; `fairlead wallet audit` then agrees again")
    return done


@click.command("freeze")
@CHAIN
@OUT
@click.option(
    "--owner",
    metavar="ADDRESS",
    help="Freeze now, by this one owner's own account and keystore; it pays the gas.",
)
@click.option("--live", is_flag=True, help="Really do it; the settings must say live, too.")
@JSON
@click.pass_context
def freeze(
    ctx: click.Context, /, chain: str, out: Path | None, owner: str | None, live: bool, as_json: bool
) -> int:
    """Stop the agent at the Gate: any one owner can (--owner), or the Safe by a proposal. Needs neither daemon nor journal."""
    from contracts.codec import encode

    if owner is None:
        return _one_call(
            ctx, chain, out, as_json, "freeze", lambda scope, has: (has.gate, encode("gate", "freeze"))
        )
    from agent.app.freezing import checked_owner, freeze_by
    from agent.app.multisig.building import address as checked
    from agent.app.multisig.room import inside

    settings, where = _room(ctx, chain)
    if live and not settings.live:
        raise Denied("NOT_LIVE", "the settings do not say live = true", "set it, if you mean it")
    who = checked(owner, "--owner")

    async def work(room: Room) -> tuple[Any, ...]:
        _, _, _, has = await _read(room)
        by = checked_owner(room, (await room.now()).state.owners, who, has)
        return await freeze_by(room, by, has) if live else None, has, room.head_line(has.block)

    told, has, line = inside(settings, where, work)
    if as_json:
        emit_json({"gate": has.gate, "owner": who, "frozen": live, "tx_hash": told})
        return 0
    header(settings.environment.value, settings.wallet.address, line)
    print(
        f"frozen by {who} in {told}"
        if live
        else f"would call freeze() at the Gate {has.gate} as {who}; --live does it"
    )
    return 0


def _one_call(ctx: click.Context, chain: str, out: Path | None, as_json: bool, word: str, made: Any) -> int:
    from chains.types import Call

    def calls(scope: Scope, has: Granted) -> list[Call]:
        to, data = made(scope, has)
        return [Call(to, data)]

    return _calls(ctx, chain, out, as_json, word, calls)


def _calls(ctx: click.Context, chain: str, out: Path | None, as_json: bool, word: str, made: Any) -> int:
    from agent.app.multisig.room import inside

    settings, where = _room(ctx, chain)

    async def work(room: Room) -> tuple[Any, ...]:
        scope, _, _, has = await _read(room)
        if has.none_yet:
            raise Usage(
                "NOT_GRANTED",
                "no Gate of this scope stands on the chain",
                "`fairlead wallet scope` proposes it",
            )
        return (
            await _propose(room, settings, tuple(made(scope, has)), word, out),
            has,
            room.head_line(has.block),
        )

    (proposed, path), has, line = inside(settings, where, work)
    if as_json:
        emit_json(
            {
                "gate": has.gate,
                "what": word,
                "file": str(path),
                "safe_tx_hash": proposed.document.hash,
                "next": f"fairlead wallet sign {path}",
            }
        )
        return 0
    header(settings.environment.value, settings.wallet.address, line)
    print(
        f"proposed  {word} ({proposed.document.hash})\nfile      {path}\nsign it   fairlead wallet sign {path}"
    )
    return 0
