"""One owner signs one Safe transaction, or one order of the Safe, attended.

    python -m keys.owner_sign --environment ENV --keystore FOLDER_OR_FILE (--key NAME | --address 0x…) < safe-tx.json
    python -m keys.owner_sign --environment ENV --signer '{"kind": "ledger", "environment": "live", "address": "0x…"}' < safe-tx.json

Reads the transaction (`keys.safe.to_json`'s object, optionally with "tokens": {address: [symbol, decimals]}; or {"cow_order":
`keys.cow_order.to_json`'s}) from stdin, decodes it,
prints it in plain words on stderr, asks for the keystore's password itself, and writes the 65-byte signature as 0x hex on stdout.
Where the key is on a device with a screen, what that screen will say is printed too, to be compared; where it is in a service that
asks nobody, the person is asked here. The program that asked for the signature sees neither password nor key. Contracts are named by this installation's own data, never by the
asker; tokens the asker names are marked so. Exit status: 0 signed, 2 bad input, 3 refused.
"""

from __future__ import annotations

import argparse
import re
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from chains import gate_code
from chains.bounded_json import loads
from chains.errors import Denied, FairleadError, Usage
from chains.types import Environment
from contracts.hashing import to_checksum
from keys import cow_order, landmarks, safe
from keys.hardening import harden
from keys.keystore import find, open_stored
from keys.local_keystore import LocalKeystore, StoredKey
from keys.policy_settings import NATIVE
from keys.reading import sentences_of
from keys.secrets import ask_on_tty
from keys.sentences import describe_order
from keys.sentences_words import ASKERS
from keys.signers import Ask, Signer, open_signer, read_spec
from keys.typed import TypedHash

_MAX_INPUT = 4 << 20
# Neither look-alike letters nor words that could continue a sentence.
_SYMBOL = re.compile(r"[A-Za-z0-9.$+_-]{1,12}")


def _tokens(data: dict[str, Any], chain_id: int) -> dict[str, tuple[str, int]]:
    """The asker's names, marked by a question mark, under our own."""
    try:
        asked = {to_checksum(a): (str(t[0]), int(t[1])) for a, t in data.items()}
    except (ValueError, TypeError, AttributeError, IndexError, KeyError) as error:
        raise Usage("SAFE_TX_INVALID", f"tokens: {error}") from None
    if NATIVE in asked or any(not _SYMBOL.fullmatch(s) or not 0 <= d <= 77 for s, d in asked.values()):
        raise Usage("SAFE_TX_INVALID", "tokens: a symbol or a number of decimals that no token has")
    return {a: (s + ASKERS, d) for a, (s, d) in asked.items()} | landmarks.tokens(chain_id)


Finish = Callable[[], bytes]


@dataclass(frozen=True, slots=True)
class Owner:
    """Who is to sign: the words for it, what a device's screen will say of it, and how it signs once the person agrees."""

    line: str
    shows: Callable[[TypedHash], tuple[str, ...]]
    sign: Callable[[TypedHash], bytes]


def by_keystore(store: LocalKeystore, stored: StoredKey, password: str | None) -> Owner:
    """An owner's keystore file: asking for the password is asking for consent."""

    def sign(typed: TypedHash) -> bytes:
        question = f"Password of {stored.name} to sign this, empty to refuse: "
        key = open_stored(store, stored, password, ask_on_tty, question)
        try:
            return key.sign_typed(typed)
        finally:
            key.close()

    line = f"Signing as {stored.name} ({stored.address}), {stored.environment.value}."
    return Owner(line, lambda typed: (), sign)


def by_signer(signer: Signer, ask: Ask) -> Owner:
    """Any other kind: a device asks by itself; for a key in a service the person types yes."""

    def sign(typed: TypedHash) -> bytes:
        asks_nobody = signer.facts.signs and not signer.facts.attended
        if asks_nobody and ask("Type yes to sign this: ").reveal().strip().lower() != b"yes":
            raise Denied("OWNER_REFUSED", f"{signer.address} did not sign", "Nothing was signed.")
        return signer.sign_typed(typed)

    where = f"the key is in {signer.facts.holds_key_on}"
    return Owner(f"Signing as {signer.address}, {signer.environment.value}; {where}.", signer.shows, sign)


def prepare(data: Mapping[str, Any], owner: Owner) -> tuple[list[str], Finish]:
    """(sentences, the function that asks for consent and signs). Raises Usage or Denied."""
    body = dict(data)
    named = body.pop("tokens", {})
    if "cow_order" in body:
        return _order(body, owner)
    chain_id, wallet, tx = safe.from_json(body)
    tokens = _tokens(named, chain_id)
    typed = safe.typed(chain_id, wallet, tx)
    lines = [
        *sentences_of(chain_id, wallet, tx, tokens, gate_code.compiled()),
        f"Safe transaction hash: 0x{typed.digest.hex()}",
        owner.line,
    ]
    if shown := owner.shows(typed):
        lines += [
            "Compare with the device's own screen before you confirm there:",
            *(f"  {s}" for s in shown),
        ]
    return lines, lambda: owner.sign(typed)


def _order(body: Mapping[str, Any], owner: Owner) -> tuple[list[str], Finish]:
    """A CoW order of a Safe: its fields in sentences, then the SafeMessage of its digest."""
    if set(body) != {"cow_order"} or not isinstance(body["cow_order"], dict):
        raise Usage("COW_ORDER_INVALID", "cow_order stands alone and is an object")
    order = cow_order.from_json(body["cow_order"])
    known = landmarks.contracts(order.chain_id).get(order.settlement) == "gpv2_settlement"
    lines = describe_order(order, landmarks.tokens(order.chain_id), landmarks.chain(order.chain_id), known)
    typed = cow_order.safe_typed(order)
    lines += [f"Safe message hash: 0x{typed.digest.hex()}", owner.line]
    if shown := owner.shows(typed):
        lines += [
            "Compare with the device's own screen before you confirm there:",
            *(f"  {s}" for s in shown),
        ]
    return lines, lambda: owner.sign(typed)


@contextmanager
def owner_of(given: argparse.Namespace, environment: Environment) -> Iterator[Owner]:
    """The owner that the command line names. Raises Usage, Denied, Retry."""
    if given.signer is None:
        if given.keystore is None:
            raise Usage("KEY_UNKNOWN", "no key was named", "Give --keystore or --signer.")
        yield by_keystore(*find(given.keystore, environment, given.key, given.address), given.password)
        return
    try:
        data = loads(given.signer.encode())
    except ValueError:
        raise Usage("SIGNER_CONFIG_INVALID", "--signer is not a JSON object") from None
    spec = read_spec(data)
    if given.address is not None and (spec.address or "").lower() != given.address.lower():
        raise Denied("KEY_UNKNOWN", f"the signer is not the one of {given.address}", "Check the settings.")
    signer = open_signer(spec, environment, ask_on_tty)
    try:
        yield by_signer(signer, ask_on_tty)
    finally:
        signer.close()


def main(argv: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        prog="keys.owner_sign", description="One owner signs one Safe transaction."
    )
    parser.add_argument("--key", help="the key's name or address")
    parser.add_argument("--address", help="the owner's address; another key is refused")
    parser.add_argument("--environment", required=True, choices=[e.value for e in Environment])
    parser.add_argument("--keystore", type=Path, help="the folder of keystores, or one keystore file")
    parser.add_argument(
        "--signer",
        metavar="JSON",
        help="a key of any kind, as keys.signers describes it; no secret, only references",
    )
    parser.add_argument(
        "--password",
        metavar="REFERENCE",
        help="a secret reference (file:…); without it the terminal is asked",
    )
    given = parser.parse_args(argv)
    harden()
    try:
        try:
            data = loads(sys.stdin.buffer.read(_MAX_INPUT))
        except ValueError:
            data = None
        if not isinstance(data, dict):
            raise Usage("SAFE_TX_INVALID", "stdin is not a JSON object")
        with owner_of(given, Environment(given.environment)) as owner:
            lines, finish = prepare(data, owner)
            print("\n".join(lines), file=sys.stderr, flush=True)
            print("0x" + finish().hex(), flush=True)
    except FairleadError as error:
        print(f"error {error}", file=sys.stderr)
        return error.exit_status
    except KeyboardInterrupt:
        print("error OWNER_REFUSED: nothing was signed", file=sys.stderr)
        return 3
    return 0


if __name__ == "__main__":
    sys.exit(main())
