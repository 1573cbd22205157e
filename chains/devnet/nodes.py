"""Anvil: its command line for a devnet chain, and its marker.

The marker is code at an address nobody has a key for; together with Anvil's own answer it says "this is our devnet".
A loopback address says nothing: a tunnel to a live node has one too.
"""

from __future__ import annotations

from pathlib import Path

from eth_utils.address import to_checksum_address
from eth_utils.crypto import keccak

from chains.devnet.jsonrpc import Rpc, RpcError
from chains.devnet.packages import tool
from chains.devnet.paths import cache_dir
from chains.errors import Reject, Retry
from chains.types import Address, Environment

MNEMONIC = "test test test test test test test test test test test junk"
# Pays for what the devnet itself sends. Nobody has its key: Anvil impersonates it.
OPERATOR = Address("0xFA171EAd00000000000000000000000000000009")
MARKER = Address(to_checksum_address(keccak(text="fairlead devnet marker")[12:]))
_CODE = {
    environment: "0x00" + f"fairlead-{environment.value}/1".encode().hex()
    for environment in (Environment.DEVNET, Environment.FORK)
}
_GAS_LIMIT = 60_000_000
STATES_ON_DISK = 200
"""Beside those in memory (500, and more of fast blocks). A state takes 2.7 MB, and Anvil's own 3,600 fill 29 GB in an hour of three chains."""


def anvil_argv(
    port: int,
    chain_id: int | None,
    *,
    block_time_s: int | None = None,
    mixed: bool = False,
    no_mining: bool = False,
    load: Path | None = None,
    dump: Path | None = None,
    fork_url: str | None = None,
    fork_block: int | None = None,
    cache: Path | None = None,
    states: int = STATES_ON_DISK,
) -> list[str]:
    """Anvil's command line on 127.0.0.1. Automine unless `no_mining` or `block_time_s` (`mixed`: a block for each
    transaction as well); `--order fifo` so that a relay decides the order. `cache` takes the states that Anvil moves to disk, the last `states`
    of them: it belongs to the run and goes with it."""
    argv = [str(tool("anvil")), "--host", "127.0.0.1", "--port", str(port), "--quiet", "--order", "fifo"]
    argv += ["--gas-limit", str(_GAS_LIMIT), "--no-request-size-limit"]
    # The well-known accounts of the devnet hold code on live chains, and a rehearsal shares no account with anything.
    argv += ["--mnemonic-random"] if fork_url is not None else ["--mnemonic", MNEMONIC]
    if dump is None:
        # A dump with the state of every construction block would be thirty times as large and nobody asks for those blocks.
        argv += ["--preserve-historical-states"]
    # "safe" and "finalized" are one and two epochs behind the head: an epoch of one block lets finality be seen.
    argv += ["--slots-in-an-epoch", "1"]
    argv += ["--cache-path", str(cache or cache_dir() / "anvil")]  # not in the home folder
    argv += ["--max-persisted-states", str(states)]
    if chain_id is not None:
        argv += ["--chain-id", str(chain_id)]
    if no_mining:
        argv += ["--no-mining"]
    elif block_time_s is not None:
        argv += ["--block-time", str(block_time_s)] + (["--mixed-mining"] if mixed else [])
    if load is not None:
        argv += ["--load-state", str(load)]
    if dump is not None:
        argv += ["--dump-state", str(dump)]
    if fork_url is not None:
        # Anvil's own cache of a fork knows chain id and block number only: two devnets would share it, and mainnet with them.
        argv += ["--fork-url", fork_url, "--no-storage-caching"]
        if fork_block is not None:
            argv += ["--fork-block-number", str(fork_block)]
    return argv


def set_marker(rpc: Rpc, environment: Environment) -> None:
    rpc("anvil_setCode", MARKER, _CODE[environment])


def send_as_operator(rpc: Rpc, to: str, data: bytes) -> str:
    """Send from OPERATOR to an Anvil (or a relay's admin port), with the money for it; the transaction's hash."""
    rpc("anvil_impersonateAccount", OPERATOR)
    rpc("anvil_setBalance", OPERATOR, hex(10**21))
    tx_hash: str = rpc(
        "eth_sendTransaction", {"from": OPERATOR, "to": to, "data": "0x" + data.hex(), "gas": hex(2_000_000)}
    )
    return tx_hash


def environment_at(url: str) -> Environment | None:
    """DEVNET or FORK where Anvil answers and carries our marker, None for everything else that answers.

    Raises Retry when nothing answers.
    """
    with Rpc(url, timeout_s=10) as rpc:
        try:
            version = rpc("web3_clientVersion")
            code = rpc("eth_getCode", MARKER, "latest")
        except RpcError:
            return None
    if not str(version).startswith("anvil/"):
        return None
    return environment_of_code(code)


def environment_of_code(code: object) -> Environment | None:
    """Which environment the code at MARKER names; None for any other code, and for none."""
    return next((environment for environment, marker in _CODE.items() if marker == code), None)


def is_local_devnet(url: str) -> bool:
    """Whether `url` is one of our Anvil chains (devnet or fork); False also when nothing answers."""
    try:
        return environment_at(url) is not None
    except (Retry, Reject):
        return False
