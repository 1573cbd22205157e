"""Assets at weights of one whole: what strayed beyond its tolerance is traded back, through one money asset. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal, localcontext

from agent.domain.errors import Usage
from agent.domain.orders import Side
from agent.domain.units import WIDE, quantize_down
from agent.hedging.policy import Decision, Hedge, State, Wish, number, only, positive, symbol

PARAMETERS = (
    ("weights", 'parts of the whole in percent, like "ETH 60, WBTC 30"; the rest is the quote'),
    ("quote", "what is traded against, and what the rest is held in"),
    (
        "tolerance_bps",
        "how far a part may stray, in bps of the whole, before it is traded; 200 where not given",
    ),
    (
        "stop_bps",
        "how near to its weight a trade brings it, in bps of the whole; 0, all the way, where not given",
    ),
    ("least_usd", "no order below this; 10 where not given"),
    ("step", "orders are multiples of this; 0.000001 where not given"),
)


def wanted(given: Mapping[str, str]) -> dict[str, Decimal]:
    """Each asset's share of one. Raises Usage HEDGE_PARAMETER."""
    found: dict[str, Decimal] = {}
    for entry in given.get("weights", "").split(","):
        name, _, share = entry.strip().partition(" ")
        percent = number({"weights": share.strip()}, "weights")
        if not name or name in found or name == given.get("quote"):
            raise Usage(
                "HEDGE_PARAMETER",
                f"weights: '{entry.strip()}' names no asset of its own",
                'write "ETH 60, WBTC 30"',
            )
        found[name] = percent.scaleb(-2)
    if sum(found.values()) > 1:
        raise Usage(
            "HEDGE_PARAMETER", "weights: they come to more than 100 percent", "what is left is the quote"
        )
    return found


def check(given: Mapping[str, str]) -> None:
    only(given, PARAMETERS)
    symbol(given, "quote"), wanted(given)
    tolerance, stop = number(given, "tolerance_bps", "200"), number(given, "stop_bps", "0")
    if stop > tolerance:
        raise Usage(
            "HEDGE_PARAMETER", "stop_bps is more than tolerance_bps", "a trade ends nearer than it begins"
        )
    number(given, "least_usd", "10"), positive(given, "step", "0.000001")


def decide(given: Mapping[str, str], state: State) -> Decision:
    """Sales come first: they make the money that purchases need."""
    quote, step = given["quote"], positive(given, "step", "0.000001")
    wishes: list[Wish] = []
    told: list[str] = []
    with localcontext(WIDE):
        shares = wanted(given)
        worth = {name: state.holding(name) * state.price(name) for name in (*shares, quote)}
        whole = sum(worth.values(), Decimal(0))
        if not whole:
            return Decision((), "nothing is held")
        tolerance, stop = (
            number(given, n, d).scaleb(-4) for n, d in (("tolerance_bps", "200"), ("stop_bps", "0"))
        )
        for name, share in shares.items():
            off = worth[name] / whole - share
            told.append(f"{name} {worth[name] / whole:.2%} of {share:.2%}")
            if abs(off) <= tolerance:
                continue
            qty = quantize_down((abs(off) - stop) * whole / state.price(name), step)
            if qty * state.price(name) >= number(given, "least_usd", "10") and qty:
                wishes.append(Wish(Side.SELL if off > 0 else Side.BUY, name, quote, qty))
    wishes.sort(key=lambda wish: wish.side is Side.BUY)
    return Decision(tuple(wishes), ", ".join(told))


HEDGE = Hedge("weights", "assets at weights of one whole", PARAMETERS, check, decide)
