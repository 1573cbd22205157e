"""A route: the legs in the order they execute, what they give exactly, and what they cost. The `route` object of FORMATS.

All `_raw` values are ints of base units; `costs` are in base units of the bought asset, rounded against us.
"""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal

from agent.domain.instruments import AssetId, Place


@dataclass(frozen=True, slots=True)
class Leg:
    """One swap through one pool, one order into one book, or one transfer between places. `id` is the pool's id, `VENUE:BASE/QUOTE` or `transfer:FROM>TO`.

    For a book leg `px` is the worst level the leg needs (the limit an order must carry) and `qty` the base quantity on
    the venue's lot; both are None for pools. `place` says which wallet or account executes it.
    """

    id: str
    place: Place
    asset_in: AssetId
    asset_out: AssetId
    in_raw: int
    out_raw: int
    gas: int
    fee_raw: int
    fee_asset: AssetId
    kind: str
    ticks_crossed: int = 0
    qty: Decimal | None = None
    px: Decimal | None = None


@dataclass(frozen=True, slots=True)
class Costs:
    """`fees_raw` is informative, already inside the route's `out_raw`."""

    gas_raw: int
    transfer_raw: int
    fees_raw: int
    native_px: str


@dataclass(frozen=True, slots=True)
class PlaceSummary:
    """What one place contributes: `mid_px` and `avg_px` are bought per sold, `impact_bps` the distance between them."""

    place: Place
    asset_in: AssetId
    asset_out: AssetId
    in_raw: int
    out_raw: int
    gas: int
    gas_raw: int
    fee_raw: int
    avg_px: Decimal
    mid_px: Decimal
    impact_bps: Decimal


@dataclass(frozen=True, slots=True)
class ProofBranch:
    """Prices that hold for the plans which trade none of the pairs `off`, each (sold, bought)."""

    off: tuple[tuple[AssetId, AssetId], ...]
    prices: tuple[tuple[AssetId, str], ...]


@dataclass(frozen=True, slots=True)
class PassingProof:
    """Two prices of every asset: for plans that come to it before `asset` is sold, and after."""

    asset: AssetId
    before: tuple[tuple[AssetId, str], ...]
    after: tuple[tuple[AssetId, str], ...]


@dataclass(frozen=True, slots=True)
class GasMove:
    """Gas counted at the leg that sells `given` to `pool` for `got`, each an asset at a place, instead of at the legs that buy what it `sells`, or else
    that sell on what it buys; whole units of the bought asset, as decimal text."""

    sells: bool
    pool: str
    given: AssetId
    got: AssetId
    gas: str


@dataclass(frozen=True, slots=True)
class ChainProof:
    """Prices for plans in which no chain has more than `hops` legs: `ends` of what is sold and bought, then of every asset with one leg
    behind it, two and so on, in `before` where no chain to it leads through the `hub`, in `after` where one does. `then` are further such
    prices, each for the plans that those before it leave; `legs` is how many the plans have at most in all, where that is limited. With `moves` the
    prices prove their bound."""

    hops: int
    hub: AssetId | None
    ends: tuple[tuple[AssetId, str], ...]
    before: tuple[tuple[tuple[AssetId, str], ...], ...]
    after: tuple[tuple[tuple[AssetId, str], ...], ...]
    then: tuple[ChainProof, ...] = ()
    legs: int | None = None
    split: CaseSplit | None = None
    moves: tuple[GasMove, ...] = ()


@dataclass(frozen=True, slots=True)
class CaseSplit:
    """Two cases of which every plan is one: first those that trade the `pair` of `pool` (None: any of the pool), then those that do not; or
    those in which `asset` stands at one of the places `at`, each a number of legs behind it and whether it is after the hub, then the others."""

    pool: str | None
    pair: tuple[AssetId, AssetId] | None
    asset: AssetId | None
    at: tuple[tuple[int, bool], ...]
    cases: tuple[CaseProof, CaseProof]


@dataclass(frozen=True, slots=True)
class CaseProof:
    """What is proved of the plans of one case: sets of prices, each for what those before it leave, and the cases it is divided into."""

    sets: tuple[ChainProof, ...]
    split: CaseSplit | None = None


@dataclass(frozen=True, slots=True)
class Certificate:
    """A proof of how far a route can be from the best one over the pools and books that were loaded.

    `prices` are values of a whole unit of each asset in whole units of the bought one, as decimal text; `bound_raw` is the most
    that any plan nets, proved by them; `gap_bps` is None where the route nets nothing. `seal` is a digest of the whole answer.
    """

    prices: tuple[tuple[AssetId, str], ...]
    bound_raw: int
    gap_bps: float | None
    market_digest: str
    pools: int
    books: int
    cross_domain: bool
    branches: tuple[ProofBranch, ...] = ()
    seal: str = ""
    passing: PassingProof | None = None
    chains: ChainProof | None = None
    """Where it is given, the bound speaks of plans with no longer chain of legs, and of any plan otherwise."""
    transfers: int = 0
    """How many transfers between places were loaded, of those that take no longer than `max_seconds`."""
    max_seconds: int | None = None


@dataclass(frozen=True, slots=True)
class CircleLeg:
    """One exact swap of a circle, on what the legs and circles before it left of the pool."""

    id: str
    asset_in: AssetId
    asset_out: AssetId
    in_raw: int
    out_raw: int


@dataclass(frozen=True, slots=True)
class Circle:
    """A chain of pools that ends in the `asset` it began with and gives `gain_raw` more of it, before gas; `value_raw` is that in the bought
    asset, rounded down, None where nothing prices it."""

    asset: AssetId
    legs: tuple[CircleLeg, ...]
    gain_raw: int
    value_raw: int | None


@dataclass(frozen=True, slots=True)
class Arbitrage:
    """What the pools of a market would give whoever traded them against each other before any order, gas left out: no part of a route's value.

    `value_raw` is the sum over the circles that have a price, `pools` how many pools they go through; not `complete`: there may be more."""

    circles: tuple[Circle, ...]
    value_raw: int
    pools: int
    complete: bool


@dataclass(frozen=True, slots=True)
class Route:
    """A plan re-simulated exactly: holding one means its legs give `out_raw` on the market named by `market_digest`."""

    sell: AssetId
    buy: AssetId
    in_raw: int
    out_raw: int
    net_out_raw: int
    costs: Costs
    legs: tuple[Leg, ...]
    places: tuple[PlaceSummary, ...]
    market_digest: str
    took_ms: tuple[tuple[str, float], ...] = ()
    certificate: Certificate | None = None
    arbitrage: Arbitrage | None = None
    """None where nobody looked for it."""
    seconds: tuple[int, int] | None = None
    """How long its transfers take: usually, and no longer than ninety-nine times of a hundred. None where it has none."""
