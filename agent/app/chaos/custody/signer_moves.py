"""The hostile agent at the real signer's socket: the tables of signer_attacks, the exchange, the wire, and sequences of requests."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable, Mapping

from agent.app.chaos.custody import wallet as c
from agent.app.chaos.custody.moves import Move, Room
from agent.app.chaos.custody.signer_attacks import ATTACKS, CONTEXT, OUTER, Asked, OuterAsked
from agent.app.chaos.custody.signer_batches import E18, packed
from agent.app.chaos.custody.signer_room import Answer, SignerRoom, refusal
from chains.errors import FairleadError, Halt
from chains.types import Address, Environment, Fees, UnsignedTx
from contracts import universal_router as ur
from contracts.multisend import Part
from keys import safe
from keys.safe import SafeTx

BATCH, PLACE, OUTER_TX = (
    "asks the signer for a batch",
    "asks the signer out of place",
    "asks the signer for an outer transaction",
)
WIRE, SEQUENCE = "the signer's wire", "a sequence of requests"


def code(rule: str) -> str:
    return "POLICY_" + rule.upper().replace("-", "_") + ":"


def _batch(name: str, rule: str, tx: SafeTx) -> Move:
    def act(room: Room) -> str:
        answer = room.signer.safe_tx(tx)
        room.signer.uses(tx, answer)
        return refusal(answer)

    said = (
        "SAFE_TX_INVALID:" if tx.operation > 1 else code(rule)
    )  # the wire's own form has no third operation
    return Move(BATCH, name, act, said, lambda room: room.signer.fresh())


def _place(name: str, asked: Asked) -> Move:
    def act(room: Room) -> str:
        changes, tx = dict(asked.changes), c.sell()
        chain_id, wallet = changes.pop("chain_id", 1), changes.pop("safe", c.SAFE)
        environment = changes.pop("environment", Environment.DEVNET)
        answer = room.signer.safe_tx(tx, chain_id, wallet, environment)  # type: ignore[arg-type]
        room.signer.uses(tx, answer)
        return refusal(answer)

    history = asked.history if asked.history != c.EmptyLedger() else None
    return Move(PLACE, name, act, code(asked.rule), lambda room: room.signer.fresh(history))


def _outer(name: str, asked: OuterAsked) -> Move:
    def act(room: Room) -> str:
        data = safe.exec_transaction(c.sell(), packed(c.sell()))
        tx = dataclasses.replace(c.outer(data), **asked.fields())  # type: ignore[arg-type]
        return _sends(room.signer, tx, asked.sender)

    history = asked.history if asked.history != c.EmptyLedger() else None
    return Move(OUTER_TX, name, act, code(asked.rule), lambda room: room.signer.fresh(history))


def _sends(signer: SignerRoom, tx: UnsignedTx, sender: str = c.AGENT.address, safe_nonce: int = 0) -> str:
    answer = signer.outer(tx, sender, safe_nonce=safe_nonce)
    if "result" in answer:
        signer.rpc("eth_sendRawTransaction", answer["result"]["raw"])
    return refusal(answer)


# ---------------------------------------------------------------------- what is no request, and what has no method
METHODS: Mapping[str, tuple[str, Mapping[str, str | int]]] = {
    "asks for a key": ("export_key", {"owner": c.OWNERS[0].address}),
    "asks for the password": ("reveal", {"name": "password"}),
    "asks for a bare hash to be signed": ("sign_hash", {"hash": "0x" + "11" * 32}),
    "asks for a message to be signed": ("sign_message", {"message": "0x1901" + "11" * 64}),
    "asks for typed data: a Permit2 permit": ("sign_typed", {"primaryType": "PermitSingle", "spender": c.THIEF}),
    "asks for an off-chain order to another receiver": ("sign_typed_data", {"primaryType": "Order", "receiver": c.THIEF}),
    "asks for a user operation": ("sign_user_operation", {"sender": c.SAFE, "callData": "0x"}),
    "asks for an EIP-7702 authorization": ("sign_authorization", {"address": c.THIEF, "nonce": 0}),
    "asks for the settings to be read again": ("reload", {"config": "elsewhere.json"}),
}  # fmt: skip
RELAY = {
    "a Safe's hash as a relay's message": "0x"
    + safe.safe_tx_hash(1, Address(c.SAFE), c.sell()).hex().upper(),
    "raw bytes as a relay's message": "\x19\x01" + "a" * 64,
    "a longer relay's message": "0x" + "a" * 65,
}
FRAMES: Mapping[str, bytes] = {
    "a frame of four gigabytes": b"\xff\xff\xff\xff{}",
    "a frame that is not JSON": (5).to_bytes(4, "big") + b"hello",
    "a frame that is a list": (2).to_bytes(4, "big") + b"[]",
    "brackets a hundred thousand deep": (100_000).to_bytes(4, "big") + b"[" * 100_000,
    "a frame torn in the middle": (100).to_bytes(4, "big") + b'{"id":',
}


def _method(name: str, method: str, params: Mapping[str, str | int]) -> Move:
    def act(room: Room) -> str:
        return refusal(room.signer.ask(method, {"environment": "devnet", **params}))

    return Move(WIRE, name, act, "UNKNOWN_METHOD:", lambda room: room.signer.fresh())


def _relay(name: str, message: str) -> Move:
    def act(room: Room) -> str:
        return refusal(room.signer.ask("sign_relay_auth", {"environment": "devnet", "message": message}))

    return Move(WIRE, name, act, "POLICY_RELAY_MESSAGE:", lambda room: room.signer.fresh())


def _frame(name: str, frame: bytes) -> Move:
    def act(room: Room) -> str:
        told = room.signer.raw(frame)
        alive = "result" in room.signer.ask("status", {})
        return (
            f"hung up, {'still there' if alive else 'and gone'}" if not told else f"answered {told[:200]!r}"
        )

    return Move(WIRE, name, act, "still there", lambda room: room.signer.fresh())


# ---------------------------------------------------------------------- sequences: no request is wrong, the last one is
GUARD = Part(c.ROUTER, 0, ur.deadline_guard(c.SAFE, c.WETH, c.DEADLINE))


def _grants(room: Room, tx: SafeTx, name: str = "") -> Answer:
    answer = room.signer.safe_tx(tx, request_id=name)
    if "result" not in answer:
        raise Halt("CHAOS_WORLD", f"an honest request was refused: {refusal(answer)}")
    return answer


def _asks(tx: SafeTx, **request: object) -> Callable[[Room], str]:
    def act(room: Room) -> str:
        answer = room.signer.safe_tx(tx, **request)  # type: ignore[arg-type]
        room.signer.uses(tx, answer)
        return refusal(answer)

    return act


def _fresh_then(*grants: SafeTx, restart: bool = False, name: str = "") -> Callable[[Room], object]:
    def before(room: Room) -> None:
        room.signer.fresh()
        for tx in grants:
            _grants(room, tx, name)
        if restart:
            room.signer.restart()

    return before


def _signed_outer(tx: SafeTx, nonce: int = 0, fee: int = 30 * 10**9) -> UnsignedTx:
    return c.outer(safe.exec_transaction(tx, packed(tx)), nonce, max_fee=fee)


def _cancel(nonce: int) -> UnsignedTx:
    empty = c.outer(b"", nonce, to=c.AGENT.address)
    return dataclasses.replace(empty, gas=21_000, fees=Fees(60 * 10**9, 10**9))


def _cancelled(room: Room) -> None:
    room.signer.fresh()
    for tx in (_signed_outer(c.sell()), _cancel(0)):
        if "result" not in room.signer.outer(tx):
            raise Halt("CHAOS_WORLD", "an honest outer transaction was refused")


def _swap(amount: int) -> ur.Command:
    args = {"recipient": ur.MSG_SENDER, "amountIn": amount, "amountOutMin": 1, "path": ur.v3_path([c.WETH, c.USDC], [500]), "payerIsUser": True}  # fmt: skip
    return ur.Command("V3_SWAP_EXACT_IN", args)


def _supply(who: str) -> SafeTx:
    return c.batch(
        c.approve(c.USDC, c.AAVE, 10), c.call(c.AAVE, "aave_v3_pool", "supply", c.USDC, 10, who, 0), GUARD
    )


def _rewritten(room: Room) -> str:
    """The caps in the signer's settings raised, beside it, while it runs: it has read them once and reads them no more."""
    before = room.signer.config.read_text()
    try:
        changed = json.loads(before)
        changed["chains"][0]["tokens"][c.WETH] = {"per_tx_raw": str(10**30), "per_day_raw": str(10**30)}
        changed["chains"][0]["spenders"].append(c.THIEF)
        room.signer.config.write_text(json.dumps(changed))
        return _asks(c.sell(31 * E18))(room)
    finally:
        room.signer.config.write_text(before)


def _torn_ledger(room: Room) -> str:
    """A record cut out of the spend ledger so that the day looks unspent: the signer does not start on it."""
    lines = room.signer.ledger.read_bytes().splitlines(keepends=True)
    room.signer.ledger.write_bytes(b"".join(lines[1:]))
    try:
        room.signer.restart()
    except FairleadError as refused:
        room.signer.process = None
        room.signer.ledger.unlink()
        room.signer.fresh()
        if "LEDGER_CORRUPT" not in str(refused):
            raise
        return str(refused)
    return _asks(c.sell(30 * E18, nonce=4))(room)


LARGE = [c.sell(30 * E18, nonce=n) for n in range(3)]
SEQUENCES = (
    Move(SEQUENCE, "another batch at a nonce that carries one", _asks(c.sell(6 * E18)), code("nonce-reused"), _fresh_then(c.sell())),
    Move(SEQUENCE, "the same after the signer was restarted", _asks(c.sell(6 * E18)), code("nonce-reused"), _fresh_then(c.sell(), restart=True)),
    Move(SEQUENCE, "a granted request's id for another batch", _asks(c.sell(6 * E18, nonce=1), request_id="granted"), "REQUEST_ID_REUSED:", _fresh_then(c.sell(), name="granted")),
    Move(SEQUENCE, "the day's cap in four batches", _asks(c.sell(30 * E18, nonce=3)), code("cap-per-day"), _fresh_then(*LARGE)),
    Move(SEQUENCE, "the day's cap over a restart", _asks(c.sell(30 * E18, nonce=3)), code("cap-per-day"), _fresh_then(*LARGE, restart=True)),
    Move(SEQUENCE, "the day's cap by a chain that says it is next week", _asks(c.sell(30 * E18, nonce=3, deadline=c.NOW + 7 * 86_400 + 300), now=c.NOW + 7 * 86_400), code("cap-per-day"), _fresh_then(*LARGE)),
    Move(SEQUENCE, "an approval in one batch, to be used in another", _asks(c.batch(c.approve(c.WETH, c.PERMIT2, 5 * E18), GUARD)), code("allowance-left"), _fresh_then()),
    Move(SEQUENCE, "the use of an approval made in another batch", _asks(c.batch(c.route([_swap(5 * E18)]))), code("allowance-missing"), _fresh_then()),
    Move(SEQUENCE, "the router's shorthand for itself as owner of a supply", _asks(_supply(ur.ADDRESS_THIS)), code("recipient"), _fresh_then()),
    Move(SEQUENCE, "the router's shorthand for its caller as owner of a supply", _asks(_supply(ur.MSG_SENDER)), code("recipient"), _fresh_then()),
    Move(SEQUENCE, "a sale at a nonce that was cancelled", lambda room: _sends(room.signer, _signed_outer(c.sell(nonce=1)), safe_nonce=1), code("nonce-reused"), _cancelled),
    Move(SEQUENCE, "settings of the signer rewritten while it runs", _rewritten, code("approval-size"), _fresh_then()),
    Move(SEQUENCE, "a record cut out of the spend ledger", _torn_ledger, "LEDGER_CORRUPT", _fresh_then(*LARGE)),
)  # fmt: skip


def moves() -> list[Move]:
    found = [_batch(name, rule, tx) for name, (rule, tx) in ATTACKS.items()]
    found += [_place(name, asked) for name, asked in CONTEXT.items()]
    found += [_outer(name, asked) for name, asked in OUTER.items()]
    found += [_method(name, *asked) for name, asked in METHODS.items()]
    found += [_relay(name, message) for name, message in RELAY.items()]
    found += [_frame(name, frame) for name, frame in FRAMES.items()]
    return found + list(SEQUENCES)
