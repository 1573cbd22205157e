"""What can be paid into an account out of the wallet, what getting it done costs, and which plans the limits leave."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import ROUND_CEILING, Decimal, localcontext
from typing import TYPE_CHECKING

from agent.app.lending import granted_verbs, within_scope
from agent.app.rescue.doubts import Doubt
from agent.app.rescue.flash import flash_means
from agent.app.rescue.sight import Sight, token_known
from agent.domain.instruments import AssetId
from agent.domain.units import WIDE, qty_exact, raw_down
from agent.execution.settlement import token_of
from agent.margin.aave_account import Account
from agent.margin.aave_core import AaveModel
from agent.margin.aave_moves import REPAY, REPAY_WITH, TOLERATED_RAW, short_by
from agent.margin.changes import owed
from agent.margin.flash import FLASH
from agent.margin.rescue import Means, Need, Plan, best_effort, needs, plans, ways
from agent.margin.unwind import Unwinding, cheapest_unwinding
from chains.gas import cost_at_most

if TYPE_CHECKING:
    from agent.app.wiring import App

LEND_GAS = 700_000
"""What a payment at the pool takes at most through the wallet or the Gate, for comparing plans; the rehearsal then tells the truth."""
SALE_GAS = 600_000
"""The same of a sale."""
SALE_BPS, SALE_SHORT_BPS = 60, 150
"""What a sale is taken to lose before it is priced, and how much less than its worth is counted on."""
FLOOR_1E18 = 102 * 10**16
"""Below it no withdrawal of collateral is proposed to leave a loan."""
LIFE_S = 180
"""A plan still reaches its target when it is included that late: interest is counted up to then."""
VERB_OF = {REPAY: "repay", REPAY_WITH: REPAY_WITH, FLASH: FLASH, "add_collateral": "supply"}


@dataclass(frozen=True)
class Options:
    """`plans` reach the target within the limits, the cheapest first. Where none does, there is at most one, which is `short` of it, and
    `missing` is what would do once the wallet is spent, each alone. `unwound` is what the loan's own collateral would do, step by step by
    its owners: no role lets an agent's key withdraw collateral. `owners` are plans that its owners could sign where the agent's key cannot:
    its scope names no such market, or collateral would leave the loan."""

    plans: tuple[Plan, ...]
    missing: tuple[Need, ...]
    doubts: tuple[Doubt, ...]
    short: bool = False
    unwound: Unwinding | None = None
    owners: tuple[Plan, ...] = ()

    @property
    def stopped(self) -> Doubt | None:
        return next((d for d in self.doubts if d.stops), None)


def target_1e18(sight: Sight) -> int:
    with localcontext(WIDE):
        return int((sight.rule.target * 10**18).to_integral_value(ROUND_CEILING))


def options(app: App, sight: Sight, spent_usd: Decimal, time_s: int, *, beside: bool = False) -> Options:
    """`spent_usd` is what rescues of this account paid in during the last 24 hours; `time_s` the time of the next block.

    Nothing where the account is at its target. What its own collateral would do is asked where nothing else does, and with `beside`.
    """
    one = sight.one
    if one.account is None or one.found is None or not sight.below(sight.rule.target):
        return Options((), (), sight.doubts)
    doubts = [*sight.doubts, *gas_doubts(sight)]
    if (unit := sight.unit_usd) is None:
        return Options((), (), (*doubts, unpriced(sight)))
    times, target = (time_s, time_s + LIFE_S), target_1e18(sight)
    means, untold = means_of(app, sight, time_s)
    doubts += untold
    if not means and not within_scope(app, sight.desk, sight.lender):
        held, _ = means_of(app, sight, time_s, by_owners=True)
        theirs = tuple(plans(one.engine, one.account, times, target, held, unit))
        missing = () if theirs else tuple(needs(one.engine, one.account, times, target, held, unit))
        return Options((), missing, tuple(doubts), owners=theirs)
    found = plans(one.engine, one.account, times, target, means, unit)
    kept = [p for p in found if over(sight, p, spent_usd) is None]
    if found and not kept and (why := over(sight, found[0], spent_usd)) is not None:
        doubts.append(why)
    unwound = own_collateral(app, sight, times[-1], target) if beside or not kept else None
    if kept:
        return Options(tuple(kept), (), tuple(doubts), unwound=unwound)
    missing = () if found else tuple(needs(one.engine, one.account, times, target, means, unit))
    theirs = ()
    if app.roads is not None:
        flashed = plans(one.engine, one.account, times, target, flash_means(app, sight, time_s), unit)
        theirs = tuple(p for p in flashed if over(sight, p, spent_usd) is None)
    room = min(sight.rule.most_usd, sight.rule.per_day_usd - spent_usd)
    # What of it is sold costs: where that is too much, what the wallet has is paid all the same.
    for some in (
        means,
        [m for m in means if not m.buys],
        [m for m in means if not m.buys and not m.swap_from],
    ):
        effort = best_effort(one.engine, one.account, times, some, room, unit)
        if effort is not None and over(sight, effort, spent_usd) is None:
            return Options((effort,), missing, tuple(doubts), short=True, unwound=unwound, owners=theirs)
    return Options((), missing, tuple(doubts), unwound=unwound, owners=theirs)


def own_collateral(app: App, sight: Sight, time_s: int, target: int) -> Unwinding | None:
    """The cheapest way to the target out of the loan's own collateral, between assets that the settings know and would sell."""
    one = sight.one
    gas = sight.usd_of_wei(cost_at_most(2 * LEND_GAS + SALE_GAS, sight.fees))
    if not isinstance(one.account, Account) or not isinstance(one.engine, AaveModel):
        return None
    if gas is None or not sight.rule.swap or any(d.no_sale for d in sight.doubts):
        return None
    sold = {
        str(a) for a, symbol in app.directory.symbols.items() if symbol in app.settings.limits.allow_assets
    }
    known = {r.asset for r in one.account.reserves if str(token_known(app, r.asset)) in sold}
    return cheapest_unwinding(one.engine, one.account, time_s, target, SALE_BPS, FLOOR_1E18, gas, known)


def means_of(
    app: App, sight: Sight, time_s: int, *, by_owners: bool = False
) -> tuple[list[Means], list[Doubt]]:
    """Every asset of the wallet there that repays or secures, and what stands in the way of one. `by_owners`: were they to sign."""
    one, found, doubts = sight.one, list[Means](), list[Doubt]()
    assert one.account is not None
    fee = sight.usd_of_wei(cost_at_most(LEND_GAS, sight.fees)) or Decimal(0)
    for do, asset in ways(one.engine, one.account, time_s):
        known = token_known(app, asset)
        supplies = do != REPAY  # a frozen reserve takes no supply; what is owed in it may be repaid
        if known is None and do == REPAY:
            doubts.append(unlisted(sight, asset))
        if known is None or (supplies and (not sight.rule.add_collateral or asset in one.frozen)):
            continue
        held = sight.held.get(known, 0)
        why = None if by_owners else not_granted(app, sight, VERB_OF[do], known)
        if why is not None:
            doubts += [why] if held and why not in doubts else []
            continue
        doubts += [] if by_owners else rounded_off(app, sight, do, asset, known, time_s)
        most = None if by_owners else sight.payable.get((VERB_OF[do], token_of(known)))
        if held:
            found.append(Means(do, asset, held if most is None else min(held, most), fee))
        if do == REPAY and sight.rule.swap and not by_owners and not any(d.no_sale for d in sight.doubts):
            found += sales(app, sight, asset, known, fee)
    if app.roads is None or by_owners:
        found += own_of_it(app, sight, time_s, fee)
        found += flash_means(app, sight, time_s)
    return found, doubts


def rounded_off(app: App, sight: Sight, do: str, asset: str, known: AssetId, time_s: int) -> list[Doubt]:
    """Where a pool's index is so high that what it books may differ from what is paid by more than the agent's contracts take: how far
    changes with every second of interest, so that no amount is sure, and the next block's is as good."""
    one = sight.one
    if app.roads is None or not isinstance(one.account, Account) or not isinstance(one.engine, AaveModel):
        return []
    off = short_by(one.engine, one.account, do, asset, time_s)
    if off <= TOLERATED_RAW:
        return []
    symbol = app.directory.assets[known].symbol
    return [
        Doubt(
            "SCOPE_ROUNDING",
            f"{sight.rule.chain}: {sight.lender.words} books up to {off} base units of {symbol} less than is paid, and the agent's contract "
            f"takes {TOLERATED_RAW}: a payment of a part is refused in some blocks, and tried again in the next",
            "the whole debt is always taken; or its owners sign (`--by owners`)",
        )
    ]


def own_of_it(app: App, sight: Sight, time_s: int, fee: Decimal) -> list[Means]:
    """Debts in an asset that the account lends as well: one pays the other, and nothing of the wallet is needed."""
    one = sight.one
    if not isinstance(one.account, Account) or not isinstance(one.engine, AaveModel):
        return []
    lent = {r.asset: one.engine.supply_raw(r, time_s) for r in one.account.reserves}
    due = [a for a in owed(one.engine, one.account, time_s) if lent[a] and token_known(app, a) is not None]
    return [Means(REPAY_WITH, asset, lent[asset], fee) for asset in due]


def sales(app: App, sight: Sight, asset: str, known: AssetId, fee: Decimal) -> list[Means]:
    """What the wallet's other assets there would bring of `asset`, by our own prices, no more than one order may be."""
    gas = sight.usd_of_wei(cost_at_most(SALE_GAS, sight.fees))
    bought, limits = app.directory.symbols.get(known, ""), app.settings.limits
    px = sight.prices.get(bought)
    if gas is None or px is None or bought not in limits.allow_assets:
        return []
    found = []
    for other, raw in sight.held.items():
        sold = app.directory.symbols.get(other, "")
        if not raw or sold == bought or sold not in limits.allow_assets or sold not in sight.prices:
            continue
        road = sight.desk.road
        if road is not None and frozenset((token_of(other), token_of(known))) not in road.pairs:
            continue
        with localcontext(WIDE):
            usd = min(
                qty_exact(raw, app.directory.assets[other].decimals) * sight.prices[sold],
                limits.per_order_usd,
            )
            brings = usd * (10_000 - SALE_SHORT_BPS) / 10_000 / px
        most = raw_down(brings, app.directory.assets[known].decimals)
        most = min(most, sight.payable.get((VERB_OF[REPAY], token_of(known)), most))
        found.append(Means(REPAY, asset, most, fee + gas, SALE_BPS, other))
    return found


def not_granted(app: App, sight: Sight, verb: str, asset: AssetId) -> Doubt | None:
    """Why the agent's key may not do it; None where it may, and where owners sign."""
    if app.roads is None:
        return None
    if not within_scope(app, sight.desk, sight.lender):
        return Doubt(
            "SCOPE_MARKET",
            f"{sight.rule.chain}: the agent's scope does not reach {sight.lender.words}",
            "its owners can: `fairlead rescue --live --by owners`",
        )
    symbol = app.directory.assets[asset].symbol
    if verb in granted_verbs(app, sight.desk, sight.lender, token_of(asset)):
        if sight.payable.get((verb, token_of(asset))) != 0:
            return None
        return Doubt(
            "SCOPE_PAYMENT_SPENT",
            f"{sight.rule.chain}: the agent's key may {verb} no more {symbol} at {sight.lender.words} now",
            "its budget refills steadily within a day, its allowance is the owners' to raise; or its owners sign (`--by owners`)",
        )
    return Doubt(
        "SCOPE_RESERVE",
        f"{sight.rule.chain}: the wallet has {symbol}, and the agent's scope does not let it {verb} it",
        "add it to scopes.reserves, or elsewhere than at the scope's own pool to scopes.payments, and have the owners grant it",
    )


def unlisted(sight: Sight, asset: str) -> Doubt:
    """What is owed is no asset of the settings: what the wallet has of it is not seen."""
    symbol = sight.one.symbols.get(asset, asset)
    return Doubt(
        "ASSET_UNLISTED",
        f"{sight.name}: {symbol} is owed and is not under [assets], so that what the wallet has of it cannot be paid in",
        f'add "{asset}" to {symbol} under [assets], and to the signer\'s tokens',
    )


def unpriced(sight: Sight) -> Doubt:
    """What the account counts in has no price in dollars: no limit of the rule could be held."""
    account = sight.one.account
    symbol = sight.one.symbols.get(account.loan, account.loan) if account is not None else "it"
    return Doubt(
        "PRICE_UNKNOWN",
        f"{sight.name}: {symbol} has no price in dollars, and the rescue's limits are dollars",
        f"add a source of {symbol} under [oracles]",
        stops=True,
    )


def gas_doubts(sight: Sight) -> list[Doubt]:
    """GAS_EMPTY stops: the account that sends cannot pay one payment's gas. The reserve of [limits] is there for this, and may be used."""
    needed = cost_at_most(LEND_GAS, sight.fees)
    if sight.sender_wei < needed:
        coin = sight.desk.profile.native
        return [
            Doubt(
                "GAS_EMPTY",
                f"{sight.rule.chain}: {sight.desk.sender} has {qty_exact(sight.sender_wei, 18):f} {coin} for gas, a rescue needs up to "
                f"{qty_exact(needed, 18):f}",
                f"send {qty_exact(needed - sight.sender_wei, 18):f} {coin} to {sight.desk.sender}",
                stops=True,
            )
        ]
    return []


def over(sight: Sight, plan: Plan, spent_usd: Decimal) -> Doubt | None:
    """Which limit of the rule a plan breaks."""
    rule = sight.rule
    if plan.paid_usd > rule.most_usd:
        return Doubt(
            "RESCUE_OVER_LIMIT",
            f"{rule.name}: {plan.paid_usd:.2f} USD would have to be paid in, most_usd is {rule.most_usd}",
            "raise rescues.most_usd, or pay in by hand",
        )
    if plan.paid_usd + spent_usd > rule.per_day_usd:
        return Doubt(
            "RESCUE_OVER_DAY",
            f"{rule.name}: {plan.paid_usd:.2f} USD on top of {spent_usd:.2f} of the last 24 hours are more than per_day_usd ({rule.per_day_usd})",
            "raise rescues.per_day_usd, or pay in by hand",
        )
    if plan.cost_usd > rule.most_cost_usd:
        return Doubt(
            "RESCUE_TOO_DEAR",
            f"{rule.name}: it would cost up to {plan.cost_usd:.2f} USD, most_cost_usd is {rule.most_cost_usd}",
            "raise rescues.most_cost_usd, or wait for cheaper gas",
        )
    return None
