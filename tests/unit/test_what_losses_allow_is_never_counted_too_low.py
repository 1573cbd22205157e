"""What pools that cost more than they gain could still add within the gap: never below the true most, which exhaustive choice finds."""

from __future__ import annotations

from fractions import Fraction
from random import Random

import pytest

from agent.routing.certificate.losses import most_within


def exact(things: list[tuple[int, int]], room: int) -> Fraction:
    """The fractional knapsack, by exact ratios."""
    total, left = Fraction(0), Fraction(room)
    for loss, gain in sorted(things, key=lambda thing: Fraction(*thing)):
        part = min(Fraction(1), left / loss)
        total, left = total + part * gain, left - part * loss
    return total


@pytest.mark.parametrize("seed", range(50))
def test_it_is_the_most_and_no_more_than_a_rounding_above(seed: int) -> None:
    draw = Random(seed)
    bits = draw.choice((4, 40, 300))
    things = [(draw.randint(1, 1 << bits), draw.randint(1, 1 << bits)) for _ in range(draw.randint(0, 12))]
    room = draw.randint(1, max(sum(loss for loss, _ in things), 1) * 2)
    most = exact(things, room)
    assert most <= most_within(things, room) <= most * (1 + Fraction(1, 10**12)) + 1
