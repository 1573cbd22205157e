"""What owners ask for, as the calls of one Safe transaction. Pure but for the file of calls."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from agent.app.watching.approvals import Approval, Kind
from agent.domain.errors import Usage
from chains.bounded_file import SETTINGS_BYTES, read_at_most
from chains.bounded_json import loads
from chains.types import ZERO_ADDRESS, Address, Call
from chains.wallets import SENTINEL, SafeState
from contracts import multisend
from contracts.codec import encode
from contracts.hashing import to_checksum
from contracts.universal_router import deadline_guard
from keys.safe import CALL, DELEGATECALL, SafeTx

_MAX_CALLS = 200


@dataclass(frozen=True, slots=True)
class Wallets:
    """The chain's contracts that proposals are made of; `guard` is a Universal Router, None where the chain has none."""

    multi_send: Address
    permit2: Address
    guard: Address | None
    guard_token: Address


@dataclass(frozen=True, slots=True)
class OwnerChange:
    """Owners to add, to remove, and the threshold afterwards (None: as it is)."""

    add: tuple[Address, ...] = ()
    remove: tuple[Address, ...] = ()
    threshold: int | None = None

    def __bool__(self) -> bool:
        return bool(self.add or self.remove or self.threshold is not None)


def address(text: str, what: str) -> Address:
    """Raises Usage BAD_ADDRESS."""
    try:
        return Address(to_checksum(text))
    except ValueError as error:
        raise Usage("BAD_ADDRESS", f"{what}: {error}", "give a 0x address with its EIP-55 checksum") from None


def calldata(text: str, what: str) -> bytes:
    """Raises Usage BAD_DATA."""
    try:
        return bytes.fromhex(text.removeprefix("0x"))
    except ValueError:
        raise Usage("BAD_DATA", f"{what} is not hex", "calldata looks like 0xa9059cbb…") from None


def calls_of_file(path: Path) -> list[Call]:
    """A JSON list of {"to", "value" (wei, optional), "data" (0x hex, optional)}, or the Safe Transaction Builder's object with it
    under "transactions". Raises Usage CALLS_FILE naming the entry."""
    try:
        data = loads(read_at_most(path, SETTINGS_BYTES))
    except OSError as error:
        raise Usage("CALLS_FILE", f"{path}: {error.strerror}", "--calls takes a JSON file") from None
    except ValueError:
        raise Usage(
            "CALLS_FILE", f"{path} is not JSON", 'a list of {"to": "0x…", "value": "0", "data": "0x…"}'
        ) from None
    listed = data.get("transactions") if isinstance(data, dict) else data
    if not isinstance(listed, list) or not 0 < len(listed) <= _MAX_CALLS:
        raise Usage(
            "CALLS_FILE", f"{path} is no list of 1 to {_MAX_CALLS} calls", 'entries: {"to", "value", "data"}'
        )
    return [_call(entry, f"{path.name}[{i}]") for i, entry in enumerate(listed)]


def _call(entry: Any, where: str) -> Call:
    if not isinstance(entry, dict) or not isinstance(entry.get("to"), str):
        raise Usage("CALLS_FILE", f"{where}.to is missing", 'entries: {"to", "value", "data"}')
    if entry.get("operation") not in (None, 0, "0"):
        raise Usage(
            "CALLS_FILE",
            f"{where}.operation: a batch makes calls only",
            "leave it out: MultiSendCallOnly makes no delegatecalls",
        )
    raw, data = entry.get("value") or "0", entry.get("data") or "0x"
    value = (
        int(raw) if isinstance(raw, int) or (isinstance(raw, str) and raw.isascii() and raw.isdigit()) else -1
    )
    if isinstance(raw, bool) or not 0 <= value < 1 << 256:
        raise Usage("CALLS_FILE", f"{where}.value is {raw!r}", "wei, as a decimal string")
    if not isinstance(data, str) or (not data.startswith("0x") and data):
        raise Usage(
            "CALLS_FILE",
            f"{where}.data is not 0x hex",
            "a call built from ABI and arguments must be encoded first",
        )
    return Call(address(entry["to"], f"{where}.to"), calldata(data, f"{where}.data"), value)


def revoking(token: Address, spender: Address, permit2: Address, through_permit2: bool) -> list[Call]:
    """Takes back a token's allowance, and Permit2's own second level where there is one."""
    calls = [Call(token, encode("erc20", "approve", (spender, 0)))]
    if through_permit2:
        calls.append(Call(permit2, encode("permit2", "approve", (token, spender, 0, 0))))
    return calls


def taking_back(a: Approval, permit2: Address) -> Call:
    """The one call that ends an approval of any kind."""
    match a.kind:
        case Kind.PERMIT2:
            return Call(permit2, encode("permit2", "approve", (a.token, a.spender, 0, 0)))
        case Kind.OPERATOR:
            return Call(a.token, encode("erc721", "setApprovalForAll", (a.spender, False)))
        case Kind.ONE:
            return Call(a.token, encode("erc721", "approve", (ZERO_ADDRESS, a.number)))
        case Kind.DELEGATION:
            return Call(a.token, encode("aave_debt_token", "approveDelegation", (a.spender, 0)))
    return Call(a.token, encode("erc20", "approve", (a.spender, 0)))


def changing_owners(safe: Address, state: SafeState, change: OwnerChange) -> list[Call]:
    """Raises Usage SAFE_OWNERS_INVALID, SAFE_THRESHOLD_INVALID for what the contract would refuse."""
    owners, calls = list(state.owners), []
    wanted = state.threshold if change.threshold is None else change.threshold
    last = len(change.add) + len(change.remove)
    for step, owner in enumerate((*change.add, *change.remove), 1):
        adds = step <= len(change.add)
        if adds and (owner in owners or int(owner, 16) <= 1 or owner == safe):
            raise Usage(
                "SAFE_OWNERS_INVALID",
                f"{owner} cannot be added: it is an owner already, or no account",
                "--add-owner",
            )
        if not adds and owner not in owners:
            raise Usage(
                "SAFE_OWNERS_INVALID",
                f"{owner} cannot be removed: it is no owner",
                "`fairlead wallet show` lists them",
            )
        after = len(owners) + (1 if adds else -1)
        threshold = wanted if step == last else min(state.threshold, max(after, 1))
        if not 1 <= threshold <= after:
            raise Usage(
                "SAFE_THRESHOLD_INVALID",
                f"a threshold of {threshold} does not fit {after} owners",
                "give --threshold with it",
            )
        if adds:
            calls.append(Call(safe, encode("safe", "addOwnerWithThreshold", (owner, threshold))))
            owners.insert(0, owner)
        else:
            at = owners.index(owner)
            before = owners[at - 1] if at else SENTINEL
            calls.append(Call(safe, encode("safe", "removeOwner", (before, owner, threshold))))
            owners.remove(owner)
    if not calls:
        if wanted == state.threshold:
            raise Usage(
                "SAFE_THRESHOLD_INVALID", f"the threshold is {wanted} already", "nothing would change"
            )
        if not 1 <= wanted <= len(owners):
            raise Usage(
                "SAFE_THRESHOLD_INVALID",
                f"a threshold of {wanted} does not fit {len(owners)} owners",
                "--threshold",
            )
        calls.append(Call(safe, encode("safe", "changeThreshold", (wanted,))))
    return calls


def transaction(
    safe: Address, calls: Sequence[Call], nonce: int, wallets: Wallets, deadline: int | None
) -> SafeTx:
    """One call as it is, several as a MultiSendCallOnly batch; a deadline (seconds) is a first call that reverts after it."""
    if deadline is not None:
        if wallets.guard is None:
            raise Usage(
                "NO_DEADLINE_GUARD", "this chain has no contract that checks a deadline", "say --no-deadline"
            )
        calls = [Call(wallets.guard, deadline_guard(safe, wallets.guard_token, deadline)), *calls]
    if len(calls) == 1:
        return SafeTx(calls[0].to, calls[0].value, calls[0].data, CALL, nonce)
    parts = [multisend.Part(call.to, call.value, call.data) for call in calls]
    return SafeTx(wallets.multi_send, 0, multisend.calldata(parts), DELEGATECALL, nonce)


def rejection(safe: Address, nonce: int) -> SafeTx:
    """Uses a nonce and does nothing: whatever else was signed at it can then never execute."""
    return SafeTx(safe, 0, b"", CALL, nonce)
