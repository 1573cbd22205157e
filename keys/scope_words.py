"""A scope in plain sentences: every power it gives, who can take it away, and what it can cost. Pure."""

from __future__ import annotations

from decimal import Decimal

from chains.types import ZERO_ADDRESS
from keys.scope import Scope, check
from keys.scope_bound import Bound
from keys.sentences_words import Tokens, amount, ether, percent, span

LENDERS = {
    "compound_v3": "Compound III",
    "morpho_blue": "Morpho Blue",
    "aave_v3": "the pool of Aave V3's kind",
    "maker": "Maker",
}


def sentences(scope: Scope, bound: Bound) -> tuple[str, ...]:
    """One sentence a power. Raises Usage SCOPE_INVALID."""
    check(scope)
    tokens: Tokens = {t.address: (t.symbol, t.decimals) for t in scope.tokens}
    said = [
        f"The account {scope.agent} may trade for the Safe {scope.safe} on chain {scope.chain_id}, as follows and not otherwise.",
        f"In any 24 hours it may trade {_usd(scope.per_day_usd)}, of it {_usd(scope.burst_usd)} at once.",
        f"Each trade must bring the Safe at least {percent(10_000 - scope.slack_bps)} of its value by the worse of two price sources; "
        f"where these differ by more than {percent(scope.divergence_bps)}, or one is stale, nothing is traded.",
        f"A trade's deadline is at most {span(scope.deadline_s)} away.",
    ]
    for pair in scope.pairs:
        a, b = scope.token(pair.token_a), scope.token(pair.token_b)
        second = (
            f"the mean of {span(pair.window_s)} of the pool {pair.source}"
            if pair.window_s
            else f"the feed {pair.source}"
        )
        said.append(
            f"{a.symbol} and {b.symbol} may be exchanged for each other, priced by their dollar feeds {a.feed} and {b.feed} and by {second}."
        )
    for route in scope.routes:
        said.append(f"It may use {route.function.partition('(')[0]} of the router {route.router}.")
    for token in scope.tokens:
        said.append(
            f"The Gate may take {amount(token.allowance_raw, token.address, tokens)} from the Safe in all, until the owners allow more."
        )
    if scope.intents:
        said.append(
            f"It may offer what it may trade to others to settle at CoW Protocol, one order of a token at a time: the order is made from its "
            f"fields by a contract of the Gate, pays the Safe and nobody else, carries no hooks and no fee, ends within {span(scope.deadline_s)}, and is "
            "settled only at what a trade would have to bring at that moment. What it sells lies in that contract meanwhile, and the vault "
            "relayer may take exactly that from there, nothing from the Safe; whatever is left goes back to the Safe, and any one owner can end it at once."
        )
    said += _lending(scope, tokens)
    said += _payments(scope, bound, tokens)
    if scope.gas is not None:
        rule = scope.gas
        said.append(
            f"It may turn {ether(rule.burst_wei)} at once and {ether(rule.per_day_wei)} a day of the Safe's WETH into gas money of "
            f"{rule.account}, while that holds less than {ether(rule.float_cap_wei)}."
        )
    if scope.sequencer != ZERO_ADDRESS:
        said.append(
            f"While {scope.sequencer} says the chain's sequencer is down, and {span(scope.sequencer_grace_s)} after, no price is believed."
        )
    said += [
        f"All of this lapses {span(scope.term_s)} after the Safe last renewed it.",
        "Any one owner, or the Safe, can freeze it at once; the Safe can take any part of it away at once.",
        f"Anything more than this has to wait {span(scope.delay_s)} after the Safe asked for it, and any one owner can cancel it meanwhile.",
        "It cannot change owners, modules or guards, send tokens anywhere, approve anyone, delegate credit or sign for the Safe.",
        f"Whoever steals its key can take at most {_usd(bound.per_day_usd)} in any 24 hours and {_usd(bound.per_hour_usd)} in any hour, "
        f"gas money of {_usd(bound.gas_per_day_usd)} a day included; if nobody ever looks, {_usd(bound.until_lapse_usd)} until it lapses.",
        "That number holds while the dollar feeds are right to within "
        + ", ".join(f"{percent(t.feed_error_bps)} for {t.symbol}" for t in scope.tokens)
        + ", or the second sources are.",
    ]
    if bound.fall_to_liquidation is not None:
        said.append(
            f"Not in it: a position he brought down to the health floor is liquidated, with the protocol's penalty, after a further fall of "
            f"{(bound.fall_to_liquidation * 100).normalize():f} % of collateral against debt, and its interest is the Safe's to pay."
        )
    return tuple(said)


def _lending(scope: Scope, tokens: Tokens) -> list[str]:
    said = []
    for reserve in scope.reserves:
        rule = scope.token(reserve.asset)
        verbs = " and ".join(sorted(set(reserve.actions)))
        said.append(
            f"It may {verbs} {rule.symbol} on the Safe's account at the lending pool {scope.lending_pool}; "
            f"health may not fall below {scope.health_floor}, nor fall at all where it is below."
        )
        if reserve.withdraw_raw:
            said.append(
                f"Of it, {amount(reserve.withdraw_raw, rule.address, tokens)} may be withdrawn in all."
            )
        if reserve.borrow_raw:
            said.append(f"Of it, {amount(reserve.borrow_raw, rule.address, tokens)} may be borrowed in all.")
    return said


def _payments(scope: Scope, bound: Bound, tokens: Tokens) -> list[str]:
    said = []
    for rule in scope.payments:
        does = "repay what is owed in" if rule.action == "repay" else "add collateral of"
        over = ", never more than that" if rule.action == "repay" else ""
        # Of a vault nothing on the chain says whose it is: it is not called the Safe's.
        where = f"at {LENDERS[rule.kind]}, {rule.words}"
        where = where if rule.kind == "maker" else f"on the Safe's own account {where}"
        most, once, ever = (
            amount(raw, rule.asset, tokens) for raw in (rule.per_day_raw, rule.burst_raw, rule.allowance_raw)
        )
        said.append(
            f"It may {does} {scope.token(rule.asset).symbol} {where}: {most} in any 24 hours, of it "
            f"{once} at once, in all {ever} until the owners allow more; only while something is owed there{over}, and only where it leaves the "
            "account beyond liquidation."
        )
    vaults = list(dict.fromkeys(rule.account for rule in scope.payments if rule.kind == "maker"))
    said += [
        f"Whose the vault {urn} at Maker is, the chain does not tell the contract: whoever holds it takes out what is paid into it. Compare it with "
        "the Safe's own."
        for urn in vaults
    ]
    if said:
        where = ", where each of these vaults is the Safe's" if vaults else ""
        most_locked = " and ".join(f"{qty.normalize():f} {symbol}" for symbol, qty in bound.locked)
        said.append(
            f"Of such payments a thief extracts nothing{where}; he can lock up at most {most_locked} in any 24 hours in the Safe's own loans, out of "
            "which the owners take collateral back, or borrow again what was repaid, as far as each lender's own rules let them."
        )
    return said


def _usd(amount_usd: Decimal) -> str:
    return f"${amount_usd:,.2f}"
