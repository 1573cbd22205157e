"""The agent's side of the signer's socket, and the helper that starts the process with a scrubbed environment.

Raises the signer's own verdict (Denied, Usage, Halt …), Retry SIGNER_UNREACHABLE when nothing was sent, and Reconcile
SIGNER_SILENT when a request went out and no answer came: ask again with the same request id, which is never counted twice.
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import os
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from chains import errors
from chains.types import Address, CowOrder, Environment, Hash32, SignedTx, UnsignedTx
from chains.userops import UserOperation, to_json, user_op_hash
from contracts.hashing import keccak
from keys import cow_order, safe
from keys.secrets import minimal_environment
from keys.signer import frames

_VERBS: Mapping[str, type[errors.FairleadError]] = {
    c.verb: c
    for c in (errors.Retry, errors.Reject, errors.Reconcile, errors.Halt, errors.Usage, errors.Denied)
}


@dataclass(frozen=True, slots=True)
class SafeSignatures:
    safe_tx_hash: bytes
    by_owner: Mapping[str, bytes]


class SignerClient:
    """One connection, requests in order. Safe to share between tasks."""

    def __init__(self, socket_path: Path, environment: Environment, timeout_s: float = 10.0) -> None:
        self.path, self.environment, self.timeout_s = socket_path, environment, timeout_s
        self._lock = asyncio.Lock()
        self._streams: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None
        self._ids = itertools.count()

    async def close(self) -> None:
        if self._streams is not None:
            writer = self._streams[1]
            self._streams = None
            writer.close()
            with contextlib.suppress(OSError):
                await writer.wait_closed()

    async def __aenter__(self) -> SignerClient:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    async def request(
        self, request_id: str, method: str, params: Mapping[str, Any], timeout_s: float | None = None
    ) -> Any:
        """One request and its result. Raises the signer's verdict, Retry or Reconcile."""
        async with self._lock:
            reader, writer = await self._connect()
            answer: dict[str, Any] | None = None
            try:
                async with asyncio.timeout(timeout_s or self.timeout_s):
                    writer.write(frames.pack({"id": request_id, "method": method, "params": dict(params)}))
                    await writer.drain()
                    answer = await frames.read(reader)
            except (TimeoutError, ConnectionError, frames.BadFrame):
                answer = None
            finally:
                # Also when the caller was cancelled: a late answer must never be read as the next request's.
                if answer is None or answer.get("id") != request_id:
                    answer = None
                    await self.close()
            if answer is None:
                raise errors.Reconcile(
                    "SIGNER_SILENT",
                    f"the signer did not answer {method}",
                    "Ask again with the same request id.",
                )
        if "error" in answer:
            e = answer["error"]
            raise _VERBS.get(e["verb"], errors.Halt)(e["code"], e["message"], e["hint"])
        return answer["result"]

    async def _connect(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        if self._streams is None:
            try:
                self._streams = await asyncio.open_unix_connection(str(self.path))
            except OSError as error:
                raise errors.Retry(
                    "SIGNER_UNREACHABLE",
                    f"no signer at {self.path} ({error.strerror})",
                    "Start it: `fairlead signer run`.",
                ) from None
        return self._streams

    def _own_id(self, method: str) -> str:
        return f"{method}-{os.getpid()}-{next(self._ids)}"

    async def status(self) -> dict[str, Any]:
        result: dict[str, Any] = await self.request(self._own_id("status"), "status", {})
        return result

    async def spent(self, since: int) -> dict[int, dict[str, int]]:
        """Base units signed away since then (seconds of the signer's clock), by chain id and token, as its ledger counts them."""
        told = await self.request(self._own_id("spent"), "spent", {"since": since})
        return {int(c): {token: int(raw) for token, raw in spends.items()} for c, spends in told.items()}

    async def unlock(self) -> dict[str, Any]:
        """Has the signer ask for passwords on its own terminal; waits for a person."""
        result: dict[str, Any] = await self.request(self._own_id("unlock"), "unlock", {}, timeout_s=300)
        return result

    async def sign_safe_tx(
        self,
        request_id: str,
        chain_id: int,
        wallet: Address,
        tx: safe.SafeTx,
        owners: Sequence[str] | None = None,
        chain_time: int | None = None,
    ) -> SafeSignatures:
        """Signatures of the throw-away owner keys (devnet and fork). Raises Denied POLICY_… with the rule."""
        params: dict[str, Any] = {
            "environment": self.environment.value,
            "tx": safe.to_json(chain_id, wallet, tx),
        }
        if owners is not None:
            params["owners"] = list(owners)
        if chain_time is not None:
            params["chain_time"] = chain_time
        result = await self.request(request_id, "sign_safe_tx", params)
        by_owner = {o: bytes.fromhex(s[2:]) for o, s in result["signatures"].items()}
        return SafeSignatures(bytes.fromhex(result["safe_tx_hash"][2:]), by_owner)

    async def sign_tx(
        self,
        request_id: str,
        sender: Address,
        tx: UnsignedTx,
        safe_nonce: int | None = None,
        chain_time: int | None = None,
        attended: bool = False,
    ) -> SignedTx:
        """The outer transaction, signed. `safe_nonce` is left out for a cancel; `attended`: it carries what the owners signed
        themselves. Raises Denied POLICY_… with the rule."""
        fields = {
            "chain_id": tx.chain_id,
            "nonce": tx.nonce,
            "to": tx.to,
            "value": str(tx.value),
            "data": "0x" + tx.data.hex(),
            "gas": tx.gas,
            "max_fee_wei": str(tx.fees.max_fee_wei),
            "max_priority_fee_wei": str(tx.fees.max_priority_fee_wei),
        }
        params: dict[str, Any] = {"environment": self.environment.value, "sender": sender, "tx": fields}
        if safe_nonce is not None:
            params["safe_nonce"] = safe_nonce
        if chain_time is not None:
            params["chain_time"] = chain_time
        if attended:
            params["attended"] = True
        return _signed(tx.chain_id, await self.request(request_id, "sign_tx", params))

    async def sign_batch(
        self,
        request_id: str,
        wallet: Address,
        tx: safe.SafeTx,
        sender: Address,
        outer: UnsignedTx,
        chain_time: int | None = None,
    ) -> SignedTx:
        """A Safe transaction signed by the throw-away owner keys (devnet and fork) inside the signed transaction that executes it.

        Of `outer` chain, nonce, gas and fees are used; its calldata is made where the signatures are. Raises Denied POLICY_….
        """
        params: dict[str, Any] = {
            "environment": self.environment.value,
            "tx": safe.to_json(outer.chain_id, wallet, tx),
            "sender": sender,
            "outer": {
                "nonce": outer.nonce,
                "gas": outer.gas,
                "max_fee_wei": str(outer.fees.max_fee_wei),
                "max_priority_fee_wei": str(outer.fees.max_priority_fee_wei),
            },
        }
        if chain_time is not None:
            params["chain_time"] = chain_time
        return _signed(outer.chain_id, await self.request(request_id, "sign_batch", params))

    async def sign_operation(
        self,
        request_id: str,
        chain_id: int,
        op: UserOperation,
        valid_until: int,
        chain_time: int | None = None,
    ) -> UserOperation:
        """The agent's own user operation with its account's signature. Raises Denied POLICY_… with the rule, Halt USER_OP_HASH_DIFFERS."""
        params: dict[str, Any] = {
            "environment": self.environment.value,
            "chain_id": chain_id,
            "op": to_json(op),
            "valid_until": valid_until,
        }
        if chain_time is not None:
            params["chain_time"] = chain_time
        result = await self.request(request_id, "sign_operation", params)
        if result["hash"] != user_op_hash(chain_id, op):
            raise errors.Halt(
                "USER_OP_HASH_DIFFERS", "the signer computes another hash of the same operation"
            )
        return replace(op, signature=bytes.fromhex(result["signature"][2:]))

    async def sign_order(
        self, request_id: str, order: CowOrder, *, sign: bool, chain_time: int | None = None
    ) -> Mapping[str, bytes]:
        """Has a CoW order judged and recorded; the owners' signatures of it by owner, none where `sign` is false.

        Raises Denied POLICY_…, Halt COW_UID_DIFFERS where the signer names it otherwise than we do.
        """
        params: dict[str, Any] = {
            "environment": self.environment.value,
            "order": cow_order.to_json(order),
            "sign": sign,
        }
        if chain_time is not None:
            params["chain_time"] = chain_time
        result = await self.request(request_id, "sign_order", params)
        if result["uid"] != cow_order.uid(order):
            raise errors.Halt("COW_UID_DIFFERS", "the signer computes another UID of the same order")
        return {owner: bytes.fromhex(text[2:]) for owner, text in result["signatures"].items()}

    async def sign_exchange(
        self, request_id: str, venue: str, method: str, path: str, query: str
    ) -> tuple[str, str]:
        """(signature in hex, API key) for `query`, the exact text that is sent. The signature is empty where the signer sends the order
        itself (`send_exchange`). Raises Denied EXCHANGE_…."""
        params = {
            "environment": self.environment.value,
            "venue": venue,
            "method": method,
            "path": path,
            "query": query,
        }
        result = await self.request(request_id, "sign_exchange", params)
        return result["signature"], result["api_key"]

    async def send_exchange(
        self, request_id: str, venue: str, method: str, path: str, query: str
    ) -> tuple[int, Mapping[str, str], bytes]:
        """(status, headers, body) of the exchange's answer to an order that `sign_exchange` granted under this id. Sent once.

        Raises Denied, Retry where nothing was sent, Reconcile where it may have been.
        """
        params = {
            "environment": self.environment.value,
            "venue": venue,
            "method": method,
            "path": path,
            "query": query,
        }
        told = await self.request(request_id, "send_exchange", params)
        return told["status"], told["headers"], told["body"].encode()

    async def relay_header(self, body: bytes) -> str:
        """X-Flashbots-Signature over the exact body: `address:signature` of its 0x hash as text (EIP-191)."""
        params = {"environment": self.environment.value, "message": "0x" + keccak(body).hex()}
        result = await self.request(self._own_id("relay"), "sign_relay_auth", params)
        return f"{result['address']}:{result['signature']}"


def _signed(chain_id: int, r: Mapping[str, Any]) -> SignedTx:
    return SignedTx(
        chain_id, Address(r["sender"]), r["nonce"], bytes.fromhex(r["raw"][2:]), Hash32(r["hash"])
    )


def start_signer(
    socket_path: Path, config: Path, log: Path, keep: Sequence[str] = (), timeout_s: float = 20.0
) -> subprocess.Popen[bytes]:
    """Starts the process in its own session and returns once it listens. `keep` names variables that env: references need.

    Raises the signer's own refusal to start as Usage SIGNER_NOT_STARTED with its last line.
    """
    environment = minimal_environment(keep)
    command = [sys.executable, "-m", "keys.signer", "--socket", str(socket_path), "--config", str(config)]
    log.parent.mkdir(parents=True, exist_ok=True)
    root = Path(__file__).resolve().parent.parent
    descriptor = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    with os.fdopen(descriptor, "ab") as out:
        start = out.tell()
        process = subprocess.Popen(
            command,
            cwd=root,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=out,
            start_new_session=True,
        )
    until = time.monotonic() + timeout_s
    while time.monotonic() < until:
        said = log.read_bytes()[start:].decode(errors="replace")
        if "signer ready" in said:
            return process
        if process.poll() is not None:
            lines = said.strip().splitlines()
            raise errors.Usage(
                "SIGNER_NOT_STARTED", lines[-1] if lines else "the signer ended without a word", f"See {log}."
            )
        time.sleep(0.02)
    process.kill()
    process.wait()
    raise errors.Usage("SIGNER_NOT_STARTED", f"the signer did not listen within {timeout_s} s", f"See {log}.")
