"""A process that died just past a signature leaves one that only the signer knows: the next one waits until it lapses, and says so once."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
from manual_clock import ManualClock

from agent.domain.errors import Denied, Retry
from agent.domain.ids import ClOrdId
from agent.domain.instruments import Place
from agent.execution.authority import NONCE_REUSED, Authority
from agent.journal.book import Book

DEADLINE_S = 1_700_000_194


class Held(Authority):
    async def _transaction(self, simulated: Any, batch: Any) -> Any:
        raise Denied(NONCE_REUSED, "nonce 7 was signed for something else")


async def test_what_is_waited_for_and_until_when_is_said_once() -> None:
    clock = ManualClock()
    began_ns, said = clock.now_ns(), list[str]()

    class Gateway:
        async def block(self, tag: str) -> Any:
            passed_s = (clock.now_ns() - began_ns) // 10**9
            return SimpleNamespace(timestamp=DEADLINE_S - 194 + passed_s)

    async def ready() -> None:
        return None

    nobody: Any = None
    chains: Any = {1: SimpleNamespace(gateway=Gateway())}
    authority = Held(clock, Book(), chains, {}, nobody, nobody, nobody, ready)
    authority.say = said.append
    part = SimpleNamespace(cl_ord_id=ClOrdId("fl-a"), child=ClOrdId("c"), place=Place("eip155:1"))
    batch = SimpleNamespace(chain_id=1, deadline_s=DEADLINE_S)
    simulated: Any = SimpleNamespace(part=part, offer=None, order=None, chain=batch)
    with pytest.raises(Retry, match="nonce 7") as held:
        await authority.authorize(simulated)
    assert held.value.code == "NONCE_HELD" and clock.now_ns() - began_ns == 195 * 10**9
    (line,) = said
    assert "eip155:1" in line and "waiting until 22:16:34 UTC" in line and "194 s from now" in line
