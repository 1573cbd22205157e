"""What the agent's own key may do, as `doctor` looks at it: the audit, the bound, the term, the signer's road; and two books compared.

The signer's ledger counts what it signed, the journal what was ordered. Neither is taken for the other: more in the journal than in the
ledger means that another signer signed; more in the ledger means that somebody else asked it.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Any

from agent.app import scoping
from agent.app.agent_road import road_of, signers_road
from agent.app.auditing import Audit, audit, gas_held
from agent.app.endpoints import resolve_endpoint
from agent.app.multisig.room import Room
from agent.app.settings_scope import ScopeTable
from agent.app.settings_tree import Chain
from agent.app.unattended import span, warning_of
from agent.app.watching.check import Check, fail, guarded, ok, skip, warn
from agent.app.watching.reading import Reading
from agent.app.watching.words import amount
from agent.domain.errors import FairleadError
from agent.domain.instruments import chain_of
from agent.execution.settlement import token_of
from agent.journal.book import Book
from agent.transport.clock import SystemClock
from chains import profiles
from chains.bundler import Bundler
from chains.rpc import Rpc
from chains.types import Address, Protection
from keys.client import SignerClient

DAY_S, APART_S = 86_400, 60
"""A signature is counted by the signer's clock and recorded by ours: what lies at the window's edge is compared with neither."""

Spends = Mapping[int, Mapping[str, int]]


async def scope(reading: Reading, table: ScopeTable, signer: SignerClient) -> list[Check]:
    settings, name = reading.settings, f"scope {table.chain}"
    chain = settings.chain(table.chain)
    if chain is None:
        return [fail(name, "the settings have no such chain", "correct scopes.chain", 3)]
    room = Room(
        settings,
        chain,
        profiles.load(chain.chain_id),
        reading.gateways[chain.chain_id],
        reading.session,
        SystemClock(),
    )
    powers = await scoping.scope_of(room, table)
    found = await audit(room, powers, scoping.gate_creation())
    if found.granted.none_yet and found.trouble is not None:
        return [warn(name, found.trouble.message, found.trouble.remedy)]
    told = [_state(name, found), _bound(name, found), *_beside(name, found)]
    wanted = signers_road(road_of(powers, scoping.gate_creation(), table.account), settings)
    agents = dict((await signer.status()).get("agents", {}))
    if table.account == "safe_4337":
        told += [*await _gas_money(reading, chain, name, powers.agent), *await bundler(reading, chain)]
    return [*told, *_signers_road(name, agents.get(str(chain.chain_id)), wanted)]


async def _gas_money(reading: Reading, chain: Chain, name: str, account: Address) -> list[Check]:
    """What the account has for its operations; the sending key pays for none of them."""
    wei = await gas_held(reading.gateways[chain.chain_id], account)
    told = f"the agent's account {account} has {amount(wei, 18)} for gas, its deposit in the EntryPoints included"
    if not wei:
        return [fail(name, told, "send it some: it pays for its own operations", 3)]
    return [ok(name, told)]


async def bundler(reading: Reading, chain: Chain) -> list[Check]:
    """Whether the bundler answers for the right chain and EntryPoint, and what of an operation it keeps to itself."""
    name = f"bundler {chain.name}"
    if chain.bundler is None:
        return [
            fail(
                name,
                "the agent's account takes user operations, and there is none",
                "add [chains.bundler]",
                2,
            )
        ]
    url = resolve_endpoint(chain.bundler.url)
    try:
        await Bundler(Rpc(url, reading.session), reading.gateways[chain.chain_id]).check()
    except FairleadError as error:
        return [fail(name, error.message, error.hint or "is the bundler up?", error.exit_status)]
    if chain.bundler.private:
        told = "declared private: that nobody but its operator sees an operation before its block rests on his word alone"
        return [ok(name, f"{url.origin} answers; {told}")]
    told = (
        "not declared private: an operation may be seen by anybody before its block, as in a public mempool"
    )
    if chain.protection is Protection.PUBLIC:
        return [ok(name, f"{url.origin} answers; {told}; plans of this chain are PUBLIC")]
    remedy = (
        '`private = true` under [chains.bundler] where its operator promises it, or protection = "PUBLIC"'
    )
    return [fail(name, f"{url.origin} answers, and is {told}: no PRIVATE plan is given to it", remedy, 3)]


def _state(name: str, found: Audit) -> Check:
    if (trouble := found.trouble) is not None:
        return fail(name, f"{trouble.rule}: {trouble.message}", trouble.remedy, 3)
    told = f"as the settings say, in all {found.granted.checked} readings; lapses in {span(found.left_s)}"
    if warning_of(found.left_s, found.scope.term_s) is not None:
        return warn(name, told, "`fairlead wallet renew`, then the owners sign and execute it")
    return ok(name, told)


def _beside(name: str, found: Audit) -> list[Check]:
    """What is no drift yet, and what could not be looked at."""
    told = [warn(name, waits, "is it yours? an owner cancels it otherwise") for waits in found.waits]
    if found.unread:
        hint = "set scopes.since to the block the scope was granted in"
        what = f"what the Gate and its modifier were told besides was not read: {found.unread}"
        told.append(warn(name, what, hint))
    return told


def _bound(name: str, found: Audit) -> Check:
    bound = found.bound
    return ok(
        name,
        f"whoever steals the agent's key takes at most {bound.per_day_usd:,.2f} USD in any 24 hours, {bound.per_hour_usd:,.2f} USD "
        "in any hour until `fairlead wallet freeze`",
    )


def _signers_road(name: str, told: Any, wanted: Mapping[str, str]) -> list[Check]:
    if told is None:
        return [
            warn(
                name,
                "the signer knows no road of the agent's key on this chain: it signs nothing by it alone",
                "`fairlead wallet scope` prints what to add to the signer's settings",
            )
        ]
    if dict(told) != wanted:
        wrong = ", ".join(f"{key} {told.get(key)}" for key, value in wanted.items() if told.get(key) != value)
        return [
            fail(
                name,
                f"the signer's road of the agent's key is another: {wrong}",
                "`fairlead wallet scope`",
                3,
            )
        ]
    return []


def ledger_check(book: Book | None, whole: Spends, inner: Spends, now_s: int) -> list[Check]:
    """`whole` is what the signer counts since 24 hours ago, `inner` since a minute later. Pure."""
    name = "spend ledger"
    if book is None:
        return [skip(name, "no journal yet: nothing to compare with")]
    ordered, ordered_inner = orders(book, now_s - DAY_S), orders(book, now_s - DAY_S + APART_S)
    lent = instructed(book)
    found = []
    for chain_id, token in sorted({(c, t) for s in (whole, ordered) for c in s for t in s[c]} - lent):
        signed, wrote = whole.get(chain_id, {}).get(token, 0), ordered.get(chain_id, {}).get(token, 0)
        least_signed = inner.get(chain_id, {}).get(token, 0)
        least_wrote = ordered_inner.get(chain_id, {}).get(token, 0)
        if least_wrote > signed:
            told = f"chain {chain_id}: the journal has {least_wrote} of {token} signed in 24 hours, the signer's ledger {signed}"
            remedy = (
                "another signer or another ledger signed it: find out which before anything else is signed"
            )
            found.append(fail(name, told, remedy, 3))
        elif least_signed > wrote:
            told = f"chain {chain_id}: the signer signed {least_signed} of {token} away in 24 hours, the journal knows of {wrote}"
            remedy = "a process died between signature and record, or somebody else asked the signer: if you do not know, freeze"
            found.append(warn(name, told, f"{remedy} (`fairlead wallet freeze`)"))
    return found or [ok(name, "what the signer counted in 24 hours and what the journal holds agree")]


def orders(book: Book, since_s: int) -> dict[int, dict[str, int]]:
    """Base units of each token in what was signed for orders since then, whether it took effect or not."""
    found: dict[int, dict[str, int]] = {}
    for record in book.parts.values():
        signed, chain_id = record.authorized, chain_of(record.part.place)
        if signed is None or chain_id is None or record.what or signed.at_ns < since_s * 10**9:
            continue
        spends, token = found.setdefault(chain_id, {}), str(token_of(record.part.asset_in))
        spends[token] = spends.get(token, 0) + record.part.in_raw
    return found


def instructed(book: Book) -> set[tuple[int, str]]:
    """(chain, token) of lending and of what owners signed themselves, which the ledger counts by other rules."""
    found = set()
    for record in book.parts.values():
        chain_id = chain_of(record.part.place)
        if record.what and chain_id is not None:
            for asset in (record.part.asset_in, record.part.asset_out):
                if "/erc20:" in asset:
                    found.add((chain_id, str(token_of(asset))))
    return found


async def scope_checks(reading: Reading, signer: SignerClient, book: Book | None) -> list[Check]:
    settings = reading.settings
    found = []
    for table in settings.scopes:
        found += await guarded(f"scope {table.chain}", partial(scope, reading, table, signer))
    if settings.watch_only:
        return found

    async def compared() -> list[Check]:
        now_s = reading.now_s
        whole = await signer.spent(now_s - DAY_S)
        return ledger_check(book, whole, await signer.spent(now_s - DAY_S + APART_S), now_s)

    return [*found, *await guarded("spend ledger", compared)]
