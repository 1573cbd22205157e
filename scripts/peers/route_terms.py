"""Our market and orders in the terms other routers take, and their answers executed by our exact pools.

Everybody gets the same pools, the same gas and the same limits on legs and hops. What a router answers is a set of legs with amounts; they
are executed in an order of their assets, each asset passed on in the proportions answered, pools as earlier legs left them, all in integers.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from typing import Any

from agent.amm import ConcentratedPool, ConcentratedV4Pool, ConstantProductPool, Reverted, WeightedPool
from agent.domain.instruments import AssetId
from agent.market.view import MarketView
from agent.routing.graph import Graph, Hop, Path, swap
from agent.routing.plan import make_plan
from agent.routing.problem import Problem
from agent.routing.search import Split, order_of

PERCENTS = tuple(range(5, 101, 5))
SPLITS = (7, 5, 4, 3, 2)
_ROUTES, _SHARES = 120, (1, 2, 6, 20, 100)
_REACH, _WORTHLESS, _SEGMENTS = 2.0, 0.02, 400


@dataclass(frozen=True)
class Executed:
    """`net` raw units of the bought asset, 0 where the plan does not execute, and then `why`."""

    net: int
    legs: int
    why: str = ""


def nodes_of(view: MarketView) -> list[AssetId]:
    """Every asset by number: the chain's own coin is its wrapped form."""
    return [asset for asset in view.assets if "slip44" not in asset]


def node_numbers(view: MarketView) -> dict[str, int]:
    numbers: dict[str, int] = {asset: k for k, asset in enumerate(nodes_of(view))}
    for place, gas in view.gas.items():
        numbers[f"{place}/slip44:60"] = numbers[gas.native_as]
    return numbers


def market_terms(view: MarketView, graph: Graph) -> dict[str, Any]:
    """The whole market: reserves, ranges and weights as they are, curves of other kinds as rows of knots."""
    numbers, tables = node_numbers(view), graph.prices().tables
    (gas,) = view.gas.values()
    pools: list[dict[str, Any]] = []
    for pool in view.pools.values():
        found: dict[str, Any] = {"assets": [numbers[asset] for asset in pool.assets], "gas": pool.gas}
        if isinstance(pool, ConstantProductPool):
            found |= {
                "kind": "product",
                "fee": pool.fee_pips / 1e6,
                "reserves": list(map(str, pool.reserves)),
            }
        elif isinstance(pool, ConcentratedPool | ConcentratedV4Pool):
            fee = pool.fee_pips if isinstance(pool, ConcentratedPool) else pool.swap_fee_pips(0)
            price = pool.sqrt_price_x96
            depth = (pool.liquidity << 96) // price if price else 0, pool.liquidity * price >> 96
            found |= {
                "kind": "ranges", "fee": fee / 1e6, "sqrt": str(price), "tick": pool.tick, "liquidity": str(pool.liquidity),
                "ticks": [[t, str(n)] for t, n in zip(pool.table.ticks, pool.table.nets, strict=True)],
                "held": list(map(str, depth)), "perTick": pool.gas_per_tick,
            }  # fmt: skip
        elif isinstance(pool, WeightedPool):
            found |= {
                "kind": "weighted", "fee": pool.fee_1e18 / 1e18, "balances": list(map(float, pool.balances)),
                "weights": [w / 1e18 for w in pool.weights],
            }  # fmt: skip
        else:
            rows = {}
            for i, a in enumerate(pool.assets):
                for j, b in enumerate(pool.assets):
                    edge = tables.where.get(Hop(pool.id, AssetId(a), AssetId(b)))
                    if edge is not None:
                        knots = slice(int(tables.first[edge]), int(tables.last[edge]) + 1)
                        names = ("s", "ins", "outs", "lin", "lout")
                        rows[f"{i}>{j}"] = {n: getattr(tables, n)[knots].tolist() for n in names}
                        rows[f"{i}>{j}"]["keep"] = float(tables.keep[edge])
            held = getattr(pool, "balances", None) or pool.reserves
            found |= {"kind": "knots", "fee": 0.0, "balances": list(map(float, held)), "rows": rows}
        pools.append(found)
    decimals = [view.assets[asset].decimals for asset in nodes_of(view)]
    return {"nodes": decimals, "native": numbers[gas.native_as], "pools": pools}


def edge_terms(problem: Problem, max_hops: int) -> tuple[dict[str, Any], list[tuple[Hop, float]]]:
    """The edges a plan within the hops can use, as concave curves in shares of the order's value.

    An edge is a list of segments [a, alpha, most]: of x <= most put in comes alpha * x / (1 + a * x). Gas is in the same shares. The second
    answer says by edge which hop it is, and how many raw units a share of its sold asset is.
    """
    market = problem.graph.prices()
    t, worth = market.tables, market.values
    source, target = t.number[problem.sell], t.number[problem.buy]
    size = worth * 0 + float(problem.amount) * worth[source] / worth
    edges: list[dict[str, Any]] = []
    hops: list[tuple[Hop, float]] = []
    hither = _far(t.i.tolist(), t.j.tolist(), source, target, max_hops)
    onward = _far(t.j.tolist(), t.i.tolist(), target, source, max_hops)
    for edge, hop in enumerate(t.hops):
        i, j = int(t.i[edge]), int(t.j[edge])
        if hop.book or j == source or i == target:
            continue
        if hither.get(i, max_hops) + 1 + onward.get(j, max_hops) > max_hops:
            continue
        rate = problem.gas_rate.get(hop.asset_in.partition("/")[0], 0.0)  # type: ignore[call-overload]
        segments, taken = [], 0.0
        for k in range(int(t.first[edge]), int(t.last[edge]) + 1):
            s, lin = float(t.s[k]), float(t.lin[k])
            if taken > _REACH or not lin or not s:
                if taken > _REACH:
                    break
                segments.append(None)
                continue
            a = s * size[i] * float(t.keep[edge]) / lin
            alpha = float(t.lout[k]) * s * a / size[j]
            low = float(t.s[k + 1]) if k < t.last[edge] else 0.0
            most = min((1 / low - 1 / s) * lin / size[i] / float(t.keep[edge]) if low else 10.0, 10.0)
            if alpha < _WORTHLESS or len(segments) > _SEGMENTS:
                break
            segments.append([float(a), float(alpha), float(most)])
            taken += most
        if any(segments):
            edges.append({
                "pool": hop.id, "i": i, "j": j, "q": float(t.gas[edge]) * rate / float(size[target]),
                "tick": float(t.per_tick[edge]) * rate / float(size[target]), "segments": segments,
            })  # fmt: skip
            hops.append((hop, float(size[i])))
    told = {
        "nodes": len(t.nodes),
        "source": source,
        "target": target,
        "legs": problem.max_legs,
        "hops": max_hops,
    }
    return {**told, "edges": edges}, hops


def _far(begins: list[int], ends: list[int], root: int, without: int, limit: int) -> dict[int, int]:
    onward: dict[int, set[int]] = defaultdict(set)
    for a, b in zip(begins, ends, strict=True):
        onward[a].add(b)
    found, ring = {root: 0}, [root]
    for steps in range(1, limit + 1):
        ring = list({b for a in ring if a != without for b in onward[a] if b not in found})
        found |= dict.fromkeys(ring, steps)
    return found


def route_terms(problem: Problem, max_hops: int) -> tuple[dict[str, Any], list[Path]]:
    """Single routes with what each gives for 5, 10, ... 100 % of the order, exactly, and that less its gas."""
    found: dict[tuple[Hop, ...], None] = {path.hops: None for path in problem.paths}
    for share in _SHARES:
        ranked = problem.graph.paths(problem.sell, problem.buy, max(problem.amount // share, 1), max_hops)
        found.update(dict.fromkeys(hops for _, _, hops in ranked[:_ROUTES]))
    parts = [problem.amount * percent // 100 for percent in PERCENTS]
    routes, paths = [], []
    for hops in found:
        quotes: list[list[str] | None] = []
        for part in parts:
            held, gas = part, 0
            for hop in hops:
                sold = swap(problem.view.pools[hop.id], hop.asset_in, hop.asset_out, held)
                if isinstance(sold, Reverted) or not sold.complete or not sold.amount_out:
                    held = 0
                    break
                held, gas = sold.amount_out, gas + sold.gas
            price = problem.gas_rate.get(paths_place(hops), 0.0)
            quotes.append([str(held), str(held - int(gas * price))] if held else None)
        if any(quotes):
            routes.append({"pools": [hop.id for hop in hops], "quotes": quotes})
            paths.append(Path(hops))
    return {"percents": PERCENTS, "parts": list(map(str, parts)), "splits": SPLITS, "routes": routes}, paths


def paths_place(hops: tuple[Hop, ...]) -> Any:
    return Path(hops).place


def executed(problem: Problem, legs: dict[Hop, float], max_hops: int) -> Executed:
    """What legs with these inputs net, everything sold. Equal hops are one leg."""
    flows = {hop: max(int(part), 1) for hop, part in legs.items() if part > 0}
    if not flows:
        return Executed(0, 0, "no plan")
    if len(flows) > problem.max_legs:
        return Executed(0, len(flows), "too many legs")
    order = order_of(list(flows))
    if order is None:
        return Executed(0, len(flows), "no order of its assets")
    if longest(flows, order) > max_hops:
        return Executed(0, len(flows), "too many hops")
    # The numbers of paths only say which asset is sold.
    plan = make_plan(problem, Split({0: problem.amount}, flows, 0, 0.0))
    if plan is None or plan.amount != problem.amount:
        return Executed(0, len(flows), "a pool refuses its leg")
    return Executed(max(plan.net, 0), len(plan.legs))


def longest(flows: dict[Hop, int], order: list[AssetId]) -> int:
    """The hops of the longest way through the legs."""
    far: dict[AssetId, int] = dict.fromkeys(order, 0)
    for asset in order:
        for hop in flows:
            if hop.asset_in == asset:
                far[hop.asset_out] = max(far[hop.asset_out], far[asset] + 1)
    return max(far.values())


def executed_routes(problem: Problem, parts: list[tuple[Path, int]]) -> Executed:
    """Whole routes one after the other, percentages of the order each; what rounding leaves goes to the last."""
    from agent.amm import Pool
    from agent.routing.plan import gas_raw_up

    hops = [hop for path, _ in parts for hop in path.hops]
    if not parts:
        return Executed(0, 0, "no plan")
    if len(set(hops)) > problem.max_legs:
        return Executed(0, len(set(hops)), "too many legs")
    if order_of(list(set(hops))) is None:
        return Executed(0, len(set(hops)), "no order of its assets")
    left, out, gas = problem.amount, 0, 0
    states: dict[str, Pool] = {}
    for number, (path, percent) in enumerate(parts):
        held = left if number == len(parts) - 1 else problem.amount * percent // 100
        left -= held
        for hop in path.hops:
            sold = swap(states.get(hop.id) or problem.view.pools[hop.id], hop.asset_in, hop.asset_out, held)
            if isinstance(sold, Reverted) or not sold.complete:
                return Executed(0, len(hops), "a pool refuses its leg")
            states[hop.id], held, gas = sold.after, sold.amount_out, gas + sold.gas
        out += held
    net = out - gas_raw_up(problem.view, {parts[0][0].place: gas}, problem.buy, problem.native_px)
    return Executed(max(net, 0), len(hops))
