"""Ethereum mainnet. A private relay is what protects here: the public mempool is read by everybody."""

from __future__ import annotations

from chains.finality import FinalityRule, Level
from chains.profile import Aave, ChainProfile, L1Fee, shared_contracts
from chains.types import Address, Protection

CHAIN = ChainProfile(
    name="ethereum",
    chain_id=1,
    native="ETH",
    block_time_ms=12000,
    wrapped_native=Address("0xC02aaA39b223FE8D0A0e5C4F27eAD9083C756Cc2"),
    usdc=Address("0xA0b86991c6218b36c1d19D4a2e9Eb0cE3606eB48"),
    contracts=shared_contracts()
    | {
        "universal_router": Address("0x66a9893cC07D91D95644AEDD05D03f95e1dBA8Af"),
        "uniswap_v2_factory": Address("0x5C69bEe701ef814a2B6a3EDD4B1652CB9cc5aA6f"),
        "uniswap_v2_router": Address("0x7a250d5630B4cF539739dF2C5dAcb4c659F2488D"),
        "uniswap_v3_factory": Address("0x1F98431c8aD98523631AE4a59f267346ea31F984"),
        "uniswap_v3_position_manager": Address("0xC36442b4a4522E871399CD717aBDD847Ab11FE88"),
        "uniswap_v3_quoter_v2": Address("0x61fFE014bA17989E743c5F6cB21bF9697530B21e"),
        "uniswap_v3_router_02": Address("0x68b3465833fb72A70ecDF485E0e4C7bD8665Fc45"),
        "uniswap_v4_pool_manager": Address("0x000000000004444c5dc75cB358380D2e3dE08A90"),
        "uniswap_v4_position_manager": Address("0xbD216513d74C8cf14cf4747E6AaA6420FF64ee9e"),
        "uniswap_v4_state_view": Address("0x7fFE42C4a5DEeA5b0feC41C94C136Cf115597227"),
        "uniswap_v4_quoter": Address("0x52F0E24D1c21C8A0cB1e5a5dD6198556BD9E1203"),
        "cow_settlement": Address("0x9008D19f58AAbD9eD0D60971565AA8510560ab41"),
        "cow_vault_relayer": Address("0xC92E8bdf79f0507f65a392b0ab4667716BFE0110"),
    },
    feeds={
        "ETH/USD": Address("0x5f4eC3Df9cbd43714FE2740f5E3616155c5b8419"),
        "USDC/USD": Address("0x8fFfFfd4AfB6115b954Bd326cbe7B4BA576818f6"),
    },
    finality=FinalityRule(settle=Level.FINALIZED, collateral=Level.SAFE),
    protections=frozenset({Protection.PRIVATE, Protection.PUBLIC, Protection.INTENT}),
    relays=("flashbots", "public"),
    l1_fee=L1Fee.NONE,
    aave=Aave(
        pool=Address("0x87870Bca3F3fD6335C3F4ce8392D69350B4fA4E2"),
        addresses_provider=Address("0x2f39d218133AFaB8F2B819B1066c7E434Ad94E9e"),
        data_provider=Address("0x7B4EB56E7CD4b454BA8ff71E4518426369a138a3"),
        oracle=Address("0x54586bE62E3c3580375aE3723C145253060Ca0C2"),
    ),
    # aave-dao/aave-address-book, src/AaveV4Ethereum.sol, AaveV4EthereumSpokes: all but the treasury's.
    aave_v4_spokes=(
        Address("0x94e7A5dCbE816e498b89aB752661904E2F56c485"),  # main
        Address("0x973a023A77420ba610f06b3858aD991Df6d85A08"),  # bluechip
        Address("0x58131E79531caB1d52301228d1f7b842F26B9649"),  # Ethena, correlated
        Address("0xba1B3D55D249692b669A164024A838309B7508AF"),  # Ethena, ecosystem
        Address("0xD8B93635b8C6d0fF98CbE90b5988E3F2d1Cd9da1"),  # forex
        Address("0x65407b940966954b23dfA3caA5C0702bB42984DC"),  # gold
        Address("0x7EC68b5695e803e98a21a9A05d744F28b0a7753D"),  # Lombard BTC
        Address("0x956d8e0A89cfa3744428C4641b5a53B56167a7f9"),  # USDG, Pendle
        Address("0xbF10BDfE177dE0336aFD7fcCF80A904E15386219"),  # ether.fi
        Address("0x3131FE68C4722e726fe6B2819ED68e514395B9a4"),  # Kelp
        Address("0xe1900480ac69f0B296841Cd01cC37546d92F35Cd"),  # Lido
        Address("0x774b9655413c34809c1f1b16b654465A89EBE989"),  # USDG, Maple
    ),
)
