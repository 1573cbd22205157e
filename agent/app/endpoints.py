"""The settings' endpoints as gateways. A URL that holds a key is a reference, resolved here and never shown."""

from __future__ import annotations

import aiohttp

from agent.app.settings_tree import Chain, Settings
from agent.domain.errors import Usage
from chains.gateway import Gateway
from chains.profiles import load
from chains.rpc import Rpc, SecretUrl, must_be_http
from keys.secrets import is_reference, resolve


def resolve_endpoint(endpoint: str) -> SecretUrl:
    """An http(s) URL. Raises Usage where it is another, or a reference cannot be resolved; never with the URL in it."""
    return must_be_http(resolve_any(endpoint))


def resolve_any(endpoint: str) -> SecretUrl:
    """An http(s) or ws(s) URL. Raises as `resolve_endpoint`."""
    return SecretUrl(resolve(endpoint).text().strip() if is_reference(endpoint) else endpoint)


def call_endpoints(chain: Chain) -> list[SecretUrl]:
    """The endpoints that answer calls, in the settings' order. Raises Usage NO_HTTP_ENDPOINT."""
    found = [url for url in map(resolve_any, chain.rpc) if not url.is_socket]
    if not found:
        raise Usage(
            "NO_HTTP_ENDPOINT",
            f"chain {chain.name} has WebSocket endpoints alone, and those only tell new heads",
            "add an http(s):// URL to its rpc",
        )
    return found


def head_endpoints(chain: Chain) -> list[SecretUrl]:
    """The endpoints that tell new heads; none is well, then heads are polled for."""
    return [url for url in map(resolve_any, chain.rpc) if url.is_socket]


async def open_gateways(settings: Settings, session: aiohttp.ClientSession) -> dict[int, Gateway]:
    """One gateway a chain, over all its endpoints. Asks nothing yet."""
    return {
        chain.chain_id: Gateway(
            chain.chain_id,
            [Rpc(url, session) for url in call_endpoints(chain)],
            block_numbers_are_l1=load(chain.chain_id).block_numbers_are_l1,
        )
        for chain in settings.chains
    }
