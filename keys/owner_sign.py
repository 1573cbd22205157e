"""One owner signs one Safe transaction, attended.

    python -m keys.owner_sign --environment ENV --keystore FOLDER_OR_FILE (--key NAME | --address 0x…) < safe-tx.json

Reads the transaction (`keys.safe.to_json`'s object, optionally with "tokens": {address: [symbol, decimals]}) from stdin, decodes it,
prints it in plain words on stderr, asks for the keystore's password itself, and writes the 65-byte signature as 0x hex on stdout.
The program that asked for it sees neither password nor key. Contracts are named by this installation's own data, never by the
asker; tokens the asker names are marked so. Exit status: 0 signed, 2 bad input, 3 refused.
"""

from __future__ import annotations

import argparse
import json
import re
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from chains.errors import Denied, FairleadError, Usage
from chains.types import Environment
from contracts.decode import to_leaves
from contracts.hashing import to_checksum
from contracts.multisend import Part
from keys import landmarks, safe
from keys.hardening import harden
from keys.local_keystore import LocalKeystore, StoredKey
from keys.policy_settings import NATIVE
from keys.secrets import Secret, resolve
from keys.sentences import ASKERS, describe
from keys.settings import OFFICIAL_MULTISEND_CALL_ONLY

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


def find(
    which: str | None, address: str | None, keystore: Path, environment: Environment
) -> tuple[LocalKeystore, StoredKey]:
    """The owner's key in a folder, or in one file. Raises Usage, Denied KEY_OTHER_ENVIRONMENT."""
    is_file = keystore.is_file()
    store = LocalKeystore(keystore.parent if is_file else keystore)
    name = str(keystore) if is_file else (which or address)
    if name is None:
        raise Usage("KEY_UNKNOWN", "no key was named", "Give --key, --address, or a keystore file.")
    stored = store.find(name, environment)
    if address is not None and stored.address.lower() != address.lower():
        raise Denied(
            "KEY_UNKNOWN",
            f"{stored.path.name} is not the key of {address}",
            "Check the owner's keystore in the settings.",
        )
    return store, stored


def prepare(
    data: Mapping[str, Any], store: LocalKeystore, stored: StoredKey, password: str | None
) -> tuple[list[str], Finish]:
    """(sentences, the function that asks for the password and signs). Raises Usage or Denied."""
    body = dict(data)
    named = body.pop("tokens", {})
    chain_id, wallet, tx = safe.from_json(body)
    tokens = _tokens(named, chain_id)
    known = {a: "multi_send" for a in OFFICIAL_MULTISEND_CALL_ONLY} | {a: "erc20" for a in tokens}
    known |= landmarks.contracts(chain_id) | {wallet: "safe"}
    leaves = to_leaves(Part(tx.to, tx.value, tx.data), known, tx.operation)
    digest = safe.safe_tx_hash(chain_id, wallet, tx)
    lines = describe(
        chain_id, wallet, tx, leaves, tokens, landmarks.names(chain_id), landmarks.chain(chain_id)
    )
    lines += [
        f"Safe transaction hash: 0x{digest.hex()}",
        f"Signing as {stored.name} ({stored.address}), {stored.environment.value}.",
    ]

    def finish() -> bytes:
        secret = (
            resolve(password)
            if password
            else _ask(f"Password of {stored.name} to sign this, empty to refuse: ")
        )
        if not secret.reveal():
            raise Denied("OWNER_REFUSED", f"{stored.name} did not sign", "Nothing was signed.")
        return store.open(stored, secret).sign(digest)

    return lines, finish


def _ask(question: str) -> Secret:
    from keys.signer.vault import ask_on_tty

    return ask_on_tty(question)


def main(argv: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        prog="keys.owner_sign", description="One owner signs one Safe transaction."
    )
    parser.add_argument("--key", help="the key's name or address")
    parser.add_argument("--address", help="the owner's address; another key is refused")
    parser.add_argument("--environment", required=True, choices=[e.value for e in Environment])
    parser.add_argument(
        "--keystore", type=Path, required=True, help="the folder of keystores, or one keystore file"
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
            data = json.loads(sys.stdin.buffer.read(_MAX_INPUT))
        except (ValueError, RecursionError):
            data = None
        if not isinstance(data, dict):
            raise Usage("SAFE_TX_INVALID", "stdin is not a JSON object")
        store, stored = find(given.key, given.address, given.keystore, Environment(given.environment))
        lines, finish = prepare(data, store, stored, given.password)
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
