"""`doctor --venue X`: what a live user looks at before anything is sent there."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any

from agent.app.exchange_bound import UNKNOWN, bounds_of, sentence
from agent.app.settings import Settings
from agent.app.settings_tree import Venue
from agent.app.watching.check import Check, fail, ok, skip, warn
from agent.app.watching.margins import judged_now
from agent.app.watching.words import many
from agent.domain.errors import FairleadError, Usage
from agent.domain.reports import Position
from agent.margin.accounts import Judged, px_text
from agent.margin.model import State
from agent.ports import Clock, ExecutionVenue, HoldsPositions, KeepsConditions, TellsMargin
from keys.client import SignerClient

CLOCK_WARN_MS, CLOCK_FAIL_MS, LOGON_S = 500, 4_000, 5.0
WATCH_S = 3.0
NO_CAP = "set counterparty_cap_usd of it: Fairlead cannot withdraw, and says what you should"


async def venue_checks(
    settings: Settings,
    name: str,
    signer: SignerClient,
    clock: Clock | None = None,
    watch_s: float = WATCH_S,
) -> list[Check]:
    """Raises Usage UNKNOWN_VENUE; every other trouble is a finding."""
    from agent.app.wiring import connect_venue
    from agent.transport.clock import SystemClock

    configured = settings.venue(name)
    if configured is None:
        known = ", ".join(v.name for v in settings.venues) or "there is none"
        raise Usage("UNKNOWN_VENUE", f"no venue in the settings is called '{name}'", f"known: {known}")
    clock = clock or SystemClock()
    exchange = connect_venue(configured, clock, signer)
    label, found = f"venue {name}", []
    try:
        began_ns = clock.now_ns()
        await exchange.start()
        took_ms = (clock.now_ns() - began_ns) // 10**6
        found.append(
            ok(label, f"answers, {many(len(await exchange.instruments()), 'market')} in {took_ms} ms")
        )
        found += _clock(label, exchange)
        found += _capabilities(exchange)
        if configured.api_key is None:
            found.append(skip(f"key {name}", "none is configured: it is asked for prices alone"))
        else:
            found += await _account(configured, exchange)
        found += await _fix_sessions(label, exchange)
        found += await _symbols(configured, exchange, watch_s)
        found += _limits(label, exchange)
        found += await _combos(configured, exchange, signer)
    except FairleadError as error:
        found.append(fail(label, error.message, error.hint or "is the venue up?", error.exit_status))
    finally:
        await exchange.close()
    return [*found, *await _signer(configured, signer)]


def _clock(label: str, exchange: ExecutionVenue) -> list[Check]:
    ahead_ms = getattr(exchange, "ahead_ms", None)
    if ahead_ms is None:
        return [
            skip(f"clock {exchange.name}", "its clock is not asked for: its requests carry nonces of ours")
        ]
    said = f"its clock is {abs(ahead_ms)} ms {'ahead of' if ahead_ms >= 0 else 'behind'} ours, which requests allow for"
    if abs(ahead_ms) > CLOCK_FAIL_MS:
        return [fail(f"clock {exchange.name}", said, "set this machine's clock (NTP)", 3)]
    if abs(ahead_ms) > CLOCK_WARN_MS:
        return [warn(f"clock {exchange.name}", said, "set this machine's clock (NTP)")]
    return [ok(f"clock {exchange.name}", said)]


def _capabilities(exchange: ExecutionVenue) -> list[Check]:
    """What the exchange can do for us, and a line for each thing that it cannot; only a family's exchanges differ in that."""
    asked = getattr(exchange, "capabilities", None)
    if asked is None:
        return []
    can, name = asked(), f"can {exchange.name}"
    return [ok(name, can.said()), *(skip(name, text) for text in can.missing)]


async def _margins(name: str, exchange: TellsMargin) -> list[Check]:
    """What of the account cannot be judged keeps nothing else of it from being looked at."""
    try:
        return [_margin(name, judged) for judged in await judged_now(exchange)]
    except Usage as no:
        return [warn(f"margin {name}", no.message, no.hint)]


async def _account(configured: Venue, exchange: ExecutionVenue) -> list[Check]:
    name = configured.name
    balances = [b for b in await exchange.balances() if b.free or b.locked]
    opened = await exchange.open_orders()
    kept = await exchange.conditions() if isinstance(exchange, KeepsConditions) else ()
    waiting = f", {len(kept)} waiting for their price" if kept else ""
    told = ", ".join(f"{b.free + b.locked:f} {b.asset.rpartition('/')[2]}" for b in balances[:6])
    power = getattr(exchange, "power", None)
    found = [
        ok(f"key {name}", "it takes our key and our signature")
        if power is None
        else skip(f"key {name}", "what an account has is public there: nothing was signed for this"),
        ok(f"balances {name}", f"{told or 'nothing'}{' and more' if len(balances) > 6 else ''}"),
        ok(f"orders {name}", f"{len(opened)} open{waiting}"),
    ]
    if isinstance(exchange, HoldsPositions):
        found.append(ok(f"positions {name}", positions_line(await exchange.positions())))
    if isinstance(exchange, TellsMargin):
        found += await _margins(name, exchange)
    asked = getattr(exchange, "permissions", None)
    if asked is not None:
        found += _rights(name, await asked())
    excess = getattr(exchange, "excess", None)
    if excess is not None:
        found += _reads_alone(name, await excess())
    if power is not None:
        found += [warn(f"rights {name}", one.text, one.hint) if one.hint else ok(f"rights {name}", one.text) for one in await power()]  # fmt: skip
    if not configured.counterparty_cap_usd:
        found.append(
            warn(f"cap {name}", "no cap: orders that would add to what lies there are denied", NO_CAP)
        )
    return found


def _reads_alone(name: str, may: Any) -> list[Check]:
    """Of a key that has only to read there."""
    label = f"rights {name}"
    if may.scopes:
        kinds = ", ".join(may.scopes)[:200]
        return [fail(label, f"the key may do more than read ({kinds})", "register a session key without protocol scopes, and end this one", 4)]  # fmt: skip
    notes = [warn(label, "the key may be used from any address", "list this machine's address alone on the key's page")] if may.anywhere else []  # fmt: skip
    return [ok(label, "the key may read and nothing else"), *notes]


def _rights(name: str, may: Any) -> list[Check]:
    """Of the account, or of the key itself where the exchange tells them (`of_key`)."""
    label, of_key = f"rights {name}", getattr(may, "of_key", False)
    who, kinds = ("key" if of_key else "account"), ", ".join(may.kinds)
    if not may.trade:
        return [fail(label, f"the {who} may not trade", "give its key the right to trade", 4)]
    if not may.withdraw:
        return [ok(label, f"the {who} may trade ({kinds}) and not withdraw"), *_key_notes(label, may)]
    if of_key:
        return [fail(label, f"the key may move funds out ({kinds})", "make one that may not, and end this one", 4)]  # fmt: skip
    return [
        warn(
            label,
            f"the account may trade ({kinds}) and withdraw; whether the key may, it does not tell",
            "see the key's own page: no withdrawals, this machine's address alone, only your symbols, a sub-account of its own",
        )
    ]


def _key_notes(label: str, may: Any) -> list[Check]:
    """What else the exchange tells of a key."""
    found = []
    if getattr(may, "addresses", None) == 0:
        found.append(warn(label, "the key may be used from any address", "list this machine's address alone on the key's page"))  # fmt: skip
    if getattr(may, "nonce_window", 0):
        found.append(warn(label, f"the key has a nonce window of {may.nonce_window}: a signature could be taken late", "set it to 0 on the key's page"))  # fmt: skip
    return found


def _margin(name: str, judged: Judged) -> Check:
    """How near one margin account is to its end, by the model of it."""
    label, state = f"margin {name}", judged.state
    if judged.health is None:
        return warn(label, f"{judged.id}: unknown, {judged.why}", "see the exchange's own page")
    left = judged.health.distance_pct_down
    said = f"{judged.id} is {state.value}"
    ends = [
        f"{judged.symbols.get(px.asset, px.asset)} {px.side.value} {text}"
        for px in judged.health.liquidation_px
        if (text := px_text(px, judged.price_decimals)) is not None
    ]
    said += f"; liquidated with {' or '.join(ends)}" if ends else ""
    said += f", {left:.1f} % away" if left is not None else ""
    if state is State.SAFE:
        return ok(label, said)
    return warn(label, said, "add margin, or make the position smaller")


def positions_line(positions: Sequence[Position]) -> str:
    """Each contract with what it was entered at, and how it is margined."""
    told = []
    for held in positions:
        how = "isolated" if held.isolated else "cross"
        lever = f", {how} at {held.leverage:f}x" if held.leverage is not None else ""
        told.append(f"{held.qty.normalize():f} {held.symbol} from {held.entry_px.normalize():f}{lever}")
    return "; ".join(told) or "none is open"


async def _symbols(configured: Venue, exchange: ExecutionVenue, watch_s: float) -> list[Check]:
    """Each symbol's book, followed for a while: whether it comes and stays in step, and what the line cost."""
    label = f"books {configured.name}"
    if not configured.symbols:
        return [skip(label, "no symbols are configured: nothing is traded there")]
    known = {i.symbol for i in await exchange.instruments()}
    unknown = [s for s in configured.symbols if s not in known]
    found = [fail(label, f"it does not trade {s}", "check its symbols in the settings", 3) for s in unknown]
    there = [s for s in configured.symbols if s in known]
    answers = await asyncio.gather(*(exchange.book(s) for s in there), return_exceptions=True)
    for symbol, answer in zip(there, answers, strict=True):
        if isinstance(answer, FairleadError):
            found.append(fail(label, answer.message, answer.hint or "try again", answer.exit_status))
        elif isinstance(answer, BaseException):
            raise answer
        elif not answer.bids or not answer.asks:
            found.append(warn(label, f"{symbol} has no bids or no asks", "nothing can be traded there now"))
    await asyncio.sleep(watch_s if there else 0)
    books = getattr(exchange, "books", None)
    if books is not None:
        found.append(_line(label, books.told(), watch_s))
    return found


def _line(label: str, told: dict[str, Any], watch_s: float) -> Check:
    dropped, superseded = sum(told["dropped"].values()), sum(told["superseded"].values())
    said = (
        f"{told['books']} followed for {watch_s:g} s: {told['resyncs']} fetched again, {told['gaps']} gaps, {told['bad_frames']} bad frames, "
        f"{superseded} updates superseded, {dropped} dropped, at most {told['most_waiting']} waiting"
    )
    if told["in_doubt"]:
        names = ", ".join(f"{s} ({why})" for s, why in told["in_doubt"].items())
        return fail(label, f"{said}; in doubt: {names}", "nothing is routed on them; try again", 4)
    if dropped:
        return warn(label, said, "this machine is too busy for so many symbols: name fewer")
    return ok(label, said)


async def _fix_sessions(label: str, exchange: ExecutionVenue) -> list[Check]:
    """Whether its FIX sessions log on: the signer signs, the exchange takes the key."""
    found = []
    for session in getattr(exchange, "sessions", ()):
        name = f"FIX {session.who}"
        try:
            await session.line.ready(LOGON_S)
        except FairleadError as error:
            found.append(fail(name, error.message, error.hint or "see the signer's file", error.exit_status))
            continue
        found.append(
            ok(
                name,
                f"logged on as {session.line.session.sender}, heartbeat {session.line.session.heartbeat_s:g} s",
            )
        )
    return found


def _limits(label: str, exchange: ExecutionVenue) -> list[Check]:
    http = getattr(exchange, "http", None)
    if http is None:
        return []
    name, used, limit = f"limits {exchange.name}", http.throttle.used, http.throttle.limit
    said = f"{used} of {limit} request weight used this minute, by its own count"
    if used * 2 > limit:
        return [warn(name, said, "something else uses the same address or key; give Fairlead its own")]
    return [ok(name, said)]


async def _combos(configured: Venue, exchange: ExecutionVenue, signer: SignerClient) -> list[Check]:
    """Each combo that the signer's file lists beside the exchange's own legs of it: the signer cannot ask."""
    asked, label = getattr(exchange, "combo", None), f"combos {configured.name}"
    if asked is None or configured.api_key is None:
        return []
    try:
        told = (await signer.status()).get("exchange_limits", {}).get(configured.name, {})
    except FairleadError:
        return []  # said of the signer itself
    found = []
    for name, legs in sorted(told.get("combos", {}).items()):
        try:
            _, there = await asked(name)
        except FairleadError as error:
            found.append(warn(label, f"{name}: {error.message}", "take it out of the signer's file once it has ended"))  # fmt: skip
            continue
        ratios = ", ".join(f"{ratio:+d} {leg}" for leg, ratio in sorted(there.items()))
        if there == legs:
            found.append(ok(label, f"{name} is {ratios}, as the signer's file says"))
        else:
            found.append(fail(label, f"{name} is {ratios}, which is not what the signer's file says", "correct its legs there: the band was set for another combo", 3))  # fmt: skip
    return found


async def _signer(configured: Venue, signer: SignerClient) -> list[Check]:
    name = f"signer {configured.name}"
    if configured.api_key is None:
        return []
    try:
        told = await signer.status()
    except FairleadError as error:
        return [fail(name, error.message, error.hint or "start `fairlead signer run`", error.exit_status)]
    bounds = bounds_of(told, [configured.name])
    if bounds is None:
        return [warn(name, UNKNOWN, "restart it: it is of an older version")]
    if not bounds:
        return [fail(name, "it holds no key of this exchange", "add it to the signer's file", 3)]
    if configured.module == "coinbase" and told["exchange_limits"][configured.name].get("sends") is False:
        text = "no order goes: with a token of Coinbase's any order could be sent, so that the signer sends them itself"
        return [fail(name, text, f"set `sends_to` under exchanges.{configured.name} in the signer's file", 3)]
    return [ok(name, "; ".join(sentence(bound) for bound in bounds))]
