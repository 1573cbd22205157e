"""Signs the actions of a JSON file as Hyperliquid's own SDK and as ccxt do; prints the signatures and microseconds, as JSON.

Runs in an environment of its own (requirements.lock beside it). The key is a throw-away one of the benchmark.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable
from typing import Any

import ccxt
import eth_account
from hyperliquid.utils import signing

given = json.load(open(sys.argv[1]))
wallet = eth_account.Account.from_key(given["key"])
exchange = ccxt.hyperliquid({"privateKey": given["key"], "walletAddress": wallet.address})


def sdk(one: dict[str, Any]) -> Any:
    return signing.sign_l1_action(wallet, one["action"], None, one["nonce"], one["expiresAfter"], True)


def library(one: dict[str, Any]) -> Any:
    return exchange.sign_l1_action(one["action"], one["nonce"], None, one["expiresAfter"])


def timed(sign: Callable[[dict[str, Any]], Any]) -> dict[str, Any]:
    took, told = [], []
    for one in given["asked"]:
        begin = time.perf_counter()
        parts = sign(one)
        took.append((time.perf_counter() - begin) * 1e6)
        told.append([int(parts["r"], 16), int(parts["s"], 16), int(parts["v"])])
    took.sort()
    return {"p50_us": took[len(took) // 2], "p99_us": took[int(len(took) * 0.99)], "signatures": told}


print(json.dumps({"sdk": timed(sdk), "ccxt": timed(library)}))
