"""What is missing for a loan brought from another chain by the bridge, where there is time for it; then it is paid in like anything else.

Only where owners' keys sign here: the agent's own sends nothing across. A crossing that is under way is known by the journal, so that no
restart begins a second one; what is late, or comes back, no longer counts, and the owners are told what else there is.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from decimal import Decimal
from typing import TYPE_CHECKING

from agent.app.bridging import following, sending
from agent.app.bridging.sending import Way
from agent.app.instructed import failure
from agent.app.places import place_named
from agent.app.rescue.acting import lasts_s
from agent.app.rescue.doubts import Doubt
from agent.app.rescue.sight import Sight, token_known
from agent.domain.events import Crossed
from agent.domain.ids import ClOrdId, digest_of
from agent.domain.instruments import AssetId, place_of
from agent.domain.units import WIDE, qty_exact
from agent.execution.desk import Desk
from agent.journal.crossing_fold import is_over
from agent.margin.model import HEALTHY_1E18
from agent.margin.rescue import Need
from agent.margin.worths import worth_usd

if TYPE_CHECKING:
    from agent.app.wiring import App
    from agent.journal.book import Book

MORE_BPS = 100
"""How much more than is missing is brought: prices go on while it is under way."""
LEAST_BPS = 500
"""Less of what is missing is not worth two transactions."""
BLOCKS_S = 45
"""What the deposit's own block and the payment's take besides the relayer, at the longest as a rule."""


@dataclass(frozen=True)
class Bring:
    """`raw` base units leave `way.here`, so that what `need` says arrives, or as much of it as there is."""

    need: Need
    way: Way
    raw: int


def for_whom(sight: Sight) -> str:
    """How the sentence of a crossing ends that is for this account."""
    return f" for {sight.name}"


def under_way(book: Book, sight: Sight) -> list[Crossed]:
    """Crossings for this account that are not over. One that was paid out counts until that is final: no look misses it then."""
    return [c for c in _all(book, sight) if not is_over(c)]


def _all(book: Book, sight: Sight) -> Iterator[Crossed]:
    for name, one in book.crossings.items():
        if book.parts[name].what.endswith(for_whom(sight)):
            yield one


def awaited(app: App, desk: Desk, sight: Sight) -> list[Crossed]:
    """Those that are still to be waited for: neither expired nor late. What is signed and in no block may yet be in one, however late."""
    return [
        c
        for c in under_way(desk.book, sight)
        if c.stage == "SENT" or (c.stage != "EXPIRED" and not following.is_late(app, desk, c))
    ]


def too_slow(app: App, sight: Sight) -> Doubt | None:
    """Why money from another chain would come too late; None where it is worth waiting for."""
    health, rule = sight.health_1e18, sight.rule
    needed = app.settings.bridge.usual_s + BLOCKS_S
    left = sight.one.health.seconds_to_liquidation if sight.one.health is not None else None
    if health is None:
        return None
    if health < HEALTHY_1E18:
        why = "it can be liquidated now"
    elif left is not None and left <= needed:
        why = f"interest alone takes it there in {left} s"
    elif sight.below(rule.bridge_above):
        why = f"it is below rescues.bridge_above ({rule.bridge_above.normalize():f})"
    else:
        return None
    return Doubt(
        "BRIDGE_TOO_SLOW",
        f"{sight.name}: what lies on other chains takes {needed} s to be paid in, and {why}",
        "what is at hand here is used",
    )


def choices(app: App, sight: Sight, missing: tuple[Need, ...], room_usd: Decimal) -> list[Bring]:
    """Every way to bring all of one need from one chain, the least worth first; where there is none, every one to bring some of it, the one
    that brings most of it first. Nothing that the rule's limits would not let be paid in."""
    account, unit = sight.one.account, sight.unit_usd
    if account is None or unit is None or app.roads is not None or not sight.rule.bridge:
        return []
    if too_slow(app, sight) is not None:
        return []
    whole, some = list[Bring](), list[Bring]()
    for need in missing:
        known = token_known(app, need.asset)
        if known is None:
            continue
        for asset, held in sight.on_chains.items():
            sent, way = enough(app, need.raw, held), _way(app, asset, known)
            paid = need.raw if sent is not None else held
            if way is None or worth_usd(account, need.asset, paid, unit) > room_usd:
                continue
            if sent is not None:
                whole.append(Bring(need, way, sent))
            elif held * 10_000 >= need.raw * LEAST_BPS:
                some.append(Bring(need, way, held))
    return whole or sorted(some, key=lambda one: -one.raw / one.need.raw)


def enough(app: App, need_raw: int, held_raw: int) -> int | None:
    """What is sent for so much to arrive, some more where there is more; None where it is not held."""
    fee_bps = app.settings.bridge.fee_bps
    most = sending.raw_before_fee(fee_bps, need_raw + need_raw * MORE_BPS // 10_000)
    least = sending.raw_before_fee(fee_bps, need_raw)
    return None if held_raw < least else min(most, held_raw)


def _way(app: App, given: AssetId, received: AssetId) -> Way | None:
    """Between two assets of the settings that are called the same and have as many decimals."""
    here, there = (app.directory.assets.get(a) for a in (given, received))
    desks = {desk.place: desk for desk in app.chains.values()}
    if here is None or there is None or (here.symbol, here.decimals) != (there.symbol, there.decimals):
        return None
    return Way(desks[place_of(given)], desks[place_of(received)], given, received, here.symbol, here.decimals)


def words(app: App, one: Bring) -> str:
    """What it does, as it would be typed."""
    way = one.way
    here, there = (place_named(app.settings, d.place) for d in (way.here, way.there))
    return f"{sending.MARK}{qty_exact(one.raw, way.decimals):f} {way.symbol} from {here} to {there}"


async def prepare(app: App, book: Book, sight: Sight, one: Bring, most_cost_usd: Decimal) -> sending.Deposit:
    """The deposit under a name of the account's own. Raises as `sending.prepare`, Denied MAX_LOSS."""
    begun = sum(
        1 for r in book.parts.values() if r.what.startswith(sending.MARK) and r.what.endswith(for_whom(sight))
    )
    name = ClOrdId(digest_of("bring", sight.name, begun))
    what = words(app, one) + for_whom(sight)
    found = await sending.prepare(app, book, one.way, one.raw, what, name, lasts_s(app, sight))
    sending.check_max_loss(found, most_cost_usd)
    return found


async def begin(app: App, desk: Desk, found: sending.Deposit) -> None:
    """The deposit carried out to its finality; whoever follows crossings tells the rest. Raises what stopped it before it was signed."""
    ended = await sending.carry_out(found, desk)
    no = failure(ended, desk, found.part.cl_ord_id)
    if no is not None:
        raise no


def room_usd(sight: Sight, spent_usd: Decimal) -> Decimal:
    """What the rule lets one payment be now."""
    return min(sight.rule.most_usd, WIDE.subtract(sight.rule.per_day_usd, spent_usd))
