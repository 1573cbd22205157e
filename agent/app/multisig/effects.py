"""What a Safe transaction would change, found by rehearsing it on this machine, and said in plain sentences.

The transaction itself, through execTransaction, twice at one block: once to hear which tokens and approvals it speaks of, once with
every figure that matters read before and after it: balances, allowances, owners, threshold, modules, guard, fallback handler,
singleton, health factor. Nothing leaves this machine.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from decimal import Decimal
from typing import Any

from agent.app.watching.aave import label
from agent.domain.errors import Reject
from agent.domain.units import qty_exact
from chains.evm import address_of, keccak, word
from chains.fork_difference import Override
from chains.profile import ChainProfile
from chains.simulate import NATIVE, WATCHER, SafeCall, Simulation, Simulator, Step, StepResult
from chains.types import ZERO_ADDRESS, Address, BlockRef, Call, Log
from chains.wallets import FALLBACK_SLOT, GUARD_SLOT, MODULE_GUARD_SLOT, MODULES_AT_ONCE, SENTINEL, SafeState
from contracts.abi_types import AbiError
from contracts.codec import decode_result, encode
from keys import landmarks
from keys.safe import SafeTx, exec_call, safe_tx_hash

UINT_MAX = 2**256 - 1
UNLIMITED = 2**159
_TRANSFER = keccak(b"Transfer(address,address,uint256)")
_APPROVAL = keccak(b"Approval(address,address,uint256)")
_APPROVAL_FOR_ALL = keccak(b"ApprovalForAll(address,address,bool)")
_TRANSFER_SINGLE = keccak(b"TransferSingle(address,address,address,uint256,uint256)")
_DELEGATED = keccak(b"BorrowAllowanceDelegated(address,address,address,uint256)")
_PERMIT2_APPROVAL = keccak(b"Approval(address,address,address,uint160,uint48)")
_SLOTS = {
    "singleton": 0,
    "guard": GUARD_SLOT,
    "fallback handler": FALLBACK_SLOT,
    "module guard": MODULE_GUARD_SLOT,
}
_MOST_TOKENS = 60
_APPROVED_HASHES_SLOT = 8


@dataclass(frozen=True, slots=True)
class TokenName:
    """`known`: named by this installation; otherwise the name is the token's own claim, and its address is shown beside it."""

    symbol: str
    decimals: int
    known: bool


@dataclass(frozen=True, slots=True)
class Allowance:
    """What a spender may take, in base units; `via` "permit2" for its second level, "credit" for debt that is the wallet's (Aave)."""

    token: Address
    spender: Address
    before: int
    after: int
    via: str = ""


@dataclass(frozen=True, slots=True)
class Effects:
    """`changes` by token in base units (NATIVE: the gas token); `said` are sentences about the Safe itself and collectibles.

    `health_before`, `health_after`: the lending pool's own health factor in 1e18, None without debt.
    """

    ok: bool
    reason: str
    gas: int
    block: BlockRef
    changes: Mapping[Address, int] = field(default_factory=dict)
    allowances: tuple[Allowance, ...] = ()
    said: tuple[str, ...] = ()
    health_before: int | None = None
    health_after: int | None = None
    names: Mapping[Address, TokenName] = field(default_factory=dict)
    landmarks: Mapping[str, str] = field(default_factory=dict)

    def sentences(self) -> list[str]:
        if not self.ok:
            return [f"IT WOULD REVERT NOW: {self.reason}."]
        found = []
        for token, change in sorted(self.changes.items(), key=lambda item: item[1] >= 0):
            debt = self._name(token).symbol.startswith(("variableDebt", "stableDebt"))
            if debt:
                verb = "More is owed" if change > 0 else "Less is owed"
            else:
                verb = "Comes" if change > 0 else "Leaves"
            found.append(f"{verb}: {self.amount(abs(change), token)}.")
        found += [self._allowance(a) for a in self.allowances]
        found += self.said
        if self.health_before != self.health_after:
            found.append(f"Health factor: {shown(self.health_before)} → {shown(self.health_after)}.")
        return found or ["Nothing leaves, nothing comes, nobody may take more than before."]

    def _name(self, token: Address) -> TokenName:
        return self.names.get(token, TokenName("", 0, False))

    def amount(self, raw: int, token: Address) -> str:
        name = self._name(token)
        if not name.symbol:
            return f"{raw} base units of {token}"
        value = f"{qty_exact(raw, name.decimals):f}"
        value = value.rstrip("0").rstrip(".") if "." in value else value
        return f"{value} {name.symbol}" + ("" if name.known else f" ({raw} base units of {token})")

    def _allowance(self, a: Allowance) -> str:
        who = f"{self.landmarks[a.spender]} ({a.spender})" if a.spender in self.landmarks else a.spender
        through = " through Permit2" if a.via == "permit2" else ""
        take = "borrow" if a.via == "credit" else "take"
        was = self.amount(a.before, a.token) if a.before < UNLIMITED else f"ALL {self._name(a.token).symbol}"
        if a.after == 0:
            return f"{who} may no longer {take} any{through} (before: {was})."
        now = (
            self.amount(a.after, a.token)
            if a.after < UNLIMITED
            else f"ALL (unlimited) {self._name(a.token).symbol}"
        )
        owed = " on the wallet's credit" if a.via == "credit" else ""
        return f"AFTERWARDS {who} may {take} {now}{through}{owed} (before: {was})."

    def json(self) -> dict[str, Any]:
        return {
            "would_succeed": self.ok,
            "reason": self.reason,
            "gas": self.gas,
            "block": self.block.number,
            "changes": [
                {"asset": token, "symbol": self._name(token).symbol, "change_raw": str(change)}
                for token, change in self.changes.items()
            ],
            "allowances": [
                {"token": a.token, "spender": a.spender, "via": a.via, "before_raw": str(a.before), "after_raw": str(a.after)}
                for a in self.allowances
            ],
            "health_before_1e18": None if self.health_before is None else str(self.health_before),
            "health_after_1e18": None if self.health_after is None else str(self.health_after),
        }  # fmt: skip


def shown(factor_1e18: int | None) -> str:
    return "no debt" if factor_1e18 is None else f"{qty_exact(factor_1e18, 18).quantize(Decimal('0.0001')):f}"


async def effects_of(
    simulator: Simulator,
    profile: ChainProfile,
    safe: Address,
    tx: SafeTx,
    executor: Address,
    known: Mapping[Address, tuple[str, int]],
    state: SafeState,
    at: BlockRef,
) -> Effects:
    """Rehearses `tx` as if enough owners had approved its hash on chain, at the Safe's present nonce: nothing else is different.
    `known`: the settings' tokens, address to (symbol, decimals); `state`: the Safe at block `at`.

    Raises Retry where state cannot be read, Usage where there is no Anvil.
    """
    digest = safe_tx_hash(profile.chain_id, safe, replace(tx, nonce=state.nonce))
    signers = sorted(state.owners, key=lambda o: int(o, 16))[: state.threshold]
    approved = {_approval_slot(owner, digest): word(1) for owner in signers}
    packed = b"".join(word(owner) + word(0) + b"\1" for owner in signers)
    step = Step(executor, exec_call(safe, tx, packed))
    overrides = {safe: Override(approved)}
    first = await simulator.run([step], overrides=overrides, at=at)
    gas = first.steps[0].gas_used
    if not first.ok:
        return Effects(False, await _why(simulator, profile, safe, tx, executor, first), gas, at)
    logs = first.steps[0].logs
    pairs = _pairs(logs, safe, profile.contracts["permit2"])
    spoke = [log.address for log in logs if log.address != safe]
    tokens = list(dict.fromkeys([*known, profile.wrapped_native, profile.usdc, *spoke]))[:_MOST_TOKENS]
    views = _views(profile, safe, pairs)
    labels = [Call(t, encode("erc20", name)) for t in tokens for name in ("symbol", "decimals")]
    asked = [Step(WATCHER, call) for call in views]
    watch = [(NATIVE, safe), *((t, safe) for t in tokens)]
    steps = [*asked, step, *asked, *(Step(WATCHER, c) for c in labels)]
    second = await simulator.run(steps, watch=watch, overrides=overrides, at=at)
    n, done = len(views), second.steps
    before, after, named = done[:n], done[n + 1 : 2 * n + 1], done[2 * n + 1 :]
    names = _names(profile, tokens, named, known)
    allowances = _allowances(pairs, before, after)
    core = len(pairs)
    said = [*_safe_changes(before[core:], after[core:]), *_collectibles(logs, safe)]
    health: tuple[int | None, int | None] = (None, None)
    if profile.aave is not None:
        health = (_health(before[-1]), _health(after[-1]))
    return Effects(
        True,
        "",
        gas,
        at,
        {token: change for (token, _), change in second.changes.items() if change},
        tuple(allowances),
        tuple(said),
        *health,
        names,
        landmarks.names(profile.chain_id),
    )


def _approval_slot(owner: str, digest: bytes) -> int:
    """approvedHashes[owner][hash] of Safe 1.3.0 to 1.5.0."""
    outer = keccak(word(owner) + word(_APPROVED_HASHES_SLOT))
    return int.from_bytes(keccak(digest + outer), "big")


async def _why(
    simulator: Simulator,
    profile: ChainProfile,
    safe: Address,
    tx: SafeTx,
    executor: Address,
    seen: Simulation,
) -> str:
    """The reason; where the Safe only says that an inner call failed, which one and why."""
    if "GS013" not in seen.reason:
        return seen.reason
    try:
        inner = SafeCall(tx.to, tx.value, tx.data, tx.operation)
        return (await simulator.run_safe(safe, inner, executor, at=seen.block)).reason or seen.reason
    except Reject as refused:  # the node does not even run a call that sends more than there is
        if "insufficient funds" in refused.message.lower():
            return f"the Safe holds less {profile.native} than it sends"
        return seen.reason


_Pair = tuple[str, Address, Address, Call]


def _pairs(logs: Sequence[Log], safe: Address, permit2: Address) -> list[_Pair]:
    """(via, token, spender, the call that tells the allowance) of every approval that was spoken of."""
    found: dict[tuple[str, Address, Address], Call] = {}
    for log in logs:
        topics = log.topics
        if not topics or len(topics) < 3 or address_of(topics[1]) != safe:
            continue
        if topics[0] == _APPROVAL and len(topics) == 3:
            spender = address_of(topics[2])
            found["", log.address, spender] = Call(log.address, encode("erc20", "allowance", (safe, spender)))
        elif topics[0] == _PERMIT2_APPROVAL and len(topics) == 4 and log.address == permit2:
            token, spender = address_of(topics[2]), address_of(topics[3])
            call = Call(permit2, encode("permit2", "allowance", (safe, token, spender)))
            found["permit2", token, spender] = call
        elif topics[0] == _DELEGATED and len(topics) == 4:
            spender = address_of(topics[2])
            call = Call(log.address, encode("aave_debt_token", "borrowAllowance", (safe, spender)))
            found["credit", log.address, spender] = call
    return [(*key, call) for key, call in found.items()]


def _views(profile: ChainProfile, safe: Address, pairs: Sequence[_Pair]) -> list[Call]:
    """Allowances, then owners, threshold, modules and slots, and the lending account last."""
    calls = [call for *_, call in pairs]
    calls += [Call(safe, encode("safe", name)) for name in ("getOwners", "getThreshold")]
    calls.append(Call(safe, encode("safe", "getModulesPaginated", (SENTINEL, MODULES_AT_ONCE))))
    calls += [Call(safe, encode("safe", "getStorageAt", (slot, 1))) for slot in _SLOTS.values()]
    if profile.aave is not None:
        calls.append(Call(profile.aave.pool, encode("aave_v3_pool", "getUserAccountData", (safe,))))
    return calls


def _allowances(
    pairs: Sequence[_Pair], before: Sequence[StepResult], after: Sequence[StepResult]
) -> list[Allowance]:
    found = []
    for (via, token, spender, _), was, is_now in zip(pairs, before, after, strict=False):
        made = Allowance(token, spender, _word(was), _word(is_now), via)
        if made.before != made.after:
            found.append(made)
    return found


def _word(result: StepResult) -> int:
    return int.from_bytes(result.data[:32], "big") if result.ok else 0


def _decoded(function: str, result: StepResult) -> Any:
    try:
        return decode_result("safe", function, result.data)[0] if result.ok else None
    except AbiError:
        return None


def _safe_changes(before: Sequence[StepResult], after: Sequence[StepResult]) -> list[str]:
    found = []
    for position, what in enumerate(("getOwners", "getThreshold", "getModulesPaginated")):
        was, is_now = _decoded(what, before[position]), _decoded(what, after[position])
        if was is None or is_now is None:
            found.append(f"WHAT BECOMES OF THE SAFE'S {what} IS NOT KNOWN.")
        elif what == "getThreshold":
            if was != is_now:
                found.append(f"SIGNATURES NEEDED: {was} → {is_now}.")
        else:
            noun = "OWNER" if what == "getOwners" else "MODULE"
            found += [f"{noun} REMOVED: {who}." for who in was if who not in is_now]
            extra = "" if noun == "OWNER" else ", which can spend without any owner's signature"
            found += [f"{noun} ADDED: {who}{extra}." for who in is_now if who not in was]
    for position, what in enumerate(_SLOTS, 3):
        was, is_now = (_decoded("getStorageAt", some[position]) for some in (before, after))
        if was != is_now:
            found.append(f"THE SAFE'S {what.upper()} CHANGES: {_slot(was)} → {_slot(is_now)}.")
    return found


def _slot(data: bytes | None) -> str:
    if data is None or len(data) != 32:
        return "unknown"
    who = address_of(data)
    return "none" if who == ZERO_ADDRESS else who


def _collectibles(logs: Sequence[Log], safe: Address) -> list[str]:
    found = []
    for log in logs:
        topics = log.topics
        if topics and topics[0] == _TRANSFER and len(topics) == 4:
            sender, to, token_id = (
                address_of(topics[1]),
                address_of(topics[2]),
                int.from_bytes(topics[3], "big"),
            )
            if safe in (sender, to) and sender != to:
                found.append(
                    f"{'Leaves' if sender == safe else 'Comes'}: number {token_id} of {log.address}."
                )
        elif topics and topics[0] == _TRANSFER_SINGLE and len(topics) == 4 and len(log.data) == 64:
            sender, to = address_of(topics[2]), address_of(topics[3])
            if safe in (sender, to) and sender != to:
                token_id, count = int.from_bytes(log.data[:32], "big"), int.from_bytes(log.data[32:], "big")
                verb = "Leaves" if sender == safe else "Comes"
                found.append(f"{verb}: {count} of number {token_id} of {log.address}.")
        elif topics and topics[0] == _APPROVAL_FOR_ALL and len(topics) == 3 and address_of(topics[1]) == safe:
            if any(log.data):
                found.append(f"AFTERWARDS {address_of(topics[2])} may take EVERYTHING held of {log.address}.")
            else:
                found.append(f"{address_of(topics[2])} may no longer take what is held of {log.address}.")
    return found


def _names(
    profile: ChainProfile,
    tokens: Sequence[Address],
    told: Sequence[StepResult],
    known: Mapping[Address, tuple[str, int]],
) -> dict[Address, TokenName]:
    ours = {**known, **{Address(a): n for a, n in landmarks.tokens(profile.chain_id).items()}}
    found = {NATIVE: TokenName(profile.native, 18, True)}
    for i, token in enumerate(tokens):
        if token in ours:
            found[token] = TokenName(*ours[token], True)
            continue
        symbol, decimals = told[2 * i : 2 * i + 2]
        if symbol.ok and decimals.ok and len(decimals.data) >= 32 and _word(decimals) <= 36:
            found[token] = TokenName(label(symbol.data, token), _word(decimals), False)
    return found


def _health(result: StepResult) -> int | None:
    try:
        factor = (
            int(decode_result("aave_v3_pool", "getUserAccountData", result.data)[5])
            if result.ok
            else UINT_MAX
        )
    except AbiError:
        return None
    return None if factor == UINT_MAX else factor
