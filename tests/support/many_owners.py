"""A second wallet on a home's chains, with as many owners as a test wants: its own Safe, keys, signer, settings and journal."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from home_fixture import Home

from agent.app.devnet_home import create_wallet, write_settings
from agent.app.devnet_signer import socket_path, write_signer
from agent.app.multisig import files
from agent.app.throwaway_keys import Throwaway, make_keys
from chains.devnet import service
from chains.devnet.funding import give_eth
from chains.devnet.jsonrpc import Rpc
from chains.types import Address, Environment
from contracts.codec import encode
from keys.client import start_signer
from keys.local_keystore import LocalKeystore
from keys.safe_document import Confirmation
from keys.secrets import resolve


@dataclass
class OtherWallet:
    home: Home
    keys: Throwaway
    safe: Address
    settings: Path

    def sign_elsewhere(self, path: Path, owners: int) -> None:
        """The first owners sign on machines of their own; their signatures are put into the file."""
        document = files.read(path)
        for stored in self.keys.owners[:owners]:
            key = LocalKeystore(stored.path.parent).open(stored, resolve(self.keys.password))
            files.add(path, Confirmation(stored.address, key.sign(document.digest)), document.chain_id)


def as_the_safe(url: str, safe: Address, data: bytes) -> None:
    """The Safe calls itself, without anybody's signature: a devnet's cheat."""
    with Rpc(url) as rpc:
        rpc("anvil_impersonateAccount", safe)
        give_eth(url, safe, 10**18)
        sent = rpc(
            "eth_sendTransaction", {"from": safe, "to": safe, "data": "0x" + data.hex(), "gas": "0x7a120"}
        )
        rpc("evm_mine")
        assert int(rpc("eth_getTransactionReceipt", sent)["status"], 16) == 1
        rpc("anvil_stopImpersonatingAccount", safe)


@contextmanager
def another_wallet(
    home: Home,
    folder: Path,
    owners: int,
    threshold: int,
    more: Sequence[Address] = (),
    needed: int | None = None,
    version: str = "1.4.1",
) -> Iterator[OtherWallet]:
    """`more`: owners without a key here, on chain 1 only; then `needed` must sign there."""
    keys = make_keys(folder / "home", Environment.DEVNET, owners, threshold)
    for name in ("exchange-secret", "exchange-key"):  # one account at the paper exchange
        shutil.copy(home.runtime / "home" / name, keys.folder / name)
    status = service.status(runtime=home.runtime)
    safe = create_wallet(status, keys, lambda line: None, version)
    write_signer(keys, safe, list(status.urls))
    for owner in more:
        data = encode("safe", "addOwnerWithThreshold", (owner, needed or threshold))
        as_the_safe(status.cheat_urls[1], safe, data)
    if more:
        config = json.loads((keys.folder / "signer.json").read_text())
        config["chains"][0] |= {
            "owners": [*config["chains"][0]["owners"], *more],
            "threshold": needed or threshold,
        }
        (keys.folder / "signer.json").write_text(json.dumps(config))
    settings = keys.folder / "fairlead.toml"
    write_settings(status, keys, settings, safe=safe)
    signer = start_signer(socket_path(keys.folder), keys.folder / "signer.json", folder / "signer.log")
    try:
        yield OtherWallet(replace(home, settings_path=settings), keys, safe, settings)
    finally:
        signer.terminate()
        signer.wait(10)
