"""What this installation itself knows by address, from the chains' profiles: the names a person's sentences may rely on.

Whoever asks for a signature could call any address a router; these names come from our own data instead. Pure.
"""

from __future__ import annotations

from chains.bridges.across import SPOKE_POOLS
from chains.errors import Usage
from chains.profiles import load
from chains.safe_versions import RELEASES
from chains.types import Address
from contracts import decode_powers, flash_repay, gate, route_executor
from contracts.morpho_blue import ETHEREUM_AND_BASE

SPARK_POOL = Address("0xC13e21B648A5Ee794902342038FF3aDAB66BE987")
"""Spark's market on Ethereum, of Aave V3's kind (sparkdotfi/spark-address-registry)."""
_KINDS = {
    "permit2": "permit2",
    "universal_router": "universal_router",
    "uniswap_v2_router": "uniswap_v2_router",
    "uniswap_v3_router_02": "swap_router_02",
    "balancer_vault": "balancer_v2_vault",
    "safe_multi_send_call_only": "multi_send",
    "safe_proxy_factory": "safe_proxy_factory",
    "cow_settlement": "gpv2_settlement",
    "cow_vault_relayer": "gpv2_vault_relayer",
}


def contracts(chain_id: int) -> dict[str, str]:
    """Address to interface name; empty for a chain without a profile."""
    try:
        profile = load(chain_id)
    except Usage:
        return {}
    known: dict[str, str] = {r.multi_send_call_only: "multi_send" for r in RELEASES}
    known |= {r.proxy_factory: "safe_proxy_factory" for r in RELEASES}
    known |= {Address(route_executor.ADDRESS): "route_executor", Address(flash_repay.ADDRESS): "flash_repay"}
    known |= {gate.FACTORY: "singleton_factory", decode_powers.MODULE_FACTORY: "zodiac_module_factory"}
    known |= {a: _KINDS[n] for n, a in profile.contracts.items() if n in _KINDS}
    if chain_id == 1:
        known[SPARK_POOL] = "aave_v3_pool"
    if chain_id in (1, 8453):
        known[Address(ETHEREUM_AND_BASE)] = "morpho_blue"
    if profile.aave is not None:
        known[profile.aave.pool] = "aave_v3_pool"
    if chain_id in SPOKE_POOLS:
        known[SPOKE_POOLS[chain_id]] = "across_spoke_pool"
    return known | {profile.usdc: "erc20", profile.wrapped_native: "weth9"}


def tokens(chain_id: int) -> dict[str, tuple[str, int]]:
    """Address to (symbol, decimals)."""
    try:
        profile = load(chain_id)
    except Usage:
        return {}
    return {profile.usdc: ("USDC", 6), profile.wrapped_native: (f"W{profile.native}", 18)}


def names(chain_id: int) -> dict[str, str]:
    """Address to a short name for sentences, price feeds among them."""
    found = {address: kind.replace("_", " ") for address, kind in contracts(chain_id).items()}
    try:
        return found | {address: f"Chainlink's {what}" for what, address in load(chain_id).feeds.items()}
    except Usage:
        return found


def chain(chain_id: int) -> str:
    """The chain's name; empty for one without a profile."""
    try:
        return load(chain_id).name
    except Usage:
        return ""
