"""The referee: a process that knows what will befall a loan, decides beforehand whether it could be saved, and reads what was done off the chain.

python -m agent.app.chaos.rescue.referee      one JSON object a line on stdin, one answer a line on stdout

    {"do": "open", "url", "safe", "sender", "alerts", "trigger", "warn", "target", "most_usd", "uptime", and where the wallet
     is bare "pools", "a_token", "feed", "most_cost_usd", "slippage_bps"; where money is elsewhere "there", "there_url", "above", "fee_bps"}
    {"do": "mark"}                        → {}: both chains are looked at; only where money is elsewhere
    {"do": "begin", "crisis": {...}}      → {"feasible", "needed"}: the ground is laid, nothing has befallen it yet
    {"do": "judge"}                       → {"violations": [{"case", "rule", "story"}], "counters": {...}}

Its arithmetic is its own: fractions of the account's figures. Dollars are at the price of the beginning.
"""

from __future__ import annotations

import json
import sys
from fractions import Fraction
from pathlib import Path
from typing import Any

from agent.app.chaos.rescue.referee_bare import FLASH, WHOLE_BELOW, Flashed, Plan, Ways, knowing
from agent.app.chaos.rescue.referee_bridge import Brought
from agent.app.chaos.rescue.referee_pools import Pool
from chains.devnet.addresses import CHAINS
from chains.devnet.jsonrpc import Rpc
from chains.profiles.ethereum import CHAIN
from contracts.codec import decode_result, encode
from contracts.hashing import keccak

WETH, USDC = CHAINS[1].weth, CHAINS[1].usdc
EVENTS = {
    "Supply": "Supply(address,address,address,uint256,uint16)",
    "Repay": "Repay(address,address,address,uint256,bool)",
    "Borrow": "Borrow(address,address,address,uint256,uint8,uint256,uint16)",
    "Withdraw": "Withdraw(address,address,address,uint256)",
}
TOPICS = {"0x" + keccak(text.encode()).hex(): name for name, text in EVENTS.items()}
INTEREST = Fraction(2, 10_000)
"""No loan here grows by more while a crisis lasts."""
BONUS, CLOSED = Fraction(5, 100), Fraction(1, 2)
"""What a liquidation costs its owner: the bonus, on half of the debt."""
COUNTERS = (
    "crises", "survived", "infeasible", "outside_policy", "fallen", "payments", "warned", "silent", "lost_cents",
    "lost_all_knowing_cents", "lost_repaying_cents", "lost_doing_nothing_cents", "bare", "cliffs", "by_flash", "bridged", "crossings", "came_back",
)  # fmt: skip


class Case:
    """One crisis: the ground as it was read, and what could have been done about it."""

    def __init__(self, judge: Judge, crisis: dict[str, Any]) -> None:
        self.judge, self.crisis = judge, crisis
        self.first = judge.head()
        data = judge.account("latest")
        self.threshold = Fraction(data[3], 10_000)
        px = Fraction(judge.top_1e8)
        self.collateral, self.debt = Fraction(data[0]) / px, Fraction(data[1], 10**8)  # ETH, dollars
        self.usdc = Fraction(judge.balance(USDC), 10**6)
        self.weth = Fraction(judge.balance(WETH), 10**18)
        self.wei = int(judge.rpc("eth_getBalance", judge.told["sender"], "latest"), 16)
        self.alerts = judge.alert_lines()
        self.prices = [Fraction(slot["px_1e8"], 10**8) for slot in crisis["slots"]]
        self.ways: Ways | None = None
        self.brought: Brought | None = None
        if crisis["bare"]:
            self.ways = Ways(judge, judge.pools, crisis)
            self.plan = Plan(self, self.ways, judge.trigger, judge.target)
            self.feasible, self.needed = self.plan.feasible, self.plan.needed
            return
        if crisis["abroad"] is not None:
            assert judge.there is not None
            self.brought = Brought(judge, self, judge.there)
            self.feasible = self.brought.feasible
            self.needed = not self.stands(Fraction(0), Fraction(0), 0)
            return
        self.feasible = self.stands(self.usdc, self.weth, 0)
        self.needed = not self.stands(Fraction(0), Fraction(0), 0)

    def stands(self, usdc: Fraction, weth: Fraction, since: int) -> bool:
        """Whether the loan is never liquidatable from that slot on, with that much paid in."""
        debt = (self.debt - min(usdc, self.debt)) * (1 + INTEREST)
        return all((self.collateral + weth) * p * self.threshold >= debt for p in self.prices[since:])

    def first_below(self, threshold: Fraction) -> int | None:
        for number, p in enumerate(self.prices):
            if self.collateral * p * self.threshold < threshold * self.debt:
                return number
        return None

    def liquidation(self) -> Fraction:
        whole = self.ways is not None and self.plan.lowest < WHOLE_BELOW
        return BONUS * (1 if whole else CLOSED) * self.debt


class Judge:
    def __init__(self, told: dict[str, Any]) -> None:
        self.told, self.rpc = told, Rpc(told["url"], timeout_s=60)
        assert CHAIN.aave is not None
        self.pool: str = CHAIN.aave.pool
        self.top_1e8 = int(told["top_1e8"])
        self.trigger, self.warn, self.target = (Fraction(told[n]) for n in ("trigger", "warn", "target"))
        self.case: Case | None = None
        self.there = Rpc(told["there_url"], timeout_s=60) if "there_url" in told else None
        self.pools = [Pool(self.call, address) for address in told.get("pools", ())]

    def head(self) -> int:
        return int(self.rpc("eth_blockNumber"), 16)

    def call(
        self, to: str, contract: str, function: str, args: tuple[Any, ...], block: int | str
    ) -> tuple[Any, ...]:
        call = {"to": to, "data": "0x" + encode(contract, function, args).hex()}
        at = block if isinstance(block, str) else hex(block)
        return decode_result(contract, function, bytes.fromhex(self.rpc("eth_call", call, at)[2:]))

    def account(self, block: int | str) -> tuple[Any, ...]:
        return self.call(self.pool, "aave_v3_pool", "getUserAccountData", (self.told["safe"],), block)

    def balance(self, token: str, block: int | str = "latest") -> int:
        return self.of(token, self.told["safe"], block)

    def of(self, token: str, who: str, block: int | str) -> int:
        return int(self.call(token, "erc20", "balanceOf", (who,), block)[0])

    def allowed(self, token: str, spender: str, block: int | str) -> int:
        """What the Safe lets it take."""
        return int(self.call(token, "erc20", "allowance", (self.told["safe"], spender), block)[0])

    def alert_lines(self) -> list[str]:
        path = Path(self.told["alerts"])
        return path.read_text().splitlines() if path.exists() else []

    def begin(self, crisis: dict[str, Any]) -> dict[str, Any]:
        self.case = Case(self, crisis)
        return {"feasible": self.case.feasible, "needed": self.case.needed}

    def judge(self) -> dict[str, Any]:
        case = self.case
        assert case is not None
        number, counters = int(case.crisis["case"]), dict.fromkeys(COUNTERS, 0)
        violations: list[dict[str, Any]] = []
        last = self.head()
        factors = {b: int(self.account(b)[5]) for b in range(case.first, last + 1)}
        flashed = Flashed(self, case, case.ways, last) if case.ways is not None else None
        excused = flashed.excused() if flashed is not None else set[int]()
        fallen = [b for b, f in factors.items() if f < 10**18 and b not in excused]
        counters["crises"] = 1
        counters["infeasible"] = int(not case.feasible)
        counters["survived"] = int(case.feasible and not fallen)
        if case.feasible and fallen:
            counters["fallen"] = 1
            story = f"liquidatable in block {fallen[0]} (health {factors[fallen[0]]}), though it could have been saved"
            violations.append({"case": number, "rule": "fallen", "story": story})
        moves = self._moves(case.first + 1, last)
        outside = self._outside(case, last, moves, factors)
        if flashed is not None:
            outside += flashed.outside(factors)
            counters["bare"], counters["by_flash"] = 1, len(flashed.moves)
            counters["cliffs"] = int(any(s["cliff"] for s in case.crisis["slots"]))
        if case.brought is not None:
            case.brought.mark()
            outside += case.brought.outside()
            case.brought.count(counters)
        for story in outside:
            counters["outside_policy"] += 1
            violations.append({"case": number, "rule": "outside-policy", "story": story})
        counters["payments"] = len(moves) + counters["by_flash"]
        for story in self._silent(case, bool(fallen), counters):
            counters["silent"] += 1
            violations.append({"case": number, "rule": "silent", "story": story})
        self._losses(case, bool(fallen), counters, self._lost_elsewhere(case, flashed))
        return {"violations": violations, "counters": counters}

    def _lost_elsewhere(self, case: Case, flashed: Flashed | None) -> Fraction:
        """In collateral sold for less than its worth, at the bridge and on the other chain."""
        lost = flashed.lost_usd() if flashed is not None else Fraction(0)
        return lost + (case.brought.lost_usd() if case.brought is not None else 0)

    def _moves(self, first: int, last: int) -> list[tuple[str, int, str, int]]:
        """(what, block, token, amount) of everything the pool did for the Safe."""
        found = []
        for log in self.rpc(
            "eth_getLogs", {"address": self.pool, "fromBlock": hex(first), "toBlock": hex(last)}
        ):
            name = TOPICS.get(log["topics"][0])
            topics = "".join(log["topics"]).lower()
            if name is None or self.told["safe"][2:].lower() not in topics:
                continue
            if FLASH[2:].lower() in topics:  # told by its own events
                continue
            # Supply and Borrow have an address before the amount.
            at = 32 if name in ("Supply", "Borrow") else 0
            raw = int.from_bytes(bytes.fromhex(log["data"][2:])[at : at + 32], "big")
            found.append((name, int(log["blockNumber"], 16), "0x" + log["topics"][1][-40:], raw))
        return found

    def _outside(
        self, case: Case, last: int, moves: list[tuple[str, int, str, int]], factors: dict[int, int]
    ) -> list[str]:
        """Whatever the policy does not allow: the wrong verb, without cause, too much, or money gone elsewhere."""
        said = [f"{name} in block {block}" for name, block, _, _ in moves if name in ("Borrow", "Withdraw")]
        came = case.brought.arrived() if case.brought is not None else (0, 0)
        for token, label, arrived in ((USDC, "USDC", came[0]), (WETH, "WETH", came[1])):
            gone = self.balance(token, case.first) - self.balance(token, last) + arrived
            paid = sum(raw for name, _, t, raw in moves if t == token.lower() and name in ("Supply", "Repay"))
            if gone != paid:
                said.append(f"{gone} {label} left the Safe and {paid} went into its loan")
        for name, block, token, raw in moves:
            if self.call(self.told["uptime"], "chainlink_aggregator", "latestRoundData", (), block - 1)[1]:
                said.append(f"{name} in block {block}, though the sequencer was said to be down")
            if factors[block - 1] >= self.trigger * 10**18:
                said.append(f"{name} in block {block} at health {factors[block - 1]}: nothing was due")
            unit, px = (
                (10**6, Fraction(1)) if token == USDC.lower() else (10**18, Fraction(self.top_1e8, 10**8))
            )
            if Fraction(raw, unit) * px > self.told["most_usd"]:
                said.append(f"{name} in block {block} of {raw}: more than the rule allows")
            if factors[block] > self.target * 10**18 * Fraction(101, 100):
                said.append(
                    f"{name} in block {block} left {factors[block]}: more was paid than restores the target"
                )
        return said

    def _silent(self, case: Case, fallen: bool, counters: dict[str, int]) -> list[str]:
        """Alerts that had to come and did not."""
        codes = {json.loads(line).get("code") for line in self.alert_lines()[len(case.alerts) :]}
        said = []
        if case.first_below(self.warn) is not None:
            counters["warned"] = int("RESCUE_NEAR" in codes)
            said += [] if "RESCUE_NEAR" in codes else ["nobody was warned"]
        if any(slot["gap_s"] for slot in case.crisis["slots"]) and "ORACLE_STALE" not in codes:
            said.append("a stale price was passed over")
        if any(slot["stopped"] for slot in case.crisis["slots"]) and "SEQUENCER_DOWN" not in codes:
            said.append("a sequencer that was down was passed over")
        if case.brought is not None:
            said += case.brought.silent(codes)
        if not case.feasible and fallen and not codes & {"RESCUE_IMPOSSIBLE", "RESCUE_SHORT"}:
            said.append("what could not be saved was not told")
        return said

    def _losses(self, case: Case, fallen: bool, counters: dict[str, int], sold_for_less: Fraction) -> None:
        """Ours by what the sender's account lost, and what collateral was sold for less than its worth in its block; the others' by the
        gas of one payment as ours cost it, at the fee of their slot."""
        px = Fraction(self.top_1e8, 10**8)
        left = int(self.rpc("eth_getBalance", self.told["sender"], "latest"), 16)
        paid = Fraction(case.wei - left, 10**18) * px
        gas = Fraction(500_000 * 2 * 10**9, 10**18) * px
        fees = [int(slot["base_gwei"]) for slot in case.crisis["slots"]]
        lost = paid + sold_for_less + (case.liquidation() if fallen else 0)
        best = Fraction(0) if not case.needed else (gas * fees[0] if case.feasible else case.liquidation())
        if case.ways is not None and case.feasible:
            best = knowing(case, case.ways, case.plan, self.trigger)
        nothing = case.liquidation() if case.needed else Fraction(0)
        repaying, at = Fraction(0), case.first_below(self.trigger)
        if at is not None:
            stands = case.stands(case.usdc, Fraction(0), at)
            repaying = gas * fees[at] if case.usdc else Fraction(0)
            repaying += 0 if stands else case.liquidation()
        for name, value in (
            ("lost_cents", lost), ("lost_all_knowing_cents", best), ("lost_repaying_cents", repaying),
            ("lost_doing_nothing_cents", nothing),
        ):  # fmt: skip
            counters[name] = round(value * 100)


def main() -> int:
    judge: Judge | None = None
    for line in sys.stdin:
        asked = json.loads(line)
        answer: dict[str, Any] = {"watching": True}
        if asked["do"] == "open":
            judge = Judge(asked)
        elif asked["do"] == "mark":
            if judge is not None and judge.case is not None and judge.case.brought is not None:
                judge.case.brought.mark()
            answer = {}
        elif judge is not None:
            answer = judge.begin(asked["crisis"]) if asked["do"] == "begin" else judge.judge()
        print(json.dumps(answer), flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
