"""The devnet as its user has it: chain 1 is reached through the relay, set-up through its admin port, forks through either."""

from __future__ import annotations

from pathlib import Path

import pytest

from chains.devnet import service
from chains.devnet.addresses import CHAINS
from chains.devnet.funding import create_safe, give_eth, give_token, set_feed_price, token_balance
from chains.devnet.jsonrpc import Rpc, RpcError
from chains.devnet.nodes import environment_at
from chains.devnet.service import Status
from chains.errors import Denied
from chains.types import Environment

pytestmark = pytest.mark.devnet

AT = CHAINS[1]
BOB = "0xB0b0000000000000000000000000000000000002"


def test_the_public_url_knows_no_cheats_and_the_admin_url_funds(relayed_devnet: Status) -> None:
    public, admin = relayed_devnet.urls[1], relayed_devnet.cheat_urls[1]
    assert public != admin and relayed_devnet.relay_url == public + "/relay"
    assert environment_at(public) is Environment.DEVNET is environment_at(admin)
    with Rpc(public) as rpc:
        for method in ("anvil_setBalance", "evm_mine", "evm_snapshot", "anvil_impersonateAccount"):
            with pytest.raises(RpcError):
                rpc(method, BOB, "0x1")
        give_eth(admin, BOB, 5)
        give_token(admin, AT.usdc, BOB, 70)
        give_token(admin, AT.weth, BOB, 7)
        assert int(rpc("eth_getBalance", BOB, "latest"), 16) == 5
        assert (token_balance(rpc, AT.usdc, BOB), token_balance(rpc, AT.weth, BOB)) == (70, 7)
        safe = create_safe(admin, [BOB, AT.weth, AT.usdc], 2, 1)
        assert rpc("eth_getCode", safe, "latest") != "0x"


def test_gas_has_a_price(tmp_path_factory: pytest.TempPathFactory) -> None:
    """Hundreds of nearly empty construction blocks would leave a base fee of some wei: the first block undoes that."""
    place = tmp_path_factory.mktemp("gas")
    try:
        fresh = service.up(runtime=place, chains=[1])
        with Rpc(fresh.urls[1]) as rpc:
            assert int(rpc("eth_getBlockByNumber", "latest", False)["baseFeePerGas"], 16) == 2 * 10**9
    finally:
        service.down(runtime=place)


def test_no_address_listed_is_the_anvil_behind(relayed_devnet: Status) -> None:
    listed = {row["name"]: row["url"] for row in relayed_devnet.to_json()["services"]}
    assert listed["anvil-1"] == listed["relay"] == relayed_devnet.urls[1]


def test_a_fork_of_the_relayed_chain_has_a_relay_of_its_own(
    relayed_devnet: Status, tmp_path_factory: pytest.TempPathFactory
) -> None:
    give_token(relayed_devnet.cheat_urls[1], AT.usdc, BOB, 1000)
    place: Path = tmp_path_factory.mktemp("fork")
    fork = service.up_fork(relayed_devnet.urls[1], runtime=place)
    try:
        assert fork.relay_url is not None and fork.urls[1] != relayed_devnet.urls[1]
        with Rpc(fork.urls[1]) as there, Rpc(relayed_devnet.urls[1]) as here:
            before = token_balance(here, AT.usdc, BOB)
            assert token_balance(there, AT.usdc, BOB) == before
            give_token(fork.cheat_urls[1], AT.usdc, BOB, 1)
            set_feed_price(fork.cheat_urls[1], "ETH", 1000 * 10**8)
            assert token_balance(there, AT.usdc, BOB) == before + 1
            assert token_balance(here, AT.usdc, BOB) == before
    finally:
        service.down(runtime=place)


def test_funding_is_refused_where_no_marker_stands(relayed_devnet: Status, tmp_path: Path) -> None:
    """A plain Anvil, loopback and cheats included, is not our devnet."""
    from chains.devnet.state import anvil

    with anvil(1) as plain, pytest.raises(Denied, match="devnet"):
        give_eth(plain.url, BOB, 1)
