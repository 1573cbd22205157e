"""The settings as one frozen tree. Every field's description is what `fairlead config explain` prints.

Money is a decimal string in the file and a Decimal here. Secrets are references (`keys.secrets` resolves them), never values.
Paths are absolute once loaded: those in the file are relative to its folder, defaults to the environment's state folder.
"""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field

from agent.app.settings_alerts import Alerts
from agent.app.settings_bridge import BridgeTable
from agent.app.settings_fix import Fix
from agent.app.settings_jobs import Daemon, HedgeJob, Timing
from agent.app.settings_lending import Gmx, TroveRef
from agent.app.settings_maker import Maker
from agent.app.settings_outside import OutsideTable
from agent.app.settings_pools import Pool, PoolFactory
from agent.app.settings_ramp import RampTable
from agent.app.settings_reconcile import ReconcileTable
from agent.app.settings_rescue import MarginRescueTable, RescueTable
from agent.app.settings_scope import ScopeTable
from agent.app.settings_table import Table
from agent.app.settings_types import (
    Address,
    AssetRef,
    Bps,
    CodeHash,
    Endpoint,
    Money,
    MorphoId,
    Name,
    PositiveMoney,
    Seconds,
    SecretRef,
    SwitchSeconds,
    Symbol,
)
from chains.types import Environment, Protection


class Owner(Table):
    address: Address = Field(description="An owner of the Safe, as its contract lists it.")
    label: str = Field("", description="What you call this owner; only shown.")
    keystore: Path | None = Field(
        None,
        description="The owner's keystore V3 file, if this machine may sign for this owner; none means that this owner signs elsewhere.",
    )
    password: SecretRef | None = Field(
        None,
        description="Where that keystore's password is; none means that it is asked for at each signature.",
    )
    signer: dict[str, str | int | float] | None = Field(
        None,
        description="Instead of a keystore: the kind of signer that holds the key, and its options (keys/KIND.py), as in "
        '{ kind = "ledger", path = "44\'/60\'/0\'/0/0" }. A secret among them is a reference.',
    )


class Sender(Table):
    address: Address = Field(
        description="The account that sends the Safe's transactions and pays their gas. It owns nothing else."
    )
    keystore: Path | None = Field(
        None,
        description="Its keystore V3 file. `fairlead signer init` writes it into the signer's file; only `fairlead signer run` opens it.",
    )
    password: SecretRef | None = Field(
        None,
        description="Where that keystore's password is; none means that `fairlead signer unlock` asks for it.",
    )
    signer: dict[str, str | int | float] | None = Field(
        None,
        description="Instead of a keystore: the kind of signer that holds the key, and its options (keys/KIND.py), as for an owner. A key "
        "that sends without a person is best in a service; a secret among the options is a reference.",
    )


class Wallet(Table):
    address: Address = Field(
        description="The wallet whose assets are traded: a Safe, or an ordinary account. The same address on every chain below."
    )
    kind: Literal["safe", "eoa"] = Field(
        "safe", description="What stands at that address: a Safe, or an externally owned account."
    )
    threshold: Annotated[int, Field(ge=1, le=100)] = Field(
        1,
        description="How many owners must sign; compared with the Safe's own answer before anything is signed.",
    )
    owners: tuple[Owner, ...] = Field(
        (), description="The Safe's owners that this installation knows. None means watch-only."
    )
    sender: Sender | None = Field(None, description="The account that submits. None means watch-only.")
    delegates: tuple[Address, ...] = Field(
        (),
        description="Code that an owner's or the sender's key may be told to run by EIP-7702 (`fairlead wallet delegate`). None means none: whoever such code obeys can do all that the key can.",
    )
    route_executor: CodeHash | None = Field(
        None,
        description="The code hash of our RouteExecutor (contracts/src/RouteExecutor.sol; unaudited), where it may carry routes that the audited routers cannot: `fairlead wallet executor` tells it. None means that only audited routers are used.",
    )
    flash_repay: CodeHash | None = Field(
        None,
        description="The code hash of our FlashRepay (contracts/src/FlashRepay.sol; unaudited), where rescues that owners sign may repay a loan out of its own collateral in one transaction: `fairlead wallet flash` tells it. None means never.",
    )
    authority: Literal["auto", "owners", "agent"] = Field(
        "auto",
        description="Who signs. owners: always they. agent: always the agent's own key, within its [[scopes]]. auto: owners sign what a person asks for (`trade`), the agent's key what nobody watches (`run`), where there are [[scopes]].",
    )


class Relay(Table):
    name: Name = Field(description="The relay's module in chains/relays.")
    url: Endpoint = Field(description="The relay's URL, or a reference to it.")
    auth_key: SecretRef | None = Field(
        None,
        description="The key that signs relay requests; it holds no funds. None means a fresh one for each run.",
    )


class OrderBook(Table):
    name: Literal["cow"] = Field("cow", description="Whose order book it is: CoW Protocol's.")
    url: Endpoint = Field(
        description="Its URL up to and without /api, or a reference to it, like https://api.cow.fi/mainnet."
    )
    scheme: Literal["eip1271", "presign"] = Field(
        "eip1271",
        description="How the Safe says yes to an order: by its owners' signatures, which nobody sees but the book and its solvers, or on chain together with the allowance.",
    )
    valid_s: Annotated[int, Field(ge=90, le=900)] = Field(
        300,
        description="How long an order may be settled after it was made, in seconds; its allowance has to be in a block first.",
    )
    partially_fillable: bool = Field(
        False, description="Whether an order may be settled in parts, each at its limit price or better."
    )


class BundlerTable(Table):
    url: Endpoint = Field(description="The bundler's URL (ERC-7769), or a reference to it.")
    private: bool = Field(
        False,
        description="Whether its operator promises to show operations to nobody before their block: no shared mempool of operations, bundles sent privately. A bundler does not say so itself; without it no PRIVATE plan is given to it.",
    )
    entry_point: Literal["0.7", "0.8"] = Field(
        "0.7",
        description="Whose operations it takes: EntryPoint 0.7, of Safes with the 4337 module, or 0.8, of keys that run code (`fairlead wallet operate`).",
    )


class Chain(Table):
    name: Name = Field(description="The chain's module in chains/profiles.")
    chain_id: Annotated[int, Field(ge=1)] = Field(
        description="EIP-155 id; an RPC that answers for another chain is refused."
    )
    rpc: Annotated[tuple[Endpoint, ...], Field(min_length=1)] = Field(
        description="RPC endpoints, or references where the URL holds a key. http(s) ones answer calls, and at least one is needed; several are asked for what matters. ws(s) ones tell new heads, so that nothing waits for a poll."
    )
    protection: Protection = Field(
        Protection.PRIVATE,
        description="PRIVATE: through the relays only, never to the public mempool. PUBLIC: plain submission, as on a chain with one sequencer. INTENT: signed orders that others settle.",
    )
    relays: tuple[Relay, ...] = Field(
        (),
        description="Private relays, all used at once. Required where protection is PRIVATE and the wallet trades.",
    )
    order_book: OrderBook | None = Field(
        None,
        description="The order book that INTENT orders of this chain go to. None means that there are none.",
    )
    bundler: BundlerTable | None = Field(
        None,
        description="Where user operations go, for a scope whose account is one behind ERC-4337. None means that there are none.",
    )
    pools: tuple[Pool, ...] = Field((), description="The pools that quotes and routes may use.")
    factories: tuple[PoolFactory, ...] = Field(
        (),
        description="Factories, Uniswap's own or others', whose pools of every two assets of this chain may be used too, one [[chains.factories]] table each.",
    )
    finality: Literal["finalized", "safe", "depth"] = Field(
        "finalized",
        description="When a block counts as settled: the chain's finalized or safe tag, or a number of blocks on top.",
    )
    finality_depth: Annotated[int, Field(ge=1, le=10_000)] = Field(
        64, description="Blocks on top, where finality is depth."
    )
    safe_service: Endpoint | None = Field(
        None,
        description="The Safe Transaction Service of this chain, or a reference to its URL: proposals and signatures are given to it and "
        "taken from it. None means files alone; `--service none` does without it once.",
    )
    safe_service_key: SecretRef | None = Field(
        None, description="Where that service's API key is, if it wants one."
    )
    lending_pool: Address | None = Field(
        None,
        description="The pool of Aave V3's kind that lending, health, rescues and the agent's scope mean on this chain, Spark's say. None means its profile's.",
    )
    lending_pools: tuple[Address, ...] = Field(
        (),
        description="More markets of Aave V3's kind on this chain, Spark's pool for one, for `fairlead health` and rescues.",
    )
    aave_v4_spokes: tuple[Address, ...] = Field(
        (),
        description="Spokes of Aave V4 on this chain, besides those of its profile: `fairlead health` finds the wallet's positions there and holds them UNKNOWN.",
    )
    comets: tuple[Address, ...] = Field(
        (), description="The Compound III markets (Comets) of this chain, for `fairlead health` and rescues."
    )
    morpho: Address = Field(
        "0xBBBBBbbBBb9cC5e90e3b3Af64bdAF62C37EEFFCb",
        description="Morpho Blue on this chain, for `morpho_markets`.",
    )
    morpho_markets: tuple[MorphoId, ...] = Field(
        (), description="The ids of the Morpho Blue markets of this chain that `fairlead health` looks at."
    )
    maker: Maker | None = Field(
        None, description="The wallet's vaults at Maker (Sky) on this chain, a [chains.maker] table."
    )
    crvusd_controllers: tuple[Address, ...] = Field(
        (),
        description="The controllers of crvUSD and Llamalend of this chain whose loans of the wallet `fairlead health` looks at.",
    )
    troves: tuple[TroveRef, ...] = Field(
        (),
        description='Troves of Liquity v2 that `fairlead health` looks at, each as { registry = "0x…", id = "…" }.',
    )
    gmx: Gmx | None = Field(
        None,
        description="Where GMX v2 stands on this chain, a [chains.gmx] table: the wallet's positions there are looked at.",
    )


class Venue(Table):
    name: Name = Field(description="The venue's name in asset ids: its balances are cex:NAME/SYMBOL.")
    module: Name = Field(description="The venue's module in agent/venues.")
    exchange: Name | None = Field(
        None, description='Which exchange of a family: with module = "ccxt" its name there, like "okx".'
    )
    sandbox: bool = Field(
        False, description="With a family: the exchange's own sandbox instead of its market."
    )
    portfolio_margin: bool = Field(
        False,
        description='With module = "ccxt" and exchange = "binance": the account has portfolio margin, which is read and judged.',
    )
    margin_parameters: Path | None = Field(
        None,
        description='With module = "ccxt" and exchange = "derive": a JSON file of the parameters of its portfolio margin, an object by index ({"ETH": {…}}, keys as `derive_pm` has them), which no endpoint tells.',
    )
    base_url: Endpoint | None = Field(None, description="HTTP address; none means the venue's own.")
    ws_url: Endpoint | None = Field(None, description="WebSocket address; none means the venue's own.")
    api_key: SecretRef | None = Field(
        None, description="Where the API key is. Trade permission only: never withdrawal."
    )
    api_secret: SecretRef | None = Field(
        None, description="Where the API secret is; only `fairlead signer` resolves it."
    )
    api_password: SecretRef | None = Field(
        None,
        description="Where the key's passphrase is, where the exchange has one; only `fairlead signer` resolves it.",
    )
    counterparty_cap_usd: Money = Field(
        Decimal(0),
        description="The most this venue may hold of yours, in USD, before orders there are denied, but exits and what only makes a position smaller.",
    )
    cancel_after_s: SwitchSeconds = Field(
        60,
        ge=0,
        le=3600,
        description="Where the exchange has such a switch: it ends all orders of the account so long after this process was last heard of; 10 at least. 0: never.",
    )
    foreign_orders: Literal["alarm", "leave"] = Field(
        "alarm",
        description="Orders there that are not Fairlead's: told with an alarm (the default), or left to whoever else uses the account without one; they lock nothing, and what they fill is taken over either way. One with an id of Fairlead's that this journal does not know locks the exchange.",
    )
    symbols: tuple[str, ...] = Field(
        (), description="The venue's instruments that may be traded, in its own spelling."
    )
    fix: Fix | None = Field(
        None, description="Its orders and reports go by FIX sessions; what is read stays with REST."
    )


class Limits(Table):
    per_order_usd: PositiveMoney = Field(Decimal("10000"), description="The largest order, in USD.")
    per_day_usd: PositiveMoney = Field(
        Decimal("50000"), description="The most that may be traded in 24 hours, in USD."
    )
    allow_assets: tuple[Symbol, ...] = Field(
        (), description="Assets that may be traded, by symbol. Empty means none."
    )
    allow_venues: tuple[Name, ...] = Field(
        (), description="Chains and venues, by name, that may be traded on. Empty means none."
    )
    price_collar_bps: Bps = Field(
        100, description="How far a plan's price may be from the oracles' before it is denied."
    )
    max_slippage_bps: Bps = Field(
        50, description="How far an execution may fall behind its plan; it is in the calldata as a minimum."
    )
    max_price_age_s: Seconds = Field(
        3_900, description="An oracle price older than this is unknown, and unknown denies."
    )
    max_market_age_s: Seconds = Field(30, description="A pool or book older than this is not routed through.")
    min_gas_reserve: dict[Name, Money] = Field(
        {},
        description="For each chain, by name, what the sender must keep of the chain's coin, in whole coins.",
    )


class Oracle(Table):
    kind: Literal["chainlink", "venue"] = Field(
        description="chainlink: a price feed contract. venue: the mid of an exchange's book."
    )
    chain: Name | None = Field(None, description="The chain a feed is on, by name.")
    address: Address | None = Field(None, description="The feed's contract.")
    venue: Name | None = Field(None, description="The exchange, by name.")
    symbol: str | None = Field(None, description="The exchange's instrument, in its own spelling.")
    max_age_s: Seconds | None = Field(
        None, description="This source's own limit of age; none means limits.max_price_age_s."
    )

    @property
    def source(self) -> tuple[str, str]:
        """What makes two sources the same one."""
        return (self.kind, f"{self.chain}:{self.address}" if self.kind == "chainlink" else f"{self.venue}")


class Signer(Table):
    socket: Path = Field(Path("signer.sock"), description="The Unix socket of `fairlead signer`.")
    config: Path = Field(
        Path("signer.json"), description="The signer's own policy file, which only the signer reads."
    )
    unattended: bool = Field(
        False,
        description="Whether throw-away keys may sign without a person. Refused in the live environment.",
    )


class Job(Timing):
    side: Literal["sell", "buy"] = Field(description="sell or buy.")
    qty: PositiveMoney = Field(description="How much of `base`, in whole units.")
    base: Symbol = Field(description="What is sold or bought, by symbol.")
    quote: Symbol = Field(description="What is received for it, or paid.")
    limit: PositiveMoney | None = Field(None, description="No worse than this net price.")
    algo: Name | None = Field(
        None, description="market, limit, twap; none means market, or limit where a limit is given."
    )
    over: str | None = Field(None, description="For twap: how long, like 10m.")
    slices: Annotated[int, Field(ge=1, le=10_000)] | None = Field(None, description="For twap: how many.")
    max_slippage_bps: Bps = Field(50, description="How far below its plan an execution may fall.")


class JournalTable(Table):
    path: Path = Field(Path("journal.db"), description="The journal's file.")
    emergency_path: Path = Field(
        Path("emergency.bin"),
        description="A small pre-allocated file, best on another disk, that takes cancels and halts when the journal's disk is full.",
    )


class Settings(Table):
    environment: Environment = Field(
        description="devnet, fork or live: which world keys and signatures belong to."
    )
    live: bool = Field(
        False, description="Whether writes may leave at all; each command needs --live besides."
    )
    wallet: Wallet = Field(description="The wallet that is traded for.")
    chains: Annotated[tuple[Chain, ...], Field(min_length=1)] = Field(
        description="The chains, one [[chains]] table each."
    )
    venues: tuple[Venue, ...] = Field((), description="The exchanges, one [[venues]] table each.")
    assets: dict[Symbol, tuple[AssetRef, ...]] = Field(
        {},
        description="For each symbol, the asset in every place it is held: CAIP-19 ids, or cex:VENUE/SYMBOL.",
    )
    equivalents: dict[Symbol, tuple[Symbol, ...]] = Field(
        {},
        description="For each name you trade by, the symbols that are one and the same to you, such as ETH for ETH and WETH.",
    )
    limits: Limits = Field(
        default_factory=Limits.model_construct, description="What is never exceeded, whoever asks."
    )
    ramp: RampTable = Field(
        default_factory=RampTable.model_construct,
        description="What is new starts small: caps that orders which settled raise.",
    )
    reconcile: ReconcileTable = Field(
        default_factory=ReconcileTable.model_construct,
        description="When the books beside an exchange lock it.",
    )
    oracles: dict[Symbol, tuple[Oracle, ...]] = Field(
        {}, description="For each symbol, at least two independent sources of its price in USD."
    )
    signer: Signer = Field(
        default_factory=Signer.model_construct, description="The process that holds the keys."
    )
    journal: JournalTable = Field(default_factory=JournalTable.model_construct, description="The record.")
    outside: OutsideTable = Field(
        default_factory=OutsideTable.model_construct,
        description="Other routers whose quotes stand beside ours in `quote`.",
    )
    alerts: Alerts = Field(
        default_factory=Alerts.model_construct, description="Where alerts go, besides the terminal."
    )

    jobs: tuple[Job, ...] = Field(
        (), description="Orders that `fairlead run` sends by itself, one [[jobs]] table each."
    )
    hedges: tuple[HedgeJob, ...] = Field(
        (), description="Hedging jobs: what to send is decided at each fire, one [[hedges]] table each."
    )
    daemon: Daemon = Field(
        default_factory=Daemon.model_construct,
        description="How `fairlead run` keeps its jobs and is watched.",
    )

    bridge: BridgeTable = Field(
        default_factory=BridgeTable.model_construct,
        description="What is offered and how much may be on its way where money is brought from one chain to another.",
    )

    rescues: tuple[RescueTable, ...] = Field(
        (),
        description="Lending accounts that `fairlead run` brings back to health, one [[rescues]] table each; `fairlead rescue` shows what it would do.",
    )
    margin_rescues: tuple[MarginRescueTable, ...] = Field(
        (),
        description="Margin accounts at exchanges whose positions `fairlead run` makes smaller in time, one [[margin_rescues]] table each.",
    )

    scopes: tuple[ScopeTable, ...] = Field(
        (),
        description="What the agent's own key may do by itself, one [[scopes]] table a chain; `fairlead wallet scope` makes it the owners' transaction.",
    )

    def chain(self, name_or_id: str | int) -> Chain | None:
        return next((c for c in self.chains if name_or_id in (c.name, c.chain_id)), None)

    def venue(self, name: str) -> Venue | None:
        return next((v for v in self.venues if v.name == name), None)

    @property
    def watch_only(self) -> bool:
        """Nothing here can sign."""
        return self.wallet.sender is None and not any(o.keystore or o.signer for o in self.wallet.owners)
