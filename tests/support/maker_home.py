"""The core of Maker as documented, beside a devnet's own Aave, with a vault that the Safe does not even own, and a signer that knows it.

Maker's own contracts are on no package index; `lending_sources/Maker.sol` stands for them.
"""

from __future__ import annotations

import time
import tomllib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from agent_home import AgentHome, written
from eth_abi import encode as abi_encode
from lending_oracle import compiled
from other_lenders import call_of, sent, signer_that_knows

from chains.devnet.addresses import CHAINS
from chains.devnet.builder import DEPLOYER
from chains.devnet.funding import set_feed_price
from chains.devnet.jsonrpc import Rpc
from contracts.hashing import to_checksum

WETH, DAI, FEED = CHAINS[1].weth, CHAINS[1].mocks["DAI"][0], CHAINS[1].feeds["ETH"]
ILK = b"ETH-A".ljust(32, b"\0")
URN = str(to_checksum("0x" + "7a" * 20))


@dataclass
class MakerHome:
    """`settings_path` is the owners'; `wrong_path` names an adapter that is none, `unlisted_path` lists no DAI."""

    home: AgentHome
    parts: dict[str, str]
    settings_path: Path
    wrong_path: Path
    unlisted_path: Path

    @property
    def name(self) -> str:
        return f"maker_vault:eip155:1:{URN}"

    def urn(self) -> tuple[int, int]:
        """(ink, art) as the Vat keeps them."""
        ink, art = self.home.read(self.parts["vat"], "maker_vat", "urns", ILK, URN)
        return int(ink), int(art)

    def at(self, usd: int) -> None:
        set_feed_price(self.home.home.cheat_urls[1], "ETH", usd * 10**8)
        with Rpc(self.home.home.cheat_urls[1]) as rpc:
            sent(rpc, DEPLOYER, self.parts["spotter"], call_of("poke(bytes32)", [ILK]))


@contextmanager
def maker_beside(home: AgentHome, ink: int, art: int) -> Iterator[MakerHome]:
    with Rpc(home.home.cheat_urls[1]) as rpc:
        rpc("anvil_autoImpersonateAccount", True)
        kinds = ["bytes32", "address", "address", "address", "address", "uint256", "uint256"]
        told = abi_encode(kinds, [ILK, WETH, FEED, DAI, URN, ink, art]).hex()
        made = sent(rpc, DEPLOYER, None, "0x" + compiled("Maker")["bytecode"] + told)["contractAddress"]

        def part(name: str) -> str:
            answer = rpc("eth_call", {"to": made, "data": call_of(f"{name}()", [])}, "latest")
            return str(to_checksum("0x" + answer[-40:]))

        parts = {name: part(name) for name in ("vat", "spotter", "jug", "dog", "join", "daiJoin")}
        # Each transaction was a block of its own, a second apart: the relay builds on once its clock is past them.
        ahead = int(rpc("eth_getBlockByNumber", "latest", False)["timestamp"], 16) - int(time.time())
        rpc("evm_increaseTime", max(ahead - int(rpc("evm_increaseTime", 0)), 0) + 1)
    folder = home.owners_path.parent

    def knowing(join: str, lists_dai: bool = True) -> dict[str, Any]:
        values = tomllib.loads(home.owners_path.read_text())
        vault = {"ilk": "ETH-A", "urn": URN, "join": join, "collateral": WETH}
        if lists_dai:
            values["assets"]["DAI"] = [f"eip155:1/erc20:{DAI}"]
        core = {name: parts[name] for name in ("vat", "spotter", "jug", "dog")}
        for chain in values["chains"]:
            if chain["name"] == "ethereum":
                chain["maker"] = {"vaults": [vault], **core, "dai_join": parts["daiJoin"], "dai": DAI}
        return values

    joins = {parts["join"]: WETH, parts["daiJoin"]: DAI}
    more: dict[str, Any] = {"maker": {"joins": joins, "vaults": [{"ilk": "0x" + ILK.hex(), "urn": URN}]}}
    found = {
        parts["vat"]: "maker_vat",
        parts["jug"]: "maker_jug",
        **dict.fromkeys(joins, "maker_join"),
    }
    unlisted = written(folder / "maker-unlisted.toml", knowing(parts["join"], False))
    wrong = written(folder / "maker-wrong.toml", knowing(parts["daiJoin"]))
    with signer_that_knows(home, "maker", knowing(parts["join"]), found, more, {DAI: 10**22}) as path:
        yield MakerHome(home, parts, path, wrong, unlisted)
