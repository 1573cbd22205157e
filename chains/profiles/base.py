"""Base, an OP-stack rollup: no public mempool, blocks every two seconds, batches on Ethereum minutes later."""

from __future__ import annotations

from chains.finality import FinalityRule, Level
from chains.profile import ChainProfile, L1Fee, shared_contracts
from chains.types import Address, Protection

CHAIN = ChainProfile(
    name="base",
    chain_id=8453,
    native="ETH",
    block_time_ms=2000,
    wrapped_native=Address("0x4200000000000000000000000000000000000006"),
    usdc=Address("0x833589fCD6eDb6E08f4c7C32D4f71b54bdA02913"),
    contracts=shared_contracts()
    | {
        "universal_router": Address("0x6fF5693b99212Da76ad316178A184AB56D299b43"),
        "uniswap_v2_factory": Address("0x8909Dc15e40173Ff4699343b6eB8132c65e18eC6"),
        "uniswap_v2_router": Address("0x4752ba5DBc23f44D87826276BF6Fd6b1C372aD24"),
        "uniswap_v3_factory": Address("0x33128a8fC17869897dcE68Ed026d694621f6FDfD"),
        "uniswap_v3_position_manager": Address("0x03a520b32C04BF3bEEf7BEb72E919cf822Ed34f1"),
        "uniswap_v3_quoter_v2": Address("0x3d4e44Eb1374240CE5F1B871ab261CD16335B76a"),
        "uniswap_v3_router_02": Address("0x2626664c2603336E57B271c5C0b26F421741e481"),
        "uniswap_v4_pool_manager": Address("0x498581fF718922c3f8e6A244956aF099B2652b2b"),
        "uniswap_v4_position_manager": Address("0x7C5f5A4bBd8fD63184577525326123B519429bDc"),
        "uniswap_v4_state_view": Address("0xA3c0c9b65baD0b08107Aa264b0f3dB444b867A71"),
        "uniswap_v4_quoter": Address("0x0d5e0F971ED27FBfF6c2837bf31316121532048D"),
        "gas_price_oracle": Address("0x420000000000000000000000000000000000000F"),
    },
    feeds={
        "ETH/USD": Address("0x71041dddad3595F9CEd3DcCFBe3D1F4b0a16Bb70"),
        "USDC/USD": Address("0x7e860098F58bBFC8648a4311b374B1D669a2bc6B"),
    },
    finality=FinalityRule(settle=Level.SAFE, collateral=Level.SAFE),
    protections=frozenset({Protection.PRIVATE, Protection.PUBLIC}),
    relays=("sequencer",),
    l1_fee=L1Fee.OP_STACK,
)
