"""What to bid and what to keep for gas. Pure integers; wei everywhere; rounding always up, against ourselves.

Formulas: EIP-1559 (base fee moves at most 1/8 a block); OP-stack Fjord specification (L1 data fee from the FastLZ size);
Arbitrum's two-part price (L2 gas, plus L1 calldata priced in L2 gas).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum

from chains.errors import Usage
from chains.types import Fees

GWEI = 10**9
# A node replaces a pending transaction at +10 % (geth) or +12.5 % (others) on both fees: 13 % passes everywhere.
BUMP_BPS = 1300
MIN_TIP_WEI = 1


@dataclass(frozen=True, slots=True)
class FeeHistory:
    """`base_fee_wei` has one entry more than there are blocks: the next block's. `rewards_wei` is block by percentile."""

    oldest: int
    base_fee_wei: tuple[int, ...]
    rewards_wei: tuple[tuple[int, ...], ...]


class Urgency(Enum):
    """(blocks of base-fee growth that the bid survives, percentile of recent tips)."""

    PATIENT = (3, 40)
    NORMAL = (6, 60)
    URGENT = (12, 75)

    @property
    def blocks(self) -> int:
        return self.value[0]

    @property
    def percentile(self) -> int:
        return self.value[1]


PERCENTILES = tuple(sorted(u.percentile for u in Urgency))


def ceil_div(a: int, b: int) -> int:
    return -(-a // b)


def base_fee_after_up(base_fee_wei: int, blocks: int) -> int:
    """The largest base fee possible `blocks` full blocks later: each block adds max(1, base/8), rounded up."""
    for _ in range(blocks):
        base_fee_wei += max(1, ceil_div(base_fee_wei, 8))
    return base_fee_wei


def bid(
    history: FeeHistory, urgency: Urgency, *, floor_tip_wei: int = GWEI // 100, cap_tip_wei: int = 50 * GWEI
) -> Fees:
    """A bid that stays includable for `urgency.blocks` blocks whatever the base fee does.

    The tip is the median over recent blocks of the urgency's percentile of paid tips (`history` asked with PERCENTILES),
    within [floor, cap], never 0. Raises Usage for an empty history.
    """
    if not history.base_fee_wei:
        raise Usage("NO_FEE_HISTORY", "the fee history is empty", "ask for at least one block")
    at = PERCENTILES.index(urgency.percentile)
    # An empty block reports zero tips and says nothing about what inclusion costs.
    paid = sorted(row[at] for row in history.rewards_wei if len(row) > at and row[at] > 0)
    median = paid[len(paid) // 2] if paid else 0
    tip = max(MIN_TIP_WEI, min(max(median, floor_tip_wei), cap_tip_wei))
    return Fees(base_fee_after_up(history.base_fee_wei[-1], urgency.blocks) + tip, tip)


def bump_up(fees: Fees, *, bump_bps: int = BUMP_BPS, at_least: Fees | None = None) -> Fees:
    """The replacement's fees: both at least `bump_bps` more than before, and not below a fresh bid."""

    def more(fee: int) -> int:
        return max(ceil_div(fee * (10_000 + bump_bps), 10_000), fee + 1)

    tip, cap = more(fees.max_priority_fee_wei), more(fees.max_fee_wei)
    if at_least is not None:
        tip, cap = max(tip, at_least.max_priority_fee_wei), max(cap, at_least.max_fee_wei)
    return Fees(max(cap, tip), tip)


def gas_limit_up(estimate: int, *, margin_bps: int = 1500) -> int:
    return ceil_div(estimate * (10_000 + margin_bps), 10_000)


def cost_at_most(gas: int, fees: Fees, *, l1_fee_wei: int = 0) -> int:
    """The most a transaction can cost beside its value."""
    return gas * fees.max_fee_wei + l1_fee_wei


def reserve_wei(
    gas_per_tx: int, fees: Fees, transactions: int, *, bumps: int = 3, l1_fee_wei: int = 0
) -> int:
    """Native balance to keep so that `transactions` more can each be sent and replaced `bumps` times (the last one pays)."""
    top = fees
    for _ in range(bumps):
        top = bump_up(top)
    return transactions * cost_at_most(gas_per_tx, top, l1_fee_wei=l1_fee_wei)


def cancel_fees(previous: Fees) -> Fees:
    """The fees of a same-nonce cancel."""
    return bump_up(previous)


CANCEL_GAS = 22_000

# Fjord: estimated size = max(100, (-42.5856 + 0.8365 × FastLZ size)), all scaled by 1e6.
FJORD_INTERCEPT, FJORD_SLOPE, FJORD_MINIMUM = -42_585_600, 836_500, 100_000_000


@dataclass(frozen=True, slots=True)
class OpStackL1:
    """GasPriceOracle's figures: both fees in wei, scalars as the contract holds them (scaled by 1e6)."""

    l1_base_fee_wei: int
    blob_base_fee_wei: int
    base_fee_scalar: int
    blob_base_fee_scalar: int


def op_stack_l1_fee_of_size(fastlz_size: int, l1: OpStackL1) -> int:
    """The contract's own arithmetic, division rounded down as it does."""
    size = max(FJORD_MINIMUM, FJORD_INTERCEPT + FJORD_SLOPE * fastlz_size)
    price = 16 * l1.base_fee_scalar * l1.l1_base_fee_wei + l1.blob_base_fee_scalar * l1.blob_base_fee_wei
    return size * price // 10**12


def op_stack_l1_fee(signed_rlp: bytes, l1: OpStackL1) -> int:
    """Wei taken on top of gas for a signed transaction on an OP-stack chain since Fjord."""
    return op_stack_l1_fee_of_size(fastlz_length(signed_rlp), l1)


def op_stack_l1_fee_upper(unsigned_size: int, l1: OpStackL1) -> int:
    """An upper bound before signing: 68 bytes of signature, and FastLZ's worst case."""
    size = unsigned_size + 68
    return op_stack_l1_fee_of_size(size + size // 255 + 16, l1)


def fastlz_length(data: bytes) -> int:
    """Length of FastLZ level-1 output, as the OP stack counts it: a hash of 13 bits over three bytes, a window of 8192."""
    size, anchor, at = 0, 0, 0
    table = [0] * 8192
    limit = max(0, len(data) - 13)

    def three(i: int) -> int:
        return data[i] | data[i + 1] << 8 | data[i + 2] << 16

    def slot(value: int) -> int:
        return (2_654_435_769 * value >> 19) & 0x1FFF

    def literals(count: int) -> int:
        return 0x21 * (count // 0x20) + (count % 0x20 + 1 if count % 0x20 else 0)

    at += 2
    while at < limit:
        while True:
            value = three(at)
            place = slot(value)
            candidate = table[place]
            table[place] = at
            distance = at - candidate
            if at >= limit:
                break
            at += 1
            if distance < 8192 and value == three(candidate):
                break
        if at >= limit:
            break
        at -= 1
        if at > anchor:
            size += literals(at - anchor)
        matched = _match(data, candidate + 3, at + 3, limit + 9)
        run = matched - 1
        size += 3 * (run // 262) + (3 if run % 262 >= 6 else 2)
        at += matched
        for _ in range(2):
            table[slot(three(at))] = at
            at += 1
        anchor = at
    return size + literals(len(data) - anchor)


def _match(data: bytes, first: int, second: int, end: int) -> int:
    """How many bytes agree, counted the way the reference does: the byte that differs is counted too."""
    count = 0
    while second + count < end:
        if data[first + count] != data[second + count]:
            return count + 1
        count += 1
    return count


@dataclass(frozen=True, slots=True)
class ArbitrumL1:
    """NodeInterface's figures: the L1 price per calldata unit (16 a byte) and the L2 base fee, in wei."""

    l1_base_fee_wei: int
    l2_base_fee_wei: int


# What the batch poster adds to each transaction before compression.
ARBITRUM_STATIC_BYTES = 140


def arbitrum_gas_up(l2_gas: int, compressed_size: int, l1: ArbitrumL1, *, drift_bps: int = 2000) -> int:
    """A gas limit covering both parts: L2 gas, and the L1 cost expressed in L2 gas with room for the L1 price to drift."""
    if l1.l2_base_fee_wei <= 0:
        raise Usage(
            "NO_BASE_FEE", "an Arbitrum estimate needs the L2 base fee", "read the latest block first"
        )
    l1_cost = 16 * (compressed_size + ARBITRUM_STATIC_BYTES) * l1.l1_base_fee_wei
    return l2_gas + ceil_div(l1_cost * (10_000 + drift_bps), l1.l2_base_fee_wei * 10_000)


def effective_gas_price(fees: Fees, base_fee_wei: int) -> int:
    return min(fees.max_fee_wei, base_fee_wei + fees.max_priority_fee_wei)


def median(values: Sequence[int]) -> int:
    return sorted(values)[len(values) // 2] if values else 0
