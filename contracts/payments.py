"""What is recorded of `contracts/src/Payments.sol` and `FurtherPayments.sol`, and where the one of a Gate and its list of rules is (`contracts.own`). Pure.

All of one form have the same runtime code (Gate and rules are in storage), so one EXTCODEHASH tells a genuine one; the address commits to the
rules. Both forms have the same verbs, events and views, in the interface `payments`; only their rules differ, which each form's own
interface tells.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache

from contracts.abi_types import AbiError, Tuple, Value, parse_tuple
from contracts.hashing import keccak
from contracts.own import FACTORY, Own, placed_at


@dataclass(frozen=True)
class Form:
    """One of the two contracts: `interface` names it in contracts/abi, `kinds` are the lenders that it knows, `rule` the fields of its Rule."""

    own: Own
    interface: str
    kinds: Mapping[str, int]
    rule: str

    @property
    def told(self) -> Tuple:
        """Its constructor's arguments."""
        return _parsed(f"address gate, ({self.rule})[] rules")

    @property
    def rule_bytes(self) -> int:
        return 32 * (self.rule.count(",") + 1)


PAYMENTS = Own("Payments", "payments.json", keccak(b"fairlead.payments.1"))
FURTHER_PAYMENTS = Own("FurtherPayments", "further_payments.json", keccak(b"fairlead.further_payments.1"))
_BUDGET = "uint128 burst, uint128 ratePerDay"
FIRST = Form(
    PAYMENTS,
    "payments",
    {"compound_v3": 1, "morpho_blue": 2},
    f"address lender, uint8 kind, uint8 action, address asset, bytes32 market, {_BUDGET}",
)
FURTHER = Form(
    FURTHER_PAYMENTS,
    "further_payments",
    {"aave_v3": 3, "maker": 4},
    f"address lender, uint8 kind, uint8 action, address asset, address account, bytes32 market, address fees, {_BUDGET}",
)
FORMS = (FIRST, FURTHER)
KINDS = {name: number for form in FORMS for name, number in form.kinds.items()}
ACTIONS = {"supply": 1, "repay": 8}
MOST_RULES = 32
_HEAD = 96
__all__ = ["ACTIONS", "FACTORY", "FIRST", "FORMS", "FURTHER", "FURTHER_PAYMENTS", "KINDS", "MOST_RULES", "PAYMENTS", "Form", "Told", "address", "creating", "read"]  # fmt: skip

Rule = Mapping[str, Value]


@dataclass(frozen=True, slots=True)
class Told:
    """What one is created with."""

    gate: str
    rules: tuple[Rule, ...]


def init_code(creation: bytes, gate: str, rules: Sequence[Rule], form: Form = FIRST) -> bytes:
    """What the factory runs. Raises ValueError where `creation` is not the recorded code."""
    return form.own.init_code(creation, form.told.enc((gate, tuple(rules))))


def creating(creation: bytes, gate: str, rules: Sequence[Rule], form: Form = FIRST) -> bytes:
    """The factory's calldata: salt ‖ init code. Raises ValueError as `init_code`."""
    return form.own.salt + init_code(creation, gate, rules, form)


def address(creation: bytes, gate: str, rules: Sequence[Rule], form: Form = FIRST) -> str:
    """Where the factory puts it, checksummed. Raises ValueError as `init_code`."""
    return placed_at(form.own.salt, keccak(init_code(creation, gate, rules, form)))


def read(code: bytes) -> Told | None:
    """Gate and rules out of creation code with its arguments; None where it is any other code, or is told in another form."""
    for form in FORMS:
        for count in range(1, MOST_RULES + 1):
            cut = len(code) - _HEAD - count * form.rule_bytes
            if cut <= 0:
                break
            if keccak(code[:cut]) == form.own.creation_hash:
                return _decoded(form, code[cut:])
    return None


def _decoded(form: Form, arguments: bytes) -> Told | None:
    try:
        told = form.told.decode(arguments)
    except AbiError:
        return None
    rules = told["rules"]
    assert isinstance(rules, Sequence)
    return Told(str(told["gate"]), tuple(dict(r) for r in rules if isinstance(r, Mapping)))


@cache
def _parsed(text: str) -> Tuple:
    return parse_tuple(text)
