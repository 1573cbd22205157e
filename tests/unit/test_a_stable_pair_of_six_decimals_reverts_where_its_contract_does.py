"""Solidly's published stable curve asks its invariant of amounts that are scaled already: with a token of six decimals that overflows for an
amount here and there, and the contract reverts. Found against the published code; both neighbours of the amount trade."""

from __future__ import annotations

from agent.amm import Reverted, SolidlyPool, Swapped, swap_exact_in, swap_exact_out

POOL = SolidlyPool("p", ("DAI", "USDC"), (21494355525040058400, 28989379), 30, True, (10**18, 10**6))
AMOUNT = 5014463357078609


def test_the_amount_reverts_and_what_it_would_have_bought_can_be_bought() -> None:
    reverted = swap_exact_in(POOL, "DAI", "USDC", AMOUNT)
    assert isinstance(reverted, Reverted) and reverted.reason == "invariant overflow"
    around = [swap_exact_in(POOL, "DAI", "USDC", AMOUNT + k * 10**12) for k in (-1, 1)]
    outs = {swap.amount_out for swap in around if isinstance(swap, Swapped)}
    assert outs and outs <= {5031, 5032, 5033}
    bought = swap_exact_out(POOL, "DAI", "USDC", 5032)
    assert isinstance(bought, Swapped) and bought.amount_out >= 5032
    assert swap_exact_in(POOL, "DAI", "USDC", bought.amount_in) == bought
