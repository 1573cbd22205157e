"""The `[[rescues]]` and `[[margin_rescues]]` tables: which accounts are brought back to health, from when on, how far, and for how much."""

from __future__ import annotations

from decimal import Decimal
from typing import Annotated

from pydantic import Field

from agent.app.settings_table import Table
from agent.app.settings_types import Address, Bps, Name, PoolId, PositiveMoney, Seconds, Symbol


class HedgedTable(Table):
    """What both kinds of rule say of a hedge elsewhere."""

    hedge_at: Name | None = Field(
        None,
        description="The exchange at which a contract is sold against what would be liquidated, where no means restores the target; it bounds what is lost, and raises no health. None means never.",
    )
    hedge_with: Symbol | None = Field(
        None,
        description="The contract it is done with, a symbol of [assets] that is at hedge_at, like ETH-PERP.",
    )
    hedge_of: Symbol | None = Field(
        None, description="Which coin the contract is of. None means its name up to the first dash."
    )
    hedge_first: bool = Field(
        False,
        description="Whether it comes before all other means: nothing is paid in or made smaller while it stands.",
    )
    hedge_most_usd: PositiveMoney = Field(
        Decimal("10000"), description="The most that the hedge may be worth, in USD."
    )
    hedge_shock: PositiveMoney = Field(
        Decimal("0.3"),
        description="The move against the hedge, as a part of the price, that the account at hedge_at has to survive with it: it is made as small as that takes.",
    )
    hedge_until: PositiveMoney | None = Field(
        None, description="From this health on it is taken off again. None means the rule's target."
    )
    hedge_days: Annotated[Seconds, Field(ge=1)] = Field(
        7, description="How long it is expected to stand, in days: funding is estimated over it."
    )

    def lasts_below(self, target: Decimal) -> Decimal:
        """The health up to which a hedge stands."""
        return self.hedge_until if self.hedge_until is not None else target


class RescueTable(HedgedTable):
    name: Name = Field(description="What you call it; its alerts and transactions carry the name.")
    chain: Name = Field(description="The chain of the wallet's account that is watched, by name.")
    market: PoolId | None = Field(
        None,
        description="Which account there: a pool of the chain's lending_pools, one of its comets, an id of its morpho_markets or the urn of one of its maker.vaults. None means its Aave V3.",
    )
    warn: PositiveMoney = Field(
        Decimal("1.25"), description="Below this health factor somebody is told, and nothing is done."
    )
    trigger: PositiveMoney = Field(
        Decimal("1.15"), description="Below this health factor `fairlead run` rescues by itself."
    )
    target: PositiveMoney = Field(
        Decimal("1.35"), description="The health factor that a rescue restores, at the least."
    )
    most_usd: PositiveMoney = Field(
        Decimal("10000"),
        description="The most that one payment of a rescue may be, in USD. It stays the wallet's own.",
    )
    per_day_usd: PositiveMoney = Field(
        Decimal("20000"),
        description="The most that rescues of this account may pay in within 24 hours, in USD, those of all daemons that share the jobs' store together.",
    )
    most_cost_usd: PositiveMoney = Field(
        Decimal("200"), description="The most that one rescue may lose to gas and spread, in USD."
    )
    add_collateral: bool = Field(
        True, description="Whether more collateral may be supplied, besides repaying."
    )
    swap: bool = Field(
        True,
        description="Whether another asset may be sold for the one that is owed: of the wallet's, or, by wallet.flash_repay, of the collateral.",
    )
    bridge: bool = Field(
        True,
        description="Whether money of the wallet on another chain may be brought for it by [bridge], where owners' keys sign here and it comes in time.",
    )
    bridge_above: PositiveMoney = Field(
        Decimal("1.03"), description="Below this health factor money from another chain is not waited for."
    )
    max_slippage_bps: Annotated[Bps, Field(ge=1)] = Field(
        50, description="How far below its plan such a sale may fall."
    )
    max_price_age_s: Seconds = Field(
        3_900,
        description="An answer of the protocol's own price source older than this is stale; a source under [oracles] with an age of its own keeps that.",
    )
    sequencer: Address | None = Field(
        None, description="On an L2: Chainlink's sequencer uptime feed. None means the scope's of this chain."
    )
    enabled: bool = Field(True, description="Whether `fairlead run` watches it.")


class MarginRescueTable(HedgedTable):
    name: Name = Field(description="What you call it; its alerts and orders carry the name.")
    venue: Name = Field(description="The exchange whose margin accounts are watched, by name.")
    warn: PositiveMoney = Field(
        Decimal("2"), description="Below this ratio of equity over maintenance margin somebody is told."
    )
    trigger: PositiveMoney = Field(
        Decimal("1.5"),
        description="Below this ratio `fairlead run` makes a position smaller, by a reduce-only order.",
    )
    target: PositiveMoney = Field(
        Decimal("2.5"), description="The ratio that it restores, at the least; 1 is where liquidation begins."
    )
    most_usd: PositiveMoney = Field(
        Decimal("10000"),
        description="The most that one such order may be worth, in USD: of a larger one as much is done, and what is missing is told.",
    )
    per_day_usd: PositiveMoney | None = Field(
        None,
        description="The most that such orders may be worth within 24 hours, in USD, those of all daemons that share the jobs' store together. None means no such limit.",
    )
    most_cost_usd: PositiveMoney = Field(
        Decimal("200"), description="The most that one such order may lose to fee and spread, in USD."
    )
    max_slippage_bps: Annotated[Bps, Field(ge=1)] = Field(
        50, description="How far below its plan such an order may fall."
    )
    every_s: Annotated[Seconds, Field(ge=1)] = Field(
        5, description="How often the exchange is asked, in seconds."
    )
    enabled: bool = Field(True, description="Whether `fairlead run` watches it.")
