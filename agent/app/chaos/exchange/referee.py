"""The judge of order lives, in a process of its own: it opens each exchange's own books and compares what a desk's journal says.

python -m agent.app.chaos.exchange.referee     one JSON object a line in, one out: {"do": "open"}, {"do": "judge", "lanes": […]}

A lane: {"lane", "url", "parents": [{"case", "id", "qty", "status", "why", "exits_of"?}], "parts": [{"id", "parent", "status", "sent", "fills": [[exec
id, in, out, fee]]}], "holdings": {asset: change}, "deposits": {asset: qty}, "dialect", "read": {"balances": {asset: [free, locked]},
"positions": {symbol: [contracts, price of entry]}}}, the last what the lane's session reads of its account. It is told nothing of what
befell them.
"""

from __future__ import annotations

import json
import sys
from collections import Counter, defaultdict
from collections.abc import Sequence
from decimal import Decimal
from typing import Any
from urllib.request import urlopen

from agent.app.testvenue import coinbase_wire, dydx_wire, kraken_wire
from agent.domain.ids import ClOrdId, of_uuid
from agent.venues.dydx.codec import client_id
from agent.venues.hyperliquid.codec import cl_ord_id

ENDED = {"FILLED": "FILLED", "CANCELED": "CANCELED", "EXPIRED": "EXPIRED", "EXPIRED_IN_MATCH": "EXPIRED", "REJECTED": "REJECTED"}  # fmt: skip
MARKETS = {"deribit": "{base}_{quote}-PERPETUAL", "hyperliquid": "{base}/{quote}", "kraken": "{base}/{quote}", "coinbase": "{base}-{quote}", "dydx": "{base}-USD"}  # fmt: skip
LEGS = ("-a", "-b", "-c")
QUOTES, EIGHT = ("USDC",), Decimal("0.00000001")
ENTRIES_ALONE = ("dydx",)
"""Where what a position cost is told by its price of entry alone, to eight places."""
FROM_WHAT_ARRIVES = ("binance_spot", "hyperliquid")
"""Where the fee of a purchase is taken of what is bought: as much more may be ordered."""
NEVER = ("EXPIRED", "REJECTED", None)
"""What a journal may say of an order that its exchange never had."""


def truth_of(url: str) -> dict[str, Any]:
    with urlopen(f"{url}/admin/truth", timeout=60) as answer:
        found: dict[str, Any] = json.load(answer)
    return found


class Judge:
    def __init__(self) -> None:
        self.violations: list[dict[str, Any]] = []
        self.counters = dict.fromkeys(
            (
                "duplicates",
                "lost_orders",
                "lost_fills",
                "balance_errors",
                "cases",
                "orders",
                "fills",
                "lists",
            ),
            0,
        )

    def broken(self, case: int, rule: str, counter: str, story: str) -> None:
        self.violations.append({"case": case, "rule": rule, "story": story})
        self.counters[counter] += 1

    def lane(self, told: dict[str, Any], truth: dict[str, Any]) -> None:
        truth = in_words(told["dialect"], truth, [part["id"] for part in told["parts"]])
        cases = {parent["id"]: int(parent["case"]) for parent in told["parents"]}
        case_of = {part["id"]: cases.get(part["parent"], -1) for part in told["parts"]}
        last = max(cases.values(), default=-1)
        there = {name: whole(some) for name, some in by_order(truth["orders"]).items()}
        self.counters["cases"] += len(set(cases.values()))
        self.counters["orders"] += len(truth["orders"])
        self.counters["lists"] += sum(order["leg"] in LEGS[1:] for order in truth["orders"])
        self.counters["fills"] += len(truth["trades"])
        self._once(truth["orders"], case_of, last)
        fills = self._fills_there(truth)
        done: dict[str, Decimal] = defaultdict(Decimal)
        for part in told["parts"]:
            self._part(part, case_of[part["id"]], there.get(part["id"]), fills.get(part["id"], {}))
            if part["id"] in there:
                done[part["parent"]] += Decimal(there[part["id"]]["executedQty"])
        for parent in told["parents"]:
            self._parent(parent, done[parent["id"]], told["dialect"] in FROM_WHAT_ARRIVES)
        for entry in {parent["exits_of"] for parent in told["parents"] if "exits_of" in parent}:
            left = sum(done[parent["id"]] for parent in told["parents"] if parent.get("exits_of") == entry)
            fee = Decimal("1.0011") if told["dialect"] in FROM_WHAT_ARRIVES else 1
            if left > done[entry] * fee + Decimal("0.0002"):
                story = f"exits traded {left} of {entry}, which traded {done[entry]}"
                self.broken(cases[entry], "more-than-came", "duplicates", story)
        self._balances(told, truth, last)

    def _once(self, orders: list[dict[str, Any]], case_of: dict[str, int], last: int) -> None:
        for (name, leg), count in Counter((order["clientOrderId"], order["leg"]) for order in orders).items():
            if count > 1:
                story = f"{count} orders are called {name}{leg}"
                self.broken(case_of.get(name, last), "sent-twice", "duplicates", story)
            if name not in case_of:
                self.broken(last, "unknown-order", "duplicates", f"the exchange has {name}, no journal does")

    @staticmethod
    def _fills_there(truth: dict[str, Any]) -> dict[str, dict[str, list[str]]]:
        names = {order["orderId"]: order["clientOrderId"] for order in truth["orders"]}
        found: dict[str, dict[str, list[str]]] = defaultdict(dict)
        for row in truth["trades"]:
            base, quote = Decimal(row["qty"]), Decimal(row["price"]) * Decimal(row["qty"])
            given, got = (quote, base) if row["isBuyer"] else (base, quote)
            amounts = [given, got, Decimal(row["commission"])]
            found[names[row["orderId"]]][f"{row['symbol']}:{row['id']}"] = [plain(one) for one in amounts]
        return found

    def _part(
        self, part: dict[str, Any], case: int, order: dict[str, Any] | None, fills: dict[str, list[str]]
    ) -> None:
        name, status = part["id"], part["status"]
        if order is None:
            if part["sent"] and status not in NEVER:
                self.broken(
                    case, "no-such-order", "lost_orders", f"{name} is {status} and nowhere at the exchange"
                )
        elif order["ended"] != status:
            story = f"{name} is {order['status']} at the exchange, the journal says {status}"
            self.broken(case, "other-end", "lost_orders", story)
        told = {exec_id: amounts for exec_id, *amounts in part["fills"]}
        for exec_id in sorted(set(told) | set(fills)):
            if exec_id not in told:
                self.broken(case, "lost-fill", "lost_fills", f"{name}: {exec_id} is in no journal")
            elif exec_id not in fills:
                self.broken(case, "invented-fill", "duplicates", f"{name}: {exec_id} never was")
            elif [plain(Decimal(one)) for one in told[exec_id]] != fills[exec_id]:
                story = f"{name}: {exec_id} is told as {told[exec_id]}, it was {fills[exec_id]}"
                self.broken(case, "other-fill", "lost_fills", story)

    def _parent(self, parent: dict[str, Any], done: Decimal, less_fee: bool) -> None:
        case, qty = int(parent["case"]), Decimal(parent["qty"])
        if done > qty * (Decimal("1.0011") if less_fee else 1) + Decimal("0.0002"):
            self.broken(case, "too-much", "duplicates", f"{done} were traded where {qty} were wanted")
        if parent["status"] is None:
            self.broken(
                case, "never-closed", "lost_orders", f"the order was never closed: {parent['why'] or '?'}"
            )
        if parent["status"] == "FILLED" and done < qty * Decimal("0.98"):
            self.broken(case, "too-little", "lost_fills", f"FILLED, and {done} of {qty} were traded")

    def _balances(self, told: dict[str, Any], truth: dict[str, Any], last: int) -> None:
        margins = truth.get("margin", {})
        for account, rows in truth["balances"].items():
            positions = margins.get(account, {}).get("positions", {})
            costs = sum((Decimal(cost) for _, cost in positions.values()), Decimal(0))
            for row in rows:
                if Decimal(row["locked"]):
                    self.broken(
                        last, "still-locked", "lost_orders", f"{row['locked']} {row['asset']} are held"
                    )
                held = Decimal(row["free"]) + Decimal(row["locked"])
                if row["asset"] in QUOTES:
                    held -= costs  # what contracts cost is no loss: they are counted beside it
                moved = held - Decimal(told["deposits"].get(row["asset"], "0"))
                self._moved(told, row["asset"], moved, last)
            for symbol, (qty, _) in positions.items():
                self._moved(told, symbol, Decimal(qty), last)
            self._read(told, rows, margins.get(account), last)

    def _moved(self, told: dict[str, Any], asset: str, moved: Decimal, last: int) -> None:
        says = Decimal(told["holdings"].get(f"cex:paper/{asset}", "0"))
        if moved != says:
            story = f"{asset} moved by {moved}, the journal says {says}"
            self.broken(last, "other-balance", "balance_errors", story)

    def _read(
        self, told: dict[str, Any], rows: list[dict[str, Any]], margin: dict[str, Any] | None, last: int
    ) -> None:
        """What the session reads of balances, margin and positions, beside what the exchange has."""
        read = told["read"]
        if read is None:
            self.broken(last, "not-read", "balance_errors", "the account could not be read at the end")
            return
        slack = EIGHT
        if told["dialect"] in ENTRIES_ALONE:
            slack += sum(abs(Decimal(qty)) for qty, _ in (margin or {}).get("positions", {}).values()) * EIGHT
        for row in rows:
            held = Decimal(row["free"]) + Decimal(row["locked"])
            free = Decimal(row["free"])
            if margin is not None:
                free = max(min(held, Decimal(margin["available"][row["asset"]])), Decimal(0))
            there = [free, held - free]
            says = [Decimal(one) for one in read["balances"].get(f"cex:paper/{row['asset']}", ("0", "0"))]
            if any(abs(a - b) > slack for a, b in zip(there, says, strict=True)):
                story = f"{row['asset']} is {there} free and locked, the session reads {says}"
                self.broken(last, "other-margin", "balance_errors", story)
        for symbol, (qty, cost) in (margin or {}).get("positions", {}).items():
            there = [
                Decimal(qty),
                (Decimal(cost) / Decimal(qty)).quantize(EIGHT) if Decimal(qty) else Decimal(0),
            ]
            says = [Decimal(one) for one in read["positions"].get(symbol, ("0", "0"))]
            if there != says:
                story = f"{symbol} stands at {there}, the session reads {says}"
                self.broken(last, "other-position", "balance_errors", story)


def in_words(dialect: str, truth: dict[str, Any], names: Sequence[str]) -> dict[str, Any]:
    """The exchange's books as it told them to its clients: the names of its markets, of orders and trades, and how orders end. `names`:
    those that the journal has, for where an exchange keeps less than a whole one."""

    def market(symbol: str) -> str:
        (quote,) = (one for one in QUOTES if symbol.endswith(one))
        return MARKETS.get(dialect, symbol).format(base=symbol.removesuffix(quote), quote=quote)

    orders = []
    for one in truth["orders"]:
        name, leg = pair_and_leg(_client_id(dialect, one, names))
        orders.append({**one, "clientOrderId": name, "leg": leg, "ended": _ended(dialect, one)})
    trades = [
        {
            **one,
            "symbol": market(one["symbol"]),
            "id": _trade_id(dialect, one),
        }
        for one in truth["trades"]
    ]
    margins = {
        account: {**one, "positions": {market(symbol): held for symbol, held in one["positions"].items()}}
        for account, one in truth.get("margin", {}).items()
    }
    return {**truth, "orders": orders, "trades": trades, **({"margin": margins} if margins else {})}


def pair_and_leg(name: str) -> tuple[str, str]:
    """One of the exits that a journal has as one order: its name and which of them it is; "" for an order of its own."""
    ours = name.startswith("fl-") and name.count("-") == 2
    return (name[:-2], name[-2:]) if ours and name[-2:] in LEGS else (name, "")


def by_order(orders: Sequence[dict[str, Any]]) -> dict[str, list[dict[str, Any]]]:
    found: dict[str, list[dict[str, Any]]] = defaultdict(list)
    for one in orders:
        found[one["clientOrderId"]].append(one)
    return found


def whole(orders: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """What exits are together: open while either is, filled by either, cancelled where one was and neither filled."""
    if len(orders) == 1:
        return orders[0]
    done = sum((Decimal(one["executedQty"]) for one in orders), Decimal(0))
    ends = [one["ended"] for one in orders]
    ended = next((end for end in (None, "FILLED", "CANCELED") if end in ends), ends[-1])
    status = " and ".join(str(one["status"]) for one in orders)
    return {**orders[-1], "executedQty": str(done), "ended": ended, "status": status}


def _trade_id(dialect: str, trade: dict[str, Any]) -> Any:
    """What the exchange calls its owner's side of it."""
    number, buys = trade["id"], trade["isBuyer"]
    match dialect:
        case "deribit":
            return f"USDC-{number}"
        case "kraken":
            return kraken_wire.trade_number(number, buys)
        case "coinbase":
            return coinbase_wire.entry_number(number, buys)
        case "dydx":
            return dydx_wire.fill_number(trade["orderId"], number)
    return number


def _client_id(dialect: str, order: dict[str, Any], names: Sequence[str]) -> str:
    """A label stands behind the exchange's own number; a cloid or a UUID holds an id of ours, or of nobody; 32 bits are a digest of one."""
    told = str(order["clientOrderId"])
    if dialect == "dydx":
        bits = int(told.split(" ")[1])
        return next((name for name in names if client_id(ClOrdId(name)) == bits), told)
    if dialect in ("kraken", "coinbase"):
        return str(of_uuid(told) or told)
    if dialect == "deribit":
        return told.partition(" ")[2]
    return str(cl_ord_id(told) or told) if dialect == "hyperliquid" else told


def _ended(dialect: str, order: dict[str, Any]) -> str | None:
    """How the exchange says that it ended: some have one word where others have two."""
    known = ENDED.get(order["status"])
    if dialect in ("deribit", "kraken", "coinbase") and known == "EXPIRED":
        return "CANCELED"
    if dialect in ("hyperliquid", "dydx") and known == "EXPIRED":
        return "EXPIRED" if order["status"] == "EXPIRED" and not Decimal(order["executedQty"]) else "CANCELED"
    return known


def plain(value: Decimal) -> str:
    return f"{value.normalize():f}"


def answer(asked: dict[str, Any]) -> dict[str, Any]:
    if asked["do"] == "open":
        return {"watching": True}
    judge = Judge()
    for lane in asked["lanes"]:
        judge.lane(lane, truth_of(lane["url"]))
    return {"violations": judge.violations, "counters": judge.counters}


def main() -> int:
    for line in sys.stdin:
        print(json.dumps(answer(json.loads(line))), flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
