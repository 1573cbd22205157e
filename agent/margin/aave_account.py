"""An Aave V3 account as plain integers, and its entry in accounts/1. Every version of the protocol reads the same keys."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from agent.margin import fields


@dataclass(frozen=True, slots=True)
class Reserve:
    """One asset of an account: prices in 1e-8, rates and indices in ray, amounts in base units (scaled by their index).

    `stable_debt_raw` is the balance of the stable debt token as the chain gave it, interest included. The bonus is what a
    liquidator gets for 10,000 of collateral's worth; the protocol keeps its fee of the part above that.
    """

    asset: str
    decimals: int
    price_1e8: int
    ltv_bps: int
    liquidation_threshold_bps: int
    collateral_enabled: bool
    last_update: int
    scaled_supply_raw: int
    liquidity_index_1e27: int
    liquidity_rate_1e27: int
    scaled_debt_raw: int
    borrow_index_1e27: int
    borrow_rate_1e27: int
    stable_debt_raw: int = 0
    liquidation_bonus_bps: int = 10_000
    protocol_fee_bps: int = 0


@dataclass(frozen=True, slots=True)
class EMode:
    """The account's efficiency-mode category: `price_1e8` where the category has a price source of its own, else 0.

    `ltvzero` are the members that lend nothing in it (3.6 on); `isolated` takes the loan-to-value of all others (3.7 on).
    """

    ltv_bps: int
    liquidation_threshold_bps: int
    assets: frozenset[str]
    price_1e8: int = 0
    liquidation_bonus_bps: int = 10_000
    ltvzero: frozenset[str] = frozenset()
    isolated: bool = False


@dataclass(frozen=True, slots=True)
class Account:
    reserves: tuple[Reserve, ...]
    emode: EMode | None = None

    def in_emode(self, reserve: Reserve) -> bool:
        return self.emode is not None and reserve.asset in self.emode.assets

    def source(self, reserve: Reserve) -> str:
        """Whose price counts for the reserve: its own asset's, or that of the eMode category ("" there)."""
        own_price = self.emode is None or not self.emode.price_1e8 or not self.in_emode(reserve)
        return reserve.asset if own_price else ""

    def prices(self) -> dict[str, int]:
        found = {self.source(r): r.price_1e8 for r in self.reserves}
        if "" in found and self.emode is not None:
            found[""] = self.emode.price_1e8
        return found

    def threshold_bps(self, reserve: Reserve) -> int:
        return (
            self.emode.liquidation_threshold_bps
            if self.emode is not None and self.in_emode(reserve)
            else reserve.liquidation_threshold_bps
        )

    def bonus_bps(self, reserve: Reserve) -> int:
        return (
            self.emode.liquidation_bonus_bps
            if self.emode is not None and self.in_emode(reserve)
            else reserve.liquidation_bonus_bps
        )


def read_account(raw: Mapping[str, Any], decimals: Mapping[str, int]) -> Account:
    """An accounts/1 entry. Raises Usage BAD_ACCOUNTS_FILE naming the account and the key."""
    where = f"account {raw.get('id', '?')}"
    fields.only(raw, where, {"id", "model", "chain", "emode", "emodes", "reserves"})
    reserves = tuple(
        _read_reserve(entry, f"{where}, reserve {number}", decimals)
        for number, entry in enumerate(fields.rows(raw, "reserves", where))
    )
    twice = [r.asset for n, r in enumerate(reserves) if r.asset in [o.asset for o in reserves[:n]]]
    if twice:
        raise fields.wrong(f"{where}: {twice[0]} stands there twice")
    category = fields.whole(raw, "emode", where, default=0)
    if category == 0:
        return Account(reserves)
    emodes = raw.get("emodes")
    entry = emodes.get(str(category)) if isinstance(emodes, Mapping) else None
    if not isinstance(entry, Mapping):
        raise fields.wrong(f"{where}: emode {category} is not among its emodes")
    return Account(reserves, _read_emode(entry, f"{where}, emode {category}"))


def _read_emode(entry: Mapping[str, Any], at: str) -> EMode:
    known = {
        "ltv_bps", "liquidation_threshold_bps", "liquidation_bonus_bps", "collateral", "price_1e8", "ltvzero", "isolated",
    }  # fmt: skip
    fields.only(entry, at, known)
    return EMode(
        fields.whole(entry, "ltv_bps", at),
        fields.whole(entry, "liquidation_threshold_bps", at),
        frozenset(str(a) for a in fields.rows(entry, "collateral", at)),
        fields.whole(entry, "price_1e8", at, default=0),
        fields.whole(entry, "liquidation_bonus_bps", at, default=10_000),
        frozenset(str(a) for a in fields.rows(entry, "ltvzero", at)) if "ltvzero" in entry else frozenset(),
        fields.flag(entry, "isolated", at, default=False),
    )


_INTS = (
    "price_1e8", "ltv_bps", "liquidation_threshold_bps", "last_update", "scaled_supply_raw", "liquidity_index_1e27",
    "liquidity_rate_1e27", "scaled_debt_raw", "borrow_index_1e27", "borrow_rate_1e27",
)  # fmt: skip
_RESERVE_KEYS = {
    "asset", "liquidation_bonus_bps", "collateral_enabled", "stable_debt_raw", "protocol_fee_bps", "paused", "active", *_INTS,
}  # fmt: skip


def _read_reserve(raw: Any, where: str, decimals: Mapping[str, int]) -> Reserve:
    if not isinstance(raw, Mapping):
        raise fields.wrong(f"{where} is not an object")
    fields.only(raw, where, _RESERVE_KEYS)
    asset = fields.listed(raw, "asset", where, decimals)
    values = {name: fields.whole(raw, name, where) for name in _INTS}
    return Reserve(
        asset=asset,
        decimals=decimals[asset],
        collateral_enabled=fields.flag(raw, "collateral_enabled", where),
        stable_debt_raw=fields.whole(raw, "stable_debt_raw", where, default=0),
        liquidation_bonus_bps=fields.whole(raw, "liquidation_bonus_bps", where, default=10_000),
        protocol_fee_bps=fields.whole(raw, "protocol_fee_bps", where, default=0),
        **values,
    )
