"""The integers read of an Aave account give the contract's own health factor back, to the last digit."""

from __future__ import annotations

import aiohttp
import pytest

from agent.app.watching.aave import model_account
from agent.domain.instruments import erc20_id
from agent.margin.aave_account import Account
from agent.margin.aave_moves import WITHDRAW, moved
from agent.margin.aave_v3_0 import MODEL
from chains.devnet.funding import give_eth, give_token
from chains.devnet.jsonrpc import Rpc as Sync
from chains.devnet.service import Status
from chains.evm import checksum
from chains.gateway import Gateway
from chains.lending.aave_v3 import AaveAccount, account_data, account_json, read_account
from chains.profiles import load
from chains.rpc import Rpc
from contracts.codec import encode

pytestmark = pytest.mark.devnet
CHAIN = load("ethereum")
RAY, YEAR = 10**27, 31_536_000
USER, LENDER = checksum("0x" + "1a" * 20), checksum("0x" + "2b" * 20)


def ray_mul(a: int, b: int) -> int:
    return (a * b + RAY // 2) // RAY


def compounded(rate: int, seconds: int) -> int:
    """core-v3's binomial."""
    if seconds == 0:
        return RAY
    two = ray_mul(rate, rate) // (YEAR * YEAR)
    three = ray_mul(two, rate) // YEAR
    less_two = seconds - 2 if seconds > 2 else 0
    second = seconds * (seconds - 1) * two // 2
    third = seconds * (seconds - 1) * less_two * three // 6
    return RAY + rate * seconds // YEAR + second + third


def health(account: AaveAccount) -> tuple[int, int, int]:
    """core-v3's GenericLogic, written from its formulas: collateral, debt, health factor."""
    collateral = debt = weighted = 0
    for r in account.reserves:
        dt, unit = account.block.timestamp - r.last_update, 10**r.decimals
        if r.collateral_enabled and r.liquidation_threshold_bps:
            linear = RAY + r.liquidity_rate_1e27 * dt // YEAR
            index = ray_mul(linear, r.liquidity_index_1e27) if dt else r.liquidity_index_1e27
            value = ray_mul(r.scaled_supply_raw, index) * r.price_1e8 // unit
            collateral, weighted = collateral + value, weighted + value * r.liquidation_threshold_bps
        if r.scaled_debt_raw:
            index = (
                ray_mul(compounded(r.borrow_rate_1e27, dt), r.borrow_index_1e27)
                if dt
                else r.borrow_index_1e27
            )
            debt += r.price_1e8 * ray_mul(r.scaled_debt_raw, index) // unit
    threshold = weighted // collateral if collateral else 0
    bounded = (collateral * threshold + 5000) // 10_000
    return collateral, debt, (bounded * 10**18 + debt // 2) // debt if debt else 2**256 - 1


def scaled(account: Account, token: str) -> int:
    return next(r.scaled_supply_raw for r in account.reserves if r.asset == erc20_id(1, token))


def act(rpc: Sync, who: str, to: str, contract: str, function: str, *args: object) -> int:
    """The second of the block it is mined in: blocks go on by themselves, the newest may be a later one."""
    rpc("anvil_impersonateAccount", who)
    data = "0x" + encode(contract, function, args).hex()  # type: ignore[arg-type]
    sent = rpc("eth_sendTransaction", {"from": who, "to": to, "data": data, "gas": hex(2_000_000)})
    rpc("evm_mine")
    receipt = rpc("eth_getTransactionReceipt", sent)
    assert receipt["status"] == "0x1", function
    return int(rpc("eth_getBlockByHash", receipt["blockHash"], False)["timestamp"], 16)


@pytest.mark.parametrize("days", [0, 45])
async def test_what_is_read_gives_the_contracts_health_factor(devnet: Status, days: int) -> None:
    assert CHAIN.aave is not None
    url, pool = devnet.cheat_urls[1], CHAIN.aave.pool
    weth, usdc = CHAIN.wrapped_native, CHAIN.usdc
    for who, token, amount in ((USER, weth, 10 * 10**18), (LENDER, usdc, 50_000 * 10**6)):
        give_eth(url, who, 10**19)
        give_token(url, token, who, amount)
    with Sync(url) as rpc:
        for who, token, amount in ((USER, weth, 10 * 10**18), (LENDER, usdc, 50_000 * 10**6)):
            act(rpc, who, token, "erc20", "approve", pool, amount)
            act(rpc, who, pool, "aave_v3_pool", "supply", token, amount, who, 0)
        act(rpc, USER, pool, "aave_v3_pool", "borrow", usdc, 9_000 * 10**6, 2, 0, USER)
        act(rpc, LENDER, pool, "aave_v3_pool", "setUserUseReserveAsCollateral", usdc, False)
        if days:
            rpc("evm_increaseTime", days * 86_400)
            rpc("evm_mine")
    async with aiohttp.ClientSession() as session:
        gate = Gateway(1, [Rpc(devnet.urls[1], session)])
        account = await read_account(gate, CHAIN.aave, USER)
        lender = await read_account(gate, CHAIN.aave, LENDER, account.block.hash)
        nobody = await read_account(gate, CHAIN.aave, checksum("0x" + "3c" * 20))
        assert await account_data(gate, CHAIN.aave, USER, account.block.number) == account.data
        with Sync(url) as rpc:
            at = act(rpc, USER, pool, "aave_v3_pool", "withdraw", weth, 10**18 + 7, USER)
        left = await read_account(gate, CHAIN.aave, USER)
        foretold = model_account(account, 1)
        foretold = moved(MODEL, foretold, WITHDRAW, erc20_id(1, weth), 10**18 + 7, at)
        assert scaled(foretold, weth) == scaled(model_account(left, 1), weth), (
            "a withdrawal burns as the token does"
        )
        assert MODEL.account_data(foretold, left.block.timestamp).health_1e18 == left.data.health_1e18
    assert {r.asset for r in account.reserves} == {weth, usdc} and account.base_unit == 10**8
    assert health(account) == (account.data.collateral_base, account.data.debt_base, account.data.health_1e18)
    assert 10**18 < account.data.health_1e18 < 10**19
    assert [(r.asset, r.collateral_enabled) for r in lender.reserves] == [(usdc, False)]
    assert lender.data.health_1e18 == health(lender)[2] == 2**256 - 1
    assert nobody.reserves == ()
    shown = account_json(account, 1, "a")
    assert shown["chain"] == "eip155:1" and all(
        isinstance(r["scaled_supply_raw"], str) for r in shown["reserves"]
    )
