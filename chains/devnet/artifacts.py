"""Compiled contracts out of the cache: creation code with libraries linked, and calldata from their own ABI."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from functools import cache
from typing import Any

from eth_abi.abi import decode, encode
from eth_utils.crypto import keccak

from chains.devnet import solidity
from chains.devnet.packages import artifacts_dir
from chains.errors import Halt, Usage


@dataclass(frozen=True, slots=True)
class Artifact:
    """`bytecode` is unlinked creation code in hex without 0x; `links` maps a library's name to its byte offsets."""

    name: str
    abi: list[dict[str, Any]]
    bytecode: str
    links: dict[str, list[int]]

    def creation(self, *args: Any, libraries: dict[str, str] | None = None) -> bytes:
        """Creation code, linked, followed by the encoded constructor arguments."""
        code = self.bytecode
        for library, offsets in self.links.items():
            address = (libraries or {})[library].removeprefix("0x").lower()
            for offset in offsets:
                code = code[: 2 * offset] + address + code[2 * offset + 40 :]
        ctor = next((entry for entry in self.abi if entry["type"] == "constructor"), None)
        types = [_type(i) for i in ctor["inputs"]] if ctor else []
        if len(types) != len(args):
            raise Halt("ARTIFACT", f"{self.name}'s constructor takes {types}, got {len(args)} arguments")
        return bytes.fromhex(code) + encode(types, args)

    def call(self, function: str, *args: Any) -> bytes:
        """Calldata of `function`, chosen by name and number of arguments, or by its full signature."""
        signature, types, _ = _function(self.name, function, len(args))
        return keccak(text=signature)[:4] + encode(types, args)

    def read(self, function: str, data: bytes, arity: int = 0) -> tuple[Any, ...]:
        """The decoded outputs of `function`."""
        return decode(_function(self.name, function, arity)[2], data)

    def event(self, name: str, data: bytes) -> tuple[Any, ...]:
        """The values of an event's log that are not indexed."""
        entry = next(e for e in self.abi if e["type"] == "event" and e["name"] == name)
        return decode([_type(i) for i in entry["inputs"] if not i["indexed"]], data)


@cache
def artifact(name: str) -> Artifact:
    """The artifact called `name` in contracts/packages.json, or of our own sources. Raises Usage when the set-up has not run."""
    folder = solidity.own_dir() if name in solidity.OWN else artifacts_dir()
    try:
        raw = json.loads((folder / f"{name}.json").read_text())
    except FileNotFoundError as why:
        raise Usage("DEVNET_NOT_SET_UP", f"{name} is not in the cache", "run scripts/setup") from why
    links = {
        library: [place["start"] for place in places]
        for libraries in raw["linkReferences"].values()
        for library, places in libraries.items()
    }
    return Artifact(name, raw["abi"], raw["bytecode"], links)


@cache
def source_hex(name: str, pattern: str) -> str:
    """The hex literal that follows `pattern` in a package's source text: runtime code published only there."""
    match = re.search(pattern + r'\s*hex"([0-9a-f]+)"', (artifacts_dir() / name).read_text())
    if match is None:
        raise Halt("ARTIFACT", f"{name} holds no hex literal after {pattern}")
    return "0x" + match[1]


@cache
def script_hex(name: str, marker: str, before: bool = False) -> bytes:
    """The hex string nearest to `marker` in a package's JavaScript: the first after it, or the last before it."""
    text = (artifacts_dir() / name).read_text()
    at = text.find(marker)
    found = re.findall(r'"0x([0-9a-fA-F]{40,})"', text[:at] if before else text[at:]) if at >= 0 else []
    if not found:
        raise Halt("ARTIFACT", f"{name} holds no hex string by {marker}")
    return bytes.fromhex(found[-1 if before else 0])


def deployment(name: str) -> dict[str, Any]:
    """A JSON file of a package that is no artifact."""
    content: dict[str, Any] = json.loads((artifacts_dir() / f"{name}.json").read_text())
    return content


@cache
def _function(name: str, function: str, arity: int) -> tuple[str, list[str], list[str]]:
    found = []
    for entry in artifact(name).abi:
        if entry["type"] != "function":
            continue
        types = [_type(i) for i in entry["inputs"]]
        signature = f"{entry['name']}({','.join(types)})"
        if function == signature or (function == entry["name"] and len(types) == arity):
            found.append((signature, types, [_type(o) for o in entry["outputs"]]))
    if len(found) != 1:
        raise Halt("ARTIFACT", f"{name} has {len(found)} functions {function!r} with {arity} arguments")
    return found[0]


def _type(entry: dict[str, Any]) -> str:
    kind: str = entry["type"]
    if kind.startswith("tuple"):
        return f"({','.join(_type(part) for part in entry['components'])}){kind.removeprefix('tuple')}"
    return kind
