"""What is wrong with a job, wherever it was written: the settings' file or `fairlead jobs add`. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from difflib import get_close_matches
from types import ModuleType
from typing import TYPE_CHECKING

from agent.algos.twap import seconds_of
from agent.app.job_rules import SECOND, Rule
from agent.app.jobs.triggers import Blocks, Condition, trigger_of
from agent.app.places import groups_of
from agent.app.settings_jobs import TRIGGERS, HedgeJob, Timing
from agent.domain.errors import Usage

if TYPE_CHECKING:
    from agent.app.settings_tree import Settings
    from agent.hedging.policy import Hedge

LATE_NS = 300 * SECOND
"""A fire that comes later than this, or than half its period, was missed."""


def job_problems(settings: Settings, job: Timing, where: str) -> Iterator[tuple[str, str, str]]:
    """(path, message, hint) of each."""
    given = [name for name in TRIGGERS if getattr(job, name) is not None]
    if len(given) != 1:
        yield (
            f"{where}.every",
            "a job has either `every` or `cron`, or one of `blocks`, `price` and `health`",
            'write every = "4h", or cron = "30 9 * * *"',
        )
        return
    try:
        trigger = trigger_of(job)
    except Usage as wrong:
        yield f"{where}.{given[0]}", wrong.message, wrong.hint
    else:
        yield from _names(settings, trigger, f"{where}.{given[0]}")
        yield from _jitter(job, trigger, where)
    symbols = [*settings.assets, *settings.equivalents]
    if isinstance(job, HedgeJob):
        yield from _hedge(settings, job, symbols, where)
        return
    for name in ("base", "quote"):
        symbol = getattr(job, name, None)
        if symbol is not None and symbol not in symbols:
            yield f"{where}.{name}", f"there is no asset '{symbol}'", near(symbol, symbols)


def _names(
    settings: Settings, trigger: Rule | Blocks | Condition, where: str
) -> Iterator[tuple[str, str, str]]:
    chains = [chain.name for chain in settings.chains]
    chain = trigger.chain if isinstance(trigger, Blocks) else ""
    if isinstance(trigger, Condition):
        chain = trigger.subject if trigger.kind == "health" else ""
        if trigger.kind == "price" and trigger.subject not in settings.oracles:
            yield (
                where,
                f"there are no oracles for '{trigger.subject}'",
                near(trigger.subject, settings.oracles),
            )
    if chain and chain not in chains:
        yield where, f"there is no chain '{chain}'", near(chain, chains)


def _jitter(job: Timing, trigger: Rule | Blocks | Condition, where: str) -> Iterator[tuple[str, str, str]]:
    if job.jitter is None:
        return
    try:
        most = seconds_of(job.jitter, "jitter") * SECOND
    except Usage as wrong:
        yield f"{where}.jitter", wrong.message, wrong.hint
        return
    if isinstance(trigger, Rule) and trigger.every_s and 2 * most > trigger.every_s * SECOND:
        yield (
            f"{where}.jitter",
            f"{job.jitter} is more than half of {job.every}",
            "one fire would run into the next",
        )


def _hedge(
    settings: Settings, job: HedgeJob, symbols: list[str], where: str
) -> Iterator[tuple[str, str, str]]:
    try:
        hedge_named(job.hedge).check(job.hedge_with)
    except Usage as wrong:
        yield (
            f"{where}.{'hedge' if wrong.code == 'UNKNOWN_HEDGE' else 'hedge_with'}",
            wrong.message,
            wrong.hint,
        )
        return
    for name in ("base", "quote", "instrument"):
        symbol = job.hedge_with.get(name)
        if symbol is not None and symbol not in symbols:
            yield f"{where}.hedge_with.{name}", f"there is no asset '{symbol}'", near(symbol, symbols)
    instrument = job.hedge_with.get("instrument")
    if instrument is None or instrument not in settings.assets:
        return
    if "carry" not in hedge_named(job.hedge).needs:
        yield from _linear(settings, instrument, f"{where}.hedge_with.instrument")
    else:
        yield from _carried(
            settings, instrument, job.hedge_with.get("base", ""), f"{where}.hedge_with.instrument"
        )


LINEAR_HINT = "name a linear one (ETH_USDC-PERPETUAL), or hold it by --hedge carry"


def _linear(settings: Settings, name: str, where: str) -> Iterator[tuple[str, str, str]]:
    """Every other policy counts a contract as so many of the coin."""
    for asset in settings.assets[name]:
        place, _, symbol = asset.partition("/")
        venue = settings.venue(place.removeprefix("cex:")) if place.startswith("cex:") else None
        inverse = getattr(_module(venue.module), "INVERSE", None) if venue is not None else None
        if inverse is not None and inverse.fullmatch(symbol):
            yield (
                where,
                f"{symbol} is dollars' worth of a coin, which only the carry counts as such",
                LINEAR_HINT,
            )


def _carried(settings: Settings, name: str, base: str, where: str) -> Iterator[tuple[str, str, str]]:
    """A short needs an exchange that trades it and tells what it is paid."""
    found = [asset.partition("/") for asset in settings.assets[name] if asset.startswith("cex:")]
    for place, _, symbol in found:
        venue = settings.venue(place.removeprefix("cex:"))
        if venue is None or not (module := _module(venue.module)) or not getattr(module, "FUNDING", False):
            continue
        if symbol not in venue.symbols:
            yield (
                where,
                f"{symbol} is not among the symbols of {venue.name}",
                f"add it to venues.{venue.name}.symbols",
            )
        if (inverse := getattr(module, "INVERSE", None)) is not None and inverse.fullmatch(symbol):
            coin = f"{place}/{symbol.partition('-')[0]}"
            if coin not in groups_of(settings).get(base, ()):
                yield (
                    where,
                    f"{symbol} is paid for in {coin}, which is no {base} here",
                    f"add it to assets.{base}",
                )
        return
    yield (
        where,
        f"no exchange of the settings that takes orders tells what a short of '{name}' is paid",
        "name a perpetual of a venue whose module is binance_usdm, deribit or hyperliquid",
    )


def _module(name: str) -> ModuleType | None:
    import importlib

    try:
        return importlib.import_module(f"agent.venues.{name}")
    except ImportError:
        return None


def hedge_named(name: str) -> Hedge:
    """The policy of a file of agent/hedging. Raises Usage UNKNOWN_HEDGE."""
    import importlib
    import pkgutil

    from agent import hedging
    from agent.hedging.policy import Hedge

    names = [module.name for module in pkgutil.iter_modules(hedging.__path__)]
    if name in names:
        found = getattr(importlib.import_module(f"agent.hedging.{name}"), "HEDGE", None)
        if isinstance(found, Hedge):
            return found
    known = [n for n in names if hasattr(importlib.import_module(f"agent.hedging.{n}"), "HEDGE")]
    raise Usage("UNKNOWN_HEDGE", f"there is no hedge '{name}'", near(name, known))


def near(name: str, known: Iterable[str]) -> str:
    names = list(dict.fromkeys(known))
    found = get_close_matches(name, names, n=1)
    return f"did you mean '{found[0]}'?" if found else f"known are {', '.join(names) or 'none'}"
