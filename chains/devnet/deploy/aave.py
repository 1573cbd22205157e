"""Aave V3 (3.0) on chain 1: provider, pool and configurator at their addresses, WETH and USDC reserves; and a market of the same build
at Spark's, which runs that version."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from chains.devnet.addresses import AAVE, CHAINS, SPARK
from chains.devnet.artifacts import artifact
from chains.devnet.builder import DEPLOYER, Builder
from chains.devnet.deploy.base import mint
from chains.devnet.deploy.uniswap import ETCHED
from chains.devnet.jsonrpc import Rpc
from chains.errors import Halt
from chains.evm import address_of, call_data
from chains.types import Address

RAY = 10**27
A_TOKEN = 8  # the word of getReserveData
ZERO = "0x" + "0" * 40
TREASURY = "0xFA171EAd00000000000000000000000000000003"
PROXIED = "created by the provider itself, so the nonce is the real one; aave core-v3's build"


@dataclass(frozen=True, slots=True)
class Reserve:
    """Risk parameters in bps, rates in ray per year, caps in whole tokens; our own numbers near mainnet's."""

    symbol: str
    decimals: int
    ltv: int
    threshold: int
    bonus: int
    reserve_factor: int
    optimal: int
    base_rate: int
    slope1: int
    slope2: int
    supply_raw: int


RESERVES = (
    Reserve(
        "WETH",
        18,
        8050,
        8300,
        10500,
        1500,
        80 * RAY // 100,
        RAY // 100,
        38 * RAY // 1000,
        80 * RAY // 100,
        20_000 * 10**18,
    ),
    Reserve(
        "USDC",
        6,
        7500,
        7800,
        10450,
        1000,
        90 * RAY // 100,
        0,
        55 * RAY // 1000,
        60 * RAY // 100,
        60_000_000 * 10**6,
    ),
)


def deploy(b: Builder, name: str = "Aave", market: Mapping[str, str] = AAVE) -> None:
    """`market` are the addresses of one market: Aave's, or Spark's."""
    provider, acl, configurator = (
        artifact("PoolAddressesProvider"),
        artifact("AaveACLManager"),
        artifact("PoolConfigurator"),
    )
    at = market["PoolAddressesProvider"]
    b.etch(provider.creation(f"{name} Ethereum Market", DEPLOYER), at)
    b.record(f"{name} PoolAddressesProvider", at, "genuine-build", ETCHED)

    libraries = {
        part: b.deploy(artifact(part).creation())
        for part in (
            "BorrowLogic",
            "BridgeLogic",
            "EModeLogic",
            "LiquidationLogic",
            "PoolLogic",
            "SupplyLogic",
            "ConfiguratorLogic",
        )
    }
    libraries["FlashLoanLogic"] = b.deploy(artifact("FlashLoanLogic").creation(libraries=libraries))
    pool_code = b.deploy(artifact("AavePool").creation(at, libraries=libraries))
    b.do(artifact("AavePool"), pool_code, "initialize", at)
    configurator_code = b.deploy(configurator.creation(libraries=libraries))
    b.do(configurator, configurator_code, "initialize", at)

    b.do(provider, at, "setACLAdmin", DEPLOYER)
    b.etch(acl.creation(at), market["ACLManager"])
    b.record(f"{name} ACLManager", market["ACLManager"], "genuine-build", ETCHED)
    b.do(provider, at, "setACLManager", market["ACLManager"])
    for role in ("addPoolAdmin", "addAssetListingAdmin", "addRiskAdmin", "addEmergencyAdmin"):
        b.do(acl, market["ACLManager"], role, DEPLOYER)

    b.do(provider, at, "setPoolImpl", pool_code)
    b.do(provider, at, "setPoolConfiguratorImpl", configurator_code)
    for part, getter in (("Pool", "getPool"), ("PoolConfigurator", "getPoolConfigurator")):
        if b.read(provider, at, getter).lower() != market[part].lower():
            raise Halt("DEVNET_BUILD", f"{name}'s {part} is not at its mainnet address")
        b.record(f"{name} {part}", market[part], "genuine-build", PROXIED)

    assets, sources = [b.chain.weth, b.chain.usdc], [b.chain.feeds["ETH"], b.chain.feeds["USDC"]]
    b.etch(artifact("AaveOracle").creation(at, assets, sources, ZERO, ZERO, 10**8), market["AaveOracle"])
    b.record(f"{name}Oracle", market["AaveOracle"], "genuine-build", ETCHED)
    b.do(provider, at, "setPriceOracle", market["AaveOracle"])
    b.etch(artifact("AaveProtocolDataProvider").creation(at), market["AaveProtocolDataProvider"])
    b.record(f"{name}ProtocolDataProvider", market["AaveProtocolDataProvider"], "genuine-build", ETCHED)
    b.do(provider, at, "setPoolDataProvider", market["AaveProtocolDataProvider"])
    _reserves(b, {"WETH": b.chain.weth, "USDC": b.chain.usdc}, market)


def a_token(rpc: Rpc, asset: str, market: Mapping[str, str] = AAVE) -> str:
    """The token that a deposit of `asset` is held in, checksummed. Raises Halt where the market lists no such asset."""
    call = {"to": market["Pool"], "data": "0x" + call_data("getReserveData(address)", Address(asset)).hex()}
    answer = bytes.fromhex(rpc("eth_call", call, "latest")[2:])
    found = address_of(answer[A_TOKEN * 32 : A_TOKEN * 32 + 32])
    if found == ZERO:
        raise Halt("DEVNET_BUILD", f"the market at {market['Pool']} lists no {asset}")
    return found


def _reserves(b: Builder, tokens: dict[str, str], market: Mapping[str, str]) -> None:
    configurator, pool, provider = (
        artifact("PoolConfigurator"),
        artifact("AavePool"),
        market["PoolAddressesProvider"],
    )
    codes = []
    for name in ("AToken", "StableDebtToken", "VariableDebtToken"):
        codes.append(b.deploy(artifact(name).creation(market["Pool"])))
        b.do(artifact(name), codes[-1], "initialize", *_blank(name, market["Pool"]))
    listings = []
    for r in RESERVES:
        strategy = artifact("DefaultReserveInterestRateStrategy").creation(
            provider,
            r.optimal,
            r.base_rate,
            r.slope1,
            r.slope2,
            r.slope1,
            r.slope2,
            RAY // 100,
            RAY // 100,
            RAY // 5,
        )
        names = (
            *(f"Aave Ethereum {r.symbol}", f"aEth{r.symbol}"),
            *(f"Aave Ethereum Variable Debt {r.symbol}", f"variableDebtEth{r.symbol}"),
            *(f"Aave Ethereum Stable Debt {r.symbol}", f"stableDebtEth{r.symbol}"),
        )
        listings.append(
            (*codes, r.decimals, b.deploy(strategy), tokens[r.symbol], TREASURY, ZERO, *names, b"")
        )
    # On mainnet wstETH and WBTC were listed between the two: three creations each. The gap puts USDC's tokens at their addresses.
    b.do(configurator, market["PoolConfigurator"], "initReserves", listings[:1])
    nonce = int(b.rpc("eth_getTransactionCount", market["PoolConfigurator"], "latest"), 16)
    b.rpc("anvil_setNonce", market["PoolConfigurator"], hex(nonce + 6))
    b.do(configurator, market["PoolConfigurator"], "initReserves", listings[1:])
    for r in RESERVES:
        token, at = tokens[r.symbol], market["PoolConfigurator"]
        b.do(configurator, at, "configureReserveAsCollateral", token, r.ltv, r.threshold, r.bonus)
        b.do(configurator, at, "setReserveFactor", token, r.reserve_factor)
        b.do(configurator, at, "setReserveBorrowing", token, True)
        b.do(configurator, at, "setReserveFlashLoaning", token, True)
        mint(b, token, DEPLOYER, r.supply_raw)
        b.do(artifact("MockERC20"), token, "approve", market["Pool"], r.supply_raw)
        b.do(pool, market["Pool"], "supply", token, r.supply_raw, DEPLOYER, 0)
        data = b.read(
            artifact("AaveProtocolDataProvider"),
            market["AaveProtocolDataProvider"],
            "getReserveTokensAddresses",
            token,
        )
        for kind, address in zip(("aEth", "stableDebtEth", "variableDebtEth"), data, strict=True):
            b.record(
                f"{kind}{r.symbol}",
                address,
                "genuine-build",
                "created by the configurator at its real nonce",
            )
    # Some of it is lent, so that rates are not zero.
    b.do(pool, market["Pool"], "borrow", tokens["USDC"], 20_000_000 * 10**6, 2, 0, DEPLOYER)
    b.do(pool, market["Pool"], "borrow", tokens["WETH"], 8_000 * 10**18, 2, 0, DEPLOYER)


def _blank(name: str, pool: str) -> tuple[object, ...]:
    """Arguments that shut an implementation contract's own initializer."""
    if name == "AToken":
        return (pool, ZERO, ZERO, ZERO, 0, "IMPL", "IMPL", b"")
    return (pool, ZERO, ZERO, 0, "IMPL", "IMPL", b"")


def ensure_spark(rpc: Rpc) -> None:
    """Spark's market on a chain 1 that is in use, by its admin port; nothing where it stands."""
    if rpc("eth_getCode", SPARK["Pool"], "latest") != "0x":
        return
    base = int(rpc("eth_getBlockByNumber", "latest", False)["baseFeePerGas"], 16)
    deploy(Builder(rpc, CHAINS[1], base * 5 // 4 + 1), "Spark", SPARK)
