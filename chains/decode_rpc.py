"""JSON-RPC's blocks, receipts, logs and fee histories as `chains.types`, and what is asked the other way. Pure; raises Retry where a shape is wrong."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeVar

from chains.errors import FairleadError, Retry
from chains.evm import checksum, from_hex, hash32, hex_bytes, number
from chains.gas import FeeHistory
from chains.rpc import RpcReject
from chains.types import BlockRef, Hash32, Log, Receipt

T = TypeVar("T")
# How nodes say that the call itself failed in the EVM.
REVERTED = ("revert", "out of gas", "invalid opcode", "stack underflow", "invalid jump", "bad instruction")


def _shaped(what: str, make: Callable[[], T]) -> T:
    try:
        return make()
    except (KeyError, TypeError, ValueError, AttributeError, IndexError, FairleadError) as error:
        raise Retry(
            "MALFORMED_ANSWER", f"an endpoint's {what} is malformed: {type(error).__name__} {error}"
        ) from None


def block_ref(raw: Mapping[str, Any]) -> BlockRef:
    return _shaped(
        "block",
        lambda: BlockRef(
            number(raw["number"]), hash32(raw["hash"]), hash32(raw["parentHash"]), number(raw["timestamp"]),
            number(raw.get("baseFeePerGas") or 0),
        ),
    )  # fmt: skip


def log(raw: Mapping[str, Any]) -> Log:
    return _shaped(
        "log",
        lambda: Log(
            checksum(raw["address"]), tuple(from_hex(t) for t in raw["topics"]), from_hex(raw["data"]),
            number(raw["blockNumber"]), hash32(raw["blockHash"]), hash32(raw["transactionHash"]), number(raw["logIndex"]),
        ),
    )  # fmt: skip


def receipt(raw: Mapping[str, Any]) -> Receipt:
    """`l1_fee_wei` from the OP-stack's l1Fee where there is one."""
    return _shaped(
        "receipt",
        lambda: Receipt(
            hash32(raw["transactionHash"]), number(raw["blockNumber"]), Hash32(hash32(raw["blockHash"])), number(raw["status"]),
            number(raw["gasUsed"]), number(raw["effectiveGasPrice"]), tuple(log(entry) for entry in raw["logs"]),
            number(raw.get("l1Fee") or 0),
        ),
    )  # fmt: skip


def fee_history(raw: Mapping[str, Any]) -> FeeHistory:
    return _shaped(
        "fee history",
        lambda: FeeHistory(
            number(raw["oldestBlock"]),
            tuple(number(fee) for fee in raw["baseFeePerGas"]),
            tuple(tuple(number(r) for r in row) for row in raw.get("reward") or ()),
        ),
    )


def block_tag(block: int | str) -> Any:
    if isinstance(block, int):
        return hex(block)
    return {"blockHash": block} if len(block) == 66 else block


def topic(value: bytes | Sequence[bytes] | None) -> Any:
    if value is None:
        return None
    return hex_bytes(value) if isinstance(value, bytes) else [hex_bytes(v) for v in value]


def log_filter(
    address: str | Sequence[str] | None,
    topics: Sequence[bytes | Sequence[bytes] | None],
    first: int,
    last: int,
) -> dict[str, Any]:
    """eth_getLogs' argument: logs of blocks first..last, of any contract where `address` is None."""
    wanted = {"fromBlock": hex(first), "toBlock": hex(last), "topics": [topic(t) for t in topics]}
    if address is None:
        return wanted
    return {**wanted, "address": address if isinstance(address, str) else list(address)}


def is_revert(error: RpcReject) -> bool:
    """Whether the call itself failed in the EVM, as opposed to the endpoint not knowing the block or the method."""
    said = error.rpc_message.lower()
    return error.rpc_code == 3 or any(words in said for words in REVERTED)


def revert_data(error: RpcReject) -> bytes:
    """Revert data where the endpoint attached it: as a hex string, or inside an object."""
    data = error.data.get("data") if isinstance(error.data, dict) else error.data
    if isinstance(data, str) and "0x" in data:
        try:
            return from_hex(data[data.index("0x") :])
        except ValueError:
            return b""
    return b""
