"""A key that runs code operates through EntryPoint 0.8: signs one user operation of its own account, attended, and nothing else.

    python -m keys.owner_operate --environment ENV --address 0x… --allow 0x… (--keystore FOLDER_OR_FILE | --signer JSON) < request.json

The request is {"chain_id", "delegate", "op"}, the operation as ERC-7769's object. It carries one call, in the canonical `execute` of
Simple7702Account; what that call does is told on stderr before the key is asked for. An operation that creates its sender, that somebody
else pays, or whose account runs code that `--allow` does not list is refused. The signature names that code (the factory is EIP-7702's marker,
for which the EntryPoint's hash stands on the delegate): told wrong, or under other code later, it is void. It has no end of its own, and holds
until the nonce is used or the delegation taken back. {"signature"} goes to stdout. Where the key is named, and exit statuses, as `keys.owner_asked`.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from chains.errors import Usage
from chains.types import Address, Environment
from chains.userops import UserOperation, from_json
from chains.userops_08 import MARKER
from contracts.abi_types import AbiError
from contracts.codec import decode_call, encode
from contracts.hashing import to_checksum
from keys import reading
from keys.delegations import typed_operation
from keys.owner_asked import asked, open_key
from keys.owner_delegate import policy_of
from keys.safe import SafeTx


def read(data: Mapping[str, Any], account: Address) -> tuple[int, Address, UserOperation, SafeTx]:
    """Chain, delegate, the bare operation, and the call it carries. Raises Usage OPERATION_INVALID, USER_OP_INVALID."""
    try:
        chain_id, delegate = int(data["chain_id"]), Address(to_checksum(data["delegate"]))
        op = replace(from_json(data["op"]), signature=b"")
        args = decode_call("simple_7702_account", op.call_data).args
    except (KeyError, TypeError, ValueError, AbiError) as error:
        raise Usage("OPERATION_INVALID", f"the request is not whole: {error}") from None
    if op.sender != account or op.paymaster is not None:
        raise Usage("OPERATION_INVALID", "the operation is another account's, or is paid by another")
    if op.factory != MARKER or op.factory_data:
        raise Usage(
            "OPERATION_INVALID",
            "the operation creates an account, or does not name the code that its own runs",
            "its factory is EIP-7702's marker, and nothing after it",
        )
    call = SafeTx(Address(args["target"]), args["value"], args["data"], 0, 0)
    if executing(call.to, call.value, call.data) != op.call_data:
        raise Usage("OPERATION_INVALID", "its callData is not the canonical form of one call")
    return chain_id, delegate, op, call


def executing(to: str, value: int, data: bytes) -> bytes:
    """callData of one call by an account that runs Simple7702Account."""
    return encode("simple_7702_account", "execute", (to, value, data))


def words(chain_id: int, account: Address, op: UserOperation, call: SafeTx) -> list[str]:
    """What it does, and what it may cost, for whoever is to sign it."""
    said = reading.sentences_of(chain_id, account, call, {})[1:]
    return [f"As {account} on chain {chain_id}, for at most {op.prefund_wei} wei of gas:", *said]


def _work(given: argparse.Namespace, data: dict[str, Any]) -> dict[str, Any]:
    account = Address(to_checksum(given.address))
    chain_id, delegate, op, call = read(data, account)
    policy = policy_of(chain_id, account, frozenset(to_checksum(a) for a in given.allow))
    typed = typed_operation(chain_id, op, delegate, policy)
    print("\n".join(words(chain_id, account, op, call)), file=sys.stderr, flush=True)
    signer = open_key(given, Environment(given.environment), "to sign this operation")
    try:
        signature = signer.sign_typed(typed)
    finally:
        signer.close()
    return {"signature": "0x" + signature.hex()}


def main(argv: list[str] | None = None) -> int:
    return asked(
        argv,
        "keys.owner_operate",
        "A key that runs code operates.",
        "OPERATION_INVALID",
        1 << 20,
        _work,
        "code that it may run",
    )


if __name__ == "__main__":
    sys.exit(main())
