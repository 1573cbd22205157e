"""A condition tree of Zodiac Roles v2 in words. Pure.

`scopeFunction` takes it flat, breadth first: each node names its parent's place, how the parameter is laid out, an operator and what
it compares with. Source: the operators and layouts of Roles v2's published Types.sol.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from contracts.hashing import checksum

_PASS, _MATCHES = 0, 5
_STATIC, _DYNAMIC = 1, 2
_GROUPS = {1: "all of", 2: "at least one of", 3: "none of"}
_ARRAYS = {6: "at least one element", 7: "every element", 8: "its elements, each one of"}
_COMPARED = {16: "is", 17: "is above", 18: "is below"}
_SIGNED = {19: "is above", 20: "is below"}
_ALLOWANCES = {28: "it", 29: "the ether sent along", 30: "the number of calls"}
UNREADABLE = "CONDITIONS HOLD THAT CANNOT BE READ HERE"

Node = Mapping[str, Any]


def conditions(nodes: Sequence[Node], named: Callable[[bytes], str]) -> str:
    """The tree as one phrase that follows "only where". `named` turns an allowance's 32-byte key into words."""
    if not nodes or nodes[0]["parent"] != 0:
        return UNREADABLE
    children: list[list[int]] = [[] for _ in nodes]
    for place, node in enumerate(nodes[1:], 1):
        if not node["parent"] < place:
            return UNREADABLE
        children[node["parent"]].append(place)
    said = [""] * len(nodes)
    # A child stands behind its parent, so from the back every child is said before its parent needs it.
    for place in range(len(nodes) - 1, -1, -1):
        said[place] = _said(
            nodes[place], [said[c] for c in children[place]], [nodes[c] for c in children[place]], named
        )
    return said[0]


def _said(node: Node, inside: list[str], below: list[Node], named: Callable[[bytes], str]) -> str:
    operator, value, kind = node["operator"], node["compValue"], node["paramType"]
    whole = len(value) == 32
    if operator == _PASS:
        return "anything goes"
    if operator == _MATCHES:
        return _matches(inside, below)
    if operator in _GROUPS and inside:
        return f"{_GROUPS[operator]} ({'; '.join(inside)}) hold"
    if operator in _ARRAYS and inside:
        return f"{_ARRAYS[operator]}: ({'; '.join(inside)})"
    if operator == 15:
        return "it is the modifier's own wallet"
    if operator in _COMPARED and whole:
        if kind == _DYNAMIC:
            return f"its bytes have the hash 0x{value.hex()}"
        return f"it {_COMPARED[operator]} {plain(value)}" if kind == _STATIC else f"it is 0x{value.hex()}"
    if operator in _SIGNED and whole:
        return f"it {_SIGNED[operator]} {int.from_bytes(value, 'big', signed=True)}"
    if operator == 21 and whole:
        return f"its bits fit the mask 0x{value.hex()}"
    if operator == 22 and whole:
        return f"THE CONTRACT {checksum(value[:20])} SAYS SO"
    if operator in _ALLOWANCES and whole:
        return f"{_ALLOWANCES[operator]} stays within the allowance {named(value)}"
    return f"{UNREADABLE} (operator {operator})"


def _matches(inside: list[str], below: list[Node]) -> str:
    """Each argument or member that is not free. Allowances of ether and calls stand among them without being an argument."""
    parts, place = [], 0
    for text, node in zip(inside, below, strict=True):
        if node["operator"] in (29, 30):
            parts.append(text)
            continue
        place += 1
        if node["operator"] != _PASS or node["paramType"] > _DYNAMIC:
            parts.append(f"argument {place}: {text}")
    return f"({'; '.join(parts)})" if parts else "anything goes"


def plain(word: bytes) -> str:
    """A 32-byte word as an address where it looks like one, else as a number."""
    return (
        checksum(word[12:]) if not any(word[:12]) and any(word[12:18]) else str(int.from_bytes(word, "big"))
    )
