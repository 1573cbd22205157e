"""The `[[scopes]]` tables: what the agent's own key may do on a chain, as the owners are asked to grant it."""

from __future__ import annotations

from decimal import Decimal
from typing import Annotated, Literal

from pydantic import Field

from agent.app.settings_table import Table
from agent.app.settings_types import Address, Bps, Money, Name, PositiveMoney, Seconds, Symbol

Action = Literal["supply", "withdraw", "borrow", "repay"]


class ScopeToken(Table):
    symbol: Symbol = Field(description="A symbol of [assets] with a token on this chain.")
    feed: Address | None = Field(
        None, description="Its dollar feed; none means the chainlink source of [oracles] on this chain."
    )
    max_age_s: Seconds = Field(3_900, description="A feed older than this stops the token.")
    feed_error_bps: Bps = Field(
        50, description="How far the feed may lag by its publisher's own rule (its deviation threshold)."
    )
    allowance: PositiveMoney = Field(
        description="What the Gate may ever take of it before the owners allow more, in whole tokens."
    )


class ScopePair(Table):
    a: Symbol = Field(description="One of the tokens.")
    b: Symbol = Field(description="The other.")
    source: Address = Field(
        description="The second source of the pair's price: a Uniswap V3 pool of the two, or a feed of one in the other."
    )
    window_s: int = Field(
        1_800,
        ge=0,
        le=86_400,
        description="Over how long a pool's price is averaged; 0 says the source is a feed.",
    )
    max_age_s: Seconds | None = Field(None, description="For a feed: its limit of age.")


class ScopeReserve(Table):
    symbol: Symbol = Field(description="One of the tokens.")
    actions: tuple[Action, ...] = Field(description="What may be done with it at the lending pool.")
    withdraw: Money = Field(Decimal(0), description="The ceiling of all withdrawing, in whole tokens.")
    borrow: Money = Field(Decimal(0), description="The ceiling of all borrowing, in whole tokens.")


class ScopePayment(Table):
    market: str = Field(
        description="Which loan of the wallet: one of the chain's comets (Compound III), an id of its morpho_markets (Morpho Blue), a pool of its lending_pools (Spark, a second Aave), or the urn of one of its maker.vaults."
    )
    symbol: Symbol = Field(description="One of the tokens: what is owed there, or its collateral.")
    action: Literal["repay", "supply"] = Field(description="To repay what is owed, or to supply collateral.")
    per_day: PositiveMoney = Field(description="What may be paid in any 24 hours, in whole tokens.")
    at_once: PositiveMoney | None = Field(
        None,
        description="The part of it that may be paid at once, less than all: the rest refills it. None means half of it.",
    )
    allowance: PositiveMoney = Field(
        description="What may ever be taken for it before the owners allow more, in whole tokens."
    )


class ScopeTable(Table):
    chain: Name = Field(description="The chain's name.")
    agent: Address | None = Field(
        None, description="The agent's account, which sends and pays gas. None means [wallet.sender]."
    )
    account: Literal["key", "safe_4337"] = Field(
        "key",
        description="What that account is. key: [wallet.sender] itself. safe_4337: a Safe with the Safe 4337 module 0.3.0 (EntryPoint 0.7) whose one owner is [wallet.sender]: it trades by user operations, through [chains.bundler], and pays their gas.",
    )
    per_day_usd: PositiveMoney = Field(description="What may be traded in any 24 hours, in USD.")
    burst_usd: PositiveMoney = Field(description="The part of it that may be traded at once.")
    slack_bps: Bps = Field(100, description="What a trade may bring less than the worse of two sources says.")
    divergence_bps: Bps = Field(
        200, description="How far the two sources may differ before nothing is traded."
    )
    deadline_s: Seconds = Field(600, description="How far ahead a trade's deadline may be.")
    term: str = Field("7d", description="After how long without `fairlead wallet renew` all of it lapses.")
    delay: str = Field(
        "1d", description="How long anything more than this has to wait once the owners want it."
    )
    health_floor: PositiveMoney = Field(
        Decimal("1.5"), description="Where lending is touched, the health factor that must be left."
    )
    gas_float: Money = Field(
        Decimal(0), description="What the owners leave on the agent's account, in whole coins."
    )
    gas_per_day: Money = Field(
        Decimal(0), description="What the agent may turn of the Safe's wrapped coin into gas money a day."
    )
    tokens: Annotated[tuple[ScopeToken, ...], Field(min_length=2)] = Field(description="What may be traded.")
    pairs: Annotated[tuple[ScopePair, ...], Field(min_length=1)] = Field(description="What for what.")
    reserves: tuple[ScopeReserve, ...] = Field((), description="What may be lent and borrowed at Aave V3.")
    payments: tuple[ScopePayment, ...] = Field(
        (),
        description="What may be paid into the wallet's own loans at Compound III, Morpho Blue, further pools of Aave V3's kind (Spark) and Maker, so that they are rescued while nobody watches: through contracts beside the Gate that write each call themselves (contracts/src/Payments.sol, FurtherPayments.sol; unaudited). None means that only their owners can.",
    )
    intents: bool = Field(
        False,
        description="Whether the agent's key may also offer what it trades to others to settle (--protection intent): by CoW Protocol, through a contract of its Gate that makes the order from its fields (contracts/src/Offers.sol; unaudited).",
    )
    since: int = Field(
        0,
        ge=0,
        description="The block it was granted in: from there on the audit reads the Gate's and the modifier's logs. 0 is the whole chain, which not every endpoint gives.",
    )
    sequencer: Address | None = Field(None, description="On an L2: Chainlink's sequencer uptime feed.")
    sequencer_grace_s: int = Field(
        3_600, ge=0, le=86_400, description="How long after an outage no price is believed."
    )
