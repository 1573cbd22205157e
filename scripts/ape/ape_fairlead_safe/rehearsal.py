"""One fork, one Safe: throw-away keys of the fork environment, their signer process, and the owners replaced by them."""

from __future__ import annotations

import atexit
import shutil
import subprocess
import tempfile
from dataclasses import dataclass
from pathlib import Path

from agent.app.devnet_home import GAS_WEI
from agent.app.devnet_signer import socket_path, write_signer
from agent.app.throwaway_keys import Throwaway, make_keys
from chains.devnet.funding import give_eth
from chains.devnet.jsonrpc import Rpc
from chains.devnet.nodes import set_marker
from chains.devnet.rehearsal import replace_safe_owners, safe_owners
from chains.types import Address, Environment
from keys.client import start_signer

_running: dict[tuple[str, str], Rehearsal] = {}


@dataclass
class Rehearsal:
    """`socket` is the signer's; `keys` belong to nothing but this fork."""

    folder: Path
    keys: Throwaway
    process: subprocess.Popen[bytes]
    socket: Path

    def end(self) -> None:
        self.process.terminate()
        self.process.wait(10)
        shutil.rmtree(self.folder, ignore_errors=True)
        if self.socket.parent != self.folder:
            shutil.rmtree(self.socket.parent, ignore_errors=True)


def begin(url: str, chain_id: int, safe: Address) -> Rehearsal:
    """A new rehearsal on the fork at `url`, an Anvil; an earlier one of the same Safe there ends. Raises Usage NOT_A_SAFE."""
    end(url, safe)
    with Rpc(url) as rpc:
        before = safe_owners(rpc, safe)
        set_marker(rpc, Environment.FORK)
    folder = Path(tempfile.mkdtemp(prefix="fairlead-ape-"))
    keys = make_keys(folder / "home", Environment.FORK, len(before.owners), before.threshold)
    write_signer(keys, safe, [chain_id])
    socket = socket_path(keys.folder)
    process = start_signer(socket, keys.folder / "signer.json", folder / "signer.log")
    rehearsal = _running[url, safe] = Rehearsal(folder, keys, process, socket)
    replace_safe_owners(url, safe, [key.address for key in keys.owners], keys.threshold)
    give_eth(url, keys.sender.address, GAS_WEI)
    return rehearsal


def current(url: str, chain_id: int, safe: Address) -> Rehearsal:
    """The rehearsal that runs, or a new one."""
    return _running.get((url, safe)) or begin(url, chain_id, safe)


def end(url: str, safe: Address) -> None:
    rehearsal = _running.pop((url, safe), None)
    if rehearsal is not None:
        rehearsal.end()


@atexit.register
def end_all() -> None:
    for url, safe in list(_running):
        end(url, Address(safe))
