"""What a mined swap lost to its neighbours, proved on this machine: its block carried out again without them.

    replayed   the block's transactions up to ours on the state before the block: what ours gave there is what it really gave, or
               nothing is concluded from the rest
    alone      ours first in that block, nobody before it: what it would have given
    loss       alone less received, in the bought token; what came before ours took it, knowingly or not

A sandwich is told by its shape: one sender or one contract before ours and again behind it, at a contract that ours went through.
Calldata of mined transactions is public; the simulation still asks nobody but the fork on this machine.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal, localcontext
from typing import Any, Protocol

from agent.domain.errors import Reject
from agent.domain.units import WIDE
from agent.execution.settlement import moved_raw
from chains.evm import checksum, from_hex, number
from chains.simulate import Simulation, Step
from chains.types import Address, BlockRef, Call, Hash32, Receipt


class Chain(Protocol):
    async def block(self, tag: int | str = "latest") -> BlockRef: ...

    async def receipt(self, tx_hash: Hash32) -> Receipt | None: ...

    async def transactions_of(self, block: int) -> Sequence[Mapping[str, Any]]: ...


class Fork(Protocol):
    async def run(
        self, steps: Sequence[Step], *, at: BlockRef | None = None, time_s: int | None = None
    ) -> Simulation: ...


@dataclass(frozen=True, slots=True)
class Neighbour:
    """Another transaction of the block that went through a contract ours went through. `index` is its place in the block."""

    tx_hash: Hash32
    index: int
    sender: Address
    to: Address | None


@dataclass(frozen=True, slots=True)
class MevReceipt:
    """Amounts in base units of the bought token; `tip_wei` is what the builder earned by ours, `refund_wei` what came back to the
    sender in the block. `replayed_raw` differs from `received_raw` where the block could not be carried out again as it was: then
    `loss_raw` is None."""

    tx_hash: Hash32
    block: int
    index: int
    received_raw: int
    replayed_raw: int
    alone_raw: int
    loss_raw: int | None
    ahead: tuple[Neighbour, ...]
    behind: tuple[Neighbour, ...]
    sandwich: tuple[Hash32, Hash32] | None
    tip_wei: int
    refund_wei: int

    @property
    def loss_bps(self) -> Decimal | None:
        """Of what it would have given alone."""
        if self.loss_raw is None or self.alone_raw <= 0:
            return None
        with localcontext(WIDE):
            return Decimal(self.loss_raw) * 10_000 / self.alone_raw


async def examine(chain: Chain, fork: Fork, tx_hash: Hash32, wallet: Address, bought: Address) -> MevReceipt:
    """Raises Reject NOT_MINED, MEV_UNREADABLE (the block's transactions do not fit); Retry."""
    receipt = await chain.receipt(tx_hash)
    if receipt is None:
        raise Reject("NOT_MINED", f"{tx_hash} is in no block", "ask again when it is")
    raws = await chain.transactions_of(receipt.block_number)
    hashes = [Hash32(str(raw["hash"]).lower()) for raw in raws]
    if tx_hash not in hashes or any(raw.get("to") is None for raw in raws[: hashes.index(tx_hash) + 1]):
        raise Reject(
            "MEV_UNREADABLE",
            f"block {receipt.block_number} cannot be carried out again: it creates contracts before {tx_hash}, or is another block now",
            "its receipt stays without a comparison",
        )
    index = hashes.index(tx_hash)
    block, before = await asyncio.gather(
        chain.block(receipt.block_number), chain.block(receipt.block_number - 1)
    )
    steps = [_step(raw) for raw in raws[: index + 1]]
    whole = (await fork.run(steps, at=before, time_s=block.timestamp)).steps[-1]
    alone = (await fork.run(steps[-1:], at=before, time_s=block.timestamp)).steps[-1]
    received = moved_raw(receipt.logs, bought, wallet)
    replayed = moved_raw(whole.logs, bought, wallet)
    would = moved_raw(alone.logs, bought, wallet)
    ahead, behind = await _neighbours(chain, raws, hashes, index, receipt, {bought, wallet})
    tip = (receipt.effective_gas_price_wei - block.base_fee_wei) * receipt.gas_used
    return MevReceipt(
        tx_hash=tx_hash,
        block=receipt.block_number,
        index=index,
        received_raw=received,
        replayed_raw=replayed,
        alone_raw=would,
        loss_raw=would - received if replayed == received and alone.ok else None,
        ahead=ahead,
        behind=behind,
        sandwich=_sandwich(ahead, behind),
        tip_wei=max(tip, 0),
        refund_wei=_refund(raws, index),
    )


def _step(raw: Mapping[str, Any]) -> Step:
    call = Call(
        checksum(raw["to"]), from_hex(raw.get("input") or raw.get("data") or "0x"), number(raw["value"])
    )
    return Step(checksum(raw["from"]), call, gas=number(raw["gas"]))


async def _neighbours(
    chain: Chain,
    raws: Sequence[Mapping[str, Any]],
    hashes: Sequence[Hash32],
    index: int,
    ours: Receipt,
    not_pools: set[Address],
) -> tuple[tuple[Neighbour, ...], tuple[Neighbour, ...]]:
    """Those before and behind ours that emitted events where ours did, but at tokens: a pool is no token."""
    places = _pools(ours) - {a.lower() for a in not_pools}
    receipts = await asyncio.gather(*(chain.receipt(h) for i, h in enumerate(hashes) if i != index))
    by_hash = {r.tx_hash: r for r in receipts if r is not None}
    found: tuple[list[Neighbour], list[Neighbour]] = ([], [])
    for i, (raw, tx_hash) in enumerate(zip(raws, hashes, strict=True)):
        other = by_hash.get(tx_hash)
        if other is not None and _pools(other) & places:
            to = checksum(raw["to"]) if raw.get("to") else None
            found[i > index].append(Neighbour(tx_hash, i, checksum(raw["from"]), to))
    return tuple(found[0]), tuple(found[1])


def _pools(receipt: Receipt) -> set[str]:
    """Contracts that told of something else than a transfer or an allowance."""
    return {log.address.lower() for log in receipt.logs if log.topics and log.topics[0] not in _TOKENS_OWN}


_TOKENS_OWN = {
    bytes.fromhex("ddf252ad1be2c89b69c2b068fc378daa952ba7f163c4a11628f55a4df523b3ef"),  # Transfer
    bytes.fromhex("8c5be1e5ebec7d5bd14f71427d1e84f3dd0314c0f7b2291e5b200ac8c7c3b925"),  # Approval
    bytes.fromhex("e1fffcc4923d04b559f4d29a8bfc6cda04eb5b0d3c460751c2402c5c5cc9109c"),  # WETH9 Deposit
    bytes.fromhex("7fcf532c15f0a6db0bd6d0e038bea71d30d808c7d98cb3bf7268a95bf5081b65"),  # WETH9 Withdrawal
}


def _sandwich(ahead: Sequence[Neighbour], behind: Sequence[Neighbour]) -> tuple[Hash32, Hash32] | None:
    """The nearest pair around ours with one sender, or one contract that both call."""
    for first in reversed(ahead):
        for last in behind:
            if first.sender == last.sender or (
                first.to is not None and first.to == last.to and len({*ahead, *behind}) == 2
            ):
                return first.tx_hash, last.tx_hash
    return None


def _refund(raws: Sequence[Mapping[str, Any]], index: int) -> int:
    """Plain ether sent to our sender right behind us, wei: how builders pay refunds."""
    ours = str(raws[index]["from"]).lower()
    return sum(
        number(raw["value"])
        for raw in raws[index + 1 :]
        if str(raw.get("to") or "").lower() == ours and (raw.get("input") or "0x") == "0x"
    )
