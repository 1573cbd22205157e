"""A set of relays is one road: what it promises is what all of its members promise, and its answer hides none of theirs."""

from __future__ import annotations

import asyncio
import itertools
from dataclasses import dataclass, field

import pytest
from anvil_support import User
from eth_account import Account

from chains.errors import Denied, FairleadError, Reconcile, Reject, Retry, Usage
from chains.relay import Received, RelayProfile, RelayStatus, Sendable, check_road, sendable
from chains.relay_set import RelaySet
from chains.types import Hash32, Protection, SignedTx

PRIVATE = frozenset({Protection.PRIVATE})
SIGNED: SignedTx = User(Account.from_key(bytes([5] * 32))).sign("0x" + "00" * 19 + "07", value=1, chain_id=1)
SAYS: dict[str, FairleadError | bool | None] = {
    "takes it": None,
    "was not reached": Retry("NO_CONNECTION", "nobody there"),
    "refuses": Reject("RPC_REJECTED", "no"),
    "says nothing": Reconcile("NO_ANSWER", "silence"),
}


@dataclass
class Member:
    profile: RelayProfile
    says: str = "takes it"
    back: bool | FairleadError = True
    tells: RelayStatus | FairleadError = RelayStatus.UNKNOWN
    got: list[tuple[Sendable, int | None, int | None]] = field(default_factory=list)

    async def send(
        self, item: Sendable, *, block: int | None = None, max_block: int | None = None
    ) -> Received:
        check_road(item, self.profile)
        self.got.append((item, block, max_block))
        await asyncio.sleep(0)
        error = SAYS[self.says]
        if isinstance(error, FairleadError):
            raise error
        return Received(self.profile.name, item.signed.hash)

    async def cancel(self, signed: SignedTx) -> bool:
        if isinstance(self.back, FairleadError):
            raise self.back
        return self.back

    async def status(self, tx_hash: Hash32) -> RelayStatus:
        if isinstance(self.tells, FairleadError):
            raise self.tells
        return self.tells


def road(name: str, **more: object) -> RelayProfile:
    given = {
        "honours": PRIVATE,
        "chains": frozenset({1, 10}),
        "method": "m",
        "needs_auth": False,
        "trusts": (name,),
    }
    return RelayProfile(name=name, **{**given, **more})  # type: ignore[arg-type]


def pair(*says: str) -> tuple[list[Member], RelaySet]:
    members = [Member(road(f"r{n}"), s) for n, s in enumerate(says)]
    return members, RelaySet(members)


@pytest.mark.parametrize("says", list(itertools.product(SAYS, repeat=2)), ids=" / ".join)
async def test_the_answer_is_the_worst_that_may_be_true(says: tuple[str, str]) -> None:
    members, together = pair(*says)
    item = sendable(SIGNED, Protection.PRIVATE, together.profile)
    expected: type[FairleadError] | None
    if "takes it" in says:
        expected = None
    elif "says nothing" in says:
        expected = Reconcile
    elif "was not reached" in says:
        expected = Retry
    else:
        expected = Reject
    if expected is None:
        received = await together.send(item, block=3, max_block=9)
        assert received.tx_hash == SIGNED.hash and received.relay == "r0+r1"
        for name, word in zip(("r0", "r1"), says, strict=True):
            error = SAYS[word]
            assert (
                f"{name}: {error.code if isinstance(error, FairleadError) else 'received'}"
                in received.reference
            )
    else:
        with pytest.raises(expected):
            await together.send(item, block=3, max_block=9)
    assert [m.got[0][1:] for m in members] == [(3, 9)] * 2, "all are told, once"
    assert [m.got[0][0].relay for m in members] == ["r0", "r1"], "each by a pass of its own"


def test_it_promises_what_all_promise_and_trusts_whom_any_trusts() -> None:
    one = road("one", honours=frozenset(Protection), chains=frozenset({1}), reverts_free=True, cancels=True)
    two = road("two", per_block=True, needs_auth=True, trusts=("somebody", "one"))
    both = RelaySet([Member(one), Member(two)]).profile
    assert (both.honours, both.chains, both.trusts) == (PRIVATE, frozenset({1}), ("one", "somebody"))
    assert (both.reverts_free, both.per_block, both.needs_auth, both.cancels) == (False, True, True, True)
    public = Member(road("public", honours=frozenset({Protection.PUBLIC})))
    with pytest.raises(Denied):
        sendable(SIGNED, Protection.PRIVATE, RelaySet([Member(one), public]).profile)


async def test_taken_back_means_by_everyone() -> None:
    members, together = pair("takes it", "takes it")
    assert await together.cancel(SIGNED) is True
    for no in (False, Retry("NO_CONNECTION", "nobody there")):
        members[1].back = no
        assert await together.cancel(SIGNED) is False
    members[0].back = Reject("RPC_REJECTED", "no")
    with pytest.raises(Reject):
        await together.cancel(SIGNED)


async def test_the_most_that_any_of_them_knows_is_told() -> None:
    members, together = pair("takes it", "takes it")
    members[0].tells = Retry("NO_ANSWER", "silence")
    assert await together.status(SIGNED.hash) is RelayStatus.UNKNOWN
    members[1].tells = RelayStatus.PENDING
    assert await together.status(SIGNED.hash) is RelayStatus.PENDING
    members[0].tells = RelayStatus.INCLUDED
    assert await together.status(SIGNED.hash) is RelayStatus.INCLUDED


async def test_a_road_that_leaked_is_used_no_more_and_none_left_means_nothing_is_sent() -> None:
    members, together = pair("takes it", "takes it")
    together.drop("r1", "it told the mempool")
    item = sendable(SIGNED, Protection.PRIVATE, together.profile)
    await together.send(item)
    assert (len(members[0].got), len(members[1].got)) == (1, 0)
    together.drop("r0", "it, too")
    with pytest.raises(Denied) as none:
        await together.send(sendable(SIGNED, Protection.PRIVATE, together.profile))
    assert none.value.code == "NO_RELAY_LEFT" and "it told the mempool" in none.value.message
    assert (len(members[0].got), len(members[1].got)) == (1, 0)


def test_a_set_of_none_is_refused() -> None:
    with pytest.raises(Usage, match="no relays"):
        RelaySet([])
