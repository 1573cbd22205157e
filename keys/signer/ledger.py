"""What this signer has signed: an append-only JSON-lines file, hash-chained, fsynced before a signature leaves.

Each line holds {"seq", "prev", "at", "kind", "id", "request", …, "hash"}; hash = sha256 of the line's canonical JSON without
"hash". A last line torn by a crash was never answered for and is cut off; anything else that does not fit is refused (Halt).
A file lock keeps a second signer away.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import operator
import os
import time
from collections.abc import Mapping
from decimal import Context, Decimal, InvalidOperation
from pathlib import Path
from typing import Any

from chains.errors import Halt, Usage
from chains.types import CowOrder
from keys import cow_order
from keys.policy import Allowed, Signed
from keys.policy_orders import GrantedOrder
from keys.signer.rolling import Rolling

GENESIS = "0" * 64
_WIDE = Context(prec=120)
_CANONICAL = json.JSONEncoder(sort_keys=True, separators=(",", ":"))
# Data and length are what a ledger needs of the disk; where a system has no fdatasync (macOS), everything is synced.
_durable = getattr(os, "fdatasync", os.fsync)


def line_hash(entry: Mapping[str, Any]) -> str:
    body = {k: v for k, v in entry.items() if k != "hash"}
    return hashlib.sha256(_CANONICAL.encode(body).encode()).hexdigest()


class SpendLedger:
    """Implements `keys.policy.LedgerView` over its own fold; `record` is durable when it returns.

    `syncs` and `sync_ns`: how often this process waited for the disk, and how long in all.
    """

    def __init__(self, path: Path) -> None:
        """Raises Usage LEDGER_IN_USE, Halt LEDGER_CORRUPT or LEDGER_UNWRITABLE."""
        self.path = path
        self.head, self.entries = GENESIS, 0
        self._requests: dict[str, str] = {}
        self._spends: dict[tuple[int, str, str], Rolling[int]] = {}
        self._counted: set[str] = set()
        self._safe_nonces: dict[tuple[int, str, int], list[Signed]] = {}
        self._sender_nonces: dict[tuple[int, str, int], list[Signed]] = {}
        self._gas: dict[tuple[int, str, int], tuple[int, int]] = {}
        self._orders: dict[tuple[int, str], list[GrantedOrder]] = {}
        self._exchange_orders: dict[tuple[str, str], Rolling[Decimal]] = {}
        self._exchange_nonces: dict[str, int] = {}
        self._nonce_of: dict[str, int] = {}
        self._broken = False
        self.syncs, self.sync_ns = 0, 0
        self._waiting = False
        try:
            path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            self._file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o600)
        except OSError as error:
            raise Halt(
                "LEDGER_UNWRITABLE", f"{path}: {error.strerror}", "Nothing is signed without its record."
            ) from None
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            os.close(self._file)
            raise Usage(
                "LEDGER_IN_USE", f"another signer uses {path}", "`fairlead signer status` asks it."
            ) from None
        try:
            self._load()
        except Halt:
            os.close(self._file)
            raise

    def _load(self) -> None:
        data = self.path.read_bytes()
        whole = data.rfind(b"\n") + 1
        for number, line in enumerate(data[:whole].splitlines()):
            try:
                entry = json.loads(line)
                sound = (
                    entry["seq"] == number
                    and entry["prev"] == self.head
                    and entry["hash"] == line_hash(entry)
                )
                if sound:
                    self._fold(entry)
            except (ValueError, KeyError, TypeError, InvalidOperation):
                sound = False
            if not sound:
                raise Halt(
                    "LEDGER_CORRUPT",
                    f"{self.path} line {number + 1} does not follow from the one before",
                    "Keep the file for inspection; the owner decides about a new one.",
                )
            self.head, self.entries = entry["hash"], number + 1
        if whole < len(data):
            os.ftruncate(self._file, whole)

    def _fold(self, entry: dict[str, Any]) -> None:
        self._requests[entry["id"]] = entry["request"]
        if entry["kind"] == "order":
            self._fold_order(entry)
        if entry["kind"] == "exchange":
            self._fold_exchange(entry)
        if entry["kind"] not in ("safe_tx", "tx"):
            return
        chain, at = int(entry["chain_id"]), int(entry["at"])
        # What counted nothing (people's own transactions) must not make the same content free afterwards.
        counts = entry["safe_hash"] or entry.get("spend_id", "")
        if counts and counts not in self._counted and entry["spend"]:
            self._counted.add(counts)
            for token, amount in entry["spend"].items():
                self._spend(chain, entry["safe"], token).add(at, int(amount))
        if safe_hash := entry["safe_hash"]:
            signed = Signed(bytes.fromhex(safe_hash), int(entry["deadline"]))
            held = self._safe_nonces.setdefault((chain, entry["safe"], int(entry["safe_nonce"])), [])
            if signed not in held:
                held.append(signed)
        if entry["kind"] == "tx":
            key = (chain, entry["sender"], int(entry["nonce"]))
            signed = Signed(bytes.fromhex(entry["content"]), int(entry["deadline"]))
            if signed not in self._sender_nonces.setdefault(key, []):
                self._sender_nonces[key].append(signed)
            before = self._gas.get(key, (at, 0))
            self._gas[key] = (at, max(before[1], int(entry["gas_wei"])))

    def _spend(self, chain: int, safe: str, token: str) -> Rolling[int]:
        found = self._spends.get((chain, safe, token))
        if found is None:
            found = self._spends[chain, safe, token] = Rolling(0, operator.add, operator.sub)
        return found

    def _fold_exchange(self, entry: dict[str, Any]) -> None:
        costs = (
            entry["costs"]
            if "costs" in entry
            else [[entry["symbol"], entry["cost"]]]
            if "symbol" in entry
            else []
        )
        for symbol, cost in costs:
            key = entry["venue"], symbol
            if key not in self._exchange_orders:
                self._exchange_orders[key] = Rolling(Decimal(0), _WIDE.add, _WIDE.subtract)
            self._exchange_orders[key].add(int(entry["at"]), Decimal(cost))
        if "nonce" in entry:
            nonce, account = int(entry["nonce"]), entry["account"]
            self._exchange_nonces[account] = max(nonce, self._exchange_nonces.get(account, 0))
            self._nonce_of[entry["id"]] = nonce

    def _fold_order(self, entry: dict[str, Any]) -> None:
        chain, safe, token = int(entry["chain_id"]), entry["safe"], entry["sell_token"]
        raw, name = int(entry["sell_raw"]), entry["uid"]
        digest = name[2:66]
        if digest in self._counted:
            return
        self._counted.add(digest)
        self._spend(chain, safe, token).add(int(entry["at"]), raw)
        self._orders.setdefault((chain, safe), []).append(
            GrantedOrder(name, token, raw, int(entry["valid_to"]))
        )

    def known(self, request_id: str) -> str | None:
        """The digest of the request that was granted under this id."""
        return self._requests.get(request_id)

    def record(
        self,
        kind: str,
        request_id: str,
        request: str,
        wall: int,
        facts: Mapping[str, Any],
        *,
        durable: bool = True,
    ) -> None:
        """Appends and fsyncs one entry. Raises Halt LEDGER_UNWRITABLE; afterwards nothing more is recorded or signed.

        Not `durable`: it waits for the next entry's fsync, or `flush`; whoever asks for that lets nothing leave before.
        """
        if self._broken:
            raise Halt(
                "LEDGER_UNWRITABLE",
                f"{self.path} could not be written before",
                "Free the disk, then restart the signer.",
            )
        entry: dict[str, Any] = {
            "seq": self.entries,
            "prev": self.head,
            "at": wall,
            "kind": kind,
            "id": request_id,
        }
        entry |= {"request": request, **facts}
        entry["hash"] = line_hash(entry)
        line = _CANONICAL.encode(entry).encode() + b"\n"
        try:
            written = os.write(self._file, line)
        except OSError as error:
            raise self._failed(error) from None
        self._waiting = True
        if durable:
            self.flush()
        if written != len(line):
            self._broken = True
            raise Halt(
                "LEDGER_UNWRITABLE",
                f"{self.path}: the disk took {written} of {len(line)} bytes",
                "Free the disk.",
            )
        self.head, self.entries = entry["hash"], self.entries + 1
        self._fold(entry)

    def flush(self) -> None:
        """Whatever was recorded is on the disk when this returns. Raises Halt LEDGER_UNWRITABLE."""
        if not self._waiting:
            return
        began = time.perf_counter_ns()
        try:
            _durable(self._file)
        except OSError as error:
            raise self._failed(error) from None
        self._waiting = False
        self.syncs, self.sync_ns = self.syncs + 1, self.sync_ns + time.perf_counter_ns() - began

    def _failed(self, error: OSError) -> Halt:
        self._broken = True
        return Halt(
            "LEDGER_UNWRITABLE", f"{self.path}: {error.strerror}", "Nothing is signed without its record."
        )

    def close(self) -> None:
        os.close(self._file)

    def counted(self, spend_id: bytes) -> bool:
        """`spend_id`: a Safe transaction's hash, or what stands for the agent's own call."""
        return spend_id.hex() in self._counted

    def spent(self, chain_id: int, safe: str, token: str, since: int) -> int:
        found = self._spends.get((chain_id, safe, token))
        return found.since(since) if found is not None else 0

    def spends(self, chain_id: int, safe: str, since: int) -> dict[str, int]:
        """What was signed away of each token since then, base units."""
        found = {
            t: self.spent(chain_id, safe, t, since) for c, s, t in self._spends if (c, s) == (chain_id, safe)
        }
        return {token: raw for token, raw in found.items() if raw}

    def ordered(self, venue: str, since: int) -> dict[str, Decimal]:
        """By symbol, what orders signed for an exchange since then can have cost; its quote units."""
        return {
            symbol: made.since(since)
            for (name, symbol), made in self._exchange_orders.items()
            if name == venue
        }

    def exchange_nonce(self, account: str) -> int:
        """The highest that was given out for this key, 0 for none."""
        return self._exchange_nonces.get(account, 0)

    def nonce_of(self, request_id: str) -> int:
        """The one given out with this granted request. Raises KeyError."""
        return self._nonce_of[request_id]

    def gas_spent(self, chain_id: int, sender: str, since: int) -> int:
        return sum(
            wei for (c, s, _), (at, wei) in self._gas.items() if c == chain_id and s == sender and at >= since
        )

    def gas_of_nonce(self, chain_id: int, sender: str, nonce: int, since: int) -> int:
        """As much of `gas_spent` since then as is this nonce's."""
        at, wei = self._gas.get((chain_id, sender, nonce), (0, 0))
        return wei if at >= since else 0

    def safe_nonce(self, chain_id: int, safe: str, nonce: int) -> tuple[Signed, ...]:
        return tuple(self._safe_nonces.get((chain_id, safe, nonce), ()))

    def sender_nonce(self, chain_id: int, sender: str, nonce: int) -> tuple[Signed, ...]:
        return tuple(self._sender_nonces.get((chain_id, sender, nonce), ()))

    def orders(self, chain_id: int, safe: str) -> tuple[GrantedOrder, ...]:
        return tuple(self._orders.get((chain_id, safe), ()))


def order_facts(order: CowOrder) -> dict[str, Any]:
    return {
        "chain_id": order.chain_id,
        "safe": order.owner,
        "uid": cow_order.uid(order),
        "sell_token": order.sell_token,
        "sell_raw": str(order.sell_raw),
        "valid_to": order.valid_to,
    }


def safe_tx_facts(chain_id: int, safe: str, nonce: int, allowed: Allowed) -> dict[str, Any]:
    return {
        "chain_id": chain_id,
        "safe": safe,
        "safe_nonce": nonce,
        "safe_hash": allowed.safe_hash.hex(),
        "deadline": allowed.deadline,
        "spend": {token: str(amount) for token, amount in allowed.spend.items()},
        **({"spend_id": allowed.spend_id.hex()} if allowed.spend_id else {}),
    }
