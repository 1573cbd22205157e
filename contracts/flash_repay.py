"""Repayments by `contracts/src/FlashRepay.sol`: its record, its one address, and its calldata, exact both ways. Pure.

    repay(Repayment(...)) -> calldata        the debt in tokens[0] is repaid out of the collateral tokens[-1]

A Uniswap V3 pool pays out what it sells before it asks for the price: that is the loan, and its fee the whole of its cost.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from contracts.abi_types import AbiError
from contracts.codec import encode
from contracts.hashing import keccak
from contracts.own import Own, placed_at

FLASH = Own("FlashRepay", "flash_repay.json", keccak(b"fairlead.flash.1"))
ADDRESS = placed_at(FLASH.salt, FLASH.creation_hash)
"""Where it is on every chain that has it."""
MOST_POOLS = 4


@dataclass(frozen=True, slots=True)
class Repayment:
    """`repays` base units of tokens[0], for at most `mostCollateral` of tokens[-1], of which `aToken` is the market's own token.

    `tokens` and `fees` (millionths) are the way of the purchase backwards, by pools of the V3 `factory`; `leastHealth` is 1e18-scaled,
    `deadline` in seconds of the chain's clock. The names are those of the contract's own fields.
    """

    pool: str
    aToken: str
    repays: int
    mostCollateral: int
    leastHealth: int
    deadline: int
    factory: str
    tokens: tuple[str, ...]
    fees: tuple[int, ...]


def repay(r: Repayment) -> bytes:
    """The calldata. Raises AbiError for what does not fit its type, or what the contract refuses by its shape."""
    told = asdict(r)
    checked(told)
    return encode("flash_repay", "repay", (told,))


def checked(told: Mapping[str, Any]) -> Repayment:
    """The repayment a decoded call asks for. Raises AbiError where the contract itself would refuse the shape."""
    r = Repayment(**{**told, "tokens": tuple(told["tokens"]), "fees": tuple(told["fees"])})
    if not 1 <= len(r.fees) <= MOST_POOLS or len(r.tokens) != len(r.fees) + 1 or r.tokens[0] == r.tokens[-1]:
        raise AbiError(f"a purchase by no pool or more than {MOST_POOLS}, or of a token for itself")
    if not 0 < r.repays < 1 << 127:
        raise AbiError(f"a repayment of {r.repays}, which no pool can count")
    return r
