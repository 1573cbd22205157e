"""A loan at a controller of crvUSD or Llamalend as plain integers, all of one block: debt, rate, bands of its AMM, and what the controller says of it.

Layouts: Controller's amm, loan_exists, debt, liquidation_discounts and health; AMM's coins, A, rate, price_oracle, active_band,
read_user_tick_numbers, get_xy, p_oracle_up, bands_x and bands_y of curvefi/curve-stablecoin. Whose shares of a band are whose is readable by
nobody: what `get_xy` tells of them is floored to whole base units.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial

from chains.answers import at_same_block, words_of
from chains.errors import Retry
from chains.evm import address_of, call_data, signed, word, words
from chains.types import Address, BlockRef, Call, CallResult, ViewReader

MOST_BANDS = 50
MOST_DECIMALS = 18

_words = partial(words_of, "the controller", "is it a controller of crvUSD or Llamalend on this chain?")


@dataclass(frozen=True, slots=True)
class HeldBand:
    """What the AMM holds there (18 decimals), and the loan's own part of it in base units, floored."""

    x_1e18: int
    y_1e18: int
    own_x_raw: int
    own_y_raw: int


@dataclass(frozen=True, slots=True)
class CrvusdLoan:
    """`debt_raw` with all its interest; `health_1e18` is what the controller says in full, below zero where it is liquidated."""

    controller: Address
    block: BlockRef
    amm: Address
    debt: Address
    debt_decimals: int
    collateral: Address
    collateral_decimals: int
    debt_raw: int
    rate_1e18: int
    liquidation_discount_1e18: int
    a: int
    price_1e18: int
    p_oracle_up_1e18: int
    first_band: int
    active_band: int
    bands: tuple[HeldBand, ...]
    health_1e18: int


async def read_loan(
    chain: ViewReader, controller: Address, user: Address, block: int | str = "latest"
) -> CrvusdLoan | None:
    """None where the user owes nothing there. Raises Retry where the chain does not answer or moved meanwhile, MALFORMED_ANSWER where it is none."""
    asked = {
        "amm": "amm()", "loan_exists": "loan_exists(address)", "debt": "debt(address)",
        "liquidation_discounts": "liquidation_discounts(address)",
    }  # fmt: skip
    calls = [Call(controller, call_data(s, *([] if s == "amm()" else [user]))) for s in asked.values()]
    ref, head = await chain.multicall(
        [*calls, Call(controller, call_data("health(address,bool)", user, 1))], block
    )
    amm_word, exists, debt, discount = (_words(n, r, 1)[0] for n, r in zip(asked, head[:4], strict=True))
    amm = address_of(word(amm_word))
    if not exists:
        return None
    health = signed(_words("health", head[4], 1)[0])

    def ask(signature: str, *args: int | str) -> Call:
        return Call(amm, call_data(signature, *args))

    names = ("coins", "coins", "A", "rate", "price_oracle", "active_band", "read_user_tick_numbers")
    told = await at_same_block(
        chain,
        ref,
        [
            ask("coins(uint256)", 0), ask("coins(uint256)", 1), ask("A()"), ask("rate()"), ask("price_oracle()"), ask("active_band()"),
            ask("read_user_tick_numbers(address)", user), ask("get_xy(address)", user),
        ],
    )  # fmt: skip
    found = [_words(n, r, 2 if n == names[-1] else 1) for n, r in zip(names, told[:7], strict=True)]
    borrowed, collateral = (address_of(word(found[n][0])) for n in (0, 1))
    first, last = (signed(v) for v in found[6][:2])
    count = last - first + 1
    if not 1 <= count <= MOST_BANDS:
        raise Retry(
            "MALFORMED_ANSWER", f"{controller} says the loan has {count} bands", "is it a controller?"
        )
    own_x, own_y = _lists(told[7], count)
    rest = await at_same_block(
        chain,
        ref,
        [
            Call(borrowed, call_data("decimals()")), Call(collateral, call_data("decimals()")), ask("p_oracle_up(int256)", first),
            *(ask("bands_x(int256)", n) for n in range(first, last + 1)), *(ask("bands_y(int256)", n) for n in range(first, last + 1)),
        ],
    )  # fmt: skip
    values = [_words("decimals, p_oracle_up or bands", r, 1)[0] for r in rest]
    if max(values[:2]) > MOST_DECIMALS:
        raise Retry(
            "MALFORMED_ANSWER",
            f"a token of {controller} says it has {max(values[:2])} decimals",
            "is it a controller?",
        )
    whole_x, whole_y = values[3 : 3 + count], values[3 + count :]
    bands = tuple(HeldBand(*band) for band in zip(whole_x, whole_y, own_x, own_y, strict=True))
    return CrvusdLoan(
        controller, ref, amm, borrowed, values[0], collateral, values[1], debt, found[3][0], discount, found[2][0], found[4][0], values[2],
        first, signed(found[5][0]), bands, health,
    )  # fmt: skip


def _lists(result: CallResult, count: int) -> tuple[list[int], list[int]]:
    """The two lists of `get_xy`, each of `count` amounts. Raises Retry MALFORMED_ANSWER."""
    flat = words(result.data)
    found = []
    for place in (1, 2):
        at = 1 + flat[place] // 32 if result.ok and len(flat) > 2 and flat[0] == 32 else len(flat)
        if at >= len(flat) or flat[at] != count or len(flat) < at + 1 + count:
            raise Retry(
                "MALFORMED_ANSWER",
                "the AMM did not answer get_xy with the loan's bands",
                "is it a controller of crvUSD or Llamalend on this chain?",
            )
        found.append(flat[at + 1 : at + 1 + count])
    return found[0], found[1]
