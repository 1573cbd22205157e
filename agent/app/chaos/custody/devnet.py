"""A devnet for one run: made in a folder of its own and ended with it, or one that is named and proves to be a devnet."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from chains.devnet import service
from chains.devnet.jsonrpc import Rpc
from chains.devnet.nodes import environment_at
from chains.errors import Denied, Usage
from chains.types import Environment

CHAINS = (1, 8453)


@contextmanager
def own_devnet(named: Mapping[int, str], say: Callable[[str], None]) -> Iterator[Mapping[int, str]]:
    """Urls that answer Anvil's cheat methods, by chain. Raises Denied NOT_A_DEVNET for anything but a devnet of ours."""
    if named:
        if set(named) != set(CHAINS):
            raise Usage(
                "BAD_RPC", "a url for chain 1 and one for chain 8453 are needed", "name both with --rpc"
            )
        for chain, url in named.items():
            if environment_at(url) is not Environment.DEVNET:
                raise Denied("NOT_A_DEVNET", f"chain {chain} is not on a devnet of ours", "leave --rpc out")
            with Rpc(url) as rpc:
                if int(rpc("eth_chainId"), 16) != chain:
                    raise Denied(
                        "NOT_A_DEVNET", f"the url given for chain {chain} is another", "leave --rpc out"
                    )
        yield named
        return
    with tempfile.TemporaryDirectory(prefix="fairlead-chaos-") as folder:
        runtime = Path(folder)
        try:
            yield service.up(runtime=runtime, chains=CHAINS, fast=True, relay=False, progress=say).cheat_urls
        finally:
            service.down(runtime=runtime)
