"""The first lock on every order: each rule looks at a whole plan and says why not. All rules run; all breaches are told.

Pure: what the world looks like (prices, balances, the day's notional) is an argument. A price that two independent fresh
sources do not confirm is UNKNOWN, and UNKNOWN cannot increase risk. The pool being traded is never its own oracle.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from decimal import Decimal, localcontext

from agent.domain.events import Approved, Breach, Planned
from agent.domain.instruments import AssetId, Place, chain_of, label_of
from agent.domain.orders import Side
from agent.domain.risk import BreachReason, Limits, OraclePrice, Reservation, Standing
from agent.domain.units import WIDE, bps_between, mul_exact, qty_exact, raw_up
from agent.risk import ramp


@dataclass(frozen=True, slots=True)
class Situation:
    """What a review needs to know of the world, all of it at one moment.

    `held` is the worse of provisional and settled per asset, in base units, less what other children reserved;
    `wallet_ready` carries why a wallet cannot sign (empty when it can); `fees_wei` what a place's transaction may cost;
    `no_road` why a place's transaction could not leave as the plan wants it protected; `no_power` why what the owners
    granted the agent's own key would not let a place's trade pass; `standing` how each place and pool of the plan has done so far.
    """

    now_ns: int
    prices: tuple[OraclePrice, ...]
    held_raw: dict[AssetId, int]
    decimals: dict[AssetId, int]
    symbols: dict[AssetId, str]
    native_wei: dict[Place, int]
    fees_wei: dict[Place, int]
    venue_value_usd: dict[Place, Decimal]
    day_notional_usd: Decimal
    market_age_s: dict[Place, Decimal]
    halted: str
    wallet_ready: dict[Place, str]
    no_road: dict[Place, str] = field(default_factory=dict)
    no_power: dict[Place, tuple[BreachReason, ...]] = field(default_factory=dict)
    standing: dict[str, Standing] = field(default_factory=dict)
    behind_s: dict[str, int] = field(default_factory=dict)
    """How far this machine's clock is behind what a chain told, where that is more than clocks may differ."""


Rule = Callable[[Planned, Limits, Situation], list[BreachReason]]


def fresh_sources(symbol: str, limits: Limits, situation: Situation, traded: set[str]) -> list[OraclePrice]:
    """The prices that count: of this asset, young enough, and from no place the plan itself trades at."""
    now_s = situation.now_ns // 10**9
    return [
        price
        for price in situation.prices
        if price.symbol == symbol
        and price.source not in traded
        and now_s - price.at_s <= limits.max_price_age_s
    ]


def traded_sources(planned: Planned) -> set[str]:
    """Names of price sources that the plan itself moves: its pools and its venues."""
    return {*[leg.id for leg in planned.route.legs], *[part.place for part in planned.parts]}


def reference_px(symbol: str, limits: Limits, situation: Situation, traded: set[str]) -> Decimal | None:
    """The median of at least two fresh independent sources, or None: UNKNOWN."""
    prices = sorted([price.px for price in fresh_sources(symbol, limits, situation, traded)])
    if len(prices) < 2:
        return None
    middle = len(prices) // 2
    if len(prices) % 2:
        return prices[middle]
    return WIDE.divide(WIDE.add(prices[middle - 1], prices[middle]), 2)


def notional_usd(planned: Planned, limits: Limits, situation: Situation) -> Decimal | None:
    """The larger of the two sides' values: what is given, at the reference price."""
    px = reference_px(label_of(planned.child.base), limits, situation, traded_sources(planned))
    return None if px is None else WIDE.multiply(planned.child.qty, px)


def exits_usd(planned: Planned, limits: Limits, situation: Situation) -> Decimal | None:
    """What the exits in the same list are worth at the dearest price they may trade at; 0 without any, None where a price is unknown."""
    then = planned.child.then
    if then is None:
        return Decimal(0)
    base, quote = (
        reference_px(label_of(name), limits, situation, traded_sources(planned))
        for name in (planned.child.base, planned.child.quote)
    )
    if base is None or quote is None:
        return None
    prices = [px for px in (then.stop_limit_px, then.profit_px) if px is not None]
    with localcontext(WIDE):
        return planned.child.qty * max(base, *(px * quote for px in prices))


def _labels(planned: Planned) -> tuple[str, str]:
    return label_of(planned.child.base), label_of(planned.child.quote)


def kill_switch(planned: Planned, limits: Limits, situation: Situation) -> list[BreachReason]:
    if not situation.halted:
        return []
    return [
        BreachReason(
            "HALTED", f"trading is halted: {situation.halted}", "`fairlead resume` when you are ready"
        )
    ]


def allow_list(planned: Planned, limits: Limits, situation: Situation) -> list[BreachReason]:
    found = []
    for symbol in _labels(planned):
        if symbol not in limits.allow_assets:
            found.append(
                BreachReason(
                    "ASSET_NOT_ALLOWED", f"{symbol} is not on the allow-list", "add it to limits.allow_assets"
                )
            )
    for part in planned.parts:
        venue = part.place
        if venue not in limits.allow_venues:
            found.append(
                BreachReason(
                    "VENUE_NOT_ALLOWED", f"{venue} is not on the allow-list", "add it to limits.allow_venues"
                )
            )
    return found


def two_sources(planned: Planned, limits: Limits, situation: Situation) -> list[BreachReason]:
    found = []
    traded = traded_sources(planned)
    for symbol in _labels(planned):
        count = len(fresh_sources(symbol, limits, situation, traded))
        if count < 2:
            found.append(
                BreachReason(
                    "PRICE_UNKNOWN",
                    f"only {count} fresh independent price source(s) for {symbol}; two are needed, none of them traded here",
                    "check oracles in the settings and `fairlead doctor`",
                )
            )
    return found


def price_collar(planned: Planned, limits: Limits, situation: Situation) -> list[BreachReason]:
    """The plan's price, gas included, against the reference: worse than the collar is refused."""
    traded = traded_sources(planned)
    base = reference_px(label_of(planned.child.base), limits, situation, traded)
    quote = reference_px(label_of(planned.child.quote), limits, situation, traded)
    if base is None or quote is None:
        return []  # two_sources says it
    route, child = planned.route, planned.child
    selling = child.side is Side.SELL
    with localcontext(WIDE):
        given = qty_exact(route.in_raw, situation.decimals[route.sell])
        got = qty_exact(route.net_out_raw, situation.decimals[route.buy])
        fair = base / quote
        px = got / given if selling else given / got if got > 0 else Decimal("Infinity")
        if not px.is_finite():
            return [BreachReason("PRICE_COLLAR", "the plan buys nothing after gas", "try a larger order")]
        worse = bps_between(px, fair) * (-1 if selling else 1)
    if worse <= limits.price_collar_bps:
        return []
    return [
        BreachReason(
            "PRICE_COLLAR",
            f"the plan is {worse} bps worse than the reference price {fair:.6f}; {limits.price_collar_bps} are allowed",
            "trade less at once, use --algo twap, or widen limits.price_collar_bps",
        )
    ]


def slippage(planned: Planned, limits: Limits, situation: Situation) -> list[BreachReason]:
    if planned.child.max_slippage_bps <= limits.max_slippage_bps:
        return []
    return [
        BreachReason(
            "SLIPPAGE_TOO_WIDE",
            f"--max-slippage-bps {planned.child.max_slippage_bps} is above the limit of {limits.max_slippage_bps}",
            "ask for less, or raise limits.max_slippage_bps",
        )
    ]


def size_limits(planned: Planned, limits: Limits, situation: Situation) -> list[BreachReason]:
    notional, after = notional_usd(planned, limits, situation), exits_usd(planned, limits, situation)
    if notional is None or after is None:
        return []
    found = []
    for what, worth in (("the order is", notional), ("its exits are", after)):
        if worth > limits.per_order_usd:
            found.append(
                BreachReason(
                    "ORDER_TOO_LARGE",
                    f"{what} worth {worth:.2f} USD; {limits.per_order_usd} are allowed at once",
                    "trade less, or raise limits.per_order_usd",
                )
            )
    if situation.day_notional_usd + notional + after > limits.per_day_usd:
        found.append(
            BreachReason(
                "DAY_LIMIT",
                f"with today's {situation.day_notional_usd:.2f} USD the order would pass the day's {limits.per_day_usd}",
                "wait for the next UTC day, or raise limits.per_day_usd",
            )
        )
    return found


def inventory(planned: Planned, limits: Limits, situation: Situation) -> list[BreachReason]:
    found = []
    wanted: dict[AssetId, int] = {}
    for part in planned.parts:
        wanted[part.asset_in] = wanted.get(part.asset_in, 0) + part.in_raw
    for asset, raw in sorted(wanted.items()):
        held = situation.held_raw.get(asset, 0)
        if raw > held:
            digits = situation.decimals[asset]
            found.append(
                BreachReason(
                    "NO_INVENTORY",
                    f"{qty_exact(raw, digits)} {situation.symbols[asset]} are needed at {asset.partition('/')[0]}, "
                    f"{qty_exact(max(held, 0), digits)} are free",
                    "trade less, or move some there",
                )
            )
    return found


def exits_paid(planned: Planned, limits: Limits, situation: Situation) -> list[BreachReason]:
    """Exits that buy back what an entry sells cost more than it brought where they lose: an exchange refuses them then, after the fill."""
    then, child = planned.child.then, planned.child
    if then is None or child.side is Side.BUY:
        return []
    found = []
    for part in planned.parts:
        digits = situation.decimals[part.asset_out]
        there = part.floor_raw + situation.held_raw.get(part.asset_out, 0)
        wanted = raw_up(mul_exact(child.qty, then.worst_px(Side.BUY)), digits)
        if wanted > there:
            found.append(
                BreachReason(
                    "EXITS_UNPAID",
                    f"at worst the exits need {qty_exact(wanted, digits)} {label_of(child.quote)} at {part.place}, "
                    f"{qty_exact(there, digits)} would be there",
                    "a nearer stop, less of it, or move some there",
                )
            )
    return found


def counterparty_caps(planned: Planned, limits: Limits, situation: Situation) -> list[BreachReason]:
    """Exits and orders that only make a position smaller add nothing there, and a stop that is refused for it would protect nothing."""
    if planned.child.reduce_only or planned.child.closes:
        return []
    caps = dict(limits.counterparty_cap_usd)
    found = []
    for part in planned.parts:
        cap = caps.get(part.place)
        value = situation.venue_value_usd.get(part.place, Decimal(0))
        if cap is not None and value > cap:
            found.append(
                BreachReason(
                    "COUNTERPARTY_CAP",
                    f"{value:.2f} USD stand at {part.place}; {cap} are allowed",
                    f"withdraw {value - cap:.2f} USD worth from {part.place} yourself: Fairlead's keys cannot",
                )
            )
    return found


def gas_reserve(planned: Planned, limits: Limits, situation: Situation) -> list[BreachReason]:
    reserves = dict(limits.min_gas_reserve_wei)
    found = []
    for part in planned.parts:
        if chain_of(part.place) is None:
            continue
        held, cost = situation.native_wei.get(part.place, 0), situation.fees_wei.get(part.place, 0)
        reserve = reserves.get(part.place, 0)
        if held < cost + reserve:
            found.append(
                BreachReason(
                    "GAS_RESERVE",
                    f"the sending account holds {qty_exact(held, 18)} ETH on {part.place}; this transaction may cost "
                    f"{qty_exact(cost, 18)} and {qty_exact(reserve, 18)} must remain",
                    "send it some ETH for gas",
                )
            )
    return found


def fresh_market(planned: Planned, limits: Limits, situation: Situation) -> list[BreachReason]:
    return [
        BreachReason(
            "STALE_MARKET",
            f"the market at {part.place} is {situation.market_age_s.get(part.place, 'nobody knows how many')} s old; {limits.max_market_age_s} are allowed",
            "wait for its node or stream to catch up; see `fairlead doctor`",
        )
        for part in planned.parts
        if situation.market_age_s.get(part.place, Decimal("Infinity")) > limits.max_market_age_s
    ]


def clock_behind(planned: Planned, limits: Limits, situation: Situation) -> list[BreachReason]:
    """By a clock that was set back everything is young."""
    return [
        BreachReason(
            "CLOCK_BEHIND",
            f"this machine's clock is {behind} s behind that of {place}: no age can be told",
            "set this machine's clock (NTP)",
        )
        for place, behind in sorted(situation.behind_s.items())
    ]


def wallet_ready(planned: Planned, limits: Limits, situation: Situation) -> list[BreachReason]:
    found = []
    for part in planned.parts:
        why = situation.wallet_ready.get(part.place, "")
        if why:
            found.append(BreachReason("WALLET_NOT_READY", f"{part.place}: {why}", "see `fairlead wallet`"))
    return found


def protection(planned: Planned, limits: Limits, situation: Situation) -> list[BreachReason]:
    """Decided before anything is signed: a signed transaction is worth something to whoever sees it."""
    return [
        BreachReason(
            "PROTECTION_NOT_HONOURED",
            f"{part.place}: {situation.no_road[part.place]}",
            "configure a relay that honours it; there is no fall-back to another road",
        )
        for part in planned.parts
        if situation.no_road.get(part.place)
    ]


def agents_power(planned: Planned, limits: Limits, situation: Situation) -> list[BreachReason]:
    """What the owners granted on chain, told before it is signed rather than by a revert that costs gas."""
    return [reason for part in planned.parts for reason in situation.no_power.get(part.place, ())]


def ramp_caps(planned: Planned, limits: Limits, situation: Situation) -> list[BreachReason]:
    """What is new may not have much of ours at once; what makes a position there smaller leaves less of it."""
    if planned.child.reduce_only:
        return []
    if limits.ramp is None or (notional := notional_usd(planned, limits, situation)) is None:
        return []
    return ramp.breaches(
        limits.ramp, ramp.asked_usd(planned, notional, situation.decimals), situation.standing
    )


RULES: tuple[Rule, ...] = (
    kill_switch, allow_list, two_sources, price_collar, slippage, size_limits, ramp_caps, inventory, exits_paid, counterparty_caps,
    gas_reserve, fresh_market, clock_behind, wallet_ready, protection, agents_power,
)  # fmt: skip


def review(
    planned: Planned, limits: Limits, situation: Situation, rules: Sequence[Rule] = RULES
) -> Approved | Breach:
    """Runs every rule. An Approved reserves its notional and what it spends until the child resolves."""
    reasons = [reason for rule in rules for reason in rule(planned, limits, situation)]
    if reasons:
        return Breach(planned.child.cl_ord_id, tuple(reasons), situation.now_ns)
    spends: dict[AssetId, int] = {}
    for part in planned.parts:
        spends[part.asset_in] = spends.get(part.asset_in, 0) + part.in_raw
    notional = notional_usd(planned, limits, situation)
    return Approved(
        planned,
        Reservation(notional if notional is not None else Decimal(0), tuple(sorted(spends.items()))),
        situation.prices,
        situation.now_ns,
    )
