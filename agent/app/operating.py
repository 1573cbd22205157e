"""A user operation at EntryPoint 0.8 of a key that runs code (EIP-7702): rehearsed here, signed attended, sent by the chain's bundler, followed."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, replace

from agent.app.auditing import gas_held
from agent.app.delegating import check_delegate
from agent.app.endpoints import call_endpoints, resolve_endpoint
from agent.app.freezing import PATIENCE_S, answered_attended
from agent.app.multisig.room import Room
from agent.app.operations import still_open
from agent.app.settings_tree import Owner
from agent.domain.errors import Denied, Reconcile, Reject, Usage
from chains import operations
from chains.bundler import Bundler, UserOpReceipt
from chains.gas import Urgency, bid, gas_limit_up
from chains.l1_data import data_prices
from chains.rpc import Rpc
from chains.simulate import Simulator, Step
from chains.types import Address, Call, Environment, Protection
from chains.userops import UserOperation, to_json
from chains.userops_08 import ENTRY_POINT, bound_to_code
from chains.wallets import identify
from keys.owner_operate import executing

VERIFICATION_GAS = 100_000
"""Of Simple7702Account: one ecrecover and the payment to the EntryPoint, some 40,000."""
_ENDS = "another operation uses the nonce; taking the delegation back, or running other code, makes it void"
MORE_GAS = 40_000
"""Over what the rehearsal took: what every call keeps back of its caller's gas (EIP-150)."""


@dataclass(frozen=True, slots=True)
class Planned:
    """`op` is unsigned; `delegate` is the code its account runs now, which the signature will name."""

    op: UserOperation
    delegate: Address

    @property
    def most_wei(self) -> int:
        return self.op.prefund_wei


def bundler_of(room: Room) -> Bundler:
    """The chain's, for EntryPoint 0.8. Raises Usage NO_BUNDLER, Denied PROTECTION_NOT_HONOURED."""
    table = room.chain.bundler
    if table is None or table.entry_point != "0.8":
        raise Usage(
            "NO_BUNDLER",
            f"{room.chain.name} has no bundler for EntryPoint 0.8, through which keys that run code operate",
            'name one under [chains.bundler], with entry_point = "0.8"',
        )
    if room.chain.protection is not Protection.PUBLIC and not table.private:
        raise Denied(
            "PROTECTION_NOT_HONOURED",
            f"the bundler of {room.chain.name} is not declared private, and the chain's plans are",
            'declare it where its operator promises it, or protection = "PUBLIC"',
        )
    return Bundler(Rpc(resolve_endpoint(table.url), room.session), room.gateway, ENTRY_POINT)


async def plan(room: Room, account: Address, call: Call) -> Planned:
    """Raises as `bundler_of` and `check_delegate`; Usage NO_DELEGATION, Reject WOULD_REVERT, Denied NO_GAS."""
    bundler = bundler_of(room)
    await bundler.check()
    found, nonce, history, held = await asyncio.gather(
        identify(room.gateway, account),
        bundler.next_nonce(account, operations.NONCE_KEY),
        room.gateway.fee_history(),
        gas_held(room.gateway, account),
    )
    if found.delegate is None:
        raise Usage(
            "NO_DELEGATION",
            f"{account} runs no code on {room.chain.name}: it sends transactions, not operations",
            "`fairlead wallet delegate` tells it to",
        )
    check_delegate(room.settings, found.delegate, await room.gateway.code(found.delegate))
    data = executing(call.to, call.value, call.data)
    rpcs = [Rpc(url, room.session) for url in call_endpoints(room.chain)]
    async with Simulator(room.chain.chain_id, room.gateway, rpcs) as simulator:
        seen = await simulator.run([Step(ENTRY_POINT, Call(account, data))])
    if not seen.ok:
        raise Reject("WOULD_REVERT", f"it would revert: {seen.reason}", "nothing was signed")
    gas = gas_limit_up(seen.steps[0].gas_used + MORE_GAS)
    fees = bid(history, Urgency.NORMAL)
    bare = UserOperation(account, nonce, data, gas, VERIFICATION_GAS, 0, fees)
    live = room.settings.environment is Environment.LIVE
    prices = await data_prices(room.gateway, room.profile, expected=live)
    op = operations.priced(bound_to_code(bare), prices)
    if held < op.prefund_wei + call.value:
        raise Denied(
            "NO_GAS", f"{account} has {held} wei, and it may take {op.prefund_wei + call.value}", "fund it"
        )
    return Planned(op, found.delegate)


async def operate(room: Room, owner: Owner, made: Planned) -> UserOpReceipt:
    """Signed attended, sent and found in a block. Raises Denied, Reconcile NOT_INCLUDED_YET or with the code of a bundler's refusal, and as
    `Bundler.send`."""
    request = {"chain_id": room.chain.chain_id, "delegate": made.delegate, "op": to_json(made.op)}
    allow = [word for a in room.settings.wallet.delegates for word in ("--allow", a)]
    told = await answered_attended(room, owner, "keys.owner_operate", allow, request)
    bundler = bundler_of(room)
    signed = replace(made.op, signature=bytes.fromhex(str(told["signature"])[2:]))
    try:
        sent = await bundler.send(signed, made.delegate)
    except Reject as refused:
        raise still_open(refused, _ENDS) from refused
    until = room.clock.now_ns() + int(PATIENCE_S * 1e9)
    while room.clock.now_ns() < until:
        receipt = await bundler.receipt(sent.op_hash, sent.at_block)
        if receipt is not None:
            return receipt
        await room.clock.sleep(0.5)
    raise Reconcile(
        "NOT_INCLUDED_YET",
        f"{sent.op_hash} is in no block yet, and may be included until its nonce is used",
        _ENDS,
    )
