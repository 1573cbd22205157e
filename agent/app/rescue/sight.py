"""One lending account of the wallet with everything a rescue decides by: health, balances, fees, and what makes any of it doubtful.

Each doubt has a name and is told; none is passed over in silence. What the protocol itself would liquidate by is acted on all the same:
a repayment or more collateral is right at any price, so that only what cannot be computed, or cannot be sent, stops it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from decimal import Decimal, localcontext
from typing import TYPE_CHECKING

from agent.amm import ConcentratedPool
from agent.app.chain_desk import ChainDesk
from agent.app.lenders.lender import Lender, SeenLoan
from agent.app.lenders.markets import lender_of
from agent.app.loan_payments import payable
from agent.app.rescue.doubts import Doubt, sequencer_doubts
from agent.app.rescue.elsewhere import at_once, on_other_chains
from agent.app.rescue.flash import pools_of
from agent.app.settings_rescue import RescueTable
from agent.domain.errors import Denied, Usage
from agent.domain.instruments import AssetId, Place
from agent.domain.units import WIDE, qty_exact, raw_down
from agent.execution.settlement import token_of
from agent.margin import compound_v3, maker_vault, morpho_blue
from agent.margin.model import State
from agent.margin.worths import DOLLAR
from agent.ports import ExecutionVenue
from chains.gas import Urgency, bid
from chains.types import Address, Fees

if TYPE_CHECKING:
    from agent.app.wiring import App

WAD = 10**18


@dataclass(frozen=True)
class Sight:
    """`held` are the wallet's balances there in base units, `at_venues` what exchanges hold of the same asset; `sender_wei` pays the
    gas; `prices` are our own sources' medians by symbol, for estimates. `on_chains` is what a bridge would bring from other chains, read only
    where the account is below its target; so are `pools`, by which its own collateral would buy what it owes."""

    rule: RescueTable
    desk: ChainDesk
    lender: Lender
    one: SeenLoan
    held: Mapping[AssetId, int]
    at_venues: Mapping[tuple[str, AssetId], Decimal]
    fees: Fees
    sender_wei: int
    prices: Mapping[str, Decimal]
    doubts: tuple[Doubt, ...]
    on_chains: Mapping[AssetId, int] = field(default_factory=dict)
    pools: Mapping[str, ConcentratedPool] = field(default_factory=dict)
    payable: Mapping[tuple[str, Address], int] = field(default_factory=dict)
    """Where the agent's key pays beside the Gate: what its budgets leave now, by (verb, token), base units."""

    @property
    def name(self) -> str:
        return self.one.name

    @property
    def health_1e18(self) -> int | None:
        return self.one.health.health_1e18 if self.one.health is not None else None

    @property
    def unknown(self) -> bool:
        return self.one.state is State.UNKNOWN

    def below(self, threshold: Decimal) -> bool:
        """Whether the health factor is known, and below that."""
        health = self.health_1e18
        return not self.unknown and health is not None and health < raw_down(threshold, 18)

    @property
    def unit_usd(self) -> Decimal | None:
        """What one of the unit is worth that the protocol counts this account in; None where no source of ours prices it."""
        if isinstance(self.one.account, morpho_blue.Account):
            return self.prices.get(self.one.symbols.get(self.one.account.loan, ""))
        if isinstance(self.one.account, compound_v3.Account):
            own = self.prices.get(self.one.symbols.get(self.one.account.base, ""))
            if own is None or not self.one.account.base_price_1e8:
                return None
            with localcontext(WIDE):
                return own / Decimal(self.one.account.base_price_1e8).scaleb(-8)
        return DOLLAR

    @property
    def stopped(self) -> Doubt | None:
        return next((d for d in self.doubts if d.stops), None)

    def usd_of_wei(self, wei: int) -> Decimal | None:
        with localcontext(WIDE):
            px = self.prices.get(self.desk.profile.native)
            return None if px is None else qty_exact(wei, 18) * px


def desk_of(app: App, rule: RescueTable) -> ChainDesk:
    """Raises Usage NO_LENDING or Denied SCOPE_NONE where nothing could ever be done on that chain."""
    chain = app.settings.chain(rule.chain)
    assert chain is not None, "the settings were checked"
    desk = app.chains[chain.chain_id]
    if app.roads is not None and desk.road is None:
        raise Denied(
            "SCOPE_NONE",
            f"{rule.chain}: the owners grant the agent's key nothing there",
            "add a [[scopes]] table for it, or let the owners sign (`--by owners`)",
        )
    if desk.simulator is None:
        raise Usage("NO_LENDING", f"the settings only watch {rule.chain}", "add [wallet.sender]")
    return desk


async def look(app: App, rule: RescueTable) -> Sight | None:
    """None where the chain has no such market, or the wallet no account there. One that cannot be read is UNKNOWN. Raises Retry where the
    chain is silent."""
    chain = app.settings.chain(rule.chain)
    assert chain is not None, "the settings were checked"
    desk = desk_of(app, rule)
    lender = await lender_of(chain, desk.gateway, rule.market, desk.wallet)
    view = desk.account_view()
    one = await lender.look(view, desk.wallet) if lender is not None else None
    if lender is None or one is None:
        return None
    if desk.road is not None and isinstance(one.account, maker_vault.Account):
        # FurtherPayments accrues the fee and reads the rate in the very block.
        one = replace(one, account=replace(one.account, late_s=0))
    tokens = [a for a in app.directory.at(desk.place) if "/erc20:" in a]
    assert desk.sender is not None
    (held, history, wei, prices), (stale, down, at_venues), _ = await asyncio.gather(
        asyncio.gather(
            # Of the block that the account was read of: what came since would be paid in before it is there.
            app.market.balances(desk, tokens, one.found.block if one.found is not None else None),
            desk.gateway.fee_history(),
            desk.gateway.balance(desk.sender),
            app.oracles.medians(),
        ),
        asyncio.gather(
            lender.stale(desk.gateway, one, lambda source: _limit_s(app, rule, source)),
            _sequencer(app, rule, desk),
            _at_venues(app),
        ),
        view.settle(),
    )
    fees = bid(history, Urgency.URGENT)
    doubts = [*stale, *down]
    if one.state is State.UNKNOWN:
        doubts.append(
            Doubt(
                "HEALTH_UNKNOWN",
                f"{one.name}: its health cannot be told, and is not taken for safe: {one.trouble}",
                "`fairlead health`; rescue it by hand if you know better",
                stops=True,
            )
        )
    if desk.followed.distrusted:
        doubts.append(
            Doubt(
                "EVENTS_DISAGREE",
                desk.followed.distrusted,
                "nothing is to be done: it costs a request more each time",
            )
        )
    sight = Sight(rule, desk, lender, one, held, at_venues, fees, wei, prices, tuple(doubts))
    if not sight.below(rule.target):
        return sight
    on_chains, (pools, absent), left = await asyncio.gather(
        on_other_chains(app, desk), pools_of(app, desk), _payable(app, desk, lender)
    )
    return replace(sight, on_chains=on_chains, pools=pools, doubts=(*sight.doubts, *absent), payable=left)


async def _payable(app: App, desk: ChainDesk, lender: Lender) -> Mapping[tuple[str, Address], int]:
    opened = app.roads.opened.get(desk.profile.chain_id) if app.roads is not None else None
    return {} if opened is None else await payable(desk.gateway, opened.scope, opened.road, lender)


def next_s(app: App, sight: Sight) -> int:
    """The time of the block a payment would be in at the soonest; now, where nothing could be read."""
    seen = sight.one.found.block.timestamp + 1 if sight.one.found is not None else 0
    return max(seen, app.clock.now_ns() // 10**9)


def _limit_s(app: App, rule: RescueTable, source: Address | None) -> int:
    """A feed's own limit of age, where [oracles] gives it one; the rule's else."""
    known = [o for sources in app.settings.oracles.values() for o in sources if o.address == source]
    own = [o.max_age_s for o in known if o.max_age_s is not None]
    return max([rule.max_price_age_s, *own])


async def _sequencer(app: App, rule: RescueTable, desk: ChainDesk) -> list[Doubt]:
    """Chainlink's uptime feed: its answer is 0 while the sequencer is up, since `startedAt`."""
    scope = next((s for s in app.settings.scopes if s.chain == rule.chain), None)
    feed = rule.sequencer or (scope.sequencer if scope is not None else None)
    if feed is None:
        return []
    return await sequencer_doubts(
        desk.gateway, Address(feed), rule.chain, scope.sequencer_grace_s if scope is not None else 3_600
    )


async def _at_venues(app: App) -> dict[tuple[str, AssetId], Decimal]:
    """What lies free at exchanges, by (exchange, its own asset id).

    One that does not answer at once holds nothing for a rescue: what it has is told to the owner, and no rescue waits for that.
    """

    async def free(name: str, venue: ExecutionVenue) -> dict[tuple[str, AssetId], Decimal]:
        known = set(app.directory.at(Place(f"cex:{name}")))
        balances = await at_once(venue.balances(), ())
        return {(name, b.asset): b.free for b in balances if b.asset in known and b.free > 0}

    found: dict[tuple[str, AssetId], Decimal] = {}
    for one in await asyncio.gather(*(free(*pair) for pair in app.venues.items())):
        found |= one
    return found


def token_known(app: App, asset: str) -> AssetId | None:
    """The settings' own id of a token, None where they do not list it."""
    wanted = token_of(AssetId(asset))
    return next(
        (
            a
            for a in app.directory.assets
            if "/erc20:" in a and a.split("/")[0] == asset.split("/")[0] and token_of(a) == wanted
        ),
        None,
    )
