"""The agent behind ERC-4337: its account is the role's member, and the thief has the key that owns the account.

So he makes it do whatever he likes: by user operations that he bundles himself and is paid for, by a Safe transaction of the account, by a
module or an owner that he gives it. What the Safe loses stays what any other member could take; what lies on the account is gas money.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from agent.app.chaos.custody import hook_attacks
from agent.app.chaos.custody.attack import tail, words
from agent.app.chaos.custody.door_attacks import MODULE_DOOR
from agent.app.chaos.custody.moves import Move, Room
from agent.app.chaos.custody.world import (
    AGENT,
    AGENT_SECRET,
    ETH,
    MULTI_SEND,
    THIEF,
    UNIVERSAL,
    USDC,
    USDC_ONE,
    WETH,
    Gated,
)
from chains import operations
from chains.bundler import receipts
from chains.decode_rpc import receipt as decode_receipt
from chains.devnet.addresses import ENTRY_POINT
from chains.devnet.funding import create_safe, give_eth
from chains.errors import Halt
from chains.types import Address, Call, Fees
from chains.userops import UserOperation, handle_ops
from contracts.codec import encode
from contracts.hashing import checksum
from contracts.multisend import calldata
from keys import erc4337
from keys import safe as safes
from keys.curve import SigningKey
from keys.safe import DELEGATECALL, SafeTx
from keys.scope import ROLE

KEY = SigningKey(AGENT_SECRET)
FAMILY = "the agent behind ERC-4337"
FEES = Fees(10**9, 10**9)
_SALT = 4337


def stands(w: Gated) -> object:
    """The account with its module and some gas money; the owners hand the role over to it."""
    account = create_safe(w.url, [AGENT], 1, _SALT)
    w.kept["account"] = bytes.fromhex(account[2:])
    tx = SafeTx(MULTI_SEND, 0, calldata(erc4337.enabling(account)), DELEGATECALL, 0)
    w.thief(_of_the_account(w, tx))
    give_eth(w.url, account, ETH // 10)
    w.safe_calls(w.roles, "zodiac_roles", "assignRoles", AGENT, (ROLE,), (False,))
    w.safe_calls(w.roles, "zodiac_roles", "assignRoles", account, (ROLE,), (True,))
    w.safe_calls(w.roles, "zodiac_roles", "disableModule", account, AGENT)
    if w.why(w.through(w.trade()), account):
        raise Halt("CHAOS_WORLD", "the account that the role was handed over to cannot trade")
    return None


def account_of(w: Gated) -> Address:
    return Address(checksum(w.kept["account"]))


def _of_the_account(w: Gated, tx: SafeTx) -> Call:
    """A Safe transaction of the account, signed by its owner, for anybody to send."""
    account = account_of(w)
    digest = safes.safe_tx_hash(1, account, tx)
    packed = safes.pack_signatures(digest, [KEY.sign(digest)], [AGENT], 1)
    return Call(account, safes.exec_transaction(tx, packed))


def signed(w: Gated, call: Call, chain_id: int = 1, **fields: object) -> UserOperation:
    """An operation of the account, as its owner's key signs it."""
    nonce = int(w.read(ENTRY_POINT, "entry_point_07", "getNonce", account_of(w), 0)[0])
    data = operations.executing(call)
    op = UserOperation(account_of(w), nonce, data, 900_000, 200_000, 80_000, FEES)
    op = replace(op, **fields)  # type: ignore[arg-type]
    window = erc4337.Window(w.now() + 600)
    digest = erc4337.safe_op_hash(chain_id, op, window)
    return erc4337.signed(chain_id, op, window, [KEY.sign(digest)], [AGENT], 1)


def _bundled(w: Gated, *ops: UserOperation) -> str:
    """Sent by the thief as his own bundle; what was said of the last of them, empty where it succeeded."""
    call = handle_ops(ops, THIEF)
    if why := w.why(call, THIEF):
        w.thief(call)
        return why
    found = receipts(decode_receipt(w.thief(call)).logs)
    return "" if found[-1].success else found[-1].reason


def _operates(made: Callable[[Gated], Call]) -> Callable[[Room], str]:
    return lambda room: _bundled(room.gate, signed(room.gate, made(room.gate)))


def _takes(w: Gated) -> Call:
    """The Safe's dollars through the role."""
    data = encode("erc20", "transfer", (THIEF, USDC_ONE))
    return Call(w.roles, encode("zodiac_roles", "execTransactionWithRole", (USDC, 0, data, 0, ROLE, True)))


def _as_a_module(to: str, data: bytes) -> bytes:
    return MODULE_DOOR + words(to, 0, 4 * 32, 0) + tail(data)


def _at_the_safe(w: Gated) -> Call:
    data = encode("erc20", "transfer", (THIEF, USDC_ONE))
    return Call(w.safe, _as_a_module(USDC, data))


def _past_the_modifier(w: Gated) -> Call:
    return Call(w.gate, w.trade())


def _to_himself(w: Gated) -> Call:
    return w.through(w.trade(ETH, data=w.single(ETH, recipient=THIEF)))


def _elsewhere(room: Room) -> str:
    w = room.gate
    return _bundled(w, signed(w, w.through(w.trade()), chain_id=8453))


def _bent(room: Room) -> str:
    """His own signature, put on an operation that is paid more."""
    w = room.gate
    return _bundled(w, replace(signed(w, w.through(w.trade())), fees=Fees(2 * 10**9, 10**9)))


def _by_the_key(room: Room) -> str:
    w = room.gate
    call = w.through(w.trade())
    said = w.why(call)
    w.sends(call)
    return said


def _by_a_safe_transaction(room: Room) -> str:
    w = room.gate
    inner = _takes(w)
    call = _of_the_account(w, SafeTx(inner.to, 0, inner.data, 0, _nonce(w)))
    said = w.why(call, THIEF)
    w.thief(call)
    return said


def _nonce(w: Gated) -> int:
    return int(w.read(account_of(w), "safe", "nonce")[0])


def _with_a_module(room: Room) -> str:
    """The account gets the thief for a module, who then acts as it without any signature."""
    w, account = room.gate, account_of(room.gate)
    w.thief(_of_the_account(w, SafeTx(account, 0, encode("safe", "enableModule", (THIEF,)), 0, _nonce(w))))
    inner = _takes(w)
    call = Call(account, _as_a_module(inner.to, inner.data))
    w.thief(call)  # a module's failure is an answer and no revert
    return w.why(inner, account)


def _to_the_floor(room: Room) -> str:
    """Everything the budget lets through, in his own pool, whose hook leaves just the floor; bundled by himself."""
    w = room.gate
    sold = int(w.scope.burst_usd / 3_000 * 10**18) - 10**12
    data = hook_attacks.through(hook_attacks.KEEP_OUTPUT, w.floor(WETH, USDC, sold), sold=sold)
    said = _bundled(w, signed(w, w.through(w.trade(sold, router=UNIVERSAL, data=data))))
    return said or "the floor and not one unit more was left"


def _all_the_gas_money(room: Room) -> str:
    """An operation that does nothing, paid out to its bundler with all the account has."""
    w = room.gate
    has = int(w.rpc("eth_getBalance", account_of(w), "latest"), 16)
    price = 10**10
    most = has // price - 1_200_000
    empty = Call(account_of(w), b"")
    _bundled(w, signed(w, empty, pre_verification_gas=most, fees=Fees(price, price)))
    left = int(w.rpc("eth_getBalance", account_of(w), "latest"), 16)
    return f"{has - left} wei of gas money went to the bundler"


def _twice(room: Room) -> str:
    w = room.gate
    op = signed(w, w.through(w.trade()))
    first = _bundled(w, op)
    return first or _bundled(w, op)


def moves() -> list[Move]:
    def before(room: Room) -> object:
        return stands(room.gate)

    def with_a_pool(room: Room) -> None:
        stands(room.gate)
        hook_attacks.hooked_pool(room.gate)

    refused = {
        "the Safe's tokens by an operation through the role": ("ConditionViolation", _operates(_takes)),
        "the Safe's own door by an operation": ("GS104", _operates(_at_the_safe)),
        "the Gate past the modifier by an operation": ("NotTheAgent", _operates(_past_the_modifier)),
        "an operation that sells to the thief": ("ReceivedBelowMinimum", _operates(_to_himself)),
        "an operation signed for another chain": ("AA24", _elsewhere),
        "an operation whose fees he raised afterwards": ("AA24", _bent),
        "the role used by the key without its account": ("NotAuthorized", _by_the_key),
        "the Safe's tokens by a Safe transaction of the account": ("GS013", _by_a_safe_transaction),
        "the Safe's tokens by a module that he gave the account": ("ConditionViolation", _with_a_module),
    }
    bounded = {
        "the floor of all that may pass, by an operation": (_to_the_floor, with_a_pool),
        "all of the account's gas money to its bundler": (_all_the_gas_money, before),
        "one honest operation, sent twice": (_twice, before),
    }
    return [
        *(Move(FAMILY, name, act, rule, before) for name, (rule, act) in refused.items()),
        *(Move(FAMILY, name, act, "", prepare, repelled=False) for name, (act, prepare) in bounded.items()),
    ]
