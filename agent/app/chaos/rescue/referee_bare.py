"""The referee of a bare wallet's crises: what a repayment out of the collateral could have done, slot by slot, and what ours did.

Beforehand the best that the rule allows is played against the prices to come: what the wallet has first, then as much of the debt as restores
the target is bought with collateral, of the pools as they will stand once others have sold ahead of it, for no more than the rule lets it
cost. Where that leaves a slot below a health of one, nobody could have saved the loan. The block of a fall below one is nobody's fault.
"""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction
from typing import TYPE_CHECKING, Any

from agent.app.chaos.rescue.crises import pool_px_1e8
from agent.app.chaos.rescue.pools import sqrt_px_x96
from agent.app.chaos.rescue.referee_pools import Pool, least_taken
from chains.devnet.addresses import CHAINS
from contracts import flash_repay
from contracts.hashing import keccak

if TYPE_CHECKING:
    from agent.app.chaos.rescue.referee import Case, Judge

WETH, USDC = CHAINS[1].weth, CHAINS[1].usdc
FLASH = flash_repay.ADDRESS
REPAID = "0x" + keccak(b"Repaid(address,address,address,uint256,address,uint256)").hex()
FLASH_GAS, BID = 1_000_000, Fraction(42, 10)
"""A payment out of the collateral takes no more gas, and is bid for at no more than this many times the base fee: twelve blocks' rises."""
SPENT_GAS, PAID = 800_000, 2
"""What it takes as a rule, and what is paid for it, times the base fee."""
GRACE_S, PX_AGE_S = 3_600, 3_900
"""Nothing is sold so soon after a sequencer's return, nor at an older price."""
WHOLE_BELOW = Fraction(95, 100)
"""Below this health liquidators may close the whole debt (Aave V3's CLOSE_FACTOR_HF_THRESHOLD)."""
INTEREST = Fraction(2, 10_000)
DUST = Fraction(1, 10**6)
UNIT = Fraction(1, 10**6)
"""A unit of USDC."""


class Ways:
    """What of the collateral could have been sold in each slot of a crisis."""

    def __init__(self, judge: Judge, pools: list[Pool], crisis: dict[str, Any]) -> None:
        self.pools, self.slots = pools, crisis["slots"]
        self.most_cost = Fraction(judge.told["most_cost_usd"])
        self.top = Fraction(judge.top_1e8, 10**8)
        self.at = [
            Fraction(sqrt_px_x96(pool_px_1e8(s["px_1e8"], crisis["off_bps"], s["pushed_bps"])), 1 << 96)
            for s in self.slots
        ]
        self.pays = [not s["down"] and not s["stopped"] for s in self.slots]
        self.sells, waits = list[bool](), False
        for slot, pays in zip(self.slots, self.pays, strict=True):
            waits = slot["stopped"] or (waits and slot["gap_s"] < GRACE_S)
            self.sells.append(pays and not waits)

    def gas(self, number: int, units: int, times: Fraction | int = PAID) -> Fraction:
        return Fraction(units * int(self.slots[number]["base_gwei"]), 10**9) * times * self.top

    def taken(self, number: int, usd: Fraction) -> Fraction | None:
        """ETH for so many dollars of debt."""
        wei = least_taken(self.pools, [self.at[number]] * len(self.pools), int(usd * 10**6))
        return None if wei is None else wei / 10**18

    def lost(self, number: int, usd: Fraction) -> Fraction | None:
        eth = self.taken(number, usd)
        px = Fraction(self.slots[number]["px_1e8"], 10**8)
        return None if eth is None else max(eth * px - usd, Fraction(0))

    def most(self, number: int, debt: Fraction, collateral: Fraction) -> Fraction:
        """The most of the debt that may be bought: no more collateral than there is, no more lost than the rule allows."""
        room = self.most_cost - self.gas(number, FLASH_GAS, BID)

        def fine(usd: Fraction) -> bool:
            lost, eth = self.lost(number, usd), self.taken(number, usd)
            return lost is not None and eth is not None and lost <= room and eth <= collateral

        return edge(fine, debt)

    def least(self, number: int, most: Fraction, enough: Callable[[Fraction, Fraction], bool]) -> Fraction:
        """The least of `most` that is `enough` (dollars repaid, ETH taken), or `most` where none is."""

        def short(usd: Fraction) -> bool:
            eth = self.taken(number, usd)
            return eth is None or not enough(usd, eth)

        return most if short(most) else min(edge(short, most) + UNIT, most)


def edge(holds: Callable[[Fraction], bool], most: Fraction) -> Fraction:
    """Up to where it holds, to the millionth of a dollar: it holds below where it holds."""
    if most <= 0 or holds(most):
        return max(most, Fraction(0))
    low, high = 0, int(most * 10**6) + 1
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if holds(Fraction(middle, 10**6)) else (low, middle)
    return Fraction(low, 10**6)


class Plan:
    """The best that the rule allows, played to the end. `feasible`, and what it loses: `cost`; each payment waits for its trigger."""

    def __init__(self, case: Case, ways: Ways, trigger: Fraction, target: Fraction) -> None:
        self.cost, self.feasible, self.needed = Fraction(0), True, False
        self._threshold, self._prices = case.threshold, case.prices
        c, d, usdc = case.collateral, case.debt * (1 + INTEREST), case.usdc
        alone = [self._health(n, c, d) for n in range(len(case.prices))]
        self.needed, self.lowest = min(alone) < 1, min(alone)
        for number, slot in enumerate(ways.slots):
            before = self._health(number, c, d)
            if before < 1 and not slot["cliff"]:
                self.feasible = False
            if before < trigger and ways.pays[number]:
                # What is owed is x = (H·D − C·p·T)/H too much for a health of H.
                paid = min(usdc, d - c * case.prices[number] * self._threshold / target)
                sold, taken = Fraction(0), Fraction(0)
                if ways.sells[number] and self._health(number, c, d - paid) < target:
                    sold, taken = self._sold(ways, number, c, d - paid, target)
                self.cost += ways.gas(number, SPENT_GAS * ((paid > 0) + (sold > 0)))
                self.cost += (ways.lost(number, sold) or 0) if sold else 0
                c, d, usdc = c - taken, d - paid - sold, usdc - paid
            if self._health(number, c, d) < 1:
                self.feasible = False

    def _health(self, number: int, c: Fraction, d: Fraction) -> Fraction:
        return c * self._prices[number] * self._threshold / d if d > 0 else Fraction(10**6)

    def _sold(
        self, ways: Ways, number: int, c: Fraction, d: Fraction, target: Fraction
    ) -> tuple[Fraction, Fraction]:
        """(dollars repaid, ETH taken): what restores the target, or the most where nothing does; nothing where that makes it worse."""
        most = ways.most(number, d, c)
        sold = ways.least(number, most, lambda usd, eth: self._health(number, c - eth, d - usd) >= target)
        taken = ways.taken(number, sold) if sold else None
        if taken is None or self._health(number, c - taken, d - sold) <= self._health(number, c, d):
            return Fraction(0), Fraction(0)
        return sold, taken


def knowing(case: Case, ways: Ways, plan: Plan, trigger: Fraction) -> Fraction:
    """What one who knows all would lose: nothing where the loan stands by itself; else the cheapest single payment that lasts to the end, at
    the first moment it was due or at any later one, or the whole plan where no single one does."""
    if not plan.needed:
        return Fraction(0)
    found, d0 = [plan.cost], case.debt * (1 + INTEREST)
    for number, slot in enumerate(ways.slots):
        now = case.collateral * case.prices[number] * case.threshold / d0
        if now < trigger and ways.pays[number]:
            later = case.prices[number:]

            def lasts(usd: Fraction, eth: Fraction, later: list[Fraction] = later) -> bool:
                c, d = case.collateral - eth, d0 - min(case.usdc, d0) - usd
                return all(c * px * case.threshold >= d for px in later)

            paid = ways.gas(number, SPENT_GAS) if case.usdc else Fraction(0)
            if lasts(Fraction(0), Fraction(0)):
                found.append(paid)
            elif ways.sells[number]:
                most = ways.most(number, d0, case.collateral)
                sold = ways.least(number, most, lasts)
                eth = ways.taken(number, sold) if sold else None
                if eth is not None and lasts(sold, eth):
                    found.append(paid + ways.gas(number, SPENT_GAS) + (ways.lost(number, sold) or 0))
        if now < 1 and not slot["cliff"]:
            break
        if now < 1 and ways.pays[number]:
            break
    return min(found)


class Flashed:
    """What FlashRepay did for the Safe, by its own events: (block, debt repaid, collateral taken) in base units."""

    def __init__(self, judge: Judge, case: Case, ways: Ways, last: int) -> None:
        self.judge, self.case, self.ways, self.last = judge, case, ways, last
        safe = "0x" + judge.told["safe"][2:].lower().rjust(64, "0")
        logs = self._logs(FLASH, [REPAID, safe])
        self.moves = [(int(log["blockNumber"], 16), *_words(log, 1, 3)) for log in logs]
        blocks = range(case.first, last + 1)
        rounds = [judge.call(judge.told["feed"], "chainlink_aggregator", "latestRoundData", (), b)[0] for b in blocks]  # fmt: skip
        starts = iter([b for b, old, new in zip(blocks[1:], rounds, rounds[1:], strict=False) if old != new])
        self.begins = [None if s["stopped"] else next(starts, None) for s in ways.slots]

    def _logs(self, address: str, topics: list[str]) -> list[dict[str, Any]]:
        asked = {"address": address, "fromBlock": hex(self.case.first + 1), "toBlock": hex(self.last), "topics": topics}  # fmt: skip
        found: list[dict[str, Any]] = self.judge.rpc("eth_getLogs", asked)
        return found

    def excused(self) -> set[int]:
        """The blocks of a slot that began with a fall below one, but for its last."""
        found = set[int]()
        for number, slot in enumerate(self.ways.slots):
            begin = self.begins[number]
            if slot["cliff"] and begin is not None:
                following = next((b for b in self.begins[number + 1 :] if b is not None), self.last + 1)
                found |= set(range(begin, following - 1))
        return found

    def px(self, block: int) -> Fraction:
        answer = self.judge.call(
            self.judge.told["feed"], "chainlink_aggregator", "latestRoundData", (), block
        )
        return Fraction(int(answer[1]), 10**8)

    def lost_usd(self) -> Fraction:
        return sum(
            (
                Fraction(taken, 10**18) * self.px(block) - Fraction(repaid, 10**6)
                for block, repaid, taken in self.moves
            ),
            Fraction(0),
        )

    def outside(self, factors: dict[int, int]) -> list[str]:
        """Whatever a sale of collateral did that the rule does not allow."""
        judge, said = self.judge, list[str]()
        for block, repaid, taken in self.moves:
            what = f"{repaid} USDC repaid with {taken} WETH of collateral in block {block}"
            feed = judge.call(judge.told["feed"], "chainlink_aggregator", "latestRoundData", (), block - 1)
            begun = max((b for b in self.begins if b is not None and b < block), default=self.case.first)
            states = [[p.sqrt_px(b) for p in self.ways.pools] for b in range(begun, block)]
            quotes = [least_taken(self.ways.pools, state, repaid) for state in states]
            worst = max((q for q in quotes if q is not None), default=Fraction(0))
            least = quotes[-1]
            if taken > worst * (10_000 + judge.told["slippage_bps"]) / 10_000 + 2:
                said.append(f"{what}: the pools asked for {int(worst)}")
            if least is not None and taken < least * (1 - DUST):
                said.append(f"{what}: no pool sold it for so little, {int(least)} is the least")
            lost = Fraction(taken, 10**18) * self.px(block) - Fraction(repaid, 10**6)
            if lost > self.ways.most_cost:
                said.append(f"{what} lost {float(lost):.2f} USD: more than the rule allows")
            if Fraction(repaid, 10**6) > judge.told["most_usd"]:
                said.append(f"{what}: more than the rule allows")
            if factors[block - 1] >= judge.trigger * 10**18:
                said.append(f"{what} at health {factors[block - 1]}: nothing was due")
            if factors[block] <= factors[block - 1] or factors[block] < 10**18:
                said.append(f"{what} left a health of {factors[block]}, {factors[block - 1]} before")
            if factors[block] > judge.target * 10**18 * Fraction(101, 100):
                said.append(f"{what} left {factors[block]}: more was sold than restores the target")
            time = int(judge.rpc("eth_getBlockByNumber", hex(block - 1), False)["timestamp"], 16)
            up = judge.call(judge.told["uptime"], "chainlink_aggregator", "latestRoundData", (), block - 1)
            if up[1] or time - up[2] < GRACE_S or time - feed[3] > PX_AGE_S:
                said.append(f"{what}: no price was to be believed then")
            held = [judge.of(judge.told["a_token"], judge.told["safe"], b) for b in (block - 1, block)]
            if abs(held[0] - held[1] - taken) > held[0] * DUST + 2:
                said.append(f"{what}: {held[0] - held[1]} of the collateral is gone")
        for token in (WETH, USDC, judge.told["a_token"]):
            if judge.of(token, FLASH, self.last) or judge.allowed(token, FLASH, self.last):
                said.append(f"FlashRepay is left with {token}, or with leave to take it")
        return said


def _words(log: dict[str, Any], *at: int) -> list[int]:
    data = bytes.fromhex(log["data"][2:])
    return [int.from_bytes(data[32 * n : 32 * n + 32], "big") for n in at]
