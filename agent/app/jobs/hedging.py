"""A hedging job's fire: the state is read, the policy decides, its wish becomes a request like anybody's. One order a fire, sales first."""

from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING

from agent.app.intents import Request, request_of
from agent.app.job_checks import hedge_named
from agent.app.jobs import facts
from agent.app.jobs.carry import carry_of, is_inverse, need_linear
from agent.app.jobs.guard import spent_usd, symbols_of
from agent.app.settings_jobs import HedgeJob
from agent.hedging.liquidity import Range
from agent.hedging.policy import State
from agent.hedging.uniswap_v3_lp import ids
from agent.hedging.weights import wanted as weights_wanted
from agent.journal.book import Book

if TYPE_CHECKING:
    from agent.app.wiring import App


async def hedge_request(app: App, job: HedgeJob, book: Book, source: str) -> tuple[Request | None, str]:
    """The order that would put things right, or None; and why. Raises FairleadError where the state cannot be told."""
    from agent.app.wiring import algorithms

    policy, given = hedge_named(job.hedge), job.hedge_with
    decided = policy.decide(given, await state_of(app, job, book, source))
    if not decided.wishes:
        return None, decided.why
    wish = decided.wishes[0]
    request = request_of(
        app.directory, algorithms(), wish.side.value.lower(), f"{wish.qty:f}", wish.base, wish.quote,
        algo=job.algo, max_slippage_bps=job.max_slippage_bps,
    )  # fmt: skip
    return request, decided.why


async def state_of(app: App, job: HedgeJob, book: Book, source: str) -> State:
    policy, given = hedge_named(job.hedge), job.hedge_with
    quote = given["quote"]
    symbols = [given["base"]] if "base" in given else list(weights_wanted(given))
    symbols += [given["instrument"]] if "instrument" in given else []
    positions: tuple[Range, ...] = ()
    if "ranges" in policy.needs:
        positions = await facts.ranges(app, facts.chain_named(app, given), ids(given), (given["base"], quote))
    named = {name for one in positions for name in one.symbols if name}
    counts = "spent" in policy.needs
    before = symbols_of(book, source, 0) if counts else set()
    px = await facts.confirmed_prices(app, {*symbols, quote, *named, *before})
    short = await carry_of(app, given) if "carry" in policy.needs else None
    inverse = "carry" in policy.needs and await is_inverse(app, given)
    if "instrument" in given and not inverse and "carry" not in policy.needs:
        await need_linear(app, given["instrument"])
    lends = "loan" in policy.needs or ("carry" in policy.needs and "chain" in given)
    debt = await facts.loan(app, facts.chain_named(app, given)) if lends else None
    return State(
        now_ns=app.clock.now_ns(),
        px=px,
        held=await facts.held(app, symbols, quote),
        ranges=positions,
        loan=debt,
        spent_usd=spent_usd(book, source, 0, px) if counts else Decimal(0),
        carry=short,
        inverse=inverse,
    )
