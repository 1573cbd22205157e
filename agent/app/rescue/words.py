"""What is missing, in words an owner can act on: the exact amount, to which address, and from which exchange it could be withdrawn."""

from __future__ import annotations

from collections.abc import Iterator
from decimal import Decimal
from typing import TYPE_CHECKING

from agent.app.places import place_named
from agent.app.rescue.bringing import enough, too_slow
from agent.app.rescue.landed import health_words
from agent.app.rescue.pricing import VERB_OF
from agent.app.rescue.sight import Sight, token_known
from agent.domain.instruments import place_of
from agent.domain.units import qty_exact
from agent.margin.worths import assets_of

if TYPE_CHECKING:
    from agent.app.wiring import App
    from agent.margin.rescue import Need, Plan
    from agent.margin.unwind import Unwinding


def missing_words(app: App, sight: Sight, need: Need) -> Iterator[str]:
    """First what to bring; then, for each exchange that has as much, the withdrawal, and for each other chain the bridge, where there is
    time for it. An exchange's keys cannot withdraw, and what crosses a bridge is owners' to sign: `bringing` does it where they sign here."""
    account = sight.one.account
    assert account is not None
    decimals = assets_of(account)[need.asset]
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
    if sight.one.health is None or too_slow(app, sight) is not None:
        return
    for asset, raw in sight.on_chains.items():
        same = names & {s for s, group in app.directory.groups.items() if asset in group}
        sent = enough(app, need.raw, raw) if app.directory.assets[asset].decimals == decimals else None
        if same and sent is not None:
            chain, name = place_named(app.settings, place_of(asset)), app.directory.assets[asset].symbol
            who = "only its owners can: " if app.roads is not None else ""
            yield (
                f"bridge {qty:f} {symbol} (and the relayer's fee) by Across from {chain} to {wallet} on {sight.rule.chain}: seconds as a rule, "
                f"given back where no relayer takes it; {who}`fairlead bridge send {qty_exact(sent, decimals):f} {name} --from {chain} "
                f"--to {sight.rule.chain} --live`"
            )


def unwinding_words(app: App, sight: Sight, found: Unwinding) -> str:
    """The steps in their order, each a command's worth; its owners sign each of them."""
    account = sight.one.account
    assert account is not None
    decimals = {r.asset: r.decimals for r in account.reserves}
    lent, owed = (sight.one.symbols.get(a, a) for a in (found.lent, found.owed))
    steps = [
        f"withdraw {qty_exact(one.out_raw, decimals[found.lent]):f} {lent}, sell it for at least "
        f"{qty_exact(one.back_raw, decimals[found.owed]):f} {owed}, repay that (health factor {health_words(one.between_1e18)}, then "
        f"{health_words(one.after_1e18)})"
        for one in found.rounds
    ]
    told = "; then ".join(steps)
    return f"out of its own collateral, for at most {found.cost_usd:,.2f} USD: {told}; only its owners can"


def owners_words(app: App, sight: Sight, plan: Plan) -> str:
    """What the wallet has and its owners may pay in, where the agent's key reaches no such market."""
    from agent.app.rescue.acting import words

    does = ", then ".join(words(app, sight, move) for move in plan.moves)
    name = sight.rule.chain
    return f"{does} (health factor {health_words(plan.health_1e18)}): only its owners can: `fairlead rescue --chain {name} --live --by owners`"


def up(qty: Decimal, decimals: int) -> Decimal:
    from agent.domain.units import quantize_up

    return quantize_up(qty, Decimal(1).scaleb(-decimals))


__all__ = ["health_words", "missing_words", "owners_words", "unwinding_words"]
