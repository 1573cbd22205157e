"""The signer of a devnet's or a fork's home: its process, and the policy in its settings file."""

from __future__ import annotations

import json
import os
import socket
import sys
from collections.abc import Mapping
from decimal import Decimal
from pathlib import Path
from typing import Any

from agent.app.throwaway_keys import Throwaway, private_file
from chains.bridges.across import SPOKE_POOLS
from chains.devnet.addresses import CHAINS
from chains.devnet.deploy import across
from chains.devnet.supervisor import Service
from chains.errors import FairleadError
from chains.profiles import load
from chains.safe_versions import RELEASES
from chains.types import Address
from contracts import flash_repay, route_executor

PAPER, REFERENCE = "paper", "reference"


def signer_service(keys: Throwaway) -> Service:
    path = socket_path(keys.folder)
    argv = [
        sys.executable,
        "-m",
        "keys.signer",
        "--socket",
        str(path),
        "--config",
        str(keys.folder / "signer.json"),
    ]

    def ready() -> bool:
        with socket.socket(socket.AF_UNIX) as probe:
            try:
                probe.connect(str(path))
            except OSError:
                return False
        return True

    return Service("signer", argv, f"unix:{path}", ready)


def socket_path(folder: Path) -> Path:
    """A Unix socket's path holds at most 107 bytes: a long runtime folder gets a short one elsewhere."""
    path = folder / "signer.sock"
    if len(os.fsencode(path)) < 100:
        return path
    from hashlib import sha256

    short = Path("/tmp") / f"fairlead-{os.getuid()}-{sha256(os.fsencode(folder)).hexdigest()[:12]}"
    short.mkdir(mode=0o700, exist_ok=True)
    return short / "signer.sock"


def agents_road(safe: Address, account: str) -> dict[str, dict[str, str]]:
    """Where the agent's own road of a Safe leads, as the signer's settings say it; it opens when the owners grant a scope.

    Nothing where set-up has not compiled the Gate: then no scope can be granted from here either.
    """
    from agent.app.scoping import gate_creation
    from contracts import gate
    from keys.scope import ROLE, roles_of

    try:
        at = Address(gate.address(gate_creation(), safe))
    except FairleadError:
        return {}
    road = {"account": account, "roles": roles_of(safe, at), "gate": at, "role": f"0x{ROLE.hex()}"}
    return {"agent": road}


def write_signer(
    keys: Throwaway,
    safe: Address,
    chain_ids: list[int],
    market: Mapping[str, Any] | None = None,
    exchanges: Mapping[str, str] | None = None,
    *,
    executor: bool = False,
    bridge: bool = False,
    lent: Mapping[Address, Address] | None = None,
) -> None:
    """The signer's own policy: this Safe, these tokens, the audited routers, and caps. `exchanges`: by name where orders are sent. `lent`:
    chain 1's aTokens by what they are of, which FlashRepay may take as much of as may be spent of that.

    A loaded market's other tokens are listed with a cap of nothing: routes may pass through them, none may be spent.
    """
    chains = []
    for chain_id in chain_ids:
        chain, profile = CHAINS[chain_id], load(chain_id)
        contracts = {
            profile.contracts["permit2"]: "permit2",
            profile.contracts["universal_router"]: "universal_router",
            **{r.proxy_factory: "safe_proxy_factory" for r in RELEASES},
            **{r.multi_send_call_only: "multi_send" for r in RELEASES},
        }
        spenders = [profile.contracts["permit2"], profile.contracts["universal_router"]]
        if "balancer_vault" in profile.contracts:
            contracts[profile.contracts["balancer_vault"]] = "balancer_v2_vault"
            spenders.append(profile.contracts["balancer_vault"])
        if executor:
            contracts[Address(route_executor.ADDRESS)] = "route_executor"
            spenders.append(Address(route_executor.ADDRESS))
            contracts[Address(flash_repay.ADDRESS)] = "flash_repay"
            spenders.append(Address(flash_repay.ADDRESS))
        if "cow_settlement" in profile.contracts:
            contracts[profile.contracts["cow_settlement"]] = "gpv2_settlement"
            contracts[profile.contracts["cow_vault_relayer"]] = "gpv2_vault_relayer"
        if profile.aave is not None:
            contracts[profile.aave.pool] = "aave_v3_pool"
            spenders.append(profile.aave.pool)
        if bridge and chain_id in across.NAMES:
            contracts[SPOKE_POOLS[chain_id]] = "across_spoke_pool"
            spenders.append(SPOKE_POOLS[chain_id])
        caps: dict[str, dict[str, str]] = {
            chain.weth: {"per_tx_raw": str(200 * 10**18), "per_day_raw": str(1000 * 10**18)},
            chain.usdc: {"per_tx_raw": str(600_000 * 10**6), "per_day_raw": str(3_000_000 * 10**6)},
        }
        held: dict[str, dict[str, str]] = {a: caps[of] for a, of in (lent or {}).items() if chain_id == 1}
        chains.append(
            {
                "chain_id": chain_id,
                "safe": safe,
                "owners": [key.address for key in keys.owners],
                "threshold": keys.threshold,
                "weth": chain.weth,
                **agents_road(safe, keys.sender.address),
                **(bridge_ways(chain_id, chain_ids, safe) if bridge else {}),
                "contracts": contracts,
                "spenders": spenders,
                "tokens": {**_passing(market, chain_id), **caps, **held},
            }
        )
    password = keys.password
    config = {
        "environment": keys.environment.value,
        "ledger": str(keys.folder / "spend-ledger.jsonl"),
        "keystore": str(keys.folder / "keystore"),
        "senders": [{"key": keys.sender.name, "password": password}],
        "owners": [{"key": key.name, "password": password} for key in keys.owners],
        "relay_auth": {"key": keys.relay_auth.name, "password": password},
        "exchanges": {
            name: {
                "dialect": "binance",
                "api_key": f"file:{keys.folder / 'exchange-key'}",
                "secret": keys.exchange_secret,
                "symbols": ["ETHUSDC"],
                "limits": {"ETHUSDC": _exchange_limit(mid_of(market) if market is not None else "3000")},
                **({"sends_to": exchanges[name]} if exchanges and name in exchanges else {}),
            }
            for name in (PAPER, REFERENCE)
        },
        "chains": chains,
    }
    private_file(keys.folder / "signer.json", json.dumps(config, indent=1))


def bridge_ways(chain_id: int, chain_ids: list[int], safe: Address) -> dict[str, list[dict[str, Any]]]:
    """WETH and USDC to the Safe of every other chain that has a SpokePool."""
    here = CHAINS[chain_id]
    if chain_id not in across.NAMES:
        return {}
    return {
        "bridges": [
            {
                "to": there,
                "give": token,
                "receive": across.token_there(chain_id, token, there),
                "recipient": safe,
                "max_fee_bps": 50,
            }
            for there in chain_ids
            if there in across.NAMES and there != chain_id
            for token in (here.weth, here.usdc)
        ]
    }


def _exchange_limit(mid: str) -> dict[str, str]:
    """What orders at the paper exchange may cost, in USDC: a sale counts at twice the middle of the book."""
    low, high = Decimal(mid) / 10, Decimal(mid) * 2
    return {
        "per_order": "600000",
        "per_day": "6000000",
        "px_from": f"{low.quantize(Decimal('1e-8')):f}",
        "px_to": f"{high.quantize(Decimal('1e-8')):f}",
    }


def _passing(market: Mapping[str, Any] | None, chain_id: int) -> dict[str, dict[str, str]]:
    """A loaded market's tokens, listed with a cap of nothing."""
    if market is None or chain_id != 1:
        return {}
    from chains.devnet.market import plan_market

    return {token: {"per_tx_raw": "0", "per_day_raw": "0"} for token in plan_market(market, CHAINS[1]).tokens}


def mid_of(market: Mapping[str, Any]) -> str:
    """Where the exchange's book should stand beside a loaded market: USDC per WETH by the reference prices."""
    usdc = f"eip155:1/erc20:{CHAINS[1].usdc}".lower()
    px = next(
        (px for asset, px in market.get("reference_px_native", {}).items() if asset.lower() == usdc), None
    )
    return str((1 / Decimal(px)).quantize(Decimal("0.01"))) if px else "3000"
