"""The ground of the crises in which money is on another chain: genuine SpokePools, and a relayer that looks when the crisis has him look."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field

from agent.app.chaos.rescue.crises import NEVER, TOP_1E8, Crisis, Slot
from agent.app.chaos.rescue.world import (
    BLOCK_S,
    BRIEF_S,
    COLLATERAL_RAW,
    DOWN_S,
    ETHER,
    SLOT_S,
    TRIGGER,
    World,
    e18,
)
from agent.app.readonly import read_book
from agent.journal.crossing_fold import open_crossings
from chains.bridges.across import SPOKE_POOLS
from chains.bridges.flight import Stage
from chains.devnet.across_relayer import Relayer
from chains.devnet.addresses import CHAINS
from chains.devnet.artifacts import artifact
from chains.devnet.deploy.across import NAMES
from chains.devnet.funding import give_token, set_feed_price, token_balance
from chains.devnet.jsonrpc import Rpc
from chains.errors import Halt

THERE = 8453
FEE_BPS, LIFE_S = 10, 600
BRIDGE = {"fee_bps": FEE_BPS, "usual_s": 60, "life_s": LIFE_S, "most_usd": "10000", "in_flight_usd": "20000"}
"""A deposit is late only after more slots than a crisis has."""
ABOVE = "1.03"
"""Below this health nothing is sent: `rescues.bridge_above`."""
SETTLED_S = 300


@dataclass
class BridgedWorld(World):
    """`there_url` answers cheat methods of the other chain. `mark` has the referee look at both."""

    there_url: str = ""
    mark: Callable[[], object] = lambda: None
    there: Rpc = field(init=False)
    relayer: Relayer = field(init=False)
    sent_at: list[int] = field(default_factory=list)
    slot_no: int = 0
    counted: int = 0
    filled: int = 0
    died: bool = False

    def __post_init__(self) -> None:
        super().__post_init__()
        self.there = Rpc(self.there_url, timeout_s=60)
        self.relayer = Relayer({1: self.url, THERE: self.there_url})
        self.relayer.step()

    def end(self) -> None:
        super().end()
        self.there.close()

    def lay(self, crisis: Crisis) -> None:
        super().lay(crisis)
        assert crisis.abroad is not None
        at, rpc, sender = CHAINS[THERE], self.there, self.settings.wallet.sender
        assert sender is not None
        owed = self.read(self.pool, "aave_v3_pool", "getUserAccountData", self.safe)[1] // 100
        for token, raw in (
            (at.usdc, owed * crisis.abroad.usdc_bps // 10_000),
            (at.weth, COLLATERAL_RAW * crisis.abroad.weth_bps // 10_000),
        ):
            give_token(self.there_url, token, self.safe, raw - token_balance(rpc, token, self.safe))
        rpc("anvil_setBalance", sender.address, hex(5 * ETHER))
        self._in_step()
        self.relayer.step()
        self.relayer.waiting, self.relayer.found = [], []
        self.sent_at, self.slot_no, self.filled, self.counted = [], 0, 0, self._deposits()

    def _in_step(self) -> None:
        """Deadlines are told by one chain's clock and held against the other's."""
        self._goes_on(self._time(self.rpc) - self._time(self.there))

    def _goes_on(self, seconds: int) -> None:
        """The other chain's clock."""
        if seconds > 0:
            self.there("evm_increaseTime", seconds)
            self.there("evm_mine")

    @staticmethod
    def _time(rpc: Rpc) -> int:
        return int(rpc("eth_getBlockByNumber", "latest", False)["timestamp"], 16)

    def _deposits(self) -> int:
        asked = artifact(NAMES[THERE]).call("numberOfDeposits")
        call = {"to": SPOKE_POOLS[THERE], "data": "0x" + asked.hex()}
        return int(self.there("eth_call", call, "latest"), 16)

    @property
    def _flying(self) -> int:
        """Deposits of this crisis that nobody has paid out."""
        return len(self.sent_at) - self.filled

    def _counts(self) -> None:
        """Each new deposit is of this slot."""
        now = self._deposits()
        self.sent_at += [self.slot_no] * (now - self.counted)
        self.counted = now

    def steal(self) -> None:
        """For a control: a dollar of what is left on the other chain is gone."""
        give_token(self.there_url, CHAINS[THERE].usdc, self.safe, -(10**6))

    # ------------------------------------------------------------------ a crisis

    def begun(self, *, needed: bool) -> None:
        super().begun(needed=needed)
        self.died = False

    def befall(self, slot: Slot, hopeless: bool) -> None:
        """The price, what the daemon does about it, the relayer where it is his turn, what it then does, and the block. It dies once."""
        rpc = self.rpc
        self._in_step()
        rpc("relay_fault")
        if slot.down:
            rpc("relay_fault", {"road": "private", "kind": "down", "count": 9_999})
        self._fee(slot.base_gwei)
        self.told_before = len(self._alerts())
        set_feed_price(self.url, "ETH", slot.px_1e8)
        dead = self._acts(slot)
        self._counts()
        self.mark()
        turn = (
            self.delay != NEVER
            and self._flying > 0
            and self.slot_no - self.sent_at[self.filled] >= self.delay
        )
        if turn:
            self._relayed()
        if turn and slot.death == "paid" and not self.died:
            dead = self.died = self.dies()
        if dead:
            self.begin()
            self._lapses(slot)
        if turn or dead:
            self._wait(DOWN_S if slot.down else SLOT_S)
        self._counts()
        self._fee(slot.base_gwei)
        rpc("relay_mine", 1)
        self.mark()
        self.slot_no += 1

    @property
    def delay(self) -> int:
        assert self.crisis is not None and self.crisis.abroad is not None
        return self.crisis.abroad.delay

    def _relayed(self) -> None:
        """The relayer pays out what waits for him."""
        self.relayer.step()
        self.filled = len(self.sent_at)

    def _acts(self, slot: Slot) -> bool:
        """Until the daemon has sent something, or said that it cannot, or for as long as a slot lasts. Whether it is dead now."""
        if self.daemon is None or self.health() >= e18(TRIGGER):
            time.sleep(BRIEF_S)
            return False
        flew, paid, reborn = self._flying > 0, 0, False
        until = time.monotonic() + (2 * DOWN_S if flew or self._told_impossible else SLOT_S)
        while time.monotonic() < until:
            stages, sent = self._stages(), self._deposits() > self.counted
            if not self.died and not flew and self._due(slot.death, stages, sent):
                self.died = self.dies()
                if slot.death == "flying":
                    return True
                self.begin()
                until, reborn = time.monotonic() + 2 * SLOT_S, True
            elif sent and (slot.death != "flying" or self.died):
                return False
            elif self.health() >= e18(TRIGGER):
                return False
            elif not sent and (flew or not stages):
                # A crossing is begun beside the payment of what is here.
                paid += bool(self.rpc("relay_truth")["private_pending"]) or self._gave_up()
                if paid > 8:
                    return False
            if reborn and not sent and Stage.SENT.value in stages:
                # What was signed for nobody, and is in no record, has to lapse: slots of the other chain go by.
                self._goes_on(2)
            time.sleep(0.05)
        return False

    def _lapses(self, slot: Slot) -> None:
        """What the dead daemon signed of a payment from here and handed to nobody holds its nonce until its deadline: slots go by."""
        until = time.monotonic() + SLOT_S
        while time.monotonic() < until and not self.rpc("relay_truth")["private_pending"]:
            book = read_book(self.settings)
            if book is None or not any(
                r.authorized and r.part.place == "eip155:1" for r in book.open_parts()
            ):
                return
            self._later(BLOCK_S)
            self._fee(slot.base_gwei)
            self.rpc("relay_mine", 1)
            time.sleep(BRIEF_S)

    @property
    def _told_impossible(self) -> bool:
        """In any slot of this crisis: it is told once while it lasts."""
        return '"RESCUE_IMPOSSIBLE"' in "\n".join(self._alerts()[self.told_first :])

    @staticmethod
    def _due(death: str, stages: list[str], sent: bool) -> bool:
        if death == "unsent":
            return bool(stages)
        return sent if death == "unjournalled" else death == "flying" and Stage.DEPOSITED.value in stages

    def _stages(self) -> list[str]:
        """Of the crossings that the journal says are not over."""
        book = read_book(self.settings)
        return [] if book is None else [c.stage for c in open_crossings(book)]

    def settle(self, hopeless: bool) -> None:
        """Blocks until nothing of the daemon's is open on either chain: what was still to be paid out is, what nobody takes comes back."""
        never, back = self.delay == NEVER, set[int]()
        self.rpc("relay_fault")
        until = time.monotonic() + SETTLED_S
        while time.monotonic() < until:
            self._counts()
            if self._flying and not never:
                self._relayed()
            elif self._flying:
                self._comes_back(back)
            self.rpc("relay_mine", 1)
            self.mark()
            time.sleep(0.3)
            well = hopeless or self.health() >= e18(TRIGGER) or self._told_impossible
            if not self._open() and not self._stages() and well:
                return
        if self._open() or self._stages():
            raise Halt("CHAOS_WORLD", f"what the daemon signed did not come to an end: {self._stages()}", "")

    def _comes_back(self, back: set[int]) -> None:
        """Past its deadline by the clock of a final block, then the bridge's settlement pays it back. `back`: what it has paid back."""
        if not back:
            # The price is back by then: what comes back is not to be sent again.
            set_feed_price(self.url, "ETH", TOP_1E8)
            self._later(LIFE_S + 60)
            self.rpc("relay_mine", 4)
            self.relayer.step()  # too late for him
        if Stage.DEPOSITED.value in self._stages():
            return
        for deposit in self.relayer.found:
            if deposit.deposit_id not in back:
                self.relayer.give_back(deposit)
                back.add(deposit.deposit_id)
