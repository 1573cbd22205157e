"""The door between a rehearsal's Anvil and the RPC it forks: Anvil's command line, which anybody may read, names only the door.

    python -m chains.devnet.upstream --url-file FILE --ready-file FILE

The url file (mode 0600) is removed once read; the ready file then holds the door's own url. State, blocks and logs pass;
calls, simulations and transactions do not: what is rehearsed stays on this machine.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import signal
import sys
from pathlib import Path

import aiohttp

from chains.errors import FairleadError, Usage
from chains.fork_proxy import ForkProxy
from chains.rpc import Rpc

HISTORY = frozenset(
    """eth_getBlockReceipts eth_getBlockTransactionCountByHash eth_getBlockTransactionCountByNumber eth_getLogs
    eth_getTransactionByBlockHashAndIndex eth_getTransactionByBlockNumberAndIndex eth_getUncleCountByBlockHash
    eth_getUncleCountByBlockNumber eth_syncing""".split()
)


async def serve(url: str, ready: Path) -> None:
    stop = asyncio.Event()
    for name in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(name, stop.set)
    async with aiohttp.ClientSession() as session:
        door = ForkProxy([Rpc(url, session)], HISTORY)
        await door.start()
        try:
            write_private(ready, door.url)
            await stop.wait()
        finally:
            await door.stop()


def write_private(path: Path, text: str) -> None:
    """Write for this user only, whole or not at all."""
    part = path.with_suffix(".part")
    part.unlink(missing_ok=True)
    with os.fdopen(os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as out:
        out.write(text)
    part.replace(path)


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        prog="python -m chains.devnet.upstream", description="The door of a local fork."
    )
    parser.add_argument("--url-file", type=Path, required=True, help="holds the RPC's url; removed once read")
    parser.add_argument("--ready-file", type=Path, required=True, help="gets the door's own url")
    options = parser.parse_args(arguments)
    try:
        try:
            url = options.url_file.read_text().strip()
            options.url_file.unlink()
        except OSError as why:
            raise Usage("URL_FILE", f"{options.url_file} cannot be read: {why.strerror}") from why
        asyncio.run(serve(url, options.ready_file))
    except FairleadError as error:
        print(f"upstream: {error}", file=sys.stderr)
        return error.exit_status
    return 0


if __name__ == "__main__":
    sys.exit(main())
