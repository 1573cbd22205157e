"""What the elimination of nodes that do not touch each other gives is the solution of the whole system."""

import numpy as np
import pytest

from agent.routing.newton import newton_step


def market(n: int, hubs: int, seed: int) -> np.ndarray:
    """The Hessian of a market where most assets trade against a few hubs, some among themselves: a Laplacian and a little more."""
    chance = np.random.default_rng(seed)
    h = np.diag(chance.uniform(1e-3, 1e3, n))
    for k in range(n):
        for other in chance.integers(0, hubs if k % 5 else n, 2):
            if other != k:
                weight = 10.0 ** chance.uniform(-6, 6)
                h[k, k] += weight
                h[other, other] += weight
                h[k, other] -= weight
                h[other, k] -= weight
    return h


@pytest.mark.parametrize("seed", range(40))
@pytest.mark.parametrize(("n", "hubs"), [(1, 1), (5, 2), (24, 3), (60, 1), (234, 6)])
def test_it_solves_the_system(n: int, hubs: int, seed: int) -> None:
    h, g = market(n, hubs, seed), np.random.default_rng(seed + 1).normal(0, 1e3, n)
    step = newton_step(h, g)
    assert np.abs(h @ step + g).max() <= 1e-6 * np.abs(g).max()


def test_nodes_that_nothing_touches_stand_alone() -> None:
    h = np.diag(np.arange(1.0, 31.0))
    assert np.allclose(newton_step(h, np.ones(30)), -1 / np.arange(1.0, 31.0), rtol=1e-15)


def test_a_matrix_that_is_full_is_solved_too() -> None:
    chance = np.random.default_rng(7)
    root = chance.normal(0, 1, (40, 40))
    h, g = root @ root.T + np.eye(40), chance.normal(0, 1, 40)
    assert np.allclose(newton_step(h, g), -np.linalg.solve(h, g), rtol=1e-9, atol=1e-12)


def test_a_singular_system_is_said_to_be() -> None:
    h = np.zeros((30, 30))
    with pytest.raises(np.linalg.LinAlgError):
        newton_step(h, np.ones(30))
