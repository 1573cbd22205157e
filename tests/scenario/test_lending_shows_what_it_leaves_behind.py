"""`fairlead lend` from the command line: rehearsed, bounded, settled, and the health factor is the contract's own."""

from __future__ import annotations

import pytest
from home_fixture import Home

from chains.devnet.jsonrpc import Rpc
from chains.profiles.ethereum import CHAIN
from contracts.codec import decode_result, encode

pytestmark = pytest.mark.devnet


def factor_1e18(home: Home, block: str = "latest") -> int:
    assert CHAIN.aave is not None
    pool, wallet = CHAIN.aave.pool, home.settings.wallet.address
    data = "0x" + encode("aave_v3_pool", "getUserAccountData", (wallet,)).hex()
    with Rpc(home.urls[1]) as rpc:
        answer = rpc("eth_call", {"to": pool, "data": data}, block)
    return int(decode_result("aave_v3_pool", "getUserAccountData", bytes.fromhex(answer[2:]))[5])


def test_supply_borrow_and_back_again(home: Home) -> None:
    unattended = "--live --yes --max-loss 100"
    refused = home.run("lend supply 2 ETH --live --yes --json")
    assert refused.status == 2 and refused.json["error"]["code"] == "MAX_LOSS_MISSING"
    refused = home.run("lend supply 2 ETH --live --yes --max-loss 0.0001 --json")
    assert refused.status == 3 and refused.json["error"]["code"] == "MAX_LOSS"
    dry = home.run("lend supply 2 ETH --json")
    assert dry.status == 0 and dry.json["done"] is False and float(dry.json["fee_usd_at_most"]) > 0
    assert factor_1e18(home) == 2**256 - 1, "a dry run has moved something"

    assert home.run(f"lend supply 2 ETH {unattended} --json").json["done"] is True
    refused = home.run(f"lend borrow 4500 USDC {unattended} --json")
    assert refused.status == 3 and refused.json["error"]["code"] == "HEALTH_TOO_LOW", refused.json
    assert home.run(f"lend borrow 2000 USDC {unattended} --json").json["done"] is True
    (account,) = home.run("health --json").json["accounts"]
    assert account["state"] == "SAFE" and int(account["health_1e18"]) == factor_1e18(
        home, hex(account["block"])
    )
    refused = home.run(f"lend withdraw 2 ETH {unattended} --json")
    assert refused.status == 4 and refused.json["error"]["code"] == "WOULD_REVERT"

    assert home.run(f"lend repay 2001 USDC {unattended} --json").json["done"] is True
    assert factor_1e18(home) == 2**256 - 1
    assert home.run(f"lend withdraw 1.99 ETH {unattended} --json").json["done"] is True
