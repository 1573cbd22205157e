"""`devnet status --json` names the bundler, and it is one: an operation that breaks a rule is refused, its account is funded."""

from __future__ import annotations

import pytest
from home_fixture import Home

from chains.devnet.addresses import ENTRY_POINT
from chains.devnet.jsonrpc import Rpc, RpcError
from chains.types import Address, Fees
from chains.userops import UserOperation, to_json

pytestmark = pytest.mark.devnet


def test_it_is_listed_and_answers(home: Home) -> None:
    told = home.run(f"devnet status --json --runtime {home.runtime}")
    rows = {row["name"]: row for row in told.json["services"]}
    assert rows["bundler"]["alive"] and rows["bundler"]["url"].startswith("http://127.0.0.1:")
    nobody = UserOperation(Address("0x" + "1" * 40), 0, b"", 10**5, 10**5, 10**6, Fees(10**11, 10**9))
    with Rpc(rows["bundler"]["url"]) as rpc:
        assert rpc("eth_chainId") == "0x1" and rpc("eth_supportedEntryPoints") == [ENTRY_POINT]
        with pytest.raises(RpcError) as error:
            rpc("eth_sendUserOperation", to_json(nobody), ENTRY_POINT)
    assert error.value.rpc_code == -32500 and "AA20" in error.value.message, "there is no account"
