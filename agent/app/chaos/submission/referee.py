"""The referee: a process that is told which orders there were and what their journals say, and reads everything else itself.

python -m agent.app.chaos.submission.referee      one JSON object a line on stdin, one answer a line on stdout

    {"do": "open", "admin": URL}                  the relay's admin port: what arrived where, what was asked, who won
    {"do": "judge", "chain": ID, "cases": [...], "lanes": [...], "reorgs": [[head, depth]...]}

A case is {"case", "safe", "sender", "builders", "qty_raw", "begun", "quiet_from", "tight", "foreign", "stopped", "status", "fills": [[qty_in, qty_out]]}; a lane
{"sender", "gas_wei"} as its journal has them; `foreign` names what another program sent with the sender's key. The answer: {"violations": [{"case", "rule", "story"}], "counters": {...}}.
"""

from __future__ import annotations

import json
import sys
from collections import defaultdict
from dataclasses import dataclass
from typing import Any

from chains import profiles
from chains.devnet.addresses import CHAINS
from chains.devnet.jsonrpc import Rpc
from chains.rawtx import decode_raw

TRANSFER = "0xddf252ad1be2c89b69c2b068fc378daa952ba7f163c4a11628f55a4df523b3ef"
DEEP = 6
"""Blocks around a reorganisation in which what had been done may be tried again."""
STALL = 2
"""Blocks after the fault's end within which a nonce is used, of those that the plan's builders could have put it into."""


@dataclass
class Landed:
    """A transaction from a sender of ours, or to a Safe of ours by whomever, on the canonical chain."""

    hash: str
    block: int
    status: int
    sender: str
    nonce: int
    gas_wei: int
    moved: list[tuple[str, str, str, int]]
    """(token, from, to, amount) of its Transfer logs."""


class Truth:
    """Everything the relay's records and the chain say, read once."""

    def __init__(self, rpc: Rpc, ours: set[str], first: int) -> None:
        told = rpc("relay_truth")
        self.arrivals: list[dict[str, Any]] = told["arrivals"]
        self.reads = [(str(r["method"]), json.dumps(r["params"])) for r in told["reads"]]
        self.reads_dropped = int(told["reads_dropped"])
        self.winner = {w["block_hash"]: w["winner"] for w in told["winners"]}
        self.head = int(rpc("eth_blockNumber"), 16)
        self.blocks: dict[int, tuple[str, int]] = {}
        self.landed: list[Landed] = []
        mine = {a.lower() for a in ours}
        for number in range(first, self.head + 1):
            block = rpc("eth_getBlockByNumber", hex(number), True)
            self.blocks[number] = (block["hash"], int(block["baseFeePerGas"], 16))
            for tx in block["transactions"]:
                if tx["from"].lower() in mine or (tx["to"] or "").lower() in mine:
                    self.landed.append(_landed(rpc, tx))
        self.by_sender: dict[str, list[dict[str, Any]]] = defaultdict(list)
        for arrival in self.arrivals:
            self.by_sender[str(arrival["sender"]).lower()].append(arrival)


def _landed(rpc: Rpc, tx: dict[str, Any]) -> Landed:
    receipt = rpc("eth_getTransactionReceipt", tx["hash"])
    moved = [
        (
            log["address"].lower(),
            "0x" + log["topics"][1][-40:],
            "0x" + log["topics"][2][-40:],
            int(log["data"], 16),
        )
        for log in receipt["logs"]
        if log["topics"][:1] == [TRANSFER] and len(log["topics"]) == 3
    ]
    cost = int(receipt["gasUsed"], 16) * int(receipt["effectiveGasPrice"], 16)
    return Landed(
        tx["hash"], int(receipt["blockNumber"], 16), int(receipt["status"], 16), tx["from"].lower(),
        int(tx["nonce"], 16), cost, moved,
    )  # fmt: skip


class Judge:
    """`rollup`: the one road is a sequencer's, which includes what reverts. A minimum out of reach is paid for there, and so is an
    order whose nonce somebody else, or a reorganisation, had moved: those are counted, and are nobody's mistake."""

    def __init__(self, truth: Truth, reorgs: list[list[int]], chain_id: int = 1) -> None:
        self.truth, self.reorgs, self.rollup = truth, reorgs, chain_id != 1
        # Blocks after the first that a call is handed to builders for. Where all of them passed it by, its nonce is held until the
        # deadline in the calldata is over: on mainnet that is the same 180 seconds, here the clock of a slow machine.
        self.lasts = profiles.load(chain_id).max_blocks
        self.weth, self.usdc = CHAINS[chain_id].weth.lower(), CHAINS[chain_id].usdc.lower()
        self.excused: dict[str, set[str]] = defaultdict(set)
        self.theirs: set[str] = set()
        self.violations: list[dict[str, Any]] = []
        self.counters = dict.fromkeys(
            ("submissions", "executed", "public_leaks", "double_executions", "paid_reverts", "stalls_over_2_blocks",
             "included_within_2", "included_within_5", "included_blocks_max", "journals_wrong", "by_another", "reverts_unprotected"), 0
        )  # fmt: skip

    def broken(self, case: int, rule: str, counter: str, story: str) -> None:
        self.violations.append({"case": case, "rule": rule, "story": story})
        self.counters[counter] += 1

    def case(self, told: dict[str, Any]) -> None:
        self.counters["submissions"] += 1
        number, safe, sender = told["case"], told["safe"].lower(), told["sender"].lower()
        amount = int(told["qty_raw"])
        word = f"{amount:064x}"
        about = [a for a in self.truth.by_sender[sender] if word in a["raw"]]
        self._leaks(told, number, word, about)
        self.theirs |= set(told["foreign"])
        if told["tight"] or told["foreign"]:
            self.excused[sender] |= {a["hash"] for a in about}
        executed = [
            one for one in self.truth.landed
            if any(m[0] == self.weth and m[1] == safe and m[3] == amount for m in one.moved)
        ]  # fmt: skip
        if len(executed) > 1:
            self.broken(
                number, "double-execution", "double_executions", f"{[e.hash for e in executed]} all executed"
            )
        self._journal(told, number, safe, executed)
        for one in executed:
            self.counters["executed"] += 1
            self.counters["by_another"] += one.sender != sender
            if one.sender == sender:
                self._speed(told, number, one)

    def _leaks(self, told: dict[str, Any], number: int, word: str, about: list[dict[str, Any]]) -> None:
        allowed = set(told["builders"])
        for arrival in about:
            if (arrival["builder"] or arrival["road"]) not in allowed:
                where = arrival["builder"] or arrival["road"]
                self.broken(number, "public-leak", "public_leaks", f"{arrival['hash']} was sent to {where}")
        for method, asked in self.truth.reads:
            if word in asked:
                story = f"{method} at the public endpoint told it"
                self.broken(number, "public-leak", "public_leaks", story)

    def _journal(self, told: dict[str, Any], number: int, safe: str, executed: list[Landed]) -> None:
        def wrong(story: str) -> None:
            self.broken(number, "journal-differs", "journals_wrong", story)

        if told["status"] is None:
            return wrong(f"the order was never closed: {told['stopped'] or 'its desk ended'}")
        filled = told["status"] == "FILLED"
        if filled != bool(executed) and not (told["status"] == "CANCELED" and told["fills"] and executed):
            return wrong(f"the journal says {told['status']}, the chain has {[e.hash for e in executed]}")
        if len(told["fills"]) != len(executed):
            return wrong(f"{len(told['fills'])} fills are told of, the chain has {len(executed)}")
        for fill, one in zip(told["fills"], executed, strict=True):
            out = sum(m[3] for m in one.moved if m[0] == self.usdc and m[2] == safe)
            if [int(fill[0]), int(fill[1])] != [int(told["qty_raw"]), out]:
                wrong(f"the fill told is {fill}, the chain moved {told['qty_raw']} for {out}")

    def _speed(self, told: dict[str, Any], number: int, one: Landed) -> None:
        """How long it waited, and whether longer than the builders that had it needed."""
        forms = [a for a in self.truth.by_sender[one.sender] if a["nonce"] == one.nonce]
        if not forms:
            return self.broken(number, "public-leak", "public_leaks", f"{one.hash} came from nowhere")
        first = min(a["head"] for a in forms)
        waited = one.block - first
        self.counters["included_within_2"] += waited <= 2
        self.counters["included_within_5"] += waited <= 5
        self.counters["included_blocks_max"] = max(self.counters["included_blocks_max"], waited)
        if told["tight"]:
            return  # the price may have been out of its reach
        shaken = [head for head, _ in self.reorgs if head <= one.block]
        quiet = max([int(told["begun"]), int(told["quiet_from"]), *shaken])
        handed: dict[bytes, int] = {}
        for a in forms:
            call = decode_raw(bytes.fromhex(a["raw"][2:])).data
            handed[call] = min(handed.get(call, a["head"]), a["head"])
        missed = []
        for block in range(quiet + 1, one.block):
            block_hash, base_fee = self.truth.blocks[block]
            bids = [decode_raw(bytes.fromhex(a["raw"][2:])).max_fee_wei for a in forms if a["head"] < block]
            over = [block >= first + self.lasts for first in handed.values() if first < block]
            waits = not self.rollup and bool(over) and all(over)
            outbid = waits or (bool(bids) and max(bids) < base_fee)
            if self.truth.winner.get(block_hash) in told["builders"] and not outbid:
                missed.append(block)
        if len(missed) >= STALL:
            heads = sorted({a["head"] for a in forms})
            story = f"nonce {one.nonce} was used in block {one.block}, quiet since {quiet}; blocks {missed} could have held it; told at {heads}"
            self.broken(number, "nonce-stall", "stalls_over_2_blocks", story)

    def lane(self, told: dict[str, Any]) -> None:
        """What no case alone shows: reverts that were paid for, gas that is not booked."""
        sender = told["sender"].lower()
        mine = [one for one in self.truth.landed if one.sender == sender and one.hash not in self.theirs]
        for one in mine:
            if one.status != 1 and self._unprotected(one):
                self.counters["reverts_unprotected"] += 1
            elif one.status != 1:
                self.broken(told["last_case"], "paid-revert", "paid_reverts", f"{one.hash} reverted and paid")
        spent, booked = sum(one.gas_wei for one in mine), int(told["gas_wei"])
        if spent != booked:
            story = f"{sender} paid {spent} wei for gas and its journal says {booked}"
            self.broken(told["last_case"], "journal-differs", "journals_wrong", story)
        if self.truth.reads_dropped:
            self.broken(
                told["last_case"], "blind", "public_leaks", "reads were dropped before they were read"
            )

    def _unprotected(self, one: Landed) -> bool:
        shaken = any(head - DEEP <= one.block <= head + DEEP for head, _ in self.reorgs)
        return self.rollup and (shaken or one.hash in self.excused[one.sender])


def answer(state: dict[str, Any], asked: dict[str, Any]) -> dict[str, Any]:
    if asked["do"] == "open":
        state["rpc"] = Rpc(asked["admin"], timeout_s=60)
        return {"watching": True}
    first = min(int(case["begun"]) for case in asked["cases"])
    ours = {lane["sender"] for lane in asked["lanes"]} | {case["safe"] for case in asked["cases"]}
    truth = Truth(state["rpc"], ours, first)
    judge = Judge(truth, asked["reorgs"], int(asked["chain"]))
    for case in asked["cases"]:
        judge.case(case)
    for lane in asked["lanes"]:
        judge.lane(lane)
    judge.counters["blocks"] = len(judge.truth.blocks)
    return {"violations": judge.violations, "counters": judge.counters}


def main() -> int:
    state: dict[str, Any] = {}
    for line in sys.stdin:
        print(json.dumps(answer(state, json.loads(line))), flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
