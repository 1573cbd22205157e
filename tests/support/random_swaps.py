"""Many states of contracts, each in a call of its own: storage is overridden, what is called is carried out in order, and nothing of it stays."""

from __future__ import annotations

from collections.abc import Sequence

from eth_abi.abi import decode
from mainnet_world import call_data

from chains.devnet.addresses import CHAINS
from chains.devnet.funding import BALANCE_SLOT, mapping_slot
from chains.devnet.jsonrpc import Rpc
from chains.multicall import MULTICALL3

AT = CHAINS[1]
MOCK_SLOT = 3
GAS = hex(1 << 34)
ALONE = -1
Storage = dict[str, dict[int, int]]
"""What is in storage, by address and slot."""
Calls = Sequence[tuple[str, str]]
"""(to, data)."""


def run(
    rpc: Rpc, cases: Sequence[tuple[Calls, Storage]], codes: dict[str, str] | None = None
) -> list[list[bytes | None]]:
    """What each case's calls answer, None where one reverted; the calls before it stand. `codes` by address is in every case.

    Of an address with `ALONE` among its slots nothing else is in storage."""
    body = []
    for n, (calls, storage) in enumerate(cases):
        listed = [(to, True, bytes.fromhex(data[2:])) for to, data in calls]
        data = call_data("aggregate3((address,bool,bytes)[])", listed)
        given: dict[str, dict[str, object]] = {
            at: {
                "state" if ALONE in slots else "stateDiff": {
                    f"0x{slot:064x}": f"0x{value:064x}" for slot, value in slots.items() if slot != ALONE
                }
            }
            for at, slots in storage.items()
        }
        for at, code in (codes or {}).items():
            given.setdefault(at, {})["code"] = code
        params = [{"to": MULTICALL3, "data": data, "gas": GAS}, "latest", given]
        body.append({"jsonrpc": "2.0", "id": n, "method": "eth_call", "params": params})
    answers = {a["id"]: a for a in rpc._post(body)}
    found = []
    for n in range(len(cases)):
        assert "result" in answers[n], answers[n]
        (told,) = decode(["(bool,bytes)[]"], bytes.fromhex(answers[n]["result"][2:]))
        found.append([data if ok else None for ok, data in told])
    return found


def balance_slot(token: str, of: str) -> int:
    """The storage slot of a balance."""
    slot = {AT.weth: BALANCE_SLOT["WETH"], AT.usdc: BALANCE_SLOT["USDC"]}.get(token, MOCK_SLOT)
    return int(mapping_slot(of, slot), 16)
