"""What no single key of a `[[rescues]]` table can tell: thresholds in their order, a chain that exists. Pure."""

from __future__ import annotations

from collections.abc import Iterator
from difflib import get_close_matches
from typing import TYPE_CHECKING

from agent.app.settings_rescue import MarginRescueTable, RescueTable

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
        yield from _hedge_checks(settings, rule, where)
    yield from _margin_checks(settings)


def _hedge_checks(
    settings: Settings, rule: RescueTable | MarginRescueTable, where: str
) -> Iterator[tuple[str, str, str]]:
    names = [venue.name for venue in settings.venues]
    if rule.hedge_at is None:
        told = rule.model_fields_set & {name for name in type(rule).model_fields if name.startswith("hedge_")}
        if told - {"hedge_at"}:
            first = sorted(told)[0]
            yield (
                f"{where}.{first}",
                "hedge_at says no exchange: nothing is hedged",
                "add hedge_at, or drop it",
            )
        return
    if rule.hedge_at not in names:
        near = get_close_matches(rule.hedge_at, names, n=1)
        hint = f"did you mean '{near[0]}'?" if near else f"known are {', '.join(names) or 'none'}"
        yield f"{where}.hedge_at", f"there is no exchange '{rule.hedge_at}'", hint
        return
    if isinstance(rule, MarginRescueTable) and rule.hedge_at == rule.venue:
        yield (
            f"{where}.hedge_at",
            f"{rule.venue} is the exchange whose accounts are in trouble",
            "name another: there the positions themselves are made smaller",
        )
    if rule.hedge_with is None:
        yield f"{where}.hedge_with", "it is not said with which contract", 'like hedge_with = "ETH-PERP"'
    else:
        there = [a for a in settings.assets.get(rule.hedge_with, ()) if a.startswith(f"cex:{rule.hedge_at}/")]
        if len(there) != 1:
            yield (
                f"{where}.hedge_with",
                f"[assets] names {'no' if not there else 'more than one'} {rule.hedge_with} at {rule.hedge_at}",
                f'{rule.hedge_with} = ["cex:{rule.hedge_at}/…"], the contract as the exchange calls it',
            )
    if rule.lasts_below(rule.target) <= rule.trigger:
        yield (
            f"{where}.hedge_until",
            f"{rule.hedge_until} is not above trigger ({rule.trigger}): it would be opened and closed in turn",
            "make it the target, or more",
        )
    if rule.hedge_shock >= 1 and isinstance(rule, MarginRescueTable):
        yield f"{where}.hedge_shock", f"no price falls by {rule.hedge_shock}", "a part of the price, like 0.3"


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
        yield from _hedge_checks(settings, rule, where)
