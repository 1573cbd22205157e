"""dYdX v4: a subaccount's net collateral against its maintenance margin, in quote quantums (1e-6 USDC), as the chain's integers have it.

A position's notional is size·oracle price, cut towards zero; initial margin is its share of that, rounded up, and maintenance a fraction of
the initial, rounded up again (not of the initial scaled by open interest, nor of one the owner chose). Liquidatable once maintenance is above
zero and above net collateral; positions whose notional is nothing are deleveraged once net collateral is below zero, which counts here as
well; a debt without positions is neither. Prices are told on the oracle's own grid. Formulas: dydxprotocol/v4-chain, lib/margin
(at 3c7fd6d), x/perpetuals/lib (at 18cfdcd), x/perpetuals/types/liquidity_tier, x/clob/keeper/liquidations and deleveraging.

Keys: `quote_raw` (USDC and unsettled funding); `positions` of `asset`, `quantums`, `atomic_resolution`, `oracle_price`, `price_exponent`,
`initial_margin_ppm`, `maintenance_fraction_ppm`; where they are, `quote_raw` of the position's own, `custom_imf_ppm`, and `open_interest` (in
base quantums) with `open_interest_lower_cap` and `open_interest_upper_cap` (in quote quantums).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from fractions import Fraction
from typing import Any

from agent.margin import fields
from agent.margin.exchange import Position as PerpPosition
from agent.margin.exchange import Tier
from agent.margin.liquidation import highest_bad, lowest_bad
from agent.margin.model import HEALTHY_1E18, Health, LiquidationPx, Side, State, moved_px, state_of
from agent.margin.perps import PerpAccount

VALUE_UNIT = "USD_1e6"
QUOTE_RESOLUTION = -6
MILLION = 10**6
MOST_PRICE = 2**64 - 1
"""The chain keeps a price in 64 bits."""


@dataclass(frozen=True, slots=True)
class Position:
    """`quantums` of 10^resolution units, below zero where short, at `price`·10^exponent dollars."""

    asset: str
    quantums: int
    resolution: int
    price: int
    exponent: int
    initial_ppm: int
    fraction_ppm: int
    quote: int = 0
    custom_ppm: int = 0
    open_interest: int = 0
    lower_cap: int = 0
    upper_cap: int = 0

    def worth(self, quantums: int) -> int:
        """Quote quantums of so many base quantums at the oracle's price, cut towards zero."""
        shift = self.exponent + self.resolution - QUOTE_RESOLUTION
        product = abs(quantums) * self.price
        found = int(product * 10**shift if shift >= 0 else product // 10**-shift)
        return found if quantums >= 0 else -found

    def maintenance(self) -> int:
        return _ppm_up(_ppm_up(abs(self.worth(self.quantums)), self.initial_ppm), self.fraction_ppm)

    def initial(self) -> int:
        return _ppm_up(abs(self.worth(self.quantums)), max(self.scaled_ppm(), self.custom_ppm))

    def scaled_ppm(self) -> int:
        """The share that is needed at first: from the lower cap of open interest on it grows, to all of it at the upper."""
        interest = self.worth(self.open_interest)
        if not self.upper_cap or interest <= self.lower_cap:
            return self.initial_ppm
        if interest >= self.upper_cap:
            return MILLION
        grown = (
            (MILLION - self.initial_ppm) * (interest - self.lower_cap) // (self.upper_cap - self.lower_cap)
        )
        return self.initial_ppm + grown


@dataclass(frozen=True, slots=True)
class Account:
    """`quote` is USDC with funding not settled yet, in quote quantums."""

    quote: int
    positions: tuple[Position, ...]

    def net(self) -> int:
        return self.quote + sum(p.quote + p.worth(p.quantums) for p in self.positions)

    def maintenance(self) -> int:
        return sum(p.maintenance() for p in self.positions)

    @property
    def open(self) -> bool:
        return any(p.quantums for p in self.positions)

    def at(self, prices: Mapping[str, int]) -> Account:
        """The account with those oracle prices, in the oracle's own units."""
        rows = tuple(replace(p, price=prices[p.asset]) if p.asset in prices else p for p in self.positions)
        return replace(self, positions=rows)


def as_perps(account: Account) -> PerpAccount:
    """The account in dollars at its oracle prices, for what shrinks it: every figure exact but for the chain's roundings, which are taken
    against it: three quote quantums of equity a position cover them, and two of its maintenance."""
    rows, worth = [], Fraction(0)
    for p in account.positions:
        px = Fraction(p.price) * Fraction(10) ** p.exponent
        size = Fraction(p.quantums) * Fraction(10) ** p.resolution
        rate = Fraction(p.initial_ppm, MILLION) * Fraction(p.fraction_ppm, MILLION)
        rows.append(PerpPosition(p.asset, size, px, px, (Tier(Fraction(0), rate, Fraction(-2, MILLION)),)))
        worth += 3
    return PerpAccount((account.net() - worth) / MILLION, tuple(rows))


def falls(account: Account) -> bool:
    """Whether the chain closes positions of it against the owner's will: liquidated, or deleveraged."""
    return account.open and account.net() < account.maintenance()


def bankruptcy_quote(account: Account, position: Position) -> int:
    """What closing the whole position has to bring (below zero: may cost) in quote quantums for its share of the account to be left with
    nothing; rounded up, so that the insurance fund pays nothing for the rounding. ZeroDivisionError where no margin is needed."""
    share = account.net() * position.maintenance()
    return position.worth(position.quantums) - share // account.maintenance()


class DydxModel:
    name = "dydx_v4"
    price_decimals = 0

    def read(self, account: Mapping[str, Any], decimals: Mapping[str, int]) -> Account:
        where = f"account {account.get('id', '?')}"
        fields.only(account, where, {"id", "model", "chain", "quote_raw", "positions"})
        rows = fields.rows(account, "positions", where)
        found = tuple(_position(r, f"{where}, position {n}", decimals) for n, r in enumerate(rows))
        names = [p.asset for p in found]
        if len(set(names)) < len(names):
            raise fields.wrong(f"{where}: an asset has two positions")
        return Account(fields.signed(account, "quote_raw", where), found)

    def at_prices(self, account: Account, prices: Mapping[str, int], timestamp: int) -> int | None:
        """The ratio with oracle prices as given, in the oracle's own units."""
        return _ratio(account.at(prices))

    def at_moves(self, account: Account, moves: Mapping[str, Fraction], timestamp: int) -> int | None:
        prices = {p.asset: moved_px(p.price, moves[p.asset]) for p in account.positions if p.asset in moves}
        return _ratio(account.at(prices))

    def deposited(self, account: Account, raw_1e8: int) -> Account:
        """The account with so many 1e-8 of a dollar more, whole quantums of it."""
        return replace(account, quote=account.quote + raw_1e8 // 100)

    def health(self, account: Account, timestamp: int) -> Health:
        ratio = _ratio(account)
        state = state_of(ratio)
        return Health(
            state,
            ratio,
            account.net(),
            0,
            VALUE_UNIT,
            tuple(_liquidation_px(account, p) for p in account.positions),
            0 if state is State.LIQUIDATABLE else None,
            maintenance_raw=account.maintenance(),
            initial_raw=sum(p.initial() for p in account.positions),
            bankruptcy_px=tuple(_bankruptcy_px(account, p) for p in account.positions if p.quantums),
        )


def _ratio(account: Account) -> int | None:
    """None where no margin is needed; 0 where positions are worth nothing and there is a debt."""
    required = account.maintenance()
    if not required:
        return 0 if falls(account) else None
    return max(account.net() * HEALTHY_1E18 // required, 0)


def _liquidation_px(account: Account, position: Position) -> LiquidationPx:
    asset, decimals = position.asset, -position.exponent

    px = None
    if position.quantums:
        search = highest_bad if position.quantums > 0 else lowest_bad
        px = search(lambda px: falls(account.at({asset: px})), position.price, MOST_PRICE)
    if px is None or px > MOST_PRICE:
        return LiquidationPx(asset, Side.NONE, None, position.price, decimals)
    side = Side.BELOW if position.quantums > 0 else Side.ABOVE
    return LiquidationPx(asset, side, px, position.price, decimals)


def _bankruptcy_px(account: Account, position: Position) -> LiquidationPx:
    """The price at which closing the position leaves its share of the account with nothing, rounded against the account."""
    decimals, long = -position.exponent, position.quantums > 0
    now = LiquidationPx(position.asset, Side.NONE, None, position.price, decimals)
    if not account.maintenance():
        return now
    quote = bankruptcy_quote(account, position)
    scale = Fraction(10) ** (QUOTE_RESOLUTION - position.resolution - position.exponent)
    px = Fraction(quote, position.quantums) * scale
    raw = -(-px.numerator // px.denominator) if long else px.numerator // px.denominator
    if raw <= 0:
        return now
    return replace(now, side=Side.BELOW if long else Side.ABOVE, px_raw=raw)


def _ppm_up(value: int, ppm: int) -> int:
    return -(-value * ppm // MILLION)


def _position(raw: Any, where: str, decimals: Mapping[str, int]) -> Position:
    if not isinstance(raw, Mapping):
        raise fields.wrong(f"{where} is not an object")
    ints = ("quantums", "atomic_resolution", "price_exponent")
    whole = ("oracle_price", "initial_margin_ppm", "maintenance_fraction_ppm")
    maybe = ("custom_imf_ppm", "open_interest", "open_interest_lower_cap", "open_interest_upper_cap")
    fields.only(raw, where, {"asset", "quote_raw", *ints, *whole, *maybe})
    found = {key: fields.signed(raw, key, where) for key in ints}
    found |= {key: fields.whole(raw, key, where) for key in whole}
    found |= {key: fields.whole(raw, key, where, default=0) for key in maybe}
    for key in ("atomic_resolution", "price_exponent"):
        if not -30 <= found[key] <= 0:
            raise fields.wrong(f"{where}: {key} is from -30 to 0")
    for key in ("initial_margin_ppm", "maintenance_fraction_ppm", "custom_imf_ppm"):
        if found[key] > MILLION:
            raise fields.wrong(f"{where}: {key} is {found[key]}, above a million")
    if not 0 < found["oracle_price"] <= MOST_PRICE:
        raise fields.wrong(f"{where}: oracle_price is {found['oracle_price']}, not a price of the chain's")
    if (
        found["open_interest_upper_cap"]
        and found["open_interest_lower_cap"] > found["open_interest_upper_cap"]
    ):
        raise fields.wrong(f"{where}: open_interest_lower_cap is above open_interest_upper_cap")
    quote = fields.signed(raw, "quote_raw", where, default=0)
    three = (found[key] for key in maybe[1:])
    return Position(
        fields.listed(raw, "asset", where, decimals),
        found["quantums"],
        found["atomic_resolution"],
        found["oracle_price"],
        found["price_exponent"],
        found["initial_margin_ppm"],
        found["maintenance_fraction_ppm"],
        quote,
        found["custom_imf_ppm"],
        *three,
    )


MODEL = DydxModel()
