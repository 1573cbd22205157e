"""A key of one's own is told to run code (EIP-7702), or no longer: signs that one transaction, attended, and nothing else.

    python -m keys.owner_delegate --environment ENV --address 0x… --allow 0x… (--keystore FOLDER_OR_FILE | --signer JSON) < request.json

The request is {"chain_id", "nonce", "delegate", "gas", "max_fee_wei", "max_priority_fee_wei"}, amounts as decimal strings. The transaction is
the account's own, to itself, without value or calldata; the authorization in it is for this chain and for the nonce after it. Only code
that `--allow` lists is delegated to; the zero address, which takes a delegation back, always. What that means is told on stderr before the
key is asked for. {"raw", "hash"} go to stdout. Where the key is named, and exit statuses, as `keys.owner_asked`.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Mapping
from typing import Any

from chains.errors import Usage
from chains.types import ZERO_ADDRESS, Address, Environment, Fees, SignedTx, UnsignedTx
from contracts.hashing import to_checksum
from keys.delegations import Authorization, judge, sign, sign_set_code
from keys.owner_asked import asked, open_key
from keys.policy_settings import ChainPolicy
from keys.signers import Signer

MOST_GAS = 500_000
_FIELDS = ("chain_id", "nonce", "gas", "max_fee_wei", "max_priority_fee_wei")


def read(data: Mapping[str, Any], account: Address) -> tuple[UnsignedTx, Authorization]:
    """The one transaction this signs, and the authorization in it. Raises Usage DELEGATION_INVALID."""
    try:
        numbers = {name: int(data[name]) for name in _FIELDS}
        delegate = Address(to_checksum(data["delegate"]))
    except (KeyError, TypeError, ValueError) as error:
        raise Usage("DELEGATION_INVALID", f"the request is not whole: {error}") from None
    if any(value < 0 for value in numbers.values()) or numbers["gas"] > MOST_GAS:
        raise Usage("DELEGATION_INVALID", f"a number is negative, or gas is more than {MOST_GAS:,}")
    fees = Fees(numbers["max_fee_wei"], numbers["max_priority_fee_wei"])
    chain_id, nonce = numbers["chain_id"], numbers["nonce"]
    tx = UnsignedTx(chain_id, nonce, account, 0, b"", numbers["gas"], fees)
    return tx, Authorization(chain_id, delegate, nonce + 1)


def words(auth: Authorization, account: str) -> str:
    """What the authorization does, for whoever is to sign it."""
    where = f"on chain {auth.chain_id}"
    if auth.delegate == ZERO_ADDRESS:
        return f"Takes back what {account} was told to run {where}: from then on it is an ordinary key's account again."
    return (
        f"FROM THEN ON {account} RUNS THE CODE OF {auth.delegate} {where}. Whoever that code obeys can do everything this key can, without asking "
        "it again: move all its coins and tokens, use every approval it has, consent in its name where contracts are asked. It lasts until it is taken back."
    )


def policy_of(chain_id: int, account: Address, allow: frozenset[str]) -> ChainPolicy:
    """As far as a delegation is judged by it."""
    return ChainPolicy(chain_id, account, frozenset(), 1, {}, frozenset(), {}, ZERO_ADDRESS, delegates=allow)


def signed(signer: Signer, tx: UnsignedTx, auth: Authorization, policy: ChainPolicy) -> SignedTx:
    """Raises Denied POLICY_DELEGATE, DELEGATION_UNSUPPORTED."""
    return sign_set_code(signer, tx, [sign(signer, auth, policy)], policy)


def _work(given: argparse.Namespace, data: dict[str, Any]) -> dict[str, Any]:
    account = Address(to_checksum(given.address))
    tx, auth = read(data, account)
    policy = policy_of(tx.chain_id, account, frozenset(to_checksum(a) for a in given.allow))
    judge(auth, policy)
    costs = f"It costs at most {tx.gas * tx.fees.max_fee_wei} wei of {account}."
    print(words(auth, account), costs, sep="\n", file=sys.stderr, flush=True)
    signer = open_key(given, Environment(given.environment), "to sign this delegation")
    try:
        found = signed(signer, tx, auth, policy)
    finally:
        signer.close()
    return {"raw": "0x" + found.raw.hex(), "hash": found.hash}


def main(argv: list[str] | None = None) -> int:
    return asked(
        argv,
        "keys.owner_delegate",
        "A key is told to run code.",
        "DELEGATION_INVALID",
        1 << 16,
        _work,
        "code that it may be told to run",
    )


if __name__ == "__main__":
    sys.exit(main())
