"""Gas moved from leg to leg along what a plan cannot leave out: what it sells on the way it has bought, and what it buys there it sells.

A bound counts every leg's gas against that leg's gain alone; a program over prices then lets a leg pay a thousandth of its gas for a thousandth of
what it can carry. But the leg that sells an asset is used only where one that buys it is. So gas m may be moved to a leg e that sells asset X, from
every leg F that a plan with e can have bought X by: what a plan pays is no more than before, since

    m [e is used] <= m (legs of F that are used)

and the same with X sold on, where a leg buys it. (The forcing inequalities of fixed-charge network design, as multipliers; Balakrishnan, Magnanti and
Wong, "A dual-ascent procedure for large-scale uncapacitated network design", 1989.) A plan's value is therefore no less with the gas so moved, and what bounds it there bounds it.

What F is follows from what plans are (`bound`, `chains`). An asset that stands at some level has a leg from one level lower, counted at that very level, on its own side
of the hub or before it; what is bought under a name is sold under that or a later one. No asset is both sold to and bought from one pool; and where X is sold for Y, X is not bought for
Y. Pairs of a pool that are counted together are one leg: gas is taken from it for every asset that it can buy or sell, and none added where it takes several. No
leg's gas may come below zero, and over no asset that the order or a book trades is any moved.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from copy import copy
from dataclasses import replace
from decimal import Decimal, InvalidOperation
from typing import NamedTuple

from agent.domain.errors import Reject
from agent.domain.instruments import AssetId
from agent.domain.routes import GasMove
from agent.routing.certificate.bound import Known, Proof
from agent.routing.certificate.chains import Chains, asset_of
from agent.routing.certificate.crossings import pairs
from agent.routing.certificate.gains import Sale
from agent.routing.certificate.units import SHIFT, Order

MOST_MOVES = 4_000
_LONGEST = 60


class _Move(NamedTuple):
    """Gas by value at the leg that sells the name `given` to `pool` for `got`, taken from those over one of `names` at its own end."""

    pool: str
    given: AssetId
    got: AssetId
    sells: bool
    names: frozenset[AssetId]
    gas: int

    def takes(self, sale: Sale) -> bool:
        """Whether a plan that uses this leg can have bought what it sells by `sale`, or sell by it what it buys."""
        edge = sale.edge
        if edge.pool.id == self.pool:
            return False
        if sale.i != sale.j:
            given, got = sale.pair
            if self.sells:
                return got in self.names and asset_of(given) != asset_of(self.got)
            return given in self.names and asset_of(got) != asset_of(self.given)
        asset = asset_of(self.given if self.sells else self.got)
        held, never = (edge.outs, edge.never_bought) if self.sells else (edge.nodes, edge.never_sold)
        return any(asset_of(name) == asset for k, name in enumerate(held) if k not in never)


class Moved:
    """Gas of legs, by value, with what is moved."""

    def __init__(self, of: Chains, moves: Iterable[GasMove]) -> None:
        """Raises Reject BAD_CERTIFICATE for a move that means nothing, or over an asset that the order, a book or a transfer trades."""
        order = of.order
        barred = {*order.sources, *order.targets}
        for pair in pairs(order.view):
            barred |= {*pair}
        self._added: dict[tuple[str, AssetId, AssetId], int] = {}
        self._over: tuple[dict[AssetId, list[_Move]], ...] = ({}, {})
        for move in moves:
            asset = asset_of(move.given if move.sells else move.got)
            if asset in barred or move.given not in of.places or move.got not in of.places:
                raise Reject("BAD_CERTIFICATE", f"gas: none is moved over {str(asset)[:80]}")
            worth, leg = _worth(order, move.gas), (move.pool, move.given, move.got)
            names = frozenset(before(of, move.given) if move.sells else of.later[move.got])
            self._added[leg] = self._added.get(leg, 0) + worth
            self._over[move.sells].setdefault(asset, []).append(_Move(*leg, move.sells, names, worth))

    def gas(self, sale: Sale) -> int:
        """The gas of a sale with what is moved to it and from it."""
        edge = sale.edge
        sold, bought = self._over
        gas: int = edge.gas
        if sale.i != sale.j:
            given, got = sale.pair
            gas += self._added.get((edge.pool.id, given, got), 0)
            over = [*bought.get(asset_of(got), ()), *sold.get(asset_of(given), ())]
        else:
            assets = {asset_of(name) for name in (*edge.nodes, *edge.outs)}
            over = [move for asset in assets for by in self._over for move in by.get(asset, ())]
        taken: int = sum(move.gas for move in over if move.takes(sale))
        return gas - taken


def before(of: Chains, name: AssetId) -> list[AssetId]:
    """The names under one of which a plan buys an asset that stands at `name`, by the longest chain to it."""
    spot = of.places[name]
    return [
        n for n in of.names[spot.asset] if of.places[n].level == spot.level and of.places[n].far <= spot.far
    ]


def _worth(order: Order, text: str) -> int:
    """An amount in whole units of the bought asset as a value, rounded down."""
    try:
        amount = Decimal(text if len(text) <= _LONGEST else "NaN")
    except InvalidOperation:
        amount = Decimal("NaN")
    if not amount.is_finite() or amount < 0 or abs(amount.adjusted()) > 100:
        raise Reject("BAD_CERTIFICATE", f"gas: {text[:80]!r} is no amount of it")
    top, bottom = amount.as_integer_ratio()
    unit: int = 10 ** order.view.assets[order.buy].decimals
    return (top * unit << SHIFT) // bottom


def forced(
    of: Chains, prices: Mapping[AssetId, str], net_out: int, known: Known | None, moves: Sequence[GasMove]
) -> Proof:
    """What prices prove with gas moved; what is known of plans is of the legs as they were. Raises Reject BAD_CERTIFICATE as `Moved`, and where
    a leg's gas would come below zero."""
    if not moves:
        return of.proof(prices, net_out, (), known)
    how = Moved(of, moves)
    sales, caps = (of.sales, of.caps) if known is None else (known.sales, known.caps)
    back: dict[int, Sale] = {}
    turned: list[Sale] = []
    for sale in sales:
        gas = how.gas(sale)
        if gas < 0:
            raise Reject("BAD_CERTIFICATE", f"gas: more than all is taken from {sale.edge.pool.id}")
        other = sale if gas == sale.edge.gas else Sale(replace(sale.edge, gas=gas), sale.i, sale.j)
        back[id(other)] = sale
        turned.append(other)
    least, together = of.least_gas, of.together
    made = copy(of)
    made.__dict__.pop("idle", None)
    # Only sales that are left are ways of the plans spoken of.
    made.sales = turned
    made.__dict__["least_gas"], made.__dict__["together"] = least, together
    proof = made.proof(prices, net_out, (), Known(tuple(turned), caps))

    def known_now() -> Known:
        found = proof.known
        return Known(tuple(back[id(sale)] for sale in found.sales), found.caps)

    return Proof(proof.bound_raw, known_now, None)


__all__ = ["MOST_MOVES", "Moved", "before", "forced"]
