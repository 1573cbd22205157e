"""A Safe Transaction Service for local chains: proposals and confirmations of Safes, in the service's documented dialect.

    python -m chains.devnet.txservice --port P --rpc http://127.0.0.1:NODE

Holds the same contract as the service of safe.global (OpenAPI, and its open source's serializers): a transaction whose hash is not
that of its fields, a sender or signature that is no owner's, a nonce that was used, a confirmation of something executed, each
answered 422 with the reason under the field or under `nonFieldErrors`; 400 for what is not JSON, 404 for what is not known.
  GET        /api/v1/about/
  GET        /api/v1/safes/{safe}/
  GET, POST  /api/v1|v2/safes/{safe}/multisig-transactions/        filters: executed, nonce, nonce__gte, trusted, limit, offset, ordering
  GET        /api/v1|v2/multisig-transactions/{hash}/
  GET, POST  /api/v1/multisig-transactions/{hash}/confirmations/
Hashes are asked of the Safe itself (getTransactionHash), owners and approved hashes likewise, executions are read from its logs:
this file shares no code with the client it is spoken to by. Proposals are kept in memory only. Not here: delegates, messages,
decoded data.
"""

from __future__ import annotations

import argparse
import asyncio
import re
import signal
import sys
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import aiohttp
import orjson
from aiohttp import web

from chains.bounded_json import loads
from chains.devnet.txservice_signatures import Odd, packed, preimage, signer, split
from chains.errors import FairleadError, Reject, Usage
from chains.evm import checksum, from_hex, hex_bytes, keccak, number
from chains.rpc import Rpc, SecretUrl
from contracts.abi_types import AbiError
from contracts.codec import decode_result, encode

ZERO = "0x" + "0" * 40
SUCCESS = hex_bytes(keccak(b"ExecutionSuccess(bytes32,uint256)"))
FAILURE = hex_bytes(keccak(b"ExecutionFailure(bytes32,uint256)"))
GUARD_SLOT = int.from_bytes(keccak(b"guard_manager.guard.address"), "big")
MAX_BODY = 4 << 20
_HASH = re.compile(r"0x[0-9a-f]{64}")


class Refused(Exception):
    """An answer that is an error: the status and the body."""

    def __init__(self, status: int, body: Any) -> None:
        super().__init__(str(body))
        self.status, self.body = status, body


def invalid(message: str, name: str = "nonFieldErrors") -> Refused:
    return Refused(422, {name: [message]})


@dataclass
class Kept:
    """One proposal. `fields` in the contract's order; `confirmations` by owner: (signature, type, when)."""

    safe: str
    fields: tuple[Any, ...]
    nonce: int
    hash: str
    proposer: str
    origin: str | None
    created: str
    confirmations: dict[str, tuple[str, str, str]] = field(default_factory=dict)


class Node:
    """What is asked of the chain."""

    def __init__(self, rpc: Rpc) -> None:
        self._rpc = rpc

    async def view(self, to: str, function: str, *args: Any) -> Any:
        try:
            data = await self._rpc.call(
                "eth_call", [{"to": to, "data": hex_bytes(encode("safe", function, args))}, "latest"]
            )
            return decode_result("safe", function, from_hex(data))[0]
        except (AbiError, Reject):
            raise invalid(
                f"Could not get Safe {to} from blockchain, check contract exists on network"
            ) from None

    async def holds(self, safe: str, digest: bytes, preimage: bytes, alone: bytes) -> bool:
        """The Safe's own word on one owner's signature."""
        data = encode("safe", "checkNSignatures", (digest, preimage, alone, 1))
        try:
            await self._rpc.call("eth_call", [{"to": safe, "data": hex_bytes(data)}, "latest"])
        except Reject:
            return False
        return True

    async def slot(self, safe: str, slot: int) -> str:
        return checksum("0x" + (await self._rpc.call("eth_getStorageAt", [safe, hex(slot), "latest"]))[-40:])

    async def executions(self, safe: str) -> dict[str, dict[str, Any]]:
        """By Safe hash: transaction, block, success, executor and when."""
        asked = {
            "address": safe,
            "topics": [[SUCCESS, FAILURE]],
            "fromBlock": "earliest",
            "toBlock": "latest",
        }
        found = {}
        for log in await self._rpc.call("eth_getLogs", [asked]):
            safe_hash = log["topics"][1] if len(log["topics"]) > 1 else log["data"][:66]
            block = await self._rpc.call("eth_getBlockByNumber", [log["blockNumber"], False])
            sent = await self._rpc.call("eth_getTransactionByHash", [log["transactionHash"]])
            found[safe_hash] = {
                "transactionHash": log["transactionHash"],
                "blockNumber": number(log["blockNumber"]),
                "isSuccessful": log["topics"][0] == SUCCESS,
                "executor": checksum(sent["from"]),
                "executionDate": when(number(block["timestamp"])),
            }
        return found


class Service:
    def __init__(self, node: Node) -> None:
        self._node = node
        self._kept: dict[str, Kept] = {}

    # ------------------------------------------------------------------ writes

    async def propose(self, safe: str, body: Mapping[str, Any]) -> None:
        operation = integer(body, "operation")
        if operation > 1:
            raise invalid(f'"{operation}" is not a valid choice.', "operation")
        fields = (
            address(body, "to"),
            integer(body, "value"),
            hexadecimal(body, "data"),
            operation,
            integer(body, "safeTxGas"),
            integer(body, "baseGas"),
            integer(body, "gasPrice"),
            address(body, "gasToken", ZERO),
            address(body, "refundReceiver", ZERO),
        )
        nonce, sender = integer(body, "nonce"), address(body, "sender")
        told = body.get("contractTransactionHash")
        if not isinstance(told, str) or not _HASH.fullmatch(told.lower()):
            raise invalid(
                "This field is required." if told is None else "Not a valid hash.", "contractTransactionHash"
            )
        right = hex_bytes(await self._node.view(safe, "getTransactionHash", *fields, nonce))
        if told.lower() != right:
            raise invalid(
                f"Contract-transaction-hash={right} does not match provided contract-tx-hash={told}"
            )
        await self._check_nonce(safe, nonce, right)
        owners = await self._node.view(safe, "getOwners")
        if sender not in owners:
            raise invalid(
                f"Sender={sender} is not an owner or delegate. Current owners={list(owners)}. Delegates=set()"
            )
        signatures = await self._signatures(
            safe, right, hexadecimal(body, "signature"), owners, (*fields, nonce)
        )
        if signatures and sender not in signatures:
            raise invalid(f"Signature does not match sender={sender}. Calculated owners={list(signatures)}")
        origin = body.get("origin")
        if origin is not None and (not isinstance(origin, str) or len(origin) > 200):
            raise invalid("Ensure this field has no more than 200 characters.", "origin")
        kept = self._kept.setdefault(right, Kept(safe, fields, nonce, right, sender, origin, when()))
        for owner, (signature, kind) in signatures.items():
            kept.confirmations.setdefault(owner, (signature, kind, when()))

    async def _check_nonce(self, safe: str, nonce: int, safe_hash: str) -> None:
        current = await self._node.view(safe, "nonce")
        if nonce >= current:
            return
        executed = (await self._node.executions(safe)).get(safe_hash)
        if executed is not None:
            where = executed["transactionHash"]
            raise invalid(
                f"Tx with safe-tx-hash={safe_hash} for safe={safe} was already executed in tx-hash={where}"
            )
        raise invalid(
            f"Tx with nonce={nonce} for safe={safe} already executed: the Safe is at nonce {current}"
        )

    async def confirm(self, safe_hash: str, body: Mapping[str, Any]) -> None:
        kept = self.known(safe_hash)
        given = hexadecimal(body, "signature")
        if not given:
            raise invalid("This field is required.", "signature")
        if await self._node.view(kept.safe, "nonce") > kept.nonce:
            raise invalid(f"Transaction with safe-tx-hash={safe_hash} was already executed", "signature")
        owners = await self._node.view(kept.safe, "getOwners")
        for owner, (signature, kind) in (
            await self._signatures(kept.safe, safe_hash, given, owners, (*kept.fields, kept.nonce))
        ).items():
            kept.confirmations.setdefault(owner, (signature, kind, when()))

    async def _signatures(
        self, safe: str, safe_hash: str, given_bytes: bytes, owners: Any, fields: tuple[Any, ...]
    ) -> dict[str, tuple[str, str]]:
        """By owner: (signature, type). Every one must be an owner's and hold, and none twice. What only the chain can tell of, a contract's
        and an approved hash, is asked of the Safe itself."""
        found: dict[str, tuple[str, str]] = {}
        digest = from_hex(safe_hash)
        try:
            given = [(alone, *signer(digest, alone)) for alone in split(given_bytes)]
        except Odd as odd:
            raise invalid(str(odd), "signature") from None
        for alone, owner, kind in given:
            if owner not in owners:
                raise invalid(f"Signer={owner} is not an owner. Current owners={list(owners)}", "signature")
            if kind == "APPROVED_HASH" and not await self._node.view(safe, "approvedHashes", owner, digest):
                raise invalid(f"Signature={hex_bytes(alone)} for owner={owner} is not valid", "signature")
            if kind == "CONTRACT_SIGNATURE":
                asked = preimage(await self._node.view(safe, "domainSeparator"), fields)
                if not await self._node.holds(safe, digest, asked, alone):
                    raise invalid(f"Signature={hex_bytes(alone)} for owner={owner} is not valid", "signature")
            if owner in found:
                raise invalid(f"Signature for owner={owner} is duplicated", "signature")
            found[owner] = (hex_bytes(alone), kind)
        return found

    # ------------------------------------------------------------------ reads

    def known(self, safe_hash: str) -> Kept:
        kept = self._kept.get(safe_hash.lower())
        if kept is None:
            raise Refused(404, {"detail": "No MultisigTransaction matches the given query."})
        return kept

    async def safe(self, safe: str) -> dict[str, Any]:
        return {
            "address": safe,
            "nonce": str(await self._node.view(safe, "nonce")),
            "threshold": await self._node.view(safe, "getThreshold"),
            "owners": list(await self._node.view(safe, "getOwners")),
            "masterCopy": await self._node.slot(safe, 0),
            "guard": await self._node.slot(safe, GUARD_SLOT),
            "version": await self._node.view(safe, "VERSION"),
        }

    async def one(self, kept: Kept, version: int) -> dict[str, Any]:
        return self._shown(
            kept,
            version,
            await self._node.executions(kept.safe),
            await self._node.view(kept.safe, "getThreshold"),
        )

    async def listed(self, safe: str, version: int, query: Mapping[str, str]) -> dict[str, Any]:
        executed, threshold = await self._node.executions(safe), await self._node.view(safe, "getThreshold")
        found = [k for k in self._kept.values() if k.safe == safe]
        if "executed" in query:
            found = [k for k in found if (k.hash in executed) == flag(query, "executed")]
        if "trusted" in query:
            found = [k for k in found if bool(k.confirmations) == flag(query, "trusted")]
        if "nonce" in query:
            found = [k for k in found if k.nonce == integer(query, "nonce")]
        if "nonce__gte" in query:
            found = [k for k in found if k.nonce >= integer(query, "nonce__gte")]
        found.sort(key=lambda k: (k.nonce, k.created), reverse=query.get("ordering") != "nonce")
        first, most = integer(query, "offset", 0), min(integer(query, "limit", 100), 100)
        page = found[first : first + most]
        return {
            "count": len(found),
            "next": None,
            "previous": None,
            "results": [self._shown(k, version, executed, threshold) for k in page],
            "countUniqueNonce": len({k.nonce for k in found}),
        }

    def _shown(self, kept: Kept, version: int, executed: Mapping[str, Any], threshold: int) -> dict[str, Any]:
        to, value, data, operation, safe_tx_gas, base_gas, gas_price, gas_token, receiver = kept.fields
        done = executed.get(kept.hash)
        plain = str if version == 2 else int
        return {
            "safe": kept.safe, "to": to, "value": str(value), "data": hex_bytes(data) if data else None, "operation": operation,
            "gasToken": gas_token, "safeTxGas": plain(safe_tx_gas), "baseGas": plain(base_gas), "gasPrice": str(gas_price),
            "refundReceiver": receiver, "nonce": plain(kept.nonce), "executionDate": done["executionDate"] if done else None,
            "submissionDate": kept.created, "modified": kept.created, "blockNumber": done["blockNumber"] if done else None,
            "transactionHash": done["transactionHash"] if done else None, "safeTxHash": kept.hash, "proposer": kept.proposer,
            "proposedByDelegate": None, "executor": done["executor"] if done else None, "isExecuted": done is not None,
            "isSuccessful": done["isSuccessful"] if done else None, "ethGasPrice": None, "maxFeePerGas": None,
            "maxPriorityFeePerGas": None, "gasUsed": None, "fee": None, "origin": kept.origin, "dataDecoded": None,
            "confirmationsRequired": threshold, "confirmations": self.confirmations(kept), "trusted": bool(kept.confirmations),
            "signatures": self._packed(kept) if kept.confirmations else None,
        }  # fmt: skip

    def _packed(self, kept: Kept) -> str:
        given = ((owner, from_hex(signature)) for owner, (signature, *_) in kept.confirmations.items())
        return hex_bytes(packed(given))

    def confirmations(self, kept: Kept) -> list[dict[str, Any]]:
        return [
            {
                "owner": owner,
                "submissionDate": at,
                "transactionHash": None,
                "signature": signature,
                "signatureType": kind,
            }
            for owner, (signature, kind, at) in kept.confirmations.items()
        ]


# ---------------------------------------------------------------------- values


def when(second: int | None = None) -> str:
    moment = datetime.now(UTC) if second is None else datetime.fromtimestamp(second, UTC)
    return moment.strftime("%Y-%m-%dT%H:%M:%SZ")


def flag(query: Mapping[str, str], name: str) -> bool:
    return query[name].lower() in ("true", "1")


def address(body: Mapping[str, Any], name: str, default: str | None = None) -> str:
    value = body.get(name)
    if value is None and default is not None:
        return default
    return checked_address(value, name)


def checked_address(value: Any, name: str) -> str:
    try:
        right = checksum(value if isinstance(value, str) else "")
    except Usage:
        right = None
    if right is None or right != value:
        raise invalid(
            "This field is required." if value is None else f"Checksum address validation failed: {value}",
            name,
        )
    return right


def integer(body: Mapping[str, Any], name: str, default: int | None = None) -> int:
    value = body.get(name, default)
    if isinstance(value, str) and value.isascii() and value.isdigit() and len(value) <= 78:
        value = int(value)
    if type(value) is not int or not 0 <= value < 1 << 256:
        raise invalid("This field is required." if value is None else "A valid integer is required.", name)
    return value


def hexadecimal(body: Mapping[str, Any], name: str) -> bytes:
    value = body.get(name)
    if value is None:
        return b""
    try:
        if not isinstance(value, str) or not value.startswith("0x"):
            raise ValueError
        return bytes.fromhex(value[2:])
    except ValueError:
        raise invalid(f"{value} is not an hexadecimal", name) from None


# ---------------------------------------------------------------------- HTTP

Work = Callable[[web.Request], Awaitable[tuple[int, Any]]]


def answer(status: int, body: Any) -> web.Response:
    content = orjson.dumps(body) if body is not None else b""
    return web.Response(status=status, body=content, content_type="application/json")


def route(work: Work) -> Callable[[web.Request], Awaitable[web.Response]]:
    async def handle(request: web.Request) -> web.Response:
        try:
            return answer(*await work(request))
        except Refused as no:
            return answer(no.status, no.body)
        except FairleadError as error:
            return answer(503, {"detail": f"the node behind this service: {error.message}"})

    return handle


async def body_of(request: web.Request) -> Mapping[str, Any]:
    try:
        found = loads(await request.read())
    except ValueError as error:
        raise Refused(400, {"detail": f"JSON parse error - {error}"}) from None
    if not isinstance(found, dict):
        raise invalid("Invalid data. Expected a dictionary.")
    return found


def application(service: Service) -> web.Application:
    def safe_of(request: web.Request) -> str:
        return checked_address(request.match_info["safe"], "address")

    def version_of(request: web.Request) -> int:
        return int(request.match_info["version"])

    async def about(request: web.Request) -> tuple[int, Any]:
        return 200, {
            "name": "Safe Transaction Service",
            "version": "local",
            "apiVersion": "v2",
            "settings": {},
        }

    async def safe(request: web.Request) -> tuple[int, Any]:
        return 200, await service.safe(safe_of(request))

    async def listed(request: web.Request) -> tuple[int, Any]:
        return 200, await service.listed(safe_of(request), version_of(request), request.query)

    async def propose(request: web.Request) -> tuple[int, Any]:
        await service.propose(safe_of(request), await body_of(request))
        return 201, None

    async def one(request: web.Request) -> tuple[int, Any]:
        return 200, await service.one(service.known(request.match_info["hash"]), version_of(request))

    async def confirmations(request: web.Request) -> tuple[int, Any]:
        found = service.confirmations(service.known(request.match_info["hash"]))
        return 200, {"count": len(found), "next": None, "previous": None, "results": found}

    async def confirm(request: web.Request) -> tuple[int, Any]:
        body = await body_of(request)
        await service.confirm(request.match_info["hash"].lower(), body)
        return 201, {"signature": body["signature"]}

    of_safe = "/api/v{version:1|2}/safes/{safe}/multisig-transactions/"
    of_hash = "/api/v{version:1|2}/multisig-transactions/{hash}/"
    made = web.Application(client_max_size=MAX_BODY)
    made.add_routes(
        [
            web.get("/api/v1/about/", route(about)),
            web.get("/api/v1/safes/{safe}/", route(safe)),
            web.get(of_safe, route(listed)),
            web.post(of_safe, route(propose)),
            web.get(of_hash, route(one)),
            web.get("/api/v1/multisig-transactions/{hash}/confirmations/", route(confirmations)),
            web.post("/api/v1/multisig-transactions/{hash}/confirmations/", route(confirm)),
        ]
    )
    return made


async def serve(port: int, rpc_url: str) -> None:
    async with aiohttp.ClientSession() as session:
        node = Rpc(SecretUrl(rpc_url), session)
        runner = web.AppRunner(application(Service(Node(node))), access_log=None, shutdown_timeout=1.0)
        await runner.setup()
        try:
            await web.TCPSite(runner, "127.0.0.1", port).start()
        except OSError:
            raise Usage("PORT_IN_USE", f"port {port} on 127.0.0.1 is taken", "choose another port") from None
        print(f"txservice ready http://127.0.0.1:{runner.addresses[0][1]}", flush=True)
        stop = asyncio.Event()
        for name in (signal.SIGTERM, signal.SIGINT):
            asyncio.get_running_loop().add_signal_handler(name, stop.set)
        await stop.wait()
        await runner.cleanup()


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        prog="python -m chains.devnet.txservice", description="A Safe Transaction Service for a local chain."
    )
    parser.add_argument("--port", type=int, required=True, help="on 127.0.0.1; 0 takes a free one")
    parser.add_argument("--rpc", required=True, help="the chain's JSON-RPC endpoint")
    options = parser.parse_args(arguments)
    try:
        asyncio.run(serve(options.port, options.rpc))
    except FairleadError as error:
        print(f"txservice: {error}", file=sys.stderr)
        return error.exit_status
    return 0


if __name__ == "__main__":
    sys.exit(main())
