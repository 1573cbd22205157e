"""What data on Ethereum costs a bundle on a rollup: prices from the chain's own contracts, sizes found here, nothing of the calldata told to anybody."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from agent.app.data_fees import DataFees, data_gas, sample
from chains.errors import Retry
from chains.gas import ArbitrumL1, OpStackL1, fastlz_length, op_stack_l1_fee_of_size
from chains.l1_data import ENVELOPE_BYTES, ArbitrumPrices, OpStackPrices, data_prices
from chains.profile import L1Fee
from chains.profiles import load
from chains.types import BlockRef, Call, CallResult, Fees, Hash32
from contracts.codec import decode_call, selector

GWEI = 10**9
WORD = Hash32("0x" + "1" * 64)
BASE, ARBITRUM, ETHEREUM = load("base"), load("arbitrum"), load("ethereum")
TOLD = {
    "l1BaseFee": 12 * GWEI,
    "blobBaseFee": 3 * GWEI,
    "baseFeeScalar": 2_269,
    "blobBaseFeeScalar": 1_055_762,
}
CALLDATA = bytes(range(256)) * 3 + bytes(900)


class Rollup:
    """A node that answers as the contracts' published interfaces say; `silent` as one on which they do not stand."""

    def __init__(self, chain_id: int, silent: bool = False) -> None:
        self.chain_id, self.silent, self.asked = chain_id, silent, list[Call]()

    async def block(self, tag: int | str = "latest") -> BlockRef:
        return BlockRef(9, WORD, WORD, 1_700_000_000, 6 * 10**6)

    async def call(self, call: Call, block: int | str = "latest") -> CallResult:
        self.asked.append(call)
        if self.silent:
            return CallResult(True, b"")
        for name, value in TOLD.items():
            if call.to == BASE.contracts["gas_price_oracle"] and call.data == selector(
                "gas_price_oracle", name
            ):
                return CallResult(True, value.to_bytes(32, "big"))
        assert call.to == ARBITRUM.contracts["node_interface"]
        assert decode_call("node_interface", call.data).args["data"] == b""
        return CallResult(True, b"".join(n.to_bytes(32, "big") for n in (5_000, 10**7, 2 * GWEI)))


async def prices(chain: Any, of: Any, expected: bool = True) -> Any:
    return await data_prices(chain, of, expected=expected)


async def test_the_op_stacks_formula_is_paid_at_what_a_unit_of_gas_pays() -> None:
    found = await prices(Rollup(8453), BASE)
    l1 = OpStackL1(12 * GWEI, 3 * GWEI, 2_269, 1_055_762)
    assert found == OpStackPrices(l1, 6 * 10**6)
    fees = Fees(GWEI, 10**6)
    owed = op_stack_l1_fee_of_size(fastlz_length(CALLDATA) + ENVELOPE_BYTES + 4, l1)
    gas = found.gas(CALLDATA, fees)
    assert gas * 7 * 10**6 >= owed * 12 // 10 > (gas - 1) * 7 * 10**6
    assert found.gas(CALLDATA, Fees(7 * 10**6, 7 * 10**6)) == gas, "no more is paid for a unit than is bid"


async def test_arbitrums_price_goes_with_the_compressed_size() -> None:
    node = Rollup(42161)
    found = await prices(node, ARBITRUM)
    assert found == ArbitrumPrices(ArbitrumL1(2 * GWEI, 10**7)) and len(node.asked) == 1
    fees = Fees(GWEI, 10**6)
    assert found.gas(bytes(2_000), fees) < found.gas(CALLDATA, fees) < found.gas(CALLDATA * 2, fees) * 2
    least = 16 * 256 * 2 * GWEI // 10**7
    assert found.gas(bytes(range(256)), fees) > least, "256 different bytes cannot be compressed"


@pytest.mark.parametrize("of", [BASE, ARBITRUM])
async def test_an_unknown_price_is_none_on_a_local_chain_and_an_error_on_a_live_one(of: Any) -> None:
    assert await prices(Rollup(of.chain_id, silent=True), of, expected=False) is None
    with pytest.raises(Retry, match="DATA_PRICE_UNKNOWN"):
        await prices(Rollup(of.chain_id, silent=True), of)


async def test_a_chain_of_its_own_charges_nothing_and_is_asked_nothing() -> None:
    node = Rollup(1)
    assert await prices(node, ETHEREUM) is None and node.asked == []
    assert await prices(node, replace(BASE, l1_fee=L1Fee.NONE)) is None


async def test_plans_count_what_the_data_of_a_transaction_and_of_each_leg_costs() -> None:
    """Read once in an Ethereum block; on a chain that charges for none, or does not tell, it is nothing."""
    at = [1_000.0]
    fees, fees_of = DataFees(lambda: at[0]), Fees(10**7, 10**6)
    rollup = Rollup(8453)
    once, each = data_gas(await fees.prices(BASE, rollup), fees_of)
    prices_there = OpStackPrices(OpStackL1(12 * GWEI, 3 * GWEI, 2_269, 1_055_762), 6 * 10**6)
    assert (once, each) == data_gas(prices_there, fees_of) and min(once, each) > 0
    for legs in (1, 2, 5):
        # A leg is some hundred bytes that nothing compresses: the same each time, to within a few.
        whole = prices_there.gas(sample(legs), fees_of)
        assert abs(once + each * legs - whole) < whole / 50
    asked = len(rollup.asked)
    at[0] += 11.0
    assert await fees.prices(BASE, rollup) == prices_there and len(rollup.asked) == asked
    at[0] += 2.0
    assert await fees.prices(BASE, rollup) == prices_there and len(rollup.asked) == 2 * asked
    arbitrum = await DataFees(lambda: 0.0).prices(ARBITRUM, Rollup(42161))
    assert arbitrum == ArbitrumPrices(ArbitrumL1(2 * GWEI, 10**7)) and min(data_gas(arbitrum, fees_of)) > 0
    for chain, silent in ((ETHEREUM, False), (BASE, True)):
        nothing = await DataFees(lambda: 0.0).prices(chain, Rollup(chain.chain_id, silent=silent))
        assert nothing is None and data_gas(nothing, fees_of) == (0, 0)
