"""The referee of crises whose money is on another chain: what the bridge could have brought in time, and what became of every deposit.

Beforehand the best that the rule allows is played against the prices to come: what the wallet has here first; then all of one token it has
there is sent as soon as that is due and allowed, and is there so many slots later as a relayer takes, less the fee; the next token after it.
Afterwards both chains' own logs and balances are compared, to the base unit.
"""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from itertools import permutations
from typing import TYPE_CHECKING, Any

from agent.app.chaos.rescue.crises import NEVER
from chains.bridges.across import ABI, SPOKE_POOLS
from chains.devnet.addresses import CHAINS
from chains.devnet.jsonrpc import Rpc
from contracts.codec import decode_result, encode, topic

if TYPE_CHECKING:
    from agent.app.chaos.rescue.referee import Case, Judge

INTEREST = Fraction(2, 10_000)
LATELY = 3
"""A deposit was due by what one of so many looks before it saw."""
MORE = Fraction(2, 100)
"""A deposit is no more than that above what is missing, beside the bridge's fee: prices go on while it is under way."""


@dataclass(frozen=True)
class Sent:
    """One deposit of the Safe's: amounts in base units, `usdc` or else ether."""

    id: int
    usdc: bool
    in_raw: int
    out_raw: int


@dataclass(frozen=True)
class Mark:
    """Both chains at one moment: deposits and fills since the beginning, the health, and what was missing of each."""

    sent: int
    paid: int
    health: Fraction
    missing: tuple[Fraction, Fraction]


class Brought:
    """One case; made once its ground is laid."""

    def __init__(self, judge: Judge, case: Case, there: Rpc) -> None:
        self.judge, self.case, self.there = judge, case, there
        self.chain = int(judge.told["there"])
        self.first = int(there("eth_blockNumber"), 16)
        at = CHAINS[self.chain]
        self.tokens = (at.usdc, at.weth)
        self.before = self._held()
        self.wei = self._wei()
        self.marks: list[Mark] = []
        self.delay = int(case.crisis["abroad"]["delay"])
        kept = 1 - Fraction(int(judge.told["fee_bps"]), 10_000)
        self.could = (self.before[0] * kept / 10**6, self.before[1] * kept / 10**18)
        self.feasible = any(self._stands(order) for order in permutations((0, 1)))

    def _stands(self, order: tuple[int, ...]) -> bool:
        """Whether the loan is never liquidatable where the tokens are sent in that order."""
        case, judge, left = self.case, self.judge, list(order)
        above = Fraction(judge.told["above"])
        c, d, here = case.collateral, case.debt * (1 + INTEREST), [case.usdc, case.weth]
        arrives: dict[int, int] = {}
        for number, (px, slot) in enumerate(zip(case.prices, case.crisis["slots"], strict=True)):
            worth = px * case.threshold
            due = c * worth < judge.trigger * d
            if c * worth < d:
                return False
            if due and not slot["down"]:
                c, d = self._paid(c, d, worth, here)
            sends = due and c * worth < judge.target * d and c * worth >= above * d
            if sends and not arrives and left and self.delay != NEVER:
                arrives[number + self.delay] = left.pop(0)
            if (token := arrives.pop(number, None)) is not None:
                here[token] += self.could[token]
                if c * worth < judge.trigger * d and not slot["down"]:
                    c, d = self._paid(c, d, worth, here)
        return True

    def _paid(
        self, c: Fraction, d: Fraction, worth: Fraction, here: list[Fraction]
    ) -> tuple[Fraction, Fraction]:
        """As much of it as restores the target, the debt first."""
        repaid = max(min(here[0], d - c * worth / self.judge.target), Fraction(0))
        d -= repaid
        added = max(min(here[1], self.judge.target * d / worth - c), Fraction(0))
        here[0], here[1] = here[0] - repaid, here[1] - added
        return c + added, d

    # ------------------------------------------------------------------ what was done

    def mark(self) -> None:
        """One look at both chains. What is missing is read off the account as the pool has it now."""
        data, judge = self.judge.account("latest"), self.judge
        c, d, t = Fraction(data[0]), Fraction(data[1]), Fraction(data[3], 10_000)
        usd = max(d - c * t / judge.target, Fraction(0)) / 10**8
        told = judge.call(judge.told["feed"], "chainlink_aggregator", "latestRoundData", (), "latest")
        eth = max(judge.target * d / t - c, Fraction(0)) / int(told[1])
        self.marks.append(Mark(len(self.sent()), len(self.fills()), Fraction(data[5], 10**18), (usd, eth)))

    def sent(self) -> list[Sent]:
        logs = self._logs(self.there, self.chain, "V3FundsDeposited", self.first)
        safe = self.judge.told["safe"][2:].lower()
        return [
            Sent(int(log["topics"][2], 16), _address(words[0]) == self.tokens[0].lower(), words[2], words[3])
            for log in logs
            if log["topics"][3][-40:].lower() == safe
            for words in (_words(log),)
        ]

    def fills(self) -> dict[int, list[int]]:
        """What was paid out to the Safe here, by the deposit's number."""
        found: dict[int, list[int]] = {}
        safe = self.judge.told["safe"].lower()
        for log in self._logs(self.judge.rpc, 1, "FilledV3Relay", self.case.first):
            words = _words(log)
            if int(log["topics"][1], 16) == self.chain and _address(words[9]) == safe:
                found.setdefault(int(log["topics"][2], 16), []).append(words[3])
        return found

    @staticmethod
    def _logs(rpc: Rpc, chain: int, event: str, after: int) -> list[dict[str, Any]]:
        head = int(rpc("eth_blockNumber"), 16)
        asked = {"address": SPOKE_POOLS[chain], "topics": ["0x" + topic(ABI, event).hex()], "fromBlock": hex(after + 1), "toBlock": hex(head)}  # fmt: skip
        found: list[dict[str, Any]] = rpc("eth_getLogs", asked) if head > after else []
        return found

    def arrived(self) -> tuple[int, int]:
        """USDC and WETH that were paid out here, in base units."""
        paid, total = self.fills(), [0, 0]
        for one in self.sent():
            total[0 if one.usdc else 1] += sum(paid.get(one.id, []))
        return total[0], total[1]

    def lost_usd(self) -> Fraction:
        """The bridge's fees, and the gas there, at the prices of the beginning."""
        px, paid = Fraction(self.judge.top_1e8, 10**8), self.fills()
        lost = Fraction(self.wei - self._wei(), 10**18) * px
        for one in self.sent():
            if one.id in paid:
                fee = one.in_raw - one.out_raw
                lost += Fraction(fee, 10**6) if one.usdc else Fraction(fee, 10**18) * px
        return lost

    def outside(self) -> list[str]:
        """Whatever left and neither came nor came back; what was sent twice, without cause, or more than was missing."""
        sent, paid, said = self.sent(), self.fills(), list[str]()
        for token, label in enumerate(("USDC", "WETH")):
            mine = [one for one in sent if one.usdc == (token == 0)]
            gone = self.before[token] - self._held()[token]
            due = sum(one.in_raw for one in mine if one.id in paid)
            if gone != due:
                said.append(f"{gone} {label} are gone from the other chain, {due} of them were paid out here")
        for one in sent:
            told = f"the deposit {one.id} of {one.in_raw} {'USDC' if one.usdc else 'WETH'}"
            fee = -(-one.in_raw * int(self.judge.told["fee_bps"]) // 10_000)
            if one.in_raw - one.out_raw != fee:
                said.append(f"{told} gives {one.out_raw}: the fee is {fee}")
            if paid.get(one.id, [one.out_raw]) != [one.out_raw]:
                said.append(f"{told} was paid out as {paid[one.id]}")
        seen = 0
        for number, mark in enumerate(self.marks):
            if mark.sent - mark.paid > 1:
                said.append(f"a deposit was begun while another was on its way ({mark.sent} sent, {mark.paid} paid out)")  # fmt: skip
            for one in sent[seen : mark.sent]:
                said += self._due(one, self.marks[max(0, number - LATELY + 1) : number + 1])
            seen = max(seen, mark.sent)
        return said

    def _due(self, one: Sent, marks: list[Mark]) -> list[str]:
        said, told = list[str](), f"the deposit {one.id} of {one.in_raw}"
        above, trigger = Fraction(self.judge.told["above"]), self.judge.trigger
        if not any(above <= mark.health < trigger for mark in marks):
            seen = ", ".join(f"{float(mark.health):.4f}" for mark in marks)
            said.append(f"{told} was not due, or too late: health {seen}")
        unit = 10**6 if one.usdc else 10**18
        most = max(mark.missing[0 if one.usdc else 1] for mark in marks)
        if Fraction(one.in_raw, unit) > most * (1 + MORE):
            said.append(f"{told}: {float(most):.6f} were missing")
        return said

    def silent(self, codes: set[str | None]) -> list[str]:
        """What came back and was not told."""
        back = [one for one in self.sent() if one.id not in self.fills()]
        return ["what no relayer took was not told"] if back and "BRIDGE_EXPIRED" not in codes else []

    def count(self, counters: dict[str, int]) -> None:
        sent, paid = self.sent(), self.fills()
        counters["bridged"], counters["crossings"] = 1, len(sent)
        counters["came_back"] = sum(one.id not in paid for one in sent)

    def _held(self) -> tuple[int, int]:
        usdc, weth = (self._balance(token) for token in self.tokens)
        return usdc, weth

    def _balance(self, token: str) -> int:
        call = {"to": token, "data": "0x" + encode("erc20", "balanceOf", (self.judge.told["safe"],)).hex()}
        answer = bytes.fromhex(self.there("eth_call", call, "latest")[2:])
        return int(decode_result("erc20", "balanceOf", answer)[0])

    def _wei(self) -> int:
        return int(self.there("eth_getBalance", self.judge.told["sender"], "latest"), 16)


def _words(log: dict[str, Any]) -> list[int]:
    data = bytes.fromhex(log["data"][2:])
    return [int.from_bytes(data[n : n + 32], "big") for n in range(0, len(data) - 31, 32)]


def _address(word: int) -> str:
    return "0x" + (word & (2**160 - 1)).to_bytes(20, "big").hex()
