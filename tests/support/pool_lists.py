"""The devnet's pools on chain 1, as a reader of pools is given them."""

from __future__ import annotations

from chains.devnet.addresses import CHAINS
from chains.devnet.jsonrpc import Rpc as Blocking
from chains.devnet.service import Status
from chains.evm import selector
from chains.pools import PoolSpec, V4Contracts
from chains.types import Address

AT = CHAINS[1].uniswap
V4 = V4Contracts(Address(AT.v4_pool_manager), Address(AT.v4_state_view), Address(AT.v4_position_manager))


def specs(status: Status) -> list[PoolSpec]:
    """Every pool the devnet's manifest lists on chain 1."""
    found: list[PoolSpec] = []
    with Blocking(status.urls[1]) as rpc:
        for c in status.contracts:
            if c.chain != 1:
                continue
            if c.name.startswith("UniswapV2 ") or c.name.startswith("UniswapV3 "):
                found.append(PoolSpec("uniswap_v2" if "V2" in c.name else "uniswap_v3", c.address))
            elif c.name.startswith("UniswapV4 "):
                found.append(PoolSpec("uniswap_v4", c.why.split()[1]))
            elif c.name in ("Balancer 50WETH-50USDC", "Balancer USDC-USDT-DAI"):
                kind = "balancer_v2_weighted" if "50" in c.name else "balancer_v2_stable"
                pool_id = rpc(
                    "eth_call", {"to": c.address, "data": "0x" + selector("getPoolId()").hex()}, "latest"
                )
                found.append(PoolSpec(kind, pool_id))
    assert {s.kind for s in found} == {
        "uniswap_v2", "uniswap_v3", "uniswap_v4", "balancer_v2_weighted", "balancer_v2_stable"
    }  # fmt: skip
    return found
