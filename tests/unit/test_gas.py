from __future__ import annotations

import pytest

from chains.errors import Usage
from chains.gas import (
    GWEI,
    PERCENTILES,
    ArbitrumL1,
    FeeHistory,
    OpStackL1,
    Urgency,
    arbitrum_gas_up,
    bid,
    bump_up,
    fastlz_length,
    op_stack_l1_fee,
    op_stack_l1_fee_of_size,
    op_stack_l1_fee_upper,
    reserve_wei,
)
from chains.types import Fees

CONTRACT_CALL = bytes.fromhex(
    "02f901550a758302df1483be21b88304743f94f80e51afb613d764fa61751affd3313c190a86bb870151bd62fd12adb8e41ef24f3f"
    "000000000000000000000000000000000000000000000000000000000000006e000000000000000000000000af88d065e77c8cc2239327c5"
    "edb3a432268e5831000000000000000000000000000000000000000000000000000000000003c1e500000000000000000000000000000000"
    "0000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000a00000000000000000"
    "0000000000000000000000000000000000000000000000148c89ed219d02f1a5be012c689b4f5b731827bebe00000000000000000000000"
    "0c001a033fd89cb37c31b2cba46b6466e040c61fc9b2a3675a7f5f493ebd5ad77c497f8a07cdf65680e238392693019b4092f610222e71b"
    "7cec06449cb922b93b6a12744e"
)


# The sizes are those OP-stack clients agree on.
@pytest.mark.parametrize(
    ("data", "size"),
    [
        (b"", 0),
        (bytes(1000), 21),
        (b"\x2a" * 1000, 21),
        (bytes.fromhex("facade"), 4),
        (CONTRACT_CALL, 202),
    ],
)
def test_fastlz_length_is_the_op_stacks(data: bytes, size: int) -> None:
    assert fastlz_length(data) == size


def mixed(n: int, k: int) -> bytes:
    """Runs, rising bytes and zeroes in an order without a period."""
    return b"".join(
        bytes([(i * k) % 251] * (i % k + 1)) + bytes(range(k, k + i % 17)) + bytes(i % 5 * 8)
        for i in range(n)
    )


# Lengths by Solady's own LibZip, whose port every OP-stack client is.
@pytest.mark.parametrize(
    ("n", "k", "length", "size"),
    [(5, 3, 99, 49), (20, 5, 519, 208), (60, 7, 1638, 590), (200, 11, 5965, 1974), (500, 13, 15444, 4820)],
)
def test_fastlz_length_of_mixed_data(n: int, k: int, length: int, size: int) -> None:
    assert len(mixed(n, k)) == length
    assert fastlz_length(mixed(n, k)) == size


def test_every_further_distinct_byte_makes_it_longer() -> None:
    lengths = [fastlz_length(bytes(range(n))) for n in range(1, 257)]
    assert lengths == sorted(set(lengths))


def test_op_stack_fee_follows_the_fjord_formula() -> None:
    l1 = OpStackL1(30 * GWEI, 10 * GWEI, 5227, 1_014_213)
    price = 16 * 5227 * 30 * GWEI + 1_014_213 * 10 * GWEI
    assert op_stack_l1_fee_of_size(202, l1) == (-42_585_600 + 836_500 * 202) * price // 10**12
    assert op_stack_l1_fee(b"\1", l1) == 100_000_000 * price // 10**12
    assert op_stack_l1_fee(CONTRACT_CALL, l1) <= op_stack_l1_fee_upper(len(CONTRACT_CALL) - 68, l1)


def test_arbitrum_prices_calldata_in_l2_gas() -> None:
    l1 = ArbitrumL1(l1_base_fee_wei=1_000_000, l2_base_fee_wei=10_000_000)
    assert arbitrum_gas_up(100_000, 260, l1, drift_bps=0) == 100_000 + 16 * 400 * 1_000_000 // 10_000_000
    assert arbitrum_gas_up(100_000, 260, l1) > arbitrum_gas_up(100_000, 260, l1, drift_bps=0)
    with pytest.raises(Usage):
        arbitrum_gas_up(1, 1, ArbitrumL1(1, 0))


def test_a_bid_takes_the_urgencys_tip_and_survives_its_blocks() -> None:
    rows = tuple((GWEI, 2 * GWEI, 3 * GWEI) for _ in range(5))
    history = FeeHistory(1, (10 * GWEI,) * 6, rows)
    assert [bid(history, u).max_priority_fee_wei // GWEI for u in Urgency] == [1, 2, 3]
    assert len(PERCENTILES) == 3
    assert bid(history, Urgency.PATIENT).max_fee_wei >= 10 * GWEI * 1125**3 // 1000**3 + GWEI


def test_empty_blocks_do_not_bring_the_tip_to_zero() -> None:
    history = FeeHistory(1, (GWEI, GWEI), ((0, 0, 0),))
    assert bid(history, Urgency.NORMAL, floor_tip_wei=0).max_priority_fee_wei == 1
    with pytest.raises(Usage, match="empty"):
        bid(FeeHistory(1, (), ()), Urgency.NORMAL)


def test_a_replacement_raises_both_fees() -> None:
    assert bump_up(Fees(100, 10)) == Fees(113, 12)
    assert bump_up(Fees(1, 0)) == Fees(2, 1)
    assert bump_up(Fees(100, 10), at_least=Fees(500, 5)) == Fees(500, 12)


def test_the_reserve_pays_for_replacements() -> None:
    fees = Fees(100, 10)
    assert reserve_wei(21_000, fees, 1, bumps=0) == 2_100_000
    assert reserve_wei(21_000, fees, 2, bumps=1, l1_fee_wei=5) == 2 * (21_000 * 113 + 5)
