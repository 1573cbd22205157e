"""Curve StableSwap pools by their own views: what one is, and what it holds, as a market/1 object's fields. Pure.

Plain pools, whose every coin counts for itself: what their views do not tell in full (a metapool's base, lending tokens' rates, a fee
that grows away from the peg, CryptoSwap's other curve) is refused by name, never guessed.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from chains.abi_views import first_words, ratio_text, uint_array
from chains.errors import Reject
from chains.evm import address_of, call_data, selector
from chains.types import Address, Call

KIND = "curve_stableswap"
MOST_COINS = 8
_PRECISE = 100
_OTHER = {
    "gamma()": "is Curve's CryptoSwap, whose curve is another",
    "base_pool()": "is a metapool: one of its coins is a share of another pool, at that pool's price",
    "offpeg_fee_multiplier()": "takes a fee that grows away from its peg",
    "underlying_coins(uint256)": "holds lending tokens, at rates its views do not tell",
}
_OPTIONAL = ("A_precise()", "future_A_time()", "stored_rates()")


def asked(pool: Address) -> list[Call]:
    """The views that tell what it is. Any may revert."""
    coins = [Call(pool, call_data("coins(uint256)", k)) for k in range(MOST_COINS)]
    other = [
        Call(pool, call_data(name, 0) if "uint256" in name else selector(name))
        for name in (*_OTHER, *_OPTIONAL)
    ]
    return [*coins, *other]


def told(pool: str, given: Sequence[bytes | None]) -> tuple[tuple[Address, ...], dict[str, Any]]:
    """(the coins, what never changes) from the answers to `asked`, None where one reverted. Raises Reject NOT_A_POOL, OTHER_CURVE."""
    answers = [answer if answer is not None and len(answer) >= 32 else None for answer in given]
    coins: list[Address] = []
    for answer in answers[:MOST_COINS]:
        if answer is None or not int.from_bytes(answer[:32], "big"):
            break
        coins.append(address_of(answer[:32]))
    if len(coins) < 2:
        raise Reject("NOT_A_POOL", f"{pool} does not answer as a {KIND} pool")
    rest = dict(zip((*_OTHER, *_OPTIONAL), answers[MOST_COINS:], strict=True))
    for name, why in _OTHER.items():
        if rest[name] is not None:
            raise Reject("OTHER_CURVE", f"{pool} {why}: not the plain StableSwap that is read here")
    values = {
        "precise": rest["A_precise()"] is not None,
        "ramps": rest["future_A_time()"] is not None,
        "rated": rest["stored_rates()"] is not None,
        "ramp_end": 0,
    }
    return tuple(coins), values


def state_calls(pool: Address, values: dict[str, Any], coins: int) -> list[Call]:
    names = ["A_precise()" if values["precise"] else "A()", "fee()", "admin_fee()"]
    if values["ramps"]:
        names.append("future_A_time()")
    if values["rated"]:
        names.append("stored_rates()")
    balances = [Call(pool, call_data("balances(uint256)", k)) for k in range(coins)]
    return [*balances, *(Call(pool, selector(name)) for name in names)]


def state(values: dict[str, Any], decimals: Sequence[int], given: Sequence[bytes]) -> dict[str, Any]:
    """The changing fields from the answers to `state_calls`. Notes in `values` until when the amplification ramps.
    Raises Reject MALFORMED_VIEW, TOO_FINE."""
    n = len(decimals)
    first = [first_words(answer, 1)[0] for answer in given]
    precision = _PRECISE if values["precise"] else 1
    rates = [10**18] * n
    if values["ramps"]:
        # A check of an older block may be read beside a newer one: the later end of the two is kept.
        values["ramp_end"] = max(values["ramp_end"], first[n + 3])
    if values["rated"]:
        answer = given[-1]
        if max(decimals) > 18:
            raise Reject("TOO_FINE", f"a coin of {max(decimals)} decimals, and rates are told for at most 18")
        stored = (uint_array(answer, 0, n) if len(answer) == 32 * (n + 2) else first_words(answer, n))[:n]
        rates = [rate // 10 ** (18 - held) for rate, held in zip(stored, decimals, strict=True)]
    return {
        "balances_raw": [str(raw) for raw in first[:n]],
        "a": ratio_text(first[n], precision),
        "a_precision": str(precision),
        "fee_1e10": str(first[n + 1]),
        "admin_fee_1e10": str(first[n + 2]),
        "rates_1e18": [str(rate) for rate in rates],
    }


def changes_unheard(values: dict[str, Any], since_s: int) -> bool:
    """Whether something may change after that time (unix seconds) with no event: rates of others' making, an amplification under way."""
    return values["rated"] or not values["ramps"] or values["ramp_end"] > since_s
