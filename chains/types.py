"""What a chain speaks: addresses, calls, blocks, transactions, receipts. Integers, bytes and frozen dataclasses only.

Addresses are EIP-55 checksummed strings, hashes are 0x-prefixed lower-case hex strings, calldata is bytes, amounts are
ints of base units, times are integer seconds of the chain's own clock. No I/O and no clock may live here.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum
from typing import NewType, Protocol

Address = NewType("Address", str)
Hash32 = NewType("Hash32", str)

ZERO_ADDRESS = Address("0x" + "0" * 40)


class Protection(Enum):
    """How a plan's transactions may travel. Decided before signing, never loosened afterwards."""

    PUBLIC = "PUBLIC"
    PRIVATE = "PRIVATE"
    INTENT = "INTENT"


class Environment(Enum):
    """Which world a key, a settings file or a signature belongs to."""

    DEVNET = "devnet"
    FORK = "fork"
    LIVE = "live"


@dataclass(frozen=True, slots=True)
class Call:
    """One contract call: `value` in wei."""

    to: Address
    data: bytes
    value: int = 0


@dataclass(frozen=True, slots=True)
class CallResult:
    """What eth_call gave: `data` is the return value, or the revert data where `ok` is false."""

    ok: bool
    data: bytes


@dataclass(frozen=True, slots=True)
class BlockRef:
    number: int
    hash: Hash32
    parent_hash: Hash32
    timestamp: int
    base_fee_wei: int


@dataclass(frozen=True, slots=True)
class Fees:
    """EIP-1559 bids in wei per gas."""

    max_fee_wei: int
    max_priority_fee_wei: int


@dataclass(frozen=True, slots=True)
class UnsignedTx:
    """An EIP-1559 (type 2) transaction before its signature."""

    chain_id: int
    nonce: int
    to: Address
    value: int
    data: bytes
    gas: int
    fees: Fees


@dataclass(frozen=True, slots=True)
class SignedTx:
    chain_id: int
    sender: Address
    nonce: int
    raw: bytes
    hash: Hash32


@dataclass(frozen=True, slots=True)
class Log:
    address: Address
    topics: tuple[bytes, ...]
    data: bytes
    block_number: int
    block_hash: Hash32
    tx_hash: Hash32
    log_index: int


@dataclass(frozen=True, slots=True)
class Receipt:
    """A mined transaction: `l1_fee_wei` is what an OP-stack chain takes on top (0 where there is none)."""

    tx_hash: Hash32
    block_number: int
    block_hash: Hash32
    status: int
    gas_used: int
    effective_gas_price_wei: int
    logs: tuple[Log, ...]
    l1_fee_wei: int = 0


@dataclass(frozen=True, slots=True)
class CowOrder:
    """A CoW Protocol order: at most `sell_raw` of one token for at least `buy_raw` of another, pro rata where `partially_fillable`.

    Of kind "sell" all of `sell_raw` goes, for `buy_raw` or more; of kind "buy" exactly `buy_raw` comes, for `sell_raw` or less. Base
    units; `valid_to` is the last second of the chain's clock it can be settled in; `app_data` is the hash of a document. Plain ERC-20
    balances on both sides: nothing else is built or signed here.
    """

    chain_id: int
    settlement: Address
    owner: Address
    receiver: Address
    sell_token: Address
    buy_token: Address
    sell_raw: int
    buy_raw: int
    valid_to: int
    app_data: Hash32
    fee_raw: int = 0
    partially_fillable: bool = False
    kind: str = "sell"

    @property
    def buys(self) -> bool:
        """Whether what comes is fixed, and not what goes."""
        return self.kind == "buy"

    @property
    def whole_raw(self) -> int:
        """What the contract counts its fills against: the amount that is fixed."""
        return self.buy_raw if self.buys else self.sell_raw


LogFilter = tuple[tuple[Address, ...], tuple[tuple[bytes, ...] | None, ...]]
"""Which logs: of these addresses, with these topics; a topic's place that is None takes any."""


class ViewReader(Protocol):
    """What lending readers need: views of one block. `chains.gateway.Gateway` is one, `chains.confirmed.Confirmed` asks two endpoints."""

    async def multicall(
        self, calls: Sequence[Call], block: int | str = "latest"
    ) -> tuple[BlockRef, list[CallResult]]:
        """All calls against one block (Multicall3 aggregate3, chunked), with the block they were answered at."""
        ...


class ChainReader(ViewReader, Protocol):
    """The reads that pool and wallet readers need; `chains.gateway.Gateway` is the real one.

    `block` is a block number, a 0x block hash, or "latest", "safe", "finalized".
    Raises Retry when no endpoint answered, Halt when an endpoint answers for another chain id.
    """

    @property
    def chain_id(self) -> int: ...

    async def block(self, tag: int | str = "latest") -> BlockRef: ...

    async def call(self, call: Call, block: int | str = "latest") -> CallResult: ...

    async def code(self, address: Address, block: int | str = "latest") -> bytes: ...

    async def storage_at(self, address: Address, slot: int, block: int | str = "latest") -> bytes: ...

    async def balance(self, address: Address, block: int | str = "latest") -> int: ...

    async def nonce(self, address: Address, block: int | str = "latest") -> int: ...

    async def logs(
        self,
        address: Address | Sequence[Address] | None,
        topics: Sequence[bytes | Sequence[bytes] | None],
        first: int,
        last: int,
        *,
        halve: bool = True,
    ) -> list[Log]: ...
