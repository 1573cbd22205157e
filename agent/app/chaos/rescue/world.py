"""The ground of the crises: a Safe's loan set up anew for each, prices and fees as drawn, and a real daemon that lives and dies.

Everything here uses cheat methods of the devnet, which refuse to work against anything else.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.request import Request, urlopen

from agent.app import template
from agent.app.chaos.rescue.crises import CALM_GWEI, TOP_1E8, Crisis, Slot, pool_px_1e8
from agent.app.chaos.rescue.pools import Pools
from agent.app.readonly import read_book
from agent.app.settings import load
from agent.app.settings_tree import Settings
from chains.devnet.addresses import CHAINS
from chains.devnet.artifacts import artifact
from chains.devnet.funding import give_token, set_feed_price, token_balance
from chains.devnet.jsonrpc import Rpc
from chains.devnet.nodes import send_as_operator
from chains.errors import Halt
from chains.profiles.ethereum import CHAIN
from contracts.codec import decode_result, encode

ROOT = Path(__file__).resolve().parents[4]
GWEI, ETHER = 10**9, 10**18
COLLATERAL_RAW = 2 * ETHER
COMES_UP_S = 240
"""As long as a daemon is waited for on a machine that has much else to do."""
SLOT_S, BRIEF_S, DOWN_S = 12.0, 0.4, 1.5
"""As long as a slot of the real chain the daemon is waited for where it should act; elsewhere it need only have had a look."""
TRIGGER, TARGET, WARN, MOST_USD, MOST_COST_USD = "1.15", "1.35", "1.25", 50_000, 1_000
UPTIME = "0x" + "5e90e" * 8
"""Where the devnet's chain gets an uptime feed for these crises: the mock's own code, copied from a price feed."""
RULE: dict[str, Any] = {
    "name": "crisis", "chain": "ethereum", "warn": WARN, "trigger": TRIGGER, "target": TARGET, "most_usd": str(MOST_USD),
    "per_day_usd": "1000000000", "most_cost_usd": str(MOST_COST_USD), "swap": False,
    "sequencer": UPTIME,
}  # fmt: skip
BARE_COST_USD = 800
BARE_RULE = RULE | {"swap": True, "most_cost_usd": str(BARE_COST_USD)}
"""What a bare wallet's loan is repaid out of its collateral by."""
LONG_UP_S = 7_200
"""So long a sequencer has been up when a crisis begins: for an hour after its return no price is believed."""
SLIPPAGE_BPS, BLOCK_S, TRIED_AGAIN_S = 50, 12, 45.0
MISTAKEN: dict[str, dict[str, Any]] = {
    "late": {"trigger": "1.01"},
    "greedy": {"target": "2"},
    "blind": {"sequencer": "0x" + "b11d" * 10, "max_price_age_s": 10**6},
    "unarmed": {},
    "spendthrift": {"most_cost_usd": "1000000", "max_slippage_bps": 5_000},
}
"""What a bad rescuer's rule says instead, for controls: it begins too late, pays too much, heeds no doubt, has not opted in to selling
collateral, sells it at any price."""
Say = Callable[[str], None]


@dataclass
class World:
    """`url` is the relay's admin port of chain 1; `settings_path` has the rule, and journal and alerts of its own."""

    settings_path: Path
    url: str
    folder: Path
    say: Say
    daemon: subprocess.Popen[bytes] | None = None
    sigkills: int = 0
    lives: int = 0
    told_before: int = 0
    dark: bool = False
    bare: bool = False
    crisis: Crisis | None = None
    needed: bool = True
    told_first: int = 0
    pools: Pools | None = None
    settings: Settings = field(init=False)
    rpc: Rpc = field(init=False)

    def __post_init__(self) -> None:
        self.settings = load(self.settings_path)
        self.rpc = Rpc(self.url, timeout_s=60)
        if self.bare:
            self.pools = Pools(self.url, self.rpc, self.pool_addresses)

    @property
    def pool_addresses(self) -> tuple[str, ...]:
        """Uniswap's V3 pools that the settings name on chain 1."""
        (chain,) = (c for c in self.settings.chains if c.chain_id == 1)
        return tuple(p.address for p in chain.pools if p.kind == "uniswap_v3")

    @property
    def safe(self) -> str:
        return str(self.settings.wallet.address)

    @property
    def pool(self) -> str:
        assert CHAIN.aave is not None
        return CHAIN.aave.pool

    # ------------------------------------------------------------------ the daemon

    @property
    def _command(self) -> list[str]:
        return [sys.executable, "-m", "agent", "--settings", str(self.settings_path)]

    def take_over(self) -> None:
        """The owner's own first step with a new journal: without it a daemon that never signed starts only where every place answers."""
        if self.settings.journal.path.exists():
            return
        argv = [
            *self._command,
            "reconcile",
            "--adopt",
            "--at-once",
        ]
        done = subprocess.run(
            argv, cwd=ROOT, capture_output=True, text=True, env=dict(os.environ), check=False
        )
        if done.returncode != 0:
            raise Halt("CHAOS_WORLD", f"the account could not be taken over: {done.stderr[-600:]}", "")

    def begin(self) -> None:
        """Starts the daemon. Raises Halt CHAOS_WORLD where it does not come up."""
        self.lives += 1
        err = self.folder / f"daemon-{self.lives}.err"
        argv = [
            *self._command,
            "run",
            "--live",
            "--yes",
            "--max-loss",
            "20000",
        ]
        with err.open("wb") as out:
            self.daemon = subprocess.Popen(
                argv, cwd=ROOT, stdout=out, stderr=out, stdin=subprocess.DEVNULL, env=dict(os.environ)
            )
        until = time.monotonic() + COMES_UP_S
        while "running:" not in (told := err.read_text()):
            if self.daemon.poll() is not None or time.monotonic() > until:
                raise Halt("CHAOS_WORLD", f"the daemon did not come up: {told[-600:]}", "")
            time.sleep(0.05)

    def lives_on(self) -> None:
        """Raises Halt CHAOS_WORLD where the daemon ended by itself, a full disk's say: no loan would be saved after that."""
        if self.daemon is not None and self.daemon.poll() is not None:
            told = (self.folder / f"daemon-{self.lives}.err").read_text()[-600:]
            raise Halt("CHAOS_WORLD", f"the daemon ended by itself: {told}", "")

    def kill(self) -> None:
        """SIGKILL, and a new life at once; nothing where there is none."""
        if self.dies():
            self.begin()

    def dies(self) -> bool:
        """SIGKILL. False where there is no daemon."""
        if self.daemon is None:
            return False
        self.daemon.send_signal(signal.SIGKILL)
        self.daemon.wait(20)
        self.sigkills += 1
        return True

    def end(self) -> None:
        """The daemon is ended, the chain goes on by itself at calm fees."""
        if self.daemon is not None and self.daemon.poll() is None:
            self.daemon.terminate()
            try:
                self.daemon.wait(30)
            except subprocess.TimeoutExpired:
                self.daemon.kill()
                self.daemon.wait(20)
        self.rpc("relay_fault")
        self._darken(False)
        self._fee(CALM_GWEI)
        self.rpc("relay_mine", 1)
        self.rpc("relay_resume")
        self.rpc.close()

    # ------------------------------------------------------------------ the loan

    def read(self, to: str, contract: str, function: str, *args: Any) -> tuple[Any, ...]:
        data = "0x" + encode(contract, function, args).hex()
        return decode_result(
            contract, function, bytes.fromhex(self.rpc("eth_call", {"to": to, "data": data}, "latest")[2:])
        )

    def health(self) -> int:
        return int(self.read(self.pool, "aave_v3_pool", "getUserAccountData", self.safe)[5])

    def head(self) -> int:
        return int(self.rpc("eth_blockNumber"), 16)

    def _as_safe(self, to: str, data: bytes) -> None:
        """In the Safe's own name, without its nonce: the ground is laid, nobody acts."""
        fees = {"maxFeePerGas": hex(500 * GWEI), "maxPriorityFeePerGas": "0x1"}
        tx = {"from": self.safe, "to": to, "data": "0x" + data.hex(), "gas": hex(1_500_000), **fees}
        receipt = self.rpc("eth_getTransactionReceipt", self.rpc("eth_sendTransaction", tx))
        if receipt is None or receipt["status"] != "0x1":
            raise Halt("CHAOS_WORLD", f"the ground could not be laid: a call to {to} reverted", "")

    def _hold(self, token: str, raw: int) -> None:
        give_token(self.url, token, self.safe, raw - token_balance(self.rpc, token, self.safe))

    def lay(self, crisis: Crisis) -> None:
        """Prices at the top, calm fees; two WETH supplied, a debt for the drawn health, the drawn wallet."""
        at, rpc = CHAINS[1], self.rpc
        self.crisis = crisis
        rpc("relay_pause")
        rpc("relay_fault")
        self._darken(False)
        self._uptime(stopped=False, since_s=LONG_UP_S)
        self._trade(TOP_1E8)
        unwell = self.health() < e18(TRIGGER)
        # The price is back before fees are calm: what was too dear to pay in would else be paid in now, and land in the next crisis.
        set_feed_price(self.url, "USDC", 10**8)
        set_feed_price(self.url, "ETH", TOP_1E8)
        if unwell:
            self._forgotten()
        self._fee(CALM_GWEI)
        rpc("anvil_impersonateAccount", self.safe)
        rpc("anvil_setBalance", self.safe, hex(10 * ETHER))
        sender = self.settings.wallet.sender
        assert sender is not None
        rpc("anvil_setBalance", sender.address, hex(5 * ETHER))
        collateral, debt, *_ = self.read(self.pool, "aave_v3_pool", "getUserAccountData", self.safe)
        if debt:
            self._hold(at.usdc, debt // 50)  # 1e-8 dollars to twice as many USDC
            self._lend("repay", at.usdc, 2**256 - 1)
            if self.daemon is not None:  # it is to see that the last crisis is over
                time.sleep(2 * BRIEF_S)
        if collateral:
            self._as_safe(self.pool, encode("aave_v3_pool", "withdraw", (at.weth, 2**256 - 1, self.safe)))
        self._hold(at.weth, COLLATERAL_RAW)
        self._lend("supply", at.weth, COLLATERAL_RAW)
        collateral, _, _, threshold, *_ = self.read(
            self.pool, "aave_v3_pool", "getUserAccountData", self.safe
        )
        owed = collateral * threshold // crisis.health_bps // 100
        self._as_safe(self.pool, encode("aave_v3_pool", "borrow", (at.usdc, owed, 2, 0, self.safe)))
        self._hold(at.usdc, owed * crisis.usdc_bps // 10_000)
        self._hold(at.weth, COLLATERAL_RAW * crisis.weth_bps // 10_000)

    def _lend(self, verb: str, token: str, raw: int) -> None:
        held = token_balance(self.rpc, token, self.safe)
        self._as_safe(token, encode("erc20", "approve", (self.pool, held)))
        words = (token, raw, self.safe, 0) if verb == "supply" else (token, raw, 2, self.safe)
        self._as_safe(self.pool, encode("aave_v3_pool", verb, words))
        self._as_safe(token, encode("erc20", "approve", (self.pool, 0)))

    def steal(self) -> None:
        """For a control: a dollar of the Safe goes where no rule sends it."""
        give_token(self.url, CHAINS[1].usdc, self.safe, 10**6)
        self._as_safe(CHAINS[1].usdc, encode("erc20", "transfer", (CHAINS[1].weth, 2 * 10**6)))

    def _fee(self, gwei: int) -> None:
        self.rpc("anvil_setNextBlockBaseFeePerGas", hex(gwei * GWEI))

    # ------------------------------------------------------------------ a crisis

    def begun(self, *, needed: bool) -> None:
        """The ground is laid: `needed` is whether the loan falls where nobody does anything."""
        self.needed, self.told_first = needed, len(self._alerts())

    def befall(self, slot: Slot, hopeless: bool) -> None:
        """One slot: what is drawn happens, the daemon has its time, then a block takes what the relay holds."""
        rpc = self.rpc
        rpc("relay_fault")
        self._darken(slot.dark)
        if slot.down:
            rpc("relay_fault", {"road": "private", "kind": "down", "count": 9_999})
        if slot.gap_s:
            self.told_before = len(self._alerts())
            self._later(slot.gap_s)
            rpc("relay_mine", 1)
            # A price is stale for as long as it takes to look, however busy the machine is.
            self._until_told("ORACLE_STALE")
            set_feed_price(self.url, "USDC", 10**8)
        if slot.death == "before":
            self.kill()
        self._fee(slot.base_gwei)
        self.told_before = len(self._alerts())
        if slot.stopped:
            self._uptime(stopped=True)
            self._until_told("SEQUENCER_DOWN")
        else:
            self._trade(slot.px_1e8)
            set_feed_price(self.url, "ETH", slot.px_1e8)
            self._wait(DOWN_S if slot.down or hopeless else SLOT_S)
        if slot.death == "after":
            self.kill()
        died = slot.death == "lands" and self.dies()
        pushed = slot.pushed_bps > 0 and bool(rpc("relay_truth")["private_pending"])
        if pushed:
            self._trade(slot.px_1e8, slot.pushed_bps)
        self._fee(slot.base_gwei)
        rpc("relay_mine", 1)
        if died:
            self.begin()
        if (pushed or slot.cliff) and not hopeless:
            self._again(slot)
        if slot.stopped:
            self._uptime(stopped=False)

    def _trade(self, px_1e8: int, pushed_bps: int = 0) -> None:
        """Others trade the pools to what they pay beside that price."""
        if self.pools is not None and self.crisis is not None:
            self.pools.to(pool_px_1e8(px_1e8, self.crisis.off_bps, pushed_bps))

    def _again(self, slot: Slot) -> None:
        """What the pools no longer give is not included. Slots go by until it no longer can be; what is planned anew, or is to follow what
        the wallet had, has a block at once."""
        until = time.monotonic() + TRIED_AGAIN_S
        while self.health() < e18(TRIGGER) and not self._gave_up() and time.monotonic() < until:
            time.sleep(BRIEF_S)
            self._expire()
            self._fee(slot.base_gwei)
            self.rpc("relay_mine", 1)

    def _expire(self) -> None:
        """What a bare wallet's daemon took back from its relay ends with its deadline: a slot goes by."""
        if self.bare and self._sent() and not self.rpc("relay_truth")["private_pending"]:
            self._later(BLOCK_S)

    def _later(self, seconds: int) -> None:
        """The next block is so much later than the last one, however far the chain's clock has run ahead of ours."""
        last = int(self.rpc("eth_getBlockByNumber", "latest", False)["timestamp"], 16)
        self.rpc("evm_setNextBlockTimestamp", last + seconds)

    def _sent(self) -> bool:
        """Whether something is with the relay, or was, that may still be included."""
        book = read_book(self.settings)
        return book is not None and any(r.submitted and not r.ended for r in book.parts.values())

    def _uptime(self, *, stopped: bool, since_s: int = 0) -> None:
        """What the uptime feed says from now on, as Chainlink's does: 1 is down, or up; and has been so for `since_s`."""
        if self.rpc("eth_getCode", UPTIME, "latest") == "0x":
            feed = self.rpc("eth_getCode", CHAINS[1].feeds["ETH"], "latest")
            self.rpc("anvil_setCode", UPTIME, feed)
        now = int(self.rpc("eth_getBlockByNumber", "latest", False)["timestamp"], 16)
        update = artifact("MockV3Aggregator").call("updateRoundData", now, int(stopped), now, now - since_s)
        receipt = self.rpc("eth_getTransactionReceipt", send_as_operator(self.rpc, UPTIME, update))
        if receipt is None or receipt["status"] != "0x1":
            raise Halt("CHAOS_WORLD", "the uptime feed takes no answer", "")

    def _darken(self, dark: bool) -> None:
        """Every exchange hangs from now on, or answers again."""
        if dark == self.dark:
            return
        self.dark = dark
        for venue in self.settings.venues:
            if venue.base_url is not None:
                body = b'{"on": "any", "kind": "hang_before", "count": null}' if dark else None
                method = "POST" if dark else "DELETE"
                asked = Request(
                    f"{venue.base_url}/admin/faults",
                    body,
                    {"Content-Type": "application/json"},
                    method=method,
                )
                urlopen(asked, timeout=10).close()

    def _until_told(self, code: str) -> None:
        until = time.monotonic() + SLOT_S
        while self.daemon is not None and time.monotonic() < until and not self._told(code):
            time.sleep(0.05)

    def _told(self, code: str) -> bool:
        return f'"{code}"' in "\n".join(self._alerts()[self.told_before :])

    def _wait(self, most_s: float) -> None:
        until = time.monotonic() + most_s
        if self.health() >= e18(TRIGGER):
            time.sleep(BRIEF_S)
            return
        while time.monotonic() < until and not self.rpc("relay_truth")["private_pending"]:
            if self.health() >= e18(TRIGGER) or self._gave_up():
                return
            time.sleep(0.05)

    def _gave_up(self) -> bool:
        """Whether the daemon has told, since this slot's price, that nothing can be done: what it told of an earlier one, and of the
        crisis before, is no reason to leave it no time now."""
        if not self.needed:
            return '"RESCUE_IMPOSSIBLE"' in "\n".join(self._alerts()[self.told_first :])
        return self._told("RESCUE_IMPOSSIBLE")

    def _alerts(self) -> list[str]:
        path = self.settings.alerts.file
        return path.read_text().splitlines() if path is not None and path.exists() else []

    def settle(self, hopeless: bool) -> None:
        """Blocks until nothing of the daemon's is open, and the loan is well where it can be."""
        self.rpc("relay_fault")
        until = time.monotonic() + SLOT_S  # on a busy machine a price may go before it was looked at
        while self.daemon is not None and self.health() < e18(WARN) and time.monotonic() < until:
            if '"RESCUE_NEAR"' in "\n".join(self._alerts()[self.told_first :]):
                break
            time.sleep(0.05)
        until = time.monotonic() + 90
        while time.monotonic() < until:
            self._expire()
            self.rpc("relay_mine", 1)
            time.sleep(0.15)
            if not self._open() and (hopeless or self.health() >= e18(TRIGGER) or self._gave_up()):
                return
        if self._open():
            raise Halt("CHAOS_WORLD", "what the daemon signed did not come to an end", "")

    def _forgotten(self) -> None:
        """Blocks until the daemon knows that the price is back: what it began at the old one would land in the next crisis."""
        quiet, until = 0, time.monotonic() + 30
        while self.daemon is not None and quiet < 4 and time.monotonic() < until:
            time.sleep(BRIEF_S)
            quiet = 0 if self._open() else quiet + 1
            self._expire()
            if not quiet:
                self.rpc("relay_mine", 1)

    def _open(self) -> bool:
        book = read_book(self.settings)
        return book is not None and bool(book.open_parts())


def e18(text: str) -> int:
    whole, _, part = text.partition(".")
    return int(whole + part.ljust(18, "0"))


def with_rule(
    settings_path: Path,
    folder: Path,
    mistake: str = "",
    *,
    bare: bool = False,
    bridge: Mapping[str, Any] | None = None,
) -> Path:
    """The settings with the crises' rule, and a journal and alerts of their own; `mistake` is one that a rescuer may make. A `bare` wallet's
    know Uniswap's V3 pools alone: the others are traded by nobody while the price falls. `bridge`: what they say of one."""
    import tomllib

    values = tomllib.loads(settings_path.read_text())
    if bare:
        for chain in values["chains"]:
            chain["pools"] = [p for p in chain["pools"] if p["kind"] == "uniswap_v3"]
    if bare or bridge:
        values.pop(
            "scopes", None
        )  # an agent's key is let take nothing out of a loan, nor send it elsewhere: owners sign
    if mistake == "unarmed":
        values["wallet"].pop("flash_repay", None)
    if bridge:
        values["bridge"] = dict(bridge)
    values |= {
        "rescues": [(BARE_RULE if bare else RULE) | MISTAKEN.get(mistake, {})],
        "jobs": [],
        "journal": {"path": str(folder / "journal.db"), "emergency_path": str(folder / "emergency.bin")},
        "alerts": {"file": str(folder / "alerts.jsonl")},
    }
    path = settings_path.with_name(f"crises-{folder.name}.toml")
    template.write(values, path, note="Made for crises.", replace=True)
    return path
