"""A paymaster that pays for whom its sponsor signs: what a thief would try to have paid, or to take of its deposit.

The paymaster is the VerifyingPaymaster of the EntryPoint's own package, its owner a treasurer, its sponsor another key of his. The thief
has a contract that says yes to every operation, the agent's key, and one sponsorship that was meant for another operation of his.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from agent.app.chaos.custody.attack import Attack, direct, fixed
from agent.app.chaos.custody.world import AGENT_SECRET, ETH, THIEF, Gated
from chains.devnet.addresses import ENTRY_POINT
from chains.devnet.artifacts import artifact
from chains.types import Address, Call, Fees
from chains.userops import Paymaster, UserOperation, handle_ops, packed
from contracts.codec import encode
from contracts.hashing import address_bytes, checksum, keccak
from keys.curve import SigningKey, personal_digest

SPONSOR, AGENT_KEY = SigningKey(keccak(b"the sponsor of operations")), SigningKey(AGENT_SECRET)
TREASURER = SigningKey(keccak(b"who owns the paymaster")).address
PAYMASTER = Address(checksum(keccak(b"\xd6\x94" + address_bytes(TREASURER) + b"\x80")[12:]))
"""What the treasurer's first transaction creates."""
ACCOUNT = Address(checksum(keccak(b"the thief's own account")[12:]))
DEPOSIT_WEI = ETH
_SAYS_YES = "0x5f5f5260205ff3"  # returns 0 to whatever it is asked
_UNTIL, _AFTER = 2**40, 0
_FEES = Fees(10**9, 10**9)
_POST_OP = 50_000


def stands(w: Gated) -> object:
    """The paymaster with its deposit, and the thief's account."""
    if w.rpc("eth_getCode", PAYMASTER, "latest") == "0x":
        w.rpc("anvil_setBalance", TREASURER, hex(10 * ETH))
        w.rpc("anvil_impersonateAccount", TREASURER)
        creation = artifact("VerifyingPaymaster").creation(ENTRY_POINT, SPONSOR.address)
        w.rpc.transact({"from": TREASURER, "data": "0x" + creation.hex(), "gas": hex(3_000_000)})
        deposit = encode("entry_point_07", "depositTo", (PAYMASTER,))
        w.rpc.transact({"from": TREASURER, "to": ENTRY_POINT, "data": "0x" + deposit.hex(), "value": hex(DEPOSIT_WEI), "gas": hex(10**6)})  # fmt: skip
    w.rpc("anvil_setCode", ACCOUNT, _SAYS_YES)
    return None


def operation(nonce: int = 0, call: bytes = b"", post_op: int = _POST_OP) -> UserOperation:
    return UserOperation(
        ACCOUNT,
        nonce,
        call,
        100_000,
        200_000,
        60_000,
        _FEES,
        paymaster=Paymaster(PAYMASTER, 200_000, post_op),
    )


def sponsored(
    w: Gated, op: UserOperation, until: int = _UNTIL, after: int = _AFTER, by: SigningKey = SPONSOR
) -> UserOperation:
    """`by` signs what the paymaster's own getHash says of the operation."""
    assert op.paymaster is not None
    times = until.to_bytes(32, "big") + after.to_bytes(32, "big")
    stub = replace(op, paymaster=replace(op.paymaster, data=times + bytes(65)))
    ask = artifact("VerifyingPaymaster").call("getHash", tuple(packed(stub).values()), until, after)
    digest = bytes.fromhex(w.rpc("eth_call", {"to": PAYMASTER, "data": "0x" + ask.hex()}, "latest")[2:])
    return replace(op, paymaster=replace(op.paymaster, data=times + by.sign(personal_digest(digest))))


def _bundles(make: Callable[[Gated], UserOperation | tuple[UserOperation, ...]]) -> Callable[[Gated], Call]:
    def made(w: Gated) -> Call:
        ops = make(w)
        return handle_ops(ops if isinstance(ops, tuple) else (ops,), THIEF)

    return made


def _bent(**changes: object) -> Callable[[Gated], Call]:
    """The sponsor's word for one operation, put on another."""
    return _bundles(lambda w: replace(sponsored(w, operation()), **changes))  # type: ignore[arg-type]


def _more_post_op(w: Gated) -> UserOperation:
    op = sponsored(w, operation())
    assert op.paymaster is not None
    return replace(op, paymaster=replace(op.paymaster, post_op_gas=10**7))


def _used(w: Gated) -> object:
    """One operation is paid for, as the sponsor meant."""
    stands(w)
    w.thief(handle_ops((sponsored(w, operation()),), THIEF))
    return None


def _too_many(w: Gated) -> tuple[UserOperation, ...]:
    """Two operations, each of which the deposit covers alone."""
    dear = Fees(1_500 * 10**9, 1_500 * 10**9)
    return tuple(sponsored(w, replace(operation(nonce=n << 64), fees=dear)) for n in (1, 2))


def _data(function: str, *arguments: object) -> Callable[[Gated], bytes]:
    return lambda w: artifact("VerifyingPaymaster").call(function, *arguments)


_OWNER = "OwnableUnauthorizedAccount"
_TO_IT = fixed(PAYMASTER)

PAYMASTERS = (
    Attack("an operation that the agent's key sponsors", "AA34", _bundles(lambda w: sponsored(w, operation(), by=AGENT_KEY)), stands, THIEF),
    Attack("an operation that nobody sponsors", "AA3", _bundles(lambda w: operation()), stands, THIEF),
    Attack("the sponsor's word on another call", "AA34", _bent(call_data=b"\x01" * 100), stands, THIEF),
    Attack("the sponsor's word on dearer gas", "AA34", _bent(fees=Fees(10**12, 10**12)), stands, THIEF),
    Attack("the sponsor's word on more gas for the call", "AA34", _bent(call_gas=20_000_000), stands, THIEF),
    Attack("the sponsor's word on more for the bundler", "AA34", _bent(pre_verification_gas=50_000_000), stands, THIEF),
    Attack("the sponsor's word on more gas afterwards", "AA34", _bundles(_more_post_op), stands, THIEF),
    Attack("the sponsor's word at another nonce", "AA34", _bent(nonce=7 << 64), stands, THIEF),
    Attack("the sponsor's word, used before", "AA25", _bundles(lambda w: sponsored(w, operation())), _used, THIEF),
    Attack("the sponsor's word, long ago", "AA32", _bundles(lambda w: sponsored(w, operation(), until=w.now() - 1)), stands, THIEF),
    Attack("the sponsor's word, for later", "AA32", _bundles(lambda w: sponsored(w, operation(), after=w.now() + 900)), stands, THIEF),
    Attack("more sponsored operations at once than the deposit covers", "AA31", _bundles(_too_many), stands, THIEF),
    Attack("the paymaster's deposit withdrawn", _OWNER, direct(_TO_IT, _data("withdrawTo", THIEF, ETH)), stands),
    Attack("the paymaster's stake unlocked", _OWNER, direct(_TO_IT, _data("unlockStake")), stands),
    Attack("the paymaster handed over", _OWNER, direct(_TO_IT, _data("transferOwnership", THIEF)), stands),
    Attack("the paymaster's deposit, asked of the EntryPoint", "Withdraw amount too large", direct(fixed(ENTRY_POINT), lambda w: artifact("EntryPoint").call("withdrawTo", THIEF, DEPOSIT_WEI)), stands, THIEF),
    Attack("the paymaster asked without the EntryPoint", "Sender not EntryPoint", direct(_TO_IT, lambda w: artifact("VerifyingPaymaster").call("validatePaymasterUserOp", tuple(packed(sponsored(w, operation())).values()), bytes(32), 0)), stands),
    Attack("the paymaster settled without the EntryPoint", "Sender not EntryPoint", direct(_TO_IT, _data("postOp", 0, b"", 0, 0)), stands),
)  # fmt: skip


FAMILIES: dict[str, tuple[Attack, ...]] = {"a paymaster's deposit": PAYMASTERS}
