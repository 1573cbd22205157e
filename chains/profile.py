"""A chain as data: what a planner, a reader and a settings file need to know of it before they ask it anything."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum

from chains.finality import FinalityRule
from chains.types import Address, Protection


class L1Fee(Enum):
    """What a rollup charges for its data on Ethereum, and how: see `chains.gas`."""

    NONE = "none"
    OP_STACK = "op_stack"
    ARBITRUM = "arbitrum"


@dataclass(frozen=True, slots=True)
class Aave:
    pool: Address
    addresses_provider: Address
    data_provider: Address
    oracle: Address


LASTS_S = 180
"""What a batch's own deadline gives it, too: where that is over, nobody is asked to include it any more."""
LEAST_BLOCKS = 15


@dataclass(frozen=True, slots=True)
class ChainProfile:
    """`contracts` maps well-known names (see `CONTRACT_NAMES`) to addresses; a missing name is not on that chain.

    `feeds` are Chainlink feeds by what they price, for example "ETH/USD". `protections` are those a road to this chain
    can give. `block_time_ms` is the usual one, an estimate. `block_numbers_are_l1`: block.number inside a call is L1's.
    `aave_v4_spokes`: where users of Aave V4 have their positions.
    """

    name: str
    chain_id: int
    native: str
    block_time_ms: int
    wrapped_native: Address
    usdc: Address
    contracts: Mapping[str, Address]
    feeds: Mapping[str, Address]
    finality: FinalityRule
    protections: frozenset[Protection]
    relays: tuple[str, ...]
    l1_fee: L1Fee = L1Fee.NONE
    aave: Aave | None = None
    block_numbers_are_l1: bool = False
    aave_v4_spokes: tuple[Address, ...] = ()

    @property
    def caip2(self) -> str:
        return f"eip155:{self.chain_id}"

    @property
    def max_blocks(self) -> int:
        """Blocks after the one it was signed at that a transaction is handed over for: about `LASTS_S` of them, at least `LEAST_BLOCKS`."""
        return max(LEAST_BLOCKS, -(-LASTS_S * 1000 // self.block_time_ms))


CONTRACT_NAMES = frozenset(
    """multicall3 permit2 universal_router uniswap_v2_factory uniswap_v2_router uniswap_v3_factory uniswap_v3_quoter_v2
    uniswap_v3_router_02 uniswap_v3_position_manager uniswap_v4_pool_manager uniswap_v4_state_view uniswap_v4_position_manager uniswap_v4_quoter balancer_vault safe safe_l2
    safe_proxy_factory safe_multi_send safe_multi_send_call_only safe_fallback_handler gas_price_oracle node_interface cow_settlement
    cow_vault_relayer""".split()
)
REQUIRED_CONTRACTS = frozenset(
    {"multicall3", "permit2", "uniswap_v3_factory", "safe", "safe_proxy_factory", "safe_multi_send_call_only"}
)


def shared_contracts() -> dict[str, Address]:
    """Contracts at the same address on every chain that has them: Multicall3, Permit2, Safe 1.4.1, Balancer's vault."""
    return {
        "multicall3": Address("0xcA11bde05977b3631167028862bE2a173976CA11"),
        "permit2": Address("0x000000000022D473030F116dDEE9F6B43aC78BA3"),
        "balancer_vault": Address("0xBA12222222228d8Ba445958a75a0704d566BF2C8"),
        "safe": Address("0x41675C099F32341bf84BFc5382aF534df5C7461a"),
        "safe_l2": Address("0x29fcB43b46531BcA003ddC8FCB67FFE91900C762"),
        "safe_proxy_factory": Address("0x4e1DCf7AD4e460CfD30791CCC4F9c8a4f820ec67"),
        "safe_multi_send": Address("0x38869bf66a61cF6bDB996A6aE40D5853Fd43B526"),
        "safe_multi_send_call_only": Address("0x9641d764fc13c8B624c04430C7356C1C7C8102e2"),
        "safe_fallback_handler": Address("0xfd0732Dc9E303f09fCEf3a7388Ad10A83459Ec99"),
    }
