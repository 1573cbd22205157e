"""A fork of any RPC that can be traded on at once: throw-away keys of its own environment, a signer, settings.

With a wallet, the Safe is rehearsed as it stands there, its holdings, modules and guard with it, but its owners are
replaced by throw-away keys; without one a new Safe is made and given inventory. No key of a rehearsal is a key of anything else.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import dataclass, replace
from decimal import Decimal
from pathlib import Path

from agent.app.devnet_home import (
    GAS_WEI,
    Home,
    Say,
    addresses,
    create_wallet,
    demo_or_loaded,
    fresh_home,
    paper_service,
    write_settings,
)
from agent.app.devnet_signer import REFERENCE, signer_service, write_signer
from agent.app.endpoints import resolve_endpoint
from agent.app.throwaway_keys import OWNERS, THRESHOLD, Throwaway, make_keys
from chains.devnet import funding, service
from chains.devnet.addresses import CHAINS, SAFE, Chain
from chains.devnet.jsonrpc import Rpc, RpcError
from chains.devnet.nodes import environment_at
from chains.devnet.paths import runtime_dir
from chains.devnet.rehearsal import replace_safe_owners, safe_owners
from chains.devnet.service import Status
from chains.devnet.supervisor import Service, free_port
from chains.errors import Usage
from chains.types import ZERO_ADDRESS, Address, Environment
from contracts.codec import decode_result, encode
from contracts.hashing import to_checksum

V3_FEES = (100, 500, 3000)


@dataclass(frozen=True)
class Upstream:
    """What was seen at the RPC before anything was started. `ours`: it is a devnet or a fork of ours, its feeds are mocks."""

    chain_id: int
    safe: Address | None
    owners: int
    threshold: int
    tradable: bool
    ours: bool


def bring_up_fork(
    rpc: str,
    block: int | None = None,
    *,
    wallet: str | None = None,
    runtime: Path | None = None,
    progress: Say,
) -> Home:
    """A fork of `rpc` (a url or a secret reference) at `block`, ready for every command; an earlier fork here is ended first.

    Raises Usage (BAD_RPC_URL, BAD_ADDRESS, NOT_A_SAFE, DEVNET_RUNS, CHAIN_UNKNOWN), Retry when the RPC does not answer,
    otherwise as `chains.devnet.service.up_fork`. `settings` is None where the chain has no Safe contracts we know.
    """
    url = resolve_endpoint(rpc).reveal()
    folder = runtime_dir(runtime) if runtime else runtime_dir(runtime_dir() / "fork")
    present = service.status(runtime=folder)
    if present.running and present.environment is not Environment.FORK:
        raise Usage(
            "DEVNET_RUNS", "a devnet is up in that runtime folder", "give the fork another folder: --runtime"
        )
    seen = look(url, block, wallet)
    service.down(runtime=folder)
    keys = None
    if seen.tradable:
        keys = make_keys(fresh_home(folder), Environment.FORK, seen.owners, seen.threshold)
    else:
        progress(f"chain {seen.chain_id} has no Safe contracts known here: the fork comes without a wallet")
    made: list[Address] = []

    def extra(status: Status) -> Sequence[Service]:
        cheats = status.cheat_urls[seen.chain_id]
        mid = _mid(cheats, seen.chain_id)
        services = [replace(paper_service(folder, keys, mid), port=free_port())]
        if keys is not None:
            second = paper_service(folder, keys, mid, REFERENCE, ("ETH/USDC", "USDC/USDT=1"))
            services.append(replace(second, port=free_port()))
        exchanges = addresses(*services)
        if seen.ours and seen.chain_id in CHAINS:
            argv = [sys.executable, "-m", "chains.devnet.feeds", f"--rpc={cheats}"]
            services.append(Service("feeds", argv))
        if keys is not None:
            safe = _adopt(cheats, seen.safe, keys, progress) if seen.safe else None
            made.append(safe or create_wallet(status, keys, progress))
            write_signer(keys, made[0], list(status.urls), exchanges=exchanges)
            services.append(signer_service(keys))
        return services

    status = service.up_fork(url, block, runtime=folder, extra=extra, progress=progress)
    if keys is None:
        return Home(status, None)
    pools = {chain_id: _pools(status, chain_id) for chain_id in status.urls}
    settings = folder / "home" / "fairlead.toml"
    try:
        write_settings(status, keys, settings, safe=made[0], pools=pools)
    except BaseException:
        service.down(runtime=folder)
        raise
    return Home(status, settings)


def look(url: str, block: int | None, wallet: str | None) -> Upstream:
    """Reads the upstream, and nothing else. Raises Usage for a wallet that is no Safe there, Retry when nothing answers."""
    safe = None
    if wallet is not None:
        try:
            safe = Address(to_checksum(wallet))
        except ValueError as error:
            raise Usage("BAD_ADDRESS", str(error), "give a 0x address with its EIP-55 checksum") from None
    at = "latest" if block is None else hex(block)
    with Rpc(url, timeout_s=15) as rpc:
        chain_id = int(rpc("eth_chainId"), 16)
        known = chain_id in CHAINS and rpc("eth_getCode", SAFE["SafeProxyFactory"], at) != "0x"
        if safe is None:
            return Upstream(chain_id, None, OWNERS, THRESHOLD, known, environment_at(url) is not None)
        if chain_id not in CHAINS:
            known_ids = ", ".join(str(c) for c in CHAINS)
            raise Usage("CHAIN_UNKNOWN", f"chain {chain_id} cannot be traded here", f"there are {known_ids}")
        found = safe_owners(rpc, safe, block)
    return Upstream(chain_id, safe, len(found.owners), found.threshold, True, environment_at(url) is not None)


def _adopt(cheat_url: str, safe: Address, keys: Throwaway, progress: Say) -> Address:
    progress(f"replacing the owners of {safe} by throw-away keys, on the fork only")
    replace_safe_owners(cheat_url, safe, [key.address for key in keys.owners], keys.threshold)
    funding.give_eth(cheat_url, keys.sender.address, GAS_WEI)
    return safe


def _mid(cheat_url: str, chain_id: int) -> str | None:
    """USDC per ETH by the fork's own price feed; None where there is none, then the exchange keeps its own price."""
    if chain_id not in CHAINS:
        return None
    with Rpc(cheat_url) as rpc:
        data = "0x" + encode("chainlink_aggregator", "latestRoundData").hex()
        try:
            answer = rpc("eth_call", {"to": CHAINS[chain_id].feeds["ETH"], "data": data}, "latest")
        except RpcError:
            return None
        if len(answer) < 66:
            return None
        usd_1e8 = int(decode_result("chainlink_aggregator", "latestRoundData", bytes.fromhex(answer[2:]))[1])
    return str(Decimal(usd_1e8).scaleb(-8).quantize(Decimal("0.01"))) if usd_1e8 > 0 else None


def _pools(status: Status, chain_id: int) -> list[dict[str, str]]:
    """The demo market's pools where the upstream is a devnet, else Uniswap's own WETH/USDC pools by its factories."""
    chain = CHAINS[chain_id]
    demo = demo_or_loaded(status, chain_id, None)
    if demo:
        return demo
    with Rpc(status.urls[chain_id]) as rpc:
        return standing_pools(rpc, chain)


def standing_pools(rpc: Rpc, chain: Chain) -> list[dict[str, str]]:
    """Every WETH/USDC pool of Uniswap V3 and V2 that the factories know."""

    def ask(factory: str, contract: str, function: str, *args: object) -> str:
        data = "0x" + encode(contract, function, args).hex()
        try:
            answer = rpc("eth_call", {"to": factory, "data": data}, "latest")
        except RpcError:
            return ZERO_ADDRESS
        if len(answer) != 66:
            return ZERO_ADDRESS
        return str(decode_result(contract, function, bytes.fromhex(answer[2:]))[0])

    uniswap, pair = chain.uniswap, (chain.weth, chain.usdc)
    found = [
        ("uniswap_v3", ask(uniswap.v3_factory, "uniswap_v3_factory", "getPool", *pair, fee))
        for fee in V3_FEES
    ]
    found.append(("uniswap_v2", ask(uniswap.v2_factory, "uniswap_v2_factory", "getPair", *pair)))
    return [{"kind": kind, "address": address} for kind, address in found if address != ZERO_ADDRESS]
