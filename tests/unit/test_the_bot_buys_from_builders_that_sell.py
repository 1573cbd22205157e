"""`devnet up --with sandwich --builder …`: the bot is told the doors of those builders that sell what they are told, and of no others."""

from __future__ import annotations

from pathlib import Path

from agent.app.devnet_extras import sandwich_service
from chains.devnet.service import Status

URL = "http://127.0.0.1:1"
POOLS = [{"kind": "uniswap_v3", "address": "0xab"}, {"kind": "balancer_v2_stable", "address": "0xcd"}]


def test_the_doors_of_sellers_alone() -> None:
    status = Status(None, Path("/"), True, (), (), {1: URL}, {1: URL}, None)
    builders = ("titan:49:leaks=sell", "buildernet:28:leaks=publish", "flashbots:17")
    argv = list(sandwich_service(status, POOLS, builders).argv)
    doors = [argv[i + 1] for i, word in enumerate(argv) if word == "--builder"]
    assert doors == [f"titan={URL}/builder/titan"]
    assert [argv[i + 1] for i, word in enumerate(argv) if word == "--pool"] == ["uniswap_v3:0xab"]
    assert "--builder" not in sandwich_service(status, POOLS).argv
