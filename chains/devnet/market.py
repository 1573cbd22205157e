"""A market/1 file as a living chain: its Uniswap V3 pools and 0.3 % V2 pools in genuine pool code, by storage.

Pools are created by the genuine factories, so that their immutables and addresses are right, then overwritten with the
file's state. What the file does not say is chosen so that swaps and quotes are unchanged: a tick's gross liquidity is its
net one without sign, fee growth starts at zero, nobody owns a position, and a pool holds what its liquidity can pay out.
A V2-like pool whose address is not Uniswap's CREATE2 gets the pair's code there (a fork, labelled mock). A token without
genuine code becomes a mock ERC-20. V3 pools at other addresses are left out: their factories are in no package.
"""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from math import isqrt
from typing import Any

from eth_abi.abi import encode
from eth_utils.address import to_checksum_address
from eth_utils.crypto import keccak

from chains.devnet.addresses import CHAINS, Chain
from chains.devnet.artifacts import artifact
from chains.devnet.builder import DEPLOYER, Builder
from chains.devnet.deploy.base import mock_token
from chains.devnet.deploy.uniswap import V2_INIT_CODE_HASH, V3_INIT_CODE_HASH
from chains.devnet.funding import BALANCE_SLOT, mapping_slot, word
from chains.devnet.jsonrpc import Rpc
from chains.devnet.manifest import Contract
from chains.devnet.packages import Say, quiet
from chains.errors import Halt, Usage

_Q = 192  # fractional bits of our square roots of prices
_MOCK_BALANCES, _MOCK_SUPPLY = 3, 2
_CREATE_GAS = hex(8_000_000)
_BLOCK_GAS = 20_000_000_000
V2_FEE_PIPS = 3000


@dataclass(frozen=True, slots=True)
class V3Pool:
    """`ticks` are (tick, liquidity_net), ascending."""

    address: str
    token0: str
    token1: str
    fee: int
    spacing: int
    sqrt_price_x96: int
    tick: int
    liquidity: int
    ticks: tuple[tuple[int, int], ...]


@dataclass(frozen=True, slots=True)
class V2Pool:
    address: str
    token0: str
    token1: str
    reserve0: int
    reserve1: int
    genuine: bool


@dataclass(slots=True)
class Plan:
    """What of a market file goes on one chain; `tokens` maps an address to (symbol, decimals)."""

    tokens: dict[str, tuple[str, int]] = field(default_factory=dict)
    v3: list[V3Pool] = field(default_factory=list)
    v2: list[V2Pool] = field(default_factory=list)
    left_out: list[str] = field(default_factory=list)


def plan_market(market: Mapping[str, Any], chain: Chain) -> Plan:
    """Choose and check the pools of `chain` in a parsed market/1 file. Raises Usage naming what is malformed."""
    try:
        return _plan(market, chain)
    except (KeyError, TypeError, ValueError, AttributeError) as why:
        raise Usage(
            "MARKET_FILE", f"not a market/1 file: {type(why).__name__} {why}", "see the market file's format"
        ) from why


def _plan(market: Mapping[str, Any], chain: Chain) -> Plan:
    if market.get("fairlead") != "market/1":
        raise Usage("MARKET_FILE", f"this is {market.get('fairlead')!r}, not market/1")
    prefix, plan, known = f"eip155:{chain.id}/", Plan(), {}
    for asset in market["assets"]:
        if asset["id"].startswith(prefix + "erc20:"):
            known[_token(asset["id"])] = (str(asset["symbol"]), int(asset["decimals"]))
    for pool in market["pools"]:
        if not pool["id"].startswith(prefix) or pool["kind"] not in ("uniswap_v2", "uniswap_v3"):
            continue
        address = to_checksum_address(pool["id"].removeprefix(prefix))
        tokens = [_token(asset) for asset in pool["assets"]]
        if pool["kind"] == "uniswap_v3":
            found = _v3_pool(address, tokens, pool)
            if v3_address(chain, found.token0, found.token1, found.fee) != address:
                plan.left_out.append(pool["id"])
                continue
            plan.v3.append(found)
        else:
            if int(pool["fee_pips"]) != V2_FEE_PIPS:
                plan.left_out.append(pool["id"])
                continue
            (t0, r0), (t1, r1) = sorted(
                zip(tokens, map(int, pool["reserves_raw"]), strict=True), key=lambda p: int(p[0], 16)
            )
            plan.v2.append(V2Pool(address, t0, t1, r0, r1, v2_address(chain, t0, t1) == address))
        plan.tokens |= {token: known[token] for token in tokens}
    return plan


def _token(asset: str) -> str:
    return to_checksum_address(asset.rpartition("erc20:")[2])


def _v3_pool(address: str, tokens: Sequence[str], pool: Mapping[str, Any]) -> V3Pool:
    token0, token1 = tokens
    if int(token0, 16) > int(token1, 16):
        raise Usage(
            "MARKET_FILE",
            f"{pool['id']}: the assets of a uniswap_v3 pool are token0 and token1 in this order",
        )
    ticks = tuple((int(tick), int(net)) for tick, net in pool["ticks"])
    if sum(net for tick, net in ticks if tick <= int(pool["tick"])) != int(pool["liquidity"]):
        raise Usage("MARKET_FILE", f"{pool['id']}: its liquidity is not the sum of its ticks")
    return V3Pool(
        *(
            address,
            token0,
            token1,
            int(pool["fee_pips"]),
            int(pool["tick_spacing"]),
            int(pool["sqrt_price_x96"]),
        ),
        *(int(pool["tick"]), int(pool["liquidity"]), ticks),
    )


def v3_address(chain: Chain, token0: str, token1: str, fee: int) -> str:
    """CREATE2 of Uniswap V3's factory on `chain`."""
    return _create2(
        chain.uniswap.v3_factory,
        encode(["address", "address", "uint24"], [token0, token1, fee]),
        V3_INIT_CODE_HASH,
    )


def v2_address(chain: Chain, token0: str, token1: str) -> str:
    """CREATE2 of Uniswap V2's factory on `chain`."""
    return _create2(chain.uniswap.v2_factory, bytes.fromhex(token0[2:] + token1[2:]), V2_INIT_CODE_HASH)


def _create2(factory: str, salt: bytes, code_hash: bytes) -> str:
    return to_checksum_address(keccak(b"\xff" + bytes.fromhex(factory[2:]) + keccak(salt) + code_hash)[12:])


def load_market(rpc: Rpc, market: Mapping[str, Any], progress: Say = quiet) -> list[Contract]:
    """Put the market of the chain behind `rpc` (an Anvil of the devnet without demo market) in place; its manifest.

    The node's way of mining is left at "no automatic mining": the caller says how it goes on.
    Raises Usage for a malformed file, Halt when a pool does not come to stand where it has to.
    """
    chain = CHAINS[int(rpc("eth_chainId"), 16)]
    plan, begun = plan_market(market, chain), time.monotonic()
    what = f"{len(plan.v3)} V3 and {len(plan.v2)} V2 pools of {len(plan.tokens)} tokens"
    if plan.tokens:
        progress(f"loading {what} into chain {chain.id}")
    builder = Builder(rpc, chain)
    rpc("evm_setAutomine", True)
    for token, (symbol, decimals) in plan.tokens.items():
        if rpc("eth_getCode", token, "latest") == "0x":
            mock_token(builder, symbol, token, decimals)
    rpc("evm_setAutomine", False)
    _create_pools(builder, plan)
    slots: list[tuple[str, str, int]] = []
    balances: dict[str, dict[str, int]] = defaultdict(dict)
    now = int(rpc("eth_getBlockByNumber", "latest", False)["timestamp"], 16)
    for v3 in plan.v3:
        slots += v3_slots(v3, now)
        balances[v3.token0][v3.address], balances[v3.token1][v3.address] = v3_holdings(v3)
    for v2 in plan.v2:
        slots += v2_slots(v2, now, chain)
        balances[v2.token0][v2.address], balances[v2.token1][v2.address] = v2.reserve0, v2.reserve1
    slots += _balance_slots(rpc, chain, balances)
    rpc.batch(("anvil_setStorageAt", [address, slot, word(value)]) for address, slot, value in slots)
    _post_eth_price(rpc, chain, market)
    rpc("anvil_autoImpersonateAccount", False)
    rpc("evm_mine")
    _record(builder, plan)
    if plan.tokens:
        took = f"{time.monotonic() - begun:.1f} s"
        progress(f"market loaded in {took}: {len(slots)} storage words, {len(plan.left_out)} pools left out")
    return builder.contracts


def _create_pools(b: Builder, plan: Plan) -> None:
    """All pools in one block: the factories' own code decides their addresses."""
    at, calls = b.chain.uniswap, []
    factory2, factory3 = artifact("UniswapV2Factory"), artifact("UniswapV3Factory")
    for v3 in plan.v3:
        calls.append((at.v3_factory, factory3.call("createPool", v3.token0, v3.token1, v3.fee), v3.address))
    for v2 in plan.v2:
        if v2.genuine:
            calls.append((at.v2_factory, factory2.call("createPair", v2.token0, v2.token1), v2.address))
    b.fund(DEPLOYER)
    nonce = int(b.rpc("eth_getTransactionCount", DEPLOYER, "latest"), 16)
    b.rpc("evm_setBlockGasLimit", hex(_BLOCK_GAS))
    b.rpc.batch(
        (
            "eth_sendTransaction",
            [
                {
                    "from": DEPLOYER,
                    "to": to,
                    "data": "0x" + data.hex(),
                    "nonce": hex(nonce + i),
                    "gas": _CREATE_GAS,
                }
            ],
        )
        for i, (to, data, _) in enumerate(calls)
    )
    b.rpc("evm_mine")
    b.rpc("evm_setBlockGasLimit", hex(60_000_000))
    codes = b.rpc.batch(("eth_getCode", [address, "latest"]) for _, _, address in calls)
    for (_, _, address), code in zip(calls, codes, strict=True):
        if code == "0x":
            raise Halt("DEVNET_MARKET", f"no pool came to stand at {address}")
    pair_code = "0x" + _pair_runtime(b)
    b.rpc.batch(("anvil_setCode", [v2.address, pair_code]) for v2 in plan.v2 if not v2.genuine)


def _pair_runtime(b: Builder) -> str:
    """The pair's runtime code: what its constructor returns. It holds no immutables."""
    return b.call(None, artifact("UniswapV2Pair").creation()).hex()


def v3_slots(pool: V3Pool, now: int) -> list[tuple[str, str, int]]:
    """(address, slot, word) of a V3 pool's whole state."""
    address = pool.address
    slot0 = pool.sqrt_price_x96 | (pool.tick % 2**24) << 160 | 1 << 200 | 1 << 216 | 1 << 240
    slots = [
        (address, word(0), slot0),
        (address, word(4), pool.liquidity),
        (address, word(8), 1 << 248 | now),
    ]
    bitmap: dict[int, int] = defaultdict(int)
    for tick, net in pool.ticks:
        base = int(_int_mapping_slot(tick, 5), 16)
        slots.append((address, word(base), max(1, abs(net)) | (net % 2**128) << 128))
        slots.append((address, word(base + 3), 1 << 248))
        compressed = tick // pool.spacing
        bitmap[compressed >> 8] |= 1 << (compressed & 255)
    return slots + [(address, _int_mapping_slot(index, 6), bits) for index, bits in bitmap.items()]


def v2_slots(pool: V2Pool, now: int, chain: Chain) -> list[tuple[str, str, int]]:
    """(address, slot, word) of a V2 pair's state; all shares belong to nobody."""
    supply, nobody = isqrt(pool.reserve0 * pool.reserve1), "0x" + "0" * 40
    words = {
        0: supply,
        5: int(chain.uniswap.v2_factory, 16),
        6: int(pool.token0, 16),
        7: int(pool.token1, 16),
        8: pool.reserve0 | pool.reserve1 << 112 | (now % 2**32) << 224,
        12: 1,
    }
    slots = [(pool.address, word(slot), value) for slot, value in words.items()]
    return [*slots, (pool.address, mapping_slot(nobody, 1), supply)]


def _int_mapping_slot(key: int, slot: int) -> str:
    return "0x" + keccak((key % 2**256).to_bytes(32, "big") + slot.to_bytes(32, "big")).hex()


def v3_holdings(pool: V3Pool) -> tuple[int, int]:
    """(token0, token1) in base units that the liquidity can pay out at most, rounded up."""
    price, liquidity = pool.sqrt_price_x96 << (_Q - 96), 0
    amount0 = amount1 = 0
    for (lower, net), (upper, _) in zip(pool.ticks, pool.ticks[1:], strict=False):
        liquidity += net
        if liquidity == 0:
            continue
        low, high = _sqrt_price(lower), _sqrt_price(upper)
        below, above = min(high, max(low, price)), max(low, min(high, price))
        amount1 += -(-liquidity * (below - low) >> _Q) + 1
        if high > above:
            amount0 += -(-(liquidity << _Q) * (high - above) // (high * above)) + 1
    # The contract rounds the prices at ticks to 96 bits, each its own way: a trillionth more covers that.
    return amount0 + (amount0 >> 40), amount1 + (amount1 >> 40)


# √1.0001 to the powers 1, 2, 4, … with _Q fractional bits; enough for ±887,272.
_POWERS = [isqrt((10001 << (2 * _Q)) // 10000)]
for _ in range(19):
    _POWERS.append(_POWERS[-1] * _POWERS[-1] >> _Q)


def _sqrt_price(tick: int) -> int:
    """√(1.0001^tick) with _Q fractional bits: square and multiply."""
    result = 1 << _Q
    for bit, power in enumerate(_POWERS):
        if abs(tick) >> bit & 1:
            result = result * power >> _Q
    return (1 << (2 * _Q)) // result if tick < 0 else result


def _balance_slots(
    rpc: Rpc, chain: Chain, balances: Mapping[str, Mapping[str, int]]
) -> Iterable[tuple[str, str, int]]:
    slots = []
    for token, holders in balances.items():
        total = sum(holders.values())
        slot = {chain.weth: BALANCE_SLOT["WETH"], chain.usdc: BALANCE_SLOT["USDC"]}.get(token, _MOCK_BALANCES)
        slots += [(token, mapping_slot(holder, slot), amount) for holder, amount in holders.items()]
        if token == chain.weth:
            backing = int(rpc("eth_getBalance", token, "latest"), 16)
            rpc("anvil_setBalance", token, hex(backing + total))
        elif token != chain.usdc:
            slots.append((token, word(_MOCK_SUPPLY), total))
    return slots


def _post_eth_price(rpc: Rpc, chain: Chain, market: Mapping[str, Any]) -> None:
    """The ETH/USD feed follows the file's own price of USDC in ETH, on this chain or on chain 1, where it has one."""
    px = {key.lower(): value for key, value in market.get("reference_px_native", {}).items()}
    usdc = next(
        (px[key] for c in (chain, CHAINS[1]) if (key := f"eip155:{c.id}/erc20:{c.usdc.lower()}") in px), None
    )
    if usdc is None or Decimal(usdc) <= 0:
        return
    update = artifact("MockV3Aggregator").call("updateAnswer", int(Decimal(10**8) / Decimal(usdc)))
    rpc(
        "eth_sendTransaction",
        {"from": DEPLOYER, "to": chain.feeds["ETH"], "data": "0x" + update.hex(), "gas": hex(300_000)},
    )


def _record(b: Builder, plan: Plan) -> None:
    for v3 in plan.v3:
        name = f"UniswapV3 {plan.tokens[v3.token0][0]}/{plan.tokens[v3.token1][0]} {v3.fee / 10_000:g}%"
        b.record(
            name,
            v3.address,
            "exact",
            "created by the factory at mainnet's address; the file's state by storage",
        )
    for v2 in plan.v2:
        name = f"UniswapV2 {plan.tokens[v2.token0][0]}/{plan.tokens[v2.token1][0]}"
        if v2.genuine:
            b.record(
                name,
                v2.address,
                "exact",
                "created by the factory at mainnet's address; the file's state by storage",
            )
        else:
            b.record(
                name,
                v2.address,
                "mock",
                "a fork of Uniswap V2 in truth; here Uniswap's pair code at its address",
            )
