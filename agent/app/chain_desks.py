"""A configured chain as the desk's: its gateway, its one relay, a simulator where it trades, a head feed where it has one."""

from __future__ import annotations

from collections.abc import Mapping

import aiohttp

from agent.app.chain_desk import ChainDesk
from agent.app.endpoints import call_endpoints, head_endpoints, resolve_endpoint
from agent.app.leaky_roads import LeakyRoads
from agent.app.operations import operations_of
from agent.app.settings import Settings
from agent.app.settings_tree import Chain
from agent.execution.halt import Switch
from agent.ports import Clock
from chains import profiles, relays
from chains.gateway import Gateway
from chains.heads import Heads, silence_s
from chains.relay_set import RelaySet
from chains.rpc import Rpc
from chains.simulate import Simulator
from chains.types import Address, Environment, Protection
from contracts.route_executor import ADDRESS as ROUTE_EXECUTOR
from keys.client import SignerClient


def chain_desk(
    settings: Settings,
    chain: Chain,
    gateway: Gateway,
    session: aiohttp.ClientSession,
    signer: SignerClient,
    clock: Clock,
) -> ChainDesk:
    profile = profiles.load(chain.chain_id)
    rpcs = [Rpc(url, session) for url in call_endpoints(chain)]
    sockets = head_endpoints(chain)
    fast = settings.environment is not Environment.LIVE
    sender = settings.wallet.sender
    road = road_of(chain)
    desk = ChainDesk(
        profile=profile,
        gateway=gateway,
        relay=relay_of(chain, session, signer, LeakyRoads.beside(settings.journal.path).of(chain.chain_id))
        if sender
        else None,
        simulator=Simulator(chain.chain_id, gateway, rpcs) if sender else None,
        wallet=Address(settings.wallet.address),
        sender=Address(sender.address) if sender else None,
        protection=road,
        wanted=chain.protection,
        takes_offers=chain.order_book is not None,
        executor=Address(ROUTE_EXECUTOR) if settings.wallet.route_executor is not None else None,
        operations=operations_of(settings, chain, profile, gateway, session, signer) if sender else None,
        finality=chain.finality,
        finality_depth=chain.finality_depth,
        poll_s=0.2 if fast else profile.block_time_ms / 4000,
        clock=clock,
        halted=Switch.beside(settings.journal.path).why,
        heads=Heads(chain.chain_id, sockets, silence_s=silence_s(profile.block_time_ms)) if sockets else None,
    )
    if desk.simulator is not None:
        desk.simulator.follow(desk.warm)
    return desk


def road_of(chain: Chain) -> Protection:
    """How our own transactions travel: where plans are INTENT, the allowances they need go privately."""
    return Protection.PRIVATE if chain.protection is Protection.INTENT else chain.protection


def relay_of(
    chain: Chain,
    session: aiohttp.ClientSession,
    signer: SignerClient,
    leaked: Mapping[str, str] | None = None,
) -> RelaySet | None:
    """All of the chain's configured relays that honour its road, used together, less those that `leaked` (why, by name); there is no
    fall-back to another road."""
    found = [
        relays.connect(configured.name, resolve_endpoint(configured.url), session, header=signer.relay_header)
        for configured in chain.relays
        if road_of(chain) in relays.load(configured.name).honours
    ]
    if not found:
        return None
    together = RelaySet(found)
    for name, why in (leaked or {}).items():
        together.drop(name, why)
    return together
