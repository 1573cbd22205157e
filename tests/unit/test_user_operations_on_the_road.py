"""What the road does with an operation as with a transaction: higher fees for the same call, and a receipt that is paid to the wei."""

from __future__ import annotations

from dataclasses import replace

import agent_calls as plain
import pytest
from manual_clock import ManualClock
from planned_legs import SELL

from agent.app.operations import EitherSender, Operations, as_receipt
from agent.domain.errors import Denied, Reject, Usage
from agent.domain.events import Authorized, Indeterminate
from agent.domain.ids import ClOrdId
from agent.domain.orders import Part
from agent.execution.agent_batch import deadline_of, sent_as
from agent.execution.outbox import Outbox
from agent.execution.replacing import Patience, Replacer, call_of, fees_of
from chains import operations
from chains.bundler import Sent, UserOpReceipt
from chains.gas import ArbitrumL1, FeeHistory
from chains.l1_data import ArbitrumPrices, DataPrices
from chains.types import Address, BlockRef, Environment, Fees, Hash32, Protection, SignedTx, UnsignedTx
from chains.userops import ENTRY_POINT, UserOperation, check_replacement
from keys.erc4337 import Window
from keys.policy import Refusal, Signed
from keys.policy_operations import OperationRequest, judge_operation

ACCOUNT = Address("0x3333333333333333333333333333333333333333")
CALL = plain.call_of(SELL["V2 and V3"])
OP = UserOperation(
    ACCOUNT, operations.keyed(4), operations.executing(CALL), 600_000, 200_000, 90_000, Fees(30 * 10**9, 10**9), signature=b"\x01" * 77
)  # fmt: skip
HEAD = BlockRef(100, Hash32("0x" + "1" * 64), Hash32("0x" + "2" * 64), 1, 10**9)


class Signs:
    """Signs whatever it is asked for, and remembers it."""

    def __init__(self) -> None:
        self.asked: list[UnsignedTx] = []

    async def sign(self, tx: UnsignedTx, safe_nonce: int, now_s: int, *, attended: bool = False) -> SignedTx:
        self.asked.append(tx)
        return operations.as_signed(1, replace(OP, fees=tx.fees))


class Judges:
    """A signer's judgement of an operation that was signed before, by its own policy; its signature is nobody's."""

    def __init__(self, max_deadline_s: int) -> None:
        road = plain.AGENT_JSON | {"account": ACCOUNT, "key": plain.c.AGENT.address}
        self.settings = plain.c.settings(agent=road, max_deadline_s=max_deadline_s)
        self.untils: list[int] = []

    async def sign_operation(
        self, request: str, chain_id: int, op: UserOperation, until: int, chain_time: int = 0
    ) -> UserOperation:
        asked = OperationRequest(Environment.DEVNET, chain_id, op, Window(until), chain_time, chain_time)
        ledger = plain.c.EmptyLedger(sender_signed=(Signed(b"the first", plain.c.DEADLINE),))
        verdict = judge_operation(asked, self.settings, ledger)
        if isinstance(verdict, Refusal):
            raise verdict.error()
        assert verdict.cancel
        self.untils.append(until)
        return replace(op, signature=b"\x01" * 77)


class Keeps:
    """Signs anything, and keeps it."""

    def __init__(self) -> None:
        self.ops: list[UserOperation] = []

    async def sign_operation(
        self, request: str, chain_id: int, op: UserOperation, until: int, chain_time: int = 0
    ) -> UserOperation:
        self.ops.append(op)
        return replace(op, signature=b"\x01" * 77)


class Through:
    """A chain's channel that hands over by the operations' road alone."""

    name = "bundler"

    def __init__(self, road: Operations) -> None:
        self._road = road

    async def send(self, signed: SignedTx, protection: Protection, max_block: int) -> str:
        return await self._road.send(signed, protection)

    async def cancel(self, signed: SignedTx) -> bool:
        return False


class Fees10:
    async def fee_history(self, blocks: int = 10) -> FeeHistory:
        return FeeHistory(90, (10**9,) * (blocks + 1), ((10**9,) * 3,) * blocks)


def authorized(raw: bytes) -> Authorized:
    part = Part(ClOrdId("p"), ClOrdId("c"), plain.HERE, 0, plain.WETH, plain.USDC, 1, 1, 1, (0,))
    return Authorized(
        part, None, 1, ACCOUNT, OP.nonce, -1, Hash32("0x" + "3" * 64), raw, "", Protection.PRIVATE, 15, 2**40, 1, 0
    )  # fmt: skip


async def test_an_operation_that_waits_is_signed_again_for_the_same_call_with_both_fees_up() -> None:
    raw = operations.to_raw(OP)
    assert call_of(raw) == (CALL, 600_000) and fees_of(raw) == OP.fees
    clock, signs = ManualClock(), Signs()
    replacer = Replacer(clock, signs, {1: Patience(Fees10(), 12.0)}, {})
    assert await replacer.better(authorized(raw), 0, clock.now_ns(), HEAD) is None, "it has not waited yet"
    waited = clock.now_ns() - 13 * 10**9
    better = await replacer.better(authorized(raw), 0, waited, HEAD)
    assert better is not None and operations.is_operation(better.raw)
    (asked,) = signs.asked
    assert (asked.to, asked.data, asked.value, asked.gas, asked.nonce) == (
        CALL.to,
        CALL.data,
        0,
        600_000,
        OP.nonce,
    )
    check_replacement(OP, replace(OP, fees=asked.fees))


@pytest.mark.parametrize("cost", [472_621 * 10**9, 472_621 * 10**9 + 17, 5])
@pytest.mark.parametrize("success", [True, False])
def test_the_receipt_costs_what_the_entry_point_charged_and_a_failed_call_is_a_failed_one(
    cost: int, success: bool
) -> None:
    told = UserOpReceipt(
        Hash32("0x" + "4" * 64), ACCOUNT, OP.nonce, None, success, 472_621, cost, Hash32("0x" + "5" * 64), 7,
        Hash32("0x" + "6" * 64), "" if success else "OverBudget()", b"", (),
    )  # fmt: skip
    receipt = as_receipt(told)
    assert receipt.gas_used * receipt.effective_gas_price_wei + receipt.l1_fee_wei == cost
    assert receipt.status == int(success) and receipt.tx_hash == told.op_hash


def test_it_is_rehearsed_as_the_entry_point_will_call_it_and_lapses_with_its_call() -> None:
    behind = replace(plain.ROAD, account=ACCOUNT, entry_point=ENTRY_POINT)
    sender, call = sent_as(behind, CALL)
    assert (sender, call.to, call.data) == (ENTRY_POINT, ACCOUNT, OP.call_data)
    assert sent_as(plain.ROAD, CALL) == (plain.ROAD.account, CALL)
    assert behind.more_gas > plain.ROAD.more_gas == 0
    assert deadline_of(CALL.data) == plain.c.DEADLINE
    with pytest.raises(Usage, match="NO_DEADLINE"):
        deadline_of(b"\x01\x02\x03\x04")


async def test_a_cancel_is_valid_for_as_long_as_what_it_cancels_and_so_the_signer_takes_it() -> None:
    """However short the signer has signatures live: what was signed within that is cancelled within that."""
    signer, now = Judges(max_deadline_s=300), plain.c.DEADLINE - 200
    mine = Operations(ACCOUNT, None, None, signer, "https://bundler.example", True)  # type: ignore[arg-type]
    either = EitherSender(None, {1: mine})  # type: ignore[arg-type]
    empty = UnsignedTx(1, OP.nonce, ACCOUNT, 0, b"", 21_000, OP.fees)
    signed = await either.cancel(empty, now, plain.c.DEADLINE)
    assert signer.untils == [plain.c.DEADLINE] and signed.nonce == OP.nonce
    assert operations.call_inside(operations.from_raw(signed.raw)).to == ACCOUNT


class Refuses:
    """A bundler that says no, having read everything."""

    def __init__(self) -> None:
        self.asked = 0

    async def pending(self, op_hash: Hash32) -> None:
        return None

    async def next_nonce(self, sender: Address, key: int = 0) -> int:
        return OP.nonce

    async def send(self, op: UserOperation) -> Sent:
        self.asked += 1
        raise Reject(
            "USER_OP_OPCODES", "https://bundler.example answered -32502 OP-011", "it concerns opcodes"
        )


async def test_a_bundlers_no_ends_nothing_for_it_could_still_include_what_it_read() -> None:
    mine = Operations(ACCOUNT, None, Refuses(), None, "https://bundler.example", True)  # type: ignore[arg-type]
    outbox = Outbox(ManualClock(), {1: Through(mine)}, {})
    sent = await outbox.submit(authorized(operations.to_raw(OP)))
    assert isinstance(sent, Indeterminate), (
        "not EXPIRED: whoever follows it waits for its nonce or its deadline"
    )
    assert "USER_OP_OPCODES" in sent.message and "could still include it" in sent.message


async def test_what_a_bundler_refused_is_offered_again_once_a_head_and_no_more() -> None:
    bundler = Refuses()
    mine = Operations(ACCOUNT, None, bundler, None, "https://bundler.example", True)  # type: ignore[arg-type]
    signed = operations.as_signed(1, OP)
    for _ in range(3):
        await mine.tend(signed, Protection.PUBLIC, HEAD, "")
    assert bundler.asked == 1
    await mine.tend(signed, Protection.PUBLIC, replace(HEAD, number=101, hash=Hash32("0x" + "9" * 64)), "")
    assert bundler.asked == 2
    await mine.tend(signed, Protection.PUBLIC, HEAD, "halted")
    assert bundler.asked == 2


async def test_an_operation_on_a_rollup_pays_for_its_data_on_ethereum() -> None:
    """The same call under the signer: everywhere else the operation is the same."""
    prices = ArbitrumPrices(ArbitrumL1(2 * 10**9, 10**7))

    async def dear() -> DataPrices:
        return prices

    signers = [Keeps(), Keeps()]
    free = Operations(ACCOUNT, None, None, signers[0], "", True)  # type: ignore[arg-type]
    paid = Operations(ACCOUNT, None, None, signers[1], "", True, dear)  # type: ignore[arg-type]
    tx = UnsignedTx(1, OP.nonce, CALL.to, 0, CALL.data, 600_000, OP.fees)
    for one in (free, paid):
        await one.sign(tx, plain.c.DEADLINE - 60)
    plainly, dearly = (s.ops[0] for s in signers)
    more = prices.gas(operations.bundled_alone(plainly), tx.fees)
    assert (
        dearly == replace(plainly, pre_verification_gas=plainly.pre_verification_gas + more) and more > 10**6
    )


async def test_a_private_plan_reaches_no_bundler_that_is_not_declared_private() -> None:
    nobody: Operations = Operations(ACCOUNT, None, None, None, "https://bundler.example", False)  # type: ignore[arg-type]
    with pytest.raises(Denied, match="PROTECTION_NOT_HONOURED"):
        await nobody.send(operations.as_signed(1, OP), Protection.PRIVATE)
    assert nobody.no_road(Protection.PUBLIC) == "" and nobody.no_road(Protection.INTENT)
    sender = EitherSender(None, {})  # type: ignore[arg-type]
    with pytest.raises(Usage, match="NO_BUNDLER"):
        await sender.sign(UnsignedTx(1, OP.nonce, ACCOUNT, 0, b"", 1, OP.fees), 0, 1)
