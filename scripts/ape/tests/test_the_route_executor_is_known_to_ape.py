"""The RouteExecutor as an ape contract, at its one address: a route sold by an ape account gives at least its minimum, or reverts."""

from __future__ import annotations

import ape
import pytest

from chains.devnet.addresses import CHAINS
from chains.devnet.artifacts import artifact
from contracts import route_executor as rx
from contracts.hashing import keccak

E18 = 10**18
FOREVER = 2**40


@pytest.fixture
def executor(networks):
    assert keccak(bytes(networks.provider.get_code(rx.ADDRESS))) == rx.EXECUTOR.runtime_hash
    return ape.Contract(rx.ADDRESS, abi=artifact("RouteExecutor").abi)


def test_a_route_gives_its_minimum_or_nothing_happens(executor, weth, usdc, accounts):
    trader, factory = accounts[1], CHAINS[1].uniswap.v3_factory
    weth.deposit(value=2 * E18, sender=trader)
    weth.approve(executor, E18, sender=trader)
    out = (rx.KINDS.index("V3"), 0, 2, False, E18, factory, rx.fee_detail(500))
    back = (rx.KINDS.index("V3"), 2, 1, True, rx.ALL, factory, rx.fee_detail(3000))
    tokens = [weth.address, usdc.address]
    straight = (rx.KINDS.index("V3"), 0, 1, True, rx.ALL, factory, rx.fee_detail(500))
    with ape.reverts():
        executor.route(tokens, E18, 2**100, FOREVER, [straight], sender=trader)
    with ape.reverts():  # the token sold cannot be the one bought: it stands on the list twice
        executor.route(
            [weth.address, weth.address, usdc.address], E18, 1, FOREVER, [out, back], sender=trader
        )
    before = usdc.balanceOf(trader)
    executor.route(tokens, E18, 2_900 * 10**6, FOREVER, [straight], sender=trader)
    assert usdc.balanceOf(trader) - before >= 2_900 * 10**6
    assert weth.balanceOf(trader) == E18 and weth.allowance(trader, executor) == 0
    assert weth.balanceOf(executor) == usdc.balanceOf(executor) == 0
