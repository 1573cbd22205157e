"""`fairlead route`: the best split over a market file, with no network and no settings."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from agent.domain.routes import Route
    from agent.market.view import MarketView


@click.command()
@click.argument("file")
@click.option("--sell", required=True, metavar="ASSET", help="What is sold: an id or an unambiguous symbol.")
@click.option("--qty", required=True, metavar="Q", help="How much of it, in whole units, like 25 or 0.5.")
@click.option("--buy", required=True, metavar="ASSET", help="What is bought.")
@click.option("--max-legs", type=click.IntRange(1, 64), default=12, show_default=True)
@click.option("--max-hops", type=click.IntRange(1, 4), default=4, show_default=True)
@click.option(
    "--cross-domain", is_flag=True, help="Sell from, and buy in, every place that holds an equivalent."
)
@click.option(
    "--max-seconds",
    type=click.IntRange(0),
    metavar="S",
    help="Use no transfers that may take longer in all (their 99th of a hundred).",
)
@click.option(
    "--deadline-ms",
    type=click.IntRange(1),
    help="Stop improving after this long; the least proof there is comes on top, a fifth of a second for 800 pools.",
)
@click.option("--json", "as_json", is_flag=True, help="One JSON document on stdout.")
def command(
    file: str, sell: str, qty: str, buy: str, max_legs: int, max_hops: int, cross_domain: bool, max_seconds: int | None, deadline_ms: int | None, as_json: bool
) -> None:  # fmt: skip
    """Find the best way to sell QTY of an asset for another over the pools and books of FILE."""
    from agent.app.cli.marketfile import load_market
    from agent.app.cli.output import emit_json
    from agent.app.clocked import timed_route
    from agent.domain.units import parse_qty, raw_exact
    from agent.routing.report import route_json

    view = load_market(file)
    sold, bought = view.asset(sell), view.asset(buy)
    amount = raw_exact(parse_qty(qty, "--qty"), sold.decimals, "--qty")
    route = timed_route(
        view,
        sold.id,
        bought.id,
        amount,
        max_legs=max_legs,
        max_hops=max_hops,
        cross_domain=cross_domain,
        deadline_ms=deadline_ms,
        circles=True,
        max_seconds=max_seconds,
    )
    if as_json:
        emit_json({"arbitrage": None, **route_json(route)})
        return
    click.echo(f"file · no wallet · market {route.market_digest[:12]}")
    show_route(view, route)


def show_route(view: MarketView, route: Route) -> None:
    """The plan as a table: the legs in order, then each place, then the whole."""
    from agent.app.cli.output import plain, table
    from agent.domain.units import qty_exact

    def amount(raw: int, asset: Any) -> str:
        known = view.assets[asset]
        return f"{plain(round(qty_exact(raw, known.decimals), 6))} {known.symbol}"

    legs = [
        [str(n), leg.id, leg.kind, amount(leg.in_raw, leg.asset_in), amount(leg.out_raw, leg.asset_out)]
        for n, leg in enumerate(route.legs, 1)
    ]
    table(("#", "where", "kind", "in", "out"), legs, right=(3, 4))
    places = [
        [
            str(p.place),
            amount(p.in_raw, p.asset_in),
            amount(p.out_raw, p.asset_out),
            plain(round(p.avg_px, 8)),
            amount(p.fee_raw, route.buy),
            amount(p.gas_raw, route.buy),
            f"{p.impact_bps}",
        ]
        for p in route.places
    ]
    table(("place", "in", "out", "avg price", "fee", "gas", "impact bps"), places, right=(1, 2, 3, 4, 5, 6))
    click.echo(f"sells {amount(route.in_raw, route.sell)}, buys {amount(route.out_raw, route.buy)}, "
               f"gas {amount(route.costs.gas_raw, route.buy)}, net {amount(route.net_out_raw, route.buy)}")  # fmt: skip
    if route.seconds is not None:
        click.echo(f"transfers take {route.seconds[0]} s, and {route.seconds[1]} s at the 99th of a hundred")
    click.echo(proof_line(route))
    click.echo(arbitrage_line(view, route))


def arbitrage_line(view: MarketView, route: Route) -> str:
    """What the pools would give whoever traded them against each other first, in words."""
    from agent.app.cli.output import plain
    from agent.app.watching.words import many
    from agent.domain.units import qty_exact

    found = route.arbitrage
    if found is None:
        return "arbitrage not looked for: the deadline was spent"
    if not found.circles:
        return (
            "arbitrage none among the pools" if found.complete else "arbitrage none found before the deadline"
        )
    bought = view.assets[route.buy]
    least = "" if found.complete else "at least "
    unpriced = sum(circle.value_raw is None for circle in found.circles)
    beside = f", {unpriced} of them in what nothing prices" if unpriced else ""
    return (
        f"arbitrage {least}{plain(round(qty_exact(found.value_raw, bought.decimals), 6))} {bought.symbol} before gas in "
        f"{many(len(found.circles), 'cycle')} of {many(found.pools, 'pool')}{beside}; the route's value does not contain it"
    )


def proof_line(route: Route) -> str:
    """How far the plan can be from the best one, in words."""
    from agent.app.watching.words import many

    proof = route.certificate
    if proof is None:
        return "no certificate"
    gap = (
        "nets nothing after gas"
        if proof.gap_bps is None
        else f"within {proof.gap_bps:.2f} bps of the optimum"
    )
    # A plan that has all the legs it may have is compared with those of no more: a reader must see what was left out.
    most = proof.chains.legs if proof.chains is not None else None
    limit = "" if most is None else f", by plans of at most {many(most, 'leg')}"
    moves = f", {many(proof.transfers, 'transfer')}" if proof.transfers else ""
    return f"proof     {gap} of what was loaded ({many(proof.pools, 'pool')}, {many(proof.books, 'book')}{moves}){limit}"
