"""A Maker / Sky vault (dss): safe while art·rate ≤ ink·spot, the rate dripped to the time, exactly.

`price_1e18` is the value the spotter takes (behind the price feed's delay). Formulas: Vat.frob's safety check, Spot.poke, Jug.drip
with its half-up power, Dog.bark with its ceiling, dust rules and pro-rata collateral. Values are 1e-45 dollars (rad).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from fractions import Fraction
from typing import Any

from agent.margin import fields
from agent.margin.liquidation import first_second, highest_bad
from agent.margin.model import Health, LiquidationPx, Seized, Side, State, moved_px, state_of

WAD, RAY = 10**18, 10**27
VALUE_UNIT = "USD_1e45"


LATE_S = 900
"""A repayment that its owners sign buys `art` at the rate of so many seconds later, so that it holds in any block until then."""


@dataclass(frozen=True, slots=True)
class Account:
    """`duty_1e27` is base and duty together, a second's growth; `room_1e45` what auctions may still take, None without a limit.

    `late_s`: of what time, beyond its block's, the rate is that a repayment buys at; 0 where a contract reads it when it pays.
    `ink_1e18` counts the collateral in the Vat's own 18 decimals, whatever the token's are.
    """

    collateral: str
    debt: str
    ink_1e18: int
    art_1e18: int
    rate_1e27: int
    duty_1e27: int
    last_update: int
    price_1e18: int
    par_1e27: int
    mat_1e27: int
    chop_1e18: int = WAD
    dust_1e45: int = 0
    room_1e45: int | None = None
    collateral_decimals: int = 18
    late_s: int = LATE_S


def power_half_up(x: int, n: int) -> int:
    """x^n in ray by squaring, each product rounded half-up."""
    found = x if n % 2 else RAY
    n //= 2
    while n:
        x = (x * x + RAY // 2) // RAY
        if n % 2:
            found = (found * x + RAY // 2) // RAY
        n //= 2
    return found


def rate_at(account: Account, timestamp: int) -> int:
    return power_half_up(account.duty_1e27, timestamp - account.last_update) * account.rate_1e27 // RAY


def owed_raw(account: Account, timestamp: int) -> int:
    """What pays the debt at that time, rounded up."""
    return -(-account.art_1e18 * rate_at(account, timestamp) // RAY)


def art_repaid(account: Account, raw: int, timestamp: int) -> int:
    """The `art` that a payment of `raw` planned at that time takes off: all of it where it is no less than is owed."""
    if raw >= owed_raw(account, timestamp):
        return account.art_1e18
    return min(raw * RAY // rate_at(account, timestamp + account.late_s), account.art_1e18)


def spot_of(account: Account, price_1e18: int) -> int:
    return price_1e18 * 10**9 * RAY // account.par_1e27 * RAY // account.mat_1e27


class MakerVault:
    name = "maker_vault"
    price_decimals = 18

    def read(self, account: Mapping[str, Any], decimals: Mapping[str, int]) -> Account:
        where = f"account {account.get('id', '?')}"
        needed = ("ink_1e18", "art_1e18", "rate_1e27", "duty_1e27", "last_update", "price_1e18", "mat_1e27")
        known = {"id", "model", "chain", "collateral", "debt", "par_1e27", "chop_1e18", "dust_1e45", "room_1e45", *needed}  # fmt: skip
        fields.only(account, where, known)
        values = {name: fields.whole(account, name, where) for name in needed}
        par = fields.whole(account, "par_1e27", where, default=RAY)
        if not (par and values["mat_1e27"] and values["rate_1e27"]):
            raise fields.wrong(f"{where}: par_1e27, mat_1e27 and rate_1e27 are not zero")
        return Account(
            fields.listed(account, "collateral", where, decimals),
            fields.listed(account, "debt", where, decimals),
            **values,
            par_1e27=par,
            chop_1e18=fields.whole(account, "chop_1e18", where, default=WAD) or WAD,
            dust_1e45=fields.whole(account, "dust_1e45", where, default=0),
            room_1e45=fields.whole(account, "room_1e45", where) if "room_1e45" in account else None,
            collateral_decimals=_decimals(account, where, decimals),
        )

    def factor(self, account: Account, timestamp: int) -> int | None:
        debt = account.art_1e18 * rate_at(account, timestamp)
        return account.ink_1e18 * spot_of(account, account.price_1e18) * WAD // debt if debt else None

    def at_moves(self, account: Account, moves: Mapping[str, Fraction], timestamp: int) -> int | None:
        """The debt counts a dollar for each, whatever its market price: so does the protocol."""
        px = moved_px(account.price_1e18, moves.get(account.collateral, Fraction(1)))
        return self.factor(replace(account, price_1e18=px), timestamp)

    def health(self, account: Account, timestamp: int) -> Health:
        """Raises Usage where the rate was dripped after `timestamp`."""
        if account.last_update > timestamp:
            raise fields.wrong(f"last_update {account.last_update} is after the time asked for ({timestamp})")
        factor = self.factor(account, timestamp)
        state = state_of(factor)
        gone = state is State.LIQUIDATABLE
        debt = account.art_1e18 * rate_at(account, timestamp)

        def bad_px(px: int) -> bool:
            return account.ink_1e18 * spot_of(account, px) < debt

        def bad_later(seconds: int) -> bool:
            found = self.factor(account, timestamp + seconds)
            return found is not None and found < WAD

        px = highest_bad(bad_px, account.price_1e18, most=10**60) if debt else None
        seconds = None
        if debt and account.duty_1e27 >= RAY:
            seconds = 0 if gone else first_second(bad_later)
        return Health(
            state,
            factor,
            account.ink_1e18 * account.price_1e18 * 10**9,
            debt,
            VALUE_UNIT,
            (
                LiquidationPx(
                    account.collateral, Side.NONE if px is None else Side.BELOW, px, account.price_1e18
                ),
            ),
            seconds,
            seized=barked(account, timestamp) if gone else None,
        )


def _decimals(account: Mapping[str, Any], where: str, decimals: Mapping[str, int]) -> int:
    found = decimals[fields.listed(account, "collateral", where, decimals)]
    if found > 18:
        raise fields.wrong(f"{where}: the collateral has {found} decimals, the Vat counts no more than 18")
    return found


def barked(account: Account, timestamp: int) -> Seized | None:
    """What one `bark` sends to auction, None where it would revert: as much as the auctions' room takes, all of it where dust would be
    left, and no part that is dust itself (dss, Dog.bark)."""
    rate, art = rate_at(account, timestamp), account.art_1e18
    part = art
    if account.room_1e45 is not None:
        if account.room_1e45 == 0:
            return None
        part = min(art, account.room_1e45 * WAD // rate // account.chop_1e18)
    if part < art and (art - part) * rate < account.dust_1e45:
        part = art
    elif part < art and part * rate < account.dust_1e45:
        return None
    taken = account.ink_1e18 * part // art
    if taken == 0:
        return None
    return Seized(account.debt, part * rate // RAY, ((account.collateral, taken),))


MODEL = MakerVault()
