"""Laws of fees and nonce lanes, whatever the numbers."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from chains.gas import FeeHistory, Urgency, base_fee_after_up, bid, bump_up
from chains.nonces import SlotState, gaps, next_nonce, observe, open_lane, release, reserve, signed, undecided
from chains.types import Address, Fees, Hash32

wei = st.integers(0, 10**13)


@given(wei, st.lists(st.tuples(wei, wei, wei), max_size=8), st.sampled_from(Urgency))
def test_a_bid_is_includable_for_its_blocks_and_never_tips_zero(
    base: int, rows: list[tuple[int, int, int]], urgency: Urgency
) -> None:
    fees = bid(FeeHistory(1, (base,), tuple(rows)), urgency)
    assert fees.max_priority_fee_wei >= 1
    grown = base
    for _ in range(urgency.blocks):
        # The protocol's own step for a full block.
        grown += max(grown // 8, 1)
    assert fees.max_fee_wei - grown >= fees.max_priority_fee_wei
    assert base_fee_after_up(base, urgency.blocks) >= grown


@given(wei, wei)
def test_a_bump_passes_every_nodes_replacement_rule(cap: int, tip: int) -> None:
    before = Fees(max(cap, tip), min(cap, tip))
    after = bump_up(before)
    for old, new in (
        (before.max_fee_wei, after.max_fee_wei),
        (before.max_priority_fee_wei, after.max_priority_fee_wei),
    ):
        assert new > old and new * 1000 >= old * 1125
    assert after.max_priority_fee_wei <= after.max_fee_wei


ME = Address("0x" + "11" * 20)


class LaneMachine(RuleBasedStateMachine):
    """A lane against a model chain: our transactions, another program's, reorganisations, restarts."""

    def __init__(self) -> None:
        super().__init__()
        self.lane = open_lane(1, ME, 0, 0)
        self.chain: list[Hash32] = []
        self.serial = 0
        self.handed_out: dict[int, int] = {}

    def fresh(self) -> Hash32:
        self.serial += 1
        return Hash32(f"0x{self.serial:064x}")

    @rule()
    def take(self) -> None:
        held = {s.nonce for s in self.lane.slots}
        self.lane, nonce = reserve(self.lane)
        assert nonce not in held and nonce >= self.lane.confirmed
        self.lane = signed(self.lane, nonce, self.fresh())

    @rule()
    def take_and_give_back(self) -> None:
        before = self.lane
        self.lane, nonce = reserve(self.lane)
        self.lane = release(self.lane, nonce)
        assert self.lane == before

    @precondition(
        lambda self: any(s.state is SlotState.SENT and s.nonce >= len(self.chain) for s in self.lane.slots)
    )
    @rule(data=st.data())
    def replace(self, data: st.DataObject) -> None:
        slot = data.draw(
            st.sampled_from(
                [s for s in self.lane.slots if s.state is SlotState.SENT and s.nonce >= len(self.chain)]
            )
        )
        self.lane = signed(self.lane, slot.nonce, self.fresh())

    @rule(foreign=st.booleans(), data=st.data())
    def mine(self, foreign: bool, data: st.DataObject) -> None:
        slot = self.lane.slot(len(self.chain))
        ours = slot.hashes if slot else ()
        self.chain.append(self.fresh() if foreign or not ours else data.draw(st.sampled_from(ours)))

    @precondition(lambda self: len(self.chain) > 0)
    @rule(depth=st.integers(1, 3))
    def reorganise(self, depth: int) -> None:
        self.look_at(True)
        del self.chain[-depth:]
        self.look_at(True)

    @rule(known=st.booleans())
    def look(self, known: bool) -> None:
        self.look_at(known)

    def look_at(self, known: bool) -> None:
        latest = len(self.chain)
        winners = {s.nonce: self.chain[s.nonce] for s in self.lane.slots if s.nonce < latest} if known else {}
        self.lane, _ = observe(self.lane, latest, winners)
        assert self.lane.confirmed == latest
        if known:
            assert undecided(self.lane, latest) == ()
            for slot in self.lane.slots:
                if slot.nonce < latest:
                    ours = self.chain[slot.nonce] in slot.hashes
                    assert slot.state is (SlotState.MINED if ours else SlotState.FOREIGN)
                else:
                    assert slot.state in (SlotState.SENT, SlotState.RESERVED)

    @rule()
    def restart(self) -> None:
        latest = len(self.chain)
        reopened = open_lane(1, ME, latest, latest, self.lane.slots)
        observed, _ = observe(self.lane, latest, {})
        assert next_nonce(reopened) == next_nonce(observed)

    @invariant()
    def nonces_are_held_once(self) -> None:
        nonces = [s.nonce for s in self.lane.slots]
        assert nonces == sorted(set(nonces))
        assert next_nonce(self.lane) not in nonces
        assert all(g >= self.lane.confirmed and g not in nonces for g in gaps(self.lane))


TestLane = LaneMachine.TestCase
TestLane.settings = settings(max_examples=60, stateful_step_count=25, deadline=None)
