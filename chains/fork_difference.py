"""What a later block changed of the state a fork holds, as overrides for one simulation. Pure but for the proxy's reads.

Setting a fork on another block throws away all that it holds: everything is fetched again, one slot at a time. What lies between two
blocks is a few slots: they are laid over the fork as it stands. That is exact because a fork knows the chain only through its proxy,
which keeps each answer: a read that it did not hold shows there, and the simulation is made again with it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from chains.errors import Retry
from chains.evm import from_hex, number
from chains.fork_proxy import Key
from chains.types import Address


@dataclass(frozen=True, slots=True)
class Override:
    """State that is different in this simulation alone: slots by number, the balance in wei, the nonce, the code."""

    slots: Mapping[int, bytes] = field(default_factory=dict)
    balance: int | None = None
    code: bytes | None = None
    nonce: int | None = None


@dataclass(slots=True)
class Later:
    """What one later block is known to have changed: of `known`, the keys it was asked for; `state` by lower-case address."""

    hash: str = ""
    number: int = 0
    known: set[Key] = field(default_factory=set)
    state: dict[str, Override] = field(default_factory=dict)


def laid_over(below: Override, above: Override) -> Override:
    """`above` where it says something, `below` elsewhere."""
    return Override(
        {**below.slots, **above.slots},
        below.balance if above.balance is None else above.balance,
        below.code if above.code is None else above.code,
        below.nonce if above.nonce is None else above.nonce,
    )


def overrides_of(changed: Mapping[Key, Any]) -> dict[str, Override]:
    """By lower-case address. Raises Retry MALFORMED_ANSWER for a value of no known shape."""
    found: dict[str, Override] = {}
    for (method, params), value in changed.items():
        try:
            one = _override(method, params, value)
        except (KeyError, TypeError, ValueError, AttributeError, IndexError):
            raise Retry("MALFORMED_ANSWER", f"{method} was answered with {str(value)[:60]}") from None
        address = params[0].lower()
        found[address] = laid_over(found.get(address, Override()), one)
    return found


def _override(method: str, params: tuple[str, ...], value: Any) -> Override:
    match method:
        case "eth_getStorageAt":
            return Override({number(params[1]): from_hex(value).rjust(32, b"\0")})
        case "eth_getBalance":
            return Override(balance=number(value))
        case "eth_getTransactionCount":
            return Override(nonce=number(value))
        case "eth_getCode":
            return Override(code=from_hex(value))
        case "eth_getAccountInfo":
            return Override(
                balance=number(value["balance"]), nonce=number(value["nonce"]), code=from_hex(value["code"])
            )
    raise ValueError(method)


def merged(
    state: Mapping[str, Override], own: Mapping[Address, Override] | Mapping[str, Override]
) -> dict[str, Override]:
    """`own` over the chain's state, by lower-case address."""
    found = dict(state)
    for address, one in own.items():
        found[address.lower()] = laid_over(found.get(address.lower(), Override()), one)
    return found
