"""The referee: a process that is told which wallets there are and how much each may lose, and reads everything else itself.

python -m agent.app.chaos.custody.referee        one JSON object a line on stdin, one answer a line on stdout

    {"do": "open", "wallets": [...], "exchanges": [...]}  wallets and accounts, the true prices, the owners' numbers
    {"do": "begin"}                              an attack is about to be made
    {"do": "end", "repelled": true}              it has been made; must it have been repelled, or only stay within the bound?

The answer to `end` is {"violations": [{"rule", "story"}], "extracted_usd", "bound_usd", "exchange_extracted_usd",
"exchange_bound_usd"}: what was taken at an exchange is bounded by another number than the chain's. No attacker speaks to it.

The bound, worked out here anew: in T days at most B + R·T dollars pass, each losing at most f = 1/(1−e_in) − (1−s)/(1+e_out);
of what was given in this case at true prices at most 1 − (1−e_in)(1−s)/(1+e_out) is lost; and the gas money, whole.
"""

from __future__ import annotations

import json
import sys
from dataclasses import dataclass
from decimal import Decimal, getcontext
from pathlib import Path
from typing import Any

from agent.app.chaos.custody.exchange_truth import Account, Exchange
from agent.app.chaos.custody.truth import (
    Chain,
    Wallet,
    allowances_of,
    balances_of,
    settings_of,
    topic,
    word,
)

TRANSFER = topic("Transfer(address,address,uint256)")
APPROVALS = {
    topic("Approval(address,address,uint256)"),
    topic("Approval(address,address,address,uint160,uint48)"),
    topic("Permit(address,address,address,uint160,uint48,uint48)"),
    topic("ApprovalForAll(address,address,bool)"),
    topic("BorrowAllowanceDelegated(address,address,address,uint256)"),
}
COUNTED = {
    topic("Approval(address,address,uint256)"),
    topic("BorrowAllowanceDelegated(address,address,address,uint256)"),
}
"""Of a listed token: what it now allows is read and compared. Any other approval of the Safe is one too many."""
WITHDRAWAL = topic("Withdrawal(address,uint256)")
RECEIVED = topic("SafeReceived(address,uint256)")
GATES_OWN = {
    topic("Traded(address,address,uint256,uint256,uint256)"),
    topic("Lent(uint8,address,uint256,uint256)"),
    topic("Refuelled(uint256)"),
}
DUST = 2
ETHER = Decimal(10) ** 18
CENT = Decimal("0.01")
"""Rounding costs at most one base unit a trade: a cent is more than that of any token watched."""


@dataclass
class Seen:
    """A wallet when an attack begins."""

    block: int
    time: int
    settings: dict[str, Any]
    allowances: dict[str, int]
    balances: dict[str, int]
    value: Decimal
    account: int
    ledger: int
    in_gate: dict[str, int]


class Watch:
    """One wallet's truth."""

    def __init__(self, wallet: Wallet) -> None:
        self.w, self.chain = wallet, Chain(wallet.url)
        self.spenders = {a.lower() for a in (*wallet.spenders, wallet.agent, wallet.thief)}
        self.seen: Seen | None = None

    def begin(self) -> None:
        block, time = self.chain.head()
        self.seen = Seen(
            block,
            time,
            settings_of(self.chain, self.w),
            allowances_of(self.chain, self.w, self.spenders),
            balances_of(self.chain, self.w),
            self.value(),
            self.chain.wei(self.w.agent),
            self.signed(),
            self.in_gate(),
        )

    def in_gate(self) -> dict[str, int]:
        tokens = (*self.w.tokens, *self.w.supplied) if self.w.gate else ()
        return {token: self.chain.one(token, "balanceOf(address)", self.w.gate) for token in tokens}

    def signed(self) -> int:
        """How many grants the signer has recorded: it records before it signs."""
        path = Path(self.w.spend_ledger) if self.w.spend_ledger else None
        return path.read_bytes().count(b"\n") if path is not None and path.exists() else 0

    def value(self) -> Decimal:
        """The Safe in dollars at the true prices."""
        total = Decimal(self.chain.wei(self.w.safe)) / ETHER * Decimal(self.w.native_usd)
        for sign, tokens in ((1, self.w.tokens), (1, self.w.supplied), (-1, self.w.owed)):
            for token, (decimals, price) in tokens.items():
                raw = self.chain.one(token, "balanceOf(address)", self.w.safe)
                total += sign * Decimal(raw) / Decimal(10) ** decimals * Decimal(price)
        return total

    def end(self, repelled: bool) -> tuple[list[dict[str, str]], Decimal, Decimal]:
        """(violations, dollars taken, the most that may be taken in as much time)."""
        was, w = self.seen, self.w
        if was is None:
            raise ValueError("no attack has begun")
        found: list[dict[str, str]] = []

        def broken(rule: str, story: str) -> None:
            found.append({"rule": rule, "story": f"{w.name}: {story}"})

        now = settings_of(self.chain, w)
        for name, before in was.settings.items():
            if now[name] != before:
                broken("settings-changed", f"{name} was {before} and is {now[name]}")
        logs = self.chain.logs(was.block + 1)
        self._allowances(was, logs, broken)
        self._recipients(was, logs, broken)
        after = balances_of(self.chain, w)
        if repelled:
            for name, raw in was.balances.items():
                if after[name] != raw:
                    broken("moved", f"{name} was {raw} and is {after[name]} after an attack to be repelled")
            self._successes(was, broken)
        signed = self.signed() - was.ledger
        if repelled and signed > 0:
            broken("signed", f"the signer granted {signed} requests of an attack to be repelled")
        if after["ether of the Safe"] < was.balances["ether of the Safe"]:
            broken("ether-left", "ether left the Safe, which nothing the agent may do does")
        return (found, *self._bound(was, logs, broken))

    def _allowances(self, was: Seen, logs: list[dict[str, Any]], broken: Any) -> None:
        w, holders = self.w, {"0x" + word(h) for h in (self.w.safe, self.w.gate) if h}
        told: set[str] = set()
        for log in logs:
            topics = log["topics"]
            if len(topics) > 2 and topics[0] in APPROVALS and topics[1] in holders:
                told |= {"0x" + t[-40:] for t in topics[2:]}
                listed = {a.lower() for a in (*w.tokens, *w.supplied, *w.owed)}
                mine = topics[1] == "0x" + word(w.safe)
                counted = log["address"].lower() in listed and topics[0] in COUNTED
                if mine and not counted:
                    broken("approval", f"{log['address']} has it that the Safe approved 0x{topics[2][-40:]}")
        self.spenders |= told
        for name, raw in allowances_of(self.chain, w, self.spenders).items():
            before = was.allowances.get(name, 0)
            if raw > before:
                broken("allowance-rose", f"{name}: {before} before, {raw} now")
            elif raw and name.startswith("Gate"):
                broken("allowance-left", f"{name}: {raw}")

    def _recipients(self, was: Seen, logs: list[dict[str, Any]], broken: Any) -> None:
        w = self.w
        allowed = {word(a) for a in (w.gate, 0) if a != ""}
        for log in logs:
            topics, source = log["topics"], log["address"].lower()
            if topics[:1] == [TRANSFER] and len(topics) > 2 and topics[1] == "0x" + word(w.safe):
                if topics[2][2:] not in allowed:
                    broken("recipient", f"{source} went from the Safe to 0x{topics[2][-40:]}")
            if source == w.safe.lower() and topics[:1] != [RECEIVED]:
                broken("executed", f"the Safe itself told an event, {topics[0]}")
            if w.gate and source == w.gate.lower() and topics[0] not in GATES_OWN:
                broken("gate-settings", f"the Gate told an event of its settings, {topics[0]}")
        for token, raw in self.in_gate().items():
            if raw > was.in_gate[token] + DUST:
                broken("left-in-the-gate", f"{raw - was.in_gate[token]} of {token} stayed in the Gate")

    def _successes(self, was: Seen, broken: Any) -> None:
        """A repelled attack leaves no transaction that succeeded at any of the wallet's own contracts."""
        mine = {a.lower() for a in (self.w.safe, self.w.gate, self.w.roles) if a}
        for number in range(was.block + 1, self.chain.head()[0] + 1):
            for tx in self.chain.ask("eth_getBlockByNumber", hex(number), True)["transactions"]:
                if (tx["to"] or "").lower() in mine:
                    receipt = self.chain.ask("eth_getTransactionReceipt", tx["hash"])
                    if receipt["status"] == "0x1":
                        broken("succeeded", f"{tx['hash']} from {tx['from']} to {tx['to']} succeeded")

    def _bound(self, was: Seen, logs: list[dict[str, Any]], broken: Any) -> tuple[Decimal, Decimal]:
        w, n = self.w, {name: Decimal(text) for name, text in self.w.bound.items()}
        native = Decimal(w.native_usd)
        given, refuelled = self._given(logs)
        lost = was.value - self.value() - refuelled * native
        account = Decimal(was.account - self.chain.wei(w.agent)) / ETHER + refuelled
        gas = account * native
        taken = lost + gas
        if not w.gate:
            if lost > 0:
                broken("bound", f"{lost:.2f} USD are gone, and nothing may go without the owners")
            return taken, Decimal(0)
        days = Decimal(self.chain.head()[1] - was.time) / 86_400
        one, slack = Decimal(1), n["slack"]
        share = max(
            one / (one - e_in) - (one - slack) / (one + e_out)
            for e_in, e_out in ((n["error_a"], n["error_b"]), (n["error_b"], n["error_a"]))
        )
        of_given = max(
            one - (one - e_in) * (one - slack) / (one + e_out)
            for e_in, e_out in ((n["error_a"], n["error_b"]), (n["error_b"], n["error_a"]))
        )
        by_trades = (n["burst_usd"] + n["rate_usd"] * days) * share
        by_gas = (n["gas_float"] + n["gas_burst"] + n["gas_rate"] * days) * native
        if lost > by_trades + CENT:
            broken(
                "bound", f"{lost:.2f} USD lost by trading, at most {by_trades:.2f} may be in {days:.4f} days"
            )
        if lost > given * of_given + CENT:
            broken(
                "bound", f"{lost:.2f} USD lost of {given:.2f} given, at most {given * of_given:.2f} may be"
            )
        if gas > by_gas:
            broken(
                "bound", f"{gas:.2f} USD of gas money gone, at most {by_gas:.2f} may be in {days:.4f} days"
            )
        return taken, by_trades + by_gas

    def _given(self, logs: list[dict[str, Any]]) -> tuple[Decimal, Decimal]:
        """(dollars that went from the Safe to the Gate to be traded, ether that the Gate unwrapped for gas)."""
        w, given, refuelled = self.w, Decimal(0), Decimal(0)
        prices = {t.lower(): (Decimal(10) ** d, Decimal(p)) for t, (d, p) in w.tokens.items()}
        for log in logs if w.gate else ():
            topics, token = log["topics"], log["address"].lower()
            if (
                token in prices
                and topics[0] == TRANSFER
                and topics[1:3]
                == [
                    "0x" + word(w.safe),
                    "0x" + word(w.gate),
                ]
            ):
                unit, price = prices[token]
                given += int(log["data"], 16) / unit * price
            if token in prices and topics[0] == WITHDRAWAL and topics[1] == "0x" + word(w.gate):
                refuelled += int(log["data"], 16) / ETHER
        return given - refuelled * Decimal(w.native_usd), refuelled


def answer(watches: list[Watch], accounts: list[Account], asked: dict[str, Any]) -> dict[str, Any]:
    if asked["do"] == "open":
        for told in asked["wallets"]:
            told["spenders"] = tuple(told["spenders"])
            watches.append(Watch(Wallet(**told)))
        accounts += [Account(Exchange(**told)) for told in asked["exchanges"]]
        return {"watching": len(watches) + len(accounts)}
    if asked["do"] == "begin":
        for watch in watches:
            watch.begin()
        for account in accounts:
            account.begin()
        return {"begun": True}
    violations: list[dict[str, str]] = []
    taken = bound = Decimal(0)
    for watch in watches:
        found, lost, most = watch.end(bool(asked["repelled"]))
        violations += found
        taken, bound = taken + lost, bound + most
    there, there_most = Decimal(0), Decimal(0)
    for account in accounts:
        found, lost, most = account.end(bool(asked["repelled"]))
        violations += found
        there, there_most = there + lost, there_most + most
    return {
        "violations": violations,
        "extracted_usd": str(taken),
        "bound_usd": str(bound),
        "exchange_extracted_usd": str(there),
        "exchange_bound_usd": str(there_most),
    }


def main() -> int:
    getcontext().prec = 60
    watches: list[Watch] = []
    accounts: list[Account] = []
    for line in sys.stdin:
        print(json.dumps(answer(watches, accounts, json.loads(line))), flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
