"""The demo market of `demo_market.json`, put in place by the protocols' own means: mints, joins, no storage writes."""

from __future__ import annotations

import json
from collections.abc import Sequence
from decimal import Decimal
from fractions import Fraction
from math import isqrt
from pathlib import Path
from typing import Any

from eth_abi.abi import encode
from eth_utils.address import to_checksum_address
from eth_utils.crypto import keccak

from chains.devnet.addresses import BALANCER, PERMIT2, Chain
from chains.devnet.artifacts import artifact
from chains.devnet.builder import DEPLOYER, Builder
from chains.devnet.deploy.base import mint
from chains.devnet.manifest import Contract
from chains.errors import Halt

FILE = Path(__file__).with_name("demo_market.json")
FOREVER = 2**47
ZERO = "0x" + "0" * 40
_MAX = 2**256 - 1
_SPACING = {500: 10, 3000: 60, 10000: 200}
_V4_MINT, _V4_SETTLE_PAIR, _V4_SWEEP = 0x02, 0x0D, 0x14


def build(b: Builder) -> None:
    makers = {
        "uniswap_v2": _v2,
        "uniswap_v3": _v3,
        "uniswap_v4": _v4,
        "balancer_v2_weighted": _weighted,
        "balancer_v2_stable": _stable,
    }
    for pool in json.loads(FILE.read_text()).get(str(b.chain.id), []):
        makers[pool["kind"]](b, pool)


def sqrt_price_x96(usdc_per_eth: str, eth_first: bool) -> int:
    """√(token1/token0) in Q64.96, rounded down, from a price in USDC (6 decimals) per ETH (18)."""
    ratio = Fraction(Decimal(usdc_per_eth)) * Fraction(10**6, 10**18)
    if not eth_first:
        ratio = 1 / ratio
    return isqrt((ratio.numerator << 192) // ratio.denominator)


def _supply(b: Builder, token: str, amount_raw: int, spender: str) -> None:
    mint(b, token, DEPLOYER, amount_raw)
    b.do(artifact("MockERC20"), token, "approve", spender, _MAX)


def _v2(b: Builder, pool: dict[str, Any]) -> None:
    weth, usdc, router = b.chain.weth, b.chain.usdc, b.chain.uniswap.v2_router
    amounts = int(pool["weth_raw"]), int(pool["usdc_raw"])
    for token, amount in zip((weth, usdc), amounts, strict=True):
        _supply(b, token, amount, router)
    b.do(artifact("UniswapV2Router02"), router, "addLiquidity", weth, usdc, *amounts, 0, 0, DEPLOYER, FOREVER)
    pair = b.read(artifact("UniswapV2Factory"), b.chain.uniswap.v2_factory, "getPair", weth, usdc)
    b.record(pool["name"], pair, "exact", "created by the factory: CREATE2 gives mainnet's address")


def _v3(b: Builder, pool: dict[str, Any]) -> None:
    npm, at, fee = artifact("NonfungiblePositionManager"), b.chain.uniswap.v3_npm, pool["fee_pips"]
    weth_first = int(b.chain.weth, 16) < int(b.chain.usdc, 16)
    tokens = (b.chain.weth, b.chain.usdc) if weth_first else (b.chain.usdc, b.chain.weth)
    price = sqrt_price_x96(pool["price"], weth_first)
    b.do(npm, at, "createAndInitializePoolIfNecessary", *tokens, fee, price)
    address = b.read(artifact("UniswapV3Factory"), b.chain.uniswap.v3_factory, "getPool", *tokens, fee)
    tick = b.read(artifact("UniswapV3Pool"), address, "slot0")[1]
    for position in pool["positions"]:
        weth_raw, usdc_raw = int(position["weth_raw"]), int(position["usdc_raw"])
        _supply(b, b.chain.weth, weth_raw, at)
        _supply(b, b.chain.usdc, usdc_raw, at)
        amounts = (weth_raw, usdc_raw) if weth_first else (usdc_raw, weth_raw)
        lower, upper = _ticks(tick, position["ticks"], _SPACING[fee], weth_first)
        b.do(npm, at, "mint", (*tokens, fee, lower, upper, *amounts, 0, 0, DEPLOYER, FOREVER))
    b.record(pool["name"], address, "exact", "created by the factory: CREATE2 gives mainnet's address")


def _ticks(tick: int, offsets: list[int], spacing: int, eth_first: bool) -> tuple[int, int]:
    """Offsets are of the price in USDC per ETH; where ETH is token1 the pool's ticks run the other way."""
    low, high = offsets if eth_first else (-offsets[1], -offsets[0])
    return (tick + low) // spacing * spacing, -(-(tick + high) // spacing) * spacing


def _v4(b: Builder, pool: dict[str, Any]) -> None:
    at, usdc, manager = b.chain.uniswap, b.chain.usdc, artifact("PositionManager")
    key = (ZERO, usdc, pool["fee_pips"], pool["tick_spacing"], ZERO)
    b.do(artifact("PoolManager"), at.v4_pool_manager, "initialize", key, sqrt_price_x96(pool["price"], True))
    pool_id = _v4_id(key)
    tick = b.read(artifact("StateView"), at.v4_state_view, "getSlot0", pool_id)[1]
    budget_eth, budget_usdc = 5_000 * 10**18, 15_000_000 * 10**6
    _supply(b, usdc, budget_usdc * len(pool["positions"]), PERMIT2)
    b.do(artifact("Permit2"), PERMIT2, "approve", usdc, at.v4_position_manager, 2**160 - 1, FOREVER)
    for position in pool["positions"]:
        lower, upper = _ticks(tick, position["ticks"], pool["tick_spacing"], True)
        liquidity = int(position["liquidity"])
        minting = encode(
            [
                "(address,address,uint24,int24,address)",
                *("int24 int24 uint256 uint128 uint128 address bytes".split()),
            ],
            [key, lower, upper, liquidity, budget_eth, budget_usdc, DEPLOYER, b""],
        )
        steps = [
            minting,
            encode(["address", "address"], [ZERO, usdc]),
            encode(["address", "address"], [ZERO, DEPLOYER]),
        ]
        actions = bytes([_V4_MINT, _V4_SETTLE_PAIR, _V4_SWEEP])
        unlock = encode(["bytes", "bytes[]"], [actions, steps])
        b.do(manager, at.v4_position_manager, "modifyLiquidities", unlock, FOREVER, value=budget_eth)
    b.record(pool["name"], at.v4_pool_manager, "exact", f"pool 0x{pool_id.hex()} in the PoolManager")


def _v4_id(key: tuple[Any, ...]) -> bytes:
    return keccak(encode(["address", "address", "uint24", "int24", "address"], key))


def _weighted(b: Builder, pool: dict[str, Any]) -> None:
    amounts = {b.chain.weth: int(pool["weth_raw"]), b.chain.usdc: int(pool["usdc_raw"])}
    tokens = sorted(amounts, key=lambda token: int(token, 16))
    factory = BALANCER["WeightedPoolFactory"]
    args = (
        pool["name"],
        "50WETH-50USDC",
        tokens,
        [10**18 // 2] * 2,
        [ZERO] * 2,
        int(pool["fee_1e18"]),
        DEPLOYER,
    )
    receipt = b.send(
        factory,
        artifact("WeightedPoolFactory").call("create", *args),
    )
    address = _created(receipt, factory)
    _join(
        b,
        artifact("WeightedPool"),
        address,
        tokens,
        [amounts[t] for t in tokens],
        [amounts[t] for t in tokens],
    )
    b.record(pool["name"], address, "genuine-build", "created by Balancer's factory")


def _stable(b: Builder, pool: dict[str, Any]) -> None:
    usdt, dai = b.chain.mocks["USDT"][0], b.chain.mocks["DAI"][0]
    amounts = {b.chain.usdc: int(pool["usdc_raw"]), usdt: int(pool["usdt_raw"]), dai: int(pool["dai_raw"])}
    tokens = sorted(amounts, key=lambda token: int(token, 16))
    factory, n = BALANCER["ComposableStablePoolFactory"], len(tokens)
    args = (
        pool["name"],
        "USDC-USDT-DAI",
        tokens,
        int(pool["a"]),
        [ZERO] * n,
        [0] * n,
        [False] * n,
        int(pool["fee_1e18"]),
        DEPLOYER,
    )
    receipt = b.send(
        factory,
        artifact("ComposableStablePoolFactory").call("create", *args),
    )
    address = _created(receipt, factory)
    # The pool's own share token is one of its tokens: registered in order, minted to itself on the first join.
    with_share = sorted([*tokens, address], key=lambda token: int(token, 16))
    joined = [amounts.get(token, 2**111) for token in with_share]
    _join(b, artifact("ComposableStablePool"), address, with_share, joined, joined)
    b.record(pool["name"], address, "genuine-build", "created by Balancer's factory")


def _created(receipt: dict[str, Any], factory: str) -> str:
    topic = "0x" + keccak(text="PoolCreated(address)").hex()
    for log in receipt["logs"]:
        if log["topics"][0] == topic and log["address"].lower() == factory.lower():
            return to_checksum_address("0x" + log["topics"][1][-40:])
    raise Halt("DEVNET_BUILD", f"{factory} created no pool")


def _join(
    b: Builder, pool: Any, address: str, tokens: list[str], maxima: list[int], amounts: list[int]
) -> None:
    vault = BALANCER["Vault"]
    for token, amount in zip(tokens, amounts, strict=True):
        if token != address:
            _supply(b, token, amount, vault)
    user_data = encode(["uint256", "uint256[]"], [0, amounts])  # JoinKind.INIT
    pool_id = b.read(pool, address, "getPoolId")
    b.do(
        artifact("BalancerVault"),
        vault,
        "joinPool",
        pool_id,
        DEPLOYER,
        DEPLOYER,
        (tokens, maxima, user_data, False),
    )


def demo_pools(contracts: Sequence[Contract], chain: Chain) -> list[tuple[str, str]]:
    """(kind, address) of the demo market's pools that stand on a chain, in the market's order; V4's by its pool id."""
    found = {c.name: c.address for c in contracts if c.chain == chain.id}
    pools = []
    for pool in json.loads(FILE.read_text()).get(str(chain.id), []):
        if pool["name"] not in found:
            continue
        address = found[pool["name"]]
        if pool["kind"] == "uniswap_v4":
            address = "0x" + _v4_id((ZERO, chain.usdc, pool["fee_pips"], pool["tick_spacing"], ZERO)).hex()
        pools.append((pool["kind"], address))
    return pools
