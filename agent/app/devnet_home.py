"""A devnet, or a fork, that can be traded on at once: the chains, a paper exchange, a funded 2-of-3 Safe, a signer, settings.

Everything here is throw-away: keys are made fresh for each `up`, carry the environment in their names, and stand with their
passwords in the runtime folder. The live environment never reads any of it.
"""

from __future__ import annotations

import secrets
import shutil
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from agent.app import template
from agent.app.devnet_bundler import BUNDLER, bundler_services
from agent.app.devnet_extras import (
    COW,
    SEARCHERS_S,
    across_service,
    cow_service,
    give_canaries,
    roads,
    sandwich_service,
)
from agent.app.devnet_signer import PAPER, REFERENCE, mid_of, signer_service, socket_path, write_signer
from agent.app.throwaway_keys import PAPER_KEY, Throwaway, make_keys, private_file
from chains.devnet import funding, service
from chains.devnet.addresses import CHAINS
from chains.devnet.deploy.aave import a_token
from chains.devnet.jsonrpc import Rpc
from chains.devnet.nodes import STATES_ON_DISK
from chains.devnet.paths import runtime_dir
from chains.devnet.service import Status
from chains.devnet.supervisor import Service, free_port
from chains.profiles import load
from chains.types import Address, Environment
from contracts.codec import encode
from contracts.flash_repay import FLASH
from contracts.own import Own
from contracts.route_executor import EXECUTOR

OPTED_IN: Mapping[str, Own] = {"route_executor": EXECUTOR, "flash_repay": FLASH}
"""The keys of [wallet] that name code of ours which nobody audited."""
WETH_RAW = {1: 60 * 10**18, 8453: 20 * 10**18, 42161: 5 * 10**18}
USDC_RAW = {1: 200_000 * 10**6, 8453: 60_000 * 10**6, 42161: 20_000 * 10**6}
GAS_WEI = 5 * 10**18
PAPER_ETH, PAPER_USDC = "12", "60000"
FAST_WEIGHT = 60_000

Say = Callable[[str], None]


@dataclass(frozen=True)
class Home:
    status: Status
    settings: Path | None

    @property
    def folder(self) -> Path:
        return self.status.runtime / "home"


def bring_up(
    *,
    runtime: Path | None = None,
    fast: bool = False,
    ports: Mapping[str, int] | None = None,
    market: Mapping[str, Any] | None = None,
    wallet: bool = True,
    cow: bool = False,
    sandwich: bool = False,
    bridge: bool = False,
    relayer: bool = True,
    executor: bool = False,
    builders: Sequence[str] = (),
    states: int = STATES_ON_DISK,
    progress: Say,
) -> Home:
    """The devnet with all of it, or the one that runs already. `cow`: with a local order book and solver,
    `sandwich`: with a bot that trades around what is public on chain 1, `bridge`: with Across and a relayer, without
    `relayer` nobody pays out, `executor`: opted in to the
    RouteExecutor and FlashRepay, `builders`: with these (words of `chains.devnet.builders`) behind its
    relay, each a private road of its own in the settings, and a key with gas for canaries; `states` as in `chains.devnet.service.up`. Raises as `chains.devnet.service.up`."""
    names = roads(builders)
    folder = runtime_dir(runtime)
    present = service.status(runtime=runtime)
    settings = folder / "home" / "fairlead.toml"
    if present.running:
        progress("it is up already; a market, ports and --fast count only when it starts")
        return Home(present, settings if settings.exists() else None)
    ended = [s.name for s in present.services if not s.alive]
    if ended:
        progress(
            f"{', '.join(ended)} had ended: starting over with a new wallet; the last home is in {folder / 'home-previous'}"
        )
    keys = make_keys(fresh_home(folder), Environment.DEVNET) if wallet else None

    mid = mid_of(market) if market is not None else None

    def extra(status: Status) -> list[Service]:
        paper = replace(
            paper_service(folder, keys, mid, fast=fast), port=(ports or {}).get(PAPER) or free_port()
        )
        services = [paper, *bundler_services(status, folder)]
        if cow and 1 in status.cheat_urls:
            services.append(cow_service(status.cheat_urls[1]))
        if sandwich and 1 in status.cheat_urls:
            services.append(sandwich_service(status, demo_or_loaded(status, 1, market), builders))
        if bridge and relayer:
            services.append(across_service(status))
        if keys is not None:
            safe = create_wallet(status, keys, progress)
            if market is None:
                let_pools_remember(status)
            write_signer(
                keys,
                safe,
                list(status.urls),
                market,
                addresses(paper),
                executor=executor,
                bridge=bridge,
                lent=lent_tokens(status) if executor else {},
            )
            services.append(signer_service(keys))
        return services

    status = service.up(
        runtime=runtime,
        fast=fast,
        ports=ports,
        market=market,
        states=states,
        relay_options=(
            *(("--gather", SEARCHERS_S) if sandwich and fast else ()),
            *(word for text in builders for word in ("--builder", text)),
        ),
        extra=extra,
        progress=progress,
    )
    if keys is not None:
        write_settings(status, keys, settings, market, builders=names, executor=executor)
        if names:
            give_canaries(status, keys.folder, keys.environment)
        return Home(status, settings)
    return Home(status, None)


def fresh_home(folder: Path) -> Path:
    """Where a new home goes. The last one is kept one turn: its journal may still be wanted."""
    home, previous = folder / "home", folder / "home-previous"
    if home.exists():
        shutil.rmtree(previous, ignore_errors=True)
        home.rename(previous)
    return home


def paper_service(
    folder: Path,
    keys: Throwaway | None,
    mid: str | None,
    name: str = PAPER,
    symbols: Sequence[str] = (),
    *,
    fast: bool = False,
) -> Service:
    """A paper exchange, its book around `mid` USDC per ETH. Only PAPER holds inventory; REFERENCE is a second opinion on prices.

    In fast mode its minute holds ten times Binance's request weight, and it says so.
    """
    secret = keys.exchange_secret if keys else f"file:{folder / 'exchange-secret'}"
    if keys is None:
        private_file(folder / "exchange-secret", secrets.token_hex(32))
    account = f"key={PAPER_KEY}:secret={secret}"
    if name == PAPER:
        account += f":ETH={PAPER_ETH}:USDC={PAPER_USDC}"
    argv = [sys.executable, "-m", "agent.app.testvenue", "--port", "{port}", "--account", account, "--still"]
    if mid is not None:
        argv += ["--mid", mid]
    if fast:
        argv += ["--weight-limit", str(FAST_WEIGHT)]
    argv += [word for symbol in symbols for word in ("--symbol", symbol)]
    url = "http://127.0.0.1:{port}"
    return Service(name, argv, url, f"{url}/api/v3/ping")


def addresses(*exchanges: Service) -> dict[str, str]:
    """By name, where services with a port of their own will stand."""
    return {s.name: f"http://127.0.0.1:{s.port}" for s in exchanges}


def create_wallet(status: Status, keys: Throwaway, progress: Say, version: str = "1.4.1") -> Address:
    """One Safe at one address on every chain, with inventory there and gas for its sender."""
    progress("creating a 2-of-3 Safe on every chain and funding it")
    owners = sorted((key.address for key in keys.owners), key=str.lower)
    safe = funding.safe_address(owners, keys.threshold, version=version)
    for chain_id, url in status.cheat_urls.items():
        chain = CHAINS[chain_id]
        funding.create_safe(url, owners, keys.threshold, version=version)
        funding.give_token(url, chain.weth, safe, WETH_RAW[chain_id])
        funding.give_token(url, chain.usdc, safe, USDC_RAW[chain_id])
        funding.give_eth(url, keys.sender.address, GAS_WEI)
    return safe


def lent_tokens(status: Status) -> dict[Address, Address]:
    """Chain 1's aTokens, each with what it is of; nothing where that chain is not up."""
    if 1 not in status.cheat_urls:
        return {}
    with Rpc(status.cheat_urls[1]) as rpc:
        return {Address(a_token(rpc, asset)): Address(asset) for asset in (CHAINS[1].weth, CHAINS[1].usdc)}


def let_pools_remember(status: Status) -> None:
    """The demo's V3 pools tell a mean price however often they are traded: a scope's second source."""
    from chains.devnet.demo import demo_pools

    for chain_id, url in status.cheat_urls.items():
        for kind, address in demo_pools(status.contracts, CHAINS[chain_id]):
            if kind == "uniswap_v3":
                funding.remember_prices(url, address)


def demo_or_loaded(status: Status, chain_id: int, market: Mapping[str, Any] | None) -> list[dict[str, str]]:
    """The pools quotes may use: the demo market's, or the loaded file's that Uniswap's own routers reach."""
    chain = CHAINS[chain_id]
    if market is not None and chain_id == 1:
        from chains.devnet.market import plan_market

        plan = plan_market(market, chain)
        found = [("uniswap_v3", pool.address) for pool in plan.v3]
        found += [("uniswap_v2", pool.address) for pool in plan.v2 if pool.genuine]
    else:
        from chains.devnet.demo import demo_pools

        found = demo_pools(status.contracts, chain)
    with Rpc(status.urls[chain_id]) as rpc:
        return [{"kind": kind, "address": _pool_id(rpc, kind, address)} for kind, address in found]


def _pool_id(rpc: Rpc, kind: str, address: str) -> str:
    """A Balancer pool is named by its id in the Vault, every other by what it is called already."""
    if not kind.startswith("balancer"):
        return address
    data = encode("balancer_v2_pool", "getPoolId")
    return str(rpc("eth_call", {"to": address, "data": "0x" + data.hex()}, "latest"))


def write_settings(
    status: Status,
    keys: Throwaway,
    path: Path,
    market: Mapping[str, Any] | None = None,
    safe: Address | None = None,
    pools: Mapping[int, list[dict[str, str]]] | None = None,
    builders: Sequence[str] = (),
    executor: bool = False,
) -> None:
    """The settings of a home. `safe` where it is not the one made by `create_wallet`; `pools` where the market is not ours; `builders` are those
    that chain 1's own transactions go to instead of the relay."""
    owners = sorted((key.address for key in keys.owners), key=str.lower)
    urls = {s.name: s.url for s in status.services}
    chains, weth, usdc, oracle_eth, oracle_usdc = [], [], [], [], []
    for chain_id, url in status.urls.items():
        chain, profile = CHAINS[chain_id], load(chain_id)
        relayed = chain_id == 1 and status.relay_url is not None
        relay = (
            {"name": "flashbots", "url": status.relay_url} if relayed else {"name": "sequencer", "url": url}
        )
        entry: dict[str, Any] = {
            "name": profile.name,
            "chain_id": chain_id,
            "rpc": [url, "ws" + url.removeprefix("http")],
            "relays": [{"name": name, "url": f"{url}/builder/{name}"} for name in builders if relayed]
            or [relay],
            "pools": pools[chain_id] if pools is not None else demo_or_loaded(status, chain_id, market),
        }
        entry |= {"finality": "finalized"} if relayed else {"finality": "depth", "finality_depth": 2}
        if chain_id == 1 and BUNDLER in urls:
            entry["bundler"] = {"url": urls[BUNDLER], "private": True}
        if chain_id == 1 and COW in urls:
            entry["order_book"] = {"name": "cow", "url": urls[COW]}
        chains.append(entry)
        weth.append(f"eip155:{chain_id}/erc20:{chain.weth}")
        usdc.append(f"eip155:{chain_id}/erc20:{chain.usdc}")
        oracle_eth.append({"kind": "chainlink", "chain": profile.name, "address": chain.feeds["ETH"]})
        oracle_usdc.append({"kind": "chainlink", "chain": profile.name, "address": chain.feeds["USDC"]})
    oracle_eth.append({"kind": "venue", "venue": "paper", "symbol": "ETHUSDC"})
    venues = [_venue(keys, PAPER, urls[PAPER])]
    if REFERENCE in urls:
        # Fewer chains have fewer feeds, and the price a plan trades at is not its own witness.
        venues.append(_venue(keys, REFERENCE, urls[REFERENCE]) | {"symbols": [], "counterparty_cap_usd": "0"})
        oracle_eth.append({"kind": "venue", "venue": REFERENCE, "symbol": "ETHUSDC"})
        oracle_usdc.append({"kind": "venue", "venue": REFERENCE, "symbol": "USDCUSDT"})
    names = [chain["name"] for chain in chains]
    values: dict[str, Any] = {
        "environment": keys.environment.value,
        "live": True,
        "wallet": {
            "address": safe or funding.safe_address(owners, keys.threshold),
            "kind": "safe",
            "threshold": keys.threshold,
            "owners": [
                {"address": k.address, "label": k.name, "keystore": str(k.path), "password": keys.password}
                for k in keys.owners
            ],
            "sender": {"address": keys.sender.address},
            **({key: f"0x{own.runtime_hash.hex()}" for key, own in OPTED_IN.items()} if executor else {}),
        },
        "chains": chains,
        "venues": venues,
        "assets": {"WETH": weth, "USDC": [*usdc, "cex:paper/USDC"], "ETH": ["cex:paper/ETH"]},
        "equivalents": {"ETH": ["ETH", "WETH"]},
        "limits": {
            "per_order_usd": "250000",
            "per_day_usd": "2000000",
            "allow_assets": ["ETH", "WETH", "USDC"],
            "allow_venues": [*names, "paper"],
            "max_slippage_bps": 100,
            "min_gas_reserve": dict.fromkeys(names, "0.05"),
        },
        "oracles": {"ETH": oracle_eth, "USDC": oracle_usdc},
        "signer": {
            "socket": str(socket_path(keys.folder)),
            "config": str(keys.folder / "signer.json"),
            "unattended": True,
        },
        "journal": {
            "path": str(keys.folder / "journal.db"),
            "emergency_path": str(keys.folder / "emergency.bin"),
        },
        "alerts": {"file": str(keys.folder / "alerts.jsonl")},
    }
    note = f"Made for a {keys.environment.value}: throw-away keys, worth nothing anywhere else."
    template.write(values, path, note=note, replace=True)


def _venue(keys: Throwaway, name: str, url: str) -> dict[str, Any]:
    return {
        "name": name,
        "module": "binance_spot",
        "base_url": url,
        "api_key": f"file:{keys.folder / 'exchange-key'}",
        "counterparty_cap_usd": "250000",
        "symbols": ["ETHUSDC"],
    }
