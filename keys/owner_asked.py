"""What the programs share that have one person sign one thing, each in a process of its own: `owner_freeze`, `owner_delegate`, `owner_operate`.

    python -m keys.PROGRAM --environment ENV --address 0x… (--keystore FOLDER_OR_FILE | --signer JSON) < request.json

One JSON object comes on stdin, one goes to stdout; what a person is to read, and errors, go to stderr. Exit status: 0 signed, 2 bad input,
3 refused.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from chains.bounded_json import loads
from chains.errors import FairleadError, Usage
from chains.types import Environment
from keys.hardening import harden
from keys.keystore import find, open_stored
from keys.secrets import ask_on_tty
from keys.signers import Signer, open_signer, read_spec

Work = Callable[[argparse.Namespace, dict[str, Any]], dict[str, Any]]
"""Reads the request, says in words what it is, has it signed, gives what goes to stdout. Raises what the program is to answer with."""


def asked(
    argv: list[str] | None,
    prog: str,
    description: str,
    invalid: str,
    most_bytes: int,
    work: Work,
    allow: str = "",
) -> int:
    """Runs the program to its exit status. `invalid`: the code of what is no request; `allow`: what --allow says, where there is one."""
    parser = argparse.ArgumentParser(prog=prog, description=description)
    parser.add_argument("--address", required=True, help="the key's address; another key is refused")
    parser.add_argument("--environment", required=True, choices=[e.value for e in Environment])
    if allow:
        parser.add_argument("--allow", action="append", default=[], help=allow)
    parser.add_argument("--keystore", type=Path, help="the folder of keystores, or one keystore file")
    parser.add_argument("--signer", metavar="JSON", help="a key of any kind, as keys.signers describes it")
    parser.add_argument(
        "--password", metavar="REFERENCE", help="a secret reference; else the terminal is asked"
    )
    given = parser.parse_args(argv)
    harden()
    try:
        try:
            data = loads(sys.stdin.buffer.read(most_bytes))
        except ValueError:
            data = None
        if not isinstance(data, dict):
            raise Usage(invalid, "stdin is not a JSON object")
        print(json.dumps(work(given, data)), flush=True)
    except FairleadError as error:
        print(f"error {error}", file=sys.stderr)
        return error.exit_status
    except KeyboardInterrupt:
        print("error OWNER_REFUSED: nothing was signed", file=sys.stderr)
        return 3
    return 0


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
