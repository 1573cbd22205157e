"""What no single key of a `[[rescues]]` table can tell: thresholds in their order, a chain that exists. Pure."""

from __future__ import annotations

from collections.abc import Iterator
from difflib import get_close_matches
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from agent.app.settings_tree import Chain, Settings


def markets_of(chain: Chain) -> tuple[str, ...]:
    """Every market of a chain that a rescue may name, besides its Aave V3."""
    vaults = chain.maker.vaults if chain.maker is not None else ()
    return (*chain.lending_pools, *chain.comets, *chain.morpho_markets, *(v.urn for v in vaults))


def rescue_checks(settings: Settings) -> Iterator[tuple[str, str, str]]:
    """(TOML path, message, hint)."""
    names = [chain.name for chain in settings.chains]
    for number, rule in enumerate(settings.rescues):
        where = f"rescues[{number}]"
        if rule.chain not in names:
            near = get_close_matches(rule.chain, names, n=1)
            hint = f"did you mean '{near[0]}'?" if near else f"known are {', '.join(names)}"
            yield f"{where}.chain", f"there is no chain '{rule.chain}'", hint
        chain = settings.chain(rule.chain)
        if rule.market is not None and chain is not None and rule.market not in markets_of(chain):
            near = get_close_matches(rule.market, markets_of(chain), n=1)
            yield (
                f"{where}.market",
                f"{rule.chain} lists no market '{rule.market}'",
                f"did you mean '{near[0]}'?"
                if near
                else "add it to lending_pools, comets, morpho_markets or maker.vaults of [[chains]]",
            )
        if any((rule.chain, rule.market) == (r.chain, r.market) for r in settings.rescues[:number]):
            yield (
                where,
                "another [[rescues]] table names this account: both would pay for it",
                "keep one of them",
            )
        if rule.trigger <= 1:
            yield (
                f"{where}.trigger",
                f"at {rule.trigger} the account is being liquidated already",
                "it must be above 1; 1.15 leaves time to act",
            )
        if rule.target <= rule.trigger:
            yield (
                f"{where}.target",
                f"{rule.target} is not above trigger ({rule.trigger}): each rescue would be followed by another",
                "leave some room, like 1.35",
            )
        if rule.warn < rule.trigger:
            yield (
                f"{where}.warn",
                f"{rule.warn} is below trigger ({rule.trigger}): nobody would be warned before it acts",
                "make it the trigger, or more",
            )
        if rule.most_usd > rule.per_day_usd:
            yield (
                f"{where}.most_usd",
                f"{rule.most_usd} is more than per_day_usd ({rule.per_day_usd})",
                "no single rescue may exceed a day",
            )
    yield from _margin_checks(settings)


def _margin_checks(settings: Settings) -> Iterator[tuple[str, str, str]]:
    names = [venue.name for venue in settings.venues]
    for number, rule in enumerate(settings.margin_rescues):
        where = f"margin_rescues[{number}]"
        if rule.venue not in names:
            near = get_close_matches(rule.venue, names, n=1)
            hint = f"did you mean '{near[0]}'?" if near else f"known are {', '.join(names) or 'none'}"
            yield f"{where}.venue", f"there is no exchange '{rule.venue}'", hint
        if any(rule.venue == r.venue for r in settings.margin_rescues[:number]):
            yield (
                f"{where}.venue",
                f"another [[margin_rescues]] table names {rule.venue}: both would make its positions smaller",
                "keep one of them",
            )
        if not 1 < rule.trigger < rule.target:
            yield (
                f"{where}.trigger",
                f"1 < trigger ({rule.trigger}) < target ({rule.target}) does not hold",
                "at 1 the exchange liquidates; leave some room above it, and above the trigger",
            )
        if rule.warn < rule.trigger:
            yield (
                f"{where}.warn",
                f"{rule.warn} is below trigger ({rule.trigger}): nobody would be warned before it acts",
                "make it the trigger, or more",
            )
        if rule.per_day_usd is not None and rule.most_usd > rule.per_day_usd:
            yield (
                f"{where}.most_usd",
                f"{rule.most_usd} is more than per_day_usd ({rule.per_day_usd})",
                "no single order may exceed a day",
            )
