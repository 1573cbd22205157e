"""A small ERC-4337 bundler for the devnet: EntryPoint 0.7 or 0.8, standard RPC, its own funded key.

    python -m chains.devnet.bundler --port P --rpc http://127.0.0.1:CHAIN --key-file FILE [--unsafe] [--entry-point 0.8]

  POST /    ERC-7769: eth_sendUserOperation, eth_estimateUserOperationGas, eth_getUserOperationByHash,
            eth_getUserOperationReceipt, eth_supportedEntryPoints, eth_chainId; and for tests debug_bundler_setBundlingMode,
            debug_bundler_sendBundleNow, debug_bundler_dumpMempool, debug_bundler_clearState

An operation is validated by simulation when it comes and again when it is bundled; a bundle is tried whole before it is sent;
what breaks it is dropped. One operation of a sender in a bundle. FILE holds the key as 64 hex digits; its account pays for
bundles and gets the operations' fees. Listens on 127.0.0.1 and refuses a chain that is no devnet or rehearsal of ours.
ERC-7562's rules on what a validation may do are kept (`bundler_rules`), but for `--unsafe`, for nodes that trace nothing.
Not a public bundler: it has no peers and keeps no reputation.
"""

from __future__ import annotations

import argparse
import asyncio
import signal
import sys
from pathlib import Path
from typing import Any

import aiohttp
import orjson
from aiohttp import web

from chains.bundler import receipts
from chains.decode_rpc import receipt as decode_receipt
from chains.devnet.bundler_pool import Entry, Pool
from chains.devnet.bundler_simulation import (
    MAX_CALL_GAS,
    MAX_VERIFICATION_GAS,
    Simulation,
    pre_verification_gas,
    refused,
)
from chains.devnet.nodes import environment_at
from chains.devnet.relay import answer, error_body, respond, shape
from chains.errors import Denied, FairleadError, Retry, Usage
from chains.evm import number
from chains.rpc import Rpc, RpcReject
from chains.types import Address
from chains.userops import ENTRY_POINT, UserOperation, bundled, from_json, handle_ops, to_json
from chains.userops_08 import ENTRY_POINT as ENTRY_POINT_08
from chains.userops_08 import MARKER, hash_at
from contracts.codec import topic
from contracts.hashing import checksum

MAX_BODY = 1024 * 1024
MAX_BUNDLE = 10
GATHER_S = 0.03
MINED_S = 60.0
PAUSE_S = 0.2
LOST_POLLS = 10
_DELEGATED = "0xef0100"
_SPARE_GAS = 150_000
"""Of a bundle, over the operations' own limits: the transaction itself and the EntryPoint between the operations."""


class Node:
    """The bundler's work: pool, simulation, bundles."""

    def __init__(
        self, rpc: Rpc, chain_id: int, account: Any, rules: bool = True, entry_point: Address = ENTRY_POINT
    ) -> None:
        self._rpc, self._chain_id, self._account, self.entry_point = rpc, chain_id, account, entry_point
        self.address = Address(str(account.address))
        self.simulation, self.pool = Simulation(rpc, entry_point, rules), Pool()
        self.arrived, self.auto = asyncio.Event(), True
        self._bundling = asyncio.Lock()

    async def handle(self, method: str, params: list[Any]) -> Any:
        match method:
            case "eth_chainId":
                return hex(self._chain_id)
            case "eth_supportedEntryPoints":
                return [self.entry_point]
            case "eth_sendUserOperation":
                return await self.take(self._operation(params))
            case "eth_estimateUserOperationGas":
                return await self.simulation.estimate(self._operation(params, estimating=True))
            case "eth_getUserOperationByHash":
                return await self.by_hash(_hash(params))
            case "eth_getUserOperationReceipt":
                return await self.receipt(_hash(params))
            case "debug_bundler_setBundlingMode":
                if params not in (["manual"], ["auto"]):
                    raise refused(-32602, "the mode is manual or auto")
                self.auto = params == ["auto"]
                self.arrived.set()
                return "ok"
            case "debug_bundler_sendBundleNow":
                return await self.bundle()
            case "debug_bundler_dumpMempool":
                return [to_json(entry.op) for entry in self.pool.entries.values()]
            case "debug_bundler_clearState":
                self.pool.entries.clear()
                return "ok"
        raise refused(-32601, f"the method {method} does not exist/is not available")

    def _operation(self, params: list[Any], *, estimating: bool = False) -> UserOperation:
        if len(params) < 2:
            raise refused(-32602, "a user operation and an EntryPoint are needed")
        if str(params[1]).lower() != self.entry_point.lower():
            raise refused(-32602, f"the EntryPoint {params[1]} is not supported")
        return from_json(params[0], estimating=estimating)

    async def take(self, op: UserOperation) -> str:
        """Into the pool, or RpcReject with ERC-7769's code."""
        op_hash = hash_at(self.entry_point, self._chain_id, op, await self._delegate(op))
        self.pool.check(op, op_hash)
        owed = pre_verification_gas(op)
        if op.pre_verification_gas < owed:
            raise refused(
                -32602, f"preVerificationGas {op.pre_verification_gas} is below the {owed} it takes"
            )
        if op.verification_gas > MAX_VERIFICATION_GAS or op.call_gas > MAX_CALL_GAS:
            raise refused(-32602, "verificationGasLimit or callGasLimit is above what this bundler takes")
        head = await self._head()
        if op.fees.max_fee_wei < number(head["baseFeePerGas"]):
            raise refused(-32602, f"maxFeePerGas is below the base fee of {number(head['baseFeePerGas'])}")
        await self.simulation.validate(op, number(head["timestamp"]))
        await self.simulation.keep_the_rules(op)
        self.pool.add(op, op_hash)
        self.arrived.set()
        return op_hash

    async def _delegate(self, op: UserOperation) -> Address | None:
        """The code the sender runs (EIP-7702), where the operation names it; refused where it runs none."""
        if op.factory != MARKER or self.entry_point != ENTRY_POINT_08:
            return None
        code = str(await self._rpc.call("eth_getCode", [op.sender, "latest"])).lower()
        if len(code) != 48 or not code.startswith(_DELEGATED):
            raise refused(-32500, "the sender runs no code by EIP-7702, and its factory says that it does")
        return Address(checksum(bytes.fromhex(code[8:])))

    async def bundle(self) -> str | None:
        """One handleOps transaction with the best of the pool, mined; its hash, or None where nothing is worth one."""
        async with self._bundling:
            head = await self._head()
            chosen = await self._still_valid(self.pool.best(MAX_BUNDLE), head)
            while chosen:
                gas = self._gas([entry.op for entry in chosen])
                failing = await self.simulation.failing([e.op for e in chosen], self.address, gas)
                if failing is None:
                    return await self._send(chosen, gas, head)
                spoiler = chosen.pop(failing[0])
                print(f"bundler: dropped {spoiler.hash}: {failing[1]}", file=sys.stderr, flush=True)
                self.pool.drop([spoiler])
            return None

    async def _still_valid(self, entries: list[Entry], head: dict[str, Any]) -> list[Entry]:
        valid = []
        for entry in entries:
            try:
                await self.simulation.validate(entry.op, number(head["timestamp"]))
                valid.append(entry)
            except RpcReject as error:
                print(f"bundler: dropped {entry.hash}: {error.rpc_message}", file=sys.stderr, flush=True)
                self.pool.drop([entry])
        return valid

    def _gas(self, ops: list[UserOperation]) -> int:
        return sum(op.gas_limit for op in ops) * 64 // 63 + _SPARE_GAS

    async def _send(self, chosen: list[Entry], gas: int, head: dict[str, Any]) -> str:
        call = handle_ops([entry.op for entry in chosen], self.address, self.entry_point)
        tip = min(entry.op.fees.max_priority_fee_wei for entry in chosen)
        fields = {
            "chainId": self._chain_id,
            "type": 2,
            "nonce": number(await self._rpc.call("eth_getTransactionCount", [self.address, "latest"])),
            "to": call.to,
            "value": 0,
            "data": call.data,
            "gas": gas,
            "maxFeePerGas": 2 * number(head["baseFeePerGas"]) + tip,
            "maxPriorityFeePerGas": tip,
        }
        raw = bytes(self._account.sign_transaction(fields).raw_transaction)
        for entry in chosen:
            entry.in_flight = True
        try:
            tx_hash = str(await self._rpc.call("eth_sendRawTransaction", ["0x" + raw.hex()], write=True))
            mined = decode_receipt(await self._mined(tx_hash))
            done = {found.op_hash for found in receipts(mined.logs, self.entry_point)}
            self.pool.drop([entry for entry in chosen if entry.hash in done])
            return tx_hash
        finally:
            for entry in chosen:
                entry.in_flight = False

    async def _mined(self, tx_hash: str) -> dict[str, Any]:
        until, missed = asyncio.get_running_loop().time() + MINED_S, 0
        while asyncio.get_running_loop().time() < until:
            found: dict[str, Any] | None = await self._rpc.call("eth_getTransactionReceipt", [tx_hash])
            if found is not None:
                return found
            known = await self._rpc.call("eth_getTransactionByHash", [tx_hash])
            missed = 0 if known is not None else missed + 1
            if missed > LOST_POLLS:
                raise Retry(
                    "BUNDLE_LOST", f"the node has forgotten the bundle {tx_hash}", "it is built again"
                )
            await asyncio.sleep(0.02)
        raise Retry("NOT_MINED", f"the bundle {tx_hash} was not mined within {MINED_S:g} s")

    async def by_hash(self, op_hash: str) -> dict[str, Any] | None:
        if (waiting := self.pool.find(op_hash)) is not None:
            place = {"blockNumber": None, "blockHash": None, "transactionHash": None}
            return {"userOperation": to_json(waiting.op), "entryPoint": self.entry_point, **place}
        log = await self._logged(op_hash)
        if log is None:
            return None
        tx = await self._rpc.call("eth_getTransactionByHash", [log["transactionHash"]])
        try:
            ops = bundled(bytes.fromhex(tx["input"][2:]))
        except Usage:
            return None  # bundled by another contract, whose calldata is its own
        sender, nonce = checksum(bytes.fromhex(log["topics"][2][-40:])), int(log["data"][2:66], 16)
        op = next((op for op in ops if (op.sender, op.nonce) == (sender, nonce)), None)
        if op is None:
            return None
        place = {k: log[k] for k in ("blockNumber", "blockHash", "transactionHash")}
        return {"userOperation": to_json(op), "entryPoint": self.entry_point, **place}

    async def receipt(self, op_hash: str) -> dict[str, Any] | None:
        log = await self._logged(op_hash)
        if log is None:
            return None
        raw = await self._rpc.call("eth_getTransactionReceipt", [log["transactionHash"]])
        found = next(r for r in receipts(decode_receipt(raw).logs, self.entry_point) if r.op_hash == op_hash)
        own = {entry.log_index for entry in found.logs}
        return {
            "userOpHash": found.op_hash,
            "entryPoint": self.entry_point,
            "sender": found.sender,
            "nonce": hex(found.nonce),
            "paymaster": found.paymaster or "0x",
            "actualGasCost": hex(found.gas_cost_wei),
            "actualGasUsed": hex(found.gas_used),
            "success": found.success,
            "reason": "0x" + found.revert_data.hex(),
            "logs": [entry for entry in raw["logs"] if number(entry["logIndex"]) in own],
            "receipt": raw,
        }

    async def _logged(self, op_hash: str) -> dict[str, Any] | None:
        event = "0x" + topic("entry_point_07", "UserOperationEvent").hex()
        wanted = {
            "address": self.entry_point,
            "topics": [event, op_hash],
            "fromBlock": "0x0",
            "toBlock": "latest",
        }
        found: list[dict[str, Any]] = await self._rpc.call("eth_getLogs", [wanted])
        return found[-1] if found else None

    async def _head(self) -> dict[str, Any]:
        head: dict[str, Any] = await self._rpc.call("eth_getBlockByNumber", ["latest", False])
        return head

    async def work(self) -> None:
        """Bundles for ever: soon after an operation came, and again while some are left."""
        while True:
            await self.arrived.wait()
            await asyncio.sleep(GATHER_S)
            self.arrived.clear()
            try:
                while self.auto and await self.bundle() is not None:
                    pass
            except FairleadError as error:
                print(f"bundler: no bundle this time: {error}", file=sys.stderr, flush=True)
                await asyncio.sleep(PAUSE_S)
                self.arrived.set()


def _hash(params: list[Any]) -> str:
    text = params[0] if params else None
    if not isinstance(text, str) or len(text) != 66 or not text.startswith("0x"):
        raise refused(-32602, "Missing/invalid userOpHash")
    return text.lower()


async def _handle(node: Node, request: web.Request) -> web.Response:
    try:
        parsed = orjson.loads(await request.read())
    except orjson.JSONDecodeError:
        return answer(error_body(None, -32700, "parse error"))

    async def one(single: Any) -> dict[str, Any]:
        return await respond(single, lambda: node.handle(*shape(single)))

    if isinstance(parsed, list):
        return answer([await one(single) for single in parsed] or error_body(None, -32600, "empty batch"))
    return answer(await one(parsed))


async def serve(options: argparse.Namespace, account: Any) -> None:
    async with aiohttp.ClientSession() as session:
        rpc = Rpc(options.rpc, session, timeout_s=30)
        entry_point = ENTRY_POINT_08 if options.entry_point == "0.8" else ENTRY_POINT
        chain_id = number(await rpc.call("eth_chainId"))
        node = Node(rpc, chain_id, account, not options.unsafe, entry_point)
        if await rpc.call("eth_getCode", [entry_point, "latest"]) == "0x":
            raise Usage("NO_ENTRY_POINT", f"there is no EntryPoint at {entry_point} on this chain")
        await node.simulation.start()
        app = web.Application(client_max_size=MAX_BODY)
        app.add_routes([web.post("/", lambda request: _handle(node, request))])
        runner = web.AppRunner(app, access_log=None, shutdown_timeout=1.0)
        await runner.setup()
        try:
            await web.TCPSite(runner, "127.0.0.1", options.port).start()
        except OSError:
            raise Usage(
                "PORT_IN_USE", f"port {options.port} on 127.0.0.1 is taken", "choose another port"
            ) from None
        print(f"bundler ready http://127.0.0.1:{runner.addresses[0][1]} account {node.address}", flush=True)
        stop = asyncio.Event()
        for name in (signal.SIGTERM, signal.SIGINT):
            asyncio.get_running_loop().add_signal_handler(name, stop.set)
        tasks = [asyncio.create_task(node.work()), asyncio.create_task(stop.wait())]
        done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await runner.cleanup()
        for task in done:
            task.result()


def _account(path: Path) -> Any:
    from eth_account import Account
    from eth_utils.exceptions import ValidationError

    try:
        return Account.from_key(bytes.fromhex(path.read_text().strip().removeprefix("0x")))
    except OSError as error:
        raise Usage("KEY_FILE", f"the key file cannot be read: {error.strerror}") from None
    except (ValueError, ValidationError):
        raise Usage("KEY_FILE", "the key file holds no private key", "64 hex digits are expected") from None


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        prog="python -m chains.devnet.bundler", description="An ERC-4337 bundler for a devnet chain."
    )
    parser.add_argument("--port", type=int, required=True, help="on 127.0.0.1; 0 takes a free one")
    parser.add_argument("--rpc", required=True, help="a devnet chain's url")
    parser.add_argument(
        "--key-file", type=Path, required=True, help="the key of the account that sends bundles"
    )
    parser.add_argument(
        "--unsafe", action="store_true", help="take operations whose validation breaks ERC-7562's rules"
    )
    parser.add_argument("--entry-point", choices=("0.7", "0.8"), default="0.7", help="whose operations")
    options = parser.parse_args(arguments)
    try:
        if environment_at(options.rpc) is None:
            raise Denied("NOT_A_DEVNET", "the bundler works for the devnet and for forks only")
        asyncio.run(serve(options, _account(options.key_file)))
    except FairleadError as error:
        print(f"bundler: {error}", file=sys.stderr)
        return error.exit_status
    return 0


if __name__ == "__main__":
    sys.exit(main())
