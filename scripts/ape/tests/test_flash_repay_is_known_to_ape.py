"""FlashRepay as an ape contract, at its one address: an ape account's own loan repaid out of its own collateral, or nothing happens."""

from __future__ import annotations

import ape
import pytest

from chains.devnet.addresses import AAVE, CHAINS
from chains.devnet.artifacts import artifact
from contracts import flash_repay
from contracts.hashing import keccak

E18 = 10**18
FOREVER = 2**40
A_TOKEN = 8  # the place of the aToken in getReserveData


@pytest.fixture
def flash(networks):
    assert keccak(bytes(networks.provider.get_code(flash_repay.ADDRESS))) == flash_repay.FLASH.runtime_hash
    return ape.Contract(flash_repay.ADDRESS, abi=artifact("FlashRepay").abi)


def test_a_loan_is_repaid_within_what_was_said_or_nothing_happens(flash, weth, usdc, accounts):
    debtor, factory = accounts[2], CHAINS[1].uniswap.v3_factory
    pool = ape.Contract(AAVE["Pool"], abi=artifact("AavePool").abi)
    lent = ape.Contract(pool.getReserveData(weth)[A_TOKEN], abi=artifact("AToken").abi)
    weth.deposit(value=5 * E18, sender=debtor)
    weth.approve(pool, 5 * E18, sender=debtor)
    pool.supply(weth, 5 * E18, debtor, 0, sender=debtor)
    pool.borrow(usdc, 9_000 * 10**6, 2, 0, debtor, sender=debtor)
    lent.approve(flash, 2 * E18, sender=debtor)

    def asked(most: int, least: int) -> tuple[object, ...]:
        way = (factory, [usdc.address, weth.address], [500])
        return (pool.address, lent.address, 3_000 * 10**6, most, least, FOREVER, *way)

    with ape.reverts():
        flash.repay(asked(E18 // 2, E18), sender=debtor)
    with ape.reverts():
        flash.repay(asked(2 * E18, 9 * E18), sender=debtor)
    before = pool.getUserAccountData(debtor)[5]
    flash.repay(asked(2 * E18, E18), sender=debtor)
    assert pool.getUserAccountData(debtor)[5] > before
    assert usdc.balanceOf(debtor) == 9_000 * 10**6 and weth.balanceOf(debtor) == 0
    assert lent.balanceOf(flash) == usdc.balanceOf(flash) == weth.balanceOf(flash) == 0
