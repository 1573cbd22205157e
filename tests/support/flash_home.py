"""An owners' home that opts in to FlashRepay: its settings, and a signer of its own that lists the contract and the market's token."""

from __future__ import annotations

import json
import signal
import tomllib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from agent_home import AgentHome, written

from chains.devnet.addresses import CHAINS
from chains.devnet.deploy.aave import a_token
from chains.devnet.jsonrpc import Rpc
from contracts.flash_repay import ADDRESS, FLASH
from keys.client import start_signer

CODE_HASH = f"0x{FLASH.runtime_hash.hex()}"
MOST_RAW = 100 * 10**18


def a_weth(home: AgentHome) -> str:
    with Rpc(home.home.cheat_urls[1]) as rpc:
        return a_token(rpc, CHAINS[1].weth)


@contextmanager
def opted_in(home: AgentHome) -> Iterator[Path]:
    """The owners' settings with `flash_repay` in them."""
    folder, token = home.owners_path.parent, a_weth(home)
    told = json.loads((folder / "signer.json").read_text())
    (chain,) = (c for c in told["chains"] if c["chain_id"] == 1)
    chain["contracts"][ADDRESS] = "flash_repay"
    chain["spenders"].append(ADDRESS)
    chain["tokens"][token] = {"per_tx_raw": str(MOST_RAW), "per_day_raw": str(MOST_RAW)}
    config, socket = folder / "flash-signer.json", folder / "flash.sock"
    config.write_text(json.dumps(told | {"ledger": str(folder / "flash-ledger.jsonl")}))
    values = tomllib.loads(home.owners_path.read_text())
    values["wallet"]["flash_repay"] = CODE_HASH
    values["assets"]["aEthWETH"] = [f"eip155:1/erc20:{token}"]
    values["signer"] = values.get("signer", {}) | {"socket": str(socket), "config": str(config)}
    path = written(folder / "flash.toml", values)
    process = start_signer(socket, config, folder / "flash-signer.log")
    try:
        yield path
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(20)
