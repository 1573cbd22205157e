"""ERC-7562: what a validation may do, so that one change of state cannot void many operations at once. Read off a trace of it.

    OP-011 opcodes that read the block, the price of gas, or end the account · OP-012 GAS only right before a call
    OP-031 one CREATE2, by the factory, while the sender is created · OP-041 no address without code
    OP-054 of the EntryPoint only depositTo and plain payments · OP-061 no value but to the EntryPoint · OP-080 balances by who is staked
    STO-010 the sender's own storage · STO-021/022 storage that belongs to the sender elsewhere (slot = the sender, or near
    keccak(sender ‖ x)), while it is created only with a staked factory · STO-031/032/033 a staked factory or paymaster: its own,
    what belongs to it, and reading anybody's

The trace is a debug_traceCall of the same simulation, by a small tracer that the node runs; the judgement is here. Not kept: reputation
(the pool has one bundler and no peers), rules of aggregators, the mempool's rules on how many operations share a staked entity.
Errors: RpcReject -32502 naming the rule, the entity and what it did.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from chains.types import Address
from chains.userops import UserOperation
from chains.userops_08 import MARKER
from contracts.hashing import address_bytes, checksum, keccak

MIN_STAKE_WEI, MIN_UNSTAKE_S = 10**18, 86_400
"""What counts as staked here, as ERC-7562's values for mainnet."""
_BANNED = frozenset(
    "GASPRICE GASLIMIT DIFFICULTY PREVRANDAO RANDOM TIMESTAMP BASEFEE BLOCKHASH NUMBER ORIGIN COINBASE SELFDESTRUCT "
    "CREATE BLOBHASH BLOBBASEFEE INVALID".split()
)
_BALANCES = frozenset({"BALANCE", "SELFBALANCE"})
_NEAR = 128
_DEPOSIT_TO = "b760faf9"
_PRECOMPILES = {*range(1, 0x12), 0x100}

TRACER = """{
  top: "", found: [], seen: {}, hashes: [], last: "", failed: "",
  note: function(what, at, more) {
    var key = this.top + what + at + more;
    if (!this.seen[key]) { this.seen[key] = true; this.found.push([this.top, what, at, more]); }
  },
  step: function(log, db) {
    try { this.look(log, db); } catch (error) { this.failed = String(error); }
  },
  look: function(log, db) {
    var op = log.op.toString(), depth = log.getDepth(), at = toHex(log.contract.getAddress());
    var hex = function(n) { return log.stack.peek(n).toString(16); };
    var num = function(n) { return parseInt(hex(n), 16); };
    var size = function(n) { return db.getCode(toAddress("0x" + ("0".repeat(64) + hex(n)).slice(-40))).length; };
    if (depth === 1) {
      if (op === "CALL" || op === "STATICCALL" || op === "DELEGATECALL") { this.top = hex(1); }
      this.last = "";
      return;
    }
    if (this.last === "GAS" && op.indexOf("CALL") < 0) { this.note("GAS", at, ""); }
    this.last = op;
    if (op === "SLOAD" || op === "SSTORE" || op === "TLOAD" || op === "TSTORE") { this.note(op, at, hex(0)); }
    else if (op === "KECCAK256" || op === "SHA3") {
      var from = num(0), length = num(1);
      if (length > 20 && length <= 512) { this.hashes.push(toHex(log.memory.slice(from, from + length))); }
    } else if (op === "CALL" || op === "CALLCODE") {
      var input = num(4) >= 4 ? toHex(log.memory.slice(num(3), num(3) + 4)) : "";
      this.note("CALL", at, hex(1) + "," + hex(2) + "," + input + "," + size(1));
    } else if (op === "STATICCALL" || op === "DELEGATECALL") {
      this.note(op, at, hex(1) + ",0," + "any," + size(1));
    } else if (op === "EXTCODESIZE" || op === "EXTCODEHASH" || op === "EXTCODECOPY") {
      this.note(op, at, hex(0) + ",0,," + size(0));
    } else if (op === "CREATE2" || BANNED.indexOf(" " + op + " ") >= 0) { this.note(op, at, ""); }
  },
  fault: function(log, db) {},
  result: function(ctx, db) { return {found: this.found, hashes: this.hashes, failed: this.failed}; }
}""".replace("BANNED", '"' + f" {' '.join(sorted(_BANNED | _BALANCES))} " + '"')


@dataclass(frozen=True, slots=True)
class Broken:
    """A rule, who broke it (`account`, `factory`, `paymaster`), and by what."""

    rule: str
    entity: str
    why: str


def broken(
    op: UserOperation, entry_point: Address, trace: Mapping[str, Any], staked: Iterable[Address]
) -> Broken | None:
    """The first rule the traced validation breaks, None for none."""
    judge = _Judge(
        op, entry_point, frozenset(staked), [bytes.fromhex(h.removeprefix("0x")) for h in trace["hashes"]]
    )
    for top, what, at, more in trace["found"]:
        if (found := judge.one(_address(top), str(what), _address(at), str(more))) is not None:
            return found
    return None


def _address(text: str) -> Address:
    return Address(checksum(bytes.fromhex(text.removeprefix("0x").rjust(40, "0")[-40:])))


class _Judge:
    def __init__(
        self, op: UserOperation, entry_point: Address, staked: frozenset[Address], hashed: list[bytes]
    ) -> None:
        self._op, self._entry_point, self._staked = op, entry_point, staked
        self._hashed = [(h[:32], int.from_bytes(keccak(h), "big")) for h in hashed]
        self._creations = 0

    def _entity(self, top: Address) -> tuple[str, Address | None]:
        if top == self._op.sender:
            return "account", self._op.sender
        if self._op.paymaster is not None and top == self._op.paymaster.address:
            return "paymaster", top
        return "factory", self._op.factory

    def one(self, top: Address, what: str, at: Address, more: str) -> Broken | None:
        if top == self._entry_point or at == self._entry_point:
            return None
        entity, address = self._entity(top)
        if what in _BANNED:
            return Broken("OP-011", entity, f"uses {what} in {at}")
        if what == "GAS":
            return Broken("OP-012", entity, f"uses GAS in {at} other than for a call")
        if what in _BALANCES and address not in self._staked:
            return Broken("OP-080", entity, f"reads a balance in {at} without a stake")
        if what == "CREATE2":
            self._creations += 1
            if entity != "factory" or self._creations > 1:
                return Broken("OP-031", entity, f"creates a contract in {at}")
        if what in ("SLOAD", "SSTORE", "TLOAD", "TSTORE"):
            return self._storage(entity, address, what, at, int(more, 16))
        if "," in more:
            return self._reached(entity, what, more)
        return None

    def _reached(self, entity: str, what: str, more: str) -> Broken | None:
        to, value, selector, size = more.split(",")
        target = _address(to)
        if target == self._entry_point:
            if what == "CALL" and selector.removeprefix("0x") not in ("", _DEPOSIT_TO):
                return Broken("OP-054", entity, f"calls 0x{selector.removeprefix('0x')} of the EntryPoint")
            return Broken("OP-054", entity, "reads the EntryPoint") if what == "STATICCALL" else None
        if int(value, 16):
            return Broken("OP-061", entity, f"sends value to {target}")
        if size == "0" and int(to, 16) not in _PRECOMPILES and target != self._op.sender:
            return Broken("OP-041", entity, f"reaches {target}, which has no code")
        return None

    def _storage(
        self, entity: str, address: Address | None, what: str, at: Address, slot: int
    ) -> Broken | None:
        sender = self._op.sender
        if at == sender:
            return None
        staked = address in self._staked and entity != "account"
        if self._belongs(sender, slot):
            created = self._op.factory not in (None, MARKER)
            if not created or staked or self._op.factory in self._staked:
                return None
            return Broken(
                "STO-022",
                entity,
                f"{what} of the sender's slot in {at} while it is created, by a factory without a stake",
            )
        if staked and address is not None:
            if at == address or self._belongs(address, slot) or what in ("SLOAD", "TLOAD"):
                return None
        rule = "STO-031" if at == address else "STO-033" if what in ("SLOAD", "TLOAD") else "STO-032"
        return Broken(
            rule, entity, f"{what} of slot {slot:#x} in {at}" + ("" if staked else " without a stake")
        )

    def _belongs(self, owner: Address, slot: int) -> bool:
        """The slot is the owner itself, or at most 128 above a hash of something that begins with it."""
        word = address_bytes(owner).rjust(32, b"\0")
        if slot == int.from_bytes(word, "big"):
            return True
        return any(head == word and 0 <= slot - start <= _NEAR for head, start in self._hashed)
