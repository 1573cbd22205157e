"""The tables of what happens by itself: when a job fires, what a hedging job decides, and how the daemon is watched."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field

from agent.app.settings_table import Table
from agent.app.settings_types import Bps, Name, PositiveMoney, SecretRef

TRIGGERS = ("every", "cron", "blocks", "price", "health")


class Timing(Table):
    """When a job fires and when it does not: what every kind of job shares."""

    name: Name = Field(description="What you call this job; its orders carry the name.")
    every: str | None = Field(
        None, description="How often, like 90s, 10m, 4h or 1d, counted from midnight UTC of 1 January 1970."
    )
    cron: str | None = Field(
        None, description="When, as a cron expression of five fields, like 30 9 * * 1-5; instead of `every`."
    )
    timezone: str = Field(
        "UTC",
        description="The zone the cron expression is meant in, like Europe/Zurich. A change of the clocks neither repeats nor drops a time.",
    )
    blocks: str | None = Field(
        None,
        description='A chain and how many of its blocks, like "ethereum 10"; instead of `every`. Blocks built while nothing ran are not made up for.',
    )
    price: str | None = Field(
        None,
        description='Fires while a price in USD stands beyond a level, like "ETH below 2900" or "ETH above 4000"; instead of `every`. More than half of the fresh sources, two at least, must stand beyond it.',
    )
    health: str | None = Field(
        None,
        description='Fires while the wallet\'s health at Aave on a chain stands below a level, like "ethereum below 1.5"; instead of `every`.',
    )
    again: str = Field("1h", description="How long `price` and `health` are quiet after a fire.")
    jitter: str | None = Field(
        None,
        description="Each fire waits up to so long, like 30s: how long is derived from the job's name and the fire's time.",
    )
    missed: Literal["newest", "skip"] = Field(
        "newest",
        description="Of fires that came while nothing ran: newest does the last one late, skip none of them.",
    )
    overlap: Literal["allow", "skip"] | None = Field(
        None,
        description="Whether it fires while an order of its own still works. None means allow, and skip for a hedge.",
    )
    budget_usd: PositiveMoney | None = Field(
        None,
        description="What its orders may come to in any 24 hours, in USD at the reference price, those of all daemons that share the jobs' store together.",
    )
    shadow: bool = Field(
        False, description="Whether it is only priced and told when due, also where all else is live."
    )
    enabled: bool = Field(True, description="Whether `fairlead run` fires it.")


class HedgeJob(Timing):
    hedge: Name = Field(description="The policy's module in agent/hedging: delta, uniswap_v3_lp, weights …")
    hedge_with: dict[str, str] = Field(
        {}, description="The policy's own keys, as text: base, quote, target, risk_aversion …"
    )
    algo: Name | None = Field(None, description="How its orders are worked; none means market.")
    max_slippage_bps: Bps = Field(50, description="How far below its plan an execution may fall.")


class Daemon(Table):
    jobs_store: Path | None = Field(
        None,
        description="The file of added jobs and of who runs which fire. Several daemons that name one file never run one fire twice. None means jobs.db beside the journal.",
    )
    jobs_database: SecretRef | None = Field(
        None,
        description="Where the URL of a PostgreSQL database is, postgresql://USER:PASSWORD@HOST:PORT/NAME, in place of `jobs_store`: for daemons of several hosts.",
    )
    port: Annotated[int, Field(ge=0, le=65_535)] | None = Field(
        None,
        description="Where `fairlead run` answers /metrics and /health, on 127.0.0.1 alone; 0 takes any free port. None means nowhere.",
    )
    ping: SecretRef | None = Field(
        None,
        description="Where the URL is that is asked every `ping_every` while all is well: a dead man's switch elsewhere misses it.",
    )
    ping_every: str = Field("1m", description="How often `ping` is asked.")
