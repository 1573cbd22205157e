"""The StableSwap arithmetic against Curve's own 3pool bytecode and recorded state: quotes, exchanges and balances after."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from eth_abi.abi import decode, encode
from eth_utils.crypto import keccak
from mainnet_world import TRADER, call_data, recorded_chain

from agent.amm import CurvePool, Swapped, swap_exact_in, swap_exact_out
from chains.devnet.jsonrpc import Rpc

POOL = "0xbebc44782c7db0a1a60cb6fe97d0b483032ff1c7"
COINS = (
    "0x6b175474e89094c44da98b954eedeac495271d0f",
    "0xa0b86991c6218b36c1d19d4a2e9eb0ce3606eb48",
    "0xdac17f958d2ee523a2206206994597c13d831ec7",
)
DECIMALS, SLOTS = (18, 6, 6), (2, 9, 2)
WAD = 10**18


@pytest.fixture(scope="module")
def chain(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Rpc]:
    with recorded_chain(
        tmp_path_factory.mktemp("curve"),
        "mainnet-blocks/17666333.genesis.json.zst",
        ["--disable-code-size-limit", "--timestamp", "1688999999"],
    ) as rpc:
        rpc("anvil_impersonateAccount", TRADER)
        rpc("anvil_setBalance", TRADER, hex(10**24))
        yield rpc


def read(rpc: Rpc, signature: str, *values: int) -> int:
    answer = rpc("eth_call", {"to": POOL, "data": call_data(signature, *values)}, "latest")
    return int(decode(["uint256"], bytes.fromhex(answer[2:]))[0])


def pool_of(rpc: Rpc, balances: tuple[int, ...]) -> CurvePool:
    scaling = tuple(10 ** (18 - d) * WAD for d in DECIMALS)
    amp, fee, admin = read(rpc, "A()"), read(rpc, "fee()"), read(rpc, "admin_fee()")
    return CurvePool("3pool", COINS, balances, amp, 1, fee, admin, (WAD,) * 3, scaling)


def test_quotes_and_exchanges_equal_the_pool(chain: Rpc) -> None:
    recorded = tuple(read(chain, "balances(uint256)", k) for k in range(3))
    assert read(chain, "A()") > 0 and read(chain, "fee()") > 0, (
        "the recording must hold the pool's parameters"
    )
    if not all(recorded):
        pytest.skip(f"the recorded block touched not every balance of the pool: {recorded}")
    pool = pool_of(chain, recorded)
    compared = 0
    for i in range(3):
        for j in range(3):
            if i == j:
                continue
            for share in (1, 50, 1000, 5000):
                amount = recorded[i] * share // 10_000
                got = swap_exact_in(pool, COINS[i], COINS[j], amount)
                assert isinstance(got, Swapped)
                # get_dy takes its fee after unscaling, exchange before: they may differ by one unit, and exchange is what pays.
                assert abs(read(chain, "get_dy(int128,int128,uint256)", i, j, amount) - got.amount_out) <= 1
                asked = swap_exact_out(pool, COINS[i], COINS[j], got.amount_out)
                assert (
                    isinstance(asked, Swapped)
                    and asked.amount_in <= amount
                    and asked.amount_out >= got.amount_out
                )
                exchange(chain, i, j, amount, got)
                compared += 1
    assert compared == 24


def exchange(rpc: Rpc, i: int, j: int, amount: int, got: Swapped) -> None:
    snapshot = rpc("evm_snapshot")
    for k in (i, j):
        for holder in (TRADER, POOL):
            slot = "0x" + keccak(encode(["address", "uint256"], [holder, SLOTS[k]])).hex()
            rpc(
                "anvil_setStorageAt",
                COINS[k],
                slot,
                "0x" + (10**33 if k == 0 else 10**18).to_bytes(32, "big").hex(),
            )
    for to, data in (
        (COINS[i], call_data("approve(address,uint256)", POOL, amount)),
        (POOL, call_data("exchange(int128,int128,uint256,uint256)", i, j, amount, 0)),
    ):
        receipt = rpc.transact({"from": TRADER, "to": to, "data": data, "gas": hex(2_000_000)})
        assert receipt["status"] == "0x1", (i, j, amount)
    after = tuple(read(rpc, "balances(uint256)", k) for k in range(3))
    assert isinstance(got.after, CurvePool)
    assert after == got.after.balances
    told = next(log for log in receipt["logs"] if log["address"] == POOL)
    sold, bought = decode(["int128", "uint256", "int128", "uint256"], bytes.fromhex(told["data"][2:]))[1::2]
    assert (sold, bought) == (amount, got.amount_out)
    rpc("evm_revert", snapshot)
    rpc("anvil_dropAllTransactions")
