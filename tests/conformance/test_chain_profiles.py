"""Every file in chains/profiles: a new one is tested by being there."""

from __future__ import annotations

from dataclasses import replace

import pytest
from eth_utils import is_checksum_address

from agent.app.wiring import DEADLINE_S
from chains import relays
from chains.devnet import addresses
from chains.errors import Usage
from chains.profile import CONTRACT_NAMES, LEAST_BLOCKS, REQUIRED_CONTRACTS, ChainProfile, L1Fee
from chains.profiles import load, names, profiles
from chains.types import Protection

every = pytest.mark.parametrize("chain", profiles(), ids=lambda c: c.name)


@every
def test_the_file_is_named_as_the_chain_and_found_by_every_name(chain: ChainProfile) -> None:
    assert chain.name in names()
    assert load(chain.name) is load(chain.chain_id) is load(str(chain.chain_id)) is load(chain.caip2) is chain


@every
def test_addresses_are_checksummed_and_names_are_known(chain: ChainProfile) -> None:
    found = [*chain.contracts.values(), *chain.feeds.values(), chain.wrapped_native, chain.usdc]
    if chain.aave:
        found += [chain.aave.pool, chain.aave.addresses_provider, chain.aave.data_provider, chain.aave.oracle]
    assert [a for a in found if not is_checksum_address(a)] == []
    assert len(set(found)) == len(found)
    assert set(chain.contracts) <= CONTRACT_NAMES and set(chain.contracts) >= REQUIRED_CONTRACTS
    assert {"ETH/USD", "USDC/USD"} <= set(chain.feeds)


@every
def test_what_a_chain_promises_some_road_honours(chain: ChainProfile) -> None:
    by_name = {r.name: r for r in relays.profiles()}
    serving = [by_name[name] for name in chain.relays]
    assert all(chain.chain_id in relay.chains for relay in serving)
    # An intent is settled by somebody else's transaction: no road of ours carries it.
    promised = chain.protections - {Protection.INTENT}
    assert promised == {p for relay in serving for p in relay.honours}


@every
def test_l1_fees_come_with_the_contract_that_tells_them(chain: ChainProfile) -> None:
    assert (chain.l1_fee is L1Fee.OP_STACK) == ("gas_price_oracle" in chain.contracts)
    assert (chain.l1_fee is L1Fee.ARBITRUM) == ("node_interface" in chain.contracts)
    assert chain.block_time_ms > 0


@every
def test_a_transaction_is_handed_over_as_long_as_its_own_deadline_lasts(chain: ChainProfile) -> None:
    assert chain.max_blocks * chain.block_time_ms >= DEADLINE_S * 1000
    assert (
        chain.max_blocks == LEAST_BLOCKS or (chain.max_blocks - 1) * chain.block_time_ms < DEADLINE_S * 1000
    )


def test_mainnets_fifteen_blocks_are_ninety_of_two_seconds() -> None:
    assert [load(name).max_blocks for name in ("ethereum", "base", "arbitrum")] == [15, 90, 720]
    assert replace(load(1), block_time_ms=60_000).max_blocks == LEAST_BLOCKS


@every
def test_the_devnet_deploys_to_the_same_addresses(chain: ChainProfile) -> None:
    local = addresses.CHAINS.get(chain.chain_id)
    if local is None:
        pytest.skip(f"the devnet has no chain {chain.chain_id}")
    uniswap = local.uniswap
    assert (chain.wrapped_native, chain.usdc) == (local.weth, local.usdc)
    assert chain.feeds["ETH/USD"] == local.feeds["ETH"] and chain.feeds["USDC/USD"] == local.feeds["USDC"]
    assert {
        "uniswap_v2_factory": uniswap.v2_factory, "uniswap_v3_factory": uniswap.v3_factory, "uniswap_v3_position_manager": uniswap.v3_npm, "uniswap_v3_quoter_v2": uniswap.quoter_v2,
        "uniswap_v3_router_02": uniswap.router02, "uniswap_v4_pool_manager": uniswap.v4_pool_manager,
        "uniswap_v4_state_view": uniswap.v4_state_view, "universal_router": uniswap.universal_router, "multicall3": addresses.MULTICALL3,
        "permit2": addresses.PERMIT2, "safe": addresses.SAFE["Safe"], "safe_proxy_factory": addresses.SAFE["SafeProxyFactory"],
        "safe_multi_send_call_only": addresses.SAFE["MultiSendCallOnly"], "balancer_vault": addresses.BALANCER["Vault"],
    }.items() <= dict(chain.contracts).items()  # fmt: skip
    if chain.aave:
        assert (chain.aave.pool, chain.aave.oracle) == (addresses.AAVE["Pool"], addresses.AAVE["AaveOracle"])


def test_an_unknown_chain_is_told_the_nearest_name() -> None:
    with pytest.raises(Usage) as refused:
        load("etherium")
    assert "did you mean ethereum" in refused.value.hint
