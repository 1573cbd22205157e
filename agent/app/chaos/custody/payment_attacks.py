"""Attacks with payments into the wallet's own loans, where the owners granted the agent's key such payments: to somebody else's account, past
the rules, past the budget, into a lost account, and by a lender that the owners listed and should not have (contracts/test/HostileLender.sol).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

from eth_abi.abi import encode as packed

from agent.app.chaos.custody.attack import Attack, data, direct, fixed, role, trade
from agent.app.chaos.custody.world import ETH, MULTI_SEND, THIEF, USDC, USDC_ONE, WETH, Gated
from chains.devnet.artifacts import artifact
from chains.devnet.solidity import rehearsal
from chains.types import Address, Call
from contracts.codec import encode
from contracts.hashing import checksum, keccak
from contracts.multisend import calldata
from keys.safe import DELEGATECALL, SafeTx
from keys.scope import ROLE, Scope, payers, payment_parts
from keys.scope_payments import PaymentRule

HONEST, KEEP, MORE, REENTER, LOST = range(5)
LENDER = Address(checksum(keccak(b"a lender the owners listed")[12:]))
OWED = 30_000 * USDC_ONE
ONCE, DAY, EVER = 4_000 * USDC_ONE, 6_000 * USDC_ONE, 100_000 * USDC_ONE
COMPOUND, COLLATERAL, MORPHO, MORPHO_COLLATERAL = range(4)
_PARAMS = ["address", "address", "address", "address", "uint256"]
_MARKET = (USDC, WETH, LENDER, LENDER, 86 * 10**16)
_ID = keccak(packed(_PARAMS, _MARKET))


def scope_with(w: Gated) -> Scope:
    """The world's scope with a rule for each way into the lender."""
    usdc = (USDC, ONCE, DAY, EVER)
    weth = (WETH, 2 * ETH, 3 * ETH, 50 * ETH)
    rules = (
        PaymentRule("compound_v3", LENDER, "repay", *usdc),
        PaymentRule("compound_v3", LENDER, "supply", *weth),
        PaymentRule("morpho_blue", LENDER, "repay", *usdc, _ID),
        PaymentRule("morpho_blue", LENDER, "supply", *weth, _ID),
    )
    return replace(w.scope, payments=rules, payments_code=bytes.fromhex(artifact("Payments").bytecode))


def payer(w: Gated) -> Address:
    """The Gate's Payments."""
    return payers(scope_with(w), w.gate)[0].contract


def modifier(w: Gated) -> Address:
    """The Roles modifier in front of it."""
    return payers(scope_with(w), w.gate)[0].roles


def lender(w: Gated, function: str, types: list[str], *values: Any) -> None:
    named = keccak(f"{function}({','.join(types)})".encode())[:4]
    w.thief(Call(LENDER, named + packed(types, values)))


def lending(what: int, to: str = THIEF, calldata_: bytes = b"") -> Callable[[Gated], None]:
    """Granted, and the lender told what to do to a payment."""

    def made(w: Gated) -> None:
        granted(w)
        lender(w, "does", ["uint256", "address", "bytes"], what, to, calldata_)

    return made


def reentering(w: Gated) -> None:
    granted(w)
    inner = encode("payments", "pay", (COMPOUND, 1, w.now() + 60))
    lender(w, "does", ["uint256", "address", "bytes"], REENTER, payer(w), inner)


def placed(w: Gated) -> None:
    """By the owners, of a Gate that is sealed: it waits the Gate's delay. The Safe owes the lender what it lends nobody."""
    w.rpc("anvil_setCode", LENDER, "0x" + rehearsal("HostileLender.sol", "HostileLender")["runtime"])
    lender(w, "set", ["address", "address", "address", "uint256"], USDC, WETH, w.safe, OWED)
    parts = tuple(payment_parts(scope_with(w), w.gate))
    w.owners_do(SafeTx(MULTI_SEND, 0, calldata(parts), DELEGATECALL, w.nonce()))


def granted(w: Gated) -> None:
    placed(w)
    w.later(w.scope.delay_s)


def then(do: Callable[[Gated], object]) -> Callable[[Gated], None]:
    def made(w: Gated) -> None:
        granted(w)
        do(w)

    return made


def used_up(w: Gated) -> None:
    granted(w)
    w.sends(paying(COMPOUND, ONCE)(w))


def paying(rule: int, amount: int, ahead_s: int = 60) -> Callable[[Gated], Call]:
    return under(payer, lambda w: encode("payments", "pay", (rule, amount, w.now() + ahead_s)))


def under(
    to: Callable[[Gated], str], inner: Callable[[Gated], bytes], op: int = 0, value: int = 0
) -> Callable[[Gated], Call]:
    """Through that modifier, with the role, to wherever the thief likes."""

    def made(w: Gated) -> Call:
        args = (to(w), value, inner(w), op, ROLE, True)
        return Call(modifier(w), encode("zodiac_roles", "execTransactionWithRole", args))

    return made


def to_comet(who: str) -> Callable[[Gated], bytes]:
    named = keccak(b"supplyTo(address,address,uint256)")[:4]
    return lambda w: named + packed(["address", "address", "uint256"], [who, USDC, USDC_ONE])


def to_morpho(
    who: Callable[[Gated], str], called_with: bytes, oracle: str = LENDER
) -> Callable[[Gated], bytes]:
    params = dict(zip(("loanToken", "collateralToken", "oracle", "irm", "lltv"), _MARKET, strict=True))
    return lambda w: encode(
        "morpho_blue", "repay", (params | {"oracle": oracle}, USDC_ONE, 0, who(w), called_with)
    )


def honest(w: Gated) -> bytes:
    return encode("payments", "pay", (COMPOUND, USDC_ONE, w.now() + 60))


def as_module(w: Gated) -> bytes:
    return encode(
        "payments", "execTransactionFromModule", (USDC, 0, encode("erc20", "transfer", (THIEF, 1)), 0)
    )


AT_LENDER = fixed(LENDER)
PAYMENTS = (
    Attack("a payment for the thief's account at Compound", "ConditionViolation", under(AT_LENDER, to_comet(THIEF)), granted),
    Attack("a payment for the thief's account at Morpho", "ConditionViolation", under(AT_LENDER, to_morpho(fixed(THIEF), b"")), granted),
    Attack("a payment at Morpho that calls back", "ConditionViolation", under(AT_LENDER, to_morpho(lambda w: w.safe, b"\x01")), granted),
    Attack("a payment into another market of Morpho", "ConditionViolation", under(AT_LENDER, to_morpho(lambda w: w.safe, b"", THIEF)), granted),
    Attack("a payment by a rule that is not listed", "RuleNotListed", paying(4, 1), granted),
    Attack("a payment of more than may be paid at once", "OverPaymentBudget", paying(COMPOUND, ONCE + 1), granted),
    Attack("a payment once the budget is used up", "OverPaymentBudget", paying(COMPOUND, USDC_ONE), used_up),
    Attack("a payment for a day ahead", "DeadlineTooFar", paying(COMPOUND, 1, 86_400), granted),
    Attack("a payment whose time is over", "DeadlinePassed", paying(COMPOUND, 1, -60), granted),
    Attack("a payment of nothing", "AmountOutOfRange", paying(MORPHO, 0), granted),
    Attack("a payment before the delay is over", "NotOpenYet", paying(COMPOUND, 1), placed),
    Attack("a payment after the freeze", "GateFrozen", paying(MORPHO, 1), then(lambda w: w.safe_calls(w.gate, "gate", "freeze"))),
    Attack("a payment after it was closed", "Closed", paying(COMPOUND, 1), then(lambda w: w.safe_calls(payer(w), "payments", "close"))),
    Attack("a payment after the power lapsed", "GateLapsed", paying(COMPOUND, 1), then(lambda w: w.later(w.scope.term_s))),
    Attack(
        "a payment where nothing is owed", "NothingOwed", paying(COLLATERAL, ETH),
        then(lambda w: lender(w, "set", ["address", "address", "address", "uint256"], USDC, WETH, w.safe, 0)),
    ),
    Attack("a payment past the modifier", "NotTheAgent", direct(payer, honest), granted),
    Attack("a payment by the other modifier", "ConditionViolation", role(payer, honest), granted),
    Attack("a payment by a stranger", "NotTheAgent", direct(payer, honest), granted, sender=THIEF),
    Attack("the Safe's tokens by a module's call", "NotThroughPayments", direct(payer, as_module), granted),
    Attack("the Safe's tokens as what pays", "ConditionViolation", under(fixed(USDC), data("erc20", "transferFrom", lambda w: w.safe, THIEF, 1)), granted),
    Attack("a delegatecall to what pays", "ConditionViolation", under(payer, honest, op=1), granted),
    Attack("ether along with a payment", "ConditionViolation", under(payer, honest, value=1), granted),
    Attack("opened for the thief", "NotTheSafe", direct(payer, data("payments", "open", THIEF)), granted, sender=THIEF),
    Attack("opened for the thief under the role", "ConditionViolation", under(payer, data("payments", "open", THIEF)), granted),
    Attack("closed by a stranger", "NotAnOwner", direct(payer, data("payments", "close")), granted, sender=THIEF),
    Attack("what pays as a router", "RouteNotListed", lambda w: trade(router=payer(w), data=honest(w))(w), granted),
    Attack("a lender that keeps the money", "ReceivedBelowAmount", paying(COMPOUND, USDC_ONE), lending(KEEP)),
    Attack("a lender that keeps the collateral", "ReceivedBelowAmount", paying(MORPHO_COLLATERAL, ETH), lending(KEEP)),
    Attack("a lender that takes more", "exceeds allowance", paying(MORPHO, USDC_ONE), lending(MORE)),
    Attack("a lender that goes in again", "Busy", paying(MORPHO, USDC_ONE), reentering),
    Attack("a payment into a lost account at Compound", "StillLiquidatable", paying(COMPOUND, USDC_ONE), lending(LOST)),
    Attack("a payment into a lost account at Morpho", "StillLiquidatable", paying(MORPHO_COLLATERAL, ETH), lending(LOST)),
)  # fmt: skip

FAMILIES: dict[str, tuple[Attack, ...]] = {"payments into loans": PAYMENTS}
