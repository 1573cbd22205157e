"""What is missing, in words an owner can act on: the exact amount, to which address, and from which exchange it could be withdrawn."""

from __future__ import annotations

from collections.abc import Iterator
from decimal import Decimal
from typing import TYPE_CHECKING

from agent.app.cli.output import plain
from agent.app.rescue.pricing import VERB_OF
from agent.app.rescue.sight import Sight, token_known
from agent.domain.units import qty_exact

if TYPE_CHECKING:
    from agent.app.wiring import App
    from agent.margin.rescue import Need


def health_words(factor_1e18: int | None) -> str:
    return "none: no debt" if factor_1e18 is None else plain(qty_exact(factor_1e18, 18))


def missing_words(app: App, sight: Sight, need: Need) -> Iterator[str]:
    """First what to bring; then, for each exchange that has as much, the withdrawal, which nobody here can make."""
    account = sight.one.account
    assert account is not None
    decimals = next(r.decimals for r in account.reserves if r.asset == need.asset)
    symbol = sight.one.symbols.get(need.asset, need.asset)
    qty = qty_exact(need.raw, decimals)
    wallet = sight.desk.wallet
    yield f"{qty:f} {symbol} to {wallet} on {sight.rule.chain}, to {VERB_OF[need.do]} it on top of what is there"
    known = token_known(app, need.asset)
    names = {s for s, group in app.directory.groups.items() if known in group}
    for (venue, asset), free in sight.at_venues.items():
        same = names & {s for s, group in app.directory.groups.items() if asset in group}
        if same and free >= up(qty, app.directory.assets[asset].decimals):
            yield f"withdraw {qty:f} {symbol} (and the fee of the withdrawal) from {venue} to {wallet} on {sight.rule.chain}: only its owner can"


def up(qty: Decimal, decimals: int) -> Decimal:
    from agent.domain.units import quantize_up

    return quantize_up(qty, Decimal(1).scaleb(-decimals))
