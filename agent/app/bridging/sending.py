"""A deposit at the bridge: quoted, checked against the limits, rehearsed on this machine, then an instruction like any other.

The wallet's batch is a call that only checks its deadline, an exact approval, and the deposit that uses it up; it pays to the same
owners' Safe on the other chain, and to nobody else. Where it stands is written before it is signed.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from decimal import Decimal, localcontext
from typing import TYPE_CHECKING

from agent.app.bridging.flying import flying_usd
from agent.app.chain_desk import ChainDesk
from agent.app.instructed import Ended, instructed
from agent.app.lasting import until_s
from agent.app.lending import asset_at, beside
from agent.app.places import place_named
from agent.app.settings import risk_limits
from agent.app.watching.positions import Prices
from agent.domain.errors import Denied, Reject, Usage
from agent.domain.events import Authorized, ChainBatch, Crossed, Refused, Simulated
from agent.domain.ids import ClOrdId, child_id, part_id
from agent.domain.instruments import AssetId
from agent.domain.orders import Part
from agent.domain.units import WIDE, qty_exact
from agent.execution.authority import EXEC_OVERHEAD_GAS
from agent.execution.desk import Desk
from agent.execution.settlement import token_of
from agent.journal.crossing_fold import open_crossings
from chains.bridges import across
from chains.bridges.across import SPOKE_POOLS, Quote, Terms
from chains.bridges.flight import Stage
from chains.gas import Urgency, bid, cost_at_most, gas_limit_up
from chains.simulate import Step
from chains.types import Address, BlockRef, Call
from contracts.codec import decode_result, encode
from contracts.universal_router import deadline_guard

if TYPE_CHECKING:
    from agent.app.wiring import App
    from agent.journal.book import Book

BRIDGE = "across"
DEADLINE_S = 180
MARK = "bridge "
"""How the sentence of every deposit begins in the journal."""
CLOCKS_S = 120
"""So much of a deposit's life must be left by the other chain's own clock."""


@dataclass(frozen=True)
class Way:
    """From `here` to `there`: what leaves, and what arrives for it."""

    here: ChainDesk
    there: ChainDesk
    given: AssetId
    received: AssetId
    symbol: str
    decimals: int

    @property
    def tokens(self) -> tuple[Address, Address]:
        return token_of(self.given), token_of(self.received)


@dataclass(frozen=True)
class Deposit:
    """A deposit as rehearsed on top of `block`. `fee_wei` is the most its transaction may cost; the dollars are ours, by two sources."""

    way: Way
    part: Part
    batch: ChainBatch
    quoted: Quote
    what: str
    gas: int
    block: BlockRef
    fee_wei: int
    fee_usd: Decimal
    worth_usd: Decimal

    @property
    def cost_usd(self) -> Decimal:
        """What is lost at most: the bridge's fee and the gas."""
        with localcontext(WIDE):
            return self.fee_usd + self.worth_usd * self.quoted.fee_raw / self.quoted.in_raw


def way_of(app: App, symbol: str, from_chain: str, to_chain: str) -> Way:
    """Raises Usage UNKNOWN_CHAIN, SAME_CHAIN, NO_BRIDGE, UNKNOWN_ASSET, UNEQUAL_DECIMALS."""
    desks = []
    for name in (from_chain, to_chain):
        chain = app.settings.chain(name)
        if chain is None:
            raise Usage("UNKNOWN_CHAIN", f"there is no chain '{name}' in the settings", "see [[chains]]")
        desks.append(app.chains[chain.chain_id])
        if chain.chain_id not in SPOKE_POOLS:
            raise Usage("NO_BRIDGE", f"Across is not known on {name}", "it is on chains " + ", ".join(map(str, SPOKE_POOLS)))  # fmt: skip
    here, there = desks
    if here is there:
        raise Usage("SAME_CHAIN", f"{from_chain} is where it is already", "name two chains")
    given, received = asset_at(app, symbol, here.place), asset_at(app, symbol, there.place)
    decimals = {app.directory.assets[a].decimals for a in (given, received)}
    if len(decimals) > 1:
        raise Usage(
            "UNEQUAL_DECIMALS",
            f"{symbol} has other decimals on {to_chain} than on {from_chain}",
            "send another asset",
        )
    return Way(here, there, given, received, app.directory.assets[given].symbol, decimals.pop())


def terms(app: App) -> Terms:
    """What the settings offer a relayer."""
    table = app.settings.bridge
    return Terms(table.fee_bps, 0, 1, 2**128, table.usual_s)


def raw_before_fee(fee_bps: int, out_raw: int) -> int:
    """The least that has to be sent for so much to arrive: the fee is rounded up."""
    raw = -(-out_raw * 10_000 // (10_000 - fee_bps))
    while raw > 1 and raw - 1 - (-(-(raw - 1) * fee_bps // 10_000)) >= out_raw:
        raw -= 1
    while raw - (-(-raw * fee_bps // 10_000)) < out_raw:
        raw += 1
    return raw


async def quoted(app: App, way: Way, in_raw: int) -> Quote:
    """By the origin's clock. Raises Reject BRIDGE_AMOUNT, BRIDGE_CLOSED, BRIDGE_CLOCKS, Retry where a chain is silent."""
    head, there = await asyncio.gather(way.here.gateway.block("latest"), way.there.gateway.block("latest"))
    found = across.quote(terms(app), in_raw, head.timestamp, app.settings.bridge.life_s)
    await across.check(way.here.gateway, way.there.profile.chain_id, way.tokens[0], found)
    if found.deadline_s - there.timestamp < CLOCKS_S:
        raise Reject(
            "BRIDGE_CLOCKS",
            f"{way.there.profile.name}'s clock says {there.timestamp}: the deposit's deadline {found.deadline_s} is too near, or past",
            "make bridge.life_s longer, or use another endpoint",
        )
    return found


async def prepare(
    app: App, book: Book, way: Way, in_raw: int, what: str, name: ClOrdId, lasts_s: int = DEADLINE_S
) -> Deposit:
    """The deposit under a name of the caller's, checked and rehearsed; it may wait `lasts_s` for its block. Raises as `quoted`, Denied as `review`, Reject WOULD_REVERT."""
    here = way.here
    if here.road is not None or app.roads is not None:
        raise Denied(
            "BRIDGE_NEEDS_OWNERS",
            "the agent's own key acts through the Gate, which knows no bridge: nothing on the chain would bound to whom it sends what",
            f"owners sign it: fairlead bridge send {qty_exact(in_raw, way.decimals):f} {way.symbol} --from {here.profile.name} "
            f"--to {way.there.profile.name} --by owners --live",
        )
    if here.simulator is None:
        raise Denied("WATCH_ONLY", f"the settings only watch {here.profile.name}", "add [wallet.sender] and owners")  # fmt: skip
    found = await quoted(app, way, in_raw)
    worth_usd = await review(app, book, way, in_raw)
    head = await here.gateway.block("latest")
    deadline = until_s(head.timestamp, app.clock.now_ns(), DEADLINE_S, lasts_s)
    wallet, chain_there = here.wallet, way.there.profile.chain_id
    guard = Call(here.routers.universal_router, deadline_guard(wallet, way.tokens[0], deadline))
    calls = across.deposit_calls(
        here.profile.chain_id, chain_there, wallet, way.there.wallet, way.tokens, found
    )
    batch = ChainBatch(here.profile.chain_id, wallet, (guard, *calls), deadline, here.protection)
    gas = await rehearse(way, batch, found, head, max(head.timestamp + 1, app.clock.now_ns() // 10**9))
    part = part_of(app, way, in_raw, name)
    limit = gas_limit_up(gas + EXEC_OVERHEAD_GAS)
    fee_wei = cost_at_most(limit, bid(await here.gateway.fee_history(), Urgency.NORMAL))
    fee_usd = await review_gas(app, here, fee_wei)
    return Deposit(way, part, batch, found, what, gas, head, fee_wei, fee_usd, worth_usd)


def part_of(app: App, way: Way, in_raw: int, name: ClOrdId) -> Part:
    """Of the origin alone: what arrives elsewhere is no fill of this transaction."""
    child = child_id(name, 0)
    return Part(
        cl_ord_id=part_id(child, way.here.place, 1), child=child, place=way.here.place, attempt=1, asset_in=way.given,
        asset_out=beside(app, way.given), in_raw=in_raw, out_raw=0, floor_raw=0, legs=(),
    )  # fmt: skip


async def review(app: App, book: Book, way: Way, in_raw: int) -> Decimal:
    """Our own rules; what it is worth in USD. Raises Denied ASSET_NOT_ALLOWED, PLACE_NOT_ALLOWED, PRICE_UNKNOWN, BRIDGE_LIMIT,
    BRIDGE_IN_FLIGHT, WALLET_NOT_READY, NO_INVENTORY."""
    settings = app.settings
    limits = settings.limits
    if way.symbol not in limits.allow_assets:
        raise Denied(
            "ASSET_NOT_ALLOWED", f"{way.symbol} is not in limits.allow_assets", "add it, if you mean it"
        )
    for desk in (way.here, way.there):
        if (name := place_named(settings, desk.place)) not in limits.allow_venues:
            raise Denied(
                "PLACE_NOT_ALLOWED", f"{name} is not in limits.allow_venues", "add it, if you mean it"
            )
        if why := await app.wallets.why_not(desk.place):
            raise Denied(
                "WALLET_NOT_READY", f"{name}: {why}", "what arrives must be the same owners' to spend"
            )
    prices = Prices(settings, app.directory, await app.oracles.prices(), app.clock.now_ns())
    px = prices.px(way.symbol, way.given)
    if px is None:
        raise Denied(
            "PRICE_UNKNOWN", f"no two independent fresh sources price {way.symbol}", "check [oracles]"
        )
    table = settings.bridge
    with localcontext(WIDE):
        worth = qty_exact(in_raw, way.decimals) * px
        under_way = flying_usd(book, prices, app.directory)
    if worth > table.most_usd:
        raise Denied("BRIDGE_LIMIT", f"{worth:.2f} USD are more than bridge.most_usd ({table.most_usd})", "send less, or raise it")  # fmt: skip
    if under_way is None or WIDE.add(worth, under_way) > table.in_flight_usd:
        told = "an unknown worth is" if under_way is None else f"{under_way:.2f} USD are"
        raise Denied(
            "BRIDGE_LIMIT",
            f"{told} on their way already; with {worth:.2f} more it is above bridge.in_flight_usd ({table.in_flight_usd})",
            "wait until they have arrived: `fairlead bridge list`",
        )
    held = (await app.market.balances(way.here, [way.given])).get(way.given, 0)
    if held < in_raw:
        raise Denied(
            "NO_INVENTORY",
            f"{place_named(settings, way.here.place)} has {qty_exact(held, way.decimals):f} {way.symbol}",
            "send less",
        )
    return worth


async def review_gas(app: App, here: ChainDesk, fee_wei: int) -> Decimal:
    """What the gas may cost in USD. Raises Denied PRICE_UNKNOWN, GAS_RESERVE."""
    px = (await app.oracles.medians()).get(here.profile.native)
    if px is None:
        raise Denied(
            "PRICE_UNKNOWN", "the gas cannot be told in dollars: no reference price", "check [oracles]"
        )
    reserve = dict(risk_limits(app.settings).min_gas_reserve_wei).get(here.place, 0)
    has = await here.gas_money()
    if has - fee_wei < reserve:
        coin = here.profile.native
        raise Denied(
            "GAS_RESERVE",
            f"{here.sender} has {qty_exact(has, 18):f} {coin}; {qty_exact(reserve, 18):f} are to be left after this transaction",
            "send it some gas money, or lower limits.min_gas_reserve",
        )
    return WIDE.multiply(qty_exact(fee_wei, 18), px)


async def rehearse(way: Way, batch: ChainBatch, found: Quote, head: BlockRef, time_s: int) -> int:
    """The batch in the wallet's name on top of `head`: exactly what is sent leaves, and no approval stays. Its gas.

    Raises Reject WOULD_REVERT with the contract's reason.
    """
    here, token = way.here, way.tokens[0]
    assert here.simulator is not None
    left = Call(token, encode("erc20", "allowance", (batch.wallet, SPOKE_POOLS[batch.chain_id])))
    steps = [*(Step(batch.wallet, call) for call in batch.calls), Step(batch.wallet, left)]
    seen = await here.simulator.run(steps, watch=[(token, batch.wallet)], at=head, time_s=time_s)
    failed = next((step for step in seen.steps if not step.ok), None)
    if failed is not None:
        raise Reject("WOULD_REVERT", f"the bridge refuses it: {failed.reason}", "nothing was signed")
    stays = int(decode_result("erc20", "allowance", seen.steps[-1].data)[0])
    gone = -seen.changes[token, batch.wallet]
    if gone != found.in_raw or stays:
        raise Reject(
            "WOULD_REVERT",
            f"{gone} base units would leave where {found.in_raw} are meant, {stays} would stay approved",
            "a token that takes a fee of its own cannot be sent this way",
        )
    return (
        sum(step.gas_used for step in seen.steps[:-1]) + 60_000
    )  # told after refunds, which come only at the end


def check_max_loss(found: Deposit, most_usd: Decimal) -> None:
    """Raises Denied MAX_LOSS."""
    if found.cost_usd > most_usd:
        raise Denied(
            "MAX_LOSS",
            f"the bridge's fee and the gas may cost {found.cost_usd:.2f} USD; {most_usd} are allowed",
            "send another way, or raise --max-loss",
        )


def same_under_way(book: Book, way: Way, in_raw: int) -> ClOrdId | None:
    """A crossing of the same amount on the same way that is not over: typed twice, or begun by a process that died."""
    for one in open_crossings(book):
        if (one.given, one.received, one.in_raw) == (way.given, way.received, in_raw):
            return one.cl_ord_id
    return None


async def carry_out(found: Deposit, desk: Desk) -> Ended | None:
    """Instructed → Simulated → Crossed SENT → Authorized → Submitted → … → Settled, in the origin's lane. None where the lane stopped it."""
    way, part, terms_ = found.way, found.part, found.quoted
    simulated = Simulated(part, found.batch, None, 0, 0, found.gas, found.block.number, desk.clock.now_ns())

    async def authorize(rehearsed: Simulated) -> Authorized | Refused:
        sent = Crossed(
            part.cl_ord_id, BRIDGE, way.given, way.received, way.decimals, terms_.in_raw, terms_.out_raw, 0, terms_.deadline_s,
            found.block.number, Stage.SENT.value, desk.clock.now_ns(),
        )  # fmt: skip
        await desk.journal.record_durably(sent)
        return await desk.authority.authorize(rehearsed)

    return await instructed(desk, found.what, simulated, authorize)
