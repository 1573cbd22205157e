"""A whole desk in memory: two chains and an exchange, the real journal, book, validator, router, planner, authority, outbox
and tracker. Only what is outside stands in: chains (fake_chain), the exchange (fake_venue), the clock (manual_clock)."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from decimal import Decimal
from pathlib import Path
from typing import Any

import custody
import markets
from fake_chain import OWNERS, SENDER, FakeChain, FakeOwners, FakeSender
from fake_venue import FakeVenue
from manual_clock import ManualClock

from agent.amm import ConstantProductPool
from agent.app.chain_desk import ChainDesk
from agent.app.live_market import LiveMarket
from agent.app.places import Directory
from agent.app.replanning import Starts
from agent.app.wiring import DEADLINE_S, algorithms
from agent.app.workshop import Workshop
from agent.app.world import World
from agent.domain.events import Authorized
from agent.domain.ids import intent_id, parent_id
from agent.domain.instruments import Asset, AssetId, Place, cex_id, erc20_id
from agent.domain.orders import Intent, ParentOrder, Side
from agent.domain.risk import Limits, OraclePrice
from agent.domain.units import raw_down
from agent.execution.authority import NO_WALLET_NONCE, Authority, ChainAuthority
from agent.execution.cancelling import Cancel, Note
from agent.execution.desk import Desk
from agent.execution.halt import Switch
from agent.execution.outbox import Outbox, signed_tx
from agent.execution.recorder import Recorder
from agent.execution.replacing import Patience, Replacer, fees_of
from agent.execution.tracker import Tracker
from agent.journal.book import Book
from agent.journal.chain import Seq
from agent.journal.registry import event_codec, is_derisking
from agent.journal.store import Journal
from agent.market import book as market_book
from agent.market.pools import parse_pool
from agent.market.view import AsOf, GasState, MarketView
from agent.routing.graphs import Graphs
from chains import profiles
from chains.gas import Urgency, bid, bump_up
from chains.types import Address, Protection, UnsignedTx
from contracts.uniswap_pools import v2_pair, v3_pool

HERE, BASE, PAPER = Place("eip155:1"), Place("eip155:8453"), Place("cex:paper")
PX = Decimal(3000)


def weth(chain_id: int) -> AssetId:
    return erc20_id(chain_id, profiles.load(chain_id).wrapped_native)


def usdc(chain_id: int) -> AssetId:
    return erc20_id(chain_id, profiles.load(chain_id).usdc)


ETH = (weth(1), weth(8453), cex_id("paper", "ETH"))
USDC = (usdc(1), usdc(8453), cex_id("paper", "USDC"))
ASSETS = {
    **{a: Asset(a, "ETH", 8 if a.startswith("cex") else 18) for a in ETH},
    **{a: Asset(a, "USDC", 8 if a.startswith("cex") else 6) for a in USDC},
}
DIRECTORY = Directory({"ETH": ETH, "USDC": USDC}, ASSETS)


class Killed(BaseException):
    """The process is gone: nothing in it may catch this."""


@dataclass
class Grave:
    """Where the process dies: at the n-th append, before or after it is in the journal; or when `strike` says so."""

    at: int = -1
    before: bool = False
    seen: list[object] = field(default_factory=list)
    strike: Callable[[str, object], bool] = lambda moment, event: False
    dead: bool = False

    def check(self, moment: str, event: object) -> None:
        hit = self.at == len(self.seen) - (moment != "before") and self.before == (moment == "before")
        if self.dead or hit or self.strike(moment, event):
            self.dead = True
            raise Killed(f"{moment} {type(event).__name__}")


class HeldStore:
    """The real journal; manual time stands still while the disk works, and the grave is asked at every step."""

    def __init__(self, journal: Journal, clock: ManualClock, grave: Grave, prompt: bool) -> None:
        self.journal, self._clock, self._grave, self._prompt = journal, clock, grave, prompt

    def append(self, event: object) -> Seq:
        self._grave.check("before", event)
        seq = self.journal.append(event)
        self._grave.seen.append(event)
        self._grave.check("after", event)
        return seq

    async def durable(self, seq: Seq) -> None:
        if self._prompt:
            self.journal.checkpoint()
        else:
            with self._clock.holding():
                await self.journal.durable(seq)
        self._grave.check("durable", self._grave.seen[-1])


class MemoryMarket(LiveMarket):
    """The live market's own planning over the fakes' states."""

    def __init__(self, office: Office) -> None:
        self._office, self.directory = office, DIRECTORY
        self._chains = {chain_id: office.chain_desk(chain) for chain_id, chain in office.chains.items()}
        self.left_out, self.unreachable, self._starts, self._graphs = {}, {}, Starts(), Graphs()

    async def view(self, base: str, quote: str) -> MarketView:
        office, now_s = self._office, self._office.clock.now_ns() // 10**9
        pools: dict[str, Any] = {}
        gas, inventory, as_of, books = {}, {}, {}, []
        for chain in office.chains.values():
            place = Place(f"eip155:{chain.chain_id}")
            ref = await chain.block()
            world = chain.world
            pools |= world.pools
            gas[place] = GasState(ref.number, ref.base_fee_wei, 10**7, weth(chain.chain_id))
            as_of[place] = AsOf(ref.timestamp, ref.number, ref.hash)
            inventory |= {erc20_id(chain.chain_id, token): raw for token, raw in world.tokens.items()}
        if office.venue is not None:
            levels = await office.venue.book("ETHUSDC")
            as_of[PAPER] = AsOf(levels.at_ns // 10**9)
            facts = {i.symbol: i for i in await office.venue.instruments()}["ETHUSDC"]
            books.append(
                market_book.Book(
                    "paper", "ETH/USDC", cex_id("paper", "ETH"), cex_id("paper", "USDC"), facts.taker_fee_bps,
                    facts.lot, facts.tick, facts.min_notional, levels.bids, levels.asks,
                )
            )  # fmt: skip
            for balance in await office.venue.balances():
                inventory[balance.asset] = raw_down(balance.free, 8)
        assert now_s >= 0
        return MarketView(
            assets=ASSETS, pools=pools, gas=gas, books=tuple(books), inventory=inventory,
            equivalents=(ETH, USDC), as_of=as_of,
        )  # fmt: skip


def pools_of(chain_id: int, depth: int = 2_000) -> dict[str, Any]:
    """A V2 pool on each chain, and a V3 pool on chain 1; prices near 3,000."""
    mine = {a: known for a, known in ASSETS.items() if a.startswith(f"eip155:{chain_id}/")}
    pair = tuple(sorted(mine, key=lambda a: int(a.rpartition(":")[2], 16)))
    sizes = {weth(chain_id): depth * 10**18, usdc(chain_id): depth * 3001 * 10**6}
    factories = profiles.load(chain_id).contracts
    tokens = [asset.rpartition(":")[2] for asset in pair]
    name = f"eip155:{chain_id}/{v2_pair(factories['uniswap_v2_factory'], tokens[0], tokens[1]).lower()}"
    found: dict[str, Any] = {name: ConstantProductPool(name, pair, tuple(sizes[a] for a in pair), 500)}
    if chain_id == 1:
        entry = markets.v3("bb", markets.USDC, markets.WETH, 1 / 3000, 20_000_000_000_000_000)
        at = v3_pool(factories["uniswap_v3_factory"], tokens[0], tokens[1], entry["fee_pips"])
        name = f"eip155:1/{at.lower()}"
        entry |= {"id": name, "assets": list(pair)}
        found[name] = parse_pool(name, entry, mine)
    return found


LIMITS = Limits(
    per_order_usd=Decimal(250_000),
    per_day_usd=Decimal(1_000_000),
    allow_assets=("ETH", "USDC"),
    allow_venues=(HERE, BASE, PAPER),
    price_collar_bps=300,
    max_slippage_bps=300,
    max_price_age_s=3600,
    max_market_age_s=60,
    min_gas_reserve_wei=((HERE, 10**16), (BASE, 10**16)),
    counterparty_cap_usd=((PAPER, Decimal(500_000)),),
)


class Alone(Authority):
    """Signs as for owners, and tells of no nonce of the wallet's: there is none where the agent's key signs."""

    def _authorized(self, *args: Any) -> Authorized:
        return replace(super()._authorized(*args), wallet_nonce=NO_WALLET_NONCE)


@dataclass
class Office:
    """What stays when a process dies: the chains, the exchange, the folder with the journal. `open` is one process's life."""

    folder: Path
    clock: ManualClock = field(default_factory=ManualClock)
    places: tuple[Place, ...] = (HERE, BASE, PAPER)
    limits: Limits = LIMITS
    seed: int = 1
    finality: int = 2
    wallet_eth: int = 40
    chains: dict[int, FakeChain] = field(init=False)
    venue: FakeVenue | None = field(init=False)
    owners: FakeOwners = field(default_factory=FakeOwners)
    sender: FakeSender = field(default_factory=FakeSender)
    prices: dict[str, Decimal] = field(default_factory=lambda: {"ETH": PX, "USDC": Decimal(1)})
    relay_missing: bool = False
    prompt_disk: bool = False
    """Whether waiting for the disk lets nobody else run: then the real disk's timing decides no order of events."""
    audit_s: float = 1.0
    alone: bool = False
    """Whether the sender's nonce is all that keeps a call from being done twice, as it is for the agent's own key."""
    patience_s: float = 1e9
    """How long what was signed waits before its fees are raised: here for ever, unless a test says."""

    def __post_init__(self) -> None:
        self.chains = {
            chain_id: FakeChain(
                self.clock,
                chain_id,
                pools_of(chain_id),
                {
                    str(weth(chain_id).rpartition(":")[2]): self.wallet_eth * 10**18,
                    str(usdc(chain_id).rpartition(":")[2]): 150_000 * 10**6,
                },
                block_s=12 if chain_id == 1 else 2,
                finality=self.finality,
                numbered=not self.alone,
            )
            for chain_id in (1, 8453)
            if f"eip155:{chain_id}" in self.places
        }
        self.venue = FakeVenue(self.clock, seed=self.seed) if PAPER in self.places else None

    @property
    def switch(self) -> Switch:
        return Switch(self.folder / "HALTED.json")

    @property
    def journal_path(self) -> Path:
        return self.folder / "journal.db"

    def chain_desk(self, chain: FakeChain) -> ChainDesk:
        fake: Any = chain
        return ChainDesk(
            profile=chain.profile_data,
            gateway=fake,
            relay=None if self.relay_missing else chain,
            simulator=fake.simulator,
            wallet=Address(custody.SAFE),
            sender=SENDER.address,
            protection=Protection.PRIVATE,
            finality="finalized",
            finality_depth=2,
            poll_s=1.0,
            clock=self.clock,
        )

    async def oracle(self) -> tuple[OraclePrice, ...]:
        at_s = self.clock.now_ns() // 10**9
        return tuple(
            OraclePrice(f"{source} {symbol}", symbol, px, at_s)
            for symbol, px in self.prices.items()
            for source in ("first", "second")
        )

    @asynccontextmanager
    async def open(self, grave: Grave | None = None) -> AsyncIterator[Desk]:
        grave = grave or Grave()
        journal = Journal.open(
            self.journal_path,
            clock=self.clock,
            environment="devnet",
            codec=event_codec(),
            derisking=is_derisking,
        )
        streams: list[asyncio.Task[None]] = []
        try:
            book = Book()
            for event in journal.events():
                book.apply(event)
            journal.remember("book", book.state_hash)
            desk = self._desk(journal, book, grave)
            if self.venue is not None:
                await self.venue.start()
                streams.append(asyncio.create_task(desk.tracker.consume(self.venue)))
            yield desk
        finally:
            for task in streams:
                task.cancel()
            await asyncio.gather(*streams, return_exceptions=True)
            journal.close()

    def _desk(self, journal: Journal, book: Book, grave: Grave) -> Desk:
        clock = self.clock
        chains = {chain_id: self.chain_desk(chain) for chain_id, chain in self.chains.items()}
        venues: dict[str, Any] = {"paper": self.venue} if self.venue is not None else {}
        recorder = Recorder(HeldStore(journal, clock, grave, self.prompt_disk), book)
        outbox = Outbox(clock, chains, venues)

        async def ready() -> None:
            return None

        async def wallet_ready(place: Place) -> str:
            return ""

        authorities: dict[int, ChainAuthority] = {
            chain_id: ChainAuthority(
                gateway=found.gateway,
                local=self.chains[chain_id].simulator,
                wallet=found.wallet,
                owners=OWNERS,
                threshold=2,
                multi_send=found.multi_send,
                sender=SENDER.address,
                max_blocks=found.profile.max_blocks,
            )
            for chain_id, found in chains.items()
        }
        authority = (Alone if self.alone else Authority)(
            clock, book, authorities, venues, self.owners, self.sender, outbox, ready
        )
        tracker = Tracker(
            clock, recorder, chains, venues, DIRECTORY.decimals, self._canceller(chains), self.audit_s,
            Replacer(clock, self.sender, {i: Patience(c.gateway, self.patience_s) for i, c in chains.items()}, chains),
        )  # fmt: skip
        world = World(
            clock, DIRECTORY, chains, self.switch, self.oracle, wallet_ready,
            lambda: journal.failure.message if journal.failure else "", self.limits.ramp,
        )  # fmt: skip
        return Desk(
            environment="devnet",
            clock=clock,
            journal=recorder,
            book=book,
            limits=self.limits,
            switch=self.switch,
            market=MemoryMarket(self),
            world=world,
            workshop=Workshop(clock, chains, venues, DEADLINE_S),
            authority=authority,
            outbox=outbox,
            tracker=tracker,
            algos=algorithms(),
            decimals=DIRECTORY.decimals,
            lots={"ETH": Decimal("0.000001"), "USDC": Decimal("0.01")},
        )

    def _canceller(self, chains: dict[int, ChainDesk]) -> Cancel:
        async def cancel(authorized: Authorized, note: Note) -> None:
            desk = chains[authorized.chain_id]
            await desk.cancel(signed_tx(authorized))
            fresh = bid(await desk.gateway.fee_history(), Urgency.URGENT)
            fees = bump_up(fees_of(authorized.raw), at_least=fresh)
            empty = UnsignedTx(authorized.chain_id, authorized.nonce, authorized.sender, 0, b"", 21_000, fees)
            head = await desk.gateway.block("latest")
            signed = await self.sender.cancel(empty, head.timestamp)
            last = head.number + desk.profile.max_blocks
            await note(signed, last)
            await desk.send(signed, authorized.protection, last)

        return cancel

    # ------------------------------------------------------------------ what the outside knows

    def held(self) -> tuple[Decimal, Decimal]:
        """ETH and USDC over all places, by the places themselves."""
        eth = usd = Decimal(0)
        for chain_id, chain in self.chains.items():
            eth += Decimal(chain.balance_of(weth(chain_id).rpartition(":")[2])).scaleb(-18)
            usd += Decimal(chain.balance_of(usdc(chain_id).rpartition(":")[2])).scaleb(-6)
        if self.venue is not None:
            from agent.app.testvenue import wire

            for row in wire.account_json(self.venue.venue.engine, "owner", 0)["balances"]:
                amount = Decimal(row["free"]) + Decimal(row["locked"])
                eth += amount if row["asset"] == "ETH" else 0
                usd += amount if row["asset"] == "USDC" else 0
        return eth, usd

    def read_book(self) -> Book:
        """The journal of a process that is gone, folded afresh."""
        journal = Journal.open(self.journal_path, clock=self.clock, environment="devnet", codec=event_codec())
        try:
            book = Book()
            for event in journal.events():
                book.apply(event)
            return book
        finally:
            journal.close()

    def events(self) -> list[object]:
        journal = Journal.open(self.journal_path, clock=self.clock, environment="devnet", codec=event_codec())
        try:
            return list(journal.events())
        finally:
            journal.close()


def order(
    office: Office,
    qty: str,
    side: Side = Side.SELL,
    *,
    algo: str = "market",
    params: tuple[tuple[str, str], ...] = (),
    limit: str | None = None,
    slippage_bps: int = 50,
    life_s: int = 600,
    salt: str = "",
) -> ParentOrder:
    now = office.clock.now_ns()
    intent = Intent(
        id=intent_id("devnet", custody.SAFE, f"{side} {qty} {algo} {params}", salt),
        source="test",
        side=side,
        base="ETH",
        quote="USDC",
        qty=Decimal(qty),
        limit_px=Decimal(limit) if limit else None,
        algo=algo,
        algo_params=params,
        max_slippage_bps=slippage_bps,
        protection=Protection.PRIVATE,
        created_ns=now,
        expire_ns=now + life_s * 10**9,
    )
    return ParentOrder(parent_id(intent.id), intent)


def statuses(book: Book, parent: ParentOrder) -> Iterator[str]:
    for part in book.parts_of(parent.cl_ord_id):
        yield part.status.value if part.status else part.failed


__all__ = ["BASE", "HERE", "LIMITS", "PAPER", "Grave", "Killed", "Office", "order", "replace", "statuses"]
