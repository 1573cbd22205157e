"""The devnet's chain 1 with its genuine Aave, on a node of the test's own: the session's mines when it likes."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from liquidations import LIQUIDATOR, NEVER, Pool
from mainnet_world import running_chain

from chains.devnet import state
from chains.devnet.addresses import AAVE, CHAINS
from chains.devnet.artifacts import artifact
from chains.devnet.builder import DEPLOYER
from chains.devnet.funding import give_token
from chains.devnet.nodes import OPERATOR
from chains.profiles import load

CHAIN = CHAINS[1]
WETH, USDC = CHAIN.weth, CHAIN.usdc
ETH, DOLLAR = 10**18, 10**6


def _feed(pool: Pool, token: str, px: int) -> None:
    """The feed's new answer, before all that pays less."""
    feed = CHAIN.feeds["ETH" if token == WETH else "USDC"]
    pool.queue(OPERATOR, feed, artifact("MockV3Aggregator").call("updateAnswer", px), tip_gwei=5)


@contextmanager
def aave_chain(who: str) -> Iterator[Pool]:
    """`who` has lent 10 WETH and a little and owes 20,000 dollars; the protocol takes a tenth of the bonus."""
    if os.environ.get("FAIRLEAD_TEST_NO_DEVNET"):
        pytest.skip("FAIRLEAD_TEST_NO_DEVNET is set")
    state.ensure([1])
    market = load(1).aave
    assert market is not None
    with running_chain(["--load-state", str(state.state_file(1)), "--chain-id", "1", "--no-mining"]) as rpc:
        rpc("evm_mine")  # brings the state, some hours old, to the node's own time
        made = Pool(rpc, 1, market, _feed)
        give_token(rpc.url, WETH, who, 10 * ETH + 1)
        give_token(rpc.url, USDC, LIQUIDATOR, 50_000 * DOLLAR)
        configurator = AAVE["PoolConfigurator"]
        made.do(DEPLOYER, "PoolConfigurator", configurator, "setLiquidationProtocolFee", WETH, 1_000)
        made.do(LIQUIDATOR, "MockERC20", USDC, "approve", market.pool, NEVER)
        made.supply(who, WETH, 10 * ETH + 1)
        made.borrow(who, USDC, 20_000 * DOLLAR + 7)
        yield made
