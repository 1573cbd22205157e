"""Whether the world behind the settings is the one they name: asked of every endpoint before anything is signed.

Chain ids and signing domains of a rehearsal equal mainnet's, so neither they nor a loopback address say where one is.
A devnet or a fork is Anvil's own answer with our marker of that very environment; its exchange names itself the paper
exchange. What cannot be proved to be local is not signed for in a rehearsal, and what is local is not signed for in live.
"""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Coroutine, Iterator, Mapping
from dataclasses import dataclass
from urllib.parse import urlsplit

import aiohttp

from agent.app.endpoints import call_endpoints, resolve_any, resolve_endpoint
from agent.app.settings_fix import Fix
from agent.app.settings_tree import Settings, Venue
from agent.domain.errors import Denied, Reject, Retry
from chains.devnet.nodes import MARKER, environment_of_code
from chains.rpc import Rpc, SecretUrl
from chains.types import Environment

PAPER_HEADER = "X-Fairlead-Exchange"
FIX_HEADER = "X-Fairlead-Fix"
"""The paper exchange puts its nature here, in every answer of its ping; and the port of its FIX door, where it has one."""
PING = "/api/v3/ping"
TIMEOUT_S = 5.0


@dataclass(frozen=True, slots=True)
class Seen:
    """What an endpoint showed: `anvil`, its own word; `environment`, our marker there."""

    anvil: bool
    environment: Environment | None


async def prove_environment(
    settings: Settings, venues: Collection[str], session: aiohttp.ClientSession
) -> None:
    """`venues` are those that answered at all: no order can be placed at the others.

    Raises Denied NOT_LOCAL, OTHER_ENVIRONMENT, VENUE_NOT_LOCAL or LOCAL_IN_LIVE; Retry where a rehearsal's endpoint is silent.
    """
    asked: list[Coroutine[None, None, None]] = [
        _prove_endpoint(settings.environment, name, url, session) for name, url in _endpoints(settings)
    ]
    asked += [
        _prove_venue(settings.environment, venue, session)
        for venue in settings.venues
        if venue.name in venues
    ]
    found = [e for e in await asyncio.gather(*asked, return_exceptions=True) if e is not None]
    for error in sorted(found, key=lambda e: not isinstance(e, Denied)):
        raise error


def _endpoints(settings: Settings) -> Iterator[tuple[str, SecretUrl]]:
    """Every server that answers a chain's calls or takes its transactions, each once. A socket only tells heads."""
    seen: set[SecretUrl] = set()
    servers: set[str] = set()
    for chain in settings.chains:
        for url in call_endpoints(chain):
            servers.add(_host(url))
            if url not in seen:
                seen.add(url)
                yield chain.name, url
    for chain in settings.chains:
        for relay in chain.relays:
            url = resolve_endpoint(relay.url)
            # A relay speaks its own dialect; a devnet's has the chain at the root of its server.
            if url not in seen and _host(url) not in servers:
                servers.add(_host(url))
                yield chain.name, SecretUrl(url.origin)


async def _look(url: SecretUrl, session: aiohttp.ClientSession) -> Seen:
    """Raises Retry where nothing answers; an endpoint that refuses the questions is not local."""
    rpc = Rpc(url, session, timeout_s=TIMEOUT_S)
    try:
        version = str(await rpc.call("web3_clientVersion"))
        code = await rpc.call("eth_getCode", [MARKER, "latest"])
    except Reject:
        return Seen(False, None)
    return Seen(version.startswith("anvil/"), environment_of_code(code))


async def _prove_endpoint(
    environment: Environment, chain: str, url: SecretUrl, session: aiohttp.ClientSession
) -> None:
    if environment is Environment.LIVE:
        try:
            seen = await _look(url, session)
        except Retry:
            return  # whoever needs its answer will miss it
        if seen.anvil or seen.environment is not None:
            raise Denied(
                "LOCAL_IN_LIVE",
                f"{url.origin} ({chain}) is a local chain: a signature made for it in live is worth as much on the real one",
                "use settings of that devnet or fork, or a real endpoint",
            )
        return
    try:
        seen = await _look(url, session)
    except Retry as silent:
        raise Retry(
            "NOT_PROVED_LOCAL",
            f"{url.origin} ({chain}) did not show whether it is a {environment.value}: {silent.message}",
            f"a {environment.value} signs nothing before every endpoint has; is it up?",
        ) from None
    if not seen.anvil or seen.environment is None:
        raise Denied(
            "NOT_LOCAL",
            f"the settings are for a {environment.value}, and {url.origin} ({chain}) is none: it has not our marker",
            f"name only endpoints of the {environment.value}, or write settings for the live environment",
        )
    if seen.environment is not environment:
        raise Denied(
            "OTHER_ENVIRONMENT",
            f"the settings are for a {environment.value}, and {url.origin} ({chain}) is a {seen.environment.value}",
            "use the settings that were made with it",
        )


async def _prove_venue(environment: Environment, venue: Venue, session: aiohttp.ClientSession) -> None:
    paper = False
    if venue.base_url is not None:
        url = resolve_endpoint(venue.base_url)
        told = await _ping(venue.name, url, session)
        paper = told.get(PAPER_HEADER) == "paper"
        if venue.ws_url is not None and _host(resolve_any(venue.ws_url)) != _host(url):
            paper = False  # orders travel on the socket, and nobody vouches for another server's
        if venue.fix is not None and not _beside(venue.fix, url, told.get(FIX_HEADER, "")):
            paper = False
    if environment is Environment.LIVE and paper:
        raise Denied(
            "LOCAL_IN_LIVE",
            f"{venue.name} is the paper exchange: its book is nobody's price",
            "name a real exchange, or use settings of the devnet",
        )
    if environment is not Environment.LIVE and not paper:
        raise Denied(
            "VENUE_NOT_LOCAL",
            f"the settings are for a {environment.value}, and {venue.name} is not the paper exchange: its orders would be real",
            f"give [[venues]] {venue.name} the paper exchange's base_url, and no other ws_url or fix address",
        )


async def _ping(name: str, url: SecretUrl, session: aiohttp.ClientSession) -> Mapping[str, str]:
    """What it says of itself."""
    timeout = aiohttp.ClientTimeout(total=TIMEOUT_S)
    try:
        async with session.get(
            url.reveal().rstrip("/") + PING, timeout=timeout, allow_redirects=False
        ) as answer:
            return answer.headers
    except (aiohttp.ClientError, TimeoutError):
        raise Retry(
            "NOT_PROVED_LOCAL", f"{name} at {url.origin} does not answer any more", "try again when it does"
        ) from None


def _beside(fix: Fix, url: SecretUrl, port: str) -> bool:
    """Whether its FIX sessions end at the door that the paper exchange names: any other may be a tunnel to the venue itself."""
    asked = [fix.url, *([fix.drop_copy_url] if fix.drop_copy_senders else [])]
    door = f"tcp://{urlsplit(url.reveal()).hostname}:{port}"
    return bool(port) and all(one is not None and one.rstrip("/") == door for one in asked)


def _host(url: SecretUrl) -> str:
    return url.origin.partition("://")[2]
