"""What no single key can tell: names that must exist, sources that must differ, and what the live environment forbids. Pure."""

from __future__ import annotations

import pkgutil
from collections import Counter
from collections.abc import Iterable, Iterator
from difflib import get_close_matches
from pathlib import Path
from typing import TYPE_CHECKING

from agent.algos.twap import seconds_of
from agent.app.job_checks import job_problems
from agent.app.settings_pools import factory_problems
from agent.app.settings_rescue_checks import rescue_checks
from agent.app.settings_tree import Chain, Oracle, Owner, Sender, Settings
from agent.domain.errors import Usage
from agent.domain.instruments import chain_of, venue_of
from chains.profiles import load
from chains.types import Environment, Protection
from contracts.flash_repay import ADDRESS as FLASH_REPAY
from contracts.flash_repay import FLASH
from contracts.route_executor import ADDRESS as ROUTE_EXECUTOR
from contracts.route_executor import EXECUTOR
from keys.secrets import is_reference

if TYPE_CHECKING:
    from keys.signers import SignerSpec

Found = tuple[str, str, str]
"""(TOML path, message, hint)."""


def cross_checks(settings: Settings) -> Iterator[Found]:
    yield from _unique(settings)
    yield from _wallet(settings)
    yield from _chains(settings)
    yield from _families(settings)
    yield from _fix_sessions(settings)
    yield from _assets(settings)
    yield from _limits(settings)
    yield from _oracles(settings)
    yield from _alerts(settings)
    yield from _jobs(settings)
    yield from _accounts(settings)
    yield from rescue_checks(settings)
    if settings.environment is Environment.LIVE:
        yield from _live(settings)


def _known(name: str, known: Iterable[str]) -> str:
    names = list(known)
    near = get_close_matches(name, names, n=1)
    return f"did you mean '{near[0]}'?" if near else f"known are {', '.join(names) or 'none'}"


def _unique(settings: Settings) -> Iterator[Found]:
    for what, values in (
        ("chains", [chain.name for chain in settings.chains]),
        ("chains", [f"id {chain.chain_id}" for chain in settings.chains]),
        ("venues", [venue.name for venue in settings.venues]),
        ("jobs", [job.name for job in (*settings.jobs, *settings.hedges)]),
        ("rescues", [rescue.name for rescue in settings.rescues]),
        ("rescues", [f"chain {rescue.chain}" for rescue in settings.rescues]),
        ("wallet.owners", [owner.address for owner in settings.wallet.owners]),
    ):
        for value, count in Counter(values).items():
            if count > 1:
                yield what, f"{value} stands there {count} times", "keep one"


def signer_of(holder: Owner | Sender) -> SignerSpec | None:
    """An owner's or the sender's signer; its table may leave the address out, never the environment: a copied file must not make a live
    key sign a rehearsal. Raises Usage."""
    if holder.signer is None:
        return None
    from keys.signers import (
        read_spec,
    )  # with the elliptic curve under it: 0.1 s that a settings file without signers does not cost

    return read_spec({"address": holder.address} | holder.signer, "signer")


def _signers(settings: Settings) -> Iterator[Found]:
    for number, owner in enumerate(settings.wallet.owners):
        yield from _signer(settings, f"wallet.owners[{number}].signer", owner, "owner")
    if (sender := settings.wallet.sender) is not None:
        yield from _signer(settings, "wallet.sender.signer", sender, "sender")


def _signer(settings: Settings, where: str, holder: Owner | Sender, who: str) -> Iterator[Found]:
    try:
        spec = signer_of(holder)
    except Usage as wrong:
        yield where, wrong.message.removeprefix("signer."), wrong.hint
        return
    if spec is None:
        return
    if holder.keystore is not None or holder.password is not None:
        yield where, f"this {who} has a keystore or a password as well", "keep one: keystore or signer"
    if spec.address != holder.address:
        yield where, f"its address {spec.address} is not this {who}'s", "leave the address out of the table"
    if spec.environment is not settings.environment:
        yield (
            where,
            f"its key is for {spec.environment.value}, these settings are for {settings.environment.value}",
            "a rehearsal has throw-away keys of its own",
        )


def _wallet(settings: Settings) -> Iterator[Found]:
    yield from _signers(settings)
    wallet = settings.wallet
    if wallet.kind == "safe" and wallet.owners and wallet.threshold > len(wallet.owners):
        yield (
            "wallet.threshold",
            f"{wallet.threshold} signatures are needed, yet {len(wallet.owners)} owners are listed",
            "list every owner that signs",
        )
    if wallet.kind == "eoa" and (wallet.threshold != 1 or len(wallet.owners) > 1):
        yield (
            "wallet.kind",
            "an externally owned account has one owner and a threshold of 1",
            'a multi-signature wallet is kind = "safe"',
        )
    if wallet.sender is not None and wallet.kind == "safe" and wallet.sender.address == wallet.address:
        yield (
            "wallet.sender.address",
            "the Safe cannot send its own transactions",
            "name the account that pays the gas",
        )
    for key, named, own in (
        ("route_executor", wallet.route_executor, EXECUTOR),
        ("flash_repay", wallet.flash_repay, FLASH),
    ):
        ours = f"0x{own.runtime_hash.hex()}"
        if named is not None and named.lower() != ours:
            yield (
                f"wallet.{key}",
                f"{named} is not the code of this version's {own.name}",
                f"read contracts/src/{own.name}.sol, then write {ours}, or leave it out",
            )
    if wallet.authority == "agent" and not settings.scopes:
        yield (
            "wallet.authority",
            "the agent's own key may do nothing: there is no [[scopes]] table",
            '"auto" or "owners", or add one (`fairlead config explain scopes`)',
        )


def _chains(settings: Settings) -> Iterator[Found]:
    for number, chain in enumerate(settings.chains):
        if chain.protection is Protection.PRIVATE and not chain.relays and not settings.watch_only:
            yield (
                f"chains[{number}].relays",
                "protection is PRIVATE and there is no relay to be private through",
                f'add a [[chains.relays]] table, or protection = "PUBLIC" where {chain.name} has no public mempool',
            )
        yield from _order_book(number, chain)
        if all(url.startswith(("ws://", "wss://")) for url in chain.rpc):
            yield (
                f"chains[{number}].rpc",
                "names WebSocket endpoints alone, and those only tell new heads",
                "add an http:// or https:// URL, for calls",
            )
        if chain.safe_service_key is not None and chain.safe_service is None:
            yield (
                f"chains[{number}].safe_service_key",
                "there is no safe_service that it is for",
                "add safe_service, or leave the key out",
            )
        for address, count in Counter(pool.address for pool in chain.pools).items():
            if count > 1:
                yield f"chains[{number}].pools", f"{address} stands there {count} times", "keep one"
        yield from factory_problems(
            f"chains[{number}]", chain.factories, _contracts(chain) | _parts(settings, chain)
        )


def _order_book(number: int, chain: Chain) -> Iterator[Found]:
    if chain.order_book is not None and "cow_settlement" not in _contracts(chain):
        yield (
            f"chains[{number}].order_book",
            f"CoW Protocol's contracts on {chain.name} are not known here",
            "leave it out: orders for others to settle are signed for chain 1 (ethereum)",
        )
    if chain.protection is Protection.INTENT and chain.order_book is None:
        yield (
            f"chains[{number}].protection",
            "is INTENT and there is no order book for orders that others settle",
            'add [chains.order_book], or protection = "PRIVATE"',
        )
    if chain.order_book is not None and chain.protection is not Protection.PUBLIC and not chain.relays:
        yield (
            f"chains[{number}].relays",
            "is empty, and the allowance of an INTENT order is a transaction that goes privately",
            "add a [[chains.relays]] table",
        )


def _accounts(settings: Settings) -> Iterator[Found]:
    """The agents behind ERC-4337."""
    sender = settings.wallet.sender
    for number, scope in enumerate(settings.scopes):
        chain = settings.chain(scope.chain)
        if scope.account == "key":
            continue
        if scope.agent is None or (sender is not None and scope.agent == sender.address):
            yield (
                f"scopes[{number}].agent",
                "is no account of its own, and account says that it is a Safe behind ERC-4337",
                "name the account's address; [wallet.sender] is its one owner's",
            )
        if scope.agent == settings.wallet.address:
            yield (
                f"scopes[{number}].agent",
                "is the wallet itself",
                "the agent's account is another Safe, which holds gas money and nothing else",
            )
        if chain is not None and chain.bundler is not None and chain.bundler.entry_point != "0.7":
            yield (
                f"scopes[{number}].account",
                f"is a Safe of EntryPoint 0.7, and the bundler of {chain.name} is for {chain.bundler.entry_point}",
                'a bundler with entry_point = "0.7"',
            )
        if chain is not None and chain.bundler is None:
            yield (
                f"scopes[{number}].account",
                f"takes user operations, and {chain.name} has no bundler",
                "add a [chains.bundler] table with its url",
            )


def _contracts(chain: Chain) -> dict[str, str]:
    try:
        return dict(load(chain.chain_id).contracts)
    except Usage:
        return {}


def _parts(settings: Settings, chain: Chain) -> dict[str, str]:
    """By name, what else has a part of its own at the chain in the signer's file."""
    tokens = (
        a for ids in settings.assets.values() for a in ids if a.startswith(f"eip155:{chain.chain_id}/erc20:")
    )
    found = {f"token_{a.rpartition(':')[2]}": a.rpartition(":")[2] for a in tokens}
    found |= {f"lending_pool_{pool}": pool for pool in (*chain.lending_pools, chain.lending_pool) if pool}
    return found | {
        "wallet": settings.wallet.address,
        "route_executor": ROUTE_EXECUTOR,
        "flash_repay": FLASH_REPAY,
    }


def _families(settings: Settings) -> Iterator[Found]:
    """A module is one there is; a family's says nothing of which exchange; one of one exchange has no other."""
    modules = sorted(m.name for m in pkgutil.iter_modules([str(Path(__file__).parent.parent / "venues")]))
    for number, venue in enumerate(settings.venues):
        where, family = f"venues[{number}]", venue.module == "ccxt"
        if venue.module not in modules:
            yield (
                f"{where}.module",
                f"there is no venue module '{venue.module}'",
                _known(venue.module, modules),
            )
            continue
        if family and venue.exchange is None:
            yield f"{where}.exchange", "module ccxt speaks to many exchanges", 'say which: exchange = "okx"'
        if not family and (venue.exchange is not None or venue.sandbox):
            what = "exchange" if venue.exchange is not None else "sandbox"
            yield (
                f"{where}.{what}",
                f"module {venue.module} is one exchange",
                'drop it, or set module = "ccxt"',
            )
        if venue.portfolio_margin and (not family or venue.exchange != "binance"):
            yield (
                f"{where}.portfolio_margin",
                "portfolio margin is read at Binance by the ccxt family alone",
                'drop it, or set module = "ccxt" and exchange = "binance"',
            )
        if venue.margin_parameters is not None and (not family or venue.exchange != "derive"):
            yield (
                f"{where}.margin_parameters",
                "parameters of a margin are given for Derive's alone",
                'drop it, or set module = "ccxt" and exchange = "derive"',
            )


def _fix_sessions(settings: Settings) -> Iterator[Found]:
    """A name is one session's: a second log-on under it is refused by the exchange."""
    for number, venue in enumerate(settings.venues):
        if venue.fix is None:
            continue
        where = f"venues[{number}].fix"
        if venue.module != "binance_spot":
            yield where, f"module {venue.module} has no FIX sessions here", "drop the table; binance_spot has"
        names = (*venue.fix.senders, *venue.fix.drop_copy_senders)
        if twice := next((name for name in names if names.count(name) > 1), None):
            yield f"{where}.senders", f"'{twice}' stands twice", "each session needs names of its own"


def _assets(settings: Settings) -> Iterator[Found]:
    chains = {chain.chain_id for chain in settings.chains}
    venues = {venue.name for venue in settings.venues}
    seen: dict[str, str] = {}
    for symbol, ids in settings.assets.items():
        for number, asset in enumerate(ids):
            where, chain, venue = f"assets.{symbol}[{number}]", chain_of(asset), venue_of(asset)
            if chain is not None and chain not in chains:
                yield (
                    where,
                    f"there is no chain {chain} in these settings",
                    "add its [[chains]] table, or drop the asset",
                )
            if venue is not None and venue not in venues:
                yield where, f"there is no venue '{venue}' in these settings", _known(venue, venues)
            if asset in seen:
                yield where, f"{asset} already is {seen[asset]}", "an asset has one symbol"
            seen[asset] = symbol
    for group, symbols in settings.equivalents.items():
        for symbol in symbols:
            if symbol not in settings.assets:
                yield f"equivalents.{group}", f"there is no asset '{symbol}'", _known(symbol, settings.assets)


def _limits(settings: Settings) -> Iterator[Found]:
    limits = settings.limits
    places = [*(chain.name for chain in settings.chains), *(venue.name for venue in settings.venues)]
    symbols = [*settings.assets, *settings.equivalents]
    for number, symbol in enumerate(limits.allow_assets):
        if symbol not in symbols:
            yield f"limits.allow_assets[{number}]", f"there is no asset '{symbol}'", _known(symbol, symbols)
    for number, place in enumerate(limits.allow_venues):
        if place not in places:
            yield (
                f"limits.allow_venues[{number}]",
                f"there is no chain or venue '{place}'",
                _known(place, places),
            )
    for number, place in enumerate(settings.ramp.known):
        if place not in places:
            yield f"ramp.known[{number}]", f"there is no chain or venue '{place}'", _known(place, places)
    for name in limits.min_gas_reserve:
        if settings.chain(name) is None:
            yield (
                f"limits.min_gas_reserve.{name}",
                f"there is no chain '{name}'",
                _known(name, [chain.name for chain in settings.chains]),
            )
    if limits.per_order_usd > limits.per_day_usd:
        yield (
            "limits.per_order_usd",
            f"{limits.per_order_usd} is more than limits.per_day_usd ({limits.per_day_usd})",
            "no single order may exceed a day",
        )


def _oracles(settings: Settings) -> Iterator[Found]:
    symbols = [*settings.assets, *settings.equivalents]
    for symbol, sources in settings.oracles.items():
        where = f"oracles.{symbol}"
        if symbol not in symbols:
            yield where, f"there is no asset '{symbol}'", _known(symbol, symbols)
        if len({source.source for source in sources}) < 2:
            yield (
                where,
                "needs two independent sources: a price that only one confirms is unknown",
                "add a second feed, or a venue's book",
            )
        for number, source in enumerate(sources):
            yield from _oracle(settings, f"{where}[{number}]", source)


def _jobs(settings: Settings) -> Iterator[Found]:
    for table, jobs in (("jobs", settings.jobs), ("hedges", settings.hedges)):
        for number, job in enumerate(jobs):
            yield from job_problems(settings, job, f"{table}[{number}]")
    if settings.daemon.jobs_store is not None and settings.daemon.jobs_database is not None:
        yield (
            "daemon.jobs_database",
            "stands beside daemon.jobs_store",
            "keep one: jobs are in a file or in a database",
        )
    try:
        seconds_of(settings.daemon.ping_every, "ping_every")
    except Usage as wrong:
        yield "daemon.ping_every", wrong.message, wrong.hint


def _alerts(settings: Settings) -> Iterator[Found]:
    table = settings.alerts
    for name in table.escalate.to if table.escalate is not None else ():
        if getattr(table, name) is None:
            yield (
                "alerts.escalate.to",
                f"names {name}, which is not set",
                f"set alerts.{name}, or name another channel",
            )
    if table.email is not None and bool(table.email.user) != (table.email.password is not None):
        yield (
            "alerts.email",
            "has a user without a password, or a password without a user",
            "give both, or neither",
        )
    if table.telegram is not None and not table.telegram.server.startswith(
        ("https://", "http://127.0.0.1", "http://localhost")
    ):
        yield (
            "alerts.telegram.server",
            "is not https://",
            "the token is in its URL: use https, or a server on this machine",
        )


def _oracle(settings: Settings, where: str, source: Oracle) -> Iterator[Found]:
    needs = ("chain", "address") if source.kind == "chainlink" else ("venue", "symbol")
    for name in needs:
        if getattr(source, name) is None:
            yield f"{where}.{name}", "is missing", f"a {source.kind} source needs {needs[0]} and {needs[1]}"
    if source.chain is not None and settings.chain(source.chain) is None:
        yield (
            f"{where}.chain",
            f"there is no chain '{source.chain}'",
            _known(source.chain, [chain.name for chain in settings.chains]),
        )
    if source.venue is not None and settings.venue(source.venue) is None:
        yield (
            f"{where}.venue",
            f"there is no venue '{source.venue}'",
            _known(source.venue, [venue.name for venue in settings.venues]),
        )


def _asks_nobody(owner: Owner) -> bool:
    """True where whoever has this machine's references can have the owner's key sign without a person."""
    if owner.signer is None:
        return False
    from keys.signers import load

    try:
        facts = load(str(owner.signer.get("kind")))
    except Usage:
        return False
    return facts.signs and not facts.attended


def _live(settings: Settings) -> Iterator[Found]:
    wallet = settings.wallet
    passwords = sum(1 for owner in wallet.owners if owner.password is not None)
    services = sum(1 for owner in wallet.owners if _asks_nobody(owner))
    if passwords + services >= wallet.threshold:
        and_keys = f" and the keys of {services} in services" if services else ""
        yield (
            "wallet.owners",
            f"passwords of {passwords} owners{and_keys} are at hand, and {wallet.threshold} signatures move everything",
            "owners sign attended: leave their password out, or give them a device",
        )
    if settings.signer.unattended:
        yield (
            "signer.unattended",
            "the live environment does not sign without a person",
            "set it to false; devnet and fork may",
        )
    for number, chain in enumerate(settings.chains):
        for at, url in enumerate(chain.rpc):
            if not is_reference(url) and url.startswith(("http://", "ws://")) and not _loopback(url):
                yield f"chains[{number}].rpc[{at}]", "is not encrypted on its way", "use https:// or wss://"


def _loopback(url: str) -> bool:
    host = url.split("/")[2]
    name = host[1 : host.index("]")] if host.startswith("[") else host.rpartition(":")[0] or host
    return name == "localhost" or name == "::1" or name.startswith("127.")
