"""User operations for tests: random ones, and a Safe of three owners that takes them on the devnet."""

from __future__ import annotations

import random

from chains.types import Address, Fees
from chains.userops import Paymaster, UserOperation
from contracts.hashing import checksum
from keys.erc4337 import Window


def random_address(rng: random.Random) -> Address:
    return Address(checksum(rng.randbytes(20)))


def random_operation(rng: random.Random) -> UserOperation:
    """Every field over its whole range, short and long, with and without factory and paymaster."""

    def gas() -> int:
        return rng.getrandbits(rng.choice([1, 20, 64, 120]))

    cap = gas()
    factory = random_address(rng) if rng.random() < 0.5 else None
    pays = None
    if rng.random() < 0.5:
        pays = Paymaster(random_address(rng), gas(), gas(), rng.randbytes(rng.choice([0, 1, 65, 200])))
    return UserOperation(
        random_address(rng),
        rng.getrandbits(rng.choice([1, 64, 256])),
        rng.randbytes(rng.choice([0, 4, 31, 32, 500])),
        gas(),
        gas(),
        gas(),
        Fees(cap, rng.randint(0, cap)),
        factory,
        rng.randbytes(rng.choice([0, 33, 400])) if factory else b"",
        pays,
        rng.randbytes(rng.choice([0, 12, 77, 142])),
    )


def random_window(rng: random.Random) -> Window:
    after, until = sorted(rng.getrandbits(rng.choice([1, 32, 48])) for _ in range(2))
    return Window(until if rng.random() < 0.9 else 0, after)
