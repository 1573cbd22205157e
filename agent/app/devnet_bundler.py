"""The devnet's bundler as one of its services: a key of its own, which nobody else knows, and ether for its bundles."""

from __future__ import annotations

import os
import secrets
import sys
from pathlib import Path

from chains.devnet.funding import give_eth
from chains.devnet.service import Status
from chains.devnet.supervisor import Service
from keys.curve import SigningKey

CHAIN = 1
BUNDLER = "bundler"
_FUNDS_WEI = 100 * 10**18


def bundler_services(status: Status, folder: Path) -> list[Service]:
    """The bundler of chain 1, none where that chain does not run. It bundles through the chain's own door, as its block builder would:
    what it sends is in no public pool, and it has no peers. That is what `private = true` means in the devnet's settings."""
    url = status.cheat_urls.get(CHAIN)
    if url is None:
        return []
    secret, key_file = secrets.token_bytes(32), folder / "bundler.key"
    with os.fdopen(os.open(key_file, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as out:
        out.write(secret.hex())
    give_eth(url, SigningKey(secret).address, _FUNDS_WEI)
    argv = [
        sys.executable,
        "-m",
        "chains.devnet.bundler",
        "--port",
        "{port}",
        "--rpc",
        url,
        "--key-file",
        str(key_file),
    ]
    return [Service(BUNDLER, argv, "http://127.0.0.1:{port}", "http://127.0.0.1:{port}/")]
