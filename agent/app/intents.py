"""What a person typed, as an Intent; and the preview that stands between typing and doing. Pure but for its arguments."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import ROUND_CEILING, ROUND_FLOOR, Decimal, localcontext

from agent.algos import bracket
from agent.algos.exit import LIFE
from agent.algos.step import Algorithm
from agent.algos.twap import seconds_of
from agent.app.brackets import parameters_of
from agent.app.exchange_pairs import pinned
from agent.app.overheads import around_gas
from agent.app.places import Directory
from agent.domain.errors import Denied, Usage
from agent.domain.events import Planned
from agent.domain.ids import IntentId, intent_id, parent_id
from agent.domain.instruments import Place, label_of
from agent.domain.orders import ChildOrder, Intent, ParentOrder, Side
from agent.domain.routes import PlaceSummary, Route
from agent.domain.units import WIDE, parse_qty, qty_exact
from agent.execution.planning import net_px
from agent.market.view import MarketView
from chains.types import Protection

DEFAULT_LIFE_S = 600
PX_PLACES = Decimal("0.00000001")


@dataclass(frozen=True)
class Request:
    """The words of `quote` and `trade`, checked."""

    side: Side
    base: str
    quote: str
    qty: Decimal
    limit_px: Decimal | None
    algo: str
    algo_params: tuple[tuple[str, str], ...]
    max_slippage_bps: int
    protection: Protection | None = None


def request_of(
    directory: Directory,
    algos: dict[str, Algorithm],
    side: str,
    qty: str,
    base: str,
    quote: str,
    *,
    limit: str | None = None,
    algo: str | None = None,
    over: str | None = None,
    slices: int | None = None,
    stop_loss: str | None = None,
    take_profit: str | None = None,
    max_slippage_bps: int = 50,
    protection: str | None = None,
    at: str | None = None,
    then_stop_loss: str | None = None,
    then_take_profit: str | None = None,
    holds: bool = True,
) -> Request:
    """`at`: the exchange that is to hold both exits, or in whose book an entry is to rest; `holds`: whether it holds order lists, else that
    entry's exits are watched here. Raises Usage for every word that is wrong, naming it and the remedy."""
    base = pinned(directory.name(base), at) if at is not None else base
    base_name, quote_name = directory.name(base), directory.name(quote)
    if set(directory.group(base_name)) & set(directory.group(quote_name)):
        raise Usage(
            "SAME_ASSET", f"{base_name} and {quote_name} are the same asset here", "name two different assets"
        )
    amount = parse_qty(qty, "the quantity")
    finest = max(directory.assets[a].decimals for a in directory.group(base_name))
    if amount != amount.quantize(Decimal(1).scaleb(-finest), context=WIDE):
        raise Usage(
            "TOO_MANY_DECIMALS", f"{qty} has more decimals than the {finest} of {base_name}", "round it"
        )
    limit_px = parse_qty(limit, "--limit") if limit is not None else None
    prices = (stop_loss, take_profit, then_stop_loss, then_take_profit)
    for word, px in zip(
        ("stop-loss", "take-profit", "then-stop-loss", "then-take-profit"), prices, strict=True
    ):
        if px is not None:  # an empty one, of a variable that is not set, is no price that was left out
            parse_qty(px, f"--{word}")
    after = then_stop_loss is not None or then_take_profit is not None
    exits = stop_loss is not None or take_profit is not None
    chosen = algo or (
        "bracket"
        if at is not None and after and limit_px is not None
        else "oco"
        if at is not None and not after
        else "exit"
        if exits
        else "limit"
        if limit_px is not None
        else "market"
    )
    if chosen not in algos:
        raise Usage("UNKNOWN_ALGO", f"there is no algo '{chosen}'", f"known: {', '.join(sorted(algos))}")
    if chosen == "oco" and (at is None or after):
        raise Usage(
            "NO_PAIR",
            "an exchange holds a pair, and none is named",
            "--at EXCHANGE, with --stop-loss and --take-profit",
        )
    if chosen == "bracket" and (at is None or not after):
        raise Usage(
            "NO_BRACKET",
            "a bracket rests at an exchange, with exits for what it brings",
            "--at EXCHANGE, --limit, and --then-stop-loss or --then-take-profit",
        )
    several = str(slices) if slices else None
    typed = {"over": over, "slices": several, "stop-loss": stop_loss, "take-profit": take_profit}
    params = {key: value for key, value in typed.items() if value is not None}
    strange = sorted(set(params) - {name for name, _ in algos[chosen].parameters})
    if strange:
        owner = next((a.name for a in algos.values() if strange[0] in dict(a.parameters)), "twap")
        raise Usage(
            "ALGO_PARAMETER", f"--{strange[0]} means nothing to {chosen}", f"it belongs to --algo {owner}"
        )
    algos[chosen].check(params)
    algos[chosen].fits(Side(side.upper()), limit_px, params)
    params |= parameters_of(
        Side(side.upper()), chosen, then_stop_loss, then_take_profit, at if holds else None
    )
    if chosen == "bracket" and limit_px is not None:
        bracket.between(Side(side.upper()), limit_px, params)
    if not 0 < max_slippage_bps <= 10_000:
        raise Usage(
            "BAD_SLIPPAGE",
            f"--max-slippage-bps {max_slippage_bps} is not between 1 and 10000",
            "50 is half a percent",
        )
    return Request(
        Side(side.upper()),
        base_name,
        quote_name,
        amount,
        limit_px,
        chosen,
        tuple(sorted(params.items())),
        max_slippage_bps,
        Protection(protection.upper()) if protection is not None else None,
    )


def parent_of(
    request: Request,
    environment: str,
    wallet: str,
    protection: Protection,
    salt: str,
    now_ns: int,
    source: str = "cli",
) -> ParentOrder:
    """The parent order of a request; `salt` tells two equal wishes apart."""
    text = f"{request.side.value} {request.qty} {request.base} {request.quote} {request.algo} {request.algo_params}"
    name: IntentId = intent_id(environment, wallet, text, salt)
    life_s = DEFAULT_LIFE_S
    params = dict(request.algo_params)
    if request.algo in ("exit", "oco", "bracket"):
        life_s = seconds_of(params.get("over", LIFE), "--over")
    elif "over" in params:
        life_s += 2 * seconds_of(params["over"], "--over")
    intent = Intent(
        id=name,
        source=source,
        side=request.side,
        base=request.base,
        quote=request.quote,
        qty=request.qty,
        limit_px=request.limit_px,
        algo=request.algo,
        algo_params=request.algo_params,
        max_slippage_bps=request.max_slippage_bps,
        protection=protection,
        created_ns=now_ns,
        expire_ns=now_ns + life_s * 10**9,
    )
    return ParentOrder(parent_id(name), intent)


@dataclass(frozen=True)
class Preview:
    """What a plan comes to, in quote units: `floor` is the least or most with every minimum met, `worst_partial` the
    outcome where only the smallest of the places, which are not atomic with each other, does its part. `gas` by place, the
    wallet's own overhead included, in whole units of what is bought."""

    net_px: Decimal
    net: Decimal
    floor: Decimal
    worst_partial: str
    gas: dict[Place, Decimal]
    worst_loss_usd: Decimal | None


def preview(planned: Planned, view: MarketView, usd: dict[str, Decimal]) -> Preview:
    """`usd` holds a reference price per symbol where one is known."""
    child, route = planned.child, planned.route
    selling = child.side is Side.SELL
    with localcontext(WIDE):
        by_place = {place.place: whole_gas(place, view, route) for place in route.places}
        gas = sum(by_place.values(), Decimal(0))
        out = qty_exact(route.out_raw, view.assets[route.buy].decimals)
        given = qty_exact(route.in_raw, view.assets[route.sell].decimals)
        least = sum(
            (qty_exact(p.floor_raw, view.assets[p.asset_out].decimals) for p in planned.parts), Decimal(0)
        )
        smallest = min(planned.parts, key=lambda p: qty_exact(p.in_raw, view.assets[p.asset_in].decimals))
        alone_in = qty_exact(smallest.in_raw, view.assets[smallest.asset_in].decimals)
        alone_out = qty_exact(smallest.floor_raw, view.assets[smallest.asset_out].decimals)
        base, quote = label_of(child.base), label_of(child.quote)
        in_name, out_name = (base, quote) if selling else (quote, base)
        partial = (
            f"only {smallest.place} is done: {short(alone_in)} {in_name} become at least "
            f"{short(alone_out)} {out_name}, {short(given - alone_in)} {in_name} stay"
            if len(planned.parts) > 1
            else "none: all of it is one transaction or one order"
        )
        loss: Decimal | None = None
        if in_name in usd and out_name in usd:
            most = sum(
                (qty_exact(p.in_raw, view.assets[p.asset_in].decimals) for p in planned.parts), Decimal(0)
            )
            loss = max(given, most) * usd[in_name] - (least - gas) * usd[out_name]
        net = out - gas
        px = (net / given if selling else given / net) if net > 0 else net_px(child, route, view)
    return Preview(px, net, least - gas, partial, by_place, loss)


def short(value: Decimal) -> str:
    """At most six decimals, for reading."""
    return f"{value:,.6f}".rstrip("0").rstrip(".")


def whole_gas(place: PlaceSummary, view: MarketView, route: Route) -> Decimal:
    """A place's gas with the wallet's overhead, at the price the route itself used."""
    if not place.gas:
        return Decimal(0)
    legs = sum(leg.place == place.place for leg in route.legs)
    with localcontext(WIDE):
        around = around_gas(view.gas.get(place.place), legs)
        return qty_exact(place.gas_raw, view.assets[route.buy].decimals) * (place.gas + around) / place.gas


def guarded(request: Request, net: Decimal) -> Decimal:
    """The price a person agreed to, less the slippage: a later plan that is worse is refused. A given limit stands."""
    if request.limit_px is not None:
        return request.limit_px
    with localcontext(WIDE):
        if request.side is Side.SELL:
            return (net * (10_000 - request.max_slippage_bps) / 10_000).quantize(PX_PLACES, ROUND_FLOOR)
        return (net * (10_000 + request.max_slippage_bps) / 10_000).quantize(PX_PLACES, ROUND_CEILING)


def check_max_loss(found: Preview, max_loss_usd: Decimal) -> None:
    """Raises Denied MAX_LOSS where the plan's worst outcome costs more, or cannot be priced."""
    if found.worst_loss_usd is None:
        raise Denied(
            "PRICE_UNKNOWN",
            "the worst loss cannot be told: no reference price",
            "check oracles, or trade attended",
        )
    if found.worst_loss_usd > max_loss_usd:
        raise Denied(
            "MAX_LOSS",
            f"with every minimum just met, {found.worst_loss_usd:.2f} USD are lost against the reference; {max_loss_usd} are allowed",
            "lower --max-slippage-bps, trade less, or raise --max-loss",
        )


def trial_child(parent: ParentOrder) -> ChildOrder:
    from agent.algos.step import slice_of

    child = slice_of(parent, 0, parent.qty, parent.intent.expire_ns)
    return bracket.as_entry(parent, child) if parent.intent.algo == "bracket" else child
