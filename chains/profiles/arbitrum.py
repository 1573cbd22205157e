"""Arbitrum One: first come, first served at a private sequencer; block.number inside a call is Ethereum's."""

from __future__ import annotations

from chains.finality import FinalityRule, Level
from chains.profile import ChainProfile, L1Fee, shared_contracts
from chains.types import Address, Protection

CHAIN = ChainProfile(
    name="arbitrum",
    chain_id=42161,
    native="ETH",
    block_time_ms=250,
    wrapped_native=Address("0x82aF49447D8a07e3bd95BD0d56f35241523fBab1"),
    usdc=Address("0xaf88d065e77c8cC2239327C5EDb3A432268e5831"),
    contracts=shared_contracts()
    | {
        "universal_router": Address("0xA51afAFe0263b40EdaEf0Df8781eA9aa03E381a3"),
        "uniswap_v2_factory": Address("0xf1D7CC64Fb4452F05c498126312eBE29f30Fbcf9"),
        "uniswap_v2_router": Address("0x4752ba5DBc23f44D87826276BF6Fd6b1C372aD24"),
        "uniswap_v3_factory": Address("0x1F98431c8aD98523631AE4a59f267346ea31F984"),
        "uniswap_v3_position_manager": Address("0xC36442b4a4522E871399CD717aBDD847Ab11FE88"),
        "uniswap_v3_quoter_v2": Address("0x61fFE014bA17989E743c5F6cB21bF9697530B21e"),
        "uniswap_v3_router_02": Address("0x68b3465833fb72A70ecDF485E0e4C7bD8665Fc45"),
        "uniswap_v4_pool_manager": Address("0x360E68faCcca8cA495c1B759Fd9EEe466db9FB32"),
        "uniswap_v4_position_manager": Address("0xd88F38F930b7952f2DB2432Cb002E7abbF3dD869"),
        "uniswap_v4_state_view": Address("0x76Fd297e2D437cd7f76d50F01AfE6160f86e9990"),
        "uniswap_v4_quoter": Address("0x3972C00f7ed4885e145823eb7C655375d275A1C5"),
        "node_interface": Address("0x00000000000000000000000000000000000000C8"),
    },
    feeds={
        "ETH/USD": Address("0x639Fe6ab55C921f74e7fac1ee960C0B6293ba612"),
        "USDC/USD": Address("0x50834F3163758fcC1Df9973b6e91f0F0F0434aD3"),
    },
    finality=FinalityRule(settle=Level.SAFE, collateral=Level.SAFE),
    protections=frozenset({Protection.PRIVATE, Protection.PUBLIC}),
    relays=("sequencer",),
    l1_fee=L1Fee.ARBITRUM,
    block_numbers_are_l1=True,
)
