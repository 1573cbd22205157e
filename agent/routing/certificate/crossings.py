"""A market's transfers as the bound and the check count them: what arrives for what was sent, and the most that moving it gains at the prices.

    arrives = floor((sent - fee_raw - ceil(sent * fee_bps / 10000)) * 10**decimals there / 10**decimals here), min_raw <= sent <= max_raw

At any prices that is a straight line less a fixed cost, up to the most that can be sent: gain <= x * (keep * v_out - v_in) - fee * v_out. A transfer is
one leg; it pays no gas beyond its fee. Between two assets that are both sold it may go as well: what arrives is sold where it lands.
"""

from __future__ import annotations

from fractions import Fraction
from typing import NamedTuple

from agent.domain.instruments import AssetId
from agent.market.view import MarketView, Transfer
from agent.routing.certificate.units import wrapped_names

MARK = "transfer:"


class Crossing(NamedTuple):
    """One transfer between the nodes its two assets are; `scale` is raw units there by a raw unit here."""

    id: str
    given: AssetId
    got: AssetId
    transfer: Transfer
    scale: Fraction

    @property
    def keep(self) -> Fraction:
        return 1 - Fraction(self.transfer.fee_bps) / 10_000

    def landed_down(self, sent: int) -> tuple[int, int]:
        """(raw units that arrive, the fee in units sent), the former 0 where so much is not sent."""
        t = self.transfer
        share = sent * Fraction(t.fee_bps) / 10_000
        fee = t.fee_raw + -(-share.numerator // share.denominator)
        if not t.min_raw <= sent <= t.max_raw or fee >= sent:
            return 0, fee
        left = (sent - fee) * self.scale
        return left.numerator // left.denominator, fee

    def gain_up(self, v_in: int, v_out: int, cap: int | None) -> int:
        """What sending up to `cap` gains at the most, rounded up."""
        t = self.transfer
        most = t.max_raw if cap is None else min(cap, t.max_raw)
        slope = self.keep * self.scale * v_out - v_in
        if slope <= 0 or most < t.min_raw:
            return 0
        gain = most * slope - t.fee_raw * self.scale * v_out
        return max(-(-gain.numerator // gain.denominator), 0)


def crossings(view: MarketView) -> tuple[Crossing, ...]:
    """Every transfer by its id: `transfer:FROM>TO`, a further one between the same two with `#2` and so on behind it."""
    wrapped, seen, found = wrapped_names(view), dict[str, int](), list[Crossing]()
    for t in view.transfers:
        name = f"{MARK}{t.source}>{t.target}"
        seen[name] = seen.get(name, 0) + 1
        given, got = (wrapped.get(asset, asset) for asset in (t.source, t.target))
        if given != got:
            scale = Fraction(10 ** view.assets[t.target].decimals, 10 ** view.assets[t.source].decimals)
            again = f"#{seen[name]}" if seen[name] > 1 else ""
            found.append(Crossing(name + again, given, got, t, scale))
    return tuple(found)


def in_time(view: MarketView, seconds: int | None) -> tuple[Transfer, ...]:
    """The transfers that take no longer than `seconds` ninety-nine times of a hundred."""
    return tuple(t for t in view.transfers if seconds is None or t.seconds_p99 <= seconds)


def pairs(view: MarketView) -> list[tuple[AssetId, AssetId]]:
    """Two assets of each book and each transfer."""
    books = [(book.base, book.quote) for book in view.books]
    return [*books, *((crossing.given, crossing.got) for crossing in crossings(view))]


__all__ = ["MARK", "Crossing", "crossings", "in_time", "pairs"]
