"""Liquity v2 (BOLD): a trove is liquidated where collateral·price/debt, floored, is below its branch's MCR; all of it at once.

Debt is what is recorded, with simple interest by the second, the batch's fee and what redistributions brought. Formulas: TroveManager
(_getLatestTroveData, _getLatestTroveDataFromBatch, _getOffsetAndRedistributionVals, _getCollPenaltyAndSurplus), LiquityBase._calcInterest,
LiquityMath._computeCR of liquity/bold. Keys: `collateral`, `debt`, `coll_1e18`, `debt_1e18` (recorded), `annual_rate_1e18`, `last_update`,
`price_1e18`, `mcr_1e18`; optionally `redistributed_coll_1e18`, `redistributed_debt_1e18`, `penalty_sp_1e18`, `penalty_redistribution_1e18`,
`stability_pool_1e18` (BOLD that can be set off), `shut_down`; in a batch, instead of `debt_1e18`, `annual_rate_1e18` and `last_update`,
a `batch` of `debt_1e18`, `annual_rate_1e18`, `management_fee_1e18`, `last_update`, `total_shares`, and `batch_shares`. Values are 1e-36
dollars. That a trove can be redeemed, cheapest interest first, is no liquidation: it loses no value, and is not told here.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from fractions import Fraction
from typing import Any

from agent.margin import fields
from agent.margin.liquidation import first_second, highest_bad
from agent.margin.model import Health, LiquidationPx, Seized, Side, State, moved_px, state_of

WAD = 10**18
YEAR_S = 365 * 86_400
VALUE_UNIT = "USD_1e36"
MIN_DEBT_1E18 = 2_000 * WAD
"""A trove owes at least that, or nothing (Constants.sol)."""
GAS_DIVISOR, GAS_CAP_1E18 = 200, 2 * WAD
"""What the liquidator takes of the collateral first: a two-hundredth, two coins at most."""


@dataclass(frozen=True, slots=True)
class Batch:
    debt_1e18: int
    annual_rate_1e18: int
    management_fee_1e18: int
    last_update: int
    total_shares: int


@dataclass(frozen=True, slots=True)
class Account:
    """`debt_1e18` is what is recorded of a trove of its own, without interest since; in a `batch`, `batch_shares` of it are its own."""

    collateral: str
    debt: str
    coll_1e18: int
    debt_1e18: int
    annual_rate_1e18: int
    last_update: int
    price_1e18: int
    mcr_1e18: int
    redistributed_coll_1e18: int = 0
    redistributed_debt_1e18: int = 0
    penalty_sp_1e18: int = 5 * 10**16
    penalty_redistribution_1e18: int = 10**17
    stability_pool_1e18: int | None = None
    batch: Batch | None = None
    batch_shares: int = 0

    @property
    def entire_coll_1e18(self) -> int:
        return self.coll_1e18 + self.redistributed_coll_1e18


def interest_down(weighted: int, seconds: int) -> int:
    """Interest of debt times rate over some seconds, floored twice as LiquityBase._calcInterest does."""
    return weighted * seconds // YEAR_S // WAD


def batch_debt(batch: Batch, timestamp: int) -> tuple[int, int, int]:
    """(recorded, interest, management fee) of a whole batch."""
    seconds = timestamp - batch.last_update
    return (
        batch.debt_1e18,
        interest_down(batch.debt_1e18 * batch.annual_rate_1e18, seconds),
        interest_down(batch.debt_1e18 * batch.management_fee_1e18, seconds),
    )


def entire_debt(account: Account, timestamp: int) -> int:
    if (batch := account.batch) is not None:
        own = sum(part * account.batch_shares // batch.total_shares for part in batch_debt(batch, timestamp))
    else:
        weighted = account.debt_1e18 * account.annual_rate_1e18
        own = account.debt_1e18 + interest_down(weighted, timestamp - account.last_update)
    return own + account.redistributed_debt_1e18


def repaid(account: Account, raw: int, timestamp: int) -> Account:
    """The trove after a repayment: interest and redistributions recorded; a payment that would leave less than the least debt, but
    something, is refused by the protocol and changes nothing."""
    debt = entire_debt(account, timestamp)
    left = max(debt - raw, 0)
    if 0 < left < MIN_DEBT_1E18:
        return account
    settled = replace(
        account,
        coll_1e18=account.entire_coll_1e18,
        redistributed_coll_1e18=0,
        redistributed_debt_1e18=0,
    )
    if (batch := account.batch) is None:
        return replace(settled, debt_1e18=left, last_update=timestamp)
    whole = sum(batch_debt(batch, timestamp)) + account.redistributed_debt_1e18
    # Shares burn in the proportion of what is paid to the batch's debt; the trove's own are rounded against it.
    shares = -(-left * batch.total_shares // whole) if whole else 0
    rest = max(whole - (debt - left), 0)
    total = batch.total_shares - account.batch_shares + shares
    return replace(
        settled,
        batch=replace(batch, debt_1e18=rest, last_update=timestamp, total_shares=total),
        batch_shares=shares,
    ) if total else replace(settled, batch=None, batch_shares=0, debt_1e18=0, last_update=timestamp)  # fmt: skip


class LiquityV2:
    name = "liquity_v2"
    price_decimals = 18

    def read(self, account: Mapping[str, Any], decimals: Mapping[str, int]) -> Account:
        where = f"account {account.get('id', '?')}"
        always = ("coll_1e18", "price_1e18", "mcr_1e18")
        alone = ("debt_1e18", "annual_rate_1e18", "last_update")
        optional = {
            "redistributed_coll_1e18": 0, "redistributed_debt_1e18": 0, "penalty_sp_1e18": 5 * 10**16,
            "penalty_redistribution_1e18": 10**17,
        }  # fmt: skip
        batched = "batch" in account
        known = {
            "id",
            "model",
            "chain",
            "collateral",
            "debt",
            "shut_down",
            "stability_pool_1e18",
            *always,
            *optional,
        }
        fields.only(account, where, known | ({"batch", "batch_shares"} if batched else set(alone)))
        values = {name: fields.whole(account, name, where) for name in always}
        values |= {
            name: fields.whole(account, name, where, default=least) for name, least in optional.items()
        }
        values |= {name: 0 if batched else fields.whole(account, name, where) for name in alone}
        if values["mcr_1e18"] < WAD:
            raise fields.wrong(f"{where}: mcr_1e18 is below one, and no branch lends more than there is")
        batch = _batch(account, where) if batched else None
        shares = fields.whole(account, "batch_shares", where) if batched else 0
        if batch is not None and shares > batch.total_shares:
            raise fields.wrong(f"{where}: batch_shares are more than the batch has")
        pool = (
            fields.whole(account, "stability_pool_1e18", where) if "stability_pool_1e18" in account else None
        )
        return Account(
            fields.listed(account, "collateral", where, decimals),
            fields.listed(account, "debt", where, decimals),
            **values,
            stability_pool_1e18=pool,
            batch=batch,
            batch_shares=shares,
        )

    def factor(self, account: Account, timestamp: int) -> int | None:
        """The collateral ratio over the least one, in 1e18."""
        debt = entire_debt(account, timestamp)
        if not debt:
            return None
        return account.entire_coll_1e18 * account.price_1e18 // debt * WAD // account.mcr_1e18

    def at_moves(self, account: Account, moves: Mapping[str, Fraction], timestamp: int) -> int | None:
        """The debt counts a dollar for each, whatever its market price: so does the protocol."""
        px = moved_px(account.price_1e18, moves.get(account.collateral, Fraction(1)))
        return self.factor(replace(account, price_1e18=px), timestamp)

    def health(self, account: Account, timestamp: int) -> Health:
        """Raises Usage where interest was recorded after `timestamp`."""
        last = account.batch.last_update if account.batch else account.last_update
        if last > timestamp:
            raise fields.wrong(f"last_update {last} is after the time asked for ({timestamp})")
        factor, debt = self.factor(account, timestamp), entire_debt(account, timestamp)
        state = state_of(factor)
        gone = state is State.LIQUIDATABLE

        def bad_px(px: int) -> bool:
            return account.entire_coll_1e18 * px // debt < account.mcr_1e18

        def bad_later(seconds: int) -> bool:
            found = self.factor(account, timestamp + seconds)
            return found is not None and found < WAD

        px = highest_bad(bad_px, account.price_1e18, most=10**60) if debt else None
        side = Side.NONE if px is None else Side.BELOW
        return Health(
            state,
            factor,
            account.entire_coll_1e18 * account.price_1e18,
            debt * WAD,
            VALUE_UNIT,
            (LiquidationPx(account.collateral, side, px, account.price_1e18),),
            (0 if gone else first_second(bad_later)) if debt else None,
            seized=liquidated(account, timestamp) if gone else None,
        )


def _batch(account: Mapping[str, Any], where: str) -> Batch:
    raw = account["batch"]
    if not isinstance(raw, Mapping):
        raise fields.wrong(f"{where}: batch is not an object")
    names = ("debt_1e18", "annual_rate_1e18", "management_fee_1e18", "last_update", "total_shares")
    fields.only(raw, f"{where}, batch", set(names))
    found = Batch(*(fields.whole(raw, name, f"{where}, batch") for name in names))
    if not found.total_shares:
        raise fields.wrong(f"{where}, batch: total_shares are zero")
    return found


def liquidated(account: Account, timestamp: int) -> Seized:
    """The whole trove: set off against the stability pool as far as that goes, the rest redistributed; what a penalty leaves is its
    owner's to claim. `fee_raw` is the liquidator's part. All is set off where `stability_pool_1e18` is not given."""
    debt, held = entire_debt(account, timestamp), account.entire_coll_1e18
    gas = min(held // GAS_DIVISOR, GAS_CAP_1E18)
    free = held - gas
    offset = debt if account.stability_pool_1e18 is None else min(debt, account.stability_pool_1e18)
    portion = free * offset // debt
    surplus = 0
    if offset:
        surplus = _surplus(portion, offset, account.penalty_sp_1e18, account.price_1e18)
    if debt > offset and free > portion:
        surplus = _surplus(
            free - portion + surplus, debt - offset, account.penalty_redistribution_1e18, account.price_1e18
        )
    return Seized(account.debt, debt, ((account.collateral, held - surplus),), gas)


def _surplus(coll: int, debt: int, penalty_1e18: int, price_1e18: int) -> int:
    return max(coll - debt * (WAD + penalty_1e18) // price_1e18, 0) if price_1e18 else 0


MODEL = LiquityV2()
