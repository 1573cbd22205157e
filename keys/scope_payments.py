"""What the agent's key may pay into the Safe's own loans: the rules, the contract that holds them, the calls that grant it. Pure.

    agent's key ─> a Roles v2 modifier of its own ─> Payments, FurtherPayments (`pay`) ─> the lender, on the Safe's account

Payments (contracts/src/Payments.sol: Compound III, Morpho Blue) and FurtherPayments (pools of Aave V3's kind, vaults at Maker) stand beside
the Gate, ask it for freeze, term, deadline and delay, and have allowances of their own. The list of rules is fixed when one is created:
another list is another contract, and the allowances of the former are the owners' to take back. Opened before the Gate is sealed it may be
used at once, later after the Gate's delay; any one owner closes it at once. What a scope says of both is split by `split`.

Units: `_raw` base units of the rule's asset. Errors: Usage SCOPE_INVALID, GATE_CODE.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, field

from chains.errors import Usage
from chains.types import ZERO_ADDRESS, Address
from contracts import payments
from contracts.abi_types import Value
from contracts.codec import encode, selector
from contracts.multisend import Part
from contracts.payments import Form
from keys.sentences_words import ilk

NO_MARKET = bytes(32)


@dataclass(frozen=True, slots=True)
class PaymentRule:
    """`action` (repay, or supply of collateral) of `asset` at `lender`, by `kind`:

    compound_v3   the market (Comet)
    morpho_blue   Morpho Blue, in the market `market` (the id, 32 bytes)
    aave_v3       the pool; `account` is the asset's aToken (supply) or variable debt token (repay) there
    maker         the adapter of the asset; `account` is the vault's urn, `market` its ilk (32 bytes), `fees` the Jug

    In any 24 hours `per_day_raw` passes, of it `burst_raw` at once and the rest by and by, which refills the budget; `allowance_raw` is what may ever be taken for it before the owners
    allow more."""

    kind: str
    lender: Address
    action: str
    asset: Address
    burst_raw: int
    per_day_raw: int
    allowance_raw: int
    market: bytes = NO_MARKET
    account: Address = ZERO_ADDRESS
    fees: Address = ZERO_ADDRESS

    @property
    def form(self) -> Form:
        """The contract that knows such lenders."""
        return payments.FURTHER if self.kind in payments.FURTHER.kinds else payments.FIRST

    @property
    def words(self) -> str:
        if self.kind == "maker":
            return f"{self.account}, a vault of {ilk(self.market)} paid through {self.lender}"
        where = f" in the market 0x{self.market.hex()}" if self.market != NO_MARKET else ""
        return f"{self.lender}{where}"

    @property
    def on_chain(self) -> dict[str, Value]:
        """The contract's Rule."""
        more: dict[str, Value] = {"account": self.account, "fees": self.fees}
        return {
            "lender": self.lender,
            "kind": payments.KINDS[self.kind],
            "action": payments.ACTIONS[self.action],
            "asset": self.asset,
            "market": self.market,
            "burst": self.burst_raw,
            "ratePerDay": self.per_day_raw - self.burst_raw,
        } | (more if self.form is payments.FURTHER else {})


@dataclass(frozen=True, slots=True)
class Payer:
    """One contract that a scope has for payments: its form, where it stands, the Roles modifier in front of it, its rules in their order."""

    form: Form
    contract: Address
    roles: Address
    rules: tuple[PaymentRule, ...]
    creation: bytes = field(repr=False)


def split(rules: Sequence[PaymentRule]) -> dict[str, tuple[PaymentRule, ...]]:
    """By the interface of their contract; a rule's number there is its place. A contract without rules is left out."""
    found = {form.interface: tuple(r for r in rules if r.form is form) for form in payments.FORMS}
    return {interface: own for interface, own in found.items() if own}


def check(
    rules: Sequence[PaymentRule], listed: Collection[str], taken: Collection[str], safe: Address
) -> None:
    """`listed` are the scope's tokens; no lender may be among `taken`, and of these no account but the Safe's, which may be a vault itself.
    Raises Usage SCOPE_INVALID."""
    if (most := max(map(len, split(rules).values()), default=0)) > payments.MOST_RULES:
        raise _invalid(f"{most} payments; one contract holds {payments.MOST_RULES}")
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
        if len(rule.market) != 32 or (rule.kind in ("morpho_blue", "maker")) != any(rule.market):
            raise _invalid(
                "a market of Morpho Blue has an id of 32 bytes, a vault at Maker an ilk, any other none"
            )
        _check_account(rule, listed, taken, safe)
        if not 0 < rule.burst_raw < rule.per_day_raw < 1 << 128 or not 0 < rule.allowance_raw < 1 << 256:
            raise _invalid(
                f"{rule.words}: 0 < at_once < per_day is needed (the rest is what a day gives back), and an allowance above zero"
            )
        if (key := (rule.lender, rule.market, rule.account, rule.action, rule.asset)) in seen:
            raise _invalid(f"{rule.action} at {rule.words} is listed twice")
        seen.add(key)
    if beyond := [token for token, raw in allowed(rules).items() if raw >= 1 << 256]:
        raise _invalid(f"{beyond[0]}: the allowances of its payments together are more than a token can hold")


def _check_account(rule: PaymentRule, listed: Collection[str], taken: Collection[str], safe: Address) -> None:
    if (rule.kind in payments.FURTHER.kinds) == (rule.account == ZERO_ADDRESS):
        raise _invalid(
            "a pool has a token for what is lent or owed there, a vault at Maker an urn, any other none"
        )
    if (rule.kind == "maker") == (rule.fees == ZERO_ADDRESS):
        raise _invalid("a vault at Maker has a Jug that accrues its fee, any other lender none")
    others = {*taken, *listed} - {ZERO_ADDRESS} - ({safe} if rule.kind == "maker" else set())
    # A vault of the agent's key would be a thief's: he takes out what is paid in.
    if rule.account in {*others, rule.lender} or rule.fees in {*listed, *taken, rule.lender} - {ZERO_ADDRESS}:
        raise _invalid(f"{rule.words}: its account or its Jug has another part here")


def address(
    creation: bytes, gate_at: Address, rules: Sequence[PaymentRule], form: Form = payments.FIRST
) -> Address:
    """Where it stands. Raises Usage GATE_CODE where `creation` is not the recorded code."""
    try:
        return Address(payments.address(creation, gate_at, [r.on_chain for r in rules], form))
    except ValueError as error:
        raise Usage("GATE_CODE", str(error), "run scripts/setup from the same version") from None


def creating(payer: Payer, gate_at: Address) -> Part:
    """Raises ValueError where its `creation` is not the recorded code."""
    told = [r.on_chain for r in payer.rules]
    return Part(payments.FACTORY, 0, payments.creating(payer.creation, gate_at, told, payer.form))


def allowed(rules: Sequence[PaymentRule]) -> dict[Address, int]:
    """What it may ever take, by token: its rules' together, since a token knows one allowance a spender."""
    found: dict[Address, int] = {}
    for rule in rules:
        found[rule.asset] = found.get(rule.asset, 0) + rule.allowance_raw
    return found


def under_a_role(payer: Payer, role: bytes, agent: Address) -> list[Part]:
    """The modifier's settings: `agent` may have it call `pay` of the contract, and nothing else."""
    pay, roles, at = selector("payments", "pay"), payer.roles, payer.contract
    return [
        _part(roles, "zodiac_roles", "scopeTarget", role, at),
        _part(roles, "zodiac_roles", "allowFunction", role, at, pay, 0),
        _part(roles, "zodiac_roles", "assignRoles", agent, (role,), (True,)),
    ]


def opening(payer: Payer, again: bool = False) -> list[Part]:
    """Opened for the modifier, and last the allowances. `again`: it stood before and may have some left, which are taken back first: a token
    like USDT sets no allowance over another one."""
    at, given = payer.contract, list[Part]()
    for token, raw in allowed(payer.rules).items():
        given += [_part(token, "erc20", "approve", at, 0)] if again else []
        given.append(_part(token, "erc20", "approve", at, raw))
    return [_part(at, "payments", "open", payer.roles), *given]


def _part(to: str, contract: str, function: str, *args: Value) -> Part:
    return Part(to, 0, encode(contract, function, args))


def _invalid(why: str) -> Usage:
    return Usage("SCOPE_INVALID", why, "correct scopes.payments in the settings; nothing was signed")
