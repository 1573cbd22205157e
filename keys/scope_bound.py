"""What whoever holds the agent's key can take, in dollars, until the owners freeze. Pure.

Per trade the Gate measures V = amountIn × p_in, p_in being the feed's price, charges V to the budget and demands at least
(1 − s) of what the worse of two sources says. Taking only the feeds (the second source can ask for more, never for less):

    received × p_out >= (1 − s) × V

A feed is right to within its error e: p_in >= P_in × (1 − e_in) and p_out <= P_out × (1 + e_out) for the true prices P. So

    given    amountIn × P_in  <= V / (1 − e_in)
    received × P_out          >= (1 − s) × V / (1 + e_out)
    lost                      <= V × ( 1 / (1 − e_in) − (1 − s) / (1 + e_out) )  =  V × f

Each trade is thus worth f to the thief whatever he does in between: own pools, sandwiches, zero minima, self-trades. f is the
largest over the directions of all pairs. The budget is a leaky bucket of size B that leaks R a day: the sum of V in any window of
T days is at most B + R × T, wherever it begins, midnight or not. With per_day = B + R:

    in any T <= 1 day    taken <= (B + R × T) × f  +  gas(T)
    gas(T)             = (float on the account + gas burst + gas rate × T) × price of the native token

Orders for others to settle (`Scope.offers`) are charged when they are opened, a fiftieth above their value then, and settled up to a
deadline D later: at the oracle floor of that moment or not at all, and for no more value than was charged. So f is the same, and what
is settled in a window of T was charged in one of T + D:

    in any T <= 1 day    taken <= (B + R × (T + D)) × f  +  gas(T)

Payments into the Safe's own loans (`Scope.payments`) are in no number: nothing of them leaves the Safe's ownership, and one that leaves
the account liquidatable reverts. What a thief can lock up by them is `locked`, the rules' budgets of 24 hours.

`ceiling` is another, independent number: were the Gate itself broken, the owners' allowances are all there is to lose through it.

Outside the number, and said so to the owners: a feed that is wrong by more than e for as long as it counts as fresh while the
second source agrees; the liquidation penalty and the interest of a position the thief brought down to the health floor
(`fall_to_liquidation`); the tokens' and protocols' own failures; what an owner's key reaches, and an exchange's
keys: their number is the signer's (`keys.signer.exchange_orders`), printed beside this one.
Rounding costs at most one base unit a trade. Amounts are rounded up, to the cent.
"""

from __future__ import annotations

from dataclasses import dataclass
from decimal import ROUND_CEILING, ROUND_FLOOR, Context, Decimal, localcontext

from keys.scope import Scope, check
from keys.scope_payments import allowed

_BPS = Decimal(10_000)
_WEI = Decimal(10) ** 18
_DAY = Decimal(86_400)
_WIDE = Context(prec=60, rounding=ROUND_CEILING)


@dataclass(frozen=True, slots=True)
class Bound:
    """Dollars. `share` is f. `until_lapse`: if nobody ever looks, over the whole term of the dead-man switch."""

    share: Decimal
    per_hour_usd: Decimal
    per_day_usd: Decimal
    until_lapse_usd: Decimal
    gas_per_day_usd: Decimal
    ceiling_raw: tuple[tuple[str, int], ...]
    fall_to_liquidation: Decimal | None
    locked: tuple[tuple[str, Decimal], ...] = ()
    """By symbol, what can be paid into the Safe's own loans in any 24 hours, in whole tokens, exact."""


def bound(scope: Scope, native_usd: Decimal) -> Bound:
    """The bound of a scope; `native_usd` is the dearest the gas token is taken to be. Raises Usage SCOPE_INVALID."""
    check(scope)
    with localcontext(_WIDE):
        share = max(
            loss_share(scope.slack_bps, scope.token(a).feed_error_bps, scope.token(b).feed_error_bps)
            for pair in scope.pairs
            for a, b in ((pair.token_a, pair.token_b), (pair.token_b, pair.token_a))
        )
        day, hour, term = Decimal(1), Decimal(1) / 24, Decimal(scope.term_s) / _DAY
        return Bound(
            share=share,
            per_hour_usd=_cents(taken(scope, share, hour, native_usd)),
            per_day_usd=_cents(taken(scope, share, day, native_usd)),
            until_lapse_usd=_cents(taken(scope, share, term, native_usd)),
            gas_per_day_usd=_cents(gas_usd(scope, day, native_usd)),
            ceiling_raw=ceiling(scope),
            fall_to_liquidation=_fall(scope),
            locked=locked(scope),
        )


def loss_share(slack_bps: int, error_in_bps: int, error_out_bps: int) -> Decimal:
    """f = 1 / (1 − e_in) − (1 − s) / (1 + e_out), rounded up."""
    with localcontext(_WIDE):
        given = Decimal(1) / (1 - error_in_bps / _BPS)
        with localcontext(Context(prec=60, rounding=ROUND_FLOOR)):
            received = (1 - slack_bps / _BPS) / (1 + error_out_bps / _BPS)
        return given - received


def taken(scope: Scope, share: Decimal, days: Decimal, native_usd: Decimal) -> Decimal:
    """The most that can be taken in any window of `days`, gas money included."""
    late = Decimal(scope.deadline_s) / _DAY if scope.intents else Decimal(0)
    passes = scope.burst_usd + (scope.per_day_usd - scope.burst_usd) * (days + late)
    return passes * share + gas_usd(scope, days, native_usd)


def gas_usd(scope: Scope, days: Decimal, native_usd: Decimal) -> Decimal:
    """Gas is lost whole: a thief who builds blocks is paid it."""
    wei = Decimal(scope.gas_float_wei)
    if scope.gas is not None:
        wei = Decimal(max(scope.gas_float_wei, scope.gas.float_cap_wei))
        wei += scope.gas.burst_wei + scope.gas.per_day_wei * days
    return wei / _WEI * native_usd


def ceiling(scope: Scope) -> tuple[tuple[str, int], ...]:
    """(what, base units): all that the owners' allowances let out of the Safe, were the Gate itself broken."""
    found = [(rule.symbol, rule.allowance_raw) for rule in scope.tokens]
    found += [(f"{scope.token(t).symbol} paid into loans", raw) for t, raw in allowed(scope.payments).items()]
    for reserve in scope.reserves:
        symbol = scope.token(reserve.asset).symbol
        if reserve.withdraw_raw:
            found.append((f"{symbol} supplied", reserve.withdraw_raw))
        if reserve.borrow_raw:
            found.append((f"{symbol} borrowed", reserve.borrow_raw))
    return tuple(found)


def locked(scope: Scope) -> tuple[tuple[str, Decimal], ...]:
    """The most that passes into loans in any 24 hours, whatever it is that is owed there: a rule's burst and what a day gives back."""
    found: dict[str, Decimal] = {}
    with localcontext(_WIDE):
        for rule in scope.payments:
            token = scope.token(rule.asset)
            found[token.symbol] = found.get(token.symbol, Decimal(0)) + Decimal(rule.per_day_raw).scaleb(
                -token.decimals
            )
    return tuple(found.items())


def _fall(scope: Scope) -> Decimal | None:
    """How far collateral must fall against debt before a position at the health floor can be liquidated; rounded down."""
    risky = any({"withdraw", "borrow"} & set(reserve.actions) for reserve in scope.reserves)
    if not risky:
        return None
    return (1 - 1 / scope.health_floor).quantize(Decimal("0.0001"), ROUND_FLOOR)


def _cents(amount: Decimal) -> Decimal:
    return amount.quantize(Decimal("0.01"), ROUND_CEILING)
