"""Spark's build of Aave V3 and the genuine Morpho Blue beside a devnet's own Aave, a loan of the Safe at each, and a signer that knows them.

The loans are made as the Safe itself would, by a node that takes its word for it; what is tested is what becomes of them.
"""

from __future__ import annotations

import json
import signal
import time
import tomllib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from agent_home import AgentHome, written
from eth_abi import encode as abi_encode
from eth_hash.auto import keccak
from lending_oracle import compiled

from agent.app.lenders.lender import SeenLoan
from agent.app.lenders.morpho_blue import MorphoMarket
from agent.app.settings import load
from agent.margin.morpho_blue import MODEL, Account
from chains.devnet.addresses import CHAINS, SPARK
from chains.devnet.builder import DEPLOYER
from chains.devnet.deploy.aave import ensure_spark
from chains.devnet.funding import give_token
from chains.devnet.jsonrpc import Rpc
from contracts.codec import encode
from contracts.hashing import to_checksum
from contracts.morpho_blue import market_id
from keys.client import start_signer

WETH, USDC = CHAINS[1].weth, CHAINS[1].usdc
LLTV = 86 * 10**16
LENT_TOO, MORE_AT_SPARK = 1_500 * 10**6, 800 * 10**6
MARKET = "(address,address,address,address,uint256)"


@dataclass
class OtherLenders:
    """`settings_path` is the owners', with both markets in it; `params` are those of Morpho's market of USDC against WETH."""

    home: AgentHome
    settings_path: Path
    morpho: str
    params: dict[str, Any]

    @property
    def agents_path(self) -> Path:
        """The agent's settings with both markets in them; its scope reaches neither."""
        return self.settings_path.with_name("agent-wide.toml")

    @property
    def market(self) -> str:
        return market_id(self.params)

    def price(self, usd: int) -> None:
        """What Morpho's oracle says a WETH is worth, in USDC."""
        with Rpc(self.home.home.cheat_urls[1]) as rpc:
            sent(rpc, DEPLOYER, self.params["oracle"], call_of("setPrice(uint256)", [usd * 10**24]))

    def position(self) -> tuple[int, int]:
        """Shares owed and collateral, as Morpho keeps them."""
        found = self.home.read(
            self.morpho, "morpho_blue", "position", bytes.fromhex(self.market[2:]), self.home.safe
        )
        return int(found[1]), int(found[2])

    def allowance(self) -> int:
        return int(self.home.read(USDC, "erc20", "allowance", self.home.safe, self.morpho)[0])

    def repay_whole(self) -> None:
        """The calls that Fairlead makes of a repayment of more than is owed, by the Safe itself."""
        shares, lent = self.position()
        chain = load(self.settings_path).chain(1)
        assert chain is not None
        market = MorphoMarket(chain, self.market, self.params)
        totals = self.home.read(self.morpho, "morpho_blue", "market", bytes.fromhex(self.market[2:]))
        account = Account(USDC, 6, WETH, 18, LLTV, 1, lent, shares, totals[2], totals[3], 0, totals[4])
        seen = SeenLoan("", chain, None, account, MODEL, None, {})
        with Rpc(self.home.home.cheat_urls[1]) as rpc:
            for call in market.calls("repay", USDC, 2 * totals[2], self.home.safe, seen, totals[4]):
                sent(rpc, self.home.safe, call.to, "0x" + call.data.hex())


def call_of(signature: str, values: list[Any]) -> str:
    inside = signature[signature.index("(") + 1 : -1].replace(MARKET, "MARKET")
    kinds = [MARKET if k == "MARKET" else k for k in inside.split(",") if k]
    return "0x" + (keccak(signature.encode())[:4] + abi_encode(kinds, values)).hex()


def sent(rpc: Rpc, sender: str, to: str | None, data: str) -> Any:
    had = rpc("eth_getBalance", sender, "latest")
    rpc("anvil_setBalance", sender, hex(10**24))
    given = {"from": sender, "data": data, "gas": hex(16_000_000)} | ({"to": to} if to else {})
    receipt = rpc("eth_getTransactionReceipt", rpc("eth_sendTransaction", given))
    assert receipt["status"] == "0x1", (to, data[:10])
    rpc("anvil_setBalance", sender, had)
    return receipt


def _lend_at_spark(rpc: Rpc, safe: str, weth: int, usdc: int) -> None:
    """Some of what is owed is lent there as well."""
    pool = SPARK["Pool"]
    for call in (
        (USDC, encode("erc20", "approve", (pool, LENT_TOO))),
        (pool, encode("aave_v3_pool", "supply", (USDC, LENT_TOO, safe, 0))),
        (WETH, encode("erc20", "approve", (pool, weth))),
        (pool, encode("aave_v3_pool", "supply", (WETH, weth, safe, 0))),
        (pool, encode("aave_v3_pool", "borrow", (USDC, usdc, 2, 0, safe))),
    ):
        sent(rpc, safe, call[0], "0x" + call[1].hex())


def _lend_at_morpho(rpc: Rpc, url: str, safe: str, weth: int, usdc: int) -> tuple[str, dict[str, Any]]:
    made = sent(rpc, DEPLOYER, None, "0x" + compiled("MorphoMarket")["bytecode"])["contractAddress"]

    def part(name: str) -> str:
        told = rpc("eth_call", {"to": made, "data": call_of(f"{name}()", [])}, "latest")
        return str(to_checksum("0x" + told[-40:]))

    morpho, irm, oracle = part("morpho"), part("irm"), part("oracle")
    params = {"loanToken": USDC, "collateralToken": WETH, "oracle": oracle, "irm": irm, "lltv": LLTV}
    market = tuple(params.values())
    give_token(url, USDC, DEPLOYER, 3 * usdc)
    for sender, to, signature, values in (
        (DEPLOYER, morpho, "enableIrm(address)", [irm]),
        (DEPLOYER, morpho, "enableLltv(uint256)", [LLTV]),
        (DEPLOYER, oracle, "setPrice(uint256)", [3_000 * 10**24]),
        (DEPLOYER, morpho, f"createMarket({MARKET})", [market]),
        (DEPLOYER, USDC, "approve(address,uint256)", [morpho, 3 * usdc]),
        (DEPLOYER, morpho, f"supply({MARKET},uint256,uint256,address,bytes)", [market, 3 * usdc, 0, DEPLOYER, b""]),
        (safe, WETH, "approve(address,uint256)", [morpho, weth]),
        (safe, morpho, f"supplyCollateral({MARKET},uint256,address,bytes)", [market, weth, safe, b""]),
        (safe, morpho, f"borrow({MARKET},uint256,uint256,address,address)", [market, usdc, 0, safe, safe]),
    ):  # fmt: skip
        sent(rpc, sender, to, call_of(signature, values))
    return morpho, params


def _knowing(path: Path, morpho: str, market: str) -> dict[str, Any]:
    """Those settings with both markets in them."""
    values = tomllib.loads(path.read_text())
    for chain in values["chains"]:
        if chain["name"] == "ethereum":
            chain |= {"lending_pools": [SPARK["Pool"]], "morpho": morpho, "morpho_markets": [market]}
    return values


@contextmanager
def beside(home: AgentHome, weth: int, usdc: int) -> Iterator[OtherLenders]:
    """`weth` lent and `usdc` borrowed by the Safe in each of the two, in base units."""
    url, folder = home.home.cheat_urls[1], home.owners_path.parent
    with Rpc(url) as rpc:
        ensure_spark(rpc)
        _lend_at_spark(rpc, home.safe, weth, usdc + MORE_AT_SPARK)
        morpho, params = _lend_at_morpho(rpc, url, home.safe, weth, usdc)
        # Each transaction was a block of its own, a second apart: the relay builds on once its clock is past them.
        ahead = int(rpc("eth_getBlockByNumber", "latest", False)["timestamp"], 16) - int(time.time())
        rpc("evm_increaseTime", max(ahead - int(rpc("evm_increaseTime", 0)), 0) + 1)
    market = market_id(params)
    values, agents = _knowing(home.owners_path, morpho, market), _knowing(home.settings_path, morpho, market)
    written(folder / "agent-wide.toml", agents)
    values["rescues"] = [
        {"name": "spark", "chain": "ethereum", "market": SPARK["Pool"], "add_collateral": False}
    ]
    kinds = {SPARK["Pool"]: "aave_v3_pool", morpho: "morpho_blue"}
    with signer_that_knows(home, "wide", values, kinds, {"morpho_markets": [market]}) as path:
        yield OtherLenders(home, path, morpho, params)


@contextmanager
def signer_that_knows(
    home: AgentHome,
    name: str,
    values: dict[str, Any],
    kinds: dict[str, str],
    more: dict[str, Any],
    spends: dict[str, int] | None = None,
) -> Iterator[Path]:
    """The owners' settings written as `name`, with a signer of their own that takes those contracts of chain 1 and what is in `more`, and spends so much of
    each of `spends` in a day."""
    folder = home.owners_path.parent
    told = json.loads((folder / "signer.json").read_text())
    for chain in told["chains"]:
        if chain["chain_id"] == 1:
            chain["contracts"] |= kinds
            chain["spenders"] += list(kinds)
            for token, raw in (spends or {}).items():
                chain["tokens"][token] = {"per_tx_raw": str(raw), "per_day_raw": str(raw)}
            chain |= more
    config, socket = folder / f"{name}-signer.json", folder / f"{name}.sock"
    config.write_text(json.dumps(told | {"ledger": str(folder / f"{name}-ledger.jsonl")}))
    values["signer"] = values.get("signer", {}) | {"socket": str(socket), "config": str(config)}
    path = written(folder / f"{name}.toml", values)
    process = start_signer(socket, config, folder / f"{name}-signer.log")
    try:
        yield path
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(20)
