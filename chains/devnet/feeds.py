"""Keeps the devnet's mock price feeds fresh: a real feed has a heartbeat, the mock has none.

python -m chains.devnet.feeds --rpc http://127.0.0.1:PORT [--rpc …] [--every 300]
"""

from __future__ import annotations

import argparse
import sys
import time

from chains.devnet.jsonrpc import Rpc
from chains.devnet.nodes import environment_at
from chains.devnet.service import refresh_feeds
from chains.errors import Denied, FairleadError, Retry


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        prog="python -m chains.devnet.feeds", description="Keeps mock price feeds fresh."
    )
    parser.add_argument(
        "--rpc", action="append", required=True, help="a devnet chain's url that answers cheat methods"
    )
    parser.add_argument("--every", type=float, default=300.0, help="seconds between two rounds")
    options = parser.parse_args(arguments)
    try:
        for url in options.rpc:
            if environment_at(url) is None:
                raise Denied("NOT_A_DEVNET", f"{url} is no devnet chain")
        while True:
            time.sleep(options.every)
            for url in options.rpc:
                _round(url)
    except FairleadError as error:
        print(f"feeds: {error}", file=sys.stderr)
        return error.exit_status
    except KeyboardInterrupt:
        return 0


def _round(url: str) -> None:
    """One chain; a chain that does not answer now is tried again in the next round."""
    try:
        with Rpc(url) as rpc:
            refresh_feeds(rpc, int(rpc("eth_chainId"), 16))
    except Retry as why:
        print(f"feeds: {why}", file=sys.stderr)


if __name__ == "__main__":
    sys.exit(main())
