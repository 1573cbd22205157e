"""A plan as people and programs read it: the table with its places, what it comes to, and the same as JSON."""

from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING, Any

from agent.app.cli.output import header, note, plain, quote_places, read_px, table

if TYPE_CHECKING:
    from collections.abc import Sequence

    from agent.app.intents import Preview, Request
    from agent.app.outside_quotes import Beside
    from agent.app.settings_tree import Settings
    from agent.app.wiring import App
    from agent.domain.events import Planned
    from agent.domain.orders import Intent
    from agent.market.view import MarketView


def plan_json(planned: Planned, view: MarketView, found: Preview, intent: Intent) -> dict[str, Any]:
    from agent.routing.report import route_json

    return {
        **route_json(planned.route),
        "side": planned.child.side.value.lower(),
        "qty": plain(planned.child.qty),
        "net_px": plain(round(found.net_px, 8)),
        "arrival_px": plain(round(planned.arrival_px, 8)),
        "floor": plain(round(found.floor, 8)),
        "gas_with_overhead": plain(round(sum(found.gas.values(), Decimal(0)), 8)),
        "worst_partial": found.worst_partial,
        "then": exits_json(intent),
        "worst_loss_usd": plain(round(found.worst_loss_usd, 2)) if found.worst_loss_usd is not None else None,
    }


def show_outside(planned: Planned, view: MarketView, chain: str, beside: Sequence[Beside]) -> None:
    """What other routers would give for all of it on one chain, beside ours."""
    from agent.domain.units import qty_exact

    if not beside:
        return
    route, name, places = planned.route, planned.child.quote, quote_places(planned.arrival_px)
    decimals = view.assets[route.buy].decimals

    def shown(raw: int) -> str:
        return f"{qty_exact(raw, decimals):,.{places}f}"

    rows = [
        [one.told.name, shown(one.net_raw + one.gas_raw), shown(one.gas_raw), shown(one.net_raw), "" if one.more_bps is None else f"{one.more_bps:+.2f}"]
        for one in beside
        if not one.told.why
    ]  # fmt: skip
    print(f"\noutside, for all of it on {chain} (ours nets {shown(route.net_out_raw)} {name}):")
    if rows:
        table(
            ("source", f"gives {name}", f"gas {name}", f"nets {name}", "beside ours, bps"),
            rows,
            right=(1, 2, 3, 4),
        )
    for one in beside:
        if one.told.why:
            note(f"{one.told.name}: no quote: {one.told.why}")


async def show_plan(app: App, settings: Settings, planned: Planned, view: MarketView, found: Preview) -> None:
    from agent.app.cli.route import proof_line
    from agent.app.places import place_named
    from agent.domain.orders import Side
    from agent.domain.units import qty_exact
    from chains.types import Protection

    route, child = planned.route, planned.child
    selling = child.side is Side.SELL
    header(settings.environment.value, settings.wallet.address, await app.head_line())
    in_name, out_name = (child.base, child.quote) if selling else (child.quote, child.base)

    def shown(raw: int, asset: Any, places: int) -> str:
        return f"{qty_exact(raw, view.assets[asset].decimals):,.{places}f}"

    rows, cents = [], quote_places(planned.arrival_px)
    for place in route.places:
        px = place.avg_px if selling else 1 / place.avg_px
        legs = [leg for leg in route.legs if leg.place == place.place]
        where = f"{place_named(settings, place.place)} ({len(legs)} {'order' if legs[0].kind == 'book' else 'pool' + 's' * (len(legs) > 1)})"
        rows.append(
            [
                where,
                shown(place.in_raw, place.asset_in, 6 if selling else cents),
                shown(place.out_raw, place.asset_out, cents if selling else 6),
                read_px(px),
                shown(place.fee_raw, route.buy, cents if selling else 6),
                f"{found.gas[place.place]:,.{cents if selling else 6}f}",
                f"{place.impact_bps:.1f}",
            ]
        )
    title = f"{child.side.value.lower()} {plain(child.qty)} {child.base} for {child.quote}"
    columns = (
        "where",
        f"in {in_name}",
        f"out {out_name}",
        "avg price",
        f"fee {out_name}",
        f"gas {out_name}",
        "impact bps",
    )
    table(columns, rows, right=(1, 2, 3, 4, 5, 6), title=title)
    ms = dict(route.took_ms).get("total")
    print(
        f"net       {found.net:,.6f} {out_name} at {read_px(found.net_px)} net of gas"
        + (f", planned in {ms:.0f} ms" if ms else "")
    )
    print(f"floor     {found.floor:,.6f} {out_name} if every minimum is just met")
    if not selling and child.protection is Protection.INTENT:
        most = sum((qty_exact(p.in_raw, view.assets[p.asset_in].decimals) for p in planned.parts), Decimal(0))
        print(
            f"others    settle it: exactly {plain(child.qty)} {out_name} for at most {plain(most)} {in_name}"
        )
    print(proof_line(route))
    print(f"partial   {named(settings, found.worst_partial)}")
    if found.worst_loss_usd is not None:
        print(f"at worst  {found.worst_loss_usd:,.2f} USD below the reference price")


def told_otherwise(request: Request, found: Preview, holding: Sequence[str] = ()) -> None:
    """Says that the plan above is not what would be done now: in slices, or not before the limit is met. `holding`: the exchanges that would
    hold its exits."""
    from agent.algos.exit import reached
    from agent.app.exchange_pairs import EMULATED
    from agent.app.intents import DEFAULT_LIFE_S
    from agent.domain.orders import Side

    if request.algo == "oco":
        _told_pair(request)
        return
    if request.algo == "bracket":
        _told_bracket(request, found)
        return
    if request.algo == "exit":
        words = ", ".join(f"{name} {value}" for name, value in request.algo_params)
        print(
            f"exit      {words}: the table is all of it now; nothing is done until a price is reached, then one ends the other\n"
            f"          {EMULATED}, this command or `fairlead run`"
        )
        for name in holding if len(request.algo_params) > 1 else ():
            print(f"          {name} would hold a pair of what stands there itself: --at {name}")
        met = reached(request.side, found.net_px, dict(request.algo_params))
        if met:
            print(
                f"          --{met} is reached already at {read_px(found.net_px)}: it would be done AT ONCE"
            )
        return
    now = [(name, value) for name, value in request.algo_params if not name.startswith("then-")]
    _told_exits(request, found)
    if now:
        words = ", ".join(f"{name} {value}" for name, value in now)
        print(
            f"{request.algo:<8}  {words}: each slice is planned anew when it is due; the table is all of it at once"
        )

    limit = request.limit_px
    if limit is None:
        return
    selling = request.side is Side.SELL
    if (found.net_px < limit) if selling else (found.net_px > limit):
        print(
            f"waits     {read_px(found.net_px)} is {'below' if selling else 'above'} the limit of {read_px(limit)}: "
            f"nothing is done until it is met, for up to {DEFAULT_LIFE_S // 60} min"
        )


def _told_exits(request: Request, found: Preview) -> None:
    from agent.algos.bracket import AT, after
    from agent.algos.exit import reached
    from agent.app.brackets import words_of
    from agent.app.exchange_pairs import EMULATED, words

    params = dict(request.algo_params)
    if prices := words_of(params):
        held = words(params[AT]) if AT in params else EMULATED
        print(
            f"then      {prices}: for what it brought, given once it is over, by this process or `fairlead run`\n"
            f"          {held}"
        )
        entry_px = found.net_px
        if request.limit_px is not None:  # where it waits for its limit that is its price, at worst
            better = min if request.side.value == "BUY" else max
            entry_px = better(entry_px, request.limit_px)
        if met := reached(request.side.other, entry_px, after(params)):
            print(
                f"          --then-{met} is reached already at {read_px(entry_px)}: what it brings would go AT ONCE"
            )


def exits_json(intent: Intent) -> dict[str, Any] | None:
    """Of the exits that an order is to have: who will hold them, and how, before anything is sent."""
    from agent.algos import bracket
    from agent.domain.instruments import Place, venue_of

    told = dict(intent.algo_params)
    prices = bracket.after(told) or {n: told[n] for n in ("stop-loss", "take-profit") if n in told}
    if not prices:
        return None
    at = told.get(bracket.AT)
    if intent.algo == "oco":
        at = venue_of(Place(intent.base.partition("@")[2]))
    listed = intent.algo == "bracket" and at is not None
    kind = ("OTOCO" if len(prices) > 1 else "OTO") if listed else "OCO" if at is not None else None
    return {**prices, "held_by": at, "emulated": at is None, "list": kind, "with_entry": listed}


def _told_bracket(request: Request, found: Preview) -> None:
    from agent.algos import bracket
    from agent.app.brackets import words_of
    from agent.app.exchange_pairs import listed_words, resting_words
    from agent.domain.instruments import Place, venue_of

    told = dict(request.algo_params)
    venue = venue_of(Place(request.base.partition("@")[2])) or ""
    listed = bracket.AT in told
    held = listed_words(venue, len(bracket.after(told))) if listed else resting_words(venue)
    limit = read_px(request.limit_px) if request.limit_px is not None else ""
    part = (
        "they stand once all of it is filled; a part, where the rest is cancelled, gets exits of its own"
        if listed
        else "given once it is over, for what it brought, by this process or `fairlead run`"
    )
    print(
        f"rests     {held}\n"
        f"          {request.side.value.lower()} at {limit}, then {words_of(told)}: {part}\n"
        "          the table is all of it now; nothing trades until the limit is reached"
    )
    px, selling = request.limit_px, request.side.value == "SELL"
    if px is not None and (found.net_px >= px if selling else found.net_px <= px):
        print(f"          --limit is reached already at {read_px(found.net_px)}: it would trade AT ONCE")


def _told_pair(request: Request) -> None:
    from agent.algos.oco import exits_of
    from agent.app.exchange_pairs import words
    from agent.domain.instruments import Place, venue_of

    exits = exits_of(request.side, request.limit_px, request.max_slippage_bps, dict(request.algo_params))
    venue = venue_of(Place(request.base.partition("@")[2])) or ""
    behind = read_px(exits.stop_limit_px) if exits.stop_limit_px is not None else ""
    print(
        f"pair      {words(venue)}\n"
        f"          take-profit {exits.profit_px}; stop-loss {exits.stop_px}, then an order limited at "
        f"{behind}: a price that jumps over it leaves it standing\n"
        "          the table is all of it now; nothing trades until a price is reached, then one ends the other"
    )


def named(settings: Settings, text: str) -> str:
    """Chains and venues in a sentence by the names the settings give them."""
    from agent.app.places import places_of

    for name, place in places_of(settings).items():
        text = text.replace(place, name)
    return text
