"""Calldata, results, events and revert reasons of the contracts in `contracts/abi`, encoded and decoded exactly.

    encode("erc20", "transfer", (to, 10))               -> calldata
    decode_call("erc20", data)                          -> DecodedCall(function, args by name)
    decode_result("erc20", "balanceOf", data)           -> (value, …)
    decode_event("erc20", log)                          -> DecodedEvent, or None when no listed event fits
    decode_revert(data)                                 -> a sentence

An overloaded function is named by its signature ("execute(bytes,bytes[],uint256)"), or by its bare name where the number
of arguments tells which one is meant. Calldata is refused unless it is canonical (see `contracts.abi_types`).
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any, Protocol

from contracts import abi
from contracts.abi_types import AbiError, AbiType, Tuple, Value, parse_tuple, split_top
from contracts.hashing import checksum, keccak

__all__ = [
    "AbiError",
    "DecodedCall",
    "DecodedEvent",
    "UnknownSelector",
    "decode_call",
    "decode_event",
    "decode_result",
    "decode_revert",
    "encode",
    "selector",
    "topic",
]


class UnknownSelector(AbiError):
    """The calldata calls something the interface does not list."""


class LogLike(Protocol):
    @property
    def topics(self) -> Sequence[bytes]: ...

    @property
    def data(self) -> bytes: ...


@dataclass(frozen=True, slots=True)
class DecodedCall:
    contract: str
    function: str
    signature: str
    args: dict[str, Value]


@dataclass(frozen=True, slots=True)
class DecodedEvent:
    contract: str
    event: str
    args: dict[str, Value]


@dataclass(frozen=True, slots=True)
class Entry:
    """One parsed signature. `indexed` flags events' parameters."""

    name: str
    signature: str
    inputs: Tuple
    outputs: Tuple
    indexed: tuple[bool, ...]
    id: bytes


@dataclass(frozen=True, slots=True)
class Interface:
    name: str
    by_selector: Mapping[bytes, Entry]
    by_name: Mapping[str, tuple[Entry, ...]]
    events: Mapping[bytes, Entry]
    errors: Mapping[bytes, Entry]


_NAME = re.compile(r"^\s*([A-Za-z_$][\w$]*)\s*\(")


def _closing(text: str, opening: int) -> int:
    depth = 0
    for index in range(opening, len(text)):
        depth += (text[index] == "(") - (text[index] == ")")
        if depth == 0:
            return index
    raise AbiError(f"unbalanced brackets in {text!r}")


def parse_entry(text: str) -> Entry:
    """A human-readable signature to its parsed form. Raises AbiError when it cannot be read."""
    match = _NAME.match(text)
    if not match:
        raise AbiError(f"{text!r} is not a signature")
    opening = match.end() - 1
    closing = _closing(text, opening)
    params = text[opening + 1 : closing]
    inputs = parse_tuple(params)
    rest = text[closing + 1 :]
    at = rest.find("returns")
    outputs = (
        parse_tuple(rest[rest.index("(", at) + 1 : _closing(rest, rest.index("(", at))])
        if at >= 0
        else Tuple([], [])
    )
    signature = match[1] + inputs.name
    flags = tuple(" indexed " in f"{p} " for p in split_top(params))
    return Entry(match[1], signature, inputs, outputs, flags, keccak(signature.encode()))


@cache
def interface(contract: str) -> Interface:
    """The parsed interface. Raises AbiError when there is no such file."""
    try:
        data = abi.load(contract)
    except KeyError:
        raise AbiError(f"no interface named {contract!r}; there are {', '.join(abi.names())}") from None
    functions = [parse_entry(s) for s in data.get("functions", ())]
    named: dict[str, tuple[Entry, ...]] = {}
    for entry in functions:
        named[entry.name] = (*named.get(entry.name, ()), entry)
        named[entry.signature] = (entry,)
    return Interface(
        contract,
        {e.id[:4]: e for e in functions},
        named,
        {e.id: e for e in map(parse_entry, data.get("events", ()))},
        {e.id[:4]: e for e in map(parse_entry, data.get("errors", ()))},
    )


def _function(contract: str, function: str, count: int | None) -> Entry:
    entries = interface(contract).by_name.get(function, ())
    if count is not None and len(entries) > 1:
        entries = tuple(e for e in entries if len(e.inputs.types) == count)
    if not entries:
        raise AbiError(f"{contract} lists no function {function!r}")
    if len(entries) > 1:
        raise AbiError(
            f"{contract}.{function} is overloaded: name it by one of {', '.join(e.signature for e in entries)}"
        )
    return entries[0]


def selector(contract: str, function: str) -> bytes:
    """The four bytes a call of `function` starts with."""
    return _function(contract, function, None).id[:4]


def topic(contract: str, event: str) -> bytes:
    """topic0 of an event, by its name. Raises AbiError when it is not listed."""
    for entry in interface(contract).events.values():
        if event in (entry.name, entry.signature):
            return entry.id
    raise AbiError(f"{contract} lists no event {event!r}")


def encode(contract: str, function: str, args: Sequence[Value] | Mapping[str, Value] = ()) -> bytes:
    """Calldata. `args` in order, or by name. Raises AbiError when a value does not fit."""
    entry = _function(contract, function, len(args))
    return entry.id[:4] + entry.inputs.enc(args)


def decode_call(contract: str, data: bytes) -> DecodedCall:
    """Raises UnknownSelector, or AbiError when the encoding is not canonical or has trailing bytes."""
    entry = interface(contract).by_selector.get(data[:4])
    if entry is None or len(data) < 4:
        raise UnknownSelector(f"{contract} lists no function with selector 0x{data[:4].hex()}")
    return DecodedCall(contract, entry.name, entry.signature, entry.inputs.decode(data[4:]))


def decode_result(contract: str, function: str, data: bytes) -> tuple[Value, ...]:
    """The return values in order. Not strict about layout: the chain wrote it. Raises AbiError when it is too short."""
    return tuple(_function(contract, function, None).outputs.decode(data, strict=False).values())


def decode_event(contract: str, log: LogLike) -> DecodedEvent | None:
    """The listed event a log carries, or None. An indexed dynamic value appears as its 32-byte hash.

    Raises AbiError when topic0 fits a listed event and the rest does not (another event of the same name, say an NFT's Transfer).
    """
    topics = tuple(bytes(t) for t in log.topics)
    entry = interface(contract).events.get(topics[0]) if topics else None
    if entry is None:
        return None
    if len(topics) - 1 != sum(entry.indexed):
        raise AbiError(f"{entry.name} has {sum(entry.indexed)} indexed values, the log has {len(topics) - 1}")
    plain_types = [t for t, i in zip(entry.inputs.types, entry.indexed, strict=True) if not i]
    plain_names = [n for n, i in zip(entry.inputs.names, entry.indexed, strict=True) if not i]
    plain = Tuple(plain_types, plain_names).decode(bytes(log.data), strict=False)
    args: dict[str, Value] = {}
    rest = iter(topics[1:])
    for kind, name, indexed in zip(entry.inputs.types, entry.inputs.names, entry.indexed, strict=True):
        args[name] = _indexed(kind, next(rest)) if indexed else plain[name]
    return DecodedEvent(contract, entry.name, args)


def _indexed(kind: AbiType, word: bytes) -> Value:
    return word if kind.dynamic or kind.head != 32 else kind.dec(word, 0, True)[0]


_PANICS = {
    0x00: "generic compiler panic",
    0x01: "assertion failed",
    0x11: "arithmetic overflow or underflow",
    0x12: "division by zero",
    0x21: "invalid enum value",
    0x22: "invalid storage byte array",
    0x31: "pop of an empty array",
    0x32: "array index out of bounds",
    0x41: "out of memory",
    0x51: "call of an uninitialised function",
}
_ERROR = parse_entry("Error(string reason)")
_PANIC = parse_entry("Panic(uint256 code)")


@cache
def _all_errors() -> Mapping[bytes, tuple[str, Entry]]:
    """By selector, with the names of all interfaces that list it: which of them reverted is not in the data."""
    found: dict[bytes, tuple[str, Entry]] = {}
    for name in abi.names():
        for sel, entry in interface(name).errors.items():
            found[sel] = (f"{found[sel][0]} or {name}" if sel in found else name, entry)
    return found


def _show(value: Any) -> str:
    if isinstance(value, bytes):
        return "0x" + value.hex()
    if isinstance(value, dict):
        return "{" + ", ".join(f"{k}: {_show(v)}" for k, v in value.items()) + "}"
    if isinstance(value, tuple):
        return "[" + ", ".join(map(_show, value)) + "]"
    return str(value)


def decode_revert(data: bytes) -> str:
    """Why a call reverted, as a sentence: Error(string), Panic(uint256), a listed custom error, nested ones unwrapped."""
    if not data:
        return "reverted without a reason"
    head, body = data[:4], data[4:]
    try:
        if head == _ERROR.id[:4]:
            return str(_ERROR.inputs.decode(body, strict=False)["reason"])
        if head == _PANIC.id[:4]:
            code = int(_PANIC.inputs.decode(body, strict=False)["code"])
            return f"panic 0x{code:02x}: {_PANICS.get(code, 'unknown panic')}"
        if head in _all_errors():
            name, entry = _all_errors()[head]
            args = entry.inputs.decode(body, strict=False)
            if entry.name == "ExecutionFailed" and "message" in args:
                return f"{name}: command {args['commandIndex']} failed: {decode_revert(args['message'])}"
            if entry.name == "WrappedError":
                return f"{name}: {args['target']} (a hook) failed: {decode_revert(args['reason'])}"
            if entry.name == "FailedOpWithRevert":
                return f"{name}: {args['reason']}: {decode_revert(args['inner'])}"
            return f"{name}: {entry.name}(" + ", ".join(f"{k}: {_show(v)}" for k, v in args.items()) + ")"
    except AbiError as error:
        return f"reverted with malformed data 0x{data[:36].hex()} ({error})"
    if len(data) == 32 and (word := int.from_bytes(data, "big")) < 1 << 160 and word:
        return f"reverted with the word {word} ({checksum(data[12:])})"
    return f"reverted with unknown error 0x{head.hex()} ({len(data)} bytes)"
