"""A wallet of the chaos, and the lives of its desk: the real engine over a real Safe, with throw-away keys in this process.

What is signed and not on record dies with the desk that signed it: nobody else has the keys' memory, and nothing has left.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from decimal import Decimal
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import aiohttp

from agent.app.chain_desk import ChainDesk
from agent.app.chaos.deaths import Doom, DyingStore
from agent.app.chaos.submission.pace import Pace, PacedDesk
from agent.app.chaos.submission.scene import ROADS, Scene
from agent.app.live_market import LiveMarket
from agent.app.wiring import algorithms
from agent.app.workshop import Workshop
from agent.app.world import World
from agent.domain.errors import Halt
from agent.domain.events import Authorized
from agent.domain.instruments import Place
from agent.domain.risk import OraclePrice
from agent.execution.authority import Authority, ChainAuthority
from agent.execution.cancelling import Cancel, Note
from agent.execution.desk import Desk
from agent.execution.halt import Switch
from agent.execution.outbox import Outbox, signed_tx
from agent.execution.recorder import Recorder
from agent.execution.replacing import Patience, Replacer, fees_of
from agent.execution.tracker import Tracker
from agent.journal.book import Book
from agent.journal.registry import event_codec, is_derisking
from agent.journal.store import Journal
from agent.transport.clock import SystemClock
from chains.gas import Urgency, bid, bump_up
from chains.gateway import Gateway
from chains.pool_keeper import PoolKeeper
from chains.pools import PoolReader, PoolSpec
from chains.relay_auth import local_header, local_signer
from chains.relay_set import RelaySet
from chains.simulate import Simulator
from chains.types import Address, Protection, SignedTx, UnsignedTx
from contracts.hashing import keccak
from keys.curve import SigningKey
from keys.safe import SafeTx, safe_tx_hash
from keys.transactions import assemble, digest

OWNERS = tuple(SigningKey(keccak(b"chaos owner %d" % i)) for i in range(3))
PX = Decimal(3000)
DEADLINE_S, PATIENCE_S = 60, 2.0
"""Chain seconds in the calldata; seconds of ours until fees are raised."""


class PoolMarket(LiveMarket):
    """The live market over one pool, with a price that everybody agrees on."""

    def __init__(self, scene: Scene, desk: ChainDesk, reader: PoolReader) -> None:
        nowhere: Any = SimpleNamespace(chains=())
        super().__init__(SystemClock(), nowhere, scene.directory, {scene.chain_id: desk}, {}, prices)
        self._readers = {scene.chain_id: PoolKeeper(reader, desk.warm)}


async def prices() -> tuple[OraclePrice, ...]:
    at_s = SystemClock().now_ns() // 10**9
    worth = {"ETH": PX, "USDC": Decimal(1)}
    return tuple(OraclePrice(f"{n} {s}", s, px, at_s) for s, px in worth.items() for n in ("first", "second"))


@dataclass
class Owners:
    """Two of the three owners' signatures."""

    execute: None = None

    async def collect(self, chain_id: int, safe: Address, tx: SafeTx, now_s: int) -> Mapping[Address, bytes]:
        hashed = safe_tx_hash(chain_id, safe, tx)
        return {owner.address: owner.sign(hashed) for owner in OWNERS[:2]}


@dataclass
class Sender:
    key: SigningKey

    async def sign(self, tx: UnsignedTx, safe_nonce: int, now_s: int, *, attended: bool = False) -> SignedTx:
        return assemble(tx, self.key.sign(digest(tx)), self.key.address)


@dataclass
class Ground:
    """What lanes of one process share: where they are, the public endpoint, a simulator of this machine, a pool, a session."""

    scene: Scene
    url: str
    pool: str
    session: aiohttp.ClientSession
    gateway: Gateway
    simulator: Simulator


@dataclass
class Lane:
    """One Safe, its sender and its reputation key; `open` is one life of its desk.

    A life that ends well leaves its journal open for the next order, as a running desk does; whoever follows a death reads the disk.
    """

    number: int
    safe: Address
    folder: Path
    ground: Ground
    pace: Pace | None = None
    builders: tuple[str, ...] = ()
    mistake: str = ""
    switch: Switch = field(init=False)
    reader: PoolReader = field(init=False)
    _kept: tuple[Journal, Book] | None = None

    def __post_init__(self) -> None:
        self.sender = sender_of(self.number)
        self.switch = Switch(self.folder / f"HALTED-{self.number}.json")
        self.reader = PoolReader(self.ground.gateway, [PoolSpec("uniswap_v3", self.ground.pool)])
        self.auth = keccak(b"chaos reputation %d" % self.number)

    @property
    def name(self) -> str:
        return f"lane {self.number}"

    @property
    def owner(self) -> Address:
        """Who its requests are told by: the reputation key to builders, the sender itself to a sequencer."""
        return self.sender.address if self.ground.scene.is_rollup else local_signer(self.auth)[0]

    @property
    def journal_path(self) -> Path:
        return self.folder / f"journal-{self.number}.db"

    def relays(self) -> RelaySet:
        ground, header = self.ground, local_header(self.auth)
        return RelaySet([ROADS[name](ground.url, ground.session, header) for name in self.builders])

    def chain_desk(self) -> PacedDesk:
        return PacedDesk(
            profile=self.ground.scene.profile,
            gateway=self.ground.gateway,
            relay=self.relays(),
            simulator=self.ground.simulator,
            wallet=self.safe,
            sender=self.sender.address,
            protection=Protection.PRIVATE,
            finality="finalized",
            finality_depth=4,
            poll_s=0.05,
            clock=SystemClock(),
            pace=self.pace,
            name_at_pace=self.name,
            mistake=self.mistake,
        )

    @asynccontextmanager
    async def open(self, doom: Doom) -> AsyncIterator[Desk]:
        if self._kept is None:
            self._kept = self._from_disk()
        try:
            yield self._desk(*self._kept, doom)
        except BaseException:
            self.close()
            raise

    def _from_disk(self) -> tuple[Journal, Book]:
        journal = Journal.open(
            self.journal_path,
            clock=SystemClock(),
            environment="devnet",
            codec=event_codec(),
            derisking=is_derisking,
        )
        try:
            book = Book()
            for event in journal.events():
                book.apply(event)
            journal.remember("book", book.state_hash)
        except BaseException:
            journal.close()
            raise
        return journal, book

    def close(self) -> None:
        """Ends what the last life left open."""
        kept, self._kept = self._kept, None
        if kept is not None:
            kept[0].close()

    def _desk(self, journal: Journal, book: Book, doom: Doom) -> Desk:
        clock, sender, chain, scene = SystemClock(), Sender(self.sender), self.chain_desk(), self.ground.scene
        chains = {scene.chain_id: chain}
        recorder = Recorder(DyingStore(journal, doom), book)
        outbox = Outbox(clock, chains, {})
        authority = ChainAuthority(
            gateway=chain.gateway,
            local=self.ground.simulator,
            wallet=self.safe,
            owners=tuple(o.address for o in OWNERS),
            threshold=2,
            multi_send=chain.multi_send,
            sender=self.sender.address,
            max_blocks=chain.profile.max_blocks,
        )
        patience = {scene.chain_id: Patience(chain.gateway, PATIENCE_S)}
        replacer = Replacer(clock, sender, patience, chains)
        decimals = scene.directory.decimals
        return Desk(
            environment="devnet",
            clock=clock,
            journal=recorder,
            book=book,
            limits=scene.limits,
            switch=self.switch,
            market=PoolMarket(scene, chain, self.reader),
            world=World(clock, scene.directory, chains, self.switch, prices, _ready, lambda: ""),
            workshop=Workshop(clock, chains, {}, DEADLINE_S),
            authority=Authority(
                clock, book, {scene.chain_id: authority}, {}, Owners(), sender, outbox, _nothing
            ),
            outbox=outbox,
            tracker=Tracker(
                clock, recorder, chains, {}, decimals, canceller(chain, sender, book), replacer=replacer
            ),
            algos=algorithms(),
            decimals=decimals,
            lots={"ETH": Decimal("0.000001"), "USDC": Decimal("0.01")},
        )

    def read_book(self) -> Book:
        """The journal of a desk that is gone, folded afresh. Raises Halt CHAOS_WORLD where the living book was another."""
        living = self._kept[1].state_hash() if self._kept is not None else None
        self.close()
        journal = Journal.open(
            self.journal_path, clock=SystemClock(), environment="devnet", codec=event_codec()
        )
        try:
            book = Book()
            for event in journal.events():
                book.apply(event)
            if living is not None and living != book.state_hash():
                raise Halt(
                    "CHAOS_WORLD", f"{self.name}: its journal does not give the book it had", "keep its seed"
                )
            return book
        finally:
            journal.close()


def sender_of(number: int) -> SigningKey:
    return SigningKey(keccak(b"chaos sender %d" % number))


async def _ready(place: Place) -> str:
    return ""


async def _nothing() -> None:
    return None


def canceller(chain: ChainDesk, sender: Sender, book: Book) -> Cancel:
    """As the wiring's for owners who are not asked: every form is taken back, an empty transfer takes the nonce."""

    async def cancel(authorized: Authorized, note: Note) -> None:
        for form in book.parts[authorized.part.cl_ord_id].signed:
            await chain.cancel(signed_tx(form))
        fresh = bid(await chain.gateway.fee_history(), Urgency.URGENT)
        fees = bump_up(fees_of(authorized.raw), at_least=fresh)
        empty = UnsignedTx(authorized.chain_id, authorized.nonce, authorized.sender, 0, b"", 21_000, fees)
        head = await chain.gateway.block("latest")
        signed = await sender.sign(empty, 0, head.timestamp)
        last = head.number + chain.profile.max_blocks
        await note(signed, last)
        await chain.send(signed, authorized.protection, last)

    return cancel
