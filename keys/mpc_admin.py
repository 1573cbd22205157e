"""What is done once or rarely with a key in shares; the protocol is in `keys.mpc`.

    python -m keys.mpc_admin vault FILE --password REF          a share's vault with a fresh channel key; prints its public key
    python -m keys.mpc_admin coordinator FILE                   a coordinator's channel key (mode 0600); prints its public key
    python -m keys.mpc_admin keygen  --environment ENV --group FILE --identity REF    a new key in every share; prints its address
    python -m keys.mpc_admin refresh --environment ENV --group FILE --identity REF    new parts of the same key
    python -m keys.mpc_admin status  --environment ENV --group FILE --identity REF    JSON: what each share says of itself

Exit status as everywhere: 0 done, 2 bad input, 3 refused, 4 try again.
"""

from __future__ import annotations

import argparse
import json
import os
import secrets
import sys
from pathlib import Path

from chains.errors import FairleadError, Usage
from chains.types import Environment
from keys import mpc_vault
from keys.hardening import harden
from keys.mpc import coordinator_of
from keys.noise import KEY, public_of
from keys.secrets import resolve


def _coordinator(path: Path) -> str:
    secret = secrets.token_bytes(KEY)
    try:
        handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except OSError as error:
        raise Usage("MPC_VAULT_EXISTS", f"{path}: {error.strerror}", "A key is never written over.") from None
    with os.fdopen(handle, "w") as out:
        out.write(secret.hex())
    return public_of(secret).hex()


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="keys.mpc_admin", description="A key in shares.")
    verbs = parser.add_subparsers(dest="verb", required=True)
    vault = verbs.add_parser("vault", help="make a share's vault")
    vault.add_argument("file", type=Path)
    vault.add_argument("--password", required=True, metavar="REFERENCE")
    verbs.add_parser("coordinator", help="make a coordinator's key").add_argument("file", type=Path)
    for name in ("keygen", "refresh", "status"):
        verb = verbs.add_parser(name)
        verb.add_argument("--environment", required=True, choices=[e.value for e in Environment])
        verb.add_argument("--group", required=True)
        verb.add_argument("--identity", required=True, metavar="REFERENCE")
        verb.add_argument("--timeout-s", type=float, default=120.0)
    return parser


def main(argv: list[str] | None = None) -> int:
    given = _parser().parse_args(argv)
    harden()
    try:
        if given.verb == "vault":
            print(mpc_vault.create(given.file, resolve(given.password)).public_identity.hex())
        elif given.verb == "coordinator":
            print(_coordinator(given.file))
        else:
            options = {"group": given.group, "identity": given.identity}
            coordinator = coordinator_of(options, Environment(given.environment), given.timeout_s)
            if given.verb == "status":
                print(json.dumps(coordinator.status()))
            else:
                address, generation = (
                    coordinator.keygen() if given.verb == "keygen" else coordinator.refresh()
                )
                print(json.dumps({"address": address, "generation": generation}))
    except FairleadError as error:
        print(f"error {error}", file=sys.stderr)
        return error.exit_status
    return 0


if __name__ == "__main__":
    sys.exit(main())
