"""The recorded Polygon of block 51,000,000 under Anvil: Aave V3's own pool, its reserves, oracle and Chainlink feeds, with real rates and indexes.

The recording holds no code for some of the libraries that the pool's code calls. Their published build (npm core-v3 1.19.3, 3.0.2; the
pool is 3.0.1) is put at the addresses that the pool's bytecode names: every function that the pool calls there by selector is in it.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from eth_utils.crypto import keccak
from liquidations import Pool
from mainnet_world import call_data, recorded_chain

from chains.devnet.artifacts import artifact, source_hex
from chains.devnet.funding import mapping_slot, word
from chains.devnet.jsonrpc import Rpc
from chains.evm import checksum
from chains.multicall import MULTICALL3
from chains.profile import Aave

WETH = checksum("0x7ceb23fd6bc0add59e62ac25578270cff1b9f619")
USDC = checksum("0x2791bca1f2de4661ed88a30c99a7a9449aa84174")
WMATIC = checksum("0x0d500b1d8e8ef31e21c99d1db9a6444d3adf1270")
MARKET = Aave(
    pool=checksum("0x794a61358D6845594F94dc1DB02A252b5b4814aD"),
    addresses_provider=checksum("0xa97684ead0e402dC232d5A977953DF7ECBaB3CDb"),
    data_provider=checksum("0x69FA688f1Dc47d4B5d8029D5a35FB7a548310654"),
    oracle=checksum("0xb023e699F5a33916Ea823A16485e259257cA8Bd1"),
)
CODE = "0xb77fc84a549ecc0b410d6fa15159c2df207545a3"
"""The pool proxy's implementation."""
LIBRARIES = {
    "PoolLogic": "0xd5256981e08492afc543af2a779af989e9f9f7e7",
    "LiquidationLogic": "0xe175de51f29d822b86e46a9a61246ec90631210d",
}
COLLECTOR = "0xe8599F3cc5D38a9aD6F3684cd5CEa72f10Dbc383"
"""Aave's treasury on Polygon; its slot in the aTokens is not of the recording."""
_BALANCES = {WETH: 0, USDC: 0, WMATIC: 3}
_TREASURY_SLOT, _DEBT_ASSET_SLOT, _TRANSMISSIONS_SLOT = 0x3C, 0x37, 43


@contextmanager
def polygon(tmp: Path) -> Iterator[Pool]:
    """The pool on a node that mines by hand."""
    world = "worlds/polygon-51000000.genesis.json.zst"
    with recorded_chain(tmp, world, ["--no-mining"], chain_id=137) as rpc:
        for name, at in LIBRARIES.items():
            _library(rpc, name, at)
        rpc("anvil_setCode", MULTICALL3, source_hex("Preinstalls.sol", "MultiCall3Code ="))
        pool = Pool(rpc, 137, MARKET, post_px)
        for token in _BALANCES:
            reserve = pool.reserve(token)
            rpc("anvil_setStorageAt", reserve[8], word(_TREASURY_SLOT), word(int(COLLECTOR, 16)))
            # The recorded blocks never asked it of the dollar's; without it `balanceOf` of a debt is nil.
            rpc("anvil_setStorageAt", reserve[10], word(_DEBT_ASSET_SLOT), word(int(token, 16)))
        yield pool


def give(pool: Pool, token: str, who: str, raw: int) -> None:
    pool.rpc("anvil_setStorageAt", token, mapping_slot(who, _BALANCES[checksum(token)]), word(raw))


def post_px(pool: Pool, token: str, px_1e8: int) -> None:
    """Another answer in the feed's latest round, as if its oracles had signed it (OffchainAggregator's s_transmissions)."""
    rpc = pool.rpc
    source = _address(rpc, MARKET.oracle, "getSourceOfAsset(address)", token)
    aggregator = _address(rpc, source, "aggregator()")
    # The phase of the proxy stands above the aggregator's own round.
    number = int(rpc("eth_call", {"to": source, "data": call_data("latestRound()")}, "latest"), 16) & (
        2**64 - 1
    )
    slot = "0x" + keccak(number.to_bytes(32, "big") + _TRANSMISSIONS_SLOT.to_bytes(32, "big")).hex()
    stamp = int(rpc("eth_getStorageAt", aggregator, slot, "latest"), 16) >> 192
    assert stamp, "the round is not where it is written to"
    rpc("anvil_setStorageAt", aggregator, slot, word(stamp << 192 | px_1e8))
    told = rpc(
        "eth_call", {"to": MARKET.oracle, "data": call_data("getAssetPrice(address)", token)}, "latest"
    )
    assert int(told, 16) == px_1e8


def _library(rpc: Rpc, name: str, at: str) -> None:
    """A library's runtime code knows its own address: its creation code is run where it is to stand."""
    assert at[2:] in rpc("eth_getCode", CODE, "latest"), f"the pool's code does not call {at}"
    assert rpc("eth_getCode", at, "latest") == "0x", "the recording has it after all"
    rpc("anvil_setCode", at, "0x" + artifact(name).creation().hex())
    rpc("anvil_setCode", at, rpc("eth_call", {"to": at}, "latest"))


def _address(rpc: Rpc, to: str, getter: str, *values: str) -> str:
    return checksum("0x" + rpc("eth_call", {"to": to, "data": call_data(getter, *values)}, "latest")[-40:])
