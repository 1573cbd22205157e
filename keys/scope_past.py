"""What a Gate and its Roles modifier were ever told, out of their logs: whatever of it still holds and the scope does not say. Pure.

    past = Past.of(logs, gate, roles)
    extras(past, scope)     readings of what the past names and the scope does not; one that answers anything but zero is a power too many
    powers(past, scope)     what the role may call beyond the scope's verbs, by the last thing said of each
    waiting(past)           the widenings that were queued; `readyAt` and `idOf` tell which of them can still run

`keys.scope_state` reads what the scope names. A contract's mappings cannot be listed, so that nothing stands beside it is known from
the logs alone: every setter of both contracts writes one.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from chains.types import Address, Call
from contracts.abi_types import AbiError
from contracts.codec import DecodedCall, decode_call, decode_event, encode, selector
from keys.scope import ROLE, Scope, verbs

QUEUE_LIFE_S = 7 * 86_400
"""Gate.QUEUE_LIFE: after it what was queued cannot run any more."""


class LogLike(Protocol):
    @property
    def address(self) -> str: ...
    @property
    def topics(self) -> tuple[bytes, ...]: ...
    @property
    def data(self) -> bytes: ...


@dataclass(frozen=True, slots=True)
class Extra:
    """`call` answers zero, in every byte, where the power is not there."""

    sentence: str
    call: Call


@dataclass(frozen=True, slots=True)
class Queued:
    id: bytes
    data: bytes
    ready_at: int

    @property
    def words(self) -> str:
        try:
            call = decode_call("gate", self.data)
        except AbiError:
            return f"0x{self.data[:36].hex()}…"
        return f"{call.function}({', '.join(f'{name} {_shown(value)}' for name, value in call.args.items())})"


@dataclass(frozen=True, slots=True)
class Past:
    """`told` are the Gate's setters as they were called (`strange`: in no canonical form), `targets` and `functions` the last word on each, `unwraps` (to, selector)."""

    gate: Address
    roles: Address
    told: tuple[DecodedCall, ...] = ()
    queued: tuple[Queued, ...] = ()
    targets: Mapping[tuple[bytes, str], bool] | None = None
    functions: Mapping[tuple[bytes, str, bytes], bool] | None = None
    unwraps: frozenset[tuple[str, bytes]] = frozenset()
    strange: tuple[bytes, ...] = ()

    @classmethod
    def of(cls, logs: Iterable[LogLike], gate: Address, roles: Address) -> Past:
        """`logs` in the order they were written; those of other contracts are left out."""
        told: list[DecodedCall] = []
        queued: list[Queued] = []
        targets: dict[tuple[bytes, str], bool] = {}
        functions: dict[tuple[bytes, str, bytes], bool] = {}
        unwraps: set[tuple[str, bytes]] = set()
        strange: list[bytes] = []
        for log in logs:
            contract = {gate: "gate", roles: "zodiac_roles"}.get(Address(log.address))
            try:
                event = decode_event(contract, log) if contract is not None else None
                if event is None:
                    continue
            except AbiError:
                continue
            a: dict[str, Any] = event.args
            match event.event:
                case "Changed":
                    try:
                        told.append(decode_call("gate", a["data"]))
                    except AbiError:
                        strange.append(a["data"])
                case "Queued":
                    queued.append(Queued(a["id"], a["data"], a["readyAt"]))
                case "AllowTarget" | "ScopeTarget" | "RevokeTarget":
                    targets[a["roleKey"], a["targetAddress"]] = event.event != "RevokeTarget"
                case "AllowFunction" | "ScopeFunction" | "RevokeFunction":
                    key = a["roleKey"], a["targetAddress"], a["selector"]
                    functions[key] = event.event != "RevokeFunction"
                case "SetUnwrapAdapter":
                    unwraps.add((a["to"], a["selector"]))
        return cls(
            gate, roles, tuple(told), tuple(queued), targets, functions, frozenset(unwraps), tuple(strange)
        )


def extras(past: Past, scope: Scope) -> tuple[Extra, ...]:
    """What the scope itself names is left to `keys.scope_state`, which compares its values too."""
    tokens, assets = {t.address for t in scope.tokens}, {r.asset for r in scope.reserves}
    pairs = {tuple(sorted((p.token_a, p.token_b), key=lambda a: int(a, 16))) for p in scope.pairs}
    routes = {(r.router, r.selector) for r in scope.routes}
    found: dict[Call, str] = {}

    def add(sentence: str, function: str, *args: Any) -> None:
        found[Call(past.gate, encode("gate", function, args))] = sentence

    for call in past.told:
        a: dict[str, Any] = call.args
        match call.function:
            case "setToken" if a["token"] not in tokens:
                add(f"the Gate lists the token {a['token']}", "tokens", a["token"])
            case "setPair" if (a["tokenA"], a["tokenB"]) not in pairs:
                what = f"the Gate lets {a['tokenA']} and {a['tokenB']} be exchanged"
                add(what, "pairs", a["tokenA"], a["tokenB"])
            case "setRoute" if (a["router"], a["selector"]) not in routes:
                what = f"the Gate calls 0x{a['selector'].hex()} of {a['router']}"
                add(what, "routes", a["router"], a["selector"])
            case "setReserve" if a["asset"] not in assets:
                add(f"the Gate acts on the lending reserve {a['asset']}", "reserves", a["asset"])
    made = [Extra(f"{sentence}, the settings do not say so", call) for call, sentence in found.items()]
    for to, which in sorted(past.unwraps):
        made.append(
            Extra(
                f"the Roles modifier opens 0x{which.hex()} of {to} by an unwrapper, the settings name none",
                Call(past.roles, encode("zodiac_roles", "unwrappers", (_unwrap_key(to, which),))),
            )
        )
    return tuple(made)


def powers(past: Past, scope: Scope, allowed: frozenset[bytes] | None = None) -> tuple[str, ...]:
    """The Gate refuses all but its verbs whatever a role may call; that more is allowed than the settings say is drift all the same.

    `past` may be that of what pays into loans and its own modifier: `allowed` are the selectors that the role may call there."""
    where = "the Gate" if allowed is None else "what pays into loans"
    if allowed is None:
        allowed = frozenset(selector("gate", verb) for verb in verbs(scope))
    found = [
        f"the Gate was told 0x{data[:36].hex()}…, which cannot be read: what it lists since is not known"
        for data in past.strange
    ]
    for (role, target), holds in (past.targets or {}).items():
        if holds and (role, target) != (ROLE, past.gate):
            found.append(f"role 0x{role.hex()} may reach {target}, the settings do not say so")
    for (role, target, which), holds in (past.functions or {}).items():
        if holds and (role, target) == (ROLE, past.gate) and which not in allowed:
            found.append(f"the role may call 0x{which.hex()} of {where}, the settings do not say so")
    return tuple(found)


def waiting(past: Past) -> tuple[tuple[Queued, Call, Call], ...]:
    """Each with the calls of `readyAt` and `idOf`: it runs where the first is not zero and the second is its id (a freeze voids it)."""
    latest = {one.id: one for one in past.queued}
    return tuple(
        (
            one,
            Call(past.gate, encode("gate", "readyAt", (one.id,))),
            Call(past.gate, encode("gate", "idOf", (one.data,))),
        )
        for one in latest.values()
    )


def _unwrap_key(to: str, which: bytes) -> bytes:
    """Roles keeps adapters by address ‖ selector, left aligned."""
    return bytes.fromhex(to[2:]) + which + bytes(8)


def _shown(value: Any) -> str:
    if isinstance(value, Mapping):
        return "{" + ", ".join(f"{k} {_shown(v)}" for k, v in value.items()) + "}"
    return "0x" + value.hex() if isinstance(value, bytes) else str(value)
