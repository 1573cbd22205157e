"""The requests the signer answers. Every one is judged from its own bytes, recorded durably, then signed; never the other way."""

from __future__ import annotations

import asyncio
import hashlib
import json
import os
import re
import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import replace
from typing import Any, TypeVar

from chains.errors import Denied, Usage
from chains.types import Address, Environment, Fees, UnsignedTx
from chains.userops import from_json, to_json, user_op_hash
from contracts.hashing import to_checksum
from keys import cow_order, erc4337, safe, transactions
from keys.erc4337 import Window
from keys.policy import (
    Allowed,
    OuterRequest,
    Refusal,
    SafeTxRequest,
    judge_order,
    judge_outer,
    judge_safe_tx,
)
from keys.policy_operations import OperationRequest, judge_operation, signing_key
from keys.policy_orders import OrderRequest
from keys.secrets import ask_on_tty
from keys.settings import PolicySettings, SignerSettings
from keys.signer.exchange_desk import ExchangeDesk
from keys.signer.ledger import SpendLedger, order_facts, safe_tx_facts
from keys.signer.vault import Vault, locked_key
from keys.signers import Signer

_RELAY_MESSAGE = re.compile(r"0x[0-9a-f]{64}")
_REQUEST_ID = re.compile(r"[\x21-\x7e]{1,128}")
Params = Mapping[str, Any]
Asked = TypeVar("Asked")
Signed = TypeVar("Signed")


def _get(params: Params, name: str, kind: type, optional: bool = False) -> Any:
    value = params.get(name)
    if value is None and optional:
        return None
    if type(value) is not kind:
        raise Usage("BAD_REQUEST", f"{name} must be a {kind.__name__}")
    return value


def _number(params: Params, name: str) -> int:
    value = params.get(name)
    if isinstance(value, str) and value.isascii() and value.isdigit() and len(value) <= 78:
        value = int(value)
    if type(value) is not int or not 0 <= value < 1 << 256:
        raise Usage("BAD_REQUEST", f"{name} must be a non-negative integer")
    return value


def _address(params: Params, name: str) -> Address:
    try:
        return Address(to_checksum(_get(params, name, str)))
    except ValueError as error:
        raise Usage("BAD_REQUEST", f"{name}: {error}") from None


def unsigned_tx(params: Params) -> UnsignedTx:
    """The JSON form of an EIP-1559 transaction. Raises Usage BAD_REQUEST."""
    data = _get(params, "data", str)
    try:
        body = bytes.fromhex(data.removeprefix("0x"))
    except ValueError:
        raise Usage("BAD_REQUEST", "data must be hex") from None
    fees = Fees(_number(params, "max_fee_wei"), _number(params, "max_priority_fee_wei"))
    numbers = {n: _number(params, n) for n in ("chain_id", "nonce", "value", "gas")}
    return UnsignedTx(
        numbers["chain_id"],
        numbers["nonce"],
        _address(params, "to"),
        numbers["value"],
        body,
        numbers["gas"],
        fees,
    )


class Handlers:
    def __init__(self, settings: SignerSettings, vault: Vault, ledger: SpendLedger) -> None:
        self.settings, self.vault, self.ledger = settings, vault, ledger
        self.policy = PolicySettings(
            settings.environment, settings.chains, frozenset(vault.addresses(settings.senders))
        )
        self.exchanges = ExchangeDesk(
            settings.exchanges, vault, ledger, self._granted, live=settings.environment is Environment.LIVE
        )
        self._unlocking = asyncio.Lock()
        self.methods: Mapping[str, Callable[[str, Params], Awaitable[dict[str, Any]]]] = {
            "status": self.status,
            "unlock": self.unlock,
            "spent": self.spent,
            "sign_safe_tx": self.sign_safe_tx,
            "sign_tx": self.sign_tx,
            "sign_batch": self.sign_batch,
            "sign_operation": self.sign_operation,
            "sign_order": self.sign_order,
            "sign_exchange": self.sign_exchange,
            "send_exchange": self.send_exchange,
            "sign_relay_auth": self.sign_relay_auth,
        }

    async def answer(self, message: Mapping[str, Any]) -> dict[str, Any]:
        """The result of one request. Raises the FairleadError that is the answer."""
        request_id, method, params = message.get("id"), message.get("method"), message.get("params", {})
        if not isinstance(request_id, str) or not _REQUEST_ID.fullmatch(request_id):
            raise Usage("BAD_REQUEST", "id must be 1 to 128 printable characters without spaces")
        handler = self.methods.get(method) if isinstance(method, str) else None
        if handler is None:
            raise Usage("UNKNOWN_METHOD", "no such method", f"There are {', '.join(self.methods)}.")
        if not isinstance(params, dict):
            raise Usage("BAD_REQUEST", "params must be an object")
        if method not in ("status", "unlock", "spent"):
            self._environment(params)
        return await handler(request_id, params)

    def _environment(self, params: Params) -> Environment:
        if params.get("environment") != self.settings.environment.value:
            raise Denied(
                "POLICY_ENVIRONMENT",
                f"the request is not for {self.settings.environment.value}, which this signer serves",
                "Each environment has its own signer, settings and keys.",
            )
        return self.settings.environment

    def _now(self, params: Params) -> tuple[int, int]:
        """(chain's clock, ours). A rehearsal's chain may run on its own time; a live one may not."""
        wall = int(time.time())
        if "chain_time" in params and self.settings.environment is not Environment.LIVE:
            return _number(params, "chain_time"), wall
        return wall, wall

    def _granted(self, request_id: str, request: str) -> bool:
        """True when this very request was granted before; the same id for another content is refused."""
        earlier = self.ledger.known(request_id)
        if earlier is not None and earlier != request:
            raise Denied(
                "REQUEST_ID_REUSED", f"request {request_id} was granted for another content", "Use a new id."
            )
        return earlier is not None

    async def status(self, request_id: str, params: Params) -> dict[str, Any]:
        vault = self.vault
        relay = vault.relay.address if vault.relay else None
        return {
            "environment": self.settings.environment.value,
            "pid": os.getpid(),
            "senders": {a: a in vault.senders for a in vault.addresses(self.settings.senders)},
            "owners": {a: a in vault.owners for a in vault.addresses(self.settings.owners)},
            "relay_auth": relay,
            "exchanges": sorted(vault.secrets),
            "exchange_limits": self.exchanges.facts(),
            "safes": {str(c): p.safe for c, p in self.settings.chains.items()},
            "agents": {
                str(c): {"account": p.agent.account, "roles": p.agent.roles, "gate": p.agent.gate}
                | ({"key": p.agent.key} if p.agent.key is not None else {})
                | ({"offers": "yes"} if p.agent.offers else {})
                | {name: payer.contract for name, payer in p.agent.payers.items()}
                for c, p in self.settings.chains.items()
                if p.agent is not None
            },
            "ledger": {
                "entries": self.ledger.entries,
                "head": self.ledger.head,
                "syncs": self.ledger.syncs,
                "sync_ns": self.ledger.sync_ns,
            },
        }

    async def spent(self, request_id: str, params: Params) -> dict[str, Any]:
        """What left by its signatures since `since` (seconds of its clock), by chain and token: for comparing, never for deciding."""
        since = _number(params, "since")
        return {
            str(c): {token: str(raw) for token, raw in self.ledger.spends(c, p.safe, since).items()}
            for c, p in self.settings.chains.items()
        }

    async def unlock(self, request_id: str, params: Params) -> dict[str, Any]:
        # No password and no reference is taken from the wire: a reference is a command to read or run something.
        async with self._unlocking:
            await asyncio.to_thread(self.vault.open_keys, ask_on_tty)
        return await self.status(request_id, params)

    async def sign_safe_tx(self, request_id: str, params: Params) -> dict[str, Any]:
        environment = self._unattended_owners(params)
        chain_id, wallet, tx = safe.from_json(_get(params, "tx", dict))
        now, wall = self._now(params)
        request = SafeTxRequest(environment, chain_id, wallet, tx, now, wall)
        wanted = _get(params, "owners", list, optional=True)
        safe_hash, signatures, _ = await self._owners_sign(request_id, request, wanted)
        shown = {owner: "0x" + signature.hex() for owner, signature in signatures.items()}
        return {"safe_tx_hash": "0x" + safe_hash.hex(), "signatures": shown}

    def _unattended_owners(self, params: Params) -> Environment:
        environment = self._environment(params)
        if environment is Environment.LIVE:
            raise Denied(
                "POLICY_ATTENDED",
                "owners sign attended in live",
                "Use `python -m keys.owner_sign` for each owner.",
            )
        return environment

    async def _owners_sign(
        self, request_id: str, request: SafeTxRequest, wanted: list[Any] | None, *, alone: bool = True
    ) -> tuple[bytes, dict[str, bytes], Allowed | None]:
        """The hash, who signed it, and the verdict; None where it was given and recorded before. Not `alone`: the record is on the disk
        with that of the transaction that carries the signatures, before which they do not leave."""
        chain_id, wallet, tx, vault = request.chain_id, request.safe, request.tx, self.vault
        chain = self.policy.chains.get(chain_id)
        held = [o for o, key in vault.owners.items() if chain and o in chain.owners and key.facts.signs]
        owners = [str(o) for o in wanted] if wanted is not None else held[: chain.threshold if chain else 0]
        digest = _digest("sign_safe_tx", {"tx": safe.to_json(chain_id, wallet, tx)})
        typed = safe.typed(chain_id, wallet, tx)
        allowed = None
        if not self._granted(request_id, digest):
            allowed = _allow(judge_safe_tx(request, self.policy, self.ledger))
            facts = safe_tx_facts(chain_id, wallet, tx.nonce, allowed)
            self.ledger.record("safe_tx", request_id, digest, request.wall, facts, durable=alone)
        signatures: dict[str, bytes] = {}
        for owner in owners:
            if owner not in vault.owners:
                raise locked_key(owner)
            key = vault.owners[owner]
            signatures[owner] = await _sign(key, key.sign_typed, typed)
        return typed.digest, signatures, allowed

    async def sign_tx(self, request_id: str, params: Params) -> dict[str, Any]:
        environment = self._environment(params)
        sender, tx = _address(params, "sender"), unsigned_tx(_get(params, "tx", dict))
        safe_nonce = _number(params, "safe_nonce") if "safe_nonce" in params else 0
        attended = bool(_get(params, "attended", bool, optional=True))
        now, wall = self._now(params)
        return await self._send(
            request_id, OuterRequest(environment, sender, tx, safe_nonce, now, wall, attended)
        )

    async def _send(
        self, request_id: str, request: OuterRequest, judged: Allowed | None = None
    ) -> dict[str, Any]:
        sender, tx, safe_nonce = request.sender, request.tx, request.safe_nonce
        digest = _digest(
            "sign_tx", {"sender": sender, "tx": transactions.digest(tx).hex(), "safe_nonce": safe_nonce}
        )
        key = self._sender(sender)
        if not self._granted(request_id, digest):
            allowed = _allow(judge_outer(request, self.policy, self.ledger, judged))
            facts = safe_tx_facts(tx.chain_id, self.policy.chains[tx.chain_id].safe, safe_nonce, allowed)
            facts |= {
                "sender": sender,
                "nonce": tx.nonce,
                "content": allowed.content.hex(),
                "gas_wei": str(allowed.gas_wei),
            }
            self.ledger.record("tx", request_id, digest, request.wall, facts)
        signed = await _sign(key, key.sign_transaction, tx)
        return {"raw": "0x" + signed.raw.hex(), "hash": signed.hash, "sender": sender, "nonce": signed.nonce}

    async def sign_batch(self, request_id: str, params: Params) -> dict[str, Any]:
        """`sign_safe_tx` and then `sign_tx` of the execTransaction that carries it, in one question: the same two judgements, the
        same two entries in the ledger, one way there and back. The owners' signatures leave only inside the signed transaction."""
        environment = self._unattended_owners(params)
        chain_id, wallet, tx = safe.from_json(_get(params, "tx", dict))
        sender, outer, (now, wall) = (
            _address(params, "sender"),
            _get(params, "outer", dict),
            self._now(params),
        )
        fees = Fees(_number(outer, "max_fee_wei"), _number(outer, "max_priority_fee_wei"))
        nonce, gas = _number(outer, "nonce"), _number(outer, "gas")
        self._sender(sender)
        request = SafeTxRequest(environment, chain_id, wallet, tx, now, wall)
        safe_hash, signatures, judged = await self._owners_sign(
            f"{request_id}/owners", request, None, alone=False
        )
        # In the order the Safe wants them; the judgement of the whole below checks each.
        packed = b"".join(signatures[owner] for owner in sorted(signatures, key=str.lower))
        data = safe.exec_transaction(tx, packed)
        carrier = UnsignedTx(chain_id, nonce, wallet, 0, data, gas, fees)
        signed = await self._send(
            request_id, OuterRequest(environment, sender, carrier, tx.nonce, now, wall, False), judged
        )
        self.ledger.flush()
        return {**signed, "safe_tx_hash": "0x" + safe_hash.hex()}

    async def sign_operation(self, request_id: str, params: Params) -> dict[str, Any]:
        """The signature field of a user operation of the agent's account: its times and its one owner's signature."""
        environment, chain_id = self._environment(params), _number(params, "chain_id")
        op, window = from_json(_get(params, "op", dict)), Window(_number(params, "valid_until"))
        now, wall = self._now(params)
        bare = to_json(replace(op, signature=b""))
        asked = {"chain_id": chain_id, "op": bare, "valid_until": window.until}
        digest = _digest("sign_operation", asked)
        policy = self.policy.chains.get(chain_id)
        owner = signing_key(policy.agent if policy is not None else None, op.sender)
        key = self._sender(owner) if owner is not None else None
        if not self._granted(request_id, digest):
            request = OperationRequest(environment, chain_id, op, window, now, wall)
            allowed = _allow(judge_operation(request, self.policy, self.ledger))
            facts = safe_tx_facts(chain_id, self.policy.chains[chain_id].safe, 0, allowed)
            facts |= {"sender": op.sender, "nonce": op.nonce, "content": allowed.content.hex(), "gas_wei": str(allowed.gas_wei)}  # fmt: skip
            self.ledger.record("tx", request_id, digest, wall, facts)
        if key is None or owner is None:  # granted by settings that are no longer these
            raise locked_key(op.sender)
        signature = await _sign(key, key.sign_typed, erc4337.safe_op_typed(chain_id, op, window))
        whole = erc4337.signed(chain_id, op, window, [signature], [owner], 1)
        return {"signature": "0x" + whole.signature.hex(), "hash": user_op_hash(chain_id, whole)}

    async def sign_order(self, request_id: str, params: Params) -> dict[str, Any]:
        """Judges a CoW order and records it: from then on its allowance may be signed. `sign` false asks for nothing more: a
        presignature needs no signature of it, and live owners sign attended, each in a process of their own."""
        environment = self._environment(params)
        order, sign = cow_order.from_json(_get(params, "order", dict)), _get(params, "sign", bool)
        if sign:
            self._unattended_owners(params)
        now, wall = self._now(params)
        digest = _digest("sign_order", {"order": cow_order.to_json(order), "sign": sign})
        if not self._granted(request_id, digest):
            _allow(judge_order(OrderRequest(environment, order, now, wall), self.policy, self.ledger))
            self.ledger.record("order", request_id, digest, wall, order_facts(order))
        signatures: dict[str, str] = {}
        if sign:
            chain, typed = self.policy.chains[order.chain_id], cow_order.safe_typed(order)
            held = [o for o, key in self.vault.owners.items() if o in chain.owners and key.facts.signs]
            for owner in held[: chain.threshold]:
                key = self.vault.owners[owner]
                signatures[owner] = "0x" + (await _sign(key, key.sign_typed, typed)).hex()
        return {"uid": cow_order.uid(order), "signatures": signatures}

    def _sender(self, sender: Address) -> Signer:
        if sender not in self.policy.senders:
            raise Denied(
                "POLICY_SENDER", f"{sender} is not a sending key of this signer", "`status` lists them."
            )
        if sender not in self.vault.senders:
            raise locked_key(sender)
        return self.vault.senders[sender]

    async def sign_exchange(self, request_id: str, params: Params) -> dict[str, Any]:
        """A signature for a request to an exchange; of an order that is sent from here only the grant."""
        asked = self._exchange_request(params)
        return self.exchanges.sign(request_id, *asked, _exchange_digest(*asked))

    async def send_exchange(self, request_id: str, params: Params) -> dict[str, Any]:
        """Sends the order that `sign_exchange` granted under this very id: the exchange's status, headers and body."""
        asked = self._exchange_request(params)
        return await self.exchanges.send(request_id, *asked, _exchange_digest(*asked))

    def _exchange_request(self, params: Params) -> tuple[str, str, str, str]:
        venue, method, path, query = (_get(params, n, str) for n in ("venue", "method", "path", "query"))
        return venue, method, path, query

    async def sign_relay_auth(self, request_id: str, params: Params) -> dict[str, Any]:
        message = _get(params, "message", str)
        if not _RELAY_MESSAGE.fullmatch(message):
            raise Denied(
                "POLICY_RELAY_MESSAGE",
                "not the 0x hash of a request's body",
                "Only 66 characters of lower-case hex.",
            )
        if self.vault.relay is None:
            raise locked_key("relay_auth")
        signature = await _sign(self.vault.relay, self.vault.relay.sign_message, message.encode())
        return {"address": self.vault.relay.address, "signature": "0x" + signature.hex()}


async def _sign(key: Signer, ask: Callable[[Asked], Signed], what: Asked) -> Signed:
    """A key of this process signs at once; what waits for a device or a network does so beside the loop."""
    return await asyncio.to_thread(ask, what) if key.facts.slow else ask(what)


def _allow(verdict: Allowed | Refusal) -> Allowed:
    if isinstance(verdict, Refusal):
        raise verdict.error()
    return verdict


def _digest(method: str, content: Mapping[str, Any]) -> str:
    body = json.dumps([method, content], sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(body.encode()).hexdigest()


def _exchange_digest(venue: str, method: str, path: str, query: str) -> str:
    return _digest("sign_exchange", {"venue": venue, "method": method, "path": path, "query": query})
