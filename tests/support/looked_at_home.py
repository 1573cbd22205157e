"""A loan of crvUSD, a trove of Liquity v2 and a position at GMX v2 beside a devnet's own Aave, as contracts that answer what the fakes of each answer.

None of the three protocols' own contracts is on a package index: what stands here is `lending_sources/Answers.sol` at each of their addresses, told
what `fake_crvusd`, `fake_liquity` and `fake_gmx` say to the readers' own questions.
"""

from __future__ import annotations

import asyncio
import time
import tomllib
from collections import defaultdict
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from agent_home import written
from answering_chain import AnsweringChain
from fake_crvusd import CONTROLLER, FakeLoan
from fake_gmx import CORE, INDEX, FakeGmx
from fake_liquity import REGISTRY, FakeTrove
from home_fixture import Home
from lending_oracle import compiled
from other_lenders import call_of, sent

from agent.app.settings_tree import Chain
from agent.app.watching.loans import loans_of
from chains.devnet.builder import DEPLOYER
from chains.devnet.jsonrpc import Rpc
from chains.types import Address, BlockRef, Call, CallResult

TROVE = 255


class Recording(AnsweringChain):
    """Several fakes as one chain, which keeps what it was asked and what it answered."""

    def __init__(self, parts: Sequence[AnsweringChain]) -> None:
        super().__init__(now=parts[0].now)
        for part in parts:
            self.table |= part.table
        self.kept: dict[tuple[Address, bytes], bytes] = {}

    async def multicall(
        self, calls: Sequence[Call], block: int | str = "latest"
    ) -> tuple[BlockRef, list[CallResult]]:
        ref, results = await super().multicall(calls, block)
        self.kept |= {(c.to, c.data): r.data for c, r in zip(calls, results, strict=True) if r.ok}
        return ref, results


@dataclass
class LookedAt:
    home: Home
    settings_path: Path
    runtime: str

    def silence(self, address: Address, on: bool) -> None:
        """No code stands there, or again what stood; what it was told it keeps."""
        with Rpc(self.home.cheat_urls[1]) as rpc:
            rpc("anvil_setCode", address, "0x" if on else self.runtime)
            rpc("evm_mine")


@contextmanager
def looked_at(home: Home, loan: FakeLoan, trove: FakeTrove, gmx: FakeGmx) -> Iterator[LookedAt]:
    with Rpc(home.cheat_urls[1]) as rpc:
        rpc("anvil_autoImpersonateAccount", True)
        made = sent(rpc, DEPLOYER, None, "0x" + compiled("Answers")["bytecode"])["contractAddress"]
        runtime = str(rpc("eth_getCode", made, "latest"))
        now = int(rpc("eth_getBlockByNumber", "latest", False)["timestamp"], 16)
        wallet = Address(home.settings.wallet.address)
        known = {
            "crvusd_controllers": [CONTROLLER],
            "troves": [{"registry": REGISTRY, "id": str(TROVE)}],
            "gmx": {
                "reader": CORE.reader,
                "data_store": CORE.data_store,
                "referral_storage": CORE.referral_storage,
                "symbols": {INDEX: "BTC"},
            },
        }
        chain = Chain.model_validate(
            {"name": "ethereum", "chain_id": 1, "rpc": ["http://127.0.0.1:1"], **known}
        )
        recording = Recording([part.chain(now=now) for part in (loan, trove, replace(gmx, who=wallet))])
        asyncio.run(_asked(chain, recording, wallet))
        told: dict[Address, tuple[list[bytes], list[bytes]]] = defaultdict(lambda: ([], []))
        for (to, data), answer in recording.kept.items():
            told[to][0].append(data)
            told[to][1].append(answer)
        for to, (questions, answers) in told.items():
            rpc("anvil_setCode", to, runtime)
            sent(rpc, DEPLOYER, to, call_of("tell(bytes[],bytes[])", [questions, answers]))
        # Each transaction was a block of its own, a second apart: the relay builds on once its clock is past them.
        ahead = int(rpc("eth_getBlockByNumber", "latest", False)["timestamp"], 16) - int(time.time())
        rpc("evm_increaseTime", max(ahead - int(rpc("evm_increaseTime", 0)), 0) + 1)
    values = tomllib.loads(home.settings_path.read_text())
    for one in values["chains"]:
        if one["name"] == "ethereum":
            one |= known
    yield LookedAt(home, written(home.settings_path.parent / "looked-at.toml", values), runtime)


async def _asked(chain: Chain, recording: Recording, wallet: Address) -> None:
    found = await loans_of(chain, recording, wallet)  # type: ignore[arg-type]
    assert len(found) == 3 and not any(loan.judged.why for loan in found), [loan.judged.why for loan in found]
