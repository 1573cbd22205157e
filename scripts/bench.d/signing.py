"""Signing an order for Hyperliquid: request text to signature through the signer's policy, beside the venue's own SDK and ccxt.

    python scripts/bench.d/signing.py [--count 500] [--json]

All three sign the same actions with the same throw-away key, in one run, and must give the same signatures. Ours reads the request,
judges it against limits, hashes and signs; the peers hash and sign, in an environment of their own. Without the ledger's fsync and
without the socket to the signer: see `journal` for the disk. Exit 1 above 1 ms (p50), or where a signature differs.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from decimal import Decimal
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from keys.curve import SigningKey
from keys.hyperliquid import action_hash, agent_digest
from keys.signer import hyperliquid
from keys.signer.exchange_orders import SymbolLimit

ROOT = Path(__file__).resolve().parents[2]
TARGET_US, NOW_MS, SECRET = 1_000.0, 1_800_000_000_000, "07" * 32
LIMITS = {"10000": SymbolLimit(Decimal(10**6), Decimal(10**9), Decimal(1), Decimal(100))}


def asked(count: int) -> list[dict[str, Any]]:
    def order(number: int) -> dict[str, Any]:
        fields = {
            "a": 10_000,
            "b": number % 2 == 0,
            "p": f"{20 + number % 70}.5",
            "s": f"{number % 900 + 1}.25",
        }
        return fields | {"r": False, "t": {"limit": {"tif": "Gtc"}}, "c": f"0x{number:032x}"}

    return [
        {
            "action": {"type": "order", "orders": [order(n)], "grouping": "na"},
            "nonce": NOW_MS + n,
            "expiresAfter": NOW_MS + 5_000,
        }
        for n in range(count)
    ]


def ours(these: list[dict[str, Any]]) -> dict[str, Any]:
    key, took, told = SigningKey(bytes.fromhex(SECRET)), [], []
    for one in these:
        begin = time.perf_counter()
        payload = json.dumps(
            {"action": one["action"], "expiresAfter": one["expiresAfter"]}, separators=(",", ":")
        )
        judged = hyperliquid.check("POST", "/exchange", payload, now_ms=NOW_MS)
        hyperliquid.judged(judged, LIMITS, {}, NOW_MS)
        raw = key.sign(
            agent_digest(action_hash(judged.action, one["nonce"], None, judged.expires_ms), mainnet=True)
        )
        took.append((time.perf_counter() - begin) * 1e6)
        told.append([int.from_bytes(raw[:32], "big"), int.from_bytes(raw[32:64], "big"), raw[64]])
    took.sort()
    return {"p50_us": took[len(took) // 2], "p99_us": took[int(len(took) * 0.99)], "signatures": told}


def theirs(these: list[dict[str, Any]]) -> dict[str, Any]:
    python = os.environ.get("FAIRLEAD_PEERS")
    if not python:
        return {}
    with tempfile.NamedTemporaryFile("w", suffix=".json") as file:
        json.dump({"key": "0x" + SECRET, "asked": these}, file)
        file.flush()
        script = str(ROOT / "scripts" / "peers" / "hyperliquid_signing.py")
        done = subprocess.run([python, script, file.name], capture_output=True, text=True, check=True)
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--count", type=int, default=500)
    parser.add_argument("--json", action="store_true")
    given = parser.parse_args()
    these = asked(given.count)
    ours(these[:50])  # warm
    all_of_them = {"fairlead": ours(these), **theirs(these)}
    mine = all_of_them["fairlead"]
    same = all(one["signatures"] == mine["signatures"] for one in all_of_them.values())
    out = {name: {k: round(v, 1) for k, v in one.items() if k != "signatures"} for name, one in all_of_them.items()}  # fmt: skip
    out |= {"orders": len(these), "same_signatures": same, "peers": len(all_of_them) - 1}
    print(json.dumps(out) if given.json else "\n".join(f"{name:16} {value}" for name, value in out.items()))
    return 0 if same and mine["p50_us"] <= TARGET_US else 1


if __name__ == "__main__":
    sys.exit(main())
