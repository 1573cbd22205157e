"""A market that keeps to Compound III's documented rules beside a devnet's own Aave, a loan of the Safe there, and a signer that knows it.

Compound's own contract is on no package index; `lending_sources/Comet.sol` stands for it.
"""

from __future__ import annotations

import time
import tomllib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from agent_home import AgentHome, written
from eth_abi import encode as abi_encode
from lending_oracle import compiled
from other_lenders import call_of, sent, signer_that_knows

from chains.devnet.addresses import CHAINS
from chains.devnet.builder import DEPLOYER
from chains.devnet.funding import give_token
from chains.devnet.jsonrpc import Rpc
from contracts.codec import encode
from contracts.hashing import to_checksum

WETH, USDC, FEEDS = CHAINS[1].weth, CHAINS[1].usdc, CHAINS[1].feeds


@dataclass
class CometHome:
    """`settings_path` is the owners', `agents_path` the agent's; `wrong_path` names an address where no market is."""

    home: AgentHome
    comet: str
    settings_path: Path
    agents_path: Path
    wrong_path: Path

    @property
    def name(self) -> str:
        return f"compound_v3:eip155:1:{self.comet}"

    def principal(self) -> int:
        return int(self.home.read(self.comet, "comet", "userBasic", self.home.safe)[0])

    def lent(self) -> int:
        return int(self.home.read(self.comet, "comet", "userCollateral", self.home.safe, WETH)[0])

    def allowance(self) -> int:
        return int(self.home.read(USDC, "erc20", "allowance", self.home.safe, self.comet)[0])

    def pause(self, on: bool) -> None:
        with Rpc(self.home.home.cheat_urls[1]) as rpc:
            sent(rpc, DEPLOYER, self.comet, call_of("pause(bool)", [on]))


@contextmanager
def comet_beside(home: AgentHome, weth: int, usdc: int) -> Iterator[CometHome]:
    """`weth` lent and `usdc` borrowed by the Safe there, in base units."""
    url = home.home.cheat_urls[1]
    with Rpc(url) as rpc:
        rpc("anvil_autoImpersonateAccount", True)
        told = abi_encode(["address"] * 4, [USDC, FEEDS["USDC"], WETH, FEEDS["ETH"]]).hex()
        made = sent(rpc, DEPLOYER, None, "0x" + compiled("Comet")["bytecode"] + told)["contractAddress"]
        comet = str(to_checksum(made))
        give_token(url, USDC, comet, 3 * usdc)
        for to, data in (
            (WETH, encode("erc20", "approve", (comet, weth))),
            (comet, encode("comet", "supply", (WETH, weth))),
        ):
            sent(rpc, home.safe, to, "0x" + data.hex())
        sent(rpc, home.safe, comet, call_of("withdraw(address,uint256)", [USDC, usdc]))
        # Each transaction was a block of its own, a second apart: the relay builds on once its clock is past them.
        ahead = int(rpc("eth_getBlockByNumber", "latest", False)["timestamp"], 16) - int(time.time())
        rpc("evm_increaseTime", max(ahead - int(rpc("evm_increaseTime", 0)), 0) + 1)
    folder = home.owners_path.parent

    def knowing(path: Path, market: str) -> dict[str, object]:
        values = tomllib.loads(path.read_text())
        for chain in values["chains"]:
            if chain["name"] == "ethereum":
                chain["comets"] = [market]
        return values

    agents = written(folder / "comet-agent.toml", knowing(home.settings_path, comet))
    wrong = written(folder / "comet-wrong.toml", knowing(home.owners_path, WETH))
    with signer_that_knows(home, "comet", knowing(home.owners_path, comet), {comet: "comet"}, {}) as path:
        yield CometHome(home, comet, path, agents, wrong)
