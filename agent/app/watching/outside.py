"""Is what we depend on there? RPCs, relays, exchanges, the signer, prices; each asked by itself, none trusted for another."""

from __future__ import annotations

import asyncio
from contextlib import aclosing
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from functools import partial

import aiohttp

from agent.app.endpoints import call_endpoints, head_endpoints, resolve_endpoint
from agent.app.exchange_bound import UNKNOWN, bounds_of, sentence
from agent.app.leaky_roads import LeakyRoads
from agent.app.settings import Settings
from agent.app.settings_tree import Chain, Venue
from agent.app.watching.check import Check, fail, guarded, ok, skip, warn
from agent.app.watching.executor_check import FLASH, ROUTES, placed
from agent.app.watching.reading import Reading
from agent.app.watching.words import age, many
from agent.domain.errors import FairleadError, Retry
from chains import profiles
from chains.decode_rpc import block_ref
from chains.heads import silence_s, subscribe
from chains.rpc import Rpc, SecretUrl, post
from chains.types import Environment
from keys.client import SignerClient

LATE_BLOCKS, LATE_S = 10, 60
CLOCK_WARN_S, CLOCK_FAIL_S = 2, 5


async def rpcs(reading: Reading, chain: Chain) -> list[Check]:
    """Each endpoint by itself: its chain id, its head's age, how far it is behind the best of them."""
    name, seen = f"rpc {chain.name}", {}
    found: list[Check] = []
    late_s = max(LATE_S, LATE_BLOCKS * profiles.load(chain.chain_id).block_time_ms // 1000)
    try:
        urls = call_endpoints(chain)
    except FairleadError as error:
        return [fail(name, error.message, error.hint)]
    for number, url in enumerate(urls):
        rpc = Rpc(url, reading.session)
        try:
            answered = int(str(await rpc.call("eth_chainId")), 16)
            if answered != chain.chain_id:
                found.append(
                    fail(
                        name,
                        f"{url.origin} is chain {answered}, the settings say {chain.chain_id}",
                        f"correct the rpc of {chain.name}; nothing was sent",
                        3,
                    )
                )
                continue
            seen[number] = block_ref(await rpc.call("eth_getBlockByNumber", ["latest", False]))
        except ValueError:
            found.append(fail(name, f"{url.origin} does not answer as a chain does", "check the URL"))
        except FairleadError as error:
            found.append(fail(name, error.message, error.hint or "is it up? is its key still valid?"))
    best = max((head.number for head in seen.values()), default=0)
    for number, head in seen.items():
        origin = urls[number].origin
        old, behind = reading.now_s - head.timestamp, best - head.number
        told = f"{origin} at block {head.number}, {age(old)} old" + (f", {behind} behind" if behind else "")
        if old > late_s or behind > LATE_BLOCKS:
            found.append(warn(name, told, "it lags: reads from it are old; add another endpoint"))
        else:
            found.append(ok(name, told))
    if len(urls) == 1 and reading.settings.environment is Environment.LIVE:
        found.append(
            warn(name, "only one endpoint: nobody contradicts it", "add a second, of another provider")
        )
    return [*found, *await asyncio.gather(*(_heads(chain, url) for url in head_endpoints(chain)))]


async def _heads(chain: Chain, url: SecretUrl) -> Check:
    """A WebSocket endpoint by itself: its chain id, and that it tells a head before it counts as silent."""
    silent_s = silence_s(profiles.load(chain.chain_id).block_time_ms)
    try:
        async with aclosing(subscribe(chain.chain_id, url, silent_s)) as heads:
            async for head in heads:
                return ok(f"heads {chain.name}", f"{url.origin} told block {head.number}")
    except FairleadError as error:
        wrong = error.code == "WRONG_CHAIN_ID"
        hint = error.hint or "without it heads are polled for"
        return (
            fail(f"heads {chain.name}", error.message, hint, 3)
            if wrong
            else warn(f"heads {chain.name}", error.message, hint)
        )
    return warn(f"heads {chain.name}", f"{url.origin} told no head", "without it heads are polled for")


async def relays(reading: Reading, chain: Chain) -> list[Check]:
    """Whether something answers there. A refusal is an answer: what a relay tells strangers is its own affair."""
    body = b'{"jsonrpc":"2.0","id":1,"method":"eth_chainId","params":[]}'
    found = []
    leaked = LeakyRoads.beside(reading.settings.journal.path).of(chain.chain_id)
    for relay in chain.relays:
        name, url = f"relay {chain.name}", resolve_endpoint(relay.url)
        try:
            status, _ = await post(reading.session, url, body, write=False)
        except FairleadError as error:
            found.append(fail(name, f"{relay.name}: {error.message}", error.hint or "is the relay up?"))
            continue
        told = f"{relay.name} at {url.origin} answers"
        if relay.name in leaked:
            told = f"{relay.name} leaked and is not used: {leaked[relay.name]}"
            found.append(warn(name, told, f"another road, or `fairlead relay restore {relay.name}`"))
            continue
        found.append(
            ok(name, told) if status < 500 else fail(name, f"{told} HTTP {status}", "try again later")
        )
    return found


async def venue(reading: Reading, configured: Venue, signer: SignerClient) -> list[Check]:
    """Reachable, clocks together, and whether our key is taken there (when there is a signer to sign the question)."""
    from agent.app.wiring import connect_venue
    from agent.transport.clock import SystemClock

    name, found = f"venue {configured.name}", []
    if configured.base_url:
        found.append(await _clock(reading, configured, name))
    exchange = connect_venue(configured, SystemClock(), signer)
    try:
        await exchange.start()
        found.append(ok(name, f"answers, {many(len(await exchange.instruments()), 'market')}"))
        if configured.api_key is not None:
            balances = await exchange.balances()
            found.append(
                ok(name, f"takes our key, {sum(1 for b in balances if b.free or b.locked)} balances")
            )
    except FairleadError as error:
        found.append(fail(name, error.message, error.hint or "is the venue up?", error.exit_status))
    finally:
        await exchange.close()
    return found


async def _clock(reading: Reading, configured: Venue, name: str) -> Check:
    """By the HTTP Date of any answer, which is good to a second."""
    url = resolve_endpoint(str(configured.base_url))
    try:
        async with reading.session.get(
            url.reveal(), timeout=aiohttp.ClientTimeout(total=10), allow_redirects=False
        ) as answer:
            told = answer.headers.get("Date")
    except (aiohttp.ClientError, TimeoutError):
        return fail(name, f"{url.origin} could not be reached", "is it up and the network there?")
    try:
        theirs = parsedate_to_datetime(told) if told else None
    except ValueError:
        theirs = None
    if theirs is None:
        return skip(name, "tells no time")
    if theirs.tzinfo is None:
        theirs = theirs.replace(tzinfo=UTC)
    off = abs((datetime.now(UTC) - theirs).total_seconds())
    said = f"clocks within {max(1, round(off))} s"
    if off > CLOCK_FAIL_S:
        return fail(
            name,
            f"our clocks are {off:.0f} s apart: it would refuse our requests",
            "set this machine's clock (NTP)",
            3,
        )
    return warn(name, said, "set this machine's clock (NTP)") if off > CLOCK_WARN_S else ok(name, said)


async def signer(settings: Settings, client: SignerClient) -> list[Check]:
    if settings.watch_only:
        return [skip("signer", "watch-only: nothing here signs")]
    try:
        told = await client.status()
    except Retry as error:
        return [fail("signer", error.message, error.hint)]
    if told.get("environment") != settings.environment.value:
        message = (
            f"the signer serves {told.get('environment')}, these settings are {settings.environment.value}"
        )
        return [fail("signer", message, "start the signer that belongs to these settings", 3)]
    found = [ok("signer", f"pid {told.get('pid')}, environment {told.get('environment')}")]
    sender = settings.wallet.sender
    if sender is not None:
        senders = {str(a).lower(): unlocked for a, unlocked in dict(told.get("senders", {})).items()}
        state = senders.get(sender.address.lower())
        if state is None:
            found.append(
                fail(
                    "signer",
                    f"it does not hold the sender {sender.address}",
                    "add its key to the signer's file",
                    3,
                )
            )
        elif not state:
            found.append(warn("signer", f"the sender {sender.address} is locked", "`fairlead signer unlock`"))
    bounds = bounds_of(told, [venue.name for venue in settings.venues]) if settings.venues else ()
    found += [ok("signer", sentence(bound)) for bound in bounds or ()]
    if bounds is None:
        found.append(warn("signer", UNKNOWN, "restart it: it is of an older version"))
    return found


async def outside(reading: Reading, client: SignerClient) -> list[Check]:
    """All of them at once, in the order of the settings."""
    settings = reading.settings
    asked = [guarded(f"rpc {c.name}", partial(rpcs, reading, c)) for c in settings.chains]
    asked += [guarded(f"relay {c.name}", partial(relays, reading, c)) for c in settings.chains]
    for one in (ROUTES, FLASH):
        asked += [
            guarded(f"{one.command} {c.name}", partial(placed, reading, c, one)) for c in settings.chains
        ]
    asked += [guarded("signer", partial(signer, settings, client))]
    asked += [guarded(f"venue {v.name}", partial(venue, reading, v, client)) for v in settings.venues]
    return [check for some in await asyncio.gather(*asked) for check in some]
