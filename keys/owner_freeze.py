"""One owner stops the agent: signs `freeze()` of a Gate with the owner's own account, attended, and nothing else.

    python -m keys.owner_freeze --environment ENV --address 0x… (--keystore FOLDER_OR_FILE | --signer JSON) < request.json

The request is {"chain_id", "nonce", "gate", "gas", "max_fee_wei", "max_priority_fee_wei"}, amounts as decimal strings; the calldata is
made here, so that whoever asks can get no other signature. The signed transaction goes to stdout as {"raw", "hash"}. Where the key is
named, and exit statuses, as `keys.owner_sign`.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Mapping
from typing import Any

from chains.errors import Usage
from chains.types import Address, Environment, Fees, SignedTx, UnsignedTx
from contracts.codec import encode
from contracts.hashing import to_checksum
from keys.owner_asked import asked, open_key

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


def sign(tx: UnsignedTx, given: argparse.Namespace, environment: Environment) -> SignedTx:
    """Opens the owner's key, which asks for its password or on its screen, and signs. Raises Usage, Denied, Retry."""
    signer = open_key(given, environment, "to freeze the agent")
    try:
        return signer.sign_transaction(tx)
    finally:
        signer.close()


def _work(given: argparse.Namespace, data: dict[str, Any]) -> dict[str, Any]:
    tx = transaction(data)
    print(
        f"Stops the agent at the Gate {tx.to} on chain {tx.chain_id}; costs at most {tx.gas * tx.fees.max_fee_wei} wei of {given.address}.",
        file=sys.stderr,
        flush=True,
    )
    signed = sign(tx, given, Environment(given.environment))
    return {"raw": "0x" + signed.raw.hex(), "hash": signed.hash}


def main(argv: list[str] | None = None) -> int:
    return asked(argv, "keys.owner_freeze", "One owner stops the agent.", "FREEZE_INVALID", 1 << 16, _work)


if __name__ == "__main__":
    sys.exit(main())
