"""What a signer is, whatever holds the key: one small protocol, its settings, and how a kind is found by its module's name.

    Signer        address, environment, what the person will read, and three things to sign: a transaction, a typed hash, a message
    SignerSpec    {"kind": "ledger", "environment": "live", "address": "0x…", "path": "44'/60'/0'/0/0"}: no secret, only references
    open_signer   the kind's module (`keys/<kind>.py`, its SIGNER) opens it; another environment's or another key's is refused

Every signature that leaves a signer is r ‖ s ‖ v with low s and v 27 or 28, and was checked to recover to the signer's address over
the digest that was asked for, so a late, foreign or forged answer is never used.

Errors, the same for all:
    Retry     nothing took effect: locked, unplugged, unreachable, too slow. The *same* request may be made again.
    Reject    they said no, finally: the service's policy, a disabled key, data the device will not take
    Denied    the person refused, the key belongs to another environment or is another key, the answer is no signature of ours
    Usage     the settings are wrong, or the device must be set up first; nothing was asked
    Reconcile is never raised: see below; Halt is never raised: a signer records nothing.

Why a time-out is Retry although "a time-out on a write is Reconcile": signing sends nothing. A signature made and lost on the way
has no effect before somebody broadcasts it, it is over the very bytes the caller recorded before asking, and asking again can only
yield another signature of those same bytes, for the same nonce: together they execute once. What the caller must do is count the
bytes as signed from the moment they were asked for, as the spend ledger and the journal do (`Authorized` comes first). It may
therefore repeat the request, and may not ask for different bytes at that nonce on the ground that no signature was seen.
"""

from __future__ import annotations

import re
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from difflib import get_close_matches
from importlib import import_module
from pathlib import Path
from typing import Any, Protocol

from chains.errors import Denied, Usage
from chains.types import Address, Environment, SignedTx, UnsignedTx
from contracts.hashing import keccak, to_checksum
from keys import curve, transactions
from keys.secrets import Secret, is_reference
from keys.typed import TypedHash

Ask = Callable[[str], Secret]
"""Asks the person at this process's own terminal for a password."""


Request = UnsignedTx | TypedHash | bytes
"""What can be signed: a transaction, a typed hash, or a message (EIP-191)."""


@dataclass(frozen=True, slots=True)
class Option:
    """One setting of a kind. `secret`: a reference (env:, file:, …), never the value."""

    name: str
    about: str
    required: bool = False
    secret: bool = False


@dataclass(frozen=True, slots=True)
class SignerFacts:
    """What the planner, the settings and the README's table may know of a kind of signer.

    `attended`: a person confirms each signature · `slow`: it waits for a network, a device or a person, so it never runs on an event
    loop · `signs`: False for an address that is only watched · `needs_address`: the settings must name the address.
    """

    name: str
    attended: bool
    holds_key_on: str
    note: str
    open: Callable[[SignerSpec, Ask | None], Signer]
    options: tuple[Option, ...] = ()
    slow: bool = True
    signs: bool = True
    needs_address: bool = True


@dataclass(frozen=True, slots=True)
class SignerSpec:
    """Where a key is and which world it belongs to. Options are texts; a secret among them is a reference."""

    kind: str
    environment: Environment
    address: Address | None = None
    options: Mapping[str, str] = field(default_factory=dict)

    def named(self) -> Address:
        """The address, where the kind cannot do without. Raises Usage SIGNER_CONFIG_INVALID."""
        if self.address is None:
            raise Usage("SIGNER_CONFIG_INVALID", f"{self.kind}: address is missing")
        return self.address

    def number(self, name: str, default: float) -> float:
        """A positive number of seconds. Raises Usage SIGNER_CONFIG_INVALID."""
        text = self.options.get(name)
        if text is None:
            return default
        if not re.fullmatch(r"\d{1,5}(\.\d{1,3})?", text) or not float(text):
            raise Usage("SIGNER_CONFIG_INVALID", f"{self.kind}: {name} must be a number of seconds above 0")
        return float(text)


class Signer(Protocol):
    """One key. Blocking; safe to call from one thread at a time; `close` may be called from another and ends a pending call."""

    @property
    def facts(self) -> SignerFacts: ...
    @property
    def address(self) -> Address: ...
    @property
    def environment(self) -> Environment: ...
    def shows(self, request: Request) -> tuple[str, ...]:
        """What the device's own screen will say, to be compared; empty where there is no screen."""
        ...

    def sign_transaction(self, tx: UnsignedTx) -> SignedTx: ...
    def sign_typed(self, typed: TypedHash) -> bytes: ...
    def sign_message(self, message: bytes) -> bytes: ...
    def close(self) -> None: ...


class PreimageSigner(ABC):
    """A signer whose holder takes the bytes that are hashed: what differs is only `_checked`."""

    facts: SignerFacts

    def __init__(self, facts: SignerFacts, address: Address, environment: Environment) -> None:
        self.facts, self.address, self.environment = facts, address, environment

    def shows(self, request: Request) -> tuple[str, ...]:
        return ()

    def sign_transaction(self, tx: UnsignedTx) -> SignedTx:
        return transactions.assemble(tx, self._checked(transactions.preimage(tx)), self.address)

    def sign_typed(self, typed: TypedHash) -> bytes:
        return self._checked(typed.preimage)

    def sign_message(self, message: bytes) -> bytes:
        return self._checked(curve.personal_preimage(message))

    def close(self) -> None:
        """Nothing is held open."""
        return

    @abstractmethod
    def _checked(self, preimage: bytes) -> bytes:
        """r ‖ s ‖ v over keccak256 of the bytes, known to be this key's."""

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.address}, {self.environment.value})"

    def __reduce__(self) -> tuple[Any, ...]:
        raise TypeError("a signer is never serialised")


class ServiceSigner(PreimageSigner):
    """A key elsewhere, whose answer is believed only once it recovers to the address: what differs is only `_sign`."""

    def _checked(self, preimage: bytes) -> bytes:
        return curve.complete(keccak(preimage), *self._sign(preimage), self.address)

    @abstractmethod
    def _sign(self, preimage: bytes) -> tuple[int, int]:
        """(r, s) over keccak256 of the bytes, as the service answers it."""


def names() -> tuple[str, ...]:
    """The kinds there are: every module of this package that exposes SIGNER."""
    here = Path(__file__).parent
    exposes = re.compile(r"^SIGNER\b", re.MULTILINE)
    return tuple(sorted(p.stem for p in here.glob("*.py") if exposes.search(p.read_text(encoding="utf-8"))))


def load(kind: str) -> SignerFacts:
    """The facts of a kind. Raises Usage SIGNER_KIND_UNKNOWN with the nearest known name."""
    if kind not in names():
        near = get_close_matches(kind, names(), n=1)
        raise Usage(
            "SIGNER_KIND_UNKNOWN",
            f"there is no kind of signer {kind[:40]!r}" + (f"; did you mean {near[0]}?" if near else ""),
            f"There are {', '.join(names())}.",
        )
    facts: SignerFacts = import_module(f"keys.{kind}").SIGNER
    return facts


def read_spec(data: Any, path: str = "signer") -> SignerSpec:
    """A spec from its JSON object. Raises Usage SIGNER_CONFIG_INVALID naming the key, or SIGNER_KIND_UNKNOWN."""
    if not isinstance(data, dict) or not all(isinstance(k, str) for k in data):
        raise _bad(path, "must be an object")
    kind = data.get("kind")
    if not isinstance(kind, str):
        raise _bad(f"{path}.kind", "must be a text")
    facts = load(kind)
    known = {o.name: o for o in facts.options}
    for key in data:
        if key not in {"kind", "environment", "address"} | known.keys():
            near = get_close_matches(key, ["environment", "address", *known], n=1)
            raise _bad(
                f"{path}.{key}", f"is no setting of {kind}" + (f"; did you mean {near[0]}?" if near else "")
            )
    environment = data.get("environment")
    if environment not in {e.value for e in Environment}:
        raise _bad(f"{path}.environment", "must say which world the key is for: devnet, fork or live")
    options: dict[str, str] = {}
    for name, option in known.items():
        value = data.get(name)
        if value is None:
            if option.required:
                raise _bad(f"{path}.{name}", f"is missing: {option.about}")
            continue
        if isinstance(value, (int, float)) and not isinstance(value, bool):
            value = f"{value:g}"
        if not isinstance(value, str) or not value:
            raise _bad(f"{path}.{name}", "must be a text or a number")
        if option.secret and not is_reference(value):
            raise _bad(f"{path}.{name}", "must be a secret reference (env:, file:, …), not the secret itself")
        options[name] = value
    return SignerSpec(kind, Environment(environment), _address_of(data, path, facts), options)


def _address_of(data: Mapping[str, Any], path: str, facts: SignerFacts) -> Address | None:
    given = data.get("address")
    if given is None:
        if facts.needs_address:
            raise _bad(f"{path}.address", f"is missing: a {facts.name} signer is told which key it must be")
        return None
    try:
        return Address(to_checksum(given if isinstance(given, str) else ""))
    except ValueError as error:
        raise _bad(f"{path}.address", f"is not an address: {error}") from None


def _bad(path: str, why: str) -> Usage:
    return Usage("SIGNER_CONFIG_INVALID", f"{path.removeprefix('$.')} {why}", "See keys/signers.py.")


def open_signer(spec: SignerSpec, environment: Environment, ask: Ask | None = None) -> Signer:
    """The signer, checked to be the key the settings name. Raises Denied KEY_OTHER_ENVIRONMENT or SIGNER_OTHER_KEY, and the kind's own."""
    facts = load(spec.kind)
    if spec.environment is not environment:
        raise Denied(
            "KEY_OTHER_ENVIRONMENT",
            f"this {spec.kind} key is for {spec.environment.value} and was asked for in {environment.value}",
            "Keys never cross environments: a rehearsal has throw-away keys of its own.",
        )
    signer = facts.open(spec, ask)
    if spec.address is not None and signer.address != spec.address:
        found = signer.address
        signer.close()
        raise other_key(spec.kind, spec.address, found)
    return signer


def other_key(kind: str, wanted: str, found: str) -> Denied:
    return Denied(
        "SIGNER_OTHER_KEY",
        f"the {kind} signer holds the key of {found}, not of {wanted}",
        "Another device, passphrase, path or key id than the settings mean; nothing was signed.",
    )


def to_data(spec: SignerSpec) -> dict[str, str]:
    """The JSON object `read_spec` reads."""
    address = {} if spec.address is None else {"address": str(spec.address)}
    return {"kind": spec.kind, "environment": spec.environment.value, **address, **spec.options}


def references(spec: SignerSpec) -> tuple[str, ...]:
    """The secret references among the options."""
    secret = {o.name for o in load(spec.kind).options if o.secret}
    return tuple(v for n, v in spec.options.items() if n in secret)
