"""The public JSON-RPC of the local chain 1: reads go through, raw transactions enter the public pool, nothing else exists.

A method that is not listed is refused with -32601, so no cheat method, no filter and no subscription of the Anvil behind
can show a private transaction or a block that was only tried.
"""

from __future__ import annotations

from typing import Any

from chains.devnet.relay_builder import Builder
from chains.devnet.relay_pool import Pools
from chains.errors import Usage
from chains.evm import checksum, number
from chains.rawtx import RawTx, decode_raw
from chains.rpc import RpcReject

READS = frozenset(
    """eth_accounts eth_blobBaseFee eth_blockNumber eth_call eth_chainId eth_createAccessList eth_estimateGas eth_feeHistory
    eth_gasPrice eth_getAccount eth_getAccountInfo eth_getBalance eth_getBlockByHash eth_getBlockByNumber eth_getBlockReceipts
    eth_getBlockTransactionCountByHash eth_getBlockTransactionCountByNumber eth_getCode eth_getLogs eth_getProof eth_getStorageAt
    eth_getTransactionByBlockHashAndIndex eth_getTransactionByBlockNumberAndIndex eth_getTransactionByHash eth_getTransactionCount
    eth_getTransactionReceipt eth_getUncleCountByBlockHash eth_getUncleCountByBlockNumber eth_maxPriorityFeePerGas eth_simulateV1
    eth_syncing debug_traceCall debug_traceTransaction net_version trace_block trace_transaction web3_clientVersion web3_sha3""".split()
)
TELLING_READS = frozenset(
    {"eth_call", "eth_createAccessList", "eth_estimateGas", "eth_simulateV1", "debug_traceCall"}
)
ANSWERED_HERE = frozenset({"eth_accounts", "eth_getTransactionByHash"})
MAX_RAW_BYTES = 128 * 1024


def refuse(code: int, message: str) -> RpcReject:
    return RpcReject(code, message)


def parse_raw(text: object, chain_id: int) -> RawTx:
    """The transaction of a 0x hex string. Raises RpcReject in a node's words."""
    if not isinstance(text, str) or not text.startswith("0x"):
        raise refuse(-32602, "invalid argument 0: a 0x hex string is expected")
    try:
        raw = bytes.fromhex(text[2:])
    except ValueError:
        raise refuse(-32602, "invalid argument 0: not hex") from None
    if len(raw) > MAX_RAW_BYTES:
        raise refuse(-32000, "oversized data")
    try:
        tx = decode_raw(raw)
    except Usage as error:
        raise refuse(-32000, f"rlp: {error.message}") from None
    if tx.chain_id != chain_id:
        raise refuse(
            -32000,
            "invalid chain id for signer" if tx.chain_id else "only replay-protected transactions allowed",
        )
    return tx


def tags_as_numbers(params: list[Any], head: int, depth: int) -> list[Any]:
    """`finalized` is `depth` blocks behind the head and `safe` half of it: an Anvil has no consensus to say so."""
    depths = {"finalized": depth, "safe": (depth + 1) // 2}

    def one(value: Any) -> Any:
        if isinstance(value, str) and value in depths:
            return hex(max(0, head - depths[value]))
        if isinstance(value, dict):
            return {
                k: one(v) if k in ("fromBlock", "toBlock", "blockNumber") else v for k, v in value.items()
            }
        return value

    return [one(p) for p in params]


class PublicApi:
    def __init__(self, builder: Builder, pools: Pools, chain_id: int, finality_depth: int) -> None:
        self._builder, self._pools, self._chain_id, self._depth = builder, pools, chain_id, finality_depth

    async def read(self, method: str, params: list[Any], now_ms: int) -> Any:
        if method in TELLING_READS:
            self._pools.record_read(method, params, now_ms)
        if method == "eth_accounts":
            return []
        if method.startswith("txpool_"):
            return self.txpool(method)
        if method not in READS:
            raise refuse(-32601, f"the method {method} does not exist/is not available")
        async with self._builder.gate.read():
            params = tags_as_numbers(params, self._builder.head.number, self._depth)
            result = await self._builder.upstream.call(method, params)
        if method == "eth_getTransactionByHash" and result is None and params:
            waiting = None if self._builder.sequencer else self._pools.public.get(params[0])
            return waiting.json() if waiting else None
        pending = len(params) > 1 and params[1] == "pending"
        if method == "eth_getTransactionCount" and pending and not self._builder.sequencer:
            return hex(self._pools.public_run(checksum(params[0]), number(result)))
        return result

    def passes(self, request: Any) -> bool:
        """Whether a request is a read that is answered as the node behind answers it."""
        if not isinstance(request, dict) or not isinstance(request.get("params", []), list):
            return False
        method, params = request.get("method"), request.get("params", [])
        counts_pending = method == "eth_getTransactionCount" and params[1:] == ["pending"]
        return method in READS and method not in ANSWERED_HERE and not counts_pending

    async def read_many(self, requests: list[Any], now_ms: int) -> list[Any]:
        """The answers to requests that `passes` let by, of one state and in one request to the node; a refused one is its error."""
        for request in requests:
            if request["method"] in TELLING_READS:
                self._pools.record_read(request["method"], request.get("params", []), now_ms)
        async with self._builder.gate.read():
            head = self._builder.head.number
            asked = [(r["method"], tags_as_numbers(r.get("params", []), head, self._depth)) for r in requests]
            return await self._builder.upstream.batch(asked)

    def txpool(self, method: str) -> Any:
        public = [] if self._builder.sequencer else list(self._pools.public.values())
        if method == "txpool_status":
            return {"pending": hex(len(public)), "queued": "0x0"}
        if method == "txpool_content":
            pending: dict[str, dict[str, Any]] = {}
            for tx in public:
                pending.setdefault(tx.sender, {})[str(tx.nonce)] = tx.json()
            return {"pending": pending, "queued": {}}
        raise refuse(-32601, f"the method {method} does not exist/is not available")

    async def check(self, tx: RawTx) -> None:
        """What a node checks before it takes a transaction. Raises RpcReject in a node's words."""
        async with self._builder.gate.read():
            nonce = number(
                await self._builder.upstream.call("eth_getTransactionCount", [tx.sender, "latest"])
            )
            balance = number(await self._builder.upstream.call("eth_getBalance", [tx.sender, "latest"]))
        if tx.nonce < nonce:
            raise refuse(-32000, f"nonce too low: next nonce {nonce}, tx nonce {tx.nonce}")
        if tx.max_priority_fee_wei > tx.max_fee_wei:
            raise refuse(-32000, "max priority fee per gas higher than max fee per gas")
        if balance < tx.value + tx.gas * tx.max_fee_wei:
            raise refuse(-32000, "insufficient funds for gas * price + value")
        if tx.gas < 21_000:
            raise refuse(-32000, "intrinsic gas too low")

    def sender_of(self, params: object) -> str:
        """Who signed the raw transaction of a request; '' where there is none."""
        try:
            return parse_raw(
                params[0] if isinstance(params, list) and params else None, self._chain_id
            ).sender
        except RpcReject:
            return ""

    async def send_raw(
        self,
        params: list[Any],
        now_ms: int,
        delay_blocks: int = 0,
        road: str = "public",
        swallow: bool = False,
    ) -> str:
        """The transaction's hash. `swallow`: it is lost afterwards, and nobody is told. Raises RpcReject."""
        tx = parse_raw(params[0] if params else None, self._chain_id)
        if tx.hash in self._pools.public:
            raise refuse(-32000, "already known")
        await self.check(tx)
        head = self._builder.head.number
        reason = self._pools.add_public(tx, head + 1 + delay_blocks if delay_blocks else 0)
        if reason:
            raise refuse(-32000, reason)
        if swallow:
            self._pools.drop_public(tx.hash)
        self._pools.arrive(road, tx, head, now_ms)
        return tx.hash
