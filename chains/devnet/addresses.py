"""Mainnet addresses of what the devnet deploys, by chain. `None` where the protocol has no such contract on that chain."""

from __future__ import annotations

from dataclasses import dataclass

PERMIT2 = "0x000000000022D473030F116dDEE9F6B43aC78BA3"
MULTICALL3 = "0xcA11bde05977b3631167028862bE2a173976CA11"

SAFE = {
    "Safe": "0x41675C099F32341bf84BFc5382aF534df5C7461a",
    "SafeL2": "0x29fcB43b46531BcA003ddC8FCB67FFE91900C762",
    "SafeProxyFactory": "0x4e1DCf7AD4e460CfD30791CCC4F9c8a4f820ec67",
    "CompatibilityFallbackHandler": "0xfd0732Dc9E303f09fCEf3a7388Ad10A83459Ec99",
    "MultiSend": "0x38869bf66a61cF6bDB996A6aE40D5853Fd43B526",
    "MultiSendCallOnly": "0x9641d764fc13c8B624c04430C7356C1C7C8102e2",
    "SignMessageLib": "0xd53cd0aB83D845Ac265BE939c57F53AD838012c9",
    "CreateCall": "0x9b35Af71d77eaf8d7e40252370304687390A1A52",
    "SimulateTxAccessor": "0x3d4BA2E0884aa488718476ca2FB8Efc291A46199",
}
SAFE_SINGLETON_FACTORY = "0x914d7Fec6aaC8cd542e72Bca78B30650d45643d7"
SAFE_PACKAGES = {
    "1.3.0": {
        "safe": "Safe-1.3.0",
        "safe_l2": "SafeL2-1.3.0",
        "proxy_factory": "SafeProxyFactory-1.3.0",
        "fallback_handler": "CompatibilityFallbackHandler-1.3.0",
        "multi_send": "MultiSend-1.3.0",
        "multi_send_call_only": "MultiSendCallOnly-1.3.0",
    },
    "1.5.0": {
        "safe": "Safe-1.5.0",
        "safe_l2": "SafeL2-1.5.0",
        "proxy_factory": "SafeProxyFactory-1.5.0",
        "fallback_handler": "CompatibilityFallbackHandler-1.5.0",
        "multi_send": "MultiSend-1.5.0",
        "multi_send_call_only": "MultiSendCallOnly-1.5.0",
    },
}
"""By version beside 1.4.1: the field of `chains.safe_versions.SafeRelease` to the artifact's name."""

# Zodiac: the mastercopies and the two libraries the Roles mastercopy is linked with.
EIP2470_FACTORY = "0xce0042B868300000d44A59004Da54A005ffdcf9f"
ZODIAC = {
    "RolesV2": "0x9646fDAD06d3e24444381f44362a3B0eB343D337",
    "ModuleProxyFactory": "0x000000000000aDdB49795b0f9bA5BC298cDda236",
    "Integrity": "0x6a6Af4b16458Bc39817e4019fB02BD3b26d41049",
    "Packer": "0x61C5B1bE435391fDd7BC6703F3740C0d11728a8C",
    "Delay": "0xd54895B1121A2eE3f37b502F507631FA1331BED6",
}

# ERC-4337. The proxy is Arachnid's deterministic deployment proxy, which a new Anvil has; the module's salt is zero.
CREATE2_PROXY = "0x4e59b44847b379578588920cA78FbF26c0B4956C"
ENTRY_POINT = "0x0000000071727De22E5E9d8BAf0edAc6f37da032"
ENTRY_POINT_SALT = bytes.fromhex("90d8084deab30c2a37c45e8d47f49f2f7965183cb6990a98943ef94940681de3")
ENTRY_POINT_08 = "0x4337084D9E255Ff0702461CF8895CE9E3b5Ff108"
ENTRY_POINT_08_SALT = bytes.fromhex("0a59dbff790c23c976a548690c27297883cc66b4c67024f9117b0238995e35e9")
SIMPLE_7702_ACCOUNT = "0xe6Cae83BdE06E4c305530e199D7217f42808555B"
SAFE_4337 = {
    "Safe4337Module": "0x75cf11467937ce3F2f357CE24ffc3DBF8fD5c226",
    "SafeModuleSetup": "0x2dd68b007B46fBe91B9A7c3EDa5A7a1063cB5b47",
}

# Aave V3 and Balancer V2 stand on chain 1 only.
AAVE = {
    "PoolAddressesProvider": "0x2f39d218133AFaB8F2B819B1066c7E434Ad94E9e",
    "Pool": "0x87870Bca3F3fD6335C3F4ce8392D69350B4fA4E2",
    "PoolConfigurator": "0x64b761D848206f447Fe2dd461b0c635Ec39EbB27",
    "ACLManager": "0xc2aaCf6553D20d1e9d78E365AAba8032af9c85b0",
    "AaveOracle": "0x54586bE62E3c3580375aE3723C145253060Ca0C2",
    "AaveProtocolDataProvider": "0x7B4EB56E7CD4b454BA8ff71E4518426369a138a3",
}
SPARK = {
    "PoolAddressesProvider": "0x02C3eA4e34C0cBd694D2adFa2c690EECbC1793eE",
    "Pool": "0xC13e21B648A5Ee794902342038FF3aDAB66BE987",
    "PoolConfigurator": "0x542DBa469bdE58FAeE189ffB60C6b49CE60E0738",
    "ACLManager": "0xdA135Cd78A086025BcdC87B038a1C462032b510C",
    "AaveOracle": "0x8105f69D9C41644c6A0803fDA7D03Aa70996cFD9",
    "AaveProtocolDataProvider": "0xFc21d6d146E6086B8359705C8b28512a983db0cb",
}
BALANCER = {
    "Vault": "0xBA12222222228d8Ba445958a75a0704d566BF2C8",
    "WeightedPoolFactory": "0x5Dd94Da3644DDD055fcf6B3E1aa310Bb7801EB8b",
    "ComposableStablePoolFactory": "0xdba127fBc23fb20F5929C546af220A991b5C6e01",
    "Authorizer": "0xA331D84eC860Bf466b4CdCcFb4aC09a1B43F3aE6",
    "ProtocolFeePercentagesProvider": "0x97207B095e4D5C9a6e4cfbfcd2C3358E03B90c4A",
    "BalancerHelpers": "0x5aDDCCa35b7A0D07C74063c48700C8590E87864E",
}

# CoW Protocol: every contract by CREATE2 of the deterministic proxy, the vault relayer by the settlement's own constructor. The manager
# admits solvers; on the devnet whoever runs the local order book acts for it.
COW = {
    "GPv2Settlement": "0x9008D19f58AAbD9eD0D60971565AA8510560ab41",
    "GPv2VaultRelayer": "0xC92E8bdf79f0507f65a392b0ab4667716BFE0110",
    "GPv2AllowListAuthentication": "0x2c4c28DDBdAc9C5E7055b4C863b72eA0149D8aFE",
    "GPv2AllowListAuthentication implementation": "0x9E7Ae8Bdba9AA346739792d219a808884996Db67",
}
COW_MANAGER = "0x6Fb5916c0f57f88004d5b5EB25f6f4D77353a1eD"
COW_SALT = b"Mattresses in Berlin!".ljust(32, b"\0")


@dataclass(frozen=True, slots=True)
class Uniswap:
    """Uniswap's contracts on one chain."""

    v2_factory: str
    v2_router: str
    v3_factory: str
    v3_npm: str
    v3_router: str | None
    router02: str
    quoter_v2: str
    tick_lens: str
    v4_pool_manager: str
    v4_position_manager: str
    v4_state_view: str
    v4_quoter: str
    universal_router: str


@dataclass(frozen=True, slots=True)
class Chain:
    """`feeds` maps a token's symbol to its USD price feed; `mocks` maps a symbol to (address, decimals) of a mock ERC-20."""

    id: int
    name: str
    weth: str
    usdc: str
    feeds: dict[str, str]
    mocks: dict[str, tuple[str, int]]
    uniswap: Uniswap


CHAINS = {
    1: Chain(
        1,
        "ethereum",
        weth="0xC02aaA39b223FE8D0A0e5C4F27eAD9083C756Cc2",
        usdc="0xA0b86991c6218b36c1d19D4a2e9Eb0cE3606eB48",
        feeds={
            "ETH": "0x5f4eC3Df9cbd43714FE2740f5E3616155c5b8419",
            "USDC": "0x8fFfFfd4AfB6115b954Bd326cbe7B4BA576818f6",
        },
        mocks={
            "DAI": ("0x6B175474E89094C44Da98b954EedeAC495271d0F", 18),
            "USDT": ("0xdAC17F958D2ee523a2206206994597C13D831ec7", 6),
        },
        uniswap=Uniswap(
            v2_factory="0x5C69bEe701ef814a2B6a3EDD4B1652CB9cc5aA6f",
            v2_router="0x7a250d5630B4cF539739dF2C5dAcb4c659F2488D",
            v3_factory="0x1F98431c8aD98523631AE4a59f267346ea31F984",
            v3_npm="0xC36442b4a4522E871399CD717aBDD847Ab11FE88",
            v3_router="0xE592427A0AEce92De3Edee1F18E0157C05861564",
            router02="0x68b3465833fb72A70ecDF485E0e4C7bD8665Fc45",
            quoter_v2="0x61fFE014bA17989E743c5F6cB21bF9697530B21e",
            tick_lens="0xbfd8137f7d1516D3ea5cA83523914859ec47F573",
            v4_pool_manager="0x000000000004444c5dc75cB358380D2e3dE08A90",
            v4_position_manager="0xbD216513d74C8cf14cf4747E6AaA6420FF64ee9e",
            v4_state_view="0x7fFE42C4a5DEeA5b0feC41C94C136Cf115597227",
            v4_quoter="0x52F0E24D1c21C8A0cB1e5a5dD6198556BD9E1203",
            universal_router="0x66a9893cC07D91D95644AEDD05D03f95e1dBA8Af",
        ),
    ),
    8453: Chain(
        8453,
        "base",
        weth="0x4200000000000000000000000000000000000006",
        usdc="0x833589fCD6eDb6E08f4c7C32D4f71b54bdA02913",
        feeds={
            "ETH": "0x71041dddad3595F9CEd3DcCFBe3D1F4b0a16Bb70",
            "USDC": "0x7e860098F58bBFC8648a4311b374B1D669a2bc6B",
        },
        mocks={},
        uniswap=Uniswap(
            v2_factory="0x8909Dc15e40173Ff4699343b6eB8132c65e18eC6",
            v2_router="0x4752ba5DBc23f44D87826276BF6Fd6b1C372aD24",
            v3_factory="0x33128a8fC17869897dcE68Ed026d694621f6FDfD",
            v3_npm="0x03a520b32C04BF3bEEf7BEb72E919cf822Ed34f1",
            v3_router=None,
            router02="0x2626664c2603336E57B271c5C0b26F421741e481",
            quoter_v2="0x3d4e44Eb1374240CE5F1B871ab261CD16335B76a",
            tick_lens="0x0CdeE061c75D43c82520eD998C23ac2991c9ac6d",
            v4_pool_manager="0x498581fF718922c3f8e6A244956aF099B2652b2b",
            v4_position_manager="0x7C5f5A4bBd8fD63184577525326123B519429bDc",
            v4_state_view="0xA3c0c9b65baD0b08107Aa264b0f3dB444b867A71",
            v4_quoter="0x0d5e0F971ED27FBfF6c2837bf31316121532048D",
            universal_router="0x6fF5693b99212Da76ad316178A184AB56D299b43",
        ),
    ),
    42161: Chain(
        42161,
        "arbitrum",
        weth="0x82aF49447D8a07e3bd95BD0d56f35241523fBab1",
        usdc="0xaf88d065e77c8cC2239327C5EDb3A432268e5831",
        feeds={
            "ETH": "0x639Fe6ab55C921f74e7fac1ee960C0B6293ba612",
            "USDC": "0x50834F3163758fcC1Df9973b6e91f0F0F0434aD3",
        },
        mocks={},
        uniswap=Uniswap(
            v2_factory="0xf1D7CC64Fb4452F05c498126312eBE29f30Fbcf9",
            v2_router="0x4752ba5DBc23f44D87826276BF6Fd6b1C372aD24",
            v3_factory="0x1F98431c8aD98523631AE4a59f267346ea31F984",
            v3_npm="0xC36442b4a4522E871399CD717aBDD847Ab11FE88",
            v3_router="0xE592427A0AEce92De3Edee1F18E0157C05861564",
            router02="0x68b3465833fb72A70ecDF485E0e4C7bD8665Fc45",
            quoter_v2="0x61fFE014bA17989E743c5F6cB21bF9697530B21e",
            tick_lens="0xbfd8137f7d1516D3ea5cA83523914859ec47F573",
            v4_pool_manager="0x360E68faCcca8cA495c1B759Fd9EEe466db9FB32",
            v4_position_manager="0xd88F38F930b7952f2DB2432Cb002E7abbF3dD869",
            v4_state_view="0x76Fd297e2D437cd7f76d50F01AfE6160f86e9990",
            v4_quoter="0x3972C00f7ed4885e145823eb7C655375d275A1C5",
            universal_router="0xA51afAFe0263b40EdaEf0Df8781eA9aa03E381a3",
        ),
    ),
}
