"""Powers as leaves: what a Gate, a Zodiac Roles modifier or a debt token is told by its Safe, and the contracts a grant creates.

Raises AbiError for what is not recognised; `contracts.decode` turns that into Unknown. None of these leaves is ever signed by the
signer's own policy: they are for people, who have to see the powers they grant.
Sources: Zodiac Roles v2 and ModuleProxyFactory by their published ABIs, EIP-1014, EIP-1167, contracts/src/Settings.sol.
"""

from __future__ import annotations

from typing import Any

from contracts import gate, offers, payments
from contracts.abi_types import AbiError
from contracts.codec import DecodedCall, decode_call
from contracts.hashing import address_bytes, checksum, keccak
from contracts.leaves import (
    Deployment,
    GateLend,
    GateOffer,
    GateRefuel,
    Leaf,
    LoanPayment,
    OfferEnd,
    PaymentsCreated,
    Power,
)

ROLES_MASTERCOPY = "0x9646fDAD06d3e24444381f44362a3B0eB343D337"  # Zodiac Roles 2.1.0
MODULE_FACTORY = "0x000000000000aDdB49795b0f9bA5BC298cDda236"  # Zodiac ModuleProxyFactory 1.2.0
LENDING = {1: "SUPPLY", 2: "WITHDRAW", 4: "BORROW", 8: "REPAY"}
GATE_POWERS = frozenset(
    (
        "seal queue cancel run freeze unfreeze renew setAgent setLimits setToken setPair setRoute setLendingPool setReserve "
        "setGas setSequencer setOffers"
    ).split()
)
ROLES_POWERS = frozenset(
    (
        "assignRoles setDefaultRole scopeTarget revokeTarget allowTarget allowFunction scopeFunction revokeFunction setAllowance "
        "setTransactionUnwrapper enableModule disableModule setAvatar setTarget transferOwnership renounceOwnership"
    ).split()
)
CREDIT_POWERS = frozenset({"approveDelegation"})
PAYMENT_POWERS = frozenset({"open", "close"})
DELAY_MASTERCOPY = (
    "0xd54895B1121A2eE3f37b502F507631FA1331BED6"  # Zodiac Delay, as @gnosis.pm/zodiac 4.0.3 lists it
)
DELAY_OWN = frozenset({"setTxCooldown", "setTxExpiration", "setTxNonce", "skipExpired"})
DELAY_POWERS = DELAY_OWN | frozenset(
    "enableModule disableModule setAvatar setTarget setGuard transferOwnership renounceOwnership".split()
)
"""What a Delay is told by its owner; what other modifiers know by the same selector is told of one only where it is known to be one."""
POWERS = {
    "gate": GATE_POWERS,
    "payments": PAYMENT_POWERS,
    "zodiac_roles": ROLES_POWERS,
    "zodiac_delay": DELAY_OWN,
    "aave_debt_token": CREDIT_POWERS,
}
"""By interface: the functions that give, change or take away a power. No two of them share a selector."""


def power(path: str, target: str, contract: str, call: DecodedCall) -> Power:
    if call.function not in (DELAY_POWERS if contract == "zodiac_delay" else POWERS[contract]):
        raise AbiError(f"{call.function} on a {contract}")
    return Power(path, target, contract, call.function, tuple(call.args.items()))


def gate_power(path: str, target: str, call: DecodedCall) -> tuple[Leaf, ...]:
    """What the Safe tells its Gate; of the queue also the call that waits in it."""
    opened = power(path, target, "gate", call)
    if call.function not in ("queue", "run"):
        return (opened,)
    inner = decode_call("gate", call.args["data"])
    if inner.function in ("queue", "run"):
        raise AbiError("a queue inside the queue")
    return (opened, power(f"{path} > {inner.function}", target, "gate", inner))


def gate_verb(path: str, target: str, call: DecodedCall) -> Leaf:
    """`lend`, `refuel`, `offer` or `endOffer` as the agent calls them."""
    a: dict[str, Any] = call.args
    if call.function == "offer":
        o = a["o"]
        deal = o["sellToken"], o["buyToken"], o["sellAmount"], o["buyAmount"]
        return GateOffer(path, target, *deal, o["validTo"], o["buys"], o["partiallyFillable"])
    if call.function == "endOffer":
        return OfferEnd(path, target, a["token"], a["deadline"])
    if call.function == "refuel":
        return GateRefuel(path, target, a["amount"], a["deadline"])
    if call.function != "lend" or a["action"] not in LENDING:
        raise AbiError(f"{call.function} on a Gate")
    return GateLend(path, target, LENDING[a["action"]], a["asset"], a["amount"], a["deadline"])


def payment(path: str, target: str, call: DecodedCall) -> Leaf:
    """What a Payments contract is told: `pay` by the agent, `open` and `close` by its owners."""
    a: dict[str, Any] = call.args
    if call.function == "pay":
        return LoanPayment(path, target, a["rule"], a["amount"], a["deadline"])
    return power(path, target, "payments", call)


def create2(path: str, target: str, data: bytes) -> Deployment | PaymentsCreated:
    """What Safe's singleton factory runs: salt ‖ creation code. A Gate, its Offers and its Payments are told by the hash of
    their recorded creation code."""
    if len(data) <= 32:
        raise AbiError("the factory is told no code")
    salt, code = data[:32], data[32:]
    at = checksum(keccak(b"\xff" + address_bytes(target) + salt + keccak(code))[12:])
    if len(code) > 64 and keccak(code[:-32]) == gate.creation_hash() and not any(code[-32:-20]):
        return Deployment(path, target, at, "gate", (("safe", checksum(code[-20:])),))
    if len(code) > 64 and keccak(code[:-32]) == offers.OFFERS.creation_hash and not any(code[-32:-20]):
        return Deployment(path, target, at, "offers", (("gate", checksum(code[-20:])),))
    if (told := payments.read(code)) is not None:
        return PaymentsCreated(path, target, at, told.gate, told.rules)
    return Deployment(path, target, at, "", ())


def module(path: str, target: str, call: DecodedCall) -> Deployment:
    """What Zodiac's factory creates: a Roles modifier is told by its mastercopy and by the three addresses it is set up with."""
    a = call.args
    if call.function != "deployModule":
        raise AbiError(f"{call.function} on Zodiac's module factory")
    at = proxy_address(a["masterCopy"], a["initializer"], a["saltNonce"])
    if a["masterCopy"] == DELAY_MASTERCOPY:
        return Deployment(path, target, at, "zodiac_delay", _delay_setup(a["initializer"]))
    if a["masterCopy"] != ROLES_MASTERCOPY:
        return Deployment(path, target, at, "", ())
    setup = decode_call("zodiac_roles", a["initializer"])
    words = setup.args.get("initParams", b"")
    if setup.function != "setUp" or len(words) != 96 or any(any(words[i : i + 12]) for i in (0, 32, 64)):
        raise AbiError("a Roles modifier set up otherwise than with owner, avatar and target")
    named = zip(("owner", "avatar", "target"), (12, 44, 76), strict=True)
    return Deployment(
        path, target, at, "zodiac_roles", tuple((n, checksum(words[i : i + 20])) for n, i in named)
    )


def _delay_setup(initializer: bytes) -> tuple[tuple[str, str], ...]:
    """Owner, avatar and target, and the two spans in seconds."""
    setup = decode_call("zodiac_delay", initializer)
    words = setup.args.get("initParams", b"")
    if setup.function != "setUp" or len(words) != 160 or any(any(words[i : i + 12]) for i in (0, 32, 64)):
        raise AbiError("a Delay set up otherwise than with owner, avatar, target, cooldown and expiration")
    named = zip(("owner", "avatar", "target"), (12, 44, 76), strict=True)
    spans = (("cooldown", words[96:128]), ("expiration", words[128:160]))
    return (
        *((n, checksum(words[i : i + 20])) for n, i in named),
        *((n, str(int.from_bytes(word, "big"))) for n, word in spans),
    )


def proxy_address(master: str, initializer: bytes, salt_nonce: int) -> str:
    """Where Zodiac's factory puts a proxy: CREATE2, salt keccak(keccak(initializer) ‖ nonce), an EIP-1167 proxy as Zodiac writes it."""
    salt = keccak(keccak(initializer) + salt_nonce.to_bytes(32, "big"))
    head, tail = "602d8060093d393df3363d3d373d3d3d363d73", "5af43d82803e903d91602b57fd5bf3"
    code = bytes.fromhex(head) + address_bytes(master) + bytes.fromhex(tail)
    return checksum(keccak(b"\xff" + address_bytes(MODULE_FACTORY) + salt + keccak(code))[12:])
