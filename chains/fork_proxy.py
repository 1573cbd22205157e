"""A loopback door through which a local fork reads a chain's state, and through which nothing else passes.

Anvil takes its upstream on the command line, where every process of the machine can read it, and forwards to it whatever
it cannot answer. This door hides the endpoint's key from both, spreads reads over the endpoints, and refuses every method
that would carry calldata: what is simulated stays here even if the fork wanted to tell. What an endpoint still learns is
which accounts and slots were read.

What the fork read at one block it will read at the next one too, and it asks one slot at a time: `prepare` fetches all of
it in one request, so that a simulation on a new block costs one round trip and not one for each slot. `held` is all that the fork
has been told since it was set on its block, and `changed` what of that is otherwise at a later one.
"""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Sequence
from typing import Any

import orjson
from aiohttp import web

from chains.errors import FairleadError, Reject, Retry
from chains.rpc import Rpc, RpcReject
from chains.types import BlockRef

STATE_READS = frozenset(
    """eth_blobBaseFee eth_blockNumber eth_chainId eth_feeHistory eth_gasPrice eth_getAccount eth_getAccountInfo eth_getBalance
    eth_getBlockByHash eth_getBlockByNumber eth_getCode eth_getProof eth_getStorageAt eth_getTransactionByHash
    eth_getTransactionCount eth_getTransactionReceipt eth_maxPriorityFeePerGas net_version web3_clientVersion""".split()
)
AT_A_BLOCK = frozenset(
    {"eth_getBalance", "eth_getCode", "eth_getStorageAt", "eth_getTransactionCount", "eth_getAccountInfo"}
)
IN_OTHER_WORDS = frozenset({"eth_getAccount", "eth_getProof"})
"""What a fork could also learn an account from."""
REMEMBERED = 2_000
BATCH = 100

Key = tuple[str, tuple[str, ...]]


class ForkProxy:
    """`refused` keeps the methods that were turned away; `passed` counts what went to an endpoint.

    `further` are methods to let through besides STATE_READS.
    """

    def __init__(self, rpcs: Sequence[Rpc], further: frozenset[str] = frozenset()) -> None:
        self._rpcs, self._passing = list(rpcs), STATE_READS | further
        self._runner: web.AppRunner | None = None
        self.refused: list[str] = []
        self.passed = 0
        self.url = ""
        self._recent: dict[Key, None] = {}
        self._answers: dict[Key, Any] = {}
        self.held: dict[Key, Any] = {}
        """By method and parameters without the block: what the fork holds of its block's state."""
        self.unheld = 0
        """Reads of its state that are not in `held`: of another kind, or of a block that is no number."""

    async def changed(self, block: BlockRef, keys: Sequence[Key]) -> dict[Key, Any]:
        """Those of `keys`, all held, that a later block has other answers for, with these. Raises Retry where not all of them could be
        had from one endpoint, of that very block."""
        at, problem = hex(block.number), Retry("NO_STATE", "no endpoint told the state of the new block")
        requests = [(method, [*params, at]) for method, params in keys]
        parts = [requests[first : first + BATCH] for first in range(0, len(requests), BATCH)]
        for rpc in self._rpcs:
            try:
                # Each part with the block at that height after it: no answer is another branch's.
                told = await asyncio.gather(
                    *(rpc.batch([*part, ("eth_getBlockByNumber", [at, False])]) for part in parts)
                )
            except (Retry, Reject) as error:
                problem = Retry(error.code, error.message)
                continue
            self.passed += len(parts)
            if any(not isinstance(t[-1], dict) or t[-1].get("hash") != block.hash for t in told):
                problem = Retry("BLOCK_MOVED", f"block {block.number} was reorganised under the simulation")
                continue
            answers = [answer for part in told for answer in part[:-1]]
            if any(isinstance(answer, FairleadError) for answer in answers):
                continue
            return {k: new for k, new in zip(keys, answers, strict=True) if new != self.held[k]}
        raise problem

    async def prepare(self, number: int) -> None:
        """Read at block `number` all that was read before, in batches; what fails is simply asked for again later."""
        self._answers, self.held, self.unheld = {}, {}, 0
        wanted, block = list(self._recent), hex(number)
        for first in range(0, len(wanted), BATCH):
            part = wanted[first : first + BATCH]
            for rpc in self._rpcs:
                try:
                    answers = await rpc.batch([(method, [*params, block]) for method, params in part])
                except (Retry, Reject):
                    continue
                self.passed += 1
                for (method, params), answer in zip(part, answers, strict=True):
                    if not isinstance(answer, FairleadError):
                        self._answers[method, (*params, block)] = answer
                break

    def _remember(self, method: str, params: list[Any]) -> Key | None:
        if (
            method not in AT_A_BLOCK
            or not all(isinstance(p, str) for p in params)
            or not params[-1].startswith("0x")
        ):
            return None
        key: Key = (method, tuple(params))
        self._recent.pop((method, key[1][:-1]), None)
        self._recent[method, key[1][:-1]] = None
        if len(self._recent) > REMEMBERED:
            del self._recent[next(iter(self._recent))]
        return key

    async def start(self) -> None:
        app = web.Application(client_max_size=8 * 1024 * 1024)
        # Another local process could otherwise spend the endpoint's quota through this port.
        path = "/" + secrets.token_hex(16)
        app.add_routes([web.post(path, self._handle)])
        self._runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.5)
        await self._runner.setup()
        await web.TCPSite(self._runner, "127.0.0.1", 0).start()
        self.url = f"http://127.0.0.1:{self._runner.addresses[0][1]}{path}"

    async def stop(self) -> None:
        if self._runner is not None:
            await self._runner.cleanup()
            self._runner = None

    async def _handle(self, request: web.Request) -> web.StreamResponse:
        try:
            parsed = orjson.loads(await request.read())
        except orjson.JSONDecodeError:
            return _json({"jsonrpc": "2.0", "id": None, "error": {"code": -32700, "message": "parse error"}})
        if isinstance(parsed, list):
            return _json([await self._one(p) for p in parsed])
        return _json(await self._one(parsed))

    async def _one(self, request: Any) -> dict[str, Any]:
        method, params = str(request.get("method")), request.get("params") or []
        base = {"jsonrpc": "2.0", "id": request.get("id")}
        if method not in self._passing:
            self.refused.append(method)
            return base | {"error": {"code": -32601, "message": f"{method} does not pass from a local fork"}}
        key = self._remember(method, params) if params else None
        self.unheld += key is None and method in AT_A_BLOCK | IN_OTHER_WORDS
        if key is not None and key in self._answers:
            self.held[method, key[1][:-1]] = self._answers[key]
            return base | {"result": self._answers[key]}
        problem: FairleadError | None = None
        for rpc in self._rpcs:
            try:
                result = await rpc.call(method, params)
            except (Retry, Reject) as error:
                problem = problem or error
                continue
            self.passed += 1
            if key is not None:
                self.held[method, key[1][:-1]] = result
            return base | {"result": result}
        if isinstance(problem, RpcReject):
            return base | {"error": {"code": problem.rpc_code, "message": problem.rpc_message}}
        return base | {"error": {"code": -32603, "message": problem.message if problem else "no endpoint"}}


def _json(body: Any) -> web.Response:
    return web.Response(body=orjson.dumps(body), content_type="application/json")
