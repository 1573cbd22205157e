"""What is recorded of `contracts/src/Payments.sol`, and where the one of a Gate and its list of rules is (`contracts.own`). Pure.

All have the same runtime code (Gate and rules are in storage), so one EXTCODEHASH tells a genuine one; the address commits to the rules.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from contracts.abi_types import AbiError, Value, parse_tuple
from contracts.hashing import keccak
from contracts.own import FACTORY, Own, placed_at

PAYMENTS = Own("Payments", "payments.json", keccak(b"fairlead.payments.1"))
KINDS = {"compound_v3": 1, "morpho_blue": 2}
ACTIONS = {"supply": 1, "repay": 8}
MOST_RULES = 32
RULE = "address lender, uint8 kind, uint8 action, address asset, bytes32 market, uint128 burst, uint128 ratePerDay"
"""Payments.Rule."""
_TOLD = parse_tuple(f"address gate, ({RULE})[] rules")
_HEAD, _RULE = 96, 7 * 32
__all__ = ["ACTIONS", "FACTORY", "KINDS", "MOST_RULES", "PAYMENTS", "Told", "address", "creating", "read"]

Rule = Mapping[str, Value]


@dataclass(frozen=True, slots=True)
class Told:
    """What a Payments is created with."""

    gate: str
    rules: tuple[Rule, ...]


def init_code(creation: bytes, gate: str, rules: Sequence[Rule]) -> bytes:
    """What the factory runs. Raises ValueError where `creation` is not the recorded code."""
    return PAYMENTS.init_code(creation, _TOLD.enc((gate, tuple(rules))))


def creating(creation: bytes, gate: str, rules: Sequence[Rule]) -> bytes:
    """The factory's calldata: salt ‖ init code. Raises ValueError as `init_code`."""
    return PAYMENTS.salt + init_code(creation, gate, rules)


def address(creation: bytes, gate: str, rules: Sequence[Rule]) -> str:
    """Where the factory puts it, checksummed. Raises ValueError as `init_code`."""
    return placed_at(PAYMENTS.salt, keccak(init_code(creation, gate, rules)))


def read(code: bytes) -> Told | None:
    """Gate and rules out of creation code with its arguments; None where it is any other code, or is told in another form."""
    for count in range(1, MOST_RULES + 1):
        cut = len(code) - _HEAD - count * _RULE
        if cut <= 0:
            return None
        if keccak(code[:cut]) == PAYMENTS.creation_hash:
            try:
                told = _TOLD.decode(code[cut:])
            except AbiError:
                return None
            rules = told["rules"]
            assert isinstance(rules, Sequence)
            return Told(str(told["gate"]), tuple(dict(r) for r in rules if isinstance(r, Mapping)))
    return None
