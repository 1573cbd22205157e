"""The relay's private endpoint in Flashbots' dialect: bundles and private transactions of signed requests.

An answer means received, never accepted. Errors: -32600 header absent or malformed, -32025 signature not the named
address's, -32602 parameters, -32601 method, -32000 the transaction itself.
"""

from __future__ import annotations

import uuid
from typing import Any

from chains.devnet.builders import Auction, replayed, replayer
from chains.devnet.builders import Builder as Bidder
from chains.devnet.relay_builder import Builder
from chains.devnet.relay_pool import PRIVATE_LIFE_BLOCKS, Lot, Pools, Status
from chains.devnet.relay_public import PublicApi, parse_raw, refuse
from chains.errors import Reject
from chains.evm import keccak
from chains.rawtx import RawTx
from chains.relay_auth import verify
from chains.types import Address, Hash32

MAX_BUNDLE_TXS, MAX_BUNDLE_BYTES = 100, 300_000


def authenticate(header: str | None, body: bytes) -> Address:
    try:
        return verify(header, body)
    except Reject as error:
        if error.code == "RELAY_AUTH_INVALID":
            raise refuse(-32025, "invalid flashbots signature") from None
        raise refuse(-32600, "error in signature check") from None


def block_number(value: object, name: str) -> int:
    if not isinstance(value, str) or not value.startswith("0x"):
        raise refuse(-32602, f"{name} must be a hex block number")
    try:
        return int(value, 16)
    except ValueError:
        raise refuse(-32602, f"{name} must be a hex block number") from None


class PrivateApi:
    """`bidder` is the builder whose endpoint this is; None for the relay that forwards to all of them."""

    def __init__(
        self,
        builder: Builder,
        pools: Pools,
        public: PublicApi,
        chain_id: int,
        auction: Auction | None = None,
        bidder: Bidder | None = None,
    ) -> None:
        self._builder, self._pools, self._public, self._chain_id = builder, pools, public, chain_id
        self._auction, self._bidder = auction, bidder

    async def handle(
        self, method: str, params: list[Any], owner: Address, now_ms: int, delay: int, swallow: bool
    ) -> Any:
        if not params or not isinstance(params[0], dict):
            raise refuse(-32602, "params must be a list with one object")
        argument = params[0]
        match method:
            case "eth_sendPrivateTransaction":
                return await self._send_private(argument, owner, now_ms, delay, swallow)
            case "eth_cancelPrivateTransaction":
                return self._cancel_private(argument, owner)
            case "eth_sendBundle":
                return await self._send_bundle(argument, owner, now_ms, delay, swallow)
            case "eth_cancelBundle":
                return self._cancel_bundle(argument, owner)
            case "eth_callBundle":
                return await self._call_bundle(argument)
        raise refuse(-32601, f"the method {method} does not exist/is not available")

    async def _send_private(
        self, argument: dict[str, Any], owner: Address, now_ms: int, delay: int, swallow: bool
    ) -> str:
        tx = parse_raw(argument.get("tx"), self._chain_id)
        head = self._builder.head.number
        last = head + PRIVATE_LIFE_BLOCKS
        if argument.get("maxBlockNumber") is not None:
            last = block_number(argument["maxBlockNumber"], "maxBlockNumber")
            if last <= head:
                raise refuse(-32602, f"maxBlockNumber {last} is not after the current block {head}")
        if tx.max_priority_fee_wei < 1:
            raise refuse(-32000, "transaction underpriced: gas tip cap 0, minimum needed 1")
        known = self._pools.lot_of(tx.hash)
        if known is not None:
            known.last = max(known.last, last)
            self._pools.seen[tx.hash].max_block = known.last
            return tx.hash
        await self._public.check(tx)
        self._pools.arrive("private", tx, head, now_ms, owner)
        await self._leak(tx, now_ms)
        if not swallow:
            for other in [
                o for o in self._pools.lots.values()
                if not o.bundle and o.txs[0].sender == tx.sender and o.txs[0].nonce == tx.nonce
            ]:  # fmt: skip
                if tx.max_fee_wei * 10 < other.txs[0].max_fee_wei * 11:
                    raise refuse(-32000, "replacement transaction underpriced")
                self._pools.close(other, Status.CANCELLED)
            start = head + 1 + delay if delay else 0
            self._add(tx.hash, owner, (tx,), 0, last, start, arrived_ms=now_ms)
        return tx.hash

    async def _leak(self, tx: RawTx, now_ms: int) -> None:
        """What a builder does that breaks its word."""
        if self._bidder is None or not self._bidder.leaks:
            return
        if self._bidder.leaks == "sell":
            if self._auction is not None:
                self._auction.sell(self._bidder, tx)
            return
        told, head = tx, self._builder.head
        if self._bidder.leaks == "replay":
            me = replayer()
            async with self._builder.gate.build():
                await self._builder.upstream.call("anvil_setBalance", [me, hex(10**20)])
                answer = await self._builder.upstream.call("eth_getTransactionCount", [me, "latest"])
            nonce = self._pools.public_run(me, int(answer, 16))
            told = replayed(tx, nonce, 2 * head.base_fee_wei)
        if told.hash not in self._pools.public and not self._pools.add_public(told, 0):
            self._pools.arrive("leak", told, head.number, now_ms)

    def _add(
        self,
        lot_id: str,
        owner: Address,
        txs: tuple[RawTx, ...],
        first: int,
        last: int,
        not_before: int,
        **more: Any,
    ) -> None:
        self._pools.counter += 1
        self._pools.add_lot(
            Lot(lot_id, owner, txs, first, last, self._pools.counter, not_before=not_before, **more)
        )

    def _cancel_private(self, argument: dict[str, Any], owner: Address) -> bool:
        lot = self._pools.lot_of(Hash32(str(argument.get("txHash", "")).lower()))
        if lot is None or lot.owner != owner:
            return False
        self._close(lot)
        return True

    def _close(self, lot: Lot) -> None:
        """Takes a lot back. A bid that is placed already stays placed: then the next block may still hold it."""
        late = self._auction is not None and self._bidder is not None
        if late and self._auction and self._bidder and self._auction.cancels_late(self._bidder):
            lot.last = min(lot.last, self._builder.head.number + 1)
            return
        self._pools.close(lot, Status.CANCELLED)

    def _bundle_txs(self, argument: dict[str, Any]) -> tuple[RawTx, ...]:
        raws = argument.get("txs")
        if not isinstance(raws, list) or not raws:
            raise refuse(-32602, "txs must be a list of signed transactions")
        if len(raws) > MAX_BUNDLE_TXS or sum(len(str(r)) // 2 for r in raws) > MAX_BUNDLE_BYTES:
            raise refuse(-32602, "the bundle is too large")
        return tuple(parse_raw(r, self._chain_id) for r in raws)

    async def _send_bundle(
        self, argument: dict[str, Any], owner: Address, now_ms: int, delay: int, swallow: bool
    ) -> Any:
        if argument.get("txs") == [] and argument.get("replacementUuid"):
            self._cancel_bundle(argument, owner)  # BuilderNet's and Titan's other way to say so
            return {"bundleHash": "0x" + keccak(b"").hex()}
        txs = self._bundle_txs(argument)
        target = block_number(argument.get("blockNumber"), "blockNumber")
        if target <= self._builder.head.number:
            raise refuse(
                -32602, f"blockNumber {target} is not after the current block {self._builder.head.number}"
            )
        replacement = argument.get("replacementUuid") or ""
        if replacement:
            try:
                replacement = str(uuid.UUID(str(replacement)))
            except ValueError:
                raise refuse(-32602, "replacementUuid is not a UUID") from None
        bundle_hash = "0x" + keccak(b"".join(bytes.fromhex(t.hash[2:]) for t in txs)).hex()
        for tx in txs:
            self._pools.arrive("private", tx, self._builder.head.number, now_ms, owner)
            await self._leak(tx, now_ms)
        if not swallow:
            times = {
                k: argument.get(f)
                for k, f in (("min_timestamp", "minTimestamp"), ("max_timestamp", "maxTimestamp"))
            }
            more = {k: v for k, v in times.items() if isinstance(v, int) and v > 0}
            named = argument.get("revertingTxHashes") or []
            if not isinstance(named, list):
                raise refuse(-32602, "revertingTxHashes must be a list of hashes")
            may = frozenset(Hash32(str(h).lower()) for h in named)
            self._add(
                f"{bundle_hash}@{target}", owner, txs, target + delay, target + delay, 0,
                bundle=True, may_revert=may, replacement_uuid=replacement, arrived_ms=now_ms, **more,
            )  # fmt: skip
        return {"bundleHash": bundle_hash}

    def _cancel_bundle(self, argument: dict[str, Any], owner: Address) -> bool:
        wanted = str(argument.get("replacementUuid", "")).lower()
        lots = [
            o
            for o in self._pools.lots.values()
            if wanted and o.replacement_uuid == wanted and o.owner == owner
        ]
        for lot in lots:
            self._close(lot)
        return bool(lots)

    async def _call_bundle(self, argument: dict[str, Any]) -> Any:
        txs = self._bundle_txs(argument)
        base_fee, receipts, errors = await self._builder.call_bundle(list(txs))
        results, total_gas, total_tips = [], 0, 0
        for tx in txs:
            receipt = receipts.get(tx.hash)
            used = int(receipt["gasUsed"], 16) if receipt else 0
            tips = used * max(0, tx.tip_at(base_fee))
            total_gas, total_tips = total_gas + used, total_tips + tips
            entry = {
                "txHash": tx.hash, "fromAddress": tx.sender, "toAddress": tx.to, "gasUsed": used, "gasFees": str(tips),
                "gasPrice": str(tx.tip_at(base_fee)), "coinbaseDiff": str(tips), "ethSentToCoinbase": "0",
            }  # fmt: skip
            if receipt is None:
                entry["error"] = errors.get(tx.hash, "not included")
            elif int(receipt["status"], 16) == 0:
                entry["error"] = "execution reverted"
            results.append(entry)
        return {
            "bundleHash": "0x" + keccak(b"".join(bytes.fromhex(t.hash[2:]) for t in txs)).hex(), "results": results,
            "stateBlockNumber": self._builder.head.number, "totalGasUsed": total_gas, "gasFees": str(total_tips),
            "coinbaseDiff": str(total_tips), "ethSentToCoinbase": "0",
            "bundleGasPrice": str(total_tips // total_gas if total_gas else 0),
        }  # fmt: skip

    def status(self, tx_hash: str) -> dict[str, Any]:
        seen = self._pools.seen.get(Hash32(tx_hash.lower()))
        if seen is None:
            return {
                "status": "UNKNOWN",
                "hash": tx_hash,
                "maxBlockNumber": 0,
                "fastMode": False,
                "seenInMempool": False,
            }
        shown: dict[str, Any] = {
            "status": seen.status.value, "hash": tx_hash, "maxBlockNumber": seen.max_block, "fastMode": True,
            "seenInMempool": Hash32(tx_hash.lower()) in self._pools.public, "isRevert": seen.sim_error == "SimErrorExecutionReverted",
        }  # fmt: skip
        if seen.sim_error:
            shown["simError"] = seen.sim_error
        return shown
