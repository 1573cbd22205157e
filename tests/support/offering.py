"""The agent's home with an order book: orders under its own key, and what a referee reads of them."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from agent_home import AgentHome, granted
from cow_book import ask, faults
from home_fixture import Home, Ran

from agent.app.scoping import creation_code, gate_creation
from agent.journal.records import PartRecord
from chains.devnet.addresses import CHAINS
from chains.devnet.cow_orders import SETTLEMENT
from contracts import gate, offers
from contracts.offers import RELAYER

LIVE = "--for USDC --by agent --protection intent --live --yes --max-loss 100"
SELL, BUY = f"trade sell 1 ETH {LIVE}", f"trade buy 0.5 ETH {LIVE}"
WETH, USDC = CHAINS[1].weth, CHAINS[1].usdc


@dataclass
class Offering:
    """The agent's home with an order book; `holder` is the Gate's Offers contract."""

    home: AgentHome
    book: str
    holder: str

    def trade(self, words: str) -> tuple[Ran, dict[str, Any]]:
        done = self.home.run(f"{words} --json", patience_s=240)
        return done, done.json

    def last(self) -> PartRecord:
        return [r for r in self.home.book().parts.values() if r.is_offer][-1]

    def around(self, record: PartRecord) -> list[str]:
        """What was done around an order, in our own words."""
        return [r.what for r in self.home.book().parts.values() if r.part.child == record.part.cl_ord_id]

    def filled(self, record: PartRecord) -> int:
        assert record.authorized is not None
        uid = bytes.fromhex(record.authorized.request_digest[2:])
        return int(self.home.read(SETTLEMENT, "gpv2_settlement", "filledAmount", uid)[0])

    def allowed(self, who: str) -> int:
        """What the vault relayer may take of its WETH."""
        return int(self.home.read(WETH, "erc20", "allowance", who, RELAYER)[0])

    def balances(self) -> tuple[int, int]:
        return self.home.balance("WETH"), self.home.balance("USDC")

    def cancel(self) -> None:
        (order,) = self.home.run("orders --json").json["orders"]
        assert self.home.run(f"cancel {order['cl_ord_id']}", patience_s=120).status in (0, 4)

    def sound(self) -> None:
        """Nothing lies apart, nothing is approved, nothing is open, and the books are the chain's."""
        for token in (WETH, USDC):
            for who in (self.holder, self.home.safe, self.home.road["gate"]):
                assert self.home.read(token, "erc20", "allowance", who, RELAYER) == (0,)
            assert self.home.read(token, "erc20", "balanceOf", self.holder) == (0,)
        assert not self.home.book().open_parts()
        told = self.home.run("reconcile")
        assert told.status == 0, told.out

    def solved_once(self) -> None:
        """One settlement, after which the solver rests."""
        faults(self.book, hold=False)
        assert ask(f"{self.book}/admin/solve", {})[0] == 200
        faults(self.book, hold=True)
        ask(f"{self.book}/admin/solve", {})  # behind whatever the solver was at

    def terms(self, **fields: str) -> None:
        """The order book's, in the agent's settings."""
        added = "".join(f"{name} = {value}\n" for name, value in fields.items())
        text = self.home.settings_path.read_text()
        self.home.settings_path.write_text(
            text.replace("[chains.order_book]\n", f"[chains.order_book]\n{added}")
        )


@contextmanager
def offering(home: Home) -> Iterator[Offering]:
    """The owners grant the agent's key a scope with orders for others to settle."""
    with granted(home, tried=False, intents=True) as made:
        book = re.search(r'\[chains.order_book\][^\[]*?\nurl = "([^"]+)"', made.settings_path.read_text())
        assert book is not None
        at = gate.address(gate_creation(), made.safe)
        taken = made.run("reconcile --adopt --at-once")  # owners used the account, and another journal
        assert taken.status == 0, taken.out + taken.err
        yield Offering(made, book[1], offers.address(creation_code("Offers"), at))
