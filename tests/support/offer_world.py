"""An offer's road with the chain in the test's hand: the real road, record, book and clock; blocks, logs, allowance and the order book stand in."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

import custody as c
from eth_abi.abi import encode as abi_encode
from manual_clock import ManualClock

from agent.domain.errors import FairleadError, Retry
from agent.domain.events import Alarmed, Authorized, Instructed, Reported
from agent.domain.ids import ClOrdId
from agent.domain.instruments import Place, erc20_id
from agent.domain.orders import Offer, Part
from agent.execution.offer_road import OfferRoad
from agent.execution.offers import INVALIDATED, TRADE
from agent.execution.recorder import Recorder
from agent.journal.book import Book
from chains.intents.cow import Told
from chains.types import ZERO_ADDRESS, Address, BlockRef, Call, CallResult, CowOrder, Hash32, Log, Protection
from contracts.codec import decode_call
from contracts.hashing import address_bytes
from keys import cow_order

SETTLEMENT = Address("0x9008D19f58AAbD9eD0D60971565AA8510560ab41")
RELAYER = Address("0xC92E8bdf79f0507f65a392b0ab4667716BFE0110")
WETH, USDC = erc20_id(1, c.WETH), erc20_id(1, c.USDC)
DECIMALS = {WETH: 18, USDC: 6}
SECONDS = 12


class MemoryStore:
    def __init__(self) -> None:
        self.events: list[object] = []

    def append(self, event: object) -> Any:
        self.events.append(event)
        return len(self.events)

    async def durable(self, seq: Any) -> None:
        return None


@dataclass
class World:
    """One order. `step` is called before each look, with its number: it makes the chain go on."""

    step: Callable[[World, int], None] = lambda world, number: None
    clock: ManualClock = field(default_factory=ManualClock)
    head: int = 100
    depth: int = 2
    salt: int = 0
    logs: list[tuple[int, str, bytes]] = field(default_factory=list)
    allowance: int = 0
    hint: Told | None = None
    post_errors: list[FairleadError] = field(default_factory=list)
    batch_errors: list[FairleadError] = field(default_factory=list)
    posts: int = 0
    batches: list[str] = field(default_factory=list)
    looks: int = 0
    lag_at: set[int] = field(default_factory=set)
    start_s: int = 1_800_000_000
    kind: str = "sell"
    tokens: tuple[str, str] = (c.WETH, c.USDC)
    owner: str = c.SAFE
    agents: Any = None

    def __post_init__(self) -> None:
        order = CowOrder(
            1, SETTLEMENT, Address(self.owner), Address(c.SAFE), Address(c.WETH), Address(c.USDC), 10**18, 2_950 * 10**6,
            self.start_s + 300, cow_order.APP_DATA_HASH, 0, True, self.kind,
        )  # fmt: skip
        self.uid = cow_order.uid(order)
        self.part = Part(
            ClOrdId("fl-1"), ClOrdId("c-1"), Place("eip155:1"), 1, WETH, USDC, 10**18, 3_000 * 10**6, 2_950 * 10**6, ()
        )  # fmt: skip
        self.authorized = Authorized(
            self.part, None, 1, ZERO_ADDRESS, 0, -1, Hash32(""), b"\1" * 130, self.uid, Protection.INTENT, 0,
            order.valid_to, order.buy_raw, self.clock.now_ns(),
            Offer(order, "eip1271", Decimal(2_950 if order.buys else 1), 100, None),
        )  # fmt: skip
        self.store, self.book = MemoryStore(), Book()
        self.recorder = Recorder(self.store, self.book)
        self.truth = self.order_book = self
        self.relayer = RELAYER
        self.name = "cow"
        self.wallet = Address(c.SAFE)

    # ------------------------------------------------------------------ what the test says and asks

    def trade(self, sold: int, bought: int, block: int | None = None, uid: str = "") -> None:
        words = abi_encode(
            ["address", "address", "uint256", "uint256", "uint256", "bytes"],
            [*self.tokens, sold, bought, 0, bytes.fromhex((uid or self.uid)[2:])],
        )
        self.logs.append((block or self.head, "trade", words))

    def invalidate(self) -> None:
        self.logs.append((self.head, "end", abi_encode(["bytes"], [bytes.fromhex(self.uid[2:])])))

    def told_of(self, kind: type) -> list[Any]:
        return [event for event in self.store.events if isinstance(event, kind)]

    @property
    def reports(self) -> list[str]:
        return [event.report.exec_type.value for event in self.told_of(Reported)]

    @property
    def alarms(self) -> list[str]:
        return [event.code for event in self.told_of(Alarmed)]

    async def run(self, submit: bool = True) -> Any:
        """Signed, handed over, followed to its end; without `submit` the process died right after the signature was recorded."""
        await self.recorder.record(Instructed(self.part, "sell", self.clock.now_ns()))
        await self.recorder.record(self.authorized)
        road = OfferRoad(self.clock, self.recorder, {1: self}, DECIMALS, self, self.agents)  # type: ignore[dict-item,arg-type]
        if submit:
            await self.recorder.record(await road.submit(self.authorized))
        settled = await road.follow(self.authorized)
        await self.recorder.record(settled)
        return settled

    @property
    def record(self) -> Any:
        return self.book.parts[self.part.cl_ord_id]

    # ------------------------------------------------------------------ the chain

    def ref(self, number: int) -> BlockRef:
        made = Hash32(f"0x{number * 1000 + self.salt:064x}")
        return BlockRef(number, made, made, self.start_s + SECONDS * (number - 100), 10**9)

    async def block(self, tag: int | str = "latest") -> BlockRef:
        return self.ref(self.head if tag == "latest" else int(tag))

    async def final_block(self, head: BlockRef) -> BlockRef:
        return self.ref(head.number - self.depth)

    async def logs_agreed(self, address: Address, topics: Any, first: int, last: int) -> list[Log]:
        if last in self.lag_at:
            raise Retry("NO_QUORUM", "one endpoint is behind")
        owner = bytes(12) + address_bytes(self.owner)
        return [
            Log(
                SETTLEMENT, (TRADE if kind == "trade" else INVALIDATED, owner), data, number, self.ref(number).hash,
                Hash32("0x" + "77" * 32), index,
            )
            for index, (number, kind, data) in enumerate(self.logs)
            if first <= number <= last
        ]  # fmt: skip

    async def call(self, call: Call, block: int | str = "latest") -> CallResult:
        assert decode_call("erc20", call.data).function == "allowance"
        return CallResult(True, self.allowance.to_bytes(32, "big"))

    def heads_told(self) -> int:
        return 0

    async def next_look(self, told: int, *, learnt: bool = True) -> None:
        await self.clock.sleep(SECONDS)
        self.looks += 1
        assert self.looks < 500, "it never ends"
        self.head += 1
        self.step(self, self.looks)

    # ------------------------------------------------------------------ the wallet's batches

    async def included(self, part: Part, what: str, calls: Sequence[Call], chain: Any, watch: Any) -> None:
        if self.batch_errors:
            raise self.batch_errors.pop(0)
        self.batches.append(what.split(" ")[0])
        for call in calls:
            if call.to == c.WETH:
                self.allowance = decode_call("erc20", call.data).args["amount"]
            elif decode_call("gpv2_settlement", call.data).function == "invalidateOrder":
                self.invalidate()

    async def settle(self, part: Part) -> None:
        return None

    async def took_effect(self, part: Part) -> bool:
        return bool(self.batches)

    # ------------------------------------------------------------------ the order book

    async def post(self, offer: Offer, uid: str, signature: bytes) -> None:
        assert uid == self.uid
        self.posts += 1
        if self.post_errors:
            raise self.post_errors.pop(0)

    async def told(self, uid: str) -> Told | None:
        return self.hint
