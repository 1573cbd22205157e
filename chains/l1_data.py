"""What a rollup's bundle is charged for its data on Ethereum, in gas of the rollup: a part of preVerificationGas there. Reads prices only.

    found = await data_prices(chain, profile, expected=True)       None where the chain charges nothing for data
    found.gas(calldata, fees)                                      units of the rollup's gas, rounded up

The calldata itself is told to nobody: a private operation's is not to be known before its block, so its compressed size is found here.

    OP stack    wei on top of gas, by the Fjord formula of GasPriceOracle; divided by what a unit of gas will pay
    Arbitrum    L1 base fee × 16 a byte after Brotli at its fastest ÷ L2 base fee (ArbOS); DEFLATE at its fastest stands in for Brotli

Both prices move while an operation waits, so a part is added (DRIFT_BPS). What is too much is the bundler's: preVerificationGas is paid whole.
Errors: Retry DATA_PRICE_UNKNOWN where the chain charges for data and does not tell its prices.
"""

from __future__ import annotations

import zlib
from dataclasses import dataclass
from typing import Any, Protocol

from chains.errors import Retry
from chains.gas import (
    ArbitrumL1,
    OpStackL1,
    arbitrum_gas_up,
    ceil_div,
    effective_gas_price,
    fastlz_length,
    op_stack_l1_fee_of_size,
)
from chains.profile import ChainProfile, L1Fee
from chains.types import ZERO_ADDRESS, Call, ChainReader, Fees
from contracts.abi_types import AbiError
from contracts.codec import decode_result, encode

DRIFT_BPS = 2_000
ENVELOPE_BYTES = 128
"""Of the bundler's transaction around its calldata: ids, fees, the EntryPoint, a signature; none of it can be compressed."""
_OP_STACK = ("l1BaseFee", "blobBaseFee", "baseFeeScalar", "blobBaseFeeScalar")


class DataPrices(Protocol):
    def gas(self, data: bytes, fees: Fees) -> int:
        """Gas that pays for a transaction with this calldata, sent on behalf of what pays `fees`."""
        ...


@dataclass(frozen=True, slots=True)
class OpStackPrices:
    """`base_fee_wei` is the rollup's own."""

    l1: OpStackL1
    base_fee_wei: int

    def gas(self, data: bytes, fees: Fees) -> int:
        size = fastlz_length(data) + ENVELOPE_BYTES + ceil_div(ENVELOPE_BYTES, 32)
        owed = op_stack_l1_fee_of_size(size, self.l1) * (10_000 + DRIFT_BPS)
        return ceil_div(owed, max(effective_gas_price(fees, self.base_fee_wei), 1) * 10_000)


@dataclass(frozen=True, slots=True)
class ArbitrumPrices:
    l1: ArbitrumL1

    def gas(self, data: bytes, fees: Fees) -> int:
        """ArbOS charges at its base fee whatever is bid: `fees` do not matter."""
        return arbitrum_gas_up(0, len(zlib.compress(data, 1)), self.l1, drift_bps=DRIFT_BPS)


async def data_prices(chain: ChainReader, profile: ChainProfile, *, expected: bool) -> DataPrices | None:
    """The prices at the head. `expected` false: a local node, which may stand for a rollup without charging as one.

    Raises Retry DATA_PRICE_UNKNOWN, and where the chain does not answer.
    """
    match profile.l1_fee:
        case L1Fee.NONE:
            return None
        case L1Fee.OP_STACK:
            told = await _asked(chain, profile, "gas_price_oracle", *((name, ()) for name in _OP_STACK))
            if told is not None:
                figures = OpStackL1(*(answer[0] for answer in told))
                return OpStackPrices(figures, (await chain.block()).base_fee_wei or 0)
        case L1Fee.ARBITRUM:
            nothing = ("gasEstimateL1Component", (ZERO_ADDRESS, False, b""))
            told = await _asked(chain, profile, "node_interface", nothing)
            if told is not None and told[0][1] > 0:
                return ArbitrumPrices(ArbitrumL1(told[0][2], told[0][1]))
    if expected:
        raise Retry(
            "DATA_PRICE_UNKNOWN",
            f"{profile.name} does not tell what data on Ethereum costs there",
            "ask again, or name another endpoint: without it no bundler would take the operation",
        )
    return None


async def _asked(
    chain: ChainReader, profile: ChainProfile, contract: str, *asked: tuple[str, tuple[Any, ...]]
) -> list[tuple[Any, ...]] | None:
    """The answers, or None where nothing stands there. One by one: NodeInterface answers no other contract's call."""
    found = []
    for function, arguments in asked:
        answer = await chain.call(
            Call(profile.contracts[contract], encode(contract, function, arguments)), "latest"
        )
        try:
            if not answer.ok:
                return None
            found.append(tuple(decode_result(contract, function, answer.data)))
        except AbiError:
            return None
    return found
