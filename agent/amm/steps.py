"""The walk of a concentrated-liquidity swap, step by step as the V3 and V4 pool contracts walk it.

A step ends at the next initialised tick or at the end of a 256-tick word of the bitmap, whichever is nearer: amounts
round once a step, so the word ends matter to the last wei even where no tick is initialised.

    amount0 = L * 2**96 * (sqrtB - sqrtA) / (sqrtA * sqrtB)        amount1 = L * (sqrtB - sqrtA) / 2**96

Formula source: the V3 whitepaper, sections 6.2 and 6.3; rounding and order of operations as deployed.
"""

from __future__ import annotations

from typing import NamedTuple

from agent.amm.math import INT256_MAX, UINT128_MAX, UINT160_MAX, UINT256_MAX, ContractRevert, mul_div_up
from agent.amm.ticks import (
    MAX_SQRT_PRICE,
    MAX_TICK,
    MIN_SQRT_PRICE,
    MIN_TICK,
    TickTable,
    sqrt_price_at_tick,
    tick_at_sqrt_price,
)

PIPS = 1_000_000


class Walk(NamedTuple):
    """Where a swap came to rest and what it moved; `fee` is inside `amount_in`."""

    amount_in: int
    amount_out: int
    fee: int
    crossed: int
    complete: bool
    sqrt_price_x96: int
    tick: int
    liquidity: int


def amount0_down(low: int, high: int, liquidity: int) -> int:
    return ((liquidity << 96) * (high - low) // high) // low


def amount0_up(low: int, high: int, liquidity: int) -> int:
    once = -(-(liquidity << 96) * (high - low) // high)
    return -(-once // low)


def amount1_down(low: int, high: int, liquidity: int) -> int:
    return liquidity * (high - low) >> 96


def amount1_up(low: int, high: int, liquidity: int) -> int:
    return -(-liquidity * (high - low) >> 96)


def next_price_from_input(price: int, liquidity: int, amount: int, zero_for_one: bool) -> int:
    """The square-root price after `amount` of the input token came in, rounded so that less is paid out."""
    if price <= 0 or liquidity <= 0:
        raise ContractRevert("no liquidity")
    if zero_for_one:
        if amount == 0:
            return price
        numerator = liquidity << 96
        product = amount * price
        if product <= UINT256_MAX and numerator + product <= UINT256_MAX:
            return -(-numerator * price // (numerator + product))
        return -(-numerator // (numerator // price + amount))
    after = price + (amount << 96) // liquidity
    if after > UINT160_MAX:
        raise ContractRevert("price overflow")
    return after


def next_price_from_output(price: int, liquidity: int, amount: int, zero_for_one: bool) -> int:
    """The square-root price after `amount` of the output token went out, rounded so that more is taken in."""
    if price <= 0 or liquidity <= 0:
        raise ContractRevert("no liquidity")
    if zero_for_one:
        quotient = -(-(amount << 96) // liquidity)
        if price <= quotient:
            raise ContractRevert("not enough liquidity")
        return price - quotient
    if amount == 0:
        return price
    numerator = liquidity << 96
    product = amount * price
    if product > UINT256_MAX or numerator <= product:
        raise ContractRevert("not enough liquidity")
    after = mul_div_up(numerator, price, numerator - product)
    if after > UINT160_MAX:
        raise ContractRevert("price overflow")
    return after


def default_limit(zero_for_one: bool) -> int:
    """The limit the routers pass when the caller names none: the end of the price range."""
    return MIN_SQRT_PRICE + 1 if zero_for_one else MAX_SQRT_PRICE - 1


def _skip_empty_words(next_tick: int, spacing: int, limit: int, nearest: int | None, down: bool) -> int:
    # With no liquidity a step moves nothing, so every empty word but the last can be skipped: the one
    # holding the next tick or the limit is walked, because the tick reported at its edge depends on it.
    stop = tick_at_sqrt_price(limit)
    if down:
        stop = stop if nearest is None else max(stop, nearest)
        return min(next_tick, (stop // spacing // 256 + 1) * 256 * spacing)
    stop = stop if nearest is None else min(stop, nearest)
    return max(next_tick, (stop // spacing // 256 * 256 - 1) * spacing)


def next_stop(
    table: TickTable, at: int, tick: int, spacing: int, liquidity: int, zero_for_one: bool, limit: int
) -> tuple[int, bool]:
    """Where the next step ends at the latest, and whether that tick is initialised. `at` is the next initialised tick's place in the table."""
    word = spacing << 8
    # One division finds the word's end: floor division rounds towards minus infinity as the contract compresses.
    if zero_for_one:
        next_tick = tick // word * word
        initialised = at >= 0 and table.ticks[at] >= next_tick
    else:
        next_tick = ((tick // spacing + 1) // 256 * 256 + 255) * spacing
        initialised = at < len(table.ticks) and table.ticks[at] <= next_tick
    if initialised:
        next_tick = table.ticks[at]
    elif not liquidity:
        nearest = table.ticks[at] if 0 <= at < len(table.ticks) else None
        next_tick = _skip_empty_words(next_tick, spacing, limit, nearest, zero_for_one)
    return min(max(next_tick, MIN_TICK), MAX_TICK), initialised


def walk(
    price: int,
    tick: int,
    liquidity: int,
    table: TickTable,
    spacing: int,
    fee_pips: int,
    zero_for_one: bool,
    amount: int,
    exact_in: bool,
    limit: int,
    v4: bool,
) -> Walk:
    """Swap `amount` raw of input (of output where `exact_in` is false) until done or at `limit`.

    `v4` chooses V4's rounding: there the last step consumes the whole net input, and pays the whole output asked for.
    """
    keep_pips = PIPS - fee_pips
    nets = table.nets
    # `at` is the next initialised tick in the swap's direction.
    at = table.at_or_below(tick) if zero_for_one else table.above(tick)
    remaining, other, fee_total, crossed = amount, 0, 0, 0
    while remaining and price != limit:
        next_tick, initialised = next_stop(table, at, tick, spacing, liquidity, zero_for_one, limit)
        next_price = sqrt_price_at_tick(next_tick)
        if zero_for_one:
            target = limit if next_price < limit else next_price
        else:
            target = limit if next_price > limit else next_price

        if exact_in:
            net = remaining * keep_pips // PIPS
            step_in = (
                amount0_up(target, price, liquidity) if zero_for_one else amount1_up(price, target, liquidity)
            )
            full = step_in
            if net >= full:
                reached = target
            else:
                reached = next_price_from_input(price, liquidity, net, zero_for_one)
                if v4:
                    step_in = net
                elif reached != target:
                    step_in = (
                        amount0_up(reached, price, liquidity)
                        if zero_for_one
                        else amount1_up(price, reached, liquidity)
                    )
            step_out = (
                amount1_down(reached, price, liquidity)
                if zero_for_one
                else amount0_down(price, reached, liquidity)
            )
            if reached != target or (v4 and net < full):
                fee = remaining - step_in
            else:
                fee = -(-step_in * fee_pips // keep_pips) if keep_pips else step_in
            remaining -= step_in + fee
            other += step_out
        else:
            step_out = (
                amount1_down(target, price, liquidity)
                if zero_for_one
                else amount0_down(price, target, liquidity)
            )
            if remaining >= step_out:
                reached = target
            else:
                reached = next_price_from_output(price, liquidity, remaining, zero_for_one)
                if v4:
                    step_out = remaining
                elif reached != target:
                    moved = (
                        amount1_down(reached, price, liquidity)
                        if zero_for_one
                        else amount0_down(price, reached, liquidity)
                    )
                    step_out = min(moved, remaining)
                else:
                    step_out = remaining
            step_in = (
                amount0_up(reached, price, liquidity)
                if zero_for_one
                else amount1_up(price, reached, liquidity)
            )
            fee = -(-step_in * fee_pips // keep_pips)
            remaining -= step_out
            other += step_in + fee
        fee_total += fee

        if reached == next_price:
            if initialised:
                if zero_for_one:
                    liquidity -= nets[at]
                    at -= 1
                else:
                    liquidity += nets[at]
                    at += 1
                if liquidity < 0:
                    raise ContractRevert("LS")
                if liquidity > UINT128_MAX:
                    raise ContractRevert("LA")
                crossed += 1
            tick = next_tick - 1 if zero_for_one else next_tick
        elif reached != price:
            tick = tick_at_sqrt_price(reached)
        price = reached
    done = amount - remaining
    amount_in, amount_out = (done, other) if exact_in else (other, done)
    if amount_in > INT256_MAX or amount_out > INT256_MAX:
        raise ContractRevert("int256 overflow")
    return Walk(amount_in, amount_out, fee_total, crossed, remaining == 0, price, tick, liquidity)
