"""`certificate check`: a route's own figures computed again from the market alone, and the bound from its prices.

What the legs give comes from the exact pools and books; gas, fees and the price of gas from their definitions; the bound from
`agent.routing.certificate.bound`. The search is not asked. It certifies the market that was loaded, and nothing beyond it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from decimal import Decimal
from fractions import Fraction
from typing import Any

from agent.amm import Pool, Reverted, swap_exact_in
from agent.domain.errors import FairleadError, Reject, Usage
from agent.domain.instruments import AssetId, Place, place_of
from agent.domain.routes import GasMove
from agent.market.book import buy_base, sell_base
from agent.market.view import MarketView
from agent.routing.certificate.around import arbitrage_why
from agent.routing.certificate.bound import Known, Setting
from agent.routing.certificate.branches import MAX_PAIRS, Branch
from agent.routing.certificate.cases import LIMITS, Limits, by_of, cases, weight
from agent.routing.certificate.chains import FURTHER, MOST, Chains, name_of
from agent.routing.certificate.crossings import crossings, in_time
from agent.routing.certificate.data_fees import charged
from agent.routing.certificate.forcing import MOST_MOVES, forced
from agent.routing.certificate.passing import Passing, after
from agent.routing.certificate.seal import gap_bps, seal_of
from agent.routing.certificate.units import Order, whole_number
from agent.routing.native import native_price


@dataclass(frozen=True, slots=True)
class Verdict:
    """What the check computed, raw units of the bought asset; `why` names every figure that is not as the route says."""

    valid: bool
    bound_raw: int
    out_raw: int
    net_out_raw: int
    gap_bps: float | None
    why: tuple[str, ...]
    hops: int | None = None
    """The bound speaks of plans with no longer chains than so many legs; None: of chains of any length."""
    legs: int | None = None
    """And with no more than so many legs in all; None: any number."""


_ROUTE = "sell buy in_raw out_raw net_out_raw costs legs places certificate market_digest took_ms arbitrage seconds"
_KEYS = {
    "costs": "gas_raw transfer_raw fees_raw native_px",
    "certificate": "prices branches bound_raw gap_bps market_digest universe seal",
    "legs": "id in out in_raw out_raw",
}
"""What a route says, and what stands in its parts: of anything else nothing is computed, so that nobody may take it for judged."""


class _Wrong(Exception):
    """A leg that cannot be executed; nothing after it can be judged."""


def check(route: Any, view: MarketView, limits: Limits = LIMITS) -> Verdict:
    """Judges a route document against its market, no more of its cases than `limits`. Raises Usage BAD_ROUTE where it is no route with a certificate."""
    shape = ("sell", "buy", "in_raw", "out_raw", "net_out_raw", "costs", "legs", "certificate")
    if not isinstance(route, dict) or any(key not in route for key in shape):
        raise Usage("BAD_ROUTE", "this is not a route", "give what `fairlead route --json` prints")
    proof, costs, legs = route["certificate"], route["costs"], route["legs"]
    if not isinstance(proof, dict) or not isinstance(costs, dict) or not isinstance(legs, list):
        raise Usage(
            "BAD_ROUTE", "the route carries no certificate", "give what `fairlead route --json` prints"
        )
    for holder, keys in (
        (proof, ("prices", "branches", "bound_raw", "market_digest", "universe", "seal")),
        (costs, ("gas_raw", "transfer_raw", "fees_raw", "native_px")),
    ):
        missing = [key for key in keys if key not in holder]
        if missing:
            raise Usage("BAD_ROUTE", f"{missing[0]} is missing", "give what `fairlead route --json` prints")
    sell, buy = route["sell"], route["buy"]
    if not isinstance(sell, str) or not isinstance(buy, str):
        raise Usage("BAD_ROUTE", "sell or buy is no asset's name", "give what `fairlead route --json` prints")
    if sell not in view.assets or buy not in view.assets:
        return Verdict(False, 0, 0, 0, None, ("sell or buy is no asset of this market",))
    universe = proof["universe"] if isinstance(proof["universe"], dict) else {}
    seconds = universe.get("max_seconds")
    if seconds is not None and (type(seconds) is not int or seconds < 0):
        raise Usage("BAD_ROUTE", "certificate.universe.max_seconds is no number of seconds", "give what `fairlead route --json` prints")  # fmt: skip
    digest, view = view.digest, charged(replace(view, transfers=in_time(view, seconds)))
    order = Order(
        view, AssetId(sell), AssetId(buy), whole_number("in_raw", route["in_raw"]), universe.get("cross_domain") is True,
        native_price(view, AssetId(buy)),
    )  # fmt: skip
    return _Check(order, route, proof, costs, legs, limits, digest).verdict()


class _Check:
    def __init__(
        self, order: Order, route: Any, proof: Any, costs: Any, legs: list[Any], limits: Limits, digest: str
    ) -> None:
        """`digest` is that of the market as it was loaded, transfers that take too long included."""
        self._limits, self._digest = limits, digest
        self.order, self.route, self.proof, self.costs, self.legs = order, route, proof, costs, legs
        self.why: list[str] = []
        self.gas: dict[Place, int] = {}
        self.done: list[tuple[AssetId, AssetId, int, int, int, AssetId]] = []
        """(in, out, in raw, out raw, fee raw, fee asset) of every leg."""

    def verdict(self) -> Verdict:
        order, view = self.order, self.order.view
        self._strange()
        self._is("certificate.market_digest", self.proof["market_digest"], self._digest)
        self._is("market_digest", self.route.get("market_digest"), self._digest)
        wanted = {"pools": len(view.pools), "books": len(view.books), "cross_domain": order.cross_domain}
        wanted |= {"transfers": len(view.transfers)} if view.transfers else {}
        if isinstance(told := self.proof["universe"], dict) and told.get("max_seconds") is not None:
            wanted["max_seconds"] = told["max_seconds"]
        if (entry := self._only_branch("hops")) is not None:
            wanted["hops"] = entry["hops"]
            wanted |= {"legs": entry["legs"]} if entry.get("legs") is not None else {}
        self._is("universe", self.proof["universe"], wanted)
        out = net = bound = 0
        gap: float | None = None
        try:
            out = self._replay()
        except _Wrong as wrong:
            self.why.append(str(wrong))
        else:
            net = out - self._gas_up()
            self._is("out_raw", self.route["out_raw"], str(out))
            self._is("costs.native_px", self.costs["native_px"], order.native_px)
            self._is("costs.gas_raw", self.costs["gas_raw"], str(out - net))
            self._is("costs.transfer_raw", self.costs["transfer_raw"], "0")
            self._is("costs.fees_raw", self.costs["fees_raw"], str(self._fees_up()))
            self._is("net_out_raw", self.route["net_out_raw"], str(net))
            self._timed()
        try:
            bound = self._bound(net)
        except FairleadError as bad:
            self.why.append(bad.message)
        except (ArithmeticError, ValueError):
            # Where an invariant has to be followed in floats, no price or amount of sense leaves their range.
            self.why.append("certificate: prices or amounts so large or small that no bound can be computed")
        else:
            self._is("bound_raw", self.proof["bound_raw"], str(bound))
            if bound < net:
                self.why.append("bound_raw: what is netted is above the bound")
            gap = gap_bps(bound, net)
            self._is("gap_bps", self.proof.get("gap_bps"), gap)
        if self.route.get("arbitrage") is not None:
            self.why += arbitrage_why(self.route["arbitrage"], order)
        try:
            sealed = seal_of(self.route)
        except (TypeError, ValueError, RecursionError):
            sealed = ""
        self._is("seal", self.proof["seal"], sealed)
        hops, legs = (
            told if type(told := (entry or {}).get(key)) is int else None for key in ("hops", "legs")
        )
        return Verdict(not self.why, bound, out, net, gap, tuple(self.why), hops, legs)

    def _strange(self) -> None:
        """Names what nobody judges."""
        found = [str(key) for key in self.route if key not in _ROUTE.split()]
        for part, keys in _KEYS.items():
            held = self.route[part]
            for at, one in enumerate(held) if isinstance(held, list) else [(None, held)]:
                where = part if at is None else f"{part}[{at}]"
                found += [
                    f"{where}.{key}"
                    for key in (one if isinstance(one, dict) else ())
                    if key not in keys.split()
                ]
        self.why += [f"{key[:80]}: no part of a route, so nothing of it was judged" for key in found[:8]]

    def _is(self, name: str, told: Any, found: Any) -> None:
        if told != found or type(told) is not type(found):
            self.why.append(f"{name}: the route says {str(told)[:80]}, it is {str(found)[:80]}")

    def _bound(self, net: int) -> int:
        setting = Setting(self.order)
        prices = self._prices("prices", self.proof["prices"], setting)
        branches: list[Branch] = []
        told = self.proof["branches"]
        if not isinstance(told, list) or len(told) > 1 << MAX_PAIRS:
            raise Reject("BAD_CERTIFICATE", "branches: not a list of them")
        if (entry := self._only_branch("hops")) is not None:
            whole = setting.proof(prices, net)
            return min(whole.bound_raw, self._chained(entry, setting, whole.known, net))
        if (entry := self._only_branch("hub")) is not None:
            whole = setting.proof(prices, net)
            return min(whole.bound_raw, self._passed(entry, setting, whole.known, net))
        for k, entry in enumerate(told):
            ways = entry.get("off") if isinstance(entry, dict) else None
            if not isinstance(ways, list) or not all(
                isinstance(way, list) and len(way) == 2 and all(isinstance(end, str) for end in way)
                for way in ways
            ):
                raise Reject("BAD_CERTIFICATE", f"branches[{k}].off: not a list of pairs")
            off = tuple((AssetId(given), AssetId(got)) for given, got in ways)
            branches.append(Branch(off, self._prices(f"branches[{k}].prices", entry.get("prices"), setting)))
        return setting.proved_raw(prices, branches, net)

    def _passed(self, entry: Mapping[str, Any], setting: Setting, known: Known, net: int) -> int:
        if not isinstance(entry["hub"], str):
            raise Reject("BAD_CERTIFICATE", "branches[0].hub: names no asset")
        sides = Passing(setting, AssetId(entry["hub"]), known)
        prices = self._prices("branches[0].prices", entry.get("prices"), setting)
        far = self._prices("branches[0].after", entry.get("after"), setting)
        return sides.bound_raw({**prices, **{after(node): text for node, text in far.items()}}, net)

    def _only_branch(self, kind: str) -> Mapping[str, Any] | None:
        told = self.proof["branches"]
        one = told[0] if isinstance(told, list) and len(told) == 1 else None
        return one if isinstance(one, dict) and kind in one else None

    def _chained(self, entry: Mapping[str, Any], setting: Setting, known: Known, net: int) -> int:
        most, hub, then, legs = entry["hops"], entry.get("hub"), entry.get("then", []), entry.get("legs")
        if type(most) is not int or not 1 <= most <= MOST or not (hub is None or isinstance(hub, str)):
            raise Reject("BAD_CERTIFICATE", "branches[0]: hops is no number of legs, or hub no asset")
        if legs is not None and (type(legs) is not int or len(self.done) > legs):
            raise Reject(
                "BAD_CERTIFICATE", "branches[0].legs: no number of legs, or fewer than the route's own"
            )
        if (
            not isinstance(then, list)
            or len(then) > FURTHER
            or not all(isinstance(one, dict) for one in then)
        ):
            raise Reject("BAD_CERTIFICATE", f"branches[0].then: not a list of up to {FURTHER} sets of prices")
        behind: dict[AssetId, int] = {}
        for given, got, *_ in self.done:
            behind[got] = max(behind.get(got, 0), behind.get(given, 0) + 1)
        if max(behind.values(), default=0) > most:
            raise Reject("BAD_CERTIFICATE", f"branches[0].hops: the route's own chains have more legs than {most}")  # fmt: skip
        of = Chains(setting, most, None if hub is None else AssetId(hub), known, legs)
        proof = forced(
            of,
            self._placed("branches[0]", entry, setting, most),
            net,
            None,
            self._moves("branches[0]", entry),
        )
        least = proof.bound_raw
        for k, one in enumerate(then):
            at = f"branches[0].then[{k}]"
            proof = forced(of, self._placed(at, one, setting, most), net, proof.known, self._moves(at, one))
            least = min(least, proof.bound_raw)
        self._cases = self._work = 0
        return self._divided("branches[0].split", entry.get("split"), of, proof.known, setting, least, net)

    def _divided(
        self, at: str, told: Any, of: Chains, known: Known, setting: Setting, least: int, net: int
    ) -> int:
        """The bound of plans that are divided into the cases `told`, of which `least` is proved before."""
        if told is None:
            return least
        parts = told.get("cases") if isinstance(told, dict) else None
        if (
            not isinstance(parts, list)
            or len(parts) != 2
            or not all(isinstance(part, dict) for part in parts)
        ):
            raise Reject("BAD_CERTIFICATE", f"{at}: not two cases")
        self._cases += 2
        most = self._limits
        if self._cases > most.cases or at.count("split") > most.deep:
            raise Reject("BAD_CERTIFICATE", f"branches[0].split: more than {most.cases} cases, or more than {most.deep} in one another")  # fmt: skip
        bounds = []
        for k, (part, left) in enumerate(zip(parts, cases(of, known, by_of(told)), strict=True)):
            here, sets, bound = f"{at}.cases[{k}]", part.get("sets"), least
            if (
                not isinstance(sets, list)
                or len(sets) > FURTHER
                or not all(isinstance(one, dict) for one in sets)
            ):
                raise Reject("BAD_CERTIFICATE", f"{here}.sets: not a list of up to {FURTHER} sets of prices")
            self._work += weight(left) * len(sets)
            if self._work > most.work:
                raise Reject("BAD_CERTIFICATE", f"{here}.sets: more prices for more sales than are looked at")
            kept = Known(tuple(left.sales), known.caps)
            for n, one in enumerate(sets):
                each = f"{here}.sets[{n}]"
                proof = forced(
                    left, self._placed(each, one, setting, left.hops), net, kept, self._moves(each, one)
                )
                kept, bound = proof.known, min(bound, proof.bound_raw)
            bounds.append(self._divided(f"{here}.split", part.get("split"), left, kept, setting, bound, net))
        return min(least, max(bounds))

    def _placed(self, at: str, entry: Mapping[str, Any], setting: Setting, most: int) -> dict[AssetId, str]:
        """Prices by the names of places."""
        sides = entry.get("levels"), entry.get("after")
        if not all(isinstance(side, list) and len(side) == most - 1 for side in sides):
            raise Reject("BAD_CERTIFICATE", f"{at}: levels and after are lists of one fewer than hops")
        prices = self._prices(f"{at}.prices", entry.get("prices"), setting)
        for far, side in enumerate(sides):
            for level, told in enumerate(side or (), 1):
                found = self._prices(f"{at}.{('levels', 'after')[far]}[{level - 1}]", told, setting)
                prices |= {name_of(node, level, bool(far)): text for node, text in found.items()}
        return prices

    def _moves(self, at: str, entry: Mapping[str, Any]) -> list[GasMove]:
        """Gas moved from leg to leg beside a set of prices."""
        told = entry.get("gas", [])
        if (
            not isinstance(told, list)
            or len(told) > MOST_MOVES
            or not all(
                isinstance(one, list)
                and len(one) == 5
                and type(one[0]) is bool
                and all(isinstance(part, str) for part in one[1:])
                for one in told
            )
        ):
            raise Reject(
                "BAD_CERTIFICATE",
                f"{at}.gas: not a list of up to {MOST_MOVES} of [sells, pool, sold, bought, gas]",
            )
        return [
            GasMove(sells, pool, AssetId(given), AssetId(got), gas) for sells, pool, given, got, gas in told
        ]

    def _prices(self, name: str, prices: Any, setting: Setting) -> dict[AssetId, str]:
        if not isinstance(prices, dict) or not all(isinstance(text, str) for text in prices.values()):
            raise Reject("BAD_CERTIFICATE", f"{name}: not an object of prices as text")
        strange = sorted(set(prices) - setting.nodes)
        if strange:
            raise Reject(
                "BAD_CERTIFICATE", f"{name}: {strange[0]} is on no way from what is sold to what is bought"
            )
        return {AssetId(asset): text for asset, text in prices.items()}

    def _replay(self) -> int:
        """What the legs give in order, in units of the bought asset, rounded down."""
        order, view = self.order, self.order.view
        states: dict[str, Pool] = {}
        purse: dict[AssetId, int] = {}
        spent: dict[AssetId, int] = {}
        out = 0
        books = {book.id: book for book in view.books}
        sold: set[tuple[str, AssetId]] = set()
        moves = {crossing.id: crossing for crossing in crossings(view)}
        landed: set[AssetId] = set()
        for k, leg in enumerate(self.legs):
            at = f"legs[{k}]"
            if not isinstance(leg, dict) or any(
                key not in leg for key in ("id", "in", "out", "in_raw", "out_raw")
            ):
                raise _Wrong(f"{at}: not a leg")
            name, given, got = leg["id"], leg["in"], leg["out"]
            if not all(isinstance(one, str) for one in (name, given, got)):
                raise _Wrong(f"{at}: id, in and out are names")
            if given not in view.assets or got not in view.assets or given == got:
                raise _Wrong(f"{at}: no two assets of this market")
            amount, told = whole_number(f"{at}.in_raw", leg["in_raw"]), whole_number(f"{at}.out_raw", leg["out_raw"])  # fmt: skip
            if amount <= 0:
                raise _Wrong(f"{at}.in_raw: {amount} is nothing to sell")
            if given in order.sources:
                # What landed there is sold before what is held there.
                came = min(purse.get(given, 0) if given in landed else 0, amount)
                purse[given] = purse.get(given, 0) - came
                spent[given] = spent.get(given, 0) + amount - came
            elif purse.get(given, 0) < amount:
                raise _Wrong(f"{at}: sells {amount} of {given}, {purse.get(given, 0)} came in before")
            else:
                purse[given] -= amount
            if name in books:
                book = books[name]
                base, quote = view.assets[book.base].decimals, view.assets[book.quote].decimals
                if {given, got} != {book.base, book.quote}:
                    raise _Wrong(f"{at}: {name} does not trade these two")
                if (name, given) in sold:
                    # Its best levels are there once; a second leg over them would count them again.
                    raise _Wrong(f"{at}: {given} was sold to {name} before")
                sold.add((name, given))
                fill = (sell_base if given == book.base else buy_base)(book, amount, base, quote)
                if fill is None or fill.in_raw != amount:
                    raise _Wrong(f"{at}.in_raw: the book does not take {amount}")
                paid, fee, fee_asset = fill.out_raw, fill.fee_raw, fill.fee_asset
            elif name in moves:
                crossing = moves[name]
                if (given, got) != (crossing.given, crossing.got) or (name, given) in sold:
                    raise _Wrong(f"{at}: {name[:80]} does not lead there, or was sent over before")
                sold.add((name, given))
                (paid, fee), fee_asset = crossing.landed_down(amount), given
                if not paid:
                    raise _Wrong(f"{at}.in_raw: {amount} is not sent, or nothing of it lands")
                landed.add(got)
            elif name in view.pools:
                paid, fee, fee_asset = self._swap(at, name, given, got, amount, states)
            else:
                raise _Wrong(f"{at}.id: {name} is no pool, book or transfer of this market")
            self._is(f"{at}.out_raw", told, paid)
            self.done.append((given, got, amount, paid, fee, fee_asset))
            if name in books and got in order.targets:
                out += self._at_par(got, paid)
            else:
                purse[got] = purse.get(got, 0) + paid
        self._sold(spent)
        return out + sum(self._at_par(a, raw) for a, raw in purse.items() if a in order.targets)

    def _swap(
        self, at: str, name: str, given: AssetId, got: AssetId, amount: int, states: dict[str, Pool]
    ) -> tuple[int, int, AssetId]:
        pool = states.get(name) or self.order.view.pools[name]

        def inside(asset: AssetId) -> str:
            return asset if asset in pool.assets else f"{place_of(asset)}/slip44:60"

        if not {inside(given), inside(got)} <= set(pool.assets):
            raise _Wrong(f"{at}: {name} does not hold these two")
        swapped = swap_exact_in(pool, inside(given), inside(got), amount)
        if isinstance(swapped, Reverted):
            raise _Wrong(f"{at}: {name} reverts: {swapped.reason}")
        if not swapped.complete:
            raise _Wrong(f"{at}: {name} cannot take {amount}")
        states[name] = swapped.after
        place = place_of(given)
        self.gas[place] = self.gas.get(place, 0) + swapped.gas
        return swapped.amount_out, swapped.fee, AssetId(swapped.fee_asset)

    def _at_par(self, asset: AssetId, raw: int) -> int:
        worth = raw * self.order.par(asset)
        return worth.numerator // worth.denominator

    def _sold(self, spent: Mapping[AssetId, int]) -> None:
        view, finest, total = self.order.view, self.order.view.assets[self.order.sell].decimals, 0
        for asset, raw in spent.items():
            held = view.inventory.get(asset)
            if held is not None and raw > held:
                self.why.append(f"legs sell {raw} of {asset}, {held} are held")
            decimals = view.assets[asset].decimals
            total += -(-raw * 10**finest // 10**decimals)
        self._is("in_raw", self.route["in_raw"], str(total))

    def _timed(self) -> None:
        """How long the longest chain of transfers takes, and that it is no longer than it may be."""
        moves = {one.id: one.transfer for one in crossings(self.order.view)}
        usual: dict[str, int] = {}
        most: dict[str, int] = {}
        for leg in self.legs:
            for took, taken in ((usual, "seconds_p50"), (most, "seconds_p99")):
                more = getattr(moves[leg["id"]], taken) if leg["id"] in moves else 0
                took[leg["out"]] = max(took.get(leg["out"], 0), took.get(leg["in"], 0) + more)
        found = {"p50": max(usual.values(), default=0), "p99": max(most.values(), default=0)}
        moved = any(leg["id"] in moves for leg in self.legs)
        self._is("seconds", self.route.get("seconds"), found if moved else None)
        limit = self.proof["universe"].get("max_seconds") if isinstance(self.proof["universe"], dict) else None  # fmt: skip
        if limit is not None and found["p99"] > limit:
            self.why.append(
                f"seconds: the transfers may take {found['p99']}, no more than {limit} are allowed"
            )

    def _gas_up(self) -> int:
        px = Decimal(self.order.native_px)
        if not px:
            return 0
        view = self.order.view
        wei = sum(units * view.gas[place].price_wei for place, units in self.gas.items() if place in view.gas)
        top, bottom = px.as_integer_ratio()
        unit: int = 10 ** view.assets[self.order.buy].decimals
        return -(-wei * unit * bottom // (10**18 * top))

    def _fees_up(self) -> int:
        """Fees at what a unit of each asset became on the way, from the last leg backwards."""
        worth = {asset: self.order.par(asset) for asset in self.order.view.same(self.order.buy)}
        got: dict[AssetId, Fraction] = {}
        used: dict[AssetId, int] = {}
        for given, out, amount, paid, _, _ in reversed(self.done):
            got[given] = got.get(given, Fraction(0)) + paid * worth.get(out, Fraction(0))
            used[given] = used.get(given, 0) + amount
            worth[given] = got[given] / used[given]
        total = sum(
            (fee * worth.get(name, worth.get(given, Fraction(0))) for given, _, _, _, fee, name in self.done),
            Fraction(0),
        )
        return -(-total.numerator // total.denominator)


__all__ = ["Verdict", "check", "whole_number"]
