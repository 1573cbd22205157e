"""Whatever is open at an exchange: after the cuts the account is at its target by the exchange's own rule, and with one lot less of the last
it is not; only positions that may be traded are touched, and none is turned round."""

from __future__ import annotations

from fractions import Fraction

from hypothesis import given
from hypothesis import strategies as st

from agent.margin import binance_usdm, hyperliquid
from agent.margin.exchange import Position, with_cums
from agent.margin.perps import PerpAccount, PerpRules, ratio_at
from agent.margin.reducing import reduction, shrunk

TIERS = with_cums([(Fraction(0), Fraction(1, 250)), (Fraction(50_000), Fraction(1, 100)), (Fraction(400_000), Fraction(1, 20))])  # fmt: skip
LOT = Fraction(1, 1000)
whole = st.integers


@st.composite
def accounts(draw: st.DrawFn) -> PerpAccount:
    positions = []
    for number in range(draw(whole(1, 3))):
        mark = Fraction(draw(whole(1_000, 500_000)), 100)
        size = draw(whole(-100_000, 100_000)) * LOT
        isolated = Fraction(draw(whole(0, 10_000))) if number and draw(st.booleans()) else None
        entry = mark * draw(whole(80, 120)) / 100
        positions.append(Position(f"P{number}", size, entry, mark, TIERS, isolated))
    return PerpAccount(Fraction(draw(whole(0, 2_000_000))), tuple(p for p in positions if p.size))


@given(
    account=accounts(),
    rules=st.sampled_from([binance_usdm.RULES, hyperliquid.RULES]),
    target=whole(11, 80),
    loss=whole(0, 100),
    traded=st.sets(st.sampled_from(["P0", "P1", "P2"])),
)
def test_the_least_that_reaches_the_target(
    account: PerpAccount, rules: PerpRules, target: int, loss: int, traded: set[str]
) -> None:
    wanted = target * 10**17
    found = reduction(account, rules, wanted, dict.fromkeys(traded, LOT), loss)
    before = ratio_at(account, rules, {})
    if found is None:
        # At the target already, or even with everything closed that may be it is not reached.
        bare = account
        for p in account.positions:
            if p.asset in traded and p.isolated is None:
                bare = shrunk(bare, p.asset, abs(p.size), loss)
        after = ratio_at(bare, rules, {})
        assert before is None or before >= wanted or (after is not None and after < wanted)
        return
    assert before is not None and before < wanted
    state, sizes = account, {p.asset: p.size for p in account.positions}
    for number, cut in enumerate(found.cuts):
        assert (
            cut.asset in traded
            and 0 < cut.qty <= abs(sizes[cut.asset])
            and cut.buys is (sizes[cut.asset] < 0)
        )
        if number == len(found.cuts) - 1:
            less = ratio_at(shrunk(state, cut.asset, cut.qty - LOT, loss), rules, {})
            assert less is not None and less < wanted
        state = shrunk(state, cut.asset, cut.qty, loss)
    after = ratio_at(state, rules, {})
    assert after == found.ratio_1e18 and (after is None or after >= wanted)
    untouched = {p.asset for p in account.positions} - {c.asset for c in found.cuts}
    assert [p for p in state.positions if p.asset in untouched] == [
        p for p in account.positions if p.asset in untouched
    ]
