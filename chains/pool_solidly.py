"""Solidly-type pools (Velodrome, Aerodrome and kin) by their own views and their factory's: a market/1 object's fields. Pure.

The fee is the factory's word, asked with the pool or, in older ones, with its kind alone; no event tells when it is changed for all pools
of a kind, so that it is read with the reserves at every block.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from chains.abi_views import first_words
from chains.errors import Reject
from chains.evm import address_of, call_data, selector, words
from chains.types import Address, Call

KINDS = ("solidly_volatile", "solidly_stable")
_VIEWS = ("token0()", "token1()", "stable()", "factory()")
_MOST_FEE = 9_999


def asked(pool: Address) -> list[Call]:
    return [Call(pool, selector(name)) for name in _VIEWS]


def told(
    pool: str, kind: str, given: Sequence[bytes | None]
) -> tuple[tuple[Address, Address], dict[str, Any]]:
    """(the tokens, what never changes) from the answers to `asked`. Raises Reject NOT_A_POOL."""
    if any(answer is None or len(answer) < 32 for answer in given):
        raise Reject("NOT_A_POOL", f"{pool} does not answer as a {kind} pool")
    first, second, stable, factory = (answer or b"" for answer in given)
    real = KINDS[words(stable)[0] == 1]
    if real != kind:
        raise Reject("NOT_A_POOL", f"{pool} is a {real} pool, and is listed as {kind}")
    values = {"factory": address_of(factory[:32]), "stable": kind == "solidly_stable"}
    return (address_of(first[:32]), address_of(second[:32])), values


def fee_views(pool: Address, values: dict[str, Any]) -> list[Call]:
    """The forms in which factories of this kind tell a fee."""
    stable = int(values["stable"])
    return [
        Call(values["factory"], call_data("getFee(address,bool)", pool, stable)),
        Call(values["factory"], call_data("getFee(bool)", stable)),
    ]


def fee_view(pool: Address, values: dict[str, Any], given: Sequence[bytes | None]) -> Call:
    """The one of `fee_views` that answers. Raises Reject NO_FEE where none does."""
    for view, answer in zip(fee_views(pool, values), given, strict=True):
        if answer is not None and len(answer) == 32 and words(answer)[0] <= _MOST_FEE:
            return view
    raise Reject("NO_FEE", f"the factory of {pool}, {values['factory']}, tells no fee")


def state_calls(pool: Address, values: dict[str, Any]) -> list[Call]:
    return [Call(pool, selector("getReserves()")), values["fee"]]


def state(given: Sequence[bytes]) -> dict[str, Any]:
    """The changing fields from the answers to `state_calls`. Raises Reject MALFORMED_VIEW."""
    reserves, (fee, *_) = first_words(given[0], 2), first_words(given[1], 1)
    return {"reserves_raw": [str(reserves[0]), str(reserves[1])], "fee_1e4": str(fee)}
