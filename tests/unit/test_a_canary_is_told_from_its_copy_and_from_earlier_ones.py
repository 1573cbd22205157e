"""A copy beside the canary itself is found, wherever it stands; and a canary of an earlier flight is no copy of the next one's."""

from __future__ import annotations

from typing import Any

import pytest

from agent.app.canaries import Canaries, in_public
from chains import relays
from chains.errors import Reject
from chains.gas import FeeHistory
from chains.types import Address, BlockRef, Hash32, SignedTx, UnsignedTx

OWN, OTHER = "0x" + "11" * 32, "0x" + "22" * 32
SENDER = Address("0x" + "ab" * 20)


class OneBlock:
    """An endpoint without a pool to show, whose every block holds these."""

    def __init__(self, *transactions: tuple[str, bytes]) -> None:
        self.rows = [{"hash": name, "input": "0x" + data.hex()} for name, data in transactions]

    async def call(self, method: str, params: Any = None) -> Any:
        if method == "txpool_content":
            raise Reject("NO_METHOD", "no such method")
        return "0x2" if method == "eth_blockNumber" else {"transactions": self.rows}


@pytest.mark.parametrize("order", [1, -1])
async def test_a_copy_in_the_canarys_own_block_is_seen(order: int) -> None:
    endpoint: Any = OneBlock(*[(OWN, b"note"), (OTHER, b"note inside")][::order])
    assert await in_public(endpoint)(b"note", OWN) == OTHER


async def test_the_canary_alone_is_no_copy() -> None:
    endpoint: Any = OneBlock((OWN, b"note"), (OTHER, b"something else"))
    assert await in_public(endpoint)(b"note", OWN) == ""


class Chain:
    """As much of a gateway as sending one asks; the nonce grows as the account's does."""

    used = 7

    async def block(self, tag: str = "latest") -> BlockRef:
        return BlockRef(1, Hash32(OWN), Hash32(OTHER), 1, 10**9)

    async def nonce(self, address: Address) -> int:
        return self.used

    async def fee_history(self) -> FeeHistory:
        return FeeHistory(1, (10**9,) * 3, ((10**9,) * 6,) * 2)


class Road:
    """A private road that takes whatever it is given."""

    profile = relays.load("titan")

    async def send(self, *args: Any, **more: Any) -> None: ...


class Roads:
    members = (Road(),)


async def test_the_same_number_in_another_flight_says_something_else() -> None:
    chain: Any = Chain()
    roads: Any = Roads()

    async def sign(tx: UnsignedTx) -> SignedTx:
        return SignedTx(1, SENDER, tx.nonce, b"", Hash32(OWN))

    notes = []
    for flight in range(2):
        chain.used += flight
        notes.append((await Canaries(1, chain, roads, SENDER, sign).send("titan", 0)).note)
    assert notes[0] != notes[1] and all(note.startswith(b"fairlead canary titan 0") for note in notes)
