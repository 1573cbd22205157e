"""Plans in two cases, each with a bound of its own: every plan belongs to one of them, so the worse of the two bounds holds for all.

A pair of a pool is traded or it is not. Where it is, its gas is paid whatever else is done: it is taken off once, and the leg is free of it
from there on. Where it is not, its sales are none. (Branch and bound over binary variables; Land and Doig, "An automatic method of solving
discrete programming problems", 1960.) Or an asset stands at one of certain places of `chains` or at another one: a plan sells
all of it where it stands, so sales of it at other places are none, nor can it be bought where no later place is left to it.

Cases follow on cases. Each is a bound over the sales and amounts that what was proved before leaves to plans better than the one at hand.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping
from copy import copy
from dataclasses import replace
from typing import Any, NamedTuple, TypeAlias

from agent.domain.errors import Reject
from agent.domain.instruments import AssetId
from agent.routing.certificate.bound import Known
from agent.routing.certificate.chains import Chains, asset_of
from agent.routing.certificate.crossings import pairs
from agent.routing.certificate.gains import Sale

MOST_CASES = 512
"""No more cases are told of in all."""
DEEPEST = 60
"""No case is of more cases in turn."""
MOST_WORK = 400_000
"""Prices of cases are looked at while the sales left to each (`weight`) come to no more than that in all: so long a check of any certificate takes."""


class Limits(NamedTuple):
    """What of a certificate is looked at: so many cases in all, so many in one another, so much `weight` of them."""

    cases: int = MOST_CASES
    deep: int = DEEPEST
    work: int = MOST_WORK


LIMITS = Limits()
_LEAST, _JOINT = 200, 40
"""A set of prices is as much work as so many sales, and pairs of a pool taken together as so many."""


class Traded(NamedTuple):
    """Cases by whether a plan trades a pair of a pool; no `pair`: any of a pool whose pairs are counted together."""

    pool: str
    pair: tuple[AssetId, AssetId] | None

    def holds(self, sale: Sale) -> bool:
        """Whether a sale is one of the pair."""
        if sale.edge.pool.id != self.pool:
            return False
        return self.pair is None or {asset_of(name) for name in sale.pair} == set(self.pair)


class Standing(NamedTuple):
    """Cases by whether an asset stands at one of the places `at`, each a level and a side, or at another."""

    asset: AssetId
    at: tuple[tuple[int, bool], ...]


By: TypeAlias = Traded | Standing


def cases(of: Chains, known: Known, by: By) -> tuple[Chains, Chains]:
    """What is left in each case of what is `known`: first where the pair is traded, or the asset stands there. Their own `sales`
    are the ones left. Raises Reject BAD_CERTIFICATE where no plan is left to which the question matters."""
    if isinstance(by, Traded):
        return _traded(of, known, by)
    names = of.names.get(by.asset, ())
    there = {name for name in names if of.places[name][1:] in by.at}
    if not there or len(there) == len(names) or by.asset in of.sources | of.targets:
        raise Reject("BAD_CERTIFICATE", f"branches[0].split: {by.asset} has no two places")
    others = set(names) - there
    return _left(of, _placed(of, known, names, there), 0), _left(of, _placed(of, known, names, others), 0)


def _traded(of: Chains, known: Known, by: Traded) -> tuple[Chains, Chains]:
    if (by.pair is None) != (by.pool in of.together):
        raise Reject("BAD_CERTIFICATE", f"branches[0].split: {by.pool} is told by its pairs, or is not")
    gas = min((sale.edge.gas for sale in known.sales if by.holds(sale)), default=0)
    if not gas:
        raise Reject("BAD_CERTIFICATE", f"branches[0].split: of {by.pool} nothing is left whose gas is not paid")  # fmt: skip
    paid = [_free(sale, gas) if by.holds(sale) else sale for sale in known.sales]
    return _left(of, paid, gas), _left(of, [sale for sale in known.sales if not by.holds(sale)], 0)


def _free(sale: Sale, gas: int) -> Sale:
    return Sale(replace(sale.edge, gas=sale.edge.gas - gas), sale.i, sale.j)


def _placed(of: Chains, known: Known, names: Collection[AssetId], left: set[AssetId]) -> Iterator[Sale]:
    """The sales of plans whose asset, which has the `names`, stands at one of those `left`."""
    bought = {name for name in names if not left.isdisjoint(of.later[name])}
    for sale in known.sales:
        if sale.i == sale.j:
            if (joint := _joint(of, sale, names, left, bought)) is not None:
                yield joint
        elif all(
            name not in names or name in among for name, among in zip(sale.pair, (left, bought), strict=True)
        ):
            yield sale


def _joint(
    of: Chains, sale: Sale, names: Collection[AssetId], left: set[AssetId], bought: set[AssetId]
) -> Sale | None:
    """The same of pairs taken together, where what is sold stands at its name or before; None where nothing is left."""
    edge = sale.edge
    nodes, never_sold, never_bought = list(edge.nodes), set(edge.never_sold), set(edge.never_bought)
    for k, (name, got) in enumerate(zip(edge.nodes, edge.outs, strict=True)):
        if k not in never_sold and name in names:
            before = [other for other in left if name in of.later[other]]
            # The one that is worth no more than any of them, if there is such a one.
            last = [other for other in before if all(other in of.later[one] for one in before)]
            nodes[k] = last[0] if last else name
            never_sold |= set() if before else {k}
        if k not in never_bought and got in names and got not in bought:
            never_bought.add(k)
    if (tuple(nodes), frozenset(never_sold), frozenset(never_bought)) == (
        edge.nodes,
        edge.never_sold,
        edge.never_bought,
    ):
        return sale
    if len(never_sold) == len(nodes) or len(never_bought) == len(nodes):
        return None
    made = replace(edge, nodes=tuple(nodes), bought=edge.outs, never_sold=frozenset(never_sold), never_bought=frozenset(never_bought))  # fmt: skip
    return Sale(made, sale.i, sale.j)


def _left(of: Chains, sales: Iterable[Sale], paid: int) -> Chains:
    """`of` with these sales alone and the places they join, and `paid` more of gas that is paid in any case."""
    together = of.together
    made = copy(of)
    for found in ("idle", "least_gas", "later"):
        made.__dict__.pop(found, None)
    made.sales, made.paid = list(sales), of.paid + paid
    made.__dict__["together"] = together
    kept = set(of.sources | of.targets)
    for sale in made.sales:
        kept.update(sale.pair if sale.i != sale.j else (*sale.edge.nodes, *sale.edge.outs))
    for a, b in pairs(of.order.view):
        kept.update((*of.names.get(a, ()), *of.names.get(b, ())))
    made.nodes = frozenset(kept & of.nodes)
    made.names = {asset: tuple(name for name in names if name in kept) for asset, names in of.names.items()}
    made.places = {name: spot for name, spot in of.places.items() if name in made.nodes}
    return made


def weight(of: Chains) -> int:
    """How much work it is to look at a case with one set of prices, in sales."""
    return _LEAST + sum(_JOINT if sale.i == sale.j else 1 for sale in of.sales)


def by_of(told: Mapping[str, Any]) -> By:
    """What cases are told by. Raises Reject BAD_CERTIFICATE where that is nothing known."""
    pool, pair, asset, at = (told.get(key) for key in ("pool", "pair", "asset", "at"))
    if isinstance(pool, str) and pair is None:
        return Traded(pool, None)
    if (
        isinstance(pool, str)
        and isinstance(pair, list)
        and len(pair) == 2
        and all(isinstance(a, str) for a in pair)
    ):
        return Traded(pool, (AssetId(pair[0]), AssetId(pair[1])))
    if (
        isinstance(asset, str)
        and isinstance(at, list)
        and all(
            isinstance(spot, list) and len(spot) == 2 and type(spot[0]) is int and type(spot[1]) is bool
            for spot in at
        )
    ):
        return Standing(AssetId(asset), tuple((level, far) for level, far in at))
    raise Reject("BAD_CERTIFICATE", "branches[0].split: tells neither a pool with a pair nor an asset with its places")  # fmt: skip


__all__ = [
    "DEEPEST",
    "LIMITS",
    "MOST_CASES",
    "MOST_WORK",
    "By",
    "Limits",
    "Standing",
    "Traded",
    "by_of",
    "cases",
    "weight",
]
