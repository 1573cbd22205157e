"""A key in three shares of which two sign, each in its own process: the coordinator's side. SIGNER of the name `mpc`.

Fairlead ships no threshold cryptography and no library of it: the engine behind each share is the owner's own installation, under its
own licence (`keys.mpc_engine`). What is here is the open protocol around it, mpc/1, which any engine and any share may speak:

    shares         N processes (`keys.mpc_share`), best on N machines, each with a vault of its own (`keys.mpc_vault`): its channel key
                   and its part of the key, encrypted. The whole key is never put together, unless the engine does so.
    coordinator    this signer: it holds no part of the key. It asks the shares and carries between them what it cannot read.
    lines          coordinator to share: Noise_KK, both keys pinned (`keys.noise`, `keys.mpc_link`); questions as JSON
    channels       share to share, through the coordinator: Noise_KK, both keys pinned, bound to the one operation (`keys.mpc_operation`)

    status                                → {"party", "threshold", "current": {generation, public} | null, "pending": …}
    begin {"what", "id", "parties", "generation", "request"?}  → {"out": [{"to", "box"}], "done": false}
    deliver {"id", "in": [{"from", "box"}]}                    → {"out", "done", "result"?}
    commit {"generation"}                 → status; the staged part replaces the one in use
    abort {"id"}                          → {}

    keygen, refresh    every share takes part and stages what comes out; once all have, each commits. A share that missed the commit
                       makes up for it when the next signature names the generation. After a refresh the shares of the generation
                       before do not fit the new ones: that is the engine's doing, and each share throws its old part away.
    sign               `request` is the transaction, typed data or message itself; each share decodes it, judges it by its own rules
                       and computes the digest (`keys.mpc_policy`). Two shares of one generation suffice: one that is away is done without.

A share that lies ends the operation for all: Denied MPC_ABORTED names it, nothing is kept, nothing used. The signature is checked here to
recover to the address once more. What the coordinator could do is refuse to serve; what one share's thief has is one part.
`group` is a JSON file: {"threshold": 2, "shares": [{"at": "HOST:PORT" or "unix:PATH", "key": hex}, …]}; `python -m keys.mpc_admin` makes keys,
runs the key generation and the refresh. Where a key need not look like one account, a Safe of several owners is the threshold signer
that needs no such library.

Errors: Retry MPC_UNREACHABLE, MPC_SILENT, MPC_GONE, MPC_TOO_FEW, MPC_ENGINE_GONE; Denied MPC_REFUSED, MPC_ABORTED, CHANNEL_NOT_AUTHENTIC,
SIGNATURE_NOT_OURS; Usage MPC_GROUP_INVALID, MPC_NO_KEY, MPC_GENERATION.
"""

from __future__ import annotations

import json
import secrets
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from coincurve import PublicKey

from chains.bounded_file import SETTINGS_BYTES, read_at_most
from chains.errors import Denied, FairleadError, Retry, Usage
from chains.types import Address, Environment, SignedTx, UnsignedTx
from keys import curve, transactions
from keys.mpc_link import Line, read_address
from keys.mpc_policy import to_data
from keys.noise import KEY
from keys.secrets import Secret, resolve
from keys.signers import Ask, Option, Request, SignerFacts, SignerSpec
from keys.typed import TypedHash

_MOST_STEPS = 200


@dataclass(frozen=True, slots=True)
class Group:
    """Where each share listens and its public channel key, by party."""

    threshold: int
    shares: tuple[tuple[tuple[str, int] | Path, bytes], ...]


def read_group(path: Path) -> Group:
    """Raises Usage MPC_GROUP_INVALID."""
    try:
        data = json.loads(read_at_most(path, SETTINGS_BYTES))
        shares = tuple((read_address(s["at"]), bytes.fromhex(s["key"])) for s in data["shares"])
        threshold = data["threshold"]
        if not 2 <= threshold <= len(shares) <= 16 or any(len(key) != KEY for _, key in shares):
            raise ValueError
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        raise Usage(
            "MPC_GROUP_INVALID", f"{path} does not describe a group of shares", "See keys/mpc.py."
        ) from None
    return Group(threshold, shares)


class Coordinator:
    """Asks the shares, and carries what they say to each other. One operation at a time; `cut` ends it from another thread."""

    def __init__(self, group: Group, identity: Secret, environment: Environment, timeout_s: float) -> None:
        if len(identity.reveal()) != KEY:
            raise Usage("MPC_GROUP_INVALID", "the coordinator's key has 32 bytes, written as 64 hex digits")
        self._group, self._identity, self._environment = group, identity, environment
        self.timeout_s, self._lines, self._cut = timeout_s, list[Line](), False

    def status(self) -> dict[int, dict[str, Any]]:
        """What each share that answers says of itself."""
        with self._opened(range(len(self._group.shares)), self._until()) as (lines, until):
            return {n: line.ask({"do": "status"}, until) for n, line in lines.items()}

    def keygen(self) -> tuple[Address, int]:
        """A new key in every share. Raises Retry MPC_TOO_FEW where one is away, and what a share raises."""
        return self._ceremony("keygen")

    def refresh(self) -> tuple[Address, int]:
        """New parts of the same key: (address, generation)."""
        return self._ceremony("refresh")

    def sign(self, request: Mapping[str, Any]) -> tuple[int, int]:
        """(r, s), by as many shares as it takes."""
        everybody = range(len(self._group.shares))
        with self._opened(everybody, self._until()) as (lines, until):
            told = {n: line.ask({"do": "status"}, until) for n, line in lines.items()}
            generation, able = _newest(told)
            if len(able) < self._group.threshold:
                raise _too_few(len(able), self._group.threshold)
            parties = able[: self._group.threshold]
            asked = {"what": "sign", "generation": generation, "request": dict(request)}
            results = self._run({n: lines[n] for n in parties}, asked, until)
        try:
            found = {(int(r["r"], 16), int(r["s"], 16)) for r in results.values()}
            ((r, s),) = found
        except (KeyError, TypeError, ValueError):
            raise Denied(
                "MPC_ABORTED", "the shares did not agree on a signature", "Nothing was used of it."
            ) from None
        return r, s

    def _ceremony(self, what: str) -> tuple[Address, int]:
        everybody = range(len(self._group.shares))
        with self._opened(everybody, self._until()) as (lines, until):
            if len(lines) < len(everybody):
                raise _too_few(len(lines), len(everybody))
            told = {n: line.ask({"do": "status"}, until) for n, line in lines.items()}
            generation = _newest(told)[0] + 1
            # A share that was away when the others committed: its staged part is the one in use.
            for n, line in lines.items():
                if _generation(told[n], "pending") == generation - 1:
                    line.ask({"do": "commit", "generation": generation - 1}, until)
            results = self._run(dict(lines), {"what": what, "generation": generation}, until)
            if len({r.get("public") for r in results.values()}) != 1:
                raise Denied("MPC_ABORTED", "the shares did not agree on a key", "Nothing was kept.")
            for line in lines.values():
                line.ask({"do": "commit", "generation": generation}, until)
        return address_of(results[0]["public"]), generation

    def _run(
        self, lines: dict[int, Line], asked: Mapping[str, Any], until: float
    ) -> dict[int, dict[str, Any]]:
        """All rounds of one operation: every share works at once, then everybody gets what is for him."""
        ident, parties = secrets.token_hex(16), sorted(lines)
        begin = {"do": "begin", "id": ident, "parties": parties, **asked}
        messages: dict[int, Mapping[str, Any]] = dict.fromkeys(parties, begin)
        results: dict[int, dict[str, Any]] = {}
        try:
            for _ in range(_MOST_STEPS):
                boxes: dict[int, list[dict[str, Any]]] = {n: [] for n in parties}
                for n, message in messages.items():
                    lines[n].send(message, until)
                for n, answer in _received(lines, list(messages), until):
                    for box in answer.get("out", ()):
                        if box["to"] in boxes:
                            boxes[box["to"]].append({"from": n, "box": box["box"]})
                    if answer.get("done"):
                        results[n] = answer["result"]
                if len(results) == len(parties):
                    return results
                messages = {
                    n: {"do": "deliver", "id": ident, "in": boxes[n]}
                    for n in parties
                    if boxes[n] and n not in results
                }
                if not messages:
                    raise Denied(
                        "MPC_ABORTED", "the shares wait for each other", "Their engines do not fit together."
                    )
        except (FairleadError, KeyError, TypeError):
            for line in lines.values():
                self._abort(line, ident)
            raise
        raise Denied("MPC_ABORTED", "the operation does not end", "Nothing was used of it.")

    @staticmethod
    def _abort(line: Line, ident: str) -> None:
        try:
            line.send({"do": "abort", "id": ident}, time.monotonic() + 1)
        except FairleadError:
            return

    def _until(self) -> float:
        return time.monotonic() + self.timeout_s

    @contextmanager
    def _opened(self, parties: Sequence[int], until: float) -> Iterator[tuple[dict[int, Line], float]]:
        """Lines to the shares that answer. Raises Retry MPC_TOO_FEW below the threshold, Denied where one is not the pinned one."""
        self._cut, lines = False, dict[int, Line]()
        try:
            last: FairleadError | None = None
            for n in parties:
                at, key = self._group.shares[n]
                try:
                    lines[n] = Line.open(n, at, self._identity.reveal(), key, self._environment.value, until)
                    self._lines.append(lines[n])
                except Retry as error:
                    last = error
            if len(lines) < self._group.threshold:
                raise last if last is not None and not lines else _too_few(len(lines), self._group.threshold)
            if self._cut:
                raise Retry("MPC_GONE", "closed in the middle", "Ask again.")
            yield lines, until
        finally:
            for line in lines.values():
                line.close()
            self._lines.clear()

    def cut(self) -> None:
        self._cut = True
        for line in list(self._lines):
            line.close()


def _received(
    lines: Mapping[int, Line], who: Sequence[int], until: float
) -> Iterator[tuple[int, dict[str, Any]]]:
    """Every answer, also behind one that is an error: then the gravest is raised, a refusal before a silence."""
    errors: list[FairleadError] = []
    answers = []
    for n in who:
        try:
            answers.append((n, lines[n].receive(until)))
        except FairleadError as error:
            errors.append(error)
            if isinstance(error, Denied):
                break
    if errors:
        raise min(errors, key=lambda e: not isinstance(e, Denied))
    yield from answers


def _generation(told: Mapping[str, Any], which: str) -> int:
    part = told.get(which)
    return int(part["generation"]) if isinstance(part, dict) else 0


def _newest(told: Mapping[int, Mapping[str, Any]]) -> tuple[int, list[int]]:
    """The generation in use (0: none), and who has a part of it, in use or still staged."""
    newest = max((_generation(t, "current") for t in told.values()), default=0)
    able = [
        n
        for n, t in sorted(told.items())
        if newest and newest in (_generation(t, "current"), _generation(t, "pending"))
    ]
    return newest, able


def _too_few(found: int, wanted: int) -> Retry:
    return Retry("MPC_TOO_FEW", f"{found} shares can take part and {wanted} are needed", "Start the others.")


def address_of(public: str) -> Address:
    """Raises Denied MPC_ABORTED for what is no public key."""
    try:
        return curve.address_of(PublicKey(bytes.fromhex(public)))
    except (ValueError, TypeError):
        raise Denied("MPC_ABORTED", "a share's public key is none", "Look at that share.") from None


class MpcSigner:
    """One key of one group."""

    def __init__(self, address: Address, environment: Environment, coordinator: Coordinator) -> None:
        self.facts, self.address, self.environment = SIGNER, address, environment
        self._coordinator, self._lock = coordinator, threading.Lock()

    def shows(self, request: Request) -> tuple[str, ...]:
        return ()

    def sign_transaction(self, tx: UnsignedTx) -> SignedTx:
        return transactions.assemble(tx, self._signed(tx, transactions.digest(tx)), self.address)

    def sign_typed(self, typed: TypedHash) -> bytes:
        return self._signed(typed, typed.digest)

    def sign_message(self, message: bytes) -> bytes:
        return self._signed(message, curve.personal_digest(message))

    def _signed(self, request: Request, digest: bytes) -> bytes:
        if not self._lock.acquire(blocking=False):
            raise Retry("MPC_SILENT", "the shares are asked about something else", "Ask again.")
        try:
            return curve.complete(digest, *self._coordinator.sign(to_data(request)), self.address)
        finally:
            self._lock.release()

    def close(self) -> None:
        self._coordinator.cut()

    def __repr__(self) -> str:
        return f"MpcSigner({self.address}, {self.environment.value})"

    def __reduce__(self) -> tuple[object, ...]:
        raise TypeError("a signer is never serialised")


def coordinator_of(options: Mapping[str, str], environment: Environment, timeout_s: float) -> Coordinator:
    """From `group` and `identity`. Raises Usage."""
    try:
        identity = Secret(bytes.fromhex(resolve(options["identity"]).text().strip()))
    except ValueError:
        raise Usage("MPC_GROUP_INVALID", "the coordinator's key is not 64 hex digits") from None
    return Coordinator(read_group(Path(options["group"]).expanduser()), identity, environment, timeout_s)


def _open(spec: SignerSpec, ask: Ask | None) -> MpcSigner:
    coordinator = coordinator_of(spec.options, spec.environment, spec.number("timeout_s", 120.0))
    told = coordinator.status()
    generation, able = _newest(told)
    if not able:
        raise Usage("MPC_NO_KEY", "the shares have no key yet", "Make one: python -m keys.mpc_admin keygen.")
    parts = (
        p
        for n in able
        for p in (told[n]["current"], told[n]["pending"])
        if p and p["generation"] == generation
    )
    found = {address_of(str(p["public"])) for p in parts}
    if len(found) != 1:
        raise Denied(
            "MPC_ABORTED", "the shares are of different keys", "Compare `python -m keys.mpc_admin status`."
        )
    return MpcSigner(found.pop(), spec.environment, coordinator)


SIGNER = SignerFacts(
    "mpc",
    False,
    "no one machine: in shares, each with its holder's own rules",
    "two of three shares sign; the threshold library is the owner's own installation",
    _open,
    (
        Option("group", "the file that says where the shares are and which keys they have", required=True),
        Option("identity", "reference to the coordinator's own channel key", required=True, secret=True),
        Option("timeout_s", "how long a whole signature may take, in seconds; 120 when left out"),
    ),
)
