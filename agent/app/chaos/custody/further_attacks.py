"""Attacks with payments into the wallet's own loans at a further pool of Aave V3's kind and at Maker, where the owners granted them: for somebody
else, out of a vault, past rules and budget, into a lost account, and by lenders that should not have been listed (contracts/test/HostilePool.sol).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

from eth_abi.abi import encode as packed

from agent.app.chaos.custody.attack import Attack, data, direct, fixed, named, role, trade
from agent.app.chaos.custody.world import ETH, MULTI_SEND, THIEF, USDC, USDC_ONE, WETH, Gated
from chains.devnet.artifacts import artifact
from chains.devnet.solidity import rehearsal
from chains.types import Address, Call
from contracts.codec import encode
from contracts.hashing import checksum, keccak
from contracts.multisend import calldata
from keys.safe import DELEGATECALL, SafeTx
from keys.scope import ROLE, Scope, payers, payment_parts
from keys.scope_payments import Payer, PaymentRule

HONEST, KEEP, MORE, REENTER, LOST, IDLE = range(6)
POOL, OWES, LENDS, GEM, JUG, URN = (
    Address(checksum(keccak(f"{part} the owners listed".encode())[12:]))
    for part in ("a pool", "what is owed", "what is lent", "an adapter", "a Jug", "a vault")
)
ILK = b"ETH-A".ljust(32, b"\0")
OWED = 30_000 * USDC_ONE
ONCE, DAY, EVER = 4_000 * USDC_ONE, 6_000 * USDC_ONE, 100_000 * USDC_ONE
REPAY, SUPPLY, WIPE, LOCK = range(4)


def scope_with(w: Gated) -> Scope:
    """The world's scope with a rule for each way in. Of Maker's, the token that is owed is USDC here."""
    usdc, weth = (USDC, ONCE, DAY, EVER), (WETH, 2 * ETH, 3 * ETH, 50 * ETH)
    rules = (
        PaymentRule("aave_v3", POOL, "repay", *usdc, account=OWES),
        PaymentRule("aave_v3", POOL, "supply", *weth, account=LENDS),
        PaymentRule("maker", POOL, "repay", *usdc, ILK, URN, JUG),
        PaymentRule("maker", GEM, "supply", *weth, ILK, URN, JUG),
    )
    code = bytes.fromhex(artifact("FurtherPayments").bytecode)
    return replace(w.scope, payments=rules, further_code=code)


def further(w: Gated) -> Payer:
    """The Gate's FurtherPayments."""
    (found,) = payers(scope_with(w), w.gate)
    return found


def payer(w: Gated) -> Address:
    return further(w).contract


def lender(w: Gated, function: str, types: list[str], *values: Any, at: Address = POOL) -> None:
    verb = keccak(f"{function}({','.join(types)})".encode())[:4]
    w.thief(Call(at, verb + packed(types, values)))


def owing(w: Gated, owed: int) -> None:
    lender(w, "set", ["address", "address", "address", "uint256"], OWES, LENDS, w.safe, owed)


def placed(w: Gated) -> None:
    """By the owners, of a Gate that is sealed: it waits the Gate's delay."""
    parts = {POOL: USDC, OWES: USDC, LENDS: WETH, GEM: WETH, JUG: WETH}
    for part in parts:
        w.rpc("anvil_setCode", part, "0x" + rehearsal("HostilePool.sol", "HostilePool")["runtime"])
    for part, asset in parts.items():
        lender(w, "be", ["address", "address"], asset, POOL, at=part)
    owing(w, OWED)
    made = tuple(payment_parts(scope_with(w), w.gate))
    w.owners_do(SafeTx(MULTI_SEND, 0, calldata(made), DELEGATECALL, w.nonce()))


def granted(w: Gated) -> None:
    placed(w)
    w.later(w.scope.delay_s)


def then(do: Callable[[Gated], object]) -> Callable[[Gated], None]:
    def made(w: Gated) -> None:
        granted(w)
        do(w)

    return made


def lending(what: int) -> Callable[[Gated], None]:
    """Granted, and the lender told what to do to a payment."""
    return then(lambda w: lender(w, "does", ["uint256", "address", "bytes"], what, THIEF, b""))


def reentering(w: Gated) -> None:
    inner = encode("payments", "pay", (REPAY, 1, w.now() + 60))
    lender(w, "does", ["uint256", "address", "bytes"], REENTER, payer(w), inner)


def paying(rule: int, amount: int, ahead_s: int = 60) -> Callable[[Gated], Call]:
    return under(payer, lambda w: encode("payments", "pay", (rule, amount, w.now() + ahead_s)))


def used_up(w: Gated) -> None:
    w.sends(paying(WIPE, ONCE)(w))


def under(
    to: Callable[[Gated], str], inner: Callable[[Gated], bytes], op: int = 0, value: int = 0
) -> Callable[[Gated], Call]:
    """Through that modifier, with the role, to wherever the thief likes."""

    def made(w: Gated) -> Call:
        args = (to(w), value, inner(w), op, ROLE, True)
        return Call(further(w).roles, encode("zodiac_roles", "execTransactionWithRole", args))

    return made


def honest(w: Gated) -> bytes:
    return encode("payments", "pay", (REPAY, USDC_ONE, w.now() + 60))


def as_module(w: Gated) -> bytes:
    inner = encode("erc20", "transfer", (THIEF, 1))
    return encode("payments", "execTransactionFromModule", (USDC, 0, inner, 0))


AT_POOL = fixed(POOL)
FROB = "frob(bytes32,address,address,address,int256,int256)"
PAYMENTS = (
    Attack("a repayment of the thief's debt at the pool", "ConditionViolation", under(AT_POOL, data("aave_v3_pool", "repay", USDC, USDC_ONE, 2, THIEF)), granted),
    Attack("collateral for the thief at the pool", "ConditionViolation", under(AT_POOL, data("aave_v3_pool", "supply", WETH, ETH, THIEF, 0)), granted),
    Attack("a withdrawal from the pool", "ConditionViolation", under(AT_POOL, data("aave_v3_pool", "withdraw", WETH, ETH, THIEF)), granted),
    Attack("a loan at the pool", "ConditionViolation", under(AT_POOL, data("aave_v3_pool", "borrow", USDC, USDC_ONE, 2, 0, THIEF)), granted),
    Attack("collateral out of the vault", "ConditionViolation", under(AT_POOL, named(FROB, ILK, URN, THIEF, THIEF, -ETH, 0)), granted),
    Attack("a draw on the vault", "ConditionViolation", under(AT_POOL, named(FROB, ILK, URN, THIEF, THIEF, 0, USDC_ONE)), granted),
    Attack("a payment booked for the thief at the adapter", "ConditionViolation", under(AT_POOL, data("maker_join", "join", THIEF, USDC_ONE)), granted),
    Attack("a further payment by a rule that is not listed", "RuleNotListed", paying(4, 1), granted),
    Attack("a further payment of more than may be paid at once", "OverPaymentBudget", paying(REPAY, ONCE + 1), granted),
    Attack("a further payment once the budget is used up", "OverPaymentBudget", paying(WIPE, USDC_ONE), then(used_up)),
    Attack("a further payment for a day ahead", "DeadlineTooFar", paying(REPAY, 1, 86_400), granted),
    Attack("a further payment whose time is over", "DeadlinePassed", paying(LOCK, 1, -60), granted),
    Attack("a further payment of nothing", "AmountOutOfRange", paying(WIPE, 0), granted),
    Attack("a further payment before the delay is over", "NotOpenYet", paying(REPAY, 1), placed),
    Attack("a further payment after the freeze", "GateFrozen", paying(LOCK, 1), then(lambda w: w.safe_calls(w.gate, "gate", "freeze"))),
    Attack("a further payment after it was closed", "Closed", paying(REPAY, 1), then(lambda w: w.safe_calls(payer(w), "payments", "close"))),
    Attack("a further payment after the power lapsed", "GateLapsed", paying(WIPE, 1), then(lambda w: w.later(w.scope.term_s))),
    Attack("collateral where the pool is owed nothing", "NothingOwed", paying(SUPPLY, ETH), then(lambda w: owing(w, 0))),
    Attack("collateral where the vault owes nothing", "NothingOwed", paying(LOCK, ETH), then(lambda w: owing(w, 0))),
    Attack("a further payment past the modifier", "NotTheAgent", direct(payer, honest), granted),
    Attack("a further payment by the Gate's modifier", "ConditionViolation", role(payer, honest), granted),
    Attack("a further payment by a stranger", "NotTheAgent", direct(payer, honest), granted, sender=THIEF),
    Attack("the Safe's tokens by a module's call of it", "NotThroughPayments", direct(payer, as_module), granted),
    Attack("the Safe's tokens as a further payment", "ConditionViolation", under(fixed(USDC), data("erc20", "transferFrom", lambda w: w.safe, THIEF, 1)), granted),
    Attack("a delegatecall to a further payment", "ConditionViolation", under(payer, honest, op=1), granted),
    Attack("further payments opened for the thief", "NotTheSafe", direct(payer, data("payments", "open", THIEF)), granted, sender=THIEF),
    Attack("further payments closed by a stranger", "NotAnOwner", direct(payer, data("payments", "close")), granted, sender=THIEF),
    Attack("what makes further payments as a router", "RouteNotListed", lambda w: trade(router=payer(w), data=honest(w))(w), granted),
    Attack("a pool that keeps the money", "ReceivedBelowAmount", paying(REPAY, USDC_ONE), lending(KEEP)),
    Attack("a pool that keeps the collateral", "ReceivedBelowAmount", paying(SUPPLY, ETH), lending(KEEP)),
    Attack("a vault that keeps the money", "ReceivedBelowAmount", paying(WIPE, USDC_ONE), lending(KEEP)),
    Attack("an adapter that keeps the collateral", "ReceivedBelowAmount", paying(LOCK, ETH), lending(KEEP)),
    Attack("a pool that takes more", "exceeds allowance", paying(REPAY, USDC_ONE), lending(MORE)),
    Attack("an adapter that goes in again", "Busy", paying(WIPE, USDC_ONE), then(reentering)),
    Attack("collateral that secures nothing at the pool", "NoCollateral", paying(SUPPLY, ETH), lending(IDLE)),
    Attack("a payment into a lost account at the pool", "StillLiquidatable", paying(REPAY, USDC_ONE), lending(LOST)),
    Attack("a payment into a lost vault", "StillLiquidatable", paying(WIPE, USDC_ONE), lending(LOST)),
    Attack("collateral into a lost vault", "StillLiquidatable", paying(LOCK, ETH), lending(LOST)),
)  # fmt: skip

FAMILIES: dict[str, tuple[Attack, ...]] = {"further payments into loans": PAYMENTS}
