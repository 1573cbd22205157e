"""The genuine QuoterV2 in revm, over the state of a chain that is served here: calls told on standard input, answers and their time on standard output.

In: {url, quoter, calls: [hex]}. Out: {out: [hex, "" where it reverts], ms, version}. Runs in an environment of its own. The state is read at the first round, which is not timed.
"""

from __future__ import annotations

import json
import sys
import time
from importlib.metadata import version

from pyrevm import EVM


def main() -> None:
    told = json.loads(sys.stdin.read())
    evm = EVM(fork_url=told["url"])
    calls = [bytes.fromhex(call) for call in told["calls"]]
    caller = "0x" + "0f" * 20

    def round_of() -> list[str]:
        out = []
        for call in calls:
            try:
                out.append(bytes(evm.message_call(caller=caller, to=told["quoter"], calldata=call)).hex())
            except RuntimeError:  # what the quoter refuses, revm raises
                out.append("")
        return out

    round_of()
    begun = time.perf_counter()
    out = round_of()
    print(json.dumps({"out": out, "ms": (time.perf_counter() - begun) * 1e3, "version": version("pyrevm")}))


if __name__ == "__main__":
    main()
