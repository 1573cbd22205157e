"""First contact with a wallet: what its chains say of it, and the settings that would watch it. No key is needed or asked for."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import aiohttp

from agent.app.endpoints import resolve_endpoint
from agent.app.multisig.delays import delays_of, waiting
from agent.app.settings_tree import Chain
from agent.app.watching.aave import ChainHealth, chain_health
from agent.app.watching.approvals import Held, held_by
from agent.app.watching.safe_make import codes_of
from agent.domain.errors import FairleadError, Usage
from agent.domain.instruments import erc20_id
from chains import profiles
from chains.delays import Delay
from chains.gateway import Gateway
from chains.profile import ChainProfile
from chains.rpc import Rpc, SecretUrl
from chains.types import Address, Environment
from chains.wallets import SafeState, Wallet, WalletKind, identify
from contracts.hashing import to_checksum

_NAMED = re.compile(r"([a-z0-9_]+)=(.+)", re.DOTALL)

RAMP_START_USD = "250"
"""What a place that is new may have open at once, in settings that `init` writes."""


@dataclass(frozen=True, slots=True)
class Endpoint:
    """`given` is what was typed, a URL or a reference; only it is ever written down."""

    given: str
    url: SecretUrl
    chain_id: int


@dataclass(frozen=True)
class Met:
    """The wallet on one chain."""

    profile: ChainProfile
    endpoints: tuple[str, ...]
    wallet: Wallet
    held: Held
    lending: ChainHealth | None
    delays: tuple[Delay, ...] = ()
    strange: tuple[str, ...] = ()
    """What of a Safe's code is none of its publisher's."""


def wallet_address(text: str) -> Address:
    """Raises Usage BAD_ADDRESS, or BAD_CHECKSUM where a digit was mistyped."""
    if not re.fullmatch(r"0x[0-9a-fA-F]{40}", text):
        raise Usage("BAD_ADDRESS", f"'{text}' is no address", "an address is 0x and 40 hexadecimal digits")
    right = to_checksum(text.lower())
    if text != right and text[2:] not in (text[2:].lower(), text[2:].upper()):
        raise Usage(
            "BAD_CHECKSUM",
            f"{text} has a wrong checksum: a digit was mistyped",
            "copy it again from where you know it to be right",
        )
    return Address(right)


async def ask_endpoint(given: str, session: aiohttp.ClientSession) -> Endpoint:
    """Which chain answers there. `given` may begin with the chain it must be, as in base=https://…

    Raises Usage (not a URL, unknown or wrong chain) or Retry where nothing answers.
    """
    named = _NAMED.fullmatch(given)
    wanted = profiles.load(named[1]).chain_id if named else None
    given = named[2] if named else given
    url = resolve_endpoint(given)
    try:
        answer = await Rpc(url, session).call("eth_chainId")
        chain_id = int(str(answer), 16)
    except ValueError:
        raise Usage(
            "NOT_A_CHAIN", f"{url.origin} does not answer eth_chainId as a chain does", "check the RPC's URL"
        ) from None
    profile = profiles.load(chain_id)
    if wanted is not None and wanted != chain_id:
        raise Usage(
            "WRONG_CHAIN_ID",
            f"{url.origin} is chain {chain_id} ({profile.name}), not {wanted}",
            "name the RPC of that chain",
        )
    return Endpoint(given, url, chain_id)


async def meet(wallet: Address, rpcs: Sequence[str]) -> tuple[Environment, list[Met]]:
    """Everything about the wallet on every chain that the endpoints are of. Raises as `ask_endpoint`, and Retry."""
    async with aiohttp.ClientSession() as session:
        endpoints = await asyncio.gather(*(ask_endpoint(given, session) for given in dict.fromkeys(rpcs)))
        environments = await asyncio.gather(*(_environment(e, session) for e in endpoints))
        if len(set(environments)) > 1:
            told = ", ".join(
                f"{e.url.origin} is {v.value}" for e, v in zip(endpoints, environments, strict=True)
            )
            raise Usage(
                "MIXED_ENVIRONMENTS",
                f"the RPCs belong to different worlds: {told}",
                "give those of one world",
            )
        chain_ids = sorted({e.chain_id for e in endpoints})
        met = await asyncio.gather(
            *(_meet_on(wallet, [e for e in endpoints if e.chain_id == c], session) for c in chain_ids)
        )
    return environments[0], list(met)


async def _environment(endpoint: Endpoint, session: aiohttp.ClientSession) -> Environment:
    """Anvil's own answer and our marker; a loopback address says nothing."""
    from chains.devnet.nodes import environment_at

    try:
        version = await Rpc(endpoint.url, session).call("web3_clientVersion")
        if not str(version).startswith("anvil/"):
            return Environment.LIVE
        return await asyncio.to_thread(environment_at, endpoint.url.reveal()) or Environment.LIVE
    except FairleadError:
        return Environment.LIVE


async def _meet_on(wallet: Address, endpoints: Sequence[Endpoint], session: aiohttp.ClientSession) -> Met:
    profile = profiles.load(endpoints[0].chain_id)
    gateway = Gateway(
        profile.chain_id,
        [Rpc(e.url, session) for e in endpoints],
        block_numbers_are_l1=profile.block_numbers_are_l1,
    )
    chain = Chain.model_validate(
        {"name": profile.name, "chain_id": profile.chain_id, "rpc": [e.given for e in endpoints]}
    )
    found, held, lending = await asyncio.gather(
        identify(gateway, wallet), held_by(profile, gateway, wallet), chain_health(chain, gateway, wallet)
    )
    if found.safe is None:
        return Met(profile, chain.rpc, found, held, lending)
    delays, strange = await asyncio.gather(
        delays_of(gateway, found.safe.modules), codes_of(gateway, wallet, found.safe, found.block.number)
    )
    return Met(profile, chain.rpc, found, held, lending, delays, strange)


def the_safe(met: Sequence[Met]) -> SafeState | None:
    return next((m.wallet.safe for m in met if m.wallet.safe is not None), None)


def warnings(met: Sequence[Met]) -> list[str]:
    """What its owner should know before trusting it with more."""
    told = []
    safes = {m.profile.name: m.wallet.safe for m in met if m.wallet.safe is not None}
    if len({(s.threshold, frozenset(s.owners)) for s in safes.values()}) > 1:
        told.append(f"the Safes on {', '.join(safes)} have different owners or thresholds")
    for name, safe in safes.items():
        if safe.modules:
            told.append(
                f"{name}: {len(safe.modules)} module(s) can spend without any owner: {', '.join(safe.modules)}"
            )
        if safe.threshold == 1 and len(safe.owners) > 1:
            told.append(f"{name}: any single one of {len(safe.owners)} owners moves everything")
    for m in met:
        name, kind = m.profile.name, m.wallet.kind
        told += [f"{name}: {word}" for word in m.strange]
        if kind is WalletKind.OTHER:
            told.append(
                f"{name}: a contract that is no known Safe stands there; it can be watched, not traded with"
            )
        elif kind is WalletKind.DELEGATED_EOA:
            told.append(f"{name}: an account that runs the code of {m.wallet.delegate} (EIP-7702)")
        elif kind is WalletKind.EOA and safes:
            told.append(
                f"{name}: no Safe stands at this address there; what is sent to it may be out of reach"
            )
        told += [
            f"{name}: {a.spender_name} may take {m.held.tokens[a.token].symbol} without limit"
            for a in m.held.approvals
            if a.unlimited
        ]
        told += [f"{name}: token {token} does not answer" for token in m.held.holdings.silent]
        told += [
            f"{name}: number {one.queued.number} of the Delay {one.delay.address}: {one.state}"
            for one in waiting(name, m.wallet.address, m.delays)
        ]
        if m.lending is not None and m.lending.trouble:
            told.append(f"{name}: Aave account UNKNOWN: {m.lending.trouble}")
    return told


def unpriced(values: Mapping[str, Any]) -> str:
    """What is missing for values in USD, or nothing."""
    if values.get("oracles"):
        return ""
    return "no [oracles] were written: a price needs two independent sources, and one chain's feed is one; until then values are UNKNOWN"


def settings_values(wallet: Address, environment: Environment, met: Sequence[Met]) -> dict[str, Any]:
    """Watch-only settings, shaped as the settings file: two feeds of different chains make a price, one does not."""
    safe = the_safe(met)
    owner: dict[str, Any] = {
        "address": wallet,
        "kind": "safe" if safe else "eoa",
        "threshold": safe.threshold if safe else 1,
    }
    if safe:
        owner["owners"] = [{"address": address} for address in safe.owners]
    assets: dict[str, list[str]] = {}
    oracles: dict[str, list[dict[str, str]]] = {}
    native_symbols: list[str] = []
    for m in met:
        for token in m.held.tokens.values():
            if token.decimals is not None and re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]{0,15}", token.symbol):
                assets.setdefault(token.symbol, []).append(erc20_id(m.profile.chain_id, token.address))
        wrapped = m.held.tokens.get(m.profile.wrapped_native)
        if wrapped and wrapped.symbol in assets and wrapped.symbol not in native_symbols:
            native_symbols.append(wrapped.symbol)
        for pair, feed in m.profile.feeds.items():
            symbol = pair.partition("/")[0]
            source = {"kind": "chainlink", "chain": m.profile.name, "address": feed}
            oracles.setdefault(symbol, []).append(source)
    equivalents = {"ETH": native_symbols} if native_symbols and "ETH" not in assets else {}
    priced = {
        s: found for s, found in oracles.items() if len(found) > 1 and (s in assets or s in equivalents)
    }
    values: dict[str, Any] = {
        "environment": environment.value,
        "wallet": owner,
        "chains": [
            {"name": m.profile.name, "chain_id": m.profile.chain_id, "rpc": list(m.endpoints)} for m in met
        ],
        "assets": assets,
        "ramp": {"start_usd": RAMP_START_USD},
    }
    return (
        values
        | ({"equivalents": equivalents} if equivalents else {})
        | ({"oracles": priced} if priced else {})
    )
