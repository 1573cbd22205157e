"""What the agent's key may pay into the Safe's own loans: the rules, the contract that holds them, the calls that grant it. Pure.

    agent's key ─> a Roles v2 modifier of its own ─> Payments (`pay`) ─> the lender, on the Safe's account

Payments (contracts/src/Payments.sol) stands beside the Gate, asks it for freeze, term, deadline and delay, and has allowances of its
own. Its list of rules is fixed when it is created: another list is another contract, and the allowances of the former are the owners'
to take back. Opened before the Gate is sealed it may be used at once, later after the Gate's delay; any one owner closes it at once.

Units: `_raw` base units of the rule's asset. Errors: Usage SCOPE_INVALID, GATE_CODE.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass

from chains.errors import Usage
from chains.types import ZERO_ADDRESS, Address
from contracts import payments
from contracts.abi_types import Value
from contracts.codec import encode, selector
from contracts.multisend import Part

NO_MARKET = bytes(32)


@dataclass(frozen=True, slots=True)
class PaymentRule:
    """`action` (repay, or supply of collateral) of `asset` at `lender`, a market of Compound III (`kind` compound_v3) or Morpho Blue in the
    market `market` (morpho_blue; the id, 32 bytes). In any 24 hours `per_day_raw` passes, of it `burst_raw` at once, the rest by and by: it is what
    refills the budget. `allowance_raw` is what may ever be taken for it before the owners allow more."""

    kind: str
    lender: Address
    action: str
    asset: Address
    burst_raw: int
    per_day_raw: int
    allowance_raw: int
    market: bytes = NO_MARKET

    @property
    def words(self) -> str:
        where = f" in the market 0x{self.market.hex()}" if self.market != NO_MARKET else ""
        return f"{self.lender}{where}"

    @property
    def on_chain(self) -> dict[str, Value]:
        """Payments.Rule."""
        return {
            "lender": self.lender,
            "kind": payments.KINDS[self.kind],
            "action": payments.ACTIONS[self.action],
            "asset": self.asset,
            "market": self.market,
            "burst": self.burst_raw,
            "ratePerDay": self.per_day_raw - self.burst_raw,
        }


def check(rules: Sequence[PaymentRule], listed: Collection[str], taken: Collection[str]) -> None:
    """`listed` are the scope's tokens; no lender may be among `taken`. Raises Usage SCOPE_INVALID."""
    if len(rules) > payments.MOST_RULES:
        raise _invalid(f"{len(rules)} payments; one contract holds {payments.MOST_RULES}")
    seen = set()
    for rule in rules:
        if rule.kind not in payments.KINDS or rule.action not in payments.ACTIONS:
            raise _invalid(
                f"a payment is {' or '.join(payments.ACTIONS)} at {' or '.join(payments.KINDS)}, not {rule.action} at {rule.kind}"
            )
        if rule.asset not in listed:
            raise _invalid(f"a payment of {rule.asset}, which is not among the tokens")
        if rule.lender in taken or rule.lender in listed or rule.lender == ZERO_ADDRESS:
            raise _invalid(f"{rule.lender} has another part here: it can be no lender")
        if len(rule.market) != 32 or (rule.kind == "morpho_blue") != any(rule.market):
            raise _invalid("a market of Morpho Blue has an id of 32 bytes, one of Compound III none")
        if not 0 < rule.burst_raw < rule.per_day_raw < 1 << 128 or not 0 < rule.allowance_raw < 1 << 256:
            # All of the day's at once would leave nothing to refill it with: once used it would stay empty.
            raise _invalid(f"{rule.words}: 0 < at_once < per_day is needed, and an allowance above zero")
        if (key := (rule.lender, rule.market, rule.action, rule.asset)) in seen:
            raise _invalid(f"{rule.action} at {rule.words} is listed twice")
        seen.add(key)
    if beyond := [token for token, raw in allowed(rules).items() if raw >= 1 << 256]:
        raise _invalid(f"{beyond[0]}: the allowances of its payments together are more than a token can hold")


def address(creation: bytes, gate_at: Address, rules: Sequence[PaymentRule]) -> Address:
    """Where it stands. Raises Usage GATE_CODE where `creation` is not the recorded code."""
    try:
        return Address(payments.address(creation, gate_at, [r.on_chain for r in rules]))
    except ValueError as error:
        raise Usage("GATE_CODE", str(error), "run scripts/setup from the same version") from None


def creating(creation: bytes, gate_at: Address, rules: Sequence[PaymentRule]) -> Part:
    """Raises ValueError where `creation` is not the recorded code."""
    return Part(payments.FACTORY, 0, payments.creating(creation, gate_at, [r.on_chain for r in rules]))


def allowed(rules: Sequence[PaymentRule]) -> dict[Address, int]:
    """What it may ever take, by token: its rules' together, since a token knows one allowance a spender."""
    found: dict[Address, int] = {}
    for rule in rules:
        found[rule.asset] = found.get(rule.asset, 0) + rule.allowance_raw
    return found


def under_a_role(roles: Address, at: Address, role: bytes, agent: Address) -> list[Part]:
    """The modifier's settings: `agent` may have it call `pay` of `at`, and nothing else."""
    pay = selector("payments", "pay")
    return [
        _part(roles, "zodiac_roles", "scopeTarget", role, at),
        _part(roles, "zodiac_roles", "allowFunction", role, at, pay, 0),
        _part(roles, "zodiac_roles", "assignRoles", agent, (role,), (True,)),
    ]


def opening(roles: Address, at: Address, rules: Sequence[PaymentRule], again: bool = False) -> list[Part]:
    """Opened for the modifier, and last the allowances. `again`: it stood before and may have some left, which are taken back first: a token
    like USDT sets no allowance over another one."""
    given = []
    for token, raw in allowed(rules).items():
        given += [_part(token, "erc20", "approve", at, 0)] if again else []
        given.append(_part(token, "erc20", "approve", at, raw))
    return [_part(at, "payments", "open", roles), *given]


def _part(to: str, contract: str, function: str, *args: Value) -> Part:
    return Part(to, 0, encode(contract, function, args))


def _invalid(why: str) -> Usage:
    return Usage("SCOPE_INVALID", why, "correct scopes.payments in the settings; nothing was signed")
