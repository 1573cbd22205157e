"""What a granted scope looks like on chain: each reading as a call and the answer it has to give. Pure.

`wallet scope` shows the difference before the owners sign, `wallet audit` the same difference ever after: whoever reads the
chain makes the calls of `readings` and hands the answers, as bytes, to `changes`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from chains.types import ZERO_ADDRESS, Address, Call
from contracts import gate
from contracts.abi_types import AbiError, Value
from contracts.codec import decode_result, encode, interface
from contracts.hashing import keccak
from contracts.offers import OFFERS
from keys.scope import (
    MODES,
    ROLES_MASTERCOPY,
    Scope,
    check,
    gas_money,
    gate_address,
    limits,
    offers_address,
    payers,
    roles_address,
)
from keys.scope_payments import Payer, allowed

Kind = Literal["equal", "at most", "code"]


@dataclass(frozen=True, slots=True)
class Reading:
    """`equal`: the call answers `wanted`; `at most`: one number, used up as time goes on; `code`: the code of `call.to`
    (no calldata) has the keccak `wanted`."""

    key: str
    contract: str
    function: str
    call: Call
    wanted: tuple[Value, ...]
    kind: Kind = "equal"


@dataclass(frozen=True, slots=True)
class Change:
    """One thing that is not as the scope says. `before` is what the chain holds, `after` what the scope wants."""

    key: str
    before: str
    after: str

    def __str__(self) -> str:
        return f"{self.key}: {self.before} → {self.after}"


def readings(scope: Scope, creation: bytes) -> tuple[Reading, ...]:
    """Everything that is checked, in reading order. Raises Usage SCOPE_INVALID, GATE_CODE."""
    check(scope)
    at = gate_address(scope, creation)
    roles = roles_address(scope, at)
    found = [
        Reading("gate code", "gate", "", Call(at, b""), (gate.runtime_hash(),), "code"),
        Reading("roles code", "zodiac_roles", "", Call(roles, b""), (keccak(_proxy()),), "code"),
        _gate(at, "gate safe", "safe", (), scope.safe),
        _gate(at, "gate agent", "agent", (), roles),
        _gate(at, "gate sealed", "isSealed", (), True),
        _gate(at, "gate frozen", "frozen", (), False),
        _gate(at, "gate delay", "delay", (), scope.delay_s),
        _gate(at, "gate limits", "limits", (), *limits(scope).values()),
        _gate(at, "gate lending pool", "lendingPool", (), scope.lending_pool),
        _gate(at, "gate sequencer", "sequencer", (), scope.sequencer),
        _gate(at, "gate sequencer grace", "sequencerGrace", (), scope.sequencer_grace_s),
    ]
    offers_at = offers_address(scope, at)
    found.append(_gate(at, "gate offers", "offers", (), offers_at))
    if scope.intents:
        found += [
            Reading("offers code", "offers", "", Call(offers_at, b""), (OFFERS.runtime_hash,), "code"),
            _reading(offers_at, "offers gate", "offers", "gate", (), at),
            _reading(offers_at, "offers safe", "offers", "safe", (), scope.safe),
        ]
    none: dict[str, Value] = dict.fromkeys(("account", "burst", "weth", "ratePerDay", "floatCap"), 0)
    none |= {"account": ZERO_ADDRESS, "weth": ZERO_ADDRESS}
    money = gas_money(scope.gas) if scope.gas else none
    found.append(_gate(at, "gate gas money", "gas", (), *money.values()))
    for token in scope.tokens:
        rule = (token.feed, token.max_age_s, token.decimals, token.feed_decimals)
        found.append(_gate(at, f"token {token.symbol}", "tokens", (token.address,), *rule))
    for pair in scope.pairs:
        low, high = sorted((pair.token_a, pair.token_b), key=lambda a: int(a, 16))
        key = f"pair {scope.token(low).symbol}/{scope.token(high).symbol}"
        second = (pair.source, pair.window_s, pair.max_age_s, pair.decimals)
        found.append(_gate(at, key, "pairs", (low, high), *second))
    for route in scope.routes:
        key = f"route {route.router} {route.function}"
        found.append(_gate(at, key, "routes", (route.router, route.selector), MODES[route.mode]))
    for reserve in scope.reserves:
        key = f"reserve {scope.token(reserve.asset).symbol}"
        rule_of = (reserve.a_token, reserve.debt_token, reserve.bits)
        found.append(_gate(at, key, "reserves", (reserve.asset,), *rule_of))
    found += _modifier(scope, "roles", roles, at)
    return (*found, *_allowances(scope, at), *_payments(scope, at))


def _modifier(scope: Scope, name: str, roles: Address, target: Address) -> list[Reading]:
    sentinel = "0x" + "0" * 39 + "1"
    members = ((scope.agent,), sentinel)
    return [
        _reading(roles, f"{name} owner", "zodiac_roles", "owner", (), scope.safe),
        _reading(roles, f"{name} avatar", "zodiac_roles", "avatar", (), scope.safe),
        _reading(roles, f"{name} target", "zodiac_roles", "target", (), target),
        _reading(roles, f"{name} member", "zodiac_roles", "isModuleEnabled", (scope.agent,), True),
        _reading(roles, f"{name} members", "zodiac_roles", "getModulesPaginated", (sentinel, 10), *members),
    ]


def _payments(scope: Scope, gate_at: Address) -> list[Reading]:
    """What pays into loans, its own modifier, and what it may take; none where the scope has none."""
    return [reading for payer in payers(scope, gate_at) for reading in _payer(scope, gate_at, payer)]


def _payer(scope: Scope, gate_at: Address, payer: Payer) -> list[Reading]:
    name, at, roles, form = payer.form.interface.replace("_", " "), payer.contract, payer.roles, payer.form
    own = form.interface
    found = [
        Reading(f"{name} code", own, "", Call(at, b""), (form.own.runtime_hash,), "code"),
        Reading(f"{name} roles code", "zodiac_roles", "", Call(roles, b""), (keccak(_proxy()),), "code"),
        _reading(at, f"{name} gate", own, "gate", (), gate_at),
        _reading(at, f"{name} safe", own, "safe", (), scope.safe),
        _reading(at, f"{name} agent", own, "agent", (), roles),
        _reading(at, f"{name} closed", own, "closed", (), False),
        _reading(at, f"{name} rules", own, "count", (), len(payer.rules)),
    ]
    word = name.removesuffix("s")
    for number, rule in enumerate(payer.rules):
        key = f"{word} {number} ({rule.action} {scope.token(rule.asset).symbol})"
        found.append(_reading(at, key, own, "rules", (number,), rule.on_chain))
    found += _modifier(scope, f"{name} roles", roles, at)
    for token, raw in allowed(payer.rules).items():
        key = f"allowance {scope.token(token).symbol} for {name}"
        found.append(_reading(token, key, "erc20", "allowance", (scope.safe, at), raw, kind="at most"))
    return found


def changes(wanted: tuple[Reading, ...], found: Mapping[str, bytes]) -> tuple[Change, ...]:
    """What differs. `found` maps a reading's key to the call's answer, or to the code; empty where there is neither."""
    return tuple(
        Change(reading.key, _shown(reading, found.get(reading.key, b"")), _text(reading.wanted, reading.kind))
        for reading in wanted
        if not holds(reading, found.get(reading.key, b""))
    )


def grants(wanted: tuple[Reading, ...], found: Mapping[str, bytes]) -> tuple[Change, ...]:
    """What granting the scope changes: as `changes`, and every allowance too, of which less than is wanted is no difference."""
    return tuple(
        Change(reading.key, before, after)
        for reading in wanted
        if (before := _shown(reading, found.get(reading.key, b"")))
        != (after := _text(reading.wanted, reading.kind))
    )


def holds(reading: Reading, answer: bytes) -> bool:
    """Whether the answer is the one wanted."""
    if reading.kind == "code":
        return bool(keccak(answer) == reading.wanted[0])
    values = _decoded(reading, answer)
    if reading.kind == "at most":
        return values is not None and bool(values[0] <= reading.wanted[0])
    return bool(values == reading.wanted)


def _proxy() -> bytes:
    """An EIP-1167 proxy's runtime code over the Roles mastercopy."""
    return bytes.fromhex("363d3d373d3d3d363d73" + ROLES_MASTERCOPY[2:] + "5af43d82803e903d91602b57fd5bf3")


def _allowances(scope: Scope, at: Address) -> list[Reading]:
    found = [
        _reading(
            t.address,
            f"allowance {t.symbol}",
            "erc20",
            "allowance",
            (scope.safe, at),
            t.allowance_raw,
            kind="at most",
        )
        for t in scope.tokens
    ]
    for r in scope.reserves:
        symbol, pair = scope.token(r.asset).symbol, (scope.safe, at)
        aave = "aave_debt_token"
        found += [
            _reading(
                r.a_token, f"allowance a{symbol}", "erc20", "allowance", pair, r.withdraw_raw, kind="at most"
            ),
            _reading(
                r.debt_token,
                f"delegation {symbol}",
                aave,
                "borrowAllowance",
                pair,
                r.borrow_raw,
                kind="at most",
            ),
        ]
    return found


def _gate(at: Address, key: str, function: str, args: tuple[Value, ...], *wanted: Value) -> Reading:
    return _reading(at, key, "gate", function, args, *wanted)


def _reading(
    to: str,
    key: str,
    contract: str,
    function: str,
    args: tuple[Value, ...],
    *wanted: Value,
    kind: Kind = "equal",
) -> Reading:
    return Reading(key, contract, function, Call(Address(to), encode(contract, function, args)), wanted, kind)


def _decoded(reading: Reading, answer: bytes) -> tuple[Value, ...] | None:
    try:
        return decode_result(reading.contract, reading.function, answer) if answer else None
    except AbiError:
        return None


def _shown(reading: Reading, answer: bytes) -> str:
    if reading.kind == "code":
        return f"0x{keccak(answer).hex()}" if answer else "nothing"
    values = _decoded(reading, answer)
    return "nothing" if values is None else _text(values, "equal")


def _text(values: tuple[Value, ...], kind: Kind) -> str:
    shown = ", ".join("0x" + v.hex() if isinstance(v, bytes) else str(v) for v in values)
    return f"at most {shown}" if kind == "at most" else shown


def outputs(reading: Reading) -> tuple[str, ...]:
    """The names of a reading's values, for tables."""
    if reading.kind == "code":
        return ("code hash",)
    return tuple(interface(reading.contract).by_name[reading.function][0].outputs.names)
