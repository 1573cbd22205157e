"""Everything put together, once per process: settings in, a desk out. The only place that knows every layer."""

from __future__ import annotations

import asyncio
import importlib
import pkgutil
from collections.abc import Awaitable, Callable, Mapping
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import aiohttp

from agent import algos
from agent.algos.step import Algorithm
from agent.app import fix_doors
from agent.app.alerting import alerts_of
from agent.app.cancel_road import canceller
from agent.app.chain_desk import ChainDesk
from agent.app.chain_desks import chain_desk
from agent.app.cli.output import note
from agent.app.dead_man import dead_men
from agent.app.endpoints import open_gateways, resolve_any, resolve_endpoint
from agent.app.feeds import alarm_on_difference, alarm_on_failure, head_feeds, stop_tasks
from agent.app.leftovers import Leftovers
from agent.app.live_market import LiveMarket
from agent.app.local_proof import prove_environment
from agent.app.margin_parameters import read_parameters
from agent.app.multisig.before_signing import effects_shown
from agent.app.multisig.signing import signs_here
from agent.app.offer_desk import offer_desks
from agent.app.operations import EitherSender, signed_at
from agent.app.oracles import Oracles
from agent.app.order_signatures import SignerOrders
from agent.app.places import Directory, directory
from agent.app.settings import Settings, risk_limits
from agent.app.settings_tree import Venue
from agent.app.signatures import AttendedOwners, SignerOwners, SignerSender, attended_owner
from agent.app.wallet_check import WalletCheck
from agent.app.workshop import Workshop
from agent.app.world import World
from agent.domain.errors import Denied, FairleadError, Usage
from agent.domain.instruments import AssetId, Place, chain_of
from agent.execution.authority import Authority, ChainAuthority, OwnerSignatures
from agent.execution.desk import Desk
from agent.execution.halt import Switch
from agent.execution.locks import Locks
from agent.execution.offer_authority import OfferAuthority
from agent.execution.offer_road import OfferRoad
from agent.execution.outbox import Outbox
from agent.execution.recorder import Recorder
from agent.execution.replacing import Patience, Replacer
from agent.execution.tracker import Tracker
from agent.execution.wallet_batches import WalletBatches
from agent.journal.book import Book
from agent.journal.registry import event_codec, is_derisking
from agent.journal.store import Journal
from agent.ports import Clock, ExecutionVenue
from agent.transport.clock import SystemClock
from chains.gateway import Gateway
from chains.types import Address, Call, Environment
from contracts.codec import decode_result, encode
from keys.client import SignerClient
from keys.secrets import resolve

if TYPE_CHECKING:
    from agent.app.agent_road import Roads

DEADLINE_S = 180


def algorithms() -> dict[str, Algorithm]:
    """Every file of agent/algos that exposes ALGO, by its name."""
    found = {}
    for module in pkgutil.iter_modules(algos.__path__):
        algo = getattr(importlib.import_module(f"agent.algos.{module.name}"), "ALGO", None)
        if isinstance(algo, Algorithm):
            found[algo.name] = algo
    return found


@dataclass
class App:
    """What commands use. `desk` is present once `trading` was entered; reads work without journal and signer.

    `roads` is present once `take_agents_road` was: then the agent's own key signs, and owners do not.
    """

    settings: Settings
    clock: Clock
    session: aiohttp.ClientSession
    gateways: dict[int, Gateway]
    chains: dict[int, ChainDesk]
    venues: dict[str, ExecutionVenue]
    directory: Directory
    market: LiveMarket
    oracles: Oracles
    switch: Switch
    signer: SignerClient
    wallets: WalletCheck
    roads: Roads | None = None
    journal: Journal | None = None
    desk: Desk | None = None
    unreachable: dict[str, str] = field(default_factory=dict)
    locks: Locks = field(default_factory=Locks)
    closing: AsyncExitStack = field(default_factory=AsyncExitStack)
    """Closed after the streams: what is opened under way."""
    listen: Callable[[ExecutionVenue], None] = lambda venue: None
    pretended: Mapping[AssetId, Decimal] = field(default_factory=dict)
    """In a shadow: what its fills would have changed of what is held."""

    async def head_line(self) -> str:
        """The block part of the header line: every chain's head with its age."""
        now = self.clock.now_ns() // 10**9
        told = []
        for desk in self.chains.values():
            try:
                head = await desk.gateway.block("latest")
                told.append(f"{desk.profile.name} {head.number} ({max(now - head.timestamp, 0)} s)")
            except FairleadError:
                told.append(f"{desk.profile.name} unreachable")
        return " · ".join(told)

    async def adopt_balances(self) -> None:
        """Takes into the book what stands in each place and no order of ours explains, at today's price."""
        from agent.app.adoption import adopt

        assert self.desk is not None
        await adopt(self, self.desk)


async def open_app(
    settings: Settings, stack: AsyncExitStack, signer_of: type[SignerClient] = SignerClient
) -> App:
    """Reads only: gateways, venues, market, oracles. A venue that does not answer is named in `unreachable`."""
    clock = SystemClock()
    session = await stack.enter_async_context(aiohttp.ClientSession())
    gateways = await open_gateways(settings, session)
    signer = signer_of(settings.signer.socket, settings.environment)
    stack.push_async_callback(signer.close)
    decimals = await token_decimals(settings, gateways)
    known = directory(settings, decimals)
    chains = {
        c.chain_id: chain_desk(settings, c, gateways[c.chain_id], session, signer, clock)
        for c in settings.chains
    }
    unreachable: dict[str, str] = {}
    venues: dict[str, ExecutionVenue] = {}
    for configured in settings.venues:
        venue = connect_venue(configured, clock, signer)
        try:
            await venue.start()
        except FairleadError as error:
            unreachable[configured.name] = str(error)
            await venue.close()
            continue
        stack.push_async_callback(venue.close)
        venues[configured.name] = venue
    warm = {chain_id: desk.warm for chain_id, desk in chains.items()}
    oracles = Oracles(settings, warm, venues)
    market = LiveMarket(clock, settings, known, chains, venues, oracles.prices)
    market.unreachable = unreachable
    stack.push_async_callback(market.close)
    return App(
        closing=await stack.enter_async_context(AsyncExitStack()),
        settings=settings,
        clock=clock,
        session=session,
        gateways=gateways,
        chains=chains,
        venues=venues,
        directory=known,
        market=market,
        oracles=oracles,
        switch=Switch.beside(settings.journal.path),
        signer=signer,
        wallets=WalletCheck(settings, warm),
        unreachable=unreachable,
    )


async def open_trading(app: App, stack: AsyncExitStack) -> Desk:
    """The desk: journal, simulators, authority, streams. Raises Retry JOURNAL_LOCKED, Halt JOURNAL_CORRUPT, Denied WATCH_ONLY,
    and as `prove_environment` where the world behind the settings is not the one they name."""
    settings = app.settings
    if settings.wallet.sender is None:
        raise Denied(
            "WATCH_ONLY", "these settings only watch: they name no sender", "add [wallet.sender] and owners"
        )
    if settings.wallet.kind != "safe":
        raise Denied(
            "WALLET_KIND",
            "only a Safe can trade: an ordinary account's key could do anything, and nothing on chain would bound it",
            "make the account an owner of a Safe, or go on watching",
        )
    await prove_environment(settings, app.venues, app.session)
    journal = Journal.open(
        settings.journal.path,
        clock=app.clock,
        environment=settings.environment.value,
        codec=event_codec(),
        emergency=settings.journal.emergency_path,
        derisking=is_derisking,
    )
    stack.callback(journal.close)
    app.journal = journal
    book = Book()
    for event in journal.events():
        book.apply(event)
    journal.remember("book", book.state_hash)
    recorder = Recorder(journal, book)
    recorder.watchers.append(
        (await stack.enter_async_context(alerts_of(app.settings, journal.head, app.session, note))).saw
    )
    alarm_on_failure(journal, recorder, app.clock)
    alarm_on_difference(app.market, recorder, app.clock)
    for chain in app.chains.values():
        if chain.simulator is not None:
            await stack.enter_async_context(chain.simulator)
    offers = offer_desks(settings, app.chains, app.session, app.clock, DEADLINE_S)
    outbox = Outbox(app.clock, app.chains, app.venues)
    accounts = {c: d.operations for c, d in app.chains.items() if d.operations is not None}
    for account in accounts.values():
        account.since = signed_at(book, account.account)
    sender = EitherSender(SignerSender(app.signer, Address(settings.wallet.sender.address)), accounts)
    owners = owner_signatures(app)
    authorities = {chain_id: chain_authority(settings, desk) for chain_id, desk in app.chains.items()}
    ready = signer_ready(app)
    authority = Authority(app.clock, book, authorities, app.venues, owners, sender, outbox, ready)
    authority.locks, authority.say = app.locks, note
    app.market.locks = app.locks
    tracker = Tracker(
        app.clock,
        recorder,
        app.chains,
        app.venues,
        app.directory.decimals,
        canceller(app, sender, owners),
        replacer=Replacer(app.clock, sender, patience(app), app.chains),
        halted=app.switch.why,
    )
    tracker.others_left_alone = frozenset(v.name for v in settings.venues if v.foreign_orders == "leave")
    if offers:
        batches = WalletBatches(app.clock, recorder, authority, outbox, tracker)
        road = OfferRoad(app.clock, recorder, offers, app.directory.decimals, batches, offers)
        outbox.offers = tracker.offers = road
        authority.offers = OfferAuthority(app.clock, authorities, order_signatures(app.signer, owners))
    world = World(
        app.clock,
        app.directory,
        app.chains,
        app.switch,
        app.oracles.prices,
        wallet_ready(app),
        lambda: journal_trouble(journal),
        risk_limits(settings).ramp,
        real_time=settings.environment is Environment.LIVE,
    )
    app.desk = Desk(
        environment=settings.environment.value,
        clock=app.clock,
        journal=recorder,
        book=book,
        limits=risk_limits(settings),
        switch=app.switch,
        market=app.market,
        world=world,
        workshop=Workshop(app.clock, app.chains, app.venues, DEADLINE_S, offers),
        authority=authority,
        outbox=outbox,
        tracker=tracker,
        algos=algorithms(),
        decimals=app.directory.decimals,
        lots={symbol: Decimal("0.000001") for symbol in app.directory.groups},
    )
    streams: list[asyncio.Task[None]] = []
    after = {venue.name: venue.cancel_after_s for venue in settings.venues}

    def listen(venue: ExecutionVenue) -> None:
        men = dead_men({venue.name: venue}, after, app.clock, recorder)
        streams.append(asyncio.create_task(tracker.consume(venue), name=f"stream {venue.name}"))
        streams.extend(asyncio.create_task(one.run(), name="dead man") for one in men)

    for venue in app.venues.values():
        listen(venue)
    app.listen = listen
    leftovers = Leftovers(app.chains, recorder, app.clock, note)
    recorder.watchers.append((await stack.enter_async_context(leftovers)).saw)
    streams += head_feeds(app.chains.values(), recorder, app.clock)
    stack.push_async_callback(stop_tasks, streams)
    return app.desk


def tell_unless_written(app: App) -> None:
    """For what goes on without the journal: cancelling and following."""
    if app.journal is not None and app.journal.failure is not None:
        note(f"{app.journal.failure.code}: {app.journal.failure.message} → {app.journal.failure.hint}")


def nothing_new_unless_written(app: App) -> None:
    """Raises the journal's failure, before anything else is begun for an order that could not be recorded."""
    if app.journal is not None and app.journal.failure is not None:
        raise app.journal.failure


def journal_trouble(journal: Journal) -> str:
    return journal.failure.message if journal.failure else ""


# ---------------------------------------------------------------------- pieces


def connect_venue(configured: Venue, clock: Clock, signer: SignerClient) -> ExecutionVenue:
    """Raises Usage UNKNOWN_VENUE_MODULE."""
    try:
        module = importlib.import_module(f"agent.venues.{configured.module}")
        facts: Any = module.VENUE
    except (ImportError, AttributeError):
        from agent import venues

        names = [m.name for m in pkgutil.iter_modules(venues.__path__)]
        takes = [n for n in names if hasattr(importlib.import_module(f"agent.venues.{n}"), "VENUE")]
        text = "takes no orders yet: market data only" if configured.module in names else "does not exist"
        raise Usage(
            "UNKNOWN_VENUE_MODULE",
            f"the venue module '{configured.module}' {text}",
            f"known: {', '.join(takes)}",
        ) from None
    api_key = resolve(configured.api_key).text().strip() if configured.api_key else ""

    def asked(name: str, method: str, path: str, payload: str) -> tuple[str, str, str, str, str]:
        from hashlib import sha256

        digest = sha256(f"{method} {path} {payload}".encode()).hexdigest()
        return f"{name}-{digest[:32]}", name, method, path, payload

    def sign_for(name: str) -> Callable[[str, str, str], Awaitable[str]]:
        async def sign(method: str, path: str, payload: str) -> str:
            return (await signer.sign_exchange(*asked(name, method, path, payload)))[0]

        return sign

    async def send(method: str, path: str, payload: str) -> tuple[int, Mapping[str, str], bytes]:
        # A connection of its own: what waits for the exchange holds up no signature.
        async with type(signer)(signer.path, signer.environment) as sends:
            return await sends.send_exchange(*asked(configured.name, method, path, payload))

    url = resolve_endpoint(configured.base_url) if configured.base_url else None
    base_url = url.reveal() if url is not None else None
    socket = resolve_any(configured.ws_url).reveal() if configured.ws_url else None
    more: dict[str, Any] = (
        {
            "exchange": configured.exchange or "",
            "sandbox": configured.sandbox,
            "portfolio_margin": configured.portfolio_margin,
            "margin_parameters": read_parameters(configured.margin_parameters),
        }
        if getattr(module, "FAMILY", False)
        else {}
    )
    if configured.fix is not None:
        more["doors"] = fix_doors.doors(configured.name, configured.fix, sign_for)
    venue: ExecutionVenue = facts.connect(
        configured.name,
        clock,
        api_key,
        sign_for(configured.name),
        base_url=base_url,
        ws_url=socket,
        send=send,
        **more,
    )
    return venue


async def token_decimals(settings: Settings, gateways: dict[int, Gateway]) -> dict[AssetId, int]:
    """What the chains say of the configured tokens' decimals; a chain that does not answer is skipped."""
    found: dict[AssetId, int] = {}
    for chain_id, gateway in gateways.items():
        tokens = [
            AssetId(a)
            for ids in settings.assets.values()
            for a in ids
            if chain_of(a) == chain_id and "/erc20:" in a
        ]
        calls = [Call(Address(t.rpartition(":")[2]), encode("erc20", "decimals")) for t in tokens]
        if not calls:
            continue
        try:
            _, results = await gateway.multicall(calls)
        except FairleadError as error:
            if error.verb == "HALT":
                raise
            continue
        for token, result in zip(tokens, results, strict=True):
            if result.ok and result.data:
                found[token] = int(decode_result("erc20", "decimals", result.data)[0])
    return found


def owner_signatures(app: App) -> OwnerSignatures:
    """Throw-away keys sign in the signer where the settings say so; live owners sign attended."""
    settings, signer = app.settings, app.signer
    if settings.signer.unattended and settings.environment is not Environment.LIVE:
        return SignerOwners(signer)
    owners = tuple(attended_owner(o) for o in settings.wallet.owners if signs_here(o))
    return AttendedOwners(
        owners, settings.wallet.threshold, settings.environment.value, show=effects_shown(app)
    )


def order_signatures(signer: SignerClient, owners: OwnerSignatures) -> SignerOrders:
    """Owners who sign transactions attended sign orders attended."""
    return SignerOrders(signer, owners if isinstance(owners, AttendedOwners) else None)


def chain_authority(settings: Settings, desk: ChainDesk) -> ChainAuthority:
    assert desk.simulator is not None and desk.sender is not None
    account = desk.by_operation
    return ChainAuthority(
        gateway=desk.warm,
        local=desk.simulator,
        wallet=desk.wallet,
        owners=tuple(Address(o.address) for o in settings.wallet.owners),
        threshold=settings.wallet.threshold,
        multi_send=desk.multi_send,
        sender=desk.sender if account is None else account.account,
        max_blocks=desk.profile.max_blocks,
        block_time_ms=desk.profile.block_time_ms,
        agent_roles=desk.road.modifiers if desk.road is not None else frozenset(),
        agent_offers=desk.road.offers if desk.road is not None else None,
        next_nonce=account.next_nonce if account is not None else None,
    )


def wallet_ready(app: App) -> Callable[[Place], Awaitable[str]]:
    """Whether a place's wallet can sign. By the agent's own key no owner has to be here: its scope is audited instead."""

    async def why_not(place: Place) -> str:
        chain_id = chain_of(place)
        if chain_id is not None and app.chains[chain_id].road is not None:
            return ""
        return await app.wallets.why_not(place)

    return why_not


def signer_ready(app: App) -> Callable[[], Awaitable[None]]:
    """Asks the signer once which environment it serves. Raises Denied SIGNER_OTHER_ENVIRONMENT."""
    asked = False

    async def ready() -> None:
        nonlocal asked
        if asked:
            return
        status = await app.signer.status()
        if status.get("environment") != app.settings.environment.value:
            raise Denied(
                "SIGNER_OTHER_ENVIRONMENT",
                f"the signer serves {status.get('environment')}, these settings are {app.settings.environment.value}",
                "start the signer that belongs to these settings",
            )
        asked = True

    return ready


def patience(app: App) -> dict[int, Patience]:
    """Three blocks and never under twelve seconds; a fast devnet's blocks come when there is something to put into one."""
    return {
        chain_id: Patience(desk.gateway, max(3 * desk.profile.block_time_ms / 1000, 12.0))
        for chain_id, desk in app.chains.items()
    }


__all__ = ["App", "open_app", "open_trading"]
