"""Whatever is open at the exchange: the hedge is no more than is exposed and than the limit, its account survives the shock by that exchange's own
rule, and one lot more would break one of the three."""

from __future__ import annotations

from fractions import Fraction

from hypothesis import given
from hypothesis import strategies as st

from agent.domain.orders import Side
from agent.hedging.elsewhere import Market, after, away, opened, shocked
from agent.margin import hyperliquid
from agent.margin.exchange import Position, with_cums
from agent.margin.perps import PerpAccount, ratio_at, state_at

TIERS = with_cums([(Fraction(0), Fraction(1, 50)), (Fraction(50_000), Fraction(1, 20))])
LOT, WAD, RULES = Fraction(1, 100), 10**18, hyperliquid.RULES
whole = st.integers


@st.composite
def accounts(draw: st.DrawFn) -> PerpAccount:
    rows = []
    for name in draw(st.sets(st.sampled_from(["ETH", "BTC"]))):
        size = Fraction(draw(whole(-500, 500)), 10)
        mark = Fraction(draw(whole(1_000, 4_000)))
        if size:
            rows.append(Position(name, size, mark * draw(whole(80, 120)) / 100, mark, TIERS))
    return PerpAccount(Fraction(draw(whole(0, 200_000))), tuple(rows))


@given(
    account=accounts(),
    exposed=whole(-3_000, 3_000).filter(bool),
    most=whole(100, 200_000),
    shock=whole(1, 90),
    spread=whole(0, 40),
)
def test_the_most_that_all_three_bounds_leave(
    account: PerpAccount, exposed: int, most: int, shock: int, spread: int
) -> None:
    px = next((p.mark_px for p in account.positions if p.asset == "ETH"), Fraction(3_000))
    market = Market("ETH", px, LOT, LOT, Fraction(5), Fraction(spread))
    wanted, move = Fraction(exposed, 100), Fraction(shock, 100)
    side = Side.SELL if exposed > 0 else Side.BUY
    found = away(account, RULES, market, wanted, Fraction(most), move, 7)

    def fits(qty: Fraction) -> bool:
        ratio = after(account, RULES, market, side, qty, move)
        return qty <= abs(wanted) and qty * px <= most and (ratio is None or ratio >= WAD)

    if found is None:
        # Sizes in between may be well where a position of the other way is closed by it: the least order is what was refused.
        assert not fits(LOT) or not fits(2 * LOT) or max(int(abs(wanted) / LOT), 0) == 0
        return
    assert found.side is side and found.qty % LOT == 0 and fits(found.qty)
    assert found.qty == found.wanted or not fits(found.qty + LOT) or found.bound_by == ""
    assert found.wanted == abs(wanted) // LOT * LOT
    assert found.cost_usd >= found.notional * 2 * (5 + spread) / 10_000


@given(account=accounts(), qty=whole(1, 1_000))
def test_opening_changes_no_equity_but_by_what_it_costs(account: PerpAccount, qty: int) -> None:
    px = next((p.mark_px for p in account.positions if p.asset == "ETH"), Fraction(3_000))
    market, size = Market("ETH", px, LOT, LOT, Fraction(5), Fraction(3)), qty * LOT
    then = opened(account, market, Side.SELL, size)
    before, later = (state_at(a, a.positions, {})[0] for a in (account, then))
    assert later == before - size * px * 8 / 10_000
    held = {p.asset: p.size for p in then.positions}
    assert held.get("ETH", 0) == sum(p.size for p in account.positions if p.asset == "ETH") - size
    up = shocked(then, Side.SELL, Fraction(1, 10))
    assert set(up) == {p.asset for p in then.positions if p.size < 0}
    assert ratio_at(then, RULES, up) is None or all(px > 0 for px in up.values())
