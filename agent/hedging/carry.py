"""Funding and basis carried: an asset held long, a contract of it as much short, for what the short is paid. Pure.

    a year's gain of the notional   g = yearly − costs · 365 / hold_days,   costs of both legs, in and out again
    begun where g ≥ enter, kept while yearly ≥ leave: what going in has cost is spent by then

One order a fire, of a tranche at the most, and the legs come first: while they differ by as much as can be traded nothing else is wished for, so
that by our own orders never more than a tranche stands open. The lagging leg is brought up while the carry is wanted and both accounts are
safe; else the leading one is brought down, which needs no margin. What an exchange closed of the short is noticed the same way. "Delta neutral" is not "safe from liquidation": the account of the short is watched by
how far the price may rise before it is liquidated, and the loan on the asset, where there is one, by its health.

Of an inverse contract a short of X dollars entered at p₀ has spent X/p₀ of the coin on X dollars: with c coins the account is worth
(c − X/p₀)·p + X dollars at any price p, so that the coins left beside it, c − X/p₀, are the whole delta, exactly. Coins that are its margin are part of
the long leg. What one leg is is counted at today's price, X/p; what they are apart is not: c − X/p₀ − keep.
"""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal, localcontext

from agent.domain.errors import Denied, Usage
from agent.domain.orders import Side
from agent.domain.units import WIDE, quantize_down, quantize_up
from agent.hedging.policy import Decision, Hedge, State, Wish, number, only, positive, symbol

YEAR_DAYS = 365
DOLLAR, PLACES = Decimal(1), Decimal("1e-12")
PARAMETERS = (
    ("base", "the asset held long, by symbol"),
    ("quote", "what it is bought with; a contract that is no inverse one settles in it"),
    ("instrument", "the contract of base that is held short, by symbol"),
    ("size", "the most that either leg may be, in whole units of base; less than a tranche that comes by itself, as funding does, is hedged besides"),
    ("tranche", "the most that one order is, and that may stand open between the legs"),
    ("keep", "base that is held anyway and stays; all above it is the carry's, to be sold when it ends"),
    ("enter", "the yearly gain after costs from which it is begun, in percent, like 8"),
    ("leave", "the yearly rate below which it is ended, in percent; 0 where not given"),
    ("cost_bps", "what both legs cost, in and out again, in bps of the notional: four fees, spreads, impact"),
    ("gas_usd", "what a tranche costs besides, in and out again, in USD; 0 where not given"),
    ("hold_days", "how long it is expected to be kept: costs are spread over it; 30 where not given"),
    ("hours", "over how many hours funding is averaged, 1000 at the most; 72 where not given"),
    ("room", "how far, in percent, the price may rise before the short is liquidated: below it there is less of it; 15 where not given"),
    ("room_enter", "below this room none is added, in percent; 30 where not given"),
    ("chain", "where base is lent and borrowed on: the chain of that account, by name; none is watched where not given"),
    ("health", "the health of that account below which there is less of it; 1.5 where not given"),
    ("least_usd", "no order below this; 10 where not given"),
    ("step", "orders are multiples of this; 0.000001 where not given"),
)  # fmt: skip


def check(given: Mapping[str, str]) -> None:
    """Raises Usage HEDGE_PARAMETER."""
    only(given, PARAMETERS)
    names = [symbol(given, name) for name in ("base", "quote", "instrument")]
    if len(set(names)) < 3:
        raise Usage("HEDGE_PARAMETER", "base, quote and instrument are three things", "name a contract of base")  # fmt: skip
    for name in ("size", "tranche", "enter"):
        positive(given, name)
    for name, default in (("hold_days", "30"), ("hours", "72"), ("step", "0.000001"), ("health", "1.5")):
        positive(given, name, default)
    for name, default in (("leave", "0"), ("gas_usd", "0"), ("least_usd", "10")):
        number(given, name, default)
    number(given, "cost_bps"), number(given, "keep")
    if not 1 <= number(given, "hours", "72") <= 1_000:
        raise Usage(
            "HEDGE_PARAMETER",
            f"hours = '{given['hours']}' is not from 1 to 1000",
            "an exchange tells a thousand payments of funding at once, and some pay every hour",
        )
    if positive(given, "tranche") > positive(given, "size"):
        raise Usage("HEDGE_PARAMETER", "tranche is more than size", "the whole is reached in tranches")
    if positive(given, "tranche") < positive(given, "step", "0.000001"):
        raise Usage("HEDGE_PARAMETER", "tranche is less than a step", "make it a multiple of step")
    if number(given, "leave", "0") >= positive(given, "enter"):
        raise Usage("HEDGE_PARAMETER", "leave is not below enter", "between them what stands is kept")
    if number(given, "room", "15") > number(given, "room_enter", "30"):
        raise Usage("HEDGE_PARAMETER", "room is above room_enter", "added is only where more room is left")
    if positive(given, "health", "1.5") <= 1:
        raise Usage("HEDGE_PARAMETER", "health is not above 1, where liquidation begins", "write it like 1.5")


def costs_yearly(given: Mapping[str, str], px: Decimal) -> Decimal:
    """As a share of the notional a year, spread over `hold_days`. `px` in USD."""
    with localcontext(WIDE):
        share = number(given, "cost_bps").scaleb(-4) + number(given, "gas_usd", "0") / (positive(given, "tranche") * px)  # fmt: skip
        return share * YEAR_DAYS / positive(given, "hold_days", "30")


def danger(given: Mapping[str, str], state: State) -> str:
    """Which of the two accounts is too near to its liquidation, or not known; "" where neither is."""
    room = percent(given, "room", "15")
    if state.carry is None:
        return "how safe the short's account is, is not known"
    if state.carry.room is not None and state.carry.room < room:
        return f"the short is liquidated {state.carry.room:.2%} higher"
    if "chain" in given:
        if state.loan is None:
            return "the loan on it is not known"
        least = positive(given, "health", "1.5")
        with localcontext(WIDE):
            if state.loan.debt and state.loan.collateral * state.loan.threshold < state.loan.debt * least:
                return f"the loan on it is below a health of {least.normalize():f}"
    return ""


def percent(given: Mapping[str, str], name: str, default: str) -> Decimal:
    return number(given, name, default).scaleb(-2)


def shown(qty: Decimal) -> str:
    """For reading: no more than twelve places of a quotient."""
    return f"{(qty if qty == qty.quantize(PLACES, None, WIDE) else qty.quantize(PLACES, None, WIDE)).normalize():f}"


def decide(given: Mapping[str, str], state: State) -> Decision:
    """At most one wish. Raises Denied PRICE_UNKNOWN, HOLDING_UNKNOWN, CARRY_KEEP."""
    base, contract, step = given["base"], given["instrument"], positive(given, "step", "0.000001")
    px, tranche = state.price(base), positive(given, "tranche")
    with localcontext(WIDE):
        long, short = state.holding(base) - number(given, "keep"), -state.holding(contract)
        if state.inverse:  # what is held of it are dollars that coins were spent on
            short = state.holding(contract) / px
            long += short
        wanted, more, why = _wanted(given, state, px, inside=short >= step)
        why += f"; long {shown(long)}, short {shown(short)} {base}"

        def wish(side: Side, what: str, qty: Decimal, reason: str) -> Decision:
            size = quantize_down(min(qty, tranche), step)
            if not size or size * px < number(given, "least_usd", "10"):
                return Decision((), f"{why}; too little to trade")
            if what == contract and state.inverse:
                turned, closes = (Side.SELL, short > 0) if side is Side.BUY else (Side.BUY, short < 0)
                whole = closes and min(qty, tranche) >= abs(short)  # to the last dollar
                dollars = abs(state.holding(contract)) if whole else quantize_down(size * px, DOLLAR)
                return Decision((Wish(turned, contract, base, dollars),), f"{why}; {reason}")
            return Decision((Wish(side, what, given["quote"], size),), f"{why}; {reason}")

        quote = given["quote"]
        # Of an inverse one no quotient is left in it: the coins beside the contract, to the last digit.
        apart = state.holding(base) - number(given, "keep") if state.inverse else long - short
        affords = state.holding(quote) * state.price(quote) / px
        if apart > tranche and short < step and state.inverse:  # coins that are its margin are there before
            if wanted and more:
                return wish(Side.SELL, contract, apart, "the short of coins that are held begins")
            return Decision((), f"{why}; coins above `keep` stay as they are while nothing is short")
        if apart > tranche and short < step:
            raise Denied(
                "CARRY_KEEP",
                f"{shown(long)} {base} are held above `keep` and nothing is short: whether they are the carry's is not known",
                "set hedge_with.keep to what is to stay, or sell by hand",
            )
        # Less than can be traded is no gap: it would hold up everything else for ever.
        gap = max(step, quantize_up(number(given, "least_usd", "10") / px, step))
        if apart >= gap:
            if wanted and more:
                left, strange = positive(given, "size") - short, apart > tranche + gap
                if strange and left < gap:  # by our own orders they are never so far apart
                    raise Denied(
                        "CARRY_KEEP",
                        f"{shown(long)} {base} are held above `keep`, {shown(short)} are short and no more than size is to be: "
                        "whether the rest is the carry's is not known",
                        "set hedge_with.keep to what is to stay, or make size larger",
                    )
                most = min(apart, left) if strange else apart
                return wish(Side.SELL, contract, most, "the short is brought up to the long leg")
            if long < step:  # the contract is held long: what `keep` says stays is not sold for that
                return wish(Side.SELL, contract, -short, "a contract held long is no carry's")
            return wish(Side.SELL, base, min(apart, long), "the long leg is brought down to the short")
        if (
            apart <= -gap and short >= step
        ):  # of what is short nothing: then less is held than `keep`, which is not ours to fill
            if wanted and affords >= min(-apart, tranche):
                return wish(Side.BUY, base, -apart, "the long leg is brought up to the short")
            return wish(Side.BUY, contract, min(-apart, short), "the short is brought down to the long leg")
        if short >= step and not wanted:
            return wish(Side.BUY, contract, short, "less of it, the short first")
        room = positive(given, "size") - short
        if wanted and more and room >= step:
            if affords < min(room, tranche):
                return Decision(
                    (), f"{why}; {given['quote']} for {affords:.4f} {base} is too little for a tranche"
                )
            return wish(Side.SELL, contract, room, "a tranche more, the short first")
    return Decision((), why)


def _wanted(given: Mapping[str, str], state: State, px: Decimal, *, inside: bool) -> tuple[bool, bool, str]:
    """(whether what stands is to stand, whether more of it is wanted, why)."""
    unsafe = danger(given, state)
    if state.carry is None:
        return False, False, unsafe
    yearly = state.carry.yearly
    gain = yearly - costs_yearly(given, px)
    told = f"{given['instrument']} pays {yearly:.2%} a year, {gain:.2%} after costs" + (
        f"; {unsafe}" if unsafe else ""
    )
    enters = gain >= percent(given, "enter", "0")
    stays = enters or (inside and yearly >= percent(given, "leave", "0"))
    roomy = state.carry.room is None or state.carry.room >= percent(given, "room_enter", "30")
    return stays and not unsafe, enters and roomy and not unsafe, told


HEDGE = Hedge(
    "carry",
    "a contract held short against the asset itself, for its funding",
    PARAMETERS,
    check,
    decide,
    frozenset({"carry"}),
)
