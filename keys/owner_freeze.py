"""One owner stops the agent: signs `freeze()` of a Gate with the owner's own account, attended, and nothing else.

    python -m keys.owner_freeze --environment ENV --address 0x… (--keystore FOLDER_OR_FILE | --signer JSON) < request.json

The request is {"chain_id", "nonce", "gate", "gas", "max_fee_wei", "max_priority_fee_wei"}, amounts as decimal strings; the calldata is
made here, so that whoever asks can get no other signature. The signed transaction goes to stdout as {"raw", "hash"}. Where the key is
named, and exit statuses, as `keys.owner_sign`.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from chains.bounded_json import loads
from chains.errors import FairleadError, Usage
from chains.types import Address, Environment, Fees, SignedTx, UnsignedTx
from contracts.codec import encode
from contracts.hashing import to_checksum
from keys.hardening import harden
from keys.keystore import find, open_stored
from keys.secrets import ask_on_tty
from keys.signers import Signer, open_signer, read_spec

MOST_GAS = 500_000
_FIELDS = ("chain_id", "nonce", "gas", "max_fee_wei", "max_priority_fee_wei")


def transaction(data: Mapping[str, Any]) -> UnsignedTx:
    """The one transaction this signs. Raises Usage FREEZE_INVALID."""
    try:
        numbers = {name: int(data[name]) for name in _FIELDS}
        gate = Address(to_checksum(data["gate"]))
    except (KeyError, TypeError, ValueError) as error:
        raise Usage("FREEZE_INVALID", f"the request is not whole: {error}") from None
    if any(value < 0 for value in numbers.values()) or numbers["gas"] > MOST_GAS:
        raise Usage("FREEZE_INVALID", f"a number is negative, or gas is more than {MOST_GAS:,}")
    fees = Fees(numbers["max_fee_wei"], numbers["max_priority_fee_wei"])
    return UnsignedTx(
        numbers["chain_id"], numbers["nonce"], gate, 0, encode("gate", "freeze"), numbers["gas"], fees
    )


def open_key(given: argparse.Namespace, environment: Environment, what: str) -> Signer:
    """The key that was named, open; its password is asked for where none is given, saying `what` for. Raises Usage, Denied, Retry."""
    signer: Signer
    if given.signer is not None:
        try:
            spec = read_spec(loads(given.signer.encode()))
        except ValueError:
            raise Usage("SIGNER_CONFIG_INVALID", "--signer is not a JSON object") from None
        signer = open_signer(spec, environment, ask_on_tty)
    elif given.keystore is not None:
        store, stored = find(given.keystore, environment, None, given.address)
        question = f"Password of {stored.name} {what}, empty to refuse: "
        signer = open_stored(store, stored, given.password, ask_on_tty, question)
    else:
        raise Usage("KEY_UNKNOWN", "no key was named", "Give --keystore or --signer.")
    if signer.address.lower() != given.address.lower():
        signer.close()
        raise Usage(
            "KEY_UNKNOWN",
            f"the key is that of {signer.address}, not of {given.address}",
            "Check the settings.",
        )
    return signer


def sign(tx: UnsignedTx, given: argparse.Namespace, environment: Environment) -> SignedTx:
    """Opens the owner's key, which asks for its password or on its screen, and signs. Raises Usage, Denied, Retry."""
    signer = open_key(given, environment, "to freeze the agent")
    try:
        return signer.sign_transaction(tx)
    finally:
        signer.close()


def main(argv: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="keys.owner_freeze", description="One owner stops the agent.")
    parser.add_argument("--address", required=True, help="the owner's address; another key is refused")
    parser.add_argument("--environment", required=True, choices=[e.value for e in Environment])
    parser.add_argument("--keystore", type=Path, help="the folder of keystores, or one keystore file")
    parser.add_argument("--signer", metavar="JSON", help="a key of any kind, as keys.signers describes it")
    parser.add_argument(
        "--password", metavar="REFERENCE", help="a secret reference; else the terminal is asked"
    )
    given = parser.parse_args(argv)
    harden()
    try:
        try:
            data = loads(sys.stdin.buffer.read(1 << 16))
        except ValueError:
            data = None
        if not isinstance(data, dict):
            raise Usage("FREEZE_INVALID", "stdin is not a JSON object")
        tx = transaction(data)
        print(
            f"Stops the agent at the Gate {tx.to} on chain {tx.chain_id}; costs at most {tx.gas * tx.fees.max_fee_wei} wei of {given.address}.",
            file=sys.stderr,
            flush=True,
        )
        signed = sign(tx, given, Environment(given.environment))
        print(json.dumps({"raw": "0x" + signed.raw.hex(), "hash": signed.hash}), flush=True)
    except FairleadError as error:
        print(f"error {error}", file=sys.stderr)
        return error.exit_status
    except KeyboardInterrupt:
        print("error OWNER_REFUSED: nothing was signed", file=sys.stderr)
        return 3
    return 0


if __name__ == "__main__":
    sys.exit(main())
